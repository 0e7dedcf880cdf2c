/* Clusters and their endpoints. */
#include "xds/pb.h"

/* Limits are for upstream traffic settings to set; Envoy's default of 1,024 would be a surprise. */
static CircuitBreakers *unlimited(struct arena *a)
{
    Thresholds *t = new_Thresholds(a);
    t->max_connections = pb_uint32(a, UINT32_MAX);
    t->max_pending_requests = pb_uint32(a, UINT32_MAX);
    t->max_requests = pb_uint32(a, UINT32_MAX);
    t->max_retries = pb_uint32(a, UINT32_MAX);
    t->track_remaining = true;
    CircuitBreakers *c = new_CircuitBreakers(a);
    c->thresholds = ONE(a, t);
    c->n_thresholds = 1;
    return c;
}

/* HTTP version upstream as the client chose it downstream. */
static void follow_downstream(struct arena *a, Cluster *c)
{
    UseDownstream *use = new_UseDownstream(a);
    use->http_protocol_options = new_Http1Options(a);
    use->http2_protocol_options = new_Http2Options(a);
    UpstreamHttpOptions *o = new_UpstreamHttpOptions(a);
    o->upstream_protocol_options_case =
        ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_USE_DOWNSTREAM_PROTOCOL_CONFIG;
    o->use_downstream_protocol_config = use;
    ClusterOptions *entry = new_ClusterOptions(a);
    entry->key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    entry->value = pb_any(a, &o->base);
    c->typed_extension_protocol_options = ONE(a, entry);
    c->n_typed_extension_protocol_options = 1;
}

static TransportSocket *upstream_tls(struct arena *a, const struct translate *t,
                                     const struct mesh_service *s,
                                     const struct mesh_endpoints *endpoints)
{
    UpstreamTls *u = new_UpstreamTls(a);
    u->common_tls_context = pb_common_tls_to(a, t, endpoints ? &endpoints->identities : NULL);
    u->common_tls_context->alpn_protocols = ONE(a, (char *)"osm");
    u->common_tls_context->n_alpn_protocols = 1;
    u->sni = pb_str(a, s->fqdn);
    return pb_tls_socket(a, "envoy.transport_sockets.tls", &u->base);
}

static void set_type(Cluster *c, int type)
{
    c->cluster_discovery_type_case =
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE;
    c->type = type;
}

/* Goes where the connection was going before it was redirected. */
static void original_destination(Cluster *c)
{
    set_type(c, ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__ORIGINAL_DST);
    c->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__CLUSTER_PROVIDED;
}

static HealthCheck *health_check(struct arena *a)
{
    HealthCheck *h = new_HealthCheck(a);
    h->timeout = pb_duration_ms(a, 1000);
    h->interval = pb_duration_ms(a, 10000);
    h->healthy_threshold = pb_uint32(a, 1);
    h->unhealthy_threshold = pb_uint32(a, 3);
    h->health_checker_case =
        ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_HTTP_HEALTH_CHECK;
    h->http_health_check = new_HttpHealthCheck(a);
    h->http_health_check->path = "/healthz/osm";
    return h;
}

static void emit_cluster(struct arena *a, const struct translate *t, const struct mesh_service *s,
                         const struct mesh_port *p, const struct mesh_endpoints *endpoints,
                         char *name, bool dialled, resource_vec *out)
{
    Cluster *c = new_Cluster(a);
    c->name = name;
    if (dialled) {
        original_destination(c);
    } else {
        set_type(c, ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS);
        c->eds_cluster_config = new_EdsConfig(a);
        c->eds_cluster_config->eds_config = pb_ads(a);
    }
    c->circuit_breakers = unlimited(a);
    c->transport_socket = upstream_tls(a, t, s, endpoints);
    if (protocol_is_http(p->protocol)) {
        follow_downstream(a, c);
    }
    if (t->config->features.envoy_active_health_checks && protocol_is_http(p->protocol)) {
        c->health_checks = ONE(a, health_check(a));
        c->n_health_checks = 1;
    }
    pb_emit(out, str_of(c->name), &c->base);
}

