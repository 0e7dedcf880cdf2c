/* HTTP/1.1 requests on libcurl: asynchronous on a loop, or blocking for commands. No redirects, no
 * proxies from the environment. */
#ifndef OSM_NET_HTTP_CLIENT_H
#define OSM_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

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
    int64_t timeout_ms;
    size_t max_bytes; /* of the answer */
};

/* Blocks. ret is init'ed by this; done by the caller also on failure. Returns the status, or -1
 * when there was no answer. */
int http_do(const struct http_call *call, struct buf *ret, struct err *e);

/* Percent-encodes a part of a URL, such as the value of a query parameter; free() it. */
char *http_encode(const char *text);

/* One a loop. */
struct http_client;
struct http_client *http_client_new(struct loop *loop);
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
