/* The server's side of HTTP/2 and gRPC, without sockets; floods end a connection. */
#include "h2_fixture.h"

enum { FLOOD = 5000 };

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
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_frame(&p->in, DATA, 0, 1, STR("\0\0\0\x10\0some of 4096"));
    run(p, true);
    assert_true(h2_conn_has_part(p->conn) && p->held > 0 && p->held < 8192);
    p->held += LIMIT_ADS_PEER_BYTES;
    put_frame(&p->in, DATA, 0, 1, (struct str){(char[2048]){0}, 2048});
    run(p, true);
    assert_true(says(p, 1, 0, "grpc-status", "8"));
    assert_false(h2_conn_has_part(p->conn));
    assert_int_equal(p->held, LIMIT_ADS_PEER_BYTES);
    assert_false(p->ended);
}

static void a_whole_message_is_held_no_more(void **state)
{
    struct peer *p = *state;
    put_call(&p->in, 1, "POST", PATH, "application/grpc");
    put_long_message(&p->in, 1, 40000);
    run(p, true);
    assert_int_equal(p->service.messages, 1);
    assert_int_equal(h2_conn_received(p->conn), 1);
    assert_false(h2_conn_has_part(p->conn));
    assert_int_equal(p->held, 0);
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

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
