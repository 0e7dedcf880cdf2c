/* The planner: bundles of resources for services, identities and audiences, composed to plans. */
#include "xds/planner.h"

#include "base/log.h"
#include "base/map.h"
#include "xds/translate.h"

typedef struct bundle {
    resource_vec out[XDS_TYPES];
} bundle;

/* An identity: its certificate, and who bears it. */
struct bearer {
    struct cert *cert;
    bundle certificate;
    struct map audiences; /* key -> audience; empty: the certificate is kept until it is due */
};

struct audience {
    char *key, *identity;
    struct plan *plan;
    bundle inbound;
    VEC(char *) services; /* that it sees through its access list (SMI mode) */
};

struct planner {
    const struct mesh *mesh;
    struct issuer *issuer;
    struct blob *roots;
    bundle common;
    struct map services;   /* key -> bundle: all but endpoints */
    struct map endpoints;  /* key -> bundle: endpoint lists of all endpoints */
    struct map identities; /* identity -> bearer */
    struct map audiences;  /* key -> audience */
    struct map dirty;      /* key -> audience: to be composed again */
    struct map changed;    /* keys of audiences whose plan was replaced */
    struct map viewers;    /* service key -> map of audiences that see it (SMI mode) */
    struct claims *claims;
    struct resource_set *base[XDS_TYPES]; /* permissive mode: common and all services */
    bundle base_add, base_remove;         /* edits to the base not yet made */
    bool base_fresh;                      /* the base must be built anew */
    uint64_t encoded;
};

static void bundle_done(bundle *b)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        resource_vec_done(&b->out[t]);
    }
}

static void bundle_free(void *b)
{
    bundle_done(b);
    free(b);
}

static void bundle_append(bundle *to, const bundle *from)
{
    for (int t = 0; from && t < XDS_TYPES; t++) {
        VEC_EACH(from->out[t], r) {
            VEC_PUSH(to->out[t], resource_ref(*r));
        }
    }
}

static void bearer_free(void *arg)
{
    struct bearer *x = arg;
    cert_unref(x->cert);
    bundle_done(&x->certificate);
    map_done(&x->audiences, NULL);
    free(x);
}

static void viewers_free(void *arg)
{
    map_done(arg, NULL);
    free(arg);
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

static void audience_free(void *arg)
{
    struct audience *a = arg;
    plan_unref(a->plan);
    bundle_done(&a->inbound);
    VEC_EACH(a->services, s) {
        free(*s);
    }
    VEC_DONE(a->services);
    free(a->key);
    free(a->identity);
    free(a);
}

struct planner *planner_new(const struct mesh *mesh, struct issuer *issuer)
{
    struct planner *p = NEW(struct planner);
    p->mesh = mesh;
    p->issuer = issuer;
    p->roots = issuer_roots(issuer);
    p->claims = claims_new();
    p->base_fresh = true;
    return p;
}

void planner_free(struct planner *p)
{
    if (!p) {
        return;
    }
    bundle_done(&p->common);
    bundle_done(&p->base_add);
    bundle_done(&p->base_remove);
    map_done(&p->services, bundle_free);
    map_done(&p->endpoints, bundle_free);
    map_done(&p->identities, bearer_free);
    map_done(&p->dirty, NULL);
    map_done(&p->changed, NULL);
    map_done(&p->audiences, audience_free);
    map_done(&p->viewers, viewers_free);
    for (int t = 0; t < XDS_TYPES; t++) {
        resource_set_unref(p->base[t]);
    }
    claims_free(p->claims);
    blob_unref(p->roots);
    free(p);
}

static struct translate translate_of(const struct planner *p)
{
    return (struct translate){
        .config = mesh_config(p->mesh),
        .trust_domain = mesh_options(p->mesh)->trust_domain,
        .roots = blob_str(p->roots),
        .claims = p->claims,
    };
}

static void count_encoded(struct planner *p, const bundle *b)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        p->encoded += b->out[t].len;
    }
}

/* --- services --- */

static void set_dirty(struct planner *p, struct audience *a)
{
    map_put(&p->dirty, str_of(a->key), a);
}

static void dirty_viewers(struct planner *p, struct str service)
{
    struct map *seen_by = map_find(&p->viewers, service);
    if (!seen_by) {
        return;
    }
    MAP_EACH(seen_by, it) {
        set_dirty(p, it.value);
    }
}

/* Puts b (may be NULL: gone) in place of the bundle at key, and notes the edit of the base. */
static void replace_bundle(struct planner *p, struct map *bundles, struct str key, bundle *b)
{
    bundle *old = b ? map_put(bundles, key, b) : map_remove(bundles, key);
    if (!p->base_fresh) {
        bundle_append(&p->base_remove, old);
        bundle_append(&p->base_add, b);
    }
    if (old) {
        bundle_free(old);
    }
}

