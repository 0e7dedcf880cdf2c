/* What commands list. */
#include "cli/listing.h"

#include <string.h>

#include "base/limits.h"
#include "base/table.h"

bool format_is_table(const char *format)
{
    return strcmp(format, "table") == 0;
}

void document_print(const struct value *v, const char *format)
{
    struct buf out;
    buf_init(&out, LIMIT_CONTROL_REPLY_BYTES);
    if (strcmp(format, "yaml") == 0) {
        value_write_yaml(v, &out);
        printf("%.*s", STR_ARG(buf_str(&out)));
    } else {
        value_write_json(v, &out);
        printf("%.*s\n", STR_ARG(buf_str(&out)));
    }
    buf_done(&out);
}

static void add_text(struct buf *out, const struct value *v)
{
    switch (v ? v->type : VALUE_NULL) {
    case VALUE_STRING:
        buf_adds(out, v->string);
        break;
    case VALUE_INT:
        buf_printf(out, "%lld", (long long)v->integer);
        break;
    case VALUE_BOOL:
        buf_addz(out, v->boolean ? "true" : "false");
        break;
    case VALUE_ARRAY:
        for (size_t i = 0; i < v->array.len; i++) {
            buf_addz(out, i > 0 ? "," : "");
            add_text(out, &v->array.at[i]);
        }
        break;
    default:
        break;
    }
}

static void add_cell(struct table *t, const struct value *v)
{
    struct buf text;
    buf_init(&text, LIMIT_DOC_BYTES);
    add_text(&text, v);
    table_add(t, "%.*s", STR_ARG(text.len > 0 ? buf_str(&text) : STR("-")));
    buf_done(&text);
}

void listing_print(const struct listing_column *columns, const struct value *rows,
                   const char *format)
{
    if (!format_is_table(format)) {
        document_print(rows, format);
        return;
    }
    struct table t = {0};
    for (const struct listing_column *c = columns; c->title; c++) {
        table_add(&t, "%s", c->title);
        t.columns++;
    }
    for (size_t i = 0; i < value_len(rows); i++) {
        for (const struct listing_column *c = columns; c->title; c++) {
            add_cell(&t, value_at(&rows->array.at[i], c->path));
        }
    }
    table_print(&t, stdout);
    table_done(&t);
}
