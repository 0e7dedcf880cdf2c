/* HTTP requests on libcurl. */
#include "net/http_client.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

/* A peer that doesn't answer for this long is gone: for a connection that is being made, for bytes
 * that nobody acknowledges, and for probes of one that is silent. */
enum {
    PEER_TIMEOUT_MS = 30000,
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_EVERY_S = 10,
    IDLE_CONNECTIONS = 64,
};

struct http_transfer {
    struct http_client *client; /* NULL: blocking */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct buf body;
    char error[CURL_ERROR_SIZE];
    int (*open_socket)(void *arg, int family);
    void *open_arg;
    int64_t *retry_after_s;
    void (*on_data)(void *arg, struct str bytes);
    http_done_fn *done;
    void *arg;
    bool ready; /* is among the client's `ready` */
    struct http_transfer *prev, *next, *next_ready;
};

struct socket_watch {
    struct http_client *client;
    struct loop_watch *watch;
    int fd;
};

struct http_client {
    struct loop *loop; /* NULL: no multi */
    CURLM *multi;
    struct loop_timer *timer;
    struct http_transfer *transfers;
    struct http_transfer *ready; /* those with bytes for on_data; newest first */
    CURL *blocking;              /* its connections serve the next blocking call */
};

__attribute__((constructor)) static void curl_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool is_streamed(const struct http_transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return t->on_data && t->client && status >= 200 && status < 300;
}

/* on_data waits until curl has returned, because here nothing may be started or ended. */
static void make_ready(struct http_transfer *t)
{
    if (!t->ready && is_streamed(t)) {
        t->ready = true;
        t->next_ready = t->client->ready;
        t->client->ready = t;
    }
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    buf_add(&t->body, data, size * n);
    make_ready(t);
    return buf_full(&t->body) ? 0 : size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    if (data[0] == '\r' || data[0] == '\n') { /* the line that ends them */
        make_ready(arg);
    }
    return size * n;
}

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    int ms = PEER_TIMEOUT_MS;
    /* Fails for what isn't TCP, which needs none. */
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    return CURL_SOCKOPT_OK;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_transfer *t = arg;
    int fd = t->open_socket(t->open_arg, a->family);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void set_blob(CURL *c, CURLoption option, struct str pem)
{
    if (pem.len > 0) {
        struct curl_blob blob = {(void *)pem.ptr, pem.len, CURL_BLOB_COPY};
        curl_easy_setopt(c, option, &blob);
    }
}

/* curl looks for the URL's host in the certificate, so the URL gets the name that is expected and
 * connects to the host that was given, which stays the Host header. */
static void set_server_name(struct http_transfer *t, const char *url, const char *name)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *renamed = NULL;
    if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &renamed, 0) == CURLUE_OK) {
        AUTO(free) char *to = mem_printf("::%s:%s", host, port);
        AUTO(free) char *header = mem_printf("Host: %s:%s", host, port);
        t->connect_to = curl_slist_append(NULL, to);
        t->headers = curl_slist_append(t->headers, header);
        curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
        curl_easy_setopt(t->easy, CURLOPT_URL, renamed);
    }
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(u);
}

static void set_tls(struct http_transfer *t, const struct http_call *call)
{
    const struct http_tls *tls = call->tls;
    curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!tls) {
        return;
    }
    set_blob(t->easy, CURLOPT_CAINFO_BLOB, tls->ca);
    set_blob(t->easy, CURLOPT_SSLCERT_BLOB, tls->cert);
    set_blob(t->easy, CURLOPT_SSLKEY_BLOB, tls->key);
    if (tls->insecure) {
        curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (tls->server_name && *tls->server_name) {
        set_server_name(t, call->url, tls->server_name);
    }
}

static void set_times(CURL *c, const struct http_call *call)
{
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)PEER_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_EVERY_S);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
    if (call->idle_ms > 0) {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)((call->idle_ms + 999) / 1000));
    }
}

static void set_up(struct http_transfer *t, const struct http_call *call)
{
    CURL *c = t->easy;
    curl_easy_setopt(c, CURLOPT_URL, call->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (call->proxy || !call->proxy_environment) {
        curl_easy_setopt(c, CURLOPT_PROXY, call->proxy ? call->proxy : "");
    }
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 16384L);
    if (call->unix_path) {
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
    }
    if (call->open_socket) {
        t->open_socket = call->open_socket;
        t->open_arg = call->open_arg;
        curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
        /* A connection made in one namespace mustn't serve another. */
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    }
    if (call->body.ptr) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, call->body.ptr);
    }
    if (call->method) {
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, call->method);
    }
}

