/* What a workload needs. */
#include "local/workloads.h"

static int64_t decide_deployment(const struct workload_want *want, struct member_pod *pods,
                                 size_t n)
{
    int64_t current = 0, ready = 0;
    for (size_t i = 0; i < n; i++) {
        if (pods[i].current && !pods[i].ending && !pods[i].done) {
            current++;
            ready += pods[i].ready;
        }
    }
    /* Too many: those that aren't ready first, then the newest. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = n; i-- > 0 && current > want->replicas;) {
            struct member_pod *p = &pods[i];
            if (p->current && !p->ending && !p->done && !p->end && (pass == 1 || !p->ready)) {
                p->end = true;
                current--;
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        pods[i].end = pods[i].end || pods[i].done ||
                      (!pods[i].current && !pods[i].ending && ready >= want->replicas);
    }
    return want->replicas - current;
}

static int64_t decide_stateful_set(const struct workload_want *want, struct member_pod *pods,
                                   size_t n)
{
    int64_t have = 0, ready = 0;
    struct member_pod *old = NULL;
    for (size_t i = 0; i < n; i++) {
        struct member_pod *p = &pods[i];
        if (p->ordinal >= want->replicas || p->done) {
            p->end = true;
        }
        have += p->ordinal < want->replicas;
        ready += p->ready && !p->ending && p->ordinal < want->replicas;
        if (!p->current && !p->ending && !p->end && (!old || p->ordinal > old->ordinal)) {
            old = p;
        }
    }
    if (old && (ready == want->replicas || !old->ready)) {
        old->end = true;
    }
    return want->replicas - have;
}

static int64_t decide_job(const struct workload_want *want, const struct member_pod *pods, size_t n)
{
    int64_t running = 0, succeeded = 0, failed = 0;
    for (size_t i = 0; i < n; i++) {
        running += !pods[i].done && !pods[i].ending;
        succeeded += pods[i].done && pods[i].succeeded;
        failed += pods[i].done && !pods[i].succeeded;
    }
    int64_t left = want->completions - succeeded;
    int64_t slots = left < want->replicas ? left : want->replicas;
    return failed > want->backoff_limit ? 0 : slots - running;
}

int64_t workload_decide(const struct workload_want *want, struct member_pod *pods, size_t n)
{
    int64_t make = 0;
    switch (want->type) {
    case WORKLOAD_DEPLOYMENT:
        make = decide_deployment(want, pods, n);
        break;
    case WORKLOAD_STATEFUL_SET:
        make = decide_stateful_set(want, pods, n);
        break;
    case WORKLOAD_JOB:
        make = decide_job(want, pods, n);
        break;
    case WORKLOAD_POD:
        /* One name, so the old one must be gone before there is a new one. */
        for (size_t i = 0; i < n; i++) {
            pods[i].end = !pods[i].current;
        }
        make = n == 0;
    }
    return make > 0 ? make : 0;
}

int workload_free_ordinal(const struct member_pod *pods, size_t n)
{
    for (int ordinal = 0;; ordinal++) {
        bool taken = false;
        for (size_t i = 0; i < n; i++) {
            taken = taken || pods[i].ordinal == ordinal;
        }
        if (!taken) {
            return ordinal;
        }
    }
}
