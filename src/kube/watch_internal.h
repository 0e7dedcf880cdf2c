/* The state of a watch, shared by its files: what is asked for and when (watch.c), what comes in a
 * stream (watch_events.c), which objects are there (watch_objects.c). */
#ifndef OSM_KUBE_WATCH_INTERNAL_H
#define OSM_KUBE_WATCH_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "kube/watch.h"

enum step {
    STEP_STREAM, /* the first objects as events, then what follows them (WatchList) */
    STEP_PAGES,
    STEP_WATCH,
};

struct kube_watch {
    struct kube_watch_options options;
    char *path; /* with its selectors */
    struct http_transfer *transfer;
    struct loop_timer *timer;
    enum step step;
    bool pages_only; /* the server has no WatchList */
    bool listed;     /* version is a place to go on from */
    bool was_live;
    bool delivered; /* something was, since the start */
    bool sweeping;  /* something was before this list began, so it must look for what is gone */
    bool pending;   /* something was since the last on_batch */
    char *version, *continued;
    struct buf line;  /* the part of an event that came so far */
    struct map known; /* "ns/name" -> generation; unused with each_known */
    struct map seen;  /* the same, of this list */
    uintptr_t generation;
    unsigned failures; /* in a row, since a stream lived for a while */
    unsigned absences; /* in a row */
    unsigned garbage;  /* streams in a row that broke by what they held */
    struct buf key;    /* scratch */
    int64_t sent_ms, retry_after_s;
    enum kube_watch_state state;
    struct err told, broken; /* what on_state was told; why the stream must end, or empty */
    bool expired;            /* broken because the server has forgotten our place */
};

/* on_state, unless it was told just that. e may be NULL. */
void watch_tell(struct kube_watch *w, enum kube_watch_state state, const struct err *e);
void watch_tell_trouble(struct kube_watch *w, const struct err *e);
void watch_finish_batch(struct kube_watch *w);

/* A place in the collection's history to go on from; empty ones are passed over. */
void watch_set_version(struct kube_watch *w, struct str version);
/* The next request is from the start, not from where we were. */
void watch_forget_place(struct kube_watch *w);
/* The request now under way wasn't refused. */
bool watch_has_settled(const struct kube_watch *w);
/* Asks again, after a pause that grows with each failure in a row. */
void watch_retry(struct kube_watch *w);

struct str watch_name_of(const struct value *object);
struct str watch_namespace_of(const struct value *object);
void watch_deliver(struct kube_watch *w, const struct value *object);
void watch_deliver_gone(struct kube_watch *w, struct str namespace, struct str name);
/* What was delivered and isn't in the list that just ended, or in none, is gone. */
void watch_sweep(struct kube_watch *w);
/* The list has ended. */
void watch_list_complete(struct kube_watch *w);

/* Of the transfer. First called with nothing, when the stream has begun. */
void watch_on_data(void *arg, struct str bytes);

#endif
