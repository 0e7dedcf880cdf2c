/* Text in columns. */
#include "base/table.h"

#include <stdarg.h>
#include <string.h>

void table_add(struct table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    VEC_PUSH(t->cells, mem_vprintf(fmt, ap));
    va_end(ap);
}

static int width_of(const struct table *t, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < t->cells.len; i += t->columns) {
        size_t len = strlen(t->cells.at[i]);
        width = len > width ? len : width;
    }
    return (int)width;
}

void table_print(const struct table *t, FILE *to)
{
    int *widths = mem_array(NULL, t->columns, sizeof(*widths));
    for (size_t c = 0; c < t->columns; c++) {
        widths[c] = width_of(t, c);
    }
    for (size_t i = 0; i < t->cells.len; i++) {
        size_t c = i % t->columns;
        if (c + 1 < t->columns) {
            fprintf(to, "%-*s  ", widths[c], t->cells.at[i]);
        } else {
            fprintf(to, "%s\n", t->cells.at[i]);
        }
    }
    free(widths);
}

void table_done(struct table *t)
{
    VEC_EACH(t->cells, cell) {
        free(*cell);
    }
    VEC_DONE(t->cells);
}
