/* Scalars as text: what YAML's plain ones mean, how numbers are written. For the readers and
 * writers of this folder. */
#ifndef OSM_DOC_VALUE_SCALAR_H
#define OSM_DOC_VALUE_SCALAR_H

#include "doc/value.h"

/* Sets type and content of *out (not its line). A string is a view of text. `.inf` and `.nan` give
 * floats that aren't finite, which no tree may hold: the caller refuses them. */
void value_resolve_plain(struct str text, struct value *out);

/* A number that is whole and that a double holds exactly becomes an integer, as it does on the way
 * through kubectl and the API server. */
void value_set_number(struct value *out, double number);

/* Integer or float, the shortest text that reads back to the same. */
void value_write_number(const struct value *v, struct buf *out);

bool value_is_utf8(struct str s);

#endif
