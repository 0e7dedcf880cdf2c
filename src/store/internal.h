/* Shared by the files of this folder only. */
#ifndef OSM_STORE_INTERNAL_H
#define OSM_STORE_INTERNAL_H

#include "base/buf.h"
#include "store/store.h"

/* Calls `each` for every key that an object is found by; the same key may come twice. The key is
 * valid during the call. */
struct keys {
    void (*each)(void *arg, enum store_index index, struct str key, struct object *o);
    void *arg;
    struct buf *scratch;
    /* set by keys_of */
    enum store_index index;
    struct object *object;
};
void keys_of(struct keys *k, struct object *o);
/* Only those of one index. */
void keys_of_one(struct keys *k, enum store_index index, struct object *o);

#endif
