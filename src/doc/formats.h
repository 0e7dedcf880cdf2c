/* Formats of strings that Kubernetes and the network give; see struct field_format. */
#ifndef OSM_DOC_FORMATS_H
#define OSM_DOC_FORMATS_H

#include "doc/fields.h"

extern const struct field_format format_dns_label;     /* RFC 1123, 63 bytes */
extern const struct field_format format_dns_1035;      /* as a label, begins with a letter */
extern const struct field_format format_dns_subdomain; /* RFC 1123, 253 bytes */
extern const struct field_format format_port_name;     /* IANA service name, 15 bytes */
extern const struct field_format format_label_key;     /* "prefix/name" */
extern const struct field_format format_label_value;
extern const struct field_format format_annotation_key; /* as a label's, case of prefix is free */
extern const struct field_format format_config_key;     /* of a ConfigMap or Secret */
extern const struct field_format format_env_name;
extern const struct field_format format_header_name; /* RFC 9110 token */
extern const struct field_format format_ip;          /* IPv4 or IPv6 */
extern const struct field_format format_cidr;        /* IPv4 or IPv6 */
extern const struct field_format format_absolute_path;
extern const struct field_format format_quantity; /* of Kubernetes: "100m", "64Mi", "1e3" */

/* 4, 6 or 0 when s is no IP address. */
int format_ip_version(struct str s);

#endif
