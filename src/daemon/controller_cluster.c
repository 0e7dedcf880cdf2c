/* The controller in a cluster: objects from the API server, the root in a Secret, one replica by
 * lease that writes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/ca.h"
#include "daemon/controller.h"
#include "daemon/duties.h"
#include "daemon/gateway.h"
#include "daemon/webhook.h"
#include "kube/lease.h"
#include "observe/metrics.h"
#include "observe/pages.h"
#include "source/cluster_source.h"
#include "webhook/validate.h"

/* Health and status listen here; 9092 is what Open Service Mesh has its debug server on. */
#define STATUS_PORT 9092
#define LEASE_NAME "osm-controller"
/* Proxies are sent to other replicas when their connection is this old: a replica that is added
 * gets its share, and one that was away for a while gets it back. Proxies that return are told only
 * what they lack. */
#define CONNECTION_AGE_MS (30 * 60 * 1000)
/* At the end: what still comes because others don't know yet that we go is answered for so long;
 * then the proxies leave, spread over the time; at last we go whoever is left. Within Kubernetes'
 * 30 seconds, less 5 that the container may sleep before. */
#define LINGER_MS 2000
#define DRAIN_OVER_MS 10000
#define DRAIN_MAX_MS 15000
#define DRAIN_LOOK_MS 100

/* How long an event about a failed start may take. */
#define FATAL_EVENT_MS 2000

struct cluster {
    struct kube_client *client;
    struct kube_events *events;
    struct kube_lease *lease;
    struct ca_follower *ca;
    struct duties *duties;
    struct gateway *gateway;
    struct validator validator;
    struct daemon_webhook *webhook;
    char *webhook_name;
    struct http_server *pages, *status;
    struct loop_timer *drain;
    int64_t drain_until;
    char own_name[256];
    bool waits[KIND_COUNT]; /* told that a kind is missing or forbidden */
    const char *stage;      /* reason of the event when the start fails now */
};

static int name_self(struct cluster *k, struct err *e)
{
    const char *pod = getenv("CONTROLLER_POD_NAME");
    if (pod && strlen(pod) < sizeof(k->own_name)) {
        strcpy(k->own_name, pod);
        return 0;
    }
    return gethostname(k->own_name, sizeof(k->own_name) - 1) < 0
               ? err_errno(e, "the name of this machine")
               : 0;
}

static int open_client(struct controller *c, struct err *e)
{
    struct cluster *k = NEW(struct cluster);
    c->cluster = k;
    if (name_self(k, e) < 0) {
        return -1;
    }
    struct kube_config_options o = {.kubeconfig = c->common->kubeconfig};
    struct kube_config *config = NULL;
    if (kube_config_load(&o, &config, e) < 0) {
        return -1;
    }
    k->client = kube_client_new(config, c->loop);
    k->events = kube_events_new(k->client, "osm-controller");
    return 0;
}

static int load_root(struct controller *c, struct err *e)
{
    int opened = open_client(c, e);
    struct cluster *k = c->cluster;
    k->stage = "FatalInvalidCertificateManager";
    return opened < 0 ? -1 : ca_load_or_create(k->client, c->common, clock_wall_s(), &c->issuer, e);
}

/* --- what is told --- */

/* An event on our own pod. */
static void send_own_event(struct controller *c, const char *reason, const char *message)
{
    struct cluster *k = c->cluster;
    const char *uid = getenv("CONTROLLER_POD_UID");
    struct kube_event event = {.api_version = "v1",
                               .kind = "Pod",
                               .namespace = str_of(c->common->osm_namespace),
                               .name = str_of(k->own_name),
                               .uid = str_of(uid),
                               .warning = true,
                               .reason = reason,
                               .message = message};
    kube_events_send(k->events, &event);
}

static void on_told(void *arg)
{
    controller_end(arg);
}

/* Who looks at the pod sees why it doesn't start. */
static void failed(struct controller *c, const struct err *e)
{
    struct cluster *k = c->cluster;
    if (k && k->events) {
        send_own_event(c, k->stage, e->text);
        struct loop_timer *t = loop_timer_new(c->loop, FATAL_EVENT_MS, false, on_told, c);
        loop_run(c->loop);
        loop_timer_free(t);
    }
}

/* Nothing was started; who runs it by hand sees the error anyhow. */
static void invalid(struct controller *c, const struct err *e)
{
    struct err ignored = ERR_INIT;
    if (getenv("CONTROLLER_POD_NAME")) {
        c->loop = loop_new();
        open_client(c, &ignored);
        c->cluster->stage = "FatalInvalidCLIParameters";
        failed(c, e);
    }
}

static void on_webhook_failure(void *arg, const struct err *e)
{
    send_own_event(arg, "CertificateRotationFailure", e->text);
}

