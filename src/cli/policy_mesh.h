/* The mesh that osm-controller works out, made here from the objects of a few namespaces: so that
 * commands give the verdict that sidecars get, and no other. */
#ifndef OSM_CLI_POLICY_MESH_H
#define OSM_CLI_POLICY_MESH_H

#include "cli/meshes.h"
#include "mesh/mesh.h"

struct policy_pod {
    struct object_name name;
    struct str mesh;            /* its namespace's; empty: none */
    const struct pod *pod;      /* of the store */
    const struct value *object; /* as the API server has it */
    struct str identity;        /* "<namespace>/<service account>" */
};

struct policy_mesh {
    struct store *store;
    struct mesh *mesh;
    struct mesh_options options;
    struct findings findings; /* of objects that can't be understood */
};

/* Reads both pods and all that has to do with calls between them. An error when one isn't there,
 * has no sidecar, or they aren't in the same mesh. `to` may be NULL: a call to the outside. */
int policy_mesh_load(struct cluster *c, struct policy_pod *from, struct policy_pod *to,
                     struct policy_mesh *ret, struct err *e);
void policy_mesh_done(struct policy_mesh *m);
static inline __attribute__((unused)) void policy_mesh_done_auto(struct policy_mesh *m)
{
    policy_mesh_done(m);
}

/* Does the rule allow the source anything? */
bool policy_rule_allows(const struct mesh_rule *rule, struct str source);
/* Of the destination's identity; NULL when nobody may call it. */
const struct mesh_policy *policy_of(const struct policy_mesh *m, const struct policy_pod *to);
/* May the one call the other at all? */
bool policy_allows(const struct mesh_policy *policy, struct str source);
/* What can't be understood, on stderr. */
void policy_mesh_print_findings(const struct policy_mesh *m);

#endif
