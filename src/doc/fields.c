/* Decoding by field tables. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "doc/base64.h"
#include "doc/fields_internal.h"

/* Entries of a list of maps: these are header conditions, and no request has as many headers. */
#define MAPS_MAX 100

static void decode_struct(struct decode *d, const struct field *fields, const struct value *v,
                          void *out, const struct place *p);
static void decode_field(struct decode *d, const struct field *f, const struct value *v, void *out,
                         const struct place *p);

/* Numbers and booleans where text is wanted are YAML's best known trap. */
static const char *text_hint(const struct value *v)
{
    bool scalar = v->type == VALUE_INT || v->type == VALUE_BOOL || v->type == VALUE_FLOAT;
    return scalar ? "put it in quotes" : NULL;
}

static const char *word_find(const struct field *f, struct str s)
{
    for (size_t i = 0; f->words[i]; i++) {
        bool same =
            f->flags & FIELD_NOCASE ? str_is_nocase(s, f->words[i]) : str_is(s, f->words[i]);
        if (same) {
            return f->words[i];
        }
    }
    return NULL;
}

/* True when the string may stand there. */
static bool check_string(struct decode *d, const struct field *f, const struct value *v,
                         const struct place *p)
{
    if (f->words) {
        if (word_find(f, v->string)) {
            return true;
        }
        const char *near = fields_nearest(v->string, f->words);
        field_refuse(d, f, v, p,
                     near ? arena_printf(d->arena, "did you mean \"%s\"?", near).ptr : NULL);
        return false;
    }
    if (f->max > 0 && v->string.len > (size_t)f->max) {
        field_report(d, FINDING_ERROR, p, "expected text of at most %" PRId64 " bytes, found %zu",
                     f->max, v->string.len);
        return false;
    }
    struct err why = ERR_INIT;
    bool empty = (f->flags & FIELD_REQUIRED) && v->string.len == 0;
    if (empty || (f->format && f->format->check(v->string, &why) < 0)) {
        field_refuse(d, f, v, p, why.text);
        return false;
    }
    return true;
}

static void decode_string(struct decode *d, const struct field *f, const struct value *v, void *out,
                          const struct place *p)
{
    if (v->type != VALUE_STRING) {
        field_refuse(d, f, v, p, text_hint(v));
    } else if (check_string(d, f, v, p)) {
        *(struct str *)out =
            f->words ? str_of(word_find(f, v->string)) : arena_str(d->arena, v->string);
    }
}

static void decode_enum(struct decode *d, const struct field *f, const struct value *v, void *out,
                        const struct place *p)
{
    if (v->type != VALUE_STRING) {
        field_refuse(d, f, v, p, NULL);
        return;
    }
    if (!check_string(d, f, v, p)) {
        return;
    }
    unsigned i = 0;
    while (!str_is(v->string, f->words[i])) {
        i++;
    }
    *(unsigned *)out = i;
}

static bool in_range(const struct field *f, int64_t n)
{
    return (f->min == 0 && f->max == 0) || (n >= f->min && (f->max == 0 || n <= f->max));
}

static void decode_int(struct decode *d, const struct field *f, const struct value *v, void *out,
                       const struct place *p)
{
    if (v->type != VALUE_INT || !in_range(f, v->integer)) {
        int64_t n;
        bool quoted = v->type == VALUE_STRING && str_int(v->string, INT64_MIN, INT64_MAX, &n);
        field_refuse(d, f, v, p, quoted ? "write it without quotes" : NULL);
        return;
    }
    *(int64_t *)out = v->integer;
}

static void decode_int_or_string(struct decode *d, const struct field *f, const struct value *v,
                                 struct field_int_or_string *out, const struct place *p)
{
    if (v->type == VALUE_STRING) {
        decode_string(d, f, v, &out->text, p);
    } else {
        decode_int(d, f, v, &out->number, p);
    }
}

