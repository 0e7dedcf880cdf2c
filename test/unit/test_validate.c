/* The validator: what is refused and with which sentence, what is accepted and with which warnings.
 * Each case is what the cluster has, what is asked, and the whole answer. */
#include "kinds_fixture.h"

#include "webhook/validate.h"

static const struct mesh_options options = {.mesh_name = "osm",
                                            .osm_namespace = "osm-system",
                                            .config_name = "osm-mesh-config",
                                            .trust_domain = "cluster.local"};

#define NAMESPACE(name)                                                                            \
    "---\n{apiVersion: v1, kind: Namespace, metadata: {name: " name                                \
    ", labels: {openservicemesh.io/monitored-by: osm}}}\n"
#define ACCOUNT(ns, name)                                                                          \
    "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name ", namespace: " ns "}}\n"
#define SERVICE(ns, name)                                                                          \
    "---\n{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: " ns               \
    "}, spec: {clusterIP: 10.0.0.1, selector: {app: " name "}, ports: [{port: 80}]}}\n"
#define GROUP(ns, name, match)                                                                     \
    "---\n{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, metadata: {name: " name   \
    ", namespace: " ns "}, spec: {matches: [{name: " match "}]}}\n"
#define TARGET(ns, name, dest_ns, rules)                                                           \
    "---\n{apiVersion: access.smi-spec.io/v1alpha3, kind: TrafficTarget, metadata: {name: " name   \
    ", namespace: " ns                                                                             \
    "}, spec: {destination: {kind: ServiceAccount, name: server, namespace: " dest_ns              \
    "}, sources: [{kind: ServiceAccount, name: client, namespace: ns}], rules: [" rules "]}}\n"
#define SPLIT(name, apex, backends)                                                                \
    "---\n{apiVersion: split.smi-spec.io/v1alpha2, kind: TrafficSplit, metadata: {name: " name     \
    ", namespace: ns}, spec: {service: " apex ", backends: [" backends "]}}\n"
#define POLICY(kind, ns, name, spec)                                                               \
    "---\n{apiVersion: policy.openservicemesh.io/v1alpha1, kind: " kind ", metadata: {name: " name \
    ", namespace: " ns "}, spec: {" spec "}}\n"
#define CONFIG(kind, ns, name, spec)                                                               \
    "---\n{apiVersion: config.openservicemesh.io/v1alpha2, kind: " kind ", metadata: {name: " name \
    ", namespace: " ns "}, spec: {" spec "}}\n"
#define ROOT(name, role)                                                                           \
    CONFIG("MeshRootCertificate", "osm-system", name,                                              \
           "role: " role ", provider: {tresor: {ca: {secretRef: {name: a, namespace: b}}}}")
#define INGRESS(ns, name, backend, port)                                                           \
    POLICY("IngressBackend", ns, name,                                                             \
           "backends: [{name: " backend ", port: {number: " port                                   \
           ", protocol: http}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]")
#define UPSTREAM(ns, name, host) POLICY("UpstreamTrafficSetting", ns, name, "host: " host)

#define MESH NAMESPACE("ns") ACCOUNT("ns", "server") ACCOUNT("ns", "client")
#define NO_EFFECT "warning: kind: is accepted, but has no effect yet\n"

static void store_take(void *arg, struct object *o)
{
    store_put(arg, o);
}

static void fill(struct store *s, const char *text)
{
    struct findings f = {0};
    assert_int_equal(objects_read(str_of(text), NULL, store_take, s, &f), 0);
    findings_done(&f);
}

