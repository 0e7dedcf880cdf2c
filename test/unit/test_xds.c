/* Small meshes to Envoy's resources: what each proxy is given, by name and by content, and what
 * stays the same when something else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "all.pb-c.h"
#include "mesh_fixture.h"
#include "xds/claims.h"
#include "xds/planner.h"

#define NOW INT64_C(1800000000)
#define TEXT_MAX (4u << 20)

/* --- messages as text: field:"text" field:1 field{...}, without defaults --- */

static const ProtobufCMessageDescriptor *const in_any[] = {
    &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor,
    &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
    &envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy__descriptor,
    &envoy__extensions__filters__network__rbac__v3__rbac__descriptor,
    &envoy__extensions__filters__http__rbac__v3__rbac__descriptor,
    &envoy__extensions__filters__http__rbac__v3__rbacper_route__descriptor,
    &envoy__extensions__filters__http__router__v3__router__descriptor,
    &envoy__extensions__filters__listener__tls_inspector__v3__tls_inspector__descriptor,
    &envoy__extensions__filters__listener__original_dst__v3__original_dst__descriptor,
    &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
    &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
    &envoy__extensions__formatter__req_without_query__v3__req_without_query__descriptor,
};

static const ProtobufCMessageDescriptor *const of_type[XDS_TYPES] = {
    [XDS_CDS] = &envoy__config__cluster__v3__cluster__descriptor,
    [XDS_EDS] = &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
    [XDS_SDS] = &envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
    [XDS_LDS] = &envoy__config__listener__v3__listener__descriptor,
    [XDS_RDS] = &envoy__config__route__v3__route_configuration__descriptor,
};

static void put_message(struct buf *out, const ProtobufCMessage *m);

static void put_packed(struct buf *out, const ProtobufCMessageDescriptor *d, const void *bytes,
                       size_t len)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, bytes);
    assert_non_null(m);
    put_message(out, m);
    protobuf_c_message_free_unpacked(m, NULL);
}

static void put_any(struct buf *out, const Google__Protobuf__Any *any)
{
    const char *name = strrchr(any->type_url, '/') + 1;
    for (size_t i = 0; i < COUNT_OF(in_any); i++) {
        if (strcmp(in_any[i]->name, name) == 0) {
            put_packed(out, in_any[i], any->value.data, any->value.len);
            return;
        }
    }
    fail_msg("a message of type %s", name);
}

static void put_value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *at)
{
    const ProtobufCBinaryData *bytes = at;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        buf_printf(out, "%s:\"%s\" ", f->name, *(char *const *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        buf_printf(out, "%s:\"%.*s\" ", f->name, (int)bytes->len, (const char *)bytes->data);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        buf_printf(out, "%s{", f->name);
        if (f->descriptor == &google__protobuf__any__descriptor) {
            put_any(out, *(Google__Protobuf__Any *const *)at);
        } else {
            put_message(out, *(const ProtobufCMessage *const *)at);
        }
        buf_addz(out, "} ");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        buf_printf(out, "%s:%s ", f->name,
                   protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)at)->name);
        break;
    default:
        buf_printf(out, "%s:%u ", f->name, *(const uint32_t *)at);
    }
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const char *at)
{
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        return *(const uint32_t *)((const char *)m + f->quantifier_offset) == f->id;
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return **(char *const *)at != '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)at != NULL;
    default:
        return *(const uint32_t *)at != 0;
    }
}

static void put_message(struct buf *out, const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            if (is_set(m, f, at)) {
                put_value(out, f, at);
            }
            continue;
        }
        size_t n = *(const size_t *)((const char *)m + f->quantifier_offset);
        bool small = f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_ENUM;
        for (size_t k = 0; k < n; k++) {
            put_value(out, f, *(char *const *)at + k * (small ? sizeof(uint32_t) : sizeof(void *)));
        }
    }
}

/* --- a mesh with its planner --- */

struct world {
    struct fixture f;
    struct issuer *issuer;
    struct planner *planner;
};

static int set_up(void **state)
{
    static const struct issuer_options options = {"cluster.local", CERT_KEY_ECDSA_P256, 0};
    struct world *w = NEW(struct world);
    fixture_init(&w->f);
    *state = w;
    w->planner = NULL;
    if (issuer_new(&options, NOW, &w->issuer, NULL) < 0) {
        return -1;
    }
    w->planner = planner_new(w->f.mesh, w->issuer);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    planner_free(w->planner);
    fixture_done(&w->f);
    issuer_free(w->issuer);
    free(w);
    return 0;
}

static void apply(struct world *w, const char *yaml)
{
    fixture_put(&w->f, yaml);
    fixture_update(&w->f);
    planner_update(w->planner, &w->f.delta, NOW);
}

static void remove_object(struct world *w, enum kind kind, const char *namespace, const char *name)
{
    assert_true(fixture_remove(&w->f, kind, namespace, name));
    fixture_update(&w->f);
    planner_update(w->planner, &w->f.delta, NOW);
}

static struct plan *plan_of(struct world *w, const char *uuid)
{
    const struct mesh_proxy *p = mesh_proxy_find(w->f.mesh, str_of(uuid));
    assert_non_null(p);
    struct plan *plan = planner_plan(w->planner, p->pods.at[0].audience);
    assert_non_null(plan);
    return plan;
}

static struct resource *find(struct world *w, const char *uuid, enum xds_type t, const char *name)
{
    return view_find(plan_of(w, uuid)->views[t], resource_id(str_of(name)));
}