static void decode_duration(struct decode *d, const struct field *f, const struct value *v,
                            int64_t *out, const struct place *p)
{
    int64_t ms = 0;
    if (v->type == VALUE_INT) {
        field_refuse(
            d, f, v, p,
            arena_printf(d->arena, "a unit is missing, as in \"%" PRId64 "s\"", v->integer).ptr);
    } else if (v->type != VALUE_STRING || !clock_parse_duration(v->string, &ms)) {
        field_refuse(d, f, v, p, NULL);
    } else {
        *out = ms;
    }
}

static size_t item_size(const struct field *f)
{
    if (!f->item) {
        return f->size;
    }
    switch (f->item->type) {
    case FIELD_STRING:
        return sizeof(struct str);
    case FIELD_INT:
    case FIELD_DURATION:
        return sizeof(int64_t);
    default:
        ASSERT(!"lists hold structs, text, numbers or durations");
        return 0;
    }
}

/* Two entries with the same name are a mistake that would otherwise hide one of them. */
static void check_unique(struct decode *d, const struct field *f, const struct value *v,
                         const struct place *p)
{
    struct map seen = {0};
    for (size_t i = 0; i < v->array.len; i++) {
        const struct value *key = value_member(&v->array.at[i], f->unique);
        if (!key || key->type != VALUE_STRING || key->string.len == 0) {
            continue;
        }
        size_t *first = map_find(&seen, key->string);
        if (!first) {
            first = ARENA_NEW(d->arena, size_t);
            *first = i;
            map_put(&seen, key->string, first);
            continue;
        }
        struct place entry = {.up = p, .index = i, .line = v->array.at[i].line};
        struct place member = {.up = &entry, .name = str_of(f->unique), .line = key->line};
        field_report(
            d, FINDING_ERROR, &member,
            "expected a name that no other entry has, found \"%.*s\", which entry [%zu] has too",
            STR_ARG(key->string), *first);
    }
    map_done(&seen, NULL);
}

static void decode_list(struct decode *d, const struct field *f, const struct value *v,
                        struct field_list *out, const struct place *p)
{
    if (v->type != VALUE_ARRAY || (f->min > 0 && v->array.len == 0)) {
        field_refuse(d, f, v, p, NULL);
        return;
    }
    int64_t max = f->max > 0 ? f->max : LIMIT_LIST_ITEMS;
    if (v->array.len > (size_t)max) {
        field_report(d, FINDING_ERROR, p, "expected at most %" PRId64 " entries, found %zu", max,
                     v->array.len);
        return;
    }
    size_t size = item_size(f), n = v->array.len;
    char *at = n ? arena_array(d->arena, n, size) : NULL;
    static const struct field entry = {.type = FIELD_STRUCT};
    for (size_t i = 0; i < n; i++) {
        const struct value *e = &v->array.at[i];
        struct place here = {.up = p, .index = i, .line = e->line};
        if (f->item) {
            decode_field(d, f->item, e, at + i * size, &here);
        } else if (e->type != VALUE_OBJECT) {
            field_refuse(d, &entry, e, &here, NULL);
        } else {
            decode_struct(d, f->fields, e, at + i * size, &here);
        }
    }
    if (f->unique) {
        check_unique(d, f, v, p);
    }
    *out = (struct field_list){at, n};
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct field_pair *)a)->key, ((const struct field_pair *)b)->key);
}

static struct str key_text(struct decode *d, const struct field *f, struct str key)
{
    for (const char *const *c = f->common; c && *c; c++) {
        if (str_is(key, *c)) {
            return str_of(*c);
        }
    }
    return arena_str(d->arena, key);
}

/* Adds one pair, or replaces the value of its key among the first n, which are sorted. */
static void pairs_add(struct decode *d, const struct field *f, struct field_pairs *out, size_t n,
                      struct str key, struct str value)
{
    struct field_pair wanted = {.key = key};
    struct field_pair *old = n ? bsearch(&wanted, out->at, n, sizeof(*out->at), by_key) : NULL;
    if (old) {
        old->value = value;
    } else {
        out->at[out->len++] = (struct field_pair){key_text(d, f, key), value};
    }
}

