/* The session: HTTP/2 on nghttp2. */
#include "base/clock.h"
#include "base/limits.h"
#include "net/h2_internal.h"

/* --- nghttp2's callbacks --- */

static struct grpc_call *find_call(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* nghttp2 counts resets, too, but ends such a connection as if the fault were ours. */
static bool too_many_resets(struct h2_conn *c)
{
    int64_t now = clock_mono_ms();
    int64_t more = (now - c->resets_at) * LIMIT_H2_RESETS_RATE / 1000;
    if (c->resets_at == 0 || c->resets_left + more > LIMIT_H2_RESETS_BURST) {
        c->resets_left = LIMIT_H2_RESETS_BURST;
        c->resets_at = now;
    } else if (more > 0) {
        c->resets_left += more;
        c->resets_at = now;
    }
    return c->resets_left-- <= 0;
}

/* An id that was left out is as if used (RFC 9113, 5.1.1); nghttp2 takes it for one that it has
 * forgotten. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_conn *c = user;
    if (hd->type == NGHTTP2_RST_STREAM && too_many_resets(c)) {
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
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
        struct grpc_call *c = grpc_call_new(user, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, c);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct grpc_call *c = find_call(session, frame->hd.stream_id);
    if (!c || c->finishing) {
        return 0;
    }
    c->header_bytes += name_len + value_len + 32; /* as HTTP/2 counts (RFC 9113, 6.5.2) */
    if (++c->headers > LIMIT_H2_HEADERS || c->header_bytes > LIMIT_H2_HEADER_BYTES) {
        c->finishing = true;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, c->id, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
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
        grpc_call_open(c);
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
    if (c) {
        grpc_call_receive(c, data, len);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct grpc_call *c = find_call(session, id);
    if (c) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        grpc_call_free(c);
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
    nghttp2_option_set_max_continuations(o, LIMIT_H2_CONTINUATIONS);
    return o;
}

/* --- the connection --- */

struct h2_conn *h2_conn_new(const struct h2_conn_options *options)
{
    struct h2_conn *c = NEW(struct h2_conn);
    c->options = *options;
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *o = make_options();
    nghttp2_mem mem = h2_memory(c);
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
        grpc_call_free(c->calls);
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

bool h2_conn_has_part(const struct h2_conn *c)
{
    for (const struct grpc_call *call = c->calls; call; call = call->next) {
        if (call->in.len > 0) {
            return true;
        }
    }
    return false;
}

uint64_t h2_conn_received(const struct h2_conn *c)
{
    return c->received;
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
