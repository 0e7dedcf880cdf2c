/* What commands on a cluster share. */
#include "cli/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/complete.h"
#include "cli/config.h"
#include "doc/formats.h"
#include "net/http_client.h"

static const char *osm_namespace, *kubeconfig, *context;
static bool verbose;

const struct flag cluster_flags[] = {
    {"osm-namespace", 0, FLAG_STRING, "NAME",
     "namespace of the control plane (osm-system, or the config file's)", &osm_namespace,
     .complete = complete_namespaces},
    {"kubeconfig", 0, FLAG_STRING, "FILE", "which kubeconfig ($KUBECONFIG, then ~/.kube/config)",
     &kubeconfig, .complete = complete_files},
    {"context", 0, FLAG_STRING, "NAME", "which context of the kubeconfig", &context},
    {"verbose", 0, FLAG_BOOL, NULL, "tell each request on stderr", &verbose},
    {0},
};

const char *cluster_kubeconfig(void)
{
    return kubeconfig;
}

const char *cluster_context(void)
{
    return context;
}

bool cluster_verbose(void)
{
    return verbose;
}

int cluster_open(struct cluster *ret, struct err *e)
{
    const struct cli_config *config;
    struct kube_config *kube = NULL;
    struct kube_config_options o = {.kubeconfig = kubeconfig, .context = context};
    if (cli_config_load(&config, e) < 0) {
        return -1;
    }
    ret->osm_namespace = osm_namespace ? osm_namespace : config->namespace;
    if (check_name("--osm-namespace", ret->osm_namespace, e) < 0 ||
        kube_config_load(&o, &kube, e) < 0) {
        return -1;
    }
    if (verbose) {
        fprintf(stderr, "context %s, server %s\n", kube_config_context(kube),
                kube_config_server(kube));
    }
    ret->kube = kube_client_new(kube, NULL);
    ret->arena = arena_new(65536);
    return 0;
}

void cluster_done(struct cluster *c)
{
    kube_client_free(c->kube);
    arena_free(c->arena);
    *c = (struct cluster){0};
}

/* The status also when it is an error's. */
static int ask(struct cluster *c, const struct kube_request *q, struct value **ret, struct err *e)
{
    int status = kube_do(c->kube, q, c->arena, ret, e);
    if (verbose) {
        fprintf(stderr, "%s %s: %d\n", q->method ? q->method : "GET", q->path, status);
    }
    return status;
}

int cluster_do(struct cluster *c, const struct kube_request *q, struct value **ret, struct err *e)
{
    int status = ask(c, q, ret, e);
    return status >= 400 ? -1 : status;
}

int cluster_find(struct cluster *c, const char *path, struct value **ret, struct err *e)
{
    struct kube_request q = {.path = path};
    struct err found = ERR_INIT;
    int status = ask(c, &q, ret, &found);
    if (status == 404) {
        return 0;
    }
    return status < 0 || status >= 400 ? err_set(e, "%s", found.text) : 1;
}

int cluster_answers(struct cluster *c, struct err *e)
{
    struct kube_request q = {.path = "/version"};
    struct err why = ERR_INIT;
    int status = ask(c, &q, NULL, &why);
    return status < 0 || status == 401 ? err_set(e, "%s", why.text) : 0;
}

struct items {
    struct arena *arena;
    struct value *list;
};

static void add_item(void *arg, struct value *item)
{
    struct items *items = arg;
    value_push(items->arena, items->list, value_copy(items->arena, item));
}

int cluster_list(struct cluster *c, const char *path, struct value **ret, struct err *e)
{
    struct items items = {c->arena, value_new(c->arena, VALUE_ARRAY)};
    if (verbose) {
        fprintf(stderr, "LIST %s\n", path);
    }
    if (kube_list(c->kube, path, add_item, &items, e) < 0) {
        return -1;
    }
    *ret = items.list;
    return 0;
}

static int change(struct cluster *c, const struct kube_request *q, struct err *e)
{
    struct err problem = ERR_INIT;
    int status = ask(c, q, NULL, &problem);
    if (status == 404) {
        return 0;
    }
    return status < 0 || status >= 400 ? err_set(e, "%s", problem.text) : 1;
}

int cluster_patch(struct cluster *c, const char *path, const char *type, const struct value *patch,
                  struct err *e)
{
    struct kube_request q = {.method = "PATCH", .path = path, .body = patch, .content_type = type};
    return change(c, &q, e);
}

int cluster_delete(struct cluster *c, const char *path, struct err *e)
{
    struct kube_request q = {.method = "DELETE", .path = path};
    return change(c, &q, e);
}

int cluster_delete_listed(struct cluster *c, const char *group_version, const char *plural,
                          const char *namespace, const char *query, struct err *e)
{
    struct value *list = NULL;
    const char *path =
        kube_path_of(c->arena, group_version, plural, str_of(namespace), STR(""), NULL, query);
    if (cluster_list(c, path, &list, e) < 0) {
        return -1;
    }
    for (size_t i = 0; i < value_len(list); i++) {
        struct str ns = value_string_at(&list->array.at[i], "metadata.namespace");
        struct str name = value_string_at(&list->array.at[i], "metadata.name");
        /* Pods of a Job go with it. */
        path = kube_path_of(c->arena, group_version, plural, ns, name, NULL,
                            "propagationPolicy=Background");
        if (cluster_delete(c, path, e) < 0) {
            return -1;
        }
    }
    return 0;
}

const char *core_path(struct cluster *c, const char *plural, const char *namespace,
                      const char *name, const char *query)
{
    return kube_path_of(c->arena, "v1", plural, str_of(namespace), str_of(name), NULL, query);
}

const char *label_query(struct cluster *c, const char *fmt, ...)
{
    char selector[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(selector, sizeof(selector), fmt, ap);
    va_end(ap);
    AUTO(free) char *encoded = http_encode(selector);
    return arena_printf(c->arena, "labelSelector=%s", encoded).ptr;
}

int check_name(const char *what, const char *text, struct err *e)
{
    return format_dns_subdomain.check(str_of(text), NULL) == 0
               ? 0
               : err_set(e, "%s: expected %s, found \"%s\"", what, format_dns_subdomain.what, text);
}

int object_name_parse(const char *text, const char *default_namespace, const char *what,
                      struct object_name *ret, struct err *e)
{
    struct str namespace, name;
    if (!str_cut(str_of(text), '/', &namespace, &name)) {
        namespace = str_of(default_namespace);
        name = str_of(text);
    }
    if (namespace.len >= sizeof(ret->namespace) || name.len >= sizeof(ret->name) ||
        namespace.len == 0 || name.len == 0) {
        return err_set(e, "expected a %s as NAMESPACE/NAME or NAME, found \"%s\"", what, text);
    }
    snprintf(ret->namespace, sizeof(ret->namespace), "%.*s", STR_ARG(namespace));
    snprintf(ret->name, sizeof(ret->name), "%.*s", STR_ARG(name));
    return check_name(what, ret->namespace, e) < 0 || check_name(what, ret->name, e) < 0 ? -1 : 0;
}
