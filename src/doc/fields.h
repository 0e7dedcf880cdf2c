/* Field tables: one `static const struct field x_fields[]` for each C struct says how a document
 * becomes that struct (types, defaults, ranges, formats) and gives its OpenAPI schema. What a table
 * can't say (rules between fields) is a function of the kind that reports through the same decode.
 *
 * Everything wrong with a document is reported, not only the first thing: unknown names are
 * warnings, anything else is an error. `null` counts as absent, as in Kubernetes, and so does an
 * empty string where one with a format or from a set of words is expected. */
#ifndef OSM_DOC_FIELDS_H
#define OSM_DOC_FIELDS_H

#include <stddef.h>

#include "doc/findings.h"
#include "doc/value.h"

/* The comment says what the C member must be. */
enum field_type {
    FIELD_IGNORED,  /* none. `name` holds names separated by spaces that exist and aren't used */
    FIELD_BOOL,     /* bool */
    FIELD_INT,      /* int64_t */
    FIELD_STRING,   /* struct str */
    FIELD_ENUM,     /* an enum, counted from 0 as in `words` */
    FIELD_DURATION, /* int64_t in ms; written as Go writes durations */
    FIELD_INT_OR_STRING, /* struct field_int_or_string; min and max are for the number */
    FIELD_RAW,           /* const struct value *, any object; NULL when absent */
    FIELD_STRUCT,        /* a struct in place, or with offset 0 the same struct: then it flattens */
    FIELD_POINTER,       /* pointer to a struct of `size`; NULL when absent */
    FIELD_LIST,          /* struct field_list of `item`, or of structs (`fields`, `size`) */
    FIELD_MAP,           /* struct field_pairs */
    FIELD_BYTES_MAP,     /* struct field_pairs, values in base64 in the document */
    FIELD_MAPS,          /* struct field_pairs from a list of maps; `item` checks each value */
};

/* The layouts that tables write to; any struct of the same shape does. */
struct field_list {
    void *at;
    size_t len;
};
struct field_pair {
    struct str key, value;
};
struct field_pairs {
    struct field_pair *at; /* sorted by key; two fields with one offset merge, the later wins */
    size_t len;
};
struct field_int_or_string {
    int64_t number;
    struct str text;
};

/* What a string must look like. check: 0, or -1 with the reason in *why where there is more to say
 * than `what`. */
struct field_format {
    const char *what;    /* "an IP address" */
    const char *pattern; /* for schemas; NULL: none */
    int (*check)(struct str s, struct err *why);
};

enum field_flag {
    FIELD_REQUIRED = 1, /* when what it is in is there */
    FIELD_SECRET = 2,   /* content is never quoted in findings */
};

/* Tables end with a row whose name is NULL. Only what a type uses is read. */
struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    unsigned flags;
    int64_t min, max;         /* of a number, both inclusive; both 0: any. min of a list: entries */
    const char *const *words; /* the strings allowed, NULL at the end */
    const struct field_format *format, *key_format; /* key_format: of a map's keys */
    const char *initial;        /* default, as text; without one an absent field leaves 0 */
    const struct field *fields; /* of the struct(s) */
    size_t size;
    const struct field *item;
    const char *unique; /* list of structs: the name of the field no two entries may share */
    size_t present;     /* struct: FIELD_PRESENT, of a bool that says it was there; 0 none */
    const char *help;   /* for people, goes into the schema */
};

#define FIELD_PRESENT(type, member) (offsetof(type, member) + 1)

/* One object being decoded. Results go into `arena` and point nowhere else. */
struct decode {
    struct arena *arena;
    struct findings *findings;
    const char *file;   /* may be NULL */
    const char *object; /* "TrafficSplit bookstore/split", may be NULL */
    size_t errors;      /* found so far */
};

/* Decodes v (NULL: nothing was given, so only defaults) to the zeroed struct `out`. */
void fields_decode(struct decode *d, const struct field *fields, const struct value *v, void *out);

/* Report what tables can't find. path names a place in `root`, such as
 * `spec.backends[1].weight` or `metadata.labels["a/b"]`; the line is that of the deepest part of it
 * which exists. The text of an error begins with the path. */
void decode_error(struct decode *d, const struct value *root, const char *path, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
void decode_warning(struct decode *d, const struct value *root, const char *path, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));

/* Hash of a decoded struct: fields that aren't in the table, and how the text was written, make no
 * difference. */
uint64_t fields_hash(const struct field *fields, const void *in);

/* Structural OpenAPI v3 schema of an object with these fields, for a CustomResourceDefinition. */
struct value *fields_schema(struct arena *a, const struct field *fields);

/* The word of the list (NULL at the end) that was probably meant, or NULL. */
const char *fields_nearest(struct str given, const char *const *words);

#endif
