/* The table of kinds. */
#include "kinds/config.h"
#include "kinds/core.h"
#include "kinds/row.h"
#include "kinds/smi.h"

/* The shapes that field tables write to are those of this folder. */
_Static_assert(sizeof(struct strs) == sizeof(struct field_list), "lists");
_Static_assert(sizeof(struct pairs) == sizeof(struct field_pairs), "maps");
_Static_assert(sizeof(struct pair) == sizeof(struct field_pair), "pairs");
_Static_assert(sizeof(struct int_or_string) == sizeof(struct field_int_or_string), "ports");
_Static_assert(offsetof(struct int_or_string, name) == offsetof(struct field_int_or_string, text),
               "ports");
_Static_assert(sizeof(enum key_algorithm) == sizeof(unsigned), "enums");

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
         .size = sizeof(struct traffic_target),
         .fields = traffic_target_fields,
         .name_format = &format_dns_subdomain,
         .finish = traffic_target_finish},
    [KIND_HTTP_ROUTE_GROUP] =
        {.info = {"HTTPRouteGroup", "httproutegroups", "specs.smi-spec.io", {"v1alpha4"}, true},
         .short_name = "htr",
         .size = sizeof(struct http_route_group),
         .fields = http_route_group_fields,
         .name_format = &format_dns_subdomain,
         .finish = http_route_group_finish},
    [KIND_TCP_ROUTE] = {.info = {"TCPRoute", "tcproutes", "specs.smi-spec.io", {"v1alpha4"}, true},
                        .short_name = "tr",
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
                            .column = "Service",
                            .column_path = ".spec.service",
                            .size = sizeof(struct traffic_split),
                            .fields = traffic_split_fields,
                            .name_format = &format_dns_subdomain,
                            .finish = traffic_split_finish},
    [KIND_MESH_CONFIG] =
        {.info = {"MeshConfig", "meshconfigs", "config.openservicemesh.io", {"v1alpha2"}, true},
         .short_name = "meshconfig",
         .former_version = "v1alpha1",
         .size = sizeof(struct mesh_config),
         .fields = mesh_config_fields,
         .name_format = &format_dns_subdomain,
         .finish = mesh_config_finish},
};

const struct kind_info *kind_info(enum kind kind)
{
    ASSERT(kind < KIND_COUNT);
    return &kind_rows[kind].info;
}
