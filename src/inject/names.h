/* Names, ports and ids that manifests, charts and dashboards depend on (as in Open Service Mesh).
 */
#ifndef OSM_INJECT_NAMES_H
#define OSM_INJECT_NAMES_H

#define LABEL_MONITORED_BY "openservicemesh.io/monitored-by"
#define LABEL_IGNORE "openservicemesh.io/ignore"
#define LABEL_PROXY_UUID "osm-proxy-uuid"
#define ANNOTATION_INJECTION "openservicemesh.io/sidecar-injection"
#define ANNOTATION_METRICS "openservicemesh.io/metrics"
#define ANNOTATION_OUT_PORTS "openservicemesh.io/outbound-port-exclusion-list"
#define ANNOTATION_IN_PORTS "openservicemesh.io/inbound-port-exclusion-list"
#define ANNOTATION_OUT_EXCLUDED "openservicemesh.io/outbound-ip-range-exclusion-list"
#define ANNOTATION_OUT_INCLUDED "openservicemesh.io/outbound-ip-range-inclusion-list"

#define SIDECAR_CONTAINER "envoy"
#define INIT_CONTAINER "osm-init"
#define BOOTSTRAP_VOLUME "envoy-bootstrap-config-volume"
#define BOOTSTRAP_SECRET_PREFIX "envoy-bootstrap-config-"
#define BOOTSTRAP_PATH "/etc/envoy"

#define SIDECAR_USER 1500
#define PORT_ADMIN 15000
#define PORT_OUTBOUND 15001
#define PORT_INBOUND 15003
#define PORT_METRICS 15010
/* Probe listeners 15901 to 15903, osm-healthcheck 15904. */
#define PORT_PROBES_FIRST 15901
#define PORT_PROBES_LAST 15904

#define ENVOY_IMAGE_DEFAULT "envoyproxy/envoy:v1.40.0"
#define INIT_IMAGE_DEFAULT "openservicemesh/init:latest-main"

#endif
