/* Makes and ends pods until they are those that the store asks for. */
#include <stdio.h>
#include <string.h>

#include "inject/inject.h"
#include "local/internal.h"
#include "local/podspec.h"
#include "local/workloads.h"

/* Pods of one workload: enough for a manifest with a typing mistake not to start a storm. */
enum { PODS_MAX = 500 };

struct want {
    struct pod_owner owner;
    struct workload_want want;
    struct str subdomain;
    char *key; /* "Deployment/ns/name" */
};

static bool want_of(const struct object *o, struct want *ret)
{
    if (!pod_owner_of(o, &ret->owner)) {
        return false;
    }
    ret->subdomain = STR("");
    ret->want = (struct workload_want){.type = WORKLOAD_POD, .replicas = 1};
    if (o->kind == KIND_DEPLOYMENT) {
        ret->want = (struct workload_want){.type = WORKLOAD_DEPLOYMENT,
                                           .replicas = ((const struct deployment *)o)->replicas};
    } else if (o->kind == KIND_STATEFUL_SET) {
        const struct stateful_set *s = (const struct stateful_set *)o;
        ret->want = (struct workload_want){.type = WORKLOAD_STATEFUL_SET, .replicas = s->replicas};
        ret->subdomain = s->service_name;
    } else if (o->kind == KIND_JOB) {
        const struct job *j = (const struct job *)o;
        ret->want = (struct workload_want){.type = WORKLOAD_JOB,
                                           .replicas = j->parallelism,
                                           .completions = j->completions,
                                           .backoff_limit = j->backoff_limit};
    }
    ret->want.replicas = ret->want.replicas < PODS_MAX ? ret->want.replicas : PODS_MAX;
    return true;
}

static int ordinal_of(const struct pod_run *p)
{
    const char *dash = strrchr(p->key, '-');
    return dash ? atoi(dash + 1) : 0;
}

static void refuse(struct runtime *r, const char *owner, const char *text)
{
    char *old = map_find(&r->refusals, str_of(owner));
    if (!text) {
        free(map_remove(&r->refusals, str_of(owner)));
    } else if (!old || strcmp(old, text) != 0) {
        log_event(LOG_ERROR, "pod can't be made", "workload", owner, "reason", text, NULL);
        free(map_put(&r->refusals, str_of(owner), mem_strdup(text)));
    }
}

static int make_pod(struct runtime *r, const struct want *w, int ordinal, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(65536);
    char uid[37];
    inject_uuid(uid);
    struct str name = pod_name_new(a, &w->owner, ordinal);
    AUTO(free) char *key = mem_printf("%.*s/%.*s", STR_ARG(w->owner.namespace), STR_ARG(name));
    AUTO(free) char *shown = mem_printf("%s/%.*s", w->owner.kind, STR_ARG(w->owner.name));
    if (runtime_pod(r, str_of(key))) {
        return err_set(e, "pod %s: there is one of that name, of another workload", key);
    }
    struct value *document = pod_document(a, &w->owner, name, str_of(uid), w->subdomain);
    struct pod_run *pod;
    if (pod_new(r, w->key, shown, w->owner.hash, document, &pod, e) < 0) {
        return -1;
    }
    log_event(LOG_INFO, "pod made", "pod", pod->key, "ip", pod->ip4, NULL);
    VEC_PUSH(r->pods, pod);
    return 0;
}

static void reconcile_one(struct runtime *r, const struct want *w, int64_t now)
{
    VEC(struct member_pod) members = {0};
    VEC(struct pod_run *) pods = {0};
    VEC_EACH(r->pods, p) {
        if (strcmp((*p)->owner, w->key) == 0) {
            VEC_PUSH(pods, *p);
            VEC_PUSH(members, (struct member_pod){.current = (*p)->owner_hash == w->owner.hash,
                                                  .ready = (*p)->ready,
                                                  .ending = (*p)->phase == POD_ENDING,
                                                  .done = (*p)->phase == POD_DONE,
                                                  .succeeded = (*p)->succeeded,
                                                  .ordinal = ordinal_of(*p)});
        }
    }
    int64_t make = workload_decide(&w->want, members.at, members.len);
    for (size_t i = 0; i < pods.len; i++) {
        if (members.at[i].end) {
            pod_end(pods.at[i], now);
        }
    }
    struct err e = ERR_INIT;
    int result = 0;
    while (result == 0 && make-- > 0) {
        int ordinal = workload_free_ordinal(members.at, members.len);
        result = make_pod(r, w, ordinal, &e);
        VEC_PUSH(members, (struct member_pod){.ordinal = ordinal});
    }
    refuse(r, w->key, result < 0 ? e.text : NULL);
    VEC_DONE(members);
    VEC_DONE(pods);
}

struct pass {
    struct runtime *runtime;
    int64_t now;
    struct map seen;
};

static void on_object(void *arg, struct object *o)
{
    struct pass *pass = arg;
    struct want w;
    if (want_of(o, &w)) {
        w.key = mem_printf("%s/%.*s/%.*s", w.owner.kind, STR_ARG(w.owner.namespace),
                           STR_ARG(w.owner.name));
        map_put(&pass->seen, str_of(w.key), pass);
        reconcile_one(pass->runtime, &w, pass->now);
        free(w.key);
    }
}

void workloads_reconcile(struct runtime *r, int64_t now_ms)
{
    static const enum kind kinds[] = {KIND_DEPLOYMENT, KIND_STATEFUL_SET, KIND_JOB, KIND_POD};
    struct pass pass = {.runtime = r, .now = now_ms};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        store_each(r->store, kinds[i], on_object, &pass);
    }
    VEC_EACH(r->pods, p) {
        if (!map_has(&pass.seen, str_of((*p)->owner))) {
            pod_end(*p, now_ms);
        }
    }
    MAP_EACH(&r->refusals, it) {
        if (!map_has(&pass.seen, it.key)) {
            free(map_remove(&r->refusals, it.key));
        }
    }
    map_done(&pass.seen, NULL);
}
