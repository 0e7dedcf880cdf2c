/* HTTP/2 and gRPC's framing. */
#include "net/h2_conn.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/vec.h"

struct grpc_call {
    struct h2_conn *conn;
    int32_t id;
    void *user;
    char *path;
    size_t header_bytes, headers;
    bool is_post, is_grpc;
    bool opened;    /* the service knows of it */
    bool held;      /* it has more to send than h2_conn_send takes at once */
    bool replied;   /* response headers are submitted */
    bool finishing; /* status is set */
    bool plain;     /* no gRPC: the answer has a text and no trailers */
    enum grpc_status status;
    char *status_message;
    struct buf in;            /* of a message that isn't whole yet */
    VEC(struct blob *) queue; /* to be sent */
    size_t sent;              /* of the first in the queue */
    struct grpc_call *prev, *next;
};

struct h2_conn {
    struct h2_conn_options options;
    nghttp2_session *session;
    struct grpc_call *calls;
    bool receiving, pong_due, broken;
    bool used;                                 /* a call was opened */
    int32_t last_id, skipped_from, skipped_to; /* of calls; ids that the peer last left out */
    bool borrowed;                             /* the frame buffer is in use, as one allocation */
    bool no_headers;                           /* and the table of sent headers */
    bool held;                                 /* a call is */
    uint64_t sent;                             /* messages */
    struct buf *out;                           /* during h2_conn_send */
    size_t out_limit;
};

enum { GRPC_PREFIX = 5 }; /* a flag, and the length of the message */

enum { SESSION_BYTES = 2048 }; /* of nghttp2's, most of what sending needs */

/* --- calls --- */

static struct grpc_call *call_new(struct h2_conn *conn, int32_t id)
{
    struct grpc_call *c = NEW(struct grpc_call);
    c->conn = conn;
    c->id = id;
    c->next = conn->calls;
    if (c->next) {
        c->next->prev = c;
    }
    conn->calls = c;
    conn->used = true;
    return c;
}

static void call_free(struct grpc_call *c)
{
    if (c->opened) {
        c->opened = false;
        c->conn->options.service->on_close(c->conn->options.service->arg, c);
    }
    *(c->prev ? &c->prev->next : &c->conn->calls) = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    VEC_EACH(c->queue, b) {
        blob_unref(*b);
    }
    VEC_DONE(c->queue);
    buf_done(&c->in);
    free(c->path);
    free(c->status_message);
    free(c);
}

const struct tls_peer *grpc_call_peer(const struct grpc_call *c)
{
    return c->conn->options.peer;
}

unsigned grpc_call_shard(const struct grpc_call *c)
{
    return c->conn->options.shard;
}

void *grpc_call_user(const struct grpc_call *c)
{
    return c->user;
}

void grpc_call_set_user(struct grpc_call *c, void *user)
{
    c->user = user;
}

struct blob *grpc_frame(struct str message)
{
    ASSERT(message.len <= UINT32_MAX);
    AUTO(free) uint8_t *bytes = mem_alloc(message.len + GRPC_PREFIX);
    bytes[0] = 0;
    for (int i = 0; i < 4; i++) {
        bytes[1 + i] = (uint8_t)(message.len >> (24 - 8 * i));
    }
    if (message.len > 0) {
        memcpy(bytes + GRPC_PREFIX, message.ptr, message.len);
    }
    return blob_new(bytes, message.len + GRPC_PREFIX);
}

static void want_send(struct h2_conn *c)
{
    if (!c->receiving && c->options.want_send) {
        c->options.want_send(c->options.arg);
    }
}

#define HEADER(n, v)                                                                               \
    {.name = (uint8_t *)(n),                                                                       \
     .namelen = strlen(n),                                                                         \
     .value = (uint8_t *)(v),                                                                      \
     .valuelen = strlen(v),                                                                        \
     .flags = NGHTTP2_NV_FLAG_NONE}

