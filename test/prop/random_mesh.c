/* The small random world. */
#include "random_mesh.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

const char *const random_namespaces[RANDOM_NAMESPACES] = {"a", "b"};

/* splitmix64 */
static uint64_t next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(next(r) % n);
}

uint64_t rng_seed(const char *test)
{
    const char *text = getenv("PROP_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
    printf("%s: PROP_SEED=%" PRIu64 "\n", test, seed);
    return seed;
}

unsigned rng_rounds(unsigned by_default)
{
    const char *text = getenv("PROP_ROUNDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : by_default;
}

/* How often each kind is picked, and how many names it has. */
static const struct {
    enum kind kind;
    const char *prefix;
    uint32_t share, names;
} world[] = {
    {KIND_NAMESPACE, "", 2, 0},
    {KIND_MESH_CONFIG, "", 1, 0},
    {KIND_SERVICE_ACCOUNT, "s", 3, RANDOM_ACCOUNTS},
    {KIND_SERVICE, "v", 8, 5},
    {KIND_POD, "p", 8, 6},
    {KIND_ENDPOINT_SLICE, "e", 8, 5},
    {KIND_TRAFFIC_TARGET, "t", 6, 5},
    {KIND_HTTP_ROUTE_GROUP, "g", 4, 3},
    {KIND_TCP_ROUTE, "r", 3, 2},
    {KIND_TRAFFIC_SPLIT, "x", 5, 4},
    {KIND_INGRESS_BACKEND, "i", 5, 3},
};

struct random_name random_pick(struct rng *r)
{
    uint32_t total = 0, i = 0;
    for (size_t j = 0; j < COUNT_OF(world); j++) {
        total += world[j].share;
    }
    uint32_t at = rng_below(r, total);
    while (at >= world[i].share) {
        at -= world[i++].share;
    }
    const char *namespace = random_namespaces[rng_below(r, RANDOM_NAMESPACES)];
    struct random_name n = {.kind = world[i].kind, .namespace = namespace};
    if (n.kind == KIND_NAMESPACE) {
        n.namespace = "";
        snprintf(n.name, sizeof(n.name), "%s", namespace);
    } else if (n.kind == KIND_MESH_CONFIG) {
        n.namespace = "osm-system";
        snprintf(n.name, sizeof(n.name), "osm-mesh-config");
    } else {
        snprintf(n.name, sizeof(n.name), "%s%u", world[i].prefix, rng_below(r, world[i].names));
    }
    return n;
}

static const char *some(struct rng *r, const char *const *list, size_t n)
{
    return list[rng_below(r, (uint32_t)n)];
}
#define SOME(r, ...)                                                                               \
    some((r), (const char *const[]){__VA_ARGS__},                                                  \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

const char *random_method(struct rng *r)
{
    return SOME(r, "GET", "PUT", "POST", "DELETE");
}

const char *random_path(struct rng *r)
{
    return SOME(r, "/", "/a", "/ab", "/abc", "/b?x=/a", "/a?b");
}

const char *random_header_value(struct rng *r)
{
    return SOME(r, "v", "vv", "w", "host", "");
}

static void write_service(struct rng *r, struct buf *b)
{
    buf_printf(b, "spec: {type: %s, clusterIP: %s", rng_below(r, 12) ? "ClusterIP" : "ExternalName",
               SOME(r, "10.1.0.1", "10.1.0.2", "None", "\"\""));
    if (rng_below(r, 6)) {
        buf_printf(b, ", selector: {app: l%u", rng_below(r, 3));
        buf_printf(b, rng_below(r, 2) ? ", tier: t%u}" : "}", rng_below(r, 2));
    }
    buf_printf(b, ", publishNotReadyAddresses: %s, ports: [", SOME(r, "true", "false"));
    uint32_t n = rng_below(r, 3) + 1;
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "%s{name: %s%u, port: %u, protocol: %s, targetPort: %s", i ? ", " : "",
                   SOME(r, "http-p", "tcp-p", "p", "grpc-p"), i, 80 + i + rng_below(r, 2) * 3,
                   rng_below(r, 8) ? "TCP" : "UDP", SOME(r, "8080", "8081", "web", "api"));
        buf_addz(b, SOME(r, "}", "}", ", appProtocol: grpc}", ", appProtocol: odd}"));
    }
    buf_addz(b, "]}\n");
}

static void write_pod(struct rng *r, struct buf *b)
{
    uint32_t ip = rng_below(r, 6);
    buf_printf(b,
               "spec: {serviceAccountName: %s, hostNetwork: %s, containers: [{name: c, image: i, "
               "ports: [{name: %s, containerPort: %u}]}]}\n",
               SOME(r, "s0", "s1", "s2", "default"), rng_below(r, 8) ? "false" : "true",
               SOME(r, "web", "api"), 8080 + rng_below(r, 3));
    buf_printf(b, "status: {phase: %s, podIP: 10.0.0.%u", SOME(r, "Running", "Failed"), ip);
    if (rng_below(r, 3)) {
        buf_printf(b, ", podIPs: [{ip: 10.0.0.%u}, {ip: \"fd00::%u\"}]", ip, ip);
    }
    buf_addz(b, "}\n");
}

static void write_slice(struct rng *r, struct buf *b)
{
    bool v6 = rng_below(r, 4) == 0;
    buf_printf(b, "addressType: %s\nendpoints: [", v6 ? "IPv6" : "IPv4");
    uint32_t n = rng_below(r, 4);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "%s{addresses: [\"%s%u\"]", i ? ", " : "", v6 ? "fd00::" : "10.0.0.",
                   rng_below(r, 6));
        if (rng_below(r, 3) == 0) {
            buf_printf(b, ", targetRef: {kind: Pod, name: p%u, namespace: %s}", rng_below(r, 6),
                       SOME(r, "a", "a", "b"));
        }
        buf_addz(b, SOME(r, "}", ", conditions: {ready: false}}", ", conditions: {ready: true}}"));
    }
    buf_printf(b, "]\nports: [{name: %s, port: %u}, {name: %s, port: 8085}]\n",
               SOME(r, "http-p0", "tcp-p0", "p0"), 8080 + rng_below(r, 3),
               SOME(r, "http-p1", "tcp-p1", "p1"));
}

