/* Webhook configurations. */
#include "webhook/configuration.h"

#include "doc/base64.h"
#include "kinds/object.h"

#define LABEL(name) "openservicemesh.io/" name
#define DEFAULT_TIMEOUT_S 10

static struct value *text(struct arena *a, const char *s)
{
    return value_new_string(a, str_of(s));
}

static struct value *texts(struct arena *a, const char *const *words, size_t n)
{
    struct value *v = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < n; i++) {
        value_push(a, v, text(a, words[i]));
    }
    return v;
}

static struct value *one_text(struct arena *a, const char *s)
{
    return texts(a, &s, 1);
}

static struct value *document(struct arena *a, const char *kind,
                              const struct webhook_configuration *c)
{
    struct value *v = value_new(a, VALUE_OBJECT), *meta = value_new(a, VALUE_OBJECT);
    struct value *labels = value_new(a, VALUE_OBJECT);
    value_set(a, labels, "app.kubernetes.io/name", text(a, "openservicemesh.io"));
    value_set(a, labels, "app.kubernetes.io/instance", text(a, c->mesh_name));
    value_set(a, labels, "app.kubernetes.io/version", text(a, c->osm_version));
    value_set(a, labels, LABEL("reconcile"), text(a, "true"));
    value_set(a, meta, "name", text(a, c->name));
    value_set(a, meta, "labels", labels);
    if (c->mark) {
        struct value *annotations = value_new(a, VALUE_OBJECT);
        value_set(a, annotations, WEBHOOK_MARK_ANNOTATION, text(a, c->mark));
        value_set(a, meta, "annotations", annotations);
    }
    value_set(a, v, "apiVersion", text(a, WEBHOOK_GROUP_VERSION));
    value_set(a, v, "kind", text(a, kind));
    value_set(a, v, "metadata", meta);
    return v;
}

static struct value *client(struct arena *a, const struct webhook_configuration *c,
                            const char *name, const char *path, int port)
{
    struct value *v = value_new(a, VALUE_OBJECT), *service = value_new(a, VALUE_OBJECT);
    value_set(a, service, "name", text(a, name));
    value_set(a, service, "namespace", text(a, c->osm_namespace));
    value_set(a, service, "path", text(a, path));
    value_set(a, service, "port", value_new_int(a, port));
    value_set(a, v, "service", service);
    value_set(a, v, "caBundle", value_new_string(a, base64_encode(a, c->ca_bundle)));
    return v;
}

static void add_expression(struct arena *a, struct value *list, const char *key,
                           const char *operator, const char * value)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "key", text(a, key));
    value_set(a, v, "operator", text(a, operator));
    if (value) {
        value_set(a, v, "values", one_text(a, value));
    }
    value_push(a, list, v);
}

/* Namespaces of the mesh. The control plane's own pods must start while its webhooks don't run. */
static struct value *mesh_namespaces(struct arena *a, const struct webhook_configuration *c)
{
    struct value *v = value_new(a, VALUE_OBJECT), *labels = value_new(a, VALUE_OBJECT);
    struct value *expressions = value_new(a, VALUE_ARRAY);
    value_set(a, labels, LABEL("monitored-by"), text(a, c->mesh_name));
    add_expression(a, expressions, LABEL("ignore"), "DoesNotExist", NULL);
    add_expression(a, expressions, "kubernetes.io/metadata.name", "NotIn", c->osm_namespace);
    add_expression(a, expressions, "control-plane", "DoesNotExist", NULL);
    value_set(a, v, "matchLabels", labels);
    value_set(a, v, "matchExpressions", expressions);
    return v;
}

static struct value *own_namespace(struct arena *a, const struct webhook_configuration *c)
{
    struct value *v = value_new(a, VALUE_OBJECT), *labels = value_new(a, VALUE_OBJECT);
    value_set(a, labels, "kubernetes.io/metadata.name", text(a, c->osm_namespace));
    value_set(a, v, "matchLabels", labels);
    return v;
}

static struct value *webhook(struct arena *a, const char *name, const char *failure,
                             const struct webhook_configuration *c)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "name", text(a, name));
    value_set(a, v, "admissionReviewVersions", one_text(a, "v1"));
    value_set(a, v, "failurePolicy", text(a, failure));
    value_set(a, v, "matchPolicy", text(a, "Exact"));
    value_set(a, v, "sideEffects", text(a, "NoneOnDryRun"));
    value_set(a, v, "timeoutSeconds",
              value_new_int(a, c->timeout_s > 0 ? c->timeout_s : DEFAULT_TIMEOUT_S));
    return v;
}

