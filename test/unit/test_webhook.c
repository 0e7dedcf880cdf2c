/* AdmissionReviews in and out, over HTTPS: what is none is told in a sentence, and the server goes
 * on. */
#include <signal.h>

#include "base/limits.h"
#include "doc/base64.h"
#include "https_client.h"
#include "inject/build.h"
#include "webhook/json_patch.h"
#include "webhook/server.h"

#define UID "705ab4f5-6393-11e8-b7cc-42010a800002"
#define HEAD "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":"
#define REQUEST(more)                                                                              \
    HEAD "{\"uid\":\"" UID "\",\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},"     \
         "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"}," more "}}"
#define CREATE(object) REQUEST("\"operation\":\"CREATE\",\"namespace\":\"demo\",\"object\":" object)

/* --- reading --- */

static void a_request_is_read(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct admission_request q;
    struct err e = ERR_INIT;
    const char *text =
        REQUEST("\"operation\":\"UPDATE\",\"namespace\":\"demo\",\"name\":\"web\",\"dryRun\":true,"
                "\"subResource\":\"status\",\"userInfo\":{\"username\":\"alice\"},"
                "\"object\":{\"a\":1},\"oldObject\":{\"a\":2},\"options\":{}");
    if (admission_read(a, str_of(text), &q, &e) < 0) {
        fail_msg("%s", e.text);
    }
    assert_true(str_is(q.uid, UID) && str_is(q.group, "") && str_is(q.version, "v1"));
    assert_true(str_is(q.kind, "Pod") && str_is(q.resource, "pods"));
    assert_true(str_is(q.subresource, "status") && str_is(q.namespace, "demo"));
    assert_true(str_is(q.name, "web") && str_is(q.user, "alice") && q.dry_run);
    assert_int_equal(q.operation, ADMISSION_UPDATE);
    assert_int_equal(value_member(q.object, "a")->integer, 1);
    assert_int_equal(value_member(q.old_object, "a")->integer, 2);
    const char *gone = REQUEST("\"operation\":\"DELETE\",\"object\":null,\"oldObject\":{}");
    assert_int_equal(admission_read(a, str_of(gone), &q, &e), 0);
    assert_null(q.object);
    assert_non_null(q.old_object);
    assert_false(q.dry_run);
}

static const struct {
    const char *body, *says;
} bad[] = {
    {"", "broken JSON"},
    {"{", "broken JSON at line 1"},
    {"\xff\xfe", "broken JSON"},
    {"[]", "kind: expected AdmissionReview, found nothing"},
    {"{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", "kind: expected AdmissionReview, found \"Pod\""},
    {"{\"kind\":\"AdmissionReview\"}", "apiVersion: expected admission.k8s.io/v1, found nothing"},
    {"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1\"}",
     "apiVersion: expected admission.k8s.io/v1, found \"admission.k8s.io/v1beta1\""},
    {"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}",
     "request: expected an object, found nothing"},
    {HEAD "[1]}", "request: expected an object, found [1]"},
    {HEAD "{}}", "request.uid: expected a text"},
    {HEAD "{\"uid\":7}}", "request.uid: expected a text of at most 253 bytes, found 7"},
    {HEAD "{\"uid\":\"u\"}}", "request.kind.kind: expected the name of a kind, found nothing"},
    {REQUEST("\"object\":{}"), "request.operation: expected CREATE, UPDATE, DELETE or CONNECT"},
    {REQUEST("\"operation\":\"create\",\"object\":{}"), "found \"create\""},
    {REQUEST("\"operation\":\"CREATE\""), "request.object: expected the object to admit"},
    {REQUEST("\"operation\":\"CREATE\",\"object\":null"), "request.object: expected the object"},
    {CREATE("\"pod\""), "request.object: expected an object, found \"pod\""},
    {CREATE("{},\"oldObject\":3"), "request.oldObject: expected an object, found 3"},
};

static void what_is_no_review_is_told(void **state)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO(arena_free) struct arena *a = arena_new(4096);
        struct admission_request q;
        struct err e = ERR_INIT;
        assert_int_equal(admission_read(a, str_of(bad[i].body), &q, &e), -1);
        if (!strstr(e.text, bad[i].says) || !str_starts(str_of(e.text), "AdmissionReview: ")) {
            fail_msg("case %zu: %s isn't in: %s", i, bad[i].says, e.text);
        }
        assert_null(strchr(e.text, '\n'));
    }
}

/* --- writing --- */

static const char *written(struct arena *a, const struct admission_verdict *v)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    admission_write(a, STR(UID), v, &out);
    return arena_str(a, buf_str(&out)).ptr;
}

#define ANSWER(more)                                                                               \
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":"  \
    "\"" UID "\"," more "}}"

