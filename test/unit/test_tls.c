/* Whom a server with client certificates shakes hands with, and sessions that clients resume: only
 * with the same secret and the same roots, and as long as the client's certificate lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "net/tls.h"

static const char secret[TLS_TICKET_KEYS] = "a secret of the server", other[TLS_TICKET_KEYS] = "b";

struct fixture {
    struct issuer *issuer;
    SSL_SESSION *session; /* the last one that the client was given */
    int version;          /* of the client's TLS; 0: any */
    const char *groups;   /* NULL: any */
};

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct issuer_options o = {.trust_domain = "cluster.local"};
    struct err e = ERR_INIT;
    *state = f;
    return issuer_new(&o, clock_wall_s(), &f->issuer, &e);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    SSL_SESSION_free(f->session);
    issuer_free(f->issuer);
    free(f);
    return 0;
}

static struct tls_server *new_server_for(struct fixture *f, struct str roots, struct str keys)
{
    struct cert *cert = NULL;
    struct tls_server *tls = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(
        issuer_issue_server(f->issuer, STR("ads.cluster.local"), clock_wall_s(), &cert, &e), 0);
    struct tls_server_options o = {.chain_pem = blob_str(cert->chain),
                                   .key_pem = blob_str(cert->private_key),
                                   .client_ca_pem = roots,
                                   .ticket_keys = keys};
    assert_int_equal(tls_server_new(&o, &tls, &e), 0);
    cert_unref(cert);
    return tls;
}

static struct tls_server *new_server(struct fixture *f, struct str keys)
{
    AUTO(blob_unref) struct blob *roots = issuer_roots(f->issuer);
    return new_server_for(f, blob_str(roots), keys);
}

static struct cert *new_client(struct fixture *f, int64_t validity_s)
{
    struct identity id = {STR("shop"), STR("web")};
    struct cert *cert = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(issuer_issue_service(f->issuer, id, clock_wall_s(), validity_s, &cert, &e), 0);
    return cert;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct fixture *f = SSL_get_app_data(ssl);
    SSL_SESSION_free(f->session);
    f->session = session;
    return 1;
}

static SSL *client_ssl(struct fixture *f, const struct cert *cert, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *chain = BIO_new_mem_buf(cert->chain->data, (int)cert->chain->len);
    BIO *key = BIO_new_mem_buf(cert->private_key->data, (int)cert->private_key->len);
    X509 *x = PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    SSL_CTX_use_certificate(ctx, x);
    SSL_CTX_use_PrivateKey(ctx, k);
    SSL_CTX_set_min_proto_version(ctx, f->version);
    SSL_CTX_set_max_proto_version(ctx, f->version);
    assert_true(!f->groups || SSL_CTX_set1_groups_list(ctx, f->groups));
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL *ssl = SSL_new(ctx);
    SSL_set_app_data(ssl, f);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    if (f->session) {
        SSL_set_session(ssl, f->session);
    }
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(chain);
    BIO_free(key);
    SSL_CTX_free(ctx);
    return ssl;
}

enum outcome { FAILED, FULL, RESUMED };

/* Both sides in turn, over a pair of sockets. */
static enum outcome shake(SSL *client, struct tls_conn *server, struct tls_peer **peer)
{
    enum tls_result r = TLS_WANT_READ;
    int done = 0;
    struct err e = ERR_INIT;
    for (int i = 0; i < 20 && (done != 1 || r != TLS_OK); i++) {
        done = done == 1 ? 1 : SSL_do_handshake(client);
        r = r == TLS_OK ? r : tls_handshake(server, peer, &e);
        if (r == TLS_FAILED) {
            return FAILED;
        }
    }
    char byte;
    SSL_read(client, &byte, 1); /* takes the ticket */
    return r != TLS_OK ? FAILED : SSL_session_reused(client) ? RESUMED : FULL;
}

