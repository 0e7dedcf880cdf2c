/* Keys and X.509, on OpenSSL. Within src/cert only. */
#ifndef OSM_CERT_PKI_H
#define OSM_CERT_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cert/cert.h"

static inline __attribute__((unused)) void pkey_free_auto(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static inline __attribute__((unused)) void x509_free_auto(X509 **p)
{
    X509_free(*p);
}

/* A certificate lives from this many seconds before it is made, for clocks that lag. */
enum { PKI_BACKDATE_S = 60 };

EVP_PKEY *pki_new_key(enum cert_key type, int bits, struct err *e);
/* PEM. Keys are PKCS#8, in secret blobs. */
struct blob *pki_key_pem(EVP_PKEY *key, struct err *e);
struct blob *pki_cert_pem(X509 *cert, struct err *e);
/* NULL and e when it isn't one. */
EVP_PKEY *pki_read_key(struct str pem, struct err *e);
X509 *pki_read_cert(struct str pem, struct err *e);
/* All certificates of a text, at least one and at most max. On an error what was read is freed. */
int pki_read_certs(struct str pem, size_t max, X509 **ret, size_t *ret_n, struct err *e);

struct pki_subject {
    struct str common_name; /* left out when it is over X.509's 64 bytes: the names below say all */
    const struct str *dns;  /* subject alternative names, with uri */
    size_t n_dns;
    struct str uri;   /* empty: none */
    bool only_client; /* not for servers */
};
/* Signed by issuer's key, for servers and clients. */
X509 *pki_sign_leaf(const struct pki_subject *subject, EVP_PKEY *key, X509 *issuer,
                    EVP_PKEY *issuer_key, int64_t now, int64_t validity_s, struct err *e);
X509 *pki_new_root(EVP_PKEY *key, int64_t now, int64_t validity_s, struct err *e);

/* Hex of the first 16 bytes of SHA-256 over the DER. */
struct blob *pki_id(X509 *cert);
int64_t pki_not_before(const X509 *cert);
int64_t pki_not_after(const X509 *cert);

#endif
