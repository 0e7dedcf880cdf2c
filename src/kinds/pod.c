/* Pods and what makes them. */
#include "kinds/core.h"
#include "kinds/row.h"

static const struct field text_item = {"", FIELD_STRING};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

static const struct field container_port_fields[] = {
    {"name", FIELD_STRING, AT(container_port, name), .format = &format_port_name},
    {"protocol", FIELD_STRING, AT(container_port, protocol), .words = protocols, .initial = "TCP"},
    {"containerPort", FIELD_INT, AT(container_port, container_port), FIELD_REQUIRED, .min = 1,
     .max = 65535},
    IGNORED("hostIP hostPort"),
    FIELDS_END,
};

static const struct field field_ref_fields[] = {
    {"fieldPath", FIELD_STRING, AT(env_var, field_path), FIELD_REQUIRED},
    IGNORED("apiVersion"),
    FIELDS_END,
};

static const struct field config_map_key_fields[] = {
    {"name", FIELD_STRING, AT(env_var, config_map)},
    {"key", FIELD_STRING, AT(env_var, config_map_key), FIELD_REQUIRED},
    IGNORED("optional"),
    FIELDS_END,
};

static const struct field secret_key_fields[] = {
    {"name", FIELD_STRING, AT(env_var, secret)},
    {"key", FIELD_STRING, AT(env_var, secret_key), FIELD_REQUIRED},
    IGNORED("optional"),
    FIELDS_END,
};

static const struct field value_from_fields[] = {
    {"fieldRef", FIELD_STRUCT, 0, .fields = field_ref_fields},
    {"configMapKeyRef", FIELD_STRUCT, 0, .fields = config_map_key_fields},
    {"secretKeyRef", FIELD_STRUCT, 0, .fields = secret_key_fields},
    IGNORED("fileKeyRef resourceFieldRef"),
    FIELDS_END,
};

static const struct field env_fields[] = {
    {"name", FIELD_STRING, AT(env_var, name), FIELD_REQUIRED, .format = &format_env_name},
    {"value", FIELD_STRING, AT(env_var, value)},
    {"valueFrom", FIELD_STRUCT, 0, .fields = value_from_fields},
    FIELDS_END,
};

static const struct field header_fields[] = {
    {"name", FIELD_STRING, AT(http_header, name), FIELD_REQUIRED, .format = &format_header_name},
    {"value", FIELD_STRING, AT(http_header, value)},
    FIELDS_END,
};

static const char *const schemes[] = {"HTTP", "HTTPS", NULL};

#define PROBE_PORT                                                                                 \
    {"port",       FIELD_INT_OR_STRING,        AT(probe, port), FIELD_REQUIRED, .min = 1,          \
     .max = 65535, .format = &format_port_name}

static const struct field http_get_fields[] = {
    {"path", FIELD_STRING, AT(probe, path), .initial = "/"},
    PROBE_PORT,
    {"scheme", FIELD_STRING, AT(probe, scheme), .words = schemes, .initial = "HTTP"},
    {"host", FIELD_STRING, AT(probe, host)},
    {"httpHeaders", FIELD_LIST, AT(probe, headers), .fields = header_fields,
     .size = sizeof(struct http_header)},
    FIELDS_END,
};

static const struct field tcp_socket_fields[] = {
    PROBE_PORT,
    {"host", FIELD_STRING, AT(probe, host)},
    FIELDS_END,
};

static const struct field grpc_fields[] = {PROBE_PORT, IGNORED("mode service"), FIELDS_END};

static const struct field exec_fields[] = {
    {"command", FIELD_LIST, AT(probe, command), .item = &text_item},
    FIELDS_END,
};

static const struct field probe_fields[] = {
    {"httpGet", FIELD_STRUCT, 0, .fields = http_get_fields,
     .present = FIELD_PRESENT(struct probe, http_get)},
    {"tcpSocket", FIELD_STRUCT, 0, .fields = tcp_socket_fields,
     .present = FIELD_PRESENT(struct probe, tcp_socket)},
    {"exec", FIELD_STRUCT, 0, .fields = exec_fields, .present = FIELD_PRESENT(struct probe, exec)},
    {"grpc", FIELD_STRUCT, 0, .fields = grpc_fields, .present = FIELD_PRESENT(struct probe, grpc)},
    {"initialDelaySeconds", FIELD_INT, AT(probe, initial_delay_s), .min = 0, .max = INT32_MAX},
    {"periodSeconds", FIELD_INT, AT(probe, period_s), .min = 0, .max = INT32_MAX, .initial = "10"},
    {"timeoutSeconds", FIELD_INT, AT(probe, timeout_s), .min = 0, .max = INT32_MAX, .initial = "1"},
    {"successThreshold", FIELD_INT, AT(probe, success_threshold), .min = 0, .max = INT32_MAX,
     .initial = "1"},
    {"failureThreshold", FIELD_INT, AT(probe, failure_threshold), .min = 0, .max = INT32_MAX,
     .initial = "3"},
    IGNORED("terminationGracePeriodSeconds"),
    FIELDS_END,
};

