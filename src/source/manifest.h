/* One file of manifests: its last good objects and what is wrong with it. */
#ifndef OSM_SOURCE_MANIFEST_H
#define OSM_SOURCE_MANIFEST_H

#include <sys/stat.h>

#include "kinds/object.h"

struct manifest {
    size_t root; /* index of its root: the precedence */
    char *path;
    VEC(struct object *) objects; /* own references, in the order of the file */
    struct findings findings;
    struct stat seen_stat; /* of the last read */
    uint64_t digest;       /* of the last read; 0: none, or it failed */
    uint64_t generation;   /* of the walk that met it last */
};

struct manifest *manifest_new(size_t root, const char *path);
void manifest_free(struct manifest *m);

enum manifest_change {
    MANIFEST_SAME, /* the objects are; findings may differ */
    MANIFEST_CHANGED,
    MANIFEST_GONE, /* there is no such file any more */
};
/* Reads the file when it changed since the last time, always when `force`. While the file has
 * errors, objects that it had before and that it doesn't define now stay. The objects that it had
 * before are moved to *before (own references). */
typedef VEC(struct object *) object_vec;
enum manifest_change manifest_read(struct manifest *m, bool force, object_vec *before);

/* Of a file's path and text; that of a folder is the sum of those of its files. */
uint64_t manifest_digest(const char *path, struct str text);
/* Ends in .yaml, .yml or .json, and is no hidden or backup file. */
bool manifest_name(const char *name);

#endif
