/* Requests, and what an error says; events. */
#include "kube_fixture.h"

#include "kube/event.h"

struct fixture {
    struct api *api;
    struct arena *arena;
    size_t done;
    int status;
    struct err error;
    char name[64];
    size_t wanted;
};

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    f->arena = arena_new(4096);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    api_free(f->api);
    arena_free(f->arena);
    free(f);
    return 0;
}

#define STATUS(message) "{\"kind\":\"Status\",\"message\":\"" message "\"}"

static void asks_and_decodes(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct value *v = NULL;
    api_tell_whole(f->api, 200, "{\"metadata\":{\"name\":\"a\"}}");
    assert_int_equal(kube_do(f->api->client, &(struct kube_request){.path = "/api/v1/namespaces/a"},
                             f->arena, &v, &e),
                     200);
    assert_true(str_is(value_string_at(v, "metadata.name"), "a"));
    assert_string_equal(api_request(f->api, 0).line, "GET /api/v1/namespaces/a");
    assert_non_null(strstr(api_request(f->api, 0).head, "Authorization: Bearer first\r\n"));
    assert_non_null(strstr(api_request(f->api, 0).head, "Accept: application/json\r\n"));
    api_tell_whole(f->api, 200, "");
    assert_int_equal(
        kube_do(f->api->client, &(struct kube_request){.path = "/x"}, f->arena, &v, &e), 200);
    assert_null(v);
}

static void says_what_the_server_says(void **state)
{
    struct fixture *f = *state;
    struct value *v;
    static const struct {
        int status;
        const char *body, *error;
    } rows[] = {
        {403, STATUS("pods is forbidden: User \\\"x\\\" cannot list"),
         "GET /api/v1/pods: pods is forbidden: User \"x\" cannot list (403)"},
        {404, "404 page not found\nmore\n", "GET /api/v1/pods: 404 page not found (404)"},
        {500, "", "GET /api/v1/pods: no reason is given (500)"},
        {200, "{",
         "GET /api/v1/pods?limit=1: what the API server answered: broken JSON at line 1, "
         "column 1: it ends too early"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = ERR_INIT;
        api_tell_whole(f->api, rows[i].status, rows[i].body);
        int status = kube_do(f->api->client, &(struct kube_request){.path = "/api/v1/pods?limit=1"},
                             f->arena, &v, &e);
        assert_int_equal(status, rows[i].status == 200 ? -1 : rows[i].status);
        assert_string_equal(e.text, rows[i].error);
    }
}

static void a_status_is_given_too(void **state)
{
    struct fixture *f = *state;
    struct value *v = NULL;
    api_tell_whole(f->api, 409,
                   "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"there\"}");
    assert_int_equal(kube_do(f->api->client,
                             &(struct kube_request){.path = "/x", .method = "DELETE"}, f->arena, &v,
                             NULL),
                     409);
    assert_true(str_is(value_string_at(v, "reason"), "AlreadyExists"));
    assert_string_equal(api_request(f->api, 0).line, "DELETE /x");
}

static void nobody_there(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    AUTO(free)
    char *config = mem_printf("clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
                              "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n");
    api_write_file(f->api->kubeconfig, config);
    struct kube_client *c = api_client(f->api, NULL);
    assert_int_equal(kube_do(c, &(struct kube_request){.path = "/version"}, f->arena, NULL, &e),
                     -1);
    assert_non_null(strstr(e.text, "GET /version: the API server at http://127.0.0.1:1 doesn't "
                                   "answer: Failed to connect to 127.0.0.1 port 1"));
    kube_client_free(c);
}

static void refused_credentials_are_read_again(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    api_tell_whole(f->api, 200, "{}");
    kube_do(f->api->client, &(struct kube_request){.path = "/x"}, f->arena, NULL, &e);
    api_tell_whole(f->api, 401, STATUS("Unauthorized"));
    assert_int_equal(
        kube_do(f->api->client, &(struct kube_request){.path = "/x"}, f->arena, NULL, &e), 401);
    AUTO(free)
    char *expected = mem_printf("GET /x: the API server at http://127.0.0.1:%u doesn't accept the "
                                "credentials of context \"x\": Unauthorized (401)",
                                f->api->port);
    assert_string_equal(e.text, expected);
    assert_int_equal(api_count(f->api), 2);
}

static void overloaded_servers_are_asked_again(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    api_tell(f->api, (struct reply){429, STATUS("slow down"), AFTER_WHOLE, "Retry-After: 1", 0});
    api_tell_whole(f->api, 200, "{}");
    assert_int_equal(
        kube_do(f->api->client, &(struct kube_request){.path = "/x"}, f->arena, NULL, &e), 200);
    assert_true(api_request(f->api, 1).at_ms - api_request(f->api, 0).at_ms >= 1000);
    api_tell_whole(f->api, 429, STATUS("slow down"));
    assert_int_equal(
        kube_do(f->api->client, &(struct kube_request){.path = "/x"}, f->arena, NULL, &e), 429);
    assert_string_equal(e.text, "GET /x: slow down (429)");
}

static void paths(void **state)
{
    struct fixture *f = *state;
    struct arena *a = f->arena;
    assert_string_equal(kube_path(a, KIND_POD, STR(""), STR(""), NULL), "/api/v1/pods");
    assert_string_equal(kube_path(a, KIND_POD, STR("n"), STR("p"), "x=y"),
                        "/api/v1/namespaces/n/pods/p?x=y");
    assert_string_equal(kube_path(a, KIND_NAMESPACE, STR("n"), STR("p"), NULL),
                        "/api/v1/namespaces/p");
    assert_string_equal(
        kube_path(a, KIND_TRAFFIC_SPLIT, STR("bookstore"), STR("split"), NULL),
        "/apis/split.smi-spec.io/v1alpha4/namespaces/bookstore/trafficsplits/split");
    assert_string_equal(
        kube_path_of(a, "apps/v1", "deployments", STR("n"), STR("d"), "scale", NULL),
        "/apis/apps/v1/namespaces/n/deployments/d/scale");
    assert_string_equal(kube_page_path(a, "/x?a=b", STR("c&d")), "/x?a=b&limit=500&continue=c%26d");
}

static struct value *config_map(struct arena *a)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    value_set(a, v, "apiVersion", value_new_string(a, STR("v1")));
    value_set(a, v, "kind", value_new_string(a, STR("ConfigMap")));
    struct value *meta = value_ensure(a, v, "metadata", VALUE_OBJECT);
    value_set(a, meta, "namespace", value_new_string(a, STR("n")));
    value_set(a, meta, "name", value_new_string(a, STR("c")));
    return v;
}

