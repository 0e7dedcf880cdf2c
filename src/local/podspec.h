/* From a workload to its pods' documents. Pure but for random names. */
#ifndef OSM_LOCAL_PODSPEC_H
#define OSM_LOCAL_PODSPEC_H

#include "kinds/core.h"

/* What a pod is made from. */
struct pod_owner {
    const char *kind; /* "Deployment", "StatefulSet", "Job", "Pod" */
    struct str namespace, name;
    const struct value *template; /* metadata and spec; of a bare Pod the pod itself */
    uint64_t hash;                /* of the template: other pods are out of date */
};

/* From a Pod, Deployment, StatefulSet or Job; views into the object. */
bool pod_owner_of(const struct object *o, struct pod_owner *ret);

/* "web-7c9f8b6d4-x2x7q" for a Deployment, "web-0" for a StatefulSet (ordinal), "web-x2x7q" for a
 * Job, "web" for a bare Pod. */
struct str pod_name_new(struct arena *a, const struct pod_owner *owner, int ordinal);
/* The pod's document, named, owned and with a uid; not injected. */
struct value *pod_document(struct arena *a, const struct pod_owner *owner, struct str name,
                           struct str uid, struct str subdomain);

#endif
