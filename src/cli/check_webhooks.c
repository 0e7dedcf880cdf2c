/* osm check, after an install: does the API server reach our webhooks, and are their certificates
 * those that it expects? */
#include <stdio.h>
#include <string.h>

#include "cli/check.h"
#include "cli/forward.h"
#include "doc/base64.h"
#include "net/http_client.h"
#include "webhook/configuration.h"

struct hook {
    const char *plural, *service;
    uint16_t port;
};

static const struct value *first_client(const struct value *configuration)
{
    const struct value *hooks = value_member(configuration, "webhooks");
    return value_len(hooks) > 0 ? value_member(&hooks->array.at[0], "clientConfig") : NULL;
}

/* A handshake with the server behind a forwarded port, by the CA bundle that the API server has. */
static void check_certificate(struct check *k, const struct hook *h, const char *namespace,
                              struct str name, struct str bundle)
{
    AUTO(forward_stop) struct forward f = {0};
    struct err e = ERR_INIT;
    struct buf answer;
    struct arena *a = k->cluster->arena;
    const char *target = arena_printf(a, "service/%s", h->service).ptr;
    if (forward_start(namespace, target, h->port, 0, &f, &e) < 0) {
        check_unknown(k, h->service, &e);
        return;
    }
    struct http_tls tls = {.ca = bundle,
                           .server_name = arena_printf(a, "%s.%s.svc", h->service, namespace).ptr};
    struct http_call call = {.url = arena_printf(a, "https://127.0.0.1:%u/", f.local_port).ptr,
                             .tls = &tls,
                             .timeout_ms = 10000,
                             .max_bytes = 65536};
    if (http_do(&call, &answer, &e) < 0) {
        check_add(k, CHECK_FAIL, "restart it: kubectl rollout restart deployment",
                  "%s: its certificate isn't one that the CA bundle of %.*s lets pass: %s",
                  h->service, STR_ARG(name), e.text);
    } else {
        check_add(k, CHECK_OK, NULL, "%s: certificate and CA bundle go together", h->service);
    }
    buf_done(&answer);
}

static void check_configuration(struct check *k, const struct hook *h, const char *namespace,
                                const struct value *configuration)
{
    struct str bundle = {0}, name = value_string_at(configuration, "metadata.name");
    struct str text = value_string_at(first_client(configuration), "caBundle");
    if (text.len == 0 || !base64_decode(k->cluster->arena, text, &bundle) || bundle.len == 0) {
        check_add(k, CHECK_FAIL, "restart it: it writes that when it starts",
                  "%s: webhook configuration %.*s has no CA bundle", h->service, STR_ARG(name));
    } else {
        check_certificate(k, h, namespace, name, bundle);
    }
}

/* The chart's values name the configurations; their labels say whose they are. */
static void check_hook(struct check *k, const struct hook *h, const struct mesh_info *mesh)
{
    struct cluster *c = k->cluster;
    struct value *found = NULL;
    struct err e = ERR_INIT;
    const char *ours = label_query(
        c, "app.kubernetes.io/name=openservicemesh.io,app.kubernetes.io/instance=%s", mesh->name);
    if (cluster_list(
            c,
            kube_path_of(c->arena, WEBHOOK_GROUP_VERSION, h->plural, STR(""), STR(""), NULL, ours),
            &found, &e) < 0) {
        check_unknown(k, h->plural, &e);
        return;
    }
    if (value_len(found) == 0) {
        check_add(k, CHECK_FAIL, "restart it: it makes that when it starts",
                  "%s: there is no webhook configuration of mesh [%s] among the %s", h->service,
                  mesh->name, h->plural);
    }
    for (size_t i = 0; i < value_len(found); i++) {
        check_configuration(k, h, mesh->namespace, &found->array.at[i]);
    }
}

/* --- does the API server reach them? --- */

static const char *a_namespace(struct check *k, const struct mesh_info *mesh)
{
    struct value *namespaces = NULL;
    if (mesh_namespaces(k->cluster, mesh->name, &namespaces, NULL) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < value_len(namespaces); i++) {
        const struct value *ns = &namespaces->array.at[i];
        if (label_of(ns, LABEL_IGNORE).len == 0 &&
            !str_is(value_string_at(ns, "status.phase"), "Terminating")) {
            return arena_str(k->cluster->arena, value_string_at(ns, "metadata.name")).ptr;
        }
    }
    return NULL;
}

