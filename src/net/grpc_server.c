/* Sockets, TLS and threads under h2_conn. */
#include "net/grpc_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/h2_conn.h"

#define SCAN_MS 1000        /* how often a shard looks for connections that are overdue */
#define PING_AFTER_MS 60000 /* as in Open Service Mesh */
#define PONG_WITHIN_MS 20000
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors */
#define ACCEPT_BATCH 64     /* then others have their turn */
#define READ_BYTES 16384    /* a TLS record */
#define WRITE_BYTES 65536   /* staged for one go */

struct conn {
    struct shard *shard;
    int fd;
    struct tls_conn *tls;
    struct tls_peer peer;
    struct h2_conn *h2; /* NULL until the handshake is done */
    struct loop_watch *watch;
    struct buf pending;      /* encrypted writes that didn't fit into the socket */
    int64_t since, heard_at; /* monotonic ms */
    bool dirty, closing;
    struct conn *prev, *next, *next_dirty;
};

struct shard {
    struct grpc_server *server;
    unsigned index;
    pthread_t thread;
    bool running;
    struct loop *loop;
    int listen_fd;
    struct loop_watch *listener;
    struct loop_timer *scan, *resume;
    struct conn *conns, *dirty;
    bool flush_posted, draining;
    int64_t warned_at;
    unsigned failures; /* since the last warning */
    struct buf out;    /* staging, one a thread */
};

struct grpc_server {
    struct grpc_service service;
    pthread_mutex_t tls_lock;
    struct tls_server *tls; /* under tls_lock */
    bool plaintext;
    uint16_t port;
    unsigned n_shards;
    struct shard *shards;
    _Atomic size_t n_conns;
};

/* --- connections --- */

static void conn_free(struct conn *c)
{
    struct shard *s = c->shard;
    for (struct conn **p = &s->dirty; *p; p = &(*p)->next_dirty) {
        if (*p == c) {
            *p = c->next_dirty;
            break;
        }
    }
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    s->server->n_conns--;
    h2_conn_free(c->h2);
    tls_conn_free(c->tls);
    loop_watch_free(c->watch);
    close(c->fd);
    buf_done(&c->pending);
    free(c);
}

/* At most a line a second, whatever strangers do. */
static void report_failure(struct conn *c, const char *reason)
{
    struct shard *s = c->shard;
    int64_t now = clock_mono_ms();
    s->failures++;
    if (now - s->warned_at < 1000 && s->warned_at > 0) {
        return;
    }
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[NI_MAXHOST] = "unknown", count[16];
    if (getpeername(c->fd, (struct sockaddr *)&a, &len) == 0) {
        getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
    }
    snprintf(count, sizeof(count), "%u", s->failures);
    log_event(LOG_WARN, "connection failed", "peer", host, "reason", reason, "count", count, NULL);
    s->warned_at = now;
    s->failures = 0;
}

/* false: the connection is gone or should go. */
static bool write_some(struct conn *c, const char *data, size_t len, size_t *sent)
{
    struct err e = ERR_INIT;
    *sent = 0;
    while (*sent < len) {
        size_t n = 0;
        if (!c->tls) {
            ssize_t w = send(c->fd, data + *sent, len - *sent, MSG_NOSIGNAL);
            if (w < 0) {
                return errno == EAGAIN || errno == EINTR;
            }
            n = (size_t)w;
        } else {
            enum tls_result r = tls_write(c->tls, data + *sent, len - *sent, &n, &e);
            if (r == TLS_WANT_WRITE || r == TLS_WANT_READ) {
                return true;
            }
            if (r != TLS_OK) {
                return false;
            }
        }
        *sent += n;
    }
    return true;
}

static bool write_pending(struct conn *c)
{
    size_t sent;
    if (c->pending.len == 0) {
        return true;
    }
    bool ok = write_some(c, c->pending.data, c->pending.len, &sent);
    buf_consume(&c->pending, sent);
    if (c->pending.len == 0) {
        buf_done(&c->pending);
    }
    return ok;
}

