/* What services become, and what all proxies have in common; of both, permissive mode's base. */
#include "xds/planner_internal.h"

void resources_done(struct resources *r)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        resource_vec_done(&r->out[t]);
    }
}

void resources_free(void *r)
{
    resources_done(r);
    free(r);
}

static struct resource *find(const resource_vec *v, const struct resource *r)
{
    VEC_EACH(*v, x) {
        if ((*x)->id == r->id && (*x)->version == r->version) {
            return *x;
        }
    }
    return NULL;
}

/* Those that other, which may be NULL, hasn't. */
static void append_new(struct resources *to, const struct resources *from,
                       const struct resources *other)
{
    for (int t = 0; from && t < XDS_TYPES; t++) {
        VEC_EACH(from->out[t], r) {
            if (!other || !find(&other->out[t], *r)) {
                VEC_PUSH(to->out[t], resource_ref(*r));
            }
        }
    }
}

void resources_append(struct resources *to, const struct resources *from)
{
    append_new(to, from, NULL);
}

struct translate planner_translate(const struct planner *p)
{
    return (struct translate){
        .config = mesh_config(p->mesh),
        .trust_domain = mesh_options(p->mesh)->trust_domain,
        .roots = blob_str(p->roots),
        .claims = p->claims,
    };
}

void planner_count(struct planner *p, const struct resources *made)
{
    for (int t = 0; t < XDS_TYPES; t++) {
        p->encoded += made->out[t].len;
    }
}

/* --- services --- */

static void keep_same(struct resources *now, const struct resources *old)
{
    for (int t = 0; old && t < XDS_TYPES; t++) {
        VEC_EACH(now->out[t], r) {
            struct resource *same = find(&old->out[t], *r);
            if (same) {
                resource_unref(*r);
                *r = resource_ref(same);
            }
        }
    }
}

void resources_put(struct resources *old, struct resources *now)
{
    keep_same(now, old);
    resources_done(old);
    *old = *now;
}

/* Puts r (may be NULL: gone) in place of what is at key, and notes the edit of the base. */
static void replace(struct planner *p, struct map *all, struct str key, struct resources *r)
{
    struct resources *old = r ? map_put(all, key, r) : map_remove(all, key);
    if (!p->base_fresh) {
        append_new(&p->base_remove, old, r);
        append_new(&p->base_add, r, old);
    }
    if (r) {
        keep_same(r, old);
    }
    if (old) {
        resources_free(old);
    }
}

static void encode_service(struct planner *p, struct str key)
{
    struct translate t = planner_translate(p);
    t.service = key;
    const struct mesh_service *s = mesh_service_find(p->mesh, key);
    struct resources *r = NULL;
    if (s) {
        r = NEW(struct resources);
        translate_service(&t, s, mesh_endpoints_find(p->mesh, key), r->out);
        planner_count(p, r);
    }
    replace(p, &p->services, key, r);
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
        planner_dirty_viewers(p, *other);
    }
    VEC_DONE(affected);
}

static void encode_endpoints(struct planner *p, struct str key)
{
    struct translate t = planner_translate(p);
    const struct mesh_service *s = mesh_service_find(p->mesh, key);
    struct resources *r = NULL;
    if (s) {
        r = NEW(struct resources);
        translate_endpoints(&t, s, mesh_endpoints_find(p->mesh, key), NULL, r->out);
        planner_count(p, r);
    }
    replace(p, &p->endpoints, key, r);
}

static void encode_common(struct planner *p)
{
    struct translate t = planner_translate(p);
    struct resources made = {0};
    translate_common(&t, made.out);
    planner_count(p, &made);
    resources_put(&p->common, &made);
    p->base_fresh = true;
}

/* Those of services that are gone. */
static void drop_gone(struct planner *p, struct map *all)
{
    MAP_EACH(all, it) {
        if (!mesh_service_find(p->mesh, it.key)) {
            resources_free(map_remove(all, it.key));
        }
    }
}

void planner_encode_everything(struct planner *p)
{
    encode_common(p);
    drop_gone(p, &p->services);
    drop_gone(p, &p->endpoints);
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

static void update_service(struct planner *p, struct str key)
{
    claim_addresses(p, key);
    encode_service(p, key);
    encode_endpoints(p, key);
    planner_dirty_viewers(p, key);
}

/* A service whose own part changed often has other endpoints, too: it is encoded once. */
void planner_update_services(struct planner *p, const struct mesh_delta *d)
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

/* --- the base --- */

/* The base of permissive mode: built of all resources, or edited by what changed. */
static void build_base(struct planner *p)
{
    struct resources all = {0};
    resources_append(&all, &p->common);
    MAP_EACH(&p->services, it) {
        resources_append(&all, it.value);
    }
    MAP_EACH(&p->endpoints, it) {
        resources_append(&all, it.value);
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
    resources_done(&all);
    p->base_fresh = false;
}

void planner_update_base(struct planner *p)
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
    resources_done(&p->base_add);
    resources_done(&p->base_remove);
}

void planner_drop_base(struct planner *p)
{
    resources_done(&p->base_add);
    resources_done(&p->base_remove);
    for (int t = 0; t < XDS_TYPES; t++) {
        p->base[t] = resource_set_unref(p->base[t]);
    }
    p->base_fresh = true;
}

void planner_services_done(struct planner *p)
{
    planner_drop_base(p);
    resources_done(&p->common);
    map_done(&p->services, resources_free);
    map_done(&p->endpoints, resources_free);
    claims_free(p->claims);
}
