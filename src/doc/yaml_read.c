/* YAML, from libyaml's events: its document interface knows no limits. Aliases share what their
 * anchor's value points to, yet every use is charged in full, so that text which unfolds to more
 * than LIMIT_DOC_VALUES is refused before anybody walks it. */
#include "doc/value.h"

#include <math.h>
#include <string.h>

#include <yaml.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "doc/base64.h"
#include "doc/value_scalar.h"
#include "doc/yaml_problem.h"

#define STANDARD_TAG "tag:yaml.org,2002:"

struct anchor {
    struct value value;
    size_t count; /* values, with all that aliases in it stand for */
    int height;   /* levels of lists and mappings */
};

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct str text;
    int first_line;
    struct map anchors; /* of struct anchor, in the arena */
    size_t values;
    struct str key;  /* whose value is being read */
    bool bad_syntax; /* libyaml gave up */
    int error_line;
    struct err *e;
};

struct elements {
    VEC(struct value) list;
};
struct members {
    VEC(struct member) list;
};

static void elements_done_auto(struct elements *l)
{
    VEC_DONE(l->list);
}

static void members_done_auto(struct members *l)
{
    VEC_DONE(l->list);
}

static void yaml_event_delete_auto(yaml_event_t *ev)
{
    yaml_event_delete(ev);
}

static int line_of(const struct reader *r, const yaml_event_t *ev)
{
    return (int)ev->start_mark.line + r->first_line;
}

static struct str view(const yaml_char_t *text)
{
    return str_of((const char *)text);
}

/* Errors are err_set followed by this: remembers the line. */
static int at_line(struct reader *r, int line)
{
    r->error_line = line;
    return -1;
}

static int next(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev)) {
        return 0;
    }
    r->bad_syntax = true;
    r->error_line = yaml_problem(&r->parser, r->text, r->key, r->first_line, r->e);
    return -1;
}

static int charge(struct reader *r, size_t count, int line)
{
    r->values += count;
    if (r->values > LIMIT_DOC_VALUES) {
        err_set(r->e,
                "expected at most %d values in a document, each use of an alias counted in full, "
                "found more",
                LIMIT_DOC_VALUES);
        return at_line(r, line);
    }
    return 0;
}

static int too_deep(struct reader *r, int line)
{
    err_set(r->e, "expected at most %d levels of nesting, found more", LIMIT_DOC_DEPTH);
    return at_line(r, line);
}

static int unknown_tag(struct reader *r, int line, const char *tag)
{
    err_set(r->e, "expected a standard tag such as \"!!str\", found \"%s\"", tag);
    return at_line(r, line);
}

static int read_binary(struct reader *r, struct str text, struct value *out)
{
    if (!base64_decode(r->arena, text, &out->string) || !value_is_utf8(out->string)) {
        err_set(r->e, "expected base64 of UTF-8 text after \"!!binary\", found other content");
        return at_line(r, out->line);
    }
    out->type = VALUE_STRING;
    return 0;
}

/* The types that a value may have after a tag. */
static const struct scalar_tag {
    const char *name;
    unsigned types; /* bits of value_type */
    const char *what;
} scalar_tags[] = {
    {STANDARD_TAG "null", 1u << VALUE_NULL, "null after \"!!null\""},
    {STANDARD_TAG "bool", 1u << VALUE_BOOL, "true or false after \"!!bool\""},
    {STANDARD_TAG "int", 1u << VALUE_INT, "a whole number after \"!!int\""},
    {STANDARD_TAG "float", 1u << VALUE_INT | 1u << VALUE_FLOAT, "a number after \"!!float\""},
};

static int check_tag(struct reader *r, const char *tag, struct str text, const struct value *v)
{
    for (size_t i = 0; i < COUNT_OF(scalar_tags); i++) {
        if (strcmp(tag, scalar_tags[i].name) != 0) {
            continue;
        }
        if (scalar_tags[i].types & 1u << v->type) {
            return 0;
        }
        err_set(r->e, "expected %s, found \"%.*s\"", scalar_tags[i].what, STR_ARG(text));
        return at_line(r, v->line);
    }
    return unknown_tag(r, v->line, tag);
}

