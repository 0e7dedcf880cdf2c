/* The sidecar's side of probes: static listeners for the kubelet, and clusters that lead to the
 * application's ports without the mesh's certificates. */
#include <stdio.h>

#include "inject/build.h"
#include "inject/names.h"
#include "inject/probes.h"

#define TYPE "type.googleapis.com/envoy."
/* gRPC's health checking protocol; what the kubelet calls. */
#define GRPC_CHECK_PATH "/grpc.health.v1.Health/Check"

static const struct value *typed_filter(struct arena *a, const char *name,
                                        const struct value *config)
{
    return build_object(a, "name", build_text(a, name), "typed_config", config, NULL);
}

static const struct value *address(struct arena *a, const char *host, int64_t port)
{
    return build_object(
        a, "socket_address",
        build_object(a, "address", build_text(a, host), "port_value", value_new_int(a, port), NULL),
        NULL);
}

/* On every address of the pod, as the kubelet may use any of them. */
static const struct value *listener(struct arena *a, const char *name, int port,
                                    const struct value *filter, const struct inject_options *o)
{
    const struct value *v6 =
        o->ipv6 ? build_array(a, build_object(a, "address", address(a, "::", port), NULL), NULL)
                : NULL;
    return build_object(
        a, "name", build_text(a, name), "address", address(a, "0.0.0.0", port),
        "additional_addresses", v6, "filter_chains",
        build_array(a, build_object(a, "filters", build_array(a, filter, NULL), NULL), NULL), NULL);
}

/* --- clusters --- */

