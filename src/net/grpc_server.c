/* Sockets, TLS and threads under h2_conn. */
#include "net/grpc_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "net/h2_conn.h"

#define SCAN_MS 1000        /* how often a shard looks for connections that are overdue */
#define PING_AFTER_MS 60000 /* as in Open Service Mesh */
#define PONG_WITHIN_MS 20000
#define DRAIN_STEP_MS 100   /* and between the two notices to a client */
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors */
#define ACCEPT_BATCH 64     /* then others have their turn */
/* Handshakes that begin in one go, then those who are connected have their turn: a storm is served
 * in the order of arrival, and each has its configuration before many others are let in. */
#define HELLO_BUDGET_US 4000
/* Handshakes that may be under way: clients that share a slow machine would else all be late. Those
 * that take longer than a scan don't count, so that whoever stalls holds up nobody. */
#define HELLO_WINDOW 1024
#define READ_BYTES 16384  /* a TLS record */
#define WRITE_BYTES 65536 /* staged for one go */

struct conn {
    struct shard *shard;
    int fd;
    struct tls_conn *tls;
    struct tls_peer *peer; /* of a finished handshake */
    struct h2_conn *h2;    /* NULL until the handshake is done */
    struct loop_watch *watch;
    struct buf pending;      /* encrypted writes that didn't fit into the socket */
    int64_t since, heard_at; /* monotonic ms */
    bool dirty, closing;
    bool greeted; /* its first words wait for their turn */
    bool shaking; /* begun, and no call opened yet */
    bool counted; /* among its peer's connections */
    bool unread;  /* more of it is read than looked at */
    /* In that order; gone: all is said, and only the peer's end is waited for. */
    enum { LEAVING_NOT, LEAVING_TOLD, LEAVING_ENDED, LEAVING_GONE } leaving;
    unsigned discarded; /* bytes, since it is gone */
    struct conn *prev, *next, *next_dirty, *next_hello;
};

struct shard {
    struct grpc_server *server;
    unsigned index;
    pthread_t thread;
    bool running;
    struct loop *loop;
    int listen_fd;
    struct loop_watch *listener;
    struct loop_timer *scan, *resume, *drain;
    int64_t drain_until; /* monotonic ms */
    struct conn *conns, *dirty;
    struct conn *hellos, **last_hello;
    bool flush_posted, hellos_posted;
    unsigned shaking; /* connections that are */
    int64_t warned_at;
    unsigned failures;  /* since the last warning */
    struct buf out;     /* staging, one a thread */
    char *frame_buffer; /* of the thread's connections */
};

struct grpc_server {
    struct grpc_service service;
    pthread_mutex_t tls_lock;
    struct tls_server *tls; /* under tls_lock */
    bool plaintext;
    uint16_t port;
    int64_t max_age_ms;
    uint32_t header_table_bytes;
    unsigned n_shards;
    struct shard *shards;
    _Atomic size_t n_conns;
    pthread_mutex_t peers_lock;
    struct map peers; /* peer_name -> how many connections, as a pointer; under peers_lock */
};

/* --- connections --- */

static void serve_hellos(void *arg);

static void post_hellos(struct shard *s)
{
    if (s->hellos && !s->hellos_posted) {
        s->hellos_posted = true;
        loop_post(s->loop, serve_hellos, s);
    }
}

/* Its place is another's. */
static void end_shaking(struct conn *c)
{
    if (c->shaking) {
        c->shaking = false;
        c->shard->shaking--;
        post_hellos(c->shard);
    }
}

static void forget_hello(struct conn *c)
{
    struct shard *s = c->shard;
    for (struct conn **p = &s->hellos; c->greeted && *p; p = &(*p)->next_hello) {
        if (*p == c) {
            *p = c->next_hello;
            s->last_hello = *p ? s->last_hello : p;
            return;
        }
    }
}

