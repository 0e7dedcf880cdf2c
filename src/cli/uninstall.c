/* osm uninstall mesh. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/access.h"
#include "cli/commands.h"
#include "cli/helm.h"
#include "cli/meshes.h"
#include "cli/remains.h"

enum { TRIES = 3, TIMEOUT_S = 300, GONE_MS = 180000 };

static const char *mesh_name, *ca_bundle_secret_name = "osm-ca-bundle";
static bool force, cluster_wide, delete_namespace;
static int64_t local_port;

const struct flag uninstall_mesh_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh (each of the cluster is asked about)",
     &mesh_name},
    {"force", 'f', FLAG_BOOL, NULL, "don't ask", &force},
    {"delete-cluster-wide-resources", 'a', FLAG_BOOL, NULL,
     "also CRDs with all policies, webhooks, the root certificate", &cluster_wide},
    {"delete-namespace", 0, FLAG_BOOL, NULL, "also the control plane's namespace",
     &delete_namespace},
    {"ca-bundle-secret-name", 0, FLAG_STRING, "NAME",
     "accepted for old scripts, not used: its labels tell", &ca_bundle_secret_name},
    {"local-port", 'p', FLAG_NUMBER, "PORT", "accepted for old scripts, not used", &local_port,
     .min = 1, .max = 65535},
    {0},
};

/* 1: yes; 0: no; -1: no answer that can be understood. */
static int confirm(const struct mesh_info *mesh, struct err *e)
{
    char answer[64];
    for (int i = 0; i < TRIES && !force; i++) {
        printf("Uninstall OSM [mesh name: %s] in namespace [%s]? [y/n]: ", mesh->name,
               mesh->namespace);
        fflush(stdout);
        if (!fgets(answer, sizeof(answer), stdin)) {
            break;
        }
        struct str word = str_trim(str_of(answer));
        if (str_is_nocase(word, "y") || str_is_nocase(word, "yes")) {
            return 1;
        }
        if (str_is_nocase(word, "n") || str_is_nocase(word, "no")) {
            return 0;
        }
    }
    return force ? 1
                 : err_set(e, "nothing was removed: expected y or n; say --force to not be asked");
}

