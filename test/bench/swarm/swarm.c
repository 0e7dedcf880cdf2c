/* Measures the controller with many simulated proxies and writes a line of JSON for each figure.
 * See the help below; test/bench/scale.py runs it and makes tables of what it says. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/command.h"
#include "steps.h"

/* Besides the connections: listeners, inotify, files that are being read. */
enum { SPARE_DESCRIPTORS = 128 };

/* --- steps --- */

static const struct step steps[] = {
    {"endpoint", step_change},
    {"weight", step_change},
    {"target", step_change},
    {"config", step_change},
    {"service", step_change},
    {"tenth", step_change},
    {"workload", step_workload},
    {"certificate", step_certificate},
    {"root", step_root},
    {"known", step_reconnect, "reconnect_known", .known = true},
    {"fresh", step_reconnect, "reconnect_fresh", .known = false},
    {"slow", step_beside_blocked, "beside_slow", .blocked = LINK_LEAVES},
    {"window", step_beside_blocked, "beside_no_window", .blocked = LINK_NO_WINDOW},
    {"refuse", step_beside, "beside_refusing", .bad = BAD_REFUSES},
    {"drop", step_beside, "beside_dropping", .bad = BAD_DROPS},
    {"unread", step_unread, "unread", .blocked = LINK_LEAVES},
    {"unread_window", step_unread, "unread_no_window", .blocked = LINK_NO_WINDOW},
    {"churn", step_churn},
    {"rest", step_rest},
    {"floor", step_floor},
};

static const char help[] =
    "Runs a world of services, each pod with a simulated Envoy, beside a controller, and writes\n"
    "a line of JSON for each figure. All proxies connect, then come the steps, in their order:\n"
    "  endpoint weight target config  a change of one thing, --rounds times\n"
    "  service workload tenth         the same: a new service, a pod in place of another, the\n"
    "                                 endpoints of a tenth of the services\n"
    "  certificate root               one ends, the other is replaced (the clock moves)\n"
    "  known fresh                    all reconnect, and say what they have, or have nothing\n"
    "  slow window refuse drop        an endpoint changes, --pairs times without and beside\n"
    "                                 --bad proxies that read nothing, grant no window, refuse\n"
    "                                 all, hang up\n"
    "  unread unread_window           changes while some read nothing, grant no window\n"
    "  churn                          --churn pods are replaced, a sixtieth at a time\n"
    "  rest                           memory and CPU when all is calm\n"
    "  floor                          what bare TLS costs; the last, all disconnect\n"
    "\n"
    "Those that read nothing need a world of 200 services that all may call.";

/* --- options --- */

static const char *controller, *policy = "smi";
static int64_t services = 100, pods = 10, hot, shards = 2, rounds = 10, bad = 100, pairs = 20,
               churn, patience = 90;
static const char *delta = "1";
static bool resume, keep;
static struct texts wanted;

enum { MANY = 100000 };
static const struct flag flags[] = {
    {"controller", 0, FLAG_STRING, "PROGRAM", "the osm-controller to measure", &controller,
     .required = true},
    {"policy", 0, FLAG_STRING, "smi|permissive|hot", "who may call whom", &policy},
    {"services", 0, FLAG_NUMBER, "N", "in the world", &services, .min = 2,
     .max = WORLD_SERVICES_MAX},
    {"pods", 0, FLAG_NUMBER, "N", "of each service, each with a proxy", &pods, .min = 1,
     .max = WORLD_PODS_MAX},
    {"hot", 0, FLAG_NUMBER, "N", "pods of the first service; 0: as the others", &hot,
     .max = WORLD_PODS_MAX},
    {"shards", 0, FLAG_NUMBER, "N", "threads of the controller and of the floor", &shards, .min = 1,
     .max = 64},
    {"delta", 0, FLAG_STRING, "SHARE", "of the proxies, which speak the delta protocol", &delta},
    {"resume", 0, FLAG_BOOL, NULL, "proxies resume their TLS sessions", &resume},
    {"steps", 0, FLAG_LIST, "STEP,...", "what to do once all are connected", &wanted},
    {"rounds", 0, FLAG_NUMBER, "N", "of each change", &rounds, .min = 1, .max = MANY},
    {"bad", 0, FLAG_NUMBER, "N", "proxies that are slow, refuse, hang up", &bad, .min = 1,
     .max = MANY},
    {"pairs", 0, FLAG_NUMBER, "N", "rounds without and beside them", &pairs, .min = 1, .max = MANY},
    {"churn", 0, FLAG_NUMBER, "N", "pods to be replaced; 0: 60% of all", &churn, .max = MANY},
    {"patience", 0, FLAG_SECONDS, "SECONDS", "until what doesn't come counts as failed", &patience},
    {"keep", 0, FLAG_BOOL, NULL, "leave the folder with manifests and log", &keep},
    {0},
};

