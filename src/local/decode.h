/* Documents of our own to objects. */
#ifndef OSM_LOCAL_DECODE_H
#define OSM_LOCAL_DECODE_H

#include "kinds/object.h"

/* One object; the first finding is the error. */
int decode_one(const struct value *document, struct object **ret, struct err *e);

#endif
