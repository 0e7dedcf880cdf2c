/* osm-controller: reads objects, configures sidecars. Everything here runs on the brain's thread;
 * the shards of the discovery service have their own. */
#include "daemon/controller.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/webhook.h"
#include "observe/metrics.h"

/* Certificates are looked at this often (as in Open Service Mesh). */
#define TICK_MS 5000
static struct daemon_flags common = DAEMON_FLAGS_DEFAULTS;
static struct controller_flags flags = {.validate_traffic_target = true};

/* "host:port" or "[v6]:port". */
static int parse_address(const char *s, char host[256], uint16_t *port, struct err *e)
{
    const char *colon = strrchr(s, ':');
    size_t len = colon ? (size_t)(colon - s) : 0;
    int64_t n;
    if (len == 0 || len >= 256 || !str_int(str_of(colon + 1), 0, 65535, &n)) {
        return err_set(e, "--ads-address: expected HOST:PORT, found \"%s\"", s);
    }
    bool bracketed = s[0] == '[' && s[len - 1] == ']';
    memcpy(host, s + bracketed, len - 2 * bracketed);
    host[len - 2 * bracketed] = '\0';
    *port = (uint16_t)n;
    return 0;
}

/* --- what changes --- */

static void log_level_from_config(struct controller *c)
{
    const struct mesh_config *config = mesh_config(c->mesh);
    bool absent = config == mesh_config_default();
    daemon_log_level(c->common, absent ? (struct str){0} : config->observability.log_level);
}

void controller_update(struct controller *c)
{
    if (!c->ads || !source_in_sync(c->source)) {
        return;
    }
    struct changes changes = {0};
    struct mesh_delta delta;
    store_take_changes(c->store, &changes);
    controller_count_events(&changes);
    mesh_update(c->mesh, c->store, &changes, &delta);
    if (delta.config) {
        log_level_from_config(c);
    }
    planner_update(c->planner, &delta, clock_wall_s());
    if (ads_mesh_changed(c->ads, &delta) > 0) {
        metric_add(METRIC_PROXY_BROADCAST_EVENT_COUNT, 1, NULL);
    }
    if (c->mode->updated) {
        c->mode->updated(c, &delta);
    }
    mesh_delta_done(&delta);
    changes_done(&changes);
}

void controller_roots_changed(struct controller *c)
{
    int64_t now = clock_wall_s();
    planner_roots_changed(c->planner, now);
    ads_roots_changed(c->ads, now);
    ads_tick(c->ads, now);
}

static void on_tick(void *arg)
{
    struct controller *c = arg;
    int64_t now = clock_wall_s();
    heap_tick(&c->heap);
    planner_tick(c->planner, now);
    ads_tick(c->ads, now);
    if (c->mode->tick) {
        c->mode->tick(c, now);
    }
}

/* --- start and end --- */

static int start_ads(struct controller *c, struct err *e)
{
    char host[256];
    struct ads_options o = {.brain = c->loop,
                            .host = host,
                            .shards = (unsigned)c->flags->shards,
                            .mesh = c->mesh,
                            .planner = c->planner,
                            .issuer = c->issuer,
                            .observer = &controller_observer,
                            .max_age_ms = c->mode->connection_age_ms};
    const char *address = flags.ads_address ? flags.ads_address : c->mode->ads_address;
    if (parse_address(address, host, &o.port, e) < 0) {
        return -1;
    }
    if (ads_start(&o, &c->ads, e) < 0) {
        if (flags.ads_address || strcmp(host, "::") != 0) {
            return -1;
        }
        o.host = "0.0.0.0"; /* a machine without IPv6 */
        return ads_start(&o, &c->ads, e);
    }
    return 0;
}

static void on_signal(void *arg, int signo)
{
    struct controller *c = arg;
    if (!c->ending) {
        c->ending = true;
        log_event(LOG_INFO, "ending", "signal", strsignal(signo), NULL);
        c->mode->end(c);
    }
}

void controller_end(struct controller *c)
{
    loop_stop(c->loop);
}

