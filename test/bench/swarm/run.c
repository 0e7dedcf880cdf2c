/* Marks, figures, and waiting for the proxies. */
#include "run.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static int64_t own_cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

struct mark run_mark(const struct run *r)
{
    return (struct mark){usage_cpu(r->controlled.pid), proxy_counts, link_bytes_total(),
                         r->fleet.lost, own_cpu_ns()};
}

void run_say_head(const struct run *r, const char *what)
{
    static const char *const policies[] = {"smi", "permissive", "hot"};
    printf("{\"what\": \"%s\", \"policy\": \"%s\", \"services\": %d, \"proxies\": %d", what,
           policies[r->o.world.policy], r->o.world.services, r->fleet.n);
}

void run_say(const char *name, double value)
{
    printf(", \"%s\": %.10g", name, value);
}

void run_say_end(void)
{
    printf("}\n");
    fflush(stdout);
}

void run_say_since(const struct run *r, const struct mark *m)
{
    struct mark now = run_mark(r);
    run_say("cpu_ms", (double)(now.cpu.all_ns - m->cpu.all_ns) / 1e6);
    run_say("brain_ms", (double)(now.cpu.first_ns - m->cpu.first_ns) / 1e6);
    run_say("swarm_cpu_ms", (double)(now.own_ns - m->own_ns) / 1e6);
    run_say("bytes", (double)(now.bytes - m->bytes));
    for (int t = 0; t < XDS_TYPES; t++) {
        char name[16];
        snprintf(name, sizeof(name), "%s_bytes", xds_type_name((enum xds_type)t));
        run_say(name, (double)(now.counts.bytes[t] - m->counts.bytes[t]));
    }
    run_say("responses", (double)(now.counts.responses - m->counts.responses));
    run_say("resources", (double)(now.counts.resources - m->counts.resources));
    run_say("lost", (double)(now.lost - m->lost));
    if (now.lost > m->lost) {
        printf(", \"why_lost\": \"%s\"", r->fleet.why_lost);
    }
}

void run_say_spread(struct spread s)
{
    run_say("received", (double)s.n);
    run_say("first_ms", s.first_ms);
    run_say("p50_ms", s.p50_ms);
    run_say("p99_ms", s.p99_ms);
    run_say("max_ms", s.max_ms);
}

void run_say_memory(const struct run *r)
{
    run_say("rss_kib", (double)usage_memory(r->controlled.pid, "VmRSS"));
    run_say("rss_peak_kib", (double)usage_memory(r->controlled.pid, "VmHWM"));
    run_say("open", fleet_open_count(&r->fleet));
}

static void say_pending(struct run *r, const char *what)
{
    char first[512] = "";
    fleet_say_pending(&r->fleet, first, sizeof(first));
    fprintf(stderr, "%s: %d of %d proxies don't hold what they should; %s (%llu lost: %s)\n", what,
            r->fleet.pending, r->fleet.n, first, (unsigned long long)r->fleet.lost,
            r->fleet.why_lost);
}

bool run_settle(struct run *r, const char *what)
{
    if (fleet_settle(&r->fleet, r->o.patience_s * INT64_C(1000))) {
        return true;
    }
    r->failures++;
    if (proxy_counts.wrong == 0) {
        say_pending(r, what);
    }
    return false;
}

void run_at_rest(struct run *r)
{
    if (r->fleet.pending > 0 && r->failures == 0 && !r->disconnected) {
        r->failures++;
        say_pending(r, "at the end");
    }
}

struct mark run_begin_change(struct run *r, int *hear)
{
    oracle_build(r->oracle);
    *hear = fleet_expect(&r->fleet);
    fleet_idle(&r->fleet, 20);
    struct mark m = run_mark(r);
    fleet_begin(&r->fleet);
    return m;
}

void run_must_hear(struct run *r, const char *what, int hear)
{
    if (hear == 0) {
        r->failures++;
        fprintf(stderr, "%s: nobody has to hear of it: the change changes nothing\n", what);
    }
}

static void remember_push(struct run *r, const char *what, int hear, uint64_t bytes)
{
    int i = 0;
    while (i < r->n_pushes && strcmp(r->pushes[i].what, what) != 0) {
        i++;
    }
    ASSERT(i < PUSHES_MAX);
    r->n_pushes += i == r->n_pushes;
    r->pushes[i] = (struct push){what, hear, bytes / (uint64_t)hear};
}

void run_end_change(struct run *r, const char *what, const struct mark *m, int hear, bool alone,
                    int bad)
{
    run_settle(r, what);
    struct spread s = fleet_spread(&r->fleet);
    double push_ms = (double)(usage_cpu(r->controlled.pid).all_ns - m->cpu.all_ns) / 1e6;
    link_hold_answers(false);
    fleet_idle(&r->fleet, QUIET_MS);
    if (hear > 0 && bad < 0) {
        remember_push(r, what, hear, link_bytes_total() - m->bytes);
    }
    run_say_head(r, what);
    run_say("hear", hear);
    run_say_spread(s);
    if (alone) {
        run_say("push_cpu_ms", push_ms);
    }
    if (bad >= 0) {
        run_say("bad", bad);
    }
    run_say_since(r, m);
    run_say_end();
}
