/* The server's side of HTTP/2 and gRPC, fed with frames written by hand; floods end a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/grpc_server.h"
#include "net/h2_conn.h"

enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { FLOOD = 5000, PATIENCE_MS = 60000 };
#define BUF_MAX (64u << 20)
#define PATH "/test.Echo/Echo"

/* --- a service that answers every message with itself --- */

struct service {
    struct grpc_service grpc;
    atomic_int opened, messages, closed;
    _Atomic int64_t last_closed_ms;
    bool refuse;
};

static int on_open(void *arg, struct grpc_call *c, struct str path, struct err *e)
{
    struct service *s = arg;
    if (s->refuse) {
        return err_set(e, "100%% refused");
    }
    s->opened++;
    return 0;
}

static void on_message(void *arg, struct grpc_call *c, struct str message)
{
    struct service *s = arg;
    s->messages++;
    struct blob *b = grpc_frame(message);
    grpc_call_send(c, b);
    blob_unref(b);
    if (str_is(message, "bye")) {
        grpc_call_finish(c, GRPC_OK, NULL);
    }
}

static void on_close(void *arg, struct grpc_call *c)
{
    struct service *s = arg;
    s->closed++;
    s->last_closed_ms = clock_mono_ms();
}

static void service_init(struct service *s)
{
    static const char *const paths[] = {PATH};
    memset(s, 0, sizeof(*s));
    s->grpc = (struct grpc_service){.arg = s,
                                    .paths = paths,
                                    .n_paths = 1,
                                    .on_open = on_open,
                                    .on_message = on_message,
                                    .on_close = on_close};
}

/* --- the peer's frames --- */

static void put_frame(struct buf *b, int type, int flags, uint32_t stream, struct str payload)
{
    unsigned char head[9] = {(unsigned char)(payload.len >> 16),
                             (unsigned char)(payload.len >> 8),
                             (unsigned char)payload.len,
                             (unsigned char)type,
                             (unsigned char)flags,
                             (unsigned char)(stream >> 24),
                             (unsigned char)(stream >> 16),
                             (unsigned char)(stream >> 8),
                             (unsigned char)stream};
    buf_add(b, head, sizeof(head));
    buf_adds(b, payload);
}

static void put_preface(struct buf *b)
{
    buf_addz(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(b, SETTINGS, 0, 0, STR(""));
}

/* Header fields without compression: a literal with a new name. */
static void put_field(struct buf *b, const char *name, const char *value)
{
    buf_addc(b, 0);
    buf_addc(b, (char)strlen(name));
    buf_addz(b, name);
    buf_addc(b, (char)strlen(value));
    buf_addz(b, value);
}

static void put_call(struct buf *b, uint32_t stream, const char *method, const char *path,
                     const char *type)
{
    AUTO(buf_done) struct buf fields;
    buf_init(&fields, BUF_MAX);
    buf_addc(&fields, 0x20); /* no table of earlier fields: the server asks for that */
    put_field(&fields, ":method", method);
    put_field(&fields, ":scheme", "http");
    put_field(&fields, ":authority", "here");
    put_field(&fields, ":path", path);
    put_field(&fields, "content-type", type);
    put_frame(b, HEADERS, END_HEADERS, stream, buf_str(&fields));
}

static void put_message(struct buf *b, uint32_t stream, const char *text)
{
    struct blob *m = grpc_frame(str_of(text));
    put_frame(b, DATA, 0, stream, blob_str(m));
    blob_unref(m);
}

/* --- a connection and what it says --- */

struct peer {
    struct service service;
    struct h2_conn *conn;
    struct buf in, out; /* to the server; all that it sent */
    struct err e;
    bool ended; /* the server gave it up */
};

static int set_up(void **state)
{
    struct peer *p = NEW(struct peer);
    service_init(&p->service);
    struct h2_conn_options o = {.service = &p->service.grpc};
    p->conn = h2_conn_new(&o);
    buf_init(&p->in, BUF_MAX);
    buf_init(&p->out, BUF_MAX);
    put_preface(&p->in);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct peer *p = *state;
    h2_conn_free(p->conn);
    int left = p->service.opened - p->service.closed;
    buf_done(&p->in);
    buf_done(&p->out);
    free(p);
    return left; /* every call that opened was closed */
}

/* Delivers what is in p->in, as the server would, and takes what it answers. */
static void run(struct peer *p, bool read_answers)
{
    if (h2_conn_recv(p->conn, buf_str(&p->in), &p->e) < 0) {
        p->ended = true;
    }
    buf_reset(&p->in);
    if (read_answers && h2_conn_send(p->conn, &p->out, BUF_MAX, &p->e) < 0) {
        p->ended = true;
    }
    p->ended |= h2_conn_finished(p->conn);
}

struct frame {
    int type, flags;
    uint32_t stream;
    struct str payload;
};

/* The n-th frame of a type for a stream; payload.ptr is NULL when there is none. */
static struct frame find_frame(struct str bytes, int type, uint32_t stream, int n)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr, *end = at + bytes.len;
    while (end - at >= 9) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        struct frame f = {at[3],
                          at[4],
                          (uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 |
                              at[8],
                          {(const char *)at + 9, len}};
        if (f.type == type && f.stream == stream && n-- == 0) {
            return f;
        }
        at += 9 + len;
    }
    return (struct frame){0};
}

