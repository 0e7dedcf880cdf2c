/* Route configurations: where a service's calls go, and who may call a workload. */
#include "xds/pb.h"

/* All conditions but the method, which has a route each. */
static RouteMatch *match_of(struct arena *a, const struct mesh_http_match *m, struct str method)
{
    RouteMatch *x = new_RouteMatch(a);
    if (m && m->path_regex.len > 0) {
        x->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX;
        x->safe_regex = new_RegexMatcher(a);
        x->safe_regex->regex = pb_str(a, m->path_regex);
    } else {
        x->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
        x->prefix = "/";
    }
    size_t n = m ? m->headers.len : 0;
    x->headers = arena_array(a, n + 1, sizeof(*x->headers));
    for (size_t i = 0; i < n; i++) {
        x->headers[x->n_headers++] =
            pb_header_regex(a, m->headers.at[i].key, m->headers.at[i].value);
    }
    if (method.len > 0) {
        x->headers[x->n_headers++] = pb_header_exact(a, STR(":method"), method);
    }
    return x;
}

static RouteAction *new_action(struct arena *a)
{
    RouteAction *r = new_RouteAction(a);
    r->timeout = pb_duration_ms(a, 0); /* how long a call may last, the application says */
    return r;
}

static RouteAction *action_of(struct arena *a, const struct mesh_service *s,
                              const struct mesh_route *route)
{
    RouteAction *r = new_action(a);
    if (route->backends.len == 1) {
        r->cluster_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
        r->cluster = name_backend_cluster(a, s, &route->backends.at[0]);
        return r;
    }
    r->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS;
    WeightedCluster *w = r->weighted_clusters = new_WeightedCluster(a);
    w->clusters = arena_array(a, route->backends.len, sizeof(*w->clusters));
    for (size_t i = 0; i < route->backends.len; i++) {
        const struct mesh_backend *b = &route->backends.at[i];
        ClusterWeight *c = new_ClusterWeight(a);
        c->name = name_backend_cluster(a, s, b);
        c->weight = pb_uint32(a, b->weight);
        w->clusters[w->n_clusters++] = c;
    }
    return r;
}

static Route *route_to(struct arena *a, RouteMatch *match, RouteAction *action)
{
    Route *r = new_Route(a);
    r->match = match;
    r->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
    r->route = action;
    return r;
}

static size_t count_routes(const struct mesh_port *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->routes.len; i++) {
        n += p->routes.at[i].matches.len == 0;
        for (size_t k = 0; k < p->routes.at[i].matches.len; k++) {
            size_t methods = p->routes.at[i].matches.at[k].methods.len;
            n += methods > 0 ? methods : 1;
        }
    }
    return n;
}

static void add_match(struct arena *a, VirtualHost *v, const struct mesh_http_match *m,
                      RouteAction *action)
{
    if (m->methods.len == 0) {
        v->routes[v->n_routes++] = route_to(a, match_of(a, m, (struct str){0}), action);
    }
    for (size_t i = 0; i < m->methods.len; i++) {
        v->routes[v->n_routes++] = route_to(a, match_of(a, m, m->methods.at[i]), action);
    }
}

/* The host that a caller names isn't looked at: the address that it called says which service it
 * meant, whatever it calls it. */
static VirtualHost *virtual_host(struct arena *a, const char *side, struct str fqdn)
{
    VirtualHost *v = new_VirtualHost(a);
    v->name = pb_printf(a, "%s_virtual-host|%.*s", side, STR_ARG(fqdn));
    v->domains = ONE(a, (char *)"*");
    v->n_domains = 1;
    return v;
}

static void emit_routes(struct arena *a, char *name, VirtualHost *v, resource_vec *out)
{
    RouteConfiguration *r = new_RouteConfiguration(a);
    r->name = name;
    r->virtual_hosts = ONE(a, v);
    r->n_virtual_hosts = 1;
    r->validate_clusters = pb_bool(a, false);
    pb_emit(out, str_of(name), &r->base);
}

