/* What the mesh would find if the object were stored: a store with only what concerns it, a mesh
 * from that, once without and once with the object. So the sentences, and what they are said of,
 * are the mesh's own. */
#include "kinds/policy.h"
#include "webhook/validate_internal.h"

struct preview {
    const struct store *from;
    struct store *to;
    struct arena *arena;
};

/* Pods are looked at for the numbers of named ports only, so a few tell as much as all. */
#define PODS_MAX 20

static struct str key_of(struct preview *p, struct str a, struct str b)
{
    return arena_printf(p->arena, "%.*s/%.*s", STR_ARG(a), STR_ARG(b));
}

static struct object *copy(struct preview *p, enum kind kind, struct str namespace, struct str name)
{
    struct object *o = store_find(p->from, kind, namespace, name);
    if (o) {
        store_put(p->to, object_ref(o));
    }
    return o;
}

static void copy_account(struct preview *p, const struct identity_subject *s)
{
    copy(p, KIND_NAMESPACE, STR(""), s->namespace);
    copy(p, KIND_SERVICE_ACCOUNT, s->namespace, s->name);
}

static void copy_around_target(struct preview *p, const struct object *o)
{
    const struct traffic_target *t = (const struct traffic_target *)o;
    copy_account(p, &t->destination);
    for (size_t i = 0; i < t->sources.len; i++) {
        copy_account(p, &t->sources.at[i]);
    }
    for (size_t i = 0; i < t->rules.len; i++) {
        bool http = str_is(t->rules.at[i].kind, "HTTPRouteGroup");
        copy(p, http ? KIND_HTTP_ROUTE_GROUP : KIND_TCP_ROUTE, o->meta.namespace,
             t->rules.at[i].name);
    }
}

static void copy_pods(struct preview *p, const struct service *s)
{
    if (s->selector.len == 0) {
        return;
    }
    const struct pair *first = &s->selector.at[0];
    struct str key = arena_printf(p->arena, "%.*s/%.*s=%.*s", STR_ARG(s->object.meta.namespace),
                                  STR_ARG(first->key), STR_ARG(first->value));
    struct object_list pods = store_lookup(p->from, INDEX_POD_BY_LABEL, key);
    size_t n = 0;
    for (size_t i = 0; i < pods.len && n < PODS_MAX; i++) {
        if (pairs_selects(&s->selector, &pods.at[i]->meta.labels)) {
            store_put(p->to, object_ref(pods.at[i]));
            n++;
        }
    }
}

static void copy_list(struct preview *p, struct object_list list)
{
    for (size_t i = 0; i < list.len; i++) {
        store_put(p->to, object_ref(list.at[i]));
    }
}

static void copy_service(struct preview *p, struct str namespace, struct str name)
{
    struct object *o = copy(p, KIND_SERVICE, namespace, name);
    if (o) {
        copy_pods(p, (struct service *)o);
        copy_list(p, store_lookup(p->from, INDEX_SLICE_BY_SERVICE, key_of(p, namespace, name)));
    }
}

static void copy_split(struct preview *p, const struct object *o)
{
    const struct traffic_split *s = (const struct traffic_split *)o;
    copy_service(p, o->meta.namespace, s->service);
    for (size_t i = 0; i < s->backends.len; i++) {
        copy_service(p, o->meta.namespace, s->backends.at[i].service);
    }
    for (size_t i = 0; i < s->matches.len; i++) {
        copy(p, KIND_HTTP_ROUTE_GROUP, o->meta.namespace, s->matches.at[i].name);
    }
}

/* Splits of one apex are told apart by their order, so all of them are needed. */
static void copy_around_split(struct preview *p, const struct object *o)
{
    const struct traffic_split *s = (const struct traffic_split *)o;
    copy_split(p, o);
    struct object_list all =
        store_lookup(p->from, INDEX_SPLIT_BY_APEX, key_of(p, o->meta.namespace, s->service));
    copy_list(p, all);
    for (size_t i = 0; i < all.len; i++) {
        copy_split(p, all.at[i]);
    }
}

