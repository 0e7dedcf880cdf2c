/* Documents as trees of values, each knowing the line it came from. YAML (several documents in a
 * text) and JSON become the same tree. A tree lives in the arena that it was read into and is
 * immutable once read; editing makes new nodes (value_set and friends copy what they must).
 * Parsers do no I/O. */
#ifndef OSM_DOC_VALUE_H
#define OSM_DOC_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum value_type {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_OBJECT,
};

struct value {
    enum value_type type;
    int line; /* 1-based; 0 when made by us */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct str string;
        struct {
            struct value *at;
            size_t len;
            size_t cap; /* of value.c; leave 0 when you fill one by hand */
        } array;
        struct {
            struct member *at; /* in the order of the text; keys are unique */
            size_t len;
            size_t cap; /* as of an array */
        } object;
    };
};

struct member {
    struct str key;
    int line;
    struct value value;
};

/* Cuts a YAML text into its documents at lines that begin with "---"; a broken one so can't spoil
 * the next. Call with *rest = the whole text and *line = *next_line = 1; each call returns the next
 * document and sets *line to its first line and *next_line to that of what remains; false at the
 * end. Empty documents (only comments) are passed over. */
bool value_next_document(struct str *rest, struct str *doc, int *line, int *next_line);

/* Reads one YAML document (so also JSON), plain scalars as kubectl does: `yes` is a boolean, 0644
 * is octal, a whole number with a fraction of zero is an integer, dates are strings; keys are
 * always their text. Errors: syntax, a duplicate key, too deep, too large (base/limits.h), an alias
 * that would blow up, a tag that we don't know, a merge key. first_line is the number of the text's
 * first line. *error_line gets the line of an error; when it is NULL, the error's text begins with
 * it. The tree doesn't point into text. */
int value_read_yaml(struct arena *a, struct str text, int first_line, struct value **ret,
                    int *error_line, struct err *e);
/* Strict JSON, with jansson; lines aren't known (0). For what servers send: a list may be far
 * larger than a document that a person writes. Strings may hold NUL bytes. */
int value_read_json(struct arena *a, struct str text, struct value **ret, struct err *e);
/* The same with a limit of its own for the number of values, which cost about 100 bytes each. */
int value_read_json_within(struct arena *a, struct str text, size_t max_values, struct value **ret,
                           struct err *e);

/* Compact JSON; object members in their order. */
void value_write_json(const struct value *v, struct buf *out);
/* Block-style YAML that kubectl and we read back to the same tree. */
void value_write_yaml(const struct value *v, struct buf *out);

/* Lookup; NULL when absent or when v is NULL or of another type. Path: value_at(v, "spec.rules").
 */
const struct value *value_member(const struct value *v, const char *key);
const struct value *value_at(const struct value *v, const char *dotted_path);
/* The string at the path, or the empty view. */
struct str value_string_at(const struct value *v, const char *dotted_path);
/* Is there `true` at the path? */
bool value_bool_at(const struct value *v, const char *dotted_path);
/* Elements of an array; 0 for NULL and other types. */
size_t value_len(const struct value *array);

/* Building and editing; all new nodes in `a`. What is added to a tree may be added to others too;
 * it is not copied, so don't change it afterwards: fill it first, or get the tree's own with
 * value_ensure. Trees that share parts can be edited without harm to each other. */
struct value *value_new(struct arena *a, enum value_type type);
struct value *value_new_string(struct arena *a, struct str s); /* copies */
struct value *value_new_stringf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct value *value_new_int(struct arena *a, int64_t n);
struct value *value_new_bool(struct arena *a, bool b);
/* Deep copy. */
struct value *value_copy(struct arena *a, const struct value *v);
/* Sets or replaces a member of an object that the caller built or copied (never of a tree that was
 * read and is shared). */
void value_set(struct arena *a, struct value *object, const char *key, const struct value *v);
void value_push(struct arena *a, struct value *array, const struct value *v);
/* The member as a mutable object or array; one that is missing or of another type is made empty.
 * Valid until another member is added to `object`. */
struct value *value_ensure(struct arena *a, struct value *object, const char *key,
                           enum value_type type);
/* Lines, the order of members, and whether 3 is an integer or a float make no difference. */
bool value_equal(const struct value *a, const struct value *b);
uint64_t value_hash(const struct value *v);

#endif
