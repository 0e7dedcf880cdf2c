/* A change of the mesh on its way to plans: services, then identities and audiences. */
#include "xds/planner.h"

#include "xds/planner_internal.h"

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
    planner_services_done(p);
    planner_audiences_done(p);
    blob_unref(p->roots);
    free(p);
}

static void update_config(struct planner *p)
{
    const struct mesh_config *c = mesh_config(p->mesh);
    issuer_set_key(p->issuer,
                   c->certificate.key_algorithm == KEY_RSA ? CERT_KEY_RSA : CERT_KEY_ECDSA_P256,
                   (int)c->certificate.key_bits);
    planner_encode_everything(p);
    MAP_EACH(mesh_map(p->mesh, MESH_AUDIENCES), it) {
        planner_update_audience(p, it.key);
    }
}

void planner_update(struct planner *p, const struct mesh_delta *d, int64_t now)
{
    bool permissive = mesh_permissive(p->mesh);
    if (d->config || p->common.out[XDS_SDS].len == 0) {
        update_config(p);
    } else {
        planner_update_services(p, d);
    }
    for (size_t i = 0; i < d->audiences.len; i++) {
        planner_update_audience(p, d->audiences.at[i]);
    }
    if (!d->config) {
        planner_update_identities(p, d);
    }
    struct resource_set *before[XDS_TYPES];
    for (int t = 0; t < XDS_TYPES; t++) {
        before[t] = resource_set_ref(p->base[t]);
    }
    if (permissive) {
        planner_update_base(p);
    } else {
        planner_drop_base(p);
    }
    bool base_changed = false;
    for (int t = 0; t < XDS_TYPES; t++) {
        base_changed |= before[t] != p->base[t];
        resource_set_unref(before[t]);
    }
    planner_compose(p, base_changed, now);
}

void planner_tick(struct planner *p, int64_t now)
{
    planner_renew_due(p, now);
    planner_compose(p, false, now);
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
