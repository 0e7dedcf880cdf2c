/* The file that the roots live in: a document of a Secret named osm-ca-bundle with the keys ca.crt
 * and private.key (as in Open Service Mesh). Within src/cert only. */
#ifndef OSM_CERT_BUNDLE_H
#define OSM_CERT_BUNDLE_H

#include "cert/pki.h"

/* 1: read; 0: there is no such file; -1: e tells. */
int bundle_read(const char *path, X509 **ret_cert, EVP_PKEY **ret_key, struct err *e);
/* Writes a new file whole, mode 0600. 1: done; 0: another process made one in the meantime. */
int bundle_create(const char *path, X509 *cert, EVP_PKEY *key, struct err *e);

#endif
