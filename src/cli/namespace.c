/* osm namespace: which namespaces belong to a mesh. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/listing.h"
#include "cli/meshes.h"

static const char *mesh_name = MESH_NAME, *listed_mesh, *output = "table";
static bool disable_injection;

const struct flag namespace_add_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh", &mesh_name},
    {"disable-sidecar-injection", 0, FLAG_BOOL, NULL, "join without sidecars for new pods",
     &disable_injection},
    {0},
};
const struct flag namespace_remove_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh", &mesh_name},
    {0},
};
const struct flag namespace_list_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "only those of this mesh", &listed_mesh},
    LISTING_FLAG(&output),
    {0},
};

static int find_namespace(struct cluster *c, const char *name, struct value **ret, struct err *e)
{
    if (check_name("namespace", name, e) < 0) {
        return -1;
    }
    int found = cluster_find(c, core_path(c, "namespaces", NULL, name, NULL), ret, e);
    return found == 0 ? err_set(e, "there is no namespace \"%s\"", name) : found < 0 ? -1 : 0;
}

static int patch_namespace(struct cluster *c, const char *name, const struct value *patch,
                           struct err *e)
{
    int found =
        cluster_patch(c, core_path(c, "namespaces", NULL, name, NULL), KUBE_MERGE_PATCH, patch, e);
    return found == 0 ? err_set(e, "there is no namespace \"%s\"", name) : found < 0 ? -1 : 0;
}

/* --- add --- */

static int may_join(struct cluster *c, const char *name, struct err *e)
{
    struct value *namespace = NULL, *controllers = NULL;
    const char *path = kube_path_of(c->arena, "apps/v1", "deployments", str_of(name), STR(""), NULL,
                                    label_query(c, "app=osm-controller"));
    if (find_namespace(c, name, &namespace, e) < 0 || cluster_list(c, path, &controllers, e) < 0) {
        return -1;
    }
    if (value_len(controllers) > 0) {
        return err_set(e,
                       "namespace [%s] already has [osm-controller] installed and cannot be "
                       "added to mesh [%s]",
                       name, mesh_name);
    }
    if (str_is(label_of(namespace, LABEL_IGNORE), "true")) {
        return err_set(e,
                       "namespace [%s] is ignored (label " LABEL_IGNORE "); undo that first with: "
                       "osm namespace remove %s",
                       name, name);
    }
    if (strcmp(name, "kube-system") == 0 || strcmp(name, "kube-public") == 0) {
        return err_set(e,
                       "namespace [%s] is the cluster's own: its pods get no sidecars, so it can't "
                       "be added to a mesh",
                       name);
    }
    struct str other = label_of(namespace, LABEL_MESH);
    return other.len > 0 && !str_is(other, mesh_name)
               ? err_set(e,
                         "namespace [%s] belongs to mesh [%.*s]; take it out first with: osm "
                         "namespace remove %s --mesh-name %.*s",
                         name, STR_ARG(other), name, STR_ARG(other))
               : 0;
}

