/* A small API server that answers what a test tells it to, byte by byte if need be, on a thread of
 * its own; a kubeconfig that leads to it, and a client on a loop. */
#ifndef OSM_TEST_KUBE_FIXTURE_H
#define OSM_TEST_KUBE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/vec.h"
#include "kube/client.h"
#include "run_until.h"

enum { TEXT_MAX = 16 << 20 };

enum after {
    AFTER_WHOLE, /* a body of known length; the connection stays */
    AFTER_HOLD,  /* a stream that stays open */
    AFTER_END,   /* a stream that ends as it should */
    AFTER_CUT,   /* a stream whose connection breaks */
};

struct reply {
    int status;
    const char *body;
    enum after after;
    const char *header; /* a line more, or NULL */
    bool slowly;        /* a few bytes at a time */
    char *owned;        /* freed when it was sent; may be the body */
};

/* An answer that a test told of. */
struct api_told {
    const char *part; /* of the request's line */
    struct reply reply;
    bool used;
};

/* A request that is open: a stream, or one whose answer wasn't told yet. */
struct api_open {
    int fd;
    char *line;
};
typedef VEC(struct api_open) api_open_vec;

struct api_request {
    char *line; /* "GET /api/v1/pods" */
    char *head; /* all of it */
    char *body;
    int64_t at_ms;
};

struct api {
    /* The test's side. */
    struct loop *loop;
    struct kube_client *client;
    char folder[32];
    char kubeconfig[64], token[64];
    /* The server's. */
    uint16_t port;
    int listener, wake[2];
    pthread_t thread;
    pthread_mutex_t lock;
    VEC(struct api_told) told; /* under lock, as the rest */
    VEC(struct api_request) requests;
    api_open_vec streams, waiting;
    /* The answer to a request that nothing was told of; false: it waits until something is. NULL:
     * as an overloaded server. Set before the first request, called with the lock held. */
    bool (*otherwise)(void *arg, const struct api_request *q, struct reply *ret);
    void *arg;
};

/* --- the thread --- */

struct api_peer {
    int fd;
    struct buf in;
};

static inline void api_write(int fd, const char *p, size_t len, bool slowly)
{
    while (len > 0) {
        size_t some = slowly && len > 3 ? 3 : len;
        ssize_t n = send(fd, p, some, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        p += n;
        len -= (size_t)n;
        if (slowly) {
            poll(NULL, 0, 1);
        }
    }
}

static inline void api_chunk(struct buf *out, const char *text)
{
    if (*text) {
        buf_printf(out, "%zx\r\n%s\r\n", strlen(text), text);
    }
}

/* All at once, so that what comes together is also read together. False: the connection is to be
 * closed. */
static inline bool api_answer(struct api *s, int fd, const char *line, const struct reply *r)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    buf_printf(&out, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s%s", r->status,
               r->header ? r->header : "", r->header ? "\r\n" : "");
    if (r->after == AFTER_WHOLE) {
        buf_printf(&out, "Content-Length: %zu\r\n\r\n%s", strlen(r->body), r->body);
    } else {
        buf_addz(&out, "Transfer-Encoding: chunked\r\n\r\n");
        api_chunk(&out, r->body);
        buf_addz(&out, r->after == AFTER_END ? "0\r\n\r\n" : "");
    }
    if (r->after == AFTER_HOLD) {
        VEC_PUSH(s->streams, (struct api_open){fd, mem_strdup(line)});
    }
    api_write(fd, out.data, out.len, r->slowly);
    return r->after != AFTER_CUT;
}

static inline size_t api_length(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");
    return at ? (size_t)atol(at + strlen("\r\ncontent-length:")) : 0;
}

/* A whole request at the start of what came, or false. */
static inline bool api_take_request(struct api *s, struct api_peer *p)
{
    char *end = p->in.data ? strstr(p->in.data, "\r\n\r\n") : NULL;
    if (!end) {
        return false;
    }
    size_t head = (size_t)(end - p->in.data) + 4;
    AUTO(free) char *text = mem_memdup(p->in.data, head);
    size_t body = api_length(text);
    if (p->in.len < head + body) {
        return false;
    }
    VEC_PUSH(s->requests,
             (struct api_request){.line = mem_memdup(text, (size_t)(strstr(text, " HTTP/") - text)),
                                  .body = mem_memdup(p->in.data + head, body),
                                  .at_ms = clock_mono_ms()});
    s->requests.at[s->requests.len - 1].head = TAKE(text);
    buf_consume(&p->in, head + body);
    return true;
}

/* As the API server does it, which doesn't turn a list into one object's metadata, nor the other
 * way round. */
