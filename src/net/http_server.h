/* A small HTTP/1.1 server on a unix socket or a loopback port: control sockets, health, status. One
 * loop, its thread. On evhttp. */
#ifndef OSM_NET_HTTP_SERVER_H
#define OSM_NET_HTTP_SERVER_H

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

struct http_server;

/* A request that waits for its reply; must be replied to exactly once, now or later, also when the
 * client has gone meanwhile (then the reply goes nowhere). */
struct http_request;

struct http_route {
    const char *method; /* GET, POST, PUT, DELETE */
    const char *path;   /* whole path, or a prefix when it ends in "/" */
    void (*handle)(void *arg, struct http_request *q);
};

struct http_server_options {
    struct loop *loop;
    const char
        *unix_path;   /* mode 0600; replaces a dead socket, a living one is an error; or NULL: */
    const char *host; /* an address to listen on */
    uint16_t port;
    const struct http_route *routes; /* outlive the server */
    size_t n_routes;
    void *arg;
};

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *e);
/* Requests that still wait must not be replied to after this. */
void http_server_free(struct http_server *s);

/* Views that last until the reply. */
struct str http_request_path(const struct http_request *q);
struct str http_request_body(struct http_request *q);
/* A query parameter, percent-decoded; the empty view when absent. */
struct str http_request_query(struct http_request *q, const char *name);

void http_reply(struct http_request *q, int status, const char *content_type, struct str body);
void http_replyf(struct http_request *q, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* text/plain */

#endif
