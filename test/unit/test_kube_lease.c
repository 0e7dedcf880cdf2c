/* Leader election against a server that tells of others, with a clock that the test moves. */
#include "kube_fixture.h"

#include "kube/lease.h"

static int64_t now_ms;

struct fixture {
    struct api *api;
    struct kube_lease *lease;
    struct buf trace; /* "held lost " */
    const char *wanted;
};

static int64_t test_clock(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    buf_init(&f->trace, 1 << 16);
    now_ms = 1000000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kube_lease_free(f->lease);
    api_free(f->api);
    buf_done(&f->trace);
    free(f);
    return 0;
}

static void on_change(void *arg, bool held)
{
    struct fixture *f = arg;
    buf_addz(&f->trace, held ? "held " : "lost ");
}

/* Renews every 20 ms of the real clock; what runs out does so by the test's. */
static void start(struct fixture *f)
{
    struct kube_lease_options o = {.client = f->api->client,
                                   .namespace = "osm-system",
                                   .name = "osm",
                                   .identity = "me",
                                   .on_change = on_change,
                                   .arg = f,
                                   .now_ms = test_clock,
                                   .hurry = 100};
    f->lease = kube_lease_start(&o);
}

#define LEASE(version, holder, more)                                                               \
    "{\"metadata\":{\"name\":\"osm\",\"resourceVersion\":\"" version                               \
    "\"},\"spec\":{\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":15" more "}}"
#define MISSING "{\"kind\":\"Status\",\"message\":\"not found\"}"

static bool has_trace(void *arg)
{
    struct fixture *f = arg;
    return f->trace.data && strcmp(f->trace.data, f->wanted) == 0;
}

static void expect(struct fixture *f, const char *trace)
{
    f->wanted = trace;
    run_until(f->api->loop, has_trace, f);
    assert_string_equal(f->trace.data ? f->trace.data : "", trace);
}

static void take_new(struct fixture *f)
{
    api_tell_whole(f->api, 404, MISSING);
    api_tell_whole(f->api, 201, LEASE("1", "me", ""));
    for (size_t i = 0; i < 1000; i++) {
        api_tell_whole(f->api, 200,
                       LEASE("2", "me", ",\"acquireTime\":\"2026-01-02T03:04:05.000000Z\""));
    }
    start(f);
    assert_false(kube_lease_held(f->lease));
    expect(f, "held ");
    assert_true(kube_lease_held(f->lease));
}

static void takes_what_nobody_has(void **state)
{
    struct fixture *f = *state;
    take_new(f);
    assert_string_equal(api_request(f->api, 0).line,
                        "GET /apis/coordination.k8s.io/v1/namespaces/osm-system/leases/osm");
    assert_string_equal(
        api_request(f->api, 1).line,
        "POST /apis/coordination.k8s.io/v1/namespaces/osm-system/leases?fieldManager=osm");
    assert_part(api_request(f->api, 1).body, "\"holderIdentity\":\"me\"");
    assert_part(api_request(f->api, 1).body, "\"leaseTransitions\":0");
    api_await(f->api, 4);
    /* Renewing goes on from the version that was written, and keeps the time of taking. */
    assert_part(api_request(f->api, 2).line, "PUT ");
    assert_part(api_request(f->api, 2).body, "\"resourceVersion\":\"1\"");
    assert_part(api_request(f->api, 3).body, "\"resourceVersion\":\"2\"");
    assert_part(api_request(f->api, 3).body, "\"acquireTime\":\"2026-01-02T03:04:05.000000Z\"");
    assert_string_equal(f->trace.data, "held ");
}

static bool is_given_back(void *arg)
{
    struct fixture *f = arg;
    bool found = false;
    for (size_t i = 0; i < api_count(f->api); i++) {
        struct api_request q = api_request(f->api, i);
        found |= str_starts(str_of(q.line), "PUT ") && strstr(q.body, "\"holderIdentity\":\"\"") &&
                 strstr(q.body, "\"leaseDurationSeconds\":1,");
    }
    return found;
}

