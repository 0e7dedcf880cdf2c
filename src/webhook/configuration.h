/* What the API server is told of our webhooks: the documents of MutatingWebhookConfiguration and
 * ValidatingWebhookConfiguration, with the names, selectors and rules of Open Service Mesh. Pure.
 */
#ifndef OSM_WEBHOOK_CONFIGURATION_H
#define OSM_WEBHOOK_CONFIGURATION_H

#include "doc/value.h"

#define WEBHOOK_MUTATE_PORT 9090
#define WEBHOOK_MUTATE_PATH "/mutate-pod-creation"
#define WEBHOOK_VALIDATE_PORT 9093
#define WEBHOOK_VALIDATE_PATH "/validate"

#define WEBHOOK_GROUP_VERSION "admissionregistration.k8s.io/v1"
#define WEBHOOK_MUTATING_PLURAL "mutatingwebhookconfigurations"
#define WEBHOOK_VALIDATING_PLURAL "validatingwebhookconfigurations"

struct webhook_configuration {
    const char *name; /* "osm-webhook-osm", "osm-validator-mesh-osm" */
    const char *mesh_name, *osm_namespace, *osm_version;
    struct str ca_bundle;         /* PEM: who signs the webhook's certificate */
    int64_t timeout_s;            /* 0: the API server's own, 10 s */
    bool without_traffic_targets; /* validating: they aren't looked at */
    /* The roots that all sidecars were given (renewal_mark); noted in an annotation, so that a
     * change is also seen by who didn't run at the time. NULL: none. */
    const char *mark;
};

#define WEBHOOK_MARK_ANNOTATION "openservicemesh.io/bootstrap-roots"

/* Pods that are made in namespaces of the mesh go to the service osm-injector. A pod without its
 * sidecar would be outside the mesh's policy, so that none is made while nobody answers. */
struct value *webhook_mutating(struct arena *a, const struct webhook_configuration *c);

/* All policy, in all versions that are served, goes to the service osm-validator when it is made or
 * changed: that in namespaces of the mesh, roots in the control plane's. What isn't validated isn't
 * stored; only the MeshConfig may be while nobody answers, because a setting that keeps the
 * controller from starting couldn't be mended otherwise (its definition has rules of its own). */
struct value *webhook_validating(struct arena *a, const struct webhook_configuration *c);

#endif
