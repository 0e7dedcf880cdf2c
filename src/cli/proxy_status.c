/* osm proxy status: which sidecars have their configuration, and why others don't. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/controllers.h"
#include "cli/listing.h"

static const char *mesh_name, *namespace, *output = "table";

const struct flag proxy_status_flags[] = {
    {"mesh-name", 0, FLAG_STRING, "NAME", "which mesh (the only one)", &mesh_name},
    {"namespace", 'n', FLAG_STRING, "NAME", "only pods of this namespace", &namespace,
     .complete = complete_namespaces},
    LISTING_FLAG(&output),
    {0},
};

static const struct listing_column columns[] = {{"POD", "pod"},     {"IDENTITY", "identity"},
                                                {"STATE", "state"}, {"CONTROLLER", "controller"},
                                                {"WHY", "why"},     {0}};

/* "listeners: Envoy's words", or which types wait for an answer. */
static struct value *reason(struct arena *a, const struct value *proxy)
{
    const struct value *types = value_member(proxy, "types");
    if (value_string_at(proxy, "pod").len == 0) {
        return value_new_string(a, STR("no pod of the mesh has it, so it is told nothing new; its "
                                       "namespace isn't in the mesh, or the pod is about to go"));
    }
    AUTO(buf_done) struct buf why;
    buf_init(&why, 65536);
    for (size_t i = 0; i < value_len(types); i++) {
        const struct value *type = &types->array.at[i];
        struct str name = value_string_at(type, "type"), error = value_string_at(type, "error");
        const char *before = why.len > 0 ? "; " : "";
        if (error.len > 0) {
            buf_printf(&why, "%s%.*s: %.*s", before, STR_ARG(name), STR_ARG(error));
        } else if (str_is(value_string_at(type, "state"), "sending")) {
            buf_printf(&why, "%s%.*s: an update is on its way", before, STR_ARG(name));
        }
    }
    if (!value_bool_at(proxy, "connected")) {
        buf_addz(&why, "not connected; see the log of its container envoy");
    }
    return value_new_string(a, buf_str(&why));
}

/* "sending" is what the controller calls what is behind; without a pod it has all that it was ever
 * told, and is told no more. */
static struct str state_of(const struct value *proxy)
{
    struct str state = value_string_at(proxy, "state");
    bool forgotten = str_is(state, "synced") && value_string_at(proxy, "pod").len == 0;
    return forgotten || str_is(state, "sending") ? STR("stale") : state;
}

static bool wanted(const struct value *proxy, const struct args *pods)
{
    struct str pod = value_string_at(proxy, "pod"), ns = STR(""), name = pod;
    str_cut(pod, '/', &ns, &name);
    bool any = pods->len == 0;
    for (size_t i = 0; i < pods->len && !any; i++) {
        any = str_is(strchr(pods->at[i], '/') ? pod : name, pods->at[i]);
    }
    return any && (!namespace || str_is(ns, namespace));
}

static int by_pod(const void *a, const void *b)
{
    int order = str_cmp(value_string_at(a, "pod"), value_string_at(b, "pod"));
    return order != 0 ? order
                      : str_cmp(value_string_at(a, "identity"), value_string_at(b, "identity"));
}

static struct value *make_rows(struct arena *a, const struct value *proxies,
                               const struct args *pods, bool *ret_all_synced)
{
    struct value *rows = value_new(a, VALUE_ARRAY);
    *ret_all_synced = true;
    for (size_t i = 0; i < value_len(proxies); i++) {
        struct value *proxy = value_copy(a, &proxies->array.at[i]);
        if (wanted(proxy, pods)) {
            struct str state = state_of(proxy);
            value_set(a, proxy, "why", reason(a, proxy));
            value_set(a, proxy, "state", value_new_string(a, state));
            *ret_all_synced = *ret_all_synced && str_is(state, "synced");
            value_push(a, rows, proxy);
        }
    }
    if (rows->array.len > 0) {
        qsort(rows->array.at, rows->array.len, sizeof(*rows->array.at), by_pod);
    }
    return rows;
}

int proxy_status_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    const struct mesh_info *mesh;
    struct controllers_status status;
    bool all_synced;
    if (cluster_open(&c, e) < 0 || mesh_find_one(&c, mesh_name, &mesh, e) < 0 ||
        controllers_status(&c, mesh->namespace, &status, e) < 0) {
        return -1;
    }
    if (status.answered == 0) {
        return status.asked > 0
                   ? err_set(e, "no osm-controller answers: %s", status.problem.text)
                   : err_set(e, "there is no osm-controller pod in namespace %s; see: osm check",
                             mesh->namespace);
    }
    struct value *rows = make_rows(c.arena, status.proxies, args, &all_synced);
    if (value_len(rows) > 0 || !format_is_table(output)) {
        listing_print(columns, rows, output);
    } else if (args->len > 0) {
        return err_set(e, "no such pod has a sidecar of mesh [%s]; see all with: osm proxy status",
                       mesh->name);
    } else {
        printf("No sidecars in mesh [%s]\n", mesh->name);
    }
    if (status.answered < status.asked) {
        return err_set(e, "%zu of %zu controllers don't answer, so this isn't all: %s",
                       status.asked - status.answered, status.asked, status.problem.text);
    }
    return all_synced ? EXIT_OK : EXIT_FAILED;
}