static void collect(void *arg, struct resource *r)
{
    map_put(arg, resource_name(r), r);
}

/* Names of one type, sorted, with a space after each. */
static void expect_names(struct world *w, const char *uuid, enum xds_type t, const char *want)
{
    struct map names = {0};
    view_each(plan_of(w, uuid)->views[t], collect, &names);
    AUTO(free) struct str *keys = map_sorted_keys(&names);
    AUTO(buf_done) struct buf got;
    buf_init(&got, TEXT_MAX);
    for (size_t i = 0; i < map_len(&names); i++) {
        buf_printf(&got, "%.*s ", STR_ARG(keys[i]));
    }
    map_done(&names, NULL);
    assert_string_equal(got.data ? got.data : "", want);
}

static char *text_of(struct world *w, const char *uuid, enum xds_type t, const char *name)
{
    struct resource *r = find(w, uuid, t, name);
    if (!r) {
        fail_msg("no %s %s", xds_type_name(t), name);
    }
    assert_int_equal(r->version, r->body->hash);
    struct buf out;
    buf_init(&out, TEXT_MAX);
    put_packed(&out, of_type[t], r->body->data, r->body->len);
    return buf_take(&out);
}

/* The resource's text holds all of these; `without` isn't in it. */
static void expect(struct world *w, const char *uuid, enum xds_type t, const char *name,
                   const char *const *parts, const char *without)
{
    AUTO(free) char *text = text_of(w, uuid, t, name);
    for (size_t i = 0; parts[i]; i++) {
        if (!strstr(text, parts[i])) {
            fail_msg("%s\nisn't in %s", parts[i], text);
        }
    }
    if (without && strstr(text, without)) {
        fail_msg("%s\nis in %s", without, text);
    }
}

#define PARTS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* --- manifests --- */

#define NAMESPACE                                                                                  \
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: "                           \
    "{openservicemesh.io/monitored-by: osm}}\n"
#define ACCOUNT(name)                                                                              \
    "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: a, name: " name "}\n"
#define SERVICE(name, spec)                                                                        \
    "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: a, name: " name "}\nspec: {" spec   \
    "}\n"
#define POD(name, account, uuid, ip, more)                                                         \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: " name                         \
    ", labels: {app: " account ", osm-proxy-uuid: " uuid "}" more                                  \
    "}\nspec: {serviceAccountName: " account ", containers: [{name: c, image: i}]}\n"              \
    "status: {phase: Running, podIP: " ip ", podIPs: [{ip: " ip "}]}\n"
#define SLICE(service, addresses, ports)                                                           \
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {namespace: a, "         \
    "name: " service "-1, labels: {kubernetes.io/service-name: " service                           \
    "}}\naddressType: IPv4\nendpoints: [" addresses "]\nports: [" ports "]\n"
#define CONFIG(traffic)                                                                            \
    "---\napiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\nmetadata: "            \
    "{namespace: osm-system, name: osm-mesh-config}\nspec: {traffic: {" traffic "}}\n"
#define PERMISSIVE CONFIG("enablePermissiveTrafficPolicyMode: true, enableEgress: true")
#define SMI CONFIG("enablePermissiveTrafficPolicyMode: false, enableEgress: false")
#define TARGET(name, dest, rules)                                                                  \
    "---\napiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {namespace: "    \
    "a, name: " name "}\nspec: {destination: {kind: ServiceAccount, name: " dest                   \
    ", namespace: a}, sources: [{kind: ServiceAccount, name: client, namespace: a}], rules: "      \
    "[" rules "]}\n"
#define GROUP                                                                                      \
    "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {namespace: a, " \
    "name: group}\nspec: {matches: [{name: buy, pathRegex: /buy, methods: [GET, POST], headers: "  \
    "[{x-who: me}]}, {name: sell, pathRegex: /sell, methods: [\"*\"]}]}\n"
#define TCP_ROUTE                                                                                  \
    "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {namespace: a, name: " \
    "tcp}\nspec: {matches: {name: m, ports: [3306]}}\n"

#define WEB                                                                                        \
    ACCOUNT("web")                                                                                 \
    SERVICE("web", "clusterIP: 10.1.0.1, selector: {app: web}, ports: [{port: 80, targetPort: "    \
                   "8080}]")                                                                       \
    POD("web", "web", "u-web", "10.0.0.1", "")                                                     \
    SLICE("web", "{addresses: [10.0.0.1]}", "{port: 8080}")
#define DB                                                                                         \
    ACCOUNT("db")                                                                                  \
    SERVICE("db",                                                                                  \
            "clusterIP: 10.1.0.2, selector: {app: db}, ports: [{name: tcp-sql, port: 3306}]")      \
    POD("db", "db", "u-db", "10.0.0.2", "")                                                        \
    SLICE("db", "{addresses: [10.0.0.2]}", "{name: tcp-sql, port: 3306}")
#define CLIENT ACCOUNT("client") POD("client", "client", "u-client", "10.0.0.3", "")
#define SCRAPED(account)                                                                           \
    POD(account, account, "u-" account, "10.0.0.9",                                                \
        ", annotations: {prometheus.io/scrape: \"true\"}")

/* --- permissive mode --- */

