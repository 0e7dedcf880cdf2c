/* Connections of the swarm, on epoll, OpenSSL and nghttp2. */
#include "link.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/limits.h"
#include "xds/discovery.h"

#define READ_BYTES 32768
#define EVENTS 512
/* As Envoy's, or as large as makes no difference: nothing here waits for a window. */
#define WINDOW (64 << 20)
/* Of links that read nothing. With the loopback's segments of 64 KB both sockets take 400 KB before
 * a write blocks; with those of a network and LINK_ROOM they take 63 KB. */
#define SEGMENT_BYTES 1448
#define ROOM_TO_CATCH_UP 65535
/* nghttp2's buffer for one frame, which all sessions of the thread share: each is drained before
 * another is touched. */
#define FRAME_BYTES 20480

struct link {
    const struct link_options *o;
    struct proxy *proxy;
    struct credential *credential;
    SSL_SESSION *session;
    int index, fd;
    SSL *ssl;
    nghttp2_session *h2;
    int32_t call;
    enum link_manner manner;
    bool ready, dirty, paused, owns_frame;
    uint32_t events;
    uint64_t bytes, answered_bytes;
    struct buf in, out, pending; /* a part of a message; requests; encrypted too late */
    struct link *next_dirty;
};

static int epoll_fd = -1;
static struct link *dirty;
static bool holding;
static uint64_t total_bytes;
static char frame_buffer[FRAME_BYTES];

/* --- nghttp2's memory --- */

static void *h2_realloc(void *p, size_t size, void *user)
{
    struct link *l = user;
    if (!p && size >= 16384 && size <= FRAME_BYTES && !l->owns_frame) {
        l->owns_frame = true;
        return frame_buffer;
    }
    if (p == frame_buffer) {
        void *copy = malloc(size);
        return copy ? memcpy(copy, frame_buffer, FRAME_BYTES < size ? FRAME_BYTES : size) : NULL;
    }
    return realloc(p, size);
}

static void *h2_malloc(size_t size, void *user)
{
    return malloc(size);
}

static void *h2_calloc(size_t n, size_t size, void *user)
{
    return calloc(n, size);
}

static void h2_free(void *p, void *user)
{
    if (p != frame_buffer) {
        free(p);
    }
}

/* --- life --- */

struct link *link_new(const struct link_options *o, struct proxy *p, struct credential *c,
                      int index)
{
    struct link *l = NEW(struct link);
    *l = (struct link){.o = o, .proxy = p, .credential = c, .index = index, .fd = -1};
    buf_init(&l->in, 256u << 20);
    buf_init(&l->out, 16u << 20);
    buf_init(&l->pending, 32u << 20);
    if (epoll_fd < 0) {
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    }
    return l;
}

int link_index(const struct link *l)
{
    return l->index;
}

uint64_t link_bytes(const struct link *l)
{
    return l->bytes;
}

uint16_t link_port(const struct link *l)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    return l->fd >= 0 && getsockname(l->fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port)
                                                                              : 0;
}

uint64_t link_bytes_total(void)
{
    return total_bytes;
}

bool link_is_open(const struct link *l)
{
    return l->ready;
}

static void watch(struct link *l, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = l};
    if (l->fd >= 0 && events != l->events) {
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, l->fd, &e);
        l->events = events;
    }
}

static void rewatch(struct link *l)
{
    watch(l, (l->paused ? 0 : EPOLLIN) | (l->pending.len > 0 ? EPOLLOUT : 0));
}

void link_hold_answers(bool hold)
{
    holding = hold;
}

static void make_dirty(struct link *l)
{
    if (!l->dirty) {
        l->dirty = true;
        l->next_dirty = dirty;
        dirty = l;
    }
}

static void widen(const struct link *l)
{
    int room = ROOM_TO_CATCH_UP;
    if (l->manner == LINK_LEAVES) {
        setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
        setsockopt(l->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &room, sizeof(room));
    }
}

void link_set_manner(struct link *l, enum link_manner manner)
{
    if (manner == LINK_READS && l->h2) {
        widen(l);
        l->paused = false;
        nghttp2_session_set_local_window_size(l->h2, NGHTTP2_FLAG_NONE, l->call, WINDOW);
        make_dirty(l);
        rewatch(l);
    }
    l->manner = manner;
}

