/* Who gets what: certificates of identities, plans of audiences. */
#include "base/log.h"
#include "xds/planner_internal.h"

static void bearer_free(void *arg)
{
    struct bearer *x = arg;
    cert_unref(x->cert);
    resources_done(&x->certificate);
    map_done(&x->audiences, NULL);
    free(x);
}

static void viewers_free(void *arg)
{
    map_done(arg, NULL);
    free(arg);
}

static void audience_free(void *arg)
{
    struct audience *a = arg;
    plan_unref(a->plan);
    resources_done(&a->inbound);
    VEC_EACH(a->services, s) {
        free(*s);
    }
    VEC_DONE(a->services);
    free(a->key);
    free(a->identity);
    free(a);
}

/* --- whom a service concerns --- */

static void set_dirty(struct planner *p, struct audience *a)
{
    map_put(&p->dirty, str_of(a->key), a);
}

void planner_dirty_viewers(struct planner *p, struct str service)
{
    struct map *seen_by = map_find(&p->viewers, service);
    if (!seen_by) {
        return;
    }
    MAP_EACH(seen_by, it) {
        set_dirty(p, it.value);
    }
}

static void forget_services(struct planner *p, struct audience *a)
{
    VEC_EACH(a->services, s) {
        struct map *seen_by = map_find(&p->viewers, str_of(*s));
        if (seen_by) {
            map_remove(seen_by, str_of(a->key));
            if (map_len(seen_by) == 0) {
                viewers_free(map_remove(&p->viewers, str_of(*s)));
            }
        }
        free(*s);
    }
    a->services.len = 0;
}

static void see_service(struct planner *p, struct audience *a, struct str service)
{
    struct map *seen_by = map_find(&p->viewers, service);
    if (!seen_by) {
        seen_by = NEW(struct map);
        map_put(&p->viewers, service, seen_by);
    }
    map_put(seen_by, str_of(a->key), a);
    VEC_PUSH(a->services, mem_memdup(service.ptr, service.len));
}

static bool sees_the_same(const struct audience *a, const struct mesh_access *access)
{
    size_t n = access ? access->services.len : 0;
    bool same = a->services.len == n;
    for (size_t i = 0; same && i < n; i++) {
        same = str_is(access->services.at[i].service, a->services.at[i]);
    }
    return same;
}

/* Writes down who is to be told when a service changes. */
static void see_services(struct planner *p, struct audience *a, const struct mesh_access *access)
{
    if (sees_the_same(a, access)) {
        return;
    }
    forget_services(p, a);
    for (size_t i = 0; access && i < access->services.len; i++) {
        see_service(p, a, access->services.at[i].service);
    }
}

/* --- certificates --- */

static struct identity identity_of(struct str key)
{
    struct identity id;
    str_cut(key, '/', &id.namespace, &id.service_account);
    return id;
}

/* Issues a certificate; on failure the one before stays. */
static void renew(struct planner *p, struct str key, struct bearer *x, int64_t now)
{
    struct err e = ERR_INIT;
    struct cert *fresh = NULL;
    int64_t validity_s = mesh_config(p->mesh)->certificate.service_cert_validity_ms / 1000;
    if (issuer_issue_service(p->issuer, identity_of(key), now, validity_s, &fresh, &e) < 0) {
        AUTO(free) char *who = mem_memdup(key.ptr, key.len);
        log_event(LOG_ERROR, "no certificate for a service identity", "identity", who, "reason",
                  e.text, "error_code", "E4014", NULL);
        return;
    }
    struct translate t = planner_translate(p);
    cert_unref(x->cert);
    x->cert = fresh;
    resources_done(&x->certificate);
    translate_certificate(&t, blob_str(fresh->chain), blob_str(fresh->private_key),
                          x->certificate.out);
}

