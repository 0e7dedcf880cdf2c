/* HTTPS servers: certificates that change while they run, and limits on all that clients can use
 * up. */
#include <errno.h>
#include <signal.h>

#include "base/vec.h"
#include "https_client.h"
#include "net/http_server.h"

enum { BODY_MAX = 100000, WAITING_MAX = 180000, CONNECTIONS_MAX = 3 };
/* The time of a request: one that no test reaches, one to be late for, and one that a whole request
 * keeps, on a slow machine too. */
enum { REQUEST_MS = CLIENT_PATIENCE_S * 1000, SHORT_MS = 500, LATE_MS = 4000 };

struct fixture {
    struct loop_thread thread;
    struct http_server *server;
    struct issuer *issuer;
    struct tls_server *tls;
    uint16_t port;
    struct http_request *held;
    atomic_int holding;
};

static void on_echo(void *arg, struct http_request *q)
{
    http_reply(q, 200, "text/plain", http_request_body(q));
}

static void on_hold(void *arg, struct http_request *q)
{
    struct fixture *f = arg;
    f->held = q;
    f->holding = 1;
}

static const struct http_route routes[] = {{"POST", "/echo", on_echo}, {"POST", "/hold", on_hold}};

static struct tls_server *new_tls(struct fixture *f)
{
    struct cert *cert = NULL;
    struct tls_server *tls = NULL;
    struct err e = ERR_INIT;
    if (issuer_issue_server(f->issuer, STR("osm-injector.osm-system.svc"), clock_wall_s(), &cert,
                            &e) < 0) {
        fail_msg("%s", e.text);
    }
    struct tls_server_options o = {.chain_pem = blob_str(cert->chain),
                                   .key_pem = blob_str(cert->private_key)};
    if (tls_server_new(&o, &tls, &e) < 0) {
        fail_msg("%s", e.text);
    }
    cert_unref(cert);
    return tls;
}

static int set_up_for(void **state, int64_t request_ms)
{
    struct fixture *f = NEW(struct fixture);
    struct issuer_options io = {.trust_domain = "cluster.local"};
    struct err e = ERR_INIT;
    signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    *state = f;
    f->thread.loop = loop_new();
    if (issuer_new(&io, clock_wall_s(), &f->issuer, &e) < 0) {
        fail_msg("%s", e.text);
    }
    f->tls = new_tls(f);
    struct http_server_options o = {.loop = f->thread.loop,
                                    .host = "127.0.0.1",
                                    .tls = f->tls,
                                    .max_body_bytes = BODY_MAX,
                                    .max_connections = CONNECTIONS_MAX,
                                    .max_waiting_bytes = WAITING_MAX,
                                    .request_ms = request_ms,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = f};
    if (http_server_start(&o, &f->server, &e) < 0) {
        fail_msg("%s", e.text);
    }
    f->port = http_server_port(f->server);
    assert_int_not_equal(f->port, 0);
    loop_thread_start(&f->thread);
    return 0;
}

static int set_up(void **state)
{
    return set_up_for(state, REQUEST_MS);
}

static int set_up_short(void **state)
{
    return set_up_for(state, SHORT_MS);
}

static int set_up_late(void **state)
{
    return set_up_for(state, LATE_MS);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    loop_thread_stop(&f->thread);
    http_server_free(f->server);
    tls_server_unref(f->tls);
    issuer_free(f->issuer);
    loop_free(f->thread.loop);
    free(f);
    return 0;
}

static void expect_echo(struct client *c, struct str text)
{
    AUTO(buf_done) struct buf answer;
    assert_int_equal(client_post(c, "/echo", "text/plain", text, &answer), 200);
    assert_true(str_eq(client_body(&answer), text));
}

static void open_or_fail(struct fixture *f, struct client *c)
{
    client_open_or_fail(c, f->port);
}

static void a_connection_serves_many_requests(void **state)
{
    struct client c;
    open_or_fail(*state, &c);
    for (int i = 0; i < 20; i++) {
        expect_echo(&c, STR("hello"));
    }
    client_close(&c);
}

