/* The ingress gateway's Secret: when it is made, written and removed. */
#include "daemon/gateway.h"

#include <string.h>

#include "base/log.h"
#include "doc/base64.h"
#include "kube/writes.h"

/* So often it is written, whether it changed or not. */
#define KEEP_S 60

struct gateway {
    struct gateway_options o;
    bool held;
    struct cert *cert;
    char *names;            /* that it was made for */
    char *namespace, *name; /* of the Secret that we wrote */
    int64_t validity_s, written_at;
    char *problem;
    struct kube_writes *writes;
};

static void tell(struct gateway *g, const char *problem)
{
    if (g->problem ? problem && strcmp(g->problem, problem) == 0 : !problem) {
        return;
    }
    free(g->problem);
    g->problem = problem ? mem_strdup(problem) : NULL;
    if (problem) {
        g->o.on_problem(g->o.arg, problem);
    }
}

static void on_refused(void *arg, struct str key, int status, const struct err *e)
{
    AUTO(free)
    char *text = mem_printf("the ingress gateway's %.*s: %s", STR_ARG(key), e->text);
    if (status != 404) { /* of one to delete: it went in the meantime */
        tell(arg, text);
    }
}

struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *g = NEW(struct gateway);
    g->o = *options;
    struct kube_writes_options o = {
        .loop = g->o.loop, .client = g->o.client, .on_refused = on_refused, .arg = g};
    g->writes = kube_writes_new(&o);
    return g;
}

static void forget(struct gateway *g)
{
    g->cert = cert_unref(g->cert);
    free(g->names);
    free(g->namespace);
    free(g->name);
    g->names = g->namespace = g->name = NULL;
}

void gateway_free(struct gateway *g)
{
    if (!g) {
        return;
    }
    kube_writes_free(g->writes);
    forget(g);
    free(g->problem);
    free(g);
}

/* --- what is written --- */

static struct str key_of(struct arena *a, const struct gateway *g)
{
    return arena_printf(a, "Secret %s/%s", g->namespace, g->name);
}

static void set(struct arena *a, struct value *object, const char *key, struct str text)
{
    value_set(a, object, key, value_new_string(a, text));
}

static struct value *secret_of(struct arena *a, const struct gateway *g)
{
    struct value *labels = value_new(a, VALUE_OBJECT);
    set(a, labels, GATEWAY_LABEL, str_of(g->o.mesh_name));
    set(a, labels, "app.kubernetes.io/name", STR("openservicemesh.io"));
    set(a, labels, "app.kubernetes.io/instance", str_of(g->o.mesh_name));
    struct value *metadata = value_new(a, VALUE_OBJECT);
    set(a, metadata, "name", str_of(g->name));
    set(a, metadata, "namespace", str_of(g->namespace));
    value_set(a, metadata, "labels", labels);
    struct value *data = value_new(a, VALUE_OBJECT);
    set(a, data, "ca.crt", base64_encode(a, blob_str(g->cert->ca)));
    set(a, data, "tls.crt", base64_encode(a, blob_str(g->cert->chain)));
    set(a, data, "tls.key", base64_encode(a, blob_str(g->cert->private_key)));
    struct value *secret = value_new(a, VALUE_OBJECT);
    set(a, secret, "apiVersion", STR("v1"));
    set(a, secret, "kind", STR("Secret"));
    set(a, secret, "type", STR("kubernetes.io/tls"));
    value_set(a, secret, "metadata", metadata);
    value_set(a, secret, "data", data);
    return secret;
}

static void write_secret(struct gateway *g, int64_t now)
{
    struct arena *a = arena_new(16384);
    struct kube_request q = kube_apply_request(a, "secrets", secret_of(a, g));
    q.brief = true;
    kube_writes_put(g->writes, key_of(a, g), &q);
    arena_free_secret(a);
    g->written_at = now;
}

static void remove_secret(struct gateway *g)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct kube_request q = {
        .method = "DELETE",
        .path = kube_path(a, KIND_SECRET, str_of(g->namespace), str_of(g->name), NULL),
        .brief = true};
    kube_writes_put(g->writes, key_of(a, g), &q);
    log_event(LOG_INFO, "the ingress gateway's Secret is wanted no longer", "namespace",
              g->namespace, "name", g->name, NULL);
}

/* --- when --- */

static char *joined(const struct strs *names)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < names->len; i++) {
        buf_printf(&b, "%.*s\n", STR_ARG(names->at[i]));
    }
    return buf_take(&b);
}

static bool same_roots(const struct gateway *g)
{
    AUTO(blob_unref) struct blob *roots = issuer_roots(g->o.issuer);
    return str_eq(blob_str(roots), blob_str(g->cert->ca));
}

/* False when it couldn't be made: the one before stays. */
static bool make(struct gateway *g, const struct strs *names, char *text, int64_t validity_s,
                 int64_t now)
{
    struct cert *fresh = NULL;
    struct err e = ERR_INIT;
    if (issuer_issue_gateway(g->o.issuer, names->at, names->len, now, validity_s, &fresh, &e) < 0) {
        AUTO(free)
        char *why = mem_printf("MeshConfig spec.certificate.ingressGateway: %s", e.text);
        free(text);
        tell(g, why);
        return false;
    }
    cert_unref(g->cert);
    free(g->names);
    g->cert = fresh;
    g->names = text;
    g->validity_s = validity_s;
    log_event(LOG_INFO, "made a certificate for the ingress gateway", "namespace", g->namespace,
              "name", g->name, NULL);
    return true;
}

static void go_to(struct gateway *g, struct str namespace, struct str name)
{
    if (g->name && str_is(namespace, g->namespace) && str_is(name, g->name)) {
        return;
    }
    if (g->name && g->cert) {
        remove_secret(g);
    }
    forget(g);
    if (name.len > 0) {
        g->namespace = mem_memdup(namespace.ptr, namespace.len);
        g->name = mem_memdup(name.ptr, name.len);
    }
}

void gateway_look(struct gateway *g, int64_t now)
{
    const struct mesh_config *c = mesh_config(g->o.mesh);
    const __typeof__(c->certificate.ingress_gateway) *want = &c->certificate.ingress_gateway;
    if (!g->held) {
        return;
    }
    if (!want->present) {
        go_to(g, STR(""), STR(""));
        tell(g, NULL);
        return;
    }
    go_to(g, want->secret_namespace, want->secret_name);
    int64_t validity_s = want->validity_ms / 1000;
    char *names = joined(&want->subject_alt_names);
    bool other = !g->cert || strcmp(g->names, names) != 0 || g->validity_s != validity_s ||
                 !same_roots(g) || cert_due(g->cert, g->o.issuer, now);
    if (!other) {
        free(names);
        if (now - g->written_at >= KEEP_S || now < g->written_at) {
            write_secret(g, now);
        }
    } else if (make(g, &want->subject_alt_names, names, validity_s, now)) {
        tell(g, NULL);
        write_secret(g, now);
    }
}

void gateway_hold(struct gateway *g, bool held, int64_t now)
{
    if (g->held != held) {
        g->held = held;
        kube_writes_clear(g->writes);
        forget(g);
        gateway_look(g, now);
    }
}

bool gateway_done(const struct gateway *g)
{
    return kube_writes_waiting(g->writes) == 0;
}