static const struct field volume_mount_fields[] = {
    {"name", FIELD_STRING, AT(volume_mount, name), FIELD_REQUIRED},
    {"mountPath", FIELD_STRING, AT(volume_mount, mount_path), FIELD_REQUIRED},
    {"subPath", FIELD_STRING, AT(volume_mount, sub_path)},
    {"readOnly", FIELD_BOOL, AT(volume_mount, read_only)},
    IGNORED("bindMountOptions mountPropagation recursiveReadOnly subPathExpr"),
    FIELDS_END,
};

static const struct field capabilities_fields[] = {
    {"add", FIELD_LIST, AT(security_context, capabilities_add), .item = &text_item},
    IGNORED("drop"),
    FIELDS_END,
};

#define USER_ID(type, member, key)                                                                 \
    {key, FIELD_INT, AT(type, member), .min = 0, .max = INT64_MAX, .initial = "-1"}

static const struct field security_fields[] = {
    USER_ID(security_context, run_as_user, "runAsUser"),
    USER_ID(security_context, run_as_group, "runAsGroup"),
    {"privileged", FIELD_BOOL, AT(security_context, privileged)},
    {"capabilities", FIELD_STRUCT, 0, .fields = capabilities_fields},
    IGNORED("allowPrivilegeEscalation appArmorProfile procMount readOnlyRootFilesystem "
            "runAsNonRoot seLinuxOptions seccompProfile windowsOptions"),
    FIELDS_END,
};

#define PROBE(key, member)                                                                         \
    {key, FIELD_POINTER, AT(container, member), .fields = probe_fields,                            \
     .size = sizeof(struct probe)}

static const struct field container_fields[] = {
    {"name", FIELD_STRING, AT(container, name), FIELD_REQUIRED, .format = &format_dns_label},
    {"image", FIELD_STRING, AT(container, image)},
    {"workingDir", FIELD_STRING, AT(container, working_dir)},
    {"command", FIELD_LIST, AT(container, command), .item = &text_item},
    {"args", FIELD_LIST, AT(container, args), .item = &text_item},
    {"ports", FIELD_LIST, AT(container, ports), .fields = container_port_fields,
     .size = sizeof(struct container_port), .unique = "name"},
    {"env", FIELD_LIST, AT(container, env), .fields = env_fields, .size = sizeof(struct env_var)},
    {"volumeMounts", FIELD_LIST, AT(container, volume_mounts), .fields = volume_mount_fields,
     .size = sizeof(struct volume_mount), .unique = "mountPath"},
    {"securityContext", FIELD_STRUCT, AT(container, security), .fields = security_fields},
    PROBE("livenessProbe", liveness),
    PROBE("readinessProbe", readiness),
    PROBE("startupProbe", startup),
    {"restartPolicy", FIELD_STRING, AT(container, restart_policy)},
    IGNORED("envFrom imagePullPolicy lifecycle resizePolicy resources restartPolicyRules stdin "
            "stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices"),
    FIELDS_END,
};

static const struct field secret_volume_fields[] = {
    {"secretName", FIELD_STRING, AT(volume, secret_name), FIELD_REQUIRED},
    IGNORED("defaultMode defaultUser items optional"),
    FIELDS_END,
};

static const struct field config_map_volume_fields[] = {
    {"name", FIELD_STRING, AT(volume, config_map_name), FIELD_REQUIRED},
    IGNORED("defaultMode defaultUser items optional"),
    FIELDS_END,
};

static const struct field host_path_fields[] = {
    {"path", FIELD_STRING, AT(volume, host_path), FIELD_REQUIRED},
    IGNORED("type"),
    FIELDS_END,
};

static const struct field empty_dir_fields[] = {IGNORED("medium mode sizeLimit"), FIELDS_END};

