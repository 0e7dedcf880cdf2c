/* What objects mean, rule by rule: manifests in, lines of the mesh's text out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mesh_fixture.h"

#define NAMESPACE(name)                                                                            \
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " name                                 \
    ", labels: {openservicemesh.io/monitored-by: osm}}\n"
#define OTHER_NAMESPACE(name) "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " name "}\n"
#define ACCOUNT(ns, name)                                                                          \
    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: " ns ", name: " name "}\n"
#define SERVICE(ns, name, spec)                                                                    \
    "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: " ns ", name: " name                \
    "}\nspec: {" spec "}\n"
/* labels and more: members of flow mappings */
#define POD(ns, name, sa, ip, labels)                                                              \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: " ns ", name: " name                    \
    ", labels: {" labels "}}\nspec: {serviceAccountName: " sa                                      \
    ", containers: [{name: c, image: i, ports: [{name: web, containerPort: 8081}]}]}\n"            \
    "status: {phase: Running, podIP: " ip ", podIPs: [{ip: " ip "}]}\n"
#define AGED_POD(created, name, sa)                                                                \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: " name                         \
    ", creationTimestamp: \"" created "\", labels: {app: web, osm-proxy-uuid: u1}}\n"              \
    "spec: {serviceAccountName: " sa ", containers: [{name: c, image: i}]}\n"
#define SLICE(ns, name, service, type, endpoints, ports)                                           \
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {namespace: " ns         \
    ", name: " name ", labels: {kubernetes.io/service-name: " service "}}\naddressType: " type     \
    "\nendpoints: [" endpoints "]\nports: [" ports "]\n"
#define TARGET(ns, name, dest_ns, dest, sources, rules)                                            \
    "---\napiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {namespace: " ns \
    ", name: " name "}\nspec: {destination: {kind: ServiceAccount, name: " dest                    \
    ", namespace: " dest_ns "}, sources: [" sources "], rules: [" rules "]}\n"
#define FROM(ns, name) "{kind: ServiceAccount, name: " name ", namespace: " ns "}"
#define GROUP(ns, name, matches)                                                                   \
    "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {namespace: " ns \
    ", name: " name "}\nspec: {matches: [" matches "]}\n"
#define TCP_ROUTE(ns, name, ports)                                                                 \
    "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {namespace: " ns       \
    ", name: " name "}\nspec: {matches: {name: m, ports: [" ports "]}}\n"
#define SPLIT(ns, name, apex, backends, matches)                                                   \
    "---\napiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {namespace: " ns   \
    ", name: " name "}\nspec: {service: " apex ", backends: [" backends "], matches: [" matches    \
    "]}\n"
#define PERMISSIVE                                                                                 \
    "---\napiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"                      \
    "metadata: {namespace: osm-system, name: osm-mesh-config}\n"                                   \
    "spec: {traffic: {enablePermissiveTrafficPolicyMode: true}}\n"

#define INGRESS(name, backends, sources, matches)                                                  \
    "---\napiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\n"                  \
    "metadata: {namespace: a, name: " name "}\nspec: {backends: [" backends                        \
    "], sources: [" sources "], matches: [" matches "]}\n"
#define HTTP_80 "{name: web, port: {number: 80, protocol: HTTP}}"
#define HTTPS_80(skip, hosts)                                                                      \
    "{name: web, port: {number: 80, protocol: https}, tls: {skipClientCertValidation: " skip       \
    ", sniHosts: [" hosts "]}}"
#define RANGE(range) "{kind: IPRange, name: \"" range "\"}"
#define GATEWAY "{kind: Service, name: gateway, namespace: a}"
#define NAMED "{kind: AuthenticatedPrincipal, name: g.example}"
#define GATEWAYS(endpoints)                                                                        \
    SERVICE("a", "gateway", "ports: [{port: 443}]")                                                \
    SLICE("a", "gateway-1", "gateway", "IPv4", endpoints, "{port: 443}")
#define WEB_POD POD("a", "p", "sa", "10.0.0.1", "app: web, osm-proxy-uuid: u1")
#define WEB SERVICE("a", "web", "clusterIP: 10.1.0.1, selector: {app: web}, ports: [{port: 80}]")
#define WEB_SLICE                                                                                  \
    SLICE("a", "web-1", "web", "IPv4",                                                             \
          "{addresses: [10.0.0.1], targetRef: {kind: Pod, name: p, namespace: a}}", "{port: 80}")
#define ACCOUNTS ACCOUNT("a", "sa") ACCOUNT("a", "client")

struct check {
    const char *name, *yaml;
    const char *want[5], *without[4]; /* in the mesh's text */
};

