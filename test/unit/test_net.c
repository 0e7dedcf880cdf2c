/* HTTP over unix sockets: server and client on one loop, and clients that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/vec.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "run_until.h"

struct fixture {
    char folder[32], socket[48];
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    VEC(struct http_request *) held; /* by /hold */
    size_t handled;                  /* requests of any route */
    size_t done;                     /* answers */
};

/* --- the server's routes --- */

static void on_hello(void *arg, struct http_request *q)
{
    ((struct fixture *)arg)->handled++;
    http_reply(q, 200, "text/x-hello", STR("hello"));
}

static void on_echo(void *arg, struct http_request *q)
{
    ((struct fixture *)arg)->handled++;
    http_reply(q, 201, "application/octet-stream", http_request_body(q));
}

static void on_say(void *arg, struct http_request *q)
{
    struct str path = http_request_path(q), word = http_request_query(q, "word");
    struct str none = http_request_query(q, "none");
    ((struct fixture *)arg)->handled++;
    http_replyf(q, 200, "%.*s %.*s %zu", STR_ARG(path), STR_ARG(word), none.len);
}

static void on_hold(void *arg, struct http_request *q)
{
    struct fixture *f = arg;
    f->handled++;
    VEC_PUSH(f->held, q);
}

static void on_large(void *arg, struct http_request *q)
{
    AUTO(free) char *text = mem_alloc(1 << 20);
    memset(text, 'x', 1 << 20);
    http_reply(q, 200, "text/plain", (struct str){text, 1 << 20});
}

static const struct http_route routes[] = {
    {"GET", "/hello", on_hello}, {"PUT", "/hello", on_echo}, {"POST", "/echo", on_echo},
    {"GET", "/say/", on_say},    {"GET", "/hold", on_hold},  {"GET", "/large", on_large},
    {"DELETE", "/", on_hello},
};

static int start_server(struct fixture *f, struct http_server **ret, struct err *e)
{
    struct http_server_options o = {.loop = f->loop,
                                    .unix_path = f->socket,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = f};
    return http_server_start(&o, ret, e);
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    strcpy(f->folder, "/tmp/test_net.XXXXXX");
    if (!mkdtemp(f->folder)) {
        return -1;
    }
    snprintf(f->socket, sizeof(f->socket), "%s/s", f->folder);
    f->loop = loop_new();
    f->client = http_client_new(f->loop);
    *state = f;
    return start_server(f, &f->server, NULL);
}

/* Answers all that wait, the last one first. */
static void release(struct fixture *f)
{
    for (size_t i = f->held.len; i-- > 0;) {
        http_replyf(f->held.at[i], 200, "reply %zu", i);
    }
    f->held.len = 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    release(f);
    http_client_free(f->client);
    http_server_free(f->server);
    VEC_DONE(f->held);
    loop_free(f->loop);
    int left = rmdir(f->folder); /* the socket is gone */
    free(f);
    return left;
}

/* --- waiting --- */

struct wanted {
    const size_t *counter;
    size_t n;
};

static bool is_counted(void *arg)
{
    const struct wanted *w = arg;
    return *w->counter >= w->n;
}

static void await(struct fixture *f, const size_t *counter, size_t n)
{
    run_until(f->loop, is_counted, &(struct wanted){counter, n});
    assert_int_equal(*counter, n);
}

struct answer {
    struct fixture *f;
    int status;
    char *body, *error;
};

static void on_answer(void *arg, int status, struct str body, const struct err *e)
{
    struct answer *a = arg;
    assert_null(a->body); /* once */
    a->status = status;
    a->body = mem_memdup(body.ptr ? body.ptr : "", body.len);
    a->error = mem_strdup(e->text);
    a->f->done++;
}

static void answer_done(struct answer *a)
{
    free(a->body);
    free(a->error);
}

static struct http_transfer *start(struct fixture *f, const char *method, const char *path,
                                   struct str body, struct answer *a)
{
    AUTO(free) char *url = mem_printf("http://here%s", path);
    struct http_call call = {.method = method,
                             .url = url,
                             .unix_path = f->socket,
                             .body = body,
                             .content_type = body.ptr ? "text/plain" : NULL,
                             .timeout_ms = PATIENCE_MS,
                             .max_bytes = 32u << 20};
    *a = (struct answer){.f = f};
    return http_start(f->client, &call, on_answer, a);
}

