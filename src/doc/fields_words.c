/* What is said about a field: where it is, what was expected, what was found, what to do. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/vec.h"
#include "doc/fields_internal.h"

static void place_write(const struct place *p, struct buf *out)
{
    if (!p) {
        return;
    }
    place_write(p->up, out);
    if (!p->name.ptr) {
        buf_printf(out, "[%zu]", p->index);
        return;
    }
    bool plain = p->name.len > 0;
    for (size_t i = 0; i < p->name.len; i++) {
        plain &= p->name.ptr[i] > ' ' && !strchr(".[]\"/", p->name.ptr[i]);
    }
    if (plain) {
        buf_printf(out, "%s%.*s", out->len ? "." : "", STR_ARG(p->name));
    } else {
        buf_printf(out, "[\"%.*s\"]", STR_ARG(p->name));
    }
}

void field_report(struct decode *d, enum finding_level level, const struct place *p,
                  const char *fmt, ...)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    place_write(p, &text);
    buf_addz(&text, text.len ? ": " : "");
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    d->errors += level == FINDING_ERROR;
    findings_add(d->findings, level, d->file, p ? p->line : 0, d->object, "%.*s",
                 STR_ARG(buf_str(&text)));
}

const char *field_found(struct arena *a, const struct field *f, const struct value *v)
{
    bool secret = f->flags & FIELD_SECRET;
    switch (v->type) {
    case VALUE_NULL:
        return "nothing";
    case VALUE_BOOL:
        return secret ? "a truth value" : v->boolean ? "true" : "false";
    case VALUE_INT:
        return secret ? "a number" : arena_printf(a, "%" PRId64, v->integer).ptr;
    case VALUE_FLOAT:
        return secret ? "a number" : arena_printf(a, "%g", v->number).ptr;
    case VALUE_STRING:
        if (secret) {
            return "other text";
        }
        return arena_printf(a, v->string.len > 80 ? "\"%.*s...\"" : "\"%.*s\"",
                            (int)(v->string.len > 80 ? 80 : v->string.len), v->string.ptr)
            .ptr;
    case VALUE_ARRAY:
        return v->array.len ? "a list" : "an empty list";
    case VALUE_OBJECT:
        return v->object.len ? "a map" : "an empty map";
    }
    return "something else";
}

static void number_range(const struct field *f, struct buf *out)
{
    if (f->min == 0 && f->max == 0) {
        buf_addz(out, "a whole number");
    } else if (f->max == 0 || f->max == INT64_MAX) {
        buf_printf(out, "a whole number of at least %" PRId64, f->min);
    } else {
        buf_printf(out, "a whole number from %" PRId64 " to %" PRId64, f->min, f->max);
    }
}

/* `"A", "B" or "C"`. */
static void word_list(const char *const *words, struct buf *out)
{
    for (size_t i = 0; words[i]; i++) {
        const char *before = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        buf_printf(out, "%s\"%s\"", before, words[i]);
    }
}

/* What should have stood there. */
static void wanted(const struct field *f, struct buf *out)
{
    switch (f->type) {
    case FIELD_BOOL:
        buf_addz(out, "true or false");
        break;
    case FIELD_INT:
        number_range(f, out);
        break;
    case FIELD_INT_OR_STRING:
        number_range(f, out);
        buf_printf(out, " or %s", f->format ? f->format->what : "a name");
        break;
    case FIELD_STRING:
    case FIELD_ENUM:
        if (f->words) {
            word_list(f->words, out);
        } else {
            buf_addz(out, f->format ? f->format->what : "text");
        }
        break;
    case FIELD_DURATION:
        buf_addz(out, "a duration such as \"90s\" or \"1h30m\"");
        break;
    case FIELD_LIST:
        buf_addz(out, f->min > 0 ? "a list of at least one entry" : "a list");
        break;
    case FIELD_MAPS:
        buf_addz(out, "a list of maps of text, each entry as `- name: value`");
        break;
    case FIELD_MAP:
    case FIELD_BYTES_MAP:
        buf_addz(out, "a map of text");
        break;
    case FIELD_IGNORED:
    case FIELD_RAW:
    case FIELD_STRUCT:
    case FIELD_POINTER:
        buf_addz(out, "a map of fields");
        break;
    }
}

void field_refuse(struct decode *d, const struct field *f, const struct value *v,
                  const struct place *p, const char *hint)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    wanted(f, &text);
    field_report(d, FINDING_ERROR, p, "expected %.*s, found %s%s%s", STR_ARG(buf_str(&text)),
                 field_found(d->arena, f, v), hint && *hint ? "; " : "", hint ? hint : "");
}

void field_require(struct decode *d, const struct field *f, const struct place *p)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    wanted(f, &text);
    field_report(d, FINDING_ERROR, p, "is required: expected %.*s, found nothing",
                 STR_ARG(buf_str(&text)));
}

static bool word_in(struct str s, const char *words)
{
    struct str word, rest = str_of(words);
    bool more = true;
    while (more) {
        more = str_cut(rest, ' ', &word, &rest);
        if (str_eq(word, s)) {
            return true;
        }
    }
    return false;
}

static const struct field *field_find(const struct field *fields, struct str name)
{
    for (const struct field *f = fields; f->name; f++) {
        if (f->type == FIELD_IGNORED ? word_in(name, f->name) : str_is(name, f->name)) {
            return f;
        }
    }
    return NULL;
}

/* All names of a table, NULL at the end. */
static const char **known_names(struct arena *a, const struct field *fields, size_t *ret_n)
{
    VEC(const char *) names = {0};
    for (const struct field *f = fields; f->name; f++) {
        struct str word, rest = str_of(f->name);
        bool more = true;
        while (more) {
            more = str_cut(rest, ' ', &word, &rest);
            VEC_PUSH(names, arena_str(a, word).ptr);
        }
    }
    *ret_n = names.len;
    VEC_PUSH(names, NULL);
    const char **ret = arena_memdup(a, names.at, names.len * sizeof(*names.at));
    VEC_DONE(names);
    return ret;
}

static void warn_unknown(struct decode *d, const struct field *fields, const struct member *m,
                         const struct place *p)
{
    struct place here = {.up = p, .name = m->key, .line = m->line};
    size_t n;
    const char **names = known_names(d->arena, fields, &n);
    const char *near = fields_nearest(m->key, names);
    if (near) {
        field_report(d, FINDING_WARNING, &here,
                     "there is no such field, it has no effect; did you mean "
                     "\"%s\"?",
                     near);
        return;
    }
    AUTO(buf_done) struct buf list;
    buf_init(&list, 4096);
    if (n > 0 && n <= 12) {
        buf_addz(&list, "; expected ");
        word_list(names, &list);
    }
    field_report(d, FINDING_WARNING, &here, "there is no such field, it has no effect%.*s",
                 STR_ARG(buf_str(&list)));
}

void field_check_names(struct decode *d, const struct field *fields, const struct value *v,
                       const struct place *p)
{
    for (size_t i = 0; i < v->object.len; i++) {
        if (!field_find(fields, v->object.at[i].key)) {
            warn_unknown(d, fields, &v->object.at[i], p);
        }
    }
}