static const struct field volume_fields[] = {
    {"name", FIELD_STRING, AT(volume, name), FIELD_REQUIRED, .format = &format_dns_label},
    {"secret", FIELD_STRUCT, 0, .fields = secret_volume_fields},
    {"configMap", FIELD_STRUCT, 0, .fields = config_map_volume_fields},
    {"hostPath", FIELD_STRUCT, 0, .fields = host_path_fields},
    {"emptyDir", FIELD_STRUCT, 0, .fields = empty_dir_fields,
     .present = FIELD_PRESENT(struct volume, empty_dir)},
    IGNORED("awsElasticBlockStore azureDisk azureFile cephfs cinder csi downwardAPI ephemeral fc "
            "flexVolume flocker gcePersistentDisk gitRepo glusterfs image iscsi nfs "
            "persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd "
            "scaleIO storageos vsphereVolume"),
    FIELDS_END,
};

static const struct field host_alias_fields[] = {
    {"ip", FIELD_STRING, AT(host_alias, ip), FIELD_REQUIRED, .format = &format_ip},
    {"hostnames", FIELD_LIST, AT(host_alias, hostnames), .item = &text_item},
    FIELDS_END,
};

static const struct field pod_security_fields[] = {
    USER_ID(pod_spec, run_as_user, "runAsUser"),
    USER_ID(pod_spec, run_as_group, "runAsGroup"),
    IGNORED("appArmorProfile fsGroup fsGroupChangePolicy runAsNonRoot seLinuxChangePolicy "
            "seLinuxOptions seccompProfile supplementalGroups supplementalGroupsPolicy sysctls "
            "windowsOptions"),
    FIELDS_END,
};

static const char *const restart_policies[] = {"Always", "OnFailure", "Never", NULL};

static const struct field pod_spec_fields[] = {
    /* The old name comes first so that the new one, when given, wins. */
    {"serviceAccount", FIELD_STRING, AT(pod_spec, service_account_name)},
    {"serviceAccountName", FIELD_STRING, AT(pod_spec, service_account_name)},
    {"restartPolicy", FIELD_STRING, AT(pod_spec, restart_policy), .words = restart_policies,
     .initial = "Always"},
    {"hostname", FIELD_STRING, AT(pod_spec, hostname)},
    {"subdomain", FIELD_STRING, AT(pod_spec, subdomain)},
    {"nodeSelector", FIELD_MAP, AT(pod_spec, node_selector)},
    {"hostNetwork", FIELD_BOOL, AT(pod_spec, host_network)},
    {"terminationGracePeriodSeconds", FIELD_INT, AT(pod_spec, termination_grace_s), .min = 0,
     .max = INT64_MAX, .initial = "30"},
    {"securityContext", FIELD_STRUCT, 0, .fields = pod_security_fields},
    {"initContainers", FIELD_LIST, AT(pod_spec, init_containers), .fields = container_fields,
     .size = sizeof(struct container), .unique = "name"},
    {"containers", FIELD_LIST, AT(pod_spec, containers), FIELD_REQUIRED, .min = 1,
     .fields = container_fields, .size = sizeof(struct container), .unique = "name"},
    {"volumes", FIELD_LIST, AT(pod_spec, volumes), .fields = volume_fields,
     .size = sizeof(struct volume), .unique = "name"},
    {"hostAliases", FIELD_LIST, AT(pod_spec, host_aliases), .fields = host_alias_fields,
     .size = sizeof(struct host_alias)},
    IGNORED("activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy "
            "enableServiceLinks ephemeralContainers evictionResponders hostIPC hostPID hostUsers "
            "hostnameOverride imagePullSecrets nodeName os overhead preemptionPolicy priority "
            "priorityClassName readinessGates resourceClaims resources runtimeClassName "
            "schedulerName schedulingGates schedulingGroup setHostnameAsFQDN "
            "shareProcessNamespace tolerations topologySpreadConstraints"),
    FIELDS_END,
};

static const struct field pod_ip_item_fields[] = {{"ip", FIELD_STRING, 0}, FIELDS_END};

static const struct field pod_status_fields[] = {
    {"phase", FIELD_STRING, AT(pod, phase)},
    {"podIP", FIELD_STRING, AT(pod, pod_ip), .format = &format_ip},
    {"podIPs", FIELD_LIST, AT(pod, pod_ips), .fields = pod_ip_item_fields,
     .size = sizeof(struct str)},
    IGNORED("allocatedResources conditions containerStatuses ephemeralContainerStatuses "
            "extendedResourceClaimStatus hostIP hostIPs initContainerStatuses message "
            "nodeAllocatableResourceClaimStatuses nominatedNodeName observedGeneration qosClass "
            "reason resize resourceClaimStatuses resources startTime volumeHealth"),
    FIELDS_END,
};

