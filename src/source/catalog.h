/* Who defines which object: of several definitions one counts (source.h says which), and that one
 * is in the store. */
#ifndef OSM_SOURCE_CATALOG_H
#define OSM_SOURCE_CATALOG_H

#include "source/manifest.h"
#include "store/store.h"

struct catalog;

struct catalog *catalog_new(struct store *store);
void catalog_free(struct catalog *c);

/* The manifest's objects were `before` and are what it holds now. */
void catalog_replace(struct catalog *c, const struct manifest *m, const object_vec *before);
/* The manifest defines nothing any more. Call before it is freed. */
void catalog_remove(struct catalog *c, const struct manifest *m);
/* Error findings for objects that one root defines twice. */
void catalog_findings(const struct catalog *c, struct findings *f);

#endif
