/* OSM's own kinds: MeshConfig v1alpha2 and v1alpha1 (a subset), whole. Defaults are those of the
 * CRD and the chart. */
#ifndef OSM_KINDS_CONFIG_H
#define OSM_KINDS_CONFIG_H

#include "kinds/object.h"

enum key_algorithm { KEY_ECDSA_P256, KEY_RSA };
/* How a sidecar is put into a pod: as an init container that goes on running (Kubernetes 1.29), or
 * as a container beside the others. Auto: the first where the server has it. */
enum sidecar_mode { SIDECAR_MODE_AUTO, SIDECAR_MODE_NATIVE, SIDECAR_MODE_CONTAINER };

struct mesh_config {
    struct object object;
    struct {
        enum sidecar_mode mode;
        bool enable_privileged_init_container;
        struct str log_level; /* "error" by default */
        struct str envoy_image, envoy_windows_image, init_container_image;
        int64_t max_data_plane_connections; /* 0: unlimited */
        int64_t config_resync_interval_ms;
        struct str tls_min, tls_max; /* TLS_AUTO, TLSv1_0 .. TLSv1_3 */
        struct strs cipher_suites, ecdh_curves;
        struct str local_proxy_mode; /* Localhost, PodIP */
        const struct value *resources;
    } sidecar;
    struct {
        bool enable_egress, permissive;
        struct strs outbound_ip_exclusions, outbound_ip_inclusions; /* CIDRs */
        LIST(int64_t) outbound_port_exclusions;
        LIST(int64_t) inbound_port_exclusions;
        struct strs interface_exclusions;
        struct {
            bool enable, failure_mode_allow;
            struct str address, stat_prefix;
            int64_t port, timeout_ms;
        } ext_authz;
    } traffic;
    struct {
        struct str log_level; /* osmLogLevel, "info" */
        bool enable_debug_server;
        struct {
            bool enable;
            int64_t port;
            struct str address, endpoint;
        } tracing;
    } observability;
    struct {
        int64_t service_cert_validity_ms; /* 24 h by default, at least 10 min */
        int64_t key_bits;                 /* certKeyBitSize, for RSA */
        enum key_algorithm key_algorithm; /* certificate.keyAlgorithm, ECDSA-P256 by default */
        struct {
            bool present;
            struct strs subject_alt_names;
            int64_t validity_ms;
            struct str secret_name, secret_namespace;
        } ingress_gateway;
    } certificate;
    struct {
        bool wasm_stats, egress_policy, snapshot_cache_mode, async_proxy_service_mapping;
        bool ingress_backend_policy, envoy_active_health_checks, retry_policy;
        bool mesh_root_certificate, multicluster_mode;
    } features;
};

/* The object that stands for an absent MeshConfig: every default, static, never freed. */
struct mesh_config *mesh_config_default(void);

#endif