static void in_permissive_mode_a_client_has_every_service(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect_names(w, "u-client", XDS_CDS, "a/db|3306 a/web|8080 passthrough-outbound ");
    expect_names(w, "u-client", XDS_EDS, "a/db|3306 a/web|8080 ");
    expect_names(w, "u-client", XDS_SDS,
                 "root-cert-for-mtls-inbound root-cert-for-mtls-outbound service-cert ");
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/db_3306_tcp outbound_a/web_80_http ");
    expect_names(w, "u-client", XDS_RDS, "rds-outbound.a/web.80 ");
}

static void a_server_also_has_its_inbound_side(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB);
    expect_names(w, "u-web", XDS_CDS,
                 "a/db|3306 a/web|8080 a/web|8080|local passthrough-outbound ");
    expect_names(
        w, "u-web", XDS_LDS,
        "inbound-listener outbound-listener outbound_a/db_3306_tcp outbound_a/web_80_http ");
    expect_names(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080 rds-outbound.a/web.80 ");
    expect_names(w, "u-db", XDS_RDS, "rds-outbound.a/web.80 ");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("permissions{any:1 } principals{authenticated{principal_name{prefix:"
                 "\"spiffe://cluster.local/\" } } }",
                 "cluster:\"a/web|8080|local\""),
           "principals{any:1 }");
}

static void proxies_that_are_scraped_have_a_listener_for_it(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE ACCOUNT("m") SCRAPED("m"));
    expect_names(w, "u-m", XDS_CDS, "envoy-metrics-cluster passthrough-outbound ");
    expect_names(w, "u-m", XDS_LDS, "inbound-prometheus-listener outbound-listener ");
    expect(w, "u-m", XDS_LDS, "inbound-prometheus-listener",
           PARTS("port_value:15010", "prefix:\"/stats/prometheus\"",
                 "cluster:\"envoy-metrics-cluster\"", "prometheus-inbound-virtual-host"),
           NULL);
    expect(w, "u-m", XDS_CDS, "envoy-metrics-cluster", PARTS("port_value:15000"), NULL);
}

static void egress_is_on_or_off(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE CLIENT);
    expect(w, "u-client", XDS_LDS, "outbound-listener",
           PARTS("address:\"0.0.0.0\" port_value:15001", "use_original_dst{value:1 }",
                 "default_filter_chain{",
                 "stat_prefix:\"egress-tcp-proxy.passthrough-outbound\" "
                 "cluster:\"passthrough-outbound\""),
           "403");
    expect(w, "u-client", XDS_CDS, "passthrough-outbound",
           PARTS("type:ORIGINAL_DST", "lb_policy:CLUSTER_PROVIDED"), NULL);
    apply(w, SMI);
    expect_names(w, "u-client", XDS_CDS, "");
    expect(w, "u-client", XDS_LDS, "outbound-listener",
           PARTS("default_filter_chain{", "status:403"), "passthrough");
}

/* --- content --- */

static void an_outbound_cluster_calls_with_mutual_tls(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect(w, "u-client", XDS_CDS, "a/web|8080",
           PARTS("type:EDS", "eds_config{ads{}", "sni:\"web.a.svc.cluster.local\"",
                 "alpn_protocols:\"osm\"", "name:\"service-cert\"",
                 "name:\"root-cert-for-mtls-outbound\"", "san_type:URI",
                 "exact:\"spiffe://cluster.local/web/a\"", "max_connections{value:4294967295 }",
                 "track_remaining:1", "use_downstream_protocol_config{",
                 "tls_minimum_protocol_version:TLSv1_2 tls_maximum_protocol_version:TLSv1_3"),
           NULL);
    expect(w, "u-client", XDS_CDS, "a/db|3306", PARTS("sni:\"db.a.svc.cluster.local\""),
           "use_downstream_protocol_config");
    expect(w, "u-client", XDS_EDS, "a/web|8080",
           PARTS("cluster_name:\"a/web|8080\"", "zone:\"local\"",
                 "address:\"10.0.0.1\" port_value:8080"),
           NULL);
    expect(w, "u-client", XDS_SDS, "root-cert-for-mtls-outbound", PARTS("BEGIN CERTIFICATE"),
           "spiffe");
    expect(w, "u-client", XDS_SDS, "root-cert-for-mtls-inbound", PARTS("BEGIN CERTIFICATE"),
           "spiffe");
    expect(w, "u-client", XDS_SDS, "service-cert",
           PARTS("tls_certificate{", "BEGIN CERTIFICATE", "BEGIN PRIVATE KEY"), NULL);
}

/* Nobody may answer for a service that has no workloads. */
static void a_service_without_workloads_trusts_nobody(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE PERMISSIVE SERVICE("new", "clusterIP: 10.1.0.7, ports: [{port: 80}]") CLIENT);
    expect(w, "u-client", XDS_CDS, "a/new|80", PARTS("exact:\"spiffe://nobody.invalid/\""),
           "spiffe://cluster.local");
    expect(w, "u-client", XDS_EDS, "a/new|80", PARTS("cluster_name"), "address");
}

static void pods_without_a_sidecar_are_no_endpoints(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT
          "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: bare, labels: {app: "
          "web}}\nspec: {serviceAccountName: web, containers: [{name: c, image: i}]}\n"
          "status: {phase: Running, podIP: 10.0.0.8, podIPs: [{ip: 10.0.0.8}]}\n" SLICE(
              "web", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.8]}", "{port: 8080}"));
    expect(w, "u-client", XDS_EDS, "a/web|8080", PARTS("10.0.0.1"), "10.0.0.8");
}

