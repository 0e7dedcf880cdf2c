/* Between decoding (fields.c) and what is said about it (fields_words.c). */
#ifndef OSM_DOC_FIELDS_INTERNAL_H
#define OSM_DOC_FIELDS_INTERNAL_H

#include "doc/fields.h"

/* Where we are in the document; a chain on the stack, written out only for findings. */
struct place {
    const struct place *up;
    struct str name; /* member or map key */
    size_t index;    /* of a list's entry when name.ptr is NULL */
    int line;
};

/* A finding about what is at p. */
void field_report(struct decode *d, enum finding_level level, const struct place *p,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "expected ..., found ...; hint", an error. hint may be NULL. */
void field_refuse(struct decode *d, const struct field *f, const struct value *v,
                  const struct place *p, const char *hint);
/* An error: the field isn't there. */
void field_require(struct decode *d, const struct field *f, const struct place *p);
/* A few words for what stands in the document; of a secret field only its type. */
const char *field_found(struct arena *a, const struct field *f, const struct value *v);
/* Warns of members of the map v that the table lacks. */
void field_check_names(struct decode *d, const struct field *fields, const struct value *v,
                       const struct place *p);

#endif
