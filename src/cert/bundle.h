/* The Secret that the roots live in: osm-ca-bundle with the keys ca.crt and private.key (as in Open
 * Service Mesh), as a value or in a file. ca.crt may hold several certificates, for the time of a
 * rotation: private.key is the first one's, which signs; the others are trusted too. Within
 * src/cert only. */
#ifndef OSM_CERT_BUNDLE_H
#define OSM_CERT_BUNDLE_H

#include "cert/pki.h"
#include "doc/value.h"

enum { BUNDLE_ROOTS_MAX = 8 };

struct bundle {
    X509 *certs[BUNDLE_ROOTS_MAX]; /* at least one */
    size_t n;
    EVP_PKEY *key;
};
void bundle_done(struct bundle *b);

/* title begins the errors: a path, or "Secret osm-system/osm-ca-bundle". Decoded keys are in `a`:
 * free it with arena_free_secret. */
int bundle_parse(struct arena *a, const char *title, const struct value *secret, struct bundle *ret,
                 struct err *e);
/* 1: read; 0: there is no such file; -1: e tells. */
int bundle_read(const char *path, struct bundle *ret, struct err *e);
/* Writes a new file whole, mode 0600. 1: done; 0: another process made one in the meantime. */
int bundle_create(const char *path, const struct bundle *b, struct err *e);
/* The value of a Secret's `data`; NULL and e when it can't be encoded. */
struct value *bundle_data(struct arena *a, const struct bundle *b, struct err *e);

#endif
