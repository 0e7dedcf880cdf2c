/* What an issuer is made of. Within src/cert only. */
#ifndef OSM_CERT_ISSUER_INTERNAL_H
#define OSM_CERT_ISSUER_INTERNAL_H

#include "base/vec.h"
#include "cert/pki.h"

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

void root_done(struct root *r);
/* Takes cert and key over. */
int issuer_add_root(struct issuer *i, X509 *cert, EVP_PKEY *key, struct err *e);

#endif
