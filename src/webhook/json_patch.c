/* JSON Patch. */
#include "webhook/json_patch.h"

#include "inject/build.h"

/* --- paths (RFC 6901) --- */

static struct str path_member(struct arena *a, struct str parent, struct str key)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, parent.len + 2 * key.len + 2);
    buf_adds(&out, parent);
    buf_addc(&out, '/');
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '~' || key.ptr[i] == '/') {
            buf_addc(&out, '~');
            buf_addc(&out, key.ptr[i] == '~' ? '0' : '1');
        } else {
            buf_addc(&out, key.ptr[i]);
        }
    }
    return arena_str(a, buf_str(&out));
}

static struct str path_index(struct arena *a, struct str parent, size_t i)
{
    return arena_printf(a, "%.*s/%zu", STR_ARG(parent), i);
}

static struct str unescape(struct arena *a, struct str token)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, token.len + 1);
    for (size_t i = 0; i < token.len; i++) {
        bool escaped = token.ptr[i] == '~' && i + 1 < token.len;
        char next = escaped ? token.ptr[++i] : token.ptr[i];
        buf_addc(&out, !escaped ? next : next == '1' ? '/' : '~');
    }
    return arena_str(a, buf_str(&out));
}

/* --- the difference --- */

struct diff {
    struct arena *arena;
    struct value *patch;
};

static void put(struct diff *d, const char *op, struct str path, const struct value *v)
{
    value_push(d->arena, d->patch,
               build_object(d->arena, "op", build_text(d->arena, op), "path",
                            value_new_string(d->arena, path), "value", v, NULL));
}

static void diff(struct diff *d, struct str path, const struct value *from, const struct value *to);

static const struct value *member(const struct value *object, struct str key)
{
    for (size_t i = 0; i < object->object.len; i++) {
        if (str_eq(object->object.at[i].key, key)) {
            return &object->object.at[i].value;
        }
    }
    return NULL;
}

static void diff_objects(struct diff *d, struct str path, const struct value *from,
                         const struct value *to)
{
    for (size_t i = 0; i < from->object.len; i++) {
        struct str key = from->object.at[i].key;
        if (!member(to, key)) {
            put(d, "remove", path_member(d->arena, path, key), NULL);
        }
    }
    for (size_t i = 0; i < to->object.len; i++) {
        const struct member *m = &to->object.at[i];
        const struct value *before = member(from, m->key);
        struct str at = path_member(d->arena, path, m->key);
        if (before) {
            diff(d, at, before, &m->value);
        } else {
            put(d, "add", at, &m->value);
        }
    }
}

static void diff_arrays(struct diff *d, struct str path, const struct value *from,
                        const struct value *to)
{
    size_t n = from->array.len, m = to->array.len, head = 0, tail = 0;
    while (head < n && head < m && value_equal(&from->array.at[head], &to->array.at[head])) {
        head++;
    }
    while (tail < n - head && tail < m - head &&
           value_equal(&from->array.at[n - 1 - tail], &to->array.at[m - 1 - tail])) {
        tail++;
    }
    size_t both = (n < m ? n : m) - head - tail;
    for (size_t i = head; i < head + both; i++) {
        diff(d, path_index(d->arena, path, i), &from->array.at[i], &to->array.at[i]);
    }
    /* From the end, so that the places of the others stay what they are. */
    for (size_t i = n - tail; i > head + both; i--) {
        put(d, "remove", path_index(d->arena, path, i - 1), NULL);
    }
    for (size_t i = head + both; i < m - tail; i++) {
        put(d, "add", path_index(d->arena, path, i), &to->array.at[i]);
    }
}

static void diff(struct diff *d, struct str path, const struct value *from, const struct value *to)
{
    if (from == to) {
        return;
    }
    if (from->type == VALUE_OBJECT && to->type == VALUE_OBJECT) {
        diff_objects(d, path, from, to);
    } else if (from->type == VALUE_ARRAY && to->type == VALUE_ARRAY) {
        diff_arrays(d, path, from, to);
    } else if (!value_equal(from, to)) {
        put(d, "replace", path, to);
    }
}

