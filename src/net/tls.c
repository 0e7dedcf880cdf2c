/* TLS on OpenSSL. */
#include "net/tls_internal.h"

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
    OSSL_LIB_CTX *library; /* of handshakes; NULL: OpenSSL's default */
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

/* What keeps ten thousand connections small and cheap: buffers given back when idle, session
 * tickets only where they are asked for (OpenSSL's two cost 41% of a handshake), X25519 first, and
 * no search for a chain in each handshake (5%): the chain is as it was given. */
static void tune(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
}

static void only_mutual(SSL_CTX *ctx, bool http1)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ctx, 4);
    if (!http1) {
        SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
    }
}

/* A session holds the client's certificate as it was verified then; whether it has expired since is
 * looked at now. Who can't resume shakes hands in full, with the certificate of today. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    X509 *cert = SSL_SESSION_get0_peer(session);
    bool alive = cert && X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
    return alive ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
}

/* One ticket a connection, that names the roots which its session was verified by. */
static void resume_sessions(SSL_CTX *ctx, const struct tls_server_options *o)
{
    unsigned char roots[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ASSERT(o->ticket_keys.len == TLS_TICKET_KEYS);
    ASSERT(EVP_Digest(o->client_ca_pem.ptr, o->client_ca_pem.len, roots, &len, EVP_sha256(), NULL));
    SSL_CTX_set_session_id_context(ctx, roots, SSL_MAX_SID_CTX_LENGTH);
    SSL_CTX_set_tlsext_ticket_keys(ctx, (void *)o->ticket_keys.ptr, TLS_TICKET_KEYS);
    SSL_CTX_set_session_ticket_cb(ctx, NULL, on_ticket, NULL);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 1);
}

int tls_server_new(const struct tls_server_options *o, struct tls_server **ret, struct err *e)
{
    struct tls_server *t = NEW(struct tls_server);
    ref_init(&t->ref);
    bool mutual = o->client_ca_pem.len > 0;
    t->library = mutual ? tls_library() : NULL;
    t->ctx = SSL_CTX_new_ex(t->library, NULL, TLS_server_method());
    ASSERT(t->ctx);
    tune(t->ctx);
    if (mutual) {
        only_mutual(t->ctx, o->http1);
    }
    if (mutual && o->ticket_keys.len > 0) {
        resume_sessions(t->ctx, o);
    }
    if (load_chain(t->ctx, o->chain_pem, e) < 0 || load_key(t->ctx, o->key_pem, e) < 0 ||
        (mutual && load_roots(t->ctx, o->client_ca_pem, e) < 0)) {
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

SSL *tls_server_ssl(struct tls_server *t)
{
    SSL *ssl = SSL_new(t->ctx);
    ASSERT(ssl);
    return ssl;
}

struct tls_conn *tls_conn_new(struct tls_server *t, int fd)
{
    struct tls_conn *c = NEW(struct tls_conn);
    c->server = tls_server_ref(t);
    c->ssl = tls_server_ssl(t);
    ASSERT(SSL_set_fd(c->ssl, fd) == 1);
    SSL_set_accept_state(c->ssl);
    /* Head and body of a record come by one read. */
    SSL_set_read_ahead(c->ssl, 1);
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

/* Longer ones are none of ours. */
enum { COMMON_NAME_MAX = 127, URI_MAX = 511 };

/* One with a NUL inside isn't what it looks like. */
static struct str text_of(const ASN1_STRING *s, size_t max)
{
    struct str text = {(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
    bool good = text.len > 0 && text.len <= max && !memchr(text.ptr, '\0', text.len);
    return good ? text : (struct str){0};
}

static struct str common_name_of(X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? (struct str){0}
                  : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)),
                            COMMON_NAME_MAX);
}

/* A view into names. */
static struct str uri_of(const GENERAL_NAMES *names)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI) {
            return text_of(n->d.uniformResourceIdentifier, URI_MAX);
        }
    }
    return (struct str){0};
}

static struct tls_peer *peer_new(X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    struct str name = common_name_of(cert), uri = uri_of(names);
    struct tls_peer *p = mem_zalloc(sizeof(*p) + name.len + uri.len + 2);
    memcpy(p->text, name.len > 0 ? name.ptr : "", name.len);
    memcpy(p->text + name.len + 1, uri.len > 0 ? uri.ptr : "", uri.len);
    p->common_name = p->text;
    p->uri = p->text + name.len + 1;
    GENERAL_NAMES_free(names);
    return p;
}

enum tls_result tls_handshake(struct tls_conn *c, struct tls_peer **ret, struct err *e)
{
    ERR_clear_error();
    /* Certificates in tickets are decoded with the thread's context, whatever the connection's. */
    OSSL_LIB_CTX *before = OSSL_LIB_CTX_set0_default(c->server->library);
    int n = SSL_do_handshake(c->ssl);
    OSSL_LIB_CTX_set0_default(before);
    if (n != 1) {
        return result_of(c, n, "TLS handshake", e);
    }
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    if (!cert || SSL_get_verify_result(c->ssl) != X509_V_OK) {
        err_set(e, "TLS handshake: no verified client certificate");
        return TLS_FAILED;
    }
    *ret = peer_new(cert);
    ERR_clear_error();
    return TLS_OK;
}

enum tls_result tls_read(struct tls_conn *c, void *buf, size_t size, size_t *n, struct err *e)
{
    ERR_clear_error();
    int got = SSL_read_ex(c->ssl, buf, size, n);
    return got == 1 ? TLS_OK : result_of(c, got, "TLS read", e);
}

bool tls_pending(const struct tls_conn *c)
{
    return SSL_has_pending(c->ssl);
}

enum tls_result tls_write(struct tls_conn *c, const void *buf, size_t size, size_t *n,
                          struct err *e)
{
    ERR_clear_error();
    int put = SSL_write_ex(c->ssl, buf, size, n);
    return put == 1 ? TLS_OK : result_of(c, put, "TLS write", e);
}
