/* The mesh of a few namespaces. */
#include "cli/policy_mesh.h"

#include <stdio.h>
#include <string.h>

struct reading {
    struct policy_mesh *mesh;
    struct cluster *cluster;
};

static void put(void *arg, struct object *o)
{
    struct policy_mesh *m = arg;
    store_put(m->store, o);
}

static void decode(void *arg, struct value *item)
{
    struct reading *r = arg;
    object_decode(item, NULL, put, r->mesh, &r->mesh->findings);
}

/* All of a kind in a namespace; a kind that the cluster doesn't have has no objects. */
static int read_kind(struct reading *r, enum kind kind, const char *namespace, struct err *e)
{
    struct arena *a = r->cluster->arena;
    const char *path = kube_path(a, kind, str_of(namespace), STR(""), NULL);
    struct value *first = NULL;
    struct err problem = ERR_INIT;
    int found = cluster_find(r->cluster, arena_printf(a, "%s?limit=1", path).ptr, &first, &problem);
    if (found == 0) {
        return 0;
    }
    return found < 0 ? err_set(e, "%s", problem.text)
                     : kube_list(r->cluster->kube, path, decode, r, e);
}

static int read_namespace(struct reading *r, const char *namespace, struct err *e)
{
    static const enum kind kinds[] = {
        KIND_SERVICE_ACCOUNT,  KIND_POD,       KIND_SERVICE,       KIND_ENDPOINT_SLICE,
        KIND_HTTP_ROUTE_GROUP, KIND_TCP_ROUTE, KIND_TRAFFIC_SPLIT, KIND_TRAFFIC_TARGET};
    struct kube_request q = {.path = core_path(r->cluster, "namespaces", NULL, namespace, NULL)};
    struct value *object = NULL;
    if (cluster_do(r->cluster, &q, &object, e) < 0) {
        return -1;
    }
    decode(r, object);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (read_kind(r, kinds[i], namespace, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int find_pod(struct cluster *c, struct policy_pod *p, struct err *e)
{
    struct value *pod = NULL, *namespace = NULL;
    int found =
        cluster_find(c, core_path(c, "pods", p->name.namespace, p->name.name, NULL), &pod, e);
    if (found <= 0) {
        return found < 0 ? -1
                         : err_set(e, "there is no pod [%s] in namespace [%s]", p->name.name,
                                   p->name.namespace);
    }
    if (cluster_find(c, core_path(c, "namespaces", NULL, p->name.namespace, NULL), &namespace, e) <
        0) {
        return -1;
    }
    struct str account = value_string_at(pod, "spec.serviceAccountName");
    p->object = pod;
    p->mesh = label_of(namespace, LABEL_MESH);
    p->identity = arena_printf(c->arena, "%s/%.*s", p->name.namespace,
                               STR_ARG(account.len > 0 ? account : STR("default")));
    return 0;
}

static int check_member(const struct policy_pod *p, struct err *e)
{
    if (p->mesh.len == 0) {
        return err_set(e,
                       "namespace [%s] belongs to no mesh; let it join with: osm namespace add %s",
                       p->name.namespace, p->name.namespace);
    }
    return label_of(p->object, LABEL_PROXY).len > 0
               ? 0
               : err_set(e,
                         "pod [%s] in namespace [%s] has no sidecar; make it anew, so that it is "
                         "injected",
                         p->name.name, p->name.namespace);
}

static int check_members(const struct policy_pod *from, const struct policy_pod *to, struct err *e)
{
    if (check_member(from, e) < 0 || (to && check_member(to, e) < 0)) {
        return -1;
    }
    return !to || str_eq(from->mesh, to->mesh)
               ? 0
               : err_set(e,
                         "namespace [%s] belongs to mesh [%.*s] and namespace [%s] to mesh [%.*s]",
                         from->name.namespace, STR_ARG(from->mesh), to->name.namespace,
                         STR_ARG(to->mesh));
}

static int read_all(struct reading *r, const struct mesh_info *mesh, const struct policy_pod *from,
                    const struct policy_pod *to, struct err *e)
{
    bool same = to && strcmp(from->name.namespace, to->name.namespace) == 0;
    if (read_kind(r, KIND_MESH_CONFIG, mesh->namespace, e) < 0 ||
        read_namespace(r, from->name.namespace, e) < 0) {
        return -1;
    }
    return to && !same ? read_namespace(r, to->name.namespace, e) : 0;
}

int policy_mesh_load(struct cluster *c, struct policy_pod *from, struct policy_pod *to,
                     struct policy_mesh *ret, struct err *e)
{
    const struct mesh_info *mesh = NULL;
    struct reading r = {ret, c};
    if (find_pod(c, from, e) < 0 || (to && find_pod(c, to, e) < 0) ||
        check_members(from, to, e) < 0 ||
        mesh_find_named(c, arena_str(c->arena, from->mesh).ptr, &mesh, e) < 0) {
        return -1;
    }
    ret->options = (struct mesh_options){.mesh_name = mesh->name,
                                         .osm_namespace = mesh->namespace,
                                         .config_name = CONFIG_NAME,
                                         .trust_domain = "cluster.local"};
    ret->store = store_new();
    ret->mesh = mesh_new(&ret->options);
    if (read_all(&r, mesh, from, to, e) < 0) {
        return -1;
    }
    struct changes changes = {0};
    struct mesh_delta delta;
    store_take_changes(ret->store, &changes);
    mesh_update(ret->mesh, ret->store, &changes, &delta);
    mesh_delta_done(&delta);
    changes_done(&changes);
    return 0;
}

void policy_mesh_done(struct policy_mesh *m)
{
    if (m->mesh) {
        mesh_free(m->mesh);
        store_free(m->store);
    }
    findings_done(&m->findings);
    *m = (struct policy_mesh){0};
}

bool policy_rule_allows(const struct mesh_rule *rule, struct str source)
{
    for (size_t i = 0; i < rule->sources.len; i++) {
        if (str_eq(rule->sources.at[i], source)) {
            return rule->http.len > 0 || rule->tcp;
        }
    }
    return false;
}

const struct mesh_policy *policy_of(const struct policy_mesh *m, const struct policy_pod *to)
{
    return mesh_policy_find(m->mesh, to->identity);
}

bool policy_allows(const struct mesh_policy *policy, struct str source)
{
    bool any = policy && policy->allow_all;
    for (size_t i = 0; policy && i < policy->rules.len && !any; i++) {
        any = policy_rule_allows(&policy->rules.at[i], source);
    }
    return any;
}

void policy_mesh_print_findings(const struct policy_mesh *m)
{
    VEC_EACH(m->findings.list, f) {
        if (f->level == FINDING_ERROR) {
            AUTO(free) char *text = finding_text(f);
            fprintf(stderr, "%s\n", text);
        }
    }
}