static bool pair_value(struct decode *d, const struct field *f, const struct value *v,
                       struct str *ret, const struct place *p)
{
    struct value number = {.type = VALUE_STRING, .line = v->line};
    if ((f->flags & FIELD_NUMBERS) && (v->type == VALUE_INT || v->type == VALUE_FLOAT)) {
        number.string = str_of(field_found(d->arena, f, v));
        v = &number;
    }
    if (v->type != VALUE_STRING) {
        static const struct field text = {.type = FIELD_STRING};
        static const struct field secret = {.type = FIELD_STRING, .flags = FIELD_SECRET};
        field_refuse(d, f->flags & FIELD_SECRET ? &secret : &text, v, p, text_hint(v));
        return false;
    }
    if (f->type == FIELD_BYTES_MAP) {
        if (!base64_decode(d->arena, v->string, ret)) {
            field_report(d, FINDING_ERROR, p,
                         "expected base64, found other text; plain text belongs "
                         "into stringData");
            return false;
        }
        return true;
    }
    *ret = arena_str(d->arena, v->string);
    return !f->item || check_string(d, f->item, v, p);
}

static void decode_map(struct decode *d, const struct field *f, const struct value *v,
                       struct field_pairs *out, const struct place *p)
{
    if (v->type != VALUE_OBJECT) {
        field_refuse(d, f, v, p, NULL);
        return;
    }
    size_t before = out->len;
    struct field_pair *at = arena_array(d->arena, before + v->object.len, sizeof(*at));
    if (before) {
        memcpy(at, out->at, before * sizeof(*at));
    }
    out->at = at;
    for (size_t i = 0; i < v->object.len; i++) {
        const struct member *m = &v->object.at[i];
        struct place here = {.up = p, .name = m->key, .line = m->line};
        struct str value;
        struct err why = ERR_INIT;
        if (f->key_format && f->key_format->check(m->key, &why) < 0) {
            field_report(d, FINDING_ERROR, &here, "expected %s as key, found \"%.*s\"%s%s",
                         f->key_format->what, STR_ARG(m->key), *why.text ? "; " : "", why.text);
        } else if (pair_value(d, f, &m->value, &value, &here)) {
            pairs_add(d, f, out, before, m->key, value);
        }
    }
    if (out->len > 1) {
        qsort(out->at, out->len, sizeof(*out->at), by_key);
    }
}

/* A list of maps is one map in pieces; a key, whatever its case, may be in one of them only. */
static void decode_maps(struct decode *d, const struct field *f, const struct value *v,
                        struct field_pairs *out, const struct place *p)
{
    if (v->type != VALUE_ARRAY) {
        field_refuse(d, f, v, p, NULL);
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < v->array.len; i++) {
        const struct value *e = &v->array.at[i];
        n += e->type == VALUE_OBJECT ? e->object.len : 1;
    }
    if (n > MAPS_MAX) {
        field_report(d, FINDING_ERROR, p, "expected at most %d entries, found %zu", MAPS_MAX, n);
        return;
    }
    for (size_t i = 0; i < v->array.len; i++) {
        const struct value *e = &v->array.at[i];
        struct place here = {.up = p, .index = i, .line = e->line};
        for (size_t m = 0; e->type == VALUE_OBJECT && m < e->object.len; m++) {
            struct str key = e->object.at[m].key;
            for (size_t k = 0; k < out->len; k++) {
                if (str_is_nocase(key, out->at[k].key.ptr)) {
                    field_report(d, FINDING_ERROR, &here,
                                 "expected each name once, found \"%.*s\" again; join the two",
                                 STR_ARG(key));
                }
            }
        }
        decode_map(d, f, e, out, &here);
    }
}

static void decode_raw(struct decode *d, const struct field *f, const struct value *v,
                       const struct value **out, const struct place *p)
{
    if (v->type != VALUE_OBJECT) {
        field_refuse(d, f, v, p, NULL);
        return;
    }
    if (f->fields) {
        decode_struct(d, f->fields, v, arena_alloc(d->arena, f->size), p);
    }
    *out = value_copy(d->arena, v);
}

