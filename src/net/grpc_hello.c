/* Whose TLS handshake begins when: in the order of arrival. */
#include <poll.h>

#include "base/clock.h"
#include "net/grpc_internal.h"

/* Handshakes that begin in one go, then those who are connected have their turn: a storm is served
 * in the order of arrival, and each has its configuration before many others are let in. */
#define HELLO_BUDGET_US 4000
/* Handshakes that may be under way: clients that share a slow machine would else all be late. Those
 * that take longer than a scan don't count, so that whoever stalls holds up nobody. */
#define HELLO_WINDOW 1024

static void serve_hellos(void *arg);

static void post_hellos(struct grpc_shard *s)
{
    if (s->hellos && !s->hellos_posted) {
        s->hellos_posted = true;
        loop_post(s->loop, serve_hellos, s);
    }
}

void grpc_hello_done(struct grpc_conn *c)
{
    if (c->shaking) {
        c->shaking = false;
        c->shard->shaking--;
        post_hellos(c->shard);
    }
}

void grpc_hello_forget(struct grpc_conn *c)
{
    struct grpc_shard *s = c->shard;
    for (struct grpc_conn **p = &s->hellos; c->greeted && *p; p = &(*p)->next_hello) {
        if (*p == c) {
            *p = c->next_hello;
            s->last_hello = *p ? s->last_hello : p;
            return;
        }
    }
}

/* Who gave up while it waited costs no handshake. */
static bool is_gone(const struct grpc_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void begin_tls(struct grpc_conn *c)
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
    struct grpc_shard *s = arg;
    int64_t until = clock_mono_us() + HELLO_BUDGET_US;
    s->hellos_posted = false;
    while (s->hellos && s->shaking < HELLO_WINDOW && clock_mono_us() < until) {
        struct grpc_conn *c = s->hellos;
        s->hellos = c->next_hello;
        s->last_hello = s->hellos ? s->last_hello : &s->hellos;
        if (is_gone(c)) {
            c->greeted = false;
            grpc_conn_free(c);
            continue;
        }
        begin_tls(c);
        loop_watch_set(c->watch, LOOP_READ);
        if (!grpc_conn_go_on(c)) {
            grpc_conn_end(c);
        }
    }
    if (s->shaking < HELLO_WINDOW) {
        post_hellos(s);
    }
}

void grpc_hello_wait(struct grpc_conn *c)
{
    struct grpc_shard *s = c->shard;
    c->greeted = true;
    loop_watch_set(c->watch, 0);
    *s->last_hello = c;
    s->last_hello = &c->next_hello;
    post_hellos(s);
}
