/* From documents to objects. */
#include "kinds/object.h"

#include "base/hash.h"
#include "base/limits.h"
#include "kinds/core.h"
#include "kinds/meta.h"
#include "kinds/row.h"
#include "kinds/slim.h"

struct object *object_ref(struct object *o)
{
    if (o) {
        ref_get(&o->ref);
    }
    return o;
}

static void object_free(struct object *o)
{
    if (kind_rows[o->kind].secret) {
        arena_free_secret(o->arena);
    } else {
        arena_free(o->arena);
    }
}

struct object *object_unref(struct object *o)
{
    if (o && ref_put(&o->ref)) {
        object_free(o);
    }
    return NULL;
}

/* One reading: what all documents of a text share. */
struct reading {
    const char *file;
    object_fn *each;
    void *arg;
    struct findings *findings;
    bool slim;
    bool single;  /* lists are refused */
    size_t bytes; /* of an object's arena; 0: not known */
};

static const struct field *fields_of(const struct reading *r, const struct kind_row *row)
{
    return r->slim && row->slim ? row->slim : row->fields;
}

static void refuse(const struct reading *r, const struct value *at, const char *title,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void refuse(const struct reading *r, const struct value *at, const char *title,
                   const char *fmt, ...)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    findings_add(r->findings, FINDING_ERROR, r->file, at->line, title, "%.*s",
                 STR_ARG(buf_str(&text)));
}

/* "TrafficSplit bookstore/split" from a document that may be anything; at most so long. */
static const char *title_of(struct arena *a, struct str kind, const struct value *doc)
{
    struct str ns = value_string_at(doc, "metadata.namespace");
    struct str name = value_string_at(doc, "metadata.name");
    kind.len = kind.len > LIMIT_LABEL_BYTES ? LIMIT_LABEL_BYTES : kind.len;
    ns.len = ns.len > LIMIT_LABEL_BYTES ? LIMIT_LABEL_BYTES : ns.len;
    name.len = name.len > LIMIT_NAME_BYTES ? LIMIT_NAME_BYTES : name.len;
    return arena_printf(a, "%.*s %.*s%s%.*s", STR_ARG(kind), STR_ARG(ns), ns.len ? "/" : "",
                        name.len ? (int)name.len : 7, name.len ? name.ptr : "unnamed")
        .ptr;
}

struct str object_title(struct arena *a, const struct object *o)
{
    return arena_printf(a, "%s %.*s%s%.*s", kind_rows[o->kind].info.name,
                        STR_ARG(o->meta.namespace), o->meta.namespace.len ? "/" : "",
                        STR_ARG(o->meta.name));
}

static const struct kind_row *row_find(struct str kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (str_is(kind, kind_rows[i].info.name)) {
            return &kind_rows[i];
        }
    }
    return NULL;
}

