/* Decoding of metadata; only this folder includes it. */
#ifndef OSM_KINDS_META_H
#define OSM_KINDS_META_H

#include "doc/fields.h"
#include "kinds/object.h"

struct kind_row;

/* The metadata of a document of the row's kind. What it must be for this kind is checked too. */
void meta_decode(struct decode *d, const struct value *doc, const struct kind_row *row,
                 struct meta *m);
/* Of all that makes a difference to us. */
uint64_t meta_hash(const struct meta *m);

#endif
