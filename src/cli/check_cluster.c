/* osm check, before an install: server, programs, rights, leftovers. */
#include <stdio.h>
#include <string.h>

#include "cli/access.h"
#include "cli/check.h"
#include "cli/helm.h"
#include "cli/program.h"

static void check_server(struct check *k)
{
    int major, minor;
    struct err e = ERR_INIT;
    const char *server = kube_config_server(kube_client_config(k->cluster->kube));
    if (kube_server_version(k->cluster->kube, &major, &minor, &e) < 0) {
        check_add(k, CHECK_FAIL, "check the kubeconfig, its context, and the network", "%s",
                  e.text);
    } else if (major == 1 && minor < KUBERNETES_OLDEST_MINOR) {
        check_add(k, CHECK_FAIL, "upgrade the cluster",
                  "API server %s is %d.%d; 1.%d or later is needed", server, major, minor,
                  KUBERNETES_OLDEST_MINOR);
    } else {
        check_add(k, CHECK_OK, NULL, "API server %s is %d.%d", server, major, minor);
    }
}

static void check_program(struct check *k, int (*argv)(struct argv *, struct err *),
                          const char *use)
{
    AUTO(argv_done) struct argv a = {0};
    struct err e = ERR_INIT;
    if (argv(&a, &e) < 0) {
        check_add(k, CHECK_WARN, NULL, "%s: %s", use, e.text);
    } else {
        check_add(k, CHECK_OK, NULL, "%s: %s", use, a.list.at[0]);
    }
}

void check_cluster(struct check *k)
{
    k->section = "Cluster";
    check_server(k);
    check_program(k, helm_argv, "helm, to install, upgrade and uninstall");
    check_program(k, kubectl_argv, "kubectl, to reach sidecars");
}

/* --- rights --- */

static void check_rights(struct check *k)
{
    const struct access *const *lacks;
    struct cluster *c = k->cluster;
    struct err e = ERR_INIT;
    size_t denied = 0;
    if (access_install_lacks(c, &lacks, &e) < 0) {
        check_unknown(k, "what you may do", &e);
        return;
    }
    for (; *lacks; lacks++) {
        const struct access *a = *lacks;
        denied += !a->with_value;
        if (a->with_value) {
            check_add(k, CHECK_WARN, "ask who runs the cluster for it, or leave that value false",
                      "you may not %s, which an install with %s=true does", access_text(c, a),
                      a->with_value);
        } else {
            check_add(k, CHECK_FAIL, "ask who runs the cluster for it", "you may not %s",
                      access_text(c, a));
        }
    }
    if (denied == 0) {
        check_add(k, CHECK_OK, NULL, "you may make all that an install makes");
    }
}

/* --- leftovers --- */

static void check_release(struct check *k, const char *mesh)
{
    const char *status, *namespace = k->cluster->osm_namespace;
    struct err e = ERR_INIT;
    if (helm_release_status(k->cluster, namespace, mesh, &status, &e) < 0) {
        check_unknown(k, "helm's releases", &e);
    } else if (status && strcmp(status, "deployed") != 0) {
        check_add(
            k, CHECK_FAIL,
            arena_printf(k->cluster->arena, "osm uninstall mesh --mesh-name %s --osm-namespace %s",
                         mesh, namespace)
                .ptr,
            "an install of mesh [%s] in namespace [%s] was left unfinished (helm's release is "
            "\"%s\")",
            mesh, namespace, status);
    } else {
        check_add(k, CHECK_OK, NULL, "no install was left unfinished");
    }
}

static void check_left_webhooks(struct check *k, const char *plural, const struct meshes *meshes)
{
    struct value *list = NULL;
    struct err e = ERR_INIT;
    struct cluster *c = k->cluster;
    const char *path =
        kube_path_of(c->arena, "admissionregistration.k8s.io/v1", plural, STR(""), STR(""), NULL,
                     label_query(c, "app.kubernetes.io/name=openservicemesh.io"));
    if (cluster_list(c, path, &list, &e) < 0) {
        check_unknown(k, plural, &e);
        return;
    }
    for (size_t i = 0; i < value_len(list); i++) {
        struct str name = value_string_at(&list->array.at[i], "metadata.name");
        struct str of = label_of(&list->array.at[i], "app.kubernetes.io/instance");
        bool has_mesh = false;
        for (size_t m = 0; m < meshes->len; m++) {
            has_mesh = has_mesh || str_is(of, meshes->at[m].name);
        }
        if (!has_mesh) {
            check_add(k, CHECK_WARN, "osm uninstall mesh -f -a",
                      "%s %.*s is left from mesh [%.*s], which is gone: what it asks for fails",
                      plural, STR_ARG(name), STR_ARG(of));
        }
    }
}

static void check_left_namespaces(struct check *k, const char *mesh)
{
    struct value *namespaces = NULL;
    struct err e = ERR_INIT;
    if (mesh_namespaces(k->cluster, NULL, &namespaces, &e) < 0) {
        check_unknown(k, "namespaces", &e);
        return;
    }
    for (size_t i = 0; i < value_len(namespaces); i++) {
        struct str name = value_string_at(&namespaces->array.at[i], "metadata.name");
        struct str of = label_of(&namespaces->array.at[i], LABEL_MESH);
        check_add(k, str_is(of, mesh) ? CHECK_OK : CHECK_WARN, NULL,
                  "namespace [%.*s] will belong to mesh [%.*s]", STR_ARG(name), STR_ARG(of));
    }
}

void check_before(struct check *k, const char *mesh)
{
    struct meshes meshes = {0};
    struct err e = ERR_INIT;
    k->section = arena_printf(k->cluster->arena, "Before an install of mesh [%s] in namespace [%s]",
                              mesh, k->cluster->osm_namespace)
                     .ptr;
    check_rights(k);
    check_release(k, mesh);
    if (meshes_find(k->cluster, &meshes, &e) < 0) {
        check_unknown(k, "other meshes", &e);
        return;
    }
    for (size_t i = 0; i < meshes.len; i++) {
        const struct mesh_info *m = &meshes.at[i];
        bool same = strcmp(m->name, mesh) == 0;
        check_add(k, same || m->enforce_single ? CHECK_FAIL : CHECK_WARN, NULL,
                  "mesh [%s] is in namespace [%s]%s", m->name, m->namespace,
                  same                ? " already"
                  : m->enforce_single ? ", installed as the only one of its cluster"
                                      : "; install with --enforce-single-mesh=false");
    }
    check_left_webhooks(k, "mutatingwebhookconfigurations", &meshes);
    check_left_webhooks(k, "validatingwebhookconfigurations", &meshes);
    check_left_namespaces(k, mesh);
}