void link_close(struct link *l)
{
    for (struct link **p = &dirty; l->dirty && *p; p = &(*p)->next_dirty) {
        if (*p == l) {
            *p = l->next_dirty;
            break;
        }
    }
    l->dirty = l->ready = false;
    nghttp2_session_del(l->h2);
    l->h2 = NULL;
    l->owns_frame = false;
    if (l->ssl && l->o->resume) {
        SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(l->ssl);
    l->ssl = NULL;
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    buf_done(&l->in);
    buf_done(&l->out);
    buf_done(&l->pending);
}

void link_forget_session(struct link *l)
{
    SSL_SESSION_free(l->session);
    l->session = NULL;
}

void link_free(struct link *l)
{
    if (l) {
        link_close(l);
        SSL_SESSION_free(l->session);
        free(l);
    }
}

static void lose(struct link *l, const char *why)
{
    link_close(l);
    l->o->on_lost(l->o->arg, l, why);
}

/* OpenSSL has a new session for the connection: the next one resumes it. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct link *l = SSL_get_app_data(ssl);
    SSL_SESSION_free(l->session);
    l->session = session;
    return 1;
}

void link_open(struct link *l)
{
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(l->fd >= 0);
    int one = 1;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (l->manner == LINK_LEAVES) {
        int room = LINK_ROOM, segment = SEGMENT_BYTES;
        setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
        setsockopt(l->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    }
    if (connect(l->fd, (const struct sockaddr *)&l->o->address, sizeof(l->o->address)) < 0 &&
        errno != EINPROGRESS) {
        lose(l, strerror(errno));
        return;
    }
    l->ssl = SSL_new(l->o->tls);
    ASSERT(l->ssl && SSL_set_fd(l->ssl, l->fd) == 1 &&
           SSL_use_certificate(l->ssl, l->credential->cert) == 1 &&
           SSL_use_PrivateKey(l->ssl, l->credential->key) == 1);
    SSL_set_app_data(l->ssl, l);
    SSL_set_read_ahead(l->ssl, 1);
    if (l->o->resume) {
        SSL_CTX_sess_set_new_cb(l->o->tls, keep_session);
        if (l->session) {
            SSL_set_session(l->ssl, l->session);
        }
    }
    SSL_set_connect_state(l->ssl);
    l->paused = false;
    l->bytes = 0;
    l->events = EPOLLIN | EPOLLOUT;
    struct epoll_event e = {.events = l->events, .data.ptr = l};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, l->fd, &e);
}

/* --- writing --- */

static bool write_all(struct link *l, const char *data, size_t len)
{
    size_t sent = 0, n;
    while (l->pending.len == 0 && sent < len) {
        if (SSL_write_ex(l->ssl, data + sent, len - sent, &n) != 1) {
            if (SSL_get_error(l->ssl, 0) != SSL_ERROR_WANT_WRITE) {
                return false;
            }
            break;
        }
        sent += n;
    }
    buf_add(&l->pending, data + sent, len - sent);
    return true;
}

static bool write_pending(struct link *l)
{
    size_t n;
    while (l->pending.len > 0 && SSL_write_ex(l->ssl, l->pending.data, l->pending.len, &n) == 1) {
        buf_consume(&l->pending, n);
    }
    return l->pending.len == 0 || SSL_get_error(l->ssl, 0) == SSL_ERROR_WANT_WRITE;
}

static bool flush(struct link *l)
{
    static struct buf staged;
    if (staged.max_bytes == 0) {
        buf_init(&staged, 32u << 20);
    }
    buf_reset(&staged);
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(l->h2, &data)) > 0) {
        buf_add(&staged, data, (size_t)n);
    }
    bool ok = n == 0 && write_all(l, staged.data, staged.len);
    rewatch(l);
    return ok;
}

static ssize_t read_requests(nghttp2_session *h2, int32_t id, uint8_t *to, size_t length,
                             uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct link *l = user;
    if (l->out.len == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = l->out.len < length ? l->out.len : length;
    memcpy(to, l->out.data, n);
    buf_consume(&l->out, n);
    if (l->out.len == 0) {
        buf_done(&l->out);
    }
    return (ssize_t)n;
}

/* --- reading --- */

static bool take_messages(struct link *l, const uint8_t *data, size_t len)
{
    struct err e = ERR_INIT;
    struct str rest = {(const char *)data, len};
    if (l->in.len > 0) {
        buf_add(&l->in, data, len);
        rest = buf_str(&l->in);
    }
    while (rest.len >= 5) {
        const uint8_t *p = (const uint8_t *)rest.ptr;
        size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (rest.len < n + 5) {
            break;
        }
        if (proxy_on_response(l->proxy, (struct str){rest.ptr + 5, n}, &l->out, &e) < 0) {
            fprintf(stderr, "%s: %s\n", l->proxy->uuid, e.text);
            return false;
        }
        rest.ptr += n + 5;
        rest.len -= n + 5;
        l->o->on_response(l->o->arg, l);
    }
    if (l->in.len > 0) {
        buf_consume(&l->in, l->in.len - rest.len);
    } else {
        buf_add(&l->in, rest.ptr, rest.len);
    }
    if (l->in.len == 0) {
        buf_done(&l->in);
    }
    if (l->out.len > 0) {
        nghttp2_session_resume_data(l->h2, l->call);
    }
    return true;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *user)
{
    return take_messages(user, data, len) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* The controller has read what came before the ping. */
static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct link *l = user;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        l->o->on_response(l->o->arg, l);
    }
    return 0;
}

