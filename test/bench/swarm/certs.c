/* Certificates of the swarm, and a look at those that it is sent. */
#include "certs.h"

#include <openssl/err.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "net/tls_internal.h"
#include "wire.h"
#include "world.h"

static const struct issuer_options options = {
    .trust_domain = "cluster.local", .key = CERT_KEY_ECDSA_P256, .key_bits = 2048};
static struct issuer *issuer;
static struct map checked; /* hash of a secret -> its common name, "" when it is none */

void certs_open(const char *ca_file)
{
    struct err e = ERR_INIT;
    if (issuer_load_or_create(ca_file, &options, clock_wall_s(), &issuer, &e) < 0) {
        fprintf(stderr, "error: %s\n", e.text);
        exit(1);
    }
}

struct issuer *certs_issuer(void)
{
    return issuer;
}

/* --- another root --- */

static struct issuer *next; /* signs with the root to come */
static char *old_root;      /* its id */

/* The file at once, whole, as whoever rotates a root writes it. */
static void write_root(const char *ca_file, const struct issuer *i)
{
    struct err e = ERR_INIT;
    AUTO(arena_free) struct arena *a = arena_new(8192);
    struct value *doc = value_new(a, VALUE_OBJECT), *data = issuer_secret_data(a, i, &e);
    ASSERT(data);
    value_set(a, doc, "data", data);
    struct buf b;
    buf_init(&b, 64u << 10);
    value_write_yaml(doc, &b);
    AUTO(free) char *temporary = mem_printf("%s.next", ca_file);
    AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(fd >= 0 && write(fd, b.data, b.len) == (ssize_t)b.len);
    ASSERT(rename(temporary, ca_file) == 0);
    buf_done(&b);
}

void certs_rotate(const char *ca_file)
{
    struct err e = ERR_INIT;
    issuer_free(next);
    ASSERT(issuer_new(&options, clock_wall_s(), &next, &e) == 0);
    issuer_trust_as(next, issuer);
    struct str id = issuer_id(issuer);
    free(old_root);
    old_root = mem_memdup(id.ptr, id.len);
    write_root(ca_file, next);
    issuer_trust_as(issuer, next);
}

void certs_rotate_sign(void)
{
    issuer_sign_as(issuer, next);
}

void certs_rotate_end(const char *ca_file)
{
    struct err e = ERR_INIT;
    ASSERT(issuer_distrust(next, str_of(old_root), &e) == 0);
    write_root(ca_file, next);
    issuer_distrust_as(issuer, next);
}

static X509 *read_cert(struct str pem)
{
    BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    return cert;
}

static struct credential credential_of(struct cert *c)
{
    BIO *b = BIO_new_mem_buf(c->private_key->data, (int)c->private_key->len);
    struct credential out = {read_cert(blob_str(c->chain)),
                             PEM_read_bio_PrivateKey(b, NULL, NULL, NULL)};
    BIO_free(b);
    cert_unref(c);
    ASSERT(out.cert && out.key);
    return out;
}

struct credential certs_issue(const char *uuid, const char *service_account)
{
    struct err e = ERR_INIT;
    struct cert *c = NULL;
    struct identity id = {STR(WORLD_NAMESPACE), str_of(service_account)};
    ASSERT(issuer_issue_proxy(issuer, str_of(uuid), id, clock_wall_s(), &c, &e) == 0);
    return credential_of(c);
}

void certs_free(struct credential *c)
{
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
    *c = (struct credential){0};
}

void certs_trust_roots(SSL_CTX *ctx)
{
    AUTO(blob_unref) struct blob *roots = issuer_roots(issuer);
    BIO *b = BIO_new_mem_buf(roots->data, (int)roots->len);
    X509 *ca;
    while ((ca = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
        X509_free(ca);
    }
    BIO_free(b);
    ERR_clear_error(); /* the end of the PEM is no error */
}

/* Certificates of a controller whose clock is ahead begin later than now. */
static void ignore_time(SSL_CTX *ctx)
{
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_NO_CHECK_TIME);
}

static SSL_CTX *context(OSSL_LIB_CTX *library, const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(library, NULL, method);
    ASSERT(ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION));
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set1_groups_list(ctx, "X25519");
    certs_trust_roots(ctx);
    ignore_time(ctx);
    return ctx;
}

/* In BoringSSL's order on a processor with AES; the server takes the client's first. */
#define CIPHERS_LIKE_ENVOY                                                                         \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

SSL_CTX *certs_client_context(bool tickets)
{
    SSL_CTX *ctx = context(NULL, TLS_client_method());
    ASSERT(SSL_CTX_set_ciphersuites(ctx, CIPHERS_LIKE_ENVOY) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
    SSL_CTX_set_session_cache_mode(ctx, tickets ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                : SSL_SESS_CACHE_OFF);
    return ctx;
}

static int select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *certs_server_context(void)
{
    struct err e = ERR_INIT;
    struct cert *c = NULL;
    ASSERT(issuer_issue_server(issuer, STR("ads.cluster.local"), clock_wall_s(), &c, &e) == 0);
    struct credential own = credential_of(c);
    SSL_CTX *ctx = context(tls_library(), TLS_server_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
    ASSERT(SSL_CTX_use_certificate(ctx, own.cert) == 1 &&
           SSL_CTX_use_PrivateKey(ctx, own.key) == 1);
    certs_free(&own);
    return ctx;
}

static bool has_key(X509 *cert, struct str pem)
{
    BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    bool ok = key && X509_check_private_key(cert, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(b);
    return ok;
}

/* The common name of what a root of ours signed and whose key is there; "" for all else. */
static char *name_of(struct str secret)
{
    char name[256] = "";
    struct str both = wire_find(secret, 2);                /* tls_certificate */
    struct str pem = wire_find(wire_find(both, 1), 2);     /* certificate_chain.inline_bytes */
    struct str key_pem = wire_find(wire_find(both, 2), 2); /* private_key.inline_bytes */
    X509 *cert = read_cert(pem);
    AUTO(blob_unref) struct blob *roots = issuer_roots(issuer);
    BIO *b = BIO_new_mem_buf(roots->data, (int)roots->len);
    X509 *ca;
    while (cert && (ca = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        if (X509_verify(cert, X509_get0_pubkey(ca)) == 1 && has_key(cert, key_pem)) {
            X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
                                      sizeof(name));
        }
        X509_free(ca);
    }
    BIO_free(b);
    X509_free(cert);
    ERR_clear_error(); /* the end of the PEM is no error */
    return mem_strdup(name);
}

bool certs_check(struct str secret, uint64_t hash, const char *common_name)
{
    struct str key = {(const char *)&hash, sizeof(hash)};
    const char *name = map_find(&checked, key);
    if (!name) {
        char *fresh = name_of(secret);
        map_put(&checked, key, fresh);
        name = fresh;
    }
    return strcmp(name, common_name) == 0;
}