static void verdicts_are_written(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct admission_verdict v = {.allowed = true, .patch = value_new(a, VALUE_ARRAY)};
    assert_string_equal(written(a, &v), ANSWER("\"allowed\":true"));
    struct value *from = value_new(a, VALUE_OBJECT);
    v.patch = json_patch_diff(a, from, build_object(a, "x", value_new_int(a, 1), NULL));
    struct str patch = base64_encode(a, STR("[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]"));
    AUTO(free)
    char *want = mem_printf(ANSWER("\"allowed\":true,\"patchType\":\"JSONPatch\",\"patch\":\"%s\""),
                            patch.ptr);
    assert_string_equal(written(a, &v), want);

    v = (struct admission_verdict){0};
    assert_string_equal(
        written(a, &v),
        ANSWER("\"allowed\":false,\"status\":{\"status\":\"Failure\",\"message\":\"refused\","
               "\"reason\":\"Forbidden\",\"code\":403}"));
    admission_deny(a, &v, 422, "spec.%s: \"x\"", "weight");
    admission_warn(a, &v, "one %d", 1);
    admission_warn(a, &v, "two");
    assert_string_equal(
        written(a, &v),
        ANSWER(
            "\"allowed\":false,\"status\":{\"status\":\"Failure\",\"message\":\"spec.weight: "
            "\\\"x\\\"\",\"reason\":\"Invalid\",\"code\":422},\"warnings\":[\"one 1\",\"two\"]"));
}

static void sentences_and_warnings_have_limits(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(4096);
    struct admission_verdict v = {0};
    char text[2 * LIMIT_ADMISSION_TEXT];
    /* Two bytes a character, so that the cut would be within one. */
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    text[sizeof(text) - 1] = '\0';
    admission_deny(a, &v, 403, "%s", text);
    assert_true(v.message.len < LIMIT_ADMISSION_TEXT && v.message.len % 2 == 0);
    for (size_t i = 0; i < 2 * LIMIT_ADMISSION_WARNINGS; i++) {
        admission_warn(a, &v, "w");
    }
    assert_int_equal(v.warnings->array.len, LIMIT_ADMISSION_WARNINGS);
}

/* --- patches --- */

static void patches_are_as_small_as_the_change(void **state)
{
    static const struct {
        const char *from, *to, *patch;
    } cases[] = {
        {"{}", "{}", "[]"},
        {"{\"a\":1,\"b\":[1]}", "{\"b\":[1],\"a\":1.0}", "[]"},
        {"1", "2", "[{\"op\":\"replace\",\"path\":\"\",\"value\":2}]"},
        {"{\"a\":1}", "{\"a\":2,\"b\":null}",
         "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},"
         "{\"op\":\"add\",\"path\":\"/b\",\"value\":null}]"},
        {"{\"a/b\":1,\"m~n\":{\"x\":1}}", "{\"m~n\":{}}",
         "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"remove\",\"path\":\"/m~0n/x\"}]"},
        {"[1,2]", "[0,1,2]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":0}]"},
        {"[1,2]", "[1,2,3]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]"},
        {"[1,2,3,4]", "[1,4]",
         "[{\"op\":\"remove\",\"path\":\"/2\"},{\"op\":\"remove\",\"path\":\"/1\"}]"},
        {"[{\"n\":\"a\"},{\"n\":\"b\"}]", "[{\"n\":\"a\",\"p\":1},{\"n\":\"b\"}]",
         "[{\"op\":\"add\",\"path\":\"/0/p\",\"value\":1}]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(4096);
        AUTO(buf_done) struct buf out;
        struct value *from, *to;
        buf_init(&out, 4096);
        assert_int_equal(value_read_json(a, str_of(cases[i].from), &from, NULL), 0);
        assert_int_equal(value_read_json(a, str_of(cases[i].to), &to, NULL), 0);
        value_write_json(json_patch_diff(a, from, to), &out);
        assert_string_equal(out.data, cases[i].patch);
    }
}

