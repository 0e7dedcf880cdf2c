/* What osm check finds: lines of sections, each ok, warn or fail with what to do. */
#ifndef OSM_CLI_CHECK_H
#define OSM_CLI_CHECK_H

#include "cli/meshes.h"

enum check_level { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check {
    struct cluster *cluster;
    struct value *rows;
    const char *section;
    bool failed;
};

/* todo NULL: nothing to do, or the text says it. */
void check_add(struct check *k, enum check_level level, const char *todo, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
/* It couldn't be found out: a warning. */
void check_unknown(struct check *k, const char *what, const struct err *e);

void check_cluster(struct check *k);                  /* server, programs */
void check_before(struct check *k, const char *mesh); /* rights, leftovers */
void check_control_plane(struct check *k, const struct mesh_info *mesh);
void check_webhooks(struct check *k, const struct mesh_info *mesh);
void check_sidecars(struct check *k, const struct mesh_info *mesh);

#endif
