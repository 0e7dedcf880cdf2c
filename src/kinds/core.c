/* Kubernetes' kinds that aren't workloads. */
#include "kinds/core.h"

#include "base/map.h"
#include "kinds/row.h"

static const struct field text_item = {"", FIELD_STRING};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

const struct field namespace_fields[] = {DOCUMENT_HEAD, IGNORED("spec status"), FIELDS_END};

const struct field service_account_fields[] = {
    DOCUMENT_HEAD, IGNORED("automountServiceAccountToken imagePullSecrets secrets"), FIELDS_END};

static const char *const service_types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName",
                                            NULL};

static const char *const ip_families[] = {"IPv4", "IPv6", NULL};
static const char *const ip_family_policies[] = {"SingleStack", "PreferDualStack",
                                                 "RequireDualStack", NULL};
static const struct field ip_family_item = {.type = FIELD_STRING, .words = ip_families};

static const struct field service_port_fields[] = {
    {"name", FIELD_STRING, AT(service_port, name), .format = &format_dns_label},
    {"appProtocol", FIELD_STRING, AT(service_port, app_protocol)},
    {"protocol", FIELD_STRING, AT(service_port, protocol), .words = protocols, .initial = "TCP"},
    {"port", FIELD_INT, AT(service_port, port), FIELD_REQUIRED, .min = 1, .max = 65535},
    {"targetPort", FIELD_INT_OR_STRING, AT(service_port, target_port), .min = 0, .max = 65535,
     .format = &format_port_name},
    IGNORED("nodePort"),
    FIELDS_END,
};

static const struct field service_spec_fields[] = {
    {"type", FIELD_STRING, AT(service, type), .words = service_types, .initial = "ClusterIP"},
    {"clusterIP", FIELD_STRING, AT(service, cluster_ip)},
    {"clusterIPs", FIELD_LIST, AT(service, cluster_ips), .item = &text_item},
    {"ipFamilies", FIELD_LIST, AT(service, ip_families), .item = &ip_family_item},
    {"ipFamilyPolicy", FIELD_STRING, AT(service, ip_family_policy), .words = ip_family_policies},
    {"selector", FIELD_MAP, AT(service, selector), .key_format = &format_label_key},
    {"ports", FIELD_LIST, AT(service, ports), .fields = service_port_fields,
     .size = sizeof(struct service_port), .unique = "name"},
    {"publishNotReadyAddresses", FIELD_BOOL, AT(service, publish_not_ready_addresses)},
    IGNORED("allocateLoadBalancerNodePorts externalIPs externalName externalTrafficPolicy "
            "healthCheckNodePort internalTrafficPolicy loadBalancerClass loadBalancerIP "
            "loadBalancerSourceRanges sessionAffinity sessionAffinityConfig "
            "trafficDistribution topologyKeys"),
    FIELDS_END,
};

const struct field service_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = service_spec_fields},
    IGNORED("status"),
    FIELDS_END,
};

static void check_cluster_ip(struct decode *d, const struct value *doc, struct str ip,
                             const char *path)
{
    if (ip.len && !str_is(ip, "None") && !format_ip_version(ip)) {
        decode_error(d, doc, path, "expected an IP address or \"None\", found \"%.*s\"",
                     STR_ARG(ip));
    }
}

void service_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    struct service *s = (struct service *)o;
    check_cluster_ip(d, doc, s->cluster_ip, "spec.clusterIP");
    for (size_t i = 0; i < s->cluster_ips.len; i++) {
        check_cluster_ip(d, doc, s->cluster_ips.at[i],
                         arena_printf(d->arena, "spec.clusterIPs[%zu]", i).ptr);
    }
    bool portless = str_is(s->type, "ExternalName") || str_is(s->cluster_ip, "None");
    if (clean && s->ports.len == 0 && !portless) {
        decode_error(d, doc, "spec.ports",
                     "is required: expected at least one port, found nothing");
    }
    struct map seen = {0};
    for (size_t i = 0; i < s->ports.len; i++) {
        const struct service_port *p = &s->ports.at[i];
        if (s->ports.len > 1 && p->name.len == 0) {
            decode_error(d, doc, arena_printf(d->arena, "spec.ports[%zu]", i).ptr,
                         "expected a name, as the service has several ports, found none");
        }
        struct str key = arena_printf(d->arena, "%.*s %d", STR_ARG(p->protocol), (int)p->port);
        if (p->port && map_put(&seen, key, s)) {
            decode_error(d, doc, arena_printf(d->arena, "spec.ports[%zu].port", i).ptr,
                         "expected a port that no other entry has, found %d again", (int)p->port);
        }
    }
    map_done(&seen, NULL);
}