static void on_ca_problem(void *arg, const char *problem)
{
    if (problem) {
        log_event(LOG_ERROR, "the mesh's root stays as it was", "reason", problem, "error_code",
                  "E4016", NULL);
        send_own_event(arg, "CertificateRotationFailure", problem);
    }
}

static void on_gateway_problem(void *arg, const char *problem)
{
    log_event(LOG_ERROR, "no certificate for the ingress gateway", "reason", problem, "error_code",
              "E4006", NULL);
    send_own_event(arg, "CertificateRotationFailure", problem);
}

static void on_roots(void *arg)
{
    struct controller *c = arg;
    controller_roots_changed(c);
    daemon_webhook_roots_changed(c->cluster->webhook, clock_wall_s());
    gateway_look(c->cluster->gateway, clock_wall_s());
}

static void on_lease(void *arg, bool held)
{
    struct controller *c = arg;
    log_event(LOG_INFO, held ? "this replica writes to the cluster" : "another replica writes",
              NULL);
    c->writes = held;
    metric_set(METRIC_LEASE_HELD, held, NULL);
    duties_hold(c->cluster->duties, held);
    gateway_hold(c->cluster->gateway, held, clock_wall_s());
    daemon_webhook_write(c->cluster->webhook, held);
}

static void on_change(void *arg)
{
    controller_update(arg);
}

/* What is missing or forbidden is told, and that it came; else that a list began or is followed is
 * only of interest to who looks for it. */
static void on_state(void *arg, enum kind kind, enum kube_watch_state state, const struct err *e)
{
    static const char *const names[] = {
        [KUBE_WATCH_LISTING] = "listing", [KUBE_WATCH_LIVE] = "live",
        [KUBE_WATCH_BROKEN] = "broken",   [KUBE_WATCH_MISSING] = "missing",
        [KUBE_WATCH_DENIED] = "denied",
    };
    bool *waits = &((struct controller *)arg)->cluster->waits[kind];
    bool bad = state == KUBE_WATCH_MISSING || state == KUBE_WATCH_DENIED;
    bool came = *waits && state == KUBE_WATCH_LIVE;
    *waits = bad || (*waits && !came);
    log_event(bad    ? LOG_WARN
              : came ? LOG_INFO
                     : LOG_DEBUG,
              "objects of the API server", "kind", kind_info(kind)->name, "state", names[state],
              "reason", e ? e->text : "", NULL);
}

static void updated(struct controller *c, const struct mesh_delta *delta)
{
    duties_changed(c->cluster->duties, delta, source_findings(c->source));
    gateway_look(c->cluster->gateway, clock_wall_s());
}

static void tick(struct controller *c, int64_t now)
{
    daemon_webhook_tick(c->cluster->webhook, now);
    gateway_look(c->cluster->gateway, now);
}

/* --- start --- */

static int start_pages(struct controller *c, struct err *e)
{
    static const struct http_route public[] = {
        {"GET", "/health/ready", controller_on_ready},
        {"GET", "/health/alive", controller_on_alive},
        {"GET", "/smi/version", pages_on_smi_version},
    };
    static const struct http_route private[] = {
        {"GET", "/status", controller_on_status},
        {"GET", "/debug", controller_on_debug},
        {"GET", "/debug/certs", controller_on_debug_certs},
        {"GET", "/debug/feature-flags", controller_on_debug_flags},
        {"GET", "/debug/mesh", controller_on_debug_mesh},
        {"GET", "/debug/namespaces", controller_on_debug_namespaces},
        {"GET", "/debug/proxy", controller_on_debug_proxies},
        {"GET", "/debug/xds", controller_on_debug_proxies},
    };
    struct http_server_options pages = {.loop = c->loop,
                                        .port = PAGES_PORT,
                                        .routes = public,
                                        .n_routes = COUNT_OF(public),
                                        .arg = c};
    struct http_server_options status = {.loop = c->loop,
                                         .host = "127.0.0.1",
                                         .port = STATUS_PORT,
                                         .routes = private,
                                         .n_routes = COUNT_OF(private),
                                         .arg = c};
    return pages_start(&pages, &c->cluster->pages, e) < 0
               ? -1
               : http_server_start(&status, &c->cluster->status, e);
}

