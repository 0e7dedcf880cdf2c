/* The planner: bundles of resources for services, identities and audiences, composed to plans. */
#include "xds/planner.h"

#include "base/log.h"
#include "base/map.h"
#include "xds/translate.h"

typedef struct bundle {
    resource_vec out[XDS_TYPES];
} bundle;

struct identity_cert {
    struct cert *cert;
    bundle resources;
};

struct audience {
    char *key;
    struct plan *plan;
    bundle inbound;
    VEC(char *) services; /* that it sees through its access list (SMI mode) */
    bool dirty, in_changed;
};

struct planner {
    const struct mesh *mesh;
    struct issuer *issuer;
    struct blob *roots;
    bundle common;
    struct map services;   /* key -> bundle: all but endpoints */
    struct map endpoints;  /* key -> bundle: endpoint lists of all endpoints */
    struct map identities; /* identity -> identity_cert */
    struct map audiences;  /* key -> audience */
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

static void identity_free(void *arg)
{
    struct identity_cert *x = arg;
    cert_unref(x->cert);
    bundle_done(&x->resources);
    free(x);
}

static void forget_services(struct planner *p, struct audience *a)
{
    VEC_EACH(a->services, s) {
        struct map *seen_by = map_find(&p->viewers, str_of(*s));
        if (seen_by) {
            map_remove(seen_by, str_of(a->key));
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
    free(a);
}

static void viewers_free(void *arg)
{
    map_done(arg, NULL);
    free(arg);
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
    map_done(&p->identities, identity_free);
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

static void set_dirty(struct audience *a)
{
    a->dirty = true;
}

static void dirty_viewers(struct planner *p, struct str service)
{
    struct map *seen_by = map_find(&p->viewers, service);
    if (!seen_by) {
        return;
    }
    MAP_EACH(seen_by, it) {
        set_dirty(it.value);
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
static bool renew(struct planner *p, struct str key, struct identity_cert *x, int64_t now)
{
    struct err e = ERR_INIT;
    struct cert *fresh = NULL;
    int64_t validity_s = mesh_config(p->mesh)->certificate.service_cert_validity_ms / 1000;
    if (issuer_issue_service(p->issuer, identity_of(key), now, validity_s, &fresh, &e) < 0) {
        AUTO(free) char *who = mem_memdup(key.ptr, key.len);
        log_event(LOG_ERROR, "no certificate for a service identity", "identity", who, "reason",
                  e.text, NULL);
        return false;
    }
    struct translate t = translate_of(p);
    cert_unref(x->cert);
    x->cert = fresh;
    bundle_done(&x->resources);
    translate_certificate(&t, blob_str(fresh->chain), blob_str(fresh->private_key),
                          x->resources.out);
    return true;
}

static struct identity_cert *certificate_for(struct planner *p, struct str identity, int64_t now)
{
    struct identity_cert *x = map_find(&p->identities, identity);
    if (!x) {
        x = NEW(struct identity_cert);
        map_put(&p->identities, identity, x);
    }
    if (!x->cert) {
        renew(p, identity, x, now);
    }
    return x;
}

/* --- audiences --- */

static void encode_audience(struct planner *p, struct audience *a, const struct mesh_audience *m)
{
    struct translate t = translate_of(p);
    bundle_done(&a->inbound);
    translate_audience(&t, m, mesh_policy_find(p->mesh, m->identity), a->inbound.out);
    count_encoded(p, &a->inbound);
    set_dirty(a);
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

/* SMI mode: what this identity may see, endpoint lists cut to what it may call. */
static void add_visible(struct planner *p, struct audience *a, const struct mesh_audience *m,
                        bundle *out)
{
    const struct mesh_access *access = mesh_access_find(p->mesh, m->identity);
    struct translate t = translate_of(p);
    for (size_t i = 0; access && i < access->services.len; i++) {
        const struct mesh_access_entry *x = &access->services.at[i];
        see_service(p, a, x->service);
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
    bundle own = {0};
    forget_services(p, a);
    bundle_append(&own, &a->inbound);
    bundle_append(&own, &certificate_for(p, m->identity, now)->resources);
    if (!permissive) {
        bundle_append(&own, &p->common);
        add_visible(p, a, m, &own);
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
    a->dirty = false;
    return differs;
}

static void update_audience(struct planner *p, struct str key)
{
    const struct mesh_audience *m = mesh_audience_find(p->mesh, key);
    struct audience *a = map_find(&p->audiences, key);
    if (!m) {
        if (a) {
            forget_services(p, a);
            map_remove(&p->audiences, key);
            audience_free(a);
        }
        return;
    }
    if (!a) {
        a = NEW(struct audience);
        a->key = mem_memdup(key.ptr, key.len);
        map_put(&p->audiences, key, a);
    }
    encode_audience(p, a, m);
}

/* Calls fn for every audience whose identity is this. */
static void each_of_identity(struct planner *p, struct str identity, bool encode)
{
    MAP_EACH(&p->audiences, it) {
        const struct mesh_audience *m = mesh_audience_find(p->mesh, it.key);
        if (m && str_eq(m->identity, identity)) {
            if (encode) {
                encode_audience(p, it.value, m);
            }
            set_dirty(it.value);
        }
    }
}

static void compose_dirty(struct planner *p, bool all, int64_t now)
{
    MAP_EACH(&p->audiences, it) {
        struct audience *a = it.value;
        if ((a->dirty || all) && compose(p, a, now)) {
            a->in_changed = true;
        }
    }
}

/* --- updates --- */

static void update_service(struct planner *p, struct str key)
{
    claim_addresses(p, key);
    encode_service(p, key);
    encode_endpoints(p, key);
    dirty_viewers(p, key);
}

static void update_services(struct planner *p, const struct mesh_delta *d)
{
    for (size_t i = 0; i < d->services.len; i++) {
        update_service(p, d->services.at[i]);
    }
    for (size_t i = 0; i < d->endpoints.len; i++) {
        update_service(p, d->endpoints.at[i]);
    }
}

static void update_identities(struct planner *p, const struct mesh_delta *d)
{
    for (size_t i = 0; i < d->policies.len; i++) {
        each_of_identity(p, d->policies.at[i], true);
    }
    for (size_t i = 0; i < d->access.len; i++) {
        each_of_identity(p, d->access.at[i], false);
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
        struct identity_cert *x = it.value;
        bool used = false;
        if (x->cert && !cert_due(x->cert, p->issuer, now)) {
            continue;
        }
        MAP_EACH(&p->audiences, at) {
            const struct mesh_audience *m = mesh_audience_find(p->mesh, at.key);
            if (m && str_eq(m->identity, it.key)) {
                set_dirty(at.value);
                used = true;
            }
        }
        if (used) {
            renew(p, it.key, x, now);
        } else {
            identity_free(map_remove(&p->identities, it.key));
        }
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
    struct strs out = {arena_array(arena, map_len(&p->audiences), sizeof(struct str)), 0};
    MAP_EACH(&p->audiences, it) {
        struct audience *a = it.value;
        if (a->in_changed) {
            a->in_changed = false;
            out.at[out.len++] = arena_str(arena, it.key);
        }
    }
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
