/* Shards: their threads and listening sockets, and how the server starts, drains and ends. */
#include "net/grpc_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/grpc_internal.h"

#define DRAIN_STEP_MS 100   /* and between the two notices to a client */
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors */
#define ACCEPT_BATCH 64     /* then others have their turn */

/* --- accepting --- */

static void resume_accepting(void *arg)
{
    struct grpc_shard *s = arg;
    loop_timer_free(s->resume);
    s->resume = NULL;
    if (s->listener) {
        loop_watch_set(s->listener, LOOP_READ);
    }
}

static void on_accept(void *arg, int events)
{
    struct grpc_shard *s = arg;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            grpc_conn_new(s, fd);
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

static void on_scan(void *arg)
{
    struct grpc_shard *s = arg;
    int64_t now = clock_mono_ms();
    for (struct grpc_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        grpc_conn_scan(c, now);
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
    struct grpc_shard *s = arg;
    tls_keep_buffers(true);
    loop_run(s->loop);
    tls_keep_buffers(false);
    return NULL;
}

static int shard_start(struct grpc_shard *s, const struct grpc_server_options *o, struct err *e)
{
    s->listen_fd = listen_on(o, s->server->port, e);
    if (s->listen_fd < 0) {
        return -1;
    }
    s->server->port = bound_port(s->listen_fd);
    s->loop = loop_new();
    buf_init(&s->out, 4 * GRPC_WRITE_BYTES);
    s->last_hello = &s->hellos;
    s->frame_buffer = mem_alloc(H2_FRAME_BYTES);
    s->listener = loop_watch_new(s->loop, s->listen_fd, LOOP_READ, on_accept, s);
    s->scan = loop_timer_new(s->loop, GRPC_SCAN_MS, true, on_scan, s);
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
    struct grpc_shard *s = arg;
    size_t staying = 0;
    for (struct grpc_conn *c = s->conns; c; c = c->next) {
        staying += c->h2 && c->leaving == LEAVING_NOT;
    }
    int64_t left_ms = s->drain_until - clock_mono_ms();
    size_t quota = left_ms > 0 ? staying / (size_t)(left_ms / DRAIN_STEP_MS + 1) + 1 : staying;
    for (struct grpc_conn *c = s->conns; c; c = c->next) {
        if (c->leaving == LEAVING_TOLD) {
            grpc_conn_send_away(c);
        } else if (c->h2 && c->leaving == LEAVING_NOT && quota > 0) {
            grpc_conn_send_away(c);
            quota--;
        }
    }
}

static void run_drain(void *arg)
{
    struct grpc_shard *s = arg;
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
        struct grpc_shard *sh = &s->shards[i];
        if (sh->running) {
            loop_post(sh->loop, stop_loop, sh->loop);
            pthread_join(sh->thread, NULL);
        }
        while (sh->conns) {
            grpc_conn_free(sh->conns);
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
    map_done(&s->peers, free);
    free(s->shards);
    free(s);
}