/* A long name is in the URI alone: a common name has at most 64 bytes. */
static struct str peer_name(const struct tls_peer *p)
{
    return str_of(p->uri[0] ? p->uri : p->common_name);
}

/* One more or less. false: that would be too many. */
static bool count_peer(struct conn *c, int by)
{
    struct grpc_server *server = c->shard->server;
    struct str name = peer_name(c->peer);
    pthread_mutex_lock(&server->peers_lock);
    size_t n = (size_t)(uintptr_t)map_find(&server->peers, name);
    bool ok = by < 0 || n < LIMIT_ADS_CONNS_PER_PEER;
    n = by < 0 ? n - 1 : ok ? n + 1 : n;
    if (n > 0) {
        map_put(&server->peers, name, (void *)(uintptr_t)n);
    } else {
        map_remove(&server->peers, name);
    }
    pthread_mutex_unlock(&server->peers_lock);
    c->counted = ok && by > 0;
    return ok;
}

/* All but the socket. */
static void conn_reset(struct conn *c)
{
    forget_hello(c);
    end_shaking(c);
    for (struct conn **p = &c->shard->dirty; *p; p = &(*p)->next_dirty) {
        if (*p == c) {
            *p = c->next_dirty;
            break;
        }
    }
    if (c->counted) {
        count_peer(c, -1);
    }
    h2_conn_free(TAKE(c->h2));
    tls_conn_free(TAKE(c->tls));
    free(TAKE(c->peer));
    buf_done(&c->pending);
}

static void conn_free(struct conn *c)
{
    struct shard *s = c->shard;
    conn_reset(c);
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    s->server->n_conns--;
    loop_watch_free(c->watch);
    close(c->fd);
    free(c);
}

/* false: the peer has ended too, or won't come to an end. */
static bool discard(struct conn *c)
{
    char buf[READ_BYTES];
    ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
    c->discarded += n > 0 ? (unsigned)n : 0;
    return n < 0 ? errno == EAGAIN || errno == EINTR : n > 0 && c->discarded < LIMIT_LINGER_BYTES;
}

/* A socket that is closed with words unread, or that hears more of them, is reset, and the reset
 * may overtake our own last words: so we say that we are done, and listen until the peer is. */