static void outbound_listeners_have_the_cluster_ip(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    expect(w, "u-client", XDS_LDS, "outbound_a/web_80_http",
           PARTS("address:\"10.1.0.1\" port_value:80", "bind_to_port{} stat_prefix:\"outbound\"",
                 "traffic_direction:OUTBOUND", "stat_prefix:\"rds-outbound.80\"",
                 "route_config_name:\"rds-outbound.a/web.80\"", "default_filter_chain{"),
           "filter_chains{");
    expect(w, "u-client", XDS_LDS, "outbound_a/db_3306_tcp",
           PARTS("address:\"10.1.0.2\" port_value:3306",
                 "stat_prefix:\"outbound_a/db_3306_tcp\" cluster:\"a/db|3306\""),
           "http_connection_manager");
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/web.80",
           PARTS("name:\"outbound_virtual-host|web.a.svc.cluster.local\"", "prefix:\"/\"",
                 "cluster:\"a/web|8080\" timeout{}", "validate_clusters{}"),
           "rbac");
}

static void the_inbound_listener_takes_calls_of_the_mesh_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB);
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("address:\"0.0.0.0\" port_value:15003", "traffic_direction:INBOUND",
                 "name:\"envoy.filters.listener.tls_inspector\"",
                 "name:\"envoy.filters.listener.original_dst\"", "destination_port{value:8080 }",
                 "server_names:\"web.a.svc.cluster.local\"", "transport_protocol:\"tls\"",
                 "application_protocols:\"osm\"", "name:\"inbound_a/web_8080_http\"",
                 "require_client_certificate{value:1 }", "name:\"root-cert-for-mtls-inbound\"",
                 "route_config_name:\"rds-inbound.a/web.8080\"",
                 "name:\"envoy.filters.http.rbac\""),
           "a/db");
    expect(w, "u-web", XDS_CDS, "a/web|8080|local",
           PARTS("type:STATIC", "address:\"127.0.0.1\" port_value:8080",
                 "alt_stat_name:\"a/web|8080|local\""),
           "tls");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("stat_prefix:\"network-\"", "rules{policies{key:\"permissive\"",
                 "cluster:\"a/db|3306|local\""),
           "http_connection_manager");
}

/* --- SMI mode --- */

static void without_targets_nobody_sees_or_may_anything(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT);
    expect_names(w, "u-client", XDS_CDS, "");
    expect_names(w, "u-client", XDS_LDS, "outbound-listener ");
    expect_names(w, "u-client", XDS_SDS,
                 "root-cert-for-mtls-inbound root-cert-for-mtls-outbound service-cert ");
    /* RBAC that allows, without a policy, lets nobody in. */
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("key:\"envoy.filters.http.rbac\" value{rbac{rules{}"), "any:1");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("typed_config{rules{} stat_prefix:\"network-\" }"), "any:1");
}

static void a_target_names_its_principals(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT GROUP TARGET(
                 "t", "web", "{kind: HTTPRouteGroup, name: group, matches: [buy]}"));
    expect_names(w, "u-client", XDS_CDS, "a/web|8080 ");
    expect_names(w, "u-client", XDS_LDS, "outbound-listener outbound_a/web_80_http ");
    expect_names(w, "u-db", XDS_CDS, "a/db|3306|local ");
    expect(
        w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
        PARTS("policies{key:\"a/t\" value{permissions{and_rules{",
              "principals{authenticated{principal_name{exact:\"spiffe://cluster.local/client/a\"",
              "regex:\"/buy\"", "exact:\"GET\"", "exact:\"POST\"", "name:\"x-who\""),
        "/sell");
    apply(w, TARGET("t", "web", "{kind: HTTPRouteGroup, name: group}"));
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080",
           PARTS("regex:\"/buy\"", "regex:\"/sell\""), "exact:\"*\"");
    remove_object(w, KIND_TRAFFIC_TARGET, "a", "t");
    expect_names(w, "u-client", XDS_CDS, "");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080", PARTS("rbac{rules{}"), "spiffe:");
}

static void a_tcp_target_names_principals_and_ports(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE SMI WEB DB CLIENT TCP_ROUTE TARGET("t", "db", "{kind: TCPRoute, name: tcp}"));
    expect_names(w, "u-client", XDS_CDS, "a/db|3306 ");
    expect(w, "u-db", XDS_LDS, "inbound-listener",
           PARTS("policies{key:\"a/t\" value{permissions{destination_port:3306 } "
                 "principals{authenticated{principal_name{exact:\"spiffe://cluster.local/client/"
                 "a\""),
           "any:1");
    expect(w, "u-web", XDS_RDS, "rds-inbound.a/web.8080", PARTS("rbac{rules{}"), "spiffe:");
}

static void a_split_divides_calls(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT SERVICE(
                 "v1", "clusterIP: 10.1.0.5, selector: {app: web}, ports: [{port: 80, targetPort: "
                       "8080}]")
                 SERVICE("v2", "clusterIP: 10.1.0.6, selector: {app: web}, ports: [{port: 80, "
                               "targetPort: 8080}]")
                     SLICE("v1", "{addresses: [10.0.0.1]}", "{port: 8080}")
                         SLICE("v2", "{addresses: [10.0.0.1]}",
                               "{port: 8080}") "---\napiVersion: split.smi-spec.io/v1alpha4\nkind: "
                                               "TrafficSplit\nmetadata: {namespace: "
                                               "a, name: s}\nspec: {service: web, backends: "
                                               "[{service: v1, weight: 90}, {service: v2, "
                                               "weight: 10}]}\n");
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/web.80",
           PARTS("weighted_clusters{clusters{name:\"a/v1|8080\" weight{value:90 } } "
                 "clusters{name:\"a/v2|8080\" weight{value:10 } }"),
           "a/web|8080");
}

