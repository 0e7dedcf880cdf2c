/* osm-injector: puts sidecars into the pods of the mesh as they are made. */
#include "daemon/injector.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/patience.h"
#include "inject/names.h"
#include "observe/pages.h"

/* Certificates are looked at this often (as in Open Service Mesh). */
#define TICK_MS 5000
/* From the signal to the end: reviews under way are answered, and connections end with an answer.
 */
#define DRAIN_MS 2000
#define DRAIN_MAX_MS 8000
#define DRAIN_STEP_MS 100
#define ADS_PORT 15128

static struct daemon_flags common = DAEMON_FLAGS_DEFAULTS;
static struct injector_flags flags = {
    .pull_policy = "IfNotPresent",
    .webhook_timeout_s = 20,
    .webhook_port = WEBHOOK_MUTATE_PORT,
    .pages_port = PAGES_PORT,
};

/* --- pages and metrics --- */

const char *injector_why_not(const struct injector *i)
{
    if (i->end) {
        return "osm-injector is ending";
    }
    if (!i->namespaces_known) {
        return "osm-injector doesn't know the mesh's namespaces yet";
    }
    if (!i->config_known) {
        return "osm-injector doesn't know the MeshConfig yet; osm-bootstrap installs its "
               "definition";
    }
    return i->webhook ? NULL : "osm-injector can't serve its webhook; its log says why";
}

static void on_healthz(void *arg, struct http_request *q)
{
    pages_reply_health(q, injector_why_not(arg));
}

static void on_alive(void *arg, struct http_request *q)
{
    pages_reply_health(q, NULL);
}

static int start_pages(struct injector *i, struct err *e)
{
    static const struct http_route routes[] = {{"GET", "/healthz", on_healthz},
                                               {"GET", "/health/alive", on_alive}};
    struct http_server_options o = {.loop = i->loop,
                                    .port = (uint16_t)i->flags->pages_port,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = i};
    return pages_start(&o, &i->pages, e);
}

static void on_issued(void *arg, int64_t us)
{
    metric_add(METRIC_CERT_ISSUED_COUNT, 1, NULL);
    metric_observe_us(METRIC_CERT_ISSUED_TIME, us, NULL);
}

/* --- Secrets that no pod came for --- */

static bool may_store(void *arg, struct str caller)
{
    return !spares_full(((struct injector *)arg)->spares, caller);
}

static void on_stored(void *arg, struct str caller, struct str namespace, struct str uuid)
{
    spares_add(((struct injector *)arg)->spares, caller, namespace, uuid);
}

static void on_spare_deleted(void *arg, struct str namespace, struct str uuid)
{
    AUTO(free)
    char *secret =
        mem_printf("%.*s/" BOOTSTRAP_SECRET_PREFIX "%.*s", STR_ARG(namespace), STR_ARG(uuid));
    log_event(LOG_INFO, "a sidecar's Secret goes, as its pod didn't come to be", "secret", secret,
              NULL);
}

static void on_spare_problem(void *arg, const struct err *e)
{
    log_event(LOG_WARN, "Secrets without a pod stay for now", "reason", e->text, NULL);
}

static void start_spares(struct injector *i)
{
    struct spares_options o = {.client = i->client,
                               .loop = i->loop,
                               .on_deleted = on_spare_deleted,
                               .on_problem = on_spare_problem,
                               .arg = i};
    i->spares = spares_new(&o);
}

/* --- start --- */

void injector_serve(struct injector *i)
{
    if (i->webhook || !i->namespaces_known || !i->config_known) {
        return;
    }
    struct daemon_webhook_options o = {
        .loop = i->loop,
        .client = i->client,
        .flags = i->common,
        .issuer = i->issuer,
        .kind = DAEMON_WEBHOOK_MUTATING,
        .port = (uint16_t)i->flags->webhook_port,
        .route = {.path = WEBHOOK_MUTATE_PATH, .begin = mutate, .arg = i->mutation},
        .configuration = {.name = i->flags->webhook_config_name,
                          .timeout_s = i->flags->webhook_timeout_s},
        .client_ca_path = i->flags->webhook_client_ca};
    struct err e = ERR_INIT;
    if (daemon_webhook_start(&o, &i->webhook, &e) < 0) {
        log_event(LOG_ERROR, "the webhook can't be served; trying again", "reason", e.text,
                  "error_code", "E6102", NULL);
        return;
    }
    char port[8];
    snprintf(port, sizeof(port), "%u", daemon_webhook_port(i->webhook));
    log_event(LOG_INFO, "osm-injector serves", "mesh", i->common->mesh_name, "port", port, NULL);
    injector_renewal_start(i);
}