static bool answered(const struct peer *p, int type, uint32_t stream, int n, const char *text)
{
    struct str payload = find_frame(buf_str(&p->out), type, stream, n).payload;
    return payload.ptr && memmem(payload.ptr, payload.len, text, strlen(text));
}

/* A response's headers or trailers have this field. */
static bool says(const struct peer *p, uint32_t stream, int n, const char *name, const char *value)
{
    struct str block = find_frame(buf_str(&p->out), HEADERS, stream, n).payload;
    nghttp2_hd_inflater *inflater;
    bool found = false;
    int flags = 0;
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    while (block.ptr && !(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, (const uint8_t *)block.ptr,
                                              block.len, 1);
        assert_true(used >= 0);
        block.ptr += used;
        block.len -= (size_t)used;
        found |= (flags & NGHTTP2_HD_INFLATE_EMIT) &&
                 str_is((struct str){(char *)field.name, field.namelen}, name) &&
                 str_is((struct str){(char *)field.value, field.valuelen}, value);
    }
    nghttp2_hd_inflate_del(inflater);
    return found;
}

/* --- calls --- */

static void messages_are_answered(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_message(&p->in, 1, "hello");
    run(p, true);
    assert_int_equal(p->service.opened, 1);
    assert_true(answered(p, DATA, 1, 0, "hello"));
    put_message(&p->in, 1, "bye");
    run(p, true);
    assert_true(answered(p, DATA, 1, 1, "bye"));
    assert_int_equal(p->service.closed, 1);
    assert_false(p->ended);
}

static void input_may_be_cut_anywhere(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc+proto");
    put_message(&p->in, 1, "one");
    put_message(&p->in, 1, "");
    put_message(&p->in, 1, "three");
    AUTO(free) char *bytes = mem_memdup(p->in.data, p->in.len);
    size_t len = p->in.len;
    for (size_t i = 0; i < len; i++) {
        buf_reset(&p->in);
        buf_addc(&p->in, bytes[i]);
        run(p, true);
    }
    assert_int_equal(p->service.messages, 3);
    assert_true(answered(p, DATA, 1, 0, "one") && answered(p, DATA, 1, 2, "three"));
}

static void a_message_may_come_in_several_frames(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_frame(&p->in, DATA, 0, 1, STR("\0\0\0"));
    put_frame(&p->in, DATA, 0, 1,
              STR("\0\x04"
                  "ab"));
    put_frame(&p->in, DATA, END_STREAM, 1, STR("cd\0\0\0\0\x01z"));
    run(p, true);
    assert_int_equal(p->service.messages, 2);
    assert_true(answered(p, DATA, 1, 0, "abcd"));
    assert_int_equal(p->service.closed, 1);
}

/* A message of so many letters, in as many frames as it needs; returns the message's bytes. */
static size_t put_long_message(struct buf *b, uint32_t stream, size_t letters)
{
    AUTO(free) char *text = mem_alloc(letters);
    memset(text, 'x', letters);
    struct blob *m = grpc_frame((struct str){text, letters});
    for (struct str rest = blob_str(m); rest.len > 0;) {
        size_t part = rest.len < 16384 ? rest.len : 16384;
        put_frame(b, DATA, 0, stream, (struct str){rest.ptr, part});
        rest = (struct str){rest.ptr + part, rest.len - part};
    }
    size_t whole = m->len;
    blob_unref(m);
    return whole;
}

