/* Reads a Pod and, after it, a MeshConfig from stdin; injects the pod, and prints as JSON the pod,
 * its Secret, the rules of osm-init, warnings and problems. For tests with real Envoys and real
 * iptables. Arguments: native, ipv6, metrics. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "inject/build.h"
#include "inject/inject.h"

static struct object *pod, *config;

static void take(void *arg, struct object *o)
{
    *(o->kind == KIND_POD ? &pod : &config) = o;
}

static const struct value *strs(struct arena *a, const char *s)
{
    return value_new_string(a, str_of(s));
}

static int run(struct arena *a, struct issuer *issuer, const struct inject_options *o, bool metrics,
               struct value *out, struct err *e)
{
    const struct pod *p = (const struct pod *)pod;
    struct identity id = {pod->meta.namespace, p->spec->service_account_name};
    struct value *injected = NULL, *secret = NULL;
    struct cert *cert = NULL;
    struct str rules;
    char uuid[37];
    inject_uuid(uuid);
    if (issuer_issue_proxy(issuer, str_of(uuid), id, clock_wall_s(), &cert, e) < 0 ||
        inject_pod(a, pod->raw, p, str_of(uuid), metrics, o, &injected, e) < 0 ||
        inject_redirection(a, p, o, &rules, e) < 0 ||
        inject_bootstrap_secret(a, pod->raw, p, str_of(uuid), cert, o, &secret, e) < 0) {
        cert_unref(cert);
        return -1;
    }
    value_set(a, out, "pod", injected);
    value_set(a, out, "secret", value_copy(a, secret));
    value_set(a, out, "rules", value_new_string(a, rules));
    struct value *warnings = inject_warnings(a, pod->raw, p, o);
    value_set(a, out, "warnings", warnings ? warnings : value_new(a, VALUE_ARRAY));
    cert_unref(cert);
    return 0;
}

static void print(const struct value *v)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    value_write_json(v, &text);
    puts(text.data);
}

int main(int argc, char **argv)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    AUTO(findings_done) struct findings found = {0};
    struct issuer_options io = {.trust_domain = "cluster.local"};
    struct issuer *issuer = NULL;
    struct err e = ERR_INIT;
    struct buf text;
    bool metrics = false;
    struct inject_options o = {.mesh_name = "osm",
                               .osm_namespace = "osm-system",
                               .trust_domain = "cluster.local",
                               .ads_host = "127.0.0.1",
                               .ads_port = 15128,
                               .probes = true};
    for (int i = 1; i < argc; i++) {
        o.native = o.native || strcmp(argv[i], "native") == 0;
        o.ipv6 = o.ipv6 || strcmp(argv[i], "ipv6") == 0;
        metrics = metrics || strcmp(argv[i], "metrics") == 0;
    }
    buf_init(&text, LIMIT_DOC_BYTES);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), stdin)) > 0;) {
        buf_add(&text, chunk, n);
    }
    objects_read(buf_str(&text), "stdin", take, NULL, &found);
    struct value *out = value_new(a, VALUE_OBJECT);
    o.config = config ? (struct mesh_config *)config : mesh_config_default();
    if (!pod || issuer_new(&io, clock_wall_s(), &issuer, &e) < 0 ||
        run(a, issuer, &o, metrics, out, &e) < 0) {
        value_set(a, out, "error", strs(a, pod ? e.text : "no pod"));
    }
    print(out);
    issuer_free(issuer);
    object_unref(pod);
    object_unref(config);
    buf_done(&text);
    return 0;
}
