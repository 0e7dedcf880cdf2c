/* Kubernetes' built-in kinds, the parts that we use. Field names follow Kubernetes' API. */
#ifndef OSM_KINDS_CORE_H
#define OSM_KINDS_CORE_H

#include "kinds/object.h"

struct namespace
{
    struct object object;
};

struct service_account {
    struct object object;
};

/* intOrString: a number, or a name when `name` isn't empty. */
struct int_or_string {
    int64_t number;
    struct str name;
};

struct service_port {
    struct str name, app_protocol, protocol; /* protocol: TCP by default */
    int64_t port;
    struct int_or_string target_port; /* port when absent */
};

struct service {
    struct object object;
    struct str type;       /* ClusterIP by default, NodePort, LoadBalancer, ExternalName */
    struct str cluster_ip; /* "None": headless; empty: not assigned yet */
    struct strs cluster_ips;
    struct strs ip_families;     /* IPv4, IPv6; empty: IPv4 */
    struct str ip_family_policy; /* SingleStack, PreferDualStack, RequireDualStack, or empty */
    struct pairs selector;
    LIST(struct service_port) ports;
    bool publish_not_ready_addresses;
};

struct container_port {
    struct str name, protocol;
    int64_t container_port;
};

/* From spec.containers[].env[]; value_from kinds that we know: fieldRef, configMapKeyRef,
 * secretKeyRef. */
struct env_var {
    struct str name, value;
    struct str field_path;                 /* valueFrom.fieldRef.fieldPath */
    struct str config_map, config_map_key; /* valueFrom.configMapKeyRef */
    struct str secret, secret_key;         /* valueFrom.secretKeyRef */
};

struct http_header {
    struct str name, value;
};

struct probe {
    bool http_get, tcp_socket, exec, grpc; /* which one; at most one */
    struct str path, scheme, host;         /* httpGet */
    struct int_or_string port;             /* httpGet, tcpSocket, grpc */
    LIST(struct http_header) headers;
    struct strs command; /* exec */
    int64_t initial_delay_s, period_s, timeout_s, success_threshold, failure_threshold;
};

struct volume_mount {
    struct str name, mount_path, sub_path;
    bool read_only;
};

struct security_context {
    int64_t run_as_user, run_as_group; /* -1: not set */
    bool privileged;
    struct strs capabilities_add;
};

struct container {
    struct str name, image, working_dir;
    struct strs command, args;
    LIST(struct container_port) ports;
    LIST(struct env_var) env;
    LIST(struct volume_mount) volume_mounts;
    struct security_context security;
    struct probe *liveness, *readiness, *startup; /* NULL: none */
    struct str restart_policy; /* of an init container: "Always" makes it a sidecar */
};

/* One of secret_name, config_map_name, host_path is set, or empty_dir. */
struct volume {
    struct str name, secret_name, config_map_name, host_path;
    bool empty_dir;
};

struct host_alias {
    struct str ip;
    struct strs hostnames;
};

struct pod_spec {
    struct str service_account_name; /* "default" by default */
    struct str restart_policy;       /* Always by default, OnFailure, Never */
    struct str hostname, subdomain;
    struct pairs node_selector;
    bool host_network;
    int64_t termination_grace_s;
    int64_t run_as_user, run_as_group; /* securityContext, -1: not set */
    LIST(struct container) init_containers;
    LIST(struct container) containers;
    LIST(struct volume) volumes;
    LIST(struct host_alias) host_aliases;
};

/* The ports of one. */
struct pod_container {
    LIST(struct container_port) ports;
};

struct pod {
    struct object object;
    struct str service_account; /* "default" by default */
    struct str phase, pod_ip;   /* status */
    struct strs pod_ips;
    LIST(struct pod_container) containers;
    bool host_network;
    bool ready;            /* condition Ready is True */
    struct pod_spec *spec; /* all of it; NULL in what object_decode_slim reads */
};

/* The template of a workload. raw: the template's document, from which pods are made. */
struct pod_template {
    struct meta meta;
    struct pod_spec spec;
    const struct value *raw;
};

struct deployment {
    struct object object;
    int64_t replicas; /* 1 by default */
    struct pairs match_labels;
    struct pod_template template;
};

struct stateful_set {
    struct object object;
    int64_t replicas;
    struct str service_name;
    struct pairs match_labels;
    struct pod_template template;
};

struct job {
    struct object object;
    int64_t parallelism, completions, backoff_limit;
    struct pod_template template;
};

struct endpoint {
    struct strs addresses; /* at least 1; consumers use the first */
    bool ready;            /* conditions.ready; absent means true */
    struct str hostname;
    struct str target_kind, target_name, target_namespace; /* targetRef */
};

struct endpoint_port {
    struct str name, protocol, app_protocol;
    int64_t port;
};

struct endpoint_slice {
    struct object object;    /* label kubernetes.io/service-name names the service */
    struct str address_type; /* IPv4, IPv6 */
    LIST(struct endpoint) endpoints;
    LIST(struct endpoint_port) ports;
};

/* data is decoded from base64 and merged with stringData; zeroed when the object is freed. */
struct secret {
    struct object object;
    struct str type;
    struct pairs data;
};

struct config_map {
    struct object object;
    struct pairs data;
};

#endif