static inline bool api_accepts(const struct api_request *q, const struct reply *r)
{
    bool is_list = strstr(r->body, "List\"") && strstr(r->body, "\"items\"");
    bool wanted =
        strstr(q->head, is_list ? "as=PartialObjectMetadataList;" : "as=PartialObjectMetadata;");
    return wanted || !strstr(q->head, "as=PartialObjectMetadata");
}

/* False: nothing was told, so it waits. */
static inline bool api_find_reply(struct api *s, const struct api_request *q, struct reply *ret)
{
    VEC_EACH(s->told, t) {
        if (!t->used && strstr(q->line, t->part)) {
            t->used = true;
            *ret = t->reply;
            return true;
        }
    }
    *ret = (struct reply){.status = 503, .body = "{\"message\":\"nothing was told\"}"};
    return !s->otherwise || s->otherwise(s->arg, q, ret);
}

/* False: the connection is to be closed. */
static inline bool api_answer_last(struct api *s, int fd)
{
    const struct api_request *q = &s->requests.at[s->requests.len - 1];
    struct reply r;
    if (!api_find_reply(s, q, &r)) {
        VEC_PUSH(s->waiting, (struct api_open){fd, mem_strdup(q->line)});
        return true;
    }
    if (r.status == 200 && !api_accepts(q, &r)) {
        r.status = 406;
    }
    bool open = api_answer(s, fd, q->line, &r);
    free(r.owned);
    return open;
}

/* False: the connection is over. */
static inline bool api_serve(struct api *s, struct api_peer *p)
{
    char piece[65536];
    ssize_t n = recv(p->fd, piece, sizeof(piece), 0);
    if (n <= 0) {
        return false;
    }
    buf_add(&p->in, piece, (size_t)n);
    bool open = true;
    pthread_mutex_lock(&s->lock);
    while (open && api_take_request(s, p)) {
        open = api_answer_last(s, p->fd);
    }
    pthread_mutex_unlock(&s->lock);
    return open;
}

static inline void api_drop(api_open_vec *list, size_t i)
{
    free(list->at[i].line);
    VEC_REMOVE(*list, i);
}

