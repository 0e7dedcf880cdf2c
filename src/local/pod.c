/* One pod on this machine: what it does next. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "local/admin.h"
#include "local/internal.h"

static void set_reason(struct pod_run *p, const char *text)
{
    if ((text && p->reason && strcmp(text, p->reason) == 0) || (!text && !p->reason)) {
        return;
    }
    free(p->reason);
    p->reason = text ? mem_strdup(text) : NULL;
    runtime_changed(p->runtime);
}

static bool never_restarts(const struct pod_run *p, const struct container_run *c)
{
    struct str policy = p->pod->spec->restart_policy;
    return str_is(policy, "Never") || (str_is(policy, "OnFailure") && c->exit_code == 0);
}

static void finish(struct pod_run *p, bool succeeded)
{
    p->succeeded = succeeded;
    p->phase = POD_DONE;
    VEC_EACH(p->containers, c) {
        container_stop(*c, SIGTERM);
    }
    sandbox_kill(&p->sandbox);
    runtime_changed(p->runtime);
}

static void step_new(struct pod_run *p, int64_t now)
{
    struct err e = ERR_INIT;
    if (now < p->backoff.next || p->sandbox_alive) {
        return;
    }
    if (pod_start_sandbox(p, &e) < 0) {
        backoff_failed(&p->backoff, now, 0);
        set_reason(p, e.text);
        return;
    }
    set_reason(p, NULL);
    p->phase = POD_INIT;
}

/* An init container that is a sidecar (restartPolicy: Always) runs on beside the others. */
static bool runs_on(const struct container_run *c)
{
    return str_is(c->spec->restart_policy, "Always");
}

static void step_init(struct pod_run *p, int64_t now)
{
    while (p->init_at < p->init.len) {
        struct container_run *c = p->init.at[p->init_at];
        bool over = c->state == CONTAINER_EXITED && c->started_once;
        if (runs_on(c) ? c->state == CONTAINER_RUNNING : over && c->exit_code == 0) {
            p->init_at++;
            continue;
        }
        if (over && str_is(p->pod->spec->restart_policy, "Never") && !runs_on(c)) {
            finish(p, false);
            return;
        }
        container_start(c, now);
        return;
    }
    p->phase = p->sidecar ? POD_SIDECAR : POD_RUNNING;
    runtime_changed(p->runtime);
}

static void step_sidecar(struct pod_run *p, int64_t now)
{
    container_start(p->sidecar, now);
    bool ready = p->sidecar->state == CONTAINER_RUNNING && admin_ready(p->admin, now);
    if (ready != p->sidecar_ready) {
        p->sidecar_ready = ready;
        runtime_changed(p->runtime);
    }
    if (ready && p->phase == POD_SIDECAR) {
        p->phase = POD_RUNNING;
    }
}

/* Starts what should run; a pod whose containers are all over for good is done. */
static void step_running(struct pod_run *p, int64_t now)
{
    bool over = true, succeeded = true;
    VEC_EACH(p->init, c) {
        if (runs_on(*c)) {
            container_start(*c, now);
        }
        container_tick(*c, now);
    }
    VEC_EACH(p->containers, c) {
        if (*c == p->sidecar) {
            continue;
        }
        if ((*c)->state == CONTAINER_EXITED && never_restarts(p, *c)) {
            succeeded = succeeded && (*c)->exit_code == 0;
            continue;
        }
        over = false;
        container_start(*c, now);
        container_tick(*c, now);
    }
    if (over && p->containers.len > (p->sidecar != NULL)) {
        finish(p, succeeded);
    }
}

static bool apps_running(const struct pod_run *p)
{
    VEC_EACH(p->containers, c) {
        if (*c != p->sidecar && (*c)->state == CONTAINER_RUNNING) {
            return true;
        }
    }
    return false;
}

/* The sidecar ends after those who talk through it. */
static void step_ending(struct pod_run *p, int64_t now)
{
    bool apps = apps_running(p);
    if (!apps && p->sidecar && !p->sidecar->stopping) {
        container_stop(p->sidecar, SIGTERM);
    }
    bool sidecar = p->sidecar && p->sidecar->state == CONTAINER_RUNNING;
    if (p->sandbox_alive && ((!apps && !sidecar) || now >= p->kill_at_ms)) {
        sandbox_kill(&p->sandbox);
    }
    if (!p->sandbox_alive && !apps && !sidecar) {
        p->phase = POD_GONE;
        runtime_changed(p->runtime);
    }
}

