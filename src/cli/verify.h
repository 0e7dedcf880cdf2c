/* What verify commands find: a check that may rest on others. */
#ifndef OSM_CLI_VERIFY_H
#define OSM_CLI_VERIFY_H

#include "cli/forward.h"
#include "cli/meshes.h"

struct verify {
    struct arena *arena;
    const char *context, *reason, *suggestion; /* reason NULL: success */
    bool unknown;                              /* it couldn't be found out */
    VEC(struct verify *) parts;
};

/* parent NULL: the whole. */
struct verify *verify_new(struct arena *a, struct verify *parent, const char *context, ...)
    __attribute__((format(printf, 3, 4)));
/* The first failure counts, also for what rests on it. */
void verify_fail(struct verify *v, const char *suggestion, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));
void verify_unknown(struct verify *v, const struct err *e);
/* "[+] Context: ...", "Status: Success", and the parts that failed; an exit code. */
int verify_print(struct verify *v);

/* Is the namespace in the mesh? flags: of `osm namespace add`, for the suggestion. */
void verify_namespace(struct cluster *c, struct verify *parent, const char *name, const char *mesh,
                      const char *flags);
/* Is the namespace in the mesh, has the pod a sidecar that is ready? */
void verify_pod(struct cluster *c, struct verify *parent, const struct object_name *pod,
                const char *mesh, struct value **ret_pod);

/* What the Envoy of a pod has: names. */
struct envoy_view {
    struct value *listeners; /* config_dump of them */
    struct value *clusters;
};
int envoy_view_read(struct cluster *c, const struct object_name *pod, struct envoy_view *ret,
                    struct err *e);
bool envoy_has_listener(const struct envoy_view *v, const char *name);
/* In any listener of that name. */
bool envoy_has_chain(const struct envoy_view *v, const char *listener, const char *chain);
bool envoy_has_cluster(const struct envoy_view *v, const char *name);
/* Healthy hosts of a cluster. */
size_t envoy_hosts(const struct envoy_view *v, const char *cluster);

#endif
