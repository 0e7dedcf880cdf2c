/* The files of a pod's volumes, below one folder: one folder a volume. */
#ifndef OSM_LOCAL_VOLUMES_H
#define OSM_LOCAL_VOLUMES_H

#include "base/err.h"
#include "kinds/core.h"
#include "store/store.h"

/* Makes or refreshes them: files of Secrets and ConfigMaps (each replaced whole, only when it
 * differs), empty folders. bootstrap stands for the Secret that the sidecar starts from and is
 * readable by its user only; may be NULL. */
int volumes_make(const char *folder, const struct pod *pod, const struct secret *bootstrap,
                 const struct store *store, struct err *e);
/* Another bootstrap of the same name: its files, in a pod that runs. */
int volumes_renew(const char *folder, const struct pod *pod, const struct secret *bootstrap,
                  struct err *e);

#endif
