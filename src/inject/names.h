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

/* Beyond Open Service Mesh: resources of one pod's sidecar; what its probes were; the metrics that
 * the application itself offers, when the mesh takes prometheus.io/... for the sidecar's. */
#define ANNOTATION_CPU_REQUEST "openservicemesh.io/sidecar-cpu-request"
#define ANNOTATION_CPU_LIMIT "openservicemesh.io/sidecar-cpu-limit"
#define ANNOTATION_MEMORY_REQUEST "openservicemesh.io/sidecar-memory-request"
#define ANNOTATION_MEMORY_LIMIT "openservicemesh.io/sidecar-memory-limit"
#define ANNOTATION_PROBES "openservicemesh.io/original-probes"
#define ANNOTATION_APP_SCRAPE "openservicemesh.io/app-prometheus-scrape"
#define ANNOTATION_APP_PORT "openservicemesh.io/app-prometheus-port"
#define ANNOTATION_APP_PATH "openservicemesh.io/app-prometheus-path"
#define ANNOTATION_SCRAPE "prometheus.io/scrape"
#define ANNOTATION_SCRAPE_PORT "prometheus.io/port"
#define ANNOTATION_SCRAPE_PATH "prometheus.io/path"

#define SIDECAR_CONTAINER "envoy"
#define INIT_CONTAINER "osm-init"
#define HEALTHCHECK_CONTAINER "osm-healthcheck"
#define BOOTSTRAP_VOLUME "envoy-bootstrap-config-volume"
#define BOOTSTRAP_SECRET_PREFIX "envoy-bootstrap-config-"
#define BOOTSTRAP_PATH "/etc/envoy"

#define SIDECAR_USER 1500
#define PORT_ADMIN 15000
#define PORT_OUTBOUND 15001
#define PORT_INBOUND 15003
#define PORT_METRICS 15010
/* Probe listeners, osm-healthcheck, and the sidecar's own readiness: never redirected. */
#define PORT_LIVENESS 15901
#define PORT_READINESS 15902
#define PORT_STARTUP 15903
#define PORT_HEALTHCHECK 15904
#define PORT_READY 15905
#define PORT_PROBES_FIRST PORT_LIVENESS
#define PORT_PROBES_LAST PORT_READY
/* gRPC probes can't be told apart by a path: a port for each port of the pod that has one. */
#define PORT_GRPC_FIRST 15910
#define PORT_GRPC_LAST 15925

#define READY_PATH "/ready"
#define HEALTHCHECK_PATH "/osm-healthcheck"
#define HEALTHCHECK_HEADER "Original-Tcp-Port"
#define HEALTHCHECK_USER 65532

#define ENVOY_IMAGE_DEFAULT "envoyproxy/envoy:distroless-v1.40.0"
#define INIT_IMAGE_DEFAULT "openservicemesh/init:latest-main"
#define HEALTHCHECK_IMAGE_DEFAULT "openservicemesh/osm-healthcheck:latest-main"

#endif