static void encode_service(struct planner *p, struct str key)
{
    struct translate t = translate_of(p);
    t.service = key;
    const struct mesh_service *s = mesh_service_find(p->mesh, key);
    bundle *b = NULL;
    if (s) {
        b = NEW(bundle);
        translate_service(&t, s, mesh_endpoints_find(p->mesh, key), b->out);
        count_encoded(p, b);
    }
    replace_bundle(p, &p->services, key, b);
}

/* Brings its claims up to date, and others that won or lost an address by that. */
static void claim_addresses(struct planner *p, struct str key)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    claims_keys affected = {0};
    claims_update(p->claims, key, mesh_service_find(p->mesh, key),
                  mesh_endpoints_find(p->mesh, key), a, &affected);
    VEC_EACH(affected, other) {
        encode_service(p, *other);
        dirty_viewers(p, *other);
    }
    VEC_DONE(affected);
}

static void encode_endpoints(struct planner *p, struct str key)
{
    struct translate t = translate_of(p);
    const struct mesh_service *s = mesh_service_find(p->mesh, key);
    bundle *b = NULL;
    if (s) {
        b = NEW(bundle);
        translate_endpoints(&t, s, mesh_endpoints_find(p->mesh, key), NULL, b->out);
        count_encoded(p, b);
    }
    replace_bundle(p, &p->endpoints, key, b);
}

static void encode_common(struct planner *p)
{
    struct translate t = translate_of(p);
    bundle_done(&p->common);
    translate_common(&t, p->common.out);
    count_encoded(p, &p->common);
    p->base_fresh = true;
}

static void encode_everything(struct planner *p)
{
    encode_common(p);
    map_done(&p->services, bundle_free);
    map_done(&p->endpoints, bundle_free);
    claims_free(p->claims);
    p->claims = claims_new();
    AUTO(arena_free) struct arena *a = arena_new(1024);
    claims_keys affected = {0};
    MAP_EACH(mesh_map(p->mesh, MESH_SERVICES), it) {
        claims_update(p->claims, it.key, it.value, mesh_endpoints_find(p->mesh, it.key), a,
                      &affected);
    }
    VEC_DONE(affected);
    MAP_EACH(mesh_map(p->mesh, MESH_SERVICES), it) {
        encode_service(p, it.key);
        encode_endpoints(p, it.key);
    }
}

/* The base of permissive mode: built from all bundles, or edited by what changed. */
static void build_base(struct planner *p)
{
    bundle all = {0};
    bundle_append(&all, &p->common);
    MAP_EACH(&p->services, it) {
        bundle_append(&all, it.value);
    }
    MAP_EACH(&p->endpoints, it) {
        bundle_append(&all, it.value);
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        struct resource_set *fresh = resource_set_new(all.out[t].at, all.out[t].len);
        if (p->base[t] && p->base[t]->hash == fresh->hash) {
            resource_set_unref(fresh);
        } else {
            resource_set_unref(p->base[t]);
            p->base[t] = fresh;
        }
    }
    bundle_done(&all);
    p->base_fresh = false;
}

static void update_base(struct planner *p)
{
    if (p->base_fresh) {
        build_base(p);
    } else {
        for (int t = 0; t < XDS_TYPES; t++) {
            struct resource_set *edited =
                resource_set_edit(p->base[t], &p->base_remove.out[t], &p->base_add.out[t]);
            resource_set_unref(p->base[t]);
            p->base[t] = edited;
        }
    }
    bundle_done(&p->base_add);
    bundle_done(&p->base_remove);
}

