/* Objects of a server, as a mesh holds many of them: without what nothing reads. Of pods the spec
 * is left out, of all objects the owners, the bookkeeping of managers, and annotations that aren't
 * ours or Prometheus'. There is no `raw`. */
#ifndef OSM_KINDS_SLIM_H
#define OSM_KINDS_SLIM_H

#include "doc/json_select.h"
#include "kinds/object.h"

/* What object_decode_slim reads of a kind's document, for json_select. Never freed. */
const struct json_keep *kind_keep(enum kind kind);

/* As object_decode, of one document of this kind; NULL when it is refused. Its arena has just the
 * size that it needs. */
struct object *object_decode_slim(const struct value *doc, enum kind kind, struct findings *f);

#endif
