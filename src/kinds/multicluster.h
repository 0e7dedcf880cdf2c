/* multicluster.x-k8s.io/v1alpha1. The definitions are installed, as OSM did; nothing acts on the
 * objects. */
#ifndef OSM_KINDS_MULTICLUSTER_H
#define OSM_KINDS_MULTICLUSTER_H

#include "kinds/object.h"

struct service_export {
    struct object object;
};

struct service_import_port {
    struct str name, protocol, app_protocol;
    int64_t port;
};

struct service_import {
    struct object object;
    struct str type; /* ClusterSetIP or Headless */
    struct strs ips;
    LIST(struct service_import_port) ports;
    struct str affinity;
    int64_t affinity_seconds;
};

#endif
