/* The table of kinds. */
#include <string.h>

#include "kinds/config.h"
#include "kinds/core.h"
#include "kinds/multicluster.h"
#include "kinds/policy.h"
#include "kinds/root.h"
#include "kinds/row.h"
#include "kinds/smi.h"
#include "kinds/upstream.h"

/* The shapes that field tables write to are those of this folder. */
_Static_assert(sizeof(struct strs) == sizeof(struct field_list), "lists");
_Static_assert(sizeof(struct pairs) == sizeof(struct field_pairs), "maps");
_Static_assert(sizeof(struct pair) == sizeof(struct field_pair), "pairs");
_Static_assert(sizeof(struct int_or_string) == sizeof(struct field_int_or_string), "ports");
_Static_assert(offsetof(struct int_or_string, name) == offsetof(struct field_int_or_string, text),
               "ports");
_Static_assert(sizeof(enum key_algorithm) == sizeof(unsigned), "enums");
_Static_assert(sizeof(enum sidecar_mode) == sizeof(unsigned), "enums");
_Static_assert(sizeof(enum root_role) == sizeof(unsigned), "enums");
_Static_assert(sizeof(enum rate_unit) == sizeof(unsigned), "enums");

#define AGE                                                                                        \
    {"Age", "date", ".metadata.creationTimestamp", NULL},                                          \
    {                                                                                              \
        NULL                                                                                       \
    }
static const struct kind_column status_columns[] = {
    {"Status", "string", ".status.currentStatus", "Whether it is in force."},
    AGE,
};
static const struct kind_column split_columns[] = {
    {"Service", "string", ".spec.service", "The apex service."},
    AGE,
};
static const struct kind_column root_columns[] = {
    {"Role", "string", ".spec.role", "What it is used for."},
    AGE,
};
static const struct kind_column import_columns[] = {
    {"Type", "string", ".spec.type", "Type of the service."},
    {"IP", "string", ".spec.ips", "Its address."},
    AGE,
};

