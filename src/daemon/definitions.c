/* Installing definitions. */
#include "daemon/definitions.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/patience.h"

#define POLL_MS 100
#define SERVED_MS 30000

struct value *definition_of(struct arena *a, enum kind kind, const char *osm_version)
{
    struct value *crd = kind_crd(a, kind);
    if (crd) {
        struct value *meta = value_ensure(a, crd, "metadata", VALUE_OBJECT);
        struct value *labels = value_ensure(a, meta, "labels", VALUE_OBJECT);
        value_set(a, labels, "openservicemesh.io/reconcile",
                  value_new_string(a, str_of(osm_version)));
    }
    return crd;
}

static bool labelled_as_ours(const struct value *found)
{
    const struct value *labels = value_at(found, "metadata.labels");
    const struct value *name = value_member(labels, "app.kubernetes.io/name");
    return name && name->type == VALUE_STRING && str_is(name->string, "openservicemesh.io");
}

bool definition_is_ours(enum kind kind, const struct value *found)
{
    bool shared = kind == KIND_SERVICE_EXPORT || kind == KIND_SERVICE_IMPORT;
    return !found || !shared || labelled_as_ours(found);
}

/* One kind at work. */
struct install {
    struct kube_client *client;
    struct arena *arena;
    const struct value *wanted, *found; /* found NULL: there is none */
    enum kind kind;
};

static const char *path_of(const struct install *i, const char *subresource)
{
    return kube_path_of(i->arena, DEFINITIONS_VERSION, DEFINITIONS_PLURAL, STR(""),
                        value_string_at(i->wanted, "metadata.name"), subresource, NULL);
}

static int get(struct install *i, struct err *e)
{
    struct kube_request q = {.path = path_of(i, NULL)};
    struct value *found = NULL;
    struct err why = ERR_INIT;
    int status = patient_do(i->client, &q, false, i->arena, &found, &why);
    i->found = status == 200 ? found : NULL;
    return status == 200 || status == 404 ? 0 : err_set(e, "%s", why.text);
}

static int patch(struct install *i, const char *path, const struct value *body, struct err *e)
{
    struct kube_request q = {
        .method = "PATCH", .path = path, .body = body, .content_type = KUBE_MERGE_PATCH};
    int status = patient_do(i->client, &q, false, i->arena, NULL, e);
    return status >= 200 && status < 300 ? 0 : -1;
}

/* Older versions of Open Service Mesh had a webhook that converted. Applying doesn't remove what
 * another manager wrote, and a server refuses a webhook beside the strategy None. */
static int drop_conversion_webhook(struct install *i, struct err *e)
{
    if (!value_at(i->found, "spec.conversion.webhook")) {
        return 0;
    }
    struct value *body = value_new(i->arena, VALUE_OBJECT);
    struct value *spec = value_ensure(i->arena, body, "spec", VALUE_OBJECT);
    struct value *conversion = value_ensure(i->arena, spec, "conversion", VALUE_OBJECT);
    value_set(i->arena, conversion, "strategy", value_new_string(i->arena, STR("None")));
    value_set(i->arena, conversion, "webhook", value_new(i->arena, VALUE_NULL));
    return patch(i, path_of(i, NULL), body, e);
}

static int apply(struct install *i, struct err *e)
{
    if (drop_conversion_webhook(i, e) < 0) {
        return -1;
    }
    struct kube_request q = kube_apply_request(i->arena, DEFINITIONS_PLURAL, i->wanted);
    int status = patient_do(i->client, &q, false, i->arena, NULL, e);
    return status >= 200 && status < 300 ? 0 : -1;
}

static const struct value *condition(const struct value *crd, const char *type)
{
    const struct value *all = value_at(crd, "status.conditions");
    for (size_t i = 0; i < value_len(all); i++) {
        if (str_is(value_string_at(&all->array.at[i], "type"), type)) {
            return &all->array.at[i];
        }
    }
    return NULL;
}

static bool is_true(const struct value *c)
{
    return str_is(value_string_at(c, "status"), "True");
}

