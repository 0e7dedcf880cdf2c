/* osm-bootstrap: installs the custom resource definitions, makes what a mesh begins with, and keeps
 * the definitions as they were installed when it is asked to. */
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "daemon/definitions.h"
#include "daemon/presets.h"
#include "kube/keep.h"
#include "kube/lease.h"
#include "observe/pages.h"

#define LEASE "osm-bootstrap"

static struct daemon_flags common = DAEMON_FLAGS_DEFAULTS;
static const char *pages_address = NULL;
static int64_t pages_port = PAGES_PORT;

struct bootstrap {
    struct loop *loop;
    struct kube_client *client;
    struct http_server *pages;
    struct kube_lease *lease;
    struct kube_keep *keep;
};

static void on_healthz(void *arg, struct http_request *q)
{
    pages_reply_health(q, NULL);
}

static int start_pages(struct bootstrap *b, struct err *e)
{
    static const struct http_route routes[] = {{"GET", "/healthz", on_healthz}};
    struct http_server_options o = {.loop = b->loop,
                                    .host = pages_address,
                                    .port = (uint16_t)pages_port,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = b};
    return pages_start(&o, &b->pages, e);
}

/* --- keeping the definitions --- */

static void on_kept(void *arg, enum kube_keep_event event, struct str name,
                    const struct err *failed)
{
    char crd[256];
    snprintf(crd, sizeof(crd), "%.*s", STR_ARG(name));
    if (failed) {
        log_event(LOG_ERROR, "a definition can't be put back", "name", crd, "reason", failed->text,
                  "error_code", event == KUBE_KEEP_DELETED ? "E7001" : "E7000", NULL);
    } else if (event != KUBE_KEEP_APPLIED) {
        metric_add(METRIC_RECONCILIATION_TOTAL, 1, "CustomResourceDefinition", NULL);
        log_event(LOG_WARN,
                  event == KUBE_KEEP_DELETED ? "a definition was deleted; it is made again"
                                             : "a definition was changed; it is put back",
                  "name", crd, NULL);
    }
}

/* Those that were ours to install. */
static void keep_definitions(struct bootstrap *b)
{
    struct kube_keep_options o = {.client = b->client,
                                  .group_version = DEFINITIONS_VERSION,
                                  .plural = DEFINITIONS_PLURAL,
                                  .watch = true,
                                  .label_selector = DEFINITIONS_SELECTOR,
                                  .on_event = on_kept,
                                  .arg = b};
    b->keep = kube_keep_start(&o);
    for (int k = 0; k < KIND_COUNT; k++) {
        AUTO(arena_free) struct arena *a = arena_new(1 << 16);
        const struct value *crd = definition_of(a, (enum kind)k, common.osm_version);
        bool shared = k == KIND_SERVICE_EXPORT || k == KIND_SERVICE_IMPORT;
        if (crd && !shared) {
            kube_keep_set(b->keep, crd);
        }
    }
}

/* One replica is enough, and during an upgrade two versions must not put back each other's. */
static void on_lease(void *arg, bool held)
{
    struct bootstrap *b = arg;
    if (held && !b->keep) {
        log_event(LOG_INFO, "keeping the definitions", NULL);
        keep_definitions(b);
    } else if (!held) {
        kube_keep_free(b->keep);
        b->keep = NULL;
    }
}

static void start_reconciler(struct bootstrap *b)
{
    const char *pod = getenv("BOOTSTRAP_POD_NAME");
    struct kube_lease_options o = {.client = b->client,
                                   .namespace = common.osm_namespace,
                                   .name = LEASE,
                                   .identity = pod && *pod ? pod : LEASE,
                                   .on_change = on_lease,
                                   .arg = b};
    b->lease = kube_lease_start(&o);
}

/* --- start and end --- */

static void on_signal(void *arg, int signo)
{
    struct bootstrap *b = arg;
    log_event(LOG_INFO, "ending", "signal", strsignal(signo), NULL);
    loop_stop(b->loop);
}

static int start(struct bootstrap *b, struct err *e)
{
    struct kube_config *config = NULL;
    struct kube_config_options options = {.kubeconfig = common.kubeconfig};
    if (kube_config_load(&options, &config, e) < 0) {
        return -1;
    }
    b->loop = loop_new();
    b->client = kube_client_new(config, b->loop);
    if (definitions_install(b->client, common.osm_version, e) < 0 ||
        presets_create(b->client, &common, e) < 0 || start_pages(b, e) < 0) {
        return -1;
    }
    if (common.enable_reconciler) {
        start_reconciler(b);
    }
    loop_on_signal(b->loop, SIGTERM, on_signal, b);
    loop_on_signal(b->loop, SIGINT, on_signal, b);
    log_event(LOG_INFO, "bootstrap is done", "mesh", common.mesh_name, NULL);
    return 0;
}

static void stop(struct bootstrap *b)
{
    kube_keep_free(b->keep);
    kube_lease_free(b->lease);
    http_server_free(b->pages);
    kube_client_free(b->client);
    if (b->loop) {
        loop_free(b->loop);
    }
}

static int run(const struct args *args, struct err *e)
{
    struct bootstrap b = {0};
    int status = daemon_begin("osm-bootstrap", METRICS_BOOTSTRAP, &common, e);
    if (status == 0) {
        status = start(&b, e);
    }
    if (status == 0) {
        loop_run(b.loop);
    }
    stop(&b);
    return status == 0 ? EXIT_OK : -1;
}

static const struct flag flag_table[] = {
    DAEMON_FLAG_ROWS(common),
    {.name = "http-address",
     .type = FLAG_STRING,
     .value = "ADDRESS",
     .help = "where health, metrics and version are served; all addresses when not given",
     .to = &pages_address},
    {.name = "http-port",
     .type = FLAG_NUMBER,
     .value = "PORT",
     .help = "and at which port",
     .to = &pages_port,
     .min = 1,
     .max = 65535},
    {0},
};

static const struct command root = {
    .name = "osm-bootstrap",
    .summary = "Prepares a cluster for a mesh",
    .help = "Installs the custom resource definitions, makes the MeshConfig and the\n"
            "MeshRootCertificate from their presets when there are none, and with\n"
            "--enable-reconciler puts the definitions back when somebody changes them.",
    .flags = flag_table,
    .run = run,
};

int main(int argc, char **argv)
{
    return command_run(&root, argc, argv);
}