static void a_headless_service_has_a_listener_for_each_endpoint(void **state)
{
    struct world *w = *state;
    apply(w,
          NAMESPACE PERMISSIVE CLIENT ACCOUNT("h") SERVICE(
              "h", "clusterIP: None, selector: {app: h}, ports: [{port: 80, targetPort: 8080}]")
              POD("h1", "h", "u-h1", "10.0.1.1", "") POD("h2", "h", "u-h2", "10.0.1.2", "")
                  SLICE("h", "{addresses: [10.0.1.1]}, {addresses: [10.0.1.2]}", "{port: 8080}"));
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/h_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
    expect_names(w, "u-client", XDS_EDS, "a/h|8080 ");
    expect(w, "u-client", XDS_CDS, "a/h|8080|dialled", PARTS("type:ORIGINAL_DST"), NULL);
    expect(w, "u-client", XDS_CDS, "a/h|8080", PARTS("type:EDS"), NULL);
    expect(w, "u-client", XDS_RDS, "rds-outbound.a/h.80", PARTS("cluster:\"a/h|8080|dialled\""),
           NULL);
    expect(w, "u-client", XDS_LDS, "outbound_a/h_80_http_10.0.1.2",
           PARTS("address:\"10.0.1.2\" port_value:8080"), NULL);
    /* Two services with the same pods: the first name has the addresses, until it goes. */
    apply(w,
          SERVICE("g", "clusterIP: None, selector: {app: h}, ports: [{port: 80, targetPort: 8080}]")
              SLICE("g", "{addresses: [10.0.1.1]}", "{port: 8080}"));
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/g_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
    remove_object(w, KIND_SERVICE, "a", "g");
    expect_names(w, "u-client", XDS_LDS,
                 "outbound-listener outbound_a/h_80_http_10.0.1.1 outbound_a/h_80_http_10.0.1.2 ");
}

/* --- what changes and what doesn't --- */

static size_t count_changed(struct world *w)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    return planner_take_changed(w->planner, a).len;
}

static void what_says_the_same_changes_nothing(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    count_changed(w);
    struct plan *before = plan_of(w, "u-client");
    uint64_t encoded = planner_stats(w->planner).encoded;
    apply(w, WEB DB);
    apply(w, ACCOUNT("unrelated"));
    assert_ptr_equal(plan_of(w, "u-client"), before);
    assert_int_equal(planner_stats(w->planner).encoded, encoded);
    assert_int_equal(count_changed(w), 0);
}

static void a_new_endpoint_changes_one_list(void **state)
{
    static const struct {
        enum xds_type type;
        const char *name;
    } same[] = {
        {XDS_CDS, "a/web|8080"},
        {XDS_CDS, "a/db|3306"},
        {XDS_EDS, "a/db|3306"},
        {XDS_SDS, "root-cert-for-mtls-outbound"},
        {XDS_SDS, "service-cert"},
        {XDS_LDS, "outbound_a/web_80_http"},
        {XDS_RDS, "rds-outbound.a/web.80"},
    };
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    struct resource *before[COUNT_OF(same)];
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        before[i] = find(w, "u-client", same[i].type, same[i].name);
        assert_non_null(before[i]);
    }
    struct plan *old = plan_ref(plan_of(w, "u-client"));
    uint64_t version = find(w, "u-client", XDS_EDS, "a/web|8080")->version;

    apply(w, POD("web2", "web", "u-web2", "10.0.0.5", "")
                 SLICE("web", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.5]}", "{port: 8080}"));
    struct plan *now = plan_of(w, "u-client");
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        assert_ptr_equal(find(w, "u-client", same[i].type, same[i].name), before[i]);
    }
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_int_equal(view_same(old->views[t], now->views[t]), t != XDS_EDS);
    }
    assert_int_not_equal(find(w, "u-client", XDS_EDS, "a/web|8080")->version, version);

    /* The same content again has the same version, whatever came in between. */
    apply(w, SLICE("web", "{addresses: [10.0.0.1]}", "{port: 8080}"));
    assert_int_equal(find(w, "u-client", XDS_EDS, "a/web|8080")->version, version);
    assert_true(view_same(old->views[XDS_EDS], plan_of(w, "u-client")->views[XDS_EDS]));
    plan_unref(old);
}

static void proxies_of_one_workload_share_their_plan(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT POD("web2", "web", "u-web2", "10.0.0.5", ""));
    assert_ptr_equal(plan_of(w, "u-web"), plan_of(w, "u-web2"));
    assert_ptr_equal(find(w, "u-web", XDS_CDS, "a/web|8080"),
                     find(w, "u-client", XDS_CDS, "a/web|8080"));
    assert_ptr_not_equal(find(w, "u-web", XDS_SDS, "service-cert"),
                         find(w, "u-client", XDS_SDS, "service-cert"));
}

