/* Measures the controller with many simulated proxies and writes a line of JSON for each figure.
 * See usage below; test/bench/scale.py runs it and makes tables of what it says. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "steps.h"

/* Besides the connections: listeners, inotify, files that are being read. */
enum { SPARE_DESCRIPTORS = 128 };

static const char usage[] =
    "usage: swarm --controller PROGRAM [options]\n"
    "\n"
    "  --policy smi|permissive|hot   who may call whom (smi)\n"
    "  --services N                  (100)\n"
    "  --pods N                      of each service, each with a proxy (10)\n"
    "  --hot N                       pods of service 0 (0: as the others)\n"
    "  --shards N                    threads of the controller and of the floor (2)\n"
    "  --delta X                     share of proxies that speak the delta protocol (1)\n"
    "  --resume                      proxies resume their TLS sessions\n"
    "  --rounds N                    of each change (10)\n"
    "  --steps A,B,...               what to do, in this order, after all have connected:\n"
    "                                endpoint weight target config service workload tenth\n"
    "                                certificate root known fresh (all reconnect)\n"
    "                                slow window refuse drop (an endpoint by turns without and\n"
    "                                beside proxies that read nothing, grant no window, refuse\n"
    "                                all, hang up) unread unread_window (changes while some read\n"
    "                                nothing, grant no window; not of smi) churn\n"
    "                                rest floor (the last: all disconnect)\n"
    "  --bad N                       proxies that are slow, refuse, hang up (100); those that\n"
    "                                read nothing need a world of 200 services\n"
    "  --pairs N                     rounds without and beside them (20)\n"
    "  --churn N                     pods replaced in that step (60% of all)\n"
    "  --patience S                  how long a thing may take until it counts as failed (90)\n"
    "  --keep                        leave the folder with manifests and log\n";

static bool step(struct run *r, const char *name)
{
    if (strcmp(name, "known") == 0 || strcmp(name, "fresh") == 0) {
        step_reconnect(r, name[0] == 'k');
    } else if (strcmp(name, "slow") == 0) {
        step_beside_blocked(r, "beside_slow", LINK_LEAVES);
    } else if (strcmp(name, "window") == 0) {
        step_beside_blocked(r, "beside_no_window", LINK_NO_WINDOW);
    } else if (strcmp(name, "unread") == 0) {
        step_unread(r, "unread", LINK_LEAVES);
    } else if (strcmp(name, "unread_window") == 0) {
        step_unread(r, "unread_no_window", LINK_NO_WINDOW);
    } else if (strcmp(name, "refuse") == 0) {
        step_beside(r, "beside_refusing", BAD_REFUSES);
    } else if (strcmp(name, "drop") == 0) {
        step_beside(r, "beside_dropping", BAD_DROPS);
    } else if (strcmp(name, "certificate") == 0) {
        step_certificate(r);
    } else if (strcmp(name, "root") == 0) {
        step_root(r);
    } else if (strcmp(name, "churn") == 0) {
        step_churn(r);
    } else if (strcmp(name, "workload") == 0) {
        step_workload(r);
    } else if (strcmp(name, "rest") == 0) {
        step_rest(r, "rest");
    } else if (strcmp(name, "floor") == 0) {
        step_floor(r);
    } else {
        return step_changes(r, name);
    }
    return true;
}

static void begin(struct run *r)
{
    world_init(&r->o.world);
    controlled_prepare(&r->controlled, &r->o.world);
    r->controlled.moves_clock = strstr(r->o.steps, "certificate") || strstr(r->o.steps, "root");
    AUTO(free) char *ca = controlled_ca_file(&r->controlled);
    certs_open(ca);
    r->oracle = oracle_new(certs_issuer());
    struct buf b;
    buf_init(&b, 64u << 20);
    world_write_base(&r->o.world, &b);
    for (int i = 0; i < r->o.world.services; i++) {
        world_write_service(&r->o.world, i, &b);
    }
    oracle_put(r->oracle, buf_str(&b));
    buf_done(&b);
    oracle_build(r->oracle);
    int64_t began = clock_mono_us();
    controlled_start(&r->controlled, r->o.controller, r->o.shards);
    double ready_ms = (double)(clock_mono_us() - began) / 1000;
    fleet_init(&r->fleet, &r->o.world, r->oracle, r->controlled.port, r->o.delta, r->o.resume);
    fleet_expect(&r->fleet);
    struct usage_cpu cpu = usage_cpu(r->controlled.pid);
    run_say_head(r, "ready");
    run_say("max_ms", ready_ms);
    run_say("cpu_ms", (double)cpu.all_ns / 1e6);
    run_say_memory(r);
    run_say_end();
    malloc_trim(0);
}

