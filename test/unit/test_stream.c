/* What a discovery stream answers, and what it keeps of what a proxy said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/stream.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;

struct peer {
    struct stream *stream;
    struct response_cache *cache;
    char nonce[17]; /* of the last answer */
};

/* A plan of nothing but this cluster. */
static struct plan *make_plan(const char *cluster, const char *content)
{
    struct plan *p = NEW(struct plan);
    ref_init(&p->ref);
    struct resource *r = resource_new(str_of(cluster), blob_new(content, strlen(content)), 0);
    p->views[XDS_CDS].own = resource_set_new(&r, 1);
    resource_unref(r);
    return p;
}

static int set_up(void **state)
{
    struct peer *p = NEW(struct peer);
    p->stream = stream_new(true);
    p->cache = response_cache_new();
    struct plan *plan = make_plan("there", "1");
    stream_set_plan(p->stream, plan);
    plan_unref(plan);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct peer *p = *state;
    stream_free(p->stream);
    response_cache_free(p->cache);
    free(p);
    return 0;
}

static int send(struct peer *p, const Request *q, struct err *e)
{
    size_t len = protobuf_c_message_get_packed_size(&q->base);
    AUTO(free) uint8_t *bytes = mem_alloc(len);
    enum xds_type refused;
    protobuf_c_message_pack(&q->base, bytes);
    return stream_on_request(p->stream, (struct str){(char *)bytes, len}, 1000, &refused, e);
}

/* Endpoints of names from FROM on. */
static int ask(struct peer *p, int from, size_t n, struct err *e)
{
    char(*names)[16] = mem_array(NULL, n, sizeof(*names));
    AUTO(free) char **list = mem_array(NULL, n, sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(*names), "n%d", from + (int)i);
        list[i] = names[i];
    }
    Request q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    q.type_url = (char *)xds_type_url(XDS_EDS);
    q.resource_names_subscribe = list;
    q.n_resource_names_subscribe = n;
    int rv = send(p, &q, e);
    free(names);
    return rv;
}

static void answer(struct peer *p, enum xds_type t, const char *error)
{
    Request q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    struct err e = ERR_INIT;
    status.message = (char *)error;
    q.type_url = (char *)xds_type_url(t);
    q.response_nonce = p->nonce;
    q.error_detail = error ? &status : NULL;
    assert_int_equal(send(p, &q, &e), 0);
}

/* How many names the next answer says are gone; -1: there is no answer. */
static int removed(struct peer *p)
{
    struct response *r = stream_next(p->stream, p->cache, 1000);
    if (!r) {
        return -1;
    }
    Response *m = envoy__service__discovery__v3__delta_discovery_response__unpack(
        NULL, r->framed->len - 5, (uint8_t *)r->framed->data + 5);
    assert_non_null(m);
    int n = (int)m->n_removed_resources;
    snprintf(p->nonce, sizeof(p->nonce), "%s", m->nonce);
    envoy__service__discovery__v3__delta_discovery_response__free_unpacked(m, NULL);
    response_unref(r);
    return n;
}

static void names_that_arent_there_are_answered_as_removed(void **state)
{
    struct peer *p = *state;
    struct err e = ERR_INIT;
    assert_int_equal(ask(p, 0, 3, &e), 0);
    assert_int_equal(removed(p), 3);
    assert_int_equal(removed(p), -1);
}

static void who_asks_again_before_it_answers_is_told_once(void **state)
{
    struct peer *p = *state;
    struct err e = ERR_INIT;
    assert_int_equal(ask(p, 0, 1, &e), 0);
    assert_int_equal(removed(p), 1);
    assert_int_equal(ask(p, 100, 50, &e), 0);
    size_t once = stream_bytes(p->stream);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(p, 100, 50, &e), 0);
        assert_int_equal(ask(p, 120, 10, &e), 0);
    }
    assert_in_range(stream_bytes(p->stream), once, once + 64);
    assert_int_equal(ask(p, 90, 20, &e), 0); /* half of them are new */
    assert_int_equal(removed(p), -1);
    answer(p, XDS_EDS, NULL);
    assert_int_equal(removed(p), 60);
    assert_true(stream_bytes(p->stream) < once);
}

static void subscriptions_may_not_add_up_to_too_many(void **state)
{
    struct peer *p = *state;
    struct err e = ERR_INIT;
    assert_int_equal(ask(p, 0, LIMIT_ADS_SUBSCRIPTIONS, &e), 0);
    assert_int_equal(ask(p, 0, 1, &e), 0);
    assert_true(ask(p, LIMIT_ADS_SUBSCRIPTIONS, 1, &e) < 0);
    assert_non_null(strstr(e.text, "more than 50000"));
}

static void what_a_returning_proxy_says_it_has_is_counted(void **state)
{
    struct peer *p = *state;
    struct err e = ERR_INIT;
    Request q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry known[100];
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry *list[100];
    char names[100][16];
    for (int i = 0; i < 100; i++) {
        envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(
            &known[i]);
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        known[i].key = names[i];
        known[i].value = "0123456789abcdef";
        list[i] = &known[i];
    }
    q.type_url = (char *)xds_type_url(XDS_CDS);
    q.initial_resource_versions = list;
    q.n_initial_resource_versions = 100;
    assert_int_equal(send(p, &q, &e), 0);
    assert_true(stream_bytes(p->stream) > 100 * sizeof(struct resource));
    assert_int_equal(removed(p), 100);
    answer(p, XDS_CDS, NULL);
    assert_int_equal(stream_bytes(p->stream), 0);
}

static void of_a_long_refusal_the_beginning_is_kept(void **state)
{
    struct peer *p = *state;
    struct err e = ERR_INIT;
    Request q = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    AUTO(free) char *words = mem_zalloc(2 * LIMIT_ADS_REFUSAL_TEXT + 1);
    memset(words, 'x', 2 * LIMIT_ADS_REFUSAL_TEXT);
    q.type_url = (char *)xds_type_url(XDS_CDS);
    assert_int_equal(send(p, &q, &e), 0);
    assert_int_equal(removed(p), 0);
    answer(p, XDS_CDS, words);
    assert_int_equal(strlen(stream_error(p->stream, XDS_CDS)), LIMIT_ADS_REFUSAL_TEXT);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(names_that_arent_there_are_answered_as_removed),
        WITH_PEER(who_asks_again_before_it_answers_is_told_once),
        WITH_PEER(subscriptions_may_not_add_up_to_too_many),
        WITH_PEER(what_a_returning_proxy_says_it_has_is_counted),
        WITH_PEER(of_a_long_refusal_the_beginning_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
