/* One container of a running pod. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "local/container.h"
#include "local/internal.h"

void container_init(struct container_run *c, struct pod_run *pod, const struct container *spec)
{
    AUTO(free) char *path = mem_printf("%s/logs/%.*s.log", pod->folder, STR_ARG(spec->name));
    *c = (struct container_run){.pod = pod, .spec = spec, .ns_mnt = -1};
    c->log = log_file_new(pod->runtime->loop, path);
}

static void probers_free(struct container_run *c)
{
    prober_free(c->readiness);
    prober_free(c->liveness);
    prober_free(c->startup);
    c->readiness = c->liveness = c->startup = NULL;
}

static void set_reason(struct container_run *c, const char *text)
{
    if (text && (!c->reason || strcmp(c->reason, text) != 0)) {
        log_file_note(c->log, text);
    }
    free(c->reason);
    c->reason = text ? mem_strdup(text) : NULL;
}

static void leave_namespace(struct container_run *c)
{
    if (c->ns_mnt >= 0) {
        close(c->ns_mnt);
        c->ns_mnt = -1;
    }
}

void container_done(struct container_run *c)
{
    probers_free(c);
    children_forget(&c->pod->runtime->children, c);
    leave_namespace(c);
    log_file_free(c->log);
    free(c->reason);
}

/* How a status of waitpid reads. */
static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void on_exit_of(void *arg, int status)
{
    struct container_run *c = arg;
    char text[256];
    int64_t now = clock_mono_ms();
    probers_free(c);
    leave_namespace(c);
    c->state = CONTAINER_EXITED;
    c->pid = 0;
    c->exit_code = exit_code(status);
    backoff_failed(&c->backoff, now, now - c->started_ms);
    if (WIFSIGNALED(status)) {
        snprintf(text, sizeof(text), "container \"%.*s\" was killed by signal %d",
                 STR_ARG(c->spec->name), WTERMSIG(status));
    } else {
        snprintf(text, sizeof(text), "container \"%.*s\" ended with exit code %d",
                 STR_ARG(c->spec->name), c->exit_code);
    }
    set_reason(c, c->stopping ? NULL : text);
    runtime_changed(c->pod->runtime);
}

static int exec_in(void *arg, const struct strs *command, pid_t *ret, struct err *e)
{
    struct container_run *c = arg;
    return pod_exec(c->pod, c, command, ret, e);
}

static void probers_new(struct container_run *c, int64_t now)
{
    struct probe_target target = {.loop = c->pod->runtime->loop,
                                  .children = &c->pod->runtime->children,
                                  .container = c->spec,
                                  .netns_fd = c->pod->sandbox.ns.fd[NS_NET],
                                  .exec = exec_in,
                                  .arg = c};
    const struct container *s = c->spec;
    c->readiness = s->readiness ? prober_new(s->readiness, &target, now) : NULL;
    c->liveness = s->liveness ? prober_new(s->liveness, &target, now) : NULL;
    c->startup = s->startup ? prober_new(s->startup, &target, now) : NULL;
}

static int start(struct container_run *c, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16384);
    struct process_options o;
    if (pod_launch(c->pod, a, c->spec, &o, e) < 0 || log_file_pipe(c->log, &o.out, e) < 0) {
        return -1;
    }
    int result = process_start(&o, &c->pid, e);
    close(o.out);
    if (result < 0) {
        c->pid = 0;
        return err_wrap(e, "container \"%.*s\"", STR_ARG(c->spec->name));
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)c->pid);
    c->ns_mnt = open(path, O_RDONLY | O_CLOEXEC);
    return 0;
}

void container_start(struct container_run *c, int64_t now_ms)
{
    struct err e = ERR_INIT;
    if (c->stopping || c->state == CONTAINER_RUNNING || now_ms < c->backoff.next) {
        return;
    }
    if (start(c, &e) < 0) {
        backoff_failed(&c->backoff, now_ms, 0);
        set_reason(c, e.text);
        runtime_changed(c->pod->runtime);
        return;
    }
    if (c->started_once) {
        c->restarts++;
    }
    c->started_once = true;
    c->state = CONTAINER_RUNNING;
    c->started_ms = now_ms;
    set_reason(c, NULL);
    children_add(&c->pod->runtime->children, c->pid, on_exit_of, c);
    probers_new(c, now_ms);
    runtime_changed(c->pod->runtime);
}

static bool started(const struct container_run *c)
{
    return !c->startup || prober_count(c->startup)->good;
}

static bool failing(const struct prober *p)
{
    return p && prober_count(p)->decided && !prober_count(p)->good;
}

void container_tick(struct container_run *c, int64_t now_ms)
{
    if (c->state != CONTAINER_RUNNING || c->stopping) {
        return;
    }
    if (!started(c)) {
        prober_tick(c->startup, now_ms);
    } else {
        if (c->readiness) {
            prober_tick(c->readiness, now_ms);
        }
        if (c->liveness) {
            prober_tick(c->liveness, now_ms);
        }
    }
    if (failing(c->startup) || failing(c->liveness)) {
        const struct prober *p = failing(c->liveness) ? c->liveness : c->startup;
        AUTO(free)
        char *text = mem_printf("%s probe failed: %s; started again",
                                p == c->liveness ? "liveness" : "startup", prober_detail(p));
        log_file_note(c->log, text);
        kill(c->pid, SIGKILL);
        probers_free(c);
    }
}

bool container_ready(const struct container_run *c)
{
    return c->state == CONTAINER_RUNNING && !c->stopping && started(c) &&
           (!c->spec->readiness || (c->readiness && prober_count(c->readiness)->good));
}

void container_stop(struct container_run *c, int signo)
{
    c->stopping = true;
    if (c->pid > 0) {
        kill(c->pid, signo);
    }
}

void container_describe(const struct container_run *c, char *out, size_t size)
{
    const char *detail = "";
    out[0] = '\0';
    if (c->reason) {
        snprintf(out, size, "%s", c->reason);
        return;
    }
    if (c->state != CONTAINER_RUNNING || container_ready(c)) {
        return;
    }
    const struct prober *p = started(c) ? c->readiness : c->startup;
    detail = p ? prober_detail(p) : "";
    snprintf(out, size, "container \"%.*s\": %s probe: %s", STR_ARG(c->spec->name),
             started(c) ? "readiness" : "startup", detail[0] ? detail : "not answered yet");
}
