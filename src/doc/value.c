/* Trees of values: looking things up, building, comparing. Members and elements are arrays with
 * `cap` places; cap 0 means that others may share the array, so that the first change copies it. */
#include "doc/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

const struct value *value_member(const struct value *v, const char *key)
{
    if (!v || v->type != VALUE_OBJECT) {
        return NULL;
    }
    for (size_t i = 0; i < v->object.len; i++) {
        if (str_is(v->object.at[i].key, key)) {
            return &v->object.at[i].value;
        }
    }
    return NULL;
}

static struct member *find_member(const struct value *v, struct str key)
{
    for (size_t i = 0; i < v->object.len; i++) {
        if (str_eq(v->object.at[i].key, key)) {
            return &v->object.at[i];
        }
    }
    return NULL;
}

const struct value *value_at(const struct value *v, const char *dotted_path)
{
    struct str rest = str_of(dotted_path), step;
    bool more = true;
    while (more) {
        more = str_cut(rest, '.', &step, &rest);
        if (!v || v->type != VALUE_OBJECT) {
            return NULL;
        }
        const struct member *m = find_member(v, step);
        v = m ? &m->value : NULL;
    }
    return v;
}

struct str value_string_at(const struct value *v, const char *dotted_path)
{
    const struct value *found = value_at(v, dotted_path);
    return found && found->type == VALUE_STRING ? found->string : STR("");
}

bool value_bool_at(const struct value *v, const char *dotted_path)
{
    const struct value *b = value_at(v, dotted_path);
    return b && b->type == VALUE_BOOL && b->boolean;
}

size_t value_len(const struct value *array)
{
    return array && array->type == VALUE_ARRAY ? array->array.len : 0;
}

struct value *value_new(struct arena *a, enum value_type type)
{
    struct value *v = ARENA_NEW(a, struct value);
    v->type = type;
    if (type == VALUE_STRING) {
        v->string = STR("");
    }
    return v;
}

struct value *value_new_string(struct arena *a, struct str s)
{
    struct value *v = value_new(a, VALUE_STRING);
    v->string = arena_str(a, s);
    return v;
}

struct value *value_new_stringf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free) char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    return value_new_string(a, str_of(text));
}

struct value *value_new_int(struct arena *a, int64_t n)
{
    struct value *v = value_new(a, VALUE_INT);
    v->integer = n;
    return v;
}

struct value *value_new_bool(struct arena *a, bool b)
{
    struct value *v = value_new(a, VALUE_BOOL);
    v->boolean = b;
    return v;
}

static struct value copy(struct arena *a, const struct value *v)
{
    struct value out = *v;
    if (v->type == VALUE_STRING) {
        out.string = arena_str(a, v->string);
    } else if (v->type == VALUE_ARRAY) {
        out.array.cap = 0;
        out.array.at = arena_array(a, v->array.len, sizeof(*out.array.at));
        for (size_t i = 0; i < v->array.len; i++) {
            out.array.at[i] = copy(a, &v->array.at[i]);
        }
    } else if (v->type == VALUE_OBJECT) {
        out.object.cap = 0;
        out.object.at = arena_array(a, v->object.len, sizeof(*out.object.at));
        for (size_t i = 0; i < v->object.len; i++) {
            const struct member *m = &v->object.at[i];
            out.object.at[i] = (struct member){arena_str(a, m->key), m->line, copy(a, &m->value)};
        }
    }
    return out;
}

struct value *value_copy(struct arena *a, const struct value *v)
{
    struct value *out = ARENA_NEW(a, struct value);
    *out = copy(a, v);
    return out;
}

/* What is stored in a tree may be stored elsewhere too, so neither may grow in place. */
static struct value shared(const struct value *v)
{
    struct value out = *v;
    if (v->type == VALUE_ARRAY) {
        out.array.cap = 0;
    } else if (v->type == VALUE_OBJECT) {
        out.object.cap = 0;
    }
    return out;
}

static size_t room(size_t cap, size_t need)
{
    size_t want = cap ? cap : 4;
    while (want < need) {
        want *= 2;
    }
    return want;
}

/* Makes the members ours, with `more` free places. */
static void own_members(struct arena *a, struct value *v, size_t more)
{
    bool was_ours = v->object.cap > 0;
    if (v->object.len + more <= v->object.cap) {
        return;
    }
    v->object.cap = room(v->object.cap, v->object.len + more);
    struct member *at = arena_array(a, v->object.cap, sizeof(*at));
    for (size_t i = 0; i < v->object.len; i++) {
        at[i] = v->object.at[i];
        at[i].value = was_ours ? at[i].value : shared(&at[i].value);
    }
    v->object.at = at;
}

