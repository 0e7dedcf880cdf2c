/* Loading the mesh's root from its Secret, or making both. */
#include "daemon/ca_internal.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define RETRY_MS 1000
/* Of RSA keys, until MeshConfig says otherwise. */
#define KEY_BITS 2048

struct issuer_options ca_issuer_options(const struct daemon_flags *f)
{
    return (struct issuer_options){
        .trust_domain = f->trust_domain, .key = CERT_KEY_ECDSA_P256, .key_bits = KEY_BITS};
}

char *ca_title(const struct daemon_flags *f)
{
    return mem_printf("Secret %s/%s", f->osm_namespace, f->ca_bundle_secret_name);
}

static void set_label(struct arena *a, struct value *labels, const char *key, const char *value)
{
    value_set(a, labels, key, value_new_string(a, str_of(value)));
}

static struct value *secret_of(struct arena *a, const struct daemon_flags *f,
                               const struct value *data)
{
    struct value *secret = value_new(a, VALUE_OBJECT);
    value_set(a, secret, "apiVersion", value_new_string(a, STR("v1")));
    value_set(a, secret, "kind", value_new_string(a, STR("Secret")));
    value_set(a, secret, "type", value_new_string(a, STR("Opaque")));
    struct value *metadata = value_new(a, VALUE_OBJECT);
    value_set(a, metadata, "name", value_new_string(a, str_of(f->ca_bundle_secret_name)));
    value_set(a, metadata, "namespace", value_new_string(a, str_of(f->osm_namespace)));
    struct value *labels = value_new(a, VALUE_OBJECT);
    set_label(a, labels, "app.kubernetes.io/name", "openservicemesh.io");
    set_label(a, labels, "app.kubernetes.io/instance", f->mesh_name);
    set_label(a, labels, "app.kubernetes.io/version", f->osm_version);
    value_set(a, metadata, "labels", labels);
    value_set(a, secret, "metadata", metadata);
    value_set(a, secret, "data", data);
    return secret;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_AGAIN };

/* Others may answer later than we ask: no answer, too many requests, the server's own trouble. */
static enum attempt after(int status)
{
    return status < 0 || status == 429 || status >= 500 ? ATTEMPT_AGAIN : ATTEMPT_FAILED;
}

static enum attempt make(struct kube_client *client, const struct daemon_flags *f, struct arena *a,
                         int64_t now, struct issuer **ret, struct err *e)
{
    struct issuer_options o = ca_issuer_options(f);
    AUTO(issuer_free) struct issuer *fresh = NULL;
    struct value *data = NULL;
    if (issuer_new(&o, now, &fresh, e) < 0 || !(data = issuer_secret_data(a, fresh, e))) {
        return ATTEMPT_FAILED;
    }
    struct kube_request q = kube_create_request(a, "secrets", secret_of(a, f, data));
    int status = kube_do(client, &q, a, NULL, e);
    if (status == 409) {
        return ATTEMPT_AGAIN; /* another was faster: its root is everybody's */
    }
    if (status < 0 || status >= 400) {
        return after(status);
    }
    log_event(LOG_INFO, "made a root for the mesh", "secret", f->ca_bundle_secret_name, NULL);
    *ret = TAKE(fresh);
    return ATTEMPT_DONE;
}

static enum attempt load_or_make(struct kube_client *client, const struct daemon_flags *f,
                                 struct arena *a, int64_t now, struct issuer **ret, struct err *e)
{
    struct kube_request q = {.path = kube_path_of(a, "v1", "secrets", str_of(f->osm_namespace),
                                                  str_of(f->ca_bundle_secret_name), NULL, NULL)};
    struct value *secret = NULL;
    int status = kube_do(client, &q, a, &secret, e);
    if (status == 404) {
        return make(client, f, a, now, ret, e);
    }
    if (status < 0 || status >= 400) {
        return after(status);
    }
    struct issuer_options o = ca_issuer_options(f);
    AUTO(free) char *name = ca_title(f);
    return issuer_from_secret(secret, name, &o, now, ret, e) < 0 ? ATTEMPT_FAILED : ATTEMPT_DONE;
}

int ca_load_or_create(struct kube_client *client, const struct daemon_flags *f, int64_t now,
                      struct issuer **ret, struct err *e)
{
    int64_t deadline = clock_mono_ms() + CA_PATIENCE_MS;
    while (true) {
        struct err why = ERR_INIT;
        struct arena *a = arena_new(8192);
        enum attempt attempt = load_or_make(client, f, a, now, ret, &why);
        arena_free_secret(a);
        if (attempt == ATTEMPT_DONE) {
            return 0;
        }
        if (attempt == ATTEMPT_FAILED || clock_mono_ms() > deadline) {
            return err_set(e, "the mesh's root: %s", why.text);
        }
        log_event(LOG_WARN, "the mesh's root can't be loaded yet", "reason", why.text, NULL);
        usleep(RETRY_MS * 1000);
    }
}
