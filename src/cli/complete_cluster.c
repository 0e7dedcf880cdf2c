/* Names that only the cluster knows. */
#include <stdio.h>

#include "cli/cluster.h"
#include "cli/complete.h"

/* Whoever waits is at a prompt. */
enum { PATIENCE_MS = 2000, NAMES_MAX = 500 };

/* Offers each name of a collection's first page; with its namespace before it when asked. */
static void complete_names(struct completion *c, const char *plural, const char *namespace,
                           bool with_namespace)
{
    AUTO(cluster_done) struct cluster cluster = {0};
    struct value *answer = NULL;
    if (cluster_open(&cluster, NULL) < 0) {
        return;
    }
    struct kube_request q = {.path = core_path(&cluster, plural, namespace, NULL, "limit=500"),
                             .timeout_ms = PATIENCE_MS};
    if (cluster_do(&cluster, &q, &answer, NULL) < 0) {
        return;
    }
    const struct value *items = value_member(answer, "items");
    for (size_t i = 0; i < value_len(items) && i < NAMES_MAX; i++) {
        struct str ns = value_string_at(&items->array.at[i], "metadata.namespace");
        struct str name = value_string_at(&items->array.at[i], "metadata.name");
        AUTO(free)
        char *word = mem_printf("%.*s%s%.*s", with_namespace ? (int)ns.len : 0, ns.ptr,
                                with_namespace ? "/" : "", STR_ARG(name));
        c->offer(c, word, NULL);
    }
}

void complete_namespaces(struct completion *c)
{
    complete_names(c, "namespaces", NULL, false);
}

void complete_pods(struct completion *c)
{
    struct str ns, name;
    AUTO(free)
    char *namespace =
        str_cut(c->prefix, '/', &ns, &name) && ns.len > 0 ? mem_printf("%.*s", STR_ARG(ns)) : NULL;
    if (!namespace || check_name("namespace", namespace, NULL) == 0) {
        complete_names(c, "pods", namespace, true);
    }
}

void complete_page_and_pod(struct completion *c)
{
    static const char *const pages[] = {"certs",       "clusters", "config_dump",
                                        "listeners",   "logging",  "ready",
                                        "server_info", "stats",    NULL};
    if (c->n_args > 0) {
        complete_pods(c);
        return;
    }
    for (size_t i = 0; pages[i]; i++) {
        c->offer(c, pages[i], NULL);
    }
}