static struct bearer *bearer_of(struct planner *p, struct str identity)
{
    struct bearer *x = map_find(&p->identities, identity);
    if (!x) {
        x = NEW(struct bearer);
        map_put(&p->identities, identity, x);
    }
    return x;
}

static const struct resources *certificate_for(struct planner *p, struct str identity, int64_t now)
{
    struct bearer *x = bearer_of(p, identity);
    if (!x->cert) {
        renew(p, identity, x, now);
    }
    return &x->certificate;
}

/* --- audiences --- */

static void encode_audience(struct planner *p, struct audience *a, const struct mesh_audience *m)
{
    struct translate t = planner_translate(p);
    size_t n = m->inbound.len;
    const struct mesh_ingress_port **ingress = mem_zalloc((n + 1) * sizeof(*ingress));
    for (size_t i = 0; i < n; i++) {
        const struct mesh_inbound *in = &m->inbound.at[i];
        ingress[i] = mesh_ingress_port(mesh_ingress_find(p->mesh, in->service), in->target_port);
    }
    struct resources made = {0};
    translate_audience(&t, m, mesh_policy_find(p->mesh, m->identity), ingress, made.out);
    free(ingress);
    planner_count(p, &made);
    resources_put(&a->inbound, &made);
    set_dirty(p, a);
}

/* SMI mode: what this identity may see, endpoint lists cut to what it may call. */
static void add_visible(struct planner *p, const struct mesh_access *access, struct resources *out)
{
    struct translate t = planner_translate(p);
    for (size_t i = 0; access && i < access->services.len; i++) {
        const struct mesh_access_entry *x = &access->services.at[i];
        resources_append(out, map_find(&p->services, x->service));
        const struct mesh_service *s = mesh_service_find(p->mesh, x->service);
        if (x->all_identities) {
            resources_append(out, map_find(&p->endpoints, x->service));
        } else if (s) {
            translate_endpoints(&t, s, mesh_endpoints_find(p->mesh, x->service), &x->identities,
                                out->out);
        }
    }
}

static struct resource_set *set_or_same(struct resource_set *old, const resource_vec *v)
{
    if (old && resource_set_is(old, v)) {
        return resource_set_ref(old);
    }
    struct resource_set *fresh = resource_set_new(v->at, v->len);
    if (old && old->hash == fresh->hash) {
        resource_set_unref(fresh);
        return resource_set_ref(old);
    }
    return fresh;
}

/* Puts together the plan of one audience; true when it differs from the one before. */
static bool compose(struct planner *p, struct audience *a, int64_t now)
{
    const struct mesh_audience *m = mesh_audience_find(p->mesh, str_of(a->key));
    bool permissive = mesh_permissive(p->mesh);
    const struct mesh_access *access = permissive ? NULL : mesh_access_find(p->mesh, m->identity);
    struct resources own = {0};
    see_services(p, a, access);
    resources_append(&own, &a->inbound);
    resources_append(&own, certificate_for(p, m->identity, now));
    if (!permissive) {
        resources_append(&own, &p->common);
        add_visible(p, access, &own);
    }
    struct plan *fresh = NEW(struct plan);
    ref_init(&fresh->ref);
    bool differs = !a->plan;
    for (int t = 0; t < XDS_TYPES; t++) {
        struct view *v = &fresh->views[t];
        v->own = set_or_same(a->plan ? a->plan->views[t].own : NULL, &own.out[t]);
        v->base = permissive ? resource_set_ref(p->base[t]) : NULL;
        differs |= a->plan && !view_same(*v, a->plan->views[t]);
    }
    resources_done(&own);
    if (differs) {
        plan_unref(a->plan);
        a->plan = fresh;
    } else {
        plan_unref(fresh);
    }
    return differs;
}

static void drop_audience(struct planner *p, struct audience *a)
{
    struct bearer *x = bearer_of(p, str_of(a->identity));
    forget_services(p, a);
    map_remove(&x->audiences, str_of(a->key));
    map_remove(&p->dirty, str_of(a->key));
    map_remove(&p->changed, str_of(a->key));
    map_remove(&p->audiences, str_of(a->key));
    audience_free(a);
}

