/* osm install and osm mesh upgrade. */
#include <stdio.h>
#include <string.h>

#include "cli/access.h"
#include "cli/chart.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/helm.h"
#include "cli/meshes.h"
#include "cli/remains.h"

enum { UPGRADE_S = 300 };

static const char *mesh_name = MESH_NAME, *chart_path;
static bool enforce_single_mesh = true, atomic;
static int64_t timeout_s = 300;
static struct texts set;

const struct flag install_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "what to call the mesh", &mesh_name},
    {"enforce-single-mesh", 0, FLAG_BOOL, NULL, "let no second mesh be installed beside it",
     &enforce_single_mesh},
    {"timeout", 0, FLAG_SECONDS, "TIME", "give up waiting after this", &timeout_s, .min = 1,
     .max = 86400},
    {"set", 0, FLAG_STRINGS, "KEY=VALUE", "a value of the chart; may be repeated", &set},
    {"atomic", 0, FLAG_BOOL, NULL, "remove it all when it fails", &atomic},
    {"osm-chart-path", 0, FLAG_STRING, "PATH", "another chart than the one that osm carries",
     &chart_path, .complete = complete_files},
    {0},
};
const struct flag mesh_upgrade_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh", &mesh_name},
    {"set", 0, FLAG_STRINGS, "KEY=VALUE", "a value of the chart; may be repeated", &set},
    {"osm-chart-path", 0, FLAG_STRING, "PATH", "another chart than the one that osm carries",
     &chart_path, .complete = complete_files},
    {0},
};

/* --- may it be installed? --- */

/* A mesh that has another name, or sits elsewhere, than we were told isn't found again by us. */
static int check_set(struct err *e)
{
    static const struct {
        const char *key, *what, *flag;
    } own[] = {{"osm.meshName=", "the mesh's name", "--mesh-name"},
               {"osm.osmNamespace=", "the control plane's namespace", "--osm-namespace"}};
    VEC_EACH(set, text) {
        struct str value, rest = str_of(*text);
        while (rest.len > 0) {
            if (!str_cut(rest, ',', &value, &rest)) {
                rest = STR("");
            }
            for (size_t i = 0; i < COUNT_OF(own); i++) {
                if (str_starts(str_trim(value), own[i].key)) {
                    return err_set(e, "--set %s... isn't taken; give %s with %s", own[i].key,
                                   own[i].what, own[i].flag);
                }
            }
        }
    }
    return 0;
}

static int check_server(struct cluster *c, struct err *e)
{
    int major, minor;
    if (kube_server_version(c->kube, &major, &minor, e) < 0) {
        return -1;
    }
    return major > 1 || minor >= KUBERNETES_OLDEST_MINOR
               ? 0
               : err_set(e,
                         "the mesh needs Kubernetes 1.%d or later; the API server at %s is %d.%d",
                         KUBERNETES_OLDEST_MINOR, kube_config_server(kube_client_config(c->kube)),
                         major, minor);
}