static void changes(void **state)
{
    struct fixture *f = *state;
    struct value *v = config_map(f->arena);
    struct kube_request q[] = {kube_apply_request(f->arena, "configmaps", v),
                               kube_create_request(f->arena, "configmaps", v),
                               kube_replace_request(f->arena, "configmaps", v)};
    for (size_t i = 0; i < COUNT_OF(q); i++) {
        api_tell_whole(f->api, 200, "{}");
        assert_int_equal(kube_do(f->api->client, &q[i], f->arena, NULL, NULL), 200);
        assert_string_equal(api_request(f->api, i).body,
                            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":"
                            "{\"namespace\":\"n\",\"name\":\"c\"}}");
    }
    assert_string_equal(api_request(f->api, 0).line,
                        "PATCH /api/v1/namespaces/n/configmaps/c?fieldManager=osm&force=true");
    assert_non_null(
        strstr(api_request(f->api, 0).head, "Content-Type: application/apply-patch+yaml\r\n"));
    assert_string_equal(api_request(f->api, 1).line,
                        "POST /api/v1/namespaces/n/configmaps?fieldManager=osm");
    assert_string_equal(api_request(f->api, 2).line,
                        "PUT /api/v1/namespaces/n/configmaps/c?fieldManager=osm");
}

static void add_name(void *arg, struct value *item)
{
    struct buf *b = arg;
    buf_printf(b, "%.*s:%.*s ", STR_ARG(value_string_at(item, "kind")),
               STR_ARG(value_string_at(item, "metadata.name")));
}

#define PAGE(more, items)                                                                          \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{" more "},\"items\":[" items "]}"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"

static void lists_in_pages(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    AUTO(buf_done) struct buf names;
    buf_init(&names, 4096);
    api_tell_whole(f->api, 200, PAGE("\"continue\":\"2\"", ITEM("a") "," ITEM("b")));
    /* The list is too old to be gone on with as it was; this goes on with what is now. */
    api_tell_whole(f->api, 410, PAGE("\"continue\":\"3\"", ""));
    api_tell_whole(f->api, 200, PAGE("", ITEM("c")));
    assert_int_equal(kube_list(f->api->client, "/api/v1/pods", add_name, &names, &e), 0);
    assert_string_equal(names.data, "Pod:a Pod:b Pod:c ");
    assert_string_equal(api_request(f->api, 2).line, "GET /api/v1/pods?limit=500&continue=3");
    api_tell_whole(f->api, 403, STATUS("no"));
    assert_int_equal(kube_list(f->api->client, "/api/v1/pods", add_name, &names, &e), -1);
    assert_string_equal(e.text, "GET /api/v1/pods: no (403)");
}

