/* osm verify ingress: is all there that a call from an ingress gateway needs? */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/verify.h"

static const char *from_service, *to_pod, *to_service, *ingress_backend, *app_protocol = "http",
                                                                         *mesh_name = MESH_NAME;
static int64_t to_port;

const struct flag verify_ingress_flags[] = {
    {"from-service", 0, FLAG_STRING, "NAMESPACE/NAME", "the gateway's service", &from_service,
     .required = true},
    {"to-pod", 0, FLAG_STRING, "[NAMESPACE/]POD", "who is called", &to_pod, .required = true,
     .complete = complete_pods},
    {"to-service", 0, FLAG_STRING, "NAME", "by which service, in the namespace of --to-pod",
     &to_service, .required = true},
    {"ingress-backend", 0, FLAG_STRING, "NAME", "the IngressBackend that allows it",
     &ingress_backend, .required = true},
    {"to-port", 0, FLAG_NUMBER, "PORT", "of the pod", &to_port, .required = true, .min = 1,
     .max = 65535},
    {"app-protocol", 0, FLAG_STRING, "http|https", "what is spoken", &app_protocol},
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh", &mesh_name},
    {0},
};

struct entry {
    struct cluster *cluster;
    struct value *slices; /* of the gateway's service; NULL: not known */
    bool by_service;      /* the policy names the gateway's service */
    struct verify *whole;
    struct object_name from, to;
};

static const struct value *find_backend(const struct value *policy)
{
    const struct value *list = value_at(policy, "spec.backends");
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *port = value_at(&list->array.at[i], "port.number");
        if (str_is(value_string_at(&list->array.at[i], "name"), to_service) && port &&
            port->type == VALUE_INT && port->integer == to_port) {
            return &list->array.at[i];
        }
    }
    return NULL;
}

/* Sources of a kind, as `each` counts them. */
static size_t sources(const struct value *policy, const char *kind,
                      bool (*each)(void *arg, const struct value *source), void *arg)
{
    const struct value *list = value_at(policy, "spec.sources");
    size_t n = 0;
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *s = &list->array.at[i];
        n += str_is(value_string_at(s, "kind"), kind) && (!each || each(arg, s));
    }
    return n;
}

static bool is_service(void *arg, const struct value *source)
{
    const struct object_name *service = arg;
    return str_is(value_string_at(source, "name"), service->name) &&
           str_is(value_string_at(source, "namespace"), service->namespace);
}

/* 4 or 16 bytes; 0: no address. */
static size_t address_bytes(struct str s, unsigned char bytes[16])
{
    char text[64];
    snprintf(text, sizeof(text), "%.*s", STR_ARG(s));
    return inet_pton(AF_INET, text, bytes) == 1    ? 4
           : inet_pton(AF_INET6, text, bytes) == 1 ? 16
                                                   : 0;
}

/* Is the address, a string value, in the range of the source? */
static bool has_address(void *arg, const struct value *source)
{
    const struct value *address = arg;
    struct str prefix, length;
    unsigned char a[16], b[16];
    int64_t bits;
    str_cut(value_string_at(source, "name"), '/', &prefix, &length);
    size_t n = address_bytes(prefix, a);
    if (n == 0 || address_bytes(address->string, b) != n ||
        !str_int(length, 0, (int64_t)n * 8, &bits)) {
        return false;
    }
    for (int64_t i = 0; i < bits; i++) {
        if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) {
            return false;
        }
    }
    return true;
}

/* Does every pod of the gateway call from an address that a source names? */
static bool all_addresses(struct entry *t, const struct value *policy)
{
    size_t known = 0;
    for (size_t i = 0; i < value_len(t->slices); i++) {
        const struct value *endpoints = value_member(&t->slices->array.at[i], "endpoints");
        for (size_t j = 0; j < value_len(endpoints); j++) {
            const struct value *list = value_member(&endpoints->array.at[j], "addresses");
            if (value_len(list) > 0) {
                known++;
                if (!sources(policy, "IPRange", has_address, &list->array.at[0])) {
                    return false;
                }
            }
        }
    }
    return known > 0;
}

static bool comes_from_a_source(struct entry *t, const struct value *policy)
{
    t->by_service = sources(policy, "Service", is_service, &t->from) > 0;
    bool any_address =
        !sources(policy, "Service", NULL, NULL) && !sources(policy, "IPRange", NULL, NULL);
    return t->by_service || any_address || all_addresses(t, policy);
}

static void check_policy_content(struct entry *t, struct verify *v, const struct value *policy)
{
    const struct value *backend = find_backend(policy);
    struct str protocol = value_string_at(backend, "port.protocol");
    struct str status = value_string_at(policy, "status.currentStatus");
    if (!backend) {
        verify_fail(v, NULL, "none of its backends is service \"%s\" with port %lld", to_service,
                    (long long)to_port);
    } else if (!str_is_nocase(protocol, app_protocol)) {
        verify_fail(v, NULL, "its port's protocol is %.*s, not %s", STR_ARG(protocol),
                    app_protocol);
    } else if (!comes_from_a_source(t, policy)) {
        verify_fail(v, NULL,
                    "none of its sources is Service %s/%s, or a range with the addresses of its "
                    "pods",
                    t->from.namespace, t->from.name);
    } else if (str_is(status, "error")) {
        verify_fail(v, NULL, "its status: %.*s", STR_ARG(value_string_at(policy, "status.reason")));
    }
}

/* --- the gateway's certificate --- */

