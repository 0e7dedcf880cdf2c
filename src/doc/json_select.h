/* A JSON text without the members that nobody wants, so that a large answer of which little is used
 * costs a walk over its bytes instead of a tree. What is left is for value_read_json to judge: of
 * the rest nothing is looked at but quotes and brackets. */
#ifndef OSM_DOC_JSON_SELECT_H
#define OSM_DOC_JSON_SELECT_H

#include "base/buf.h"
#include "base/str.h"

/* A member that is wanted, in a table that ends with a name of NULL. */
struct json_keep {
    const char *name;
    const struct json_keep *members; /* what of it, or of each of its elements; NULL: all */
};

/* Adds to out what is wanted of an object, or of each element of an array. Of a text that isn't
 * JSON something is left, and no byte beyond its end is read. Names that are written with escapes
 * count as not wanted. */
void json_select(struct str text, const struct json_keep *keep, struct buf *out);

#endif
