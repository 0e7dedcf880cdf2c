/* HTTP requests on libcurl. */
#include "net/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct http_transfer {
    struct http_client *client; /* NULL: blocking */
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;
    char error[CURL_ERROR_SIZE];
    int (*open_socket)(void *arg, int family);
    void *open_arg;
    http_done_fn *done;
    void *arg;
    struct http_transfer *prev, *next;
};

struct socket_watch {
    struct http_client *client;
    struct loop_watch *watch;
    int fd;
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct http_transfer *transfers;
};

__attribute__((constructor)) static void curl_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    buf_add(&t->body, data, size * n);
    return buf_full(&t->body) ? 0 : size * n;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_transfer *t = arg;
    int fd = t->open_socket(t->open_arg, a->family);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void set_up(struct http_transfer *t, const struct http_call *call)
{
    CURL *c = t->easy;
    curl_easy_setopt(c, CURLOPT_URL, call->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
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
    t->headers = curl_slist_append(NULL, "Expect:"); /* no waiting for "100 Continue" */
    if (call->content_type) {
        AUTO(free) char *h = mem_printf("Content-Type: %s", call->content_type);
        t->headers = curl_slist_append(t->headers, h);
    }
    for (size_t i = 0; call->headers && call->headers[i]; i++) {
        t->headers = curl_slist_append(t->headers, call->headers[i]);
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

static struct http_transfer *transfer_new(const struct http_call *call)
{
    struct http_transfer *t = NEW(struct http_transfer);
    t->easy = curl_easy_init();
    ASSERT(t->easy);
    buf_init(&t->body, call->max_bytes);
    set_up(t, call);
    set_headers(t, call);
    return t;
}

static void transfer_free(struct http_transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    buf_done(&t->body);
    free(t);
}

/* The status, or -1 with the reason. */
static int outcome(struct http_transfer *t, CURLcode code, struct err *e)
{
    long status = 0;
    if (code != CURLE_OK) {
        if (buf_full(&t->body)) {
            return err_set(e, "the answer is larger than %zu bytes", t->body.max_bytes);
        }
        return err_set(e, "%s", t->error[0] ? t->error : curl_easy_strerror(code));
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

int http_do(const struct http_call *call, struct buf *ret, struct err *e)
{
    struct http_transfer *t = transfer_new(call);
    int status = outcome(t, curl_easy_perform(t->easy), e);
    *ret = t->body;
    buf_init(&t->body, 0);
    transfer_free(t);
    return status;
}

/* --- on a loop --- */

static void finish_done(struct http_client *c)
{
    CURLMsg *m;
    int left;
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
    c->multi = curl_multi_init();
    ASSERT(c->multi);
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
    curl_multi_cleanup(c->multi);
    loop_timer_free(c->timer);
    free(c);
}

struct http_transfer *http_start(struct http_client *c, const struct http_call *call,
                                 http_done_fn *done, void *arg)
{
    struct http_transfer *t = transfer_new(call);
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
