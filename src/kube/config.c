/* From kubeconfig files, or a pod's service account, to one server and one identity. */
#include "kube/config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "doc/base64.h"
#include "kube/internal.h"

#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

int kube_read_file(const char *path, size_t max_bytes, char **ret, size_t *ret_len,
                   struct stat *ret_stat, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct buf text;
    if (fd < 0 || fstat(fd, ret_stat) < 0) {
        return err_errno(e, "%s: can't be read", path);
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        return err_set(e, "%s: expected a file, found something else", path);
    }
    buf_init(&text, max_bytes);
    for (;;) {
        char piece[16384];
        ssize_t n = read(fd, piece, sizeof(piece));
        buf_add(&text, piece, n > 0 ? (size_t)n : 0);
        explicit_bzero(piece, sizeof(piece));
        if (n == 0 && !buf_full(&text)) {
            break;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 || buf_full(&text)) {
            int result =
                n < 0 ? err_errno(e, "%s: can't be read", path)
                      : err_set(e, "%s: expected at most %zu bytes, found more", path, max_bytes);
            buf_done(&text);
            return result;
        }
    }
    *ret_len = text.len;
    *ret = buf_take(&text);
    return 0;
}

/* "a, b, c"; at most a line of it. */
static const char *names_of(struct arena *a, const struct kubeconfig_entries *list)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 512);
    for (size_t i = 0; i < list->len; i++) {
        buf_printf(&b, "%s%.*s", i ? ", " : "", STR_ARG(list->at[i].name));
    }
    return b.len ? arena_str(a, buf_str(&b)).ptr : "none";
}

/* Data wins over a file, as for kubectl. */
static int take_text(struct arena *a, const char *file, const char *what, struct str data,
                     struct str path, struct kube_text *ret, struct err *e)
{
    struct str bytes;
    *ret = (struct kube_text){.what = what};
    if (data.len > 0) {
        if (!base64_decode(a, data, &bytes) || bytes.len == 0) {
            return err_set(e, "%s: %s-data: expected base64 of a PEM text, found something else",
                           file, what);
        }
        ret->text = mem_memdup(bytes.ptr, bytes.len);
        ret->len = bytes.len;
    } else if (path.len > 0) {
        ret->path = path.ptr;
    }
    return 0;
}

static int check_cluster(const struct kubeconfig_entry *x, struct err *e)
{
    const struct kubeconfig_cluster *c = x->cluster;
    bool tls = str_starts(c->server, "https://");
    if (!tls && !str_starts(c->server, "http://")) {
        return err_set(e,
                       "%s: cluster \"%.*s\": server: expected a URL such as "
                       "\"https://10.0.0.1:6443\", found \"%.*s\"",
                       x->file, STR_ARG(x->name), STR_ARG(c->server));
    }
    if (c->insecure && (c->ca_data.len > 0 || c->ca_file.len > 0)) {
        return err_set(e,
                       "%s: cluster \"%.*s\": insecure-skip-tls-verify: expected no "
                       "certificate-authority beside it; remove one of both",
                       x->file, STR_ARG(x->name));
    }
    return 0;
}

static int check_user(const struct kubeconfig_entry *x, struct err *e)
{
    const struct kubeconfig_user *u = x->user;
    bool cert = u->cert_data.len > 0 || u->cert_file.len > 0;
    bool key = u->key_data.len > 0 || u->key_file.len > 0;
    if (cert != key) {
        return err_set(e, "%s: user \"%.*s\": %s: is required beside %s, found nothing", x->file,
                       STR_ARG(x->name), cert ? "client-key" : "client-certificate",
                       cert ? "client-certificate" : "client-key");
    }
    if (u->auth_provider) {
        return err_set(e,
                       "%s: user \"%.*s\": auth-provider: is no longer supported, as in kubectl "
                       "since 1.26; use exec with your provider's plugin",
                       x->file, STR_ARG(x->name));
    }
    if (u->exec && (u->token.len > 0 || u->token_file.len > 0 || u->username.len > 0)) {
        return err_set(e, "%s: user \"%.*s\": exec: expected no token or username beside it",
                       x->file, STR_ARG(x->name));
    }
    return 0;
}

