/* Resource requests and limits of a pod's sidecar. Within src/inject only. */
#ifndef OSM_INJECT_RESOURCES_H
#define OSM_INJECT_RESOURCES_H

#include "inject/inject.h"

/* Those of MeshConfig, with the pod's annotations over them; NULL: none. -1: an annotation isn't a
 * quantity. */
int resources_of(struct arena *a, const struct pod *pod, const struct mesh_config *c,
                 const struct value **ret, struct err *e);

/* Kubernetes' quantities that aren't negative: "100m", "0.5", "64Mi", "1e3". */
bool quantity_ok(struct str s);

#endif