/* A headless service has two: calls to one of its pods, and calls that a split sends to any. */
void translate_outbound_cluster(struct arena *a, const struct translate *t,
                                const struct mesh_service *s, const struct mesh_port *p,
                                const struct mesh_endpoints *endpoints, resource_vec *out)
{
    emit_cluster(a, t, s, p, endpoints, name_cluster(a, s->key, p->target_port), false, out);
    if (s->headless) {
        emit_cluster(a, t, s, p, endpoints, name_dialled_cluster(a, s->key, p->target_port), true,
                     out);
    }
}

static LbEndpoint *lb_endpoint(struct arena *a, struct str ip, uint16_t port)
{
    LbEndpoint *x = new_LbEndpoint(a);
    x->host_identifier_case = ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
    x->endpoint = new_Endpoint(a);
    x->endpoint->address = pb_address(a, ip, port);
    return x;
}

static LoadAssignment *assignment(struct arena *a, char *cluster, LbEndpoint **at, size_t n)
{
    LoadAssignment *l = new_LoadAssignment(a);
    l->cluster_name = cluster;
    LocalityEndpoints *zone = new_LocalityEndpoints(a);
    zone->locality = new_Locality(a);
    zone->locality->zone = "local";
    zone->lb_endpoints = at;
    zone->n_lb_endpoints = n;
    l->endpoints = ONE(a, zone);
    l->n_endpoints = 1;
    return l;
}

static Cluster *loopback_cluster(struct arena *a, char *name, uint16_t port)
{
    Cluster *c = new_Cluster(a);
    c->name = name;
    set_type(c, ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC);
    LbEndpoint **one = ONE(a, lb_endpoint(a, STR("127.0.0.1"), port));
    c->load_assignment = assignment(a, name, one, 1);
    return c;
}

void translate_local_cluster(struct arena *a, const struct mesh_inbound *in, resource_vec *out)
{
    Cluster *c =
        loopback_cluster(a, name_local_cluster(a, in->service, in->target_port), in->target_port);
    c->alt_stat_name = c->name;
    c->circuit_breakers = unlimited(a);
    if (protocol_is_http(in->protocol)) {
        follow_downstream(a, c);
    }
    pb_emit(out, str_of(c->name), &c->base);
}

void translate_metrics_cluster(struct arena *a, resource_vec *out)
{
    Cluster *c = loopback_cluster(a, "envoy-metrics-cluster", XDS_PORT_ADMIN);
    pb_emit(out, str_of(c->name), &c->base);
}

void translate_passthrough_cluster(struct arena *a, resource_vec *out)
{
    Cluster *c = new_Cluster(a);
    c->name = "passthrough-outbound";
    original_destination(c);
    c->circuit_breakers = unlimited(a);
    pb_emit(out, str_of(c->name), &c->base);
}

/* --- endpoints --- */

static bool has(const struct strs *sorted, struct str s)
{
    size_t low = 0, high = sorted->len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = str_cmp(s, sorted->at[mid]);
        if (c == 0) {
            return true;
        }
        if (c < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return false;
}

/* Pods without a sidecar can't answer mutual TLS: they are left out, so that a service of which
 * only some pods are in the mesh works. */
static void emit_assignment(struct arena *a, const struct mesh_service *s, size_t port,
                            const struct mesh_endpoints *endpoints, const struct strs *identities,
                            resource_vec *out)
{
    size_t n = endpoints ? endpoints->at.len : 0;
    LbEndpoint **at = arena_array(a, n + 1, sizeof(*at));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mesh_endpoint *e = &endpoints->at.at[i];
        bool seen = e->in_mesh && port < endpoints->port_count && e->ports[port] != 0;
        if (seen && (!identities || has(identities, e->identity))) {
            at[count++] = lb_endpoint(a, e->ip, e->ports[port]);
        }
    }
    char *cluster = name_cluster(a, s->key, s->ports.at[port].target_port);
    pb_emit(out, str_of(cluster), &assignment(a, cluster, at, count)->base);
}

void translate_endpoints(const struct translate *t, const struct mesh_service *s,
                         const struct mesh_endpoints *endpoints, const struct strs *identities,
                         resource_vec out[XDS_TYPES])
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    for (size_t i = 0; i < s->ports.len; i++) {
        if (first_of_target_port(s, i)) {
            emit_assignment(a, s, i, endpoints, identities, &out[XDS_EDS]);
        }
    }
}