static void renewal_changes_the_certificate_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB CLIENT);
    struct plan *old = plan_ref(plan_of(w, "u-web"));
    planner_tick(w->planner, NOW + 3600);
    assert_ptr_equal(plan_of(w, "u-web"), old);
    planner_tick(w->planner, NOW + 20 * 3600); /* of 24 hours */
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_int_equal(view_same(old->views[t], plan_of(w, "u-web")->views[t]), t != XDS_SDS);
    }
    uint64_t id = resource_id(STR("service-cert"));
    assert_true(view_find(old->views[XDS_SDS], id) != find(w, "u-web", XDS_SDS, "service-cert"));
    plan_unref(old);
}

/* Renewals and rules concern the audiences of one identity, of which there may be several. */
static void a_rule_changes_the_plans_of_its_identities_only(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT POD("web2", "web", "u-web2", "10.0.0.5",
                                             ", annotations: {prometheus.io/scrape: \"true\"}"));
    assert_ptr_not_equal(plan_of(w, "u-web"), plan_of(w, "u-web2"));
    assert_int_equal(count_changed(w), 4);
    assert_int_equal(count_changed(w), 0);
    struct plan *db = plan_of(w, "u-db");
    apply(w, GROUP TARGET("t", "web", "{kind: HTTPRouteGroup, name: group, matches: [buy]}"));
    assert_int_equal(count_changed(w), 3); /* web's two and the client's */
    assert_ptr_equal(plan_of(w, "u-db"), db);
    planner_tick(w->planner, NOW + 20 * 3600);
    assert_int_equal(count_changed(w), 4);
}

static void an_audience_that_goes_is_not_among_the_changed(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB);
    struct mesh_proxy_pod web = mesh_proxy_find(w->f.mesh, STR("u-web"))->pods.at[0];
    AUTO(free) char *key = mem_memdup(web.audience.ptr, web.audience.len);
    count_changed(w);
    /* It changes twice before anybody asks, then it is gone: its pod is behind no service. */
    planner_tick(w->planner, NOW + 20 * 3600);
    apply(w, POD("web", "db", "u-web", "10.0.0.1", ""));
    assert_null(planner_plan(w->planner, str_of(key)));
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct strs changed = planner_take_changed(w->planner, a);
    for (size_t i = 0; i < changed.len; i++) {
        assert_non_null(planner_plan(w->planner, changed.at[i]));
    }
}

static void modes_change_back_and_forth(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE PERMISSIVE WEB DB CLIENT);
    struct plan *old = plan_ref(plan_of(w, "u-client"));
    apply(w, SMI);
    expect_names(w, "u-client", XDS_EDS, "");
    apply(w, PERMISSIVE);
    for (int t = 0; t < XDS_TYPES; t++) {
        assert_true(view_same(old->views[t], plan_of(w, "u-client")->views[t]));
    }
    plan_unref(old);
}

/* --- claims --- */

static struct mesh_service *cluster_service(struct arena *a, const char *ip, uint16_t port)
{
    struct mesh_service *s = ARENA_NEW(a, struct mesh_service);
    s->ips.at = arena_memdup(a, &(struct str){ip, strlen(ip)}, sizeof(struct str));
    s->ips.len = 1;
    s->ports.at = ARENA_NEW(a, struct mesh_port);
    s->ports.at[0].port = port;
    s->ports.len = 1;
    return s;
}

/* The keys that the update affects, each with a space after it. */
static void claim(struct claims *c, const char *service, const struct mesh_service *s,
                  const char *affected)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    claims_keys keys = {0};
    claims_update(c, str_of(service), s, NULL, a, &keys);
    AUTO(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    VEC_EACH(keys, k) {
        buf_printf(&text, "%.*s ", STR_ARG(*k));
    }
    VEC_DONE(keys);
    assert_string_equal(text.data ? text.data : "", affected);
}

static void expect_owner(const struct claims *c, const char *ip, uint16_t port, const char *owner)
{
    static const char *const all[] = {"a/a", "a/b", "a/c"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        bool owns = claims_owns(c, str_of(ip), port, str_of(all[i]));
        assert_int_equal(owns, owner && strcmp(owner, all[i]) == 0);
    }
}

static void the_first_name_has_the_address(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct mesh_service *one = cluster_service(a, "10.1.0.1", 80);
    struct mesh_service *other = cluster_service(a, "10.1.0.1", 81);
    struct claims *c = claims_new();
    claim(c, "a/b", one, "");
    expect_owner(c, "10.1.0.1", 80, "a/b");
    claim(c, "a/c", one, "");
    expect_owner(c, "10.1.0.1", 80, "a/b");
    claim(c, "a/a", one, "a/b ");
    expect_owner(c, "10.1.0.1", 80, "a/a");
    claim(c, "a/a", one, ""); /* nothing changed */
    expect_owner(c, "10.1.0.1", 81, NULL);
    claim(c, "a/a", other, "a/b "); /* another port is another address */
    expect_owner(c, "10.1.0.1", 80, "a/b");
    expect_owner(c, "10.1.0.1", 81, "a/a");
    claim(c, "a/c", NULL, "");
    claim(c, "a/b", NULL, "");
    expect_owner(c, "10.1.0.1", 80, NULL);
    claim(c, "a/a", NULL, "");
    claim(c, "a/a", NULL, "");
    claims_free(c);
}

/* --- resources, sets and views --- */

static struct resource *make(const char *name, const char *content)
{
    return resource_new(str_of(name), blob_new(content, strlen(content)), 0);
}

