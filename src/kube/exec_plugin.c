/* Exec plugins: a command that prints an ExecCredential
 * (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins).
 * It is run as it is written, without a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "doc/base64.h"
#include "kube/internal.h"

enum { END_LOOK_MS = 1 };

#define INFO_VARIABLE "KUBERNETES_EXEC_INFO"

typedef VEC(char *) strings;

static void strings_done(strings *v)
{
    VEC_EACH(*v, s) {
        free(*s);
    }
    VEC_DONE(*v);
}

static void set_string(struct arena *a, struct value *in, const char *key, struct str s)
{
    if (s.len > 0) {
        value_set(a, in, key, value_new_string(a, s));
    }
}

/* What the plugin is told of the cluster, and whether it may ask the user something. */
static char *exec_info(const struct kube_config *c, bool interactive)
{
    const struct kubeconfig_exec *x = c->user.exec;
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct value *info = value_new(a, VALUE_OBJECT);
    set_string(a, info, "apiVersion", x->api_version);
    set_string(a, info, "kind", STR("ExecCredential"));
    struct value *spec = value_ensure(a, info, "spec", VALUE_OBJECT);
    value_set(a, spec, "interactive", value_new_bool(a, interactive));
    if (x->provide_cluster) {
        struct value *cluster = value_ensure(a, spec, "cluster", VALUE_OBJECT);
        set_string(a, cluster, "server", c->cluster.server);
        set_string(a, cluster, "tls-server-name", c->cluster.server_name);
        set_string(a, cluster, "proxy-url", c->cluster.proxy);
        set_string(a, cluster, "certificate-authority-data",
                   base64_encode(a, (struct str){c->ca.text, c->ca.len}));
        value_set(a, cluster, "insecure-skip-tls-verify", value_new_bool(a, c->cluster.insecure));
    }
    struct buf out;
    buf_init(&out, 2 * LIMIT_CREDENTIAL_BYTES);
    value_write_json(info, &out);
    return buf_take(&out);
}

static bool names_variable(const char *entry, struct str name)
{
    return strncmp(entry, name.ptr, name.len) == 0 && entry[name.len] == '=';
}

static void set_variable(strings *env, struct str name, struct str value)
{
    char *entry = mem_printf("%.*s=%.*s", STR_ARG(name), STR_ARG(value));
    VEC_EACH(*env, s) {
        if (names_variable(*s, name)) {
            free(*s);
            *s = entry;
            return;
        }
    }
    VEC_PUSH(*env, entry);
}

static void make_env(const struct kubeconfig_exec *x, const char *info, strings *env)
{
    for (char **at = environ; *at; at++) {
        VEC_PUSH(*env, mem_strdup(*at));
    }
    for (size_t i = 0; i < x->env.len; i++) {
        set_variable(env, x->env.at[i].name, x->env.at[i].value);
    }
    set_variable(env, STR(INFO_VARIABLE), str_of(info));
    VEC_PUSH(*env, NULL);
}

static void make_args(const struct kubeconfig_exec *x, strings *args)
{
    VEC_PUSH(*args, mem_memdup(x->command.ptr, x->command.len));
    for (size_t i = 0; i < x->args.len; i++) {
        VEC_PUSH(*args, mem_memdup(x->args.at[i].ptr, x->args.at[i].len));
    }
    VEC_PUSH(*args, NULL);
}

static int spawn(const struct kubeconfig_exec *x, const char *info, bool interactive, int out,
                 pid_t *ret, struct err *e)
{
    strings args = {0}, env = {0};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t defaults;
    make_args(x, &args);
    make_env(x, info, &env);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!interactive) {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    }
    int error = posix_spawnp(ret, args.at[0], &actions, &attr, args.at, env.at);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    strings_done(&args);
    strings_done(&env);
    if (error) {
        return err_set(e, "exec: \"%.*s\" can't be run: %s%s%.*s", STR_ARG(x->command),
                       strerror(error), x->install_hint.len ? "; " : "", STR_ARG(x->install_hint));
    }
    return 0;
}

/* --- one run --- */

struct kube_plugin_run {
    const struct kube_config *config;
    pid_t pid; /* 0: reaped */
    int out;   /* -1: it closed its output */
    int status;
    struct buf text;
    int64_t deadline;
};

static int wants_terminal(const struct kubeconfig_exec *x, bool *ret_interactive, struct err *e)
{
    *ret_interactive = !str_is(x->interactive, "Never") && isatty(0);
    if (str_is(x->interactive, "Always") && !*ret_interactive) {
        return err_set(e, "exec: \"%.*s\" needs a terminal (interactiveMode: Always)",
                       STR_ARG(x->command));
    }
    return 0;
}

int kube_plugin_start(const struct kube_config *c, struct kube_plugin_run **ret, struct err *e)
{
    const struct kubeconfig_exec *x = c->user.exec;
    bool interactive;
    int ends[2];
    pid_t pid;
    if (wants_terminal(x, &interactive, e) < 0) {
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_errno(e, "exec: no pipe");
    }
    AUTO_FD int out = ends[0];
    AUTO(free) char *info = exec_info(c, interactive);
    fcntl(out, F_SETFL, O_NONBLOCK);
    int result = spawn(x, info, interactive, ends[1], &pid, e);
    close(ends[1]);
    if (result < 0) {
        return -1;
    }
    int64_t limit_ms = c->plugin_ms ? c->plugin_ms : LIMIT_KUBE_PLUGIN_MS;
    *ret = NEW(struct kube_plugin_run);
    **ret = (struct kube_plugin_run){
        .config = c, .pid = pid, .out = out, .deadline = clock_mono_ms() + limit_ms};
    buf_init(&(*ret)->text, LIMIT_CREDENTIAL_BYTES);
    out = -1;
    return 0;
}

