/* What exactly to start for a container: program, environment, user, mounts. Pure but for looking
 * whether programs exist. */
#ifndef OSM_LOCAL_LAUNCH_H
#define OSM_LOCAL_LAUNCH_H

#include "local/images.h"
#include "local/process.h"
#include "store/store.h"

struct launch_context {
    const struct images *images;
    const char *envoy;
    const struct store *store; /* for ConfigMaps and Secrets */
    const char *volumes;       /* folder with one folder a volume */
    const char *pod_ip;
    const char *pod_ips; /* separated by commas */
    const char *host_ip;
};

/* All in the arena; ns, hidden and out of *ret stay unset. */
int launch_build(struct arena *a, const struct launch_context *x, const struct pod *pod,
                 const struct container *c, struct process_options *ret, struct err *e);

#endif