static void versions_are_text_on_the_wire(void **state)
{
    char text[17];
    resource_version_text(0x0123456789abcdef, text);
    assert_string_equal(text, "0123456789abcdef");
    assert_true(resource_version_parse(str_of(text)) == 0x0123456789abcdef);
    static const char *const bad[] = {"", "1", "0123456789abcdeg", "0123456789abcdef0", "-1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_true(resource_version_parse(str_of(bad[i])) == 0);
    }
}

static struct resource_set *set_of(const char *const *names)
{
    resource_vec v = {0};
    for (size_t i = 0; names[i]; i++) {
        VEC_PUSH(v, make(names[i], names[i]));
    }
    struct resource_set *s = resource_set_new(v.at, v.len);
    resource_vec_done(&v);
    return s;
}

static void note_changed(void *arg, struct resource *r)
{
    buf_printf(arg, "+%s ", r->name);
}

static void note_removed(void *arg, struct resource *r)
{
    buf_printf(arg, "-%s ", r->name);
}

static bool differ(struct view from, struct view to)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    view_diff(from, to, note_changed, note_removed, &out);
    return out.len > 0;
}

static void sets_are_the_same_by_content(void **state)
{
    struct resource_set *a = set_of(PARTS("x", "y", "z"));
    struct resource_set *b = set_of(PARTS("z", "x", "y", "x"));
    struct resource_set *c = set_of(PARTS("x", "y"));
    assert_int_equal(a->n, 3);
    assert_int_equal(b->n, 3);
    assert_true(a->hash == b->hash && a->hash != c->hash);
    assert_false(differ((struct view){a, NULL}, (struct view){NULL, b}));
    assert_true(differ((struct view){a, NULL}, (struct view){c, NULL}));

    resource_vec none = {0}, gone = {0}, add = {0};
    struct resource_set *same = resource_set_edit(a, &none, &none);
    assert_ptr_equal(same, a);
    resource_set_unref(same);
    VEC_PUSH(gone, make("z", ""));
    struct resource_set *less = resource_set_edit(a, &gone, &none);
    assert_true(less->hash == c->hash);
    VEC_PUSH(add, make("z", "z"));
    struct resource_set *again = resource_set_edit(less, &none, &add);
    assert_true(again->hash == a->hash);
    resource_vec_done(&gone);
    resource_vec_done(&add);
    resource_set_unref(a);
    resource_set_unref(b);
    resource_set_unref(c);
    resource_set_unref(less);
    resource_set_unref(again);
}

static void own_resources_go_before_shared_ones(void **state)
{
    resource_vec base = {0}, own = {0};
    VEC_PUSH(base, make("x", "base"));
    VEC_PUSH(base, make("y", "base"));
    VEC_PUSH(own, make("x", "own"));
    struct view v = {resource_set_new(base.at, base.len), resource_set_new(own.at, own.len)};
    struct view only = {v.base, NULL};
    assert_int_equal(view_count(v), 2);
    assert_string_equal(view_find(v, resource_id(STR("x")))->body->data, "own");
    assert_string_equal(view_find(v, resource_id(STR("y")))->body->data, "base");
    assert_false(view_same(v, only));
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    view_diff(v, only, note_changed, note_removed, &out);
    assert_string_equal(out.data, "+x ");
    resource_vec_done(&base);
    resource_vec_done(&own);
    view_unref(&v);
}

/* --- ingress --- */

#define INGRESS(name, backend, sources)                                                            \
    "---\napiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\n"                  \
    "metadata: {namespace: a, name: " name "}\nspec: {backends: [{" backend                        \
    "}], sources: [" sources "]}\n"
#define AT_8080(protocol) "name: web, port: {number: 8080, protocol: " protocol "}"
#define GATEWAY(addresses)                                                                         \
    SERVICE("gateway", "ports: [{port: 443}]") SLICE("gateway", addresses, "{port: 443}")
#define FROM_GATEWAY "{kind: Service, name: gateway, namespace: a}"
#define NAMED "{kind: AuthenticatedPrincipal, name: g.example}"

static void ingress_over_http_is_a_chain_for_addresses(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB GATEWAY("{addresses: [10.0.0.7]}, {addresses: [10.0.0.8]}"));
    apply(w, INGRESS("in", AT_8080("http"), FROM_GATEWAY));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("filter_chain_match{source_prefix_ranges{address_prefix:\"10.0.0.7\" "
                 "prefix_len{value:32 } } source_prefix_ranges{address_prefix:\"10.0.0.8\" "
                 "prefix_len{value:32 } } destination_port{value:8080 } "
                 "transport_protocol:\"raw_buffer\" } ",
                 "name:\"ingress_a/web_8080_http\"", "name:\"inbound_a/web_8080_http\"",
                 "route_config_name:\"rds-ingress.a/web.8080\""),
           "require_client_certificate{}");
    expect(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080",
           PARTS("ingress_virtual-host|a/web_from_in", "cluster:\"a/web|8080|local\"",
                 "key:\"a/in\" value{permissions{any:1 } principals{any:1 }"),
           NULL);
    remove_object(w, KIND_INGRESS_BACKEND, "a", "in");
    expect(w, "u-web", XDS_LDS, "inbound-listener", PARTS("inbound_a/web_8080_http"), "ingress");
    assert_null(find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080"));
}

