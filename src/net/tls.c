/* TLS on OpenSSL. */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"
#include "base/ref.h"

struct tls_server {
    struct ref ref;
    SSL_CTX *ctx;
};

struct tls_conn {
    struct tls_server *server;
    SSL *ssl;
};

/* The first reason that OpenSSL has, and empties its queue. */
static int ssl_error(struct err *e, const char *what)
{
    unsigned long code = ERR_get_error();
    char reason[256] = "unknown reason";
    if (code) {
        ERR_error_string_n(code, reason, sizeof(reason));
    }
    ERR_clear_error();
    return err_set(e, "%s: %s", what, reason);
}

static BIO *bio_of(struct str s)
{
    BIO *b = BIO_new_mem_buf(s.ptr, (int)s.len);
    ASSERT(b);
    return b;
}

static int load_chain(SSL_CTX *ctx, struct str pem, struct err *e)
{
    BIO *b = bio_of(pem);
    X509 *leaf = PEM_read_bio_X509(b, NULL, NULL, NULL);
    int ok = leaf && SSL_CTX_use_certificate(ctx, leaf) == 1;
    X509 *next;
    while (ok && (next = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        ok = SSL_CTX_add0_chain_cert(ctx, next) == 1;
    }
    ERR_clear_error(); /* the end of the PEM is no error */
    X509_free(leaf);
    BIO_free(b);
    return ok ? 0 : err_set(e, "the server's certificate: expected PEM");
}

static int load_key(SSL_CTX *ctx, struct str pem, struct err *e)
{
    BIO *b = bio_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    int ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(b);
    return ok ? 0 : ssl_error(e, "the server's private key");
}

static int load_roots(SSL_CTX *ctx, struct str pem, struct err *e)
{
    BIO *b = bio_of(pem);
    X509 *root;
    int n = 0;
    while ((root = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        n += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root) == 1;
        X509_free(root);
    }
    ERR_clear_error();
    BIO_free(b);
    return n > 0 ? 0 : err_set(e, "the roots that sign clients: expected PEM certificates");
}

/* Only HTTP/2: a client that offers no h2 is refused in the handshake. */
static int select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    for (unsigned i = 0; i < in_len; i += in[i] + 1u) {
        if (in[i] == 2 && i + 3 <= in_len && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_len = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* What keeps ten thousand connections small and cheap: buffers given back when idle, no session
 * tickets (two of them cost 41% of a handshake), X25519 first. */
static void tune(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ctx, 4);
    SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
}

int tls_server_new(const struct tls_server_options *o, struct tls_server **ret, struct err *e)
{
    struct tls_server *t = NEW(struct tls_server);
    ref_init(&t->ref);
    t->ctx = SSL_CTX_new(TLS_server_method());
    ASSERT(t->ctx);
    tune(t->ctx);
    if (load_chain(t->ctx, o->chain_pem, e) < 0 || load_key(t->ctx, o->key_pem, e) < 0 ||
        load_roots(t->ctx, o->client_ca_pem, e) < 0) {
        tls_server_unref(t);
        return -1;
    }
    *ret = t;
    return 0;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    if (t) {
        ref_get(&t->ref);
    }
    return t;
}

struct tls_server *tls_server_unref(struct tls_server *t)
{
    if (t && ref_put(&t->ref)) {
        SSL_CTX_free(t->ctx);
        free(t);
    }
    return NULL;
}

struct tls_conn *tls_conn_new(struct tls_server *t, int fd)
{
    struct tls_conn *c = NEW(struct tls_conn);
    c->server = tls_server_ref(t);
    c->ssl = SSL_new(t->ctx);
    ASSERT(c->ssl && SSL_set_fd(c->ssl, fd) == 1);
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_free(struct tls_conn *c)
{
    if (!c) {
        return;
    }
    SSL_free(c->ssl);
    ERR_clear_error();
    tls_server_unref(c->server);
    free(c);
}

static enum tls_result result_of(struct tls_conn *c, int n, const char *what, struct err *e)
{
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0) {
            return TLS_CLOSED; /* reset or cut off: a close that wasn't said */
        }
        break;
    default:
        break;
    }
    ssl_error(e, what);
    return TLS_FAILED;
}

static void copy_name(char *out, size_t size, const char *name, int len)
{
    /* One with a NUL inside isn't what it looks like. */
    if (len > 0 && (size_t)len < size && !memchr(name, '\0', (size_t)len)) {
        memcpy(out, name, (size_t)len);
        out[len] = '\0';
    }
}

static void read_common_name(X509 *cert, struct tls_peer *peer)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return;
    }
    ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    copy_name(peer->common_name, sizeof(peer->common_name), (const char *)ASN1_STRING_get0_data(s),
              ASN1_STRING_length(s));
}

static void read_uri(X509 *cert, struct tls_peer *peer)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI) {
            ASN1_IA5STRING *s = n->d.uniformResourceIdentifier;
            copy_name(peer->uri, sizeof(peer->uri), (const char *)ASN1_STRING_get0_data(s),
                      ASN1_STRING_length(s));
            break;
        }
    }
    GENERAL_NAMES_free(names);
}

enum tls_result tls_handshake(struct tls_conn *c, struct tls_peer *peer, struct err *e)
{
    ERR_clear_error();
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
        return result_of(c, n, "TLS handshake", e);
    }
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    *peer = (struct tls_peer){0};
    if (!cert || SSL_get_verify_result(c->ssl) != X509_V_OK) {
        err_set(e, "TLS handshake: no verified client certificate");
        return TLS_FAILED;
    }
    read_common_name(cert, peer);
    read_uri(cert, peer);
    ERR_clear_error();
    return TLS_OK;
}

enum tls_result tls_read(struct tls_conn *c, void *buf, size_t size, size_t *n, struct err *e)
{
    ERR_clear_error();
    int got = SSL_read_ex(c->ssl, buf, size, n);
    return got == 1 ? TLS_OK : result_of(c, got, "TLS read", e);
}

enum tls_result tls_write(struct tls_conn *c, const void *buf, size_t size, size_t *n,
                          struct err *e)
{
    ERR_clear_error();
    int put = SSL_write_ex(c->ssl, buf, size, n);
    return put == 1 ? TLS_OK : result_of(c, put, "TLS write", e);
}