/* grpc-message is percent-encoded (gRPC over HTTP/2, "Responses"). */
static char *percent_encode(const char *s)
{
    struct buf b;
    buf_init(&b, 4096);
    for (; s && *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch < 0x20 || ch > 0x7e || ch == '%') {
            buf_printf(&b, "%%%02X", ch);
        } else {
            buf_addc(&b, *s);
        }
    }
    return buf_take(&b);
}

/* Response headers that also end the call, when nothing was sent before. */
static void submit_trailers_only(struct grpc_call *c)
{
    char status[12];
    snprintf(status, sizeof(status), "%d", (int)c->status);
    nghttp2_nv h[] = {HEADER(":status", "200"), HEADER("content-type", "application/grpc"),
                      HEADER("grpc-status", status), HEADER("grpc-message", c->status_message)};
    nghttp2_submit_response(c->conn->session, c->id, h, COUNT_OF(h), NULL);
}

static void submit_trailers(struct grpc_call *c)
{
    char status[12];
    snprintf(status, sizeof(status), "%d", (int)c->status);
    nghttp2_nv h[] = {HEADER("grpc-status", status), HEADER("grpc-message", c->status_message)};
    nghttp2_submit_trailer(c->conn->session, c->id, h, COUNT_OF(h));
}

/* nghttp2 asks for data of a call's response: names how much of the first message comes next. When
 * enough is staged, the rest waits here and not as half a frame in the shared buffer. */
static ssize_t on_data_wanted(nghttp2_session *session, int32_t id, uint8_t *data, size_t length,
                              uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct grpc_call *c = source->ptr;
    if (c->queue.len == 0) {
        if (!c->finishing) {
            return NGHTTP2_ERR_DEFERRED;
        }
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!c->plain) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(c);
        }
        return 0;
    }
    if (c->conn->out->len >= c->conn->out_limit) {
        c->held = c->conn->held = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t left = c->queue.at[0]->len - c->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    length = length < H2_DATA_BYTES ? length : H2_DATA_BYTES;
    return (ssize_t)(left < length ? left : length);
}

/* Someone who doesn't speak gRPC is told so in HTTP. */
static void submit_http_error(struct grpc_call *c, const char *status, const char *text)
{
    nghttp2_nv h[] = {HEADER(":status", status), HEADER("content-type", "text/plain")};
    nghttp2_data_provider provider = {.source = {.ptr = c}, .read_callback = on_data_wanted};
    c->finishing = c->replied = c->plain = true;
    VEC_PUSH(c->queue, blob_new(text, strlen(text)));
    nghttp2_submit_response(c->conn->session, c->id, h, COUNT_OF(h), &provider);
}