static const struct step *find_step(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (strcmp(name, steps[i].name) == 0) {
            return &steps[i];
        }
    }
    return NULL;
}

static bool is_wanted(const char *step)
{
    for (size_t i = 0; i < wanted.len; i++) {
        if (strcmp(wanted.at[i], step) == 0) {
            return true;
        }
    }
    return false;
}

static int check_steps(struct err *e)
{
    for (size_t i = 0; i < wanted.len; i++) {
        if (!find_step(wanted.at[i])) {
            return err_set(e, "--steps: there is no step \"%s\"; see swarm --help", wanted.at[i]);
        }
        if (strcmp(wanted.at[i], "floor") == 0 && i + 1 < wanted.len) {
            return err_set(e, "--steps: floor must be the last, found \"%s\" after it",
                           wanted.at[i + 1]);
        }
    }
    return 0;
}

static int parse_share(const char *text, double *ret, struct err *e)
{
    char *end;
    *ret = strtod(text, &end);
    return *end || end == text || !(*ret >= 0 && *ret <= 1)
               ? err_set(e, "--delta: expected a share from 0 to 1, found \"%s\"", text)
               : 0;
}

static int take_options(struct options *o, struct err *e)
{
    enum world_policy p = strcmp(policy, "hot") == 0          ? WORLD_HOT
                          : strcmp(policy, "permissive") == 0 ? WORLD_PERMISSIVE
                                                              : WORLD_SMI;
    *o = (struct options){.world = {.services = (int)services,
                                    .per_service = (int)pods,
                                    .hot_pods = (int)hot,
                                    .policy = p},
                          .controller = controller,
                          .shards = (int)shards,
                          .rounds = (int)rounds,
                          .bad = (int)bad,
                          .pairs = (int)pairs,
                          .churn = (int)churn,
                          .patience_s = (int)patience,
                          .moves_clock = is_wanted("certificate") || is_wanted("root"),
                          .resume = resume,
                          .keep = keep};
    return check_steps(e) < 0 ? -1 : parse_share(delta, &o->delta, e);
}

/* A connection each, here and in the controller, which inherits the limit. */
static int raise_descriptors(const struct world *w, struct err *e)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)world_proxies(w) + SPARE_DESCRIPTORS;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur >= need) {
        return 0;
    }
    limit.rlim_cur = need;
    if (need <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return 0;
    }
    return err_set(
        e,
        "%d proxies need %llu descriptors in a process, the hard limit is %llu: raise it "
        "(ulimit -Hn), or take fewer --services or --pods",
        world_proxies(w), (unsigned long long)need, (unsigned long long)limit.rlim_max);
}

/* --- the run --- */

static void begin(struct run *r)
{
    world_init(&r->o.world);
    controlled_prepare(&r->controlled, &r->o.world);
    r->controlled.moves_clock = r->o.moves_clock;
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
    return r->failures > 0 || proxy_counts.wrong > 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(const struct args *args, struct err *e)
{
    struct run r = {0};
    if (take_options(&r.o, e) < 0 || raise_descriptors(&r.o.world, e) < 0) {
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    begin(&r);
    step_start(&r);
    for (size_t i = 0; i < wanted.len && r.failures == 0 && proxy_counts.wrong == 0; i++) {
        const struct step *step = find_step(wanted.at[i]);
        step->run(&r, step);
    }
    return end(&r);
}

int main(int argc, char **argv)
{
    static const struct command swarm = {.name = "swarm",
                                         .summary = "Many simulated proxies",
                                         .help = help,
                                         .flags = flags,
                                         .run = run};
    return command_run(&swarm, argc, argv);
}