static void versions(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    int major = 0, minor = 0;
    api_tell_whole(f->api, 200, "{\"major\":\"1\",\"minor\":\"37+\"}");
    assert_int_equal(kube_server_version(f->api->client, &major, &minor, &e), 0);
    assert_int_equal(major, 1);
    assert_int_equal(minor, 37);
    api_tell_whole(f->api, 200, "{\"hello\":1}");
    assert_int_equal(kube_server_version(f->api->client, &major, &minor, &e), -1);
    assert_non_null(strstr(e.text, "expected the version of an API server from http://127.0.0.1"));
}

/* --- on a loop --- */

static void on_done(void *arg, int status, struct value *v, const struct err *e)
{
    struct fixture *f = arg;
    struct str name = value_string_at(v, "metadata.name");
    f->status = status;
    f->error = *e;
    snprintf(f->name, sizeof(f->name), "%.*s", STR_ARG(name));
    f->done++;
}

static bool enough_done(void *arg)
{
    return ((struct fixture *)arg)->done >= ((struct fixture *)arg)->wanted;
}

static void await_done(struct fixture *f, size_t n)
{
    f->wanted = n;
    assert_true(run_until(f->api->loop, enough_done, f));
}

static void calls_on_a_loop(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 200, "{\"metadata\":{\"name\":\"a\"}}");
    kube_start(f->api->client, &(struct kube_request){.path = "/a"}, on_done, f);
    assert_int_equal(f->done, 0);
    await_done(f, 1);
    assert_int_equal(f->status, 200);
    assert_string_equal(f->name, "a");
    api_tell_whole(f->api, 404, STATUS("not found"));
    kube_start(f->api->client, &(struct kube_request){.path = "/b"}, on_done, f);
    await_done(f, 2);
    assert_int_equal(f->status, 404);
    assert_string_equal(f->error.text, "GET /b: not found (404)");
    api_tell_whole(f->api, 200, "{");
    kube_start(f->api->client, &(struct kube_request){.path = "/c"}, on_done, f);
    await_done(f, 3);
    assert_int_equal(f->status, -1);
}

/* Else the answer to a sidecar's Secret holds its private key. */
static void only_the_metadata_is_asked_for(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 200, "{}");
    kube_start(f->api->client, &(struct kube_request){.path = "/a", .brief = true}, on_done, f);
    await_done(f, 1);
    assert_non_null(strstr(api_request(f->api, 0).head,
                           "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, "
                           "application/json\r\n"));
}

static void a_call_whose_token_rotated(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 200, "{}");
    kube_start(f->api->client, &(struct kube_request){.path = "/a"}, on_done, f);
    await_done(f, 1);
    api_tell_whole(f->api, 401, STATUS("Unauthorized"));
    api_tell_whole(f->api, 200, "{}");
    kube_start(f->api->client, &(struct kube_request){.path = "/b"}, on_done, f);
    api_write_file(f->api->token, "second\n"); /* after the call was made */
    await_done(f, 2);
    assert_int_equal(f->status, 200);
    assert_non_null(strstr(api_request(f->api, 1).head, "Bearer first\r\n"));
    assert_non_null(strstr(api_request(f->api, 2).head, "Bearer second\r\n"));
}

static void credentials_that_are_gone(void **state)
{
    struct fixture *f = *state;
    unlink(f->api->token);
    kube_start(f->api->client, &(struct kube_request){.path = "/a"}, on_done, f);
    assert_int_equal(f->done, 0);
    await_done(f, 1);
    assert_int_equal(f->status, -1);
    assert_non_null(strstr(f->error.text, "credentials of context \"x\": tokenFile: "));
}

static void calls_that_are_cancelled(void **state)
{
    struct fixture *f = *state;
    struct kube_call *call =
        kube_start(f->api->client, &(struct kube_request){.path = "/a"}, on_done, f);
    kube_cancel(call);
    api_tell_whole(f->api, 200, "{}");
    kube_start(f->api->client, &(struct kube_request){.path = "/b"}, on_done, f);
    await_done(f, 1);
    kube_start(f->api->client, &(struct kube_request){.path = "/c"}, on_done, f);
    kube_client_free(TAKE(f->api->client)); /* with a call that is under way */
    assert_int_equal(f->done, 1);
}