/* The same for the elements of an array. */
static void own_elements(struct arena *a, struct value *v, size_t more)
{
    bool was_ours = v->array.cap > 0;
    if (v->array.len + more <= v->array.cap) {
        return;
    }
    v->array.cap = room(v->array.cap, v->array.len + more);
    struct value *at = arena_array(a, v->array.cap, sizeof(*at));
    for (size_t i = 0; i < v->array.len; i++) {
        at[i] = was_ours ? v->array.at[i] : shared(&v->array.at[i]);
    }
    v->array.at = at;
}

/* The member, mutable; a new one is null. */
static struct value *place(struct arena *a, struct value *object, const char *key)
{
    ASSERT(object->type == VALUE_OBJECT);
    struct member *m = find_member(object, str_of(key));
    if (m) {
        size_t i = (size_t)(m - object->object.at);
        own_members(a, object, 0);
        return &object->object.at[i].value;
    }
    own_members(a, object, 1);
    m = &object->object.at[object->object.len++];
    *m = (struct member){.key = arena_strz(a, key)};
    return &m->value;
}

void value_set(struct arena *a, struct value *object, const char *key, const struct value *v)
{
    struct value stored = shared(v);
    *place(a, object, key) = stored;
}

void value_push(struct arena *a, struct value *array, const struct value *v)
{
    ASSERT(array->type == VALUE_ARRAY);
    struct value stored = shared(v);
    own_elements(a, array, 1);
    array->array.at[array->array.len++] = stored;
}

struct value *value_ensure(struct arena *a, struct value *object, const char *key,
                           enum value_type type)
{
    ASSERT(type == VALUE_ARRAY || type == VALUE_OBJECT);
    struct value *v = place(a, object, key);
    if (v->type != type) {
        *v = (struct value){.type = type};
    } else if (type == VALUE_OBJECT) {
        own_members(a, v, 0);
    } else {
        own_elements(a, v, 0);
    }
    return v;
}

static double as_number(const struct value *v)
{
    return v->type == VALUE_INT ? (double)v->integer : v->number;
}

static bool is_number(const struct value *v)
{
    return v->type == VALUE_INT || v->type == VALUE_FLOAT;
}

static bool arrays_equal(const struct value *a, const struct value *b)
{
    if (a->array.len != b->array.len) {
        return false;
    }
    for (size_t i = 0; i < a->array.len; i++) {
        if (!value_equal(&a->array.at[i], &b->array.at[i])) {
            return false;
        }
    }
    return true;
}

/* The order of members makes no difference; most often it is the same, so look there first. */
static bool objects_equal(const struct value *a, const struct value *b)
{
    if (a->object.len != b->object.len) {
        return false;
    }
    for (size_t i = 0; i < a->object.len; i++) {
        const struct member *x = &a->object.at[i], *y = &b->object.at[i];
        if (!str_eq(x->key, y->key)) {
            y = find_member(b, x->key);
        }
        if (!y || !value_equal(&x->value, &y->value)) {
            return false;
        }
    }
    return true;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->type != b->type) {
        return is_number(a) && is_number(b) && as_number(a) == as_number(b);
    }
    switch (a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_FLOAT:
        return a->number == b->number;
    case VALUE_STRING:
        return str_eq(a->string, b->string);
    case VALUE_ARRAY:
        return arrays_equal(a, b);
    case VALUE_OBJECT:
        return objects_equal(a, b);
    }
    return false;
}

/* Members are summed, as their order makes no difference. */
static uint64_t hash_object(const struct value *v)
{
    uint64_t sum = v->object.len;
    for (size_t i = 0; i < v->object.len; i++) {
        const struct member *m = &v->object.at[i];
        sum += hash_mix(hash_str(m->key), value_hash(&m->value));
    }
    return hash_mix(VALUE_OBJECT, sum);
}

uint64_t value_hash(const struct value *v)
{
    uint64_t h = v->type;
    switch (v->type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        h = hash_mix(h, v->boolean);
        break;
    case VALUE_INT:
    case VALUE_FLOAT: {
        double number = as_number(v) + 0.0; /* -0 and 0 are equal */
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        h = hash_mix(VALUE_FLOAT, bits);
        break;
    }
    case VALUE_STRING:
        h = hash_mix(h, hash_str(v->string));
        break;
    case VALUE_ARRAY:
        for (size_t i = 0; i < v->array.len; i++) {
            h = hash_mix(h, value_hash(&v->array.at[i]));
        }
        break;
    case VALUE_OBJECT:
        return hash_object(v);
    }
    return h;
}
