/* What this program was built from. */
#ifndef OSM_OBSERVE_BUILD_INFO_H
#define OSM_OBSERVE_BUILD_INFO_H

#include "base/buf.h"

/* "0.1.0"; the commit, and when it was made (RFC 3339); "unknown" when built outside a checkout. */
const char *build_version(void);
const char *build_commit(void);
const char *build_date(void);

/* {"version":"0.1.0","git_commit":"...","build_date":"..."} */
void build_info_write(struct buf *out);

#endif
