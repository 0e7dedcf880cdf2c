/* The CustomResourceDefinitions of the mesh in a cluster. */
#ifndef OSM_DAEMON_DEFINITIONS_H
#define OSM_DAEMON_DEFINITIONS_H

#include "kube/client.h"

#define DEFINITIONS_VERSION "apiextensions.k8s.io/v1"
#define DEFINITIONS_PLURAL "customresourcedefinitions"
/* All of ours have it. */
#define DEFINITIONS_SELECTOR "app.kubernetes.io/name=openservicemesh.io"

/* The definition of a kind as it is applied, labelled with the version; NULL: built in. */
struct value *definition_of(struct arena *a, enum kind kind, const char *osm_version);
/* Whether a cluster's definition is ours to change: all but those of several clusters, which
 * another implementation may have brought. found: as it is there. */
bool definition_is_ours(enum kind kind, const struct value *found);

/* Applies all, waits until the server serves them, and has objects stored in the storage version
 * that were stored in an older one. Blocks; patient with a server that isn't up. Errors name the
 * definition. */
int definitions_install(struct kube_client *client, const char *osm_version, struct err *e);

#endif
