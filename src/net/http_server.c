/* The small HTTP server on evhttp. */
#include "net/http_server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdarg.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

struct http_server {
    struct http_server_options options;
    struct evhttp *http;
    char *unix_path;
};

struct http_request {
    struct evhttp_request *request; /* NULL: the client has gone */
    char *path;
    struct evkeyvalq query;
    bool query_parsed;
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

void http_reply(struct http_request *q, int status, const char *content_type, struct str body)
{
    if (q->request) {
        watch_close(q, false);
        struct evbuffer *b = evbuffer_new();
        ASSERT(b);
        evbuffer_add(b, body.ptr, body.len);
        evhttp_add_header(evhttp_request_get_output_headers(q->request), "Content-Type",
                          content_type);
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
    q->request = r;
    q->path = mem_strdup(path && *path ? path : "/");
    watch_close(q, true);
    bool path_known = false;
    for (size_t i = 0; i < s->options.n_routes; i++) {
        const struct http_route *route = &s->options.routes[i];
        if (!path_matches(route, q->path)) {
            continue;
        }
        path_known = true;
        if (strcmp(route->method, method_name(r)) == 0) {
            route->handle(s->options.arg, q);
            return;
        }
    }
    http_replyf(q, path_known ? 405 : 404, "%s\n", path_known ? "wrong method" : "no such page");
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

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *e)
{
    struct http_server *s = NEW(struct http_server);
    s->options = *options;
    s->http = evhttp_new(loop_base(options->loop));
    ASSERT(s->http);
    evhttp_set_max_body_size(s->http, LIMIT_CONTROL_REQUEST_BYTES);
    evhttp_set_max_headers_size(s->http, LIMIT_H2_HEADER_BYTES);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                            EVHTTP_REQ_DELETE);
    evhttp_set_timeout(s->http, 60);
    evhttp_set_gencb(s->http, on_request, s);
    int rv = 0;
    if (options->unix_path) {
        rv = bind_unix(s, e);
    } else if (evhttp_bind_socket(s->http, options->host, options->port) < 0) {
        rv = err_errno(e, "listen on %s port %u", options->host, options->port);
    }
    if (rv < 0) {
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
    evhttp_free(s->http);
    if (s->unix_path) {
        unlink(s->unix_path);
        free(s->unix_path);
    }
    free(s);
}