static const struct check checks[] = {
    {
        .name = "ingress from address ranges, without the bits after the prefix",
        .yaml = NAMESPACE("a") WEB WEB_SLICE INGRESS(
            "i", HTTP_80,
            RANGE("10.9.8.7/12") ", " RANGE("fd00:0::1/64") ", " RANGE("10.0.0.0/12") ", " NAMED,
            ""),
        .want = {"ingress \"a/web\"\n  port 80 any-client any-call policy=\"a/i\" "
                 "server-names=[] ranges=[\"10.0.0.0/12\" \"fd00::/64\"] principals=[]\n"},
        .without = {"finding", "any-address"},
    },
    {
        .name = "ingress from the endpoints of a service that are ready",
        .yaml = NAMESPACE("a") WEB WEB_SLICE GATEWAYS(
            "{addresses: [10.0.0.7]}, {addresses: [10.0.0.8], conditions: {ready: false}}")
            INGRESS("i", HTTP_80, GATEWAY, ""),
        .want = {"ranges=[\"10.0.0.7/32\"]"},
        .without = {"finding", "any-address"},
    },
    {
        .name = "a source without endpoints opens nothing, whatever else is said",
        .yaml = NAMESPACE("a") WEB WEB_SLICE GATEWAYS("")
            INGRESS("i", HTTPS_80("false", ""), GATEWAY ", " NAMED, ""),
        .want = {"endpoints not found for service a/gateway: none of its pods is ready"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "a source outside of the mesh opens nothing",
        .yaml = NAMESPACE("a") OTHER_NAMESPACE("b")
            WEB WEB_SLICE SERVICE("b", "gateway", "ports: [{port: 443}]")
                INGRESS("i", HTTP_80, "{kind: Service, name: gateway, namespace: b}", ""),
        .want = {"endpoints not found for service b/gateway: there is no such service in the mesh"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "one source of two that is missing",
        .yaml = NAMESPACE("a")
            WEB WEB_SLICE INGRESS("i", HTTP_80, GATEWAY ", " RANGE("10.0.0.9/32"), ""),
        .want = {"ranges=[\"10.0.0.9/32\"]", "endpoints not found for service a/gateway"},
    },
    {
        .name = "principals are looked at with TLS, and then any address may do",
        .yaml = NAMESPACE("a") WEB WEB_SLICE INGRESS("i", HTTPS_80("false", ""), NAMED, ""),
        .want = {"port 80 tls any-address any-call policy", "principals=[\"g.example\"]"},
        .without = {"finding", "any-client"},
    },
    {
        .name = "who needs no certificate is told by the address",
        .yaml = NAMESPACE("a")
            WEB WEB_SLICE INGRESS("i", HTTPS_80("true", ""), NAMED ", " RANGE("10.0.0.9/32"), ""),
        .want = {"port 80 tls any-client any-call policy", "principals=[]"},
        .without = {"finding", "any-address"},
    },
    {
        .name = "without certificates and addresses nobody is told from others",
        .yaml = NAMESPACE("a") WEB WEB_SLICE INGRESS("i", HTTPS_80("true", ""), NAMED, "")
            INGRESS("j", "{name: web, port: {number: 80, protocol: http}}", NAMED, ""),
        .want = {"a/i: spec.sources: expected a Service or an IPRange"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "names that Envoy can't match are left out, and nothing is left of one",
        .yaml = NAMESPACE("a")
            WEB WEB_SLICE SERVICE("a", "other", "selector: {app: web}, ports: [{port: 80}]")
                INGRESS("i", HTTPS_80("true", "A.example, \"*.b.example\", \"*\", a.example"),
                        RANGE("10.0.0.9/32"), "")
                    INGRESS("j",
                            "{name: other, port: {number: 80, protocol: https}, tls: "
                            "{skipClientCertValidation: true, sniHosts: [\"*w.example\"]}}",
                            RANGE("10.0.0.9/32"), ""),
        .want = {"server-names=[\"*.b.example\" \"a.example\"]",
                 "a/i: spec.backends[0].tls.sniHosts[2]: expected a host name",
                 "a/j: spec.backends[0].tls.sniHosts[0]: expected a host name"},
        .without = {"ingress \"a/other\""},
    },
    {
        .name = "calls that must match",
        .yaml = NAMESPACE("a") WEB WEB_SLICE GROUP("a", "g", "{name: m, pathRegex: /x}")
            INGRESS("i", HTTP_80, RANGE("10.0.0.9/32"),
                    "{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}"),
        .want = {"port 80 any-client policy", "principals=[]\n    match path=\"/x\""},
        .without = {"finding", "any-call"},
    },
    {
        .name = "matches that aren't there allow nothing",
        .yaml = NAMESPACE("a") WEB WEB_SLICE INGRESS(
            "i", HTTP_80, RANGE("10.0.0.9/32"),
            "{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}, "
            "{apiGroup: x, kind: HTTPRouteGroup, name: g}"),
        .want = {"spec.matches[0]: there is no HTTPRouteGroup a/g",
                 "spec.matches[1]: expected an HTTPRouteGroup of specs.smi-spec.io/v1alpha4"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "ports are those of the pods",
        .yaml = NAMESPACE("a")
            SERVICE("a", "web", "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]")
                WEB_POD INGRESS("i", HTTP_80, RANGE("10.0.0.9/32"), "")
                    INGRESS("j", "{name: gone, port: {number: 80, protocol: http}}",
                            RANGE("10.0.0.9/32"), ""),
        .want = {"to which it leads calls (8080), found 80; nothing is opened",
                 "a/j: spec.backends[0].name: there is no service a/gone"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "a pod's own number of a named port",
        .yaml = NAMESPACE("a")
            SERVICE("a", "s", "selector: {app: web}, ports: [{name: h, port: 80, targetPort: web}]")
                WEB_POD SLICE("a", "s-1", "s", "IPv4", "{addresses: [10.0.0.1]}",
                              "{name: h, port: 9000}")
                    INGRESS("i", "{name: s, port: {number: 8081, protocol: http}}",
                            RANGE("10.0.0.9/32"), ""),
        .want = {"ingress \"a/s\"\n  port 8081 "},
        .without = {"finding"},
    },
    {
        .name = "the first of two says it, also when it comes to nothing",
        .yaml = NAMESPACE("a") WEB WEB_SLICE INGRESS("i", HTTP_80, GATEWAY, "")
            INGRESS("j", HTTP_80, RANGE("0.0.0.0/0"), ""),
        .want = {"a/j: spec.backends[0]: IngressBackend a/i opens port 80 of service a/web, too"},
        .without = {"ingress \"a/web\""},
    },
    {
        .name = "objects of other namespaces mean nothing",
        .yaml = OTHER_NAMESPACE("a") ACCOUNT("a", "sa") WEB WEB_POD WEB_SLICE,
        .without = {"service", "endpoints", "policy", "proxy"},
    },
    {
        .name = "a service, its endpoints, its proxy",
        .yaml = NAMESPACE("a") WEB WEB_POD WEB_SLICE,
        .want = {"service \"a/web\" fqdn=\"web.a.svc.cluster.local\" ips=[\"10.1.0.1\"]\n"
                 "  port 80 to 80 http name=\"\"\n   route\n    to \"a/web\" port 80 weight 100\n",
                 "endpoints \"a/web\" identities=[\"a/sa\"] ports=1\n"
                 "  at \"10.0.0.1\" 80 identity=\"a/sa\" in-mesh\n",
                 "inbound \"a/web\" 80 http fqdn=\"web.a.svc.cluster.local\"",
                 "proxy \"u1\"\n  pod \"a/p\" identity=\"a/sa\""},
        .without = {"finding"},
    },
    {
        .name = "protocols by appProtocol, then by name",
        .yaml = NAMESPACE("a") SERVICE("a", "s",
                                       "ports: [{name: tcp-a, port: 1, appProtocol: http}, {name: "
                                       "b, port: 2, appProtocol: grpc},"
                                       "{name: c, port: 3, appProtocol: tcp}, {name: d, port: 4, "
                                       "appProtocol: tcp-server-first},"
                                       "{name: e, port: 5, appProtocol: kubernetes.io/h2c}, {name: "
                                       "f, port: 6, appProtocol: http2},"
                                       "{name: g, port: 7, appProtocol: redis}]")
            SERVICE("a", "t",
                    "ports: [{name: tcp-server-first-a, port: 1}, {name: http-b, port: 2},"
                    "{name: tcp-c, port: 3}, {name: grpc-d, port: 4}, {name: tcp, port: 5},"
                    "{name: u, port: 6, protocol: UDP}, {name: v, port: 7, protocol: SCTP}]"),
        .want = {"port 1 to 1 http name=\"tcp-a\"", "port 5 to 5 http name=\"e\"",
                 "port 7 to 7 tcp name=\"g\"", "found \"redis\"; the port is treated as tcp",
                 "port 4 to 4 tcp-server-first name=\"d\""},
        .without = {"name=\"u\"", "name=\"v\""},
    },
    {
        .name = "protocols by name",
        .yaml =
            NAMESPACE("a") SERVICE("a", "t",
                                   "ports: [{name: tcp-server-first-a, port: 1}, {name: http-b, "
                                   "port: 2}, {name: tcp-c, port: 3}, {name: grpc-d, port: 4}, "
                                   "{name: tcp, port: 5}]"),
        .want = {"port 1 to 1 tcp-server-first", "port 2 to 2 http", "port 3 to 3 tcp",
                 "port 4 to 4 grpc", "port 5 to 5 http"},
        .without = {"finding"},
    },
    {
        .name = "a named target port from the slice",
        .yaml = NAMESPACE("a")
            SERVICE("a", "s", "selector: {app: web}, ports: [{name: h, port: 80, targetPort: web}]")
                WEB_POD SLICE("a", "s-1", "s", "IPv4", "{addresses: [10.0.0.1]}",
                              "{name: h, port: 9000}"),
        .want = {"port 80 to 9000 http", "at \"10.0.0.1\" 9000 identity=\"a/sa\" in-mesh",
                 "inbound \"a/s\" 8081 http"},
        .without = {"finding"},
    },
    {
        .name = "a named target port from the pods",
        .yaml = NAMESPACE("a")
            SERVICE("a", "s", "selector: {app: web}, ports: [{name: h, port: 80, targetPort: web}]")
                WEB_POD,
        .want = {"port 80 to 8081 http", "inbound \"a/s\" 8081 http"},
        .without = {"finding"},
    },
    {
        .name = "an unknown target port leaves the port out",
        .yaml = NAMESPACE("a")
            SERVICE("a", "s",
                    "selector: {app: web}, ports: [{name: h, port: 80, targetPort: nope},"
                    "{name: i, port: 81}]") WEB_POD,
        .want = {"port 81 to 81", "spec.ports[0].targetPort: no endpoint and no pod"},
        .without = {"port 80 to"},
    },
    {
        .name = "headless, external and not yet addressed services",
        .yaml = NAMESPACE("a") SERVICE("a", "h", "clusterIP: None, ports: [{port: 80}]")
            SERVICE("a", "e", "type: ExternalName, externalName: x.example.com")
                SERVICE("a", "new", "ports: [{port: 80}]")
                    SERVICE("a", "d",
                            "clusterIP: 10.1.0.9, clusterIPs: [10.1.0.9, \"fd00::9\"], ports: "
                            "[{port: 80}]"),
        .want = {"service \"a/h\" fqdn=\"h.a.svc.cluster.local\" ips=[] headless\n",
                 "service \"a/new\" fqdn=\"new.a.svc.cluster.local\" ips=[]\n",
                 "service \"a/d\" fqdn=\"d.a.svc.cluster.local\" ips=[\"10.1.0.9\" \"fd00::9\"]\n",
                 "services of type ExternalName aren't part of the mesh"},
        .without = {"service \"a/e\""},
    },
    {
        .name = "endpoints: both families, ready ones, identities of all",
        .yaml = NAMESPACE("a") WEB WEB_POD POD("a", "q", "other", "10.0.0.2", "app: web")
            SLICE("a", "w-6", "web", "IPv6", "{addresses: [\"fd00::1\"]}", "{port: 80}")
                SLICE("a", "w-4", "web", "IPv4",
                      "{addresses: [10.0.0.9]}, {addresses: [10.0.0.1]},"
                      "{addresses: [10.0.0.2], conditions: {ready: false}}",
                      "{port: 80}"),
        .want = {"endpoints \"a/web\" identities=[\"a/other\" \"a/sa\"] ports=1\n"
                 "  at \"10.0.0.1\" 80 identity=\"a/sa\" in-mesh\n"
                 "  at \"10.0.0.9\" 80 identity=\"\"\n"
                 "  at \"fd00::1\" 80 identity=\"\"\n"},
        .without = {"at \"10.0.0.2\""},
    },
    {
        .name = "publishNotReadyAddresses",
        .yaml = NAMESPACE("a")
            SERVICE("a", "web", "publishNotReadyAddresses: true, ports: [{port: 80}]")
                SLICE("a", "w-4", "web", "IPv4",
                      "{addresses: [10.0.0.2], conditions: {ready: false}}", "{port: 80}"),
        .want = {"at \"10.0.0.2\" 80"},
    },
    {
        .name = "an address of two identities is nobody's; an ended pod has none",
        .yaml = NAMESPACE("a") WEB WEB_POD POD("a", "q", "other", "10.0.0.1", "x: z")
            SLICE("a", "w", "web", "IPv4", "{addresses: [10.0.0.1]}", "{port: 80}"),
        .want = {"at \"10.0.0.1\" 80 identity=\"\"\n"},
    },
    {
        .name = "an endpoint that lacks a port",
        .yaml = NAMESPACE("a") SERVICE("a", "s",
                                       "ports: [{name: x, port: 80}, {name: w, port: 81}]")
            SLICE("a", "s-1", "s", "IPv4", "{addresses: [10.0.0.1]}", "{name: w, port: 81}")
                SLICE("a", "s-2", "s", "IPv4", "{addresses: [10.0.0.2]}, {addresses: [10.0.0.1]}",
                      "{name: x, port: 90}"),
        .want = {"at \"10.0.0.1\" 90 81 identity", "at \"10.0.0.2\" 90 0 identity"},
    },
    {
        .name = "two services at one target port are both inbound; one's two ports are one",
        .yaml = NAMESPACE("a") WEB WEB_POD SERVICE(
            "a", "api",
            "selector: {app: web}, ports: [{name: x, port: 8, targetPort: 80}, {name: tcp-y, port: "
            "9, targetPort: 80}]") SERVICE("a", "none", "ports: [{port: 80}]"),
        .want = {"  inbound \"a/api\" 80 http fqdn=\"api.a.svc.cluster.local\"\n"
                 "  inbound \"a/web\" 80 http fqdn=\"web.a.svc.cluster.local\"\n"
                 "proxy",
                 "ports 8 and 9 both lead to target port 80, one as http and one as tcp"},
        .without = {"inbound \"a/none\""},
    },
    {
        .name = "a pod with the uuid of an older one doesn't take its place",
        .yaml = NAMESPACE("a") WEB AGED_POD("2026-01-02T00:00:00Z", "copy", "sa")
            AGED_POD("2026-01-01T00:00:00Z", "p", "sa"),
        .want = {"proxy \"u1\"\n  pod \"a/p\" identity=\"a/sa\"",
                 "Pod a/copy: metadata.labels.osm-proxy-uuid: u1 is that of the older Pod a/p"},
        .without = {"pod \"a/copy\"", "Pod a/p: metadata"},
    },
    {
        .name = "pods of several identities with one uuid are told apart by the certificate",
        .yaml =
            NAMESPACE("a") WEB WEB_POD POD("a", "a", "client", "10.0.0.2", "osm-proxy-uuid: u1"),
        .want = {"proxy \"u1\"\n  pod \"a/a\" identity=\"a/client\"",
                 "  pod \"a/p\" identity=\"a/sa\"",
                 "Pod a/a: metadata.labels.osm-proxy-uuid: u1 is borne by pods of several"},
    },
    {
        .name = "permissive mode",
        .yaml = PERMISSIVE NAMESPACE("a") ACCOUNTS WEB WEB_POD GROUP("a", "g", "{name: m}")
            TARGET("a", "t", "a", "sa", FROM("a", "client"), "{kind: HTTPRouteGroup, name: g}"),
        .want = {"mode permissive", "policy \"a/sa\" allow-all\n",
                 "policy \"a/client\" allow-all\n"},
        .without = {"rule", "access"},
    },
    {
        .name = "an HTTP rule",
        .yaml = NAMESPACE("a") ACCOUNTS WEB WEB_POD GROUP(
            "a", "g",
            "{name: m, pathRegex: /x.*, methods: [PUT, GET], headers: [{Host: h.*}, {X-Y: z}]},"
            "{name: nn, methods: [\"*\", GET]}, {name: o}")
            TARGET("a", "t", "a", "sa", FROM("a", "client"),
                   "{kind: HTTPRouteGroup, name: g, matches: [m, nn]}"),
        .want =
            {"mode smi\n",
             "policy \"a/sa\"\n  rule \"a/t\" sources=[\"a/client\"]\n"
             "    match path=\"/x.*\" methods=[\"GET\" \"PUT\"] header \":authority\" is=\"h.*\" "
             "header \"x-y\" is=\"z\"\n"
             "    match path=\"\" methods=[]\naccess",
             "access \"a/client\"\n  to \"a/web\" all\n", "policy \"a/client\"\npolicy \"a/sa\""},
        .without = {"finding", "allow-all"},
    },
    {
        .name = "a rule without matches takes the whole group",
        .yaml = NAMESPACE("a")
            ACCOUNTS GROUP("a", "g", "{name: m, pathRegex: /m}, {name: nn, pathRegex: /n}")
                TARGET("a", "t", "a", "sa", FROM("a", "client"), "{kind: HTTPRouteGroup, name: g}"),
        .want = {"match path=\"/m\"", "match path=\"/n\""},
        .without = {"finding"},
    },
    {
        .name = "missing groups and matches allow nothing",
        .yaml = NAMESPACE("a") ACCOUNTS GROUP("a", "g", "{name: m}") TARGET(
            "a", "t", "a", "sa", FROM("a", "client"),
            "{kind: HTTPRouteGroup, name: g, matches: [nope]}")
            TARGET("a", "u", "a", "sa", FROM("a", "client"), "{kind: HTTPRouteGroup, name: none}")
                TARGET("a", "v", "a", "sa", FROM("a", "client"), "{kind: TCPRoute, name: none}"),
        .want = {"HTTPRouteGroup a/g has no match \"nope\"", "there is no HTTPRouteGroup a/none",
                 "there is no TCPRoute a/none", "policy \"a/sa\"\n"},
        .without = {"  rule"},
    },
    {
        .name = "TCP rules",
        .yaml =
            NAMESPACE("a") ACCOUNTS TCP_ROUTE("a", "some", "81, 80, 81") TCP_ROUTE("a", "any", "")
                TARGET("a", "t", "a", "sa", FROM("a", "client"), "{kind: TCPRoute, name: some}")
                    TARGET("a", "u", "a", "sa", FROM("a", "client"),
                           "{kind: TCPRoute, name: some}, {kind: TCPRoute, name: any}"),
        .want = {"rule \"a/t\" sources=[\"a/client\"] tcp 80 81\n",
                 "rule \"a/u\" sources=[\"a/client\"] tcp\n"},
    },
    {
        .name = "missing accounts are said, the rule counts",
        .yaml = NAMESPACE("a") GROUP("a", "g", "{name: m}")
            TARGET("a", "t", "a", "sa", FROM("z", "client") ", " FROM("a", "default"),
                   "{kind: HTTPRouteGroup, name: g}"),
        .want = {"rule \"a/t\" sources=[\"a/default\" \"z/client\"]",
                 "spec.destination: there is no service account a/sa",
                 "spec.sources[0]: there is no service account z/client"},
        .without = {"spec.sources[1]"},
    },
    {
        .name = "access is restricted to the allowed identities",
        .yaml = NAMESPACE("a") ACCOUNTS WEB WEB_POD POD("a", "q", "other", "10.0.0.2", "app: web")
            GROUP("a", "g", "{name: m}")
                TARGET("a", "t", "a", "sa", FROM("a", "client"), "{kind: HTTPRouteGroup, name: g}"),
        .want = {"access \"a/client\"\n  to \"a/web\" identities=[\"a/sa\"]\n"},
    },
    {
        .name = "a visible backend shows its apex and that one's other backends",
        .yaml = NAMESPACE("a") ACCOUNTS WEB WEB_POD POD("a", "q", "other", "10.0.0.2", "app: v2")
            SERVICE("a", "v2", "selector: {app: v2}, ports: [{port: 80}]") SERVICE(
                "a", "apex", "ports: [{port: 80}]") SERVICE("a", "far", "ports: [{port: 80}]")
                SPLIT("a", "s", "apex", "{service: web, weight: 1}, {service: v2, weight: 1}", "")
                    GROUP("a", "g", "{name: m}") TARGET("a", "t", "a", "sa", FROM("a", "client"),
                                                        "{kind: HTTPRouteGroup, name: g}"),
        .want =
            {"access \"a/client\"\n  to \"a/apex\" all\n  to \"a/v2\" all\n  to \"a/web\" all\n"},
        .without = {"a/far\" all"},
    },
};

static const struct check split_checks[] = {
    {
        .name = "weights, by number, name or the only port",
        .yaml = NAMESPACE("a") SERVICE("a", "x", "ports: [{name: nn, port: 80}]") SERVICE(
            "a", "num", "ports: [{name: o, port: 81}, {name: p, port: 80, targetPort: 1}]")
            SERVICE("a", "nam", "ports: [{name: o, port: 81}, {name: nn, port: 82, targetPort: 2}]")
                SERVICE("a", "one", "ports: [{name: q, port: 83, targetPort: 3}]")
                    SERVICE("a", "w", "ports: [{port: 80}]")
                        SERVICE("a", "not", "ports: [{name: o, port: 84}, {name: q, port: 85}]")
                            SPLIT("a", "s", "x",
                                  "{service: num, weight: 10}, {service: nam, weight: 20},"
                                  "{service: one, weight: 30}, {service: not, weight: 40},"
                                  "{service: x, weight: 50}, {service: gone, weight: 60},"
                                  "{service: w, weight: 0}",
                                  ""),
        .want = {"  port 80 to 80 http name=\"nn\"\n   route\n"
                 "    to \"a/num\" port 1 weight 10\n    to \"a/nam\" port 2 weight 20\n"
                 "    to \"a/one\" port 3 weight 30\n    to \"a/x\" port 80 weight 50\n",
                 "spec.backends[3].service: service a/not has no port 80",
                 "spec.backends[5].service: there is no service a/gone"},
        .without = {"weight 40", "weight 0"},
    },
    {
        .name = "no backend left: the apex itself",
        .yaml = NAMESPACE("a") SERVICE("a", "x", "ports: [{port: 80}]")
            SPLIT("a", "s", "x", "{service: gone, weight: 1}", ""),
        .want = {"   route\n    to \"a/x\" port 80 weight 100\n",
                 "spec.backends: none can take calls to port 80 of a/x"},
    },
    {
        .name = "the first by name of two without matches",
        .yaml = NAMESPACE("a") SERVICE("a", "x", "ports: [{port: 80}]") SERVICE(
            "a", "w", "ports: [{port: 80}]") SPLIT("a", "s2", "x", "{service: x, weight: 7}", "")
            SPLIT("a", "s1", "x", "{service: w, weight: 8}", ""),
        .want = {"to \"a/w\" port 80 weight 8",
                 "TrafficSplit a/s2: spec.service: TrafficSplit s1 "
                 "already splits",
                 "E2007"},
        .without = {"weight 7"},
    },
    {
        .name = "matches come first, by name, and the rest goes on",
        .yaml = NAMESPACE("a") SERVICE("a", "x",
                                       "ports: [{name: h, port: 80}, {name: tcp-t, port: 81}]")
            SERVICE("a", "w", "ports: [{port: 80}]") GROUP("a", "g", "{name: m, pathRegex: /m}")
                GROUP("a", "h", "{name: m, pathRegex: /h}") SPLIT(
                    "a", "s2", "x", "{service: w, weight: 2}", "{kind: HTTPRouteGroup, name: g}")
                    SPLIT("a", "s1", "x", "{service: w, weight: 1}",
                          "{kind: HTTPRouteGroup, name: h}")
                        SPLIT("a", "s0", "x", "{service: w, weight: 3}",
                              "{kind: HTTPRouteGroup, name: none}"),
        .want =
            {"   route\n    match path=\"/h\" methods=[]\n    to \"a/w\" port 80 weight 1\n"
             "   route\n    match path=\"/m\" methods=[]\n    to \"a/w\" port 80 weight 2\n"
             "   route\n    to \"a/x\" port 80 weight 100\n",
             "  port 81 to 81 tcp name=\"tcp-t\"\n   route\n    to \"a/x\" port 81 weight 100\n",
             "port 81 of a/x speaks tcp, where HTTP matches mean nothing",
             "there is no HTTPRouteGroup a/none"},
        .without = {"weight 3"},
    },
    {
        .name = "a TCP port is split",
        .yaml = NAMESPACE("a") SERVICE("a", "x", "ports: [{name: tcp-t, port: 81}]")
            SERVICE("a", "w", "ports: [{name: tcp-t, port: 81}]")
                SPLIT("a", "s", "x", "{service: w, weight: 3}, {service: x, weight: 1}", ""),
        .want = {"to \"a/w\" port 81 weight 3\n    to \"a/x\" port 81 weight 1\n"},
        .without = {"finding"},
    },
    {
        .name = "splits don't chain",
        .yaml = NAMESPACE("a") SERVICE("a", "x", "ports: [{port: 80}]")
            SERVICE("a", "w", "ports: [{port: 80}]") SERVICE("a", "z", "ports: [{port: 80}]")
                SPLIT("a", "s", "x", "{service: w, weight: 1}", "")
                    SPLIT("a", "t", "w", "{service: z, weight: 2}, {service: x, weight: 3}", ""),
        .want = {"route\n    to \"a/w\" port 80 weight 1\n",
                 "route\n    to \"a/z\" port 80 weight 2\n    to \"a/x\" port 80 weight 3\n"},
    },
    {
        .name = "a split without its apex",
        .yaml = NAMESPACE("a") SERVICE("a", "w", "ports: [{port: 80}]")
            SPLIT("a", "s", "x", "{service: w, weight: 1}", ""),
        .want = {"TrafficSplit a/s: spec.service: there is no service a/x in the mesh"},
    },
};

static void run(const struct check *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct check *c = &list[i];
        struct fixture f;
        fixture_init(&f);
        fixture_put(&f, c->yaml);
        fixture_update(&f);
        AUTO(free) char *text = mesh_text(f.mesh);
        for (size_t j = 0; j < COUNT_OF(c->want) && c->want[j]; j++) {
            if (!strstr(text, c->want[j])) {
                fail_msg("%s: expected\n%s\nin\n%s", c->name, c->want[j], text);
            }
        }
        for (size_t j = 0; j < COUNT_OF(c->without) && c->without[j]; j++) {
            if (strstr(text, c->without[j])) {
                fail_msg("%s: didn't expect\n%s\nin\n%s", c->name, c->without[j], text);
            }
        }
        fixture_done(&f);
    }
}

static void rules(void **state)
{
    run(checks, COUNT_OF(checks));
}

static void splits(void **state)
{
    run(split_checks, COUNT_OF(split_checks));
}

static const void *find(const struct fixture *f, enum mesh_map which, const char *key)
{
    return map_find(mesh_map(f->mesh, which), str_of(key));
}

static void unchanged_parts_keep_their_pointers(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, NAMESPACE("a") WEB WEB_POD WEB_SLICE SERVICE("a", "w", "ports: [{port: 80}]"));
    fixture_update(&f);
    const void *web = find(&f, MESH_SERVICES, "a/web"), *y = find(&f, MESH_SERVICES, "a/w");
    const void *endpoints = part_ref((void *)find(&f, MESH_ENDPOINTS, "a/web"));

    fixture_put(&f, SLICE("a", "web-1", "web", "IPv4", "{addresses: [10.0.0.7]}", "{port: 80}"));
    fixture_update(&f);
    assert_ptr_equal(find(&f, MESH_SERVICES, "a/web"), web);
    assert_ptr_equal(find(&f, MESH_SERVICES, "a/w"), y);
    assert_ptr_not_equal(find(&f, MESH_ENDPOINTS, "a/web"), endpoints);
    assert_int_equal(f.delta.endpoints.len, 1);
    assert_true(str_is(f.delta.endpoints.at[0], "a/web"));
    assert_int_equal(f.delta.services.len + f.delta.policies.len + f.delta.access.len +
                         f.delta.audiences.len + f.delta.proxies.len,
                     0);
    part_unref((void *)endpoints);
    fixture_done(&f);
}

static void replicas_share_an_audience(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, NAMESPACE("a") WEB WEB_POD POD("a", "q", "sa", "10.0.0.2",
                                                   "app: web, osm-proxy-uuid: u2"));
    fixture_update(&f);
    const struct mesh_proxy *one = find(&f, MESH_PROXIES, "u1"),
                            *two = find(&f, MESH_PROXIES, "u2");
    assert_true(str_eq(one->pods.at[0].audience, two->pods.at[0].audience));
    const struct mesh_audience *audience = mesh_audience_find(f.mesh, one->pods.at[0].audience);
    assert_non_null(audience);
    assert_true(str_is(audience->service_account, "sa"));

    fixture_remove(&f, KIND_POD, "a", "p");
    fixture_update(&f);
    assert_int_equal(f.delta.audiences.len, 0);
    assert_null(find(&f, MESH_PROXIES, "u1"));
    fixture_remove(&f, KIND_POD, "a", "q");
    fixture_update(&f);
    assert_int_equal(f.delta.audiences.len, 1);
    assert_int_equal(map_len(mesh_map(f.mesh, MESH_AUDIENCES)), 0);
    fixture_done(&f);
}

static void config_follows_its_object(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, NAMESPACE("a") ACCOUNT("a", "sa"));
    fixture_update(&f);
    assert_false(mesh_permissive(f.mesh));
    assert_false(mesh_policy_find(f.mesh, STR("a/sa"))->allow_all);

    fixture_put(&f, PERMISSIVE);
    fixture_update(&f);
    assert_true(f.delta.config && f.delta.permissive_changed);
    assert_true(mesh_policy_find(f.mesh, STR("a/sa"))->allow_all);

    fixture_remove(&f, KIND_MESH_CONFIG, "osm-system", "osm-mesh-config");
    fixture_update(&f);
    assert_true(f.delta.config && f.delta.permissive_changed);
    assert_ptr_equal(mesh_config(f.mesh), mesh_config_default());
    assert_false(mesh_policy_find(f.mesh, STR("a/sa"))->allow_all);
    fixture_done(&f);
}

static void findings_come_and_go(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, NAMESPACE("a") SPLIT("a", "s", "x", "{service: w, weight: 1}", ""));
    fixture_update(&f);
    assert_int_equal(mesh_findings(f.mesh)->list.len, 1);
    assert_string_equal(mesh_findings(f.mesh)->list.at[0].object, "TrafficSplit a/s");
    fixture_put(&f,
                SERVICE("a", "x", "ports: [{port: 80}]") SERVICE("a", "w", "ports: [{port: 80}]"));
    fixture_update(&f);
    assert_int_equal(mesh_findings(f.mesh)->list.len, 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(splits),
        cmocka_unit_test(unchanged_parts_keep_their_pointers),
        cmocka_unit_test(replicas_share_an_audience),
        cmocka_unit_test(config_follows_its_object),
        cmocka_unit_test(findings_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
