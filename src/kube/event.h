/* Events about an object, as `kubectl describe` shows them. The same event again raises the count
 * of the one that is there; more than a few a minute of one object are dropped. */
#ifndef OSM_KUBE_EVENT_H
#define OSM_KUBE_EVENT_H

#include "kube/client.h"

struct kube_events; /* on a loop */
/* component: "osm-controller", shown as the event's source. */
struct kube_events *kube_events_new(struct kube_client *client, const char *component);
void kube_events_free(struct kube_events *s);

struct kube_event {
    const char *api_version, *kind;
    struct str namespace, name, uid; /* of the object; uid may be empty */
    bool warning;
    const char *reason; /* CamelCase, such as CertificateRotationFailure */
    const char *message;
};
void kube_events_send(struct kube_events *s, const struct kube_event *event);

#endif
