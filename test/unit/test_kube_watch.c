/* Watches against a server that answers, breaks, forgets and refuses. */
#include "kube_fixture.h"

#include "kube/watch.h"

struct fixture {
    struct api *api;
    struct kube_watch *watch;
    struct buf trace; /* "+a -b | LIVE" */
    struct err why;
    const char *wanted;
};

static void on_object(void *arg, const struct value *o)
{
    struct fixture *f = arg;
    buf_printf(&f->trace, "+%.*s ", STR_ARG(value_string_at(o, "metadata.name")));
    struct str v = value_string_at(o, "metadata.labels.v");
    if (v.len > 0) {
        buf_printf(&f->trace, "(%.*s) ", STR_ARG(v));
    }
    assert_true(str_is(value_string_at(o, "kind"), "Thing"));
    assert_true(str_is(value_string_at(o, "apiVersion"), "v1"));
}

static void on_gone(void *arg, struct str namespace, struct str name)
{
    struct fixture *f = arg;
    buf_printf(&f->trace, "-%.*s ", STR_ARG(name));
}

static void on_batch(void *arg)
{
    buf_addz(&((struct fixture *)arg)->trace, "| ");
}

static void on_state(void *arg, enum kube_watch_state state, const struct err *e)
{
    static const char *const names[] = {"LISTING", "LIVE", "BROKEN", "MISSING", "DENIED"};
    struct fixture *f = arg;
    f->why = *e;
    assert_int_equal(state == KUBE_WATCH_LIVE, e->text[0] == '\0');
    buf_printf(&f->trace, "%s ", names[state]);
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->api = api_new();
    buf_init(&f->trace, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kube_watch_free(f->watch);
    api_free(f->api);
    buf_done(&f->trace);
    free(f);
    return 0;
}

static void start(struct fixture *f, const struct kube_watch_options *more)
{
    struct kube_watch_options o = more ? *more : (struct kube_watch_options){0};
    o.client = f->api->client;
    o.path = "/api/v1/things";
    o.on_object = on_object;
    o.on_gone = on_gone;
    o.on_batch = on_batch;
    o.on_state = on_state;
    o.arg = f;
    o.hurry = 100;
    f->watch = kube_watch_start(&o);
}

static bool has_trace(void *arg)
{
    struct fixture *f = arg;
    return f->trace.data && str_ends(buf_str(&f->trace), f->wanted);
}

/* Runs until the trace ends so, checks that it is just that, and empties it. */
static void expect(struct fixture *f, const char *trace)
{
    f->wanted = trace;
    run_until(f->api->loop, has_trace, f);
    assert_string_equal(f->trace.data ? f->trace.data : "", trace);
    buf_reset(&f->trace);
}

static void assert_line(struct fixture *f, size_t request, const char *line)
{
    assert_string_equal(api_request(f->api, request).line, line);
}

#define OBJECT(name, version, more)                                                                \
    "{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"" name                     \
    "\",\"namespace\":\"n\",\"resourceVersion\":\"" version "\"" more "}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define ADDED(name, version) EVENT("ADDED", OBJECT(name, version, ""))
#define BOOKMARK(version) EVENT("BOOKMARK", OBJECT("", version, ""))
#define LISTED(version)                                                                            \
    EVENT("BOOKMARK",                                                                              \
          OBJECT("", version, ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"))
#define STATUS(code, message) "{\"kind\":\"Status\",\"code\":" code ",\"message\":\"" message "\"}"

#define STREAM                                                                                     \
    "GET /api/v1/things?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&"               \
    "resourceVersionMatch=NotOlderThan"
#define WATCH(version)                                                                             \
    "GET /api/v1/things?watch=true&allowWatchBookmarks=true&resourceVersion=" version

/* Lists a and b as of version 5 and goes on. */
static void begin(struct fixture *f, const struct kube_watch_options *more)
{
    api_tell(f->api,
             (struct reply){200, ADDED("a", "3") ADDED("b", "4") LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, more);
    expect(f, "+a +b | LIVE ");
    assert_line(f, 0, STREAM);
}

static void streams_and_follows(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_more(f->api, EVENT("MODIFIED", OBJECT("a", "6", ",\"labels\":{\"v\":\"2\"}")));
    expect(f, "+a (2) | ");
    api_more(f->api, EVENT("DELETED", OBJECT("b", "7", "")) ADDED("c", "8"));
    expect(f, "-b +c | ");
}

static void goes_on_from_the_last_bookmark(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell(f->api, (struct reply){200, ADDED("c", "91"), AFTER_HOLD, NULL, 0});
    api_more(f->api, BOOKMARK("90"));
    api_more(f->api, ADDED("x", "9")); /* so that the bookmark was read */
    expect(f, "+x | ");
    api_more(f->api, BOOKMARK("90") ADDED("y", "90"));
    expect(f, "+y | ");
    api_cut(f->api);
    expect(f, "BROKEN +c | LIVE ");
    assert_line(f, 1, WATCH("90"));
}

static void a_watch_that_ends_goes_on(void **state)
{
    struct fixture *f = *state;
    api_tell(f->api, (struct reply){200, ADDED("a", "3") LISTED("5"), AFTER_END, NULL, 0});
    api_tell(f->api, (struct reply){200, ADDED("b", "6"), AFTER_END, NULL, 0});
    api_tell(f->api, (struct reply){200, ADDED("c", "7"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "+a | LIVE +b | +c | ");
    assert_line(f, 1, WATCH("5"));
    assert_line(f, 2, WATCH("6"));
}

static void cut_within_an_object(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell(f->api, (struct reply){200, ADDED("c", "7"), AFTER_HOLD, NULL, 0});
    api_more(f->api, ADDED("x", "6") "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":");
    expect(f, "+x | ");
    api_cut(f->api);
    expect(f, "BROKEN +c | LIVE ");
    assert_line(f, 1, WATCH("6"));
}

static void cut_within_the_first_list(void **state)
{
    struct fixture *f = *state;
    api_tell(f->api, (struct reply){200, ADDED("a", "3"), AFTER_CUT, NULL, 0});
    api_tell(f->api, (struct reply){200, ADDED("b", "4") LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "+a LISTING +b -a | LIVE ");
    assert_line(f, 1, STREAM);
}

static void forgotten_by_the_server(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell(f->api, (struct reply){200, ADDED("b", "19") ADDED("c", "20") LISTED("30"), AFTER_HOLD,
                                    NULL, 0});
    api_more(f->api, EVENT("ERROR", STATUS("410", "too old resource version: 5 (30)")));
    expect(f, "BROKEN +b +c -a | LIVE ");
    assert_line(f, 1, STREAM);
}

static void forgotten_while_we_were_away(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell_whole(f->api, 410, STATUS("410", "Expired"));
    api_tell(f->api, (struct reply){200, ADDED("a", "19") LISTED("30"), AFTER_HOLD, NULL, 0});
    api_cut(f->api);
    expect(f, "BROKEN BROKEN +a -b | LIVE ");
    assert_line(f, 1, WATCH("5"));
    assert_line(f, 2, STREAM);
}

static void each_known(void *arg, void (*fn)(void *to, struct str, struct str), void *to)
{
    fn(to, STR("n"), STR("a"));
    fn(to, STR("n"), STR("b"));
}

static void its_owner_knows_what_is_there(void **state)
{
    struct fixture *f = *state;
    begin(f, &(struct kube_watch_options){.each_known = each_known});
    api_tell(f->api, (struct reply){200, ADDED("b", "19") ADDED("c", "20") LISTED("30"), AFTER_HOLD,
                                    NULL, 0});
    api_more(f->api, EVENT("ERROR", STATUS("410", "too old")));
    expect(f, "BROKEN +b +c -a | LIVE ");
}

static void garbage_is_listed_anew(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell(f->api, (struct reply){200, "{\"type\":\"ADDED\"}\n", AFTER_HOLD, NULL, 0});
    api_tell(f->api, (struct reply){200, "[]\n", AFTER_HOLD, NULL, 0});
    api_tell(f->api, (struct reply){200, ADDED("b", "9") LISTED("9"), AFTER_HOLD, NULL, 0});
    api_more(f->api, "<html>\n");
    api_await(f->api, 4);
    assert_line(f, 1, WATCH("5"));
    assert_line(f, 2, WATCH("5"));
    assert_line(f, 3, STREAM);
    f->wanted = "+b -a | LIVE ";
    assert_true(run_until(f->api->loop, has_trace, f));
}

static void too_large_an_event(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *text = mem_alloc((11 << 20) + 1);
    memset(text, ' ', 11 << 20);
    text[11 << 20] = '\0';
    begin(f, NULL);
    api_tell(f->api, (struct reply){200, text, AFTER_HOLD, NULL, 0});
    api_tell(f->api, (struct reply){200, ADDED("c", "6"), AFTER_HOLD, NULL, 0});
    api_cut(f->api);
    expect(f, "BROKEN LIVE BROKEN +c | LIVE ");
}

static void a_token_that_rotated(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 401, STATUS("401", "Unauthorized"));
    start(f, NULL);
    expect(f, "LISTING ");
    assert_non_null(strstr(f->why.text, "doesn't accept the credentials of context \"x\""));
    api_write_file(f->api->token, "second\n");
    api_tell(f->api, (struct reply){200, LISTED("5"), AFTER_HOLD, NULL, 0});
    f->wanted = "| LIVE ";
    assert_true(run_until(f->api->loop, has_trace, f));
    assert_non_null(strstr(api_request(f->api, 0).head, "Authorization: Bearer first\r\n"));
    size_t last = api_count(f->api) - 1;
    assert_non_null(strstr(api_request(f->api, last).head, "Authorization: Bearer second\r\n"));
}

static void denied_then_granted(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 403, STATUS("403", "things is forbidden"));
    api_tell(f->api, (struct reply){200, ADDED("a", "3") LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "DENIED +a | LIVE ");
    assert_line(f, 1, STREAM);
}

static void denied_keeps_what_is_there(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell_whole(f->api, 403, STATUS("403", "things is forbidden"));
    api_tell(f->api, (struct reply){200, ADDED("c", "6"), AFTER_HOLD, NULL, 0});
    api_cut(f->api);
    expect(f, "BROKEN DENIED +c | LIVE ");
    assert_string_equal(f->why.text, "");
}

static void missing_then_there(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 404, "404 page not found\n");
    api_tell_whole(f->api, 404, "404 page not found\n");
    api_tell(f->api, (struct reply){200, ADDED("a", "3") LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "MISSING +a | LIVE ");
}

static void a_kind_that_goes(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    for (size_t i = 0; i < 3; i++) {
        api_tell_whole(f->api, 404, "404 page not found\n");
    }
    api_cut(f->api);
    expect(f, "BROKEN BROKEN -a -b | MISSING ");
}

static void a_kind_that_is_away_for_a_moment(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell_whole(f->api, 404, "404 page not found\n");
    api_tell(f->api, (struct reply){200, ADDED("a", "3") LISTED("5"), AFTER_HOLD, NULL, 0});
    api_cut(f->api);
    expect(f, "BROKEN BROKEN +a -b | LIVE ");
}

static void overloaded(void **state)
{
    struct fixture *f = *state;
    api_tell(f->api,
             (struct reply){429, STATUS("429", "too many"), AFTER_WHOLE, "Retry-After: 1", 0});
    api_tell(f->api, (struct reply){200, LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "LISTING | LIVE ");
    assert_true(api_request(f->api, 1).at_ms - api_request(f->api, 0).at_ms >= 1000);
}

static void out_of_order(void **state)
{
    struct fixture *f = *state;
    begin(f, NULL);
    api_tell_whole(f->api, 500, "etcdserver: request timed out");
    api_tell_whole(f->api, 503, "");
    api_tell(f->api, (struct reply){200, ADDED("c", "6"), AFTER_HOLD, NULL, 0});
    api_cut(f->api);
    expect(f, "BROKEN BROKEN BROKEN +c | LIVE ");
    assert_line(f, 3, WATCH("5"));
}

#define PAGE(version, more, items)                                                                 \
    "{\"kind\":\"ThingList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version   \
    "\"" more "},\"items\":[" items "]}"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\"}}"

static void an_older_server_gives_pages(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 422, STATUS("422", "sendInitialEvents is forbidden"));
    api_tell_whole(f->api, 200, PAGE("5", ",\"continue\":\"a/b=\"", ITEM("a")));
    api_tell_whole(f->api, 200, PAGE("5", "", ITEM("b") "," ITEM("c")));
    api_tell(f->api, (struct reply){200, ADDED("d", "6"), AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "+a +b +c | LIVE +d | ");
    assert_line(f, 1, "GET /api/v1/things?limit=500");
    assert_line(f, 2, "GET /api/v1/things?limit=500&continue=a%2Fb%3D");
    assert_line(f, 3, WATCH("5"));
}

static void a_page_that_came_too_late(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 400, STATUS("400", "unknown parameter"));
    api_tell_whole(f->api, 200, PAGE("5", ",\"continue\":\"x\"", ITEM("a")));
    api_tell_whole(f->api, 410, STATUS("410", "Expired"));
    api_tell_whole(f->api, 200, PAGE("9", "", ITEM("b")));
    api_tell(f->api, (struct reply){200, "", AFTER_HOLD, NULL, 0});
    start(f, NULL);
    expect(f, "+a LISTING +b -a | LIVE ");
    api_await(f->api, 5);
    assert_line(f, 3, "GET /api/v1/things?limit=500");
    assert_line(f, 4, WATCH("9"));
}

static void broken_pages(void **state)
{
    struct fixture *f = *state;
    api_tell_whole(f->api, 422, "");
    api_tell_whole(f->api, 200, "{\"items\":[");
    api_tell_whole(f->api, 200, PAGE("5", "", "7,{},\"x\"," ITEM("a")));
    api_tell(f->api, (struct reply){200, "", AFTER_HOLD, NULL, 0});
    start(f, NULL);
    f->wanted = "+a | LIVE ";
    assert_true(run_until(f->api->loop, has_trace, f));
}

static void byte_by_byte(void **state)
{
    struct fixture *f = *state;
    api_tell(f->api,
             (struct reply){200, ADDED("a", "3") ADDED("b", "4") LISTED("5"), AFTER_HOLD, NULL, 1});
    start(f, NULL);
    expect(f, "+a +b | LIVE ");
}

static void only_what_is_wanted(void **state)
{
    static const struct json_keep meta[] = {
        {"name", NULL}, {"namespace", NULL}, {"resourceVersion", NULL}, {NULL, NULL}};
    static const struct json_keep keep[] = {
        {"apiVersion", NULL}, {"kind", NULL}, {"metadata", meta}, {NULL, NULL}};
    struct fixture *f = *state;
    begin(f, &(struct kube_watch_options){.keep = keep});
    api_more(f->api, EVENT("MODIFIED", OBJECT("a", "6", ",\"labels\":{\"v\":\"2\"}")));
    expect(f, "+a | ");
}

static void selectors_are_encoded(void **state)
{
    struct fixture *f = *state;
    api_tell(f->api, (struct reply){200, LISTED("5"), AFTER_HOLD, NULL, 0});
    start(f, &(struct kube_watch_options){.label_selector = "a=b,c", .field_selector = "d!=e"});
    expect(f, "| LIVE ");
    assert_line(
        f, 0,
        "GET /api/v1/things?labelSelector=a%3Db%2Cc&fieldSelector=d%21%3De&watch=true&"
        "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
}

static void ends_at_any_time(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    kube_watch_free(TAKE(f->watch));
    begin(f, NULL);
    kube_watch_free(TAKE(f->watch));
    kube_watch_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(streams_and_follows),
        TEST(goes_on_from_the_last_bookmark),
        TEST(a_watch_that_ends_goes_on),
        TEST(cut_within_an_object),
        TEST(cut_within_the_first_list),
        TEST(forgotten_by_the_server),
        TEST(forgotten_while_we_were_away),
        TEST(its_owner_knows_what_is_there),
        TEST(garbage_is_listed_anew),
        TEST(too_large_an_event),
        TEST(a_token_that_rotated),
        TEST(denied_then_granted),
        TEST(denied_keeps_what_is_there),
        TEST(missing_then_there),
        TEST(a_kind_that_goes),
        TEST(a_kind_that_is_away_for_a_moment),
        TEST(overloaded),
        TEST(out_of_order),
        TEST(an_older_server_gives_pages),
        TEST(a_page_that_came_too_late),
        TEST(broken_pages),
        TEST(byte_by_byte),
        TEST(only_what_is_wanted),
        TEST(selectors_are_encoded),
        TEST(ends_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