static void expect(struct fixture *f, const char *method, const char *path, struct str body,
                   int status, const char *want)
{
    struct answer a;
    size_t before = f->done;
    start(f, method, path, body, &a);
    await(f, &f->done, before + 1);
    if (a.status != status || strcmp(a.body, want) != 0) {
        fail_msg("%s %s: %d \"%s\" %s", method, path, a.status, a.body, a.error);
    }
    answer_done(&a);
}

/* --- routes --- */

#define NO_BODY ((struct str){0})

static void requests_find_their_route(void **state)
{
    struct fixture *f = *state;
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
    expect(f, "PUT", "/hello", STR("text"), 201, "text");
    expect(f, "POST", "/echo", STR("text"), 201, "text");
    expect(f, NULL, "/echo", STR("a body means POST"), 201, "a body means POST");
    expect(f, "POST", "/echo", STR(""), 201, "");
    expect(f, "GET", "/say/this/and/that?word=a%20b", NO_BODY, 200, "/say/this/and/that a b 0");
    expect(f, "GET", "/say/", NO_BODY, 200, "/say/  0");
    expect(f, "DELETE", "/", NO_BODY, 200, "hello");
}

static void other_pages_and_methods_are_refused(void **state)
{
    struct fixture *f = *state;
    expect(f, "GET", "/nothing", NO_BODY, 404, "no such page\n");
    expect(f, "GET", "/hello/more", NO_BODY, 404, "no such page\n");
    expect(f, "GET", "/say", NO_BODY, 404, "no such page\n");
    expect(f, "GET", "/hell", NO_BODY, 404, "no such page\n");
    expect(f, "POST", "/hello", STR("x"), 405, "wrong method\n");
    expect(f, "DELETE", "/echo", NO_BODY, 405, "wrong method\n");
    assert_int_equal(f->handled, 0);
}

static void a_body_over_the_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t size = LIMIT_CONTROL_REQUEST_BYTES + 1;
    AUTO(free) char *text = mem_alloc(size);
    memset(text, 'x', size);
    struct answer a;
    start(f, "POST", "/echo", (struct str){text, size - 1}, &a);
    await(f, &f->done, 1);
    assert_int_equal(a.status, 201);
    assert_int_equal(strlen(a.body), size - 1);
    answer_done(&a);
    start(f, "POST", "/echo", (struct str){text, size}, &a);
    await(f, &f->done, 2);
    /* The server may close before the client has sent all. */
    assert_true(a.status == 413 || a.status == -1);
    assert_int_equal(f->handled, 1);
    answer_done(&a);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
}

/* --- many at once --- */

static void requests_may_wait_and_be_answered_in_any_order(void **state)
{
    enum { REQUESTS = 40 };
    struct fixture *f = *state;
    struct answer answers[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        start(f, "GET", "/hold", NO_BODY, &answers[i]);
    }
    await(f, &f->handled, REQUESTS);
    assert_int_equal(f->done, 0);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello"); /* others go on */
    release(f);
    await(f, &f->done, REQUESTS + 1);
    bool seen[REQUESTS] = {0};
    for (int i = 0; i < REQUESTS; i++) {
        int n = -1;
        assert_int_equal(answers[i].status, 200);
        assert_int_equal(sscanf(answers[i].body, "reply %d", &n), 1);
        assert_true(n >= 0 && n < REQUESTS && !seen[n]);
        seen[n] = true;
        answer_done(&answers[i]);
    }
}

struct blocking {
    struct fixture *f;
    int status;
    size_t *done;
    pthread_t thread;
    char body[16];
};

static void count_up(void *arg)
{
    ++*(size_t *)arg;
}

/* As commands do it. */
static void *block(void *arg)
{
    struct blocking *b = arg;
    struct http_call call = {.url = "http://here/hello",
                             .unix_path = b->f->socket,
                             .timeout_ms = PATIENCE_MS,
                             .max_bytes = 100};
    struct buf body;
    struct err e = ERR_INIT;
    b->status = http_do(&call, &body, &e);
    snprintf(b->body, sizeof(b->body), "%.*s", (int)body.len, body.data ? body.data : "");
    buf_done(&body);
    loop_post(b->f->loop, count_up, b->done);
    return NULL;
}

