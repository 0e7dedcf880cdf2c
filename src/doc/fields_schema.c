/* What else a field table gives: the hash of a decoded struct, and its OpenAPI schema. */
#include "doc/fields.h"

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

static struct value *map_schema(struct arena *a)
{
    struct value *s = value_new(a, VALUE_OBJECT), *text = value_new(a, VALUE_OBJECT);
    set_text(a, text, "type", "string");
    set_text(a, s, "type", "object");
    value_set(a, s, "additionalProperties", text);
    return s;
}

static void number_schema(struct arena *a, const struct field *f, struct value *s)
{
    if (f->min != 0 || f->max != 0) {
        value_set(a, s, "minimum", value_new_int(a, f->min));
        if (f->max != 0 && f->max != INT64_MAX) {
            value_set(a, s, "maximum", value_new_int(a, f->max));
        }
    }
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

static void text_schema(struct arena *a, const struct field *f, struct value *s)
{
    if (f->words) {
        struct value *words = value_new(a, VALUE_ARRAY);
        for (size_t i = 0; f->words[i]; i++) {
            value_push(a, words, value_new_string(a, str_of(f->words[i])));
        }
        value_set(a, s, "enum", words);
    } else if (f->format && f->format->pattern) {
        set_text(a, s, "pattern", f->format->pattern);
    }
}

static void add_struct(struct arena *a, const struct field *fields, struct value *s);

static struct value *field_schema(struct arena *a, const struct field *f)
{
    struct value *s = value_new(a, VALUE_OBJECT);
    if (f->help) {
        set_text(a, s, "description", f->help);
    }
    if (f->type == FIELD_INT_OR_STRING) {
        value_set(a, s, "x-kubernetes-int-or-string", value_new_bool(a, true));
        return s;
    }
    set_text(a, s, "type", type_name(f));
    if (f->type == FIELD_INT) {
        number_schema(a, f, s);
    } else if (f->type == FIELD_STRING || f->type == FIELD_ENUM) {
        text_schema(a, f, s);
    } else if (f->type == FIELD_STRUCT || f->type == FIELD_POINTER) {
        add_struct(a, f->fields, s);
    } else if (f->type == FIELD_RAW) {
        value_set(a, s, "x-kubernetes-preserve-unknown-fields", value_new_bool(a, true));
    } else if (f->type == FIELD_MAPS) {
        value_set(a, s, "items", map_schema(a));
    } else if (f->type == FIELD_MAP) {
        value_set(a, s, "additionalProperties", value_at(map_schema(a), "additionalProperties"));
    } else if (f->type == FIELD_LIST) {
        value_set(a, s, "items", f->item ? field_schema(a, f->item) : fields_schema(a, f->fields));
        if (f->min > 0) {
            value_set(a, s, "minItems", value_new_int(a, f->min));
        }
    }
    if (f->initial) {
        default_schema(a, f, s);
    }
    return s;
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

struct value *fields_schema(struct arena *a, const struct field *fields)
{
    struct value *s = value_new(a, VALUE_OBJECT);
    set_text(a, s, "type", "object");
    add_struct(a, fields, s);
    return s;
}
