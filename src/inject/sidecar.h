/* The containers that a pod gets. Within src/inject only. */
#ifndef OSM_INJECT_SIDECAR_H
#define OSM_INJECT_SIDECAR_H

#include "inject/probes.h"

const struct value *sidecar_init(struct arena *a, struct str rules, const struct inject_options *o);
const struct value *sidecar_envoy(struct arena *a, const struct pod *pod,
                                  const struct value *resources, const struct probe_plan *plan,
                                  const struct inject_options *o);
/* It tells of these ports only ("80,7000"): whoever reaches the pod may ask it. */
const struct value *sidecar_healthcheck(struct arena *a, struct str ports,
                                        const struct inject_options *o);

#endif
