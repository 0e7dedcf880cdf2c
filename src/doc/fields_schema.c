/* What else a field table gives: the hash of a decoded struct, and its OpenAPI schema. */
#include "doc/fields.h"

#include <string.h>

#include "base/hash.h"

static uint64_t hash_field(const struct field *f, const char *at);

static uint64_t hash_item(const struct field *f, const char *at)
{
    return f->item ? hash_field(f->item, at) : fields_hash(f->fields, at);
}

static uint64_t hash_list(const struct field *f, const struct field_list *list)
{
    bool text = f->item && f->item->type == FIELD_STRING;
    size_t size = !f->item ? f->size : text ? sizeof(struct str) : sizeof(int64_t);
    uint64_t h = list->len;
    for (size_t i = 0; i < list->len; i++) {
        h = hash_mix(h, hash_item(f, (const char *)list->at + i * size));
    }
    return h;
}

static uint64_t hash_pairs(const struct field_pairs *pairs)
{
    uint64_t h = pairs->len;
    for (size_t i = 0; i < pairs->len; i++) {
        h = hash_mix(h, hash_str(pairs->at[i].key));
        h = hash_mix(h, hash_str(pairs->at[i].value));
    }
    return h;
}

static uint64_t hash_field(const struct field *f, const char *at)
{
    switch (f->type) {
    case FIELD_IGNORED:
        return 0;
    case FIELD_BOOL:
        return *(const bool *)at;
    case FIELD_ENUM:
        return *(const unsigned *)at;
    case FIELD_INT:
    case FIELD_DURATION:
        return hash_bytes(at, sizeof(int64_t));
    case FIELD_STRING:
        return hash_str(*(const struct str *)at);
    case FIELD_INT_OR_STRING: {
        const struct field_int_or_string *v = (const void *)at;
        return hash_mix(hash_str(v->text), (uint64_t)v->number);
    }
    case FIELD_RAW: {
        const struct value *v = *(const struct value *const *)at;
        return v ? value_hash(v) : 0;
    }
    case FIELD_STRUCT:
        return fields_hash(f->fields, at);
    case FIELD_POINTER: {
        const void *p = *(void *const *)at;
        return p ? hash_mix(1, fields_hash(f->fields, p)) : 0;
    }
    case FIELD_LIST:
        return hash_list(f, (const void *)at);
    case FIELD_MAP:
    case FIELD_BYTES_MAP:
    case FIELD_MAPS:
        return hash_pairs((const void *)at);
    }
    return 0;
}

uint64_t fields_hash(const struct field *fields, const void *in)
{
    uint64_t h = 0;
    for (const struct field *f = fields; f->name; f++) {
        if (f->type != FIELD_IGNORED) {
            h = hash_mix(h, hash_field(f, (const char *)in + f->offset));
            if (f->present) {
                h = hash_mix(h, *((const bool *)in + f->present - 1));
            }
        }
    }
    return h;
}

static void set_text(struct arena *a, struct value *object, const char *key, const char *text)
{
    value_set(a, object, key, value_new_string(a, str_of(text)));
}

static const char *type_name(const struct field *f)
{
    switch (f->type) {
    case FIELD_BOOL:
        return "boolean";
    case FIELD_INT:
        return "integer";
    case FIELD_STRING:
    case FIELD_ENUM:
    case FIELD_DURATION:
        return "string";
    case FIELD_LIST:
    case FIELD_MAPS:
        return "array";
    default:
        return "object";
    }
}

static void number_schema(struct arena *a, const struct field *f, struct value *s)
{
    if (f->min != 0 || f->max != 0) {
        value_set(a, s, "minimum", value_new_int(a, f->min));
        if (f->max != 0 && f->max != INT64_MAX) {
            value_set(a, s, "maximum", value_new_int(a, f->max));
        }
    }
    /* Without it the server takes numbers that no struct holds. */
    set_text(a, s, "format", "int64");
}

static void default_schema(struct arena *a, const struct field *f, struct value *s)
{
    int64_t n;
    if (f->type == FIELD_BOOL) {
        value_set(a, s, "default", value_new_bool(a, str_is(str_of(f->initial), "true")));
    } else if (f->type == FIELD_INT && str_int(str_of(f->initial), INT64_MIN, INT64_MAX, &n)) {
        value_set(a, s, "default", value_new_int(a, n));
    } else {
        set_text(a, s, "default", f->initial);
    }
}

/* "^(?i:http|https)$" */
static void nocase_schema(struct arena *a, const struct field *f, struct value *s)
{
    AUTO(buf_done) struct buf pattern;
    buf_init(&pattern, 4096);
    buf_addz(&pattern, "^(?i:");
    size_t longest = 0;
    for (size_t i = 0; f->words[i]; i++) {
        buf_printf(&pattern, "%s%s", i ? "|" : "", f->words[i]);
        longest = strlen(f->words[i]) > longest ? strlen(f->words[i]) : longest;
    }
    buf_addz(&pattern, ")$");
    value_set(a, s, "pattern", value_new_string(a, buf_str(&pattern)));
    value_set(a, s, "maxLength", value_new_int(a, (int64_t)longest));
}

static void words_schema(struct arena *a, const struct field *f, struct value *s)
{
    if (f->flags & FIELD_NOCASE) {
        nocase_schema(a, f, s);
        return;
    }
    struct value *words = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; f->words[i]; i++) {
        value_push(a, words, value_new_string(a, str_of(f->words[i])));
    }
    value_set(a, s, "enum", words);
}

