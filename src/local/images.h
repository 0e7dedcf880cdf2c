/* Which program of this machine stands for a container's image. */
#ifndef OSM_LOCAL_IMAGES_H
#define OSM_LOCAL_IMAGES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "kinds/core.h"

struct image_command {
    char *image;   /* with or without a tag */
    char *command; /* a path and arguments, split at spaces; quotes keep spaces together */
};
struct images {
    VEC(struct image_command) list;
};

/* From "NAME=COMMAND"; a second one of the same name replaces the first. */
int images_add(struct images *i, const char *text, struct err *e);
void images_done(struct images *i);

/* Words of a command line; only quotes and backslashes have a meaning. */
int images_split(struct arena *a, struct str command, struct strs *ret, struct err *e);

/* argv of a container, argv[0] being a path on this machine: the command given for its image and
 * the container's arguments, or its own command when that exists here. `envoy` is the program for
 * the sidecar. */
int images_argv(struct arena *a, const struct images *i, const char *envoy, const struct pod *pod,
                const struct container *c, struct strs *ret, struct err *e);

#endif