/* Moves what the session has to say to the socket, until that is full or nothing is left. */
static bool flush(struct conn *c)
{
    struct buf *out = &c->shard->out;
    struct err e = ERR_INIT;
    if (!write_pending(c)) {
        return false;
    }
    while (c->pending.len == 0 && h2_conn_wants_send(c->h2)) {
        buf_reset(out);
        int rv = h2_conn_send(c->h2, out, WRITE_BYTES, &e);
        size_t sent = 0;
        if (!write_some(c, out->data, out->len, &sent) || rv < 0) {
            return false;
        }
        buf_add(&c->pending, out->data + sent, out->len - sent);
        if (out->len == 0) {
            break;
        }
    }
    loop_watch_set(c->watch, LOOP_READ | (c->pending.len > 0 ? LOOP_WRITE : 0));
    return !(c->pending.len == 0 && h2_conn_finished(c->h2));
}

static void flush_dirty(void *arg)
{
    struct shard *s = arg;
    s->flush_posted = false;
    while (s->dirty) {
        struct conn *c = s->dirty;
        s->dirty = c->next_dirty;
        c->dirty = false;
        if (c->h2 && !flush(c)) {
            conn_free(c);
        }
    }
}

/* Not at once: the caller may be in the middle of using its call. */
static void on_want_send(void *arg)
{
    struct conn *c = arg;
    if (c->dirty) {
        return;
    }
    c->dirty = true;
    c->next_dirty = c->shard->dirty;
    c->shard->dirty = c;
    if (!c->shard->flush_posted) {
        c->shard->flush_posted = true;
        loop_post(c->shard->loop, flush_dirty, c->shard);
    }
}

static void start_h2(struct conn *c)
{
    struct h2_conn_options o = {.service = &c->shard->server->service,
                                .peer = c->tls ? &c->peer : NULL,
                                .shard = c->shard->index,
                                .want_send = on_want_send,
                                .arg = c};
    c->h2 = h2_conn_new(&o);
    c->heard_at = clock_mono_ms();
}

static enum tls_result read_some(struct conn *c, char *buf, size_t *n, struct err *e)
{
    if (c->tls) {
        return tls_read(c->tls, buf, READ_BYTES, n, e);
    }
    ssize_t r = recv(c->fd, buf, READ_BYTES, 0);
    *n = r > 0 ? (size_t)r : 0;
    if (r > 0) {
        return TLS_OK;
    }
    return r < 0 && (errno == EAGAIN || errno == EINTR) ? TLS_WANT_READ : TLS_CLOSED;
}

/* Reads what is there; false: close. A few records a turn, then others have theirs. */
static bool receive(struct conn *c)
{
    char buf[READ_BYTES];
    struct err e = ERR_INIT;
    for (int turn = 0; turn < 16; turn++) {
        size_t n = 0;
        enum tls_result r = read_some(c, buf, &n, &e);
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
            return true;
        }
        if (r == TLS_CLOSED || r == TLS_FAILED) {
            return false;
        }
        c->heard_at = clock_mono_ms();
        if (h2_conn_recv(c->h2, (struct str){buf, n}, &e) < 0) {
            report_failure(c, e.text);
            flush(c); /* says goodbye with the reason, if the socket takes it */
            return false;
        }
    }
    return true;
}

static bool handshake(struct conn *c)
{
    struct err e = ERR_INIT;
    switch (tls_handshake(c->tls, &c->peer, &e)) {
    case TLS_OK:
        start_h2(c);
        return true;
    case TLS_WANT_READ:
        loop_watch_set(c->watch, LOOP_READ);
        return true;
    case TLS_WANT_WRITE:
        loop_watch_set(c->watch, LOOP_WRITE);
        return true;
    case TLS_CLOSED:
        return false;
    default:
        report_failure(c, e.text);
        return false;
    }
}

static void on_socket(void *arg, int events)
{
    struct conn *c = arg;
    bool ok = c->h2 || handshake(c);
    if (ok && c->h2) {
        ok = receive(c) && flush(c);
    }
    if (!ok) {
        conn_free(c);
    }
}

