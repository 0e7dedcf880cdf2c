/* Names of services and pods, as files that resolvers read. Pure. */
#ifndef OSM_LOCAL_HOSTS_H
#define OSM_LOCAL_HOSTS_H

#include "base/buf.h"
#include "local/objects.h"

/* The text of /etc/hosts for a pod: its own name; every service by name.namespace and longer, and
 * by its bare name in its own namespace; the pods of headless services by hostname too. A service
 * has all addresses that it has; a headless one those of the pods that serve it. */
void hosts_write(struct buf *out, const struct pod_view *self, const struct service_view *services,
                 size_t n_services, const struct pod_view *pods, size_t n_pods);
/* The text of /etc/resolv.conf: nobody is asked, as all names are in /etc/hosts. */
void hosts_resolv_conf(struct buf *out, struct str namespace);

#endif
