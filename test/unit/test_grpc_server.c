/* The gRPC server on sockets: shards, draining, old connections, ends. */
#include "h2_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/grpc_server.h"

enum { PATIENCE_MS = 60000 };

static int dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void send_all(int fd, const struct buf *b)
{
    assert_int_equal(write(fd, b->data, b->len), b->len);
}

/* Reads until a frame with this text came, or to the end when text is NULL. */
static void read_until(int fd, struct buf *in, const char *text)
{
    while (!text || !in->len || !memmem(in->data, in->len, text, strlen(text))) {
        char chunk[4096];
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0) {
            assert_null(text);
            return;
        }
        buf_add(in, chunk, (size_t)n);
    }
}

static void await_connections(const struct grpc_server *server, size_t n)
{
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (grpc_server_connections(server) != n && clock_mono_ms() < deadline) {
        usleep(1000);
    }
    assert_int_equal(grpc_server_connections(server), n);
}

static int start_server(struct service *s, uint16_t port, struct grpc_server **ret, struct err *e)
{
    struct grpc_server_options o = {
        .host = "127.0.0.1", .port = port, .shards = 2, .service = s->grpc};
    return grpc_server_start(&o, ret, e);
}

static void a_server_answers_on_all_its_shards(void **state)
{
    enum { CLIENTS = 20 };
    struct service s;
    struct grpc_server *server;
    int fds[CLIENTS];
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, BUF_MAX);
        fds[i] = dial(grpc_server_port(server));
        put_preface(&b);
        put_call(&b, 1, "POST", PATH, "application/grpc");
        put_message(&b, 1, "hello");
        send_all(fds[i], &b);
    }
    for (int i = 0; i < CLIENTS; i++) {
        AUTO(buf_done) struct buf in;
        buf_init(&in, BUF_MAX);
        read_until(fds[i], &in, "hello");
    }
    assert_int_equal(grpc_server_connections(server), CLIENTS);
    assert_int_equal(s.opened, CLIENTS);
    struct err e = ERR_INIT;
    struct grpc_server *second = NULL;
    assert_int_equal(start_server(&s, grpc_server_port(server), &second, &e), -1);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    for (int i = 0; i < CLIENTS; i += 2) {
        close(fds[i]); /* some hang up, the others are closed by the server */
    }
    grpc_server_free(server);
    for (int i = 1; i < CLIENTS; i += 2) {
        AUTO(buf_done) struct buf in;
        buf_init(&in, BUF_MAX);
        read_until(fds[i], &in, NULL);
        close(fds[i]);
    }
    assert_int_equal(s.closed, CLIENTS);
}

static void a_server_that_drains_says_so(void **state)
{
    struct service s;
    struct grpc_server *server;
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    AUTO(buf_done) struct buf b;
    AUTO(buf_done) struct buf in;
    buf_init(&b, BUF_MAX);
    buf_init(&in, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    put_preface(&b);
    put_call(&b, 1, "POST", PATH, "application/grpc");
    put_message(&b, 1, "hello");
    send_all(fd, &b);
    read_until(fd, &in, "hello");
    grpc_server_drain(server, 1); /* the client doesn't go by itself */
    read_until(fd, &in, NULL);
    assert_non_null(find_frame(buf_str(&in), GOAWAY, 0, 0).payload.ptr);
    close(fd);
    grpc_server_free(server);
    assert_int_equal(s.closed, 1);
}

/* A client with a call that was answered. */
static int dial_and_call(struct grpc_server *server)
{
    AUTO(buf_done) struct buf b;
    AUTO(buf_done) struct buf in;
    buf_init(&b, BUF_MAX);
    buf_init(&in, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    put_preface(&b);
    put_call(&b, 1, "POST", PATH, "application/grpc");
    put_message(&b, 1, "hello");
    send_all(fd, &b);
    read_until(fd, &in, "hello");
    return fd;
}

/* Each step sends away one a shard, and the steps have their distance, however late the first of
 * them is; all at once would go in two. */
static void a_server_may_take_its_time_to_drain(void **state)
{
    enum { CLIENTS = 20, OVER_MS = 3600000, STEPS_MS = 500 };
    struct service s;
    struct grpc_server *server;
    int fds[CLIENTS];
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = dial_and_call(server);
    }
    int64_t began = clock_mono_ms();
    grpc_server_start_drain(server, OVER_MS);
    await_connections(server, 0);
    assert_int_equal(s.closed, CLIENTS);
    assert_true(s.last_closed_ms - began >= STEPS_MS);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(grpc_server_port(server)),
                            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&a, sizeof(a)), -1);
    close(late);
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
    grpc_server_free(server);
}