static void start_reply(struct grpc_call *c)
{
    if (c->replied) {
        nghttp2_session_resume_data(c->conn->session, c->id);
        return;
    }
    nghttp2_nv h[] = {HEADER(":status", "200"), HEADER("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.source = {.ptr = c}, .read_callback = on_data_wanted};
    c->replied = true;
    nghttp2_submit_response(c->conn->session, c->id, h, COUNT_OF(h), &provider);
}

void grpc_call_send(struct grpc_call *c, struct blob *framed)
{
    if (c->finishing) {
        return;
    }
    VEC_PUSH(c->queue, blob_ref(framed));
    start_reply(c);
    want_send(c->conn);
}

void grpc_call_flush(struct grpc_call *c)
{
    const struct h2_conn *conn = c->conn;
    if (!conn->receiving && conn->options.send_now) {
        conn->options.send_now(conn->options.arg);
    }
}

void grpc_call_fetch(const struct grpc_call *c, int steps)
{
    if (steps == 3) {
        fetch_bytes(c, sizeof(*c));
    } else if (steps == 2) {
        fetch_bytes(c->conn, sizeof(*c->conn));
    } else {
        fetch_bytes(c->conn->session, SESSION_BYTES);
        fetch_bytes(c->conn->options.arg, 128);
    }
}

void grpc_call_finish(struct grpc_call *c, enum grpc_status status, const char *message)
{
    if (c->finishing) {
        return;
    }
    c->finishing = true;
    c->status = status;
    c->status_message = percent_encode(message);
    if (c->replied) {
        nghttp2_session_resume_data(c->conn->session, c->id);
    } else {
        c->replied = true;
        submit_trailers_only(c);
    }
    want_send(c->conn);
}

/* --- requests --- */

static bool known_path(const struct grpc_service *s, const char *path)
{
    for (size_t i = 0; i < s->n_paths; i++) {
        if (strcmp(s->paths[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static void open_call(struct grpc_call *c)
{
    const struct grpc_service *s = c->conn->options.service;
    struct err e = ERR_INIT;
    if (!c->is_post || !c->is_grpc) {
        submit_http_error(c, c->is_post ? "415" : "405",
                          "This is a gRPC service: expected a POST of application/grpc.\n");
        return;
    }
    if (!c->path || !known_path(s, c->path)) {
        grpc_call_finish(c, GRPC_UNIMPLEMENTED, "no such method");
        return;
    }
    if (s->on_open(s->arg, c, str_of(c->path), &e) < 0) {
        grpc_call_finish(c, GRPC_UNAUTHENTICATED, e.text);
        return;
    }
    c->opened = true;
}

/* Of the message that has begun, with its prefix; of the prefix while that isn't whole. */
static size_t message_bytes(const struct grpc_call *c)
{
    const uint8_t *p = (const uint8_t *)c->in.data;
    return c->in.len < GRPC_PREFIX
               ? GRPC_PREFIX
               : GRPC_PREFIX + ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]);
}

/* Looks at what has arrived of a message; gives it to the service when it is whole. */
static void take_message(struct grpc_call *c)
{
    const struct grpc_service *s = c->conn->options.service;
    size_t bytes = message_bytes(c);
    if (c->in.len < GRPC_PREFIX) {
        return;
    }
    if (c->in.data[0] != 0) {
        grpc_call_finish(c, GRPC_UNIMPLEMENTED, "compressed messages aren't supported");
    } else if (bytes > GRPC_PREFIX + LIMIT_ADS_REQUEST_BYTES) {
        grpc_call_finish(c, GRPC_RESOURCE_EXHAUSTED, "the message is too large");
    } else if (c->in.len < bytes) {
        return;
    } else {
        s->on_message(s->arg, c, (struct str){c->in.data + GRPC_PREFIX, bytes - GRPC_PREFIX});
    }
    buf_done(&c->in);
}

/* --- nghttp2's callbacks --- */

static struct grpc_call *find_call(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* An id that was left out is as if used (RFC 9113, 5.1.1); nghttp2 takes it for one that it has
 * forgotten. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_conn *c = user;
    if (hd->type != NGHTTP2_HEADERS || hd->stream_id % 2 == 0) {
        return 0;
    }
    if (hd->stream_id > c->last_id) {
        c->skipped_from = c->last_id + 1;
        c->skipped_to = c->last_id = hd->stream_id;
    } else if (hd->stream_id >= c->skipped_from && hd->stream_id < c->skipped_to) {
        nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct grpc_call *c = call_new(user, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, c);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct grpc_call *c = find_call(session, frame->hd.stream_id);
    if (!c) {
        return 0;
    }
    c->header_bytes += name_len + value_len + 32; /* as HTTP/2 counts (RFC 9113, 6.5.2) */
    if (++c->headers > LIMIT_H2_HEADERS || c->header_bytes > LIMIT_H2_HEADER_BYTES) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
    }
    struct str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
    if (str_is(n, ":path") && !c->path) {
        c->path = mem_memdup(v.ptr, v.len);
    } else if (str_is(n, ":method")) {
        c->is_post = str_is(v, "POST");
    } else if (str_is(n, "content-type")) {
        c->is_grpc = str_is(v, "application/grpc") || str_starts(v, "application/grpc+") ||
                     str_starts(v, "application/grpc;");
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        conn->pong_due = false;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct grpc_call *c = find_call(session, frame->hd.stream_id);
    if (!c) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        open_call(c);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !c->finishing) {
        grpc_call_finish(c, GRPC_OK, NULL);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct grpc_call *c = find_call(session, id);
    if (c && !c->finishing) {
        /* One message at a time, so that its buffer becomes no larger than it is: in a storm
         * thousands are under way. */
        while (len > 0 && !c->finishing) {
            c->in.max_bytes = message_bytes(c);
            size_t room = c->in.max_bytes - c->in.len;
            size_t part = len < room ? len : room;
            buf_add(&c->in, data, part);
            data += part;
            len -= part;
            take_message(c);
        }
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct grpc_call *c = find_call(session, id);
    if (c) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        call_free(c);
    }
    return 0;
}

/* The peer needn't end its side of a call that we ended (RFC 9113, 8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        find_call(session, frame->hd.stream_id)) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_NO_ERROR);
    }
    return 0;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t length, int flags,
                       void *user)
{
    struct h2_conn *c = user;
    buf_add(c->out, data, length);
    return buf_full(c->out) ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)length;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t length, nghttp2_data_source *source, void *user)
{
    struct h2_conn *conn = user;
    struct grpc_call *c = source->ptr;
    buf_add(conn->out, head, 9);
    buf_add(conn->out, c->queue.at[0]->data + c->sent, length);
    c->sent += length;
    if (c->sent == c->queue.at[0]->len) {
        blob_unref(c->queue.at[0]);
        VEC_REMOVE(c->queue, 0);
        c->sent = 0;
        conn->sent++;
    }
    return buf_full(conn->out) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    ASSERT(nghttp2_session_callbacks_new(&cb) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    return cb;
}

static nghttp2_option *make_options(void)
{
    nghttp2_option *o;
    ASSERT(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, 0);
    nghttp2_option_set_max_outbound_ack(o, LIMIT_H2_OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(o, LIMIT_H2_SETTINGS);
    nghttp2_option_set_stream_reset_rate_limit(o, LIMIT_H2_RESETS_BURST, LIMIT_H2_RESETS_RATE);
    nghttp2_option_set_max_continuations(o, LIMIT_H2_CONTINUATIONS);
    return o;
}

/* --- nghttp2's memory --- */

/* A session's buffer for outgoing frames is half of what an idle connection costs. It is the first
 * allocation of that size, made by a realloc of nothing, and holds nothing between two calls of
 * h2_conn_send, as this takes all frames that are begun. */
static void *h2_realloc(void *p, size_t size, void *user)
{
    struct h2_conn *c = user;
    char *shared = c->options.frame_buffer;
    if (!p && shared && !c->borrowed && size >= 16384 && size <= H2_FRAME_BYTES) {
        c->borrowed = true;
        return shared;
    }
    if (p && p == shared) {
        char *grown = mem_alloc(size);
        memcpy(grown, shared, size < H2_FRAME_BYTES ? size : H2_FRAME_BYTES);
        return grown;
    }
    return mem_realloc(p, size);
}

/* The table of headers that were sent, for 128 of them, though it is to hold none: the deflater's,
 * the first allocation of that size of a session that begins. Whoever wrote to it would crash, so
 * that is for the version of which it is known. */
static const char no_headers[1024];
enum { KNOWN_NGHTTP2 = 0x013400 };

static bool is_known_nghttp2(void)
{
    return nghttp2_version(0)->version_num == KNOWN_NGHTTP2;
}

static void h2_free(void *p, void *user)
{
    struct h2_conn *c = user;
    if (p != c->options.frame_buffer && p != no_headers) {
        free(p);
    }
}

static void *h2_malloc(size_t size, void *user)
{
    struct h2_conn *c = user;
    if (size == sizeof(no_headers) && !c->no_headers && is_known_nghttp2()) {
        c->no_headers = true;
        return (void *)no_headers;
    }
    return mem_alloc(size);
}

static void *h2_calloc(size_t n, size_t size, void *user)
{
    void *p = mem_array(NULL, n, size);
    memset(p, 0, n * size);
    return p;
}

struct h2_conn *h2_conn_new(const struct h2_conn_options *options)
{
    struct h2_conn *c = NEW(struct h2_conn);
    c->options = *options;
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *o = make_options();
    nghttp2_mem mem = {c, h2_malloc, h2_free, h2_calloc, h2_realloc};
    ASSERT(nghttp2_session_server_new3(&c->session, cb, c, o, &mem) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_ADS_STREAMS_PER_CONN},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options->header_table_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_H2_HEADER_BYTES},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_WINDOW_BYTES},
    };
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings));
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, LIMIT_H2_WINDOW_BYTES);
    return c;
}

