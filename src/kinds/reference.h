/* Reference pages of our kinds, from their tables. */
#ifndef OSM_KINDS_REFERENCE_H
#define OSM_KINDS_REFERENCE_H

#include "base/buf.h"
#include "kinds/object.h"

/* Writes the page of an API group, as Markdown: for each kind its versions, fields with type,
 * default and meaning, and the rules between them. False when there is no such group of ours. */
bool kind_reference(struct str group, struct buf *out);

#endif
