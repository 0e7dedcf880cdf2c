/* Events about objects that can't be understood. */
#include "daemon/duties_internal.h"

static enum kind kind_of_name(struct str name)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        if (str_is(name, kind_info((enum kind)k)->name)) {
            return (enum kind)k;
        }
    }
    return KIND_COUNT;
}

struct object *object_of_title(const struct store *store, const char *title, enum kind *ret_kind,
                               struct str *ret_namespace, struct str *ret_name)
{
    struct str kind = {0}, rest = {0};
    *ret_kind = KIND_COUNT;
    if (!title || !str_cut(str_of(title), ' ', &kind, &rest)) {
        return NULL;
    }
    if (!str_cut(rest, '/', ret_namespace, ret_name)) {
        *ret_name = rest;
        *ret_namespace = (struct str){0};
    }
    *ret_kind = kind_of_name(kind);
    return *ret_kind == KIND_COUNT ? NULL : store_find(store, *ret_kind, *ret_namespace, *ret_name);
}

static void send(const struct store *store, const struct finding *x, struct kube_events *events)
{
    enum kind kind;
    struct str namespace, name;
    const struct object *o = object_of_title(store, x->object, &kind, &namespace, &name);
    if (kind == KIND_COUNT) {
        return;
    }
    AUTO(arena_free) struct arena *a = arena_new(256);
    struct kube_event event = {
        .api_version = kube_api_version(a, kind),
        .kind = kind_info(kind)->name,
        .namespace = namespace,
        .name = name,
        .uid = o ? o->meta.uid : (struct str){0},
        .warning = true,
        .reason = x->level == FINDING_ERROR ? "NotUnderstood" : "NotAsMeant",
        .message = x->text,
    };
    kube_events_send(events, &event);
}

static void look_at(struct told *t, const struct store *store, const struct findings *f,
                    struct kube_events *events)
{
    VEC_EACH(f->list, x) {
        if (!x->object) {
            continue;
        }
        AUTO(free) char *key = mem_printf("%s %s", x->object, x->text);
        if (!map_put(&t->events, str_of(key), (void *)(uintptr_t)t->generation)) {
            send(store, x, events);
        }
    }
}

/* Said once for as long as it is so; what went away and comes back is said again. */
void told_send(struct told *t, const struct store *store, const struct findings *source,
               const struct findings *mesh, struct kube_events *events)
{
    t->generation++;
    look_at(t, store, source, events);
    look_at(t, store, mesh, events);
    MAP_EACH(&t->events, it) {
        if ((uintptr_t)it.value != t->generation) {
            map_remove(&t->events, it.key);
        }
    }
}

void told_done(struct told *t)
{
    map_done(&t->events, NULL);
    t->generation = 0;
}