static void write_target(struct rng *r, const char *namespace, struct buf *b)
{
    buf_printf(b,
               "spec:\n  destination: {kind: ServiceAccount, name: s%u, namespace: %s}\n"
               "  sources:\n",
               rng_below(r, RANDOM_ACCOUNTS), namespace);
    uint32_t n = rng_below(r, 2) + 1;
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "  - {kind: ServiceAccount, name: %s, namespace: %s}\n",
                   SOME(r, "s0", "s1", "s2", "default"), SOME(r, "a", "b", "c"));
    }
    buf_addz(b, "  rules:\n");
    uint32_t first = rng_below(r, 2);
    n = rng_below(r, 2) + 1;
    for (uint32_t i = 0; i < n; i++) {
        if ((first + i) % 2) {
            buf_printf(b, "  - {kind: TCPRoute, name: r%u}\n", rng_below(r, 2));
        } else if (rng_below(r, 2)) {
            buf_printf(b, "  - {kind: HTTPRouteGroup, name: g%u}\n", rng_below(r, 3));
        } else {
            buf_printf(b, "  - {kind: HTTPRouteGroup, name: g%u, matches: [m%u]}\n",
                       rng_below(r, 3), rng_below(r, 3));
        }
    }
}

static void write_group(struct rng *r, struct buf *b)
{
    buf_addz(b, "spec: {matches: [");
    uint32_t n = rng_below(r, 3) + 1;
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "%s{name: m%u", i ? ", " : "", i);
        if (rng_below(r, 2)) {
            buf_printf(b, ", pathRegex: \"%s\"",
                       SOME(r, "/a", "/a.*", "/.*b", "/", ".*", "/[ab]+"));
        }
        if (rng_below(r, 2)) {
            buf_printf(b, ", methods: [%s]", SOME(r, "GET", "PUT, GET", "POST", "\"*\""));
        }
        if (rng_below(r, 3) == 0) {
            buf_printf(b, ", headers: [{%s: \"%s\"}]", SOME(r, "X-One", "host", "two"),
                       SOME(r, "v", "v+", "h.*", "[vw]"));
        }
        buf_addc(b, '}');
    }
    buf_addz(b, "]}\n");
}

static void write_split(struct rng *r, struct buf *b)
{
    buf_printf(b, "spec: {service: v%u, backends: [", rng_below(r, 5));
    uint32_t n = rng_below(r, 3) + 1, first = rng_below(r, 6);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "%s{service: v%u, weight: %u}", i ? ", " : "", (first + i) % 6,
                   i ? rng_below(r, 4) : 1 + rng_below(r, 4));
    }
    buf_addc(b, ']');
    if (rng_below(r, 2)) {
        buf_printf(b, ", matches: [{kind: HTTPRouteGroup, name: g%u}]", rng_below(r, 4));
    }
    buf_addz(b, "}\n");
}

