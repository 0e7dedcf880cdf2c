/* A daemon's webhook: the API server is told of it by the replica that writes, its certificate
 * renews, and the root that it is checked with follows. */
#include "kube_fixture.h"

#include <openssl/x509v3.h>

#include "base/log.h"
#include "daemon/webhook.h"
#include "doc/base64.h"
#include "https_client.h"
#include "observe/metrics.h"

#define CONFIGURATION                                                                              \
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/osm-validator-mesh-osm"
#define YEAR_S (INT64_C(365) * 86400)

static struct daemon_flags flags = DAEMON_FLAGS_DEFAULTS;
static const struct issuer_options options = {"cluster.local", CERT_KEY_ECDSA_P256, 0};

static struct {
    struct api *api;
    struct issuer *issuer;
    struct daemon_webhook *webhook;
    char client_ca[64]; /* a file in the API server's folder */
    size_t want;
    int failures;
} f;

static bool answer(void *arg, const struct api_request *q, struct reply *ret)
{
    *ret = (struct reply){.status = 200, .owned = mem_strdup(q->body[0] ? q->body : "{}")};
    ret->body = ret->owned;
    return true;
}

static void decide(void *arg, struct arena *a, const struct admission_request *q,
                   struct admission_verdict *v)
{
    v->allowed = true;
}

static void on_failure(void *arg, const struct err *e)
{
    f.failures++;
}

static int start(const char *client_ca, struct err *e)
{
    struct daemon_webhook_options o = {.loop = f.api->loop,
                                       .client = f.api->client,
                                       .flags = &flags,
                                       .issuer = f.issuer,
                                       .kind = DAEMON_WEBHOOK_VALIDATING,
                                       .route = {.path = WEBHOOK_VALIDATE_PATH, .decide = decide},
                                       .configuration = {.name = "osm-validator-mesh-osm"},
                                       .client_ca_path = client_ca,
                                       .on_failure = on_failure};
    return daemon_webhook_start(&o, &f.webhook, e);
}

static int set_up(void **state)
{
    log_set_level(LOG_OFF);
    metrics_init(METRICS_CONTROLLER);
    memset(&f, 0, sizeof(f));
    f.api = api_new();
    f.api->otherwise = answer;
    if (issuer_new(&options, clock_wall_s(), &f.issuer, NULL) < 0) {
        return -1;
    }
    snprintf(f.client_ca, sizeof(f.client_ca), "%s/ca.crt", f.api->folder);
    return start("", NULL);
}

static int tear_down(void **state)
{
    daemon_webhook_free(f.webhook);
    issuer_free(f.issuer);
    metrics_done();
    unlink(f.client_ca);
    api_free(f.api);
    return 0;
}

static bool is_told(void *arg)
{
    return api_count_of(f.api, "PATCH", CONFIGURATION) >= f.want;
}

static void until_told(size_t times)
{
    f.want = times;
    run_until(f.api->loop, is_told, NULL);
    assert_int_equal(api_count_of(f.api, "PATCH", CONFIGURATION), times);
}

/* Is what was told last to be checked with all that the issuer trusts? */
static void assert_told_roots(void)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    AUTO(blob_unref) struct blob *roots = issuer_roots(f.issuer);
    struct value *v = NULL;
    const char *body = api_request(f.api, api_count(f.api) - 1).body;
    assert_int_equal(value_read_json(a, str_of(body), &v, NULL), 0);
    const struct value *hooks = value_member(v, "webhooks");
    assert_true(value_len(hooks) > 0);
    for (size_t i = 0; i < value_len(hooks); i++) {
        struct str bundle = value_string_at(&hooks->array.at[i], "clientConfig.caBundle");
        assert_true(str_eq(bundle, base64_encode(a, blob_str(roots))));
    }
}

static void only_who_writes_tells_the_api_server(void **state)
{
    daemon_webhook_tick(f.webhook, clock_wall_s());
    daemon_webhook_roots_changed(f.webhook, clock_wall_s());
    assert_int_equal(api_count_of(f.api, NULL, CONFIGURATION), 0);
    daemon_webhook_write(f.webhook, true);
    until_told(1);
    assert_told_roots();
}

static void the_mark_is_noted(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct value *v = NULL;
    daemon_webhook_mark(f.webhook, "first");
    daemon_webhook_write(f.webhook, true);
    daemon_webhook_mark(f.webhook, "second");
    until_told(2);
    const char *body = api_request(f.api, api_count(f.api) - 1).body;
    assert_int_equal(value_read_json(a, str_of(body), &v, NULL), 0);
    const struct value *annotations = value_at(v, "metadata.annotations");
    assert_non_null(annotations);
    assert_true(str_is(value_member(annotations, WEBHOOK_MARK_ANNOTATION)->string, "second"));
    assert_told_roots();
}