static void ingress_over_https_asks_for_the_principal(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB INGRESS("in", AT_8080("https"), NAMED));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("destination_port{value:8080 } transport_protocol:\"tls\" } ",
                 "destination_port{value:8080 } transport_protocol:\"tls\" "
                 "server_names:\"web.a.svc.cluster.local\" } ",
                 "alpn_protocols:\"http/1.1\"", "name:\"ingress_a/web_8080_https\"",
                 "name:\"ingress_a/web_8080_https_by_name\""),
           "require_client_certificate{}");
    expect(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080",
           PARTS("principals{authenticated{principal_name{exact:\"g.example\" } } }"), "any:1 } }");
}

static void ingress_without_validation_asks_for_no_certificate(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB GATEWAY("{addresses: [10.0.0.7]}"));
    apply(w, INGRESS("in",
                     AT_8080("https") ", tls: {skipClientCertValidation: true, sniHosts: "
                                      "[b.example, \"*.svc.cluster.local\"]}",
                     FROM_GATEWAY));
    expect(w, "u-web", XDS_LDS, "inbound-listener",
           PARTS("server_names:\"*.svc.cluster.local\" server_names:\"b.example\" "
                 "server_names:\"web.a.svc.cluster.local\"",
                 "alpn_protocols:\"http/1.1\"",
                 "name:\"service-cert\" sds_config{ads{} resource_api_version:V3 } } } "
                 "require_client_certificate{}"),
           "_by_name");
}

/* Two chains with one condition would make Envoy refuse the listener. */
static void no_two_ingress_chains_have_the_same_conditions(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB SERVICE(
                 "alias", "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]"));
    apply(w, INGRESS("alias", "name: alias, port: {number: 8080, protocol: http}",
                     "{kind: IPRange, name: 10.0.0.7/32}, {kind: IPRange, name: 10.0.0.9/32}")
                 INGRESS("in", AT_8080("http"),
                         "{kind: IPRange, name: 10.0.0.8/32}, {kind: IPRange, name: 10.0.0.9/32}"));
    AUTO(free) char *text = text_of(w, "u-web", XDS_LDS, "inbound-listener");
    const char *shared = strstr(text, "address_prefix:\"10.0.0.9\"");
    assert_non_null(shared);
    assert_null(strstr(shared + 1, "address_prefix:\"10.0.0.9\""));
    assert_non_null(strstr(text, "address_prefix:\"10.0.0.7\""));
    assert_non_null(strstr(text, "address_prefix:\"10.0.0.8\""));
}

static void a_gateways_endpoint_changes_one_listener(void **state)
{
    struct world *w = *state;
    apply(w, NAMESPACE SMI WEB DB CLIENT GATEWAY("{addresses: [10.0.0.7]}"));
    apply(w, INGRESS("in", AT_8080("http"), FROM_GATEWAY));
    struct resource *routes = find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080");
    uint64_t listener = find(w, "u-web", XDS_LDS, "inbound-listener")->version;
    struct plan *client = plan_of(w, "u-client"), *db = plan_of(w, "u-db");
    uint64_t version = routes->version;
    apply(w, SLICE("gateway", "{addresses: [10.0.0.8]}", "{port: 443}"));
    assert_true(find(w, "u-web", XDS_LDS, "inbound-listener")->version != listener);
    assert_true(find(w, "u-web", XDS_RDS, "rds-ingress.a/web.8080")->version == version);
    assert_ptr_equal(plan_of(w, "u-client"), client);
    assert_ptr_equal(plan_of(w, "u-db"), db);
}

#define WITH_MESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MESH(in_permissive_mode_a_client_has_every_service),
        WITH_MESH(a_server_also_has_its_inbound_side),
        WITH_MESH(proxies_that_are_scraped_have_a_listener_for_it),
        WITH_MESH(egress_is_on_or_off),
        WITH_MESH(an_outbound_cluster_calls_with_mutual_tls),
        WITH_MESH(a_service_without_workloads_trusts_nobody),
        WITH_MESH(pods_without_a_sidecar_are_no_endpoints),
        WITH_MESH(outbound_listeners_have_the_cluster_ip),
        WITH_MESH(the_inbound_listener_takes_calls_of_the_mesh_only),
        WITH_MESH(without_targets_nobody_sees_or_may_anything),
        WITH_MESH(a_target_names_its_principals),
        WITH_MESH(a_tcp_target_names_principals_and_ports),
        WITH_MESH(a_split_divides_calls),
        WITH_MESH(a_headless_service_has_a_listener_for_each_endpoint),
        WITH_MESH(what_says_the_same_changes_nothing),
        WITH_MESH(a_new_endpoint_changes_one_list),
        WITH_MESH(proxies_of_one_workload_share_their_plan),
        WITH_MESH(renewal_changes_the_certificate_only),
        WITH_MESH(a_rule_changes_the_plans_of_its_identities_only),
        WITH_MESH(an_audience_that_goes_is_not_among_the_changed),
        WITH_MESH(modes_change_back_and_forth),
        cmocka_unit_test(the_first_name_has_the_address),
        WITH_MESH(ingress_over_http_is_a_chain_for_addresses),
        WITH_MESH(ingress_over_https_asks_for_the_principal),
        WITH_MESH(ingress_without_validation_asks_for_no_certificate),
        WITH_MESH(no_two_ingress_chains_have_the_same_conditions),
        WITH_MESH(a_gateways_endpoint_changes_one_listener),
        cmocka_unit_test(versions_are_text_on_the_wire),
        cmocka_unit_test(sets_are_the_same_by_content),
        cmocka_unit_test(own_resources_go_before_shared_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