const struct field pod_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_POINTER, AT(pod, spec), FIELD_REQUIRED, .fields = pod_spec_fields,
     .size = sizeof(struct pod_spec)},
    {"status", FIELD_STRUCT, 0, .fields = pod_status_fields},
    FIELDS_END,
};

/* Of a server's pods: what the mesh is made of, and no more. */
static const struct field slim_container_fields[] = {
    {"ports", FIELD_LIST, AT(pod_container, ports), .fields = container_port_fields,
     .size = sizeof(struct container_port)},
    FIELDS_END,
};

static const struct field slim_spec_fields[] = {
    {"serviceAccountName", FIELD_STRING, AT(pod, service_account), .initial = "default"},
    {"hostNetwork", FIELD_BOOL, AT(pod, host_network)},
    {"containers", FIELD_LIST, AT(pod, containers), .fields = slim_container_fields,
     .size = sizeof(struct pod_container)},
    FIELDS_END,
};

const struct field pod_slim_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = slim_spec_fields},
    {"status", FIELD_STRUCT, 0, .fields = pod_status_fields},
    FIELDS_END,
};

static const struct field template_meta_fields[] = {
    {"metadata", FIELD_STRUCT, AT(pod_template, meta), .fields = meta_fields},
    {"spec", FIELD_STRUCT, AT(pod_template, spec), FIELD_REQUIRED, .fields = pod_spec_fields},
    FIELDS_END,
};

#define TEMPLATE(type)                                                                             \
    {"template", FIELD_STRUCT, AT(type, template), FIELD_REQUIRED, .fields = template_meta_fields}
#define SELECTOR(type, table) {"selector", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = table}
#define MATCH_LABELS(type)                                                                         \
    {"matchLabels", FIELD_MAP, AT(type, match_labels), .key_format = &format_label_key}

static const struct field deployment_selector_fields[] = {MATCH_LABELS(deployment),
                                                          IGNORED("matchExpressions"), FIELDS_END};

static const struct field deployment_spec_fields[] = {
    {"replicas", FIELD_INT, AT(deployment, replicas), .min = 0, .max = INT32_MAX, .initial = "1"},
    SELECTOR(deployment, deployment_selector_fields),
    TEMPLATE(deployment),
    IGNORED("minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit strategy"),
    FIELDS_END,
};

const struct field deployment_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = deployment_spec_fields},
    IGNORED("status"),
    FIELDS_END,
};

static const struct field stateful_set_selector_fields[] = {
    MATCH_LABELS(stateful_set), IGNORED("matchExpressions"), FIELDS_END};

static const struct field stateful_set_spec_fields[] = {
    {"replicas", FIELD_INT, AT(stateful_set, replicas), .min = 0, .max = INT32_MAX, .initial = "1"},
    {"serviceName", FIELD_STRING, AT(stateful_set, service_name)},
    SELECTOR(stateful_set, stateful_set_selector_fields),
    TEMPLATE(stateful_set),
    IGNORED("minReadySeconds ordinals persistentVolumeClaimRetentionPolicy podManagementPolicy "
            "revisionHistoryLimit updateStrategy volumeClaimTemplates"),
    FIELDS_END,
};

const struct field stateful_set_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = stateful_set_spec_fields},
    IGNORED("status"),
    FIELDS_END,
};

static const struct field job_spec_fields[] = {
    {"parallelism", FIELD_INT, AT(job, parallelism), .min = 0, .max = INT32_MAX, .initial = "1"},
    {"completions", FIELD_INT, AT(job, completions), .min = 0, .max = INT32_MAX, .initial = "1"},
    {"backoffLimit", FIELD_INT, AT(job, backoff_limit), .min = 0, .max = INT32_MAX, .initial = "6"},
    TEMPLATE(job),
    IGNORED("activeDeadlineSeconds backoffLimitPerIndex completionMode managedBy manualSelector "
            "maxFailedIndexes podFailurePolicy podReplacementPolicy scheduling selector "
            "successPolicy suspend ttlSecondsAfterFinished"),
    FIELDS_END,
};

const struct field job_fields[] = {
    DOCUMENT_HEAD,
    {"spec", FIELD_STRUCT, 0, FIELD_REQUIRED, .fields = job_spec_fields},
    IGNORED("status"),
    FIELDS_END,
};