static void other_roots_are_told_before_one_of_them_signs(void **state)
{
    AUTO(issuer_free) struct issuer *other = NULL;
    assert_int_equal(issuer_new(&options, clock_wall_s(), &other, NULL), 0);
    daemon_webhook_write(f.webhook, true);
    until_told(1);
    assert_true(issuer_trust_as(f.issuer, other));
    daemon_webhook_roots_changed(f.webhook, clock_wall_s());
    until_told(2);
    assert_told_roots();
}

/* The serial number of the certificate that is shown, and whom it is for. */
static uint64_t shown_serial(void)
{
    struct loop_thread thread = {.loop = f.api->loop};
    struct client c;
    loop_thread_start(&thread);
    client_open_or_fail(&c, daemon_webhook_port(f.webhook));
    X509 *cert = SSL_get1_peer_certificate(c.ssl);
    assert_non_null(cert);
    assert_int_equal(X509_check_host(cert, "osm-validator.osm-system.svc", 0, 0, NULL), 1);
    uint64_t serial;
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    BN_mask_bits(n, 63);
    serial = BN_get_word(n);
    BN_free(n);
    X509_free(cert);
    client_close(&c);
    loop_thread_stop(&thread);
    return serial;
}

static void the_certificate_renews_in_time(void **state)
{
    int64_t now = clock_wall_s();
    uint64_t first = shown_serial();
    daemon_webhook_tick(f.webhook, now + 60);
    assert_true(shown_serial() == first);
    daemon_webhook_tick(f.webhook, now + 7 * YEAR_S);
    assert_true(shown_serial() != first);
    assert_int_equal(f.failures, 0);
}

/* HTTP's status of a review by a caller with this certificate; 0: it wasn't let in. */
static int status_for(const struct cert *cert)
{
    static const char review[] =
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{"
        "\"uid\":\"u\",\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"resource\":{"
        "\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},\"operation\":\"CREATE\","
        "\"namespace\":\"n\",\"object\":{\"metadata\":{\"name\":\"p\"}}}}";
    struct loop_thread thread = {.loop = f.api->loop};
    struct client c;
    int status = 0;
    loop_thread_start(&thread);
    if (client_open_as(&c, daemon_webhook_port(f.webhook), 0, cert)) {
        AUTO(buf_done) struct buf answer;
        status = client_post(&c, WEBHOOK_VALIDATE_PATH, "application/json", STR(review), &answer);
    }
    client_close(&c);
    loop_thread_stop(&thread);
    return status;
}

struct authority {
    struct issuer *issuer;
    struct cert *caller;
    char *roots;
};

static void authority_init(struct authority *x)
{
    assert_int_equal(issuer_new(&options, clock_wall_s(), &x->issuer, NULL), 0);
    assert_int_equal(
        issuer_issue_server(x->issuer, STR("api-server"), clock_wall_s(), &x->caller, NULL), 0);
    AUTO(blob_unref) struct blob *roots = issuer_roots(x->issuer);
    x->roots = mem_memdup(roots->data, roots->len);
}

static void authority_done(struct authority *x)
{
    issuer_free(x->issuer);
    cert_unref(x->caller);
    free(x->roots);
}

static void only_callers_of_the_right_roots_are_answered(void **state)
{
    struct authority a, b;
    struct err e = ERR_INIT;
    authority_init(&a);
    authority_init(&b);
    assert_int_equal(status_for(NULL), 200); /* without the flag: anybody */
    daemon_webhook_free(TAKE(f.webhook));
    assert_int_equal(start(f.client_ca, &e), -1);
    assert_non_null(strstr(e.text, "--webhook-client-ca /tmp/"));
    api_write_file(f.client_ca, a.roots);
    assert_int_equal(start(f.client_ca, &e), 0);
    assert_int_equal(status_for(a.caller), 200);
    assert_int_equal(status_for(b.caller), 0);
    assert_int_equal(status_for(NULL), 0);

    api_write_file(f.client_ca, b.roots);
    daemon_webhook_tick(f.webhook, clock_wall_s());
    assert_int_equal(status_for(a.caller), 0);
    assert_int_equal(status_for(b.caller), 200);
    /* What can't be read lets nobody else in, also not when the webhook's own certificate renews.
     */
    api_write_file(f.client_ca, "no PEM");
    daemon_webhook_tick(f.webhook, clock_wall_s() + 7 * YEAR_S);
    assert_int_equal(status_for(b.caller), 200);
    assert_int_equal(status_for(NULL), 0);
    assert_int_equal(f.failures, 0);
    authority_done(&a);
    authority_done(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_who_writes_tells_the_api_server),          TEST(the_mark_is_noted),
        TEST(other_roots_are_told_before_one_of_them_signs), TEST(the_certificate_renews_in_time),
        TEST(only_callers_of_the_right_roots_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