static int on_call_closed(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
    return NGHTTP2_ERR_CALLBACK_FAILURE; /* the call is all that there is */
}

#define HEADER(n, v)                                                                               \
    {.name = (uint8_t *)(n),                                                                       \
     .value = (uint8_t *)(v),                                                                      \
     .namelen = sizeof(n) - 1,                                                                     \
     .valuelen = strlen(v)}

static void start_call(struct link *l)
{
    const char *path = l->proxy->delta ? DISCOVERY_PATH_DELTA : DISCOVERY_PATH_SOTW;
    nghttp2_nv headers[] = {HEADER(":method", "POST"), HEADER(":scheme", "https"),
                            HEADER(":path", path),     HEADER(":authority", "osm-controller"),
                            HEADER("te", "trailers"),  HEADER("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_requests};
    proxy_begin(l->proxy, &l->out);
    l->call = nghttp2_submit_request(l->h2, NULL, headers, COUNT_OF(headers), &provider, l);
}

static void start_h2(struct link *l)
{
    nghttp2_mem mem = {l, h2_malloc, h2_free, h2_calloc, h2_realloc};
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;
    ASSERT(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&o) == 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_call_closed);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, 0);
    bool grants = l->manner != LINK_NO_WINDOW;
    nghttp2_option_set_no_auto_window_update(o, !grants);
    ASSERT(nghttp2_session_client_new3(&l->h2, cb, l, o, &mem) == 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, grants ? WINDOW : LINK_WINDOW},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(l->h2, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings));
    nghttp2_session_set_local_window_size(l->h2, NGHTTP2_FLAG_NONE, 0, WINDOW);
    start_call(l);
    nghttp2_submit_ping(l->h2, NGHTTP2_FLAG_NONE, NULL);
    l->paused = l->manner == LINK_LEAVES;
}

/* false: lost. */
static bool handshake(struct link *l)
{
    int rv = SSL_do_handshake(l->ssl);
    if (rv == 1) {
        l->ready = true;
        if (l->o->bare) {
            watch(l, EPOLLIN);
            return true;
        }
        start_h2(l);
        return flush(l); /* the preface is in the shared buffer already */
    }
    switch (SSL_get_error(l->ssl, rv)) {
    case SSL_ERROR_WANT_READ:
        watch(l, EPOLLIN);
        return true;
    case SSL_ERROR_WANT_WRITE:
        watch(l, EPOLLOUT);
        return true;
    default:
        return false;
    }
}

static void answer_bare(struct link *l)
{
    static const char answer[1024];
    size_t n;
    l->o->on_response(l->o->arg, l);
    if (l->bytes - l->answered_bytes < l->o->push_bytes) {
        return;
    }
    l->answered_bytes = l->bytes;
    if (l->o->answer_bytes > 0) {
        ASSERT(SSL_write_ex(l->ssl, answer, l->o->answer_bytes, &n) == 1);
    }
}

/* A record comes by one read; one that left room has emptied the socket. */
static bool receive(struct link *l)
{
    static char bytes[READ_BYTES];
    size_t n;
    while (!l->paused && SSL_read_ex(l->ssl, bytes, sizeof(bytes), &n) == 1) {
        l->bytes += n;
        total_bytes += n;
        if (l->o->bare) {
            answer_bare(l);
        } else if (nghttp2_session_mem_recv(l->h2, (const uint8_t *)bytes, n) != (ssize_t)n) {
            return false;
        } else {
            make_dirty(l);
        }
        if (!SSL_has_pending(l->ssl)) {
            return true;
        }
    }
    return l->paused || SSL_get_error(l->ssl, 0) == SSL_ERROR_WANT_READ;
}

static void on_event(struct link *l, uint32_t events)
{
    ERR_clear_error();
    if (!l->ready && !handshake(l)) {
        lose(l, "TLS handshake");
        return;
    }
    if (l->ready && events & EPOLLOUT && !write_pending(l)) {
        lose(l, "write");
        return;
    }
    if (l->ready && (!receive(l) || (l->paused && events & (EPOLLHUP | EPOLLERR)))) {
        lose(l, "closed by the controller");
        return;
    }
    if (l->ready && l->h2) {
        rewatch(l);
    }
}

void link_poll(int64_t ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, (int)ms);
    for (int i = 0; i < n; i++) {
        struct link *l = events[i].data.ptr;
        if (l->fd >= 0) {
            on_event(l, events[i].events);
        }
    }
    /* A full batch: more has come. Proxies have machines of their own, so that the answers of some
     * don't delay what others receive: here those who share one are read first. */
    while (dirty && !holding && n < EVENTS) {
        struct link *l = dirty;
        dirty = l->next_dirty;
        l->dirty = false;
        ERR_clear_error();
        if (!flush(l)) {
            lose(l, "write");
        }
    }
}
