/* osm's own config file: $OSM_CONFIG, else ~/.osm/config.yaml.
 *
 *   install:
 *     kind: self-hosted        or managed: whoever runs the cluster installs and upgrades the mesh
 *     distribution: AKS        who that is
 *     namespace: osm-system */
#ifndef OSM_CLI_CONFIG_H
#define OSM_CLI_CONFIG_H

#include <stdbool.h>

#include "base/err.h"

struct cli_config {
    bool managed;
    char distribution[64], namespace[64];
};

/* Read once; a missing file gives the defaults, unless $OSM_CONFIG names it. *ret is static. */
int cli_config_load(const struct cli_config **ret, struct err *e);
/* For command.unavailable: why not, when the mesh is managed. */
const char *cli_config_managed(void);

#endif
