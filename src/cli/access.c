/* What we may do in the cluster. */
#include "cli/access.h"

#include <string.h>

#define ADMISSION "admissionregistration.k8s.io"
#define RBAC "rbac.authorization.k8s.io"

/* Of the objects of the chart; helm keeps its release in a Secret. */
static const struct access to_install[] = {
    {"create", "", "namespaces", false, NULL, NULL},
    {"create", "", "secrets", true, NULL, NULL},
    {"create", "", "services", true, NULL, NULL},
    {"create", "", "serviceaccounts", true, NULL, NULL},
    {"create", "", "configmaps", true, NULL, NULL},
    {"create", "apps", "deployments", true, NULL, NULL},
    {"create", "batch", "jobs", true, NULL, NULL},
    {"create", "networking.k8s.io", "networkpolicies", true, NULL, NULL},
    {"create", RBAC, "roles", true, NULL, NULL},
    {"create", RBAC, "rolebindings", true, NULL, NULL},
    {"create", RBAC, "clusterroles", false, NULL, NULL},
    {"create", RBAC, "clusterrolebindings", false, NULL, NULL},
    {"create", ADMISSION, "validatingadmissionpolicies", false, ADMISSION "/v1", NULL},
    {"create", ADMISSION, "validatingadmissionpolicybindings", false, ADMISSION "/v1", NULL},
    {"create", "policy", "poddisruptionbudgets", true, NULL, "enablePodDisruptionBudget"},
    {"create", "autoscaling", "horizontalpodautoscalers", true, NULL, "autoScale.enable"},
};

/* Also of namespaces that leave the mesh; the ingress gateway's Secret is anywhere. */
static const struct access to_uninstall[] = {
    {"patch", "", "namespaces", false, NULL, NULL},
    {"list", "", "secrets", false, NULL, NULL},
    {"delete", "", "secrets", false, NULL, NULL},
    {"delete", "", "services", true, NULL, NULL},
    {"delete", "", "serviceaccounts", true, NULL, NULL},
    {"delete", "", "configmaps", true, NULL, NULL},
    {"delete", "apps", "deployments", true, NULL, NULL},
    {"create", "batch", "jobs", true, NULL, NULL},
    {"delete", "batch", "jobs", true, NULL, NULL},
    {"delete", RBAC, "roles", true, NULL, NULL},
    {"delete", RBAC, "rolebindings", true, NULL, NULL},
    {"delete", RBAC, "clusterroles", false, NULL, NULL},
    {"delete", RBAC, "clusterrolebindings", false, NULL, NULL},
};

static const struct access to_clean_up[] = {
    {"delete", ADMISSION, "mutatingwebhookconfigurations", false, NULL, NULL},
    {"delete", ADMISSION, "validatingwebhookconfigurations", false, NULL, NULL},
    {"delete", "apiextensions.k8s.io", "customresourcedefinitions", false, NULL, NULL},
};

static struct value *review(struct arena *a, const struct access *what, const char *namespace)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "apiVersion", value_new_string(a, STR("authorization.k8s.io/v1")));
    value_set(a, v, "kind", value_new_string(a, STR("SelfSubjectAccessReview")));
    struct value *spec = value_ensure(a, v, "spec", VALUE_OBJECT);
    struct value *r = value_ensure(a, spec, "resourceAttributes", VALUE_OBJECT);
    value_set(a, r, "verb", value_new_string(a, str_of(what->verb)));
    value_set(a, r, "group", value_new_string(a, str_of(what->group)));
    value_set(a, r, "resource", value_new_string(a, str_of(what->resource)));
    if (what->in_namespace) {
        value_set(a, r, "namespace", value_new_string(a, str_of(namespace)));
    }
    return v;
}

/* 1: we may; 0: we may not; -1. */
static int may(struct cluster *c, const struct access *what, struct err *e)
{
    struct value *answer = NULL;
    struct kube_request q = {.method = "POST",
                             .path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                             .body = review(c->arena, what, c->osm_namespace)};
    if (cluster_do(c, &q, &answer, e) < 0) {
        return -1;
    }
    return value_bool_at(answer, "status.allowed") ? 1 : 0;
}

/* 1: the server has the resource; 0; -1. */
static int is_served(struct cluster *c, const struct access *what, struct err *e)
{
    struct value *group = NULL;
    if (!what->if_served) {
        return 1;
    }
    const char *path = arena_printf(c->arena, "/apis/%s", what->if_served).ptr;
    if (cluster_find(c, path, &group, e) < 0) {
        return -1;
    }
    const struct value *resources = value_member(group, "resources");
    for (size_t i = 0; i < value_len(resources); i++) {
        if (str_is(value_string_at(&resources->array.at[i], "name"), what->resource)) {
            return 1;
        }
    }
    return 0;
}

int access_install_lacks(struct cluster *c, const struct access *const **ret, struct err *e)
{
    const struct access **lacks =
        arena_alloc(c->arena, (COUNT_OF(to_install) + 1) * sizeof(*lacks));
    struct value *namespace = NULL;
    size_t n = 0;
    /* Who may not look at a namespace is told of the right to make it. */
    bool there = cluster_find(c, core_path(c, "namespaces", NULL, c->osm_namespace, NULL),
                              &namespace, NULL) == 1;
    for (size_t i = 0; i < COUNT_OF(to_install); i++) {
        const struct access *what = &to_install[i];
        if (there && strcmp(what->resource, "namespaces") == 0) {
            continue;
        }
        int needed = is_served(c, what, e);
        int allowed = needed == 1 ? may(c, what, e) : 1;
        if (needed < 0 || allowed < 0) {
            return -1;
        }
        if (!allowed) {
            lacks[n++] = what;
        }
    }
    lacks[n] = NULL;
    *ret = lacks;
    return 0;
}

/* 1 with *ret: one that we may not; 0; -1. */
static int find_lacking(struct cluster *c, const struct access *list, size_t len,
                        const struct access **ret, struct err *e)
{
    for (size_t i = 0; i < len; i++) {
        int allowed = may(c, &list[i], e);
        if (allowed <= 0) {
            *ret = &list[i];
            return allowed < 0 ? -1 : 1;
        }
    }
    return 0;
}

int access_uninstall_lacks(struct cluster *c, bool cluster_wide, const struct access **ret,
                           struct err *e)
{
    int lacks = find_lacking(c, to_uninstall, COUNT_OF(to_uninstall), ret, e);
    return lacks == 0 && cluster_wide ? find_lacking(c, to_clean_up, COUNT_OF(to_clean_up), ret, e)
                                      : lacks;
}

const char *access_text(struct cluster *c, const struct access *what)
{
    return arena_printf(c->arena, "%s %s%s%s%s%s", what->verb, what->resource,
                        what->group[0] ? "." : "", what->group,
                        what->in_namespace ? " in namespace " : "",
                        what->in_namespace ? c->osm_namespace : "")
        .ptr;
}
