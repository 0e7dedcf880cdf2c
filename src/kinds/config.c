/* MeshConfig. */
#include "kinds/config.h"

#include <pthread.h>

#include "kinds/row.h"

#define MINUTE_MS (60 * 1000)

static const struct field text_item = {"", FIELD_STRING};
static const struct field cidr_item = {"", FIELD_STRING, .format = &format_cidr};
static const struct field port_item = {"", FIELD_INT, .min = 1, .max = 65535};

static const char *const envoy_levels[] = {"trace", "debug",    "info", "warning", "warn",
                                           "error", "critical", "off",  NULL};
static const char *const osm_levels[] = {"trace", "debug", "info",     "warn", "warning", "error",
                                         "fatal", "panic", "disabled", "off",  NULL};
static const char *const tls_versions[] = {"TLS_AUTO", "TLSv1_0", "TLSv1_1",
                                           "TLSv1_2",  "TLSv1_3", NULL};
static const char *const proxy_modes[] = {"Localhost", "PodIP", NULL};
static const char *const key_algorithms[] = {"ECDSA-P256", "RSA", NULL};

static const char *const sidecar_modes[] = {"auto", "native", "container", NULL};

static const struct field quantity_item = {"", FIELD_STRING, .format = &format_quantity};

struct resources {
    struct pairs limits, requests;
};

static const struct field resources_fields[] = {
    {"limits", FIELD_MAP, AT(resources, limits), FIELD_NUMBERS, .item = &quantity_item,
     .help = "The most that a sidecar may use, by resource."},
    {"requests", FIELD_MAP, AT(resources, requests), FIELD_NUMBERS, .item = &quantity_item,
     .help = "What is set aside for a sidecar, by resource."},
    FIELDS_END,
};

static const struct field sidecar_fields[] = {
    {"mode", FIELD_ENUM, AT(mesh_config, sidecar.mode), .words = sidecar_modes, .initial = "auto",
     .help = "How sidecars are put into pods: native, as init containers that go on running "
             "(Kubernetes 1.29 and later); container, beside the others; auto, native where the "
             "server has it."},
    {"enablePrivilegedInitContainer", FIELD_BOOL,
     AT(mesh_config, sidecar.enable_privileged_init_container),
     .help = "Run the init container privileged instead of with the capability NET_ADMIN."},
    {"logLevel", FIELD_STRING, AT(mesh_config, sidecar.log_level), .words = envoy_levels,
     .initial = "error", .help = "Log level of sidecars of pods that are made from now on."},
    {"envoyImage", FIELD_STRING, AT(mesh_config, sidecar.envoy_image), .help = "Sidecar's image."},
    {"envoyWindowsImage", FIELD_STRING, AT(mesh_config, sidecar.envoy_windows_image),
     .help = "Sidecar's image on Windows."},
    {"initContainerImage", FIELD_STRING, AT(mesh_config, sidecar.init_container_image),
     .help = "Image of the init container that redirects traffic."},
    {"maxDataPlaneConnections", FIELD_INT, AT(mesh_config, sidecar.max_data_plane_connections),
     .min = 0, .max = INT32_MAX, .help = "Sidecars that may be connected; 0: any number."},
    {"configResyncInterval", FIELD_DURATION, AT(mesh_config, sidecar.config_resync_interval_ms),
     .help = "Interval of updates of all sidecars; 0s: none, otherwise at least 30s."},
    {"tlsMinProtocolVersion", FIELD_STRING, AT(mesh_config, sidecar.tls_min), .words = tls_versions,
     .initial = "TLSv1_2", .help = "Oldest TLS version between sidecars."},
    {"tlsMaxProtocolVersion", FIELD_STRING, AT(mesh_config, sidecar.tls_max), .words = tls_versions,
     .initial = "TLSv1_3", .help = "Newest TLS version between sidecars."},
    {"cipherSuites", FIELD_LIST, AT(mesh_config, sidecar.cipher_suites), .item = &text_item,
     .help = "Ciphers for TLS 1.2 and older, as OpenSSL names them."},
    {"ecdhCurves", FIELD_LIST, AT(mesh_config, sidecar.ecdh_curves), .item = &text_item,
     .help = "Curves for the key exchange."},
    {"localProxyMode", FIELD_STRING, AT(mesh_config, sidecar.local_proxy_mode),
     .words = proxy_modes, .initial = "Localhost",
     .help = "Address at which a sidecar calls its application."},
    {"resources", FIELD_RAW, AT(mesh_config, sidecar.resources), .fields = resources_fields,
     .size = sizeof(struct resources), .help = "Resource requests and limits of sidecars."},
    FIELDS_END,
};