/* Joining before the install is fine, but more often the name is mistyped. */
static void warn_without_mesh(struct cluster *c)
{
    struct meshes meshes;
    if (meshes_find(c, &meshes, NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < meshes.len; i++) {
        if (strcmp(meshes.at[i].name, mesh_name) == 0) {
            return;
        }
    }
    fprintf(stderr, "warning: there is no mesh [%s] in this cluster yet\n", mesh_name);
}

int namespace_add_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    if (check_name("--mesh-name", mesh_name, e) < 0 || cluster_open(&c, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < args->len; i++) {
        if (may_join(&c, args->at[i], e) < 0) {
            return -1;
        }
    }
    struct value *patch = value_new(c.arena, VALUE_OBJECT);
    metadata_patch(c.arena, "labels", LABEL_MESH, mesh_name, patch);
    metadata_patch(c.arena, "annotations", ANNOTATION_INJECTION,
                   disable_injection ? "disabled" : "enabled", patch);
    warn_without_mesh(&c);
    for (size_t i = 0; i < args->len; i++) {
        if (patch_namespace(&c, args->at[i], patch, e) < 0) {
            return -1;
        }
        printf("Namespace [%s] successfully added to mesh [%s]\n", args->at[i], mesh_name);
    }
    return EXIT_OK;
}

/* --- remove --- */

static bool has_ended(const struct value *pod)
{
    struct str phase = value_string_at(pod, "status.phase");
    return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}

/* Only a hint: the namespace has left, whether its pods may be listed or not. */
static void say_what_runs_on(struct cluster *c, const char *namespace)
{
    struct value *pods = NULL;
    struct err e = ERR_INIT;
    size_t n = 0;
    if (cluster_list(c, core_path(c, "pods", namespace, NULL, label_query(c, LABEL_PROXY)), &pods,
                     &e) < 0) {
        return;
    }
    for (size_t i = 0; i < value_len(pods); i++) {
        n += !has_ended(&pods->array.at[i]);
    }
    if (n > 0) {
        printf("%zu of its pods still run%s with a sidecar, which keeps what it has until its "
               "certificate ends (MeshConfig certificate.serviceCertValidityDuration); make them "
               "anew, such as with: kubectl -n %s rollout restart deployment\n",
               n, n == 1 ? "s" : "", namespace);
    }
}

int namespace_remove_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct value *namespace = NULL;
    const char *name = args->at[0];
    if (cluster_open(&c, e) < 0 || find_namespace(&c, name, &namespace, e) < 0) {
        return -1;
    }
    struct str mesh = label_of(namespace, LABEL_MESH);
    if (mesh.len > 0 && !str_is(mesh, mesh_name)) {
        return err_set(e,
                       "namespace [%s] belongs to mesh [%.*s], not to mesh [%s]; say --mesh-name "
                       "%.*s",
                       name, STR_ARG(mesh), mesh_name, STR_ARG(mesh));
    }
    if (mesh.len == 0 && label_of(namespace, LABEL_IGNORE).len == 0) {
        printf("Namespace [%s] already does not belong to any mesh\n", name);
        return EXIT_OK;
    }
    struct value *patch = value_new(c.arena, VALUE_OBJECT);
    metadata_patch(c.arena, "labels", LABEL_MESH, NULL, patch);
    metadata_patch(c.arena, "labels", LABEL_IGNORE, NULL, patch);
    metadata_patch(c.arena, "annotations", ANNOTATION_INJECTION, NULL, patch);
    metadata_patch(c.arena, "annotations", ANNOTATION_METRICS, NULL, patch);
    if (patch_namespace(&c, name, patch, e) < 0) {
        return -1;
    }
    if (mesh.len > 0) {
        printf("Namespace [%s] successfully removed from mesh [%s]\n", name, mesh_name);
        say_what_runs_on(&c, name);
    } else {
        printf("Namespace [%s] is no longer ignored\n", name);
    }
    return EXIT_OK;
}

/* --- ignore --- */

int namespace_ignore_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct value *namespace;
    if (cluster_open(&c, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < args->len; i++) {
        if (find_namespace(&c, args->at[i], &namespace, e) < 0) {
            return -1;
        }
    }
    struct value *patch = value_new(c.arena, VALUE_OBJECT);
    metadata_patch(c.arena, "labels", LABEL_IGNORE, "true", patch);
    for (size_t i = 0; i < args->len; i++) {
        if (patch_namespace(&c, args->at[i], patch, e) < 0) {
            return -1;
        }
        printf("Namespace [%s] successfully ignored\n", args->at[i]);
    }
    return EXIT_OK;
}

/* --- list --- */

static const struct listing_column columns[] = {
    {"NAMESPACE", "namespace"}, {"MESH", "mesh"}, {"SIDECAR-INJECTION", "sidecarInjection"}, {0}};

static void add_row(struct arena *a, struct value *rows, const struct value *namespace)
{
    bool ignored = label_of(namespace, LABEL_IGNORE).len > 0;
    struct str injection = annotation_of(namespace, ANNOTATION_INJECTION);
    struct value *row = value_new(a, VALUE_OBJECT);
    value_set(a, row, "namespace",
              value_new_string(a, value_string_at(namespace, "metadata.name")));
    value_set(a, row, "mesh", value_new_string(a, label_of(namespace, LABEL_MESH)));
    value_set(a, row, "sidecarInjection",
              value_new_string(a, ignored ? STR("disabled (ignored)") : injection));
    value_push(a, rows, row);
}

int namespace_list_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    const char *mesh = args->len > 0                   ? args->at[0]
                       : listed_mesh && listed_mesh[0] ? listed_mesh
                                                       : NULL;
    struct value *namespaces = NULL;
    if ((mesh && check_name("mesh", mesh, e) < 0) || cluster_open(&c, e) < 0 ||
        mesh_namespaces(&c, mesh, &namespaces, e) < 0) {
        return -1;
    }
    struct value *rows = value_new(c.arena, VALUE_ARRAY);
    for (size_t i = 0; i < value_len(namespaces); i++) {
        add_row(c.arena, rows, &namespaces->array.at[i]);
    }
    if (value_len(rows) > 0 || !format_is_table(output)) {
        listing_print(columns, rows, output);
    } else if (mesh) {
        printf("No namespaces in mesh [%s]\n", mesh);
    } else {
        printf("No namespaces in any mesh\n");
    }
    return EXIT_OK;
}
