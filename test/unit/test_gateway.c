/* The ingress gateway's Secret: when it is written, with what, and when it goes. */
#include "kube_fixture.h"

#include "base/log.h"
#include "daemon/gateway.h"
#include "doc/base64.h"
#include "mesh_fixture.h"

#define NOW INT64_C(1800000000)
#define DAY_S INT64_C(86400)
#define GATEWAY_PATH "/api/v1/namespaces/edge/secrets/gateway"
#define OTHER_PATH "/api/v1/namespaces/edge/secrets/other"
#define CONFIG(spec)                                                                               \
    "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n"                           \
    "metadata: {name: osm-mesh-config, namespace: osm-system}\nspec: {" spec "}\n"
#define WANTED(names, secret)                                                                      \
    CONFIG("certificate: {ingressGateway: {subjectAltNames: [" names                               \
           "], validityDuration: 24h, secret: {name: " secret ", namespace: edge}}}")

static const struct issuer_options options = {"cluster.local", CERT_KEY_ECDSA_P256, 0};

static struct {
    struct api *api;
    struct fixture mesh;
    struct issuer *issuer;
    struct gateway *gateway;
    int refuse; /* the status of answers; 0: 200 */
    int problems;
    char problem[1024];
} f;

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = f.refuse ? f.refuse : 200, .body = "{\"message\":\"told\"}"};
    return true;
}

static void on_problem(void *arg, const char *problem)
{
    f.problems++;
    snprintf(f.problem, sizeof(f.problem), "%s", problem);
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    memset(&f, 0, sizeof(f));
    f.api = api_new();
    f.api->otherwise = answer;
    fixture_init(&f.mesh);
    struct gateway_options o = {.loop = f.api->loop,
                                .client = f.api->client,
                                .mesh = f.mesh.mesh,
                                .mesh_name = "osm",
                                .on_problem = on_problem};
    if (issuer_new(&options, NOW, &f.issuer, NULL) < 0) {
        return -1;
    }
    o.issuer = f.issuer;
    f.gateway = gateway_new(&o);
    return 0;
}

static int tear_down(void **state)
{
    gateway_free(f.gateway);
    fixture_done(&f.mesh);
    issuer_free(f.issuer);
    api_free(f.api);
    return 0;
}

static bool is_done(void *arg)
{
    return gateway_done(f.gateway);
}

static void finish(void)
{
    assert_true(run_until(f.api->loop, is_done, NULL));
}

static void at(int64_t now)
{
    gateway_look(f.gateway, now);
    finish();
}

static void config(const char *yaml, int64_t now)
{
    fixture_put(&f.mesh, yaml);
    fixture_update(&f.mesh);
    at(now);
}

/* So many writes of the Secret, and deletions, in all. */
static void expect(const char *path, size_t writes, size_t deletions)
{
    assert_int_equal(api_count_of(f.api, "PATCH", path), writes);
    assert_int_equal(api_count_of(f.api, "DELETE", path), deletions);
}

/* What was written last, in `a`. */
static const struct value *written(struct arena *a)
{
    const char *body = NULL;
    struct value *v = NULL;
    struct err e = ERR_INIT;
    VEC_EACH(f.api->requests, q) {
        body = api_is(q, "PATCH", GATEWAY_PATH) ? q->body : body;
    }
    assert_non_null(body);
    assert_int_equal(value_read_json(a, str_of(body), &v, &e), 0);
    return v;
}

static struct str decoded(struct arena *a, const char *key)
{
    struct str text = {0};
    const struct value *one = value_member(value_member(written(a), "data"), key);
    assert_true(one && base64_decode(a, one->string, &text));
    return text;
}

static void who_doesnt_hold_the_lease_writes_nothing(void **state)
{
    config(WANTED("g.example", "gateway"), NOW);
    at(NOW + 2 * DAY_S);
    assert_int_equal(api_count_of(f.api, NULL, ""), 0);
}

static void the_secret_has_certificate_key_and_roots(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    gateway_hold(f.gateway, true, NOW);
    at(NOW);
    assert_int_equal(api_count_of(f.api, NULL, ""), 0);
    config(WANTED("g.example, h.example", "gateway"), NOW);
    expect(GATEWAY_PATH, 1, 0);
    assert_true(str_is(value_string_at(written(a), "type"), "kubernetes.io/tls"));
    const struct value *labels = value_at(written(a), "metadata.labels");
    assert_true(str_is(value_member(labels, GATEWAY_LABEL)->string, "osm"));
    AUTO(blob_unref) struct blob *roots = issuer_roots(f.issuer);
    assert_true(str_eq(decoded(a, "ca.crt"), blob_str(roots)));
    assert_true(str_starts(decoded(a, "tls.crt"), "-----BEGIN CERTIFICATE-----"));
    assert_true(str_starts(decoded(a, "tls.key"), "-----BEGIN PRIVATE KEY-----"));
    /* Not for the private key in the answer. */
    assert_non_null(strstr(api_request(f.api, 0).head, "PartialObjectMetadata"));
}

