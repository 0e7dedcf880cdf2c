/* The certificates in sidecars' Secrets follow the mesh's roots.
 *
 * Roots that all sidecars know are noted in the webhook's configuration (a mark): so a change is
 * also seen by an injector that didn't run at the time. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/injector.h"

#define ASK_AGAIN_MS 10000

static char *mark_of(struct injector *i)
{
    AUTO(arena_free) struct arena *a = arena_new(256);
    struct str mark = renewal_mark(a, i->issuer);
    return mem_memdup(mark.ptr, mark.len);
}

static void renew_if_new(struct injector *i)
{
    char *mark = mark_of(i);
    if (i->marked && strcmp(i->marked, mark) == 0) {
        free(mark);
        return;
    }
    free(i->renewing);
    i->renewing = mark;
    renewal_start(i->renewal);
}

static void on_renewed(void *arg, size_t renewed)
{
    struct injector *i = arg;
    char count[24];
    snprintf(count, sizeof(count), "%zu", renewed);
    log_event(LOG_INFO, "sidecars have certificates of today's roots", "renewed", count, NULL);
    free(i->marked);
    i->marked = TAKE(i->renewing);
    daemon_webhook_mark(i->webhook, i->marked);
}

static void on_renewal_problem(void *arg, const struct err *e)
{
    log_event(LOG_ERROR, "a sidecar's certificate can't be renewed; trying again", "reason",
              e->text, "error_code", "E4018", NULL);
}

static void ask_mark(void *arg);

static void on_mark(void *arg, int status, struct value *object, const struct err *e)
{
    struct injector *i = arg;
    i->asking = NULL;
    if (status < 0 || (status >= 400 && status != 404)) {
        log_event(LOG_WARN, "the webhook's configuration can't be read; trying again", "reason",
                  e->text, NULL);
        loop_timer_free(i->ask_again);
        i->ask_again = loop_timer_new(i->loop, ASK_AGAIN_MS, false, ask_mark, i);
        return;
    }
    const struct value *mark =
        status == 404
            ? NULL
            : value_member(value_at(object, "metadata.annotations"), WEBHOOK_MARK_ANNOTATION);
    if (mark && mark->type == VALUE_STRING) {
        free(i->marked);
        i->marked = mem_memdup(mark->string.ptr, mark->string.len);
        daemon_webhook_mark(i->webhook, i->marked);
    }
    i->mark_known = true;
    daemon_webhook_write(i->webhook, true);
    renew_if_new(i);
}

static void ask_mark(void *arg)
{
    struct injector *i = arg;
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct kube_request q = {.path = kube_path_of(a, WEBHOOK_GROUP_VERSION, WEBHOOK_MUTATING_PLURAL,
                                                  STR(""), str_of(i->flags->webhook_config_name),
                                                  NULL, NULL)};
    i->asking = kube_start(i->client, &q, on_mark, i);
}

void injector_roots_changed(void *arg)
{
    struct injector *i = arg;
    if (i->webhook) {
        daemon_webhook_roots_changed(i->webhook, clock_wall_s());
    }
    if (i->mark_known) {
        renew_if_new(i);
    }
}

void injector_renewal_start(struct injector *i)
{
    struct renewal_options o = {.client = i->client,
                                .issuer = i->issuer,
                                .loop = i->loop,
                                .on_done = on_renewed,
                                .on_problem = on_renewal_problem,
                                .arg = i};
    i->renewal = renewal_new(&o);
    ask_mark(i);
}

void injector_renewal_stop(struct injector *i)
{
    if (i->asking) {
        kube_cancel(i->asking);
    }
    loop_timer_free(i->ask_again);
    renewal_free(i->renewal);
    free(i->marked);
    free(i->renewing);
}