static void gives_it_back(void **state)
{
    struct fixture *f = *state;
    take_new(f);
    kube_lease_free(TAKE(f->lease));
    assert_true(run_until(f->api->loop, is_given_back, f));
    assert_string_equal(f->trace.data, "held ");
}

static void waits_while_another_renews(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 200, LEASE("1", "other", ""));
    api_tell_whole(f->api, 200, LEASE("2", "other", ""));
    for (size_t i = 0; i < 1000; i++) {
        api_tell_whole(f->api, 200, LEASE("3", "other", ",\"leaseTransitions\":4"));
    }
    start(f);
    api_await(f->api, 4); /* it has seen version 3, and looks again */
    now_ms += 14999;      /* the lease says 15 s, whatever we would take it for */
    api_await(f->api, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_part(api_request(f->api, i).line, "GET ");
    }
    assert_null(f->trace.data);
}

static void takes_what_has_run_out(void **state)
{
    struct fixture *f = *state;
    struct reply others = {.status = 200, .body = LEASE("3", "other", ",\"leaseTransitions\":4")};
    struct reply ours = {.status = 200, .body = LEASE("4", "me", ",\"leaseTransitions\":5")};
    for (size_t i = 0; i < 1000; i++) {
        api_tell_of(f->api, "GET ", others);
    }
    api_tell_of(f->api, "PUT ", ours);
    start(f);
    api_await(f->api, 2);
    now_ms += 15000;
    expect(f, "held ");
    size_t first = 0;
    while (!str_starts(str_of(api_request(f->api, first).line), "PUT ")) {
        first++;
    }
    assert_part(api_request(f->api, first).body, "\"resourceVersion\":\"3\"");
    assert_part(api_request(f->api, first).body, "\"leaseTransitions\":5");
}

static void takes_at_once_what_was_given_back(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 200, LEASE("3", "", ""));
    api_tell_whole(f->api, 200, LEASE("4", "me", ""));
    start(f);
    expect(f, "held ");
}

static void another_is_faster(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 404, MISSING);
    api_tell_whole(f->api, 409, "{\"message\":\"already exists\"}");
    for (size_t i = 0; i < 1000; i++) {
        api_tell_whole(f->api, 200, LEASE("2", "other", ""));
    }
    start(f);
    api_await(f->api, 5);
    assert_part(api_request(f->api, 2).line, "GET ");
    assert_part(api_request(f->api, 3).line, "GET ");
    assert_null(f->trace.data);
}

static void gives_up_before_another_may_take_it(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 404, MISSING);
    api_tell_whole(f->api, 201, LEASE("1", "me", ""));
    start(f);
    expect(f, "held ");
    api_await(f->api, 5); /* nothing more was told: the server answers 503 */
    now_ms += 9999;
    api_await(f->api, api_count(f->api) + 2);
    assert_string_equal(f->trace.data, "held ");
    now_ms += 1; /* two thirds of 15 s */
    expect(f, "held lost ");
    for (size_t i = 0; i < 1000; i++) {
        api_tell_whole(f->api, 200, LEASE("2", "me", ""));
    }
    expect(f, "held lost held ");
}

static void someone_took_it_by_hand(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 404, MISSING);
    api_tell_whole(f->api, 201, LEASE("1", "me", ""));
    api_tell_whole(f->api, 409, "{\"message\":\"conflict\"}");
    for (size_t i = 0; i < 1000; i++) {
        api_tell_whole(f->api, 200, LEASE("9", "other", ""));
    }
    start(f);
    expect(f, "held lost ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(takes_what_nobody_has),
        TEST(gives_it_back),
        TEST(waits_while_another_renews),
        TEST(takes_what_has_run_out),
        TEST(takes_at_once_what_was_given_back),
        TEST(another_is_faster),
        TEST(gives_up_before_another_may_take_it),
        TEST(someone_took_it_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