static struct audience *audience_new(struct planner *p, const struct mesh_audience *m)
{
    struct audience *a = NEW(struct audience);
    a->key = mem_memdup(m->key.ptr, m->key.len);
    a->identity = mem_memdup(m->identity.ptr, m->identity.len);
    map_put(&p->audiences, m->key, a);
    map_put(&bearer_of(p, m->identity)->audiences, m->key, a);
    return a;
}

/* The identity is a part of the key, so an audience stays with its own. */
void planner_update_audience(struct planner *p, struct str key)
{
    const struct mesh_audience *m = mesh_audience_find(p->mesh, key);
    struct audience *a = map_find(&p->audiences, key);
    if (m) {
        encode_audience(p, a ? a : audience_new(p, m), m);
    } else if (a) {
        drop_audience(p, a);
    }
}

/* All audiences whose identity is this are composed anew, and before that encoded if they are to
 * be. */
static void each_of_identity(struct planner *p, struct str identity, bool encode)
{
    struct bearer *x = map_find(&p->identities, identity);
    struct map none = {0};
    MAP_EACH(x ? &x->audiences : &none, it) {
        const struct mesh_audience *m = mesh_audience_find(p->mesh, it.key);
        if (m && encode) {
            encode_audience(p, it.value, m);
        }
        set_dirty(p, it.value);
    }
}

static bool is_behind(const struct mesh_audience *m, struct str service)
{
    for (size_t i = 0; i < m->inbound.len; i++) {
        if (str_eq(m->inbound.at[i].service, service)) {
            return true;
        }
    }
    return false;
}

/* The identities of its pods lead there, so that it doesn't cost a look at every audience. */
static void each_behind(struct planner *p, struct str service)
{
    const struct mesh_endpoints *e = mesh_endpoints_find(p->mesh, service);
    struct map none = {0};
    for (size_t i = 0; e && i < e->identities.len; i++) {
        struct bearer *x = map_find(&p->identities, e->identities.at[i]);
        MAP_EACH(x ? &x->audiences : &none, it) {
            const struct mesh_audience *m = mesh_audience_find(p->mesh, it.key);
            if (m && is_behind(m, service)) {
                encode_audience(p, it.value, m);
            }
        }
    }
}

void planner_compose(struct planner *p, bool all, int64_t now)
{
    MAP_EACH(all ? &p->audiences : &p->dirty, it) {
        if (compose(p, it.value, now)) {
            map_put(&p->changed, it.key, p);
        }
    }
    map_done(&p->dirty, NULL);
}

void planner_update_identities(struct planner *p, const struct mesh_delta *d)
{
    for (size_t i = 0; i < d->policies.len; i++) {
        each_of_identity(p, d->policies.at[i], true);
    }
    for (size_t i = 0; i < d->access.len; i++) {
        each_of_identity(p, d->access.at[i], false);
    }
    for (size_t i = 0; i < d->ingress.len; i++) {
        each_behind(p, d->ingress.at[i]);
    }
}

void planner_renew_due(struct planner *p, int64_t now)
{
    MAP_EACH(&p->identities, it) {
        struct bearer *x = it.value;
        if (x->cert && !cert_due(x->cert, p->issuer, now)) {
            continue;
        }
        if (map_len(&x->audiences) == 0) {
            bearer_free(map_remove(&p->identities, it.key));
            continue;
        }
        renew(p, it.key, x, now);
        each_of_identity(p, it.key, false);
    }
}

void planner_audiences_done(struct planner *p)
{
    map_done(&p->identities, bearer_free);
    map_done(&p->dirty, NULL);
    map_done(&p->changed, NULL);
    map_done(&p->audiences, audience_free);
    map_done(&p->viewers, viewers_free);
}