static bool is_text_tag(const char *tag)
{
    return strcmp(tag, "!") == 0 || strcmp(tag, STANDARD_TAG "str") == 0 ||
           strcmp(tag, STANDARD_TAG "timestamp") == 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct value *out)
{
    const char *tag = (const char *)ev->data.scalar.tag;
    struct str text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && strcmp(tag, STANDARD_TAG "binary") == 0) {
        return read_binary(r, text, out);
    }
    if (tag ? is_text_tag(tag) : !plain) {
        out->type = VALUE_STRING;
        out->string = text;
    } else {
        value_resolve_plain(text, out);
    }
    if (tag && !is_text_tag(tag) && check_tag(r, tag, text, out) < 0) {
        return -1;
    }
    if (out->type == VALUE_FLOAT && !isfinite(out->number)) {
        err_set(r->e, "expected a finite number, found \"%.*s\"; quote it if it is text",
                STR_ARG(text));
        return at_line(r, out->line);
    }
    if (out->type == VALUE_STRING) {
        out->string = arena_str(r->arena, out->string);
    }
    return 0;
}

static const struct anchor *find_anchor(struct reader *r, const yaml_event_t *ev)
{
    struct str name = view(ev->data.alias.anchor);
    const struct anchor *found = map_find(&r->anchors, name);
    if (!found) {
        err_set(r->e,
                "expected the name of an anchor that was defined before, found \"*%.*s\"; quote "
                "text that begins with \"*\"",
                STR_ARG(name));
        at_line(r, line_of(r, ev));
    }
    return found;
}

/* Nodes return their height: 0 for scalars, 1 for a list of scalars. */
static int read_alias(struct reader *r, const yaml_event_t *ev, int depth, struct value *out)
{
    const struct anchor *found = find_anchor(r, ev);
    /* The alias itself was charged as one value. */
    if (!found || charge(r, found->count - 1, line_of(r, ev)) < 0) {
        return -1;
    }
    if (depth + found->height > LIMIT_DOC_DEPTH) {
        return too_deep(r, line_of(r, ev));
    }
    int line = out->line;
    *out = found->value;
    out->line = line;
    return found->height;
}

static int read_node(struct reader *r, const yaml_event_t *ev, int depth, struct value *out);

static int check_collection_tag(struct reader *r, const yaml_event_t *ev, const yaml_char_t *tag,
                                const char *standard)
{
    const char *given = (const char *)tag;
    bool ok = !given || strcmp(given, "!") == 0 || strcmp(given, standard) == 0;
    return ok ? 0 : unknown_tag(r, line_of(r, ev), given);
}

static int read_sequence(struct reader *r, const yaml_event_t *ev, int depth, struct value *out)
{
    AUTO(elements_done) struct elements elements = {0};
    int height = 0;
    if (check_collection_tag(r, ev, ev->data.sequence_start.tag, STANDARD_TAG "seq") < 0) {
        return -1;
    }
    for (;;) {
        AUTO(yaml_event_delete) yaml_event_t item = {0};
        struct value v;
        if (next(r, &item) < 0) {
            return -1;
        }
        if (item.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }
        int below = read_node(r, &item, depth, &v);
        if (below < 0) {
            return -1;
        }
        height = below > height ? below : height;
        VEC_PUSH(elements.list, v);
    }
    out->type = VALUE_ARRAY;
    out->array.len = elements.list.len;
    out->array.at = arena_memdup(r->arena, elements.list.at, out->array.len * sizeof(struct value));
    return height + 1;
}

/* Moves anchor names into the table; names may be defined again. */
static void keep_anchor(struct reader *r, const yaml_char_t *name, const struct anchor *anchor)
{
    if (name) {
        map_put(&r->anchors, view(name), arena_memdup(r->arena, anchor, sizeof(*anchor)));
    }
}

static int refuse_key(struct reader *r, const yaml_event_t *ev, const char *found)
{
    err_set(r->e, "expected text as a key, found %s", found);
    return at_line(r, line_of(r, ev));
}

static int read_scalar_key(struct reader *r, const yaml_event_t *ev, struct str *ret)
{
    const char *tag = (const char *)ev->data.scalar.tag;
    struct str text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && !tag && text.len == 0) {
        err_set(r->e, "expected a key before \":\", found none");
        return at_line(r, line_of(r, ev));
    }
    if (plain && !tag && str_is(text, "<<")) {
        err_set(r->e, "merge keys (\"<<\") are not supported; write the merged fields out");
        return at_line(r, line_of(r, ev));
    }
    if (tag && strncmp(tag, STANDARD_TAG, strlen(STANDARD_TAG)) != 0 && strcmp(tag, "!") != 0) {
        return unknown_tag(r, line_of(r, ev), tag);
    }
    if (memchr(text.ptr, '\0', text.len)) {
        return refuse_key(r, ev, "a NUL character in it");
    }
    *ret = arena_str(r->arena, text);
    struct anchor anchor = {.value = {VALUE_STRING, line_of(r, ev), {.string = *ret}}, .count = 1};
    keep_anchor(r, ev->data.scalar.anchor, &anchor);
    return 0;
}