static void a_large_request_waits_for_no_window(void **state)
{
    struct peer *p = *state;
    run(p, true);
    put_frame(&p->in, SETTINGS, ACK, 0, STR(""));
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_long_message(&p->in, 1, LIMIT_H2_WINDOW_BYTES - 5);
    run(p, true);
    assert_false(p->ended);
    assert_int_equal(p->service.messages, 1);
}

/* Frame by frame: each is one record of TLS, and none leaves a small one behind. */
static void a_long_answer_fills_records(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    size_t whole = put_long_message(&p->in, 1, 40000);
    run(p, true);
    struct str out = buf_str(&p->out);
    assert_int_equal(find_frame(out, DATA, 1, 0).payload.len, 16384 - 9);
    assert_int_equal(find_frame(out, DATA, 1, 1).payload.len, 16384 - 9);
    assert_int_equal(find_frame(out, DATA, 1, 2).payload.len, whole - 2 * (16384 - 9));
    assert_null(find_frame(out, DATA, 1, 3).payload.ptr);
}

static void calls_that_arent_ours_are_refused(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "GET", PATH, "application/grpc");
    put_call(&p->in, 3, "POST", PATH, "text/plain");
    run(p, true);
    assert_true(says(p, 1, 0, ":status", "405"));
    assert_true(says(p, 3, 0, ":status", "415"));
    put_frame(&p->in, DATA, END_STREAM, 1, STR(""));
    put_frame(&p->in, DATA, END_STREAM, 3, STR(""));
    put_call(&p->in, 5, "POST", "/test.Echo/Other", "application/grpc");
    run(p, true);
    assert_true(says(p, 5, 0, "grpc-message", "no such method"));
    p->service.refuse = true;
    put_call(&p->in, 7, "POST", PATH, "application/grpc");
    run(p, true);
    assert_true(says(p, 7, 0, "grpc-message", "100%25 refused"));
    assert_int_equal(p->service.opened, 0);
    assert_false(p->ended);
}

/* The server's table of sent headers holds nothing, however large the peer lets it be. */
static void no_header_is_remembered_for_a_peer_that_would(void **state)
{
    struct peer *p = *state;
    put_frame(&p->in, SETTINGS, 0, 0, STR("\0\x01\0\x01\0\0")); /* HEADER_TABLE_SIZE: 65,536 */
    for (uint32_t id = 1; id < 20; id += 2) {
        put_call(&p->in, id, "POST", PATH, "application/grpc");
        put_message(&p->in, id, "bye");
        run(p, true);
        assert_true(says(p, id, 0, "content-type", "application/grpc"));
        assert_true(says(p, id, 1, "grpc-status", "0"));
    }
    assert_false(p->ended);
}

/* Until it has heard that the server's table holds nothing. */
static void a_peer_may_name_a_header_by_its_number(void **state)
{
    struct peer *p = *state;
    AUTO(buf_done) struct buf fields, again;
    buf_init(&fields, BUF_MAX);
    buf_init(&again, BUF_MAX);
    put_field(&fields, ":method", "POST");
    put_field(&fields, ":scheme", "http");
    put_field(&fields, ":authority", "here");
    buf_adds(&again, buf_str(&fields));
    put_field(&fields, ":path", PATH);
    fields.data[again.len] = 0x40; /* to be remembered, by the first free number */
    buf_addc(&again, (char)(0x80 | 62));
    put_field(&fields, "content-type", "application/grpc");
    put_field(&again, "content-type", "application/grpc");
    put_frame(&p->in, HEADERS, END_HEADERS, 1, buf_str(&fields));
    put_frame(&p->in, HEADERS, END_HEADERS, 3, buf_str(&again));
    run(p, true);
    assert_int_equal(p->service.opened, 2);
    assert_false(p->ended);
}