/* v is there and not null; out is the field's own place. */
static void decode_field(struct decode *d, const struct field *f, const struct value *v, void *out,
                         const struct place *p)
{
    switch (f->type) {
    case FIELD_IGNORED:
        break;
    case FIELD_BOOL:
        if (v->type == VALUE_BOOL) {
            *(bool *)out = v->boolean;
        } else {
            field_refuse(d, f, v, p, v->type == VALUE_STRING ? "write it without quotes" : NULL);
        }
        break;
    case FIELD_INT:
        decode_int(d, f, v, out, p);
        break;
    case FIELD_STRING:
        decode_string(d, f, v, out, p);
        break;
    case FIELD_ENUM:
        decode_enum(d, f, v, out, p);
        break;
    case FIELD_DURATION:
        decode_duration(d, f, v, out, p);
        break;
    case FIELD_INT_OR_STRING:
        decode_int_or_string(d, f, v, out, p);
        break;
    case FIELD_RAW:
        decode_raw(d, f, v, out, p);
        break;
    case FIELD_POINTER:
        *(void **)out = arena_alloc(d->arena, f->size);
        decode_struct(d, f->fields, v, *(void **)out, p);
        break;
    case FIELD_STRUCT:
        decode_struct(d, f->fields, v, out, p);
        break;
    case FIELD_LIST:
        decode_list(d, f, v, out, p);
        break;
    case FIELD_MAP:
    case FIELD_BYTES_MAP:
        decode_map(d, f, v, out, p);
        break;
    case FIELD_MAPS:
        decode_maps(d, f, v, out, p);
        break;
    }
}

/* Defaults are ours, so they can't be wrong. */
static void set_default(struct decode *d, const struct field *f, void *out)
{
    if (f->type == FIELD_STRUCT) {
        decode_struct(d, f->fields, NULL, out, NULL);
    }
    if (!f->initial) {
        return;
    }
    struct str text = str_of(f->initial);
    struct value v = {.type = VALUE_STRING, .string = text};
    if (f->type == FIELD_BOOL) {
        *(bool *)out = str_is(text, "true");
    } else if (f->type == FIELD_INT) {
        ASSERT(str_int(text, INT64_MIN, INT64_MAX, out));
    } else if (f->type == FIELD_STRING) {
        *(struct str *)out = text;
    } else {
        decode_field(d, f, &v, out, NULL);
    }
}

/* An empty string says nothing where a certain form of it is wanted. */
static bool is_absent(const struct field *f, const struct value *v)
{
    if (!v || v->type == VALUE_NULL) {
        return true;
    }
    bool formed = f->format || f->words || f->type == FIELD_DURATION || f->initial;
    return v->type == VALUE_STRING && v->string.len == 0 && formed && !(f->flags & FIELD_REQUIRED);
}

static void decode_struct(struct decode *d, const struct field *fields, const struct value *v,
                          void *out, const struct place *p)
{
    if (v && v->type != VALUE_OBJECT) {
        static const struct field entry = {.type = FIELD_STRUCT};
        field_refuse(d, &entry, v, p, NULL);
        return;
    }
    for (const struct field *f = fields; f->name; f++) {
        if (f->type == FIELD_IGNORED) {
            continue;
        }
        void *at = (char *)out + f->offset;
        const struct value *member = value_member(v, f->name);
        struct place here = {.up = p, .name = str_of(f->name), .line = member ? member->line : 0};
        if (!is_absent(f, member)) {
            decode_field(d, f, member, at, &here);
            if (f->present) {
                *((bool *)out + f->present - 1) = true;
            }
            continue;
        }
        if (v && (f->flags & FIELD_REQUIRED)) {
            here.line = here.line ? here.line : v->line;
            field_require(d, f, &here);
        }
        set_default(d, f, at);
    }
    if (v) {
        field_check_names(d, fields, v, p);
    }
}

void fields_decode(struct decode *d, const struct field *fields, const struct value *v, void *out)
{
    decode_struct(d, fields, v, out, NULL);
}