static void write_ingress_backends(struct rng *r, struct buf *b)
{
    uint32_t n = rng_below(r, 2) + 1, first = rng_below(r, 6);
    buf_addz(b, "spec:\n  backends:\n");
    for (uint32_t i = 0; i < n; i++) {
        bool tls = rng_below(r, 2);
        buf_printf(b, "  - {name: v%u, port: {number: %s, protocol: %s}", (first + i) % 6,
                   SOME(r, "8080", "8081", "8082", "9"), tls ? "https" : "http");
        if (tls && rng_below(r, 2)) {
            buf_printf(b, ", tls: {skipClientCertValidation: %s, sniHosts: [%s]}",
                       SOME(r, "true", "false"),
                       SOME(r, "", "A.example", "a.example, \"*\"", "\"*w\""));
        }
        buf_addz(b, "}\n");
    }
}

static void write_ingress(struct rng *r, struct buf *b)
{
    write_ingress_backends(r, b);
    buf_addz(b, "  sources:\n  - {kind: AuthenticatedPrincipal, name: gateway.example}\n");
    uint32_t n = rng_below(r, 3);
    for (uint32_t i = 0; i < n; i++) {
        if (rng_below(r, 2)) {
            buf_printf(b, "  - {kind: IPRange, name: \"%s\"}\n",
                       SOME(r, "10.0.0.1/32", "10.0.0.3/31", "0.0.0.0/0", "fd00::/64"));
        } else {
            buf_printf(b, "  - {kind: Service, name: v%u, namespace: %s}\n", rng_below(r, 6),
                       SOME(r, "a", "b", "c"));
        }
    }
    if (rng_below(r, 2)) {
        buf_printf(b, "  matches: [{apiGroup: %s, kind: HTTPRouteGroup, name: g%u}]\n",
                   SOME(r, "specs.smi-spec.io/v1alpha4", "specs.smi-spec.io/v1alpha4", "odd"),
                   rng_below(r, 4));
    }
}

static void write_metadata(struct rng *r, const struct random_name *n, struct buf *b)
{
    buf_printf(b, "kind: %s\nmetadata: {name: %s", kind_info(n->kind)->name, n->name);
    if (n->namespace[0]) {
        buf_printf(b, ", namespace: %s", n->namespace);
    }
    if (n->kind == KIND_NAMESPACE && rng_below(r, 8)) {
        buf_printf(b, ", labels: {openservicemesh.io/monitored-by: %s}",
                   rng_below(r, 8) ? "osm" : "other");
    } else if (n->kind == KIND_ENDPOINT_SLICE) {
        buf_printf(b, ", labels: {kubernetes.io/service-name: v%u}", rng_below(r, 5));
    } else if (n->kind == KIND_POD) {
        buf_printf(b, ", labels: {app: l%u, tier: t%u", rng_below(r, 3), rng_below(r, 2));
        buf_printf(b, rng_below(r, 4) ? ", osm-proxy-uuid: u-%s%u}" : "}", n->name,
                   rng_below(r, 2));
        buf_printf(b, ", annotations: {prometheus.io/scrape: \"%s\"}", SOME(r, "true", "no"));
    }
    buf_addz(b, "}\n");
}

void random_write(struct rng *r, const struct random_name *n, struct buf *out)
{
    const struct kind_info *info = kind_info(n->kind);
    buf_printf(out, "apiVersion: %s%s%s\n", info->group, info->group[0] ? "/" : "",
               n->kind == KIND_TRAFFIC_SPLIT ? "v1alpha4" : info->versions[0]);
    write_metadata(r, n, out);
    switch (n->kind) {
    case KIND_MESH_CONFIG:
        buf_printf(out, "spec: {traffic: {enablePermissiveTrafficPolicyMode: %s}}\n",
                   rng_below(r, 3) ? "false" : "true");
        break;
    case KIND_SERVICE:
        write_service(r, out);
        break;
    case KIND_POD:
        write_pod(r, out);
        break;
    case KIND_ENDPOINT_SLICE:
        write_slice(r, out);
        break;
    case KIND_TRAFFIC_TARGET:
        write_target(r, n->namespace, out);
        break;
    case KIND_HTTP_ROUTE_GROUP:
        write_group(r, out);
        break;
    case KIND_TCP_ROUTE:
        buf_printf(out, "spec: {matches: {name: m, ports: [%s]}}\n",
                   SOME(r, "", "8080", "8080, 8081", "9"));
        break;
    case KIND_TRAFFIC_SPLIT:
        write_split(r, out);
        break;
    case KIND_INGRESS_BACKEND:
        write_ingress(r, out);
        break;
    default:
        break;
    }
}
