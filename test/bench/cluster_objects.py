"""The objects of a cluster full of meshed pods, as the API server has them when all runs: with the
sidecar in, with status, and with the bookkeeping of their managers, which is half of their bytes."""
import json
import uuid

PODS_OF_A_SERVICE = 10
NAMESPACES = 10
TIME = "2026-01-02T03:04:05Z"
DIGEST = "sha256:" + 8 * "0123abcd"


def managed(manager, value, subresource=None):
    """Who set which field: the server writes it for every object."""
    def fields(x):
        if isinstance(x, dict):
            return {f"f:{k}": fields(v) for k, v in x.items()}
        if isinstance(x, list) and x and isinstance(x[0], dict) and "name" in x[0]:
            return {f'k:{{"name":"{y["name"]}"}}': {".": {}, **fields(y)} for y in x}
        return {}

    entry = {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": TIME,
             "fieldsType": "FieldsV1", "fieldsV1": fields(value)}
    return {**entry, "subresource": subresource} if subresource else entry


def id_of(what, i):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{what}/{i}"))


def namespace_of(service):
    return f"shop-{service % NAMESPACES}"


def address_of(pod):
    return f"10.{64 + pod // 62500}.{pod // 250 % 250}.{pod % 250 + 1}"


def head(version, kind, name, i, **metadata):
    return {"apiVersion": version, "kind": kind,
            "metadata": {"name": name, "uid": id_of(kind, i), "creationTimestamp": TIME, **metadata}}


