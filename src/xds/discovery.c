/* Discovery requests and responses on protobuf-c. */
#include "xds/discovery.h"

#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest SotwRequest;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest DeltaRequest;

/* protobuf-c's allocator on an arena: nothing to free, whatever the message holds. */
static void *arena_pb_alloc(void *arg, size_t size)
{
    return arena_alloc(arg, size);
}

static void arena_pb_free(void *arg, void *p)
{
}

static struct str *strs_of(struct arena *a, char **at, size_t n)
{
    struct str *out = arena_array(a, n, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        out[i] = str_of(at[i]);
    }
    return out;
}

static int parse_sotw(struct arena *a, struct str message, struct discovery_request *ret,
                      struct err *e)
{
    ProtobufCAllocator alloc = {arena_pb_alloc, arena_pb_free, a};
    SotwRequest *m = envoy__service__discovery__v3__discovery_request__unpack(
        &alloc, message.len, (const uint8_t *)message.ptr);
    if (!m) {
        return err_set(e, "the message isn't a DiscoveryRequest");
    }
    *ret = (struct discovery_request){
        .type_url = str_of(m->type_url),
        .nonce = str_of(m->response_nonce),
        .version = str_of(m->version_info),
        .refused = m->error_detail != NULL,
        .error = str_of(m->error_detail ? m->error_detail->message : ""),
        .names = strs_of(a, m->resource_names, m->n_resource_names),
        .n_names = m->n_resource_names,
    };
    return 0;
}

static int parse_delta(struct arena *a, struct str message, struct discovery_request *ret,
                       struct err *e)
{
    ProtobufCAllocator alloc = {arena_pb_alloc, arena_pb_free, a};
    DeltaRequest *m = envoy__service__discovery__v3__delta_discovery_request__unpack(
        &alloc, message.len, (const uint8_t *)message.ptr);
    if (!m) {
        return err_set(e, "the message isn't a DeltaDiscoveryRequest");
    }
    *ret = (struct discovery_request){
        .type_url = str_of(m->type_url),
        .nonce = str_of(m->response_nonce),
        .refused = m->error_detail != NULL,
        .error = str_of(m->error_detail ? m->error_detail->message : ""),
        .names = strs_of(a, m->resource_names_subscribe, m->n_resource_names_subscribe),
        .n_names = m->n_resource_names_subscribe,
        .unsubscribe = strs_of(a, m->resource_names_unsubscribe, m->n_resource_names_unsubscribe),
        .n_unsubscribe = m->n_resource_names_unsubscribe,
        .n_known = m->n_initial_resource_versions,
    };
    ret->known = arena_array(a, ret->n_known, sizeof(*ret->known));
    for (size_t i = 0; i < ret->n_known; i++) {
        ret->known[i].name = str_of(m->initial_resource_versions[i]->key);
        ret->known[i].version =
            resource_version_parse(str_of(m->initial_resource_versions[i]->value));
    }
    return 0;
}

int discovery_parse(struct arena *a, bool delta, struct str message, struct discovery_request *ret,
                    struct err *e)
{
    struct discovery_request r = {0};
    if ((delta ? parse_delta(a, message, &r, e) : parse_sotw(a, message, &r, e)) < 0) {
        return -1;
    }
    if (r.n_names > LIMIT_ADS_SUBSCRIPTIONS || r.n_known > LIMIT_ADS_SUBSCRIPTIONS) {
        return err_set(e, "the request names more than %d resources", LIMIT_ADS_SUBSCRIPTIONS);
    }
    *ret = r;
    return 0;
}

/* --- responses --- */

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
        resource_vec_done(&r->resources);
        free(r);
    }
    return NULL;
}

static Google__Protobuf__Any any_of(enum xds_type type, const struct resource *r)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = (char *)xds_type_url(type);
    any.value.data = (uint8_t *)r->body->data;
    any.value.len = r->body->len;
    return any;
}

/* Packs after gRPC's five bytes: a flag (not compressed) and the length, big-endian. */
static struct blob *frame(const ProtobufCMessage *m)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    ASSERT(len <= UINT32_MAX);
    AUTO(free) uint8_t *out = mem_alloc(len + 5);
    out[0] = 0;
    for (int i = 0; i < 4; i++) {
        out[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    }
    protobuf_c_message_pack(m, out + 5);
    return blob_new(out, len + 5);
}