static int leave_mesh(struct cluster *c, const char *mesh, struct err *e)
{
    struct value *namespaces = NULL, *patch = value_new(c->arena, VALUE_OBJECT);
    metadata_patch(c->arena, "labels", LABEL_MESH, NULL, patch);
    metadata_patch(c->arena, "annotations", ANNOTATION_INJECTION, NULL, patch);
    metadata_patch(c->arena, "annotations", ANNOTATION_METRICS, NULL, patch);
    if (mesh_namespaces(c, mesh, &namespaces, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(namespaces); i++) {
        struct str name = value_string_at(&namespaces->array.at[i], "metadata.name");
        const char *path = core_path(c, "namespaces", NULL, arena_str(c->arena, name).ptr, NULL);
        /* One that was on its way out may be gone by now. */
        if (cluster_patch(c, path, KUBE_MERGE_PATCH, patch, e) < 0) {
            return -1;
        }
    }
    return 0;
}

/* --- what is the cluster's --- */

#define CRD_GROUP "apiextensions.k8s.io/v1"
#define CRDS "customresourcedefinitions"

static const char *crd_query(struct cluster *c)
{
    return label_query(c, "app.kubernetes.io/name=openservicemesh.io");
}

/* The API server deletes what they hold first: objects of a CRD or in a namespace. */
static int wait_until_gone(struct cluster *c, const char *kind, const char *path, struct err *e)
{
    int64_t end = clock_mono_ms() + GONE_MS;
    for (;;) {
        struct value *left = NULL;
        if (cluster_list(c, path, &left, e) < 0) {
            return -1;
        }
        if (value_len(left) == 0) {
            return 0;
        }
        if (clock_mono_ms() > end) {
            struct str name = value_string_at(&left->array.at[0], "metadata.name");
            return err_set(e, "%s %.*s doesn't go; see its status with kubectl describe %s", kind,
                           STR_ARG(name), kind);
        }
        usleep(200000);
    }
}

/* Before a CRD goes the API server deletes its objects. Where nobody has asked for any yet, it sets
 * up their storage only then, and has been seen to wait for that for minutes; so they are asked
 * for. */
static int ask_for_objects(struct cluster *c, const char *crds, struct err *e)
{
    struct value *list = NULL;
    if (cluster_list(c, crds, &list, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *crd = &list->array.at[i], *versions = value_at(crd, "spec.versions");
        if (value_len(versions) == 0) {
            continue;
        }
        struct str group = value_string_at(crd, "spec.group");
        struct str version = value_string_at(&versions->array.at[0], "name");
        struct str plural = value_string_at(crd, "spec.names.plural");
        struct str both = arena_printf(c->arena, "%.*s/%.*s", STR_ARG(group), STR_ARG(version));
        const char *path = kube_path_of(c->arena, both.ptr, arena_str(c->arena, plural).ptr,
                                        STR(""), STR(""), NULL, "limit=1");
        struct value *ignored = NULL;
        struct err why = ERR_INIT;
        /* One that can't be listed may go all the same. */
        (void)cluster_list(c, path, &ignored, &why);
    }
    return 0;
}

static int delete_cluster_wide(struct cluster *c, const struct mesh_info *mesh, struct err *e)
{
    struct meshes others;
    const char *ours = label_query(
        c, "app.kubernetes.io/name=openservicemesh.io,app.kubernetes.io/instance=%s", mesh->name);
    const char *webhooks = "admissionregistration.k8s.io/v1";
    if (cluster_delete_listed(c, webhooks, "mutatingwebhookconfigurations", "", ours, e) < 0 ||
        cluster_delete_listed(c, webhooks, "validatingwebhookconfigurations", "", ours, e) < 0 ||
        remains_remove_root(c, mesh->namespace, e) < 0 || meshes_find(c, &others, e) < 0) {
        return -1;
    }
    if (others.len > 0) {
        printf("CRDs stay: mesh [%s] in namespace [%s] needs them\n", others.at[0].name,
               others.at[0].namespace);
        return 0;
    }
    const char *path =
        kube_path_of(c->arena, CRD_GROUP, CRDS, STR(""), STR(""), NULL, crd_query(c));
    return ask_for_objects(c, path, e) < 0 ||
                   cluster_delete_listed(c, CRD_GROUP, CRDS, "", crd_query(c), e) < 0
               ? -1
               : wait_until_gone(c, "crd", path, e);
}

static int delete_control_plane_namespace(struct cluster *c, const char *name, struct err *e)
{
    struct str query = arena_printf(c->arena, "fieldSelector=metadata.name%%3D%s", name);
    const char *list = core_path(c, "namespaces", NULL, NULL, query.ptr);
    return cluster_delete(c, core_path(c, "namespaces", NULL, name, NULL), e) < 0
               ? -1
               : wait_until_gone(c, "namespace", list, e);
}

static bool runs(const struct mesh_info *mesh)
{
    const struct value *ready = value_at(mesh->deployment, "status.readyReplicas");
    return ready && ready->type == VALUE_INT && ready->integer > 0;
}

/* Before anything is changed. */
static int check_rights(struct cluster *c, const struct mesh_info *mesh, struct err *e)
{
    struct cluster at = *c; /* borrowed */
    const struct access *lacking = NULL;
    at.osm_namespace = mesh->namespace;
    int lacks = access_uninstall_lacks(&at, cluster_wide, &lacking, e);
    return lacks <= 0 ? lacks
                      : err_set(e, "it needs more rights than context \"%s\" has: it may not %s",
                                kube_config_context(kube_client_config(c->kube)),
                                access_text(&at, lacking));
}

static int find_release(struct cluster *c, const struct mesh_info *mesh, const char **ret_status,
                        struct err *e)
{
    if (helm_release_status(c, mesh->release_namespace, mesh->release, ret_status, e) < 0) {
        return -1;
    }
    return *ret_status ? 0
                       : err_set(e,
                                 "helm has no release \"%s\" in namespace [%s]; remove the mesh "
                                 "with what installed it",
                                 mesh->release, mesh->release_namespace);
}

/* One that was never whole has no images, perhaps, for the chart's own clean-up to run with. */
static int remove_release(struct cluster *c, const struct mesh_info *mesh, const char *status,
                          struct err *e)
{
    struct helm_options o = {.release = mesh->release,
                             .namespace = mesh->release_namespace,
                             .timeout_s = TIMEOUT_S,
                             .no_hooks = strcmp(status, "deployed") != 0 && !runs(mesh)};
    if (helm_uninstall(&o, e) < 0) {
        return -1;
    }
    return o.no_hooks ? remains_remove(c, mesh->namespace, mesh->name, e)
                      : remains_remove_gateway(c, mesh->name, e);
}

static int uninstall(struct cluster *c, const struct mesh_info *mesh, struct err *e)
{
    const char *status = NULL;
    /* The namespaces first: while the injector goes, none of their new pods must wait for it. */
    if (find_release(c, mesh, &status, e) < 0 || check_rights(c, mesh, e) < 0 ||
        leave_mesh(c, mesh->name, e) < 0 || remove_release(c, mesh, status, e) < 0 ||
        (cluster_wide && delete_cluster_wide(c, mesh, e) < 0) ||
        (delete_namespace && delete_control_plane_namespace(c, mesh->namespace, e) < 0)) {
        return err_wrap(e, "uninstall of mesh [%s]", mesh->name);
    }
    printf("OSM [mesh name: %s] in namespace [%s] uninstalled\n", mesh->name, mesh->namespace);
    return 0;
}

/* What an earlier uninstall left. */
static int clean_up(struct cluster *c, struct err *e)
{
    struct mesh_info mesh = {.name = mesh_name ? mesh_name : MESH_NAME,
                             .namespace = c->osm_namespace};
    if (delete_cluster_wide(c, &mesh, e) < 0 || remains_remove_gateway(c, mesh.name, e) < 0) {
        return -1;
    }
    printf("There is no mesh in this cluster; cluster-wide resources of mesh [%s] deleted\n",
           mesh.name);
    return EXIT_OK;
}

/* --- which --- */

/* An install that broke off may have no Deployment yet: then helm's release is all there is. */
static int add_unfinished(struct cluster *c, struct meshes *meshes, struct err *e)
{
    const char *status, *name = mesh_name ? mesh_name : MESH_NAME;
    for (size_t i = 0; i < meshes->len; i++) {
        if (!mesh_name || strcmp(meshes->at[i].name, mesh_name) == 0) {
            return 0;
        }
    }
    if (helm_release_status(c, c->osm_namespace, name, &status, e) < 0) {
        return -1;
    }
    if (status) {
        struct mesh_info *all = arena_array(c->arena, meshes->len + 1, sizeof(*all));
        for (size_t i = 0; i < meshes->len; i++) {
            all[i] = meshes->at[i];
        }
        all[meshes->len++] = (struct mesh_info){.name = name,
                                                .namespace = c->osm_namespace,
                                                .release = name,
                                                .release_namespace = c->osm_namespace};
        meshes->at = all;
    }
    return 0;
}

static int uninstall_all(struct cluster *c, const struct meshes *meshes, struct err *e)
{
    for (size_t i = 0; i < meshes->len; i++) {
        const struct mesh_info *m = &meshes->at[i];
        if (mesh_name && strcmp(m->name, mesh_name) != 0) {
            continue;
        }
        int yes = confirm(m, e);
        if (yes < 0 || (yes == 1 && uninstall(c, m, e) < 0)) {
            return -1;
        }
    }
    return EXIT_OK;
}

int uninstall_mesh_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(argv_done) struct argv helm = {0};
    struct meshes meshes;
    const struct mesh_info *named;
    if ((mesh_name && check_name("--mesh-name", mesh_name, e) < 0) ||
        check_name("--ca-bundle-secret-name", ca_bundle_secret_name, e) < 0 ||
        helm_argv(&helm, e) < 0 || cluster_open(&c, e) < 0 || meshes_find(&c, &meshes, e) < 0 ||
        add_unfinished(&c, &meshes, e) < 0) {
        return -1;
    }
    if (meshes.len == 0) {
        return cluster_wide ? clean_up(&c, e) : err_set(e, "there is no mesh in this cluster");
    }
    if (force && !mesh_name && meshes.len > 1) {
        return err_set(e, "there are %zu meshes; say which one with --mesh-name", meshes.len);
    }
    bool found = !mesh_name;
    for (size_t i = 0; i < meshes.len && !found; i++) {
        found = strcmp(meshes.at[i].name, mesh_name) == 0;
    }
    return found ? uninstall_all(&c, &meshes, e) : mesh_find_named(&c, mesh_name, &named, e);
}
