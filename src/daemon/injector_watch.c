/* What osm-injector follows in the cluster. */
#include <stdio.h>

#include "base/log.h"
#include "daemon/injector.h"
#include "inject/names.h"

/* NULL: it can't be used, which was logged. */
static struct object *decode(const struct value *document, enum kind kind)
{
    AUTO(findings_done) struct findings found = {0};
    struct object *o = object_decode_one(document, kind, &found);
    VEC_EACH(found.list, f) {
        if (f->level == FINDING_ERROR) {
            AUTO(free) char *text = finding_text(f);
            log_event(LOG_ERROR, "an object can't be used", "reason", text, NULL);
        }
    }
    return o;
}

static void log_state(const char *what, enum kube_watch_state state, const struct err *e)
{
    static const char *const says[] = {
        [KUBE_WATCH_LISTING] = "listing",
        [KUBE_WATCH_LIVE] = "following",
        [KUBE_WATCH_BROKEN] = "can't follow; trying again",
        [KUBE_WATCH_MISSING] = "the API server doesn't know them; waiting",
        [KUBE_WATCH_DENIED] = "not allowed to read them; trying again",
    };
    bool good = state == KUBE_WATCH_LISTING || state == KUBE_WATCH_LIVE;
    log_event(good ? LOG_DEBUG : LOG_WARN, says[state], "objects", what, "reason",
              !good && e ? e->text : "", NULL);
}

/* --- namespaces --- */

static void on_namespace(void *arg, const struct value *document)
{
    struct injector *i = arg;
    AUTO(object_unref) struct object *ns = decode(document, KIND_NAMESPACE);
    if (ns) {
        mutation_set_namespace(i->mutation, (struct namespace *)ns);
    }
}

static void on_namespace_gone(void *arg, struct str namespace, struct str name)
{
    mutation_remove_namespace(((struct injector *)arg)->mutation, name);
}

static void on_namespaces(void *arg)
{
    struct injector *i = arg;
    i->namespaces_known = true;
    injector_serve(i);
}

static void on_namespace_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    log_state("namespaces", state, e);
}

/* --- the MeshConfig --- */

static bool native(const struct injector *i, const struct mesh_config *c)
{
    return c->sidecar.mode == SIDECAR_MODE_NATIVE ||
           (c->sidecar.mode == SIDECAR_MODE_AUTO && i->server_has_native);
}

static void use_config(struct injector *i, struct mesh_config *config)
{
    struct mesh_config *c = config ? config : mesh_config_default();
    struct mesh_config *before = i->config;
    if (config) {
        object_ref(&config->object);
    }
    i->config = config;
    issuer_set_key(i->issuer,
                   c->certificate.key_algorithm == KEY_RSA ? CERT_KEY_RSA : CERT_KEY_ECDSA_P256,
                   (int)c->certificate.key_bits);
    daemon_log_level(i->common, config ? c->observability.log_level : (struct str){0});
    mutation_set_config(i->mutation, c, native(i, c));
    if (before) {
        object_unref(&before->object);
    }
}

static void on_config(void *arg, const struct value *document)
{
    AUTO(object_unref) struct object *config = decode(document, KIND_MESH_CONFIG);
    if (config) {
        use_config(arg, (struct mesh_config *)config);
    }
}

static void on_config_gone(void *arg, struct str namespace, struct str name)
{
    log_event(LOG_WARN, "there is no MeshConfig; defaults hold", NULL);
    use_config(arg, NULL);
}

static void on_configs(void *arg)
{
    struct injector *i = arg;
    if (!i->config_known && !i->config) {
        log_event(LOG_WARN, "there is no MeshConfig; defaults hold", NULL);
        use_config(i, NULL);
    }
    i->config_known = true;
    injector_serve(i);
}

static void on_config_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    log_state("MeshConfigs", state, e);
}

void injector_watch_start(struct injector *i)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct kube_watch_options o = {
        .client = i->client,
        .path = kube_path(a, KIND_NAMESPACE, STR(""), STR(""), NULL),
        .label_selector = arena_printf(a, LABEL_MONITORED_BY "=%s", i->common->mesh_name).ptr,
        .on_object = on_namespace,
        .on_gone = on_namespace_gone,
        .on_batch = on_namespaces,
        .on_state = on_namespace_state,
        .arg = i};
    i->namespaces = kube_watch_start(&o);
    o = (struct kube_watch_options){
        .client = i->client,
        .path = kube_path(a, KIND_MESH_CONFIG, str_of(i->common->osm_namespace), STR(""), NULL),
        .field_selector = arena_printf(a, "metadata.name=%s", i->common->osm_config_name).ptr,
        .on_object = on_config,
        .on_gone = on_config_gone,
        .on_batch = on_configs,
        .on_state = on_config_state,
        .arg = i};
    i->configs = kube_watch_start(&o);
}

void injector_watch_stop(struct injector *i)
{
    kube_watch_free(i->namespaces);
    kube_watch_free(i->configs);
    if (i->config) {
        object_unref(&i->config->object);
    }
}