void translate_outbound_routes(struct arena *a, const struct mesh_service *s,
                               const struct mesh_port *p, resource_vec *out)
{
    VirtualHost *v = virtual_host(a, "outbound", s->fqdn);
    v->routes = arena_array(a, count_routes(p), sizeof(*v->routes));
    for (size_t i = 0; i < p->routes.len; i++) {
        const struct mesh_route *route = &p->routes.at[i];
        RouteAction *action = action_of(a, s, route);
        if (route->matches.len == 0) {
            v->routes[v->n_routes++] = route_to(a, match_of(a, NULL, (struct str){0}), action);
        }
        for (size_t k = 0; k < route->matches.len; k++) {
            add_match(a, v, &route->matches.at[k], action);
        }
    }
    emit_routes(a, name_outbound_routes(a, s->key, p->port), v, out);
}

/* The policy is an override of the empty RBAC filter in the chain. */
static void add_policy(struct arena *a, VirtualHost *v, Rbac *rules)
{
    HttpRbacPerRoute *override = new_HttpRbacPerRoute(a);
    override->rbac = new_HttpRbac(a);
    override->rbac->rules = rules;
    PerFilterConfig *c = new_PerFilterConfig(a);
    c->key = "envoy.filters.http.rbac";
    c->value = pb_any(a, &override->base);
    v->typed_per_filter_config = ONE(a, c);
    v->n_typed_per_filter_config = 1;
}

static void route_to_application(struct arena *a, VirtualHost *v, const struct mesh_inbound *in)
{
    RouteAction *action = new_action(a);
    action->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
    action->cluster = name_local_cluster(a, in->service, in->target_port);
    v->routes = ONE(a, route_to(a, match_of(a, NULL, (struct str){0}), action));
    v->n_routes = 1;
}

void translate_inbound_routes(struct arena *a, const struct translate *t,
                              const struct mesh_inbound *in, const struct mesh_policy *policy,
                              resource_vec *out)
{
    VirtualHost *v = virtual_host(a, "inbound", in->fqdn);
    route_to_application(a, v, in);
    add_policy(a, v, pb_http_policy(a, t, policy));
    emit_routes(a, name_inbound_routes(a, in), v, out);
}

void translate_ingress_routes(struct arena *a, const struct mesh_inbound *in,
                              const struct mesh_ingress_port *port, resource_vec *out)
{
    VirtualHost *v = virtual_host(a, "ingress", in->service);
    struct str policy, namespace;
    str_cut(port->policy, '/', &namespace, &policy);
    v->name = pb_printf(a, "%s_from_%.*s", v->name, STR_ARG(policy));
    route_to_application(a, v, in);
    add_policy(a, v, pb_ingress_policy(a, port));
    emit_routes(a, name_ingress_routes(a, in), v, out);
}

static RouteConfiguration *one_route(struct arena *a, char *name, Route *route)
{
    VirtualHost *v = new_VirtualHost(a);
    v->name = name;
    v->domains = ONE(a, (char *)"*");
    v->n_domains = 1;
    v->routes = ONE(a, route);
    v->n_routes = 1;
    RouteConfiguration *r = new_RouteConfiguration(a);
    r->name = name;
    r->virtual_hosts = ONE(a, v);
    r->n_virtual_hosts = 1;
    return r;
}

RouteConfiguration *pb_refusal_routes(struct arena *a, char *name, const char *words)
{
    Route *route = new_Route(a);
    route->match = match_of(a, NULL, (struct str){0});
    route->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE;
    route->direct_response = new_DirectResponse(a);
    route->direct_response->status = 403;
    route->direct_response->body = pb_bytes(a, str_of(words));
    return one_route(a, name, route);
}

RouteConfiguration *pb_prefix_routes(struct arena *a, char *name, char *prefix, char *cluster)
{
    RouteMatch *match = match_of(a, NULL, (struct str){0});
    match->prefix = prefix;
    RouteAction *action = new_action(a);
    action->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
    action->cluster = cluster;
    return one_route(a, name, route_to(a, match, action));
}