static void a_patch_that_does_not_fit_is_an_error(void **state)
{
    static const char *const patches[] = {
        "[{\"op\":\"remove\",\"path\":\"/b\"}]",
        "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]",
        "[{\"op\":\"add\",\"path\":\"/b/c\",\"value\":1}]",
        "[{\"op\":\"add\",\"path\":\"/a/4\",\"value\":1}]",
        "[{\"op\":\"remove\",\"path\":\"/a/3\"}]",
        "[{\"op\":\"remove\",\"path\":\"/a/-\"}]",
        "[{\"op\":\"replace\",\"path\":\"/a/01x\",\"value\":1}]",
        "[{\"op\":\"add\",\"path\":\"/c\"}]",
        "[{\"op\":\"add\",\"path\":\"c\",\"value\":1}]",
        "[{\"op\":\"copy\",\"path\":\"/c\",\"from\":\"/a\"}]",
        "[1]",
    };
    for (size_t i = 0; i < COUNT_OF(patches); i++) {
        AUTO(arena_free) struct arena *a = arena_new(4096);
        struct value *document, *patch, *out = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(value_read_json(a, STR("{\"a\":[1,2,3]}"), &document, NULL), 0);
        assert_int_equal(value_read_json(a, str_of(patches[i]), &patch, NULL), 0);
        if (json_patch_apply(a, document, patch, &out, &e) != -1) {
            fail_msg("case %zu fits", i);
        }
        assert_true(str_starts(str_of(e.text), "operation 0 of the patch"));
    }
}

/* --- the server --- */

struct fixture {
    struct loop_thread thread;
    struct webhook_server *server;
    struct issuer *issuer;
    struct cert *cert;
    struct webhook_route routes[2];
    struct webhook_review *held;
    atomic_int holding, answers, failures;
    int64_t patience;
};

static void decide(void *arg, struct arena *a, const struct admission_request *q,
                   struct admission_verdict *v)
{
    v->allowed = str_is(value_string_at(q->object, "say"), "yes");
    if (!v->allowed) {
        admission_deny(a, v, 422, "say: expected yes");
    }
}

static void begin(void *arg, struct webhook_review *r)
{
    struct fixture *f = arg;
    f->held = r;
    f->patience = r->deadline - clock_mono_ms();
    f->holding = 1;
}

static void on_answer(void *arg, const char *path, struct str kind, int status, bool success,
                      int64_t duration_us)
{
    struct fixture *f = arg;
    assert_true(duration_us >= 0 && path[0] == '/');
    f->answers++;
    f->failures += !success;
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct issuer_options io = {.trust_domain = "cluster.local"};
    struct err e = ERR_INIT;
    signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    *state = f;
    f->thread.loop = loop_new();
    f->routes[0] = (struct webhook_route){.path = "/validate", .decide = decide, .arg = f};
    f->routes[1] = (struct webhook_route){.path = "/mutate", .begin = begin, .arg = f};
    struct webhook_options o = {.loop = f->thread.loop,
                                .host = "127.0.0.1",
                                .routes = f->routes,
                                .n_routes = COUNT_OF(f->routes),
                                .on_answer = on_answer,
                                .arg = f};
    if (issuer_new(&io, clock_wall_s(), &f->issuer, &e) < 0 ||
        issuer_issue_server(f->issuer, STR("osm-validator.osm-system.svc"), clock_wall_s(),
                            &f->cert, &e) < 0) {
        fail_msg("%s", e.text);
    }
    o.cert = f->cert;
    if (webhook_start(&o, &f->server, &e) < 0) {
        fail_msg("%s", e.text);
    }
    loop_thread_start(&f->thread);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    loop_thread_stop(&f->thread);
    webhook_free(f->server);
    cert_unref(f->cert);
    issuer_free(f->issuer);
    loop_free(f->thread.loop);
    free(f);
    return 0;
}

static void open_or_fail(struct fixture *f, struct client *c)
{
    client_open_or_fail(c, webhook_port(f->server));
}

static void expect(struct client *c, const char *path, const char *type, struct str body,
                   int status, const char *says)
{
    AUTO(buf_done) struct buf answer;
    int got = client_post(c, path, type, body, &answer);
    if (got != status || !strstr(client_body(&answer).ptr, says)) {
        fail_msg("%s: want %d %s, got %d %s", path, status, says, got, answer.data);
    }
}

static void the_server_answers_reviews(void **state)
{
    struct fixture *f = *state;
    struct client c;
    open_or_fail(f, &c);
    expect(&c, "/validate?timeout=10s", "application/json", STR(CREATE("{\"say\":\"yes\"}")), 200,
           ANSWER("\"allowed\":true"));
    expect(&c, "/validate", "application/json; charset=utf-8", STR(CREATE("{}")), 200,
           "\"message\":\"say: expected yes\",\"reason\":\"Invalid\",\"code\":422");
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->failures, 0); /* a refusal is a verdict too */
    client_close(&c);
}

