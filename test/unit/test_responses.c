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

static unsigned references(struct ref *r)
{
    return atomic_load(&r->n);
}

/* The same own resource covers another one of the base, which changes: that is nobody's business.
 */
static void what_own_covers_is_no_difference(void **state)
{
    struct response_cache *c = response_cache_new();
    struct resource *old = make("x", "old"), *new = make("x", "new"), *mine = make("x", "mine");
    struct resource_set *own = resource_set_new(&mine, 1);
    struct view from = {resource_set_new(&old, 1), own}, to = {resource_set_new(&new, 1), own};
    const struct difference *d = difference_cached(c, from, to);
    assert_int_equal(d->changed.len, 0);
    assert_int_equal(d->removed.len, 0);
    d = difference_cached(c, (struct view){from.base, NULL}, (struct view){to.base, NULL});
    assert_int_equal(d->changed.len, 1);
    resource_set_unref(from.base);
    resource_set_unref(to.base);
    resource_set_unref(own);
    resource_unref(old);
    resource_unref(new);
    resource_unref(mine);
    response_cache_free(c);
}

static void nothing_that_is_forgotten_is_held(void **state)
{
    struct response_cache *c = response_cache_new();
    struct resource_set *base = make_base();
    struct view v = make_view(base, "one");
    struct response *r = respond(c, true, v);
    difference_cached(c, (struct view){0}, v);
    assert_int_equal(references(&base->ref), 2);
    assert_int_equal(references(&r->rest->ref), 2);
    response_cache_age(c);
    response_cache_age(c);
    assert_int_equal(references(&base->ref), 1);
    assert_int_equal(references(&r->rest->ref), 1);
    assert_int_equal(references(&r->ref), 1);
    response_unref(r);
    resource_set_unref(v.own);
    resource_set_unref(base);
    response_cache_free(c);
}

/* Of large responses fewer are remembered: those used last. */
static void few_large_responses_are_remembered(void **state)
{
    enum { LARGE = 1 << 20, MANY = 8 };
    struct response_cache *c = response_cache_new();
    struct response *made[MANY];
    AUTO(free) char *content = mem_zalloc(LARGE + 1);
    memset(content, 'x', LARGE);
    for (int i = 0; i < MANY; i++) {
        content[0] = (char)('a' + i);
        struct view v = make_view(NULL, content);
        made[i] = respond(c, true, v);
        resource_set_unref(v.own);
    }
    assert_int_equal(references(&made[0]->ref), 1);
    assert_int_equal(references(&made[MANY - 4]->ref), 1);
    assert_int_equal(references(&made[MANY - 3]->ref), 2);
    assert_int_equal(references(&made[MANY - 1]->ref), 2);
    for (int i = 0; i < MANY; i++) {
        response_unref(made[i]);
    }
    response_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_audiences_share_is_encoded_once),
        cmocka_unit_test(both_protocols_tell_all_resources),
        cmocka_unit_test(what_is_not_used_is_forgotten),
        cmocka_unit_test(what_own_covers_is_no_difference),
        cmocka_unit_test(nothing_that_is_forgotten_is_held),
        cmocka_unit_test(few_large_responses_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
