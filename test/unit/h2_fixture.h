/* A service that answers with what it is told, and a peer that speaks to it in frames written by
 * hand. */
#ifndef OSM_TEST_H2_FIXTURE_H
#define OSM_TEST_H2_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
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
#define BUF_MAX (64u << 20)
#define PATH "/test.Echo/Echo"

/* --- a service that answers every message with itself --- */

struct service {
    struct grpc_service grpc;
    atomic_int opened, messages, closed;
    _Atomic int64_t last_closed_ms;
    bool refuse;
};

static inline int on_open(void *arg, struct grpc_call *c, struct str path, struct err *e)
{
    struct service *s = arg;
    if (s->refuse) {
        return err_set(e, "100%% refused");
    }
    s->opened++;
    return 0;
}

static inline void on_message(void *arg, struct grpc_call *c, struct str message)
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

static inline void on_close(void *arg, struct grpc_call *c)
{
    struct service *s = arg;
    s->closed++;
    s->last_closed_ms = clock_mono_ms();
}

static inline void service_init(struct service *s)
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

static inline void put_frame(struct buf *b, int type, int flags, uint32_t stream,
                             struct str payload)
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

static inline void put_preface(struct buf *b)
{
    buf_addz(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(b, SETTINGS, 0, 0, STR(""));
}

/* Header fields without compression: a literal with a new name. */
static inline void put_field(struct buf *b, const char *name, const char *value)
{
    buf_addc(b, 0);
    buf_addc(b, (char)strlen(name));
    buf_addz(b, name);
    buf_addc(b, (char)strlen(value));
    buf_addz(b, value);
}

static inline void put_call(struct buf *b, uint32_t stream, const char *method, const char *path,
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

static inline void put_message(struct buf *b, uint32_t stream, const char *text)
{
    struct blob *m = grpc_frame(str_of(text));
    put_frame(b, DATA, 0, stream, blob_str(m));
    blob_unref(m);
}

/* --- a connection and what it says --- */

struct peer {
    struct service service;
    struct h2_conn *conn;
    _Atomic size_t held; /* bytes, for all connections of its certificate */
    struct buf in, out;  /* to the server; all that it sent */
    struct err e;
    bool ended; /* the server gave it up */
};

static inline int set_up(void **state)
{
    struct peer *p = NEW(struct peer);
    service_init(&p->service);
    struct h2_conn_options o = {.service = &p->service.grpc, .held = &p->held};
    p->conn = h2_conn_new(&o);
    buf_init(&p->in, BUF_MAX);
    buf_init(&p->out, BUF_MAX);
    put_preface(&p->in);
    *state = p;
    return 0;
}

static inline int tear_down(void **state)
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
static inline void run(struct peer *p, bool read_answers)
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
static inline struct frame find_frame(struct str bytes, int type, uint32_t stream, int n)
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

static inline bool answered(const struct peer *p, int type, uint32_t stream, int n,
                            const char *text)
{
    struct str payload = find_frame(buf_str(&p->out), type, stream, n).payload;
    return payload.ptr && memmem(payload.ptr, payload.len, text, strlen(text));
}

/* A response's headers or trailers have this field. */
static inline bool says(const struct peer *p, uint32_t stream, int n, const char *name,
                        const char *value)
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

#endif
