/* Keeping objects as they were made. */
#include "kube/keep.h"

#include <string.h>

#include "base/map.h"
#include "kube/internal.h"
#include "kube/watch.h"

#define RETRY_MS 1000
#define RETRY_FACTOR_MAX 60

struct kept {
    struct kube_keep *keep;
    struct arena *arena; /* of the object and its request */
    struct str name;
    const struct value *object;
    struct kube_call *call;   /* being applied */
    struct loop_timer *timer; /* to be applied again */
    int64_t retry_ms;
    uint64_t owned;     /* what the server says is ours, after the last apply; 0: not applied yet */
    struct str version; /* resourceVersion then; owned */
    enum kube_keep_event cause; /* of the call or timer */
    /* While it is being applied: it was set anew, or something came from the server. The call is
     * waited for, as one that was given up might reach the server after the next. */
    bool stale, again;
    bool seen; /* by the watch */
};

struct kube_keep {
    struct kube_keep_options options;
    char *group_version, *plural;
    struct map objects; /* name -> struct kept */
    struct kube_watch *watch;
    bool listed; /* the watch has seen all there is */
};

static void apply(struct kept *o, enum kube_keep_event cause);

static void tell(const struct kept *o, const struct err *failed)
{
    const struct kube_keep_options *options = &o->keep->options;
    if (options->on_event) {
        options->on_event(options->arg, o->cause, o->name, failed);
    }
}

/* A hash of our entry of metadata.managedFields: which fields are ours, not what is in them. */
static uint64_t owned_fields(const struct value *object)
{
    const struct value *all = value_at(object, "metadata.managedFields");
    for (size_t i = 0; i < value_len(all); i++) {
        const struct value *m = &all->array.at[i];
        if (str_is(value_string_at(m, "manager"), KUBE_FIELD_MANAGER) &&
            str_is(value_string_at(m, "operation"), "Apply") &&
            value_string_at(m, "subresource").len == 0) {
            const struct value *fields = value_member(m, "fieldsV1");
            return fields ? value_hash(fields) | 1 : 1;
        }
    }
    return 1;
}

static void on_timer(void *arg)
{
    struct kept *o = arg;
    loop_timer_free(o->timer);
    o->timer = NULL;
    apply(o, o->cause);
}

static void try_later(struct kept *o)
{
    int64_t first = o->keep->options.retry_ms > 0 ? o->keep->options.retry_ms : RETRY_MS;
    int64_t wait = o->retry_ms > 0 ? o->retry_ms : first;
    o->retry_ms = wait * 2 < first * RETRY_FACTOR_MAX ? wait * 2 : first * RETRY_FACTOR_MAX;
    o->timer = loop_timer_new(kube_client_loop(o->keep->options.client), wait, false, on_timer, o);
}

static void on_applied(void *arg, int status, struct value *object, const struct err *e)
{
    struct kept *o = arg;
    o->call = NULL;
    if (o->stale) {
        apply(o, KUBE_KEEP_APPLIED);
        return;
    }
    if (status < 200 || status >= 300) {
        tell(o, e);
        try_later(o);
        return;
    }
    struct str version = value_string_at(object, "metadata.resourceVersion");
    /* Nothing was changed by it when the object is still the one that we made. */
    bool changed = !str_eq(version, o->version);
    o->retry_ms = 0;
    o->owned = owned_fields(object);
    free((char *)o->version.ptr);
    o->version = str_of(mem_printf("%.*s", STR_ARG(version)));
    if (changed || o->cause == KUBE_KEEP_APPLIED) {
        tell(o, NULL);
    }
    if (o->again) {
        apply(o, KUBE_KEEP_UPDATED);
    }
}

static void apply(struct kept *o, enum kube_keep_event cause)
{
    if (o->call) {
        o->again = true;
        return;
    }
    loop_timer_free(o->timer);
    o->timer = NULL;
    o->again = o->stale = false;
    o->cause = cause;
    struct kube_request q = kube_apply_request(o->arena, o->keep->plural, o->object);
    o->call = kube_start(o->keep->options.client, &q, on_applied, o);
}

/* --- what others do --- */

static void on_object(void *arg, const struct value *object)
{
    struct kube_keep *k = arg;
    struct kept *o = map_find(&k->objects, value_string_at(object, "metadata.name"));
    /* One that is being deleted can't be put right; it is made again when it is gone. */
    if (!o || value_at(object, "metadata.deletionTimestamp")) {
        return;
    }
    o->seen = true;
    if (o->call) {
        o->again = true; /* it may be older or newer than what we wait for */
    } else if (!o->timer && owned_fields(object) != o->owned) {
        apply(o, KUBE_KEEP_UPDATED);
    }
}

static void on_gone(void *arg, struct str namespace, struct str name)
{
    struct kube_keep *k = arg;
    struct kept *o = map_find(&k->objects, name);
    if (o && o->owned) {
        apply(o, KUBE_KEEP_DELETED);
    }
}

/* What was deleted after it was applied and before the watch began is in no event. */
static void on_batch(void *arg)
{
    struct kube_keep *k = arg;
    MAP_EACH(&k->objects, it) {
        struct kept *o = it.value;
        if (!k->listed && !o->seen && o->owned && !o->call && !o->timer) {
            apply(o, KUBE_KEEP_DELETED);
        }
    }
    k->listed = true;
}

/* --- life --- */

static void kept_free(void *value)
{
    struct kept *o = value;
    if (o->call) {
        kube_cancel(o->call);
    }
    loop_timer_free(o->timer);
    free((char *)o->version.ptr);
    arena_free(o->arena);
    free(o);
}

/* Definitions are large, and what is in them needn't be looked at. */
static const struct json_keep watched[] = {{"metadata", NULL}, {NULL, NULL}};

struct kube_keep *kube_keep_start(const struct kube_keep_options *options)
{
    struct kube_keep *k = NEW(struct kube_keep);
    k->options = *options;
    k->group_version = mem_strdup(options->group_version);
    k->plural = mem_strdup(options->plural);
    if (options->watch) {
        AUTO(arena_free) struct arena *a = arena_new(512);
        struct kube_watch_options w = {
            .client = options->client,
            .path = kube_path_of(a, k->group_version, k->plural, STR(""), STR(""), NULL, NULL),
            .label_selector = options->label_selector,
            .field_selector = options->field_selector,
            .keep = watched,
            .on_object = on_object,
            .on_gone = on_gone,
            .on_batch = on_batch,
            .arg = k};
        k->watch = kube_watch_start(&w);
    }
    return k;
}

void kube_keep_set(struct kube_keep *k, const struct value *object)
{
    struct arena *a = arena_new(4096);
    const struct value *copy = value_copy(a, object);
    struct str name = value_string_at(copy, "metadata.name");
    ASSERT(name.len > 0);
    struct kept *o = map_find(&k->objects, name);
    if (!o) {
        o = NEW(struct kept);
        o->keep = k;
    }
    o->stale = o->call != NULL;
    struct arena *old = o->arena;
    o->arena = a;
    o->object = copy;
    o->name = name;
    map_put(&k->objects, name, o);
    arena_free(old);
    apply(o, KUBE_KEEP_APPLIED);
}

bool kube_keep_settled(const struct kube_keep *k)
{
    MAP_EACH(&k->objects, it) {
        const struct kept *o = it.value;
        if (o->call || o->timer || !o->owned) {
            return false;
        }
    }
    return true;
}

void kube_keep_free(struct kube_keep *k)
{
    if (!k) {
        return;
    }
    kube_watch_free(k->watch);
    map_done(&k->objects, kept_free);
    free(k->plural);
    free(k->group_version);
    free(k);
}
