/* Listeners, and the chains of filters in them. */
#include "xds/pb.h"

#define TLS_INSPECTOR "envoy.filters.listener.tls_inspector"
#define ORIGINAL_DST "envoy.filters.listener.original_dst"

static ListenerFilter *listener_filter(struct arena *a, char *name, const ProtobufCMessage *config)
{
    ListenerFilter *f = new_ListenerFilter(a);
    f->name = name;
    f->config_type_case = ENVOY__CONFIG__LISTENER__V3__LISTENER_FILTER__CONFIG_TYPE_TYPED_CONFIG;
    f->typed_config = pb_any(a, config);
    return f;
}

static Listener *new_listener_at(struct arena *a, char *name, struct str ip, uint16_t port,
                                 int direction)
{
    Listener *l = new_Listener(a);
    l->name = name;
    l->address = pb_address(a, ip, port);
    l->traffic_direction = direction;
    return l;
}

static void also_at(struct arena *a, Listener *l, const struct str *ips, size_t n, uint16_t port)
{
    l->additional_addresses = arena_array(a, n, sizeof(*l->additional_addresses));
    for (size_t i = 0; i < n; i++) {
        AdditionalAddress *x = new_AdditionalAddress(a);
        x->address = pb_address(a, ips[i], port);
        l->additional_addresses[l->n_additional_addresses++] = x;
    }
}

/* On every address of the pod. */
static Listener *listener_everywhere(struct arena *a, char *name, bool ipv6, uint16_t port,
                                     int direction)
{
    Listener *l = new_listener_at(a, name, STR("0.0.0.0"), port, direction);
    if (ipv6) {
        also_at(a, l, &STR("::"), 1, port);
    }
    return l;
}

static void set_filters(struct arena *a, FilterChain *c, Filter *first, Filter *second)
{
    c->filters = arena_array(a, 2, sizeof(*c->filters));
    c->filters[c->n_filters++] = first;
    if (second) {
        c->filters[c->n_filters++] = second;
    }
}

static Filter *http_filter_of(struct arena *a, const Hcm *h)
{
    return pb_filter(a, "envoy.filters.network.http_connection_manager", &h->base);
}

static Filter *tcp_filter_of(struct arena *a, const TcpProxy *p)
{
    return pb_filter(a, "envoy.filters.network.tcp_proxy", &p->base);
}

static TcpProxy *tcp_proxy_to(struct arena *a, char *stat_prefix, char *cluster)
{
    TcpProxy *p = new_TcpProxy(a);
    p->stat_prefix = stat_prefix;
    p->cluster_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__TCP_PROXY__V3__TCP_PROXY__CLUSTER_SPECIFIER_CLUSTER;
    p->cluster = cluster;
    return p;
}

/* --- outbound --- */

/* A connection has no path or headers: the route without conditions, which is the last, counts. */
static TcpProxy *tcp_proxy_by(struct arena *a, char *stat_prefix, const struct mesh_service *s,
                              const struct mesh_port *port)
{
    const struct mesh_route *route = &port->routes.at[port->routes.len - 1];
    if (route->backends.len == 1) {
        return tcp_proxy_to(a, stat_prefix, name_backend_cluster(a, s, &route->backends.at[0]));
    }
    TcpProxy *p = new_TcpProxy(a);
    p->stat_prefix = stat_prefix;
    p->cluster_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__TCP_PROXY__V3__TCP_PROXY__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS;
    p->weighted_clusters = new_TcpWeights(a);
    p->weighted_clusters->clusters =
        arena_array(a, route->backends.len, sizeof(*p->weighted_clusters->clusters));
    for (size_t i = 0; i < route->backends.len; i++) {
        TcpWeight *w = new_TcpWeight(a);
        w->name = name_backend_cluster(a, s, &route->backends.at[i]);
        w->weight = route->backends.at[i].weight;
        p->weighted_clusters->clusters[p->weighted_clusters->n_clusters++] = w;
    }
    return p;
}

static FilterChain *outbound_chain(struct arena *a, const struct mesh_service *s,
                                   const struct mesh_port *p)
{
    FilterChain *c = new_FilterChain(a);
    c->name = name_outbound_chain(a, s->key, p);
    if (protocol_is_http(p->protocol)) {
        Hcm *h = pb_hcm(a, pb_printf(a, "rds-outbound.%u", p->port), HTTP_OUTBOUND);
        pb_hcm_rds(a, h, name_outbound_routes(a, s->key, p->port));
        set_filters(a, c, http_filter_of(a, h), NULL);
    } else {
        set_filters(a, c, tcp_filter_of(a, tcp_proxy_by(a, c->name, s, p)), NULL);
    }
    return c;
}

