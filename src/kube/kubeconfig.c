/* kubeconfig files: tables, and how several become one. */
#include "kube/kubeconfig.h"

#include <string.h>

#include "base/limits.h"
#include "doc/formats.h"
#include "kube/internal.h"

#define AT(type, member) offsetof(struct kubeconfig_##type, member)
#define IGNORED(names) {names, FIELD_IGNORED}
#define FIELDS_END {NULL}

static const struct field text_item = {"", FIELD_STRING};

static const struct field cluster_fields[] = {
    {"server", FIELD_STRING, AT(cluster, server)},
    {"certificate-authority", FIELD_STRING, AT(cluster, ca_file)},
    {"certificate-authority-data", FIELD_STRING, AT(cluster, ca_data)},
    {"tls-server-name", FIELD_STRING, AT(cluster, server_name)},
    {"proxy-url", FIELD_STRING, AT(cluster, proxy)},
    {"insecure-skip-tls-verify", FIELD_BOOL, AT(cluster, insecure)},
    IGNORED("api-version disable-compression extensions"),
    FIELDS_END,
};

static const struct field env_fields[] = {
    {"name", FIELD_STRING, AT(env, name), FIELD_REQUIRED, .format = &format_env_name},
    {"value", FIELD_STRING, AT(env, value), FIELD_SECRET},
    FIELDS_END,
};

static const char *const exec_versions[] = {"client.authentication.k8s.io/v1",
                                            "client.authentication.k8s.io/v1beta1", NULL};
static const char *const interactive_modes[] = {"Never", "IfAvailable", "Always", NULL};

static const struct field exec_fields[] = {
    {"apiVersion", FIELD_STRING, AT(exec, api_version), FIELD_REQUIRED, .words = exec_versions},
    {"command", FIELD_STRING, AT(exec, command), FIELD_REQUIRED},
    {"args", FIELD_LIST, AT(exec, args), .item = &text_item},
    {"env", FIELD_LIST, AT(exec, env), .fields = env_fields, .size = sizeof(struct kubeconfig_env)},
    {"installHint", FIELD_STRING, AT(exec, install_hint)},
    {"provideClusterInfo", FIELD_BOOL, AT(exec, provide_cluster)},
    {"interactiveMode", FIELD_STRING, AT(exec, interactive), .words = interactive_modes,
     .initial = "IfAvailable"},
    FIELDS_END,
};

static const struct field user_fields[] = {
    {"client-certificate", FIELD_STRING, AT(user, cert_file)},
    {"client-certificate-data", FIELD_STRING, AT(user, cert_data), FIELD_SECRET},
    {"client-key", FIELD_STRING, AT(user, key_file)},
    {"client-key-data", FIELD_STRING, AT(user, key_data), FIELD_SECRET},
    {"token", FIELD_STRING, AT(user, token), FIELD_SECRET},
    {"tokenFile", FIELD_STRING, AT(user, token_file)},
    {"username", FIELD_STRING, AT(user, username)},
    {"password", FIELD_STRING, AT(user, password), FIELD_SECRET},
    {"as", FIELD_STRING, AT(user, as)},
    {"as-uid", FIELD_STRING, AT(user, as_uid)},
    {"as-groups", FIELD_LIST, AT(user, as_groups), .item = &text_item},
    {"as-user-extra", FIELD_RAW, AT(user, as_extra)},
    {"auth-provider", FIELD_RAW, AT(user, auth_provider)},
    {"exec", FIELD_POINTER, AT(user, exec), .fields = exec_fields,
     .size = sizeof(struct kubeconfig_exec)},
    IGNORED("extensions"),
    FIELDS_END,
};

static const struct field context_fields[] = {
    {"cluster", FIELD_STRING, AT(context, cluster)},
    {"user", FIELD_STRING, AT(context, user)},
    {"namespace", FIELD_STRING, AT(context, namespace), .format = &format_dns_label},
    IGNORED("extensions"),
    FIELDS_END,
};