static bool is_name(void *arg, const struct value *source)
{
    const struct value *names = arg;
    for (size_t i = 0; i < value_len(names); i++) {
        const struct value *name = &names->array.at[i];
        if (name->type == VALUE_STRING && str_eq(name->string, value_string_at(source, "name"))) {
            return true;
        }
    }
    return false;
}

/* Where the mesh makes it. */
static void check_principal(struct entry *t, const struct value *policy)
{
    struct cluster *c = t->cluster;
    const struct mesh_info *mesh = NULL;
    struct value *config = NULL;
    struct err e = ERR_INIT;
    if (!str_is_nocase(str_of(app_protocol), "https") ||
        value_bool_at(find_backend(policy), "tls.skipClientCertValidation")) {
        return;
    }
    struct verify *v =
        verify_new(c->arena, t->whole, "Verify if the gateway's certificate has a principal");
    if (mesh_find_named(c, mesh_name, &mesh, &e) < 0 ||
        cluster_find(
            c,
            kube_path(c->arena, KIND_MESH_CONFIG, str_of(mesh->namespace), STR(CONFIG_NAME), NULL),
            &config, &e) < 0) {
        verify_unknown(v, &e);
        return;
    }
    const struct value *names = value_at(config, "spec.certificate.ingressGateway.subjectAltNames");
    if (names && !sources(policy, "AuthenticatedPrincipal", is_name, (void *)names)) {
        verify_fail(v, "compare MeshConfig spec.certificate.ingressGateway.subjectAltNames",
                    "none of its AuthenticatedPrincipals is a name in the certificate that the "
                    "mesh makes for the gateway");
    }
}

static void check_policy(struct entry *t)
{
    struct cluster *c = t->cluster;
    struct verify *v =
        verify_new(c->arena, t->whole, "Verify if IngressBackend \"%s/%s\" lets the gateway in",
                   t->to.namespace, ingress_backend);
    struct value *policy = NULL;
    struct err e = ERR_INIT;
    const char *path = kube_path(c->arena, KIND_INGRESS_BACKEND, str_of(t->to.namespace),
                                 str_of(ingress_backend), NULL);
    int found = cluster_find(c, path, &policy, &e);
    if (found < 0) {
        verify_unknown(v, &e);
    } else if (found == 0) {
        verify_fail(v, NULL, "there is no IngressBackend \"%s\" in namespace \"%s\"",
                    ingress_backend, t->to.namespace);
    } else {
        check_policy_content(t, v, policy);
        check_principal(t, policy);
    }
}

/* Says whether the service has pods that may call; what is known of them goes to t->slices. */
static void check_gateway(struct entry *t)
{
    struct cluster *c = t->cluster;
    struct verify *v = verify_new(c->arena, t->whole, "Verify if service \"%s/%s\" has endpoints",
                                  t->from.namespace, t->from.name);
    struct err e = ERR_INIT;
    const char *path = kube_path(c->arena, KIND_ENDPOINT_SLICE, str_of(t->from.namespace), STR(""),
                                 label_query(c, "kubernetes.io/service-name=%s", t->from.name));
    size_t endpoints = 0;
    if (cluster_list(c, path, &t->slices, &e) < 0) {
        verify_unknown(v, &e);
        return;
    }
    for (size_t i = 0; i < value_len(t->slices); i++) {
        endpoints += value_len(value_member(&t->slices->array.at[i], "endpoints"));
    }
    if (endpoints == 0) {
        verify_fail(v, "do the gateway's pods run? does the service select them?",
                    "service \"%s/%s\" has none", t->from.namespace, t->from.name);
    }
}

static void check_envoy(struct entry *t)
{
    struct arena *a = t->cluster->arena;
    const char *chain = arena_printf(a, "ingress_%s/%s_%lld_%s", t->to.namespace, to_service,
                                     (long long)to_port, app_protocol)
                            .ptr;
    struct verify *v = verify_new(a, t->whole,
                                  "Verify if the sidecar of pod \"%s/%s\" takes calls "
                                  "from the gateway",
                                  t->to.namespace, t->to.name);
    struct envoy_view view = {0};
    struct err e = ERR_INIT;
    if (envoy_view_read(t->cluster, &t->to, &view, &e) < 0) {
        verify_unknown(v, &e);
    } else if (!envoy_has_chain(&view, "inbound-listener", chain)) {
        verify_fail(v, "is the sidecar synced? see: osm proxy status",
                    "Envoy has no filter chain %s", chain);
    }
}

int verify_ingress_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct entry t = {.cluster = &c};
    struct value *pod = NULL;
    if (object_name_parse(from_service, "default", "service", &t.from, e) < 0 ||
        object_name_parse(to_pod, "default", "pod", &t.to, e) < 0 ||
        check_name("--to-service", to_service, e) < 0 ||
        check_name("--ingress-backend", ingress_backend, e) < 0 || cluster_open(&c, e) < 0 ||
        cluster_answers(&c, e) < 0) {
        return -1;
    }
    t.whole = verify_new(
        c.arena, NULL, "Verify if service \"%s/%s\" can access pod \"%s/%s\" for service \"%s/%s\"",
        t.from.namespace, t.from.name, t.to.namespace, t.to.name, t.to.namespace, to_service);
    verify_pod(&c, t.whole, &t.to, mesh_name, &pod);
    check_gateway(&t);
    check_policy(&t);
    if (t.by_service) {
        verify_namespace(&c, t.whole, t.from.namespace, mesh_name, " --disable-sidecar-injection");
    }
    if (pod && label_of(pod, LABEL_PROXY).len > 0) {
        check_envoy(&t);
    }
    return verify_print(t.whole);
}
