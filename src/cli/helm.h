/* The user's helm (3 or 4). */
#ifndef OSM_CLI_HELM_H
#define OSM_CLI_HELM_H

#include "cli/cluster.h"
#include "cli/program.h"

struct helm_options {
    const char *release, *namespace, *chart;
    int64_t timeout_s;
    bool no_hooks;           /* of an uninstall */
    const struct texts *set; /* after `values`, so that the user's count */
    const char *values[4];   /* "osm.meshName=osm"; ended by NULL */
};

int helm_install(const struct helm_options *o, struct err *e);
/* Values begin from the chart's own. */
int helm_upgrade(const struct helm_options *o, struct err *e);
int helm_uninstall(const struct helm_options *o, struct err *e);

/* The state of a release, such as "deployed", "failed", "pending-install"; *ret is NULL when there
 * is none. From the labels of helm's own Secrets. */
int helm_release_status(struct cluster *c, const char *namespace, const char *release,
                        const char **ret, struct err *e);

/* Why the control plane isn't ready: the first pod that isn't; NULL when all are, or it isn't
 * known. */
const char *control_plane_problem(struct cluster *c, const char *namespace);

#endif
