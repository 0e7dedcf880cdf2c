/* Keeping the issuer like the Secret. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/ca_internal.h"
#include "kube/watch.h"

struct ca_follower {
    struct ca_follow_options o;
    struct kube_watch *watch;
    struct issuer *target; /* what the Secret says, while the issuer isn't like it; else NULL */
    struct loop_timer *timer;
    char *problem;
    struct stat file; /* as it was offered last */
};

static void tell_problem(struct ca_follower *f, const char *problem)
{
    if (f->problem ? problem && strcmp(f->problem, problem) == 0 : !problem) {
        return;
    }
    free(f->problem);
    f->problem = problem ? mem_strdup(problem) : NULL;
    f->o.on_problem(f->o.arg, problem);
}

static void drop_target(struct ca_follower *f)
{
    loop_timer_free(f->timer);
    f->timer = NULL;
    issuer_free(f->target);
    f->target = NULL;
}

static void wait_for(struct ca_follower *f, int64_t ms, void (*step)(void *arg))
{
    loop_timer_free(f->timer);
    f->timer = loop_timer_new(f->o.loop, ms, false, step, f);
}

static void distrust_step(void *arg)
{
    struct ca_follower *f = arg;
    bool changed = issuer_distrust_as(f->o.issuer, f->target);
    drop_target(f);
    if (changed) {
        log_event(LOG_INFO, "the old root isn't trusted any more", NULL);
        f->o.on_change(f->o.arg);
    }
}

static void sign_step(void *arg)
{
    struct ca_follower *f = arg;
    if (issuer_sign_as(f->o.issuer, f->target)) {
        log_event(LOG_INFO, "the new root signs", NULL);
        f->o.on_change(f->o.arg);
    }
    wait_for(f, f->o.overlap_ms, distrust_step);
}

static bool same_roots(struct issuer *a, struct issuer *b)
{
    AUTO(blob_unref) struct blob *x = issuer_roots(a);
    AUTO(blob_unref) struct blob *y = issuer_roots(b);
    return str_eq(blob_str(x), blob_str(y));
}

/* Whatever stood in the Secret before, what stands there now is where we go. */
static void go_to(struct ca_follower *f, struct issuer *target)
{
    drop_target(f);
    f->target = target;
    bool same_signer = str_eq(issuer_id(f->o.issuer), issuer_id(target));
    if (issuer_trust_as(f->o.issuer, target)) {
        log_event(LOG_INFO, "another root is trusted", NULL);
        f->o.on_change(f->o.arg);
    }
    if (same_signer && !same_roots(f->o.issuer, target)) {
        char seconds[24];
        snprintf(seconds, sizeof(seconds), "%lld", (long long)f->o.overlap_ms / 1000);
        log_event(LOG_INFO, "the old root goes", "in_seconds", seconds, NULL);
    }
    if (same_signer) {
        wait_for(f, f->o.overlap_ms, distrust_step);
    } else {
        wait_for(f, f->o.trust_ms, sign_step);
    }
}

void ca_offer(struct ca_follower *f, const struct value *secret)
{
    AUTO(free) char *name = ca_title(f->o.flags);
    if (!secret) {
        AUTO(free)
        char *gone = mem_printf("%s was deleted: the root is in the memory of the control plane "
                                "only; put the Secret back from a backup before it restarts",
                                name);
        tell_problem(f, gone);
        return;
    }
    struct issuer_options o = ca_issuer_options(f->o.flags);
    struct issuer *target = NULL;
    struct err e = ERR_INIT;
    if (issuer_from_secret(secret, name, &o, clock_wall_s(), &target, &e) < 0) {
        tell_problem(f, e.text);
        return;
    }
    tell_problem(f, NULL);
    go_to(f, target);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void ca_offer_file(struct ca_follower *f, const char *path)
{
    struct stat now = {0};
    struct issuer_options o = ca_issuer_options(f->o.flags);
    struct issuer *target = NULL;
    struct err e = ERR_INIT;
    stat(path, &now); /* of one that isn't there the loading tells */
    if (same_file(&now, &f->file)) {
        return;
    }
    f->file = now;
    if (issuer_load(path, &o, clock_wall_s(), &target, &e) < 0) {
        tell_problem(f, e.text);
        return;
    }
    tell_problem(f, NULL);
    go_to(f, target);
}

static void on_object(void *arg, const struct value *object)
{
    ca_offer(arg, object);
}

static void on_gone(void *arg, struct str namespace, struct str name)
{
    ca_offer(arg, NULL);
}

static void on_batch(void *arg)
{
}

static void on_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    struct ca_follower *f = arg;
    if (state == KUBE_WATCH_DENIED) {
        tell_problem(f, e->text);
    }
}

static void start_watch(struct ca_follower *f)
{
    AUTO(arena_free) struct arena *a = arena_new(512);
    const struct daemon_flags *flags = f->o.flags;
    AUTO(free) char *field = mem_printf("metadata.name=%s", flags->ca_bundle_secret_name);
    struct kube_watch_options o = {
        .client = f->o.client,
        .path = kube_path(a, KIND_SECRET, str_of(flags->osm_namespace), (struct str){0}, NULL),
        .field_selector = field,
        .on_object = on_object,
        .on_gone = on_gone,
        .on_batch = on_batch,
        .on_state = on_state,
        .arg = f};
    f->watch = kube_watch_start(&o);
}

struct ca_follower *ca_follow(const struct ca_follow_options *options)
{
    struct ca_follower *f = NEW(struct ca_follower);
    f->o = *options;
    f->o.trust_ms = options->trust_ms ? options->trust_ms : CA_TRUST_MS;
    f->o.overlap_ms = options->overlap_ms ? options->overlap_ms : CA_OVERLAP_MS;
    if (options->client) {
        start_watch(f);
    }
    return f;
}

void ca_follower_free(struct ca_follower *f)
{
    if (!f) {
        return;
    }
    if (f->watch) {
        kube_watch_free(f->watch);
    }
    drop_target(f);
    free(f->problem);
    free(f);
}