static void drop_base(struct planner *p)
{
    bundle_done(&p->base_add);
    bundle_done(&p->base_remove);
    for (int t = 0; t < XDS_TYPES; t++) {
        p->base[t] = resource_set_unref(p->base[t]);
    }
    p->base_fresh = true;
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
    struct translate t = translate_of(p);
    cert_unref(x->cert);
    x->cert = fresh;
    bundle_done(&x->certificate);
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

static const bundle *certificate_for(struct planner *p, struct str identity, int64_t now)
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
    struct translate t = translate_of(p);
    size_t n = m->inbound.len;
    const struct mesh_ingress_port **ingress = mem_zalloc((n + 1) * sizeof(*ingress));
    for (size_t i = 0; i < n; i++) {
        const struct mesh_inbound *in = &m->inbound.at[i];
        ingress[i] = mesh_ingress_port(mesh_ingress_find(p->mesh, in->service), in->target_port);
    }
    bundle_done(&a->inbound);
    translate_audience(&t, m, mesh_policy_find(p->mesh, m->identity), ingress, a->inbound.out);
    free(ingress);
    count_encoded(p, &a->inbound);
    set_dirty(p, a);
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

/* SMI mode: what this identity may see, endpoint lists cut to what it may call. */
static void add_visible(struct planner *p, const struct mesh_access *access, bundle *out)
{
    struct translate t = translate_of(p);
    for (size_t i = 0; access && i < access->services.len; i++) {
        const struct mesh_access_entry *x = &access->services.at[i];
        bundle_append(out, map_find(&p->services, x->service));
        const struct mesh_service *s = mesh_service_find(p->mesh, x->service);
        if (x->all_identities) {
            bundle_append(out, map_find(&p->endpoints, x->service));
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
    bundle own = {0};
    see_services(p, a, access);
    bundle_append(&own, &a->inbound);
    bundle_append(&own, certificate_for(p, m->identity, now));
    if (!permissive) {
        bundle_append(&own, &p->common);
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
    bundle_done(&own);
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
static void update_audience(struct planner *p, struct str key)
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

static void compose_dirty(struct planner *p, bool all, int64_t now)
{
    MAP_EACH(all ? &p->audiences : &p->dirty, it) {
        if (compose(p, it.value, now)) {
            map_put(&p->changed, it.key, p);
        }
    }
    map_done(&p->dirty, NULL);
}

/* --- updates --- */

static void update_service(struct planner *p, struct str key)
{
    claim_addresses(p, key);
    encode_service(p, key);
    encode_endpoints(p, key);
    dirty_viewers(p, key);
}

/* A service whose own part changed often has other endpoints, too: it is encoded once. */
static void update_services(struct planner *p, const struct mesh_delta *d)
{
    struct map keys = {0};
    VEC_EACH(d->services, key) {
        map_put(&keys, *key, p);
    }
    VEC_EACH(d->endpoints, key) {
        map_put(&keys, *key, p);
    }
    MAP_EACH(&keys, it) {
        update_service(p, it.key);
    }
    map_done(&keys, NULL);
}

static void update_identities(struct planner *p, const struct mesh_delta *d)
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

static void update_config(struct planner *p)
{
    const struct mesh_config *c = mesh_config(p->mesh);
    issuer_set_key(p->issuer,
                   c->certificate.key_algorithm == KEY_RSA ? CERT_KEY_RSA : CERT_KEY_ECDSA_P256,
                   (int)c->certificate.key_bits);
    encode_everything(p);
    MAP_EACH(mesh_map(p->mesh, MESH_AUDIENCES), it) {
        update_audience(p, it.key);
    }
}

void planner_update(struct planner *p, const struct mesh_delta *d, int64_t now)
{
    bool permissive = mesh_permissive(p->mesh);
    if (d->config || p->common.out[XDS_SDS].len == 0) {
        update_config(p);
    } else {
        update_services(p, d);
    }
    for (size_t i = 0; i < d->audiences.len; i++) {
        update_audience(p, d->audiences.at[i]);
    }
    if (!d->config) {
        update_identities(p, d);
    }
    struct resource_set *before[XDS_TYPES];
    for (int t = 0; t < XDS_TYPES; t++) {
        before[t] = resource_set_ref(p->base[t]);
    }
    if (permissive) {
        update_base(p);
    } else {
        drop_base(p);
    }
    bool base_changed = false;
    for (int t = 0; t < XDS_TYPES; t++) {
        base_changed |= before[t] != p->base[t];
        resource_set_unref(before[t]);
    }
    compose_dirty(p, base_changed, now);
}

void planner_tick(struct planner *p, int64_t now)
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
    compose_dirty(p, false, now);
}

void planner_roots_changed(struct planner *p, int64_t now)
{
    blob_unref(p->roots);
    p->roots = issuer_roots(p->issuer);
    struct mesh_delta d = {.config = true};
    planner_update(p, &d, now);
    planner_tick(p, now);
}

struct plan *planner_plan(const struct planner *p, struct str key)
{
    struct audience *a = map_find(&p->audiences, key);
    return a ? a->plan : NULL;
}

struct strs planner_take_changed(struct planner *p, struct arena *arena)
{
    struct strs out = {arena_array(arena, map_len(&p->changed), sizeof(struct str)), 0};
    MAP_EACH(&p->changed, it) {
        out.at[out.len++] = arena_str(arena, it.key);
    }
    map_done(&p->changed, NULL);
    return out;
}

struct planner_stats planner_stats(const struct planner *p)
{
    return (struct planner_stats){
        .audiences = map_len(&p->audiences),
        .services = map_len(&p->services),
        .certificates = map_len(&p->identities),
        .encoded = p->encoded,
    };
}
