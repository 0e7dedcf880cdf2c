/* What a mesh leaves that belongs to no release of helm: the control plane made it while it ran, or
 * a hook that failed. What somebody else made stays; the labels tell. */
#ifndef OSM_CLI_REMAINS_H
#define OSM_CLI_REMAINS_H

#include "cli/cluster.h"

/* All that the chart's own clean-up would have removed, and its hooks' jobs, accounts and roles.
 * For a mesh that never ran. */
int remains_remove(struct cluster *c, const char *namespace, const char *mesh, struct err *e);
/* The root certificate's Secret, whatever its name. */
int remains_remove_root(struct cluster *c, const char *namespace, struct err *e);
/* The ingress gateway's certificate and key, in the namespace that MeshConfig named. After the
 * control plane, which would write it again. */
int remains_remove_gateway(struct cluster *c, const char *mesh, struct err *e);

#endif
