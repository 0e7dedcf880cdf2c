/* Leader election on a Lease of coordination.k8s.io/v1, as client-go does it: held by renewing
 * every 2 s, given up after 10 s without success, taken when its holder hasn't renewed for its
 * duration (15 s of ours) by our own clock (not by comparing clocks of two machines), given back on
 * a clean end. */
#ifndef OSM_KUBE_LEASE_H
#define OSM_KUBE_LEASE_H

#include "kube/client.h"

struct kube_lease_options {
    struct kube_client *client;
    const char *namespace, *name;
    const char *identity; /* the pod's name */
    /* Whether we hold it; first call when that is known to be true. Losing it is told before
     * another can hold it. */
    void (*on_change)(void *arg, bool held);
    void *arg;
    int64_t (*now_ms)(void); /* NULL: the time since boot, which goes on while the machine sleeps */
    int64_t hurry;           /* for tests: renewed so many times more often; 0: as it is */
};

struct kube_lease;
struct kube_lease *kube_lease_start(const struct kube_lease_options *options);
bool kube_lease_held(const struct kube_lease *l);
/* Gives it back (blocks shortly) when held. */
void kube_lease_free(struct kube_lease *l);

#endif
