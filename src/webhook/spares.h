/* Secrets of pods that never came to be: refused after we were asked (by a quota, by another
 * webhook), or asked for by somebody who isn't the API server. What the injector has stored is
 * looked for among the pods soon after, so that what is in order is forgotten, and some time later
 * once more: then it is deleted when no pod bears its uuid. Nothing is read but labels of pods.
 * What is waited for is forgotten when the process ends; a Secret of a pod of a workload then still
 * goes with that. The loop's thread. */
#ifndef OSM_WEBHOOK_SPARES_H
#define OSM_WEBHOOK_SPARES_H

#include "kube/client.h"

struct spares;

struct spares_options {
    struct kube_client *client; /* on the loop */
    struct loop *loop;
    int64_t wait_ms; /* until a pod must be there; 0: two minutes */
    void (*on_deleted)(void *arg, struct str namespace, struct str uuid);
    void (*on_problem)(void *arg, const struct err *e); /* it is tried again */
    void *arg;
};

struct spares *spares_new(const struct spares_options *options);
void spares_free(struct spares *s);

/* The Secret of a sidecar was stored, for a caller, which is an address. */
void spares_add(struct spares *s, struct str caller, struct str namespace, struct str uuid);
/* So many wait, of this caller or in all (LIMIT_SPARE_SECRETS), that it is to have no more. */
bool spares_full(const struct spares *s, struct str caller);
size_t spares_waiting(const struct spares *s);

#endif