static int check_other_meshes(struct cluster *c, struct err *e)
{
    struct meshes meshes;
    if (meshes_find(c, &meshes, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < meshes.len; i++) {
        const struct mesh_info *m = &meshes.at[i];
        if (strcmp(m->name, mesh_name) == 0) {
            return err_set(
                e,
                "mesh [%s] is installed already, in namespace [%s]; upgrade it with: osm "
                "mesh upgrade --mesh-name %s",
                m->name, m->namespace, m->name);
        }
        if (strcmp(m->namespace, c->osm_namespace) == 0) {
            return err_set(e,
                           "namespace [%s] has mesh [%s] already; say another with --osm-namespace",
                           m->namespace, m->name);
        }
        if (m->enforce_single) {
            return err_set(
                e,
                "mesh [%s] in namespace [%s] was installed as the only one of its "
                "cluster; to have several, install each with --enforce-single-mesh=false",
                m->name, m->namespace);
        }
        if (enforce_single_mesh) {
            return err_set(
                e,
                "there is mesh [%s] in namespace [%s] already; to have another beside it, "
                "say --enforce-single-mesh=false",
                m->name, m->namespace);
        }
    }
    return 0;
}

static int check_release(struct cluster *c, struct err *e)
{
    const char *status;
    if (helm_release_status(c, c->osm_namespace, mesh_name, &status, e) < 0) {
        return -1;
    }
    return !status
               ? 0
               : err_set(e,
                         "an earlier install of mesh [%s] in namespace [%s] was left unfinished "
                         "(helm's release is \"%s\"); remove it first with: osm uninstall mesh "
                         "--mesh-name %s --osm-namespace %s",
                         mesh_name, c->osm_namespace, status, mesh_name, c->osm_namespace);
}

static int check_namespace(struct cluster *c, struct err *e)
{
    const struct access *const *lacks;
    struct value *namespace = NULL;
    int there =
        cluster_find(c, core_path(c, "namespaces", NULL, c->osm_namespace, NULL), &namespace, NULL);
    if (there == 1 && str_is(value_string_at(namespace, "status.phase"), "Terminating")) {
        return err_set(e, "namespace [%s] is being deleted; try again when it is gone",
                       c->osm_namespace);
    }
    if (access_install_lacks(c, &lacks, e) < 0) {
        return -1;
    }
    for (; *lacks; lacks++) {
        if (!(*lacks)->with_value) {
            return err_set(e,
                           "an install needs more rights than context \"%s\" has: it may "
                           "not %s; osm check --pre lists all",
                           kube_config_context(kube_client_config(c->kube)),
                           access_text(c, *lacks));
        }
    }
    return 0;
}

/* --- install --- */

/* A mesh that doesn't get ready has a pod that says why. */
static int explain(struct cluster *c, const char *namespace, const char *verb, struct err *e)
{
    const char *problem = control_plane_problem(c, namespace);
    if (problem) {
        err_set(e, "%s; %s", arena_strz(c->arena, e->text).ptr, problem);
    }
    return err_wrap(e, "%s of mesh [%s]", verb, mesh_name);
}

/* Helm keeps its release before it makes anything else; without one nothing was made. */
static int undo(struct cluster *c, struct err *e)
{
    const char *status;
    struct helm_options o = {.release = mesh_name,
                             .namespace = c->osm_namespace,
                             .timeout_s = UPGRADE_S,
                             .no_hooks = true};
    program_forget_interrupts();
    if (helm_release_status(c, c->osm_namespace, mesh_name, &status, e) < 0) {
        return -1;
    }
    return !status                     ? 0
           : helm_uninstall(&o, e) < 0 ? -1
                                       : remains_remove(c, c->osm_namespace, mesh_name, e);
}

/* Unless helm refused at once, or it is undone, something is left. */
static int fail(struct cluster *c, struct err *e)
{
    const char *status;
    struct err why = ERR_INIT;
    explain(c, c->osm_namespace, "install", e);
    if (atomic && undo(c, &why) < 0) {
        err_set(e, "%s; it isn't all removed: %s", arena_strz(c->arena, e->text).ptr, why.text);
    }
    return helm_release_status(c, c->osm_namespace, mesh_name, &status, NULL) == 0 && !status
               ? -1
               : err_set(e,
                         "%s; undo it with: osm uninstall mesh --mesh-name %s --osm-namespace %s",
                         arena_strz(c->arena, e->text).ptr, mesh_name, c->osm_namespace);
}

int install_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(chart_done) struct chart chart = {0};
    AUTO(argv_done) struct argv helm = {0};
    program_hold_interrupts();
    if (check_name("--mesh-name", mesh_name, e) < 0 || check_set(e) < 0 ||
        helm_argv(&helm, e) < 0 || cluster_open(&c, e) < 0 || check_server(&c, e) < 0 ||
        check_other_meshes(&c, e) < 0 || check_namespace(&c, e) < 0 || check_release(&c, e) < 0 ||
        chart_open(chart_path, &chart, e) < 0) {
        return -1;
    }
    struct helm_options o = {.release = mesh_name,
                             .namespace = c.osm_namespace,
                             .chart = chart.path,
                             .timeout_s = timeout_s,
                             .set = &set,
                             .values = {arena_printf(c.arena, "osm.meshName=%s", mesh_name).ptr,
                                        arena_printf(c.arena, "osm.enforceSingleMesh=%s",
                                                     enforce_single_mesh ? "true" : "false")
                                            .ptr}};
    if (helm_install(&o, e) < 0) {
        return fail(&c, e);
    }
    printf("OSM installed successfully in namespace [%s] with mesh name [%s]\n", c.osm_namespace,
           mesh_name);
    return EXIT_OK;
}

/* --- upgrade --- */

int mesh_upgrade_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    AUTO(chart_done) struct chart chart = {0};
    AUTO(argv_done) struct argv helm = {0};
    const struct mesh_info *mesh;
    program_hold_interrupts();
    if (check_name("--mesh-name", mesh_name, e) < 0 || check_set(e) < 0 ||
        helm_argv(&helm, e) < 0 || cluster_open(&c, e) < 0 || check_server(&c, e) < 0 ||
        mesh_find_named(&c, mesh_name, &mesh, e) < 0 || chart_open(chart_path, &chart, e) < 0) {
        return -1;
    }
    struct helm_options o = {
        .release = mesh->release,
        .namespace = mesh->release_namespace,
        .chart = chart.path,
        .timeout_s = UPGRADE_S,
        .set = &set,
        .values = {arena_printf(c.arena, "osm.meshName=%s", mesh_name).ptr,
                   arena_printf(c.arena, "osm.enforceSingleMesh=%s",
                                mesh->enforce_single ? "true" : "false")
                       .ptr,
                   arena_printf(
                       c.arena, "osm.osmNamespace=%s",
                       strcmp(mesh->namespace, mesh->release_namespace) == 0 ? "" : mesh->namespace)
                       .ptr}};
    if (helm_upgrade(&o, e) < 0) {
        return explain(&c, mesh->namespace, "upgrade", e);
    }
    printf("OSM successfully upgraded mesh [%s] in namespace [%s]\n", mesh_name, mesh->namespace);
    return EXIT_OK;
}
