/* osm mesh list. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/meshes.h"

static const char *output = "table";
static int64_t local_port; /* of no use: pages are read through the API server */

const struct flag mesh_list_flags[] = {
    LISTING_FLAG(&output),
    {"local-port", 'p', FLAG_NUMBER, "PORT", "accepted for old scripts, not used", &local_port,
     .min = 1, .max = 65535},
    {0},
};

static const struct listing_column columns[] = {{"MESH NAME", "name"},
                                                {"MESH NAMESPACE", "namespace"},
                                                {"VERSION", "version"},
                                                {"ADDED NAMESPACES", "addedNamespaces"},
                                                {0}};
static const struct listing_column smi_columns[] = {
    {"MESH NAME", "name"}, {"MESH NAMESPACE", "namespace"}, {"SMI SUPPORTED", "smi"}, {0}};

/* "TrafficSplit:v1alpha2" for each kind that the controller says it reads; empty when it doesn't
 * answer. */
static void add_smi(struct cluster *c, const struct mesh_info *mesh, struct value *to)
{
    struct value *pods = NULL, *kinds = NULL;
    if (mesh_pods(c, mesh->namespace, "osm-controller", &pods, NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < value_len(pods) && !kinds; i++) {
        struct str pod = arena_str(c->arena, value_string_at(&pods->array.at[i], "metadata.name"));
        pod_proxy_get(c, mesh->namespace, pod.ptr, PORT_PAGES, "/smi/version", &kinds, NULL);
    }
    for (size_t i = 0; kinds && kinds->type == VALUE_OBJECT && i < kinds->object.len; i++) {
        const struct member *m = &kinds->object.at[i];
        struct str version, group = m->value.type == VALUE_STRING ? m->value.string : STR("");
        if (str_cut(group, '/', &group, &version)) {
            value_push(c->arena, to,
                       value_new_stringf(c->arena, "%.*s:%.*s", STR_ARG(m->key), STR_ARG(version)));
        }
    }
}

static int add_row(struct cluster *c, struct value *rows, const struct mesh_info *mesh,
                   struct err *e)
{
    struct arena *a = c->arena;
    struct value *namespaces = NULL, *row = value_new(a, VALUE_OBJECT);
    if (mesh_namespaces(c, mesh->name, &namespaces, e) < 0) {
        return -1;
    }
    value_set(a, row, "name", value_new_string(a, str_of(mesh->name)));
    value_set(a, row, "namespace", value_new_string(a, str_of(mesh->namespace)));
    value_set(a, row, "version", value_new_string(a, str_of(mesh->version)));
    struct value *added = value_ensure(a, row, "addedNamespaces", VALUE_ARRAY);
    for (size_t i = 0; i < value_len(namespaces); i++) {
        struct str name = value_string_at(&namespaces->array.at[i], "metadata.name");
        value_push(a, added, value_new_string(a, name));
    }
    add_smi(c, mesh, value_ensure(a, row, "smi", VALUE_ARRAY));
    value_push(a, rows, row);
    return 0;
}

int mesh_list_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct meshes meshes;
    if (cluster_open(&c, e) < 0 || meshes_find(&c, &meshes, e) < 0) {
        return -1;
    }
    struct value *rows = value_new(c.arena, VALUE_ARRAY);
    for (size_t i = 0; i < meshes.len; i++) {
        if (add_row(&c, rows, &meshes.at[i], e) < 0) {
            return -1;
        }
    }
    if (!format_is_table(output)) {
        document_print(rows, output);
    } else if (meshes.len == 0) {
        printf("No osm mesh control planes found\n");
    } else {
        listing_print(columns, rows, output);
        printf("\n");
        listing_print(smi_columns, rows, output);
    }
    return EXIT_OK;
}