static struct blob *encode_sotw(struct arena *a, enum xds_type type, char *version, char *nonce,
                                const resource_vec *resources)
{
    Envoy__Service__Discovery__V3__DiscoveryResponse m =
        ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_RESPONSE__INIT;
    m.version_info = version;
    m.nonce = nonce;
    m.type_url = (char *)xds_type_url(type);
    Google__Protobuf__Any *anys = arena_array(a, resources->len, sizeof(*anys));
    m.resources = arena_array(a, resources->len, sizeof(*m.resources));
    for (size_t i = 0; i < resources->len; i++) {
        anys[i] = any_of(type, resources->at[i]);
        m.resources[m.n_resources++] = &anys[i];
    }
    return frame(&m.base);
}

struct delta_entry {
    Envoy__Service__Discovery__V3__Resource resource;
    Google__Protobuf__Any any;
    char version[17];
};

static struct blob *encode_delta(struct arena *a, enum xds_type type, char *version, char *nonce,
                                 const resource_vec *resources, const resource_vec *removed)
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryResponse m =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    m.system_version_info = version;
    m.nonce = nonce;
    m.type_url = (char *)xds_type_url(type);
    struct delta_entry *entries = arena_array(a, resources->len, sizeof(*entries));
    m.resources = arena_array(a, resources->len, sizeof(*m.resources));
    for (size_t i = 0; i < resources->len; i++) {
        struct delta_entry *x = &entries[i];
        envoy__service__discovery__v3__resource__init(&x->resource);
        x->any = any_of(type, resources->at[i]);
        resource_version_text(resources->at[i]->version, x->version);
        x->resource.name = resources->at[i]->name;
        x->resource.version = x->version;
        x->resource.resource = &x->any;
        m.resources[m.n_resources++] = &x->resource;
    }
    m.removed_resources = arena_array(a, removed->len, sizeof(*m.removed_resources));
    for (size_t i = 0; i < removed->len; i++) {
        m.removed_resources[m.n_removed_resources++] = removed->at[i]->name;
    }
    return frame(&m.base);
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

static struct response *response_new(enum xds_type type, bool delta, uint64_t version,
                                     uint64_t nonce, const resource_vec *resources,
                                     const resource_vec *removed)
{
    struct response *r = NEW(struct response);
    ref_init(&r->ref);
    r->type = type;
    r->nonce = nonce;
    for (size_t i = 0; i < resources->len; i++) {
        VEC_PUSH(r->resources, resource_ref(resources->at[i]));
    }
    AUTO(arena_free) struct arena *a = arena_new(4096);
    char version_text[17], nonce_text[17];
    resource_version_text(version, version_text);
    resource_version_text(r->nonce, nonce_text);
    r->framed = delta ? encode_delta(a, type, version_text, nonce_text, resources, removed)
                      : encode_sotw(a, type, version_text, nonce_text, resources);
    return r;
}

/* --- what was computed last --- */

/* A push concerns few distinct differences at once: one an audience and type. */
#define CACHE_SLOTS 64

struct response_cache {
    uint64_t clock;
    struct {
        struct response *response;
        uint64_t used_at;
    } responses[CACHE_SLOTS];
    struct difference differences[CACHE_SLOTS];
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

void response_cache_free(struct response_cache *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        response_unref(c->responses[i].response);
        difference_done(&c->differences[i]);
    }
    free(c);
}

struct response *response_cached(struct response_cache *c, enum xds_type type, bool delta,
                                 uint64_t version, uint64_t last_nonce,
                                 const resource_vec *resources, const resource_vec *removed)
{
    uint64_t nonce = nonce_of(type, delta, version, last_nonce, resources, removed);
    size_t oldest = 0;
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (c->responses[i].response && c->responses[i].response->nonce == nonce) {
            c->responses[i].used_at = ++c->clock;
            return response_ref(c->responses[i].response);
        }
        if (c->responses[i].used_at < c->responses[oldest].used_at) {
            oldest = i;
        }
    }
    response_unref(c->responses[oldest].response);
    c->responses[oldest].response = response_new(type, delta, version, nonce, resources, removed);
    c->responses[oldest].used_at = ++c->clock;
    return response_ref(c->responses[oldest].response);
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

const struct difference *difference_cached(struct response_cache *c, struct view from,
                                           struct view to)
{
    size_t oldest = 0;
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        struct difference *d = &c->differences[i];
        if (d->used_at > 0 && d->from.base == from.base && d->from.own == from.own &&
            d->to.base == to.base && d->to.own == to.own) {
            d->used_at = ++c->clock;
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
    view_diff(from, to, on_changed, on_removed, d);
    return d;
}
