/* Keys and X.509. */
#include "cert/pki.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

/* X.509's upper bound of a common name. */
enum { COMMON_NAME_MAX = 64 };

static int ssl_error(struct err *e, const char *what)
{
    char text[256] = "out of memory";
    unsigned long code = ERR_get_error();
    if (code) {
        ERR_error_string_n(code, text, sizeof(text));
    }
    ERR_clear_error();
    return err_set(e, "%s: %s", what, text);
}

EVP_PKEY *pki_new_key(enum cert_key type, int bits, struct err *e)
{
    EVP_PKEY *key = type == CERT_KEY_RSA ? EVP_RSA_gen((unsigned)bits) : EVP_EC_gen("P-256");
    if (!key) {
        ssl_error(e, "generating a key");
    }
    return key;
}

/* --- PEM --- */

static void bio_free_auto(BIO **b)
{
    BIO_free_all(*b);
}

static struct blob *bio_blob(BIO *bio, bool secret)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    if (len <= 0) {
        return NULL;
    }
    return secret ? blob_new_secret(data, (size_t)len) : blob_new(data, (size_t)len);
}

/* PKCS#8 (RFC 5208) of a P-256 key (RFC 5915) with its public half, but for the two numbers. */
static const unsigned char p256_head[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06,
                                          0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                          0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
                                          0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const unsigned char p256_middle[] = {0xa1, 0x44, 0x03, 0x42, 0x00};
enum { P256_BYTES = 32, P256_POINT_BYTES = 1 + 2 * P256_BYTES };

/* OpenSSL looks for an encoder anew for each key, which takes longer than making the key. */
static bool write_p256(BIO *bio, EVP_PKEY *key)
{
    unsigned char der[sizeof(p256_head) + P256_BYTES + sizeof(p256_middle) + P256_POINT_BYTES];
    unsigned char *at = der, *point = NULL;
    BIGNUM *secret = NULL;
    size_t len = EVP_PKEY_get1_encoded_public_key(key, &point);
    bool done = len == P256_POINT_BYTES && point[0] == 0x04 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret);
    if (done) {
        at = (unsigned char *)memcpy(at, p256_head, sizeof(p256_head)) + sizeof(p256_head);
        done = BN_bn2binpad(secret, at, P256_BYTES) == P256_BYTES;
        at = (unsigned char *)memcpy(at + P256_BYTES, p256_middle, sizeof(p256_middle)) +
             sizeof(p256_middle);
        memcpy(at, point, P256_POINT_BYTES);
        done = done && PEM_write_bio(bio, PEM_STRING_PKCS8INF, "", der, sizeof(der)) > 0;
    }
    OPENSSL_cleanse(der, sizeof(der));
    BN_clear_free(secret);
    OPENSSL_free(point);
    return done;
}

static bool is_p256(EVP_PKEY *key)
{
    char curve[32];
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) &&
           strcmp(curve, SN_X9_62_prime256v1) == 0;
}

struct blob *pki_key_pem(EVP_PKEY *key, struct err *e)
{
    /* Memory of this kind is zeroed when it is freed. */
    AUTO(bio_free) BIO *bio = BIO_new(BIO_s_secmem());
    bool done =
        bio && (is_p256(key) ? write_p256(bio, key)
                             : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    if (!done) {
        ssl_error(e, "writing a key");
        return NULL;
    }
    return bio_blob(bio, true);
}

struct blob *pki_cert_pem(X509 *cert, struct err *e)
{
    AUTO(bio_free) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || !PEM_write_bio_X509(bio, cert)) {
        ssl_error(e, "writing a certificate");
        return NULL;
    }
    return bio_blob(bio, false);
}

/* Without it OpenSSL would ask the terminal for the password of an encrypted key. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    return -1;
}

EVP_PKEY *pki_read_key(struct str pem, struct err *e)
{
    AUTO(bio_free) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    if (!key) {
        ssl_error(e, "expected an unencrypted private key in PEM");
    }
    return key;
}

X509 *pki_read_cert(struct str pem, struct err *e)
{
    AUTO(bio_free) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    if (!cert) {
        ssl_error(e, "expected a certificate in PEM");
    }
    return cert;
}

int pki_read_certs(struct str pem, size_t max, X509 **ret, size_t *ret_n, struct err *e)
{
    AUTO(bio_free) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    size_t n = 0;
    X509 *cert = NULL;
    while (n < max && (cert = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL)) {
        ret[n++] = cert;
    }
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (n > 0 && n < max && ended) {
        ERR_clear_error();
        *ret_n = n;
        return 0;
    }
    if (n == max) {
        err_set(e, "expected fewer than %zu certificates", max);
    } else {
        ssl_error(e, "expected a certificate in PEM");
    }
    while (n > 0) {
        X509_free(ret[--n]);
    }
    return -1;
}

/* --- signing --- */