static enum outcome connect_to(struct fixture *f, struct tls_server *server,
                               const struct cert *cert)
{
    int fds[2];
    struct tls_peer *peer = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    SSL *ssl = client_ssl(f, cert, fds[0]);
    struct tls_conn *conn = tls_conn_new(server, fds[1]);
    enum outcome out = shake(ssl, conn, &peer);
    if (out != FAILED) {
        assert_string_equal(peer->common_name, "web.shop.cluster.local");
    }
    free(peer);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    tls_conn_free(conn);
    close(fds[0]);
    close(fds[1]);
    return out;
}

static struct blob *pem_of(BIO *b)
{
    char *bytes;
    long len = BIO_get_mem_data(b, &bytes);
    struct blob *out = blob_new(bytes, (size_t)len);
    BIO_free(b);
    return out;
}

/* A certificate that is its own root. */
static struct cert *self_signed(EVP_PKEY *key, bool digest)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)"web.shop.cluster.local", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, digest ? EVP_sha256() : NULL) > 0);
    BIO *chain = BIO_new(BIO_s_mem()), *secret_key = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, x);
    PEM_write_bio_PrivateKey(secret_key, key, NULL, NULL, 0, NULL, NULL);
    struct cert *cert = NEW(struct cert);
    ref_init(&cert->ref);
    cert->chain = pem_of(chain);
    cert->private_key = pem_of(secret_key);
    X509_free(x);
    EVP_PKEY_free(key);
    return cert;
}

/* Issuers other than ours give other keys. In TLS 1.2 a key's curve must be among the groups. */
static void certificates_of_all_common_keys_are_good(void **state)
{
    struct fixture *f = *state;
    const struct {
        EVP_PKEY *key;
        bool digest;
        int version;
    } rows[] = {
        {EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), true, TLS1_2_VERSION},
        {EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), true, TLS1_3_VERSION},
        {EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), true, TLS1_2_VERSION},
        {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), false, TLS1_2_VERSION},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cert *cert = self_signed(rows[i].key, rows[i].digest);
        struct tls_server *server =
            new_server_for(f, blob_str(cert->chain), (struct str){secret, sizeof(secret)});
        for (f->version = rows[i].version; f->version <= TLS1_3_VERSION; f->version++) {
            assert_int_equal(connect_to(f, server, cert), FULL);
            assert_int_equal(connect_to(f, server, cert), RESUMED);
            SSL_SESSION_free(f->session);
            f->session = NULL;
        }
        tls_server_unref(server);
        cert_unref(cert);
    }
}

static void both_groups_are_good(void **state)
{
    struct fixture *f = *state;
    struct tls_server *server = new_server(f, (struct str){0});
    struct cert *cert = new_client(f, 3600);
    const char *const groups[] = {"X25519", "P-256"};
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        f->groups = groups[i];
        assert_int_equal(connect_to(f, server, cert), FULL);
    }
    tls_server_unref(server);
    cert_unref(cert);
}

static void a_session_is_resumed_also_with_another_server(void **state)
{
    struct fixture *f = *state;
    struct str keys = {secret, sizeof(secret)};
    struct tls_server *first = new_server(f, keys), *second = new_server(f, keys);
    struct cert *cert = new_client(f, 3600);
    assert_int_equal(connect_to(f, first, cert), FULL);
    assert_int_equal(connect_to(f, first, cert), RESUMED);
    assert_int_equal(connect_to(f, second, cert), RESUMED);
    tls_server_unref(first);
    tls_server_unref(second);
    cert_unref(cert);
}

static void not_with_another_secret_nor_without_one(void **state)
{
    struct fixture *f = *state;
    struct tls_server *first = new_server(f, (struct str){secret, sizeof(secret)});
    struct tls_server *second = new_server(f, (struct str){other, sizeof(other)});
    struct tls_server *none = new_server(f, (struct str){0});
    struct cert *cert = new_client(f, 3600);
    assert_int_equal(connect_to(f, first, cert), FULL);
    assert_int_equal(connect_to(f, second, cert), FULL);
    assert_int_equal(connect_to(f, none, cert), FULL);
    assert_int_equal(connect_to(f, none, cert), FULL);
    tls_server_unref(first);
    tls_server_unref(second);
    tls_server_unref(none);
    cert_unref(cert);
}

