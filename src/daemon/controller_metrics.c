/* What the controller counts, and where it comes from. */
#include <string.h>

#include "daemon/controller.h"
#include "observe/metrics.h"

/* Dashboards know the types by their URLs, and all of them together as ADS. */
static void on_request(enum xds_type t)
{
    metric_add(METRIC_PROXY_XDS_REQUEST_COUNT, 1, xds_type_url(t), NULL);
}

static void on_response(enum xds_type t)
{
    metric_add(METRIC_PROXY_RESPONSE_SEND_SUCCESS_COUNT, 1, xds_type_url(t), NULL);
}

static void on_refused(enum xds_type t)
{
    metric_add(METRIC_PROXY_RESPONSE_REFUSED_COUNT, 1, xds_type_url(t), NULL);
}

static void on_unanswered(enum xds_type t)
{
    metric_add(METRIC_PROXY_RESPONSE_SEND_ERROR_COUNT, 1, xds_type_url(t), NULL);
}

static void on_updated(enum xds_type t, bool success, int64_t us)
{
    metric_observe_us(METRIC_PROXY_CONFIG_UPDATE_TIME, us, t == XDS_TYPES ? "ADS" : xds_type_url(t),
                      success ? "true" : "false", NULL);
}

static void on_reconnected(void)
{
    metric_add(METRIC_PROXY_RECONNECT_COUNT, 1, NULL);
}

static void on_refused_full(void)
{
    metric_add(METRIC_PROXY_MAX_CONNECTIONS_REJECTED, 1, NULL);
}

const struct ads_observer controller_observer = {
    .request = on_request,
    .response = on_response,
    .refused = on_refused,
    .unanswered = on_unanswered,
    .updated = on_updated,
    .reconnected = on_reconnected,
    .refused_full = on_refused_full,
};

/* "pod-added", as in Open Service Mesh: kinds in lower case. */
void controller_count_events(const struct changes *changes)
{
    VEC_EACH(changes->list, change) {
        const char *name = kind_info(change->kind)->name;
        char type[64];
        size_t n = 0;
        for (; name[n] && n < sizeof(type) - 16; n++) {
            type[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a') : name[n];
        }
        strcpy(type + n, !change->old ? "-added" : !change->now ? "-deleted" : "-updated");
        const struct object *o = change->now ? change->now : change->old;
        const char *namespace = o->meta.namespace.len > 0 ? o->meta.namespace.ptr : "";
        metric_add(METRIC_K8S_API_EVENT_COUNT, 1, type, namespace, NULL);
    }
}

bool controller_monitors(const struct controller *c, const struct object *namespace)
{
    const struct str *mesh = pairs_find(&namespace->meta.labels, "openservicemesh.io/monitored-by");
    return mesh && str_is(*mesh, c->common->mesh_name);
}

struct counting {
    const struct controller *controller;
    int64_t n;
};

static void count_monitored(void *arg, struct object *o)
{
    struct counting *x = arg;
    x->n += controller_monitors(x->controller, o);
}

size_t controller_feature_flags(const struct mesh_config *config,
                                struct feature_flag ret[FEATURE_FLAGS_MAX])
{
    const struct feature_flag flags[] = {
        {"enableWASMStats", config->features.wasm_stats},
        {"enableEgressPolicy", config->features.egress_policy},
        {"enableSnapshotCacheMode", config->features.snapshot_cache_mode},
        {"enableAsyncProxyServiceMapping", config->features.async_proxy_service_mapping},
        {"enableIngressBackendPolicy", config->features.ingress_backend_policy},
        {"enableEnvoyActiveHealthChecks", config->features.envoy_active_health_checks},
        {"enableRetryPolicy", config->features.retry_policy},
        {"enableMeshRootCertificate", config->features.mesh_root_certificate},
        {"enableMulticlusterMode", config->features.multicluster_mode},
    };
    memcpy(ret, flags, sizeof(flags));
    return COUNT_OF(flags);
}

static void collect_feature_flags(const struct mesh_config *config)
{
    struct feature_flag flags[FEATURE_FLAGS_MAX];
    size_t n = controller_feature_flags(config, flags);
    for (size_t i = 0; i < n; i++) {
        metric_set(METRIC_FEATURE_FLAG_ENABLED, flags[i].enabled, flags[i].name, NULL);
    }
}

void controller_collect_metrics(void *arg)
{
    struct controller *c = arg;
    struct counting namespaces = {c, 0};
    store_each(c->store, KIND_NAMESPACE, count_monitored, &namespaces);
    metric_set(METRIC_RESOURCE_NAMESPACE_COUNT, namespaces.n, NULL);
    metric_set(METRIC_PROXY_CONNECT_COUNT, c->ads ? (int64_t)ads_connected(c->ads) : 0, NULL);
    metric_set(METRIC_EVENTS_QUEUED, (int64_t)store_pending(c->store), NULL);
    collect_feature_flags(mesh_config(c->mesh));
}
