/* osm check, after an install: the control plane, its definitions, configuration and root. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "cli/check.h"

enum { EXPIRY_S = 30 * 86400, LEASE_S = 60 };

/* --- Deployments --- */

static int64_t number_at(const struct value *v, const char *path)
{
    const struct value *n = value_at(v, path);
    return n && n->type == VALUE_INT ? n->integer : 0;
}

static const char *first_problem(struct cluster *c, const char *namespace, const char *app)
{
    struct value *pods = NULL;
    if (mesh_pods(c, namespace, app, &pods, NULL) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        const char *problem = pod_problem(c->arena, &pods->array.at[i]);
        if (problem) {
            return arena_printf(c->arena, "pod %.*s: %s",
                                STR_ARG(value_string_at(&pods->array.at[i], "metadata.name")),
                                problem)
                .ptr;
        }
    }
    return NULL;
}

static void check_deployment(struct check *k, const char *namespace, const char *name)
{
    struct value *d = NULL;
    struct err e = ERR_INIT;
    struct cluster *c = k->cluster;
    const char *path = kube_path_of(c->arena, "apps/v1", "deployments", str_of(namespace),
                                    str_of(name), NULL, NULL);
    int found = cluster_find(c, path, &d, &e);
    if (found <= 0) {
        if (found < 0) {
            check_unknown(k, name, &e);
        } else {
            check_add(k, CHECK_FAIL, "osm mesh upgrade", "there is no Deployment %s", name);
        }
        return;
    }
    int64_t want = number_at(d, "spec.replicas"), ready = number_at(d, "status.readyReplicas");
    bool well = ready >= want && want > 0;
    const char *problem = well ? NULL : first_problem(c, namespace, name);
    check_add(k, well ? CHECK_OK : CHECK_FAIL, problem, "%s: %lld of %lld replicas are ready", name,
              (long long)ready, (long long)want);
}

static void check_version(struct check *k, const struct mesh_info *mesh)
{
    const char *theirs = mesh->version + (mesh->version[0] == 'v');
    if (strcmp(theirs, OSM_VERSION) == 0) {
        check_add(k, CHECK_OK, NULL, "version %s, as this osm", mesh->version);
    } else {
        check_add(k, CHECK_WARN, "osm mesh upgrade, or use the osm of that version",
                  "version %s; this osm is %s", mesh->version, OSM_VERSION);
    }
}

/* --- definitions and MeshConfig --- */

static bool is_established(const struct value *crd)
{
    const struct value *conditions = value_at(crd, "status.conditions");
    for (size_t i = 0; i < value_len(conditions); i++) {
        const struct value *condition = &conditions->array.at[i];
        if (str_is(value_string_at(condition, "type"), "Established")) {
            return str_is(value_string_at(condition, "status"), "True");
        }
    }
    return false;
}

static void check_definitions(struct check *k)
{
    struct cluster *c = k->cluster;
    size_t good = 0, all = 0;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct kind_info *info = kind_info(kind);
        struct value *crd = NULL;
        struct err e = ERR_INIT;
        if (!kind_is_custom(kind)) {
            continue;
        }
        all++;
        struct str name = arena_printf(c->arena, "%s.%s", info->plural, info->group);
        int found =
            cluster_find(c,
                         kube_path_of(c->arena, "apiextensions.k8s.io/v1",
                                      "customresourcedefinitions", STR(""), name, NULL, NULL),
                         &crd, &e);
        if (found < 0) {
            check_unknown(k, name.ptr, &e);
            return;
        }
        if (found == 0 || !is_established(crd)) {
            check_add(k, CHECK_FAIL, "osm-bootstrap makes it: see its log", "CRD %s is %s",
                      name.ptr, found == 0 ? "missing" : "not established");
        } else {
            good++;
        }
    }
    if (good == all) {
        check_add(k, CHECK_OK, NULL, "all %zu CRDs are there", all);
    }
}

static void check_config(struct check *k, const char *namespace)
{
    struct cluster *c = k->cluster;
    struct value *config = NULL;
    struct err e = ERR_INIT;
    AUTO(findings_done) struct findings found = {0};
    int there = cluster_find(
        c, kube_path(c->arena, KIND_MESH_CONFIG, str_of(namespace), STR(CONFIG_NAME), NULL),
        &config, &e);
    if (there < 0) {
        check_unknown(k, "MeshConfig", &e);
        return;
    }
    if (there == 0) {
        check_add(k, CHECK_FAIL, "osm-bootstrap makes it when it starts: kubectl rollout restart",
                  "there is no MeshConfig " CONFIG_NAME "; SMI mode without egress is in force");
        return;
    }
    object_unref(object_decode_one(config, KIND_MESH_CONFIG, &found));
    VEC_EACH(found.list, f) {
        check_add(k, f->level == FINDING_ERROR ? CHECK_FAIL : CHECK_WARN,
                  "kubectl edit meshconfig " CONFIG_NAME, "MeshConfig: %s", f->text);
    }
    if (found.list.len == 0) {
        bool permissive = value_bool_at(config, "spec.traffic.enablePermissiveTrafficPolicyMode");
        check_add(k, CHECK_OK, NULL, "MeshConfig " CONFIG_NAME ": %s mode",
                  permissive ? "permissive" : "SMI");
    }
}

