/* A mesh with its planner, and Envoy's resources as text: field:"text" field:1 field{...}, without
 * defaults. */
#ifndef OSM_TEST_XDS_FIXTURE_H
#define OSM_TEST_XDS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "all.pb-c.h"
#include "mesh_fixture.h"
#include "xds/planner.h"

#define NOW INT64_C(1800000000)
#define TEXT_MAX (4u << 20)

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

static inline void put_message(struct buf *out, const ProtobufCMessage *m);

static inline void put_packed(struct buf *out, const ProtobufCMessageDescriptor *d,
                              const void *bytes, size_t len)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, bytes);
    assert_non_null(m);
    put_message(out, m);
    protobuf_c_message_free_unpacked(m, NULL);
}

static inline void put_any(struct buf *out, const Google__Protobuf__Any *any)
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

static inline void put_value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *at)
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

static inline bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                          const char *at)
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

static inline void put_message(struct buf *out, const ProtobufCMessage *m)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    struct world *w = *state;
    planner_free(w->planner);
    fixture_done(&w->f);
    issuer_free(w->issuer);
    free(w);
    return 0;
}

static inline void apply(struct world *w, const char *yaml)
{
    fixture_put(&w->f, yaml);
    fixture_update(&w->f);
    planner_update(w->planner, &w->f.delta, NOW);
}

static inline void remove_object(struct world *w, enum kind kind, const char *namespace,
                                 const char *name)
{
    assert_true(fixture_remove(&w->f, kind, namespace, name));
    fixture_update(&w->f);
    planner_update(w->planner, &w->f.delta, NOW);
}

static inline struct plan *plan_of(struct world *w, const char *uuid)
{
    const struct mesh_proxy *p = mesh_proxy_find(w->f.mesh, str_of(uuid));
    assert_non_null(p);
    struct plan *plan = planner_plan(w->planner, p->pods.at[0].audience);
    assert_non_null(plan);
    return plan;
}

static inline struct resource *find(struct world *w, const char *uuid, enum xds_type t,
                                    const char *name)
{
    return view_find(plan_of(w, uuid)->views[t], resource_id(str_of(name)));
}

static inline void collect(void *arg, struct resource *r)
{
    map_put(arg, resource_name(r), r);
}

/* Names of one type, sorted, with a space after each. */
static inline void expect_names(struct world *w, const char *uuid, enum xds_type t,
                                const char *want)
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

static inline char *text_of(struct world *w, const char *uuid, enum xds_type t, const char *name)
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
static inline void expect(struct world *w, const char *uuid, enum xds_type t, const char *name,
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

#define WITH_MESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
