/* What all objects have: names, labels, annotations, owner. */
#include "kinds/meta.h"

#include <stdlib.h>

#include "kinds/own_names.h"
#include "kinds/row.h"

static const char *const common_keys[] = {
    "app",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "endpointslice.kubernetes.io/managed-by",
    "helm.sh/chart",
    "kubernetes.io/service-name",
    "openservicemesh.io/monitored-by",
    "openservicemesh.io/sidecar-injection",
    "osm-proxy-uuid",
    "pod-template-hash",
    "prometheus.io/scrape",
    "version",
    NULL,
};

const struct field meta_fields[] = {
    {"name", FIELD_STRING, AT(meta, name)},
    {"namespace", FIELD_STRING, AT(meta, namespace), .format = &format_dns_label},
    {"uid", FIELD_STRING, AT(meta, uid)},
    {"labels", FIELD_MAP, AT(meta, labels), .key_format = &format_label_key, .common = common_keys,
     .item = &(const struct field){"", FIELD_STRING, .format = &format_label_value}},
    {"annotations", FIELD_MAP, AT(meta, annotations), .key_format = &format_annotation_key,
     .common = common_keys},
    {"creationTimestamp", FIELD_STRING, AT(meta, created)},
    IGNORED("deletionGracePeriodSeconds deletionTimestamp finalizers "
            "generateName generation managedFields ownerReferences resourceVersion selfLink"),
    FIELDS_END,
};

static const struct field hashed_fields[] = {
    {"name", FIELD_STRING, AT(meta, name)},
    {"namespace", FIELD_STRING, AT(meta, namespace)},
    {"uid", FIELD_STRING, AT(meta, uid)},
    {"creationTimestamp", FIELD_STRING, AT(meta, created)},
    {"labels", FIELD_MAP, AT(meta, labels)},
    {"annotations", FIELD_MAP, AT(meta, annotations)},
    FIELDS_END,
};

uint64_t meta_hash(const struct meta *m)
{
    return fields_hash(hashed_fields, m);
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

struct place {
    struct decode *decode;
    const struct value *doc;
};

static void warn_of_name(void *arg, struct str key, bool label, struct str problem)
{
    const struct place *at = arg;
    struct str path = arena_printf(at->decode->arena, "metadata.%s[\"%.*s\"]",
                                   label ? "labels" : "annotations", STR_ARG(key));
    decode_warning(at->decode, at->doc, path.ptr, "%.*s", STR_ARG(problem));
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
    drop_copy(&m->annotations);
    struct place at = {d, doc};
    own_names_check(d->arena, (enum kind)(row - kind_rows), m, warn_of_name, &at);
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
