/* The validator: one document. */
#include "webhook/validate.h"

#include "webhook/validate_internal.h"

/* Kinds whose definitions are ours. */
static bool kind_of(const struct admission_request *q, enum kind *ret)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        const struct kind_info *info = kind_info((enum kind)k);
        if (kind_is_custom((enum kind)k) && str_is(q->kind, info->name) &&
            str_is(q->group, info->group)) {
            *ret = (enum kind)k;
            return true;
        }
    }
    return false;
}

/* The document as it will be stored. The server makes the name of one with generateName only after
 * it was admitted. */
static const struct value *complete(struct arena *a, const struct admission_request *q,
                                    const struct value *doc)
{
    const struct value *name = value_at(doc, "metadata.name");
    if (name && name->type == VALUE_STRING && name->string.len > 0) {
        return doc;
    }
    struct value *copy = value_copy(a, doc);
    struct value *meta = value_ensure(a, copy, "metadata", VALUE_OBJECT);
    struct str prefix = value_string_at(doc, "metadata.generateName");
    value_set(a, meta, "name", value_new_stringf(a, "%.*sx", STR_ARG(prefix)));
    if (value_string_at(meta, "namespace").len == 0) {
        value_set(a, meta, "namespace", value_new_string(a, q->namespace));
    }
    return copy;
}

static bool same_spec(const struct admission_request *q)
{
    const struct value *now = value_member(q->object, "spec");
    const struct value *old = value_member(q->old_object, "spec");
    return now && old ? value_equal(now, old) : now == old;
}

/* The first error decides; all else is said beside it. */
static void tell(struct arena *a, const struct findings *f, bool refuse,
                 struct admission_verdict *v)
{
    bool said = !refuse;
    for (size_t i = 0; i < f->list.len; i++) {
        const struct finding *x = &f->list.at[i];
        if (!said && x->level == FINDING_ERROR) {
            admission_deny(a, v, 422, "%s%s%s", x->object ? x->object : "", x->object ? ": " : "",
                           x->text);
            said = true;
        } else {
            admission_warn(a, v, "%s", x->text);
        }
    }
}

static void validate_document(const struct validator *validator, struct arena *a, enum kind kind,
                              const struct admission_request *q, struct admission_verdict *v)
{
    struct findings f = {0}, of_old = {0};
    AUTO(object_unref) struct object *now = object_decode_one(complete(a, q, q->object), kind, &f);
    AUTO(object_unref)
    struct object *old = q->old_object ? object_decode_one(q->old_object, kind, &of_old) : NULL;
    bool unchanged = q->operation == ADMISSION_UPDATE && q->old_object && same_spec(q);
    v->allowed = now != NULL || unchanged;
    tell(a, &f, !v->allowed, v);
    struct candidate c = {.validator = validator, .arena = a, .now = now, .old = old, .verdict = v};
    if (now && !unchanged && !validate_others(&c)) {
        validate_references(&c);
        validate_preview(&c);
    }
    findings_done(&f);
    findings_done(&of_old);
}

void validate(void *arg, struct arena *a, const struct admission_request *q,
              struct admission_verdict *v)
{
    enum kind kind;
    bool stored = q->operation == ADMISSION_CREATE || q->operation == ADMISSION_UPDATE;
    if (!stored || q->subresource.len > 0) {
        v->allowed = true;
        return;
    }
    if (!kind_of(q, &kind)) {
        admission_deny(a, v, 422, "unknown gvk: %.*s/%.*s, Kind=%.*s", STR_ARG(q->group),
                       STR_ARG(q->version), STR_ARG(q->kind));
        return;
    }
    if (!q->object) {
        admission_deny(a, v, 422, "expected the object that is to be stored, found none");
        return;
    }
    validate_document(arg, a, kind, q, v);
}