const struct kind_row kind_rows[KIND_COUNT] = {
    [KIND_NAMESPACE] = {.info = {"Namespace", "namespaces", "", {"v1"}, false},
                        .size = sizeof(struct namespace),
                        .fields = namespace_fields,
                        .name_format = &format_dns_label},
    [KIND_SERVICE_ACCOUNT] = {.info = {"ServiceAccount", "serviceaccounts", "", {"v1"}, true},
                              .size = sizeof(struct service_account),
                              .fields = service_account_fields,
                              .name_format = &format_dns_subdomain},
    [KIND_SERVICE] = {.info = {"Service", "services", "", {"v1"}, true},
                      .size = sizeof(struct service),
                      .fields = service_fields,
                      .name_format = &format_dns_1035,
                      .finish = service_finish},
    [KIND_POD] = {.info = {"Pod", "pods", "", {"v1"}, true},
                  .size = sizeof(struct pod),
                  .fields = pod_fields,
                  .slim = pod_slim_fields,
                  .name_format = &format_dns_subdomain,
                  .keep_raw = true,
                  .finish = pod_finish},
    [KIND_DEPLOYMENT] = {.info = {"Deployment", "deployments", "apps", {"v1"}, true},
                         .size = sizeof(struct deployment),
                         .fields = deployment_fields,
                         .name_format = &format_dns_subdomain,
                         .keep_raw = true,
                         .finish = deployment_finish},
    [KIND_STATEFUL_SET] = {.info = {"StatefulSet", "statefulsets", "apps", {"v1"}, true},
                           .size = sizeof(struct stateful_set),
                           .fields = stateful_set_fields,
                           .name_format = &format_dns_label,
                           .keep_raw = true,
                           .finish = stateful_set_finish},
    [KIND_JOB] = {.info = {"Job", "jobs", "batch", {"v1"}, true},
                  .size = sizeof(struct job),
                  .fields = job_fields,
                  .name_format = &format_dns_subdomain,
                  .keep_raw = true,
                  .finish = job_finish},
    [KIND_ENDPOINT_SLICE] =
        {.info = {"EndpointSlice", "endpointslices", "discovery.k8s.io", {"v1"}, true},
         .size = sizeof(struct endpoint_slice),
         .fields = endpoint_slice_fields,
         .name_format = &format_dns_subdomain,
         .finish = endpoint_slice_finish},
    [KIND_SECRET] = {.info = {"Secret", "secrets", "", {"v1"}, true},
                     .size = sizeof(struct secret),
                     .fields = secret_fields,
                     .name_format = &format_dns_subdomain,
                     .secret = true},
    [KIND_CONFIG_MAP] = {.info = {"ConfigMap", "configmaps", "", {"v1"}, true},
                         .size = sizeof(struct config_map),
                         .fields = config_map_fields,
                         .name_format = &format_dns_subdomain},
    [KIND_TRAFFIC_TARGET] =
        {.info = {"TrafficTarget", "traffictargets", "access.smi-spec.io", {"v1alpha3"}, true},
         .short_name = "tt",
         .unserved_versions = "v1alpha2 v1alpha1",
         .help = "Who may call the workloads of a service account.",
         .size = sizeof(struct traffic_target),
         .fields = traffic_target_fields,
         .name_format = &format_dns_subdomain,
         .finish = traffic_target_finish},
    [KIND_HTTP_ROUTE_GROUP] =
        {.info = {"HTTPRouteGroup", "httproutegroups", "specs.smi-spec.io", {"v1alpha4"}, true},
         .short_name = "htr",
         .unserved_versions = "v1alpha3 v1alpha2 v1alpha1",
         .help = "HTTP calls that TrafficTargets allow and TrafficSplits split.",
         .size = sizeof(struct http_route_group),
         .fields = http_route_group_fields,
         .name_format = &format_dns_subdomain,
         .finish = http_route_group_finish},
    [KIND_TCP_ROUTE] = {.info = {"TCPRoute", "tcproutes", "specs.smi-spec.io", {"v1alpha4"}, true},
                        .short_name = "tr",
                        .unserved_versions = "v1alpha3 v1alpha2 v1alpha1",
                        .help = "TCP ports that TrafficTargets open.",
                        .size = sizeof(struct tcp_route),
                        .fields = tcp_route_fields,
                        .name_format = &format_dns_subdomain,
                        .finish = tcp_route_finish},
    [KIND_TRAFFIC_SPLIT] = {.info = {"TrafficSplit",
                                     "trafficsplits",
                                     "split.smi-spec.io",
                                     {"v1alpha2", "v1alpha3", "v1alpha4"},
                                     true},
                            .short_name = "ts",
                            .unserved_versions = "v1alpha1",
                            .columns = split_columns,
                            .help = "How the calls to a service are divided among others.",
                            .size = sizeof(struct traffic_split),
                            .fields = traffic_split_fields,
                            .name_format = &format_dns_subdomain,
                            .finish = traffic_split_finish},
    [KIND_MESH_CONFIG] = {.info = {"MeshConfig",
                                   "meshconfigs",
                                   "config.openservicemesh.io",
                                   {"v1alpha2", "v1alpha1"},
                                   true},
                          .short_name = "meshconfig",
                          .deprecated_version = "v1alpha1",
                          .help = "Settings of the mesh.",
                          .size = sizeof(struct mesh_config),
                          .fields = mesh_config_fields,
                          .name_format = &format_dns_subdomain,
                          .finish = mesh_config_finish},
    [KIND_MESH_ROOT_CERTIFICATE] = {.info = {"MeshRootCertificate",
                                             "meshrootcertificates",
                                             "config.openservicemesh.io",
                                             {"v1alpha2"},
                                             true},
                                    .short_name = "mrc",
                                    .columns = root_columns,
                                    .status = mesh_root_certificate_status_fields,
                                    .help = "A root that certificates of the mesh are issued from.",
                                    .no_effect = true,
                                    .as_is = mesh_root_certificate_as_is,
                                    .size = sizeof(struct mesh_root_certificate),
                                    .fields = mesh_root_certificate_fields,
                                    .name_format = &format_dns_subdomain,
                                    .finish = mesh_root_certificate_finish},
    [KIND_EXTENSION_SERVICE] =
        {.info = {"ExtensionService",
                  "extensionservices",
                  "config.openservicemesh.io",
                  {"v1alpha2"},
                  true},
         .short_name = "extsvc",
         .help = "A service that sidecars use, such as a collector of access logs.",
         .no_effect = true,
         .size = sizeof(struct extension_service),
         .fields = extension_service_fields,
         .name_format = &format_dns_subdomain},
    [KIND_EGRESS] =
        {.info = {"Egress", "egresses", "policy.openservicemesh.io", {"v1alpha1"}, true},
         .short_name = "egress",
         .help = "Calls of service accounts to destinations outside the mesh.",
         .no_effect = true,
         .size = sizeof(struct egress),
         .fields = egress_fields,
         .name_format = &format_dns_subdomain,
         .finish = egress_finish},
    [KIND_INGRESS_BACKEND] = {.info = {"IngressBackend",
                                       "ingressbackends",
                                       "policy.openservicemesh.io",
                                       {"v1alpha1"},
                                       true},
                              .short_name = "ingressbackend",
                              .columns = status_columns,
                              .status = policy_status_fields,
                              .help = "Who outside the mesh may call services of it.",
                              .size = sizeof(struct ingress_backend),
                              .fields = ingress_backend_fields,
                              .name_format = &format_dns_subdomain,
                              .finish = ingress_backend_finish},
    [KIND_RETRY] = {.info = {"Retry", "retries", "policy.openservicemesh.io", {"v1alpha1"}, true},
                    .short_name = "retry",
                    .help = "How calls of a service account are tried again.",
                    .no_effect = true,
                    .size = sizeof(struct retry),
                    .fields = retry_fields,
                    .name_format = &format_dns_subdomain,
                    .finish = retry_finish},
    [KIND_UPSTREAM_TRAFFIC_SETTING] = {.info = {"UpstreamTrafficSetting",
                                                "upstreamtrafficsettings",
                                                "policy.openservicemesh.io",
                                                {"v1alpha1"},
                                                true},
                                       .short_name = "upstreamtrafficsetting",
                                       .columns = status_columns,
                                       .status = policy_status_fields,
                                       .help = "Limits of the calls to a host.",
                                       .no_effect = true,
                                       .size = sizeof(struct upstream_traffic_setting),
                                       .fields = upstream_traffic_setting_fields,
                                       .name_format = &format_dns_subdomain,
                                       .finish = upstream_traffic_setting_finish},
    [KIND_TELEMETRY] =
        {.info = {"Telemetry", "telemetries", "policy.openservicemesh.io", {"v1alpha1"}, true},
         .short_name = "telemetry",
         .columns = status_columns,
         .status = policy_status_fields,
         .help = "Access logs of sidecars.",
         .no_effect = true,
         .size = sizeof(struct telemetry),
         .fields = telemetry_fields,
         .name_format = &format_dns_subdomain,
         .finish = telemetry_finish},
    [KIND_SERVICE_EXPORT] =
        {.info = {"ServiceExport", "serviceexports", "multicluster.x-k8s.io", {"v1alpha1"}, true},
         .short_name = "svcex",
         .status = service_export_status_fields,
         .help = "A service that other clusters may call.",
         .no_effect = true,
         .size = sizeof(struct service_export),
         .fields = service_export_fields,
         .name_format = &format_dns_subdomain},
    [KIND_SERVICE_IMPORT] =
        {.info = {"ServiceImport", "serviceimports", "multicluster.x-k8s.io", {"v1alpha1"}, true},
         .short_name = "svcim",
         .columns = import_columns,
         .status = service_import_status_fields,
         .help = "A service of other clusters.",
         .no_effect = true,
         .size = sizeof(struct service_import),
         .fields = service_import_fields,
         .name_format = &format_dns_subdomain},
};

const struct kind_info *kind_info(enum kind kind)
{
    ASSERT(kind < KIND_COUNT);
    return &kind_rows[kind].info;
}

bool kind_is_custom(enum kind kind)
{
    ASSERT(kind < KIND_COUNT);
    return kind_rows[kind].short_name != NULL;
}

const char *kind_newest_version(enum kind kind)
{
    const struct kind_info *info = kind_info(kind);
    const char *newest = info->versions[0];
    for (size_t i = 1; i < COUNT_OF(info->versions) && info->versions[i]; i++) {
        /* "v1alpha2" and "v1alpha3": versions of one kind differ in their last digit. */
        if (strcmp(info->versions[i], newest) > 0) {
            newest = info->versions[i];
        }
    }
    return newest;
}
