/* osm version. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/meshes.h"
#include "observe/build_info.h"

static bool client_only, version_only;
static const char *output = "table";

const struct flag version_flags[] = {
    {"client-only", 0, FLAG_BOOL, NULL, "only osm's own", &client_only},
    {"version-only", 0, FLAG_BOOL, NULL, "only the version numbers", &version_only},
    LISTING_FLAG(&output),
    {0},
};

static const struct listing_column columns[] = {
    {"MESH NAME", "name"},       {"MESH NAMESPACE", "namespace"}, {"VERSION", "version"},
    {"GIT COMMIT", "gitCommit"}, {"BUILD DATE", "buildDate"},     {0}};

static void add_row(struct cluster *c, struct value *rows, const struct mesh_info *mesh)
{
    struct arena *a = c->arena;
    struct value *pods = NULL, *said = NULL, *row = value_new(a, VALUE_OBJECT);
    struct err e = ERR_INIT;
    if (mesh_pods(c, mesh->namespace, "osm-controller", &pods, &e) == 0) {
        for (size_t i = 0; i < value_len(pods) && !said; i++) {
            struct str pod = arena_str(a, value_string_at(&pods->array.at[i], "metadata.name"));
            pod_proxy_get(c, mesh->namespace, pod.ptr, PORT_PAGES, "/version", &said, &e);
        }
    }
    if (!said && e.text[0]) {
        fprintf(stderr, "warning: mesh [%s] doesn't tell its version: %s\n", mesh->name, e.text);
    }
    value_set(a, row, "name", value_new_string(a, str_of(mesh->name)));
    value_set(a, row, "namespace", value_new_string(a, str_of(mesh->namespace)));
    value_set(a, row, "version", value_new_string(a, value_string_at(said, "version")));
    value_set(a, row, "gitCommit", value_new_string(a, value_string_at(said, "git_commit")));
    value_set(a, row, "buildDate", value_new_string(a, value_string_at(said, "build_date")));
    value_push(a, rows, row);
}

static void print_document(struct arena *a, const struct value *rows)
{
    struct value *all = value_new(a, VALUE_OBJECT);
    struct value *client = value_ensure(a, all, "client", VALUE_OBJECT);
    value_set(a, client, "version", value_new_string(a, str_of(build_version())));
    value_set(a, client, "gitCommit", value_new_string(a, str_of(build_commit())));
    value_set(a, client, "buildDate", value_new_string(a, str_of(build_date())));
    if (rows) {
        value_set(a, all, "meshes", rows);
    }
    document_print(all, output);
}

static void print_client(void)
{
    if (!format_is_table(output)) {
        return;
    }
    if (version_only) {
        printf("CLI Version: %s\n", build_version());
    } else {
        printf("CLI Version: version.Info{Version:\"%s\", GitCommit:\"%s\", BuildDate:\"%s\"}\n",
               build_version(), build_commit(), build_date());
    }
}

static void print_meshes(const struct value *rows)
{
    if (value_len(rows) == 0) {
        printf("Unable to find OSM control plane in the cluster\n");
        return;
    }
    for (size_t i = 0; version_only && i < value_len(rows); i++) {
        const struct value *row = &rows->array.at[i];
        printf("Mesh [%.*s] Version: %.*s\n", STR_ARG(value_string_at(row, "name")),
               STR_ARG(value_string_at(row, "version")));
    }
    if (!version_only) {
        printf("\n");
        listing_print(columns, rows, output);
    }
}

int version_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct meshes meshes;
    print_client();
    if (client_only) {
        AUTO(arena_free) struct arena *a = arena_new(1024);
        if (!format_is_table(output)) {
            print_document(a, NULL);
        }
        return EXIT_OK;
    }
    if (cluster_open(&c, e) < 0 || meshes_find(&c, &meshes, e) < 0) {
        return -1;
    }
    struct value *rows = value_new(c.arena, VALUE_ARRAY);
    for (size_t i = 0; i < meshes.len; i++) {
        add_row(&c, rows, &meshes.at[i]);
    }
    if (format_is_table(output)) {
        print_meshes(rows);
    } else {
        print_document(c.arena, rows);
    }
    return EXIT_OK;
}
