/* What all objects have: names, labels, annotations, owner. */
#include "kinds/meta.h"

#include <stdlib.h>

#include "kinds/row.h"

const struct field meta_fields[] = {
    {"name", FIELD_STRING, AT(meta, name)},
    {"namespace", FIELD_STRING, AT(meta, namespace), .format = &format_dns_label},
    {"uid", FIELD_STRING, AT(meta, uid)},
    {"resourceVersion", FIELD_STRING, AT(meta, resource_version)},
    {"labels", FIELD_MAP, AT(meta, labels), .key_format = &format_label_key,
     .item = &(const struct field){"", FIELD_STRING, .format = &format_label_value}},
    {"annotations", FIELD_MAP, AT(meta, annotations), .key_format = &format_annotation_key},
    IGNORED("creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers "
            "generateName generation managedFields ownerReferences selfLink"),
    FIELDS_END,
};

/* Decided apart: resourceVersion changes with every write, and uid alone makes another object. */
static const struct field hashed_fields[] = {
    {"name", FIELD_STRING, AT(meta, name)},
    {"namespace", FIELD_STRING, AT(meta, namespace)},
    {"uid", FIELD_STRING, AT(meta, uid)},
    {"labels", FIELD_MAP, AT(meta, labels)},
    {"annotations", FIELD_MAP, AT(meta, annotations)},
    {"ownerKind", FIELD_STRING, AT(meta, owner_kind)},
    {"ownerName", FIELD_STRING, AT(meta, owner_name)},
    FIELDS_END,
};

uint64_t meta_hash(const struct meta *m)
{
    return fields_hash(hashed_fields, m);
}

static void find_owner(struct decode *d, const struct value *owners, struct meta *m)
{
    for (size_t i = 0; owners && owners->type == VALUE_ARRAY && i < owners->array.len; i++) {
        const struct value *o = &owners->array.at[i];
        const struct value *controller = value_member(o, "controller");
        if (controller && controller->type == VALUE_BOOL && controller->boolean) {
            m->owner_kind = arena_str(d->arena, value_string_at(o, "kind"));
            m->owner_name = arena_str(d->arena, value_string_at(o, "name"));
            return;
        }
    }
}

/* kubectl keeps a copy of the whole manifest here, which would double what we hold. */
static void drop_copy(struct pairs *annotations)
{
    size_t n = 0;
    for (size_t i = 0; i < annotations->len; i++) {
        if (!str_is(annotations->at[i].key, "kubectl.kubernetes.io/last-applied-configuration")) {
            annotations->at[n++] = annotations->at[i];
        }
    }
    annotations->len = n;
}

void meta_decode(struct decode *d, const struct value *doc, const struct kind_row *row,
                 struct meta *m)
{
    static const struct field document_fields[] = {
        {"metadata", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = meta_fields},
        FIELDS_END,
    };
    /* Only this member: the others are the kind's own. */
    struct value head = {.type = VALUE_OBJECT, .line = doc->line};
    for (size_t i = 0; i < doc->object.len; i++) {
        if (str_is(doc->object.at[i].key, "metadata")) {
            head.object.at = &doc->object.at[i];
            head.object.len = 1;
        }
    }
    size_t before = d->errors;
    fields_decode(d, document_fields, &head, m);
    struct err why = ERR_INIT;
    if (m->name.len == 0 && d->errors == before) {
        decode_error(d, doc, "metadata.name", "is required: expected %s, found nothing",
                     row->name_format->what);
    } else if (m->name.len && row->name_format->check(m->name, &why) < 0) {
        decode_error(d, doc, "metadata.name", "expected %s, found \"%.*s\"%s%s",
                     row->name_format->what, STR_ARG(m->name), *why.text ? "; " : "", why.text);
    }
    if (row->info.namespaced && m->namespace.len == 0) {
        m->namespace = STR("default");
    } else if (!row->info.namespaced && m->namespace.len) {
        decode_warning(d, doc, "metadata.namespace", "has no effect: a %s isn't in a namespace",
                       row->info.name);
        m->namespace = STR("");
    }
    find_owner(d, value_at(doc, "metadata.ownerReferences"), m);
    drop_copy(&m->annotations);
}

static int by_key(const void *key, const void *pair)
{
    return str_cmp(*(const struct str *)key, ((const struct pair *)pair)->key);
}

const struct str *pairs_find(const struct pairs *p, const char *key)
{
    struct str wanted = str_of(key);
    struct pair *found = p->len ? bsearch(&wanted, p->at, p->len, sizeof(*p->at), by_key) : NULL;
    return found ? &found->value : NULL;
}

bool pairs_selects(const struct pairs *selector, const struct pairs *labels)
{
    if (selector->len == 0) {
        return false;
    }
    size_t i = 0;
    for (size_t k = 0; i < selector->len && k < labels->len; k++) {
        int order = str_cmp(selector->at[i].key, labels->at[k].key);
        if (order < 0) {
            return false;
        }
        if (order == 0 && !str_eq(selector->at[i].value, labels->at[k].value)) {
            return false;
        }
        i += order == 0;
    }
    return i == selector->len;
}
