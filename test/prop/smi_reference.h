/* What SMI's specification says about one call, straight from the objects: slow, short, and written
 * apart from the mesh, to hold it against. */
#ifndef TEST_PROP_SMI_REFERENCE_H
#define TEST_PROP_SMI_REFERENCE_H

#include "mesh/mesh.h"

bool smi_reference_allows(const struct store *s, const struct mesh_call *call,
                          bool (*regex)(void *arg, struct str pattern, struct str text));

#endif
