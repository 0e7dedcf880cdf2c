/* The small HTTP server on evhttp. */
#include "net/http_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/http_tls.h"

/* A connection of a plain server. libevent 2.1 knows no limit for them and doesn't say when one
 * ends; but then its callbacks are gone, and what it was stays as long as we hold a reference. */
struct plain {
    struct bufferevent *bev;
    TAILQ_ENTRY(plain) order;
};

struct http_server {
    struct http_server_options options;
    struct evhttp *http;
    struct http_tls *tls; /* NULL: plain */
    char *unix_path;
    uint16_t port;
    bool draining;
    LIST_HEAD(, http_request) waiting; /* for their replies */
    TAILQ_HEAD(, plain) plain;         /* the oldest first */
    size_t n_plain, max_plain;
};

struct http_request {
    struct http_server *server;     /* NULL: it was freed */
    struct evhttp_request *request; /* NULL: the client has gone */
    const char *method, *route;     /* as in struct http_answer */
    int64_t started_us;
    char *path;
    struct evkeyvalq query;
    bool query_parsed, tls;
    LIST_ENTRY(http_request) waiting; /* while there is a server */
};

/* --- requests --- */

struct str http_request_path(const struct http_request *q)
{
    return str_of(q->path);
}

struct str http_request_body(struct http_request *q)
{
    if (!q->request) {
        return (struct str){0};
    }
    struct evbuffer *b = evhttp_request_get_input_buffer(q->request);
    size_t len = evbuffer_get_length(b);
    return (struct str){(const char *)evbuffer_pullup(b, -1), len};
}

struct str http_request_header(struct http_request *q, const char *name)
{
    return str_of(
        q->request ? evhttp_find_header(evhttp_request_get_input_headers(q->request), name) : NULL);
}

struct str http_request_peer(struct http_request *q)
{
    struct evhttp_connection *c = q->request ? evhttp_request_get_connection(q->request) : NULL;
    char *address = NULL;
    uint16_t port;
    if (c) {
        evhttp_connection_get_peer(c, &address, &port);
    }
    return str_of(address);
}

struct str http_request_query(struct http_request *q, const char *name)
{
    if (!q->query_parsed) {
        TAILQ_INIT(&q->query);
        q->query_parsed = true;
        const char *text =
            q->request ? evhttp_uri_get_query(evhttp_request_get_evhttp_uri(q->request)) : NULL;
        if (text) {
            evhttp_parse_query_str(text, &q->query);
        }
    }
    return str_of(evhttp_find_header(&q->query, name));
}

static void request_free(struct http_request *q)
{
    if (q->server) {
        LIST_REMOVE(q, waiting);
    }
    if (q->query_parsed) {
        evhttp_clear_headers(&q->query);
    }
    free(q->path);
    free(q);
}

/* libevent frees its request when the connection closes before the reply. */
static void on_connection_closed(struct evhttp_connection *c, void *arg)
{
    struct http_request *q = arg;
    q->request = NULL;
}

static void watch_close(struct http_request *q, bool on)
{
    struct evhttp_connection *c = q->request ? evhttp_request_get_connection(q->request) : NULL;
    if (c) {
        evhttp_connection_set_closecb(c, on ? on_connection_closed : NULL, q);
    }
}

static void tell_reply(const struct http_request *q, int status)
{
    const struct http_server_options *o = q->server ? &q->server->options : NULL;
    if (o && o->on_reply) {
        struct http_answer answer = {q->method, q->route, status, clock_mono_us() - q->started_us};
        o->on_reply(o->arg, &answer);
    }
}

void http_reply(struct http_request *q, int status, const char *content_type, struct str body)
{
    tell_reply(q, status);
    if (q->request) {
        watch_close(q, false);
        struct evbuffer *b = evbuffer_new();
        ASSERT(b);
        evbuffer_add(b, body.ptr, body.len);
        evhttp_add_header(evhttp_request_get_output_headers(q->request), "Content-Type",
                          content_type);
        if (q->server && q->server->draining) {
            evhttp_add_header(evhttp_request_get_output_headers(q->request), "Connection", "close");
        }
        struct evhttp_connection *c = evhttp_request_get_connection(q->request);
        if (q->tls && c) {
            http_tls_request_answered(c);
        }
        evhttp_send_reply(q->request, status, NULL, b);
        evbuffer_free(b);
    }
    request_free(q);
}