static int read_key(struct reader *r, const yaml_event_t *ev, struct str *ret)
{
    if (ev->type == YAML_SCALAR_EVENT) {
        return read_scalar_key(r, ev, ret);
    }
    if (ev->type == YAML_SEQUENCE_START_EVENT) {
        return refuse_key(r, ev, "a list");
    }
    if (ev->type == YAML_MAPPING_START_EVENT) {
        return refuse_key(r, ev, "a mapping; quote text that begins with \"{\"");
    }
    const struct anchor *found = find_anchor(r, ev);
    if (!found) {
        return -1;
    }
    if (found->value.type != VALUE_STRING) {
        return refuse_key(r, ev, "an alias of something else");
    }
    *ret = found->value.string;
    return 0;
}

static int by_key_then_place(const void *a, const void *b)
{
    const struct member *x = *(struct member *const *)a, *y = *(struct member *const *)b;
    int order = str_cmp(x->key, y->key);
    return order != 0 ? order : (x > y) - (x < y);
}

/* Sorting finds duplicates without a table that a stranger's keys could spoil. */
static int check_duplicates(struct reader *r, struct member *at, size_t len)
{
    const struct member *first = NULL, *second = NULL;
    AUTO(free) struct member **sorted = mem_array(NULL, len, sizeof(struct member *));
    for (size_t i = 0; i < len; i++) {
        sorted[i] = &at[i];
    }
    qsort(sorted, len, sizeof(struct member *), by_key_then_place);
    for (size_t i = 1; i < len; i++) {
        if (str_eq(sorted[i]->key, sorted[i - 1]->key) && (!second || sorted[i] < second)) {
            first = sorted[i - 1];
            second = sorted[i];
        }
    }
    if (!second) {
        return 0;
    }
    err_set(r->e, "key \"%.*s\" is given twice, on lines %d and %d; remove one",
            STR_ARG(first->key), first->line, second->line);
    return at_line(r, second->line);
}

/* One key and its value; 1 with *ended at the end of the mapping. */
static int read_member(struct reader *r, int depth, struct member *m, bool *ended)
{
    AUTO(yaml_event_delete) yaml_event_t key = {0}, value = {0};
    if (next(r, &key) < 0) {
        return -1;
    }
    *ended = key.type == YAML_MAPPING_END_EVENT;
    if (*ended) {
        return 0;
    }
    m->line = line_of(r, &key);
    if (read_key(r, &key, &m->key) < 0) {
        return -1;
    }
    r->key = m->key;
    if (next(r, &value) < 0) {
        return -1;
    }
    int height = read_node(r, &value, depth, &m->value);
    r->key = (struct str){0};
    return height;
}

static int read_mapping(struct reader *r, const yaml_event_t *ev, int depth, struct value *out)
{
    AUTO(members_done) struct members members = {0};
    int height = 0;
    if (check_collection_tag(r, ev, ev->data.mapping_start.tag, STANDARD_TAG "map") < 0) {
        return -1;
    }
    r->key = (struct str){0};
    for (;;) {
        struct member m = {0};
        bool ended = false;
        int below = read_member(r, depth, &m, &ended);
        if (below < 0) {
            return -1;
        }
        if (ended) {
            break;
        }
        height = below > height ? below : height;
        VEC_PUSH(members.list, m);
    }
    if (members.list.len > 1 && check_duplicates(r, members.list.at, members.list.len) < 0) {
        return -1;
    }
    out->type = VALUE_OBJECT;
    out->object.len = members.list.len;
    out->object.at =
        arena_memdup(r->arena, members.list.at, out->object.len * sizeof(struct member));
    return height + 1;
}