static void what_is_no_call_is_told_and_the_server_goes_on(void **state)
{
    struct fixture *f = *state;
    struct client c;
    AUTO(free) char *large = mem_alloc(LIMIT_ADMISSION_BYTES + 1);
    memset(large, ' ', LIMIT_ADMISSION_BYTES + 1);
    AUTO(free) char *deep = mem_alloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    open_or_fail(f, &c);
    expect(&c, "/validate", "text/plain", STR("{}"), 415,
           "Content-Type: expected application/json, found \"text/plain\"");
    expect(&c, "/validate", "application/jsonx", STR("{}"), 415, "expected application/json");
    expect(&c, "/validate", "application/json", STR(""), 400,
           "expected an AdmissionReview, found an empty body");
    expect(&c, "/validate?timeout=soon", "application/json", STR("{}"), 400,
           "timeout: expected a duration");
    expect(&c, "/validate?timeout=-1s", "application/json", STR("{}"), 400,
           "timeout: expected a duration");
    expect(&c, "/elsewhere", "application/json", STR("{}"), 404, "no such page");
    expect(&c, "/validate", "application/json", str_of(deep), 400, "64 levels");
    memset(deep, ',', 100000);
    deep[0] = '[';
    expect(&c, "/validate", "application/json", str_of(deep), 400, "at most 100000 values");
    expect(&c, "/validate", "application/json", (struct str){large, LIMIT_ADMISSION_BYTES}, 400,
           "AdmissionReview: broken JSON");
    for (size_t i = 1; i < COUNT_OF(bad); i++) {
        expect(&c, "/mutate", "application/json", str_of(bad[i].body), 400, bad[i].says);
    }
    assert_int_equal(f->answers, f->failures);
    AUTO(buf_done) struct buf answer;
    int status = client_post(&c, "/validate", "application/json",
                             (struct str){large, LIMIT_ADMISSION_BYTES + 1}, &answer);
    assert_int_equal(status, 413);
    client_close(&c);
    open_or_fail(f, &c);
    expect(&c, "/validate", "application/json", STR(CREATE("{\"say\":\"yes\"}")), 200, "true");
    client_close(&c);
}

static void release(void *arg)
{
    struct fixture *f = arg;
    f->held->verdict.allowed = true;
    webhook_answer(f->held);
}

#define POST(path, body)                                                                           \
    "POST " path " HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",   \
        strlen(body), body

static void an_answer_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct client c, other;
    AUTO(free) char *text = mem_printf(POST("/mutate?timeout=7s", CREATE("{}")));
    open_or_fail(f, &c);
    open_or_fail(f, &other);
    assert_true(client_send(&c, str_of(text)));
    loop_thread_wait(&f->holding);
    assert_in_range(f->patience, 1, 7000);
    /* Others don't wait for it. */
    expect(&other, "/validate", "application/json", STR(CREATE("{\"say\":\"yes\"}")), 200, "true");
    loop_thread_call(&f->thread, release, f);
    AUTO(buf_done) struct buf answer;
    assert_int_equal(client_read(&c, &answer), 200);
    assert_string_equal(client_body(&answer).ptr, ANSWER("\"allowed\":true"));
    client_close(&c);
    client_close(&other);
}

static void free_server(void *arg)
{
    struct fixture *f = arg;
    webhook_free(f->server);
    f->server = NULL;
    release(f);
}

static void the_server_may_go_before_the_answer(void **state)
{
    struct fixture *f = *state;
    struct client c;
    AUTO(free) char *text = mem_printf(POST("/mutate", CREATE("{}")));
    open_or_fail(f, &c);
    assert_true(client_send(&c, str_of(text)));
    loop_thread_wait(&f->holding);
    loop_thread_call(&f->thread, free_server, f);
    client_close(&c);
}

static void drain(void *arg)
{
    webhook_drain(((struct fixture *)arg)->server);
}

static void a_draining_server_closes_after_its_answers(void **state)
{
    struct fixture *f = *state;
    struct client c;
    open_or_fail(f, &c);
    expect(&c, "/validate", "application/json", STR(CREATE("{}")), 200, "false");
    loop_thread_call(&f->thread, drain, f);
    AUTO(buf_done) struct buf answer, end;
    assert_int_equal(client_post(&c, "/validate", "application/json", STR(CREATE("{}")), &answer),
                     200);
    assert_non_null(strstr(answer.data, "Connection: close\r\n"));
    assert_int_equal(client_read(&c, &end), 0);
    client_close(&c);
}

int main(void)
{
#define SERVED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(what_is_no_review_is_told),
        cmocka_unit_test(verdicts_are_written),
        cmocka_unit_test(sentences_and_warnings_have_limits),
        cmocka_unit_test(patches_are_as_small_as_the_change),
        cmocka_unit_test(a_patch_that_does_not_fit_is_an_error),
        SERVED(the_server_answers_reviews),
        SERVED(what_is_no_call_is_told_and_the_server_goes_on),
        SERVED(an_answer_may_come_later),
        SERVED(the_server_may_go_before_the_answer),
        SERVED(a_draining_server_closes_after_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
