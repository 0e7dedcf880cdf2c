/* The mesh's root, which its users may replace in the state folder: the sidecars' own certificates
 * follow it, as osm-controller does. */
#include <sys/stat.h>

#include "base/clock.h"
#include "doc/base64.h"
#include "inject/build.h"
#include "local/internal.h"
#include "local/volumes.h"

static struct issuer_options issuer_options(void)
{
    return (struct issuer_options){
        .trust_domain = TRUST_DOMAIN, .key = CERT_KEY_ECDSA_P256, .key_bits = 2048};
}

/* Has the file changed since it was looked at last? */
static bool is_another(struct runtime *r, const char *path)
{
    struct stat now = {0}, *seen = &r->root_seen;
    stat(path, &now);
    bool same = now.st_ino == seen->st_ino && now.st_size == seen->st_size &&
                now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec;
    *seen = now;
    return !same;
}

int roots_load(struct runtime *r, struct err *e)
{
    AUTO(free) char *path = state_path(&r->state, "ca.yaml");
    struct issuer_options o = issuer_options();
    int result = issuer_load_or_create(path, &o, clock_wall_s(), &r->issuer, e);
    is_another(r, path);
    return result;
}

/* --- renewal --- */

/* The bootstrap as it is, with the files of another certificate. */
static struct value *renewed(struct arena *a, const struct secret *before, const struct cert *cert)
{
    struct value *data = value_new(a, VALUE_OBJECT);
    struct value *fresh = inject_bootstrap_renewal(a, cert);
    for (size_t i = 0; i < before->data.len; i++) {
        struct str key = arena_str(a, before->data.at[i].key);
        value_set(a, data, key.ptr,
                  value_new_string(a, base64_encode(a, before->data.at[i].value)));
    }
    for (size_t i = 0; i < fresh->object.len; i++) {
        value_set(a, data, fresh->object.at[i].key.ptr, &fresh->object.at[i].value);
    }
    const struct meta *m = &before->object.meta;
    return build_object(a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Secret"),
                        "metadata",
                        build_object(a, "name", value_new_string(a, m->name), "namespace",
                                     value_new_string(a, m->namespace), NULL),
                        "data", data, NULL);
}

static int renew_pod(struct pod_run *p, struct err *e)
{
    struct identity id = {p->pod->object.meta.namespace, p->pod->spec->service_account_name};
    AUTO(free) char *volumes = mem_printf("%s/volumes", p->folder);
    struct arena *a = arena_new(16384);
    struct object *secret = NULL;
    struct cert *cert = NULL;
    int result =
        issuer_issue_proxy(p->runtime->issuer, str_of(p->uuid), id, clock_wall_s(), &cert, e);
    if (result == 0) {
        result = object_expect(renewed(a, p->bootstrap, cert), KIND_SECRET, &secret, e);
    }
    if (result == 0) {
        object_unref(&p->bootstrap->object);
        p->bootstrap = (struct secret *)secret;
        result = volumes_renew(volumes, p->pod, p->bootstrap, e);
    }
    cert_unref(cert);
    arena_free_secret(a);
    return result;
}

/* A root that has left the file is trusted until the runtime ends, as the controller goes on for a
 * while with what that one signed. */
void roots_follow(struct runtime *r)
{
    AUTO(free) char *path = state_path(&r->state, "ca.yaml");
    AUTO(issuer_free) struct issuer *target = NULL;
    struct issuer_options o = issuer_options();
    struct err e = ERR_INIT;
    if (!is_another(r, path)) {
        return;
    }
    if (issuer_load(path, &o, clock_wall_s(), &target, &e) < 0) {
        log_event(LOG_ERROR, "the mesh's root stays as it was", "reason", e.text, NULL);
        return;
    }
    bool trusts = issuer_trust_as(r->issuer, target), signs = issuer_sign_as(r->issuer, target);
    for (size_t i = 0; (trusts || signs) && i < r->pods.len; i++) {
        struct pod_run *p = r->pods.at[i];
        if (p->bootstrap && renew_pod(p, &e) < 0) {
            log_event(LOG_ERROR, "a sidecar keeps its certificate", "pod", p->uuid, "reason",
                      e.text, NULL);
        }
    }
}