/* Our own pod has what all pods have. */
static bool pods_have_ipv6(void)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) < 0) {
        return false;
    }
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET6 ||
            (at->ifa_flags & IFF_LOOPBACK)) {
            continue;
        }
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)at->ifa_addr;
        found = found || !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
    }
    freeifaddrs(all);
    return found;
}

/* Init containers that go on running came with Kubernetes 1.29 (on by default). The server may not
 * be up yet, so it is waited for first. */
static int read_version(struct injector *i, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct kube_request q = {.path = "/version"};
    int major, minor;
    int status = patient_do(i->client, &q, false, a, NULL, e);
    if (status < 0 || status >= 400 || kube_server_version(i->client, &major, &minor, e) < 0) {
        return err_wrap(e, "the API server's version");
    }
    i->server_has_native = major > 1 || (major == 1 && minor >= 29);
    return 0;
}

static void start_mutation(struct injector *i)
{
    snprintf(i->host, sizeof(i->host), "osm-controller.%s.svc.cluster.local",
             i->common->osm_namespace);
    struct mutation_options o = {
        .client = i->client,
        .issuer = i->issuer,
        .inject = {.mesh_name = i->common->mesh_name,
                   .osm_namespace = i->common->osm_namespace,
                   .trust_domain = i->common->trust_domain,
                   .ads_host = i->host,
                   .ads_port = ADS_PORT,
                   .ipv6 = pods_have_ipv6(),
                   .delta = true,
                   .probes = true,
                   .envoy_image = getenv("OSM_DEFAULT_ENVOY_IMAGE"),
                   .init_image = getenv("OSM_DEFAULT_INIT_CONTAINER_IMAGE"),
                   .healthcheck_image = getenv("OSM_DEFAULT_HEALTHCHECK_CONTAINER_IMAGE"),
                   .pull_policy = i->flags->pull_policy},
        .on_issued = on_issued,
        .may_store = may_store,
        .on_stored = on_stored,
        .arg = i};
    i->mutation = mutation_new(&o);
    start_spares(i);
}

static void on_ca_problem(void *arg, const char *problem)
{
    if (problem) {
        log_event(LOG_ERROR, "the root's Secret can't be used; the roots stay as they are",
                  "reason", problem, "error_code", "E4016", NULL);
    }
}

static void on_tick(void *arg)
{
    struct injector *i = arg;
    if (i->webhook) {
        daemon_webhook_tick(i->webhook, clock_wall_s());
    } else if (!i->end) {
        injector_serve(i);
    }
    heap_tick(&i->heap);
}

/* --- the end --- */

static void on_end(void *arg)
{
    struct injector *i = arg;
    int64_t now = clock_mono_ms();
    bool waiting = mutation_waiting(i->mutation) > 0 && now < i->end_by + DRAIN_MAX_MS - DRAIN_MS;
    if (now >= i->end_by && !waiting) {
        loop_stop(i->loop);
    }
}

static void on_signal(void *arg, int signo)
{
    struct injector *i = arg;
    if (i->end) {
        return;
    }
    log_event(LOG_INFO, "ending", "signal", strsignal(signo), NULL);
    i->end_by = clock_mono_ms() + (i->webhook ? DRAIN_MS : 0);
    i->end = loop_timer_new(i->loop, DRAIN_STEP_MS, true, on_end, i);
    if (i->webhook) {
        daemon_webhook_drain(i->webhook);
    }
}

