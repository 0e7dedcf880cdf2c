/* What commands on a cluster share: the flags of all of them, the connection, few calls. Answers
 * live in the cluster's arena until cluster_done. */
#ifndef OSM_CLI_CLUSTER_H
#define OSM_CLI_CLUSTER_H

#include "base/command.h"
#include "kube/client.h"

#define MESH_NAME "osm"
#define CONFIG_NAME "osm-mesh-config"

extern const struct flag cluster_flags[];

struct cluster {
    struct kube_client *kube;
    struct arena *arena;
    const char *osm_namespace; /* --osm-namespace, the config file's, or osm-system */
};

/* Reads osm's config file and the kubeconfig; doesn't connect. */
int cluster_open(struct cluster *ret, struct err *e);
void cluster_done(struct cluster *c);
static inline __attribute__((unused)) void cluster_done_auto(struct cluster *c)
{
    cluster_done(c);
}

/* The flags --kubeconfig and --context, as given; NULL when not. */
const char *cluster_kubeconfig(void);
const char *cluster_context(void);
bool cluster_verbose(void);

/* Returns the HTTP status below 400, or -1. */
int cluster_do(struct cluster *c, const struct kube_request *q, struct value **ret, struct err *e);
/* 1: there; 0: there is no such object; -1: e tells. */
int cluster_find(struct cluster *c, const char *path, struct value **ret, struct err *e);
/* Whether anything can be asked: -1 with e when no server answers, or it doesn't know who we are.
 */
int cluster_answers(struct cluster *c, struct err *e);
/* As kube_list, into an array. */
int cluster_list(struct cluster *c, const char *path, struct value **ret, struct err *e);
/* 1: patched; 0: it isn't there; -1: e tells. */
int cluster_patch(struct cluster *c, const char *path, const char *type, const struct value *patch,
                  struct err *e);
/* 1: deleted; 0: it wasn't there; -1: e tells. */
int cluster_delete(struct cluster *c, const char *path, struct err *e);
/* All of a collection that the query selects. namespace empty: of
 * the whole cluster. */
int cluster_delete_listed(struct cluster *c, const char *group_version, const char *plural,
                          const char *namespace, const char *query, struct err *e);

/* "/api/v1/namespaces/x", "/api/v1/namespaces/x/pods/y", ...; query may be NULL. */
const char *core_path(struct cluster *c, const char *plural, const char *namespace,
                      const char *name, const char *query);
/* Of a list: "labelSelector=..." percent-encoded. */
const char *label_query(struct cluster *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* -1 with e unless text can name a namespace or a pod: it becomes part of a path. */
int check_name(const char *what, const char *text, struct err *e);

/* "<namespace>/<name>" or "<name>". */
struct object_name {
    char namespace[64], name[254];
};
/* what: "pod", for the error. */
int object_name_parse(const char *text, const char *default_namespace, const char *what,
                      struct object_name *ret, struct err *e);

#endif
