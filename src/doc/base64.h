/* Base64 as Secrets and certificates are written (RFC 4648, with padding). */
#ifndef OSM_DOC_BASE64_H
#define OSM_DOC_BASE64_H

#include <stdbool.h>

#include "base/arena.h"

/* White space between groups is passed over. False when s is no base64. *ret lives in `a`. */
bool base64_decode(struct arena *a, struct str s, struct str *ret);
struct str base64_encode(struct arena *a, struct str s);

#endif
