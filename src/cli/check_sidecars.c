/* osm check, after an install: do sidecars have their configuration, and is the mesh's policy as it
 * was meant? */
#include <stdio.h>

#include "cli/check.h"
#include "cli/controllers.h"
#include "inject/inject.h"

enum { FINDINGS_MAX = 20 };

static void check_proxies(struct check *k, const struct value *proxies)
{
    size_t synced = 0, all = value_len(proxies);
    for (size_t i = 0; i < all; i++) {
        synced += str_is(value_string_at(&proxies->array.at[i], "state"), "synced");
    }
    if (synced == all) {
        check_add(k, CHECK_OK, NULL, "%zu sidecars, all synced", all);
    } else {
        check_add(k, CHECK_WARN, "osm proxy status", "%zu of %zu sidecars are synced", synced, all);
    }
}

static void check_findings(struct check *k, const struct value *findings)
{
    size_t all = value_len(findings);
    for (size_t i = 0; i < all && i < FINDINGS_MAX; i++) {
        const struct value *f = &findings->array.at[i];
        struct str object = value_string_at(f, "object");
        check_add(k, str_is(value_string_at(f, "level"), "error") ? CHECK_FAIL : CHECK_WARN, NULL,
                  "%.*s%s%.*s", STR_ARG(object), object.len > 0 ? ": " : "",
                  STR_ARG(value_string_at(f, "text")));
    }
    if (all > FINDINGS_MAX) {
        check_add(k, CHECK_WARN, NULL, "and %zu more like these", all - FINDINGS_MAX);
    } else if (all == 0) {
        check_add(k, CHECK_OK, NULL, "nothing is wrong with the mesh's objects");
    }
}

/* Would the injector give it a sidecar? Also where an annotation is to be mended first. */
static bool lacks_sidecar(const struct value *pod, const struct namespace *namespace,
                          const struct inject_options *o)
{
    AUTO(object_unref) struct object *decoded = NULL;
    return str_is(value_string_at(pod, "status.phase"), "Running") && !inject_is_windows(pod) &&
           object_expect(pod, KIND_POD, &decoded, NULL) == 0 &&
           inject_wanted((const struct pod *)decoded, namespace, o, NULL) != 0;
}

/* Pods that ran before their namespace joined. */
static void check_pods_without(struct check *k, const struct mesh_info *mesh,
                               const struct value *namespace)
{
    struct cluster *c = k->cluster;
    struct value *pods = NULL;
    struct err e = ERR_INIT;
    AUTO(object_unref) struct object *decoded = NULL;
    struct inject_options o = {.mesh_name = mesh->name, .osm_namespace = mesh->namespace};
    struct str name = arena_str(c->arena, value_string_at(namespace, "metadata.name"));
    size_t without = 0;
    if (object_expect(namespace, KIND_NAMESPACE, &decoded, &e) < 0 ||
        cluster_list(c, core_path(c, "pods", name.ptr, NULL, label_query(c, "!" LABEL_PROXY)),
                     &pods, &e) < 0) {
        check_unknown(k, "pods", &e);
        return;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        without += lacks_sidecar(&pods->array.at[i], (const struct namespace *)decoded, &o);
    }
    if (without > 0) {
        check_add(k, CHECK_WARN,
                  arena_printf(c->arena, "kubectl rollout restart deployment -n %s", name.ptr).ptr,
                  "%zu pods of namespace [%s] run without a sidecar", without, name.ptr);
    }
}

void check_sidecars(struct check *k, const struct mesh_info *mesh)
{
    struct controllers_status status;
    struct value *namespaces = NULL;
    struct err e = ERR_INIT;
    k->section = "Sidecars and policy";
    if (controllers_status(k->cluster, mesh->namespace, &status, &e) < 0) {
        check_unknown(k, "sidecars", &e);
    } else if (status.asked == 0) {
        check_add(k, CHECK_WARN, NULL, "no osm-controller runs that could tell of sidecars");
    } else if (status.answered < status.asked) {
        check_unknown(k, "sidecars", &status.problem);
    } else {
        check_proxies(k, status.proxies);
        check_findings(k, status.findings);
    }
    if (mesh_namespaces(k->cluster, mesh->name, &namespaces, &e) < 0) {
        check_unknown(k, "namespaces", &e);
    }
    for (size_t i = 0; i < value_len(namespaces); i++) {
        check_pods_without(k, mesh, &namespaces->array.at[i]);
    }
}
