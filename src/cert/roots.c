/* The roots of an issuer: which sign, which are trusted, and how that changes. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "cert/issuer_internal.h"

void root_done(struct root *r)
{
    X509_free(r->cert);
    EVP_PKEY_free(r->key);
    blob_unref(r->id);
    blob_unref(r->pem);
}

int issuer_add_root(struct issuer *i, X509 *cert, EVP_PKEY *key, struct err *e)
{
    struct root r = {cert, key, pki_id(cert), pki_cert_pem(cert, e)};
    if (!r.pem) {
        root_done(&r);
        return -1;
    }
    VEC_PUSH(i->roots, r);
    return 0;
}

static struct root *find_root(struct issuer *i, struct str id)
{
    VEC_EACH(i->roots, r) {
        if (str_eq(blob_str(r->id), id)) {
            return r;
        }
    }
    return NULL;
}

int issuer_trust(struct issuer *i, struct str ca_pem, struct str key_pem, struct err *e)
{
    AUTO(x509_free) X509 *cert = pki_read_cert(ca_pem, e);
    if (!cert) {
        return err_wrap(e, "the root to trust");
    }
    AUTO(pkey_free) EVP_PKEY *key = NULL;
    if (key_pem.len > 0 && !(key = pki_read_key(key_pem, e))) {
        return err_wrap(e, "the key of the root to trust");
    }
    if (X509_check_ca(cert) != 1 || (key && X509_check_private_key(cert, key) != 1)) {
        return err_set(e, "the root to trust: expected a root certificate%s",
                       key ? " and its own key" : "");
    }
    AUTO(blob_unref) struct blob *id = pki_id(cert);
    struct root *known = find_root(i, blob_str(id));
    if (known) {
        if (!known->key) {
            known->key = TAKE(key);
        }
        return 0;
    }
    return issuer_add_root(i, TAKE(cert), TAKE(key), e);
}

int issuer_sign_with(struct issuer *i, struct str id, struct err *e)
{
    struct root *r = find_root(i, id);
    if (!r || !r->key) {
        return err_set(e, "root %.*s can't sign: %s", STR_ARG(id),
                       r ? "its key isn't known" : "it isn't trusted yet");
    }
    struct root first = i->roots.at[0];
    i->roots.at[0] = *r;
    *r = first;
    return 0;
}

int issuer_distrust(struct issuer *i, struct str id, struct err *e)
{
    struct root *r = find_root(i, id);
    if (!r) {
        return 0;
    }
    size_t at = (size_t)(r - i->roots.at);
    if (at == 0) {
        return err_set(e, "root %.*s signs: let another sign before", STR_ARG(id));
    }
    root_done(r);
    VEC_REMOVE(i->roots, at);
    return 0;
}

/* --- following others' roots --- */

static bool trusts(const struct issuer *i, const struct root *r)
{
    return find_root((struct issuer *)i, blob_str(r->id)) != NULL;
}

/* A second handle on what another issuer holds. */
static void share_root(struct issuer *i, const struct root *r)
{
    struct root mine = {r->cert, r->key, blob_ref(r->id), blob_ref(r->pem)};
    ASSERT(X509_up_ref(r->cert) && (!r->key || EVP_PKEY_up_ref(r->key)));
    VEC_PUSH(i->roots, mine);
}

bool issuer_trust_as(struct issuer *i, const struct issuer *target)
{
    bool changed = false;
    VEC_EACH(target->roots, r) {
        struct root *known = find_root(i, blob_str(r->id));
        if (!known) {
            share_root(i, r);
            changed = true;
        } else if (!known->key && r->key) {
            ASSERT(EVP_PKEY_up_ref(r->key));
            known->key = r->key;
        }
    }
    return changed;
}

bool issuer_sign_as(struct issuer *i, const struct issuer *target)
{
    struct err e = ERR_INIT;
    if (str_eq(issuer_id(i), issuer_id(target))) {
        return false;
    }
    issuer_trust_as(i, target);
    ASSERT(issuer_sign_with(i, issuer_id(target), &e) == 0);
    return true;
}

bool issuer_distrust_as(struct issuer *i, const struct issuer *target)
{
    bool changed = false;
    for (size_t k = i->roots.len; k-- > 1;) {
        if (!trusts(target, &i->roots.at[k])) {
            root_done(&i->roots.at[k]);
            VEC_REMOVE(i->roots, k);
            changed = true;
        }
    }
    return changed;
}

struct str issuer_id(const struct issuer *i)
{
    return blob_str(i->roots.at[0].id);
}

int64_t issuer_expires(const struct issuer *i)
{
    return pki_not_after(i->roots.at[0].cert);
}

/* HKDF (RFC 5869) of the key's encoding; a root whose key isn't here has none, so chance decides.
 */
void issuer_secret(const struct issuer *i, const char *purpose, void *out, size_t len)
{
    EVP_PKEY *root = i->roots.at[0].key;
    unsigned char *der = NULL;
    int der_len = root ? i2d_PrivateKey(root, &der) : 0;
    if (der_len <= 0) {
        ASSERT(RAND_bytes(out, (int)len) == 1);
        return;
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, der, (size_t)der_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)purpose, strlen(purpose)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    ASSERT(ctx && EVP_KDF_derive(ctx, out, len, params) == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    OPENSSL_clear_free(der, (size_t)der_len);
}

static int by_id(const void *a, const void *b)
{
    const struct root *const *x = a, *const *y = b;
    return str_cmp(blob_str((*x)->id), blob_str((*y)->id));
}

/* In an order of their own: which of them signs is no news for who trusts them all. */
struct blob *issuer_roots(struct issuer *i)
{
    if (i->roots.len == 1) {
        return blob_ref(i->roots.at[0].pem);
    }
    AUTO(free) const struct root **sorted = mem_array(NULL, i->roots.len, sizeof(*sorted));
    size_t len = 0;
    for (size_t k = 0; k < i->roots.len; k++) {
        sorted[k] = &i->roots.at[k];
        len += sorted[k]->pem->len;
    }
    qsort(sorted, i->roots.len, sizeof(*sorted), by_id);
    AUTO(free) char *all = mem_alloc(len);
    char *end = all;
    for (size_t k = 0; k < i->roots.len; k++) {
        memcpy(end, sorted[k]->pem->data, sorted[k]->pem->len);
        end += sorted[k]->pem->len;
    }
    return blob_new(all, len);
}
