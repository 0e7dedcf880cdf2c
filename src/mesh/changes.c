/* What a change of the store makes dirty. Each rule here mirrors something that a unit reads. */
#include "kinds/policy.h"
#include "mesh/internal.h"

void dirty_done(struct dirty *d)
{
    set_done(&d->services);
    set_done(&d->policies);
    set_done(&d->access);
    set_done(&d->ingress);
    set_done(&d->proxies);
    set_done(&d->seen);
    set_done(&d->left);
}

/* A service, and the apexes whose routes look at its ports. */
static void mark_service(struct update *u, struct str namespace, struct str name)
{
    struct str key = key_of(u, namespace, name);
    set_add(&u->dirty.services, key);
    struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_BACKEND, key);
    for (size_t i = 0; i < splits.len; i++) {
        const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
        set_add(&u->dirty.services, key_of(u, split->object.meta.namespace, split->service));
    }
}

static void mark_proxy(struct update *u, const struct pod *p)
{
    const struct str *uuid = pairs_find(&p->object.meta.labels, LABEL_PROXY_UUID);
    if (uuid && uuid->len > 0) {
        set_add(&u->dirty.proxies, *uuid);
    }
}

void changes_mark_pods_of(struct update *u, const struct service *svc)
{
    struct pods pods = {0};
    pods_of_service(u, svc, &pods);
    VEC_EACH(pods.list, p) {
        mark_proxy(u, *p);
    }
    VEC_DONE(pods.list);
}

static void mark_slices(struct update *u, struct object_list slices)
{
    for (size_t i = 0; i < slices.len; i++) {
        const struct str *service =
            pairs_find(&slices.at[i]->meta.labels, "kubernetes.io/service-name");
        if (service) {
            mark_service(u, slices.at[i]->meta.namespace, *service);
        }
    }
}

static void mark_targets_of_source(struct update *u, struct str identity)
{
    struct object_list targets = store_lookup(u->s, INDEX_TARGET_BY_SOURCE, identity);
    for (size_t i = 0; i < targets.len; i++) {
        const struct traffic_target *t = (const struct traffic_target *)targets.at[i];
        set_add(&u->dirty.policies, key_of(u, t->destination.namespace, t->destination.name));
    }
}

static void mark_sources(struct update *u, const struct traffic_target *t)
{
    for (size_t i = 0; i < t->sources.len; i++) {
        set_add(&u->dirty.access, key_of(u, t->sources.at[i].namespace, t->sources.at[i].name));
    }
}

static void mark_account(struct update *u, const struct object *o)
{
    struct str identity = key_of(u, o->meta.namespace, o->meta.name);
    set_add(&u->dirty.policies, identity);
    mark_targets_of_source(u, identity);
}

static void mark_service_object(struct update *u, const struct object *o)
{
    mark_service(u, o->meta.namespace, o->meta.name);
    changes_mark_pods_of(u, (const struct service *)o);
}

static void mark_pod(struct update *u, const struct object *o)
{
    const struct pod *p = (const struct pod *)o;
    struct services services = {0};
    set_add(&u->dirty.policies, pod_identity(u, p));
    mark_proxy(u, p);
    services_of_labels(u, o->meta.namespace, &o->meta.labels, &services);
    VEC_EACH(services.list, svc) {
        mark_service(u, o->meta.namespace, (*svc)->object.meta.name);
    }
    VEC_DONE(services.list);
    mark_slices(u, lookup(u, INDEX_SLICE_BY_POD, o->meta.namespace, o->meta.name));
    mark_slices(u, store_lookup(u->s, INDEX_SLICE_BY_POD, p->pod_ip));
    for (size_t i = 0; i < p->pod_ips.len; i++) {
        mark_slices(u, store_lookup(u->s, INDEX_SLICE_BY_POD, p->pod_ips.at[i]));
    }
}

static void mark_slice(struct update *u, const struct object *o)
{
    struct object *one = (struct object *)o;
    mark_slices(u, (struct object_list){.at = &one, .len = 1});
}

