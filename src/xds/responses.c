/* Discovery responses on protobuf-c, and those that were made last. */
#include "base/hash.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/discovery.h"

struct response *response_ref(struct response *r)
{
    if (r) {
        ref_get(&r->ref);
    }
    return r;
}

struct response *response_unref(struct response *r)
{
    if (r && ref_put(&r->ref)) {
        blob_unref(r->framed);
        blob_unref(r->rest);
        resource_vec_done(&r->resources);
        free(r);
    }
    return NULL;
}

/* The fields that both protocols' responses have (discovery.proto). */
enum { RESPONSE_RESOURCES = 2 };

static size_t varint_size(size_t n)
{
    size_t size = 1;
    for (; n >= 0x80; n >>= 7) {
        size++;
    }
    return size;
}

static uint8_t *put_varint(uint8_t *out, size_t n)
{
    for (; n >= 0x80; n >>= 7) {
        *out++ = (uint8_t)(n | 0x80);
    }
    *out++ = (uint8_t)n;
    return out;
}

/* One element of `resources`: the resource itself in the state of the world, in the delta protocol
 * with name and version. */
struct entry {
    Google__Protobuf__Any any;
    Envoy__Service__Discovery__V3__Resource resource;
    char version[17];
    const ProtobufCMessage *message;
    size_t size;
};

static void entry_init(struct entry *x, enum xds_type type, bool delta, const struct resource *r)
{
    google__protobuf__any__init(&x->any);
    x->any.type_url = (char *)xds_type_url(type);
    x->any.value.data = (uint8_t *)r->body->data;
    x->any.value.len = r->body->len;
    x->message = &x->any.base;
    if (delta) {
        envoy__service__discovery__v3__resource__init(&x->resource);
        resource_version_text(r->version, x->version);
        x->resource.name = (char *)r->name;
        x->resource.version = x->version;
        x->resource.resource = &x->any;
        x->message = &x->resource.base;
    }
    x->size = protobuf_c_message_get_packed_size(x->message);
}

static size_t resources_size(enum xds_type type, bool delta, const resource_vec *resources)
{
    size_t size = 0;
    VEC_EACH(*resources, r) {
        struct entry x;
        entry_init(&x, type, delta, *r);
        size += 1 + varint_size(x.size) + x.size;
    }
    return size;
}

static uint8_t *put_resources(uint8_t *out, enum xds_type type, bool delta,
                              const resource_vec *resources)
{
    VEC_EACH(*resources, r) {
        struct entry x;
        entry_init(&x, type, delta, *r);
        *out++ = RESPONSE_RESOURCES << 3 | 2;
        out = put_varint(out, x.size);
        out += protobuf_c_message_pack(x.message, out);
    }
    return out;
}

/* What a response says besides its resources. */
struct envelope {
    Envoy__Service__Discovery__V3__DiscoveryResponse sotw;
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse delta;
    char version[17], nonce[17];
    const ProtobufCMessage *message;
};

static void envelope_init(struct envelope *v, struct arena *a, enum xds_type type, bool delta,
                          uint64_t version, uint64_t nonce, const resource_vec *removed)
{
    resource_version_text(version, v->version);
    resource_version_text(nonce, v->nonce);
    envoy__service__discovery__v3__discovery_response__init(&v->sotw);
    envoy__service__discovery__v3__delta_discovery_response__init(&v->delta);
    v->sotw.type_url = v->delta.type_url = (char *)xds_type_url(type);
    v->sotw.nonce = v->delta.nonce = v->nonce;
    v->sotw.version_info = v->delta.system_version_info = v->version;
    v->message = delta ? &v->delta.base : &v->sotw.base;
    v->delta.removed_resources = arena_array(a, removed->len, sizeof(char *));
    VEC_EACH(*removed, r) {
        v->delta.removed_resources[v->delta.n_removed_resources++] = (*r)->name;
    }
}

/* gRPC's five bytes (a flag: not compressed; the length, big-endian), the envelope and resources;
 * `rest` bytes of the message follow elsewhere. Elements of one field may stand anywhere in a
 * message. */
