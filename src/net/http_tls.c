/* TLS below evhttp. libevent 2.1 knows neither a limit for connections, nor one for the bytes of
 * all requests, nor a time for a whole request, only one for silence: all of that is kept here, in
 * what hangs on each connection's SSL and goes with it. */
#include "net/http_tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_internal.h"

struct connection {
    struct http_tls *owner; /* NULL: the server was freed before */
    struct bufferevent *bev;
    struct event *deadline;
    size_t waiting; /* bytes that came since the last answer */
    bool ending;    /* whatever comes of it now changes nothing */
    LIST_ENTRY(connection) all;
};

struct http_tls {
    struct tls_server *tls;
    size_t max, n, waiting, max_waiting;
    int64_t request_ms;
    LIST_HEAD(, connection) all;
};

static int ex_index;

static void answered(struct connection *c)
{
    if (c->owner) {
        c->owner->waiting -= c->waiting;
    }
    c->waiting = 0;
}

/* OpenSSL calls this for every SSL of the program; only ours have something there. */
static void on_ssl_freed(void *ssl, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                         void *argp)
{
    struct connection *c = ptr;
    if (!c) {
        return;
    }
    answered(c);
    if (c->owner) {
        c->owner->n--;
        LIST_REMOVE(c, all);
    }
    if (c->deadline) {
        event_free(c->deadline);
    }
    free(c);
}

static void make_index(void)
{
    ex_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
    ASSERT(ex_index >= 0);
}

struct http_tls *http_tls_new(const struct http_tls_limits *limits, struct tls_server *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
    struct http_tls *t = NEW(struct http_tls);
    t->tls = tls_server_ref(tls);
    t->max = limits->connections;
    t->max_waiting = limits->waiting_bytes;
    t->request_ms = limits->request_ms;
    LIST_INIT(&t->all);
    return t;
}

void http_tls_set(struct http_tls *t, struct tls_server *tls)
{
    struct tls_server *before = t->tls;
    t->tls = tls_server_ref(tls);
    tls_server_unref(before);
}

void http_tls_free(struct http_tls *t)
{
    if (!t) {
        return;
    }
    struct connection *c;
    while ((c = LIST_FIRST(&t->all))) {
        LIST_REMOVE(c, all);
        c->owner = NULL;
        event_free(c->deadline);
        c->deadline = NULL;
    }
    tls_server_unref(t->tls);
    free(t);
}

/* evhttp sees the end of the connection, and frees it. */
static void on_deadline(evutil_socket_t none, short what, void *arg)
{
    struct connection *c = arg;
    shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

static void set_deadline(struct connection *c, int64_t ms)
{
    struct timeval t = {ms / 1000, (ms % 1000) * 1000};
    event_add(c->deadline, &t);
}

/* The connection that holds most goes; what it is in the middle of can't be answered anyhow. */
static void end_largest(struct http_tls *t)
{
    struct connection *c, *largest = NULL;
    LIST_FOREACH(c, &t->all, all)
    {
        largest = !largest || c->waiting > largest->waiting ? c : largest;
    }
    answered(largest);
    largest->ending = true;
    set_deadline(largest, 0);
}

static void on_bytes(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct connection *c = arg;
    if (!c->owner || c->ending) {
        return;
    }
    c->waiting += info->n_added;
    c->owner->waiting += info->n_added;
    if (c->owner->waiting > c->owner->max_waiting) {
        end_largest(c->owner);
    }
}

struct bufferevent *http_tls_accept(struct event_base *base, void *arg)
{
    struct http_tls *t = arg;
    SSL *ssl = tls_server_ssl(t->tls);
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    ASSERT(bev);
    /* Many clients close without saying so to TLS first. */
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    struct connection *c = NEW(struct connection);
    c->owner = t;
    c->bev = bev;
    c->deadline = event_new(base, -1, 0, on_deadline, c);
    ASSERT(c->deadline && SSL_set_ex_data(ssl, ex_index, c) == 1);
    evbuffer_add_cb(bufferevent_get_input(bev), on_bytes, c);
    LIST_INSERT_HEAD(&t->all, c, all);
    t->n++;
    /* One too many can't be refused here, but it ends before its handshake. */
    set_deadline(c, t->n > t->max ? 0 : t->request_ms);
    return bev;
}

static struct connection *connection_of(struct evhttp_connection *evcon)
{
    SSL *ssl = bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(evcon));
    return ssl ? SSL_get_ex_data(ssl, ex_index) : NULL;
}

void http_tls_request_whole(struct evhttp_connection *evcon)
{
    struct connection *c = connection_of(evcon);
    if (c && c->deadline && !c->ending) {
        event_del(c->deadline);
    }
}

void http_tls_request_answered(struct evhttp_connection *evcon)
{
    struct connection *c = connection_of(evcon);
    if (c && c->owner && !c->ending) {
        answered(c);
        set_deadline(c, LIMIT_HTTPS_IDLE_MS + c->owner->request_ms);
    }
}
