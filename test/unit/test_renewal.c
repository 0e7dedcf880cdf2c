/* New certificates into the Secrets of sidecars. */
#include "kube_fixture.h"

#include "base/log.h"
#include "doc/base64.h"
#include "webhook/renewal.h"

#define UUID(n) n n n n n n n n "-" n n n n "-4" n n n "-8" n n n "-" n n n n n n n n n n n n
#define SECRET(namespace, n)                                                                       \
    "/api/v1/namespaces/" namespace "/secrets/envoy-bootstrap-config-" UUID(n)
#define POD(namespace, account, uuid, phase)                                                       \
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"" namespace "\",\"labels\":{\"osm-proxy-"       \
                                                               "uuid\":\"" uuid "\"}},\"spec\":{"  \
                                                               "\"serviceAccountName\":\"" account \
                                                               "\"},\"status\":{\"phase\":"        \
                                                               "\"" phase "\"}}"
#define PAGE(more, pods) "{\"kind\":\"PodList\",\"metadata\":{" more "},\"items\":[" pods "]}"

static struct {
    struct api *api;
    struct issuer *issuer;
    struct renewal *renewal;
    size_t done, renewed, problems;
} f;

/* Each Secret is there, but for that of uuid 4. */
static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = 200, .body = "{}"};
    if (api_is(q, "PATCH", UUID("4"))) {
        *ret = (struct reply){.status = 404, .body = "{\"message\":\"it is gone\"}"};
    } else if (strstr(q->line, "continue=more")) {
        ret->body = PAGE("", POD("left", "shop", UUID("3"),
                                 "Running") "," POD("demo", "gone", UUID("4"), "Running"));
    } else if (api_is(q, "GET", "/pods")) {
        ret->body = PAGE("\"continue\":\"more\"",
                         POD("demo", "web", UUID("1"), "Running") "," POD(
                             "demo", "job", UUID("2"), "Succeeded") "," POD("demo", "web",
                                                                            "../../x", "Running"));
    }
    return true;
}

static void on_done(void *arg, size_t renewed)
{
    f.done++;
    f.renewed = renewed;
}

static void on_problem(void *arg, const struct err *e)
{
    f.problems++;
}

static int set_up(void **state)
{
    struct issuer_options io = {.trust_domain = "cluster.local"};
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.api = api_new();
    f.api->otherwise = answer;
    struct renewal_options o = {.client = f.api->client,
                                .loop = f.api->loop,
                                .retry_ms = 1,
                                .on_done = on_done,
                                .on_problem = on_problem};
    if (issuer_new(&io, clock_wall_s(), &f.issuer, NULL) < 0) {
        return -1;
    }
    o.issuer = f.issuer;
    f.renewal = renewal_new(&o);
    return 0;
}

static int tear_down(void **state)
{
    renewal_free(f.renewal);
    issuer_free(f.issuer);
    api_free(f.api);
    return 0;
}

static bool is_done(void *arg)
{
    return f.done > 0;
}

/* The bytes of the first certificate of a PEM text: names are in it as they are. */
static struct str der_of(struct arena *a, struct str pem)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *from = memmem(pem.ptr, pem.len, begin, strlen(begin));
    const char *to = memmem(pem.ptr, pem.len, end, strlen(end));
    struct str der = {0};
    assert_true(from && to);
    from += strlen(begin);
    assert_true(base64_decode(a, (struct str){from, (size_t)(to - from)}, &der));
    return der;
}

/* A certificate with this name was written there. */
static void assert_written(const char *secret, const char *name)
{
    for (size_t i = 0; i < api_count(f.api); i++) {
        struct api_request q = api_request(f.api, i);
        if (api_is(&q, "PATCH", secret)) {
            AUTO(arena_free) struct arena *a = arena_new(8192);
            struct value *v = NULL;
            struct str pem;
            assert_int_equal(value_read_json(a, str_of(q.body), &v, NULL), 0);
            const struct value *cert = value_member(value_member(v, "data"), "sds_cert.pem");
            assert_true(cert && base64_decode(a, cert->string, &pem));
            struct str der = der_of(a, pem);
            assert_non_null(memmem(der.ptr, der.len, name, strlen(name)));
            return;
        }
    }
    fail_msg("nothing was written to %s", secret);
}

/* Wherever a pod has a sidecar: also in a namespace that isn't in the mesh any more. */
static void all_pods_with_a_sidecar(void **state)
{
    renewal_start(f.renewal);
    assert_true(run_until(f.api->loop, is_done, NULL));
    assert_int_equal(f.renewed, 2);
    assert_int_equal(f.problems, 0);
    assert_written(SECRET("demo", "1"), "spiffe://cluster.local/" UUID("1") "/sidecar/web/demo");
    assert_written(SECRET("left", "3"), "spiffe://cluster.local/" UUID("3") "/sidecar/shop/left");
    assert_int_equal(api_count_of(f.api, "PATCH", ""), 3); /* one is gone with its pod */
}

static void no_secret_is_read(void **state)
{
    renewal_start(f.renewal);
    assert_true(run_until(f.api->loop, is_done, NULL));
    for (size_t i = 0; i < api_count(f.api); i++) {
        struct api_request q = api_request(f.api, i);
        bool page = strstr(q.line, "GET /api/v1/pods?labelSelector=osm-proxy-uuid&limit=200");
        assert_true(page || api_is(&q, "PATCH", ""));
        /* Nor does the answer to a write hold one. */
        assert_true(page || strstr(q.head, "as=PartialObjectMetadata"));
    }
}

static void what_could_not_be_written_is_tried_again(void **state)
{
    api_tell_of(f.api, "PATCH", (struct reply){.status = 500, .body = "{\"message\":\"no\"}"});
    renewal_start(f.renewal);
    assert_true(run_until(f.api->loop, is_done, NULL));
    assert_int_equal(f.problems, 1);
    assert_int_equal(f.renewed, 2);
    assert_int_equal(f.done, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_pods_with_a_sidecar),
        TEST(no_secret_is_read),
        TEST(what_could_not_be_written_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
