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
    value_set(a, v, "openAPIV3Schema", fields_schema(a, row->fields));
    return v;
}

static struct value *column(struct arena *a, const struct kind_row *row)
{
    struct value *v = value_new(a, VALUE_OBJECT), *list = value_new(a, VALUE_ARRAY);
    value_set(a, v, "name", text(a, row->column));
    value_set(a, v, "type", text(a, "string"));
    value_set(a, v, "jsonPath", text(a, row->column_path));
    value_push(a, list, v);
    return list;
}

static struct value *version(struct arena *a, const struct kind_row *row, const char *name,
                             bool storage, bool former)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "name", text(a, name));
    value_set(a, v, "served", value_new_bool(a, true));
    value_set(a, v, "storage", value_new_bool(a, storage));
    if (former) {
        value_set(a, v, "deprecated", value_new_bool(a, true));
        value_set(a, v, "deprecationWarning",
                  value_new_stringf(a, "%s/%s %s is deprecated; use %s/%s", row->info.group, name,
                                    row->info.name, row->info.group, row->info.versions[0]));
    }
    if (row->column) {
        value_set(a, v, "additionalPrinterColumns", column(a, row));
    }
    value_set(a, v, "schema", schema(a, row));
    return v;
}

static struct value *versions(struct arena *a, const struct kind_row *row)
{
    struct value *list = value_new(a, VALUE_ARRAY);
    for (size_t i = 0; i < COUNT_OF(row->info.versions) && row->info.versions[i]; i++) {
        value_push(a, list, version(a, row, row->info.versions[i], i == 0, false));
    }
    if (row->former_version) {
        value_push(a, list, version(a, row, row->former_version, false, true));
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
