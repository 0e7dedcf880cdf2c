/* The calls of a connection: answers that wait to be sent, requests that arrive in pieces. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "net/h2_internal.h"

enum { GRPC_PREFIX = 5 };      /* a flag, and the length of the message */
enum { SESSION_BYTES = 2048 }; /* of nghttp2's, most of what sending needs */

struct grpc_call *grpc_call_new(struct h2_conn *conn, int32_t id)
{
    struct grpc_call *c = NEW(struct grpc_call);
    c->conn = conn;
    c->id = id;
    c->next = conn->calls;
    if (c->next) {
        c->next->prev = c;
    }
    conn->calls = c;
    return c;
}

/* false: it is more now, and too much. */
static bool count_held(struct grpc_call *c)
{
    size_t before = c->counted;
    c->counted = c->service_bytes + c->in.cap;
    if (!c->conn->options.held || c->counted == before) {
        return true;
    }
    size_t more = c->counted - before; /* wraps around when it is less */
    size_t all = atomic_fetch_add(c->conn->options.held, more) + more;
    return c->counted < before || all <= LIMIT_ADS_PEER_BYTES;
}

bool grpc_call_hold(struct grpc_call *c, size_t bytes)
{
    c->service_bytes = bytes;
    return count_held(c);
}

void grpc_call_free(struct grpc_call *c)
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
    grpc_call_hold(c, 0);
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

/* --- answers --- */

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

void grpc_call_open(struct grpc_call *c)
{
    const struct grpc_service *s = c->conn->options.service;
    struct err e = ERR_INIT;
    if (c->finishing) {
        return; /* its headers were too many */
    }
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
    c->opened = c->conn->used = true;
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
        c->conn->received++;
        s->on_message(s->arg, c, (struct str){c->in.data + GRPC_PREFIX, bytes - GRPC_PREFIX});
    }
    buf_done(&c->in);
}

/* One message at a time, so that its buffer becomes no larger than it is: in a storm thousands are
 * under way. */
void grpc_call_receive(struct grpc_call *c, const uint8_t *data, size_t len)
{
    while (len > 0 && !c->finishing) {
        c->in.max_bytes = message_bytes(c);
        size_t room = c->in.max_bytes - c->in.len;
        size_t part = len < room ? len : room;
        buf_add(&c->in, data, part);
        data += part;
        len -= part;
        take_message(c);
        if (!count_held(c)) {
            grpc_call_finish(
                c, GRPC_RESOURCE_EXHAUSTED,
                "too many large messages have begun on connections of this certificate");
        }
    }
    if (c->finishing) {
        buf_done(&c->in);
        count_held(c);
    }
}
