/* osm-controller: reads manifests, configures sidecars. Everything here runs on the brain's thread;
 * the shards of the discovery service have their own. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/http_server.h"
#include "observe/status.h"
#include "source/source.h"

/* Certificates are looked at this often (as in Open Service Mesh). */
#define TICK_MS 5000
#define DRAIN_MS 2000

struct flags {
    VEC(const char *) sources;
    const char *ca_file, *ads_address, *http_socket;
    const char *mesh_name, *osm_namespace, *config_name, *trust_domain, *verbosity;
    int shards;
};

struct controller {
    struct flags flags;
    struct mesh_options mesh_options;
    struct loop *loop;
    struct store *store;
    struct dir_source *source;
    struct mesh *mesh;
    struct issuer *issuer;
    struct planner *planner;
    struct ads *ads;
    struct http_server *http;
    struct loop_timer *tick;
    int quiet_ticks; /* since something changed */
};

static const char usage[] =
    "usage: osm-controller --source PATH... --ca-file FILE [options]\n"
    "\n"
    "Reads manifests from folders or files, watches them, and configures the sidecars of their "
    "pods.\n"
    "\n"
    "  --source PATH          folder or file of manifests; the first of several has precedence\n"
    "  --ca-file FILE         the mesh's root, a Secret with ca.crt and private.key; made when "
    "missing\n"
    "  --ads-address H:PORT   where sidecars connect (0.0.0.0:15128)\n"
    "  --http-socket PATH     unix socket for /ready and /status\n"
    "  --mesh-name NAME       namespaces labelled openservicemesh.io/monitored-by: NAME belong "
    "(osm)\n"
    "  --osm-namespace NAME   where MeshConfig is (osm-system)\n"
    "  --osm-config-name NAME name of the MeshConfig (osm-mesh-config)\n"
    "  --trust-domain NAME    of all identities (cluster.local)\n"
    "  --shards N             threads for connections (one a core)\n"
    "  -v, --verbosity LEVEL  trace, debug, info, warn, error (MeshConfig's osmLogLevel, then "
    "info)\n"
    "  -h, --help\n";