static void messages_over_the_limit_end_the_call(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_frame(&p->in, DATA, 0, 1, STR("\0\xff\xff\xff\xff"));
    put_call(&p->in, 3, "POST", PATH, "application/grpc");
    put_frame(&p->in, DATA, 0, 3, STR("\x01\0\0\0\x01z"));
    run(p, true);
    assert_true(says(p, 1, 0, "grpc-message", "the message is too large"));
    assert_true(says(p, 3, 0, "grpc-message", "compressed messages aren't supported"));
    assert_int_equal(p->service.messages, 0);
    assert_int_equal(p->service.closed, 2);
    assert_false(p->ended);
}

/* Also by what the service says that it holds, and by other connections of the certificate. */
static void unfinished_messages_are_counted(void **state)
{
    struct peer *p = *state;
    _Atomic size_t held = 0;
    struct h2_conn_options o = {.service = &p->service.grpc, .held = &held};
    h2_conn_free(p->conn);
    p->conn = h2_conn_new(&o);
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_frame(&p->in, DATA, 0, 1, STR("\0\0\0\x10\0some of 4096"));
    run(p, true);
    assert_true(h2_conn_has_part(p->conn) && held > 0 && held < 8192);
    held += LIMIT_ADS_PEER_BYTES;
    put_frame(&p->in, DATA, 0, 1, (struct str){(char[2048]){0}, 2048});
    run(p, true);
    assert_true(says(p, 1, 0, "grpc-status", "8"));
    assert_false(h2_conn_has_part(p->conn));
    assert_int_equal(held, LIMIT_ADS_PEER_BYTES);
    assert_false(p->ended);
}

static void a_whole_message_is_held_no_more(void **state)
{
    struct peer *p = *state;
    _Atomic size_t held = 0;
    struct h2_conn_options o = {.service = &p->service.grpc, .held = &held};
    h2_conn_free(p->conn);
    p->conn = h2_conn_new(&o);
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_long_message(&p->in, 1, 40000);
    run(p, true);
    assert_int_equal(p->service.messages, 1);
    assert_int_equal(h2_conn_received(p->conn), 1);
    assert_false(h2_conn_has_part(p->conn));
    assert_int_equal(held, 0);
}

static void a_message_may_be_as_large_as_the_limit(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    run(p, true);
    put_long_message(&p->in, 1, LIMIT_ADS_REQUEST_BYTES);
    for (struct str rest = {p->in.data, p->in.len}; rest.len > 0;) {
        size_t part =
            rest.len < 16384 ? rest.len : 16384; /* as from a socket, with windows between */
        assert_int_equal(h2_conn_recv(p->conn, (struct str){rest.ptr, part}, &p->e), 0);
        assert_int_equal(h2_conn_send(p->conn, &p->out, BUF_MAX, &p->e), 0);
        rest = (struct str){rest.ptr + part, rest.len - part};
    }
    assert_int_equal(p->service.messages, 1);
}

static void calls_over_the_limit_are_refused(void **state)
{
    struct peer *p = *state;
    run(p, true);
    put_frame(&p->in, SETTINGS, ACK, 0, STR("")); /* from here on the peer knows the limit */
    for (uint32_t i = 0; i < 2 * LIMIT_ADS_STREAMS_PER_CONN; i++) {
        put_call(&p->in, 2 * i + 1, "POST", PATH, "application/grpc");
    }
    run(p, true);
    assert_int_equal(p->service.opened, LIMIT_ADS_STREAMS_PER_CONN);
}

static void headers_over_the_limit_end_the_call(void **state)
{
    struct peer *p = *state;
    AUTO(buf_done) struct buf fields;
    buf_init(&fields, BUF_MAX);
    put_field(&fields, ":method", "POST");
    put_field(&fields, ":scheme", "http");
    put_field(&fields, ":authority", "here");
    put_field(&fields, ":path", PATH);
    put_field(&fields, "content-type", "application/grpc");
    for (int i = 0; i < LIMIT_H2_HEADERS; i++) {
        put_field(&fields, "x", "y");
    }
    put_frame(&p->in, HEADERS, END_HEADERS, 1, buf_str(&fields));
    put_call(&p->in, 3, "POST", PATH, "application/grpc");
    run(p, true);
    assert_int_equal(p->service.opened, 1);
    assert_non_null(find_frame(buf_str(&p->out), RST_STREAM, 1, 0).payload.ptr);
    assert_false(p->ended);
}