/* Somebody killed the process that holds the namespaces: all of the pod went with it. */
static void start_over(struct pod_run *p, int64_t now)
{
    log_event(LOG_WARN, "pod lost its namespaces, starting it again", "pod", p->key, NULL);
    pod_free_containers(p);
    p->sidecar = NULL;
    pod_add_containers(p);
    p->init_at = 0;
    p->sidecar_ready = false;
    p->phase = POD_NEW;
    backoff_failed(&p->backoff, now, 0);
}

static bool is_ready(const struct pod_run *p)
{
    if (p->phase != POD_RUNNING || (p->sidecar && !p->sidecar_ready)) {
        return false;
    }
    VEC_EACH(p->containers, c) {
        if (!container_ready(*c)) {
            return false;
        }
    }
    return true;
}

static void step(struct pod_run *p, int64_t now_ms)
{
    if (!p->sandbox_alive && p->phase > POD_NEW && p->phase < POD_ENDING) {
        start_over(p, now_ms);
    }
    switch (p->phase) {
    case POD_NEW:
        step_new(p, now_ms);
        break;
    case POD_INIT:
        step_init(p, now_ms);
        break;
    case POD_SIDECAR:
        step_sidecar(p, now_ms);
        break;
    case POD_RUNNING:
        if (p->sidecar) {
            step_sidecar(p, now_ms);
        }
        step_running(p, now_ms);
        break;
    case POD_ENDING:
        step_ending(p, now_ms);
        break;
    case POD_DONE:
    case POD_GONE:
        break;
    }
}

/* Probes answer at any time; others are told at the next step. */
void pod_step(struct pod_run *p, int64_t now_ms)
{
    step(p, now_ms);
    bool ready = is_ready(p);
    if (ready != p->ready) {
        p->ready = ready;
        runtime_changed(p->runtime);
    }
}

void pod_end(struct pod_run *p, int64_t now_ms)
{
    if (p->phase >= POD_ENDING) {
        p->phase = p->phase == POD_DONE ? POD_GONE : p->phase;
        return;
    }
    p->phase = POD_ENDING;
    p->kill_at_ms = now_ms + p->pod->spec->termination_grace_s * 1000;
    VEC_EACH(p->containers, c) {
        if (*c != p->sidecar) {
            container_stop(*c, SIGTERM);
        }
    }
    VEC_EACH(p->init, c) {
        container_stop(*c, SIGTERM);
    }
    runtime_changed(p->runtime);
}

void pod_retry(struct pod_run *p)
{
    backoff_reset(&p->backoff);
    VEC_EACH(p->init, c) {
        backoff_reset(&(*c)->backoff);
    }
    VEC_EACH(p->containers, c) {
        backoff_reset(&(*c)->backoff);
    }
}

void pod_kill(struct pod_run *p)
{
    sandbox_kill(&p->sandbox);
}

/* --- what others see --- */

struct pod_view pod_view(const struct pod_run *p)
{
    const char *phase = p->phase == POD_DONE      ? (p->succeeded ? "Succeeded" : "Failed")
                        : p->phase >= POD_RUNNING ? "Running"
                                                  : "Pending";
    bool over = p->phase == POD_DONE || p->phase == POD_GONE;
    return (struct pod_view){.pod = p->pod,
                             .ip4 = over ? "" : p->ip4,
                             .ip6 = over ? "" : p->ip6,
                             .ready = p->ready,
                             .ending = p->phase == POD_ENDING,
                             .phase = phase};
}

static bool describe(const struct container_run *c, char *out, size_t size)
{
    container_describe(c, out, size);
    return out[0] != '\0';
}

void pod_describe(const struct pod_run *p, char *out, size_t size)
{
    out[0] = '\0';
    if (p->reason) {
        snprintf(out, size, "%s", p->reason);
        return;
    }
    if (p->phase >= POD_ENDING) {
        snprintf(out, size, "%s",
                 p->phase == POD_DONE ? (p->succeeded ? "completed" : "failed") : "ending");
    }
    for (size_t i = 0; p->phase == POD_INIT && i < p->init.len; i++) {
        if (describe(p->init.at[i], out, size)) {
            return;
        }
    }
    VEC_EACH(p->containers, c) {
        if (p->phase < POD_ENDING && describe(*c, out, size)) {
            return;
        }
    }
    if (p->phase == POD_INIT && p->init_at < p->init.len) {
        snprintf(out, size, "init container \"%.*s\" runs",
                 STR_ARG(p->init.at[p->init_at]->spec->name));
    } else if (p->phase == POD_SIDECAR) {
        snprintf(out, size, "waiting until the sidecar has its configuration");
    } else if (p->phase == POD_NEW) {
        snprintf(out, size, "starting");
    } else if (p->phase == POD_RUNNING && p->sidecar && !p->sidecar_ready) {
        snprintf(out, size, "the sidecar doesn't answer");
    }
}