void h2_conn_free(struct h2_conn *c)
{
    if (!c) {
        return;
    }
    c->receiving = true; /* nobody is to be woken */
    while (c->calls) {
        nghttp2_session_set_stream_user_data(c->session, c->calls->id, NULL);
        call_free(c->calls);
    }
    nghttp2_session_del(c->session);
    free(c);
}

int h2_conn_recv(struct h2_conn *c, struct str bytes, struct err *e)
{
    if (c->broken) {
        return err_set(e, "HTTP/2: the connection is broken");
    }
    c->receiving = true;
    ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes.ptr, bytes.len);
    c->receiving = false;
    if (n < 0) {
        c->broken = true;
        return err_set(e, "HTTP/2: %s", nghttp2_strerror((int)n));
    }
    return 0;
}

static void release_held(struct h2_conn *c)
{
    for (struct grpc_call *call = c->held ? c->calls : NULL; call; call = call->next) {
        if (call->held) {
            call->held = false;
            nghttp2_session_resume_data(c->session, call->id);
        }
    }
    c->held = false;
}

int h2_conn_send(struct h2_conn *c, struct buf *out, size_t limit, struct err *e)
{
    release_held(c);
    c->out = out;
    c->out_limit = limit;
    c->receiving = true;
    int rv = nghttp2_session_send(c->session);
    c->receiving = false;
    c->out = NULL;
    if (rv != 0) {
        c->broken = true;
        return err_set(e, "HTTP/2: %s", nghttp2_strerror(rv));
    }
    return 0;
}

bool h2_conn_wants_send(const struct h2_conn *c)
{
    return c->held || nghttp2_session_want_write(c->session);
}

bool h2_conn_has_unsent(const struct h2_conn *c)
{
    for (const struct grpc_call *call = c->calls; call; call = call->next) {
        if (call->queue.len > 0) {
            return true;
        }
    }
    return false;
}

uint64_t h2_conn_sent(const struct h2_conn *c)
{
    return c->sent;
}

bool h2_conn_used(const struct h2_conn *c)
{
    return c->used;
}

bool h2_conn_finished(const struct h2_conn *c)
{
    return c->broken || (!nghttp2_session_want_read(c->session) && !h2_conn_wants_send(c));
}

void h2_conn_ping(struct h2_conn *c)
{
    c->pong_due = true;
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
}

bool h2_conn_pong_due(const struct h2_conn *c)
{
    return c->pong_due;
}

void h2_conn_shutdown(struct h2_conn *c, bool now)
{
    if (!now) {
        nghttp2_submit_shutdown_notice(c->session);
        return;
    }
    for (struct grpc_call *call = c->calls; call; call = call->next) {
        grpc_call_finish(call, GRPC_UNAVAILABLE, "the server is going away");
    }
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}
