/* What osm-controller, osm-injector and osm-bootstrap have in common: flags with the names and
 * defaults of Open Service Mesh, logs, and how they begin. */
#ifndef OSM_DAEMON_FLAGS_H
#define OSM_DAEMON_FLAGS_H

#include "base/command.h"
#include "observe/metrics.h"

struct daemon_flags {
    const char *verbosity; /* NULL: as MeshConfig says, then info */
    const char *kubeconfig;
    const char *mesh_name, *osm_namespace, *osm_config_name, *osm_version;
    const char *certificate_manager, *ca_bundle_secret_name, *trust_domain;
    const char *vault_protocol, *vault_host, *vault_token, *vault_role, *vault_port;
    const char *vault_token_secret_name, *vault_token_secret_key;
    const char *cert_manager_issuer_name, *cert_manager_issuer_kind, *cert_manager_issuer_group;
    bool enable_reconciler;
};

/* static struct daemon_flags common = DAEMON_FLAGS_DEFAULTS; */
#define DAEMON_FLAGS_DEFAULTS                                                                      \
    {                                                                                              \
        .mesh_name = "osm",                                                                        \
        .osm_namespace = "osm-system",                                                             \
        .osm_config_name = "osm-mesh-config",                                                      \
        .osm_version = OSM_VERSION,                                                                \
        .certificate_manager = "tresor",                                                           \
        .ca_bundle_secret_name = "osm-ca-bundle",                                                  \
        .trust_domain = "cluster.local",                                                           \
        .vault_protocol = "http",                                                                  \
        .vault_host = "vault.default.svc.cluster.local",                                           \
        .vault_role = "openservicemesh",                                                           \
        .vault_port = "8200",                                                                      \
        .cert_manager_issuer_name = "osm-ca",                                                      \
        .cert_manager_issuer_kind = "Issuer",                                                      \
        .cert_manager_issuer_group = "cert-manager.io",                                            \
    }

/* Their rows, in a daemon's table: {DAEMON_FLAG_ROWS(common), {"mine", ...}, {0}}. */
#define DAEMON_FLAG_TEXT(flag, what, says, variable)                                               \
    {.name = flag, .type = FLAG_STRING, .value = what, .help = says, .to = &(variable)}
#define DAEMON_FLAG_ROWS(f)                                                                        \
    {.name = "verbosity",                                                                          \
     .letter = 'v',                                                                                \
     .type = FLAG_STRING,                                                                          \
     .value = "trace|debug|info|warn|error|fatal|panic|disabled",                                  \
     .help = "log level until a MeshConfig says one (info)",                                       \
     .to = &(f).verbosity},                                                                        \
        DAEMON_FLAG_TEXT("kubeconfig", "FILE",                                                     \
                         "where the API server is (a pod: its service account)", (f).kubeconfig),  \
        DAEMON_FLAG_TEXT(                                                                          \
            "mesh-name", "NAME",                                                                   \
            "namespaces labelled openservicemesh.io/monitored-by: NAME belong to the mesh",        \
            (f).mesh_name),                                                                        \
        DAEMON_FLAG_TEXT("osm-namespace", "NAME", "namespace of the control plane",                \
                         (f).osm_namespace),                                                       \
        DAEMON_FLAG_TEXT("osm-config-name", "NAME", "name of the MeshConfig",                      \
                         (f).osm_config_name),                                                     \
        DAEMON_FLAG_TEXT("osm-version", "VERSION", "version in the labels of what is made",        \
                         (f).osm_version),                                                         \
        DAEMON_FLAG_TEXT("certificate-manager", "tresor|vault|cert-manager",                       \
                         "who signs certificates; tresor: we do", (f).certificate_manager),        \
        DAEMON_FLAG_TEXT("ca-bundle-secret-name", "NAME",                                          \
                         "Secret with the mesh's root; made when it is missing",                   \
                         (f).ca_bundle_secret_name),                                               \
        DAEMON_FLAG_TEXT("trust-domain", "NAME", "of all identities", (f).trust_domain),           \
        DAEMON_FLAG_TEXT("vault-protocol", "PROTOCOL", "of Vault", (f).vault_protocol),            \
        DAEMON_FLAG_TEXT("vault-host", "HOST", "of Vault", (f).vault_host),                        \
        DAEMON_FLAG_TEXT("vault-token", "TOKEN", "for Vault", (f).vault_token),                    \
        DAEMON_FLAG_TEXT("vault-role", "NAME", "in Vault", (f).vault_role),                        \
        DAEMON_FLAG_TEXT("vault-port", "PORT", "of Vault", (f).vault_port),                        \
        DAEMON_FLAG_TEXT("vault-token-secret-name", "NAME", "Secret with the token for Vault",     \
                         (f).vault_token_secret_name),                                             \
        DAEMON_FLAG_TEXT("vault-token-secret-key", "KEY", "of the token in that Secret",           \
                         (f).vault_token_secret_key),                                              \
        DAEMON_FLAG_TEXT("cert-manager-issuer-name", "NAME", "of cert-manager's issuer",           \
                         (f).cert_manager_issuer_name),                                            \
        DAEMON_FLAG_TEXT("cert-manager-issuer-kind", "KIND", "of cert-manager's issuer",           \
                         (f).cert_manager_issuer_kind),                                            \
        DAEMON_FLAG_TEXT("cert-manager-issuer-group", "GROUP", "of cert-manager's issuer",         \
                         (f).cert_manager_issuer_group),                                           \
    {                                                                                              \
        .name = "enable-reconciler", .type = FLAG_BOOL,                                            \
        .help = "put right what others change of what the mesh made", .to = &(f).enable_reconciler \
    }

/* The beginning of every daemon, before any other thread: refuses flags that would mean something
 * that we don't do, takes as many descriptors as it may, sets the log level and form
 * (OSM_HUMAN_DEBUG_LOG=true: text), counts metrics. name: "osm-controller". */
int daemon_begin(const char *name, enum metrics_program program, const struct daemon_flags *f,
                 struct err *e);

/* The log level that MeshConfig's observability.osmLogLevel asks for; an empty text, because there
 * is none: that of --verbosity. */
void daemon_log_level(const struct daemon_flags *f, struct str osm_log_level);

#endif