static void versions_before_1_2_are_refused(void **state)
{
    static const struct {
        int version;
        bool ok;
    } cases[] = {{TLS1_VERSION, false},
                 {TLS1_1_VERSION, false},
                 {TLS1_2_VERSION, true},
                 {TLS1_3_VERSION, true}};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client c;
        assert_int_equal(client_open(&c, f->port, cases[i].version), cases[i].ok);
        client_close(&c);
    }
}

static void replace_certificate(void *arg)
{
    struct fixture *f = arg;
    tls_server_unref(f->tls);
    f->tls = new_tls(f);
    http_server_set_tls(f->server, f->tls);
}

static void serial_of(struct client *c, char ret[128])
{
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = BN_bn2hex(n);
    snprintf(ret, 128, "%s", hex);
    OPENSSL_free(hex);
    BN_free(n);
}

static void a_certificate_changes_without_dropping_connections(void **state)
{
    struct fixture *f = *state;
    struct client before, after;
    char serials[2][128];
    open_or_fail(f, &before);
    expect_echo(&before, STR("one"));
    loop_thread_call(&f->thread, replace_certificate, f);
    expect_echo(&before, STR("two"));
    open_or_fail(f, &after);
    expect_echo(&after, STR("three"));
    expect_echo(&before, STR("four"));
    serial_of(&before, serials[0]);
    serial_of(&after, serials[1]);
    assert_string_not_equal(serials[0], serials[1]);
    client_close(&before);
    client_close(&after);
}

static void bodies_and_headers_have_limits(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *large = mem_alloc(BODY_MAX + 1);
    memset(large, 'x', BODY_MAX + 1);
    struct client c;
    open_or_fail(f, &c);
    expect_echo(&c, (struct str){large, BODY_MAX});
    client_close(&c);
    open_or_fail(f, &c);
    struct buf answer;
    int status = client_post(&c, "/echo", "text/plain", (struct str){large, BODY_MAX + 1}, &answer);
    assert_int_equal(status, 413);
    buf_done(&answer);
    client_close(&c);
    open_or_fail(f, &c);
    AUTO(free) char *head = mem_printf("POST /echo HTTP/1.1\r\nX: %.20000s\r\n\r\n", large);
    bool sent = client_send(&c, str_of(head));
    status = client_read(&c, &answer);
    assert_true(!sent || status == 0 || status == 400 || status == 413);
    buf_done(&answer);
    client_close(&c);
    open_or_fail(f, &c);
    expect_echo(&c, STR("still there"));
    client_close(&c);
}

/* Ended means that reading finds the end. */
static bool ended(struct client *c)
{
    AUTO(buf_done) struct buf answer;
    return client_read(c, &answer) == 0 && answer.len == 0;
}

static void one_connection_too_many_is_closed(void **state)
{
    struct fixture *f = *state;
    struct client c[CONNECTIONS_MAX], more;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        open_or_fail(f, &c[i]);
        expect_echo(&c[i], STR("hello"));
    }
    assert_true(!client_open(&more, f->port, 0) || ended(&more));
    client_close(&more);
    client_close(&c[0]);
    /* The server hears of the end in its own time. */
    bool ok = false;
    for (int i = 0; i < 1000 && !ok; i++) {
        AUTO(buf_done) struct buf answer = {0};
        ok = client_open(&c[0], f->port, 0) &&
             client_post(&c[0], "/echo", "text/plain", STR("x"), &answer) == 200;
        if (!ok) {
            client_close(&c[0]);
            usleep(10000);
        }
    }
    assert_true(ok);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        expect_echo(&c[i], STR("hello"));
        client_close(&c[i]);
    }
}

/* Each of the bodies is small enough; together they aren't. The largest goes, the others come
 * through, and what was answered counts no more. */
