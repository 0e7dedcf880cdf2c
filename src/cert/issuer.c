/* The built-in issuer: roots, of which one signs and all are trusted. */
#include <string.h>

#include <openssl/x509v3.h>

#include "base/vec.h"
#include "cert/bundle.h"

#define YEAR_S (365LL * 24 * 3600)
/* Roots and the certificates of our own servers and sidecars' bootstraps (as in Open Service Mesh).
 */
#define ROOT_VALIDITY_S (10 * YEAR_S)
#define INTERNAL_VALIDITY_S (10 * YEAR_S)
/* Renewal: the rest of the life at which it is due, and the spread (as in Open Service Mesh). */
enum { RENEW_FLOOR_S = 300, RENEW_SPREAD_S = 5 };

struct root {
    X509 *cert;
    EVP_PKEY *key; /* NULL: only trusted */
    struct blob *id, *pem;
};

struct issuer {
    char *trust_domain;
    enum cert_key key;
    int key_bits;
    VEC(struct root) roots; /* the signing one is first */
};

struct cert *cert_ref(struct cert *c)
{
    if (c) {
        ref_get(&c->ref);
    }
    return c;
}

struct cert *cert_unref(struct cert *c)
{
    if (c && ref_put(&c->ref)) {
        blob_unref(c->chain);
        blob_unref(c->private_key);
        blob_unref(c->ca);
        blob_unref(c->issuer_id);
        free(c);
    }
    return NULL;
}

static void root_done(struct root *r)
{
    X509_free(r->cert);
    EVP_PKEY_free(r->key);
    blob_unref(r->id);
    blob_unref(r->pem);
}

/* Takes cert and key over. */
static int add_root(struct issuer *i, X509 *cert, EVP_PKEY *key, struct err *e)
{
    struct root r = {cert, key, pki_id(cert), pki_cert_pem(cert, e)};
    if (!r.pem) {
        root_done(&r);
        return -1;
    }
    VEC_PUSH(i->roots, r);
    return 0;
}

static struct issuer *new_issuer(const struct issuer_options *o)
{
    struct issuer *i = NEW(struct issuer);
    i->trust_domain = mem_strdup(o->trust_domain);
    i->key = o->key;
    i->key_bits = o->key_bits;
    return i;
}

static int generate_root(const struct issuer_options *o, int64_t now, X509 **ret_cert,
                         EVP_PKEY **ret_key, struct err *e)
{
    AUTO(pkey_free) EVP_PKEY *key = pki_new_key(o->key, o->key_bits, e);
    X509 *cert = key ? pki_new_root(key, now, ROOT_VALIDITY_S, e) : NULL;
    if (!cert) {
        return -1;
    }
    *ret_cert = cert;
    *ret_key = TAKE(key);
    return 0;
}

static int from_root(const struct issuer_options *o, X509 *cert, EVP_PKEY *key, struct issuer **ret,
                     struct err *e)
{
    struct issuer *i = new_issuer(o);
    if (add_root(i, cert, key, e) < 0) {
        issuer_free(i);
        return -1;
    }
    *ret = i;
    return 0;
}

int issuer_new(const struct issuer_options *o, int64_t now, struct issuer **ret, struct err *e)
{
    X509 *cert;
    EVP_PKEY *key;
    return generate_root(o, now, &cert, &key, e) < 0 ? -1 : from_root(o, cert, key, ret, e);
}

static int check_life(const char *path, const X509 *cert, int64_t now, struct err *e)
{
    if (pki_not_after(cert) <= now) {
        return err_set(e,
                       "%s: the root certificate has expired: move the file away for a new root; "
                       "every sidecar must then start anew",
                       path);
    }
    if (X509_check_ca((X509 *)cert) != 1) {
        return err_set(e, "%s: the certificate in ca.crt is no root: it may not sign others", path);
    }
    return 0;
}

int issuer_load_or_create(const char *path, const struct issuer_options *o, int64_t now,
                          struct issuer **ret, struct err *e)
{
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    int found = bundle_read(path, &cert, &key, e);
    if (found == 0) {
        if (generate_root(o, now, &cert, &key, e) < 0) {
            return -1;
        }
        int made = bundle_create(path, cert, key, e);
        if (made == 0) {
            X509_free(cert);
            EVP_PKEY_free(key);
            cert = NULL;
            key = NULL;
            made = bundle_read(path, &cert, &key, e);
        }
        found = made;
    }
    if (found == 0) {
        return err_set(e, "%s: another process removed the file while it was read", path);
    }
    if (found < 0 || check_life(path, cert, now, e) < 0) {
        X509_free(cert);
        EVP_PKEY_free(key);
        return -1;
    }
    return from_root(o, cert, key, ret, e);
}

