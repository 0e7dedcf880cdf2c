/* Statuses of policies: whether they are in force. */
#include <string.h>

#include "daemon/duties_internal.h"

/* Kinds whose status has currentStatus and reason. */
static const enum kind with_status[] = {KIND_INGRESS_BACKEND, KIND_TELEMETRY,
                                        KIND_UPSTREAM_TRAFFIC_SETTING};

/* --- what is wrong --- */

static void add_problems(struct problems *p, const struct findings *f)
{
    VEC_EACH(f->list, x) {
        if (x->object && !map_has(&p->by_object, str_of(x->object))) {
            map_put(&p->by_object, str_of(x->object), x);
        }
    }
}

void problems_init(struct problems *p, const struct findings *source, const struct findings *mesh)
{
    *p = (struct problems){0};
    add_problems(p, source);
    add_problems(p, mesh);
}

void problems_done(struct problems *p)
{
    map_done(&p->by_object, NULL);
}

/* --- what is said --- */

struct status {
    const char *current, *reason;
};

static struct status status_of(const struct problems *p, enum kind kind, struct str title)
{
    const struct finding *x = map_find(&p->by_object, title);
    if (x) {
        return (struct status){"error", x->text};
    }
    if (!mesh_acts_on(kind)) {
        return (struct status){"error", "this version of the mesh doesn't act on objects of this "
                                        "kind: it has no effect"};
    }
    return (struct status){"committed", "successfully committed by the system"};
}

static void write_one(struct statuses *s, const struct object *o, const struct status *is,
                      struct str title, struct kube_writes *w)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct value *status = value_new(a, VALUE_OBJECT);
    value_set(a, status, "currentStatus", value_new_string(a, str_of(is->current)));
    value_set(a, status, "reason", value_new_string(a, str_of(is->reason)));
    struct value *patch = value_new(a, VALUE_OBJECT);
    value_set(a, patch, "status", status);
    const struct kind_info *info = kind_info(o->kind);
    struct kube_request q = {.method = "PATCH",
                             .path = kube_path_of(a, kube_api_version(a, o->kind), info->plural,
                                                  o->meta.namespace, o->meta.name, "status", NULL),
                             .content_type = KUBE_MERGE_PATCH,
                             .body = patch};
    kube_writes_put(w, arena_printf(a, "status of %.*s", STR_ARG(title)), &q);
    free(map_put(&s->written, title, mem_printf("%s %s", is->current, is->reason)));
}

struct round {
    struct statuses *s;
    const struct problems *p;
    struct kube_writes *w;
    struct map seen;
};

static void look_at(void *arg, struct object *o)
{
    struct round *r = arg;
    AUTO(arena_free) struct arena *a = arena_new(256);
    struct str title = object_title(a, o);
    struct status is = status_of(r->p, o->kind, title);
    AUTO(free) char *text = mem_printf("%s %s", is.current, is.reason);
    const char *written = map_find(&r->s->written, title);
    map_put(&r->seen, title, r);
    if (!written || strcmp(written, text) != 0) {
        write_one(r->s, o, &is, title, r->w);
    }
}

void statuses_write(struct statuses *s, const struct store *store, const struct problems *p,
                    struct kube_writes *w)
{
    struct round r = {s, p, w, {0}};
    for (size_t i = 0; i < COUNT_OF(with_status); i++) {
        store_each(store, with_status[i], look_at, &r);
    }
    MAP_EACH(&s->written, it) {
        if (!map_has(&r.seen, it.key)) {
            free(map_remove(&s->written, it.key));
        }
    }
    map_done(&r.seen, NULL);
}

void statuses_done(struct statuses *s)
{
    map_done(&s->written, free);
}
