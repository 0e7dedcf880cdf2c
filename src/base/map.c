/* Maps on uthash. */
#include "base/map.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define uthash_malloc(size) mem_alloc(size)
#define HASH_FUNCTION(key, len, hashv) (hashv) = (unsigned)hash_seeded((key), (len))
#include <uthash.h>

struct map_entry {
    UT_hash_handle hh;
    void *value;
    char key[];
};

static struct map_entry *find(const struct map *m, struct str key)
{
    struct map_entry *e = NULL;
    HASH_FIND(hh, m->head, key.ptr ? key.ptr : "", key.len, e);
    return e;
}

void *map_find(const struct map *m, struct str key)
{
    struct map_entry *e = find(m, key);
    return e ? e->value : NULL;
}

bool map_has(const struct map *m, struct str key)
{
    return find(m, key) != NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    struct map_entry *e = find(m, key);
    if (e) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    e = mem_zalloc(sizeof(*e) + key.len + 1);
    e->value = value;
    if (key.len > 0) {
        memcpy(e->key, key.ptr, key.len);
    }
    HASH_ADD_KEYPTR(hh, m->head, e->key, key.len, e);
    return NULL;
}

void *map_remove(struct map *m, struct str key)
{
    struct map_entry *e = find(m, key);
    if (!e) {
        return NULL;
    }
    void *value = e->value;
    HASH_DELETE(hh, m->head, e);
    free(e);
    return value;
}

size_t map_len(const struct map *m)
{
    return HASH_COUNT(m->head);
}

void map_done(struct map *m, void (*free_value)(void *))
{
    struct map_entry *e = m->head;
    if (e) {
        HASH_CLEAR(hh, m->head);
    }
    while (e) {
        struct map_entry *next = e->hh.next;
        if (free_value) {
            free_value(e->value);
        }
        free(e);
        e = next;
    }
    m->head = NULL;
}

static struct map_iter iter_at(struct map_entry *e)
{
    struct map_iter it = {.entry = e};
    if (e) {
        it.following = e->hh.next;
        it.key = (struct str){e->key, e->hh.keylen};
        it.value = e->value;
    }
    return it;
}

struct map_iter map_first(const struct map *m)
{
    return iter_at(m->head);
}

void map_next(struct map_iter *it)
{
    *it = iter_at(it->following);
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str *map_sorted_keys(const struct map *m)
{
    size_t n = 0;
    struct str *keys = mem_array(NULL, map_len(m), sizeof(*keys));
    MAP_EACH(m, it) {
        keys[n++] = it.key;
    }
    qsort(keys, n, sizeof(*keys), by_key);
    return keys;
}
