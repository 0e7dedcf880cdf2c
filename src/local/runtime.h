/* The runtime of a local mesh: one process that owns the pods' namespaces and processes, the
 * controller, the bridge. Everything runs on one loop and one thread; nothing blocks for longer
 * than the kernel takes for namespaces and mounts. */
#ifndef OSM_LOCAL_RUNTIME_H
#define OSM_LOCAL_RUNTIME_H

#include "base/err.h"
#include "local/state.h"

/* Runs until it is told to end (POST /down, SIGTERM). Waits for options (POST /up) before it does
 * anything visible. The folder is there, its lock was inherited. */
int runtime_run(const struct state *state, struct err *e);

/* The name of the mesh's bridge and the mark on its network links. */
void runtime_link_names(const struct state *state, char bridge[16], char alias[64]);
/* Removes network links that a mesh of this name left; *ret counts them. */
int runtime_remove_links(const struct state *state, int *ret, struct err *e);

#endif
