/* Names of services and pods, as files that resolvers read. Pure. */
#ifndef OSM_LOCAL_HOSTS_H
#define OSM_LOCAL_HOSTS_H

#include "base/buf.h"
#include "local/objects.h"

struct host_entry {
    const struct service *service;
    const char *ip; /* "" for headless ones: then the addresses of the pods that serve it */
};

/* The text of /etc/hosts for a pod: its own name; every service by name.namespace and longer, and
 * by its bare name in its own namespace; the pods of headless services by hostname too. */
void hosts_write(struct buf *out, const struct pod_view *self, const struct host_entry *services,
                 size_t n_services, const struct pod_view *pods, size_t n_pods);
/* The text of /etc/resolv.conf: nobody is asked, as all names are in /etc/hosts. */
void hosts_resolv_conf(struct buf *out, struct str namespace);

#endif
