/* The meshes of a cluster: each is an osm-controller Deployment. */
#ifndef OSM_CLI_MESHES_H
#define OSM_CLI_MESHES_H

#include "cli/cluster.h"
#include "inject/names.h"

#define LABEL_MESH LABEL_MONITORED_BY
#define LABEL_PROXY LABEL_PROXY_UUID
#define LABEL_GATEWAY "openservicemesh.io/ingress-gateway"

/* The oldest Kubernetes that the chart and the control plane work with: 1.29. */
enum { KUBERNETES_OLDEST_MINOR = 29 };

enum { PORT_PAGES = 9091, PORT_STATUS = 9092, PORT_ENVOY_ADMIN = 15000 };

struct mesh_info {
    const char *name, *namespace, *version;
    const char *release, *release_namespace; /* helm's, which may have other names */
    bool enforce_single;
    const struct value *deployment;
};

struct meshes {
    struct mesh_info *at;
    size_t len;
};

/* By namespace; in the cluster's arena. */
int meshes_find(struct cluster *c, struct meshes *ret, struct err *e);
/* The mesh of that name; the error names those that there are. */
int mesh_find_named(struct cluster *c, const char *name, const struct mesh_info **ret,
                    struct err *e);
/* The same; name NULL: the only one that there is. */
int mesh_find_one(struct cluster *c, const char *name, const struct mesh_info **ret, struct err *e);

/* Labels and annotations are members whose keys have dots. */
struct str label_of(const struct value *object, const char *key);
struct str annotation_of(const struct value *object, const char *key);

/* Namespaces that belong to the mesh, or with NULL to any: objects. */
int mesh_namespaces(struct cluster *c, const char *mesh, struct value **ret, struct err *e);
/* Pods of a part of the control plane: app "osm-controller" and so on. */
int mesh_pods(struct cluster *c, const char *namespace, const char *app, struct value **ret,
              struct err *e);
bool pod_is_ready(const struct value *pod);
/* NULL when it is ready; else why not, in one sentence. */
const char *pod_problem(struct arena *a, const struct value *pod);

/* One page of a pod's port through the API server, decoded: -1 with e unless it answered 200. */
int pod_proxy_get(struct cluster *c, const char *namespace, const char *pod, int port,
                  const char *page, struct value **ret, struct err *e);
/* The same as text, whatever the status: it is returned; -1 without an answer. e is set for both.
 */
int pod_proxy_text(struct cluster *c, const char *namespace, const char *pod, int port,
                   const char *page, struct buf *ret, struct err *e);

/* An object with metadata.labels and metadata.annotations to fill. */
struct value *metadata_patch(struct arena *a, const char *map, const char *key, const char *text,
                             struct value *patch);

#endif