static int take_user(struct kube_config *c, const struct kubeconfig_entry *x, struct err *e)
{
    struct kubeconfig_user *u = &c->user;
    if (check_user(x, e) < 0) {
        return -1;
    }
    *u = *x->user;
    if (take_text(c->arena, x->file, "client-certificate", u->cert_data, u->cert_file, &c->cert,
                  e) < 0 ||
        take_text(c->arena, x->file, "client-key", u->key_data, u->key_file, &c->key, e) < 0) {
        return -1;
    }
    /* The file wins, as for kubectl: it is what rotates. */
    c->token = (struct kube_text){.what = "tokenFile"};
    if (u->token_file.len > 0) {
        c->token.path = u->token_file.ptr;
    } else if (u->token.len > 0) {
        c->token.text = mem_memdup(u->token.ptr, u->token.len);
        c->token.len = u->token.len;
    } else if (u->username.len > 0) {
        struct str pair =
            arena_printf(c->arena, "%.*s:%.*s", STR_ARG(u->username), STR_ARG(u->password));
        c->basic =
            arena_printf(c->arena, "Authorization: Basic %s", base64_encode(c->arena, pair).ptr)
                .ptr;
    }
    return 0;
}

static int take_context(struct kube_config *c, const struct kubeconfig *k, const char *wanted,
                        const char *file, struct err *e)
{
    struct str name = wanted ? str_of(wanted) : k->current_context;
    if (name.len == 0) {
        return err_set(e,
                       "%s: current-context: isn't set; choose one with \"kubectl config "
                       "use-context NAME\" (there are: %s)",
                       file, names_of(c->arena, &k->contexts));
    }
    const struct kubeconfig_entry *x = kubeconfig_find(&k->contexts, name);
    if (!x) {
        return err_set(e, "%s: there is no context \"%.*s\"; there are: %s", file, STR_ARG(name),
                       names_of(c->arena, &k->contexts));
    }
    const struct kubeconfig_entry *cluster = kubeconfig_find(&k->clusters, x->context->cluster);
    if (!cluster) {
        return err_set(e, "%s: context \"%.*s\": there is no cluster \"%.*s\"; there are: %s",
                       x->file, STR_ARG(name), STR_ARG(x->context->cluster),
                       names_of(c->arena, &k->clusters));
    }
    const struct kubeconfig_entry *user = kubeconfig_find(&k->users, x->context->user);
    if (!user && x->context->user.len > 0) {
        return err_set(e, "%s: context \"%.*s\": there is no user \"%.*s\"; there are: %s", x->file,
                       STR_ARG(name), STR_ARG(x->context->user), names_of(c->arena, &k->users));
    }
    c->context = arena_str(c->arena, name).ptr;
    c->namespace = x->context->namespace.len ? x->context->namespace.ptr : "default";
    c->cluster = *cluster->cluster;
    while (str_ends(c->cluster.server, "/")) {
        c->cluster.server.len--;
    }
    c->cluster.server = arena_str(c->arena, c->cluster.server);
    if (check_cluster(cluster, e) < 0 || (user && take_user(c, user, e) < 0)) {
        return -1;
    }
    return take_text(c->arena, cluster->file, "certificate-authority", c->cluster.ca_data,
                     c->cluster.ca_file, &c->ca, e);
}

/* --- in a pod --- */

static const char *account_file(struct arena *a, const char *name)
{
    /* A test has no such folder. */
    const char *folder = getenv("OSM_SERVICE_ACCOUNT_FOLDER");
    return arena_printf(a, "%s/%s", folder ? folder : ACCOUNT_FOLDER, name).ptr;
}

static bool in_pod(struct arena *a)
{
    return getenv("KUBERNETES_SERVICE_HOST") && access(account_file(a, "token"), F_OK) == 0;
}