static bool add_name(X509_NAME *name, const char *field, struct str value)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value.ptr,
                                      (int)value.len, -1, 0);
}

/* 128 random bits: nobody may guess the next one. */
static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return false;
    }
    bytes[0] &= 0x7f; /* serial numbers are positive */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return done;
}

static bool set_time(ASN1_TIME *time, int64_t wall_s)
{
    return ASN1_TIME_adj(time, (time_t)wall_s, 0, 0) != NULL;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool done = x && X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
    return done;
}

static bool add_general_name(GENERAL_NAMES *names, int type, struct str text)
{
    if (text.len == 0) {
        return true;
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    if (!name || !s || !ASN1_STRING_set(s, text.ptr, (int)text.len)) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, s);
    return sk_GENERAL_NAME_push(names, name) > 0;
}

/* Built as values and not from text, in which a comma in a name would start another name. */
static bool add_alternative_names(X509 *cert, const struct pki_subject *subject)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool done = names != NULL;
    for (size_t i = 0; done && i < subject->n_dns; i++) {
        done = add_general_name(names, GEN_DNS, subject->dns[i]);
    }
    done = done && add_general_name(names, GEN_URI, subject->uri) &&
           X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return done;
}

/* X509_set_pubkey writes a key out and reads it in again, which for EC takes ten times as long as
 * all else of a certificate but its signature. */
static bool set_public_key(X509 *cert, EVP_PKEY *key)
{
    unsigned char *point = NULL;
    if (!is_p256(key)) {
        return X509_set_pubkey(cert, key);
    }
    size_t len = EVP_PKEY_get1_encoded_public_key(key, &point);
    if (len == 0 || !X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(cert),
                                            OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                                            OBJ_nid2obj(NID_X9_62_prime256v1), point, (int)len)) {
        OPENSSL_free(point);
        return false;
    }
    return true;
}

static X509 *new_cert(EVP_PKEY *key, int64_t now, int64_t validity_s)
{
    X509 *cert = X509_new();
    if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
        set_time(X509_getm_notBefore(cert), now - PKI_BACKDATE_S) &&
        set_time(X509_getm_notAfter(cert), now + validity_s) && set_public_key(cert, key)) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

static const struct str organization = {"Open Service Mesh", 17};

X509 *pki_sign_leaf(const struct pki_subject *subject, EVP_PKEY *key, X509 *issuer,
                    EVP_PKEY *issuer_key, int64_t now, int64_t validity_s, struct err *e)
{
    AUTO(x509_free) X509 *cert = new_cert(key, now, validity_s);
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    struct str cn = subject->common_name;
    bool done =
        cert && add_name(name, "O", organization) &&
        (cn.len == 0 || cn.len > COMMON_NAME_MAX || add_name(name, "CN", cn)) &&
        X509_set_issuer_name(cert, X509_get_subject_name(issuer)) &&
        add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, issuer, NID_key_usage,
                      EVP_PKEY_is_a(key, "RSA") ? "critical,digitalSignature,keyEncipherment"
                                                : "critical,digitalSignature") &&
        add_extension(cert, issuer, NID_ext_key_usage,
                      subject->only_client ? "clientAuth" : "serverAuth,clientAuth") &&
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
        add_alternative_names(cert, subject) && X509_sign(cert, issuer_key, EVP_sha256());
    if (!done) {
        ssl_error(e, "making a certificate");
        return NULL;
    }
    return TAKE(cert);
}

X509 *pki_new_root(EVP_PKEY *key, int64_t now, int64_t validity_s, struct err *e)
{
    AUTO(x509_free) X509 *cert = new_cert(key, now, validity_s);
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    bool done = cert && add_name(name, "C", STR("US")) && add_name(name, "L", STR("CA")) &&
                add_name(name, "O", organization) &&
                add_name(name, "CN", STR("osm-ca.openservicemesh.io")) &&
                X509_set_issuer_name(cert, name) &&
                add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
                add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
                X509_sign(cert, key, EVP_sha256());
    if (!done) {
        ssl_error(e, "making a root certificate");
        return NULL;
    }
    return TAKE(cert);
}

/* --- reading --- */

struct blob *pki_id(X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ASSERT(X509_digest(cert, EVP_sha256(), digest, &len) && len >= 16);
    char text[33];
    for (int i = 0; i < 16; i++) {
        static const char hex[] = "0123456789abcdef";
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    return blob_new(text, 32);
}

static int64_t to_wall(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

int64_t pki_not_before(const X509 *cert)
{
    return to_wall(X509_get0_notBefore(cert));
}

int64_t pki_not_after(const X509 *cert)
{
    return to_wall(X509_get0_notAfter(cert));
}