/* --- root and lease --- */

/* As the chart's value says to osm-controller. */
static const char *root_secret_name(struct cluster *c, const struct mesh_info *mesh)
{
    const struct value *containers = value_at(mesh->deployment, "spec.template.spec.containers");
    for (size_t i = 0; i < value_len(containers); i++) {
        const struct value *args = value_member(&containers->array.at[i], "args");
        for (size_t k = 0; k < value_len(args); k++) {
            const struct value *arg = &args->array.at[k];
            struct str flag, name;
            if (arg->type == VALUE_STRING && str_cut(arg->string, '=', &flag, &name) &&
                str_is(flag, "--ca-bundle-secret-name")) {
                return arena_str(c->arena, name).ptr;
            }
        }
    }
    return "osm-ca-bundle";
}

static void check_root_secret(struct check *k, const struct value *secret, const char *title)
{
    struct issuer_options o = {.trust_domain = "cluster.local"};
    struct err e = ERR_INIT;
    int64_t now = clock_wall_s();
    AUTO(issuer_free) struct issuer *root = NULL, *later = NULL;
    if (issuer_from_secret(secret, title, &o, now, &root, &e) < 0) {
        check_add(k, CHECK_FAIL, NULL, "root certificate: %s", e.text);
    } else if (issuer_from_secret(secret, title, &o, now + EXPIRY_S, &later, &e) < 0) {
        check_add(k, CHECK_WARN, "put a new root beside it",
                  "root certificate: ends within 30 days");
    } else {
        check_add(k, CHECK_OK, NULL, "root certificate: valid, and its key belongs to it");
    }
}

/* Needs the right to read the Secret, which not everybody has. */
static void check_root(struct check *k, const struct mesh_info *mesh)
{
    struct value *secret = NULL;
    struct err e = ERR_INIT;
    struct arena *a = arena_new(8192);
    const char *name = root_secret_name(k->cluster, mesh);
    const char *title = arena_printf(k->cluster->arena, "Secret %s", name).ptr;
    struct kube_request q = {.path = core_path(k->cluster, "secrets", mesh->namespace, name, NULL)};
    int status = kube_do(k->cluster->kube, &q, a, &secret, &e);
    if (status == 404) {
        check_add(k, CHECK_WARN, NULL,
                  "there is no %s: is the root another's (Vault, cert-manager)?", title);
    } else if (status < 0 || status >= 400) {
        check_unknown(k, "the root certificate", &e);
    } else {
        check_root_secret(k, secret, title);
    }
    arena_free_secret(a);
}

/* 1: the pod that holds the lease is there; 0: it isn't; -1. */
static int holder_is_there(struct cluster *c, const char *namespace, struct str holder,
                           struct err *e)
{
    struct value *pods = NULL;
    if (mesh_pods(c, namespace, "osm-controller", &pods, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        if (str_eq(value_string_at(&pods->array.at[i], "metadata.name"), holder)) {
            return 1;
        }
    }
    return 0;
}

static void check_lease(struct check *k, const char *namespace)
{
    struct cluster *c = k->cluster;
    struct value *lease = NULL;
    struct err e = ERR_INIT;
    int64_t renewed = 0;
    int found = cluster_find(c,
                             kube_path_of(c->arena, "coordination.k8s.io/v1", "leases",
                                          str_of(namespace), STR("osm-controller"), NULL, NULL),
                             &lease, &e);
    struct str holder = value_string_at(lease, "spec.holderIdentity");
    if (found < 0) {
        check_unknown(k, "lease osm-controller", &e);
    } else if (found == 0 || holder.len == 0) {
        check_add(k, CHECK_FAIL, "see the log of osm-controller",
                  "no osm-controller holds the lease: nobody writes statuses and owner references");
    } else if (!clock_parse_rfc3339(value_string_at(lease, "spec.renewTime"), &renewed) ||
               clock_wall_s() - renewed > LEASE_S) {
        check_add(k, CHECK_FAIL, "see the log of osm-controller",
                  "%.*s holds the lease osm-controller and hasn't renewed it since %.*s",
                  STR_ARG(holder), STR_ARG(value_string_at(lease, "spec.renewTime")));
    } else if ((found = holder_is_there(c, namespace, holder, &e)) < 0) {
        check_unknown(k, "lease osm-controller", &e);
    } else if (found == 0) {
        check_add(k, CHECK_FAIL, "see: osm verify control-plane",
                  "%.*s holds the lease osm-controller and is gone: nobody writes statuses and "
                  "owner references until another takes it",
                  STR_ARG(holder));
    } else {
        check_add(k, CHECK_OK, NULL, "%.*s holds the lease and writes", STR_ARG(holder));
    }
}

void check_control_plane(struct check *k, const struct mesh_info *mesh)
{
    k->section = arena_printf(k->cluster->arena, "Control plane of mesh [%s] in namespace [%s]",
                              mesh->name, mesh->namespace)
                     .ptr;
    check_version(k, mesh);
    check_deployment(k, mesh->namespace, "osm-controller");
    check_deployment(k, mesh->namespace, "osm-injector");
    check_deployment(k, mesh->namespace, "osm-bootstrap");
    check_definitions(k);
    check_config(k, mesh->namespace);
    check_root(k, mesh);
    check_lease(k, mesh->namespace);
}