def namespace(i):
    name = f"shop-{i}"
    labels = {"kubernetes.io/metadata.name": name, "openservicemesh.io/monitored-by": "osm"}
    return name, {**head("v1", "Namespace", name, i, labels=labels),
                  "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def account(i):
    return {**head("v1", "ServiceAccount", f"app-{i}", i, namespace=namespace_of(i))}


def service(i):
    address = f"10.96.{i // 250 + 1}.{i % 250 + 1}"
    spec = {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "type": "ClusterIP",
            "sessionAffinity": "None", "selector": {"app": f"app-{i}"},
            "ports": [{"name": "http", "port": 14001, "protocol": "TCP", "targetPort": "web"}]}
    return {**head("v1", "Service", f"app-{i}", i, namespace=namespace_of(i),
                   labels={"app": f"app-{i}"}, managedFields=[managed("kubectl", {"spec": spec})]),
            "spec": spec, "status": {"loadBalancer": {}}}


def pod_name(service_number, pod_number):
    return f"app-{service_number}-7d4b9c6f8d-{pod_number:05x}"


def slice_(i):
    pods = range(i * PODS_OF_A_SERVICE, (i + 1) * PODS_OF_A_SERVICE)
    endpoints = [{"addresses": [address_of(p)], "nodeName": f"node-{p % 100}",
                  "conditions": {"ready": True, "serving": True, "terminating": False},
                  "targetRef": {"kind": "Pod", "namespace": namespace_of(i), "name": pod_name(i, p),
                                "uid": id_of("Pod", p)}} for p in pods]
    body = {"addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 14001, "protocol": "TCP"}]}
    labels = {"app": f"app-{i}", "kubernetes.io/service-name": f"app-{i}",
              "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    owner = {"apiVersion": "v1", "kind": "Service", "name": f"app-{i}", "uid": id_of("Service", i),
             "controller": True, "blockOwnerDeletion": True}
    return {**head("discovery.k8s.io/v1", "EndpointSlice", f"app-{i}-x7k2p", i,
                   namespace=namespace_of(i), labels=labels, ownerReferences=[owner],
                   generateName=f"app-{i}-",
                   managedFields=[managed("kube-controller-manager", body)]), **body}


COMMON = {"resources": {}, "terminationMessagePath": "/dev/termination-log",
          "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}
PROBES = json.dumps([{"probe": "readiness", "container": "app", "scheme": "HTTP", "port": 14001,
                      "path": "/health", "timeoutSeconds": 1}], separators=(",", ":"))
EXCLUDED = (15010, 15901, 15902, 15903, 15904, 15905)
# As long as what osm-init is given: the rules, and the wait until the sidecar serves.
RULES = "\n".join((
    "set -e", "iptables-restore --noflush <<EOF", "# OSM sidecar interception rules", "*nat",
    *(f":OSM_PROXY_{chain} - [0:0]" for chain in
      ("INBOUND", "IN_REDIRECT", "OUTBOUND", "OUT_REDIRECT")),
    "-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port 15003",
    *(f"-A OSM_PROXY_INBOUND -p tcp --dport {port} -j RETURN" for port in EXCLUDED),
    "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT",
    "-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-port 15001",
    "-A OSM_PROXY_OUT_REDIRECT -p tcp --dport 15000 -j ACCEPT",
    "-A OSM_PROXY_OUTBOUND -o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1500 -j OSM_PROXY_IN_REDIRECT",
    "-A OSM_PROXY_OUTBOUND -o lo -m owner ! --uid-owner 1500 -j RETURN",
    "-A OSM_PROXY_OUTBOUND -m owner --uid-owner 1500 -j RETURN",
    "-A OSM_PROXY_OUTBOUND -d 127.0.0.1/32 -j RETURN",
    "-A OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT", "COMMIT", "EOF",
    *(f"iptables -t nat -C {chain} -p tcp --syn -j {to} 2>/dev/null || "
      f"iptables -t nat -A {chain} -p tcp --syn -j {to}"
      for chain, to in (("PREROUTING", "OSM_PROXY_INBOUND"), ("OUTPUT", "OSM_PROXY_OUTBOUND"))),
    "tries=0", "until nc -w 1 127.0.0.1 15905 </dev/null >/dev/null 2>&1; do",
    "  tries=$((tries + 1))", "  if [ $tries -lt 100 ]; then sleep 0.05; continue; fi",
    "  [ $((tries % 60)) -ne 40 ] || echo '" + 180 * "x" + "'", "  sleep 1", "done", ""))


def application(i):
    probe = {"httpGet": {"path": "/osm-readiness-probe/app", "port": 15902, "scheme": "HTTP"},
             "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    mount = {"name": f"kube-api-access-{i:05x}", "readOnly": True,
             "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    return {"name": "app", "image": "openservicemesh/bookstore:v1", "command": ["/bookstore"],
            "args": ["--path", "./", "--port", "14001"], "readinessProbe": probe,
            "ports": [{"name": "web", "containerPort": 14001, "protocol": "TCP"}],
            "env": [{"name": "IDENTITY", "value": f"bookstore.{i}"},
                    {"name": "BOOKWAREHOUSE_NAMESPACE", "value": "bookwarehouse"}],
            "volumeMounts": [mount], **COMMON}


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def init():
    return {"name": "osm-init", "image": "openservicemesh/init:v1", "command": ["/bin/sh", "-c", RULES],
            "env": [field("POD_IP", "status.podIP")], **COMMON,
            "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
                                "privileged": False, "runAsUser": 0, "runAsNonRoot": False,
                                "allowPrivilegeEscalation": False,
                                "seccompProfile": {"type": "RuntimeDefault"}}}


def sidecar(account_name):
    ports = [("proxy-admin", 15000), ("proxy-inbound", 15003), ("proxy-metrics", 15010),
             ("readiness-port", 15902)]
    return {"name": "envoy", "image": "envoyproxy/envoy:distroless-v1.40.0", "command": ["envoy"],
            "args": ["--log-level", "error", "--config-path", "/etc/envoy/bootstrap.yaml",
                     "--drain-strategy", "immediate", "--service-cluster", account_name],
            "ports": [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports],
            "env": [field("POD_UID", "metadata.uid"), field("POD_NAME", "metadata.name"),
                    field("POD_NAMESPACE", "metadata.namespace"), field("POD_IP", "status.podIP"),
                    field("SERVICE_ACCOUNT", "spec.serviceAccountName")],
            "volumeMounts": [{"name": "envoy-bootstrap-config-volume", "readOnly": True,
                              "mountPath": "/etc/envoy"}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 15905, "scheme": "HTTP"},
                               "timeoutSeconds": 5, "periodSeconds": 5, "successThreshold": 1,
                               "failureThreshold": 12},
            **COMMON, "restartPolicy": "Always",
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"},
                          "requests": {"cpu": "100m", "memory": "64Mi"}},
            "securityContext": {"runAsUser": 1500, "runAsNonRoot": True,
                                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                                "seccompProfile": {"type": "RuntimeDefault"}}}


