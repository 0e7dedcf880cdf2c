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

/* One service as others see it. */
struct service_view {
    const struct service *service;
    bool ipv4, ipv6;       /* families that it has */
    const char *ip4, *ip6; /* "" of a family that it doesn't have, and of headless ones */
};

/* From spec.ipFamilies and ipFamilyPolicy; the addresses are still empty. */
struct service_view service_view(const struct service *s);
/* A copy with its addresses. */
struct value *objects_service(struct arena *a, const struct service_view *view);

/* The number that a service's port has in a pod; 0 when the pod has no port of that name. The pod
 * only matters for ports with names. */
int64_t objects_target_port(const struct service_port *port, const struct pod *pod);

/* EndpointSlices of a service: pods in which its ports have the same numbers share one in each
 * family. Appends the documents to an array. */
void objects_slices(struct arena *a, const struct service_view *view, const struct pod_view *pods,
                    size_t n_pods, struct value *array);

#endif
