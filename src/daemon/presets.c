/* The objects that a mesh begins with. */
#include "daemon/presets.h"

#include "base/limits.h"
#include "base/log.h"
#include "daemon/patience.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct preset {
    struct kube_client *client;
    const struct daemon_flags *flags;
    struct arena *arena;
    enum kind kind;
    const char *config_map, *key, *name;
};

static const char *own_path(const struct preset *p, enum kind kind, const char *name)
{
    return kube_path(p->arena, kind, str_of(p->flags->osm_namespace), str_of(name), NULL);
}

/* 1: there is one of this name; 0: there is none; -1. */
static int exists(const struct preset *p, struct err *e)
{
    struct kube_request q = {.path = own_path(p, p->kind, p->name)};
    struct err why = ERR_INIT;
    int status = patient_do(p->client, &q, false, p->arena, NULL, &why);
    return status == 200 ? 1 : status == 404 ? 0 : err_set(e, "%s", why.text);
}

static void look_for_active(void *arg, struct value *item)
{
    *(bool *)arg |= str_is(value_string_at(item, "spec.role"), "active");
}

static int has_active_root(const struct preset *p, struct err *e)
{
    bool found = false;
    return kube_list(p->client, own_path(p, p->kind, ""), look_for_active, &found, e) < 0 ? -1
           : found                                                                        ? 1
                                                                                          : 0;
}

static int read_spec(const struct preset *p, struct value **ret, struct err *e)
{
    struct kube_request q = {.path = own_path(p, KIND_CONFIG_MAP, p->config_map)};
    struct value *map = NULL;
    struct err why = ERR_INIT;
    int status = patient_do(p->client, &q, false, p->arena, &map, &why);
    if (status == 404) {
        return err_set(e, "ConfigMap %s/%s isn't there; the chart makes it: install it anew",
                       p->flags->osm_namespace, p->config_map);
    }
    if (status != 200) {
        return err_set(e, "%s", why.text);
    }
    const struct value *text = value_member(value_member(map, "data"), p->key);
    if (!text || text->type != VALUE_STRING) {
        return err_set(e, "ConfigMap %s/%s: data has no key \"%s\"", p->flags->osm_namespace,
                       p->config_map, p->key);
    }
    if (value_read_json(p->arena, text->string, ret, &why) < 0) {
        return err_set(e, "ConfigMap %s/%s: %s: %s", p->flags->osm_namespace, p->config_map, p->key,
                       why.text);
    }
    return 0;
}

static struct value *object_of(const struct preset *p, const struct value *spec)
{
    struct arena *a = p->arena;
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "apiVersion", value_new_string(a, str_of(kube_api_version(a, p->kind))));
    value_set(a, v, "kind", value_new_string(a, str_of(kind_info(p->kind)->name)));
    struct value *meta = value_ensure(a, v, "metadata", VALUE_OBJECT);
    value_set(a, meta, "name", value_new_string(a, str_of(p->name)));
    value_set(a, meta, "namespace", value_new_string(a, str_of(p->flags->osm_namespace)));
    value_set(a, v, "spec", spec);
    /* So that operators can change it with `kubectl apply` without a warning. */
    AUTO(buf_done) struct buf text;
    buf_init(&text, LIMIT_DOC_BYTES);
    value_write_json(v, &text);
    meta = value_ensure(a, v, "metadata", VALUE_OBJECT);
    struct value *annotations = value_ensure(a, meta, "annotations", VALUE_OBJECT);
    value_set(a, annotations, LAST_APPLIED, value_new_string(a, buf_str(&text)));
    /* By which an uninstall knows that it isn't somebody's own. */
    struct value *labels = value_ensure(a, meta, "labels", VALUE_OBJECT);
    value_set(a, labels, "app.kubernetes.io/name", value_new_string(a, STR("openservicemesh.io")));
    value_set(a, labels, "app.kubernetes.io/instance",
              value_new_string(a, str_of(p->flags->mesh_name)));
    return v;
}

/* By our own rules, whose sentences say more than the server's. */
static int check(const struct preset *p, const struct value *object, struct err *e)
{
    struct findings f = {0};
    AUTO(object_unref) struct object *o = object_decode_one(object, p->kind, &f);
    for (size_t i = 0; i < f.list.len; i++) {
        const struct finding *x = &f.list.at[i];
        if (x->level == FINDING_WARNING) {
            log_event(LOG_WARN, "preset", "config_map", p->config_map, "reason", x->text, NULL);
        } else if (!*e->text) {
            err_set(e, "ConfigMap %s/%s: %s: %s", p->flags->osm_namespace, p->config_map, p->key,
                    x->text);
        }
    }
    findings_done(&f);
    return o ? 0 : -1;
}

static int create(const struct preset *p, struct err *e)
{
    struct value *spec = NULL;
    if (read_spec(p, &spec, e) < 0) {
        return -1;
    }
    struct value *object = object_of(p, spec);
    if (check(p, object, e) < 0) {
        return -1;
    }
    struct kube_request q = kube_create_request(p->arena, kind_info(p->kind)->plural, object);
    struct err why = ERR_INIT;
    /* A server may need a moment until it serves a new kind. */
    int status = patient_do(p->client, &q, true, p->arena, NULL, &why);
    if (status != 409 && (status < 200 || status >= 300)) {
        return err_set(e, "%s", why.text);
    }
    log_event(LOG_INFO, status == 409 ? "another made it meanwhile" : "made from its preset",
              "kind", kind_info(p->kind)->name, "name", p->name, NULL);
    return 0;
}

int presets_create(struct kube_client *client, const struct daemon_flags *f, struct err *e)
{
    const struct preset presets[] = {
        {.kind = KIND_MESH_CONFIG,
         .config_map = PRESET_MESH_CONFIG,
         .key = PRESET_MESH_CONFIG ".json",
         .name = f->osm_config_name},
        {.kind = KIND_MESH_ROOT_CERTIFICATE,
         .config_map = PRESET_ROOT,
         .key = PRESET_ROOT ".json",
         .name = PRESET_ROOT_NAME},
    };
    for (size_t i = 0; i < COUNT_OF(presets); i++) {
        AUTO(arena_free) struct arena *a = arena_new(1 << 14);
        struct preset p = presets[i];
        p.client = client;
        p.flags = f;
        p.arena = a;
        int found = p.kind == KIND_MESH_ROOT_CERTIFICATE ? has_active_root(&p, e) : exists(&p, e);
        if (found < 0 || (found == 0 && create(&p, e) < 0)) {
            return -1;
        }
    }
    return 0;
}