/* Who was verified by roots that aren't trusted any more is verified anew. */
static void not_when_other_roots_are_trusted(void **state)
{
    struct fixture *f = *state;
    struct issuer_options o = {.trust_domain = "cluster.local"};
    struct issuer *next = NULL;
    struct err e = ERR_INIT;
    struct str keys = {secret, sizeof(secret)};
    struct tls_server *first = new_server(f, keys);
    struct cert *cert = new_client(f, 3600);
    assert_int_equal(issuer_new(&o, clock_wall_s(), &next, &e), 0);
    AUTO(blob_unref) struct blob *roots = issuer_roots(next);
    assert_int_equal(issuer_trust(f->issuer, blob_str(roots), (struct str){0}, &e), 0);
    struct tls_server *second = new_server(f, keys);
    assert_int_equal(connect_to(f, first, cert), FULL);
    assert_int_equal(connect_to(f, second, cert), FULL);
    assert_int_equal(connect_to(f, second, cert), RESUMED);
    issuer_free(next);
    tls_server_unref(first);
    tls_server_unref(second);
    cert_unref(cert);
}

/* The certificate must outlive the first handshake: on a slow machine it gets a longer life. */
static void not_when_the_certificate_has_expired(void **state)
{
    struct fixture *f = *state;
    struct tls_server *server = new_server(f, (struct str){secret, sizeof(secret)});
    struct cert *cert = NULL;
    enum outcome first = FAILED;
    for (int64_t life_s = 2; first == FAILED && life_s < 100; life_s *= 2) {
        cert_unref(cert);
        cert = new_client(f, life_s);
        first = connect_to(f, server, cert);
    }
    assert_int_equal(first, FULL);
    while (clock_wall_s() <= cert->not_after) {
        usleep(50000);
    }
    assert_int_equal(connect_to(f, server, cert), FAILED);
    struct cert *renewed = new_client(f, 3600);
    assert_int_equal(connect_to(f, server, renewed), FULL);
    cert_unref(renewed);
    cert_unref(cert);
    tls_server_unref(server);
}

/* As long as a record's, whichever way it goes. */
static void buffers_of_records_are_kept_when_asked(void **state)
{
    enum { READ = 16384 + 332, WRITE = 16384 + 96, MANY = 16 };
    void *at[MANY];
    tls_keep_buffers(true);
    void *one = OPENSSL_malloc(READ);
    memset(one, 1, READ);
    OPENSSL_free(one);
    void *again = OPENSSL_malloc(WRITE), *another = OPENSSL_malloc(WRITE);
    assert_ptr_equal(again, one);
    assert_ptr_not_equal(another, one);
    OPENSSL_free(again);
    OPENSSL_free(another);
    /* Others aren't, and more than a few go back. */
    void *small = OPENSSL_malloc(100);
    OPENSSL_free(small);
    for (int i = 0; i < MANY; i++) {
        at[i] = OPENSSL_malloc(READ);
        memset(at[i], i, READ);
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(((unsigned char *)at[i])[READ - 1], i);
        OPENSSL_free(at[i]);
    }
    void *grown = OPENSSL_realloc(OPENSSL_malloc(READ), 2 * READ);
    memset(grown, 2, 2 * READ);
    OPENSSL_free(grown);
    assert_null(OPENSSL_malloc(0));
    tls_keep_buffers(false);
}

int main(void)
{
#define WITH_ISSUER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_of_records_are_kept_when_asked),
        WITH_ISSUER(certificates_of_all_common_keys_are_good),
        WITH_ISSUER(both_groups_are_good),
        WITH_ISSUER(a_session_is_resumed_also_with_another_server),
        WITH_ISSUER(not_with_another_secret_nor_without_one),
        WITH_ISSUER(not_when_other_roots_are_trusted),
        WITH_ISSUER(not_when_the_certificate_has_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
