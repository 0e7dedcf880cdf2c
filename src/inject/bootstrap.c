/* The Secret that a sidecar starts from: its bootstrap, and its certificate as files. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/limits.h"
#include "doc/base64.h"
#include "inject/build.h"
#include "inject/inject.h"
#include "inject/names.h"
#include "inject/probes.h"

#define TYPE "type.googleapis.com/envoy."

static const struct value *typed(struct arena *a, const char *type)
{
    return value_new_stringf(a, TYPE "%s", type);
}

static const struct value *socket_address(struct arena *a, const char *host, int port)
{
    return build_object(
        a, "socket_address",
        build_object(a, "address", build_text(a, host), "port_value", value_new_int(a, port), NULL),
        NULL);
}

/* The admin page's own log, without the control plane's reading of statistics. */
static const struct value *admin(struct arena *a)
{
    const struct value *not_ours = build_object(
        a, "header_filter",
        build_object(a, "header",
                     build_object(a, "name", build_text(a, "user-agent"), "string_match",
                                  build_object(a, "prefix", build_text(a, "osm"), NULL),
                                  "invert_match", value_new_bool(a, true), NULL),
                     NULL),
        NULL);
    const struct value *log = build_object(
        a, "name", build_text(a, "envoy.access_loggers.stream"), "filter", not_ours, "typed_config",
        build_object(a, "@type", typed(a, "extensions.access_loggers.stream.v3.StdoutAccessLog"),
                     NULL),
        NULL);
    return build_object(a, "access_log", build_array(a, log, NULL), "address",
                        socket_address(a, "127.0.0.1", PORT_ADMIN), NULL);
}

static const struct value *dynamic_resources(struct arena *a, const struct inject_options *o)
{
    const struct value *service =
        build_object(a, "envoy_grpc",
                     build_object(a, "cluster_name", build_text(a, "osm-controller"), NULL), NULL);
    /* A pod that waits for its sidecar waits for the configuration, however long that takes. */
    const struct value *patience = o->native ? build_text(a, "0s") : NULL;
    const struct value *from_ads =
        build_object(a, "ads", value_new(a, VALUE_OBJECT), "resource_api_version",
                     build_text(a, "V3"), "initial_fetch_timeout", patience, NULL);
    return build_object(a, "ads_config",
                        build_object(a, "api_type", build_text(a, o->delta ? "DELTA_GRPC" : "GRPC"),
                                     "transport_api_version", build_text(a, "V3"),
                                     "set_node_on_first_message_only", value_new_bool(a, true),
                                     "grpc_services", build_array(a, service, NULL), NULL),
                        "cds_config", from_ads, "lds_config", from_ads, NULL);
}

/* A secret of the folder that the Secret is mounted at. The folder is watched, as a kubelet changes
 * all files at once by swapping a link there. */
static const struct value *file_secret(struct arena *a, const char *name, const char *file)
{
    return build_object(
        a, "name", build_text(a, name), "sds_config",
        build_object(a, "path_config_source",
                     build_object(a, "path", value_new_stringf(a, BOOTSTRAP_PATH "/%s", file),
                                  "watched_directory",
                                  build_object(a, "path", build_text(a, BOOTSTRAP_PATH), NULL),
                                  NULL),
                     "resource_api_version", build_text(a, "V3"), NULL),
        NULL);
}

static const struct value *optional_text(struct arena *a, struct str s)
{
    return s.len > 0 ? value_new_string(a, s) : NULL;
}

