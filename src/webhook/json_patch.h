/* JSON Patch (RFC 6902): how one document becomes another. Pure. */
#ifndef OSM_WEBHOOK_JSON_PATCH_H
#define OSM_WEBHOOK_JSON_PATCH_H

#include "doc/value.h"

/* The operations (add, remove, replace) that make `to` of `from`, as an array; empty when they are
 * equal. Objects are compared member by member; in arrays the common first and last elements stay
 * as they are and what is between is compared one by one. Shares nodes with `to`. */
struct value *json_patch_diff(struct arena *a, const struct value *from, const struct value *to);

/* Applies add, remove and replace; *ret is a new document. -1 when a path isn't there. */
int json_patch_apply(struct arena *a, const struct value *document, const struct value *patch,
                     struct value **ret, struct err *e);

#endif
