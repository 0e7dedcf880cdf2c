/* What verify commands look at: pods, and what their Envoys have. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/verify.h"

void verify_namespace(struct cluster *c, struct verify *parent, const char *name, const char *mesh,
                      const char *flags)
{
    struct verify *v = verify_new(c->arena, parent,
                                  "Verify if namespace \"%s\" is monitored by mesh "
                                  "\"%s\"",
                                  name, mesh);
    struct value *namespace = NULL;
    struct err e = ERR_INIT;
    int found = cluster_find(c, core_path(c, "namespaces", NULL, name, NULL), &namespace, &e);
    struct str label = label_of(namespace, LABEL_MESH);
    if (found < 0) {
        verify_unknown(v, &e);
    } else if (found == 0) {
        verify_fail(v, NULL, "there is no namespace \"%s\"", name);
    } else if (!str_is(label, mesh)) {
        verify_fail(
            v,
            arena_printf(c->arena, "osm namespace add %s --mesh-name %s%s", name, mesh, flags).ptr,
            label.len > 0 ? "namespace \"%s\" belongs to mesh \"%.*s\""
                          : "namespace \"%s\" belongs to no mesh%.*s",
            name, STR_ARG(label));
    }
}

static bool has_container(const struct value *pod, const char *list, const char *name)
{
    const struct value *containers = value_at(pod, list);
    for (size_t i = 0; i < value_len(containers); i++) {
        if (str_is(value_string_at(&containers->array.at[i], "name"), name)) {
            return true;
        }
    }
    return false;
}

static void check_sidecar(struct cluster *c, struct verify *parent, const struct object_name *name,
                          const struct value *pod)
{
    struct verify *v = verify_new(c->arena, parent, "Verify if pod \"%s/%s\" has a sidecar",
                                  name->namespace, name->name);
    bool has = has_container(pod, "spec.initContainers", "envoy") ||
               has_container(pod, "spec.containers", "envoy");
    if (label_of(pod, LABEL_PROXY).len == 0 || !has) {
        verify_fail(v, "make the pod anew, so that it is injected: kubectl rollout restart",
                    "pod \"%s/%s\" has no container envoy", name->namespace, name->name);
        return;
    }
    const char *problem = pod_problem(c->arena, pod);
    if (problem) {
        verify_fail(v, "see kubectl describe pod, and the log of its container envoy",
                    "pod \"%s/%s\": %s", name->namespace, name->name, problem);
    }
}

void verify_pod(struct cluster *c, struct verify *parent, const struct object_name *pod,
                const char *mesh, struct value **ret_pod)
{
    struct value *object = NULL;
    struct err e = ERR_INIT;
    verify_namespace(c, parent, pod->namespace, mesh, "");
    int found = cluster_find(c, core_path(c, "pods", pod->namespace, pod->name, NULL), &object, &e);
    *ret_pod = found == 1 ? object : NULL;
    if (found == 1) {
        check_sidecar(c, parent, pod, object);
        return;
    }
    struct verify *v = verify_new(c->arena, parent, "Verify if there is a pod \"%s/%s\"",
                                  pod->namespace, pod->name);
    if (found < 0) {
        verify_unknown(v, &e);
    } else {
        verify_fail(v, NULL, "there is no pod \"%s\" in namespace \"%s\"", pod->name,
                    pod->namespace);
    }
}

/* --- Envoy --- */

static int read_page(struct cluster *c, const struct forward *f, const char *page,
                     struct value **ret, struct err *e)
{
    struct buf text;
    int status = forward_ask(f, NULL, page, &text, e);
    int result = status < 0      ? -1
                 : status != 200 ? err_set(e, "%s: Envoy answered %d", page, status)
                                 : value_read_json(c->arena, buf_str(&text), ret, e);
    buf_done(&text);
    return result;
}

int envoy_view_read(struct cluster *c, const struct object_name *pod, struct envoy_view *ret,
                    struct err *e)
{
    AUTO(forward_stop) struct forward f = {0};
    const char *target = arena_printf(c->arena, "pod/%s", pod->name).ptr;
    if (forward_start(pod->namespace, target, PORT_ENVOY_ADMIN, 0, &f, e) < 0) {
        return -1;
    }
    return read_page(c, &f, "config_dump?resource=dynamic_listeners", &ret->listeners, e) < 0 ||
                   read_page(c, &f, "clusters?format=json", &ret->clusters, e) < 0
               ? err_wrap(e, "pod %s/%s", pod->namespace, pod->name)
               : 0;
}

static const struct value *find_listener(const struct envoy_view *v, const char *name)
{
    const struct value *list = value_member(v->listeners, "configs");
    for (size_t i = 0; i < value_len(list); i++) {
        if (str_is(value_string_at(&list->array.at[i], "name"), name)) {
            return value_at(&list->array.at[i], "active_state.listener");
        }
    }
    return NULL;
}

bool envoy_has_listener(const struct envoy_view *v, const char *name)
{
    return find_listener(v, name) != NULL;
}

bool envoy_has_chain(const struct envoy_view *v, const char *listener, const char *chain)
{
    const struct value *chains = value_member(find_listener(v, listener), "filter_chains");
    for (size_t i = 0; i < value_len(chains); i++) {
        if (str_is(value_string_at(&chains->array.at[i], "name"), chain)) {
            return true;
        }
    }
    return false;
}

static const struct value *find_cluster(const struct envoy_view *v, const char *name)
{
    const struct value *list = value_member(v->clusters, "cluster_statuses");
    for (size_t i = 0; i < value_len(list); i++) {
        if (str_is(value_string_at(&list->array.at[i], "name"), name)) {
            return &list->array.at[i];
        }
    }
    return NULL;
}

bool envoy_has_cluster(const struct envoy_view *v, const char *name)
{
    return find_cluster(v, name) != NULL;
}

size_t envoy_hosts(const struct envoy_view *v, const char *cluster)
{
    const struct value *hosts = value_member(find_cluster(v, cluster), "host_statuses");
    size_t healthy = 0;
    for (size_t i = 0; i < value_len(hosts); i++) {
        struct str health = value_string_at(&hosts->array.at[i], "health_status.eds_health_status");
        healthy += str_is(health, "HEALTHY") || health.len == 0;
    }
    return healthy;
}