static int start_webhook(struct controller *c, struct err *e)
{
    struct cluster *k = c->cluster;
    k->validator = (struct validator){.store = c->store, .mesh = &c->mesh_options};
    k->webhook_name = c->flags->validator_webhook_config
                          ? mem_strdup(c->flags->validator_webhook_config)
                          : mem_printf("osm-validator-mesh-%s", c->common->mesh_name);
    struct daemon_webhook_options o = {
        .loop = c->loop,
        .client = k->client,
        .flags = c->common,
        .issuer = c->issuer,
        .kind = DAEMON_WEBHOOK_VALIDATING,
        .port = WEBHOOK_VALIDATE_PORT,
        .route = {.path = WEBHOOK_VALIDATE_PATH, .decide = validate, .arg = &k->validator},
        .configuration = {.name = k->webhook_name,
                          .without_traffic_targets = !c->flags->validate_traffic_target},
        .client_ca_path = c->flags->webhook_client_ca,
        .on_failure = on_webhook_failure,
        .arg = c};
    if (daemon_webhook_start(&o, &k->webhook, e) < 0) {
        log_event(LOG_ERROR, "the webhook can't be served", "reason", e->text, "error_code",
                  "E6701", NULL);
        return -1;
    }
    return 0;
}

static void start_source(struct controller *c)
{
    struct cluster_source_options o = {.client = c->cluster->client,
                                       .store = c->store,
                                       .mesh_name = c->common->mesh_name,
                                       .osm_namespace = c->common->osm_namespace,
                                       .config_name = c->common->osm_config_name,
                                       .on_change = on_change,
                                       .on_state = on_state,
                                       .arg = c};
    c->source = cluster_source_start(&o);
}

static void start_following(struct controller *c)
{
    struct cluster *k = c->cluster;
    struct ca_follow_options ca = {.loop = c->loop,
                                   .client = k->client,
                                   .flags = c->common,
                                   .issuer = c->issuer,
                                   .on_change = on_roots,
                                   .on_problem = on_ca_problem,
                                   .arg = c};
    k->ca = ca_follow(&ca);
    struct kube_lease_options lease = {.client = k->client,
                                       .namespace = c->common->osm_namespace,
                                       .name = LEASE_NAME,
                                       .identity = k->own_name,
                                       .on_change = on_lease,
                                       .arg = c};
    k->lease = kube_lease_start(&lease);
}

static int start(struct controller *c, struct err *e)
{
    struct cluster *k = c->cluster;
    k->stage = "FatalInitializationError";
    struct duties_options duties = {.loop = c->loop,
                                    .client = k->client,
                                    .events = k->events,
                                    .store = c->store,
                                    .mesh = c->mesh};
    k->duties = duties_new(&duties);
    struct gateway_options gateway = {.loop = c->loop,
                                      .client = k->client,
                                      .mesh = c->mesh,
                                      .issuer = c->issuer,
                                      .mesh_name = c->common->mesh_name,
                                      .on_problem = on_gateway_problem,
                                      .arg = c};
    k->gateway = gateway_new(&gateway);
    if (start_pages(c, e) < 0 || start_webhook(c, e) < 0) {
        return -1;
    }
    start_source(c);
    start_following(c);
    return 0;
}

/* --- end --- */

static void on_drain_look(void *arg)
{
    struct controller *c = arg;
    if (ads_connected(c->ads) == 0 || clock_mono_ms() > c->cluster->drain_until) {
        controller_end(c);
    }
}

static void on_lingered(void *arg)
{
    struct controller *c = arg;
    struct cluster *k = c->cluster;
    ads_start_drain(c->ads, DRAIN_OVER_MS);
    k->drain_until = clock_mono_ms() + DRAIN_MAX_MS;
    loop_timer_free(k->drain);
    k->drain = loop_timer_new(c->loop, DRAIN_LOOK_MS, true, on_drain_look, c);
}

/* Readiness is off from now on, the lease goes to another at once. */
static void end(struct controller *c)
{
    struct cluster *k = c->cluster;
    kube_lease_free(k->lease);
    k->lease = NULL;
    on_lease(c, false);
    k->drain = loop_timer_new(c->loop, LINGER_MS, false, on_lingered, c);
}

static void stop(struct controller *c)
{
    struct cluster *k = c->cluster;
    if (!k) {
        return;
    }
    loop_timer_free(k->drain);
    http_server_free(k->pages);
    http_server_free(k->status);
    daemon_webhook_free(k->webhook);
    if (k->lease) {
        kube_lease_free(k->lease);
    }
    ca_follower_free(k->ca);
    duties_free(k->duties);
    gateway_free(k->gateway);
    if (k->events) {
        kube_events_free(k->events);
    }
    if (k->client) {
        kube_client_free(k->client);
    }
    free(k->webhook_name);
    free(k);
}

const struct mode controller_cluster = {
    .ads_address = "[::]:15128",
    .connection_age_ms = CONNECTION_AGE_MS,
    .load_root = load_root,
    .start = start,
    .updated = updated,
    .tick = tick,
    .invalid = invalid,
    .failed = failed,
    .end = end,
    .stop = stop,
};
