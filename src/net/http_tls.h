/* Connections of an HTTPS server: bufferevents for evhttp, counted, and ended when a request takes
 * too long to arrive. Within src/net only. */
#ifndef OSM_NET_HTTP_TLS_H
#define OSM_NET_HTTP_TLS_H

#include <event2/http.h>

#include "net/tls.h"

struct http_tls;

struct http_tls_limits {
    size_t connections, waiting_bytes; /* of all of them; past it the largest request is ended */
    int64_t request_ms;
};

/* Takes its own reference. */
struct http_tls *http_tls_new(const struct http_tls_limits *limits, struct tls_server *tls);
/* Connections may outlive it for as long as libevent needs to free them. */
void http_tls_free(struct http_tls *t);
/* For connections from now on. */
void http_tls_set(struct http_tls *t, struct tls_server *tls);

/* evhttp's maker of connections; arg is the http_tls. */
struct bufferevent *http_tls_accept(struct event_base *base, void *arg);
/* A request is whole: its answer has its own time. Then it was answered: the next one may come. */
void http_tls_request_whole(struct evhttp_connection *c);
void http_tls_request_answered(struct evhttp_connection *c);

#endif
