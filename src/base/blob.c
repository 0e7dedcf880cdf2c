/* Shared immutable bytes. */
#include "base/blob.h"

#include <string.h>

#include "base/hash.h"

struct blob_store {
    bool secret;
    struct blob blob;
};

static struct blob *make(const void *p, size_t len, bool secret)
{
    struct blob_store *s = mem_alloc(sizeof(*s) + len + 1);
    s->secret = secret;
    ref_init(&s->blob.ref);
    s->blob.len = len;
    s->blob.hash = hash_bytes(p, len);
    if (len > 0) {
        memcpy(s->blob.data, p, len);
    }
    s->blob.data[len] = '\0';
    return &s->blob;
}

struct blob *blob_new(const void *p, size_t len)
{
    return make(p, len, false);
}

struct blob *blob_new_secret(const void *p, size_t len)
{
    return make(p, len, true);
}

struct blob *blob_ref(struct blob *b)
{
    if (b) {
        ref_get(&b->ref);
    }
    return b;
}

struct blob *blob_unref(struct blob *b)
{
    if (b && ref_put(&b->ref)) {
        struct blob_store *s = (struct blob_store *)((char *)b - offsetof(struct blob_store, blob));
        if (s->secret) {
            explicit_bzero(b->data, b->len);
        }
        free(s);
    }
    return NULL;
}

struct str blob_str(const struct blob *b)
{
    return b ? (struct str){b->data, b->len} : (struct str){0};
}