/* All that a client with a call hears until the end. */
static void hear_all(struct grpc_server *server, struct buf *in)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    put_preface(&b);
    put_call(&b, 1, "POST", PATH, "application/grpc");
    send_all(fd, &b);
    read_until(fd, in, NULL);
    close(fd);
}

static void old_connections_are_sent_away(void **state)
{
    struct service s;
    struct grpc_server *server;
    service_init(&s);
    struct grpc_server_options o = {
        .host = "127.0.0.1", .shards = 1, .service = s.grpc, .max_age_ms = 100};
    assert_int_equal(grpc_server_start(&o, &server, NULL), 0);
    for (int i = 0; i < 2; i++) { /* the first, and others are welcome after it */
        AUTO(buf_done) struct buf in;
        buf_init(&in, BUF_MAX);
        hear_all(server, &in);
        assert_non_null(find_frame(buf_str(&in), SETTINGS, 0, 0).payload.ptr);
        assert_non_null(find_frame(buf_str(&in), GOAWAY, 0, 0).payload.ptr);
    }
    grpc_server_free(server);
}

static void bytes_that_are_no_http2_close_the_connection(void **state)
{
    struct service s;
    struct grpc_server *server;
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    AUTO(buf_done) struct buf b;
    AUTO(buf_done) struct buf in;
    buf_init(&b, BUF_MAX);
    buf_init(&in, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    buf_addz(&b, "GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    send_all(fd, &b);
    read_until(fd, &in, NULL);
    close(fd);
    grpc_server_free(server);
    assert_int_equal(s.opened, 0);
}

/* A reset might overtake what was said to the peer: there is none, however much of it is unread. */
static void last_words_arrive_before_the_end(void **state)
{
    static const char rest[200000];
    struct service s;
    struct grpc_server *server;
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    AUTO(buf_done) struct buf b;
    AUTO(buf_done) struct buf in;
    buf_init(&b, BUF_MAX);
    buf_init(&in, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    put_preface(&b);
    put_frame(&b, PING, 0, 0, STR("short"));
    buf_add(&b, rest, sizeof(rest));
    send_all(fd, &b);
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        buf_add(&in, chunk, (size_t)n);
    }
    assert_int_equal(n, 0);
    assert_non_null(find_frame(buf_str(&in), GOAWAY, 0, 0).payload.ptr);
    close(fd);
    grpc_server_free(server);
}

static void who_stays_after_the_end_is_let_go(void **state)
{
    struct service s;
    struct grpc_server *server;
    service_init(&s);
    assert_int_equal(start_server(&s, 0, &server, NULL), 0);
    AUTO(buf_done) struct buf b;
    buf_init(&b, BUF_MAX);
    int fd = dial(grpc_server_port(server));
    put_preface(&b);
    put_frame(&b, PING, 0, 0, STR("short"));
    send_all(fd, &b);
    await_connections(server, 0);
    close(fd);
    grpc_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_answers_on_all_its_shards),
        cmocka_unit_test(a_server_that_drains_says_so),
        cmocka_unit_test(a_server_may_take_its_time_to_drain),
        cmocka_unit_test(old_connections_are_sent_away),
        cmocka_unit_test(bytes_that_are_no_http2_close_the_connection),
        cmocka_unit_test(last_words_arrive_before_the_end),
        cmocka_unit_test(who_stays_after_the_end_is_let_go),
    };
    signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