int kube_plugin_output(const struct kube_plugin_run *r)
{
    return r->out;
}

int64_t kube_plugin_left_ms(const struct kube_plugin_run *r)
{
    int64_t left = r->deadline - clock_mono_ms();
    return left > 0 ? left : 0;
}

/* What has come; its end closes it. */
static void read_output(struct kube_plugin_run *r)
{
    char piece[4096];
    ssize_t n;
    while ((n = read(r->out, piece, sizeof(piece))) != 0 && !buf_full(&r->text)) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            break;
        }
        buf_add(&r->text, piece, (size_t)n);
    }
    explicit_bzero(piece, sizeof(piece));
    if (n == 0) {
        close(r->out);
        r->out = -1;
    }
}

enum kube_plugin_state kube_plugin_look(struct kube_plugin_run *r)
{
    if (r->out >= 0) {
        read_output(r);
    }
    /* One that has closed its output may go on all the same. */
    if (r->out < 0 && waitpid(r->pid, &r->status, WNOHANG) == r->pid) {
        r->pid = 0;
        return KUBE_PLUGIN_OVER;
    }
    if (buf_full(&r->text) || kube_plugin_left_ms(r) == 0) {
        return KUBE_PLUGIN_OVER;
    }
    return r->out >= 0 ? KUBE_PLUGIN_PRINTS : KUBE_PLUGIN_ENDS;
}

void kube_plugin_free(struct kube_plugin_run *r)
{
    if (!r) {
        return;
    }
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (r->out >= 0) {
        close(r->out);
    }
    if (r->text.data) {
        explicit_bzero(r->text.data, r->text.len);
    }
    buf_done(&r->text);
    free(r);
}

static int check_end(const struct kube_plugin_run *r, struct err *e)
{
    const struct kubeconfig_exec *x = r->config->user.exec;
    if (r->pid > 0) {
        return err_set(e, "exec: \"%.*s\" %s", STR_ARG(x->command),
                       buf_full(&r->text) ? "printed too much"
                                          : "didn't end in time and was stopped");
    }
    if (r->status != 0) {
        return err_set(e, "exec: \"%.*s\" failed with %s %d; what it printed says why",
                       STR_ARG(x->command), WIFEXITED(r->status) ? "exit code" : "signal",
                       WIFEXITED(r->status) ? WEXITSTATUS(r->status) : WTERMSIG(r->status));
    }
    return 0;
}

/* --- what it printed --- */

static char *copy(struct str s)
{
    return s.len ? mem_memdup(s.ptr, s.len) : NULL;
}

static int take(const struct kubeconfig_exec *x, const struct value *v,
                struct kube_plugin_credential *ret, struct err *e)
{
    struct str version = value_string_at(v, "apiVersion");
    struct str token = value_string_at(v, "status.token");
    struct str cert = value_string_at(v, "status.clientCertificateData");
    struct str key = value_string_at(v, "status.clientKeyData");
    struct str expires = value_string_at(v, "status.expirationTimestamp");
    int64_t expires_at = 0;
    if (!str_is(value_string_at(v, "kind"), "ExecCredential") || !str_eq(version, x->api_version)) {
        return err_set(e, "expected an ExecCredential of %.*s, found something else",
                       STR_ARG(x->api_version));
    }
    if ((cert.len > 0) != (key.len > 0)) {
        return err_set(e, "status: expected both clientCertificateData and clientKeyData or none");
    }
    if (token.len == 0 && cert.len == 0) {
        return err_set(e, "status: expected a token or a client certificate, found neither");
    }
    if (expires.len > 0 && !clock_parse_rfc3339(expires, &expires_at)) {
        return err_set(e, "status.expirationTimestamp: expected a time such as "
                          "\"2026-01-02T15:04:05Z\", found something else");
    }
    *ret = (struct kube_plugin_credential){
        .token = copy(token), .cert = copy(cert), .key = copy(key), .expires_at = expires_at};
    return 0;
}

int kube_plugin_finish(struct kube_plugin_run *r, struct kube_plugin_credential *ret, struct err *e)
{
    const struct kubeconfig_exec *x = r->config->user.exec;
    struct arena *a = arena_new(4096);
    struct value *v = NULL;
    struct err why = ERR_INIT;
    int result = check_end(r, e);
    if (result == 0 &&
        (value_read_json(a, buf_str(&r->text), &v, &why) < 0 || take(x, v, ret, &why) < 0)) {
        result = err_set(e, "exec: what \"%.*s\" printed: %s", STR_ARG(x->command), why.text);
    }
    kube_plugin_free(r);
    arena_free_secret(a);
    return result;
}

int kube_plugin_run(const struct kube_config *c, struct kube_plugin_credential *ret, struct err *e)
{
    struct kube_plugin_run *r;
    enum kube_plugin_state state;
    if (kube_plugin_start(c, &r, e) < 0) {
        return -1;
    }
    while ((state = kube_plugin_look(r)) != KUBE_PLUGIN_OVER) {
        struct pollfd p = {.fd = r->out, .events = POLLIN};
        poll(&p, 1, state == KUBE_PLUGIN_PRINTS ? (int)kube_plugin_left_ms(r) : END_LOOK_MS);
    }
    return kube_plugin_finish(r, ret, e);
}

static void secret_free(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
    }
    free(s);
}

void kube_plugin_done(struct kube_plugin_credential *p)
{
    secret_free(p->token);
    secret_free(p->cert);
    secret_free(p->key);
    *p = (struct kube_plugin_credential){0};
}
