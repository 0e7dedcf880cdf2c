/* Rows of the kind table; only this folder includes it. */
#ifndef OSM_KINDS_ROW_H
#define OSM_KINDS_ROW_H

#include <stddef.h>

#include "doc/fields.h"
#include "doc/formats.h"
#include "kinds/object.h"

/* What `kubectl get` shows besides the name; the list ends with a row without name. */
struct kind_column {
    const char *name, *type, *path, *help;
};

struct kind_row {
    struct kind_info info;
    const char *short_name;         /* of a CRD; NULL: the kind is built in */
    const char *deprecated_version; /* one of those accepted that warns; NULL: none */
    /* Names separated by spaces. They exist and aren't served: a server refuses a definition that
     * lacks a version which it has ever stored. */
    const char *unserved_versions;
    const struct kind_column *columns; /* NULL: none */
    const struct field *status;        /* of the status subresource, for the schema; NULL: none */
    const struct field_rule *rules;    /* of the whole object; NULL: none */
    const char *help;                  /* for people, goes into the schema */
    bool no_effect;                    /* accepted, and nothing acts on it: said as a warning */
    /* Of a kind without effect: it says what the mesh does anyway, so nothing is said. NULL: none
     * does. */
    bool (*as_is)(const struct object *o);
    size_t size;
    const struct field *fields; /* of the document, metadata excepted */
    const struct field *slim;   /* what object_decode_slim reads of it; NULL: all */
    const struct field_format *name_format;
    bool keep_raw;
    bool secret; /* zero the memory before it goes back */
    /* Rules between fields, and what is derived from several; the document was decoded without an
     * error so far when `clean`. NULL: none. */
    void (*finish)(struct decode *d, const struct value *doc, struct object *o, bool clean);
};

extern const struct kind_row kind_rows[KIND_COUNT];

/* The document without what object_decode_slim leaves out; shares the rest. */
struct value *slim_document(struct arena *a, const struct value *doc, enum kind kind);

/* Names in every document that the table of `spec` and its like needn't decode. */
#define DOCUMENT_HEAD {"apiVersion kind metadata", FIELD_IGNORED}
#define IGNORED(names) {names, FIELD_IGNORED}
#define FIELDS_END {NULL}
/* Offset and size for a row, by type without `struct` and member. */
#define AT(type, member) offsetof(struct type, member)

extern const struct field meta_fields[];
extern const struct field namespace_fields[];
extern const struct field service_account_fields[];
extern const struct field service_fields[];
extern const struct field endpoint_slice_fields[];
extern const struct field secret_fields[];
extern const struct field config_map_fields[];
extern const struct field pod_fields[];
extern const struct field pod_slim_fields[];
extern const struct field deployment_fields[];
extern const struct field stateful_set_fields[];
extern const struct field job_fields[];
extern const struct field traffic_target_fields[];
extern const struct field http_route_group_fields[];
extern const struct field tcp_route_fields[];
extern const struct field traffic_split_fields[];
extern const struct field mesh_config_fields[];
extern const struct field mesh_root_certificate_fields[];
extern const struct field mesh_root_certificate_status_fields[];
extern const struct field_rule mesh_root_certificate_rules[];
extern const struct field extension_service_fields[];
extern const struct field egress_fields[];
extern const struct field ingress_backend_fields[];
extern const struct field retry_fields[];
extern const struct field upstream_traffic_setting_fields[];
extern const struct field telemetry_fields[];
extern const struct field service_export_fields[];
extern const struct field service_export_status_fields[];
extern const struct field service_import_fields[];
extern const struct field service_import_status_fields[];
extern const struct field status_condition_fields[];
extern const struct field policy_status_fields[]; /* currentStatus and reason */

void service_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void endpoint_slice_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void pod_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void deployment_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void stateful_set_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void job_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void traffic_target_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void http_route_group_finish(struct decode *d, const struct value *doc, struct object *o,
                             bool clean);
void tcp_route_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void traffic_split_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void mesh_config_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
bool mesh_root_certificate_as_is(const struct object *o);
void mesh_root_certificate_finish(struct decode *d, const struct value *doc, struct object *o,
                                  bool clean);
void egress_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void ingress_backend_finish(struct decode *d, const struct value *doc, struct object *o,
                            bool clean);
void retry_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);
void upstream_traffic_setting_finish(struct decode *d, const struct value *doc, struct object *o,
                                     bool clean);
void telemetry_finish(struct decode *d, const struct value *doc, struct object *o, bool clean);

#endif
