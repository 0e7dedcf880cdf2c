/* The tables of objects, their indexes, and the record of what changed. */
#include "store/store.h"

#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "store/internal.h"
#include "store/keyless.h"

/* A key joins a few names and labels; those are limited one by one where objects are decoded. */
#define KEY_BYTES (1u << 20)

/* What an index has under a key: mostly one object, and then the table holds just that; several are
 * in a bucket, whose pointer is marked by its lowest bit. The key itself isn't kept: each object
 * that is there yields it again. */
struct bucket {
    VEC(struct object *) list; /* sorted by namespace, then name; borrowed from the table */
};

static struct bucket *bucket_of(void *value)
{
    uintptr_t p = (uintptr_t)value;
    return p & 1 ? (struct bucket *)(p - 1) : NULL;
}

static void *as_value(struct bucket *b)
{
    return (char *)b + 1;
}

struct store {
    struct map objects[KIND_COUNT];    /* "ns/name" -> object, owned */
    struct keyless index[INDEX_COUNT]; /* of objects and buckets */
    struct map changed;                /* "kind/ns/name" -> change, owned */
    struct buf *scratch, *compare;     /* for keys, so that lookups needn't allocate */
};

struct store *store_new(void)
{
    struct store *s = NEW(struct store);
    s->scratch = NEW(struct buf);
    s->compare = NEW(struct buf);
    buf_init(s->scratch, KEY_BYTES);
    buf_init(s->compare, KEY_BYTES);
    return s;
}

static void object_free_value(void *o)
{
    object_unref(o);
}

static void bucket_free(struct bucket *b)
{
    if (b) {
        VEC_DONE(b->list);
        free(b);
    }
}

static void change_free(void *value)
{
    struct change *c = value;
    object_unref(c->old);
    object_unref(c->now);
    free(c);
}

void store_free(struct store *s)
{
    if (!s) {
        return;
    }
    map_done(&s->changed, change_free);
    for (size_t i = 0; i < INDEX_COUNT; i++) {
        for (size_t k = 0; k < s->index[i].cap; k++) {
            bucket_free(bucket_of(s->index[i].values[k]));
        }
        keyless_done(&s->index[i]);
    }
    for (size_t i = 0; i < KIND_COUNT; i++) {
        map_done(&s->objects[i], object_free_value);
    }
    buf_done(s->scratch);
    buf_done(s->compare);
    free(s->scratch);
    free(s->compare);
    free(s);
}

static struct str full_name(const struct store *s, struct str namespace, struct str name)
{
    buf_reset(s->scratch);
    buf_adds(s->scratch, namespace);
    buf_addc(s->scratch, '/');
    buf_adds(s->scratch, name);
    return buf_str(s->scratch);
}

static int by_name(const struct object *a, const struct object *b)
{
    int c = str_cmp(a->meta.namespace, b->meta.namespace);
    return c ? c : str_cmp(a->meta.name, b->meta.name);
}