static const struct field ext_authz_fields[] = {
    {"enable", FIELD_BOOL, AT(mesh_config, traffic.ext_authz.enable),
     .help = "Ask the authorization service about inbound requests."},
    {"address", FIELD_STRING, AT(mesh_config, traffic.ext_authz.address), .help = "Its host."},
    {"port", FIELD_INT, AT(mesh_config, traffic.ext_authz.port), .min = 1, .max = 65535,
     .help = "Its port."},
    {"statPrefix", FIELD_STRING, AT(mesh_config, traffic.ext_authz.stat_prefix),
     .initial = "inboundExtAuthz", .help = "Prefix of its metrics."},
    {"timeout", FIELD_DURATION, AT(mesh_config, traffic.ext_authz.timeout_ms), .initial = "1s",
     .help = "Time it has for an answer."},
    {"failureModeAllow", FIELD_BOOL, AT(mesh_config, traffic.ext_authz.failure_mode_allow),
     .help = "Let requests through when it doesn't answer."},
    FIELDS_END,
};

static const struct field traffic_fields[] = {
    {"enableEgress", FIELD_BOOL, AT(mesh_config, traffic.enable_egress),
     .help = "Let calls to destinations outside the mesh through."},
    {"outboundIPRangeExclusionList", FIELD_LIST, AT(mesh_config, traffic.outbound_ip_exclusions),
     .item = &cidr_item, .help = "Destinations that bypass the sidecar."},
    {"outboundIPRangeInclusionList", FIELD_LIST, AT(mesh_config, traffic.outbound_ip_inclusions),
     .item = &cidr_item, .help = "The only destinations that go through the sidecar."},
    {"outboundPortExclusionList", FIELD_LIST, AT(mesh_config, traffic.outbound_port_exclusions),
     .item = &port_item, .help = "Destination ports that bypass the sidecar."},
    {"inboundPortExclusionList", FIELD_LIST, AT(mesh_config, traffic.inbound_port_exclusions),
     .item = &port_item, .help = "Ports of the pod that bypass the sidecar."},
    {"networkInterfaceExclusionList", FIELD_LIST, AT(mesh_config, traffic.interface_exclusions),
     .item = &text_item, .help = "Network interfaces that bypass the sidecar."},
    {"enablePermissiveTrafficPolicyMode", FIELD_BOOL, AT(mesh_config, traffic.permissive),
     .help = "Everyone in the mesh may call everyone; otherwise only what a TrafficTarget allows."},
    {"inboundExternalAuthorization", FIELD_STRUCT, 0, .fields = ext_authz_fields,
     .help = "External authorization of inbound requests."},
    FIELDS_END,
};

static const struct field tracing_fields[] = {
    {"enable", FIELD_BOOL, AT(mesh_config, observability.tracing.enable), .help = "Send traces."},
    {"port", FIELD_INT, AT(mesh_config, observability.tracing.port), .min = 0, .max = 65535,
     .help = "Port of the collector; 9411 when not given."},
    {"address", FIELD_STRING, AT(mesh_config, observability.tracing.address),
     .help = "Host of the collector; jaeger in the mesh's namespace when not given."},
    {"endpoint", FIELD_STRING, AT(mesh_config, observability.tracing.endpoint),
     .help = "Path of the collector; /api/v2/spans when not given."},
    FIELDS_END,
};

static const struct field observability_fields[] = {
    {"osmLogLevel", FIELD_STRING, AT(mesh_config, observability.log_level), .words = osm_levels,
     .initial = "info", .help = "Log level of the control plane."},
    {"enableDebugServer", FIELD_BOOL, AT(mesh_config, observability.enable_debug_server),
     .help = "Serve debug pages within the controller's pod, on port 9092."},
    {"tracing", FIELD_STRUCT, 0, .fields = tracing_fields, .help = "Distributed tracing."},
    FIELDS_END,
};