struct value *json_patch_diff(struct arena *a, const struct value *from, const struct value *to)
{
    struct diff d = {a, value_new(a, VALUE_ARRAY)};
    diff(&d, STR(""), from, to);
    return d.patch;
}

/* --- applying --- */

/* "-" is the place after the last one. */
static bool index_of(const struct value *array, struct str token, size_t max, size_t *ret)
{
    int64_t n;
    if (str_is(token, "-") && max > 0) {
        *ret = array->array.len;
        return *ret < max;
    }
    if (max == 0 || !str_int(token, 0, (int64_t)max - 1, &n)) {
        return false;
    }
    *ret = (size_t)n;
    return true;
}

static struct value *step(struct arena *a, struct value *at, struct str token)
{
    size_t i;
    if (at->type == VALUE_ARRAY) {
        return index_of(at, token, at->array.len, &i) ? &at->array.at[i] : NULL;
    }
    return at->type == VALUE_OBJECT ? (struct value *)member(at, unescape(a, token)) : NULL;
}

static bool change_object(struct arena *a, struct value *object, struct str key, const char *op,
                          const struct value *v)
{
    bool there = member(object, key) != NULL;
    if (op[0] != 'a' && !there) {
        return false;
    }
    if (op[2] != 'm') {
        value_set(a, object, key.ptr, v);
        return true;
    }
    size_t i = 0;
    while (!str_eq(object->object.at[i].key, key)) {
        i++;
    }
    for (; i + 1 < object->object.len; i++) {
        object->object.at[i] = object->object.at[i + 1];
    }
    object->object.len--;
    return true;
}

static bool change_array(struct arena *a, struct value *array, struct str token, const char *op,
                         const struct value *v)
{
    size_t i, len = array->array.len;
    if (!index_of(array, token, op[0] == 'a' ? len + 1 : len, &i)) {
        return false;
    }
    if (op[0] == 'a') {
        value_push(a, array, v);
        for (size_t k = len; k > i; k--) {
            array->array.at[k] = array->array.at[k - 1];
        }
        array->array.at[i] = *v;
    } else if (op[2] == 'm') {
        for (; i + 1 < len; i++) {
            array->array.at[i] = array->array.at[i + 1];
        }
        array->array.len--;
    } else {
        array->array.at[i] = *v;
    }
    return true;
}

/* True when the operation could be done. The document is our own copy, and so is each value put
 * into it. */
static bool change(struct arena *a, struct value *root, const char *op, struct str path,
                   const struct value *v)
{
    struct value *at = root;
    if (path.len == 0) {
        *root = op[2] == 'm' ? (struct value){0} : *v;
        return true;
    }
    if (path.ptr[0] != '/') {
        return false;
    }
    struct str rest = {path.ptr + 1, path.len - 1}, token, tail = {0};
    while (str_cut(rest, '/', &token, &tail)) {
        if (!(at = step(a, at, token))) {
            return false;
        }
        rest = tail;
    }
    if (at->type == VALUE_ARRAY) {
        return change_array(a, at, rest, op, v);
    }
    return at->type == VALUE_OBJECT && change_object(a, at, unescape(a, rest), op, v);
}

int json_patch_apply(struct arena *a, const struct value *document, const struct value *patch,
                     struct value **ret, struct err *e)
{
    static const char *const ops[] = {"add", "remove", "replace"};
    struct value *out = value_copy(a, document);
    for (size_t i = 0; i < value_len(patch); i++) {
        const struct value *o = &patch->array.at[i], *v = value_member(o, "value");
        struct str name = value_string_at(o, "op"), path = value_string_at(o, "path");
        const char *op = NULL;
        for (size_t k = 0; k < COUNT_OF(ops); k++) {
            op = str_is(name, ops[k]) ? ops[k] : op;
        }
        bool removes = op && op[2] == 'm';
        if (!op || (!removes && !v) ||
            !change(a, out, op, path, removes ? NULL : value_copy(a, v))) {
            return err_set(e, "operation %zu of the patch (%.*s %.*s) can't be done", i,
                           STR_ARG(name), STR_ARG(path));
        }
    }
    *ret = out;
    return 0;
}