/* Where o is in the bucket, or where it would have to be put. */
static size_t bucket_place(const struct bucket *b, const struct object *o)
{
    size_t low = 0, high = b->list.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_name(b->list.at[mid], o) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void bucket_insert(struct bucket *b, struct object *o)
{
    size_t i = bucket_place(b, o);
    if (i < b->list.len && b->list.at[i] == o) {
        return;
    }
    VEC_PUSH(b->list, o);
    memmove(&b->list.at[i + 1], &b->list.at[i], (b->list.len - 1 - i) * sizeof(*b->list.at));
    b->list.at[i] = o;
}

struct search {
    const struct store *store;
    enum store_index index;
    struct str key;
    bool found;
};

static void search_key(void *arg, enum store_index index, struct str key, struct object *o)
{
    struct search *q = arg;
    q->found |= str_eq(key, q->key);
}

/* Is this what is under the key? */
static bool has_key(void *arg, void *value)
{
    struct search *q = arg;
    const struct bucket *b = bucket_of(value);
    q->found = false;
    keys_of_one(&(struct keys){.each = search_key, .arg = q, .scratch = q->store->compare},
                q->index, b ? b->list.at[0] : value);
    return q->found;
}

static uint32_t hash_of(struct str key)
{
    return (uint32_t)hash_seeded(key.ptr ? key.ptr : "", key.len);
}

static void **index_slot(const struct store *s, enum store_index index, struct str key)
{
    struct search q = {.store = s, .index = index, .key = key};
    return keyless_find(&s->index[index], hash_of(key), has_key, &q);
}

static void index_add(void *arg, enum store_index index, struct str key, struct object *o)
{
    struct store *s = arg;
    void **slot = index_slot(s, index, key);
    if (!slot) {
        keyless_add(&s->index[index], hash_of(key), o);
    } else if (*slot != o) {
        struct bucket *b = bucket_of(*slot);
        if (!b) {
            b = NEW(struct bucket);
            bucket_insert(b, *slot);
            *slot = as_value(b);
        }
        bucket_insert(b, o);
    }
}

static void bucket_take(struct bucket *b, struct object *o, void **slot)
{
    size_t i = bucket_place(b, o);
    if (i == b->list.len || b->list.at[i] != o) {
        return;
    }
    VEC_REMOVE(b->list, i);
    if (b->list.len == 1) {
        *slot = b->list.at[0];
        bucket_free(b);
    }
}

static void index_remove(void *arg, enum store_index index, struct str key, struct object *o)
{
    struct store *s = arg;
    void **slot = index_slot(s, index, key);
    struct bucket *b = slot ? bucket_of(*slot) : NULL;
    if (b) {
        bucket_take(b, o, slot);
    } else if (slot && *slot == o) {
        keyless_remove(&s->index[index], slot);
    }
}

/* Findings say where an object is, so that one that moved within its file isn't the same. */
static bool same(const struct object *a, const struct object *b)
{
    return a == b ||
           (a && b && a->hash == b->hash && a->line == b->line && str_eq(a->file, b->file));
}

/* Takes the references. A change that leads back to where it began is forgotten. */
static void record(struct store *s, struct object *old, struct object *now)
{
    const struct object *o = now ? now : old;
    buf_reset(s->scratch);
    buf_printf(s->scratch, "%d/", (int)o->kind);
    buf_adds(s->scratch, o->meta.namespace);
    buf_addc(s->scratch, '/');
    buf_adds(s->scratch, o->meta.name);
    struct str key = buf_str(s->scratch);
    struct change *c = map_find(&s->changed, key);
    if (!c) {
        c = NEW(struct change);
        *c = (struct change){.kind = o->kind, .old = old, .now = now};
        map_put(&s->changed, key, c);
        return;
    }
    object_unref(old);
    object_unref(c->now);
    c->now = now;
    if (same(c->old, now)) {
        change_free(map_remove(&s->changed, key));
    }
}

bool store_put(struct store *s, struct object *o)
{
    struct map *table = &s->objects[o->kind];
    struct str key = full_name(s, o->meta.namespace, o->meta.name);
    struct object *old = map_find(table, key);
    if (same(old, o)) {
        object_unref(o);
        return false;
    }
    map_put(table, key, o);
    if (old) {
        keys_of(&(struct keys){.each = index_remove, .arg = s, .scratch = s->scratch}, old);
    }
    keys_of(&(struct keys){.each = index_add, .arg = s, .scratch = s->scratch}, o);
    record(s, old, object_ref(o));
    return true;
}

bool store_remove(struct store *s, enum kind kind, struct str namespace, struct str name)
{
    struct object *old = map_remove(&s->objects[kind], full_name(s, namespace, name));
    if (!old) {
        return false;
    }
    keys_of(&(struct keys){.each = index_remove, .arg = s, .scratch = s->scratch}, old);
    record(s, old, NULL);
    return true;
}

struct object *store_find(const struct store *s, enum kind kind, struct str namespace,
                          struct str name)
{
    return map_find(&s->objects[kind], full_name(s, namespace, name));
}

size_t store_count(const struct store *s, enum kind kind)
{
    return map_len(&s->objects[kind]);
}

void store_each(const struct store *s, enum kind kind, void (*fn)(void *arg, struct object *o),
                void *arg)
{
    MAP_EACH(&s->objects[kind], it) {
        fn(arg, it.value);
    }
}

struct object_list store_lookup(const struct store *s, enum store_index index, struct str key)
{
    void **slot = index_slot(s, index, key);
    const struct bucket *b = slot ? bucket_of(*slot) : NULL;
    if (b) {
        return (struct object_list){b->list.at, b->list.len};
    }
    return slot ? (struct object_list){(struct object *const *)slot, 1} : (struct object_list){0};
}

bool store_has_changes(const struct store *s)
{
    return map_len(&s->changed) > 0;
}

size_t store_pending(const struct store *s)
{
    return map_len(&s->changed);
}

void store_take_changes(struct store *s, struct changes *ret)
{
    *ret = (struct changes){0};
    MAP_EACH(&s->changed, it) {
        struct change *c = it.value;
        VEC_PUSH(ret->list, *c);
        free(c);
    }
    map_done(&s->changed, NULL);
}

void changes_done(struct changes *c)
{
    VEC_EACH(c->list, change) {
        object_unref(change->old);
        object_unref(change->now);
    }
    VEC_DONE(c->list);
}
