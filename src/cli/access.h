/* What we may do in the cluster, as the API server says (SelfSubjectAccessReview). */
#ifndef OSM_CLI_ACCESS_H
#define OSM_CLI_ACCESS_H

#include "cli/cluster.h"

struct access {
    const char *verb, *group, *resource;
    bool in_namespace;      /* of the mesh; else cluster-wide */
    const char *if_served;  /* "<group>/<version>" that must have the resource; NULL: it's there */
    const char *with_value; /* only installs with this value of the chart; NULL: all do */
};

/* "create deployments.apps in namespace osm-system" */
const char *access_text(struct cluster *c, const struct access *what);

/* Of what an install makes in this cluster, that which we may not: an array in the cluster's arena,
 * ended by NULL. -1: e tells why that isn't known. */
int access_install_lacks(struct cluster *c, const struct access *const **ret, struct err *e);
/* 1 with *ret when we may not do something that an uninstall does, or with cluster_wide a
 * --delete-cluster-wide-resources; 0 when we may all; -1 with e. */
int access_uninstall_lacks(struct cluster *c, bool cluster_wide, const struct access **ret,
                           struct err *e);

#endif
