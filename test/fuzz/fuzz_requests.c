/* Any bytes as the requests of a proxy: the first byte chooses the protocol; then requests, each
 * after its length in two bytes. After each the stream sends what it has to. */
#include <stdint.h>
#include <string.h>

#include "xds/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct plan *some_plan(void)
{
    struct plan *p = NEW(struct plan);
    ref_init(&p->ref);
    for (int t = 0; t < XDS_TYPES; t++) {
        resource_vec v = {0};
        VEC_PUSH(v, resource_new(STR("a"), blob_new("first", 5), 0));
        VEC_PUSH(v, resource_new(STR("b"), blob_new("second", 6), 0));
        p->views[t].base = resource_set_new(v.at, v.len);
        resource_vec_done(&v);
    }
    return p;
}

static void send_all(struct stream *s, struct response_cache *cache, int64_t now)
{
    struct response *r;
    for (int i = 0; (r = stream_next(s, cache, now)); i++) {
        ASSERT(i < 100);
        response_unref(r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct stream *s = stream_new(data[0] & 1);
    struct response_cache *cache = response_cache_new();
    struct plan *plan = some_plan();
    int64_t now = 1000;
    stream_set_plan(s, plan);
    for (size_t i = 1; i + 2 <= len;) {
        size_t size = (size_t)data[i] << 8 | data[i + 1];
        size = size < len - i - 2 ? size : len - i - 2;
        enum xds_type refused;
        struct err e = ERR_INIT;
        struct str message = {(const char *)data + i + 2, size};
        if (stream_on_request(s, message, now, &refused, &e) < 0) {
            ASSERT(e.text[0]);
            break;
        }
        send_all(s, cache, now);
        now += STREAM_AWAIT_MS;
        send_all(s, cache, now);
        i += 2 + size;
    }
    stream_free(s);
    plan_unref(plan);
    response_cache_free(cache);
    return 0;
}