static void set_headers(struct http_transfer *t, const struct http_call *call)
{
    t->headers = curl_slist_append(t->headers, "Expect:"); /* no waiting for "100 Continue" */
    if (call->content_type) {
        AUTO(free) char *h = mem_printf("Content-Type: %s", call->content_type);
        t->headers = curl_slist_append(t->headers, h);
    }
    for (size_t i = 0; call->headers && call->headers[i]; i++) {
        t->headers = curl_slist_append(t->headers, call->headers[i]);
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

/* Takes the handle. */
static struct http_transfer *transfer_new(CURL *easy, const struct http_call *call)
{
    struct http_transfer *t = NEW(struct http_transfer);
    ASSERT(easy);
    t->easy = easy;
    t->on_data = call->on_data;
    t->retry_after_s = call->retry_after_s;
    buf_init(&t->body, call->max_bytes);
    set_up(t, call);
    set_times(easy, call);
    set_tls(t, call);
    set_headers(t, call);
    return t;
}

static void transfer_free(struct http_transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    buf_done(&t->body);
    free(t);
}

/* The status, or -1 with the reason. */
static int outcome(struct http_transfer *t, CURLcode code, struct err *e)
{
    long status = 0;
    if (t->retry_after_s) {
        curl_off_t s = 0;
        curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &s);
        *t->retry_after_s = s;
    }
    if (code != CURLE_OK) {
        if (buf_full(&t->body)) {
            return err_set(e, "the answer is larger than %zu bytes", t->body.max_bytes);
        }
        return err_set(e, "%s", t->error[0] ? t->error : curl_easy_strerror(code));
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Ends the transfer; its handle is the caller's again. */
static int perform(struct http_transfer *t, struct buf *ret, struct err *e)
{
    int status = outcome(t, curl_easy_perform(t->easy), e);
    *ret = t->body;
    buf_init(&t->body, 0);
    curl_easy_reset(t->easy);
    t->easy = NULL;
    transfer_free(t);
    return status;
}

int http_do(const struct http_call *call, struct buf *ret, struct err *e)
{
    CURL *easy = curl_easy_init();
    int status = perform(transfer_new(easy, call), ret, e);
    curl_easy_cleanup(easy);
    return status;
}

int http_client_do(struct http_client *c, const struct http_call *call, struct buf *ret,
                   struct err *e)
{
    if (!c->blocking) {
        c->blocking = curl_easy_init();
    }
    return perform(transfer_new(c->blocking, call), ret, e);
}

/* --- on a loop --- */

static void unready(struct http_transfer *t)
{
    struct http_transfer **at = &t->client->ready;
    while (t->ready && *at != t) {
        at = &(*at)->next_ready;
    }
    if (t->ready) {
        *at = t->next_ready;
        t->ready = false;
    }
}

static void deliver_one(struct http_transfer *t)
{
    struct buf bytes = t->body;
    buf_init(&t->body, bytes.max_bytes);
    unready(t);
    t->on_data(t->arg, buf_str(&bytes));
    buf_done(&bytes);
}

/* Outside of curl, so that callbacks may start and cancel. */
static void deliver(struct http_client *c)
{
    while (c->ready) {
        deliver_one(c->ready);
    }
}

static void finish_done(struct http_client *c)
{
    CURLMsg *m;
    int left;
    deliver(c);
    while ((m = curl_multi_info_read(c->multi, &left))) {
        if (m->msg != CURLMSG_DONE) {
            continue;
        }
        struct http_transfer *t;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        struct err e = ERR_INIT;
        int status = outcome(t, code, &e);
        http_done_fn *done = t->done;
        void *arg = t->arg;
        struct buf body = t->body;
        buf_init(&t->body, 0);
        http_cancel(t);
        done(arg, status, buf_str(&body), &e);
        buf_done(&body);
    }
}

static void on_timeout(void *arg)
{
    struct http_client *c = arg;
    int running;
    loop_timer_free(c->timer);
    c->timer = NULL;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_done(c);
}

static int on_timer_wanted(CURLM *multi, long ms, void *arg)
{
    struct http_client *c = arg;
    loop_timer_free(c->timer);
    c->timer = ms < 0 ? NULL : loop_timer_new(c->loop, ms, false, on_timeout, c);
    return 0;
}

static void on_socket_ready(void *arg, int events)
{
    struct socket_watch *w = arg;
    struct http_client *c = w->client;
    int running, mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
                        (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(c->multi, w->fd, mask, &running);
    finish_done(c);
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *c = arg;
    struct socket_watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            loop_watch_free(w->watch);
            free(w);
        }
        curl_multi_assign(c->multi, fd, NULL);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    if (!w) {
        w = NEW(struct socket_watch);
        *w = (struct socket_watch){.client = c, .fd = fd};
        w->watch = loop_watch_new(c->loop, fd, events, on_socket_ready, w);
        curl_multi_assign(c->multi, fd, w);
    }
    loop_watch_set(w->watch, events);
    return 0;
}

struct http_client *http_client_new(struct loop *loop)
{
    struct http_client *c = NEW(struct http_client);
    c->loop = loop;
    if (!loop) {
        return c;
    }
    c->multi = curl_multi_init();
    ASSERT(c->multi);
    /* Otherwise it is four for each call under way, so that whenever calls become fewer connections
     * close that the next calls would have to make anew. */
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c) {
        return;
    }
    while (c->transfers) {
        http_cancel(c->transfers);
    }
    if (c->multi) {
        curl_multi_cleanup(c->multi);
    }
    curl_easy_cleanup(c->blocking);
    loop_timer_free(c->timer);
    free(c);
}

struct http_transfer *http_start(struct http_client *c, const struct http_call *call,
                                 http_done_fn *done, void *arg)
{
    struct http_transfer *t = transfer_new(curl_easy_init(), call);
    ASSERT(c->multi);
    t->client = c;
    t->done = done;
    t->arg = arg;
    t->next = c->transfers;
    if (t->next) {
        t->next->prev = t;
    }
    c->transfers = t;
    curl_multi_add_handle(c->multi, t->easy);
    return t;
}

void http_cancel(struct http_transfer *t)
{
    struct http_client *c = t->client;
    unready(t);
    curl_multi_remove_handle(c->multi, t->easy);
    *(t->prev ? &t->prev->next : &c->transfers) = t->next;
    if (t->next) {
        t->next->prev = t->prev;
    }
    transfer_free(t);
}

char *http_encode(const char *text)
{
    char *encoded = curl_easy_escape(NULL, text, 0);
    ASSERT(encoded);
    char *copy = mem_strdup(encoded);
    curl_free(encoded);
    return copy;
}
