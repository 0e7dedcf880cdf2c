/* A queue of writes to the API server: a few at a time, in the order in which they came, only the
 * newest for each key, again after a while when the server couldn't. What it refuses for good (no
 * such object any more, not allowed, invalid) is told and dropped. On a loop. */
#ifndef OSM_KUBE_WRITES_H
#define OSM_KUBE_WRITES_H

#include "kube/client.h"

struct kube_writes;

struct kube_writes_options {
    struct loop *loop;
    struct kube_client *client; /* on the loop */
    int64_t retry_ms;           /* 0: 5 s */
    /* The server refused it for good; status as kube_do returns it. */
    void (*on_refused)(void *arg, struct str key, int status, const struct err *e);
    void *arg;
};

struct kube_writes *kube_writes_new(const struct kube_writes_options *options);
void kube_writes_free(struct kube_writes *w);
/* The request is copied. One of the same key that still waits is replaced. */
void kube_writes_put(struct kube_writes *w, struct str key, const struct kube_request *q);
/* Forgets all that wait; what is on its way ends. */
void kube_writes_clear(struct kube_writes *w);
size_t kube_writes_waiting(const struct kube_writes *w); /* also those on their way */

#endif