void http_replyf(struct http_request *q, int status, const char *fmt, ...)
{
    struct buf b;
    va_list ap;
    buf_init(&b, 65536);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    http_reply(q, status, "text/plain", buf_str(&b));
    buf_done(&b);
}

static const char *method_name(struct evhttp_request *r)
{
    switch (evhttp_request_get_command(r)) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "";
    }
}

static bool path_matches(const struct http_route *route, const char *path)
{
    size_t n = strlen(route->path);
    bool prefix = n > 1 && route->path[n - 1] == '/';
    return prefix ? strncmp(path, route->path, n) == 0 : strcmp(path, route->path) == 0;
}

static void on_request(struct evhttp_request *r, void *arg)
{
    struct http_server *s = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r));
    struct http_request *q = NEW(struct http_request);
    q->server = s;
    q->request = r;
    LIST_INSERT_HEAD(&s->waiting, q, waiting);
    q->method = method_name(r);
    q->started_us = clock_mono_us();
    q->path = mem_strdup(path && *path ? path : "/");
    q->tls = s->tls != NULL;
    if (q->tls && evhttp_request_get_connection(r)) {
        http_tls_request_whole(evhttp_request_get_connection(r));
    }
    watch_close(q, true);
    for (size_t i = 0; i < s->options.n_routes; i++) {
        const struct http_route *route = &s->options.routes[i];
        if (!path_matches(route, q->path)) {
            continue;
        }
        q->route = route->path;
        if (strcmp(route->method, q->method) == 0) {
            route->handle(s->options.arg, q);
            return;
        }
    }
    http_replyf(q, q->route ? 405 : 404, "%s\n", q->route ? "wrong method" : "no such page");
}

/* --- connections without TLS --- */

static void forget_plain(struct http_server *s, struct plain *p)
{
    TAILQ_REMOVE(&s->plain, p, order);
    s->n_plain--;
    bufferevent_decref(p->bev);
    free(p);
}

static bool is_over(const struct plain *p)
{
    void *arg = NULL;
    bufferevent_getcb(p->bev, NULL, NULL, NULL, &arg);
    return !arg;
}

static struct bufferevent *accept_plain(struct event_base *base, void *arg)
{
    struct http_server *s = arg;
    for (struct plain *p = TAILQ_FIRST(&s->plain), *next; p; p = next) {
        next = TAILQ_NEXT(p, order);
        if (is_over(p)) {
            forget_plain(s, p);
        }
    }
    if (s->n_plain >= s->max_plain) {
        struct plain *oldest = TAILQ_FIRST(&s->plain);
        shutdown(bufferevent_getfd(oldest->bev), SHUT_RDWR); /* evhttp sees its end, and frees it */
        forget_plain(s, oldest);
    }
    struct plain *p = NEW(struct plain);
    /* The descriptor lasts as long as its events: closed before them, its number would soon be that
     * of another connection, whose events would go instead. */
    p->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    ASSERT(p->bev);
    bufferevent_incref(p->bev);
    TAILQ_INSERT_TAIL(&s->plain, p, order);
    s->n_plain++;
    return p->bev;
}

/* --- the socket --- */

static int connect_unix(const struct sockaddr_un *a)
{
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 ? connect(fd, (const struct sockaddr *)a, sizeof(*a)) : -1;
}