static struct value *rule(struct arena *a, const struct value *groups, const struct value *versions,
                          const struct value *resources, const struct value *operations)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "apiGroups", groups);
    value_set(a, v, "apiVersions", versions);
    value_set(a, v, "resources", resources);
    value_set(a, v, "operations", operations);
    value_set(a, v, "scope", text(a, "Namespaced"));
    return v;
}

static struct value *single(struct arena *a, const struct value *entry)
{
    struct value *v = value_new(a, VALUE_ARRAY);
    value_push(a, v, entry);
    return v;
}

struct value *webhook_mutating(struct arena *a, const struct webhook_configuration *c)
{
    struct value *v = document(a, "MutatingWebhookConfiguration", c);
    struct value *w = webhook(a, "osm-inject.k8s.io", "Fail", c);
    value_set(a, w, "clientConfig",
              client(a, c, "osm-injector", WEBHOOK_MUTATE_PATH, WEBHOOK_MUTATE_PORT));
    value_set(a, w, "namespaceSelector", mesh_namespaces(a, c));
    /* Webhooks that come after may add containers, whose probes and ports count too. */
    value_set(a, w, "reinvocationPolicy", text(a, "IfNeeded"));
    value_set(a, w, "rules",
              single(a, rule(a, one_text(a, "*"), one_text(a, "v1"), one_text(a, "pods"),
                             one_text(a, "CREATE"))));
    value_set(a, v, "webhooks", single(a, w));
    return v;
}

/* One rule for each kind that `wanted` says, in all its versions. */
static struct value *rules(struct arena *a, const struct webhook_configuration *c,
                           bool (*wanted)(const struct webhook_configuration *c, enum kind kind))
{
    static const char *const operations[] = {"CREATE", "UPDATE"};
    struct value *list = value_new(a, VALUE_ARRAY);
    for (int k = 0; k < KIND_COUNT; k++) {
        const struct kind_info *info = kind_info((enum kind)k);
        if (!kind_is_custom((enum kind)k) || !wanted(c, (enum kind)k)) {
            continue;
        }
        size_t n = 0;
        while (n < COUNT_OF(info->versions) && info->versions[n]) {
            n++;
        }
        value_push(a, list,
                   rule(a, one_text(a, info->group), texts(a, info->versions, n),
                        one_text(a, info->plural), texts(a, operations, COUNT_OF(operations))));
    }
    return list;
}

/* Those of several clusters belong to whoever implements them. */
static bool is_policy(const struct webhook_configuration *c, enum kind kind)
{
    return kind != KIND_MESH_CONFIG && kind != KIND_MESH_ROOT_CERTIFICATE &&
           kind != KIND_SERVICE_EXPORT && kind != KIND_SERVICE_IMPORT &&
           !(kind == KIND_TRAFFIC_TARGET && c->without_traffic_targets);
}

/* A Telemetry there is for the whole mesh, and what it refers to may be there too. */
static bool is_control_plane(const struct webhook_configuration *c, enum kind kind)
{
    return kind == KIND_MESH_ROOT_CERTIFICATE || kind == KIND_TELEMETRY ||
           kind == KIND_EXTENSION_SERVICE;
}

static bool is_mesh_config(const struct webhook_configuration *c, enum kind kind)
{
    return kind == KIND_MESH_CONFIG;
}

struct value *webhook_validating(struct arena *a, const struct webhook_configuration *c)
{
    const struct {
        const char *name, *failure;
        struct value *namespaces;
        bool (*wanted)(const struct webhook_configuration *c, enum kind kind);
    } hooks[] = {
        {"osm-validator.k8s.io", "Fail", mesh_namespaces(a, c), is_policy},
        {"osm-control-plane-validator.k8s.io", "Fail", own_namespace(a, c), is_control_plane},
        {"osm-mesh-config-validator.k8s.io", "Ignore", own_namespace(a, c), is_mesh_config},
    };
    struct value *v = document(a, "ValidatingWebhookConfiguration", c);
    struct value *list = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < COUNT_OF(hooks); i++) {
        struct value *w = webhook(a, hooks[i].name, hooks[i].failure, c);
        value_set(a, w, "clientConfig",
                  client(a, c, "osm-validator", WEBHOOK_VALIDATE_PATH, WEBHOOK_VALIDATE_PORT));
        value_set(a, w, "namespaceSelector", hooks[i].namespaces);
        value_set(a, w, "rules", rules(a, c, hooks[i].wanted));
        value_push(a, list, w);
    }
    value_set(a, v, "webhooks", list);
    return v;
}
