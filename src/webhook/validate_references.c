/* Warnings about what isn't there, or isn't used. Lookups see what the cluster said a moment ago:
 * that something is missing is never a reason to refuse. */
#include "kinds/policy.h"
#include "kinds/root.h"
#include "kinds/upstream.h"
#include "webhook/validate_internal.h"

static bool there(const struct candidate *c, enum kind kind, struct str namespace, struct str name)
{
    return store_find(c->validator->store, kind, namespace, name) != NULL;
}

static void need(struct candidate *c, enum kind kind, struct str namespace, struct str name,
                 const char *path)
{
    /* Every namespace has the account "default" without anybody writing it down. */
    bool implied = kind == KIND_SERVICE_ACCOUNT && str_is(name, "default");
    if (!implied && !there(c, kind, namespace, name)) {
        admission_warn(c->arena, c->verdict,
                       "%s: there is no %s %.*s/%.*s in the mesh; check its name and namespace",
                       path, kind_info(kind)->name, STR_ARG(namespace), STR_ARG(name));
    }
}

static const char *place(const struct candidate *c, const char *list, size_t i)
{
    return arena_printf(c->arena, "%s[%zu]", list, i).ptr;
}

static void egress(struct candidate *c)
{
    const struct egress *e = (struct egress *)c->now;
    for (size_t i = 0; i < e->sources.len; i++) {
        need(c, KIND_SERVICE_ACCOUNT, e->sources.at[i].namespace, e->sources.at[i].name,
             place(c, "spec.sources", i));
    }
    for (size_t i = 0; i < e->matches.len; i++) {
        bool routes = str_is(e->matches.at[i].kind, "HTTPRouteGroup");
        need(c, routes ? KIND_HTTP_ROUTE_GROUP : KIND_UPSTREAM_TRAFFIC_SETTING,
             c->now->meta.namespace, e->matches.at[i].name, place(c, "spec.matches", i));
    }
}

static void retries(struct candidate *c)
{
    const struct retry *r = (struct retry *)c->now;
    need(c, KIND_SERVICE_ACCOUNT, r->source.namespace, r->source.name, "spec.source");
    for (size_t i = 0; i < r->destinations.len; i++) {
        need(c, KIND_SERVICE, r->destinations.at[i].namespace, r->destinations.at[i].name,
             place(c, "spec.destinations", i));
    }
}

static void upstream(struct candidate *c)
{
    struct str name, rest, ns, domain;
    struct str host = ((struct upstream_traffic_setting *)c->now)->host;
    if (str_cut(host, '.', &name, &rest) && str_cut(rest, '.', &ns, &domain) &&
        str_is(domain, "svc.cluster.local")) {
        need(c, KIND_SERVICE, ns, name, "spec.host");
    }
}

static void telemetry(struct candidate *c)
{
    const struct telemetry_access_log *log = ((struct telemetry *)c->now)->access_log;
    if (log && log->open_telemetry) {
        need(c, KIND_EXTENSION_SERVICE, log->open_telemetry->extension_namespace,
             log->open_telemetry->extension_name, "spec.accessLog.openTelemetry.extensionService");
    }
}

struct search {
    const struct object *wanted;
    bool found;
};

static void search_egress(void *arg, struct object *o)
{
    struct search *s = arg;
    const struct egress *e = (struct egress *)o;
    if (!str_eq(o->meta.namespace, s->wanted->meta.namespace)) {
        return;
    }
    for (size_t i = 0; i < e->matches.len; i++) {
        s->found |= str_is(e->matches.at[i].kind, "HTTPRouteGroup") &&
                    str_eq(e->matches.at[i].name, s->wanted->meta.name);
    }
}

/* Routes alone open nothing, which surprises whoever forgot the target. */
static void routes_used(struct candidate *c)
{
    const struct store *s = c->validator->store;
    const struct object *o = c->now;
    struct str key = arena_printf(c->arena, "%s/%.*s/%.*s", kind_info(o->kind)->name,
                                  STR_ARG(o->meta.namespace), STR_ARG(o->meta.name));
    struct str name =
        arena_printf(c->arena, "%.*s/%.*s", STR_ARG(o->meta.namespace), STR_ARG(o->meta.name));
    struct search egresses = {.wanted = o};
    bool http = o->kind == KIND_HTTP_ROUTE_GROUP;
    if (http) {
        store_each(s, KIND_EGRESS, search_egress, &egresses);
    }
    if (store_lookup(s, INDEX_TARGET_BY_ROUTE, key).len == 0 && !egresses.found &&
        !(http && (store_lookup(s, INDEX_SPLIT_BY_MATCH, name).len > 0 ||
                   store_lookup(s, INDEX_INGRESS_BY_MATCH, name).len > 0))) {
        admission_warn(
            c->arena, c->verdict, "nothing uses this %s yet: no %s of this namespace names it",
            kind_info(o->kind)->name,
            http ? "TrafficTarget, TrafficSplit, IngressBackend or Egress" : "TrafficTarget");
    }
}

static void mesh_config_read(struct candidate *c)
{
    const struct mesh_options *m = c->validator->mesh;
    const struct meta *meta = &c->now->meta;
    if (!str_is(meta->name, m->config_name) || !str_is(meta->namespace, m->osm_namespace)) {
        admission_warn(c->arena, c->verdict,
                       "nothing reads this MeshConfig: the mesh reads %s/%s only", m->osm_namespace,
                       m->config_name);
    }
}

static void root_read(struct candidate *c)
{
    const struct mesh_options *m = c->validator->mesh;
    if (!str_is(c->now->meta.namespace, m->osm_namespace)) {
        admission_warn(c->arena, c->verdict,
                       "nothing reads this MeshRootCertificate: the mesh reads those of namespace "
                       "%s only",
                       m->osm_namespace);
        return;
    }
    const struct mesh_root_certificate *r = (const struct mesh_root_certificate *)c->now;
    if (r->role == ROOT_ACTIVE && !str_is(r->trust_domain, m->trust_domain)) {
        admission_warn(
            c->arena, c->verdict,
            "spec.trustDomain: has no effect: the trust domain of mesh %s is %s, given at "
            "its install",
            m->mesh_name, m->trust_domain);
    }
}

void validate_references(struct candidate *c)
{
    static void (*const checks[KIND_COUNT])(struct candidate *) = {
        [KIND_EGRESS] = egress,
        [KIND_RETRY] = retries,
        [KIND_UPSTREAM_TRAFFIC_SETTING] = upstream,
        [KIND_TELEMETRY] = telemetry,
        [KIND_HTTP_ROUTE_GROUP] = routes_used,
        [KIND_TCP_ROUTE] = routes_used,
        [KIND_MESH_CONFIG] = mesh_config_read,
        [KIND_MESH_ROOT_CERTIFICATE] = root_read,
    };
    if (checks[c->now->kind]) {
        checks[c->now->kind](c);
    }
}
