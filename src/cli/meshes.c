/* The meshes of a cluster. */
#include "cli/meshes.h"

#include <stdio.h>
#include <string.h>

#include "doc/formats.h"

static struct str text_of(const struct value *v)
{
    return v && v->type == VALUE_STRING ? v->string : STR("");
}

struct str label_of(const struct value *object, const char *key)
{
    return text_of(value_member(value_at(object, "metadata.labels"), key));
}

struct str annotation_of(const struct value *object, const char *key)
{
    return text_of(value_member(value_at(object, "metadata.annotations"), key));
}

/* Helm's release as its annotations on what it made say; else what osm would have called it. It
 * becomes a word of helm's command line: only what can be a name is taken. */
static const char *release_of(struct cluster *c, const struct value *deployment, const char *key,
                              const char *usual)
{
    struct str said = annotation_of(deployment, key);
    return format_dns_subdomain.check(said, NULL) == 0 ? arena_str(c->arena, said).ptr : usual;
}

static struct mesh_info mesh_of(struct cluster *c, const struct value *d)
{
    struct mesh_info m = {
        .name = arena_str(c->arena, label_of(d, "meshName")).ptr,
        .namespace = arena_str(c->arena, value_string_at(d, "metadata.namespace")).ptr,
        .version = arena_str(c->arena, label_of(d, "app.kubernetes.io/version")).ptr,
        .enforce_single = str_is(label_of(d, "enforceSingleMesh"), "true"),
        .deployment = d};
    m.release = release_of(c, d, "meta.helm.sh/release-name", m.name);
    m.release_namespace = release_of(c, d, "meta.helm.sh/release-namespace", m.namespace);
    return m;
}

static int by_namespace(const void *a, const void *b)
{
    const struct mesh_info *x = a, *y = b;
    int c = strcmp(x->namespace, y->namespace);
    return c ? c : strcmp(x->name, y->name);
}

int meshes_find(struct cluster *c, struct meshes *ret, struct err *e)
{
    struct value *list;
    const char *path = kube_path_of(c->arena, "apps/v1", "deployments", STR(""), STR(""), NULL,
                                    label_query(c, "app=osm-controller"));
    if (cluster_list(c, path, &list, e) < 0) {
        return -1;
    }
    *ret = (struct meshes){arena_array(c->arena, value_len(list) + 1, sizeof(*ret->at)), 0};
    for (size_t i = 0; i < value_len(list); i++) {
        ret->at[ret->len++] = mesh_of(c, &list->array.at[i]);
    }
    qsort(ret->at, ret->len, sizeof(*ret->at), by_namespace);
    return 0;
}

