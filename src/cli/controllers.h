/* What the replicas of osm-controller say of proxies and of the mesh's objects: the page /status on
 * 127.0.0.1:9092 of each, by port-forward. */
#ifndef OSM_CLI_CONTROLLERS_H
#define OSM_CLI_CONTROLLERS_H

#include "cli/meshes.h"

struct controllers_status {
    struct value *proxies;  /* each once: by the replica that it is connected to, if any */
    struct value *findings; /* each once */
    size_t asked, answered; /* replicas */
    struct err problem;     /* of the last that didn't answer */
};

/* 0 also when not all answered; -1 with e when the replicas can't even be listed. */
int controllers_status(struct cluster *c, const char *namespace, struct controllers_status *ret,
                       struct err *e);

#endif
