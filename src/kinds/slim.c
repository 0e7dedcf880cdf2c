/* What to keep of a server's objects. */
#include "kinds/slim.h"

#include <pthread.h>
#include <string.h>

#include "kinds/own_names.h"
#include "kinds/row.h"

/* --- which members --- */

static const struct json_keep meta_keep[] = {
    {"name", NULL},
    {"namespace", NULL},
    {"uid", NULL},
    {"resourceVersion", NULL},
    {"creationTimestamp", NULL},
    {"labels", NULL},
    {"annotations", NULL},
    {NULL, NULL},
};
#define HEAD_KEEP                                                                                  \
    {"apiVersion", NULL}, {"kind", NULL},                                                          \
    {                                                                                              \
        "metadata", meta_keep                                                                      \
    }

/* As pod_slim_fields, and what pod_finish reads. */
static const struct json_keep port_keep[] = {{"ports", NULL}, {NULL, NULL}};
static const struct json_keep pod_spec_keep[] = {
    {"serviceAccountName", NULL}, {"hostNetwork", NULL}, {"containers", port_keep}, {NULL, NULL}};
static const struct json_keep condition_keep[] = {{"type", NULL}, {"status", NULL}, {NULL, NULL}};
static const struct json_keep pod_status_keep[] = {{"phase", NULL},
                                                   {"podIP", NULL},
                                                   {"podIPs", NULL},
                                                   {"conditions", condition_keep},
                                                   {NULL, NULL}};
static const struct json_keep pod_keep[] = {
    HEAD_KEEP, {"spec", pod_spec_keep}, {"status", pod_status_keep}, {NULL, NULL}};

static struct arena *keeps_arena;
static const struct json_keep *keeps[KIND_COUNT];

/* The members of a document that a table has, whole. */
static const struct json_keep *keep_of(const struct field *fields)
{
    const struct json_keep head[] = {HEAD_KEEP};
    size_t n = COUNT_OF(head), n_fields = 0;
    while (fields[n_fields].name) {
        n_fields++;
    }
    struct json_keep *all = arena_array(keeps_arena, n + n_fields + 1, sizeof(*all));
    memcpy(all, head, sizeof(head));
    for (const struct field *f = fields; f->name; f++) {
        if (f->type != FIELD_IGNORED) {
            all[n++].name = f->name;
        }
    }
    return all;
}

static void make_keeps(void)
{
    keeps_arena = arena_new(8192);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        keeps[i] = i == KIND_POD ? pod_keep : keep_of(kind_rows[i].fields);
    }
}

const struct json_keep *kind_keep(enum kind kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_keeps);
    ASSERT(kind < KIND_COUNT);
    return keeps[kind];
}

/* --- the document of that --- */

/* Injection has read those of pods; the mesh reads only whether Prometheus may come. What is wrong
 * is told. */
static bool is_read(enum kind kind, struct str annotation)
{
    return kind == KIND_POD ? str_is(annotation, "prometheus.io/scrape") ||
                                  own_name_is_wrong(kind, annotation, false)
                            : str_starts(annotation, "openservicemesh.io/");
}

static struct value *annotations_of(struct arena *a, enum kind kind, const struct value *all)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    for (size_t i = 0; i < all->object.len; i++) {
        const struct member *m = &all->object.at[i];
        if (is_read(kind, m->key)) {
            value_set(a, v, arena_str(a, m->key).ptr, &m->value);
        }
    }
    return v;
}

/* A pod of one address has it twice. */
static struct value *status_of(struct arena *a, const struct value *status)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    bool once = value_len(value_member(status, "podIPs")) == 1;
    for (size_t i = 0; i < status->object.len; i++) {
        const struct member *m = &status->object.at[i];
        if (!once || !str_is(m->key, "podIPs") || value_string_at(status, "podIP").len == 0) {
            value_set(a, v, arena_str(a, m->key).ptr, &m->value);
        }
    }
    return v;
}

struct value *slim_document(struct arena *a, const struct value *doc, enum kind kind)
{
    static const char *const names[] = {"name", "namespace", "uid", "labels", "creationTimestamp"};
    size_t n_names = COUNT_OF(names) - (kind != KIND_POD); /* only the age of pods is asked for */
    struct value *v = value_new(a, VALUE_OBJECT), *meta = value_new(a, VALUE_OBJECT);
    const struct value *old = value_member(doc, "metadata");
    const struct value *annotations = value_member(old, "annotations");
    for (size_t i = 0; i < doc->object.len; i++) {
        const struct member *m = &doc->object.at[i];
        if (!str_is(m->key, "metadata")) {
            value_set(a, v, arena_str(a, m->key).ptr, &m->value);
        }
    }
    const struct value *status = value_member(doc, "status");
    if (kind == KIND_POD && status && status->type == VALUE_OBJECT) {
        value_set(a, v, "status", status_of(a, status));
    }
    if (!old || old->type != VALUE_OBJECT) {
        return v;
    }
    for (size_t i = 0; i < n_names; i++) {
        const struct value *x = value_member(old, names[i]);
        if (x) {
            value_set(a, meta, names[i], x);
        }
    }
    if (annotations && annotations->type == VALUE_OBJECT) {
        value_set(a, meta, "annotations", annotations_of(a, kind, annotations));
    }
    value_set(a, v, "metadata", meta);
    return v;
}