void issuer_free(struct issuer *i)
{
    if (!i) {
        return;
    }
    VEC_EACH(i->roots, r) {
        root_done(r);
    }
    VEC_DONE(i->roots);
    free(i->trust_domain);
    free(i);
}

void issuer_set_key(struct issuer *i, enum cert_key key, int key_bits)
{
    i->key = key;
    i->key_bits = key_bits;
}

/* --- rotation --- */

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
    return add_root(i, TAKE(cert), TAKE(key), e);
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

struct str issuer_id(const struct issuer *i)
{
    return blob_str(i->roots.at[0].id);
}

struct blob *issuer_roots(struct issuer *i)
{
    if (i->roots.len == 1) {
        return blob_ref(i->roots.at[0].pem);
    }
    size_t len = 0;
    VEC_EACH(i->roots, r) {
        len += r->pem->len;
    }
    AUTO(free) char *all = mem_alloc(len);
    char *end = all;
    VEC_EACH(i->roots, r) {
        memcpy(end, r->pem->data, r->pem->len);
        end += r->pem->len;
    }
    return blob_new(all, len);
}

/* --- issuing --- */

static int issue(struct issuer *i, const struct pki_subject *subject, int64_t now,
                 int64_t validity_s, struct cert **ret, struct err *e)
{
    const struct root *root = &i->roots.at[0];
    int64_t rest = pki_not_after(root->cert) - now;
    AUTO(pkey_free) EVP_PKEY *key = pki_new_key(i->key, i->key_bits, e);
    if (!key) {
        return -1;
    }
    /* Nothing outlives its root: peers would refuse it. */
    AUTO(x509_free)
    X509 *x = pki_sign_leaf(subject, key, root->cert, root->key, now,
                            validity_s < rest ? validity_s : rest, e);
    struct blob *chain = x ? pki_cert_pem(x, e) : NULL;
    struct blob *key_pem = chain ? pki_key_pem(key, e) : NULL;
    if (!key_pem) {
        blob_unref(chain);
        return -1;
    }
    struct cert *c = NEW(struct cert);
    ref_init(&c->ref);
    c->chain = chain;
    c->private_key = key_pem;
    c->ca = issuer_roots(i);
    c->not_before = pki_not_before(x);
    c->not_after = pki_not_after(x);
    c->issuer_id = blob_ref(root->id);
    *ret = c;
    return 0;
}

static int issue_named(struct issuer *i, char *dns, char *uri, int64_t now, int64_t validity_s,
                       struct cert **ret, struct err *e)
{
    struct pki_subject subject = {str_of(dns), str_of(dns), str_of(uri)};
    int result = issue(i, &subject, now, validity_s, ret, e);
    if (result < 0) {
        err_wrap(e, "%s", dns);
    }
    free(dns);
    free(uri);
    return result;
}

int issuer_issue_service(struct issuer *i, struct identity id, int64_t now, int64_t validity_s,
                         struct cert **ret, struct err *e)
{
    return issue_named(i,
                       mem_printf("%.*s.%.*s.%s", STR_ARG(id.service_account),
                                  STR_ARG(id.namespace), i->trust_domain),
                       mem_printf("spiffe://%s/%.*s/%.*s", i->trust_domain,
                                  STR_ARG(id.service_account), STR_ARG(id.namespace)),
                       now, validity_s, ret, e);
}

int issuer_issue_proxy(struct issuer *i, struct str uuid, struct identity id, int64_t now,
                       struct cert **ret, struct err *e)
{
    return issue_named(
        i,
        mem_printf("%.*s.sidecar.%.*s.%.*s.%s", STR_ARG(uuid), STR_ARG(id.service_account),
                   STR_ARG(id.namespace), i->trust_domain),
        mem_printf("spiffe://%s/%.*s/sidecar/%.*s/%.*s", i->trust_domain, STR_ARG(uuid),
                   STR_ARG(id.service_account), STR_ARG(id.namespace)),
        now, INTERNAL_VALIDITY_S, ret, e);
}

int issuer_issue_server(struct issuer *i, struct str cn, int64_t now, struct cert **ret,
                        struct err *e)
{
    return issue_named(i, mem_memdup(cn.ptr, cn.len), NULL, now, INTERNAL_VALIDITY_S, ret, e);
}

/* --- renewal --- */

int64_t cert_due_at(const struct cert *c)
{
    int64_t third = (c->not_after - c->not_before - PKI_BACKDATE_S) / 3;
    int64_t spread = (int64_t)(c->chain->hash % RENEW_SPREAD_S);
    return c->not_after - (third > RENEW_FLOOR_S ? third : RENEW_FLOOR_S) - spread;
}

bool cert_due(const struct cert *c, const struct issuer *i, int64_t now)
{
    return now >= cert_due_at(c) || now < c->not_before ||
           !str_eq(blob_str(c->issuer_id), issuer_id(i));
}
