/* osm-controller as a child process. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "local/backoff.h"
#include "local/controller.h"
#include "local/logs.h"
#include "net/http_client.h"

enum { POLL_MS = 250, TIMEOUT_MS = 5000 };

struct controller {
    struct controller_options o; /* strings are owned */
    VEC(char *) sources;
    pid_t pid; /* 0: doesn't run */
    bool ending, restart;
    int64_t started_ms, next_poll_ms;
    struct backoff backoff;
    struct http_client *client;
    struct http_transfer *poll;
    struct arena *arena; /* of status */
    struct value *status;
    uint64_t status_hash;
    char problem[1024];
};

static void set_sources(struct controller *c, const char *const *sources, size_t n)
{
    VEC_EACH(c->sources, s) {
        free(*s);
    }
    c->sources.len = 0;
    for (size_t i = 0; i < n; i++) {
        VEC_PUSH(c->sources, mem_strdup(sources[i]));
    }
}

struct controller *controller_new(const struct controller_options *o)
{
    struct controller *c = NEW(struct controller);
    c->o = *o;
    c->o.program = mem_strdup(o->program);
    c->o.ca_file = mem_strdup(o->ca_file);
    c->o.ads_address = mem_strdup(o->ads_address);
    c->o.http_socket = mem_strdup(o->http_socket);
    c->o.log_file = mem_strdup(o->log_file);
    c->o.mesh_name = mem_strdup(o->mesh_name);
    c->o.osm_namespace = mem_strdup(o->osm_namespace);
    c->o.trust_domain = mem_strdup(o->trust_domain);
    set_sources(c, o->sources, o->n_sources);
    c->client = http_client_new(o->loop);
    snprintf(c->problem, sizeof(c->problem), "osm-controller starts");
    return c;
}

static void forget_status(struct controller *c)
{
    arena_free(c->arena);
    c->arena = NULL;
    c->status = NULL;
    c->status_hash = 0;
    if (c->poll) {
        http_cancel(c->poll);
        c->poll = NULL;
    }
}

void controller_free(struct controller *c)
{
    if (!c) {
        return;
    }
    if (c->pid > 0) {
        children_forget(c->o.children, c);
        kill(c->pid, SIGKILL);
    }
    forget_status(c);
    http_client_free(c->client);
    set_sources(c, NULL, 0);
    VEC_DONE(c->sources);
    free((char *)c->o.program);
    free((char *)c->o.ca_file);
    free((char *)c->o.ads_address);
    free((char *)c->o.http_socket);
    free((char *)c->o.log_file);
    free((char *)c->o.mesh_name);
    free((char *)c->o.osm_namespace);
    free((char *)c->o.trust_domain);
    free(c);
}

static void on_end(void *arg, int status)
{
    struct controller *c = arg;
    int64_t now = clock_mono_ms();
    struct buf last;
    buf_init(&last, sizeof(c->problem) / 2);
    log_tail(c->o.log_file, 1, &last);
    /* Its last words, unless they are a log event about something else. */
    struct str words = str_trim(buf_str(&last));
    words = str_starts(words, "{") ? STR("") : words;
    snprintf(c->problem, sizeof(c->problem), "osm-controller ended (%s %d)%s%.*s",
             WIFEXITED(status) ? "exit code" : "signal",
             WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), words.len > 0 ? ": " : "",
             STR_ARG(words));
    buf_done(&last);
    c->pid = 0;
    forget_status(c);
    if (!c->restart) {
        backoff_failed(&c->backoff, now, now - c->started_ms);
    }
    c->restart = false;
}

static void run(struct controller *c, char **argv, pid_t parent) __attribute__((noreturn));
static void run(struct controller *c, char **argv, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(c->o.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    if (getppid() == parent && null >= 0 && log >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 &&
        dup2(log, 2) == 2) {
        execv(argv[0], argv);
    }
    _exit(127);
}

static void start(struct controller *c, int64_t now)
{
    VEC(char *) argv = {0};
    VEC_PUSH(argv, (char *)c->o.program);
    VEC_EACH(c->sources, s) {
        VEC_PUSH(argv, "--source");
        VEC_PUSH(argv, *s);
    }
    const char *const flags[] = {
        "--ca-file",       c->o.ca_file,       "--ads-address",  c->o.ads_address,
        "--http-socket",   c->o.http_socket,   "--mesh-name",    c->o.mesh_name,
        "--osm-namespace", c->o.osm_namespace, "--trust-domain", c->o.trust_domain,
    };
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        VEC_PUSH(argv, (char *)flags[i]);
    }
    VEC_PUSH(argv, NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        run(c, argv.at, parent);
    }
    VEC_DONE(argv);
    c->started_ms = now;
    if (pid < 0) {
        backoff_failed(&c->backoff, now, 0);
        return;
    }
    c->pid = pid;
    children_add(c->o.children, pid, on_end, c);
}

static void on_poll(void *arg, int status, struct str body, const struct err *e)
{
    struct controller *c = arg;
    struct err bad = ERR_INIT;
    c->poll = NULL;
    uint64_t hash = hash_str(body);
    if (status != 200 || hash == c->status_hash) {
        return;
    }
    struct arena *a = arena_new(65536);
    struct value *v = NULL;
    if (value_read_json(a, body, &v, &bad) < 0) {
        snprintf(c->problem, sizeof(c->problem), "osm-controller's status: %s", bad.text);
        arena_free(a);
        return;
    }
    arena_free(c->arena);
    c->arena = a;
    c->status = v;
    c->status_hash = hash;
    c->problem[0] = '\0';
}

static void poll_status(struct controller *c, int64_t now)
{
    struct http_call call = {.url = "http://controller/status",
                             .unix_path = c->o.http_socket,
                             .timeout_ms = TIMEOUT_MS,
                             .max_bytes = LIMIT_CONTROL_REPLY_BYTES};
    c->next_poll_ms = now + POLL_MS;
    c->poll = http_start(c->client, &call, on_poll, c);
}

void controller_tick(struct controller *c, int64_t now_ms)
{
    if (c->pid == 0 && !c->ending && now_ms >= c->backoff.next) {
        start(c, now_ms);
        c->next_poll_ms = now_ms + POLL_MS / 5;
    }
    if (c->pid > 0 && !c->poll && !c->ending && now_ms >= c->next_poll_ms) {
        poll_status(c, now_ms);
    }
}

void controller_end(struct controller *c)
{
    c->ending = true;
    if (c->pid > 0) {
        kill(c->pid, SIGTERM);
    }
}

bool controller_ended(const struct controller *c)
{
    return c->pid == 0;
}

void controller_retry(struct controller *c)
{
    backoff_reset(&c->backoff);
}

void controller_set_sources(struct controller *c, const char *const *sources, size_t n)
{
    set_sources(c, sources, n);
    if (c->pid > 0) {
        c->restart = true;
        kill(c->pid, SIGTERM);
    }
}

const struct value *controller_status(const struct controller *c)
{
    return c->status;
}

bool controller_ready(const struct controller *c)
{
    return c->status != NULL;
}

const char *controller_problem(const struct controller *c)
{
    return c->problem;
}