static void it_is_put_back_and_renewed_in_time(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("g.example", "gateway"), NOW);
    struct str first = arena_str(a, decoded(a, "tls.crt"));
    at(NOW + 59);
    expect(GATEWAY_PATH, 1, 0);
    at(NOW + 60);
    expect(GATEWAY_PATH, 2, 0);
    assert_true(str_eq(decoded(a, "tls.crt"), first));
    at(NOW + DAY_S - 60);
    expect(GATEWAY_PATH, 3, 0);
    assert_false(str_eq(decoded(a, "tls.crt"), first));
    at(NOW); /* the clock was put back */
    expect(GATEWAY_PATH, 4, 0);
}

static void it_follows_the_names_and_the_roots(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    AUTO(issuer_free) struct issuer *next = NULL;
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("g.example", "gateway"), NOW);
    config(WANTED("h.example", "gateway"), NOW);
    expect(GATEWAY_PATH, 2, 0);
    struct str first = arena_str(a, decoded(a, "tls.crt"));
    assert_int_equal(issuer_new(&options, NOW, &next, NULL), 0);
    assert_true(issuer_trust_as(f.issuer, next));
    at(NOW + 1);
    expect(GATEWAY_PATH, 3, 0);
    AUTO(blob_unref) struct blob *both = issuer_roots(f.issuer);
    assert_true(str_eq(decoded(a, "ca.crt"), blob_str(both)));
    assert_true(issuer_sign_as(f.issuer, next));
    at(NOW + 2);
    expect(GATEWAY_PATH, 4, 0);
    assert_true(issuer_distrust_as(f.issuer, next));
    at(NOW + 3);
    expect(GATEWAY_PATH, 5, 0);
    assert_false(str_eq(decoded(a, "tls.crt"), first));
    at(NOW + 4);
    expect(GATEWAY_PATH, 5, 0);
}

static void what_is_wanted_no_longer_goes(void **state)
{
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("g.example", "gateway"), NOW);
    config(WANTED("g.example", "other"), NOW);
    expect(GATEWAY_PATH, 1, 1);
    expect(OTHER_PATH, 1, 0);
    config(CONFIG(""), NOW);
    expect(GATEWAY_PATH, 1, 1);
    expect(OTHER_PATH, 1, 1);
    at(NOW + DAY_S);
    assert_int_equal(api_count_of(f.api, NULL, ""), 4);
}

/* Another holder may have moved it in the meantime. */
static void who_gets_the_lease_removes_nothing(void **state)
{
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("g.example", "gateway"), NOW);
    gateway_hold(f.gateway, false, NOW);
    config(CONFIG(""), NOW);
    gateway_hold(f.gateway, true, NOW);
    at(NOW);
    expect(GATEWAY_PATH, 1, 0);
}

static void a_name_that_it_may_not_have_is_told_once(void **state)
{
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("u.sidecar.a.b.cluster.local", "gateway"), NOW);
    at(NOW + 1);
    assert_int_equal(f.problems, 1);
    assert_string_equal(f.problem,
                        "MeshConfig spec.certificate.ingressGateway: subjectAltNames[0]: expected "
                        "another name than that of a sidecar, found "
                        "\"u.sidecar.a.b.cluster.local\"");
    assert_int_equal(api_count_of(f.api, NULL, ""), 0);
    config(WANTED("g.example", "gateway"), NOW);
    expect(GATEWAY_PATH, 1, 0);
}

static void what_the_server_refuses_is_told_once_and_tried_again(void **state)
{
    f.refuse = 403;
    gateway_hold(f.gateway, true, NOW);
    config(WANTED("g.example", "gateway"), NOW);
    at(NOW + 60);
    expect(GATEWAY_PATH, 2, 0);
    assert_int_equal(f.problems, 1);
    assert_non_null(strstr(f.problem, "the ingress gateway's Secret edge/gateway: "));
    assert_non_null(strstr(f.problem, "told"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_doesnt_hold_the_lease_writes_nothing),
        TEST(the_secret_has_certificate_key_and_roots),
        TEST(it_is_put_back_and_renewed_in_time),
        TEST(it_follows_the_names_and_the_roots),
        TEST(what_is_wanted_no_longer_goes),
        TEST(who_gets_the_lease_removes_nothing),
        TEST(a_name_that_it_may_not_have_is_told_once),
        TEST(what_the_server_refuses_is_told_once_and_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