def pod_spec(i, proxy):
    name = f"app-{i // PODS_OF_A_SERVICE}"
    token = {"name": f"kube-api-access-{i:05x}", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}
    bootstrap = {"name": "envoy-bootstrap-config-volume",
                 "secret": {"secretName": f"envoy-bootstrap-config-{proxy}", "defaultMode": 420}}
    tolerations = [{"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300} for k in ("not-ready", "unreachable")]
    return {"volumes": [bootstrap, token], "initContainers": [sidecar(f"{name}.shop"), init()],
            "containers": [application(i)], "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": name, "serviceAccount": name, "nodeName": f"node-{i % 100}",
            "securityContext": {}, "schedulerName": "default-scheduler", "tolerations": tolerations,
            "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"}


def pod_status(i):
    def container(name, state=None):
        return {"name": name, "ready": True, "restartCount": 0, "started": not state, "image": name,
                "state": state or {"running": {"startedAt": TIME}}, "lastState": {},
                "imageID": DIGEST, "containerID": "containerd://" + DIGEST[7:]}

    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": TIME,
                            "finishedAt": TIME, "containerID": "containerd://" + DIGEST[7:]}}

    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    node = f"10.0.0.{i % 100 + 1}"
    return {"phase": "Running", "hostIP": node, "hostIPs": [{"ip": node}], "qosClass": "Burstable",
            "podIP": address_of(i), "podIPs": [{"ip": address_of(i)}], "startTime": TIME,
            "conditions": [{"type": t, "status": "True", "lastProbeTime": None,
                            "lastTransitionTime": TIME} for t in types],
            "initContainerStatuses": [container("envoy"), container("osm-init", ended)],
            "containerStatuses": [container("app")]}


def pod(i):
    of = i // PODS_OF_A_SERVICE
    proxy = id_of("proxy", i)
    spec, status = pod_spec(i, proxy), pod_status(i)
    metadata = {"labels": {"app": f"app-{of}", "pod-template-hash": "7d4b9c6f8d",
                           "osm-proxy-uuid": proxy},
                "annotations": {"kubectl.kubernetes.io/default-container": "app",
                                "openservicemesh.io/original-probes": PROBES,
                                "prometheus.io/port": "15010", "prometheus.io/scrape": "true",
                                "prometheus.io/path": "/stats/prometheus"}}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{of}-7d4b9c6f8d",
             "uid": id_of("ReplicaSet", of), "controller": True, "blockOwnerDeletion": True}
    managers = [managed("kube-controller-manager", {"metadata": metadata, "spec": spec}),
                managed("kubelet", {"status": status}, "status")]
    return {**head("v1", "Pod", pod_name(of, i), i, namespace=namespace_of(of), **metadata,
                   generateName=f"app-{of}-7d4b9c6f8d-", ownerReferences=[owner],
                   managedFields=managers),
            "spec": spec, "status": status}


def all_objects(pods):
    """(key in etcd, object) of so many pods and a tenth as many services."""
    for i in range(NAMESPACES):
        name, value = namespace(i)
        yield f"namespaces/{name}", value
    for i in range(pods // PODS_OF_A_SERVICE):
        for folder, value in (("serviceaccounts", account(i)), ("services/specs", service(i)),
                              ("endpointslices", slice_(i))):
            yield f"{folder}/{namespace_of(i)}/{value['metadata']['name']}", value
    for i in range(pods):
        value = pod(i)
        yield f"pods/{value['metadata']['namespace']}/{value['metadata']['name']}", value
