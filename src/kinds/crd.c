/* CustomResourceDefinitions out of the tables. */
#include "kinds/row.h"

static struct value *text(struct arena *a, const char *s)
{
    return value_new_string(a, str_of(s));
}

static struct value *names(struct arena *a, const struct kind_row *row)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    char *singular = mem_strdup(row->info.name);
    for (char *c = singular; *c; c++) {
        *c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0;
    }
    value_set(a, v, "kind", text(a, row->info.name));
    value_set(a, v, "listKind", value_new_stringf(a, "%sList", row->info.name));
    value_set(a, v, "plural", text(a, row->info.plural));
    value_set(a, v, "singular", text(a, singular));
    struct value *short_names = value_new(a, VALUE_ARRAY);
    value_push(a, short_names, text(a, row->short_name));
    value_set(a, v, "shortNames", short_names);
    free(singular);
    return v;
}

static struct value *schema(struct arena *a, const struct kind_row *row)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    struct value *s = fields_schema(a, row->fields, row->rules);
    if (row->help) {
        value_set(a, s, "description", text(a, row->help));
    }
    if (row->status) {
        struct value *properties = value_ensure(a, s, "properties", VALUE_OBJECT);
        value_set(a, properties, "status", fields_schema(a, row->status, NULL));
    }
    value_set(a, v, "openAPIV3Schema", s);
    return v;
}

static struct value *columns(struct arena *a, const struct kind_row *row)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    for (const struct kind_column *c = row->columns; c->name; c++) {
        struct value *v = value_new(a, VALUE_OBJECT);
        value_set(a, v, "name", text(a, c->name));
        value_set(a, v, "type", text(a, c->type));
        value_set(a, v, "jsonPath", text(a, c->path));
        if (c->help) {
            value_set(a, v, "description", text(a, c->help));
        }
        value_push(a, list, v);
    }
    return list;
}

static struct value *version(struct arena *a, const struct kind_row *row, const char *name)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "name", text(a, name));
    value_set(a, v, "served", value_new_bool(a, true));
    value_set(a, v, "storage", value_new_bool(a, name == row->info.versions[0]));
    if (row->deprecated_version && str_is(str_of(name), row->deprecated_version)) {
        value_set(a, v, "deprecated", value_new_bool(a, true));
        value_set(a, v, "deprecationWarning",
                  value_new_stringf(a, "%s/%s %s is deprecated; use %s/%s", row->info.group, name,
                                    row->info.name, row->info.group, row->info.versions[0]));
    }
    if (row->columns) {
        value_set(a, v, "additionalPrinterColumns", columns(a, row));
    }
    if (row->status) {
        struct value *subresources = value_new(a, VALUE_OBJECT);
        value_set(a, subresources, "status", value_new(a, VALUE_OBJECT));
        value_set(a, v, "subresources", subresources);
    }
    value_set(a, v, "schema", schema(a, row));
    return v;
}

/* Nobody reads or writes it, so what it looked like needn't be said. */
static struct value *unserved_version(struct arena *a, struct str name)
{
    struct value *v = value_new(a, VALUE_OBJECT), *s = value_new(a, VALUE_OBJECT);
    value_set(a, v, "name", value_new_string(a, name));
    value_set(a, v, "served", value_new_bool(a, false));
    value_set(a, v, "storage", value_new_bool(a, false));
    value_set(a, s, "type", text(a, "object"));
    value_set(a, s, "x-kubernetes-preserve-unknown-fields", value_new_bool(a, true));
    value_set(a, value_ensure(a, v, "schema", VALUE_OBJECT), "openAPIV3Schema", s);
    return v;
}

static struct value *versions(struct arena *a, const struct kind_row *row)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < COUNT_OF(row->info.versions) && row->info.versions[i]; i++) {
        value_push(a, list, version(a, row, row->info.versions[i]));
    }
    struct str name, rest = str_of(row->unserved_versions ? row->unserved_versions : "");
    bool more = rest.len > 0;
    while (more) {
        more = str_cut(rest, ' ', &name, &rest);
        value_push(a, list, unserved_version(a, name));
    }
    return list;
}

struct value *kind_crd(struct arena *a, enum kind kind)
{
    ASSERT(kind < KIND_COUNT);
    const struct kind_row *row = &kind_rows[kind];
    if (!row->short_name) {
        return NULL;
    }
    struct value *meta = value_new(a, VALUE_OBJECT), *labels = value_new(a, VALUE_OBJECT);
    value_set(a, labels, "app.kubernetes.io/name", text(a, "openservicemesh.io"));
    value_set(a, meta, "name", value_new_stringf(a, "%s.%s", row->info.plural, row->info.group));
    value_set(a, meta, "labels", labels);
    struct value *conversion = value_new(a, VALUE_OBJECT), *spec = value_new(a, VALUE_OBJECT);
    value_set(a, conversion, "strategy", text(a, "None"));
    value_set(a, spec, "group", text(a, row->info.group));
    value_set(a, spec, "scope", text(a, row->info.namespaced ? "Namespaced" : "Cluster"));
    value_set(a, spec, "names", names(a, row));
    value_set(a, spec, "conversion", conversion);
    value_set(a, spec, "versions", versions(a, row));
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "apiVersion", text(a, "apiextensions.k8s.io/v1"));
    value_set(a, v, "kind", text(a, "CustomResourceDefinition"));
    value_set(a, v, "metadata", meta);
    value_set(a, v, "spec", spec);
    return v;
}
