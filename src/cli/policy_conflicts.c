/* osm policy check-conflicts: IngressBackends that claim the same port of a service. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/listing.h"
#include "cli/meshes.h"

static struct texts namespaces;
static const char *output = "table";

const struct flag policy_check_conflicts_flags[] = {
    {"namespaces", 'n', FLAG_LIST, "NAMESPACE", "where to look; one namespace", &namespaces,
     .required = true, .complete = complete_namespaces},
    LISTING_FLAG(&output),
    {0},
};

static const struct listing_column columns[] = {
    {"SERVICE", "service"}, {"PORT", "port"}, {"INGRESSBACKENDS", "ingressBackends"}, {0}};

/* "name:port" -> the row of those that claim it. */
static void add_claims(struct arena *a, struct map *claims, const struct value *policy)
{
    const struct value *backends = value_at(policy, "spec.backends");
    for (size_t i = 0; i < value_len(backends); i++) {
        const struct value *backend = &backends->array.at[i];
        const struct value *port = value_at(backend, "port.number");
        long long number = port && port->type == VALUE_INT ? (long long)port->integer : 0;
        struct str service = value_string_at(backend, "name");
        struct str key = arena_printf(a, "%.*s:%lld", STR_ARG(service), number);
        struct value *row = map_find(claims, key);
        if (!row) {
            row = value_new(a, VALUE_OBJECT);
            value_set(a, row, "service", value_new_string(a, service));
            value_set(a, row, "port", value_new_int(a, number));
            map_put(claims, key, row);
        }
        value_push(a, value_ensure(a, row, "ingressBackends", VALUE_ARRAY),
                   value_new_string(a, value_string_at(policy, "metadata.name")));
    }
}

static struct value *conflicts_of(struct arena *a, const struct value *policies)
{
    struct map claims = {0};
    struct value *rows = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < value_len(policies); i++) {
        add_claims(a, &claims, &policies->array.at[i]);
    }
    MAP_EACH(&claims, it) {
        if (value_len(value_member(it.value, "ingressBackends")) > 1) {
            value_push(a, rows, it.value);
        }
    }
    map_done(&claims, NULL);
    return rows;
}

int policy_check_conflicts_run(const struct args *args, struct err *e)
{
    AUTO(cluster_done) struct cluster c = {0};
    struct value *policies = NULL;
    if (strcasecmp(args->at[0], "IngressBackend") != 0) {
        return err_set(e, "expected IngressBackend, found \"%s\"", args->at[0]);
    }
    if (namespaces.len != 1) {
        return err_set(e, "--namespaces: expected one namespace, found %zu", namespaces.len);
    }
    const char *namespace = namespaces.at[0];
    if (check_name("--namespaces", namespace, e) < 0 || cluster_open(&c, e) < 0 ||
        cluster_list(&c, kube_path(c.arena, KIND_INGRESS_BACKEND, str_of(namespace), STR(""), NULL),
                     &policies, e) < 0) {
        return -1;
    }
    struct value *rows = conflicts_of(c.arena, policies);
    bool conflicts = value_len(rows) > 0;
    if (conflicts || !format_is_table(output)) {
        listing_print(columns, rows, output);
    } else {
        printf("No conflicts among %zu IngressBackends in namespace [%s]\n", value_len(policies),
               namespace);
    }
    return conflicts ? EXIT_FAILED : EXIT_OK;
}