static const char try_pod[] =
    "{apiVersion: v1, kind: Pod, metadata: {name: osm-check, "
    "annotations: {openservicemesh.io/sidecar-injection: enabled}}, "
    "spec: {securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, "
    "containers: [{name: osm-check, image: osm-check, securityContext: "
    "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}";
static const char try_routes[] =
    "{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, "
    "metadata: {name: osm-check}, "
    "spec: {matches: [{name: check, pathRegex: '[', methods: ['*']}]}}";

/* Asks the API server to make an object and to keep nothing of it. */
static int try_object(struct check *k, const char *text, const char *group_version,
                      const char *plural, const char *namespace, struct value **ret, struct err *e)
{
    struct arena *a = k->cluster->arena;
    struct value *object = NULL;
    int read = value_read_yaml(a, str_of(text), 1, &object, NULL, e);
    ASSERT(read == 0);
    struct kube_request q = {.method = "POST",
                             .path = kube_path_of(a, group_version, plural, str_of(namespace),
                                                  STR(""), NULL, "dryRun=All"),
                             .body = object};
    return kube_do(k->cluster->kube, &q, a, ret, e);
}

static void try_injector(struct check *k, const char *namespace)
{
    struct value *pod = NULL;
    struct err e = ERR_INIT;
    int status = try_object(k, try_pod, "v1", "pods", namespace, &pod, &e);
    if (status < 0 || strstr(e.text, "failed calling webhook")) {
        check_add(k, CHECK_FAIL, "look at the network between API server and osm-injector",
                  "pods can't be made in namespace [%s]: %s", namespace, e.text);
    } else if (status >= 400) {
        check_add(k, CHECK_WARN, NULL, "injection couldn't be tried in namespace [%s]: %s",
                  namespace, e.text);
    } else if (label_of(pod, LABEL_PROXY).len == 0) {
        check_add(k, CHECK_FAIL,
                  "see the webhook configuration's selectors, and osm-injector's log",
                  "a pod of namespace [%s] got no sidecar", namespace);
    } else {
        check_add(k, CHECK_OK, NULL, "a pod of namespace [%s] would get its sidecar", namespace);
    }
}

static void try_validator(struct check *k, const char *namespace)
{
    struct value *said = NULL;
    struct err e = ERR_INIT;
    int status = try_object(k, try_routes, "specs.smi-spec.io/v1alpha4", "httproutegroups",
                            namespace, &said, &e);
    if (status < 0 || strstr(e.text, "failed calling webhook")) {
        check_add(k, CHECK_FAIL, "look at the network between API server and osm-controller",
                  "policies can't be made in namespace [%s]: %s", namespace, e.text);
    } else if (status >= 400 && strstr(e.text, "osm-validator")) {
        check_add(k, CHECK_OK, NULL, "a wrong policy in namespace [%s] would be refused",
                  namespace);
    } else if (status >= 400) {
        check_add(k, CHECK_WARN, NULL, "validation couldn't be tried in namespace [%s]: %s",
                  namespace, e.text);
    } else {
        check_add(k, CHECK_FAIL, "see the webhook configuration's selectors",
                  "a wrong policy in namespace [%s] would be taken", namespace);
    }
}

void check_webhooks(struct check *k, const struct mesh_info *mesh)
{
    static const struct hook injector = {WEBHOOK_MUTATING_PLURAL, "osm-injector",
                                         WEBHOOK_MUTATE_PORT};
    static const struct hook validator = {WEBHOOK_VALIDATING_PLURAL, "osm-validator",
                                          WEBHOOK_VALIDATE_PORT};
    const char *namespace = a_namespace(k, mesh);
    k->section = "Webhooks";
    check_hook(k, &injector, mesh);
    check_hook(k, &validator, mesh);
    if (namespace) {
        try_injector(k, namespace);
        try_validator(k, namespace);
    } else {
        check_add(k, CHECK_WARN, "osm namespace add NAMESPACE",
                  "no namespace is in the mesh yet, so the webhooks couldn't be tried");
    }
}