static void mark_target(struct update *u, const struct object *o)
{
    const struct traffic_target *t = (const struct traffic_target *)o;
    set_add(&u->dirty.policies, key_of(u, t->destination.namespace, t->destination.name));
    mark_sources(u, t);
}

static void mark_targets_of_route(struct update *u, const struct object *o)
{
    struct str key = arena_printf(u->scratch, "%s/%.*s/%.*s", kind_info(o->kind)->name,
                                  STR_ARG(o->meta.namespace), STR_ARG(o->meta.name));
    struct object_list targets = store_lookup(u->s, INDEX_TARGET_BY_ROUTE, key);
    for (size_t i = 0; i < targets.len; i++) {
        const struct traffic_target *t = (const struct traffic_target *)targets.at[i];
        set_add(&u->dirty.policies, key_of(u, t->destination.namespace, t->destination.name));
    }
}

static void mark_backends(struct update *u, const struct object *o)
{
    const struct ingress_backend *b = (const struct ingress_backend *)o;
    for (size_t i = 0; i < b->backends.len; i++) {
        set_add(&u->dirty.ingress, key_of(u, o->meta.namespace, b->backends.at[i].name));
    }
}

static void mark_backends_of(struct update *u, struct object_list policies)
{
    for (size_t i = 0; i < policies.len; i++) {
        mark_backends(u, policies.at[i]);
    }
}

void changes_mark_ingress(struct update *u, struct str service, bool other_endpoints)
{
    if (store_lookup(u->s, INDEX_INGRESS_BY_BACKEND, service).len > 0) {
        set_add(&u->dirty.ingress, service);
    }
    if (other_endpoints) {
        mark_backends_of(u, store_lookup(u->s, INDEX_INGRESS_BY_SOURCE, service));
    }
}

static void mark_group(struct update *u, const struct object *o)
{
    mark_backends_of(u, lookup(u, INDEX_INGRESS_BY_MATCH, o->meta.namespace, o->meta.name));
    mark_targets_of_route(u, o);
    struct object_list splits = lookup(u, INDEX_SPLIT_BY_MATCH, o->meta.namespace, o->meta.name);
    for (size_t i = 0; i < splits.len; i++) {
        const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
        set_add(&u->dirty.services, key_of(u, o->meta.namespace, split->service));
    }
}

/* The apex has other routes, and other clients may see it. Those who see it see its backends, so
 * that these needn't be looked at. */
static void mark_split(struct update *u, const struct object *o)
{
    struct str apex = key_of(u, o->meta.namespace, ((const struct traffic_split *)o)->service);
    set_add(&u->dirty.services, apex);
    set_add(&u->dirty.seen, apex);
}

static void (*const markers[KIND_COUNT])(struct update *u, const struct object *o) = {
    [KIND_SERVICE_ACCOUNT] = mark_account,
    [KIND_SERVICE] = mark_service_object,
    [KIND_POD] = mark_pod,
    [KIND_ENDPOINT_SLICE] = mark_slice,
    [KIND_TRAFFIC_TARGET] = mark_target,
    [KIND_HTTP_ROUTE_GROUP] = mark_group,
    [KIND_TCP_ROUTE] = mark_targets_of_route,
    [KIND_TRAFFIC_SPLIT] = mark_split,
    [KIND_INGRESS_BACKEND] = mark_backends,
};

bool mesh_acts_on(enum kind kind)
{
    return markers[kind] || kind == KIND_NAMESPACE || kind == KIND_MESH_CONFIG;
}

static bool says_monitored(const struct update *u, const struct object *o)
{
    const struct str *by = o ? pairs_find(&o->meta.labels, LABEL_MONITORED_BY) : NULL;
    return by && str_is(*by, u->m->options.mesh_name);
}