static inline void api_forget(struct api *s, int fd)
{
    api_open_vec *lists[] = {&s->streams, &s->waiting};
    pthread_mutex_lock(&s->lock);
    for (size_t k = 0; k < COUNT_OF(lists); k++) {
        for (size_t i = lists[k]->len; i-- > 0;) {
            if (lists[k]->at[i].fd == fd) {
                api_drop(lists[k], i);
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    close(fd);
}

static inline void *api_run(void *arg)
{
    struct api *s = arg;
    VEC(struct api_peer) peers = {0};
    for (;;) {
        struct pollfd fds[256] = {{s->wake[0], POLLIN, 0}, {s->listener, POLLIN, 0}};
        for (size_t i = 0; i < peers.len; i++) {
            fds[i + 2] = (struct pollfd){peers.at[i].fd, POLLIN, 0};
        }
        poll(fds, peers.len + 2, -1);
        if (fds[0].revents) {
            break;
        }
        for (size_t i = peers.len; i-- > 0;) {
            if (fds[i + 2].revents && !api_serve(s, &peers.at[i])) {
                api_forget(s, peers.at[i].fd);
                buf_done(&peers.at[i].in);
                VEC_REMOVE(peers, i);
            }
        }
        if (fds[1].revents && peers.len < 250) {
            struct api_peer p = {.fd = accept(s->listener, NULL, NULL)};
            buf_init(&p.in, TEXT_MAX);
            VEC_PUSH(peers, p);
        }
    }
    VEC_EACH(peers, p) {
        close(p->fd);
        buf_done(&p->in);
    }
    VEC_DONE(peers);
    return NULL;
}

/* --- for tests --- */

static inline void api_write_file(const char *path, const char *text)
{
    AUTO(free) char *temporary = mem_printf("%s.new", path);
    FILE *f = fopen(temporary, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(temporary, path), 0);
}

static inline struct kube_client *api_client(struct api *s, struct loop *loop)
{
    struct kube_config *config = NULL;
    struct err e = ERR_INIT;
    struct kube_config_options o = {.kubeconfig = s->kubeconfig};
    if (kube_config_load(&o, &config, &e) < 0) {
        fail_msg("%s", e.text);
    }
    return kube_client_new(config, loop);
}

static inline struct api *api_new(void)
{
    struct api *s = NEW(struct api);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    signal(SIGPIPE, SIG_IGN);
    strcpy(s->folder, "/tmp/test_kube.XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pipe(s->wake), 0);
    s->port = ntohs(a.sin_port);
    pthread_mutex_init(&s->lock, NULL);
    snprintf(s->kubeconfig, sizeof(s->kubeconfig), "%s/config", s->folder);
    snprintf(s->token, sizeof(s->token), "%s/token", s->folder);
    api_write_file(s->token, "first\n");
    AUTO(free)
    char *config = mem_printf("clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%u/'}}]\n"
                              "users: [{name: u, user: {tokenFile: token}}]\n"
                              "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
                              "current-context: x\n",
                              s->port);
    api_write_file(s->kubeconfig, config);
    assert_int_equal(pthread_create(&s->thread, NULL, api_run, s), 0);
    s->loop = loop_new();
    s->client = api_client(s, s->loop);
    return s;
}

static inline void api_free(struct api *s)
{
    kube_client_free(s->client);
    loop_free(s->loop);
    assert_int_equal(write(s->wake[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->wake[1]);
    close(s->listener);
    VEC_EACH(s->requests, q) {
        free(q->line);
        free(q->head);
        free(q->body);
    }
    VEC_DONE(s->requests);
    VEC_DONE(s->told);
    while (s->streams.len > 0) {
        api_drop(&s->streams, s->streams.len - 1);
    }
    while (s->waiting.len > 0) {
        api_drop(&s->waiting, s->waiting.len - 1);
    }
    VEC_DONE(s->streams);
    VEC_DONE(s->waiting);
    unlink(s->kubeconfig);
    unlink(s->token);
    rmdir(s->folder);
    free(s);
}

/* Tells what the next request is answered whose line has this part. The strings must outlast the
 * test. */
static inline void api_tell_of(struct api *s, const char *part, struct reply r)
{
    pthread_mutex_lock(&s->lock);
    VEC_PUSH(s->told, (struct api_told){part, r, false});
    for (size_t i = 0; i < s->waiting.len; i++) {
        if (strstr(s->waiting.at[i].line, part)) {
            s->told.at[s->told.len - 1].used = true;
            api_answer(s, s->waiting.at[i].fd, s->waiting.at[i].line, &r);
            api_drop(&s->waiting, i);
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* The same for the next request of all. */
static inline void api_tell(struct api *s, struct reply r)
{
    api_tell_of(s, "", r);
}

static inline void api_tell_whole(struct api *s, int status, const char *body)
{
    api_tell(s, (struct reply){status, body, AFTER_WHOLE, NULL, 0});
}

/* Sends more on the open streams whose line has this part. */
static inline void api_more_on(struct api *s, const char *part, const char *text)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, TEXT_MAX);
    api_chunk(&out, text);
    pthread_mutex_lock(&s->lock);
    VEC_EACH(s->streams, open) {
        if (strstr(open->line, part)) {
            api_write(open->fd, out.data, out.len, false);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* On all of them. */
static inline void api_more(struct api *s, const char *text)
{
    api_more_on(s, "", text);
}

/* Breaks the open streams whose line has this part. */
static inline void api_cut_on(struct api *s, const char *part)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->streams.len; i-- > 0;) {
        if (strstr(s->streams.at[i].line, part)) {
            shutdown(s->streams.at[i].fd, SHUT_RDWR);
            api_drop(&s->streams, i);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static inline void api_cut(struct api *s)
{
    api_cut_on(s, "");
}

static inline size_t api_count(struct api *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->requests.len;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Was it made with this method (NULL: any), to a path that ends so? */
static inline bool api_is(const struct api_request *q, const char *method, const char *path_end)
{
    struct str verb, target, path, query;
    str_cut(str_of(q->line), ' ', &verb, &target);
    str_cut(target, '?', &path, &query);
    return (!method || str_is(verb, method)) && str_ends(path, path_end);
}

struct api_wanted {
    struct api *api;
    size_t requests;
};

static inline bool api_has_requests(void *arg)
{
    const struct api_wanted *w = arg;
    return api_count(w->api) >= w->requests;
}

/* Until so many requests were made in all. */
static inline void api_await(struct api *s, size_t requests)
{
    struct api_wanted w = {s, requests};
    assert_true(run_until(s->loop, api_has_requests, &w));
}

/* How many such requests were made. */
static inline size_t api_count_of(struct api *s, const char *method, const char *path_end)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    VEC_EACH(s->requests, q) {
        n += api_is(q, method, path_end);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Valid until the end. */
static inline struct api_request api_request(struct api *s, size_t i)
{
    pthread_mutex_lock(&s->lock);
    assert_true(i < s->requests.len);
    struct api_request q = s->requests.at[i];
    pthread_mutex_unlock(&s->lock);
    return q;
}

static inline void assert_part(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("expected \"%s\" in \"%s\"", part, text);
    }
}

#endif