/* --- accepting --- */

static void tune_socket(int fd)
{
    int one = 1, idle = 60, interval = 5, probes = 5, user_timeout = 30000;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
}

static void conn_new(struct shard *s, int fd)
{
    struct conn *c = NEW(struct conn);
    c->shard = s;
    c->fd = fd;
    c->since = c->heard_at = clock_mono_ms();
    buf_init(&c->pending, 2 * WRITE_BYTES + LIMIT_ADS_REQUEST_BYTES);
    tune_socket(fd);
    c->next = s->conns;
    if (c->next) {
        c->next->prev = c;
    }
    s->conns = c;
    s->server->n_conns++;
    c->watch = loop_watch_new(s->loop, fd, LOOP_READ, on_socket, c);
    if (s->server->plaintext) {
        start_h2(c);
        on_want_send(c);
        return;
    }
    pthread_mutex_lock(&s->server->tls_lock);
    c->tls = tls_conn_new(s->server->tls, fd);
    pthread_mutex_unlock(&s->server->tls_lock);
}

static void resume_accepting(void *arg)
{
    struct shard *s = arg;
    loop_timer_free(s->resume);
    s->resume = NULL;
    if (s->listener) {
        loop_watch_set(s->listener, LOOP_READ);
    }
}

static void on_accept(void *arg, int events)
{
    struct shard *s = arg;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(s, fd);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && !s->resume) {
            log_event(LOG_ERROR, "accepting connections pauses", "reason", strerror(errno), NULL);
            loop_watch_set(s->listener, 0);
            s->resume = loop_timer_new(s->loop, ACCEPT_PAUSE_MS, false, resume_accepting, s);
        }
        return;
    }
}

/* Connections that never finish a handshake or open a call, and peers that fell silent. */
static void on_scan(void *arg)
{
    struct shard *s = arg;
    int64_t now = clock_mono_ms();
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        bool late = now - c->since > LIMIT_HANDSHAKE_MS;
        if (late && (!c->h2 || !h2_conn_used(c->h2))) {
            report_failure(c, c->h2 ? "no call in time" : "no TLS handshake in time");
            conn_free(c);
            continue;
        }
        if (!c->h2) {
            continue;
        }
        int64_t silent = now - c->heard_at;
        if (silent > PING_AFTER_MS + PONG_WITHIN_MS && h2_conn_pong_due(c->h2)) {
            report_failure(c, "no answer to a ping");
            conn_free(c);
        } else if (silent > PING_AFTER_MS && !h2_conn_pong_due(c->h2)) {
            h2_conn_ping(c->h2);
            on_want_send(c);
        }
    }
}

/* --- starting and ending --- */

