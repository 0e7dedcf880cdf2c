/* Sidecars' bootstrap certificates after a change of the mesh's roots: new ones into the Secrets of
 * all pods. Who they are for is told by the pods; Secrets are written and never read, so that the
 * injector needs no right to read anybody's. The loop's thread. */
#ifndef OSM_WEBHOOK_RENEWAL_H
#define OSM_WEBHOOK_RENEWAL_H

#include "cert/cert.h"
#include "kube/client.h"

struct renewal;

struct renewal_options {
    struct kube_client *client; /* on the loop */
    struct issuer *issuer;
    struct loop *loop;
    int64_t retry_ms; /* after a failure; 0: 10 s */
    /* All pods that were there have a certificate of today's roots. */
    void (*on_done)(void *arg, size_t renewed);
    void (*on_problem)(void *arg, const struct err *e); /* it goes on, or is tried again */
    void *arg;
};

struct renewal *renewal_new(const struct renewal_options *options);
void renewal_free(struct renewal *r);

/* Renews those of all pods; when it is under way, begins again after. */
void renewal_start(struct renewal *r);

/* What the certificates of today are told by: changes with the roots. Lives in `a`. */
struct str renewal_mark(struct arena *a, struct issuer *i);

#endif