static const struct field gateway_secret_fields[] = {
    {"name", FIELD_STRING, AT(mesh_config, certificate.ingress_gateway.secret_name), FIELD_REQUIRED,
     .format = &format_dns_subdomain, .help = "Name of the Secret."},
    {"namespace", FIELD_STRING, AT(mesh_config, certificate.ingress_gateway.secret_namespace),
     FIELD_REQUIRED, .format = &format_dns_label, .help = "Its namespace."},
    FIELDS_END,
};

static const struct field gateway_fields[] = {
    {"subjectAltNames", FIELD_LIST, AT(mesh_config, certificate.ingress_gateway.subject_alt_names),
     FIELD_REQUIRED, .min = 1, .item = &text_item, .help = "Names in the certificate."},
    {"validityDuration", FIELD_DURATION, AT(mesh_config, certificate.ingress_gateway.validity_ms),
     .initial = "24h", .help = "Validity of the certificate."},
    {"secret", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = gateway_secret_fields,
     .help = "The Secret that the certificate is put into."},
    FIELDS_END,
};

static const struct field certificate_fields[] = {
    {"serviceCertValidityDuration", FIELD_DURATION,
     AT(mesh_config, certificate.service_cert_validity_ms), .initial = "24h",
     .help = "Validity of sidecars' certificates, at least 10m."},
    {"certKeyBitSize", FIELD_INT, AT(mesh_config, certificate.key_bits), .initial = "2048",
     .help = "Size of RSA keys, 2048 to 4096."},
    {"keyAlgorithm", FIELD_ENUM, AT(mesh_config, certificate.key_algorithm),
     .words = key_algorithms, .initial = "ECDSA-P256", .help = "Keys of certificates."},
    {"ingressGateway", FIELD_STRUCT, 0, .fields = gateway_fields,
     .present = FIELD_PRESENT(struct mesh_config, certificate.ingress_gateway.present),
     .help = "Client certificate of the ingress gateway."},
    FIELDS_END,
};

#define FLAG(key, member, text) {key, FIELD_BOOL, AT(mesh_config, features.member), .help = text}

static const struct field feature_fields[] = {
    FLAG("enableWASMStats", wasm_stats, "Metrics of calls between workloads."),
    FLAG("enableEgressPolicy", egress_policy, "Has no effect."),
    FLAG("enableSnapshotCacheMode", snapshot_cache_mode, "Has no effect."),
    FLAG("enableAsyncProxyServiceMapping", async_proxy_service_mapping, "Has no effect."),
    FLAG("enableIngressBackendPolicy", ingress_backend_policy, "Has no effect."),
    FLAG("enableEnvoyActiveHealthChecks", envoy_active_health_checks,
         "Sidecars check the endpoints that they call."),
    FLAG("enableRetryPolicy", retry_policy, "Retry objects count."),
    FLAG("enableMeshRootCertificate", mesh_root_certificate,
         "MeshRootCertificate objects say who issues certificates."),
    FLAG("enableMulticlusterMode", multicluster_mode, "Has no effect."),
    FIELDS_END,
};

static const struct field spec_fields[] = {
    {"sidecar", FIELD_STRUCT, 0, .fields = sidecar_fields, .help = "Sidecars."},
    {"traffic", FIELD_STRUCT, 0, .fields = traffic_fields, .help = "Traffic of the mesh."},
    {"observability", FIELD_STRUCT, 0, .fields = observability_fields,
     .help = "Logs, traces and debugging."},
    {"certificate", FIELD_STRUCT, 0, .fields = certificate_fields, .help = "Certificates."},
    {"featureFlags", FIELD_STRUCT, 0, .fields = feature_fields, .help = "Features."},
    FIELDS_END,
};

const struct field mesh_config_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, .fields = spec_fields, .help = "Settings."},
    FIELDS_END,
};

/* Values that OSM accepted and replaced are replaced here too, with a warning: a cluster that comes
 * from OSM must not lose its whole configuration to one of them. */
static void replace_low(struct decode *d, const struct value *doc, const char *path, int64_t *ms,
                        int64_t least_ms)
{
    if (*ms < least_ms) {
        decode_warning(d, doc, path, "expected at least %ds, found %ds; %ds is used",
                       (int)(least_ms / 1000), (int)(*ms / 1000), (int)(least_ms / 1000));
        *ms = least_ms;
    }
}