static struct blob *frame(const struct envelope *v, enum xds_type type, bool delta,
                          const resource_vec *resources, size_t rest)
{
    size_t head = protobuf_c_message_get_packed_size(v->message);
    size_t own = head + resources_size(type, delta, resources), len = own + rest;
    ASSERT(len <= UINT32_MAX);
    AUTO(free) uint8_t *out = mem_alloc(own + 5);
    out[0] = 0;
    for (int i = 0; i < 4; i++) {
        out[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    }
    protobuf_c_message_pack(v->message, out + 5);
    put_resources(out + 5 + head, type, delta, resources);
    return blob_new(out, own + 5);
}

static uint64_t nonce_of(enum xds_type type, bool delta, uint64_t version, uint64_t last_nonce,
                         const resource_vec *resources, const resource_vec *removed)
{
    uint64_t h = hash_mix((uint64_t)type * 2 + delta, version);
    for (size_t i = 0; i < resources->len; i++) {
        h = hash_mix(hash_mix(h, resources->at[i]->id), resources->at[i]->version);
    }
    h = hash_mix(h, resources->len);
    for (size_t i = 0; i < removed->len; i++) {
        h = hash_mix(h, removed->at[i]->id);
    }
    h = h == last_nonce ? ~h : h;
    return h ? h : 1;
}

/* --- what was computed last --- */

/* A push concerns few distinct differences at once: one an audience and type. */
#define CACHE_SLOTS 64
/* Whole configurations of many audiences would be many large responses. */
#define CACHE_BYTES (4u << 20)
/* Below, what audiences have in common isn't worth a piece of its own. */
#define SHARED_MIN 16

/* The resources of a response that come from the base of many audiences, encoded. */
struct shared {
    uint64_t key;
    struct blob *bytes;
    uint64_t used_at;
};

struct response_cache {
    uint64_t clock, aged_at;
    size_t last_response, last_difference; /* likely the next too: proxies that are told the same */
    struct {
        struct response *response;
        uint64_t used_at;
    } responses[CACHE_SLOTS];
    struct difference differences[CACHE_SLOTS];
    struct shared shared[2 * XDS_TYPES];
};

struct response_cache *response_cache_new(void)
{
    return NEW(struct response_cache);
}

static void difference_done(struct difference *d)
{
    view_unref(&d->from);
    view_unref(&d->to);
    VEC_DONE(d->changed);
    VEC_DONE(d->removed);
    *d = (struct difference){0};
}

/* Drops what was last used before. */
static void drop_older(struct response_cache *c, uint64_t than)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (c->responses[i].used_at < than) {
            c->responses[i].response = response_unref(c->responses[i].response);
        }
        if (c->differences[i].used_at < than) {
            difference_done(&c->differences[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(c->shared); i++) {
        if (c->shared[i].used_at < than) {
            c->shared[i].bytes = blob_unref(c->shared[i].bytes);
        }
    }
}

void response_cache_age(struct response_cache *c)
{
    drop_older(c, c->aged_at);
    c->aged_at = ++c->clock;
}

void response_cache_free(struct response_cache *c)
{
    if (c) {
        drop_older(c, UINT64_MAX);
        free(c);
    }
}

static struct blob *shared_bytes(struct response_cache *c, enum xds_type type, bool delta,
                                 const resource_vec *resources)
{
    static const resource_vec none;
    uint64_t key = nonce_of(type, delta, 0, 0, resources, &none);
    struct shared *oldest = &c->shared[0];
    for (struct shared *x = c->shared; x < c->shared + COUNT_OF(c->shared); x++) {
        if (x->bytes && x->key == key) {
            x->used_at = ++c->clock;
            return blob_ref(x->bytes);
        }
        oldest = x->used_at < oldest->used_at ? x : oldest;
    }
    size_t len = resources_size(type, delta, resources);
    AUTO(free) uint8_t *out = mem_alloc(len);
    put_resources(out, type, delta, resources);
    blob_unref(oldest->bytes);
    *oldest = (struct shared){key, blob_new(out, len), ++c->clock};
    return blob_ref(oldest->bytes);
}

/* Which resources are the base's, and which the audience's own; both are borrowed. */
static void split(const struct resource_set *base, const resource_vec *all, resource_vec *common,
                  resource_vec *own)
{
    size_t at = 0;
    for (size_t i = 0; i < all->len; i++) {
        struct resource *r = all->at[i];
        if (i > 0 && r->id < all->at[i - 1]->id) {
            at = 0; /* another run of sorted ones begins */
        }
        while (at < base->n && base->at[at]->id < r->id) {
            at++;
        }
        if (at < base->n && base->at[at] == r) {
            VEC_PUSH(*common, r);
        } else {
            VEC_PUSH(*own, r);
        }
    }
}

static void encode(struct response_cache *c, struct response *r, const struct response_content *q)
{
    AUTO(arena_free) struct arena *a = arena_new(1024);
    struct envelope v;
    resource_vec common = {0}, own = {0};
    envelope_init(&v, a, r->type, q->delta, q->version, r->nonce, q->removed);
    if (q->base && q->resources->len >= SHARED_MIN) {
        split(q->base, q->resources, &common, &own);
    }
    if (common.len >= SHARED_MIN) {
        r->rest = shared_bytes(c, r->type, q->delta, &common);
        r->framed = frame(&v, r->type, q->delta, &own, r->rest->len);
    } else {
        r->framed = frame(&v, r->type, q->delta, q->resources, 0);
    }
    VEC_DONE(common);
    VEC_DONE(own);
}

static struct response *response_new(struct response_cache *c, enum xds_type type, uint64_t nonce,
                                     const struct response_content *q)
{
    struct response *r = NEW(struct response);
    ref_init(&r->ref);
    r->type = type;
    r->nonce = nonce;
    r->resources.cap = q->resources->len;
    r->resources.at = mem_array(NULL, r->resources.cap, sizeof(*r->resources.at));
    VEC_EACH(*q->resources, x) {
        r->resources.at[r->resources.len++] = resource_ref(*x);
    }
    encode(c, r, q);
    return r;
}

static size_t bytes_of(const struct response *r)
{
    return r ? r->framed->len + r->resources.len * sizeof(*r->resources.at) : 0;
}

/* A free slot; for that, and to make room for `bytes` more, those used longest ago go. */
static size_t take_slot(struct response_cache *c, size_t bytes)
{
    for (;;) {
        size_t total = bytes, empty = CACHE_SLOTS, oldest = CACHE_SLOTS;
        for (size_t i = 0; i < CACHE_SLOTS; i++) {
            if (!c->responses[i].response) {
                empty = i;
            } else if (oldest == CACHE_SLOTS ||
                       c->responses[i].used_at < c->responses[oldest].used_at) {
                oldest = i;
            }
            total += bytes_of(c->responses[i].response);
        }
        if (empty < CACHE_SLOTS && (total <= CACHE_BYTES || oldest == CACHE_SLOTS)) {
            return empty;
        }
        c->responses[oldest].response = response_unref(c->responses[oldest].response);
    }
}

struct response *response_cached(struct response_cache *c, enum xds_type type,
                                 const struct response_content *q)
{
    uint64_t nonce = nonce_of(type, q->delta, q->version, q->last_nonce, q->resources, q->removed);
    for (size_t k = 0; k < CACHE_SLOTS; k++) {
        size_t i = (c->last_response + k) % CACHE_SLOTS;
        if (c->responses[i].response && c->responses[i].response->nonce == nonce) {
            c->responses[i].used_at = ++c->clock;
            c->last_response = i;
            return response_ref(c->responses[i].response);
        }
    }
    struct response *r = response_new(c, type, nonce, q);
    size_t slot = take_slot(c, bytes_of(r));
    c->responses[slot].response = r;
    c->responses[slot].used_at = ++c->clock;
    c->last_response = slot;
    return response_ref(r);
}

static void on_changed(void *arg, struct resource *r)
{
    struct difference *d = arg;
    VEC_PUSH(d->changed, r);
}

static void on_removed(void *arg, struct resource *r)
{
    struct difference *d = arg;
    VEC_PUSH(d->removed, r);
}

/* What audiences have of their own doesn't count when it stayed the same and covers nothing of
 * their base: so all of them share one difference of the base. */
static void leave_out_own(struct view *from, struct view *to)
{
    if (from->own == to->own && !view_covers(*from) && !view_covers(*to)) {
        from->own = to->own = NULL;
    }
}

const struct difference *difference_cached(struct response_cache *c, struct view from,
                                           struct view to)
{
    size_t oldest = 0;
    leave_out_own(&from, &to);
    for (size_t k = 0; k < CACHE_SLOTS; k++) {
        size_t i = (c->last_difference + k) % CACHE_SLOTS;
        struct difference *d = &c->differences[i];
        if (d->used_at > 0 && d->from.base == from.base && d->from.own == from.own &&
            d->to.base == to.base && d->to.own == to.own) {
            d->used_at = ++c->clock;
            c->last_difference = i;
            return d;
        }
        if (d->used_at < c->differences[oldest].used_at) {
            oldest = i;
        }
    }
    struct difference *d = &c->differences[oldest];
    difference_done(d);
    d->from = view_ref(from);
    d->to = view_ref(to);
    d->used_at = ++c->clock;
    c->last_difference = oldest;
    view_diff(from, to, on_changed, on_removed, d);
    return d;
}