static int end(struct run *r)
{
    run_at_rest(r);
    r->failures += !controlled_stop(&r->controlled);
    run_say_head(r, "verified");
    run_say("responses", (double)proxy_counts.responses);
    run_say("resources", (double)proxy_counts.resources);
    run_say("wrong", (double)proxy_counts.wrong);
    run_say("failures", r->failures);
    run_say("swarm_rss_kib", (double)usage_memory(getpid(), "VmHWM"));
    run_say_end();
    if (proxy_counts.wrong > 0) {
        fprintf(stderr, "wrong: %llu, the first: %s\n", (unsigned long long)proxy_counts.wrong,
                proxy_counts.first_wrong);
    }
    fleet_done(&r->fleet);
    world_done(&r->o.world);
    oracle_free(r->oracle);
    if (r->o.keep) {
        fprintf(stderr, "kept: %s\n", r->controlled.folder);
    }
    controlled_done(&r->controlled, r->o.keep);
    return r->failures > 0 || proxy_counts.wrong > 0;
}

static bool set_policy(struct options *o, const char *name)
{
    static const char *const names[] = {"smi", "permissive", "hot"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            o->world.policy = (enum world_policy)i;
            return true;
        }
    }
    return false;
}

static bool set_option(struct options *o, int option)
{
    int *const numbers[] = {['s'] = &o->world.services, ['p'] = &o->world.per_service,
                            ['h'] = &o->world.hot_pods, ['S'] = &o->shards,
                            ['r'] = &o->rounds,         ['b'] = &o->bad,
                            ['i'] = &o->pairs,          ['n'] = &o->churn,
                            ['w'] = &o->patience_s};
    switch (option) {
    case 'c':
        o->controller = optarg;
        return true;
    case 'y':
        return set_policy(o, optarg);
    case 'd':
        o->delta = atof(optarg);
        return true;
    case 't':
        o->steps = optarg;
        return true;
    case 'R':
        o->resume = true;
        return true;
    case 'k':
        o->keep = true;
        return true;
    case '?':
        return false;
    default:
        *numbers[option] = atoi(optarg);
        return *numbers[option] >= 0;
    }
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"controller", 1, NULL, 'c'}, {"policy", 1, NULL, 'y'},
                                          {"services", 1, NULL, 's'},   {"pods", 1, NULL, 'p'},
                                          {"hot", 1, NULL, 'h'},        {"shards", 1, NULL, 'S'},
                                          {"rounds", 1, NULL, 'r'},     {"bad", 1, NULL, 'b'},
                                          {"pairs", 1, NULL, 'i'},      {"churn", 1, NULL, 'n'},
                                          {"patience", 1, NULL, 'w'},   {"delta", 1, NULL, 'd'},
                                          {"steps", 1, NULL, 't'},      {"resume", 0, NULL, 'R'},
                                          {"keep", 0, NULL, 'k'},       {0}};
    *o = (struct options){.world = {.services = 100, .per_service = 10},
                          .steps = "",
                          .shards = 2,
                          .rounds = 10,
                          .bad = 100,
                          .pairs = 20,
                          .patience_s = 90,
                          .delta = 1};
    int option;
    bool ok = true;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        ok = ok && set_option(o, option);
    }
    return ok && o->controller && optind == argc && o->world.services > 0;
}

/* A connection each, here and in the controller, which inherits the limit. */
static bool raise_descriptors(const struct world *w)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)world_proxies(w) + SPARE_DESCRIPTORS;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur >= need) {
        return true;
    }
    limit.rlim_cur = need;
    if (need <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return true;
    }
    fprintf(
        stderr,
        "error: %d proxies need %llu descriptors in a process, the hard limit is %llu: raise it "
        "(ulimit -Hn), or take fewer --services or --pods\n",
        world_proxies(w), (unsigned long long)need, (unsigned long long)limit.rlim_max);
    return false;
}

int main(int argc, char **argv)
{
    struct run r = {0};
    if (!parse(argc, argv, &r.o)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!raise_descriptors(&r.o.world)) {
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    begin(&r);
    step_start(&r);
    AUTO(free) char *steps = mem_strdup(r.o.steps);
    char *rest = steps, *name;
    while (r.failures == 0 && proxy_counts.wrong == 0 && (name = strsep(&rest, ","))) {
        if (*name && !step(&r, name)) {
            fprintf(stderr, "error: --steps: there is no step \"%s\"\n", name);
            r.failures++;
        }
    }
    return end(&r);
}