static int wait_until_served(struct install *i, struct err *e)
{
    int64_t deadline = clock_mono_ms() + SERVED_MS;
    while (get(i, e) == 0) {
        const struct value *names = condition(i->found, "NamesAccepted");
        if (is_true(condition(i->found, "Established"))) {
            return 0;
        }
        if (clock_mono_ms() > deadline) {
            struct str why = value_string_at(names, "message");
            return err_set(e, "the API server doesn't serve it after %d s%s%.*s", SERVED_MS / 1000,
                           is_true(names) || why.len == 0 ? "" : ": ", STR_ARG(why));
        }
        usleep(POLL_MS * 1000);
    }
    return -1;
}

/* --- objects that are stored in an older version --- */

static bool stored_in_others(const struct install *i)
{
    const struct value *versions = value_at(i->found, "status.storedVersions");
    for (size_t k = 0; k < value_len(versions); k++) {
        const struct value *v = &versions->array.at[k];
        if (v->type == VALUE_STRING && !str_is(v->string, kind_info(i->kind)->versions[0])) {
            return true;
        }
    }
    return false;
}

struct rewriting {
    struct install *install;
    size_t done;
    struct err error; /* the first */
};

/* The server stores an object anew when it is written unchanged, if its stored version is another.
 */
static void rewrite(void *arg, struct value *item)
{
    struct rewriting *r = arg;
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct install one = *r->install;
    one.arena = a;
    struct err e = ERR_INIT;
    const char *path = kube_path(a, one.kind, value_string_at(item, "metadata.namespace"),
                                 value_string_at(item, "metadata.name"), NULL);
    if (patch(&one, path, value_new(a, VALUE_OBJECT), &e) < 0) {
        log_event(LOG_WARN, "an object stays stored in an old version", "path", path, "reason",
                  e.text, NULL);
        if (!*r->error.text) {
            r->error = e;
        }
        return;
    }
    r->done++;
}

/* What can't be written anew stays as it is, and its version stays in the definition, so that it
 * can still be read; that is no reason not to start. */
static int store_anew(struct install *i, struct err *e)
{
    struct rewriting r = {.install = i, .error = ERR_INIT};
    if (!stored_in_others(i)) {
        return 0;
    }
    const char *collection = kube_path(i->arena, i->kind, STR(""), STR(""), NULL);
    if (kube_list(i->client, collection, rewrite, &r, e) < 0) {
        return -1;
    }
    if (*r.error.text) {
        return 0;
    }
    struct value *body = value_new(i->arena, VALUE_OBJECT);
    struct value *versions = value_new(i->arena, VALUE_ARRAY);
    value_push(i->arena, versions,
               value_new_string(i->arena, str_of(kind_info(i->kind)->versions[0])));
    value_set(i->arena, value_ensure(i->arena, body, "status", VALUE_OBJECT), "storedVersions",
              versions);
    if (patch(i, path_of(i, "status"), body, e) < 0) {
        return -1;
    }
    log_event(LOG_INFO, "objects are stored in the current version now", "kind",
              kind_info(i->kind)->name, NULL);
    return 0;
}

static int each(struct kube_client *client, const char *osm_version, enum kind kind,
                int (*step)(struct install *, struct err *), struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1 << 16);
    struct install i = {
        .client = client, .arena = a, .kind = kind, .wanted = definition_of(a, kind, osm_version)};
    if (!i.wanted) {
        return 0;
    }
    struct err why = ERR_INIT;
    int result = get(&i, &why);
    if (result == 0 && !definition_is_ours(kind, i.found)) {
        return 0;
    }
    result = result < 0 ? -1 : step(&i, &why);
    return result < 0 ? err_set(e, "CustomResourceDefinition %.*s: %s",
                                STR_ARG(value_string_at(i.wanted, "metadata.name")), why.text)
                      : 0;
}

int definitions_install(struct kube_client *client, const char *osm_version, struct err *e)
{
    static int (*const steps[])(struct install *, struct err *) = {apply, wait_until_served,
                                                                   store_anew};
    for (size_t s = 0; s < COUNT_OF(steps); s++) {
        for (int k = 0; k < KIND_COUNT; k++) {
            if (each(client, osm_version, (enum kind)k, steps[s], e) < 0) {
                return -1;
            }
        }
    }
    log_event(LOG_INFO, "custom resource definitions are installed", "version", osm_version, NULL);
    return 0;
}