static const char *const address_types[] = {"IPv4", "IPv6", "FQDN", NULL};

static const struct field condition_fields[] = {
    {"ready", FIELD_BOOL, AT(endpoint, ready), .initial = "true"},
    IGNORED("serving terminating"),
    FIELDS_END,
};

static const struct field target_ref_fields[] = {
    {"kind", FIELD_STRING, AT(endpoint, target_kind)},
    {"name", FIELD_STRING, AT(endpoint, target_name)},
    {"namespace", FIELD_STRING, AT(endpoint, target_namespace)},
    IGNORED("apiVersion fieldPath resourceVersion uid"),
    FIELDS_END,
};

static const struct field endpoint_fields[] = {
    {"addresses", FIELD_LIST, AT(endpoint, addresses), FIELD_REQUIRED, .min = 1,
     .item = &text_item},
    {"conditions", FIELD_STRUCT, 0, .fields = condition_fields},
    {"hostname", FIELD_STRING, AT(endpoint, hostname)},
    {"targetRef", FIELD_STRUCT, 0, .fields = target_ref_fields},
    IGNORED("deprecatedTopology hints nodeName zone"),
    FIELDS_END,
};

static const struct field endpoint_port_fields[] = {
    {"name", FIELD_STRING, AT(endpoint_port, name)},
    {"protocol", FIELD_STRING, AT(endpoint_port, protocol), .words = protocols, .initial = "TCP"},
    {"appProtocol", FIELD_STRING, AT(endpoint_port, app_protocol)},
    {"port", FIELD_INT, AT(endpoint_port, port), .min = 0, .max = 65535},
    FIELDS_END,
};

const struct field endpoint_slice_fields[] = {
    DOCUMENT_HEAD,
    {"addressType", FIELD_STRING, AT(endpoint_slice, address_type), FIELD_REQUIRED,
     .words = address_types},
    {"endpoints", FIELD_LIST, AT(endpoint_slice, endpoints), .fields = endpoint_fields,
     .size = sizeof(struct endpoint)},
    {"ports", FIELD_LIST, AT(endpoint_slice, ports), .fields = endpoint_port_fields,
     .size = sizeof(struct endpoint_port)},
    FIELDS_END,
};

void endpoint_slice_finish(struct decode *d, const struct value *doc, struct object *o, bool clean)
{
    const struct endpoint_slice *s = (struct endpoint_slice *)o;
    int version = str_is(s->address_type, "IPv4") ? 4 : str_is(s->address_type, "IPv6") ? 6 : 0;
    for (size_t i = 0; version && i < s->endpoints.len; i++) {
        const struct strs *addresses = &s->endpoints.at[i].addresses;
        for (size_t k = 0; k < addresses->len; k++) {
            if (format_ip_version(addresses->at[k]) != version) {
                decode_error(d, doc,
                             arena_printf(d->arena, "endpoints[%zu].addresses[%zu]", i, k).ptr,
                             "expected an %.*s address, as addressType says, found \"%.*s\"",
                             STR_ARG(s->address_type), STR_ARG(addresses->at[k]));
            }
        }
    }
}

const struct field secret_fields[] = {
    DOCUMENT_HEAD,
    {"type", FIELD_STRING, AT(secret, type), .initial = "Opaque"},
    {"data", FIELD_BYTES_MAP, AT(secret, data), FIELD_SECRET, .key_format = &format_config_key},
    {"stringData", FIELD_MAP, AT(secret, data), FIELD_SECRET, .key_format = &format_config_key},
    IGNORED("immutable"),
    FIELDS_END,
};

const struct field config_map_fields[] = {
    DOCUMENT_HEAD,
    {"data", FIELD_MAP, AT(config_map, data), .key_format = &format_config_key},
    IGNORED("binaryData immutable"),
    FIELDS_END,
};
