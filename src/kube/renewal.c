/* An exec plugin's runs on a loop: nothing waits for it but those who need its credential. */
#include "base/clock.h"
#include "kube/internal.h"

enum { END_LOOK_MS = 5 };

struct waiter {
    kube_renewed_fn *fn;
    void *arg;
    bool due; /* its run has ended, and it isn't told yet */
};

struct kube_renewal {
    struct kube_config *config;
    struct loop *loop;
    struct kube_plugin_run *run; /* NULL: none is under way */
    struct loop_watch *output;
    struct loop_timer *limit, *look; /* look: its output is closed */
    VEC(struct waiter) waiters;
    bool telling, freed; /* freed by one who is being told: what is left goes after */
};

struct kube_renewal *kube_renewal_new(struct kube_config *config, struct loop *loop)
{
    struct kube_renewal *r = NEW(struct kube_renewal);
    r->config = config;
    r->loop = loop;
    return r;
}

static void stop_looking(struct kube_renewal *r)
{
    loop_watch_free(r->output);
    loop_timer_free(r->limit);
    loop_timer_free(r->look);
    r->output = NULL;
    r->limit = r->look = NULL;
}

void kube_renewal_free(struct kube_renewal *r)
{
    if (!r) {
        return;
    }
    stop_looking(r);
    kube_plugin_free(TAKE(r->run));
    VEC_DONE(r->waiters);
    r->freed = true;
    if (!r->telling) {
        free(r);
    }
}

void kube_renewal_forget(struct kube_renewal *r, const void *arg)
{
    for (size_t i = r->waiters.len; i-- > 0;) {
        if (r->waiters.at[i].arg == arg) {
            VEC_REMOVE(r->waiters, i);
        }
    }
}

static bool take_due(struct kube_renewal *r, struct waiter *ret)
{
    for (size_t i = 0; i < r->waiters.len; i++) {
        if (r->waiters.at[i].due) {
            *ret = r->waiters.at[i];
            VEC_REMOVE(r->waiters, i);
            return true;
        }
    }
    return false;
}

/* Who is told may forget others, wait for a next run, or free all of this. */
static void tell_waiters(struct kube_renewal *r, const struct err *failed)
{
    struct waiter w;
    VEC_EACH(r->waiters, each) {
        each->due = true;
    }
    r->telling = true;
    while (take_due(r, &w)) {
        w.fn(w.arg, failed);
    }
    r->telling = false;
    if (r->freed) {
        free(r);
    }
}

static void finish(struct kube_renewal *r)
{
    struct kube_plugin_credential fresh = {0};
    struct err e = ERR_INIT;
    stop_looking(r);
    int result = kube_plugin_finish(TAKE(r->run), &fresh, &e);
    if (result == 0) {
        kube_config_take_plugin(r->config, fresh);
    }
    tell_waiters(r, result < 0 ? &e : NULL);
}

static void look(void *arg)
{
    struct kube_renewal *r = arg;
    enum kube_plugin_state state = kube_plugin_look(r->run);
    if (state == KUBE_PLUGIN_OVER) {
        finish(r);
    } else if (state == KUBE_PLUGIN_ENDS && !r->look) {
        loop_watch_free(r->output);
        r->output = NULL;
        r->look = loop_timer_new(r->loop, END_LOOK_MS, true, look, r);
    }
}

static void on_output(void *arg, int events)
{
    look(arg);
}

int kube_renewal_await(struct kube_renewal *r, kube_renewed_fn *fn, void *arg, struct err *e)
{
    if (!r->run && !kube_config_needs_plugin(r->config, clock_wall_s())) {
        return 1;
    }
    if (!r->run) {
        if (kube_plugin_start(r->config, &r->run, e) < 0) {
            return -1;
        }
        r->output = loop_watch_new(r->loop, kube_plugin_output(r->run), LOOP_READ, on_output, r);
        r->limit = loop_timer_new(r->loop, kube_plugin_left_ms(r->run) + 1, false, look, r);
    }
    VEC_PUSH(r->waiters, (struct waiter){fn, arg, false});
    return 0;
}