static int take_pod(struct kube_config *c, struct err *e)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    bool v6 = strchr(host, ':');
    AUTO(free) char *namespace = NULL;
    size_t len;
    struct stat st;
    if (kube_read_file(account_file(c->arena, "namespace"), LIMIT_NAME_BYTES, &namespace, &len, &st,
                       e) < 0) {
        return err_wrap(e, "the pod's service account");
    }
    c->context = "in-cluster";
    c->namespace = arena_str(c->arena, str_trim((struct str){namespace, len})).ptr;
    c->cluster.server = arena_printf(c->arena, "https://%s%s%s:%s", v6 ? "[" : "", host,
                                     v6 ? "]" : "", port ? port : "443");
    c->ca = (struct kube_text){.what = "certificate-authority",
                               .path = account_file(c->arena, "ca.crt")};
    c->token = (struct kube_text){.what = "tokenFile", .path = account_file(c->arena, "token")};
    return 0;
}

/* --- which files --- */

static const char *home_config(struct arena *a)
{
    const char *home = getenv("HOME");
    const struct passwd *pw = home && *home ? NULL : getpwuid(getuid());
    home = home && *home ? home : pw ? pw->pw_dir : "";
    return arena_printf(a, "%s/.kube/config", home).ptr;
}

/* Of a list such as $KUBECONFIG those that are there; how many. */
static int read_list(struct arena *a, const char *list, struct kubeconfig *k, struct err *e)
{
    struct str rest = str_of(list), path;
    int found = 0;
    for (bool more = true; more;) {
        more = str_cut(rest, ':', &path, &rest);
        if (path.len == 0) {
            continue;
        }
        int result = kubeconfig_read(a, arena_str(a, path).ptr, k, e);
        if (result < 0) {
            return -1;
        }
        found += result == 0;
    }
    return found;
}

static int load(struct kube_config *c, const struct kube_config_options *o, struct err *e)
{
    struct kubeconfig k = {0};
    const char *list = getenv("KUBECONFIG"), *file = o->kubeconfig;
    if (file) {
        int result = kubeconfig_read(c->arena, file, &k, e);
        if (result != 0) {
            return result < 0 ? -1 : err_set(e, "%s: there is no such kubeconfig", file);
        }
        return take_context(c, &k, o->context, file, e);
    }
    file = list && *list ? list : home_config(c->arena);
    int found = read_list(c->arena, file, &k, e);
    if (found < 0) {
        return -1;
    }
    if (found > 0) {
        return take_context(c, &k, o->context, k.current_file ? k.current_file : file, e);
    }
    if (in_pod(c->arena)) {
        return take_pod(c, e);
    }
    return err_set(e,
                   "no cluster is configured: there is no file \"%s\", and this is no pod; name a "
                   "kubeconfig with --kubeconfig or in KUBECONFIG",
                   file);
}

int kube_config_load(const struct kube_config_options *options, struct kube_config **ret,
                     struct err *e)
{
    static const struct kube_config_options defaults;
    struct kube_config *c = NEW(struct kube_config);
    c->arena = arena_new(4096);
    if (load(c, options ? options : &defaults, e) < 0) {
        kube_config_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

static void text_done(struct kube_text *t)
{
    if (t->text) {
        explicit_bzero(t->text, t->len);
    }
    free(t->text);
}

void kube_config_free(struct kube_config *c)
{
    if (!c) {
        return;
    }
    text_done(&c->ca);
    text_done(&c->cert);
    text_done(&c->key);
    text_done(&c->token);
    kube_plugin_done(&c->plugin);
    VEC_EACH(c->headers, h) {
        if (*h) {
            explicit_bzero(*h, strlen(*h));
        }
        free(*h);
    }
    VEC_DONE(c->headers);
    arena_free_secret(c->arena);
    free(c);
}

const char *kube_config_server(const struct kube_config *c)
{
    return c->cluster.server.ptr;
}

const char *kube_config_context(const struct kube_config *c)
{
    return c->context;
}

const char *kube_config_namespace(const struct kube_config *c)
{
    return c->namespace;
}
