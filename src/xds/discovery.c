/* Discovery requests on protobuf-c. */
#include "xds/discovery.h"

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