/* As the kubelet: whatever certificate the application has, and none of ours. */
static const struct value *unverified_tls(struct arena *a)
{
    const struct value *params =
        build_object(a, "tls_minimum_protocol_version", build_text(a, "TLSv1_2"),
                     "tls_maximum_protocol_version", build_text(a, "TLSv1_3"), NULL);
    const struct value *context = build_object(a, "tls_params", params, "alpn_protocols",
                                               build_texts(a, "http/1.1", NULL), NULL);
    return build_object(
        a, "name", build_text(a, "envoy.transport_sockets.tls"), "typed_config",
        build_object(a, "@type",
                     build_text(a, TYPE "extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                     "common_tls_context", context, NULL),
        NULL);
}

/* A new connection for each probe, as the kubelet makes: one that the application has just closed
 * would be told as its failure. */
static const struct value *one_request_each(struct arena *a, bool http2)
{
    const struct value *options = build_object(
        a, "@type", build_text(a, TYPE "extensions.upstreams.http.v3.HttpProtocolOptions"),
        "common_http_protocol_options",
        build_object(a, "max_requests_per_connection", value_new_int(a, 1), NULL),
        "explicit_http_config",
        build_object(a, http2 ? "http2_protocol_options" : "http_protocol_options",
                     value_new(a, VALUE_OBJECT), NULL),
        NULL);
    return build_object(a, "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", options, NULL);
}

static const struct value *cluster(struct arena *a, const struct value *name, int64_t port,
                                   const struct value *transport_socket, bool http2)
{
    const struct value *endpoint = build_object(
        a, "endpoint", build_object(a, "address", address(a, "127.0.0.1", port), NULL), NULL);
    const struct value *locality =
        build_object(a, "lb_endpoints", build_array(a, endpoint, NULL), NULL);
    return build_object(
        a, "name", name, "type", build_text(a, "STATIC"), "load_assignment",
        build_object(a, "cluster_name", name, "endpoints", build_array(a, locality, NULL), NULL),
        "typed_extension_protocol_options", one_request_each(a, http2), "transport_socket",
        transport_socket, NULL);
}

/* "app_liveness_cluster" */
static const struct value *cluster_name(struct arena *a, const struct probe_route *r)
{
    static const char *const names[PROBE_WHEN_COUNT] = {"liveness", "readiness", "startup",
                                                        "poststart", "prestop"};
    return value_new_stringf(a, "%.*s_%s_cluster", STR_ARG(r->container), names[r->when]);
}

/* --- HTTP --- */

/* Exactly this path: everything else of the application stays behind the mesh's door. An answer
 * that redirects counts as it is; the kubelet would look for the place that it names on our port.
 */
static const struct value *route(struct arena *a, const struct value *path,
                                 const struct value *to_cluster, const struct value *rewrite,
                                 int64_t timeout_s)
{
    return build_object(a, "match", build_object(a, "path", path, NULL), "route",
                        build_object(a, "cluster", to_cluster, "prefix_rewrite", rewrite, "timeout",
                                     value_new_stringf(a, "%llds", (long long)timeout_s), NULL),
                        "response_headers_to_remove", build_texts(a, "location", NULL), NULL);
}

static const struct value *http_filter(struct arena *a, const char *name, const char *stat_prefix,
                                       const struct value *routes)
{
    const struct value *host = build_object(a, "name", build_text(a, name), "domains",
                                            build_texts(a, "*", NULL), "routes", routes, NULL);
    const struct value *table = build_object(a, "name", build_text(a, name), "virtual_hosts",
                                             build_array(a, host, NULL), NULL);
    const struct value *router = typed_filter(
        a, "envoy.filters.http.router",
        build_object(a, "@type", build_text(a, TYPE "extensions.filters.http.router.v3.Router"),
                     "suppress_envoy_headers", value_new_bool(a, true), NULL));
    return typed_filter(
        a, "envoy.filters.network.http_connection_manager",
        build_object(
            a, "@type",
            build_text(
                a,
                TYPE "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix", build_text(a, stat_prefix), "generate_request_id",
            value_new_bool(a, false), "route_config", table, "http_filters",
            build_array(a, router, NULL), NULL));
}

static void add_http(struct arena *a, const struct probe_plan *plan, int port, const char *name,
                     const char *stat_prefix, struct value *routes, const struct inject_options *o,
                     struct value *listeners, struct value *clusters)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct probe_route *r = &plan->at[i];
        if (r->listener != port || r->how > PROBE_HTTPS) {
            continue;
        }
        const struct value *to = cluster_name(a, r);
        value_push(a, routes,
                   route(a, value_new_string(a, probe_path(a, r)), to, value_new_string(a, r->path),
                         r->timeout_s));
        value_push(
            a, clusters,
            cluster(a, to, r->port, r->how == PROBE_HTTPS ? unverified_tls(a) : NULL, false));
    }
    if (routes->array.len > 0) {
        value_push(a, listeners,
                   listener(a, name, port, http_filter(a, name, stat_prefix, routes), o));
    }
}

/* --- gRPC --- */

/* Probes of one port share a listener; the kubelet gives each up after its own time. */
static int64_t longest_timeout(const struct probe_plan *plan, int port)
{
    int64_t longest = 0;
    for (size_t i = 0; i < plan->len; i++) {
        const struct probe_route *r = &plan->at[i];
        longest = r->listener == port && r->timeout_s > longest ? r->timeout_s : longest;
    }
    return longest;
}

/* Only the check itself: the application's other methods are often served on the same port. */
static void add_grpc(struct arena *a, const struct probe_plan *plan, int port,
                     const struct inject_options *o, struct value *listeners,
                     struct value *clusters)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct probe_route *r = &plan->at[i];
        if (r->how != PROBE_GRPC || r->listener != port) {
            continue;
        }
        char name[32];
        snprintf(name, sizeof(name), "grpc_probe_listener_%d", port);
        const struct value *to = value_new_stringf(a, "grpc_probe_%d_cluster", (int)r->port);
        const struct value *check =
            route(a, build_text(a, GRPC_CHECK_PATH), to, NULL, longest_timeout(plan, port));
        const struct value *filter =
            http_filter(a, name, "health_probes_grpc", build_array(a, check, NULL));
        value_push(a, listeners, listener(a, name, port, filter, o));
        value_push(a, clusters, cluster(a, to, r->port, NULL, true));
        return;
    }
}

/* --- all --- */

/* Listeners answer when the first configuration came, no earlier. */
static struct value *ready_routes(struct arena *a, const struct inject_options *o)
{
    struct value *routes = value_new(a, VALUE_ARRAY);
    if (o->native) {
        const struct value *ok = build_object(a, "status", value_new_int(a, 200), NULL);
        value_push(a, routes,
                   build_object(a, "match",
                                build_object(a, "path", build_text(a, READY_PATH), NULL),
                                "direct_response", ok, NULL));
    }
    return routes;
}

void probes_add_envoy(struct arena *a, const struct probe_plan *plan,
                      const struct inject_options *o, struct value *listeners,
                      struct value *clusters)
{
    static const struct {
        int port;
        const char *name;
    } types[] = {{PORT_LIVENESS, "liveness_listener"},
                 {PORT_READINESS, "readiness_listener"},
                 {PORT_STARTUP, "startup_listener"}};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        add_http(a, plan, types[i].port, types[i].name, "health_probes_http",
                 value_new(a, VALUE_ARRAY), o, listeners, clusters);
    }
    add_http(a, plan, PORT_READY, "ready_listener", "sidecar_ready", ready_routes(a, o), o,
             listeners, clusters);
    for (int port = PORT_GRPC_FIRST; port <= PORT_GRPC_LAST; port++) {
        add_grpc(a, plan, port, o, listeners, clusters);
    }
}
