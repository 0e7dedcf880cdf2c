/* Discovery responses: what their bytes say, and what is shared and remembered. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/discovery.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Delta;
typedef Envoy__Service__Discovery__V3__DiscoveryResponse Sotw;

enum { COMMON = 40 };

static struct resource *make(const char *name, const char *content)
{
    return resource_new(str_of(name), blob_new(content, strlen(content)), 0);
}

static struct resource_set *make_base(void)
{
    resource_vec v = {0};
    for (int i = 0; i < COMMON; i++) {
        char name[16];
        snprintf(name, sizeof(name), "common-%d", i);
        VEC_PUSH(v, make(name, name));
    }
    struct resource_set *s = resource_set_new(v.at, v.len);
    resource_vec_done(&v);
    return s;
}

static void add_all(void *arg, struct resource *r)
{
    resource_vec *v = arg;
    VEC_PUSH(*v, r);
}

/* The message's bytes, of both parts; the prefix says how many they are. */
static struct buf whole(const struct response *r)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_add(&b, r->framed->data, r->framed->len);
    if (r->rest) {
        buf_add(&b, r->rest->data, r->rest->len);
    }
    const uint8_t *p = (const uint8_t *)b.data;
    assert_int_equal(b.len, 5 + ((size_t)p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4]));
    buf_consume(&b, 5);
    return b;
}

static struct response *respond(struct response_cache *c, bool delta, struct view v)
{
    resource_vec all = {0}, none = {0};
    view_each(v, add_all, &all);
    struct response *r = response_cached(
        c, XDS_CDS,
        &(struct response_content){
            .delta = delta, .version = 7, .resources = &all, .removed = &none, .base = v.base});
    VEC_DONE(all);
    return r;
}

static struct view make_view(struct resource_set *base, const char *own)
{
    struct resource *r = make("own", own);
    struct view v = {base, resource_set_new(&r, 1)};
    resource_unref(r);
    return v;
}

static void what_audiences_share_is_encoded_once(void **state)
{
    struct response_cache *c = response_cache_new();
    struct resource_set *base = make_base();
    struct view one = make_view(base, "one"), two = make_view(base, "two");
    struct response *a = respond(c, true, one), *b = respond(c, true, two);
    assert_non_null(a->rest);
    assert_ptr_equal(a->rest, b->rest);
    assert_ptr_not_equal(a->framed, b->framed);
    assert_int_equal(a->resources.len, COMMON + 1);
    response_unref(a);
    response_unref(b);
    resource_set_unref(one.own);
    resource_set_unref(two.own);
    resource_set_unref(base);
    response_cache_free(c);
}

static void both_protocols_tell_all_resources(void **state)
{
    struct response_cache *c = response_cache_new();
    struct resource_set *base = make_base();
    struct view v = make_view(base, "one");
    for (int delta = 0; delta < 2; delta++) {
        struct response *r = respond(c, delta, v);
        struct buf b = whole(r);
        size_t n = 0;
        if (delta) {
            Delta *m = envoy__service__discovery__v3__delta_discovery_response__unpack(
                NULL, b.len, (uint8_t *)b.data);
            assert_non_null(m);
            for (; n < m->n_resources; n++) {
                char version[17];
                struct resource *x = view_find(v, resource_id(str_of(m->resources[n]->name)));
                resource_version_text(x->version, version);
                assert_string_equal(m->resources[n]->version, version);
                assert_memory_equal(m->resources[n]->resource->value.data, x->body->data,
                                    x->body->len);
            }
            assert_string_equal(m->type_url, xds_type_url(XDS_CDS));
            envoy__service__discovery__v3__delta_discovery_response__free_unpacked(m, NULL);
        } else {
            Sotw *m = envoy__service__discovery__v3__discovery_response__unpack(NULL, b.len,
                                                                                (uint8_t *)b.data);
            assert_non_null(m);
            assert_string_equal(m->version_info, "0000000000000007");
            n = m->n_resources;
            envoy__service__discovery__v3__discovery_response__free_unpacked(m, NULL);
        }
        assert_int_equal(n, COMMON + 1);
        buf_done(&b);
        response_unref(r);
    }
    resource_set_unref(v.own);
    resource_set_unref(base);
    response_cache_free(c);
}

/* What wasn't asked for between two calls is forgotten: the same question gets new bytes. */
static void what_is_not_used_is_forgotten(void **state)
{
    struct response_cache *c = response_cache_new();
    struct resource_set *base = make_base();
    struct view v = make_view(base, "one");
    struct response *a = respond(c, true, v), *again = respond(c, true, v);
    assert_ptr_equal(a, again);
    response_unref(again);
    response_cache_age(c);
    again = respond(c, true, v);
    assert_ptr_equal(a, again);
    response_unref(again);
    response_cache_age(c);
    response_cache_age(c);
    struct response *fresh = respond(c, true, v);
    assert_ptr_not_equal(a, fresh);
    assert_int_equal(a->nonce, fresh->nonce);
    response_unref(a);
    response_unref(fresh);
    resource_set_unref(v.own);
    resource_set_unref(base);
    response_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_audiences_share_is_encoded_once),
        cmocka_unit_test(both_protocols_tell_all_resources),
        cmocka_unit_test(what_is_not_used_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