int mesh_find_named(struct cluster *c, const char *name, const struct mesh_info **ret,
                    struct err *e)
{
    struct meshes meshes;
    char names[512] = "";
    if (meshes_find(c, &meshes, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < meshes.len; i++) {
        if (strcmp(meshes.at[i].name, name) == 0) {
            *ret = &meshes.at[i];
            return 0;
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "", meshes.at[i].name);
    }
    return meshes.len > 0
               ? err_set(e, "there is no mesh \"%s\" in this cluster; there is: %s", name, names)
               : err_set(e, "there is no mesh in this cluster; install one with: osm install");
}

int mesh_find_one(struct cluster *c, const char *name, const struct mesh_info **ret, struct err *e)
{
    struct meshes meshes;
    if (name) {
        return mesh_find_named(c, name, ret, e);
    }
    if (meshes_find(c, &meshes, e) < 0) {
        return -1;
    }
    if (meshes.len == 1) {
        *ret = &meshes.at[0];
        return 0;
    }
    return meshes.len == 0
               ? mesh_find_named(c, MESH_NAME, ret, e)
               : err_set(e, "there are %zu meshes; say which one with --mesh-name", meshes.len);
}

int mesh_namespaces(struct cluster *c, const char *mesh, struct value **ret, struct err *e)
{
    const char *query = mesh ? label_query(c, LABEL_MESH "=%s", mesh) : label_query(c, LABEL_MESH);
    return cluster_list(c, core_path(c, "namespaces", NULL, NULL, query), ret, e);
}

int mesh_pods(struct cluster *c, const char *namespace, const char *app, struct value **ret,
              struct err *e)
{
    return cluster_list(c, core_path(c, "pods", namespace, NULL, label_query(c, "app=%s", app)),
                        ret, e);
}

/* --- pods --- */

/* The kubelet's messages repeat themselves after that. */
enum { MESSAGE_MAX = 240 };

static const struct value *condition(const struct value *object, const char *type)
{
    const struct value *list = value_at(object, "status.conditions");
    for (size_t i = 0; i < value_len(list); i++) {
        if (str_is(value_string_at(&list->array.at[i], "type"), type)) {
            return &list->array.at[i];
        }
    }
    return NULL;
}

bool pod_is_ready(const struct value *pod)
{
    return str_is(value_string_at(condition(pod, "Ready"), "status"), "True");
}

/* "container envoy: CrashLoopBackOff: back-off 10s restarting...", or NULL. */
static const char *container_problem(struct arena *a, const struct value *statuses)
{
    for (size_t i = 0; i < value_len(statuses); i++) {
        const struct value *s = &statuses->array.at[i];
        struct str reason = value_string_at(s, "state.waiting.reason");
        if (reason.len > 0 && !str_is(reason, "PodInitializing")) {
            struct str message = value_string_at(s, "state.waiting.message");
            message.len = message.len > MESSAGE_MAX ? MESSAGE_MAX : message.len;
            return arena_printf(a, "container %.*s: %.*s%s%.*s",
                                STR_ARG(value_string_at(s, "name")), STR_ARG(reason),
                                message.len > 0 ? ": " : "", STR_ARG(message))
                .ptr;
        }
    }
    return NULL;
}

const char *pod_problem(struct arena *a, const struct value *pod)
{
    if (pod_is_ready(pod)) {
        return NULL;
    }
    const char *why = container_problem(a, value_at(pod, "status.initContainerStatuses"));
    why = why ? why : container_problem(a, value_at(pod, "status.containerStatuses"));
    if (why) {
        return why;
    }
    const struct value *scheduled = condition(pod, "PodScheduled");
    if (str_is(value_string_at(scheduled, "status"), "False")) {
        return arena_printf(a, "not scheduled: %.*s",
                            STR_ARG(value_string_at(scheduled, "message")))
            .ptr;
    }
    struct str message = value_string_at(condition(pod, "Ready"), "message");
    struct str phase = value_string_at(pod, "status.phase");
    return arena_printf(a, "not ready (phase %.*s)%s%.*s", STR_ARG(phase),
                        message.len > 0 ? ": " : "", STR_ARG(message))
        .ptr;
}

static struct kube_request proxy_request(struct arena *a, const char *namespace, const char *pod,
                                         int port, const char *page)
{
    return (struct kube_request){.path = arena_printf(a, "/api/v1/namespaces/%s/pods/%s:%d/proxy%s",
                                                      namespace, pod, port, page)
                                             .ptr,
                                 .timeout_ms = 10000};
}

int pod_proxy_get(struct cluster *c, const char *namespace, const char *pod, int port,
                  const char *page, struct value **ret, struct err *e)
{
    struct kube_request q = proxy_request(c->arena, namespace, pod, port, page);
    return cluster_do(c, &q, ret, e) < 0 ? -1 : 0;
}

int pod_proxy_text(struct cluster *c, const char *namespace, const char *pod, int port,
                   const char *page, struct buf *ret, struct err *e)
{
    struct kube_request q = proxy_request(c->arena, namespace, pod, port, page);
    return kube_do_text(c->kube, &q, ret, e);
}

struct value *metadata_patch(struct arena *a, const char *map, const char *key, const char *text,
                             struct value *patch)
{
    struct value *metadata = value_ensure(a, patch, "metadata", VALUE_OBJECT);
    struct value *to = value_ensure(a, metadata, map, VALUE_OBJECT);
    value_set(a, to, key, text ? value_new_string(a, str_of(text)) : value_new(a, VALUE_NULL));
    return patch;
}