static int listen_on(const struct grpc_server_options *o, uint16_t port, struct err *e)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;
    if (getaddrinfo(o->host, service, &hints, &a) != 0) {
        return err_set(e, "listen on %s: expected an IP address", o->host);
    }
    int one = 1, zero = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 &&
              (a->ai_family != AF_INET6 ||
               setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) == 0) &&
              bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 4096) == 0;
    freeaddrinfo(a);
    if (!ok) {
        err_errno(e, "listen on %s port %u", o->host, port);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* SO_REUSEPORT lets a second server of the same user take the same port unnoticed: so ask first
 * with a socket that doesn't. */
static int check_port_free(const struct grpc_server_options *o, struct err *e)
{
    if (o->port == 0) {
        return 0;
    }
    char service[8];
    snprintf(service, sizeof(service), "%u", o->port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;
    if (getaddrinfo(o->host, service, &hints, &a) != 0) {
        return err_set(e, "listen on %s: expected an IP address", o->host);
    }
    int one = 1;
    AUTO_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int rv = bind(fd, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(a);
    if (rv < 0) {
        return err_errno(e, "listen on %s port %u (is another controller running there?)", o->host,
                         o->port);
    }
    return 0;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    ASSERT(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static void *run_shard(void *arg)
{
    struct shard *s = arg;
    loop_run(s->loop);
    return NULL;
}

static int shard_start(struct shard *s, const struct grpc_server_options *o, struct err *e)
{
    s->listen_fd = listen_on(o, s->server->port, e);
    if (s->listen_fd < 0) {
        return -1;
    }
    s->server->port = bound_port(s->listen_fd);
    s->loop = loop_new();
    buf_init(&s->out, 4 * WRITE_BYTES);
    s->listener = loop_watch_new(s->loop, s->listen_fd, LOOP_READ, on_accept, s);
    s->scan = loop_timer_new(s->loop, SCAN_MS, true, on_scan, s);
    return 0;
}

int grpc_server_start(const struct grpc_server_options *o, struct grpc_server **ret, struct err *e)
{
    struct grpc_server *s = NEW(struct grpc_server);
    s->service = o->service;
    s->tls = o->tls;
    s->plaintext = !o->tls;
    s->port = o->port;
    s->n_shards = o->shards;
    s->shards = mem_zalloc(o->shards * sizeof(*s->shards));
    pthread_mutex_init(&s->tls_lock, NULL);
    int rv = check_port_free(o, e);
    for (unsigned i = 0; i < s->n_shards; i++) {
        s->shards[i].server = s;
        s->shards[i].index = i;
        s->shards[i].listen_fd = -1;
        rv = rv < 0 ? rv : shard_start(&s->shards[i], o, e);
    }
    for (unsigned i = 0; rv == 0 && i < s->n_shards; i++) {
        s->shards[i].running =
            pthread_create(&s->shards[i].thread, NULL, run_shard, &s->shards[i]) == 0;
        ASSERT(s->shards[i].running);
    }
    if (rv < 0) {
        grpc_server_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

uint16_t grpc_server_port(const struct grpc_server *s)
{
    return s->port;
}

struct loop *grpc_server_shard_loop(struct grpc_server *s, unsigned shard)
{
    return s->shards[shard].loop;
}

size_t grpc_server_connections(const struct grpc_server *s)
{
    return s->n_conns;
}

void grpc_server_set_tls(struct grpc_server *s, struct tls_server *tls)
{
    pthread_mutex_lock(&s->tls_lock);
    struct tls_server *old = s->tls;
    s->tls = tls;
    pthread_mutex_unlock(&s->tls_lock);
    tls_server_unref(old);
}

/* The first call says that no new calls are taken, the second ends those that are there. */
static void drain_shard(void *arg)
{
    struct shard *s = arg;
    bool now = s->draining;
    s->draining = true;
    loop_watch_free(s->listener);
    s->listener = NULL;
    for (struct conn *c = s->conns; c; c = c->next) {
        if (c->h2) {
            h2_conn_shutdown(c->h2, now);
            on_want_send(c);
        }
    }
}

void grpc_server_drain(struct grpc_server *s, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < s->n_shards; i++) {
            loop_post(s->shards[i].loop, drain_shard, &s->shards[i]);
        }
        /* A round trip between the two notices (RFC 9113, 6.8). */
        int64_t until = round == 0 ? clock_mono_ms() + 100 : deadline;
        while (s->n_conns > 0 && clock_mono_ms() < until) {
            usleep(5000);
        }
    }
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

void grpc_server_free(struct grpc_server *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->n_shards; i++) {
        struct shard *sh = &s->shards[i];
        if (sh->running) {
            loop_post(sh->loop, stop_loop, sh->loop);
            pthread_join(sh->thread, NULL);
        }
        while (sh->conns) {
            conn_free(sh->conns);
        }
        loop_watch_free(sh->listener);
        loop_timer_free(sh->scan);
        loop_timer_free(sh->resume);
        loop_free(sh->loop);
        buf_done(&sh->out);
        if (sh->listen_fd >= 0) {
            close(sh->listen_fd);
        }
    }
    tls_server_unref(s->tls);
    pthread_mutex_destroy(&s->tls_lock);
    free(s->shards);
    free(s);
}