static int listen_unix(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path)) {
        return err_set(e, "socket %s: the path is longer than %zu bytes", path,
                       sizeof(a.sun_path) - 1);
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect_unix(&a) == 0) {
        return err_set(e, "socket %s: another process listens there already", path);
    }
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(0177);
    int rv = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof(a));
    umask(before);
    if (rv < 0 || listen(fd, 64) < 0) {
        err_errno(e, "socket %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static int bind_unix(struct http_server *s, struct err *e)
{
    int fd = listen_unix(s->options.unix_path, e);
    if (fd < 0) {
        return -1;
    }
    s->unix_path = mem_strdup(s->options.unix_path);
    if (evhttp_accept_socket(s->http, fd) < 0) {
        close(fd);
        return err_set(e, "socket %s: cannot accept on it", s->unix_path);
    }
    return 0;
}

/* A socket on all addresses: of both families, or of IPv4 where the machine has no IPv6. Made by
 * hand, as libevent asks the resolver, which denies "::" where only the loopback has IPv6. */
static int listen_everywhere(uint16_t port)
{
    static const int on = 1, off = 0;
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, rv = -1;
    int fd = socket(AF_INET6, type, 0);
    if (fd >= 0) {
        struct sockaddr_in6 any = {
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        rv = bind(fd, (struct sockaddr *)&any, sizeof(any));
    }
    if (rv < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
        if (fd >= 0) {
            close(fd);
        }
        fd = socket(AF_INET, type, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        rv = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&any, sizeof(any));
    }
    if (rv < 0 || listen(fd, 128) < 0) {
        int why = errno;
        if (fd >= 0) {
            close(fd);
        }
        errno = why;
        return -1;
    }
    return fd;
}

static int bind_port(struct http_server *s, struct err *e)
{
    struct evhttp_bound_socket *bound;
    if (s->options.host) {
        bound = evhttp_bind_socket_with_handle(s->http, s->options.host, s->options.port);
    } else {
        int fd = listen_everywhere(s->options.port);
        bound = fd < 0 ? NULL : evhttp_accept_socket_with_handle(s->http, fd);
    }
    if (!bound) {
        return err_errno(e, "listen on %s port %u",
                         s->options.host ? s->options.host : "all addresses,", s->options.port);
    }
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    /* What is accepted inherits this. An answer goes out in pieces, and the second would wait for
     * the first to be acknowledged, which takes 40 ms. */
    int on = 1;
    setsockopt(evhttp_bound_socket_get_fd(bound), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at, &len);
    s->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                             : ((struct sockaddr_in *)&at)->sin_port);
    return 0;
}

static void set_limits(struct http_server *s)
{
    const struct http_server_options *o = &s->options;
    evhttp_set_max_body_size(s->http, o->max_body_bytes ? (ev_ssize_t)o->max_body_bytes
                                                        : LIMIT_CONTROL_REQUEST_BYTES);
    evhttp_set_max_headers_size(s->http, LIMIT_H2_HEADER_BYTES);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                            EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE);
    /* Reads what is too large to its end, as a client that still writes sees no answer. */
    evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE);
    evhttp_set_timeout(s->http, o->tls ? LIMIT_HTTPS_IDLE_MS / 1000 : 60);
}

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *e)
{
    struct http_server *s = NEW(struct http_server);
    s->options = *options;
    TAILQ_INIT(&s->plain);
    s->http = evhttp_new(loop_base(options->loop));
    ASSERT(s->http);
    set_limits(s);
    evhttp_set_gencb(s->http, on_request, s);
    if (options->tls) {
        struct http_tls_limits limits = {
            .connections =
                options->max_connections ? options->max_connections : LIMIT_HTTPS_CONNECTIONS,
            .waiting_bytes =
                options->max_waiting_bytes ? options->max_waiting_bytes : LIMIT_HTTPS_WAITING_BYTES,
            .request_ms = options->request_ms ? options->request_ms : LIMIT_HANDSHAKE_MS};
        s->tls = http_tls_new(&limits, options->tls);
        evhttp_set_bevcb(s->http, http_tls_accept, s->tls);
    } else if (!options->unix_path) {
        s->max_plain = options->max_connections ? options->max_connections : LIMIT_PAGE_CONNECTIONS;
        evhttp_set_bevcb(s->http, accept_plain, s);
    }
    if ((options->unix_path ? bind_unix(s, e) : bind_port(s, e)) < 0) {
        http_server_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void http_server_free(struct http_server *s)
{
    if (!s) {
        return;
    }
    struct http_request *q;
    while ((q = LIST_FIRST(&s->waiting))) {
        LIST_REMOVE(q, waiting);
        q->server = NULL;
    }
    evhttp_free(s->http);
    while (!TAILQ_EMPTY(&s->plain)) {
        forget_plain(s, TAILQ_FIRST(&s->plain));
    }
    http_tls_free(s->tls);
    if (s->unix_path) {
        unlink(s->unix_path);
        free(s->unix_path);
    }
    free(s);
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
}

void http_server_set_tls(struct http_server *s, struct tls_server *tls)
{
    ASSERT(s->tls);
    http_tls_set(s->tls, tls);
}
