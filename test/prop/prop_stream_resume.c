/* A proxy that returns says what it has, before or after its plan is there: it is sent what it
 * lacks or has in another version, told what is gone, and of all else nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "stream_world.h"
#include "xds/stream.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry Entry;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;

enum { NAMES = 15, NAME_BYTES = 8 }; /* fewer than what responses share a piece of */

/* Of each name: the version that the base, the audience's own set and the proxy have; 0: none. The
 * proxy may have names that the plan hasn't. */
struct case_ {
    int base[NAMES], own[NAMES], known[NAMES];
};

static struct resource *resource_of(int name, int version)
{
    char n[NAME_BYTES], content[32];
    snprintf(n, sizeof(n), "c%d", name);
    snprintf(content, sizeof(content), "c%d v%d", name, version);
    return resource_new(str_of(n), blob_new(content, strlen(content)), 0);
}

static struct resource_set *set_of(const int *versions)
{
    resource_vec v = {0};
    for (int i = 0; i < NAMES; i++) {
        if (versions[i] > 0) {
            VEC_PUSH(v, resource_of(i, versions[i]));
        }
    }
    struct resource_set *s = resource_set_new(v.at, v.len);
    resource_vec_done(&v);
    return s;
}

static int wanted(const struct case_ *x, int i)
{
    return x->own[i] ? x->own[i] : x->base[i];
}

/* Mostly the same as the plan: proxies return to a mesh that changed little or not at all. */
static struct case_ random_case(void)
{
    struct case_ x = {0};
    unsigned differs = roll(3) == 0 ? 0 : 1 + roll(NAMES);
    for (int i = 0; i < NAMES; i++) {
        x.base[i] = roll(3) ? 1 + (int)roll(2) : 0;
        x.own[i] = roll(4) ? 0 : 1 + (int)roll(2);
        x.known[i] = roll(NAMES) < differs ? (int)roll(4) : wanted(&x, i);
    }
    return x;
}

static void ask(struct stream *s, const struct case_ *x)
{
    static Entry entries[NAMES];
    static char names[NAMES][NAME_BYTES], versions[NAMES][17];
    Entry *known[NAMES];
    uint8_t bytes[4096];
    Request q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    q.type_url = (char *)xds_type_url(XDS_CDS);
    q.initial_resource_versions = known;
    for (int i = 0; i < NAMES; i++) {
        if (x->known[i] > 0) {
            struct resource *r = resource_of(i, x->known[i]);
            resource_version_text(r->version, versions[i]);
            snprintf(names[i], NAME_BYTES, "%s", r->name);
            resource_unref(r);
            envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(
                &entries[i]);
            entries[i].key = names[i];
            entries[i].value = versions[i];
            known[q.n_initial_resource_versions++] = &entries[i];
        }
    }
    struct err e = ERR_INIT;
    enum xds_type refused;
    size_t len = envoy__service__discovery__v3__delta_discovery_request__pack(&q, bytes);
    assert_int_equal(stream_on_request(s, (struct str){(char *)bytes, len}, 1000, &refused, &e), 0);
}

static void take(struct case_ *x, const struct response *r)
{
    char name[NAME_BYTES];
    VEC_EACH(r->resources, at) {
        int i = atoi((*at)->name + 1);
        struct resource *now = resource_of(i, wanted(x, i));
        assert_int_not_equal(x->known[i], wanted(x, i)); /* it had this */
        assert_true((*at)->version == now->version);
        resource_unref(now);
        x->known[i] = wanted(x, i);
    }
    assert_null(r->rest);
    Response *m = envoy__service__discovery__v3__delta_discovery_response__unpack(
        NULL, r->framed->len - 5, (const uint8_t *)r->framed->data + 5);
    assert_non_null(m);
    for (size_t k = 0; k < m->n_removed_resources; k++) {
        int i = atoi(m->removed_resources[k] + 1);
        snprintf(name, sizeof(name), "c%d", i);
        assert_string_equal(m->removed_resources[k], name);
        assert_true(x->known[i] > 0 && wanted(x, i) == 0);
        x->known[i] = 0;
    }
    assert_true(m->n_resources + m->n_removed_resources > 0);
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(m, NULL);
}

static void one_return(uint64_t seed, unsigned options)
{
    roll_start(seed);
    struct case_ x = random_case();
    bool early = roll(2), anything = false;
    struct response_cache *cache = response_cache_new();
    struct stream *s = stream_new(true);
    struct plan *p = NEW(struct plan);
    ref_init(&p->ref);
    p->views[XDS_CDS] = (struct view){set_of(x.base), set_of(x.own)};
    for (int i = 0; i < NAMES; i++) {
        anything |= x.known[i] > 0;
    }
    if (early) {
        stream_set_plan(s, p);
    }
    ask(s, &x);
    if (!early) {
        stream_set_plan(s, p);
    }
    struct response *r = stream_next(s, cache, 1000);
    if (r && anything) {
        take(&x, r);
        response_unref(r);
        for (int i = 0; i < NAMES; i++) {
            assert_int_equal(x.known[i], wanted(&x, i));
        }
    } else if (anything) {
        for (int i = 0; i < NAMES; i++) {
            assert_int_equal(x.known[i], wanted(&x, i));
        }
    } else {
        assert_non_null(r); /* one that has nothing waits for an answer */
        response_unref(r);
    }
    stream_free(s);
    plan_unref(p);
    response_cache_free(cache);
}

static void who_returns_is_told_what_differs(void **state)
{
    histories(one_return, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(who_returns_is_told_what_differs, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
