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
    FIELD_RAW,           /* const struct value *, any object; NULL when absent. With `fields` and
                          * `size` it is checked against these, and kept as it stands */
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
    int64_t max; /* for schemas: the most bytes that check takes; 0: not said */
};

enum field_flag {
    FIELD_REQUIRED = 1, /* when what it is in is there */
    FIELD_SECRET = 2,   /* content is never quoted in findings */
    FIELD_NOCASE = 4,   /* `words` in any case; kept as the table writes them */
    FIELD_UNSTORED = 8, /* the default isn't in the schema, so that servers don't write it down */
    FIELD_NUMBERS = 16, /* values of a map of text may be written as numbers */
};

/* A rule for the API server, in its expression language (CEL, https://kubernetes.io/docs/reference/
 * using-api/cel/); `self` is the field. The decoder knows it too, in a kind's own function. Lists
 * and texts that it walks need a maximum: the server refuses what might take long. */
struct field_rule {
    const char *cel, *message;
};

/* Tables end with a row whose name is NULL. Only what a type uses is read. */
struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    unsigned flags;
    /* Of a number, both inclusive; both 0: any. Of a list: entries; of text: max bytes; 0: any. */
    int64_t min, max;
    const char *const *words;  /* the strings allowed, NULL at the end */
    const char *const *common; /* keys of a map that most have, NULL at the end: not copied */
    const struct field_format *format, *key_format; /* key_format: of a map's keys */
    const char *initial;        /* default, as text; without one an absent field leaves 0 */
    const struct field *fields; /* of the struct(s) */
    size_t size;
    const struct field *item;
    const char *unique; /* list of structs: the name of the field no two entries may share */
    size_t present;     /* struct: FIELD_PRESENT, of a bool that says it was there; 0 none */
    const char *help;   /* for people, goes into the schema */
    /* For the schema; each ends with a row whose cel is NULL. item_rules: of a list's structs. */
    const struct field_rule *rules, *item_rules;
    int64_t members; /* for the schema: members of each struct of the list, exactly; 0: any */
};

#define FIELD_PRESENT(type, member) (offsetof(type, member) + 1)

/* One object being decoded. Results go into `arena` and point nowhere else but to tables. */
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

/* Structural OpenAPI v3 schema of an object with these fields, for a CustomResourceDefinition.
 * rules may be NULL. */
struct value *fields_schema(struct arena *a, const struct field *fields,
                            const struct field_rule *rules);

/* The word of the list (NULL at the end) that was probably meant, or NULL. */
const char *fields_nearest(struct str given, const char *const *words);

#endif