static const struct value *parse(struct arena *a, const char *text)
{
    struct value *v;
    struct err e = ERR_INIT;
    if (value_read_yaml(a, str_of(text), 1, &v, NULL, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return v;
}

/* "denied: ...\n" and "warning: ...\n" lines. */
static char *answer(const char *cluster, const char *now, const char *old)
{
    struct arena *a = arena_new(4096);
    struct validator v = {.store = store_new(), .mesh = &options};
    fill((struct store *)v.store, cluster);
    struct admission_request q = {.operation = old ? ADMISSION_UPDATE : ADMISSION_CREATE,
                                  .object = parse(a, now),
                                  .old_object = old ? parse(a, old) : NULL};
    struct str version = value_string_at(q.object, "apiVersion");
    assert_true(str_cut(version, '/', &q.group, &q.version));
    q.kind = value_string_at(q.object, "kind");
    q.namespace = value_string_at(q.object, "metadata.namespace");
    q.name = value_string_at(q.object, "metadata.name");
    struct admission_verdict verdict = {0};
    validate(&v, a, &q, &verdict);
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_addz(&b, verdict.allowed ? "" : "denied: ");
    buf_printf(&b, "%.*s%s", STR_ARG(verdict.message), verdict.allowed ? "" : "\n");
    for (size_t i = 0; i < value_len(verdict.warnings); i++) {
        buf_printf(&b, "warning: %.*s\n", STR_ARG(verdict.warnings->array.at[i].string));
    }
    store_free((struct store *)v.store);
    arena_free(a);
    buf_addc(&b, '\0');
    return buf_take(&b);
}

struct row {
    const char *cluster, *now, *old, *expected;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *found = answer(rows[i].cluster, rows[i].now, rows[i].old);
        assert_string_equal(found, rows[i].expected);
        free(found);
    }
}
#define CHECK(rows) check(rows, COUNT_OF(rows))

static void traffic_targets(void **state)
{
    static const struct row rows[] = {
        {MESH GROUP("ns", "g", "all"), TARGET("ns", "t", "ns", "{kind: HTTPRouteGroup, name: g}"),
         NULL, ""},
        {MESH, TARGET("ns", "t", "other", "{kind: TCPRoute, name: r}"), NULL,
         "denied: TrafficTarget ns/t: spec.destination.namespace: expected the namespace of the "
         "TrafficTarget, \"ns\", found \"other\"; move the TrafficTarget to the namespace of its "
         "destination\n"},
        {MESH, TARGET("ns", "t", "ns", "{kind: UDPRoute, name: r}"), NULL,
         "denied: TrafficTarget ns/t: spec.rules[0].kind: expected \"HTTPRouteGroup\" or "
         "\"TCPRoute\", found \"UDPRoute\"; did you mean \"TCPRoute\"?\n"},
        /* Two errors: the first refuses, the other is beside it. */
        {MESH, TARGET("ns", "t", "other", ""), NULL,
         "denied: TrafficTarget ns/t: spec.rules: expected a list of at least one entry, found an "
         "empty list\n"
         "warning: spec.destination.namespace: expected the namespace of the TrafficTarget, "
         "\"ns\", found \"other\"; move the TrafficTarget to the namespace of its destination\n"},
        {NAMESPACE("ns"), TARGET("ns", "t", "ns", "{kind: HTTPRouteGroup, name: g}"), NULL,
         "warning: spec.destination: there is no service account ns/server in the mesh; check its "
         "name\n"
         "warning: spec.sources[0]: there is no service account ns/client in the mesh; check its "
         "name and namespace\n"
         "warning: spec.rules[0]: there is no HTTPRouteGroup ns/g; this rule allows nothing until "
         "there is\n"},
        {MESH GROUP("ns", "g", "all"),
         TARGET("ns", "t", "ns", "{kind: HTTPRouteGroup, name: g, matches: [some]}"), NULL,
         "warning: spec.rules[0].matches[0]: HTTPRouteGroup ns/g has no match \"some\"; it allows "
         "nothing until there is one\n"},
    };
    CHECK(rows);
}

static void routes(void **state)
{
    static const struct row rows[] = {
        {MESH, GROUP("ns", "g", "all"), NULL,
         "warning: nothing uses this HTTPRouteGroup yet: no TrafficTarget, TrafficSplit, "
         "IngressBackend or Egress of this namespace names it\n"},
        {MESH TARGET("ns", "t", "ns", "{kind: HTTPRouteGroup, name: g}"), GROUP("ns", "g", "all"),
         NULL, ""},
        /* Said of the one who uses it. */
        {MESH GROUP("ns", "g", "all")
             TARGET("ns", "t", "ns", "{kind: HTTPRouteGroup, name: g, matches: [all]}"),
         GROUP("ns", "g", "some"), GROUP("ns", "g", "all"),
         "warning: TrafficTarget ns/t: spec.rules[0].matches[0]: HTTPRouteGroup ns/g has no match "
         "\"all\"; it allows nothing until there is one\n"},
        {MESH, GROUP("ns", "g", "all, pathRegex: '('"), NULL,
         "denied: HTTPRouteGroup ns/g: spec.matches[0].pathRegex: expected a regular expression "
         "(RE2), found \"(\"; the ( is never closed, at character 1\n"},
        {MESH,
         "{apiVersion: specs.smi-spec.io/v1alpha4, kind: TCPRoute, metadata: {name: r, namespace: "
         "ns}, spec: {matches: {ports: [70000]}}}",
         NULL,
         "denied: TCPRoute ns/r: spec.matches.ports[0]: expected a whole number from 1 to 65535, "
         "found 70000\n"},
        {MESH,
         "{apiVersion: specs.smi-spec.io/v1alpha4, kind: TCPRoute, metadata: {name: r, namespace: "
         "ns}, spec: {matches: {ports: [80]}}}",
         NULL,
         "warning: nothing uses this TCPRoute yet: no TrafficTarget of this namespace names it\n"},
        {MESH,
         "{apiVersion: specs.smi-spec.io/v1alpha3, kind: TCPRoute, metadata: {name: r, namespace: "
         "ns}}",
         NULL,
         "denied: TCPRoute ns/r: apiVersion: expected \"specs.smi-spec.io/v1alpha4\", found "
         "\"specs.smi-spec.io/v1alpha3\"\n"},
    };
    CHECK(rows);
}

#define SERVICES MESH SERVICE("ns", "apex") SERVICE("ns", "v1") SERVICE("ns", "v2")

static void splits(void **state)
{
    static const struct row rows[] = {
        {SERVICES, SPLIT("s", "apex", "{service: v1, weight: 1}"), NULL, ""},
        {SERVICES, SPLIT("s", "apex", "{service: v1, weight: 0}"), NULL,
         "denied: TrafficSplit ns/s: spec.backends: expected at least one weight above 0, found "
         "none: no call could go anywhere\n"},
        {SERVICES, SPLIT("s", "apex", "{service: v1, weight: -1}"), NULL,
         "denied: TrafficSplit ns/s: spec.backends[0].weight: expected a whole number of at least "
         "0, found -1\n"},
        {SERVICES SPLIT("a", "apex", "{service: v1, weight: 1}"),
         SPLIT("b", "apex", "{service: v2, weight: 1}"), NULL,
         "warning: spec.service: TrafficSplit a already splits all calls to ns/apex and comes "
         "first by name; this one has no effect (E2007), give it matches or delete it\n"},
        /* The other way round the other one loses. */
        {SERVICES SPLIT("b", "apex", "{service: v1, weight: 1}"),
         SPLIT("a", "apex", "{service: v2, weight: 1}"), NULL,
         "warning: TrafficSplit ns/b: spec.service: TrafficSplit a already splits all calls to "
         "ns/apex and comes first by name; this one has no effect (E2007), give it matches or "
         "delete it\n"},
        {SERVICES, SPLIT("s", "apex", "{service: v1, weight: 1}, {service: v3, weight: 1}"), NULL,
         "warning: spec.backends[1].service: there is no service ns/v3 in the mesh; its share goes "
         "to the other backends\n"},
        {SERVICES, SPLIT("s", "nobody", "{service: v1, weight: 1}"), NULL,
         "warning: spec.service: there is no service ns/nobody in the mesh, so that this split has "
         "no effect; create it, its backends' pods may be behind it\n"},
    };
    CHECK(rows);
}

static void ingress_backends(void **state)
{
    static const struct row rows[] = {
        {SERVICES, INGRESS("ns", "i", "v1", "80"), NULL, ""},
        {SERVICES, INGRESS("ns", "i", "v3", "80"), NULL,
         "warning: spec.backends[0].name: there is no service ns/v3 in the mesh; nothing is opened "
         "until there is\n"},
        {SERVICES INGRESS("ns", "other", "v1", "80"), INGRESS("ns", "i", "v1", "80"), NULL,
         "denied: IngressBackend ns/i: spec.backends[0]: expected a backend that no other "
         "IngressBackend of this namespace has, found \"v1\" with port 80, which other has too: "
         "duplicate backends detected\n"},
        /* Another port, another namespace, itself. */
        {SERVICES INGRESS("ns", "other", "v1", "81"), INGRESS("ns", "i", "v1", "80"), NULL, ""},
        {SERVICES INGRESS("ns2", "i", "v1", "80"), INGRESS("ns", "i", "v1", "80"), NULL, ""},
        {SERVICES INGRESS("ns", "i", "v1", "80"), INGRESS("ns", "i", "v1", "80"),
         INGRESS("ns", "i", "v1", "81"), ""},
        {SERVICES,
         POLICY("IngressBackend", "ns", "i",
                "backends: [{name: v1, port: {number: 80, protocol: https}, tls: "
                "{skipClientCertValidation: false}}], sources: [{kind: IPRange, name: "
                "10.0.0.0/8}]"),
         NULL,
         "denied: IngressBackend ns/i: spec.backends[0]: expected a source of kind "
         "AuthenticatedPrincipal, as client certificates are validated, found none; add the "
         "gateway's principal, or set tls.skipClientCertValidation\n"},
        {SERVICES, INGRESS("ns", "i", "v1", "8080"), NULL,
         "warning: spec.backends[0].port.number: expected a port of the pods of service ns/v1, to "
         "which it leads calls (80), found 8080; nothing is opened\n"},
        {SERVICES,
         POLICY("IngressBackend", "ns", "i",
                "backends: [{name: v1, port: {number: 80, protocol: http}}], sources: [{kind: "
                "Service, name: v2, namespace: ns}]"),
         NULL,
         "warning: spec.sources[0]: endpoints not found for service ns/v2: none of its pods is "
         "ready, so that nobody may call from there yet\n"},
        /* Said of the one who uses it. */
        {SERVICES POLICY("IngressBackend", "ns", "i",
                         "backends: [{name: v1, port: {number: 80, protocol: http}}], sources: "
                         "[{kind: IPRange, name: 10.0.0.0/8}], matches: [{apiGroup: "
                         "specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}]"),
         GROUP("ns", "g", "all"), NULL, ""},
        /* What the older condition refused. */
        {SERVICES,
         POLICY("IngressBackend", "ns", "i",
                "backends: [{name: v1, port: {number: 80, protocol: https}, tls: "
                "{skipClientCertValidation: true}}], sources: [{kind: IPRange, name: "
                "10.0.0.0/8}]"),
         NULL, ""},
    };
    CHECK(rows);
}

static void other_policies(void **state)
{
    static const struct row rows[] = {
        {MESH GROUP("ns", "g", "all"),
         POLICY("Egress", "ns", "e",
                "sources: [{kind: ServiceAccount, name: client, namespace: ns}], hosts: [a.b], "
                "ports: [{number: 80, protocol: http}], matches: [{apiGroup: "
                "specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}]"),
         NULL, NO_EFFECT},
        {MESH,
         POLICY("Egress", "ns", "e",
                "sources: [{kind: ServiceAccount, name: x, namespace: ns}], ports: [{number: 80, "
                "protocol: tcp}], matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: "
                "HTTPRouteGroup, name: g}, {apiGroup: policy.openservicemesh.io/v1alpha1, kind: "
                "UpstreamTrafficSetting, name: u}]"),
         NULL,
         NO_EFFECT
         "warning: spec.sources[0]: there is no ServiceAccount ns/x in the mesh; check its name "
         "and namespace\n"
         "warning: spec.matches[0]: there is no HTTPRouteGroup ns/g in the mesh; check its name "
         "and namespace\n"
         "warning: spec.matches[1]: there is no UpstreamTrafficSetting ns/u in the mesh; check its "
         "name and namespace\n"},
        {MESH,
         POLICY("Egress", "ns", "e",
                "sources: [{kind: ServiceAccount, name: client, namespace: ns}], ports: [{number: "
                "80, protocol: tcp}], matches: [{apiGroup: apps/v1, kind: Deployment, name: "
                "g}]"),
         NULL,
         "denied: Egress ns/e: spec.matches[0].apiGroup: expected \"specs.smi-spec.io/v1alpha4\" "
         "or \"policy.openservicemesh.io/v1alpha1\", found \"apps/v1\"\n"},
        {SERVICES, UPSTREAM("ns", "u", "v1.ns.svc.cluster.local"), NULL, NO_EFFECT},
        {SERVICES, UPSTREAM("ns", "u", "v1"), NULL,
         "denied: UpstreamTrafficSetting ns/u: spec.host: expected a host name with at least one "
         "dot, such as \"v1.ns.svc.cluster.local\", found \"v1\"\n"},
        {SERVICES UPSTREAM("ns", "other", "v1.ns.svc.cluster.local"),
         UPSTREAM("ns", "u", "v1.ns.svc.cluster.local"), NULL,
         "denied: UpstreamTrafficSetting ns/u: spec.host: expected a host that no other "
         "UpstreamTrafficSetting of this namespace has, found \"v1.ns.svc.cluster.local\", which "
         "other has too\n" NO_EFFECT},
        {SERVICES, UPSTREAM("ns", "u", "v3.ns.svc.cluster.local"), NULL,
         NO_EFFECT "warning: spec.host: there is no Service ns/v3 in the mesh; check its name and "
                   "namespace\n"},
        {MESH, UPSTREAM("ns", "u", "httpbin.org"), NULL, NO_EFFECT},
        {SERVICES,
         POLICY("Retry", "ns", "r",
                "source: {kind: ServiceAccount, name: default, namespace: ns}, destinations: "
                "[{kind: Service, name: v1, namespace: ns}, {kind: Service, name: v3, namespace: "
                "ns}], retryPolicy: {retryOn: 5xx}"),
         NULL,
         NO_EFFECT "warning: spec.destinations[1]: there is no Service ns/v3 in the mesh; check "
                   "its name and namespace\n"},
        {MESH,
         POLICY("Telemetry", "ns", "t",
                "accessLog: {openTelemetry: {extensionService: {name: x, namespace: ns}}}"),
         NULL,
         NO_EFFECT "warning: spec.accessLog.openTelemetry.extensionService: there is no "
                   "ExtensionService ns/x in the mesh; check its name and namespace\n"},
    };
    CHECK(rows);
}

static void mesh_configs(void **state)
{
    static const struct row rows[] = {
        {"", CONFIG("MeshConfig", "osm-system", "osm-mesh-config", "sidecar: {mode: native}"), NULL,
         ""},
        {"", CONFIG("MeshConfig", "osm-system", "osm-mesh-config", "sidecar: {mode: both}"), NULL,
         "denied: MeshConfig osm-system/osm-mesh-config: spec.sidecar.mode: expected \"auto\", "
         "\"native\" or \"container\", found \"both\"\n"},
        {"", CONFIG("MeshConfig", "osm-system", "mine", "featureFlags: {enableRetryPolicy: true}"),
         NULL,
         "warning: spec.featureFlags.enableRetryPolicy: is accepted, but has no effect yet\n"
         "warning: nothing reads this MeshConfig: the mesh reads osm-system/osm-mesh-config "
         "only\n"},
    };
    CHECK(rows);
}

#define ROOT_OF(domain, spiffe, secret)                                                            \
    CONFIG("MeshRootCertificate", "osm-system", "r",                                               \
           "role: active, trustDomain: " domain ", spiffeEnabled: " spiffe                         \
           ", provider: {tresor: {ca: {secretRef: {name: " secret ", namespace: b}}}}")

#define ROOT_BESIDE(domain, role)                                                                  \
    CONFIG("MeshRootCertificate", "osm-system", "r",                                               \
           "role: " role ", trustDomain: " domain                                                  \
           ", provider: {tresor: {ca: {secretRef: {name: s, namespace: osm-system}}}}")

static void roots(void **state)
{
    static const struct row rows[] = {
        /* What the mesh does anyway. */
        {"", ROOT_BESIDE("cluster.local", "active"), NULL, ""},
        {"", ROOT_BESIDE("a.b", "active"), NULL,
         "warning: spec.trustDomain: has no effect: the trust domain of mesh osm is cluster.local, "
         "given at its install\n"},
        {"", ROOT_BESIDE("cluster.local", "passive"), NULL, NO_EFFECT},
        {"", ROOT("r", "active"), NULL, NO_EFFECT},
        {ROOT("a", "active"), ROOT("r", "passive"), NULL, NO_EFFECT},
        {ROOT("a", "active"), ROOT("r", "active"), NULL,
         "denied: MeshRootCertificate osm-system/r: spec.role: expected passive or inactive, as "
         "MeshRootCertificate a is active, found active\n" NO_EFFECT},
        {ROOT("a", "passive"), ROOT("r", "passive"), NULL,
         "denied: MeshRootCertificate osm-system/r: spec.role: expected active or inactive, as "
         "MeshRootCertificate a is passive, found passive\n" NO_EFFECT},
        {ROOT("a", "active") ROOT("p", "passive"), ROOT("r", "passive"), NULL,
         "denied: MeshRootCertificate osm-system/r: spec.role: expected inactive, as two "
         "MeshRootCertificates are in use, found passive\n" NO_EFFECT},
        {ROOT("a", "active") ROOT("p", "passive"), ROOT("r", "inactive"), NULL, NO_EFFECT},
        {ROOT("a", "active") ROOT("r", "passive"), ROOT("r", "active"), ROOT("r", "passive"),
         NO_EFFECT},
        {ROOT("a", "active") ROOT("r", "active"), ROOT("r", "inactive"), ROOT("r", "active"),
         "denied: MeshRootCertificate osm-system/r: spec.role: expected passive first, as it was "
         "active, found inactive\n" NO_EFFECT},
        {ROOT("a", "active") ROOT("r", "inactive"), ROOT("r", "active"), ROOT("r", "inactive"),
         "denied: MeshRootCertificate osm-system/r: spec.role: expected passive first, as it was "
         "inactive, found active\n" NO_EFFECT},
        {ROOT("r", "active"), ROOT("r", "passive"), ROOT("r", "active"),
         "denied: MeshRootCertificate osm-system/r: spec.role: expected active, as no other "
         "MeshRootCertificate is, found passive\n" NO_EFFECT},
        {ROOT("a", "active") ROOT("p", "passive") ROOT("r", "inactive"), ROOT("r", "passive"),
         ROOT("r", "inactive"),
         "denied: MeshRootCertificate osm-system/r: spec.role: expected inactive, as two "
         "MeshRootCertificates are in use, found passive\n" NO_EFFECT},
        {ROOT_OF("a.b", "false", "s"), ROOT_OF("b.c", "false", "s"), ROOT_OF("a.b", "false", "s"),
         "denied: MeshRootCertificate osm-system/r: spec.trustDomain: expected \"a.b\" as before, "
         "found \"b.c\"; make another MeshRootCertificate\n" NO_EFFECT},
        {ROOT_OF("a.b", "false", "s"), ROOT_OF("a.b", "true", "s"), ROOT_OF("a.b", "false", "s"),
         "denied: MeshRootCertificate osm-system/r: spec.spiffeEnabled: expected false as before, "
         "found true; make another MeshRootCertificate\n" NO_EFFECT},
        {ROOT_OF("a.b", "false", "s"), ROOT_OF("a.b", "false", "t"), ROOT_OF("a.b", "false", "s"),
         "denied: MeshRootCertificate osm-system/r: spec.provider: expected the same as before, "
         "found another; make another MeshRootCertificate\n" NO_EFFECT},
        {"", CONFIG("MeshRootCertificate", "osm-system", "r", "role: active, provider: {}"), NULL,
         "denied: MeshRootCertificate osm-system/r: spec.provider: expected one of tresor, vault "
         "and certManager, found none\n"},
        {"",
         CONFIG("MeshRootCertificate", "elsewhere", "r",
                "role: active, provider: {certManager: {issuerName: a, issuerKind: Issuer, "
                "issuerGroup: cert-manager.io}}"),
         NULL,
         NO_EFFECT "warning: nothing reads this MeshRootCertificate: the mesh reads those of "
                   "namespace osm-system only\n"},
    };
    CHECK(rows);
}

/* Labels and finalizers of an object that is refused today can be changed; its spec can't. */
static void old_objects(void **state)
{
    static const struct row rows[] = {
        {MESH, SPLIT("s", "apex", "{service: v1, weight: 0}"),
         SPLIT("s", "apex", "{service: v1, weight: 0}"),
         "warning: spec.backends: expected at least one weight above 0, found none: no call could "
         "go anywhere\n"},
        {MESH, SPLIT("s", "apex", "{service: v1, weight: -1}"),
         SPLIT("s", "apex", "{service: v1, weight: 0}"),
         "denied: TrafficSplit ns/s: spec.backends[0].weight: expected a whole number of at least "
         "0, found -1\n"},
    };
    CHECK(rows);
}

static void names_that_come_later(void **state)
{
    char *found = answer(SERVICES,
                         "{apiVersion: split.smi-spec.io/v1alpha2, kind: TrafficSplit, metadata: "
                         "{generateName: canary-, namespace: ns}, spec: {service: apex, backends: "
                         "[{service: v1, weight: 1}]}}",
                         NULL);
    assert_string_equal(found, "");
    free(found);
}

static void other_requests(void **state)
{
    struct arena *a = arena_new(4096);
    struct validator v = {.store = store_new(), .mesh = &options};
    const struct value *bad = parse(a, SPLIT("s", "apex", "{service: v1, weight: 0}"));
    struct admission_request q = {.group = STR("split.smi-spec.io"),
                                  .version = STR("v1alpha2"),
                                  .kind = STR("TrafficSplit"),
                                  .operation = ADMISSION_DELETE,
                                  .old_object = bad};
    struct admission_verdict deleted = {0}, status = {0}, nothing = {0}, unknown = {0};
    validate(&v, a, &q, &deleted);
    assert_true(deleted.allowed);
    q = (struct admission_request){.group = q.group,
                                   .version = q.version,
                                   .kind = q.kind,
                                   .operation = ADMISSION_UPDATE,
                                   .subresource = STR("status"),
                                   .object = bad};
    validate(&v, a, &q, &status);
    assert_true(status.allowed);
    /* Its kind is another than the server says. */
    struct admission_verdict other = {0};
    q.subresource = STR("");
    q.object = parse(a, "{apiVersion: v1, kind: List, items: []}");
    validate(&v, a, &q, &other);
    assert_false(other.allowed);
    ASSERT_STR(other.message, "kind: expected one object, found a list");
    q.object = NULL;
    validate(&v, a, &q, &nothing);
    assert_false(nothing.allowed);
    ASSERT_STR(nothing.message, "expected the object that is to be stored, found none");
    q.kind = STR("Deployment");
    q.group = STR("apps");
    q.version = STR("v1");
    validate(&v, a, &q, &unknown);
    assert_false(unknown.allowed);
    ASSERT_STR(unknown.message, "unknown gvk: apps/v1, Kind=Deployment");
    store_free((struct store *)v.store);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic_targets),
        cmocka_unit_test(routes),
        cmocka_unit_test(splits),
        cmocka_unit_test(ingress_backends),
        cmocka_unit_test(other_policies),
        cmocka_unit_test(mesh_configs),
        cmocka_unit_test(roots),
        cmocka_unit_test(old_objects),
        cmocka_unit_test(names_that_come_later),
        cmocka_unit_test(other_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
