/* ServiceExport and ServiceImport. */
#include "kinds/multicluster.h"

#include "kinds/row.h"

const struct field service_export_fields[] = {
    DOCUMENT_HEAD,
    IGNORED("spec status"),
    FIELDS_END,
};

const struct field service_export_status_fields[] = {
    {"conditions", FIELD_LIST, .fields = status_condition_fields, .help = "State of the export."},
    FIELDS_END,
};

static const char *const import_types[] = {"ClusterSetIP", "Headless", NULL};
static const struct field ip_item = {"", FIELD_STRING, 0, FIELD_REQUIRED, .format = &format_ip};

static const struct field import_port_fields[] = {
    {"name", FIELD_STRING, AT(service_import_port, name), .max = 63, .help = "Name of the port."},
    {"port", FIELD_INT, AT(service_import_port, port), FIELD_REQUIRED, .min = 1, .max = 65535,
     .help = "Its number."},
    {"protocol", FIELD_STRING, AT(service_import_port, protocol), .max = 63,
     .help = "TCP, UDP or SCTP."},
    {"appProtocol", FIELD_STRING, AT(service_import_port, app_protocol), .max = 253,
     .help = "What is spoken there."},
    FIELDS_END,
};

static const struct field affinity_client_fields[] = {
    {"timeoutSeconds", FIELD_INT, AT(service_import, affinity_seconds),
     .help = "Seconds that a client stays with its endpoint."},
    FIELDS_END,
};
static const struct field affinity_fields[] = {
    {"clientIP", FIELD_STRUCT, 0, .fields = affinity_client_fields,
     .help = "By the client's address."},
    FIELDS_END,
};

static const struct field import_spec_fields[] = {
    {"type", FIELD_STRING, AT(service_import, type), FIELD_REQUIRED, .words = import_types,
     .help = "ClusterSetIP or Headless."},
    {"ips", FIELD_LIST, AT(service_import, ips), .item = &ip_item, .max = 1,
     .help = "Address of the service in the set of clusters."},
    {"ports", FIELD_LIST, AT(service_import, ports), FIELD_REQUIRED, .max = 100,
     .fields = import_port_fields, .size = sizeof(struct service_import_port),
     .help = "Its ports."},
    {"sessionAffinity", FIELD_STRING, AT(service_import, affinity), .max = 63,
     .help = "ClientIP or None."},
    {"sessionAffinityConfig", FIELD_STRUCT, 0, .fields = affinity_fields,
     .help = "How clients stay with an endpoint."},
    FIELDS_END,
};

const struct field service_import_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = import_spec_fields,
     .help = "A service of other clusters."},
    IGNORED("status"),
    FIELDS_END,
};

static const struct field cluster_fields[] = {
    {"cluster", FIELD_STRING, 0, FIELD_REQUIRED, .help = "Name of the cluster."},
    FIELDS_END,
};
const struct field service_import_status_fields[] = {
    {"clusters", FIELD_LIST, .fields = cluster_fields, .help = "Clusters that export it."},
    FIELDS_END,
};
