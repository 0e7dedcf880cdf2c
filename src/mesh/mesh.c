/* The mesh as a whole: its life, and the order in which an update computes units. */
#include "mesh/mesh.h"

#include "mesh/internal.h"

struct mesh *mesh_new(const struct mesh_options *options)
{
    struct mesh *m = NEW(struct mesh);
    m->options = (struct mesh_options){
        .mesh_name = mem_strdup(options->mesh_name),
        .osm_namespace = mem_strdup(options->osm_namespace),
        .config_name = mem_strdup(options->config_name),
        .trust_domain = mem_strdup(options->trust_domain),
    };
    m->config = mesh_config_default();
    m->permissive = m->config->traffic.permissive;
    m->gathered = NEW(struct gathered);
    return m;
}

static void config_drop(struct mesh *m)
{
    if (m->config != mesh_config_default()) {
        object_unref(&m->config->object);
    }
}

static void findings_free(void *value)
{
    findings_done(value);
    free(value);
}

static void part_free(void *value)
{
    part_unref(value);
}

void mesh_free(struct mesh *m)
{
    if (!m) {
        return;
    }
    for (int i = 0; i < MESH_MAP_COUNT; i++) {
        map_done(&m->parts[i], part_free);
    }
    relation_done(&m->services_by_identity);
    relation_done(&m->viewers);
    relation_done(&m->members);
    map_done(&m->findings, findings_free);
    findings_done(&m->gathered->all);
    free(m->gathered);
    config_drop(m);
    free((char *)m->options.mesh_name);
    free((char *)m->options.osm_namespace);
    free((char *)m->options.config_name);
    free((char *)m->options.trust_domain);
    free(m);
}

/* The MeshConfig of this mesh, wherever its namespace belongs. */
static void take_config(struct update *u, const struct change *c)
{
    struct mesh *m = u->m;
    const struct meta *meta = c->now ? &c->now->meta : &c->old->meta;
    if (!str_is(meta->namespace, m->options.osm_namespace) ||
        !str_is(meta->name, m->options.config_name)) {
        return;
    }
    config_drop(m);
    m->config = c->now ? (struct mesh_config *)object_ref(c->now) : mesh_config_default();
    u->delta->config = true;
    if (m->permissive != m->config->traffic.permissive) {
        m->permissive = m->config->traffic.permissive;
        u->delta->permissive_changed = true;
        changes_mark_all(u);
    }
}

/* Services first, as ingress, proxies and access read their parts; access last, as who sees a
 * service follows from the identities that were found behind it. */
static void run_units(struct update *u)
{
    SET_EACH(&u->dirty.services, it)
    {
        service_update(u, it.key);
    }
    SET_EACH(&u->dirty.ingress, it)
    {
        ingress_update(u, it.key);
    }
    SET_EACH(&u->dirty.policies, it)
    {
        policy_update(u, it.key);
    }
    SET_EACH(&u->dirty.proxies, it)
    {
        proxy_update(u, it.key);
    }
    audiences_sweep(u);
    changes_mark_viewers(u);
    SET_EACH(&u->dirty.access, it)
    {
        access_update(u, it.key);
    }
}

void mesh_update(struct mesh *m, const struct store *s, const struct changes *changes,
                 struct mesh_delta *ret)
{
    *ret = (struct mesh_delta){.arena = arena_new(1024)};
    AUTO(arena_free) struct arena *scratch = arena_new(4096);
    struct update u = {.m = m, .s = s, .scratch = scratch, .delta = ret};
    VEC_EACH(changes->list, c) {
        if (c->kind == KIND_MESH_CONFIG) {
            take_config(&u, c);
        } else {
            changes_mark(&u, c);
        }
    }
    run_units(&u);
    dirty_done(&u.dirty);
}

void mesh_delta_done(struct mesh_delta *d)
{
    VEC_DONE(d->services);
    VEC_DONE(d->endpoints);
    VEC_DONE(d->policies);
    VEC_DONE(d->access);
    VEC_DONE(d->ingress);
    VEC_DONE(d->audiences);
    VEC_DONE(d->proxies);
    arena_free(d->arena);
    d->arena = NULL;
}

const struct mesh_config *mesh_config(const struct mesh *m)
{
    return m->config;
}

bool mesh_permissive(const struct mesh *m)
{
    return m->permissive;
}

const struct mesh_options *mesh_options(const struct mesh *m)
{
    return &m->options;
}

const struct map *mesh_map(const struct mesh *m, enum mesh_map which)
{
    return &m->parts[which];
}

const struct mesh_service *mesh_service_find(const struct mesh *m, struct str key)
{
    return map_find(&m->parts[MESH_SERVICES], key);
}

const struct mesh_endpoints *mesh_endpoints_find(const struct mesh *m, struct str service)
{
    return map_find(&m->parts[MESH_ENDPOINTS], service);
}

const struct mesh_policy *mesh_policy_find(const struct mesh *m, struct str identity)
{
    return map_find(&m->parts[MESH_POLICIES], identity);
}

const struct mesh_access *mesh_access_find(const struct mesh *m, struct str identity)
{
    return map_find(&m->parts[MESH_ACCESS], identity);
}

const struct mesh_ingress *mesh_ingress_find(const struct mesh *m, struct str service)
{
    return map_find(&m->parts[MESH_INGRESS], service);
}

const struct mesh_audience *mesh_audience_find(const struct mesh *m, struct str key)
{
    return map_find(&m->parts[MESH_AUDIENCES], key);
}

const struct mesh_proxy *mesh_proxy_find(const struct mesh *m, struct str uuid)
{
    return map_find(&m->parts[MESH_PROXIES], uuid);
}

const struct findings *mesh_findings(const struct mesh *m)
{
    struct gathered *g = m->gathered;
    if (g->stale) {
        findings_done(&g->all);
        AUTO(free) struct str *units = map_sorted_keys(&m->findings);
        for (size_t i = 0; i < map_len(&m->findings); i++) {
            findings_append(&g->all, map_find(&m->findings, units[i]));
        }
        g->stale = false;
    }
    return &g->all;
}

static bool port_allowed(const struct mesh_rule *r, uint16_t port)
{
    for (size_t i = 0; i < r->tcp_ports.len; i++) {
        if (r->tcp_ports.at[i] == port) {
            return true;
        }
    }
    return r->tcp_ports.len == 0;
}

static bool rule_allows(const struct mesh_rule *r, const struct mesh_call *call,
                        bool (*regex)(void *arg, struct str pattern, struct str text), void *arg)
{
    if (!strs_has(&r->sources, call->source)) {
        return false;
    }
    if (!protocol_is_http(call->protocol)) {
        return r->tcp && port_allowed(r, call->target_port);
    }
    for (size_t i = 0; i < r->http.len; i++) {
        if (match_allows(&r->http.at[i], call, regex, arg)) {
            return true;
        }
    }
    return false;
}

bool mesh_allows(const struct mesh *m, const struct mesh_call *call,
                 bool (*regex)(void *arg, struct str pattern, struct str text), void *arg)
{
    const struct mesh_policy *p = mesh_policy_find(m, call->destination);
    if (!p || p->allow_all) {
        return p != NULL;
    }
    for (size_t i = 0; i < p->rules.len; i++) {
        if (rule_allows(&p->rules.at[i], call, regex, arg)) {
            return true;
        }
    }
    return false;
}
