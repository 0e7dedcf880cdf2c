/* The built-in issuer: roots, of which one signs and all are trusted. */
#include "base/limits.h"
#include "cert/bundle.h"
#include "cert/issuer_internal.h"

#define YEAR_S (365LL * 24 * 3600)
/* Roots and the certificates of our own servers and sidecars' bootstraps (as in Open Service Mesh).
 */
#define ROOT_VALIDITY_S (10 * YEAR_S)
#define INTERNAL_VALIDITY_S (10 * YEAR_S)
/* Renewal: the rest of the life at which it is due, and the spread (as in Open Service Mesh). */
enum { RENEW_FLOOR_S = 300, RENEW_SPREAD_S = 5 };

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

static struct issuer *new_issuer(const struct issuer_options *o)
{
    struct issuer *i = NEW(struct issuer);
    i->trust_domain = mem_strdup(o->trust_domain);
    i->key = o->key;
    i->key_bits = o->key_bits;
    return i;
}

static int generate_root(const struct issuer_options *o, int64_t now, struct bundle *ret,
                         struct err *e)
{
    AUTO(pkey_free) EVP_PKEY *key = pki_new_key(o->key, o->key_bits, e);
    X509 *cert = key ? pki_new_root(key, now, ROOT_VALIDITY_S, e) : NULL;
    if (!cert) {
        return -1;
    }
    *ret = (struct bundle){.certs = {cert}, .n = 1, .key = TAKE(key)};
    return 0;
}

/* Takes what is in the bundle. */
static int from_bundle(const struct issuer_options *o, struct bundle *b, struct issuer **ret,
                       struct err *e)
{
    struct issuer *i = new_issuer(o);
    int result = 0;
    for (size_t k = 0; result == 0 && k < b->n; k++) {
        result = issuer_add_root(i, TAKE(b->certs[k]), k == 0 ? TAKE(b->key) : NULL, e);
    }
    bundle_done(b);
    if (result < 0) {
        issuer_free(i);
        return -1;
    }
    *ret = i;
    return 0;
}

int issuer_new(const struct issuer_options *o, int64_t now, struct issuer **ret, struct err *e)
{
    struct bundle b;
    return generate_root(o, now, &b, e) < 0 ? -1 : from_bundle(o, &b, ret, e);
}

/* Roots that are only trusted may have expired: they do no harm. */
static int check_life(const char *title, const char *remedy, const struct bundle *b, int64_t now,
                      struct err *e)
{
    if (pki_not_after(b->certs[0]) <= now) {
        return err_set(e, "%s: the root certificate has expired: %s", title, remedy);
    }
    return 0;
}

static int from_file(const char *path, const struct issuer_options *o, struct bundle *b,
                     int64_t now, struct issuer **ret, struct err *e)
{
    if (check_life(path, "move the file away for a new root; every sidecar must then start anew", b,
                   now, e) < 0) {
        bundle_done(b);
        return -1;
    }
    return from_bundle(o, b, ret, e);
}

int issuer_load(const char *path, const struct issuer_options *o, int64_t now, struct issuer **ret,
                struct err *e)
{
    struct bundle b = {0};
    int found = bundle_read(path, &b, e);
    if (found == 0) {
        return err_set(e, "%s: expected a Secret with the mesh's root, found no file", path);
    }
    return found < 0 ? -1 : from_file(path, o, &b, now, ret, e);
}

int issuer_load_or_create(const char *path, const struct issuer_options *o, int64_t now,
                          struct issuer **ret, struct err *e)
{
    struct bundle b = {0};
    int found = bundle_read(path, &b, e);
    if (found == 0) {
        if (generate_root(o, now, &b, e) < 0) {
            return -1;
        }
        int made = bundle_create(path, &b, e);
        if (made == 0) {
            bundle_done(&b);
            made = bundle_read(path, &b, e);
        }
        found = made;
    }
    if (found == 0) {
        return err_set(e, "%s: another process removed the file while it was read", path);
    }
    if (found < 0) {
        bundle_done(&b);
        return -1;
    }
    return from_file(path, o, &b, now, ret, e);
}

int issuer_from_secret(const struct value *secret, const char *title,
                       const struct issuer_options *o, int64_t now, struct issuer **ret,
                       struct err *e)
{
    struct bundle b = {0};
    struct arena *a = arena_new(8192);
    int result = bundle_parse(a, title, secret, &b, e);
    arena_free_secret(a);
    if (result == 0) {
        result = check_life(title,
                            "put a new root there, or delete the Secret for one to be made; every "
                            "pod with a sidecar must then be made anew",
                            &b, now, e);
    }
    if (result < 0) {
        bundle_done(&b);
        return -1;
    }
    return from_bundle(o, &b, ret, e);
}

struct value *issuer_secret_data(struct arena *a, const struct issuer *i, struct err *e)
{
    struct bundle b = {.n = i->roots.len < BUNDLE_ROOTS_MAX ? i->roots.len : BUNDLE_ROOTS_MAX,
                       .key = i->roots.at[0].key};
    for (size_t k = 0; k < b.n; k++) {
        b.certs[k] = i->roots.at[k].cert; /* borrowed */
    }
    return bundle_data(a, &b, e);
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
    struct str name = str_of(dns);
    struct pki_subject subject = {
        .common_name = name, .dns = &name, .n_dns = 1, .uri = str_of(uri)};
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

static bool is_host_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return s.len > 0 && s.len <= LIMIT_NAME_BYTES;
}

/* Whoever has the certificate is taken for whom it names: never for a sidecar. */
static int check_gateway_names(const struct issuer *i, const struct str *names, size_t n,
                               struct err *e)
{
    for (size_t k = 0; k < n; k++) {
        struct str name = names[k];
        struct proxy_identity sidecar;
        struct err ignored = ERR_INIT;
        if (!is_host_name(name)) {
            return err_set(e,
                           "subjectAltNames[%zu]: expected a host name of lower-case letters, "
                           "digits, dashes and dots, found \"%.*s\"",
                           k, STR_ARG(name));
        }
        if (proxy_identity_parse(name, (struct str){0}, i->trust_domain, &sidecar, &ignored) == 0) {
            return err_set(e,
                           "subjectAltNames[%zu]: expected another name than that of a sidecar, "
                           "found \"%.*s\"",
                           k, STR_ARG(name));
        }
    }
    return n > 0 ? 0 : err_set(e, "subjectAltNames: expected at least one, found none");
}

int issuer_issue_gateway(struct issuer *i, const struct str *names, size_t n, int64_t now,
                         int64_t validity_s, struct cert **ret, struct err *e)
{
    if (check_gateway_names(i, names, n, e) < 0) {
        return -1;
    }
    struct pki_subject subject = {
        .common_name = names[0], .dns = names, .n_dns = n, .only_client = true};
    return issue(i, &subject, now, validity_s, ret, e);
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
