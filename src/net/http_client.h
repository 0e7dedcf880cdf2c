/* HTTP/1.1 requests on libcurl: asynchronous on a loop, or blocking for commands. No redirects; no
 * proxies from the environment unless that is asked for. */
#ifndef OSM_NET_HTTP_CLIENT_H
#define OSM_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

/* Whom to believe and who we are, for https. Empty: the roots of the system; no certificate. */
struct http_tls {
    struct str ca, cert, key; /* PEM */
    const char *server_name;  /* expected in the certificate; NULL: the host of the URL */
    bool insecure;            /* the server's certificate isn't looked at */
};

struct http_call {
    const char *method;    /* NULL: GET, or POST when there is a body */
    const char *url;       /* "http://host/path"; with unix_path the host is only a header */
    const char *unix_path; /* connect there, or NULL */
    /* Makes the socket to connect with, in another network namespace for instance; returns a
     * descriptor that the client then owns, or -1. NULL: an ordinary one. */
    int (*open_socket)(void *arg, int family);
    void *open_arg;
    struct str body;
    const char *content_type;
    const char *const *headers; /* "Name: value"; NULL-terminated, or NULL */
    const struct http_tls *tls;
    const char *proxy;      /* "http://host:port", https, socks5; NULL: none */
    bool proxy_environment; /* with proxy NULL: what HTTPS_PROXY and NO_PROXY say */
    int64_t timeout_ms;     /* of the whole; 0: none */
    int64_t idle_ms;        /* ends when no byte came for so long, in whole seconds; 0: never */
    size_t max_bytes;       /* of the answer; with on_data, of what waits for it */
    /* With http_start: takes a body of status 200 to 299 as it comes, and `done` then gets none.
     * First called with nothing, as soon as the status is known. Starting and cancelling calls,
     * this one too, is allowed in it. NULL: `done` gets the body whole. */
    void (*on_data)(void *arg, struct str bytes);
    /* Seconds that the answer's Retry-After asks for, 0 when it has none; written before `done` is
     * called or http_client_do returns. May be NULL. */
    int64_t *retry_after_s;
};

/* Blocks. ret is init'ed by this; done by the caller also on failure. Returns the status, or -1
 * when there was no answer. */
int http_do(const struct http_call *call, struct buf *ret, struct err *e);

/* Percent-encodes a part of a URL, such as the value of a query parameter; free() it. */
char *http_encode(const char *text);

/* Keeps connections for the next call. One a loop; with loop NULL it only does blocking calls. */
struct http_client;
struct http_client *http_client_new(struct loop *loop);
/* As http_do, over a connection that is kept. Not from within a callback of this client. */
int http_client_do(struct http_client *c, const struct http_call *call, struct buf *ret,
                   struct err *e);
void http_client_free(struct http_client *c); /* ends what is open, without its callbacks */

/* status -1: no answer, and e says why. The body lasts for the callback. */
typedef void http_done_fn(void *arg, int status, struct str body, const struct err *e);
/* The strings of `call` are only read during this. done is called once, never from within. */
struct http_transfer;
struct http_transfer *http_start(struct http_client *c, const struct http_call *call,
                                 http_done_fn *done, void *arg);
/* Ends it without its callback; only before that was called. */
void http_cancel(struct http_transfer *t);

#endif