static void check_certificate(struct decode *d, const struct value *doc, struct mesh_config *c)
{
    replace_low(d, doc, "spec.certificate.serviceCertValidityDuration",
                &c->certificate.service_cert_validity_ms, 10 * MINUTE_MS);
    if (c->certificate.ingress_gateway.present) {
        replace_low(d, doc, "spec.certificate.ingressGateway.validityDuration",
                    &c->certificate.ingress_gateway.validity_ms, 10 * MINUTE_MS);
    }
    if (c->certificate.key_bits < 2048 || c->certificate.key_bits > 4096) {
        decode_warning(d, doc, "spec.certificate.certKeyBitSize",
                       "expected a whole number from 2048 to 4096, found %lld; 2048 is used",
                       (long long)c->certificate.key_bits);
        c->certificate.key_bits = 2048;
    }
}

static int tls_rank(struct str version, int automatic)
{
    if (str_is(version, "TLS_AUTO")) {
        return automatic;
    }
    int rank = 1;
    while (tls_versions[rank] && !str_is(version, tls_versions[rank])) {
        rank++;
    }
    return rank;
}

/* What is read and has no effect in this version, so that nobody relies on it. */
static void check_effect(struct decode *d, const struct value *doc, const struct mesh_config *c)
{
    const struct {
        bool on;
        const char *path;
    } without[] = {
        {c->observability.tracing.enable, "spec.observability.tracing.enable"},
        {c->features.retry_policy, "spec.featureFlags.enableRetryPolicy"},
        {c->features.mesh_root_certificate, "spec.featureFlags.enableMeshRootCertificate"},
        {c->features.multicluster_mode, "spec.featureFlags.enableMulticlusterMode"},
    };
    for (size_t i = 0; i < COUNT_OF(without); i++) {
        if (without[i].on && value_at(doc, without[i].path)) {
            decode_warning(d, doc, without[i].path, "is accepted, but has no effect yet");
        }
    }
    /* Calls would pass unchecked that somebody wants checked. */
    if (c->traffic.ext_authz.enable) {
        decode_error(d, doc, "spec.traffic.inboundExternalAuthorization.enable",
                     "expected false, found true: external authorization isn't supported yet, and "
                     "calls would pass unchecked");
    }
}

void mesh_config_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct mesh_config *c = (struct mesh_config *)o;
    if (c->sidecar.tls_min.len && c->sidecar.tls_max.len &&
        tls_rank(c->sidecar.tls_min, 0) > tls_rank(c->sidecar.tls_max, 99)) {
        decode_error(d, doc, "spec.sidecar.tlsMinProtocolVersion",
                     "expected a version that isn't above tlsMaxProtocolVersion, %.*s, found %.*s",
                     STR_ARG(c->sidecar.tls_max), STR_ARG(c->sidecar.tls_min));
    }
    if (clean && c->sidecar.config_resync_interval_ms > 0) {
        replace_low(d, doc, "spec.sidecar.configResyncInterval",
                    &c->sidecar.config_resync_interval_ms, MINUTE_MS / 2);
    }
    if (clean && c->traffic.ext_authz.enable &&
        (c->traffic.ext_authz.address.len == 0 || c->traffic.ext_authz.port == 0)) {
        decode_error(d, doc, "spec.traffic.inboundExternalAuthorization",
                     "expected address and port, as enable is true, found nothing; set both");
    }
    if (c->observability.tracing.port == 0) {
        c->observability.tracing.port = 9411;
    }
    if (c->observability.tracing.endpoint.len == 0) {
        c->observability.tracing.endpoint = STR("/api/v2/spans");
    }
    if (clean) {
        check_certificate(d, doc, c);
        check_effect(d, doc, c);
    }
}

static struct mesh_config *fallback;

static void make_fallback(void)
{
    struct arena *a = arena_new(sizeof(*fallback) + 256);
    struct findings none = {0};
    struct decode d = {.arena = a, .findings = &none};
    fallback = ARENA_NEW(a, struct mesh_config);
    ref_init(&fallback->object.ref);
    fallback->object.kind = KIND_MESH_CONFIG;
    fallback->object.arena = a;
    fields_decode(&d, mesh_config_fields, NULL, fallback);
    mesh_config_finish(&d, NULL, &fallback->object, true);
    fallback->object.hash = fields_hash(mesh_config_fields, fallback);
    ASSERT(none.list.len == 0);
}

struct mesh_config *mesh_config_default(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_fallback);
    return fallback;
}
