/* JSON, with jansson. It has no limits of its own but one on depth, so the text is measured first.
 */
#include "doc/value.h"

#include <string.h>

#include <jansson.h>

#include "base/limits.h"
#include "doc/value_scalar.h"

static void json_decref_auto(json_t **j)
{
    json_decref(*j);
}

/* Upper bounds of what the text can hold, right for correct JSON and safe for any other. */
static int measure(struct str text, size_t max_values, struct err *e)
{
    size_t values = 1, depth = 0;
    bool quoted = false;
    if (text.len > LIMIT_JSON_BYTES) {
        return err_set(e, "expected JSON of at most %u bytes, found %zu", LIMIT_JSON_BYTES,
                       text.len);
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            values++;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > LIMIT_DOC_DEPTH) {
                return err_set(e, "expected at most %d levels of nesting, found more",
                               LIMIT_DOC_DEPTH);
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    if (values > max_values) {
        return err_set(e, "expected JSON of at most %zu values, found more", max_values);
    }
    return 0;
}

static const char *problem(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "expected the end after the first value, found more";
    case json_error_invalid_utf8:
        return "the text is not UTF-8";
    case json_error_duplicate_key:
        return "a key is given twice in one object";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_null_byte_in_key:
        return "a key holds a NUL character";
    default:
        return "this is not JSON";
    }
}

static struct value convert(struct arena *a, json_t *j);

static void convert_object(struct arena *a, json_t *j, struct value *out)
{
    out->type = VALUE_OBJECT;
    out->object.at = arena_array(a, json_object_size(j), sizeof(*out->object.at));
    for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it)) {
        struct member *m = &out->object.at[out->object.len++];
        m->key = arena_strz(a, json_object_iter_key(it));
        m->value = convert(a, json_object_iter_value(it));
    }
}

static struct value convert(struct arena *a, json_t *j)
{
    struct value out = {0};
    switch (json_typeof(j)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        out.type = VALUE_BOOL;
        out.boolean = json_is_true(j);
        break;
    case JSON_INTEGER:
        out.type = VALUE_INT;
        out.integer = json_integer_value(j);
        break;
    case JSON_REAL:
        value_set_number(&out, json_real_value(j));
        break;
    case JSON_STRING:
        out.type = VALUE_STRING;
        out.string = arena_str(a, (struct str){json_string_value(j), json_string_length(j)});
        break;
    case JSON_ARRAY:
        out.type = VALUE_ARRAY;
        out.array.len = json_array_size(j);
        out.array.at = arena_array(a, out.array.len, sizeof(*out.array.at));
        for (size_t i = 0; i < out.array.len; i++) {
            out.array.at[i] = convert(a, json_array_get(j, i));
        }
        break;
    case JSON_OBJECT:
        convert_object(a, j, &out);
        break;
    }
    return out;
}

int value_read_json(struct arena *a, struct str text, struct value **ret, struct err *e)
{
    return value_read_json_within(a, text, LIMIT_JSON_VALUES, ret, e);
}

int value_read_json_within(struct arena *a, struct str text, size_t max_values, struct value **ret,
                           struct err *e)
{
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t error;
    if (measure(text, max_values, e) < 0) {
        return -1;
    }
    const char *ptr = text.ptr ? text.ptr : "";
    AUTO(json_decref) json_t *j = json_loadb(ptr, text.len, flags, &error);
    if (!j && json_error_code(&error) == json_error_numeric_overflow) {
        /* One object of a list may hold 1e20, which the API server writes with all its digits. */
        j = json_loadb(ptr, text.len, flags | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (!j) {
        return err_set(e, "broken JSON at line %d, column %d: %s", error.line, error.column,
                       problem(&error));
    }
    *ret = ARENA_NEW(a, struct value);
    **ret = convert(a, j);
    return 0;
}

static void write_string(struct str s, struct buf *out)
{
    buf_addc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buf_add(out, s.ptr + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            buf_addc(out, '\\');
            buf_addc(out, (char)c);
        } else if (c == '\n') {
            buf_addz(out, "\\n");
        } else {
            buf_printf(out, "\\u%04x", c);
        }
    }
    if (from < s.len) {
        buf_add(out, s.ptr + from, s.len - from);
    }
    buf_addc(out, '"');
}

void value_write_json(const struct value *v, struct buf *out)
{
    switch (v->type) {
    case VALUE_NULL:
        buf_addz(out, "null");
        break;
    case VALUE_BOOL:
        buf_addz(out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
    case VALUE_FLOAT:
        value_write_number(v, out);
        break;
    case VALUE_STRING:
        write_string(v->string, out);
        break;
    case VALUE_ARRAY:
        buf_addc(out, '[');
        for (size_t i = 0; i < v->array.len; i++) {
            buf_addz(out, i > 0 ? "," : "");
            value_write_json(&v->array.at[i], out);
        }
        buf_addc(out, ']');
        break;
    case VALUE_OBJECT:
        buf_addc(out, '{');
        for (size_t i = 0; i < v->object.len; i++) {
            buf_addz(out, i > 0 ? "," : "");
            write_string(v->object.at[i].key, out);
            buf_addc(out, ':');
            value_write_json(&v->object.at[i].value, out);
        }
        buf_addc(out, '}');
        break;
    }
}
