/* Identities, keys, certificates. The built-in issuer signs with a root that lives in a
 * Secret-shaped document (keys ca.crt and private.key), in a file of mode 0600 or a Secret.
 *
 * Names (as in Open Service Mesh): service certificates have CN and DNS name `<sa>.<ns>.<td>` and
 * the URI `spiffe://<td>/<sa>/<ns>`; a sidecar's own certificate for xDS has CN
 * `<uuid>.sidecar.<sa>.<ns>.<td>` and URI `spiffe://<td>/<uuid>/sidecar/<sa>/<ns>`; the ADS server
 * `ads.<td>`. Private keys are never logged and are zeroed when freed. */
#ifndef OSM_CERT_CERT_H
#define OSM_CERT_CERT_H

#include <stdint.h>

#include "base/blob.h"
#include "base/err.h"
#include "base/str.h"
#include "doc/value.h"

struct identity {
    struct str namespace, service_account;
};

/* What a sidecar's certificate says: parsed from its SPIFFE URI when it has one (service accounts
 * may hold dots), else from the common name. Views into the texts given. */
struct proxy_identity {
    struct str uuid, namespace, service_account;
};
int proxy_identity_parse(struct str common_name, struct str uri, const char *trust_domain,
                         struct proxy_identity *ret, struct err *e);

enum cert_key { CERT_KEY_ECDSA_P256, CERT_KEY_RSA };

/* Immutable, refcounted, any thread. */
struct cert {
    struct ref ref;
    struct blob *chain;       /* PEM, leaf first */
    struct blob *private_key; /* PEM PKCS#8, a secret blob */
    struct blob *ca; /* PEM: every root that peers may be signed by, for the time of a rotation
                        more than one */
    int64_t not_before, not_after; /* wall clock, s */
    struct blob *issuer_id;        /* which root signed it */
};
struct cert *cert_unref(struct cert *c);

/* The roots: one signs, all are trusted. A rotation adds a trusted root, then lets it sign, then
 * drops the old one; certificates whose issuer_id isn't the signing root's are due for renewal. */
struct issuer;

struct issuer_options {
    const char *trust_domain;
    enum cert_key key;
    int key_bits; /* RSA */
};

/* Makes a new root: P-256 or RSA after options->key, 10 years. */
int issuer_new(const struct issuer_options *options, int64_t now, struct issuer **ret,
               struct err *e);
/* From the Secret-shaped document in a file; makes the file (0600, written whole or not at all)
 * when it isn't there. Two processes that do so at once end with the same root. A file that others
 * can read, that doesn't parse or whose root expired is an error that says what to do. */
int issuer_load_or_create(const char *path, const struct issuer_options *options, int64_t now,
                          struct issuer **ret, struct err *e);
/* The same of a file that must be there. */
int issuer_load(const char *path, const struct issuer_options *options, int64_t now,
                struct issuer **ret, struct err *e);
/* From a Secret as the API server has it, which title names in errors ("Secret ns/name"). Of
 * several certificates in ca.crt the first signs, with private.key, and the others are trusted too.
 */
int issuer_from_secret(const struct value *secret, const char *title,
                       const struct issuer_options *options, int64_t now, struct issuer **ret,
                       struct err *e);
/* The `data` of such a Secret, in `a`: free that with arena_free_secret. NULL: e tells. */
struct value *issuer_secret_data(struct arena *a, const struct issuer *i, struct err *e);
void issuer_free(struct issuer *i);
AUTO_DEFINE(struct issuer, issuer_free)
/* Other key type or size for certificates from now on (the root stays). */
void issuer_set_key(struct issuer *i, enum cert_key key, int key_bits);
/* Adds a trusted root; makes the root with this id the signing one; drops one that doesn't sign. */
int issuer_trust(struct issuer *i, struct str ca_pem, struct str key_pem, struct err *e);
int issuer_sign_with(struct issuer *i, struct str id, struct err *e);
int issuer_distrust(struct issuer *i, struct str id, struct err *e);
/* The three steps from i's roots to target's, each true when it changed something: to trust all of
 * target's roots as well, to sign with the one that target signs with, to trust no others any more.
 * Between them those who check certificates need time to learn of the step before. */
bool issuer_trust_as(struct issuer *i, const struct issuer *target);
bool issuer_sign_as(struct issuer *i, const struct issuer *target);
bool issuer_distrust_as(struct issuer *i, const struct issuer *target);
struct str issuer_id(const struct issuer *i);   /* of the signing root */
int64_t issuer_expires(const struct issuer *i); /* the signing root, wall clock, s */
/* Secret bytes for a purpose, that follow from the signing root's key: the same wherever that root
 * signs. */
void issuer_secret(const struct issuer *i, const char *purpose, void *out, size_t len);
struct blob *issuer_roots(struct issuer *i); /* PEM of all trusted roots; own reference */

int issuer_issue_service(struct issuer *i, struct identity id, int64_t now, int64_t validity_s,
                         struct cert **ret, struct err *e);
int issuer_issue_proxy(struct issuer *i, struct str uuid, struct identity id, int64_t now,
                       struct cert **ret, struct err *e);
/* For our own servers; cn such as "ads.cluster.local". */
int issuer_issue_server(struct issuer *i, struct str cn, int64_t now, struct cert **ret,
                        struct err *e);
/* For the clients that gateways into the mesh are: with these host names, the first also as common
 * name, and good for no server. A name of a sidecar is an error. */
int issuer_issue_gateway(struct issuer *i, const struct str *names, size_t n, int64_t now,
                         int64_t validity_s, struct cert **ret, struct err *e);

/* Due when the rest of its life is at most max(validity / 3, 5 min), plus 0 to 4 s that depend on
 * the certificate (so that a fleet doesn't renew at once), when the issuer changed, or when the
 * clock is before not_before. */
bool cert_due(const struct cert *c, const struct issuer *i, int64_t now);
/* When cert_due becomes true if nothing else changes. */
int64_t cert_due_at(const struct cert *c);

#endif