static int start(struct controller *c, struct err *e)
{
    c->mesh_options = (struct mesh_options){.mesh_name = common.mesh_name,
                                            .osm_namespace = common.osm_namespace,
                                            .config_name = common.osm_config_name,
                                            .trust_domain = common.trust_domain};
    c->loop = loop_new();
    if (c->mode->load_root(c, e) < 0) {
        return -1;
    }
    c->store = store_new();
    c->mesh = mesh_new(&c->mesh_options);
    c->planner = planner_new(c->mesh, c->issuer);
    metrics_on_collect(controller_collect_metrics, c);
    if (c->mode->start(c, e) < 0 || start_ads(c, e) < 0) {
        return -1;
    }
    controller_update(c);
    c->tick = loop_timer_new(c->loop, TICK_MS, true, on_tick, c);
    loop_on_signal(c->loop, SIGTERM, on_signal, c);
    loop_on_signal(c->loop, SIGINT, on_signal, c);
    char port[8];
    snprintf(port, sizeof(port), "%u", ads_port(c->ads));
    log_event(LOG_INFO, "controller started", "mesh", common.mesh_name, "ads_port", port, NULL);
    return 0;
}

static void stop(struct controller *c)
{
    if (!c->loop) {
        return;
    }
    loop_timer_free(c->tick);
    ads_free(c->ads);
    source_free(c->source);
    c->mode->stop(c);
    planner_free(c->planner);
    mesh_free(c->mesh);
    store_free(c->store);
    loop_free(c->loop);
    issuer_free(c->issuer);
    metrics_done();
}

static int choose_mode(struct controller *c, struct err *e)
{
    bool local = flags.sources.len > 0 || flags.ca_file;
    if (local && (flags.sources.len == 0 || !flags.ca_file)) {
        return err_set(e, "--source and --ca-file belong together; without both, a cluster is "
                          "served");
    }
    c->mode = local ? &controller_local : &controller_cluster;
    return 0;
}

static int run(const struct args *args, struct err *e)
{
    struct controller c = {.common = &common, .flags = &flags};
    int status = choose_mode(&c, e);
    if (daemon_begin("osm-controller", METRICS_CONTROLLER, &common, e) < 0) {
        status = -1;
        if (c.mode && c.mode->invalid) {
            c.mode->invalid(&c, e);
        }
    } else if (status == 0) {
        status = start(&c, e);
    }
    if (status == 0) {
        loop_run(c.loop);
    } else if (c.loop && c.mode->failed) {
        c.mode->failed(&c, e);
    }
    stop(&c);
    return status == 0 ? EXIT_OK : -1;
}

static const struct flag flag_table[] = {
    DAEMON_FLAG_ROWS(common),
    {.name = "validator-webhook-config",
     .type = FLAG_STRING,
     .value = "NAME",
     .help = "of the ValidatingWebhookConfiguration; osm-validator-mesh-MESH when not given",
     .to = &flags.validator_webhook_config},
    {.name = "validate-traffic-target",
     .type = FLAG_BOOL,
     .help = "validate TrafficTargets when they are stored",
     .to = &flags.validate_traffic_target},
    DAEMON_WEBHOOK_CLIENT_CA_ROW(flags.webhook_client_ca),
    {.name = "osm-service-account",
     .type = FLAG_STRING,
     .value = "NAME",
     .help = "this pod's service account",
     .to = &flags.osm_service_account},
    {.name = "source",
     .type = FLAG_STRINGS,
     .value = "PATH",
     .help = "folder or file of manifests, instead of a cluster; the first has precedence",
     .to = &flags.sources},
    {.name = "ca-file",
     .type = FLAG_STRING,
     .value = "FILE",
     .help = "with --source: the mesh's root, a Secret in a file; made when missing, "
             "followed when it changes",
     .to = &flags.ca_file},
    {.name = "http-socket",
     .type = FLAG_STRING,
     .value = "PATH",
     .help = "with --source: unix socket for /ready, /status and /metrics",
     .to = &flags.http_socket},
    {.name = "ads-address",
     .type = FLAG_STRING,
     .value = "HOST:PORT",
     .help = "where sidecars connect (port 15128 of all addresses)",
     .to = &flags.ads_address},
    {.name = "shards",
     .type = FLAG_NUMBER,
     .value = "N",
     .help = "threads for connections; 0: one a core",
     .to = &flags.shards,
     .max = 64},
    {0},
};

static const struct command root = {
    .name = "osm-controller",
    .summary = "Configures the sidecars of a mesh",
    .help =
        "Follows the objects of a cluster, or manifests in folders, and configures the sidecars\n"
        "of their pods.",
    .flags = flag_table,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
