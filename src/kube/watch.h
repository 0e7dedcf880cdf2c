/* A collection kept current: lists in pages (or by a streaming list where the server has it), then
 * watches with bookmarks; takes up again where it broke; lists anew when the server has forgotten
 * its place (410). A list that is repeated reports as gone what it lacks. */
#ifndef OSM_KUBE_WATCH_H
#define OSM_KUBE_WATCH_H

#include "doc/json_select.h"
#include "kube/client.h"

enum kube_watch_state {
    KUBE_WATCH_LISTING, /* the first list isn't complete */
    KUBE_WATCH_LIVE,    /* complete, and following */
    KUBE_WATCH_BROKEN,  /* was live, is being taken up again; e says why */
    KUBE_WATCH_MISSING, /* the server doesn't know this kind (no CRD yet); looked for again */
    KUBE_WATCH_DENIED,  /* we may not list or watch it; tried again */
};

struct kube_watch_options {
    struct kube_client *client;
    const char *path;           /* of the collection */
    const char *label_selector; /* NULL: all */
    const char *field_selector;
    /* What of each object is wanted, so that the rest is neither parsed nor held; NULL: all. */
    const struct json_keep *keep;
    /* An object that is new or changed; lasts for the call. The line of a value is 0. */
    void (*on_object)(void *arg, const struct value *object);
    void (*on_gone)(void *arg, struct str namespace, struct str name);
    /* For who holds the objects anyhow: calls fn for each, so that the watch needn't keep names to
     * find what a repeated list lacks. NULL: it does. */
    void (*each_known)(void *arg, void (*fn)(void *to, struct str namespace, struct str name),
                       void *to);
    /* The batch so far is whole: after the first list, after a list that was repeated, and after
     * each lot of events that came together. */
    void (*on_batch)(void *arg);
    /* Told when it changes, and when the reason does. Not live: e says why, or is empty. */
    void (*on_state)(void *arg, enum kube_watch_state state, const struct err *e);
    void *arg;
    int64_t hurry; /* for tests: waits are so many times shorter; 0: as they are */
};

struct kube_watch;
/* Calls nothing before it returns. */
struct kube_watch *kube_watch_start(const struct kube_watch_options *options);
/* Takes NULL. Not from within one of its callbacks. */
void kube_watch_free(struct kube_watch *w);

#endif