/* A listener that binds nothing: the catcher hands it the connections to its addresses. All share
 * their statistics, which are many: what a service is called, its cluster counts. The one chain is
 * the default, for which Envoy builds nothing to match by. */
static void emit_outbound(struct arena *a, char *name, const struct str *ips, size_t n,
                          uint16_t port, FilterChain *chain, resource_vec *out)
{
    Listener *l = new_listener_at(a, name, ips[0], port,
                                  ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__OUTBOUND);
    also_at(a, l, ips + 1, n - 1, port);
    l->bind_to_port = pb_bool(a, false);
    l->stat_prefix = "outbound";
    l->default_filter_chain = chain;
    pb_emit(out, str_of(name), &l->base);
}

/* Clients of a headless service call the addresses of its pods at the pods' own ports. */
static void headless_listeners(struct arena *a, const struct translate *t,
                               const struct mesh_service *s, size_t port,
                               const struct mesh_endpoints *endpoints, resource_vec *out)
{
    FilterChain *chain = outbound_chain(a, s, &s->ports.at[port]);
    for (size_t i = 0; endpoints && i < endpoints->at.len; i++) {
        const struct mesh_endpoint *e = &endpoints->at.at[i];
        bool seen = e->in_mesh && port < endpoints->port_count && e->ports[port] != 0;
        if (seen && translate_claimed(t, e->ip, e->ports[port])) {
            emit_outbound(a, pb_printf(a, "%s_%.*s", chain->name, STR_ARG(e->ip)), &e->ip, 1,
                          e->ports[port], chain, out);
        }
    }
}

static void cluster_ip_listener(struct arena *a, const struct translate *t,
                                const struct mesh_service *s, const struct mesh_port *p,
                                resource_vec *out)
{
    struct str *ips = arena_array(a, s->ips.len, sizeof(*ips));
    size_t n = 0;
    for (size_t i = 0; i < s->ips.len; i++) {
        if (translate_claimed(t, s->ips.at[i], p->port)) {
            ips[n++] = s->ips.at[i];
        }
    }
    if (n > 0) {
        FilterChain *chain = outbound_chain(a, s, p);
        emit_outbound(a, chain->name, ips, n, p->port, chain, out);
    }
}

void translate_outbound_listeners(struct arena *a, const struct translate *t,
                                  const struct mesh_service *s,
                                  const struct mesh_endpoints *endpoints, resource_vec *out)
{
    for (size_t i = 0; i < s->ports.len; i++) {
        if (s->headless) {
            headless_listeners(a, t, s, i, endpoints, out);
        } else {
            cluster_ip_listener(a, t, s, &s->ports.at[i], out);
        }
    }
}

/* What happens to a call that no listener claims. A client that says nothing, as it waits for the
 * server's first words, is let go after a second. One answer ends the connection: it would stay
 * here, and be refused, also when a policy meanwhile allows the call. */
static FilterChain *refusing_chain(struct arena *a)
{
    Hcm *h = pb_hcm(a, "outbound-refused", HTTP_OUTBOUND);
    h->common_http_protocol_options = new_CoreHttpOptions(a);
    h->common_http_protocol_options->idle_timeout = pb_duration_ms(a, 1000);
    h->common_http_protocol_options->max_requests_per_connection = pb_uint32(a, 1);
    h->route_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG;
    h->route_config = pb_refusal_routes(
        a, "outbound-refused",
        "The mesh let nothing pass to this address: no service that this workload may call is "
        "there. Allow it with a TrafficTarget, or calls out of the mesh with enableEgress.\n");
    FilterChain *c = new_FilterChain(a);
    set_filters(a, c, http_filter_of(a, h), NULL);
    return c;
}

static FilterChain *passthrough_chain(struct arena *a)
{
    FilterChain *c = new_FilterChain(a);
    set_filters(a, c,
                tcp_filter_of(a, tcp_proxy_to(a, "egress-tcp-proxy.passthrough-outbound",
                                              "passthrough-outbound")),
                NULL);
    return c;
}

void translate_catcher(struct arena *a, const struct translate *t, bool ipv6, resource_vec *out)
{
    Listener *l = listener_everywhere(a, "outbound-listener", ipv6, XDS_PORT_OUTBOUND,
                                      ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__OUTBOUND);
    l->use_original_dst = pb_bool(a, true);
    l->default_filter_chain =
        t->config->traffic.enable_egress ? passthrough_chain(a) : refusing_chain(a);
    pb_emit(out, STR("outbound-listener"), &l->base);
}

