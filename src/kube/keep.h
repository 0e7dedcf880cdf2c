/* Objects that stay as we made them. They are applied by server-side apply, again until that
 * succeeds; and when asked to, put back whenever somebody else changes or deletes them.
 *
 * What somebody changes is told by the server itself: it says in metadata.managedFields which
 * fields are ours, and another who writes one takes it from us. So what others add beside our
 * fields stays, and replicas that keep the same object don't fight. */
#ifndef OSM_KUBE_KEEP_H
#define OSM_KUBE_KEEP_H

#include "kube/client.h"

enum kube_keep_event {
    KUBE_KEEP_APPLIED, /* as it was asked for */
    KUBE_KEEP_UPDATED, /* put back after somebody changed it */
    KUBE_KEEP_DELETED, /* made again after somebody deleted it */
};

struct kube_keep_options {
    struct kube_client *client;         /* on a loop */
    const char *group_version, *plural; /* "apiextensions.k8s.io/v1", the collection */
    bool watch;                         /* put back what others change */
    const char *label_selector;         /* of what is watched, NULL: all. Ours have it */
    const char *field_selector;
    int64_t retry_ms; /* after a failure, then doubled up to 60 times; 0: 1 s */
    /* failed: why it couldn't be; it is tried again. NULL: it is done. */
    void (*on_event)(void *arg, enum kube_keep_event event, struct str name,
                     const struct err *failed);
    void *arg;
};

struct kube_keep;
struct kube_keep *kube_keep_start(const struct kube_keep_options *options);
/* Keeps this object; one of its name is kept no more as it was before. Copied. */
void kube_keep_set(struct kube_keep *k, const struct value *object);
/* All objects are as they were set, as far as the server has said. */
bool kube_keep_settled(const struct kube_keep *k);
/* Nothing is deleted. Takes NULL. Not from within a callback. */
void kube_keep_free(struct kube_keep *k);

#endif