static void pings_are_answered_and_ours_noticed(void **state)
{
    struct peer *p = *state;
    put_frame(&p->in, PING, 0, 0, STR("12345678"));
    run(p, true);
    struct frame pong = find_frame(buf_str(&p->out), PING, 0, 0);
    assert_int_equal(pong.flags, ACK);
    assert_true(str_is(pong.payload, "12345678"));
    assert_false(h2_conn_pong_due(p->conn));
    h2_conn_ping(p->conn);
    assert_true(h2_conn_pong_due(p->conn));
    assert_true(h2_conn_wants_send(p->conn));
    run(p, true);
    struct frame ping = find_frame(buf_str(&p->out), PING, 0, 1);
    assert_int_equal(ping.flags, 0);
    put_frame(&p->in, PING, ACK, 0, ping.payload);
    run(p, true);
    assert_false(h2_conn_pong_due(p->conn));
}

static void what_the_window_stops_is_unsent_until_it_has_gone(void **state)
{
    struct peer *p = *state;
    put_frame(&p->in, SETTINGS, 0, 0, STR("\0\4\0\0\0\7"));
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_message(&p->in, 1, "hello"); /* ten bytes */
    run(p, true);
    assert_true(h2_conn_has_unsent(p->conn));
    assert_int_equal(h2_conn_sent(p->conn), 0);
    put_frame(&p->in, WINDOW_UPDATE, 0, 1, STR("\0\0\0\2"));
    run(p, true);
    assert_true(h2_conn_has_unsent(p->conn));
    assert_int_equal(h2_conn_sent(p->conn), 0);
    put_frame(&p->in, WINDOW_UPDATE, 0, 1, STR("\0\0\0\1"));
    run(p, true);
    assert_false(h2_conn_has_unsent(p->conn));
    assert_int_equal(h2_conn_sent(p->conn), 1);
    put_message(&p->in, 1, "bye");
    run(p, true);
    assert_true(h2_conn_has_unsent(p->conn));
}

static void shutdown_lets_calls_end_first(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    run(p, true);
    h2_conn_shutdown(p->conn, false);
    put_message(&p->in, 1, "still here");
    run(p, true);
    assert_non_null(find_frame(buf_str(&p->out), GOAWAY, 0, 0).payload.ptr);
    assert_true(answered(p, DATA, 1, 0, "still here"));
    assert_false(p->ended);
    h2_conn_shutdown(p->conn, true);
    run(p, true);
    assert_int_equal(p->service.closed, 1);
    assert_true(says(p, 1, 1, "grpc-message", "the server is going away"));
    assert_true(p->ended);
}

static void what_is_no_http2_ends_the_connection(void **state)
{
    static const struct str inputs[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24},
        {"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 11}, /* TLS where none is spoken */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0", 33},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\0\0\0\0\0\x01", 33}, /* DATA before SETTINGS */
    };
    struct peer *p = *state;
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        struct h2_conn_options o = {.service = &p->service.grpc};
        struct h2_conn *c = h2_conn_new(&o);
        AUTO(buf_done) struct buf out;
        struct err e = ERR_INIT;
        buf_init(&out, BUF_MAX);
        int received = h2_conn_recv(c, inputs[i], &e);
        assert_true(received == 0 || strstr(e.text, "HTTP/2: "));
        int sent = h2_conn_send(c, &out, BUF_MAX, &e);
        if (received == 0 && sent == 0 && !h2_conn_finished(c)) {
            fail_msg("input %zu goes on", i);
        }
        h2_conn_free(c);
    }
}

/* --- floods --- */

/* A few do no harm, many end the connection, of a peer that reads its answers and of one that
 * doesn't. */
static void expect_end(struct peer *p, void (*put)(struct buf *b, uint32_t n), uint32_t harmless,
                       bool read_answers)
{
    for (uint32_t i = 0; i < FLOOD && !p->ended; i++) {
        put(&p->in, i);
        run(p, read_answers);
        assert_true(!p->ended || i >= harmless);
    }
    if (!read_answers && !p->ended) {
        h2_conn_send(p->conn, &p->out, BUF_MAX, &p->e);
        p->ended = h2_conn_finished(p->conn);
    }
    assert_true(p->ended);
}

static void put_reset_call(struct buf *b, uint32_t n)
{
    put_call(b, 2 * n + 1, "POST", PATH, "application/grpc");
    put_frame(b, RST_STREAM, 0, 2 * n + 1, STR("\0\0\0\x08"));
}