static int start(struct injector *i, struct err *e)
{
    struct kube_config_options where = {.kubeconfig = i->common->kubeconfig};
    struct kube_config *config = NULL;
    if (kube_config_load(&where, &config, e) < 0) {
        return -1;
    }
    i->loop = loop_new();
    i->client = kube_client_new(config, i->loop);
    loop_on_signal(i->loop, SIGTERM, on_signal, i);
    loop_on_signal(i->loop, SIGINT, on_signal, i);
    if (start_pages(i, e) < 0 || read_version(i, e) < 0 ||
        ca_load_or_create(i->client, i->common, clock_wall_s(), &i->issuer, e) < 0) {
        return -1;
    }
    start_mutation(i);
    struct ca_follow_options follow = {.loop = i->loop,
                                       .client = i->client,
                                       .flags = i->common,
                                       .issuer = i->issuer,
                                       .on_change = injector_roots_changed,
                                       .on_problem = on_ca_problem,
                                       .arg = i};
    i->follower = ca_follow(&follow);
    injector_watch_start(i);
    i->tick = loop_timer_new(i->loop, TICK_MS, true, on_tick, i);
    return 0;
}

static void stop(struct injector *i)
{
    if (!i->loop) {
        return;
    }
    loop_timer_free(i->tick);
    loop_timer_free(i->end);
    injector_watch_stop(i);
    ca_follower_free(i->follower);
    mutation_free(i->mutation);
    spares_free(i->spares);
    injector_renewal_stop(i);
    daemon_webhook_free(i->webhook);
    http_server_free(i->pages);
    kube_client_free(i->client);
    issuer_free(i->issuer);
    loop_free(i->loop);
    metrics_done();
}

static int check_flags(struct err *e)
{
    static const char *const policies[] = {"Always", "IfNotPresent", "Never"};
    for (size_t i = 0; i < COUNT_OF(policies); i++) {
        if (strcmp(flags.pull_policy, policies[i]) == 0) {
            return 0;
        }
    }
    return err_set(e,
                   "--osm-container-pull-policy: expected Always, IfNotPresent or Never, found "
                   "\"%s\"",
                   flags.pull_policy);
}

static int run(const struct args *args, struct err *e)
{
    struct injector i = {.common = &common, .flags = &flags};
    int status = daemon_begin("osm-injector", METRICS_INJECTOR, &common, e);
    if (status == 0) {
        status = check_flags(e);
    }
    if (status == 0) {
        status = start(&i, e);
    }
    if (status == 0) {
        loop_run(i.loop);
    }
    stop(&i);
    return status == 0 ? EXIT_OK : -1;
}

static const struct flag flag_table[] = {
    DAEMON_FLAG_ROWS(common),
    {.name = "webhook-config-name",
     .type = FLAG_STRING,
     .value = "NAME",
     .help = "of the MutatingWebhookConfiguration",
     .to = &flags.webhook_config_name,
     .required = true},
    {.name = "webhook-timeout",
     .type = FLAG_NUMBER,
     .value = "SECONDS",
     .help = "how long the API server waits for an answer",
     .to = &flags.webhook_timeout_s,
     .min = 1,
     .max = 30},
    DAEMON_WEBHOOK_CLIENT_CA_ROW(flags.webhook_client_ca),
    {.name = "osm-container-pull-policy",
     .type = FLAG_STRING,
     .value = "Always|IfNotPresent|Never",
     .help = "of the images osm-init and osm-healthcheck",
     .to = &flags.pull_policy},
    {.name = "webhook-port",
     .type = FLAG_NUMBER,
     .value = "PORT",
     .help = "where the webhook is served",
     .to = &flags.webhook_port,
     .max = 65535},
    {.name = "pages-port",
     .type = FLAG_NUMBER,
     .value = "PORT",
     .help = "of health and metrics",
     .to = &flags.pages_port,
     .max = 65535},
    {0},
};

static const struct command root = {
    .name = "osm-injector",
    .summary = "Puts sidecars into the pods of a mesh",
    .help = "Answers the API server when pods are made in namespaces of the mesh: each gets its\n"
            "sidecar, the redirection of its traffic, and a certificate.",
    .flags = flag_table,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