static void bodies_that_wait_have_a_limit_together(void **state)
{
    struct fixture *f = *state;
    AUTO(free) char *large = mem_alloc(BODY_MAX);
    memset(large, 'x', BODY_MAX);
    struct client first, second;
    const char *head = "POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    open_or_fail(f, &first);
    open_or_fail(f, &second);
    for (int i = 0; i < 5; i++) {
        expect_echo(&first, (struct str){large, BODY_MAX});
    }
    assert_true(client_send(&second, str_of(head)));
    assert_true(client_send(&second, (struct str){large, 95000}));
    assert_true(client_send(&first, str_of(head)));
    bool sent = client_send(&first, (struct str){large, 90000});
    assert_true(ended(&second));
    assert_true(sent && client_send(&first, (struct str){large, 10000}));
    AUTO(buf_done) struct buf answer;
    assert_int_equal(client_read(&first, &answer), 200);
    client_close(&first);
    client_close(&second);
    open_or_fail(f, &first);
    expect_echo(&first, (struct str){large, BODY_MAX});
    client_close(&first);
}

/* Drops of a request are no sign of life: it has to be whole in time. */
static void a_request_that_trickles_is_ended(void **state)
{
    struct client c;
    open_or_fail(*state, &c);
    int64_t until = clock_mono_ms() + CLIENT_PATIENCE_S * 1000;
    bool open = client_send(&c, STR("POST /echo HTTP/1.1\r\nX: "));
    while (open && clock_mono_ms() < until) {
        usleep(20000);
        open = client_send(&c, STR("y"));
    }
    assert_false(open);
    client_close(&c);
}

static void a_client_that_never_shakes_hands_is_ended(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    struct timeval patience = {CLIENT_PATIENCE_S, 0};
    char byte;
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void what_is_no_tls_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    char text[256];
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(send(fd, get, strlen(get), MSG_NOSIGNAL), (ssize_t)strlen(get));
    ssize_t n = recv(fd, text, sizeof(text), 0);
    assert_true(n <= 0 || !memmem(text, (size_t)n, "HTTP/1.1 200", 12));
    struct client c;
    open_or_fail(f, &c);
    expect_echo(&c, STR("still there"));
    client_close(&c);
}

/* A connection whose request waits for its answer. */
static void open_held(struct fixture *f, struct client *c)
{
    open_or_fail(f, c);
    assert_true(client_send(c, STR("POST /hold HTTP/1.1\r\nContent-Length: 0\r\n\r\n")));
    loop_thread_wait(&f->holding);
}

static void answer_held(void *arg)
{
    struct fixture *f = arg;
    http_reply(f->held, 200, "text/plain", STR("late"));
}

/* An answer takes as long as it takes: no request's time runs meanwhile. */
static void an_answer_may_be_late(void **state)
{
    struct fixture *f = *state;
    struct client c;
    open_held(f, &c);
    usleep(LATE_MS * 1000 + 200000);
    loop_thread_call(&f->thread, answer_held, f);
    AUTO(buf_done) struct buf answer;
    assert_int_equal(client_read(&c, &answer), 200);
    assert_true(str_is(client_body(&answer), "late"));
    client_close(&c);
}

static void free_server(void *arg)
{
    struct fixture *f = arg;
    http_server_free(f->server);
    f->server = NULL;
    answer_held(f);
}

static void a_server_may_go_before_the_answer(void **state)
{
    struct fixture *f = *state;
    struct client c;
    open_held(f, &c);
    loop_thread_call(&f->thread, free_server, f);
    assert_true(ended(&c));
    client_close(&c);
}

/* Neither its client nor its server is there any more. */
static void an_answer_may_be_to_nobody(void **state)
{
    struct fixture *f = *state;
    struct client c;
    open_held(f, &c);
    client_close(&c);
    usleep(50000);
    loop_thread_call(&f->thread, free_server, f);
}

int main(void)
{
#define TEST_IN(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST(name) TEST_IN(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(a_connection_serves_many_requests),
        TEST(versions_before_1_2_are_refused),
        TEST(a_certificate_changes_without_dropping_connections),
        TEST(bodies_and_headers_have_limits),
        TEST(one_connection_too_many_is_closed),
        TEST(bodies_that_wait_have_a_limit_together),
        TEST_IN(a_request_that_trickles_is_ended, set_up_short),
        TEST_IN(a_client_that_never_shakes_hands_is_ended, set_up_short),
        TEST(what_is_no_tls_is_refused),
        TEST_IN(an_answer_may_be_late, set_up_late),
        TEST(a_server_may_go_before_the_answer),
        TEST(an_answer_may_be_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
