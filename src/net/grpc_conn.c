/* One connection: its socket and TLS under h2_conn. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/grpc_internal.h"

#define PING_AFTER_MS 60000 /* as in Open Service Mesh */
#define PONG_WITHIN_MS 20000
#define READ_BYTES 16384 /* a TLS record */

/* A long name is in the URI alone: a common name has at most 64 bytes. */
static struct str peer_name(const struct tls_peer *p)
{
    return str_of(p->uri[0] ? p->uri : p->common_name);
}

/* false: it would be one too many. */
static bool join_peer(struct grpc_conn *c)
{
    struct grpc_server *server = c->shard->server;
    struct str name = peer_name(c->peer);
    pthread_mutex_lock(&server->peers_lock);
    struct grpc_peer *p = map_find(&server->peers, name);
    if (!p) {
        p = NEW(struct grpc_peer);
        map_put(&server->peers, name, p);
    }
    bool ok = p->conns < LIMIT_ADS_CONNS_PER_PEER;
    p->conns += ok;
    pthread_mutex_unlock(&server->peers_lock);
    c->of = ok ? p : NULL;
    return ok;
}

static void leave_peer(struct grpc_conn *c)
{
    struct grpc_server *server = c->shard->server;
    struct grpc_peer *p = TAKE(c->of);
    pthread_mutex_lock(&server->peers_lock);
    if (--p->conns == 0) {
        map_remove(&server->peers, peer_name(c->peer));
        free(p);
    }
    pthread_mutex_unlock(&server->peers_lock);
}

/* All but the socket. */
static void conn_reset(struct grpc_conn *c)
{
    grpc_hello_forget(c);
    grpc_hello_done(c);
    for (struct grpc_conn **p = &c->shard->dirty; *p; p = &(*p)->next_dirty) {
        if (*p == c) {
            *p = c->next_dirty;
            break;
        }
    }
    h2_conn_free(TAKE(c->h2));
    if (c->of) {
        leave_peer(c);
    }
    tls_conn_free(TAKE(c->tls));
    free(TAKE(c->peer));
    buf_done(&c->pending);
}

