/* What a mesh begins with: its MeshConfig and its MeshRootCertificate, from ConfigMaps that the
 * chart wrote. Objects that exist are their operators' and stay as they are. */
#ifndef OSM_DAEMON_PRESETS_H
#define OSM_DAEMON_PRESETS_H

#include "daemon/flags.h"
#include "kube/client.h"

#define PRESET_MESH_CONFIG "preset-mesh-config"
#define PRESET_ROOT "preset-mesh-root-certificate"
#define PRESET_ROOT_NAME "osm-mesh-root-certificate"

/* Creates what is missing; a root only when none is active. A preset that the mesh couldn't read is
 * an error which names its ConfigMap and field. Blocks, patiently. */
int presets_create(struct kube_client *client, const struct daemon_flags *f, struct err *e);

#endif