static const yaml_char_t *anchor_name(const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return ev->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return ev->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return ev->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static int read_content(struct reader *r, const yaml_event_t *ev, int depth, struct value *out)
{
    if (ev->type == YAML_ALIAS_EVENT) {
        return read_alias(r, ev, depth, out);
    }
    if (ev->type == YAML_SCALAR_EVENT) {
        return read_scalar(r, ev, out);
    }
    if (depth >= LIMIT_DOC_DEPTH) {
        return too_deep(r, out->line);
    }
    return ev->type == YAML_SEQUENCE_START_EVENT ? read_sequence(r, ev, depth + 1, out)
                                                 : read_mapping(r, ev, depth + 1, out);
}

static int read_node(struct reader *r, const yaml_event_t *ev, int depth, struct value *out)
{
    size_t before = r->values;
    *out = (struct value){.line = line_of(r, ev)};
    if (charge(r, 1, out->line) < 0) {
        return -1;
    }
    int height = read_content(r, ev, depth, out);
    if (height >= 0) {
        struct anchor anchor = {*out, r->values - before, height};
        keep_anchor(r, anchor_name(ev), &anchor);
    }
    return height;
}

static int expect_end(struct reader *r)
{
    AUTO(yaml_event_delete) yaml_event_t end = {0}, last = {0};
    if (next(r, &end) < 0 || next(r, &last) < 0) {
        return -1;
    }
    if (last.type != YAML_STREAM_END_EVENT) {
        err_set(r->e, "expected one document, found another one");
        return at_line(r, line_of(r, &last));
    }
    return 0;
}

static int read_document(struct reader *r, struct value *out)
{
    AUTO(yaml_event_delete) yaml_event_t start = {0}, document = {0}, root = {0};
    if (next(r, &start) < 0 || next(r, &document) < 0) {
        return -1;
    }
    if (document.type == YAML_STREAM_END_EVENT) {
        *out = (struct value){.line = r->first_line};
        return 0;
    }
    if (next(r, &root) < 0 || read_node(r, &root, 0, out) < 0) {
        return -1;
    }
    return expect_end(r);
}

/* Lines before the document that begin with "%". */
static int check_directives(struct reader *r)
{
    struct str rest = r->text, line;
    int found = 0, number = r->first_line;
    for (bool more = rest.len > 0; more; number++) {
        more = str_cut(rest, '\n', &line, &rest);
        struct str words = str_trim(line);
        if (line.len > 0 && line.ptr[0] == '%' && ++found > LIMIT_DOC_DIRECTIVES) {
            err_set(r->e, "expected at most %d lines that begin with \"%%\", found more",
                    LIMIT_DOC_DIRECTIVES);
            return at_line(r, number);
        }
        if (words.len > 0 && words.ptr[0] != '#' && words.ptr[0] != '%') {
            break;
        }
    }
    return 0;
}

static int read_limited(struct reader *r, struct value *out)
{
    if (r->text.len > LIMIT_DOC_BYTES) {
        err_set(r->e, "expected a document of at most %u bytes, found %zu", LIMIT_DOC_BYTES,
                r->text.len);
        return at_line(r, r->first_line);
    }
    if (check_directives(r) < 0) {
        return -1;
    }
    ASSERT(yaml_parser_initialize(&r->parser));
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text.ptr, r->text.len);
    int result = read_document(r, out);
    yaml_parser_delete(&r->parser);
    map_done(&r->anchors, NULL);
    return result;
}

/* Returns how many values there are. */
static size_t set_lines(struct value *v, int line)
{
    size_t count = 1;
    v->line = line;
    for (size_t i = 0; v->type == VALUE_ARRAY && i < v->array.len; i++) {
        count += set_lines(&v->array.at[i], line);
    }
    for (size_t i = 0; v->type == VALUE_OBJECT && i < v->object.len; i++) {
        v->object.at[i].line = line;
        count += set_lines(&v->object.at[i].value, line);
    }
    return count;
}

/* libyaml refuses some JSON: escaped surrogate pairs, keys over 1,024 characters. */
static bool read_as_json(struct reader *r, struct value **ret)
{
    struct str text = str_trim(r->text);
    struct value *v = NULL;
    if (!r->bad_syntax || text.len == 0 || text.ptr[0] != '{' ||
        value_read_json(r->arena, text, &v, NULL) < 0 ||
        set_lines(v, r->first_line) > LIMIT_DOC_VALUES) {
        return false;
    }
    *ret = v;
    return true;
}

/* Editors of Windows write it; libyaml then doesn't see a "---" right behind it. */
static struct str without_byte_order_mark(struct str text)
{
    size_t skip = str_starts(text, "\xef\xbb\xbf") ? 3 : 0;
    return (struct str){text.ptr + skip, text.len - skip};
}

int value_read_yaml(struct arena *a, struct str text, int first_line, struct value **ret,
                    int *error_line, struct err *e)
{
    struct err problem = ERR_INIT;
    struct reader r = {.arena = a,
                       .text = without_byte_order_mark(text.ptr ? text : STR("")),
                       .first_line = first_line,
                       .e = &problem};
    struct value *root = ARENA_NEW(a, struct value);
    if (read_limited(&r, root) < 0 && !read_as_json(&r, &root)) {
        if (error_line) {
            *error_line = r.error_line;
            return err_set(e, "%s", problem.text);
        }
        return err_set(e, "line %d: %s", r.error_line, problem.text);
    }
    *ret = root;
    return 0;
}