void grpc_conn_free(struct grpc_conn *c)
{
    struct grpc_shard *s = c->shard;
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
static bool discard(struct grpc_conn *c)
{
    char buf[READ_BYTES];
    ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
    c->discarded += n > 0 ? (unsigned)n : 0;
    return n < 0 ? errno == EAGAIN || errno == EINTR : n > 0 && c->discarded < LIMIT_LINGER_BYTES;
}

/* A socket that is closed with words unread, or that hears more of them, is reset, and the reset
 * may overtake our own last words: so we say that we are done, and listen until the peer is. */
void grpc_conn_end(struct grpc_conn *c)
{
    conn_reset(c);
    shutdown(c->fd, SHUT_WR);
    c->leaving = LEAVING_GONE;
    c->since = clock_mono_ms();
    loop_watch_set(c->watch, LOOP_READ);
    if (!discard(c)) {
        grpc_conn_free(c);
    }
}

/* At most a line a second, whatever strangers do. */
static void report_failure(struct grpc_conn *c, const char *reason)
{
    struct grpc_shard *s = c->shard;
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

/* --- sending --- */

/* false: the connection is gone or should go. */
static bool write_some(struct grpc_conn *c, const char *data, size_t len, size_t *sent)
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

static bool write_pending(struct grpc_conn *c)
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

/* Messages wait, here or in the session: the time of the first of them runs. */
static void note_unsent(struct grpc_conn *c)
{
    bool unsent = c->pending.len > 0 || h2_conn_has_unsent(c->h2);
    if (unsent && (!c->unsent || c->sent != h2_conn_sent(c->h2))) {
        c->sent = h2_conn_sent(c->h2);
        c->unsent_since = clock_mono_ms();
    }
    c->unsent = unsent;
}

/* The same of a message that arrives in pieces. */
static void note_part(struct grpc_conn *c)
{
    bool part = h2_conn_has_part(c->h2);
    if (part && (!c->part || c->received != h2_conn_received(c->h2))) {
        c->received = h2_conn_received(c->h2);
        c->part_since = clock_mono_ms();
    }
    c->part = part;
}

/* While on, the kernel waits for more before it sends less than a segment; off sends all. */
static void cork(const struct grpc_conn *c, int on)
{
    setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static bool write_staged(struct grpc_conn *c, bool *corked)
{
    struct buf *out = &c->shard->out;
    struct err e = ERR_INIT;
    while (c->pending.len == 0 && h2_conn_wants_send(c->h2)) {
        buf_reset(out);
        int rv = h2_conn_send(c->h2, out, GRPC_WRITE_BYTES, &e);
        size_t sent = 0;
        if (!*corked && h2_conn_wants_send(c->h2)) {
            *corked = true;
            cork(c, 1);
        }
        if (!write_some(c, out->data, out->len, &sent) || rv < 0) {
            return false;
        }
        buf_add(&c->pending, out->data + sent, out->len - sent);
        if (out->len == 0) {
            break;
        }
    }
    return true;
}

/* Moves what the session has to say to the socket, until that is full or nothing is left. Of a
 * large message each record would be a segment of its own, sent and acknowledged by itself. */
static bool flush(struct grpc_conn *c)
{
    bool corked = false;
    bool ok = write_pending(c) && write_staged(c, &corked);
    if (corked) {
        cork(c, 0);
    }
    if (!ok) {
        return false;
    }
    note_unsent(c);
    loop_watch_set(c->watch, LOOP_READ | (c->pending.len > 0 ? LOOP_WRITE : 0));
    return !(c->pending.len == 0 && h2_conn_finished(c->h2));
}

static void flush_dirty(void *arg)
{
    struct grpc_shard *s = arg;
    struct grpc_conn *list = s->dirty;
    s->dirty = NULL;
    s->flush_posted = false;
    while (list) {
        struct grpc_conn *c = list;
        list = c->next_dirty;
        c->dirty = false;
        bool ok = !c->closing && (!c->h2 || (c->unread ? grpc_conn_go_on(c) : flush(c)));
        if (!ok) {
            grpc_conn_end(c);
        }
    }
}

/* Not at once: the caller may be in the middle of using its call. */
static void on_want_send(void *arg)
{
    struct grpc_conn *c = arg;
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
    struct grpc_conn *c = arg;
    struct grpc_shard *s = c->shard;
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

/* --- receiving --- */

static void start_h2(struct grpc_conn *c)
{
    struct h2_conn_options o = {.service = &c->shard->server->service,
                                .peer = c->peer,
                                .held = c->of ? &c->of->held : NULL,
                                .shard = c->shard->index,
                                .frame_buffer = c->shard->frame_buffer,
                                .header_table_bytes = c->shard->server->header_table_bytes,
                                .want_send = on_want_send,
                                .send_now = on_send_now,
                                .arg = c};
    c->h2 = h2_conn_new(&o);
    c->heard_at = clock_mono_ms();
}

static enum tls_result read_some(struct grpc_conn *c, char *buf, size_t *n, struct err *e)
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
static bool receive(struct grpc_conn *c)
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
        note_part(c);
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

static bool handshake(struct grpc_conn *c)
{
    struct err e = ERR_INIT;
    switch (tls_handshake(c->tls, &c->peer, &e)) {
    case TLS_OK:
        if (c->peer && !join_peer(c)) {
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
bool grpc_conn_go_on(struct grpc_conn *c)
{
    bool ok = c->h2 || handshake(c);
    ok = ok && (!c->h2 || (receive(c) && flush(c)));
    if (c->shaking && c->h2 && h2_conn_used(c->h2)) {
        grpc_hello_done(c);
    }
    return ok;
}

static void on_socket(void *arg, int events)
{
    struct grpc_conn *c = arg;
    if (c->leaving == LEAVING_GONE) {
        if (!discard(c)) {
            grpc_conn_free(c);
        }
    } else if (!c->h2 && !c->tls) {
        grpc_hello_wait(c);
    } else if (!grpc_conn_go_on(c)) {
        grpc_conn_end(c);
    }
}

/* --- from its beginning to its end --- */

static void tune_socket(int fd)
{
    int one = 1, idle = 60, interval = 5, probes = 5, user_timeout = LIMIT_SEND_MS;
    int unsent = LIMIT_UNSENT_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

void grpc_conn_new(struct grpc_shard *s, int fd)
{
    struct grpc_conn *c = NEW(struct grpc_conn);
    c->shard = s;
    c->fd = fd;
    c->since = c->heard_at = clock_mono_ms();
    buf_init(&c->pending, 2 * GRPC_WRITE_BYTES + LIMIT_ADS_REQUEST_BYTES);
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

/* First it is said that no new calls are taken, then those that are there end: between the two lies
 * a round trip (RFC 9113, 6.8). */
void grpc_conn_send_away(struct grpc_conn *c)
{
    if (c->h2 && c->leaving != LEAVING_ENDED) {
        h2_conn_shutdown(c->h2, c->leaving == LEAVING_TOLD);
        c->leaving = c->leaving == LEAVING_TOLD ? LEAVING_ENDED : LEAVING_TOLD;
        on_want_send(c);
    }
}

/* Connections that were made at once don't get old at once. */
static bool is_old(const struct grpc_conn *c, int64_t now)
{
    int64_t max = c->shard->server->max_age_ms;
    uint64_t spread = hash_mix((uint64_t)c->since, (uint64_t)c->fd) % (uint64_t)(max / 4 + 1);
    return max > 0 && now - c->since > max - (int64_t)spread;
}

/* Why it can't stay; NULL: it can. */
static const char *why_overdue(const struct grpc_conn *c, int64_t now)
{
    bool late = now - c->since > LIMIT_HANDSHAKE_MS && !c->greeted;
    if (late && (!c->h2 || !h2_conn_used(c->h2))) {
        return c->h2 ? "no call in time" : "no TLS handshake in time";
    }
    if (c->unsent && now - c->unsent_since > LIMIT_SEND_MS) {
        return "a message wasn't taken in time";
    }
    if (c->part && now - c->part_since > LIMIT_RECEIVE_MS) {
        return "a message wasn't whole in time";
    }
    if (c->h2 && now - c->heard_at > PING_AFTER_MS + PONG_WITHIN_MS && h2_conn_pong_due(c->h2)) {
        return "no answer to a ping";
    }
    return NULL;
}

void grpc_conn_scan(struct grpc_conn *c, int64_t now)
{
    if (c->leaving == LEAVING_GONE) {
        if (now - c->since > LIMIT_LINGER_MS) {
            grpc_conn_free(c);
        }
        return;
    }
    if (now - c->since > GRPC_SCAN_MS || c->h2) {
        grpc_hello_done(c);
    }
    const char *why = why_overdue(c, now);
    if (why) {
        report_failure(c, why);
        grpc_conn_free(c);
        return;
    }
    if (!c->h2) {
        return;
    }
    if (now - c->heard_at > PING_AFTER_MS && !h2_conn_pong_due(c->h2)) {
        h2_conn_ping(c->h2);
        on_want_send(c);
    }
    if (is_old(c, now)) {
        grpc_conn_send_away(c);
    }
}