static void refuse_kind(const struct reading *r, struct arena *a, struct str kind,
                        const struct value *doc)
{
    const char *names[KIND_COUNT + 1] = {0};
    AUTO(buf_done) struct buf list;
    buf_init(&list, 4096);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        names[i] = kind_rows[i].info.name;
        buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = fields_nearest(kind, names);
    refuse(r, doc, title_of(a, kind, doc), "kind: expected one of %.*s, found \"%.*s\"%s%s%s",
           STR_ARG(buf_str(&list)), (int)(kind.len > 80 ? 80 : kind.len), kind.ptr,
           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* True when the row's kind has this "group/version". */
static bool version_known(const struct kind_row *row, struct str api_version)
{
    struct str group = STR(""), version;
    if (!str_cut(api_version, '/', &group, &version)) {
        version = api_version;
        group = STR("");
    }
    if (!str_is(group, row->info.group)) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(row->info.versions) && row->info.versions[i]; i++) {
        if (str_is(version, row->info.versions[i])) {
            return true;
        }
    }
    return false;
}

static void refuse_version(const struct reading *r, const char *title, const struct kind_row *row,
                           struct str found, const struct value *doc)
{
    const char *group = row->info.group, *slash = *group ? "/" : "";
    AUTO(buf_done) struct buf list;
    buf_init(&list, 4096);
    for (size_t i = 0; i < COUNT_OF(row->info.versions) && row->info.versions[i]; i++) {
        buf_printf(&list, "%s\"%s%s%s\"", i ? " or " : "", group, slash, row->info.versions[i]);
    }
    const struct value *at = value_member(doc, "apiVersion");
    refuse(r, at ? at : doc, title, "apiVersion: expected %.*s, found %s%.*s%s",
           STR_ARG(buf_str(&list)), found.len ? "\"" : "nothing",
           (int)(found.len > 80 ? 80 : found.len), found.len ? found.ptr : "",
           found.len ? "\"" : "");
}

/* For making pods: status and the managers' bookkeeping are nobody's input. */
static const struct value *keep_document(struct arena *a, const struct value *doc)
{
    struct value *raw = value_new(a, VALUE_OBJECT);
    raw->line = doc->line;
    for (size_t i = 0; i < doc->object.len; i++) {
        const struct member *m = &doc->object.at[i];
        if (str_is(m->key, "metadata") && m->value.type == VALUE_OBJECT) {
            struct value *meta = value_new(a, VALUE_OBJECT);
            for (size_t k = 0; k < m->value.object.len; k++) {
                const struct member *n = &m->value.object.at[k];
                if (!str_is(n->key, "managedFields")) {
                    value_set(a, meta, arena_str(a, n->key).ptr, value_copy(a, &n->value));
                }
            }
            value_set(a, raw, "metadata", meta);
        } else if (!str_is(m->key, "status")) {
            value_set(a, raw, arena_str(a, m->key).ptr, value_copy(a, &m->value));
        }
    }
    return raw;
}

static void point_to_template(struct object *o)
{
    const struct value *raw = value_at(o->raw, "spec.template");
    if (o->kind == KIND_DEPLOYMENT) {
        ((struct deployment *)o)->template.raw = raw;
    } else if (o->kind == KIND_STATEFUL_SET) {
        ((struct stateful_set *)o)->template.raw = raw;
    } else if (o->kind == KIND_JOB) {
        ((struct job *)o)->template.raw = raw;
    }
}

static uint64_t object_hash(const struct object *o, const struct field *fields)
{
    uint64_t h = hash_mix(fields_hash(fields, o), meta_hash(&o->meta));
    h = hash_mix(h, hash_mix(o->hash, hash_str(o->api_version)));
    return o->raw ? hash_mix(h, value_hash(value_member(o->raw, "spec"))) : h;
}

/* Tables and rules find things in their own order; people read from top to bottom. */
static void sort_by_line(struct findings *f, size_t from)
{
    bool some_dropped = f->errors + f->warnings > f->list.len;
    for (size_t i = from + 1; !some_dropped && i < f->list.len; i++) {
        struct finding x = f->list.at[i];
        size_t k = i;
        for (; k > from && f->list.at[k - 1].line > x.line; k--) {
            f->list.at[k] = f->list.at[k - 1];
        }
        f->list.at[k] = x;
    }
}

bool object_is_deleted(const struct object *o)
{
    const struct str *text = pairs_find(&o->meta.annotations, ANNOTATION_DELETED);
    return text && str_is(*text, "true");
}

static void decode_content(struct decode *d, const struct field *fields, const struct kind_row *row,
                           const struct value *doc, struct object *o)
{
    fields_decode(d, fields, doc, o);
    if (row->finish) {
        row->finish(d, doc, o, d->errors == 0);
    }
    if (row->deprecated_version && str_ends(o->api_version, row->deprecated_version)) {
        decode_warning(d, doc, "apiVersion",
                       "is deprecated; all fields exist in \"%s/%s\", so change only this line",
                       row->info.group, row->info.versions[0]);
    }
    if (row->no_effect && d->errors == 0 && !(row->as_is && row->as_is(o))) {
        decode_warning(d, doc, "kind", "is accepted, but has no effect yet");
    }
}

static struct object *decode_object(const struct reading *r, const struct kind_row *row,
                                    const struct value *doc, const char *title,
                                    struct str api_version)
{
    struct arena *a = arena_new(r->bytes ? r->bytes : row->size + 512);
    struct object *o = arena_alloc(a, row->size);
    ref_init(&o->ref);
    o->kind = (enum kind)(row - kind_rows);
    o->arena = a;
    o->line = doc->line;
    o->api_version = arena_str(a, api_version);
    o->file = r->file ? arena_strz(a, r->file) : (struct str){0};
    struct decode d = {.arena = a, .findings = r->findings, .file = r->file, .object = title};
    size_t before = r->findings->list.len;
    meta_decode(&d, doc, row, &o->meta);
    bool deleted = object_is_deleted(o);
    if (!deleted) {
        decode_content(&d, fields_of(r, row), row, doc, o);
    }
    sort_by_line(r->findings, before);
    if (d.errors) {
        return object_unref(o);
    }
    if (row->keep_raw && !deleted && !r->slim) {
        o->raw = keep_document(a, doc);
        point_to_template(o);
    }
    o->hash = object_hash(o, fields_of(r, row));
    return o;
}

static int decode_document(const struct reading *r, const struct value *doc, struct str list_kind,
                           struct str list_version, int depth);

#define LIST_DEPTH_MAX 4

/* "List" holds documents; "PodList" and its like, which servers send, holds documents that leave
 * out their kind. */
static int decode_list(const struct reading *r, const struct value *doc, struct str kind,
                       struct str api_version, int depth)
{
    const struct value *items = value_member(doc, "items");
    if (r->single) {
        refuse(r, doc, NULL, "kind: expected one object, found a list");
        return -1;
    }
    if (!items || items->type == VALUE_NULL) {
        return 0;
    }
    if (items->type != VALUE_ARRAY || items->array.len > LIMIT_LIST_ITEMS) {
        refuse(r, items, NULL, "items: expected a list of at most %d objects, found %s",
               LIMIT_LIST_ITEMS, items->type == VALUE_ARRAY ? "more" : "something else");
        return -1;
    }
    if (depth >= LIST_DEPTH_MAX) {
        refuse(r, doc, NULL, "expected at most %d lists in each other, found more", LIST_DEPTH_MAX);
        return -1;
    }
    struct str item_kind = {kind.ptr, kind.len - 4};
    int result = 0;
    for (size_t i = 0; i < items->array.len; i++) {
        if (decode_document(r, &items->array.at[i], item_kind, api_version, depth + 1) < 0) {
            result = -1;
        }
    }
    return result;
}

static int decode_document(const struct reading *r, const struct value *doc, struct str list_kind,
                           struct str list_version, int depth)
{
    if (doc->type != VALUE_OBJECT) {
        refuse(r, doc, NULL,
               "expected an object with apiVersion, kind and metadata, found something else");
        return -1;
    }
    const struct value *kind_value = value_member(doc, "kind");
    struct str kind = value_string_at(doc, "kind"), version = value_string_at(doc, "apiVersion");
    if (!kind_value && list_kind.len) {
        kind = list_kind;
        version = version.len ? version : list_version;
    }
    if (kind.len == 0) {
        refuse(r, kind_value ? kind_value : doc, NULL,
               "kind: expected the name of a kind such as \"Service\", found %s",
               kind_value ? "something else" : "nothing");
        return -1;
    }
    const struct kind_row *row = row_find(kind);
    if (!row && str_ends(kind, "List")) {
        return decode_list(r, doc, kind, version, depth);
    }
    AUTO(arena_free) struct arena *scratch = arena_new(512);
    const char *title = title_of(scratch, kind, doc);
    if (!row) {
        refuse_kind(r, scratch, kind, doc);
        return -1;
    }
    if (!version_known(row, version)) {
        refuse_version(r, title, row, version, doc);
        return -1;
    }
    struct object *o = decode_object(r, row, doc, title, version);
    if (!o) {
        return -1;
    }
    r->each(r->arg, o);
    return 0;
}

int object_decode(const struct value *doc, const char *file, object_fn *each, void *arg,
                  struct findings *f)
{
    struct reading r = {.file = file, .each = each, .arg = arg, .findings = f};
    return decode_document(&r, doc, STR(""), STR(""), 0);
}

int objects_read(struct str text, const char *file, object_fn *each, void *arg, struct findings *f)
{
    struct str rest = text, doc;
    int line = 1, next_line = 1, result = 0;
    while (value_next_document(&rest, &doc, &line, &next_line)) {
        AUTO(arena_free) struct arena *a = arena_new(4096);
        struct value *v = NULL;
        struct err e = ERR_INIT;
        int error_line = line;
        if (value_read_yaml(a, doc, line, &v, &error_line, &e) < 0) {
            findings_add(f, FINDING_ERROR, file, error_line, NULL, "%s", e.text);
            result = -1;
        } else if (object_decode(v, file, each, arg, f) < 0) {
            result = -1;
        }
    }
    return result;
}

static void take_object(void *arg, struct object *o)
{
    *(struct object **)arg = o;
}

static struct object *decode_one(const struct value *doc, enum kind kind, bool slim, size_t bytes,
                                 struct findings *f)
{
    struct object *o = NULL;
    struct reading r = {.each = take_object,
                        .arg = &o,
                        .findings = f,
                        .slim = slim,
                        .single = true,
                        .bytes = bytes};
    if (decode_document(&r, doc, STR(""), STR(""), 0) < 0) {
        return NULL;
    }
    if (o->kind != kind) {
        refuse(&r, doc, object_title(o->arena, o).ptr, "kind: expected \"%s\", found \"%s\"",
               kind_rows[kind].info.name, kind_rows[o->kind].info.name);
        return object_unref(o);
    }
    return o;
}

struct object *object_decode_one(const struct value *doc, enum kind kind, struct findings *f)
{
    return decode_one(doc, kind, false, 0, f);
}

int object_expect(const struct value *doc, enum kind kind, struct object **ret, struct err *e)
{
    AUTO(findings_done) struct findings found = {0};
    struct object *o = object_decode_one(doc, kind, &found);
    if (!o) {
        return findings_err(&found, e);
    }
    *ret = o;
    return 0;
}

struct object *object_decode_slim(const struct value *doc, enum kind kind, struct findings *f)
{
    AUTO(arena_free) struct arena *a = arena_new(2048);
    AUTO(findings_done) struct findings again = {0};
    const struct value *slim = doc->type == VALUE_OBJECT ? slim_document(a, doc, kind) : doc;
    struct object *first = decode_one(slim, kind, true, 0, f);
    if (!first) {
        return NULL;
    }
    /* Once more, into the bytes that it needs. */
    struct object *o = decode_one(slim, kind, true, arena_used(first->arena), &again);
    object_unref(first);
    return o;
}
