/* Immutable, refcounted bytes with the hash of their content. References may be taken and dropped
 * on any thread. Equal content has equal hash; the hash is the version of an xDS resource. */
#ifndef OSM_BASE_BLOB_H
#define OSM_BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/ref.h"
#include "base/str.h"

struct blob {
    struct ref ref;
    size_t len;
    uint64_t hash;
    char data[]; /* len bytes and a NUL */
};

struct blob *blob_new(const void *p, size_t len);
/* Zeroes the bytes before it frees them: for private keys. */
struct blob *blob_new_secret(const void *p, size_t len);
struct blob *blob_ref(struct blob *b);   /* returns b; NULL stays NULL */
struct blob *blob_unref(struct blob *b); /* returns NULL; takes NULL */
struct str blob_str(const struct blob *b);

static inline __attribute__((unused)) void blob_unref_auto(struct blob **b)
{
    blob_unref(*b);
}

#endif