static const struct option long_options[] = {
    {"source", required_argument, NULL, 's'},
    {"ca-file", required_argument, NULL, 'c'},
    {"ads-address", required_argument, NULL, 'a'},
    {"http-socket", required_argument, NULL, 'H'},
    {"mesh-name", required_argument, NULL, 'm'},
    {"osm-namespace", required_argument, NULL, 'n'},
    {"osm-config-name", required_argument, NULL, 'C'},
    {"trust-domain", required_argument, NULL, 't'},
    {"shards", required_argument, NULL, 'S'},
    {"verbosity", required_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void set_flag(struct flags *f, int option)
{
    int64_t n;
    switch (option) {
    case 's':
        VEC_PUSH(f->sources, optarg);
        break;
    case 'c':
        f->ca_file = optarg;
        break;
    case 'a':
        f->ads_address = optarg;
        break;
    case 'H':
        f->http_socket = optarg;
        break;
    case 'm':
        f->mesh_name = optarg;
        break;
    case 'n':
        f->osm_namespace = optarg;
        break;
    case 'C':
        f->config_name = optarg;
        break;
    case 't':
        f->trust_domain = optarg;
        break;
    case 'S':
        f->shards = str_int(str_of(optarg), 1, 64, &n) ? (int)n : -1;
        break;
    default:
        f->verbosity = optarg;
    }
}

static int parse_flags(int argc, char **argv, struct flags *f, struct err *e)
{
    *f = (struct flags){.ads_address = "0.0.0.0:15128",
                        .mesh_name = "osm",
                        .osm_namespace = "osm-system",
                        .config_name = "osm-mesh-config",
                        .trust_domain = "cluster.local"};
    int option;
    while ((option = getopt_long(argc, argv, "v:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (option == '?') {
            return err_set(e, "see osm-controller --help");
        }
        set_flag(f, option);
    }
    if (optind < argc) {
        return err_set(e, "expected only flags, found \"%s\"; see osm-controller --help",
                       argv[optind]);
    }
    if (f->sources.len == 0 || !f->ca_file) {
        return err_set(e, "--source and --ca-file are needed; see osm-controller --help");
    }
    if (f->shards < 0) {
        return err_set(e, "--shards: expected a whole number from 1 to 64");
    }
    return 0;
}

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
    enum log_level level;
    if (!c->flags.verbosity &&
        log_level_parse(mesh_config(c->mesh)->observability.log_level, &level)) {
        log_set_level(level);
    }
}

static void on_source_change(void *arg)
{
    struct controller *c = arg;
    c->quiet_ticks = 0;
    struct changes changes = {0};
    struct mesh_delta delta;
    store_take_changes(c->store, &changes);
    mesh_update(c->mesh, c->store, &changes, &delta);
    if (delta.config) {
        log_level_from_config(c);
    }
    planner_update(c->planner, &delta, clock_wall_s());
    ads_mesh_changed(c->ads, &delta);
    mesh_delta_done(&delta);
    changes_done(&changes);
}

static void on_tick(void *arg)
{
    struct controller *c = arg;
    int64_t now = clock_wall_s();
    /* Reading and planning need memory that is free afterwards; when things have calmed down it
     * goes back to the machine. */
    if (++c->quiet_ticks == 2) {
        malloc_trim(0);
    }
    planner_tick(c->planner, now);
    ads_tick(c->ads, now);
}

/* --- health and status --- */

static void on_ready(void *arg, struct http_request *q)
{
    http_reply(q, 200, "text/plain", STR("Health OK\n"));
}

struct status_query {
    struct controller *controller;
    struct http_request *request;
    VEC(uint64_t) digests; /* when it was asked: the sidecars' states are later */
};

static void on_status_collected(void *arg, const struct ads_status *s)
{
    struct status_query *q = arg;
    struct controller *c = q->controller;
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    status_write(c->mesh, s, dir_source_findings(c->source), q->digests.at, q->digests.len, &out);
    http_reply(q->request, 200, "application/json", buf_str(&out));
    buf_done(&out);
    VEC_DONE(q->digests);
    free(q);
}

static void on_status(void *arg, struct http_request *request)
{
    struct controller *c = arg;
    struct status_query *q = NEW(struct status_query);
    *q = (struct status_query){.controller = c, .request = request};
    for (size_t i = 0; i < c->flags.sources.len; i++) {
        VEC_PUSH(q->digests, dir_source_digest(c->source, i));
    }
    ads_collect_status(c->ads, on_status_collected, q);
}

static void on_signal(void *arg, int signo)
{
    struct controller *c = arg;
    log_event(LOG_INFO, "ending", "signal", strsignal(signo), NULL);
    ads_drain(c->ads, DRAIN_MS);
    loop_stop(c->loop);
}

/* --- start and end --- */

static int start_http(struct controller *c, struct err *e)
{
    if (!c->flags.http_socket) {
        return 0;
    }
    static const struct http_route routes[] = {
        {"GET", "/ready", on_ready},
        {"GET", "/status", on_status},
    };
    struct http_server_options o = {.loop = c->loop,
                                    .unix_path = c->flags.http_socket,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = c};
    return http_server_start(&o, &c->http, e);
}

static int start_source(struct controller *c, struct err *e)
{
    struct dir_source_options o = {.loop = c->loop,
                                   .store = c->store,
                                   .roots = c->flags.sources.at,
                                   .n_roots = c->flags.sources.len,
                                   .on_change = on_source_change,
                                   .arg = c};
    return dir_source_start(&o, &c->source, e);
}

static int start_ads(struct controller *c, struct err *e)
{
    char host[256];
    struct ads_options o = {.brain = c->loop,
                            .host = host,
                            .shards = (unsigned)c->flags.shards,
                            .mesh = c->mesh,
                            .planner = c->planner,
                            .issuer = c->issuer};
    if (parse_address(c->flags.ads_address, host, &o.port, e) < 0) {
        return -1;
    }
    return ads_start(&o, &c->ads, e);
}

static int start(struct controller *c, struct err *e)
{
    c->mesh_options = (struct mesh_options){.mesh_name = c->flags.mesh_name,
                                            .osm_namespace = c->flags.osm_namespace,
                                            .config_name = c->flags.config_name,
                                            .trust_domain = c->flags.trust_domain};
    struct issuer_options issuer = {
        .trust_domain = c->flags.trust_domain, .key = CERT_KEY_ECDSA_P256, .key_bits = 2048};
    if (issuer_load_or_create(c->flags.ca_file, &issuer, clock_wall_s(), &c->issuer, e) < 0) {
        return -1;
    }
    c->loop = loop_new();
    c->store = store_new();
    c->mesh = mesh_new(&c->mesh_options);
    c->planner = planner_new(c->mesh, c->issuer);
    if (start_source(c, e) < 0 || start_ads(c, e) < 0 || start_http(c, e) < 0) {
        return -1;
    }
    on_source_change(c);
    c->tick = loop_timer_new(c->loop, TICK_MS, true, on_tick, c);
    loop_on_signal(c->loop, SIGTERM, on_signal, c);
    loop_on_signal(c->loop, SIGINT, on_signal, c);
    char port[8];
    snprintf(port, sizeof(port), "%u", ads_port(c->ads));
    log_event(LOG_INFO, "controller started", "mesh", c->flags.mesh_name, "ads_port", port, NULL);
    return 0;
}

static void stop(struct controller *c)
{
    http_server_free(c->http);
    loop_timer_free(c->tick);
    ads_free(c->ads);
    dir_source_free(c->source);
    planner_free(c->planner);
    mesh_free(c->mesh);
    store_free(c->store);
    loop_free(c->loop);
    issuer_free(c->issuer);
    VEC_DONE(c->flags.sources);
}

int main(int argc, char **argv)
{
    struct controller c = {0};
    struct err e = ERR_INIT;
    enum log_level level;
    signal(SIGPIPE, SIG_IGN);
    int status = parse_flags(argc, argv, &c.flags, &e);
    if (status == 0 && c.flags.verbosity) {
        if (!log_level_parse(str_of(c.flags.verbosity), &level)) {
            status =
                err_set(&e, "--verbosity: expected trace, debug, info, warn or error, found \"%s\"",
                        c.flags.verbosity);
        } else {
            log_set_level(level);
        }
    }
    if (status == 0) {
        status = start(&c, &e);
    }
    if (status == 0) {
        loop_run(c.loop);
    } else {
        fprintf(stderr, "error: %s\n", e.text);
    }
    stop(&c);
    return status == 0 ? 0 : 1;
}
