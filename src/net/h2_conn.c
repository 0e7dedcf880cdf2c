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
    bool replied;   /* response headers are submitted */
    bool finishing; /* status is set */
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
    bool used;       /* a call was opened */
    struct buf *out; /* during h2_conn_send */
    size_t out_limit;
};

/* --- calls --- */

static struct grpc_call *call_new(struct h2_conn *conn, int32_t id)
{
    struct grpc_call *c = NEW(struct grpc_call);
    c->conn = conn;
    c->id = id;
    buf_init(&c->in, LIMIT_ADS_REQUEST_BYTES + 5);
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
    AUTO(free) uint8_t *bytes = mem_alloc(message.len + 5);
    bytes[0] = 0;
    for (int i = 0; i < 4; i++) {
        bytes[1 + i] = (uint8_t)(message.len >> (24 - 8 * i));
    }
    if (message.len > 0) {
        memcpy(bytes + 5, message.ptr, message.len);
    }
    return blob_new(bytes, message.len + 5);
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

static void submit_http_error(struct grpc_call *c, const char *http_status)
{
    nghttp2_nv h[] = {HEADER(":status", http_status)};
    c->finishing = c->replied = true;
    nghttp2_submit_response(c->conn->session, c->id, h, COUNT_OF(h), NULL);
}

/* nghttp2 asks for data of a call's response: names how much of the first message comes next. */
static ssize_t on_data_wanted(nghttp2_session *session, int32_t id, uint8_t *data, size_t length,
                              uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct grpc_call *c = source->ptr;
    if (c->queue.len == 0) {
        if (!c->finishing) {
            return NGHTTP2_ERR_DEFERRED;
        }
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(c);
        return 0;
    }
    size_t left = c->queue.at[0]->len - c->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)(left < length ? left : length);
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
        submit_http_error(c, c->is_post ? "415" : "405");
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

/* Gives the service every whole message that has arrived. */
static void take_messages(struct grpc_call *c)
{
    const struct grpc_service *s = c->conn->options.service;
    while (!c->finishing && c->in.len >= 5) {
        const uint8_t *p = (const uint8_t *)c->in.data;
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (p[0] != 0) {
            grpc_call_finish(c, GRPC_UNIMPLEMENTED, "compressed messages aren't supported");
            return;
        }
        if (len > LIMIT_ADS_REQUEST_BYTES) {
            grpc_call_finish(c, GRPC_RESOURCE_EXHAUSTED, "the message is too large");
            return;
        }
        if (c->in.len < len + 5) {
            return;
        }
        s->on_message(s->arg, c, (struct str){c->in.data + 5, len});
        buf_consume(&c->in, len + 5);
    }
    if (c->in.len == 0 || c->finishing) {
        buf_done(&c->in);
    }
}

/* --- nghttp2's callbacks --- */

static struct grpc_call *find_call(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
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
        /* One message may be whole in the buffer while the next has begun: the limit is per
         * message, so take what is complete before adding more. */
        while (len > 0 && !c->finishing) {
            size_t room = c->in.max_bytes - c->in.len;
            size_t part = len < room ? len : room;
            buf_add(&c->in, data, part);
            data += part;
            len -= part;
            take_messages(c);
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
    if (c->out->len >= c->out_limit) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    buf_add(c->out, data, length);
    return buf_full(c->out) ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)length;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t length, nghttp2_data_source *source, void *user)
{
    struct h2_conn *conn = user;
    struct grpc_call *c = source->ptr;
    if (conn->out->len >= conn->out_limit) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    buf_add(conn->out, head, 9);
    buf_add(conn->out, c->queue.at[0]->data + c->sent, length);
    c->sent += length;
    if (c->sent == c->queue.at[0]->len) {
        blob_unref(c->queue.at[0]);
        VEC_REMOVE(c->queue, 0);
        c->sent = 0;
    }
    return buf_full(conn->out) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    ASSERT(nghttp2_session_callbacks_new(&cb) == 0);
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

struct h2_conn *h2_conn_new(const struct h2_conn_options *options)
{
    struct h2_conn *c = NEW(struct h2_conn);
    c->options = *options;
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *o = make_options();
    ASSERT(nghttp2_session_server_new2(&c->session, cb, c, o) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_ADS_STREAMS_PER_CONN},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_H2_HEADER_BYTES},
    };
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings));
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

int h2_conn_send(struct h2_conn *c, struct buf *out, size_t limit, struct err *e)
{
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
    return nghttp2_session_want_write(c->session);
}

bool h2_conn_used(const struct h2_conn *c)
{
    return c->used;
}

bool h2_conn_finished(const struct h2_conn *c)
{
    return c->broken ||
           (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session));
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
