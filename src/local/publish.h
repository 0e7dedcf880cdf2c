/* Keeps a folder of documents equal to a set that is given anew each time: files whose content
 * didn't change aren't touched, files that are no longer wanted are deleted. */
#ifndef OSM_LOCAL_PUBLISH_H
#define OSM_LOCAL_PUBLISH_H

#include "base/err.h"
#include "base/map.h"
#include "doc/value.h"

struct publisher {
    char *folder;
    struct map files; /* name -> struct published */
    uint64_t digest;  /* sum of manifest_digest of the files that are written */
    unsigned round;
};

void publisher_init(struct publisher *p, const char *folder);
void publisher_done(struct publisher *p);
/* begin, put any number, end. A file that can't be written is tried again the next time; end
 * returns the last such error. */
void publisher_begin(struct publisher *p);
void publisher_put(struct publisher *p, const struct value *document, struct err *e);
int publisher_end(struct publisher *p, struct err *e);
/* "Service_shop_web.json": the file of an object. */
struct str publisher_file(struct arena *a, const struct value *document);

#endif
