/* Labels and annotations under openservicemesh.io/ that people write on pods and namespaces: what
 * is misspelt there, or in the wrong place, would silently have no effect. */
#ifndef OSM_KINDS_OWN_NAMES_H
#define OSM_KINDS_OWN_NAMES_H

#include "kinds/object.h"

/* Is it a name of ours that means nothing there? Of pods and namespaces only. */
bool own_name_is_wrong(enum kind kind, struct str key, bool label);
/* Calls each for those of ours that mean nothing there, with what is wrong, to be said after the
 * name: "isn't known and has no effect; did you mean ...?". */
typedef void own_name_fn(void *arg, struct str key, bool label, struct str problem);
void own_names_check(struct arena *a, enum kind kind, const struct meta *m, own_name_fn *each,
                     void *arg);

#endif
