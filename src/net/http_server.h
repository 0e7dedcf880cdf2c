/* A small HTTP/1.1 server: control sockets, health, status, and with TLS webhooks. One loop, its
 * thread. On evhttp. */
#ifndef OSM_NET_HTTP_SERVER_H
#define OSM_NET_HTTP_SERVER_H

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/tls.h"

struct http_server;

/* A request that waits for its reply; must be replied to exactly once, now or later, also when the
 * client has gone meanwhile (then the reply goes nowhere). */
struct http_request;

struct http_route {
    const char *method; /* GET, POST, PUT, PATCH, DELETE */
    const char *path;   /* whole path, or a prefix when it ends in "/" */
    void (*handle)(void *arg, struct http_request *q);
};

/* What was answered, for counting. */
struct http_answer {
    const char *method; /* empty: one that no route has */
    const char *route;  /* path of the route; NULL: none has the request's path */
    int status;
    int64_t duration_us; /* from the whole request to the reply */
};

struct http_server_options {
    struct loop *loop;
    const char
        *unix_path;   /* mode 0600; replaces a dead socket, a living one is an error; or NULL: */
    const char *host; /* an address to listen on; NULL: all, IPv6 too where there is one */
    uint16_t port;    /* 0: any that is free */
    /* HTTPS; each connection must shake hands and send a whole request within request_ms, and may
     * then be idle for LIMIT_HTTPS_IDLE_MS. NULL: plain HTTP. */
    struct tls_server *tls;
    /* With TLS one more is ended, 0: LIMIT_HTTPS_CONNECTIONS. On a plain port the oldest makes way
     * for it, 0: LIMIT_PAGE_CONNECTIONS. A unix socket has no limit. */
    size_t max_connections;
    int64_t request_ms; /* with TLS; 0: LIMIT_HANDSHAKE_MS */
    /* With TLS, of all requests that wait for answers; past it the connection with the largest is
     * ended. 0: LIMIT_HTTPS_WAITING_BYTES. */
    size_t max_waiting_bytes;
    size_t max_body_bytes;           /* 0: LIMIT_CONTROL_REQUEST_BYTES; larger ones get 413 */
    const struct http_route *routes; /* outlive the server */
    size_t n_routes;
    void (*on_reply)(void *arg, const struct http_answer *answer); /* NULL: nobody counts */
    void *arg;
};

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *e);
/* Requests that still wait are to be replied to also after this (it goes nowhere). */
void http_server_free(struct http_server *s);
/* From here on each connection ends with its next answer: before an end that nobody is to notice.
 */
void http_server_drain(struct http_server *s);
uint16_t http_server_port(const struct http_server *s);
/* Another certificate for the connections that come from now on; those that are open stay. */
void http_server_set_tls(struct http_server *s, struct tls_server *tls);

/* Views that last until the reply. */
struct str http_request_path(const struct http_request *q);
struct str http_request_body(struct http_request *q);
/* The value of a header; the empty view when absent. */
struct str http_request_header(struct http_request *q, const char *name);
/* The address that the connection came from, as text; empty: a unix socket, or it is gone. */
struct str http_request_peer(struct http_request *q);
/* A query parameter, percent-decoded; the empty view when absent. */
struct str http_request_query(struct http_request *q, const char *name);

void http_reply(struct http_request *q, int status, const char *content_type, struct str body);
void http_replyf(struct http_request *q, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* text/plain */

#endif
