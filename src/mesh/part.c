/* Parts: their references, and the rule that equal content keeps its pointer. */
#include "base/hash.h"
#include "mesh/internal.h"

/* A part's own texts are few: a sidecar's names fit. There is one for every pod, so it isn't more.
 */
enum { PART_STRINGS_BYTES = 192 };

/* More than any part can come to: a slice's endpoints are limited by the objects' size. */
#define PART_TEXT_BYTES (1u << 30)

void *part_ref(void *part)
{
    struct part *p = part;
    if (p) {
        ref_get(&p->ref);
    }
    return p;
}

void *part_unref(void *part)
{
    struct part *p = part;
    if (p && ref_put(&p->ref)) {
        arena_free(p->arena);
    }
    return NULL;
}

void *part_new(size_t size)
{
    struct arena *a = arena_new(size + PART_STRINGS_BYTES);
    struct part *p = arena_alloc(a, size);
    ref_init(&p->ref);
    p->arena = a;
    return p;
}

static void delta_add(struct update *u, enum mesh_map which, struct str key)
{
    struct mesh_delta *d = u->delta;
    __typeof__(d->services) *lists[MESH_MAP_COUNT] = {
        [MESH_SERVICES] = &d->services, [MESH_ENDPOINTS] = &d->endpoints,
        [MESH_POLICIES] = &d->policies, [MESH_ACCESS] = &d->access,
        [MESH_INGRESS] = &d->ingress,   [MESH_AUDIENCES] = &d->audiences,
        [MESH_PROXIES] = &d->proxies,
    };
    VEC_PUSH(*lists[which], arena_str(d->arena, key));
}

static bool same_text(enum mesh_map which, const void *part, struct str text)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, PART_TEXT_BYTES);
    part_dump(which, part, &b);
    return str_eq(buf_str(&b), text);
}

uint64_t part_hash(enum mesh_map which, const void *part, struct buf *text)
{
    buf_init(text, PART_TEXT_BYTES);
    part_dump(which, part, text);
    ASSERT(!buf_full(text));
    return hash_str(buf_str(text));
}

void *part_publish(struct update *u, enum mesh_map which, struct str key, void *part)
{
    struct map *map = &u->m->parts[which];
    struct part *old = map_find(map, key), *now = part;
    if (!now) {
        if (old) {
            delta_add(u, which, key);
            part_unref(map_remove(map, key));
        }
        return NULL;
    }
    AUTO(buf_done) struct buf text;
    now->hash = part_hash(which, now, &text);
    if (old && old->hash == now->hash && same_text(which, old, buf_str(&text))) {
        part_unref(now);
        return old;
    }
    delta_add(u, which, key);
    part_unref(map_put(map, key, now));
    return now;
}
