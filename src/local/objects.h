/* Documents that stand for what a cluster would know: pods with their addresses, services with
 * theirs, who serves them, namespaces that nobody declared. Pure. */
#ifndef OSM_LOCAL_OBJECTS_H
#define OSM_LOCAL_OBJECTS_H

#include "kinds/core.h"

/* One pod as others see it. */
struct pod_view {
    const struct pod *pod; /* with its sidecar */
    const char *ip4, *ip6; /* "" until it has them */
    bool ready, ending;
    const char *phase; /* Pending, Running, Succeeded, Failed */
};

struct value *objects_pod(struct arena *a, const struct pod_view *view);
struct value *objects_namespace(struct arena *a, struct str name, const char *mesh_name);
/* A copy with its address; ip is "" for headless ones. */
struct value *objects_service(struct arena *a, const struct service *s, const char *ip);

/* The number that a service's port has in a pod; 0 when the pod has no port of that name. The pod
 * only matters for ports with names. */
int64_t objects_target_port(const struct service_port *port, const struct pod *pod);

/* EndpointSlices of a service: pods in which its ports have the same numbers share one. Appends the
 * documents to an array. */
void objects_slices(struct arena *a, const struct service *s, const struct pod_view *pods,
                    size_t n_pods, struct value *array);

#endif