static void put_ping(struct buf *b, uint32_t n)
{
    put_frame(b, PING, 0, 0, STR("12345678"));
}

static void put_settings(struct buf *b, uint32_t n)
{
    put_frame(b, SETTINGS, 0, 0, STR(""));
}

static void put_many_settings(struct buf *b, uint32_t n)
{
    AUTO(buf_done) struct buf entries;
    buf_init(&entries, BUF_MAX);
    for (int i = 0; i <= LIMIT_H2_SETTINGS; i++) {
        buf_adds(&entries, STR("\0\x03\0\0\0\x08"));
    }
    put_frame(b, SETTINGS, 0, 0, buf_str(&entries));
}

static void put_continuation(struct buf *b, uint32_t n)
{
    if (n == 0) {
        put_frame(b, HEADERS, 0, 1, STR("\x83"));
    } else {
        put_frame(b, CONTINUATION, 0, 1, STR(""));
    }
}

/* The last byte of the code in the server's last words. */
static int goodbye(const struct peer *p)
{
    struct str payload = find_frame(buf_str(&p->out), GOAWAY, 0, 0).payload;
    return payload.ptr && payload.len >= 8 ? payload.ptr[7] : -1;
}

static void resets_end_the_connection(void **state)
{
    expect_end(*state, put_reset_call, LIMIT_H2_RESETS_BURST, true);
    assert_int_equal(goodbye(*state), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void resets_without_reading_end_the_connection(void **state)
{
    expect_end(*state, put_reset_call, LIMIT_H2_RESETS_BURST, false);
    assert_int_equal(goodbye(*state), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void pings_without_reading_end_the_connection(void **state)
{
    expect_end(*state, put_ping, 50, false);
}

static void settings_without_reading_end_the_connection(void **state)
{
    expect_end(*state, put_settings, 50, false);
}

static void settings_of_many_entries_end_the_connection(void **state)
{
    expect_end(*state, put_many_settings, 0, true);
}

static void continuations_end_the_connection(void **state)
{
    expect_end(*state, put_continuation, 4, true);
}

/* --- the server --- */

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

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    const struct CMUnitTest tests[] = {
        WITH_PEER(messages_are_answered),
        WITH_PEER(input_may_be_cut_anywhere),
        WITH_PEER(a_message_may_come_in_several_frames),
        WITH_PEER(a_large_request_waits_for_no_window),
        WITH_PEER(a_long_answer_fills_records),
        WITH_PEER(calls_that_arent_ours_are_refused),
        WITH_PEER(no_header_is_remembered_for_a_peer_that_would),
        WITH_PEER(a_peer_may_name_a_header_by_its_number),
        WITH_PEER(messages_over_the_limit_end_the_call),
        WITH_PEER(unfinished_messages_are_counted),
        WITH_PEER(a_whole_message_is_held_no_more),
        WITH_PEER(a_message_may_be_as_large_as_the_limit),
        WITH_PEER(calls_over_the_limit_are_refused),
        WITH_PEER(headers_over_the_limit_end_the_call),
        WITH_PEER(pings_are_answered_and_ours_noticed),
        WITH_PEER(what_the_window_stops_is_unsent_until_it_has_gone),
        WITH_PEER(shutdown_lets_calls_end_first),
        WITH_PEER(what_is_no_http2_ends_the_connection),
        WITH_PEER(resets_end_the_connection),
        WITH_PEER(resets_without_reading_end_the_connection),
        WITH_PEER(pings_without_reading_end_the_connection),
        WITH_PEER(settings_without_reading_end_the_connection),
        WITH_PEER(settings_of_many_entries_end_the_connection),
        WITH_PEER(continuations_end_the_connection),
        cmocka_unit_test(a_server_answers_on_all_its_shards),
        cmocka_unit_test(a_server_that_drains_says_so),
        cmocka_unit_test(a_server_may_take_its_time_to_drain),
        cmocka_unit_test(old_connections_are_sent_away),
        cmocka_unit_test(bytes_that_are_no_http2_close_the_connection),
        cmocka_unit_test(last_words_arrive_before_the_end),
        cmocka_unit_test(who_stays_after_the_end_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