/* --- events --- */

static const struct kube_event event = {.api_version = "v1",
                                        .kind = "Pod",
                                        .namespace = {"n", 1},
                                        .name = {"p", 1},
                                        .uid = {"u", 1},
                                        .warning = true,
                                        .reason = "Broken",
                                        .message = "it broke"};

static void events_are_counted(void **state)
{
    struct fixture *f = *state;
    struct kube_events *s = kube_events_new(f->api->client, "osm-controller");
    api_tell_whole(f->api, 201, "{}");
    kube_events_send(s, &event);
    api_await(f->api, 1);
    assert_string_equal(api_request(f->api, 0).line,
                        "POST /api/v1/namespaces/n/events?fieldManager=osm");
    const char *body = api_request(f->api, 0).body;
    assert_part(body, "\"name\":\"p.");
    assert_part(body, "\"involvedObject\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
                      "\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"u\"}");
    assert_part(body, "\"type\":\"Warning\",\"reason\":\"Broken\",\"message\":\"it broke\"");
    assert_part(body, "\"source\":{\"component\":\"osm-controller\"}");
    assert_part(body, "\"count\":1");
    api_tell_whole(f->api, 200, "{}");
    kube_events_send(s, &event);
    api_await(f->api, 2);
    assert_part(api_request(f->api, 1).line, "PATCH /api/v1/namespaces/n/events/p.");
    assert_part(api_request(f->api, 1).body, "{\"count\":2,\"lastTimestamp\":\"");
    kube_events_free(s);
}

static void events_from_before_a_restart(void **state)
{
    struct fixture *f = *state;
    struct kube_events *s = kube_events_new(f->api->client, "osm-controller");
    api_tell_whole(f->api, 409, STATUS("already exists"));
    api_tell_whole(f->api, 200, "{\"count\":7}");
    api_tell_whole(f->api, 200, "{}");
    kube_events_send(s, &event);
    api_await(f->api, 3);
    assert_part(api_request(f->api, 1).line, "GET /api/v1/namespaces/n/events/p.");
    assert_part(api_request(f->api, 2).body, "{\"count\":8,");
    kube_events_free(s);
}

static void events_that_the_server_forgot(void **state)
{
    struct fixture *f = *state;
    struct kube_events *s = kube_events_new(f->api->client, "osm-controller");
    api_tell_whole(f->api, 201, "{}");
    kube_events_send(s, &event);
    api_await(f->api, 1);
    api_tell_whole(f->api, 404, STATUS("not found"));
    api_tell_whole(f->api, 201, "{}");
    kube_events_send(s, &event);
    api_await(f->api, 3);
    assert_part(api_request(f->api, 2).line, "POST /api/v1/namespaces/n/events");
    assert_part(api_request(f->api, 2).body, "\"count\":1");
    kube_events_free(s);
}

static void few_events_of_an_object(void **state)
{
    struct fixture *f = *state;
    struct kube_events *s = kube_events_new(f->api->client, "osm-controller");
    struct kube_event other = event;
    char message[32];
    other.message = message;
    for (size_t i = 0; i < 20; i++) {
        api_tell_whole(f->api, 201, "{}");
        snprintf(message, sizeof(message), "%zu", i);
        kube_events_send(s, &other);
    }
    other.name = STR("q");
    kube_events_send(s, &other);
    api_await(f->api, 6);
    assert_part(api_request(f->api, 5).body, "\"name\":\"");
    size_t q = 0;
    for (size_t i = 0; i < 6; i++) {
        q += strstr(api_request(f->api, i).body, "\"name\":\"q\"") != NULL;
    }
    assert_int_equal(q, 1);
    kube_events_free(s); /* with calls that may be under way */
    assert_int_equal(api_count(f->api), 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(asks_and_decodes),
        TEST(says_what_the_server_says),
        TEST(a_status_is_given_too),
        TEST(nobody_there),
        TEST(refused_credentials_are_read_again),
        TEST(overloaded_servers_are_asked_again),
        TEST(paths),
        TEST(changes),
        TEST(lists_in_pages),
        TEST(versions),
        TEST(calls_on_a_loop),
        TEST(only_the_metadata_is_asked_for),
        TEST(a_call_whose_token_rotated),
        TEST(credentials_that_are_gone),
        TEST(calls_that_are_cancelled),
        TEST(events_are_counted),
        TEST(events_from_before_a_restart),
        TEST(events_that_the_server_forgot),
        TEST(few_events_of_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
