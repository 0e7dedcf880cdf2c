/* A blocking HTTPS client on bare OpenSSL that can also misbehave, and a server's loop on a thread
 * of its own. */
#ifndef OSM_TEST_HTTPS_CLIENT_H
#define OSM_TEST_HTTPS_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cert/cert.h"
#include "net/loop.h"

enum { CLIENT_PATIENCE_S = 60 };

struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static inline void client_use(struct client *c, const struct cert *cert)
{
    BIO *chain = BIO_new_mem_buf(cert->chain->data, (int)cert->chain->len);
    BIO *key = BIO_new_mem_buf(cert->private_key->data, (int)cert->private_key->len);
    X509 *x = PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    SSL_CTX_use_certificate(c->ctx, x);
    SSL_CTX_use_PrivateKey(c->ctx, k);
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(chain);
    BIO_free(key);
}

/* With a certificate to show, or NULL. max_version 0: what both can. False when the handshake
 * failed. */
static inline bool client_open_as(struct client *c, uint16_t port, int max_version,
                                  const struct cert *cert)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {CLIENT_PATIENCE_S, 0};
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .ctx = SSL_CTX_new(TLS_client_method())};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_VERSION);
    SSL_CTX_set_security_level(c->ctx, 0); /* old versions too */
    SSL_CTX_set_max_proto_version(c->ctx, max_version);
    if (cert) {
        client_use(c, cert);
    }
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    return connect(c->fd, (struct sockaddr *)&at, sizeof(at)) == 0 && SSL_connect(c->ssl) == 1;
}

static inline bool client_open(struct client *c, uint16_t port, int max_version)
{
    return client_open_as(c, port, max_version, NULL);
}

static inline void client_open_or_fail(struct client *c, uint16_t port)
{
    if (!client_open(c, port, 0)) {
        fail_msg("no connection");
    }
}

static inline void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    ERR_clear_error();
}

static inline bool client_send(struct client *c, struct str s)
{
    return s.len == 0 || SSL_write(c->ssl, s.ptr, (int)s.len) == (int)s.len;
}

/* The answer, in `out` (init'ed by this): its head and, after content-length, its body. Returns the
 * status, or 0 when the connection ended. */
static inline int client_read(struct client *c, struct buf *out)
{
    char chunk[16384];
    size_t want = SIZE_MAX;
    int status = 0;
    buf_init(out, 64u << 20);
    while (out->len < want) {
        int n = SSL_read(c->ssl, chunk, sizeof(chunk));
        if (n <= 0) {
            return 0;
        }
        buf_add(out, chunk, (size_t)n);
        char *end = strstr(out->data, "\r\n\r\n"),
             *length = strcasestr(out->data, "content-length:");
        if (end && want == SIZE_MAX) {
            want = (size_t)(end + 4 - out->data) +
                   (length ? strtoul(length + strlen("content-length:"), NULL, 10) : 0);
        }
    }
    return sscanf(out->data, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

static inline struct str client_body(const struct buf *answer)
{
    const char *end = answer->data ? strstr(answer->data, "\r\n\r\n") : NULL;
    return end ? str_of(end + 4) : (struct str){0};
}

static inline int client_post(struct client *c, const char *path, const char *type, struct str body,
                              struct buf *answer)
{
    AUTO(free)
    char *head = mem_printf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            path, type, body.len);
    if (!client_send(c, str_of(head)) || !client_send(c, body)) {
        buf_init(answer, 1);
        return 0;
    }
    return client_read(c, answer);
}

/* --- the server's side --- */

struct loop_thread {
    struct loop *loop;
    pthread_t thread;
};

static inline void *loop_thread_main(void *arg)
{
    loop_run(((struct loop_thread *)arg)->loop);
    return NULL;
}

static inline void loop_thread_start(struct loop_thread *t)
{
    pthread_create(&t->thread, NULL, loop_thread_main, t);
}

static inline void loop_thread_stop_now(void *arg)
{
    loop_stop(arg);
}

static inline void loop_thread_stop(struct loop_thread *t)
{
    loop_post(t->loop, loop_thread_stop_now, t->loop);
    pthread_join(t->thread, NULL);
}

/* Until the loop's thread has set the flag, which is then unset. */
static inline void loop_thread_wait(atomic_int *flag)
{
    int64_t deadline = clock_mono_ms() + CLIENT_PATIENCE_S * 1000;
    while (!*flag) {
        assert_true(clock_mono_ms() < deadline);
        usleep(1000);
    }
    *flag = 0;
}

struct loop_call {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

static inline void loop_call_run(void *arg)
{
    struct loop_call *c = arg;
    c->fn(c->arg);
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_signal(&c->done_cond);
    pthread_mutex_unlock(&c->lock);
}

/* Runs fn(arg) on the loop's thread and waits until it has. */
static inline void loop_thread_call(struct loop_thread *t, void (*fn)(void *arg), void *arg)
{
    struct loop_call c = {.fn = fn,
                          .arg = arg,
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .done_cond = PTHREAD_COND_INITIALIZER};
    loop_post(t->loop, loop_call_run, &c);
    pthread_mutex_lock(&c.lock);
    while (!c.done) {
        pthread_cond_wait(&c.done_cond, &c.lock);
    }
    pthread_mutex_unlock(&c.lock);
}

#endif