/* --- inbound --- */

/* It negotiates no application protocol: Envoy would take a negotiated "osm" for HTTP/1. Without
 * one it looks at the first bytes. */
static TransportSocket *downstream_tls(struct arena *a, const struct translate *t, char *name)
{
    DownstreamTls *d = new_DownstreamTls(a);
    d->common_tls_context = pb_common_tls(a, t, "root-cert-for-mtls-inbound");
    d->require_client_certificate = pb_bool(a, true);
    return pb_tls_socket(a, name, &d->base);
}

static FilterChainMatch *mesh_call_to(struct arena *a, const struct mesh_inbound *in)
{
    FilterChainMatch *m = new_FilterChainMatch(a);
    m->destination_port = pb_uint32(a, in->target_port);
    m->server_names = ONE(a, pb_str(a, in->fqdn));
    m->n_server_names = 1;
    m->transport_protocol = "tls";
    m->application_protocols = ONE(a, (char *)"osm");
    m->n_application_protocols = 1;
    return m;
}

static FilterChain *inbound_chain(struct arena *a, const struct translate *t,
                                  const struct mesh_inbound *in, const struct mesh_policy *policy)
{
    FilterChain *c = new_FilterChain(a);
    c->name = name_inbound_chain(a, in);
    c->filter_chain_match = mesh_call_to(a, in);
    c->transport_socket = downstream_tls(a, t, c->name);
    if (protocol_is_http(in->protocol)) {
        Hcm *h = pb_hcm(a, pb_printf(a, "rds-inbound.%u", in->target_port), HTTP_INBOUND);
        pb_hcm_rds(a, h, name_inbound_routes(a, in));
        set_filters(a, c, http_filter_of(a, h), NULL);
        return c;
    }
    NetworkRbac *rbac = new_NetworkRbac(a);
    rbac->stat_prefix = "network-";
    rbac->rules = pb_tcp_policy(a, t, policy);
    TcpProxy *proxy = tcp_proxy_to(a, c->name, name_local_cluster(a, in->service, in->target_port));
    set_filters(a, c, pb_filter(a, "envoy.filters.network.rbac", &rbac->base),
                tcp_filter_of(a, proxy));
    return c;
}

void translate_inbound_listener(struct arena *a, const struct translate *t,
                                const struct mesh_audience *audience,
                                const struct mesh_policy *policy,
                                const struct mesh_ingress_port *const *ingress, resource_vec *out)
{
    size_t n = audience->inbound.len;
    if (n == 0) {
        return;
    }
    Listener *l = listener_everywhere(a, "inbound-listener", audience->ipv6, XDS_PORT_INBOUND,
                                      ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__INBOUND);
    l->listener_filters = arena_array(a, 2, sizeof(*l->listener_filters));
    l->listener_filters[0] = listener_filter(a, TLS_INSPECTOR, &new_TlsInspector(a)->base);
    l->listener_filters[1] = listener_filter(a, ORIGINAL_DST, &new_OriginalDst(a)->base);
    l->n_listener_filters = 2;
    l->filter_chains = arena_array(a, 3 * n, sizeof(*l->filter_chains));
    for (size_t i = 0; i < n; i++) {
        l->filter_chains[l->n_filter_chains++] =
            inbound_chain(a, t, &audience->inbound.at[i], policy);
    }
    l->n_filter_chains += pb_ingress_chains(a, t, audience, ingress, l->filter_chains + n);
    pb_emit(out, STR("inbound-listener"), &l->base);
}

void translate_metrics_listener(struct arena *a, const struct mesh_audience *audience,
                                resource_vec *out)
{
    Listener *l =
        listener_everywhere(a, "inbound-prometheus-listener", audience->ipv6, XDS_PORT_METRICS,
                            ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__INBOUND);
    Hcm *h = pb_hcm(a, "prometheus-http-conn-manager", HTTP_OUTBOUND);
    h->route_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG;
    h->route_config = pb_prefix_routes(a, "prometheus-inbound-virtual-host", "/stats/prometheus",
                                       "envoy-metrics-cluster");
    FilterChain *c = new_FilterChain(a);
    set_filters(a, c, http_filter_of(a, h), NULL);
    l->filter_chains = ONE(a, c);
    l->n_filter_chains = 1;
    pb_emit(out, STR("inbound-prometheus-listener"), &l->base);
}