/* Others that open the same backends are told apart by their order. */
static void copy_around_ingress(struct preview *p, const struct object *o)
{
    const struct ingress_backend *b = (const struct ingress_backend *)o;
    for (size_t i = 0; i < b->backends.len; i++) {
        struct str name = b->backends.at[i].name;
        copy_service(p, o->meta.namespace, name);
        copy_list(
            p, store_lookup(p->from, INDEX_INGRESS_BY_BACKEND, key_of(p, o->meta.namespace, name)));
    }
    for (size_t i = 0; i < b->sources.len; i++) {
        const struct policy_subject *s = &b->sources.at[i];
        if (str_is(s->kind, "Service")) {
            copy(p, KIND_NAMESPACE, STR(""), s->namespace);
            copy_service(p, s->namespace, s->name);
        }
    }
    for (size_t i = 0; i < b->matches.len; i++) {
        copy(p, KIND_HTTP_ROUTE_GROUP, o->meta.namespace, b->matches.at[i].name);
    }
}

/* Those who use a group of routes see it change. */
static void copy_around_routes(struct preview *p, const struct object *o)
{
    struct str name = key_of(p, o->meta.namespace, o->meta.name);
    struct object_list targets = store_lookup(p->from, INDEX_TARGET_BY_ROUTE,
                                              key_of(p, str_of(kind_info(o->kind)->name), name));
    copy_list(p, targets);
    for (size_t i = 0; i < targets.len; i++) {
        copy_around_target(p, targets.at[i]);
    }
    struct object_list splits = store_lookup(p->from, INDEX_SPLIT_BY_MATCH, name);
    for (size_t i = 0; o->kind == KIND_HTTP_ROUTE_GROUP && i < splits.len; i++) {
        copy_around_split(p, splits.at[i]);
    }
    struct object_list backends = store_lookup(p->from, INDEX_INGRESS_BY_MATCH, name);
    copy_list(p, backends);
    for (size_t i = 0; o->kind == KIND_HTTP_ROUTE_GROUP && i < backends.len; i++) {
        copy_around_ingress(p, backends.at[i]);
    }
}

static void copy_around(struct preview *p, const struct object *o)
{
    copy(p, KIND_NAMESPACE, STR(""), o->meta.namespace);
    copy(p, o->kind, o->meta.namespace, o->meta.name);
    switch (o->kind) {
    case KIND_TRAFFIC_TARGET:
        copy_around_target(p, o);
        break;
    case KIND_TRAFFIC_SPLIT:
        copy_around_split(p, o);
        break;
    case KIND_INGRESS_BACKEND:
        copy_around_ingress(p, o);
        break;
    default:
        copy_around_routes(p, o);
        break;
    }
}

static void update(struct mesh *m, struct store *s)
{
    struct changes changes = {0};
    struct mesh_delta delta;
    store_take_changes(s, &changes);
    mesh_update(m, s, &changes, &delta);
    mesh_delta_done(&delta);
    changes_done(&changes);
}

static bool has(const struct findings *f, const struct finding *x)
{
    for (size_t i = 0; i < f->list.len; i++) {
        const struct finding *y = &f->list.at[i];
        if (y->object && x->object && str_is(str_of(y->object), x->object) &&
            str_is(str_of(y->text), x->text)) {
            return true;
        }
    }
    return false;
}

/* All that is said of the object, and of others what wasn't said before. */
static void warn(struct candidate *c, const struct findings *before, const struct findings *after)
{
    struct str title = object_title(c->arena, c->now);
    for (size_t i = 0; i < after->list.len; i++) {
        const struct finding *x = &after->list.at[i];
        if (x->object && str_is(title, x->object)) {
            admission_warn(c->arena, c->verdict, "%s", x->text);
        } else if (!has(before, x)) {
            admission_warn(c->arena, c->verdict, "%s%s%s", x->object ? x->object : "",
                           x->object ? ": " : "", x->text);
        }
    }
}

void validate_preview(struct candidate *c)
{
    enum kind kind = c->now->kind;
    if (kind != KIND_TRAFFIC_TARGET && kind != KIND_TRAFFIC_SPLIT &&
        kind != KIND_HTTP_ROUTE_GROUP && kind != KIND_TCP_ROUTE && kind != KIND_INGRESS_BACKEND) {
        return;
    }
    struct preview p = {.from = c->validator->store, .to = store_new(), .arena = c->arena};
    struct mesh *m = mesh_new(c->validator->mesh);
    struct findings before = {0};
    copy_around(&p, c->now);
    update(m, p.to);
    findings_append(&before, mesh_findings(m));
    store_put(p.to, object_ref(c->now));
    update(m, p.to);
    warn(c, &before, mesh_findings(m));
    findings_done(&before);
    mesh_free(m);
    store_free(p.to);
}
