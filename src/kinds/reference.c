/* Pages about our kinds, from their tables. */
#include "kinds/reference.h"

#include <inttypes.h>
#include <string.h>

#include "kinds/row.h"

static void fields_rows(const struct field *fields, const char *path, struct buf *out);

/* A pipe ends a table's cell. */
static void cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        buf_addz(out, *text == '|' ? "\\" : "");
        buf_addc(out, *text);
    }
}

static void number(const struct field *f, struct buf *out)
{
    if (f->min == 0 && f->max == 0) {
        buf_addz(out, "integer");
    } else if (f->max == 0 || f->max == INT64_MAX) {
        buf_printf(out, "integer of at least %" PRId64, f->min);
    } else {
        buf_printf(out, "integer, %" PRId64 " to %" PRId64, f->min, f->max);
    }
}

static void type_of(const struct field *f, struct buf *out)
{
    switch (f->type) {
    case FIELD_BOOL:
        buf_addz(out, "boolean");
        break;
    case FIELD_INT:
        number(f, out);
        break;
    case FIELD_STRING:
    case FIELD_ENUM:
        for (size_t i = 0; f->words && f->words[i]; i++) {
            buf_printf(out, "%s`%s`", i ? ", " : "", f->words[i]);
        }
        cell(out, f->words ? "" : f->format ? f->format->what : "string");
        break;
    case FIELD_DURATION:
        buf_addz(out, "duration");
        break;
    case FIELD_INT_OR_STRING:
        buf_addz(out, "integer or name");
        break;
    case FIELD_LIST:
        buf_addz(out, "list");
        if (f->item) {
            buf_addz(out, " of: ");
            type_of(f->item, out);
        }
        break;
    case FIELD_MAP:
    case FIELD_BYTES_MAP:
        buf_addz(out, "map of strings");
        break;
    case FIELD_MAPS:
        buf_addz(out, "list of maps of strings");
        break;
    case FIELD_IGNORED:
    case FIELD_RAW:
    case FIELD_STRUCT:
    case FIELD_POINTER:
        buf_addz(out, "object");
        break;
    }
}

static void field_row(const struct field *f, const char *path, struct buf *out)
{
    buf_printf(out, "| `%s` | ", path);
    type_of(f, out);
    buf_addz(out, " | ");
    if (f->flags & FIELD_REQUIRED) {
        buf_addz(out, "required");
    } else if (f->initial) {
        buf_printf(out, "`%s`", f->initial);
    }
    buf_addz(out, " | ");
    cell(out, f->help ? f->help : "");
    buf_addz(out, " |\n");
    bool list = f->type == FIELD_LIST && !f->item;
    if (f->fields) {
        AUTO(free) char *inner = mem_printf("%s%s", path, list ? "[]" : "");
        fields_rows(f->fields, inner, out);
    }
}

static void fields_rows(const struct field *fields, const char *path, struct buf *out)
{
    for (const struct field *f = fields; f->name; f++) {
        if (f->type != FIELD_IGNORED) {
            AUTO(free) char *name = mem_printf("%s%s%s", path, *path ? "." : "", f->name);
            field_row(f, name, out);
        }
    }
}

/* What the API server checks besides each field's own form. */
static void rules_of(const struct field *fields, const char *path, struct buf *out)
{
    for (const struct field *f = fields; f->name; f++) {
        if (f->type == FIELD_IGNORED) {
            continue;
        }
        AUTO(free) char *name = mem_printf("%s%s%s", path, *path ? "." : "", f->name);
        for (const struct field_rule *r = f->rules; r && r->cel; r++) {
            buf_printf(out, "- `%s`: %s.\n", name, r->message);
        }
        bool list = f->type == FIELD_LIST && !f->item;
        AUTO(free) char *inner = mem_printf("%s%s", name, list ? "[]" : "");
        for (const struct field_rule *r = f->item_rules; r && r->cel; r++) {
            buf_printf(out, "- `%s`: %s.\n", inner, r->message);
        }
        if (f->fields) {
            rules_of(f->fields, inner, out);
        }
    }
}

static void versions(const struct kind_row *row, struct buf *out)
{
    const struct kind_info *k = &row->info;
    for (size_t i = 0; i < COUNT_OF(k->versions) && k->versions[i]; i++) {
        bool old =
            row->deprecated_version && str_is(str_of(k->versions[i]), row->deprecated_version);
        buf_printf(out, "%s`%s`%s", i ? ", " : "", k->versions[i], old ? " (deprecated)" : "");
    }
}

static void kind_section(const struct kind_row *row, struct buf *out)
{
    buf_printf(out, "\n## %s\n\n%s\n\n", row->info.name, row->help);
    if (row->no_effect) {
        buf_addz(out, "Objects of this kind are accepted and checked, but have no effect yet.\n\n");
    }
    buf_addz(out, "Versions: ");
    versions(row, out);
    buf_printf(out, ". Short name: `%s`.\n", row->short_name);
    AUTO(buf_done) struct buf rows, rules;
    buf_init(&rows, 1 << 20);
    buf_init(&rules, 1 << 20);
    fields_rows(row->fields, "", &rows);
    if (row->status) {
        fields_rows(row->status, "status", &rows);
    }
    rules_of(row->fields, "", &rules);
    if (rows.len) {
        buf_printf(out, "\n| field | type | default | what |\n|---|---|---|---|\n%.*s",
                   STR_ARG(buf_str(&rows)));
    }
    if (rules.len) {
        buf_printf(out, "\nRules:\n\n%.*s", STR_ARG(buf_str(&rules)));
    }
}

bool kind_reference(struct str group, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kind_row *row = &kind_rows[i];
        if (!row->short_name || !str_is(group, row->info.group)) {
            continue;
        }
        if (!any) {
            buf_printf(out, "# %s\n\nMade by `osm-crds --docs %s`.\n", row->info.group,
                       row->info.group);
        }
        any = true;
        kind_section(row, out);
    }
    return any;
}
