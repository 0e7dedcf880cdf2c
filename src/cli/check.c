/* osm check: the cluster before an install, and the mesh after it. */
#include "cli/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/listing.h"

static const char *mesh_name, *output = "table";
static bool pre;

const struct flag check_flags[] = {
    {"pre", 0, FLAG_BOOL, NULL, "only what an install needs", &pre},
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh (the only one)", &mesh_name},
    LISTING_FLAG(&output),
    {0},
};

static const char *const levels[] = {"ok", "warn", "fail"};

void check_add(struct check *k, enum check_level level, const char *todo, const char *text, ...)
{
    struct arena *a = k->cluster->arena;
    va_list ap;
    va_start(ap, text);
    AUTO(free) char *formatted = mem_vprintf(text, ap);
    va_end(ap);
    struct value *row = value_new(a, VALUE_OBJECT);
    value_set(a, row, "section", value_new_string(a, str_of(k->section)));
    value_set(a, row, "level", value_new_string(a, str_of(levels[level])));
    value_set(a, row, "text", value_new_string(a, str_of(formatted)));
    if (todo) {
        value_set(a, row, "toDo", value_new_string(a, str_of(todo)));
    }
    value_push(a, k->rows, row);
    k->failed = k->failed || level == CHECK_FAIL;
}

void check_unknown(struct check *k, const char *what, const struct err *e)
{
    check_add(k, CHECK_WARN, NULL, "%s couldn't be looked at: %s", what, e->text);
}

static void print_rows(const struct value *rows)
{
    struct str section = STR("");
    for (size_t i = 0; i < value_len(rows); i++) {
        const struct value *row = &rows->array.at[i];
        struct str todo = value_string_at(row, "toDo"), own = value_string_at(row, "section");
        if (!str_eq(own, section)) {
            printf("%s%.*s\n", section.len > 0 ? "\n" : "", STR_ARG(own));
            section = own;
        }
        printf("  %-4.*s  %.*s\n", STR_ARG(value_string_at(row, "level")),
               STR_ARG(value_string_at(row, "text")));
        if (todo.len > 0) {
            printf("        %.*s\n", STR_ARG(todo));
        }
    }
}

static int print(const struct check *k)
{
    if (format_is_table(output)) {
        print_rows(k->rows);
        printf("\n%s\n",
               k->failed ? "Not all is well: see the lines that say fail" : "All is well");
    } else {
        document_print(k->rows, output);
    }
    return k->failed ? EXIT_FAILED : EXIT_OK;
}

/* A mesh that was asked for by name must be there; without one, an install is prepared. */
static int find_mesh(struct cluster *c, const struct mesh_info **ret, struct err *e)
{
    struct meshes meshes;
    *ret = NULL;
    if (pre) {
        return 0;
    }
    if (meshes_find(c, &meshes, e) < 0) {
        return -1;
    }
    return meshes.len == 0 ? 0 : mesh_find_one(c, mesh_name, ret, e);
}

int check_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    const struct mesh_info *mesh;
    if ((mesh_name && check_name("--mesh-name", mesh_name, e) < 0) || cluster_open(&c, e) < 0 ||
        find_mesh(&c, &mesh, e) < 0) {
        return -1;
    }
    struct check k = {.cluster = &c, .rows = value_new(c.arena, VALUE_ARRAY)};
    check_cluster(&k);
    if (mesh) {
        check_control_plane(&k, mesh);
        check_webhooks(&k, mesh);
        check_sidecars(&k, mesh);
    } else {
        check_before(&k, mesh_name ? mesh_name : MESH_NAME);
    }
    return print(&k);
}