static void text_schema(struct arena *a, const struct field *f, struct value *s)
{
    bool required = f->flags & FIELD_REQUIRED;
    if (f->words) {
        words_schema(a, f, s);
        return;
    }
    if (f->format && f->format->pattern) {
        /* A member may be empty, which says as much as if it weren't there. */
        const char *p = f->format->pattern, *empty = required || !*f->name ? "" : "^$|";
        value_set(a, s, "pattern", value_new_stringf(a, "%s%s", empty, p));
    }
    if (required) {
        value_set(a, s, "minLength", value_new_int(a, 1));
    }
    int64_t max = f->max > 0 ? f->max : f->format ? f->format->max : 0;
    if (max > 0) {
        value_set(a, s, "maxLength", value_new_int(a, max));
    }
}

/* Of a map's values. */
static struct value *map_schema(struct arena *a, const struct field *f)
{
    static const struct field any = {.name = "", .type = FIELD_STRING};
    struct value *s = value_new(a, VALUE_OBJECT);
    const struct field *item = f->item ? f->item : &any;
    if (f->flags & FIELD_NUMBERS) {
        value_set(a, s, "x-kubernetes-int-or-string", value_new_bool(a, true));
    } else {
        set_text(a, s, "type", "string");
    }
    text_schema(a, item, s);
    return s;
}

static void add_struct(struct arena *a, const struct field *fields, struct value *s);
static void list_schema(struct arena *a, const struct field *f, struct value *s);

static void rules_schema(struct arena *a, const struct field_rule *rules, struct value *s)
{
    if (!rules) {
        return;
    }
    struct value *list = value_new(a, VALUE_ARRAY);
    for (const struct field_rule *r = rules; r->cel; r++) {
        struct value *v = value_new(a, VALUE_OBJECT);
        set_text(a, v, "rule", r->cel);
        set_text(a, v, "message", r->message);
        value_push(a, list, v);
    }
    value_set(a, s, "x-kubernetes-validations", list);
}

#define DURATION_PATTERN "^$|^0$|^([0-9]+(\\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+$"

static void content_schema(struct arena *a, const struct field *f, struct value *s)
{
    switch (f->type) {
    case FIELD_INT:
        number_schema(a, f, s);
        break;
    case FIELD_STRING:
    case FIELD_ENUM:
        text_schema(a, f, s);
        break;
    case FIELD_DURATION:
        set_text(a, s, "pattern", DURATION_PATTERN);
        value_set(a, s, "maxLength", value_new_int(a, 64));
        break;
    case FIELD_STRUCT:
    case FIELD_POINTER:
        add_struct(a, f->fields, s);
        break;
    case FIELD_RAW:
        if (f->fields) {
            add_struct(a, f->fields, s);
        } else {
            value_set(a, s, "x-kubernetes-preserve-unknown-fields", value_new_bool(a, true));
        }
        break;
    case FIELD_MAP:
    case FIELD_BYTES_MAP:
        value_set(a, s, "additionalProperties", map_schema(a, f));
        break;
    case FIELD_LIST:
    case FIELD_MAPS:
        list_schema(a, f, s);
        break;
    case FIELD_IGNORED:
    case FIELD_BOOL:
    case FIELD_INT_OR_STRING:
        break;
    }
}

static struct value *field_schema(struct arena *a, const struct field *f)
{
    struct value *s = value_new(a, VALUE_OBJECT);
    if (f->help) {
        set_text(a, s, "description", f->help);
    }
    if (f->type == FIELD_INT_OR_STRING) {
        value_set(a, s, "x-kubernetes-int-or-string", value_new_bool(a, true));
    } else {
        set_text(a, s, "type", type_name(f));
    }
    content_schema(a, f, s);
    if (f->initial && !(f->flags & FIELD_UNSTORED)) {
        default_schema(a, f, s);
    }
    rules_schema(a, f->rules, s);
    return s;
}

static void list_schema(struct arena *a, const struct field *f, struct value *s)
{
    if (f->type == FIELD_MAPS) {
        struct value *item = value_new(a, VALUE_OBJECT);
        set_text(a, item, "type", "object");
        value_set(a, item, "additionalProperties", map_schema(a, f));
        value_set(a, s, "items", item);
    } else {
        struct value *item =
            f->item ? field_schema(a, f->item) : fields_schema(a, f->fields, f->item_rules);
        if (f->members) {
            value_set(a, item, "minProperties", value_new_int(a, f->members));
            value_set(a, item, "maxProperties", value_new_int(a, f->members));
        }
        value_set(a, s, "items", item);
    }
    if (f->min > 0) {
        value_set(a, s, "minItems", value_new_int(a, f->min));
    }
    if (f->max > 0) {
        value_set(a, s, "maxItems", value_new_int(a, f->max));
    }
}

static void add_struct(struct arena *a, const struct field *fields, struct value *s)
{
    struct value *properties = value_new(a, VALUE_OBJECT), *required = value_new(a, VALUE_ARRAY);
    for (const struct field *f = fields; f->name; f++) {
        if (f->type == FIELD_IGNORED) {
            continue;
        }
        value_set(a, properties, f->name, field_schema(a, f));
        if (f->flags & FIELD_REQUIRED) {
            value_push(a, required, value_new_string(a, str_of(f->name)));
        }
    }
    if (required->array.len) {
        value_set(a, s, "required", required);
    }
    value_set(a, s, "properties", properties);
}

struct value *fields_schema(struct arena *a, const struct field *fields,
                            const struct field_rule *rules)
{
    struct value *s = value_new(a, VALUE_OBJECT);
    set_text(a, s, "type", "object");
    add_struct(a, fields, s);
    rules_schema(a, rules, s);
    return s;
}