/* All that is in a namespace which joined or left, and the clients elsewhere that it holds. */
static void mark_namespace(struct update *u, struct str namespace)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct object_list all = lookup_kind(u, namespace, kind);
        for (size_t i = 0; markers[kind] && i < all.len; i++) {
            markers[kind](u, all.at[i]);
        }
    }
    struct object_list targets = lookup(u, INDEX_TARGET_BY_SOURCE, namespace, STR(""));
    for (size_t i = 0; i < targets.len; i++) {
        const struct traffic_target *t = (const struct traffic_target *)targets.at[i];
        set_add(&u->dirty.policies, key_of(u, t->destination.namespace, t->destination.name));
        for (size_t j = 0; j < t->sources.len; j++) {
            if (str_eq(t->sources.at[j].namespace, namespace)) {
                set_add(&u->dirty.access, key_of(u, namespace, t->sources.at[j].name));
            }
        }
    }
}

void changes_mark(struct update *u, const struct change *c)
{
    if (c->kind == KIND_NAMESPACE) {
        if (says_monitored(u, c->old) != says_monitored(u, c->now)) {
            mark_namespace(u, c->now ? c->now->meta.name : c->old->meta.name);
        }
        return;
    }
    /* What is in an account doesn't matter, only that it is there. */
    if (!markers[c->kind] || (c->kind == KIND_SERVICE_ACCOUNT && c->old && c->now)) {
        return;
    }
    if (c->old) {
        markers[c->kind](u, c->old);
    }
    if (c->now) {
        markers[c->kind](u, c->now);
    }
}

static void mark_identity_of_pod(void *arg, struct object *o)
{
    struct update *u = arg;
    set_add(&u->dirty.policies, pod_identity(u, (struct pod *)o));
}

static void mark_identity_of_account(void *arg, struct object *o)
{
    struct update *u = arg;
    set_add(&u->dirty.policies, key_of(u, o->meta.namespace, o->meta.name));
}

static void mark_any_target(void *arg, struct object *o)
{
    mark_target(arg, o);
}

void changes_mark_all(struct update *u)
{
    store_each(u->s, KIND_POD, mark_identity_of_pod, u);
    store_each(u->s, KIND_SERVICE_ACCOUNT, mark_identity_of_account, u);
    store_each(u->s, KIND_TRAFFIC_TARGET, mark_any_target, u);
}

/* Those who may call an identity behind the service. */
static void mark_callers(struct update *u, struct str service)
{
    const struct mesh_endpoints *endpoints = mesh_endpoints_find(u->m, service);
    for (size_t i = 0; endpoints && i < endpoints->identities.len; i++) {
        struct object_list targets =
            store_lookup(u->s, INDEX_TARGET_BY_DESTINATION, endpoints->identities.at[i]);
        for (size_t j = 0; j < targets.len; j++) {
            mark_sources(u, (const struct traffic_target *)targets.at[j]);
        }
    }
}

/* Those who may call the apex or one of its backends: they see it and all of them. */
static void mark_callers_of_apex(struct update *u, struct str apex)
{
    mark_callers(u, apex);
    struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_APEX, apex);
    for (size_t i = 0; i < splits.len; i++) {
        const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
        for (size_t j = 0; j < split->backends.len; j++) {
            mark_callers(u, key_of(u, split->object.meta.namespace, split->backends.at[j].service));
        }
    }
}

/* Who saw a service is written down; who will see it follows from the objects. */
void changes_mark_viewers(struct update *u)
{
    SET_EACH(&u->dirty.seen, it)
    {
        SET_EACH(relation_find(&u->m->viewers, it.key), viewer)
        {
            set_add(&u->dirty.access, viewer.key);
        }
        if (u->m->permissive) {
            continue;
        }
        mark_callers_of_apex(u, it.key);
        struct object_list splits = store_lookup(u->s, INDEX_SPLIT_BY_BACKEND, it.key);
        for (size_t i = 0; i < splits.len; i++) {
            const struct traffic_split *split = (const struct traffic_split *)splits.at[i];
            mark_callers_of_apex(u, key_of(u, split->object.meta.namespace, split->service));
        }
    }
}
