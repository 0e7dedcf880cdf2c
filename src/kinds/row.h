/* Rows of the kind table; only this folder includes it. */
#ifndef OSM_KINDS_ROW_H
#define OSM_KINDS_ROW_H

#include <stddef.h>

#include "doc/fields.h"
#include "doc/formats.h"
#include "kinds/object.h"

struct kind_row {
    struct kind_info info;
    const char *short_name;           /* of a CRD; NULL: the kind is built in */
    const char *former_version;       /* no longer read; said to be served by the CRD, deprecated */
    const char *column, *column_path; /* additional printer column, NULL: none */
    size_t size;
    const struct field *fields; /* of the document, metadata excepted */
    const struct field_format *name_format;
    bool keep_raw;
    bool secret; /* zero the memory before it goes back */
    /* Rules between fields, and what is derived from several; the document was decoded without an
     * error so far when `clean`. NULL: none. */
    void (*finish)(struct decode *d, const struct value *doc, struct object *o, bool clean);
};

extern const struct kind_row kind_rows[KIND_COUNT];

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
extern const struct field deployment_fields[];
extern const struct field stateful_set_fields[];
extern const struct field job_fields[];
extern const struct field traffic_target_fields[];
extern const struct field http_route_group_fields[];
extern const struct field tcp_route_fields[];
extern const struct field traffic_split_fields[];
extern const struct field mesh_config_fields[];

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

#endif
