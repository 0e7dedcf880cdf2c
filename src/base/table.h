/* Text in columns that are as wide as what is in them. */
#ifndef OSM_BASE_TABLE_H
#define OSM_BASE_TABLE_H

#include <stdio.h>

#include "base/vec.h"

struct table {
    size_t columns;
    VEC(char *) cells; /* row by row; the first row is the heading */
};

/* printf of the next cell. */
void table_add(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t, FILE *to);
void table_done(struct table *t);

#endif