#define ENTRY(member, table)                                                                       \
    {{"name", FIELD_STRING, AT(entry, name), FIELD_REQUIRED},                                      \
     {#member, FIELD_POINTER, AT(entry, member), FIELD_REQUIRED, .fields = table,                  \
      .size = sizeof(struct kubeconfig_##member)},                                                 \
     FIELDS_END}
static const struct field cluster_entry_fields[] = ENTRY(cluster, cluster_fields);
static const struct field user_entry_fields[] = ENTRY(user, user_fields);
static const struct field context_entry_fields[] = ENTRY(context, context_fields);

static const struct field file_fields[] = {
    {"clusters", FIELD_LIST, offsetof(struct kubeconfig, clusters), .fields = cluster_entry_fields,
     .size = sizeof(struct kubeconfig_entry)},
    {"users", FIELD_LIST, offsetof(struct kubeconfig, users), .fields = user_entry_fields,
     .size = sizeof(struct kubeconfig_entry)},
    {"contexts", FIELD_LIST, offsetof(struct kubeconfig, contexts), .fields = context_entry_fields,
     .size = sizeof(struct kubeconfig_entry)},
    {"current-context", FIELD_STRING, offsetof(struct kubeconfig, current_context)},
    IGNORED("apiVersion extensions kind preferences"),
    FIELDS_END,
};

const struct kubeconfig_entry *kubeconfig_find(const struct kubeconfig_entries *list,
                                               struct str name)
{
    for (size_t i = 0; i < list->len; i++) {
        if (str_eq(list->at[i].name, name)) {
            return &list->at[i];
        }
    }
    return NULL;
}

static void make_whole(struct arena *a, const char *file, struct str *path)
{
    const char *slash = strrchr(file, '/');
    if (path->len > 0 && path->ptr[0] != '/' && slash) {
        *path = arena_printf(a, "%.*s/%.*s", (int)(slash - file), file, STR_ARG(*path));
    }
}

static void make_paths_whole(struct arena *a, const char *file, struct kubeconfig_entry *x)
{
    if (x->cluster) {
        make_whole(a, file, &x->cluster->ca_file);
    }
    if (x->user) {
        make_whole(a, file, &x->user->cert_file);
        make_whole(a, file, &x->user->key_file);
        make_whole(a, file, &x->user->token_file);
    }
    /* A command without a slash is looked for in PATH. */
    if (x->user && x->user->exec &&
        memchr(x->user->exec->command.ptr, '/', //
               x->user->exec->command.len)) {
        make_whole(a, file, &x->user->exec->command);
    }
}

static void merge(struct arena *a, const char *file, struct kubeconfig_entries *into,
                  const struct kubeconfig_entries *from)
{
    struct kubeconfig_entries all = {.at = arena_array(a, into->len + from->len, sizeof(*all.at)),
                                     .len = into->len};
    for (size_t i = 0; i < into->len; i++) {
        all.at[i] = into->at[i];
    }
    for (size_t i = 0; i < from->len; i++) {
        if (!kubeconfig_find(&all, from->at[i].name)) {
            struct kubeconfig_entry *x = &all.at[all.len++];
            *x = from->at[i];
            x->file = file;
            make_paths_whole(a, file, x);
        }
    }
    *into = all;
}

/* The first error of the findings. */
static int first_error(const struct findings *f, struct err *e)
{
    VEC_EACH(f->list, x) {
        if (x->level == FINDING_ERROR) {
            return err_set(e, "%s:%d: %s", x->file, x->line, x->text);
        }
    }
    return 0;
}

static int decode(struct arena *a, const char *path, struct str text, struct kubeconfig *ret,
                  struct err *e)
{
    struct str rest = text, doc;
    int line = 1, next_line = 1, error_line = 0;
    struct value *v = NULL;
    if (!value_next_document(&rest, &doc, &line, &next_line)) {
        return 0;
    }
    if (value_read_yaml(a, doc, line, &v, &error_line, e) < 0) {
        return err_wrap(e, "%s:%d", path, error_line);
    }
    if (v->type != VALUE_OBJECT) {
        return err_set(e,
                       "%s: expected a kubeconfig (clusters, users, contexts), found something "
                       "else",
                       path);
    }
    AUTO(findings_done) struct findings f = {0};
    struct decode d = {.arena = a, .findings = &f, .file = path};
    fields_decode(&d, file_fields, v, ret);
    return first_error(&f, e);
}

int kubeconfig_read(struct arena *a, const char *path, struct kubeconfig *k, struct err *e)
{
    AUTO(free) char *text = NULL;
    size_t len;
    struct stat st;
    struct kubeconfig one = {0};
    const char *file = arena_strz(a, path).ptr;
    if (stat(path, &st) < 0) {
        return 1;
    }
    if (kube_read_file(path, LIMIT_KUBECONFIG_BYTES, &text, &len, &st, e) < 0) {
        return -1;
    }
    int result = decode(a, file, (struct str){text, len}, &one, e);
    explicit_bzero(text, len);
    if (result < 0) {
        return -1;
    }
    if (k->current_context.len == 0) {
        k->current_context = one.current_context;
        k->current_file = file;
    }
    merge(a, file, &k->clusters, &one.clusters);
    merge(a, file, &k->users, &one.users);
    merge(a, file, &k->contexts, &one.contexts);
    return 0;
}