static void conn_end(struct conn *c)
{
    conn_reset(c);
    shutdown(c->fd, SHUT_WR);
    c->leaving = LEAVING_GONE;
    c->since = clock_mono_ms();
    loop_watch_set(c->watch, LOOP_READ);
    if (!discard(c)) {
        conn_free(c);
    }
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

static bool go_on(struct conn *c);

static void flush_dirty(void *arg)
{
    struct shard *s = arg;
    struct conn *list = s->dirty;
    s->dirty = NULL;
    s->flush_posted = false;
    while (list) {
        struct conn *c = list;
        list = c->next_dirty;
        c->dirty = false;
        bool ok = !c->closing && (!c->h2 || (c->unread ? go_on(c) : flush(c)));
        if (!ok) {
            conn_end(c);
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

/* What it wanted to send is sent at once: then it needn't be looked at in the loop's next turn,
 * when all that belongs to it would have to come from memory again. A connection that is at its end
 * goes in that turn: the caller has it in its hands. */
static void on_send_now(void *arg)
{
    struct conn *c = arg;
    struct shard *s = c->shard;
    if (c->closing) {
        return;
    }
    if (s->dirty == c && !c->unread) {
        s->dirty = c->next_dirty;
        c->dirty = false;
    }
    if (!flush(c)) {
        c->closing = true;
        on_want_send(c);
    }
}

static void start_h2(struct conn *c)
{
    struct h2_conn_options o = {.service = &c->shard->server->service,
                                .peer = c->peer,
                                .shard = c->shard->index,
                                .frame_buffer = c->shard->frame_buffer,
                                .header_table_bytes = c->shard->server->header_table_bytes,
                                .want_send = on_want_send,
                                .send_now = on_send_now,
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

/* Reads what is there; false: close. A few records a turn, then others have theirs. A short read
 * has emptied the socket: asking it again would cost as much as reading did. */
static bool receive(struct conn *c)
{
    char buf[READ_BYTES];
    struct err e = ERR_INIT;
    c->unread = false;
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
        if (n < READ_BYTES && !(c->tls && tls_pending(c->tls))) {
            return true;
        }
    }
    /* Of what OpenSSL has read already the descriptor won't tell. */
    c->unread = c->tls && tls_pending(c->tls);
    if (c->unread) {
        on_want_send(c);
    }
    return true;
}

static bool handshake(struct conn *c)
{
    struct err e = ERR_INIT;
    switch (tls_handshake(c->tls, &c->peer, &e)) {
    case TLS_OK:
        if (c->peer && !count_peer(c, 1)) {
            report_failure(c, "too many connections of one certificate's name");
            return false;
        }
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

/* false: close. A client may be so fast that its handshake ends and its first words are read,
 * though not looked at, in one go: the descriptor won't tell of them. */
static bool go_on(struct conn *c)
{
    bool ok = c->h2 || handshake(c);
    ok = ok && (!c->h2 || (receive(c) && flush(c)));
    if (c->shaking && c->h2 && h2_conn_used(c->h2)) {
        end_shaking(c);
    }
    return ok;
}

/* Who gave up while it waited costs no handshake. */
static bool is_gone(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void begin_tls(struct conn *c)
{
    struct grpc_server *server = c->shard->server;
    pthread_mutex_lock(&server->tls_lock);
    c->tls = tls_conn_new(server->tls, c->fd);
    pthread_mutex_unlock(&server->tls_lock);
    c->greeted = false;
    c->shaking = true;
    c->shard->shaking++;
    c->since = clock_mono_ms();
}

static void serve_hellos(void *arg)
{
    struct shard *s = arg;
    int64_t until = clock_mono_us() + HELLO_BUDGET_US;
    s->hellos_posted = false;
    while (s->hellos && s->shaking < HELLO_WINDOW && clock_mono_us() < until) {
        struct conn *c = s->hellos;
        s->hellos = c->next_hello;
        s->last_hello = s->hellos ? s->last_hello : &s->hellos;
        if (is_gone(c)) {
            c->greeted = false;
            conn_free(c);
            continue;
        }
        begin_tls(c);
        loop_watch_set(c->watch, LOOP_READ);
        if (!go_on(c)) {
            conn_end(c);
        }
    }
    if (s->shaking < HELLO_WINDOW) {
        post_hellos(s);
    }
}

static void wait_for_turn(struct conn *c)
{
    struct shard *s = c->shard;
    c->greeted = true;
    loop_watch_set(c->watch, 0);
    *s->last_hello = c;
    s->last_hello = &c->next_hello;
    post_hellos(s);
}

static void on_socket(void *arg, int events)
{
    struct conn *c = arg;
    if (c->leaving == LEAVING_GONE) {
        if (!discard(c)) {
            conn_free(c);
        }
    } else if (!c->h2 && !c->tls) {
        wait_for_turn(c);
    } else if (!go_on(c)) {
        conn_end(c);
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
    }
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

/* First it is said that no new calls are taken, then those that are there end: between the two lies
 * a round trip (RFC 9113, 6.8). */
static void send_away(struct conn *c)
{
    if (c->h2 && c->leaving != LEAVING_ENDED) {
        h2_conn_shutdown(c->h2, c->leaving == LEAVING_TOLD);
        c->leaving = c->leaving == LEAVING_TOLD ? LEAVING_ENDED : LEAVING_TOLD;
        on_want_send(c);
    }
}

/* Connections that were made at once don't get old at once. */
static bool is_old(const struct conn *c, int64_t now)
{
    int64_t max = c->shard->server->max_age_ms;
    uint64_t spread = hash_mix((uint64_t)c->since, (uint64_t)c->fd) % (uint64_t)(max / 4 + 1);
    return max > 0 && now - c->since > max - (int64_t)spread;
}

/* Connections that never finish a handshake or open a call, peers that fell silent, old ones. */
static void on_scan(void *arg)
{
    struct shard *s = arg;
    int64_t now = clock_mono_ms();
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->leaving == LEAVING_GONE) {
            if (now - c->since > LIMIT_LINGER_MS) {
                conn_free(c);
            }
            continue;
        }
        if (now - c->since > SCAN_MS || c->h2) {
            end_shaking(c);
        }
        bool late = now - c->since > LIMIT_HANDSHAKE_MS && !c->greeted;
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
            continue;
        }
        if (silent > PING_AFTER_MS && !h2_conn_pong_due(c->h2)) {
            h2_conn_ping(c->h2);
            on_want_send(c);
        }
        if (is_old(c, now)) {
            send_away(c);
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
    tls_keep_buffers(true);
    loop_run(s->loop);
    tls_keep_buffers(false);
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
    s->last_hello = &s->hellos;
    s->frame_buffer = mem_alloc(H2_FRAME_BYTES);
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
    s->max_age_ms = o->max_age_ms;
    s->header_table_bytes = o->header_table_bytes;
    s->n_shards = o->shards;
    s->shards = mem_zalloc(o->shards * sizeof(*s->shards));
    pthread_mutex_init(&s->tls_lock, NULL);
    pthread_mutex_init(&s->peers_lock, NULL);
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

/* Connections that stay leave in equal parts until the time is over. */
static void on_drain_step(void *arg)
{
    struct shard *s = arg;
    size_t staying = 0;
    for (struct conn *c = s->conns; c; c = c->next) {
        staying += c->h2 && c->leaving == LEAVING_NOT;
    }
    int64_t left_ms = s->drain_until - clock_mono_ms();
    size_t quota = left_ms > 0 ? staying / (size_t)(left_ms / DRAIN_STEP_MS + 1) + 1 : staying;
    for (struct conn *c = s->conns; c; c = c->next) {
        if (c->leaving == LEAVING_TOLD) {
            send_away(c);
        } else if (c->h2 && c->leaving == LEAVING_NOT && quota > 0) {
            send_away(c);
            quota--;
        }
    }
}

static void run_drain(void *arg)
{
    struct shard *s = arg;
    loop_watch_free(s->listener);
    s->listener = NULL;
    if (s->listen_fd >= 0) {
        close(s->listen_fd); /* who comes now learns at once that nobody is here */
        s->listen_fd = -1;
    }
    loop_timer_free(s->resume);
    s->resume = NULL;
    on_drain_step(s);
    if (!s->drain) {
        s->drain = loop_timer_new(s->loop, DRAIN_STEP_MS, true, on_drain_step, s);
    }
}

void grpc_server_start_drain(struct grpc_server *s, int64_t over_ms)
{
    for (unsigned i = 0; i < s->n_shards; i++) {
        s->shards[i].drain_until = clock_mono_ms() + over_ms;
        loop_post(s->shards[i].loop, run_drain, &s->shards[i]);
    }
}

void grpc_server_drain(struct grpc_server *s, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    grpc_server_start_drain(s, 0);
    while (s->n_conns > 0 && clock_mono_ms() < deadline) {
        usleep(5000);
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
        loop_timer_free(sh->drain);
        loop_free(sh->loop);
        buf_done(&sh->out);
        free(sh->frame_buffer);
        if (sh->listen_fd >= 0) {
            close(sh->listen_fd);
        }
    }
    tls_server_unref(s->tls);
    pthread_mutex_destroy(&s->tls_lock);
    pthread_mutex_destroy(&s->peers_lock);
    map_done(&s->peers, NULL);
    free(s->shards);
    free(s);
}