static void threads_may_call_at_once(void **state)
{
    enum { THREADS = 8 };
    struct fixture *f = *state;
    struct blocking calls[THREADS];
    size_t done = 0;
    for (int i = 0; i < THREADS; i++) {
        calls[i] = (struct blocking){.f = f, .done = &done};
        assert_int_equal(pthread_create(&calls[i].thread, NULL, block, &calls[i]), 0);
    }
    await(f, &done, THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(calls[i].thread, NULL);
        assert_int_equal(calls[i].status, 200);
        assert_string_equal(calls[i].body, "hello");
    }
}

/* --- clients that misbehave --- */

static int dial(const struct fixture *f, const char *text)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, f->socket, strlen(f->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void a_client_that_hangs_up_harms_nobody(void **state)
{
    struct fixture *f = *state;
    close(dial(f, ""));
    close(dial(f, "GET /hel"));
    close(dial(f, "POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\nfew"));
    close(dial(f, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n"));
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");

    /* Gone while its request waits: the reply goes nowhere. */
    size_t before = f->handled;
    int fd = dial(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    await(f, &f->handled, before + 1);
    close(fd);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
    release(f);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
    before = f->handled;
    fd = dial(f, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    await(f, &f->handled, before + 1);
    close(fd);
    release(f); /* at once: nobody has seen it go */
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
}

static void what_is_no_http_is_refused(void **state)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "BREW /hello HTTP/1.1\r\n\r\n",
        "GET http://[::1/hello HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
    };
    struct fixture *f = *state;
    int fds[COUNT_OF(texts)];
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        fds[i] = dial(f, texts[i]);
        expect(f, "DELETE", "/", NO_BODY, 200, "hello");
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        close(fds[i]);
    }
    expect(f, "DELETE", "/", NO_BODY, 200, "hello");
}

static void headers_over_the_limit_are_refused(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    buf_addz(&text, "GET /hello HTTP/1.1\r\n");
    while (text.len <= 2 * LIMIT_H2_HEADER_BYTES) {
        buf_addz(&text, "X-More: of the same\r\n");
    }
    buf_addz(&text, "\r\n");
    int fd = dial(f, text.data);
    expect(f, "DELETE", "/", NO_BODY, 200, "hello");
    assert_int_equal(f->handled, 1);
    close(fd);
}

/* --- the client --- */

static void an_answer_over_the_limit_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct answer a = {.f = f};
    struct http_call call = {.url = "http://here/large",
                             .unix_path = f->socket,
                             .timeout_ms = PATIENCE_MS,
                             .max_bytes = 1000};
    http_start(f->client, &call, on_answer, &a);
    await(f, &f->done, 1);
    assert_int_equal(a.status, -1);
    assert_string_equal(a.error, "the answer is larger than 1000 bytes");
    answer_done(&a);
}

static void no_answer_in_time_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct answer a = {.f = f};
    struct http_call call = {
        .url = "http://here/hold", .unix_path = f->socket, .timeout_ms = 20, .max_bytes = 1000};
    http_start(f->client, &call, on_answer, &a);
    await(f, &f->done, 1);
    assert_int_equal(a.status, -1);
    assert_non_null(strstr(a.error, "timed out"));
    answer_done(&a);
    release(f);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
}

static void nobody_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    http_server_free(f->server);
    f->server = NULL;
    struct answer a;
    start(f, "GET", "/hello", NO_BODY, &a);
    await(f, &f->done, 1);
    assert_int_equal(a.status, -1);
    assert_true(a.error[0] != '\0');
    answer_done(&a);
}

static void what_is_cancelled_stays_silent(void **state)
{
    struct fixture *f = *state;
    struct answer first, second, third;
    struct http_transfer *t = start(f, "GET", "/hold", NO_BODY, &first);
    start(f, "GET", "/hold", NO_BODY, &second);
    await(f, &f->handled, 2);
    http_cancel(t);
    http_cancel(start(f, "GET", "/hello", NO_BODY, &third));
    http_client_free(f->client); /* ends the second */
    f->client = http_client_new(f->loop);
    release(f);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
    assert_int_equal(f->done, 1);
    assert_true(!first.body && !second.body && !third.body);
}

/* --- the socket --- */

