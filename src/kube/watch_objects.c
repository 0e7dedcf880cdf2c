/* The objects of a collection that were delivered, and those that are no more. */
#include "kube/watch_internal.h"

static struct str key_of(struct kube_watch *w, struct str namespace, struct str name)
{
    buf_reset(&w->key);
    buf_adds(&w->key, namespace);
    buf_addc(&w->key, '/');
    buf_adds(&w->key, name);
    return buf_str(&w->key);
}

struct str watch_name_of(const struct value *object)
{
    return value_string_at(object, "metadata.name");
}

struct str watch_namespace_of(const struct value *object)
{
    return value_string_at(object, "metadata.namespace");
}

/* Names are only kept where they'll be needed. */
static void note(struct kube_watch *w, const struct value *object)
{
    if (!w->options.each_known) {
        map_put(&w->known, key_of(w, watch_namespace_of(object), watch_name_of(object)),
                (void *)w->generation);
    } else if (w->sweeping && !w->listed) {
        map_put(&w->seen, key_of(w, watch_namespace_of(object), watch_name_of(object)), w);
    }
}

void watch_deliver(struct kube_watch *w, const struct value *object)
{
    note(w, object);
    w->pending = w->delivered = true;
    w->options.on_object(w->options.arg, object);
}

void watch_deliver_gone(struct kube_watch *w, struct str namespace, struct str name)
{
    map_remove(&w->known, key_of(w, namespace, name));
    w->pending = true;
    if (w->options.on_gone) {
        w->options.on_gone(w->options.arg, namespace, name);
    }
}

struct missing {
    struct kube_watch *watch;
    struct arena *arena;
    VEC(struct str) names; /* namespace, name, namespace, ... */
};

static void add_if_missing(void *to, struct str namespace, struct str name)
{
    struct missing *m = to;
    if (!map_has(&m->watch->seen, key_of(m->watch, namespace, name))) {
        VEC_PUSH(m->names, arena_str(m->arena, namespace));
        VEC_PUSH(m->names, arena_str(m->arena, name));
    }
}

void watch_sweep(struct kube_watch *w)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct missing m = {.watch = w, .arena = a};
    if (w->options.each_known) {
        w->options.each_known(w->options.arg, add_if_missing, &m);
    }
    MAP_EACH(&w->known, it) {
        struct str namespace, name;
        if (it.value != (void *)w->generation && str_cut(it.key, '/', &namespace, &name)) {
            add_if_missing(&m, namespace, name);
        }
    }
    for (size_t i = 0; i < m.names.len; i += 2) {
        watch_deliver_gone(w, m.names.at[i], m.names.at[i + 1]);
    }
    VEC_DONE(m.names);
    map_done(&w->seen, NULL);
}

void watch_list_complete(struct kube_watch *w)
{
    if (w->sweeping) {
        watch_sweep(w);
    }
    w->listed = true;
    watch_finish_batch(w);
    watch_tell(w, KUBE_WATCH_LIVE, NULL);
}