static const struct value *transport_socket(struct arena *a, const struct inject_options *o)
{
    const struct mesh_config *c = o->config;
    const struct value *params = build_object(
        a, "tls_minimum_protocol_version", optional_text(a, c->sidecar.tls_min),
        "tls_maximum_protocol_version", optional_text(a, c->sidecar.tls_max), "cipher_suites",
        build_strs(a, c->sidecar.cipher_suites.at, c->sidecar.cipher_suites.len), "ecdh_curves",
        build_strs(a, c->sidecar.ecdh_curves.at, c->sidecar.ecdh_curves.len), NULL);
    const struct value *certificate = file_secret(a, "tls_sds", "tls_certificate_sds_secret.yaml");
    const struct value *context = build_object(
        a, "alpn_protocols", build_texts(a, "h2", NULL), "tls_params", params,
        "tls_certificate_sds_secret_configs", build_array(a, certificate, NULL),
        "validation_context_sds_secret_config",
        file_secret(a, "validation_context_sds", "validation_context_sds_secret.yaml"), NULL);
    return build_object(
        a, "name", build_text(a, "envoy.transport_sockets.tls"), "typed_config",
        build_object(a, "@type", typed(a, "extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                     "common_tls_context", context, "sni",
                     value_new_stringf(a, "ads.%s", o->trust_domain), NULL),
        NULL);
}

static bool is_address(const char *host)
{
    unsigned char raw[16];
    return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

static const struct value *controller_cluster(struct arena *a, const struct inject_options *o)
{
    const struct value *endpoint = build_object(
        a, "endpoint",
        build_object(a, "address", socket_address(a, o->ads_host, o->ads_port), NULL), NULL);
    const struct value *locality =
        build_object(a, "lb_endpoints", build_array(a, endpoint, NULL), NULL);
    const struct value *http2 = build_object(
        a, "@type", typed(a, "extensions.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config",
        build_object(a, "http2_protocol_options", value_new(a, VALUE_OBJECT), NULL), NULL);
    const struct value *keepalive =
        build_object(a, "keepalive_probes", value_new_int(a, 5), "keepalive_time",
                     value_new_int(a, 60), "keepalive_interval", value_new_int(a, 5), NULL);
    return build_object(
        a, "name", build_text(a, "osm-controller"), "type",
        build_text(a, is_address(o->ads_host) ? "STATIC" : "LOGICAL_DNS"), "lb_policy",
        build_text(a, "ROUND_ROBIN"), "typed_extension_protocol_options",
        build_object(a, "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", http2, NULL),
        "upstream_connection_options", build_object(a, "tcp_keepalive", keepalive, NULL),
        "load_assignment",
        build_object(a, "cluster_name", build_text(a, "osm-controller"), "endpoints",
                     build_array(a, locality, NULL), NULL),
        "transport_socket", transport_socket(a, o), NULL);
}

static const struct value *yaml_text(struct arena *a, const struct value *document)
{
    struct buf out;
    buf_init(&out, LIMIT_DOC_BYTES);
    value_write_yaml(document, &out);
    const struct value *text = value_new_string(a, buf_str(&out));
    buf_done(&out);
    return text;
}

/* Envoy refuses regular expressions of more than 100 instructions unless told otherwise; its
 * default layer for its admin page stays. */
static const struct value *runtime(struct arena *a)
{
    const struct value *limits = build_object(a, "re2.max_program_size.error_level",
                                              value_new_int(a, LIMIT_REGEX_PROGRAM), NULL);
    const struct value *layers = build_array(
        a, build_object(a, "name", build_text(a, "limits"), "static_layer", limits, NULL),
        build_object(a, "name", build_text(a, "admin"), "admin_layer", value_new(a, VALUE_OBJECT),
                     NULL),
        NULL);
    return build_object(a, "layers", layers, NULL);
}

/* Envoy warns when its connections have no limit. A sidecar runs out of file descriptors long
 * before this one. */
static const struct value *overload_manager(struct arena *a)
{
    const struct value *limit = build_object(
        a, "@type",
        typed(a,
              "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
        "max_active_downstream_connections", value_new_int(a, 1000000), NULL);
    const struct value *monitor = build_object(
        a, "name", build_text(a, "envoy.resource_monitors.global_downstream_max_connections"),
        "typed_config", limit, NULL);
    return build_object(a, "resource_monitors", build_array(a, monitor, NULL), NULL);
}

/* Envoy makes these for every service, whether it is called or not, and they say nothing here: of
 * load balancing by subsets, zones and weights, stapled revocation answers, high priority, hosts
 * that are degraded and a choice of transport sockets, which the mesh doesn't use; when a service's
 * copy of the one certificate ends; and of each subscription, where the control plane's own figures
 * tell who refused what. */
static const char *const unused_statistics[] = {
    "cluster\\..+\\.(lb_(subsets|zone|local_cluster|recalculate_zone)_[a-z_]+|ssl\\.ocsp_[a-z_]+|"
    "circuit_breakers\\.high\\.[a-z_]+|update_[a-z_]+|assignment_[a-z_]+|init_fetch_timeout|"
    "version|version_text|max_host_weight|membership_(degraded|excluded)|warming_state|"
    "default\\.total_match_count|client_ssl_socket_factory\\.[a-z_]+|ssl\\.certificate\\..+)",
    "http\\..+\\.rds\\..+",
};

/* What the connection managers of outbound listeners count, a service's cluster counts again, and
 * `listener.outbound` by port. Each of them would have its own table of these 80 names; a prefix of
 * whole words is the one rule for which Envoy keeps no table of what it refused, either. */
#define UNUSED_PREFIX "http.rds-outbound."

static const struct value *stats_config(struct arena *a)
{
    struct value *patterns = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < COUNT_OF(unused_statistics); i++) {
        value_push(a, patterns,
                   build_object(a, "safe_regex",
                                build_object(a, "regex", build_text(a, unused_statistics[i]), NULL),
                                NULL));
    }
    value_push(a, patterns, build_object(a, "prefix", build_text(a, UNUSED_PREFIX), NULL));
    return build_object(
        a, "stats_matcher",
        build_object(a, "exclusion_list", build_object(a, "patterns", patterns, NULL), NULL), NULL);
}

/* Most services that a sidecar may call it never calls: what they cost before decides its memory.
 * Their statistics are made on the first call, and so is each worker thread's part of a cluster. */
static const struct value *bootstrap(struct arena *a, struct str uuid,
                                     const struct probe_plan *probes,
                                     const struct inject_options *o)
{
    struct value *listeners = value_new(a, VALUE_ARRAY);
    struct value *clusters = build_array(a, controller_cluster(a, o), NULL);
    probes_add_envoy(a, probes, o, listeners, clusters);
    const struct value *deferred =
        build_object(a, "enable_deferred_creation_stats", value_new_bool(a, true), NULL);
    const struct value *clusters_on_use =
        build_object(a, "enable_deferred_cluster_creation", value_new_bool(a, true), NULL);
    return yaml_text(
        a, build_object(a, "node", build_object(a, "id", value_new_string(a, uuid), NULL), "admin",
                        admin(a), "stats_config", stats_config(a), "deferred_stat_options",
                        deferred, "cluster_manager", clusters_on_use, "layered_runtime", runtime(a),
                        "overload_manager", overload_manager(a), "dynamic_resources",
                        dynamic_resources(a, o), "static_resources",
                        build_object(a, "listeners", listeners->array.len > 0 ? listeners : NULL,
                                     "clusters", clusters, NULL),
                        NULL));
}

static const struct value *file_at(struct arena *a, const char *name)
{
    return build_object(a, "filename", value_new_stringf(a, BOOTSTRAP_PATH "/%s", name), NULL);
}

static const struct value *sds_document(struct arena *a, const char *name, const char *member,
                                        struct value *secret)
{
    value_set(a, secret, "watched_directory",
              build_object(a, "path", build_text(a, BOOTSTRAP_PATH), NULL));
    const struct value *resource =
        build_object(a, "@type", typed(a, "extensions.transport_sockets.tls.v3.Secret"), "name",
                     build_text(a, name), member, secret, NULL);
    return yaml_text(a, build_object(a, "resources", build_array(a, resource, NULL), NULL));
}

/* Only the control plane's own name is taken: every workload has a certificate of the same root. */
static const struct value *validation_document(struct arena *a, const struct inject_options *o)
{
    const struct value *name = build_object(
        a, "san_type", build_text(a, "DNS"), "matcher",
        build_object(a, "exact", value_new_stringf(a, "ads.%s", o->trust_domain), NULL), NULL);
    return sds_document(a, "validation_context_sds", "validation_context",
                        build_object(a, "trusted_ca", file_at(a, "cacert.pem"),
                                     "match_typed_subject_alt_names", build_array(a, name, NULL),
                                     NULL));
}

static const struct value *blob_text(struct arena *a, const struct blob *b)
{
    return value_new_string(a, blob_str(b));
}

/* Until its pod is there and takes over, what makes the pod owns its Secret: those of pods that
 * were refused after all go with it. */
static const struct value *owners_of(struct arena *a, const struct value *pod)
{
    const struct value *owners = value_at(pod, "metadata.ownerReferences");
    for (size_t i = 0; i < value_len(owners); i++) {
        const struct value *o = &owners->array.at[i];
        if (value_bool_at(o, "controller") && value_string_at(o, "uid").len > 0) {
            return build_array(a,
                               build_object(a, "apiVersion", value_member(o, "apiVersion"), "kind",
                                            value_member(o, "kind"), "name",
                                            value_member(o, "name"), "uid", value_member(o, "uid"),
                                            NULL),
                               NULL);
        }
    }
    return NULL;
}

int inject_bootstrap_secret(struct arena *a, const struct value *pod, const struct pod *decoded,
                            struct str uuid, const struct cert *cert,
                            const struct inject_options *o, struct value **ret, struct err *e)
{
    struct probe_plan probes;
    if (probes_plan(a, pod, decoded, o, &probes, e) < 0) {
        return -1;
    }
    const struct value *labels =
        build_object(a, "app.kubernetes.io/name", build_text(a, "openservicemesh.io"),
                     "app.kubernetes.io/instance", build_text(a, o->mesh_name),
                     "app.kubernetes.io/version", build_text(a, OSM_VERSION), NULL);
    const struct value *metadata =
        build_object(a, "name", value_new_stringf(a, BOOTSTRAP_SECRET_PREFIX "%.*s", STR_ARG(uuid)),
                     "namespace", value_new_string(a, decoded->object.meta.namespace), "labels",
                     labels, "ownerReferences", owners_of(a, pod), NULL);
    struct value *certificate = build_object(a, "certificate_chain", file_at(a, "sds_cert.pem"),
                                             "private_key", file_at(a, "sds_key.pem"), NULL);
    const struct value *data = build_object(
        a, "bootstrap.yaml", bootstrap(a, uuid, &probes, o), "tls_certificate_sds_secret.yaml",
        sds_document(a, "tls_sds", "tls_certificate", certificate),
        "validation_context_sds_secret.yaml", validation_document(a, o), "cacert.pem",
        blob_text(a, cert->ca), "sds_cert.pem", blob_text(a, cert->chain), "sds_key.pem",
        blob_text(a, cert->private_key), "signing_issuer_id", blob_text(a, cert->issuer_id),
        "validating_issuer_id", blob_text(a, cert->issuer_id), NULL);
    *ret = build_object(a, "apiVersion", build_text(a, "v1"), "kind", build_text(a, "Secret"),
                        "metadata", metadata, "type", build_text(a, "Opaque"), "stringData", data,
                        NULL);
    return 0;
}

static const struct value *encoded(struct arena *a, const struct blob *b)
{
    return value_new_string(a, base64_encode(a, blob_str(b)));
}

struct value *inject_bootstrap_renewal(struct arena *a, const struct cert *cert)
{
    const struct value *issuer = encoded(a, cert->issuer_id);
    return build_object(a, "cacert.pem", encoded(a, cert->ca), "sds_cert.pem",
                        encoded(a, cert->chain), "sds_key.pem", encoded(a, cert->private_key),
                        "signing_issuer_id", issuer, "validating_issuer_id", issuer, NULL);
}