static void the_socket_is_the_owners_alone(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct http_server *second = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(start_server(f, &second, &e), -1);
    assert_non_null(strstr(e.text, f->socket));
    assert_non_null(strstr(e.text, "another process listens there already"));
    assert_null(second);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
}

static void a_dead_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    http_server_free(f->server);
    f->server = NULL;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, f->socket, strlen(f->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    assert_int_equal(start_server(f, &f->server, NULL), 0);
    expect(f, "GET", "/hello", NO_BODY, 200, "hello");
}

static void a_path_too_long_is_an_error(void **state)
{
    struct fixture *f = *state;
    char path[200];
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct http_server_options o = {.loop = f->loop, .unix_path = path};
    struct http_server *s = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(http_server_start(&o, &s, &e), -1);
    assert_non_null(strstr(e.text, "longer than 107 bytes"));
}

/* --- a port for strangers --- */

static void end_loop(void *arg)
{
    loop_stop(arg);
}

static int dial_port(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

/* Reads to the end of an answer, or of the connection: false. */
static bool ask_on(int fd, const char *headers)
{
    AUTO(free) char *text = mem_printf("GET /hello HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    char got[1024] = "";
    size_t len = 0;
    ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    while (n > 0 && !strstr(got, "\r\n\r\nhello") && len < sizeof(got) - 1) {
        n = recv(fd, got + len, sizeof(got) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
        got[len] = '\0';
    }
    return strstr(got, "\r\n\r\nhello") != NULL;
}

static bool is_ended(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

struct visit {
    struct fixture *f;
    uint16_t port;
    bool held_through, oldest_ended, others_served;
};

/* Two may be connected. */
static void *visit(void *arg)
{
    struct visit *v = arg;
    int first = dial_port(v->port);
    v->held_through = ask_on(first, "");
    for (int i = 0; i < 5; i++) {
        int other = dial_port(v->port);
        v->held_through &= ask_on(other, "Connection: close\r\n") && is_ended(other);
        close(other);
    }
    v->held_through &= ask_on(first, "");
    int second = dial_port(v->port);
    v->others_served = ask_on(second, "");
    int third = dial_port(v->port);
    v->others_served &= ask_on(third, "");
    v->oldest_ended = is_ended(first);
    v->others_served &= ask_on(second, "") && ask_on(third, "");
    close(first);
    close(second);
    close(third);
    loop_post(v->f->loop, end_loop, v->f->loop);
    return NULL;
}

static void the_oldest_makes_way_where_too_many_are_connected(void **state)
{
    struct fixture *f = *state;
    struct http_server_options o = {.loop = f->loop,
                                    .host = "127.0.0.1",
                                    .max_connections = 2,
                                    .routes = routes,
                                    .n_routes = COUNT_OF(routes),
                                    .arg = f};
    struct http_server *server = NULL;
    assert_int_equal(http_server_start(&o, &server, NULL), 0);
    struct visit v = {.f = f, .port = http_server_port(server)};
    pthread_t thread;
    pthread_create(&thread, NULL, visit, &v);
    loop_run(f->loop);
    pthread_join(thread, NULL);
    http_server_free(server);
    assert_true(v.held_through);
    assert_true(v.oldest_ended);
    assert_true(v.others_served);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(requests_find_their_route),
        WITH_SERVER(other_pages_and_methods_are_refused),
        WITH_SERVER(a_body_over_the_limit_is_refused),
        WITH_SERVER(requests_may_wait_and_be_answered_in_any_order),
        WITH_SERVER(threads_may_call_at_once),
        WITH_SERVER(a_client_that_hangs_up_harms_nobody),
        WITH_SERVER(what_is_no_http_is_refused),
        WITH_SERVER(headers_over_the_limit_are_refused),
        WITH_SERVER(an_answer_over_the_limit_is_an_error),
        WITH_SERVER(no_answer_in_time_is_an_error),
        WITH_SERVER(nobody_there_is_an_error),
        WITH_SERVER(what_is_cancelled_stays_silent),
        WITH_SERVER(the_socket_is_the_owners_alone),
        WITH_SERVER(a_dead_socket_is_replaced),
        WITH_SERVER(a_path_too_long_is_an_error),
        WITH_SERVER(the_oldest_makes_way_where_too_many_are_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
