"""Objects for the API server, as kubectl reads them. No pod ever runs there."""
import datetime
import json


def namespace(name, mesh=None, **labels):
    if mesh:
        labels["openservicemesh.io/monitored-by"] = mesh
    return f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {labels}}}
"""


def account(namespace, name):
    return f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
"""


def lease(holder):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"""
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {{name: osm-controller, namespace: osm-system}}
spec: {{holderIdentity: {holder}, leaseDurationSeconds: 3600, renewTime: "{now}"}}
"""


def controller(namespace, mesh, enforce=True, version="v0.1.0", args=()):
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata:
  name: osm-controller
  namespace: {namespace}
  labels:
    app: osm-controller
    meshName: {mesh}
    app.kubernetes.io/version: {version}
    {'enforceSingleMesh: "true"' if enforce else ""}
spec:
  selector: {{matchLabels: {{app: osm-controller}}}}
  template:
    metadata: {{labels: {{app: osm-controller}}}}
    spec: {{containers: [{{name: osm-controller, image: none, args: {list(args)}}}]}}
"""


def pod(namespace, name, account="default", uuid=None, app=None, annotations=None, more="",
        container="app"):
    labels = {**({"osm-proxy-uuid": uuid} if uuid else {}), **({"app": app} if app else {})}
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {labels}, annotations: {annotations or {}}}}
spec: {{serviceAccountName: {account}, automountServiceAccountToken: false, {more}
       containers: [{{name: {container}, image: none}}]}}
"""


BUYER = "11111111-1111-4111-8111-111111111111"
STORE = "21111111-1111-4111-8111-111111111111"


def bookstore():
    """A mesh with a caller and a called, in SMI mode, and no policy."""
    return "---".join([
        namespace("osm-system"), namespace("bookbuyer", "osm"), namespace("bookstore", "osm"),
        controller("osm-system", "osm"), account("bookbuyer", "bookbuyer"),
        account("bookstore", "bookstore"), pod("bookbuyer", "buyer", "bookbuyer", BUYER),
        pod("bookstore", "store", "bookstore", STORE, "bookstore"), """
apiVersion: v1
kind: Service
metadata: {name: bookstore, namespace: bookstore}
spec: {selector: {app: bookstore}, ports: [{port: 80, name: http}]}
"""])


POLICY = """
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: bookstore}
spec:
  matches:
  - {name: buy, pathRegex: "/buy.*", methods: [GET, POST], headers: [{user-agent: "curl.*"}]}
  - {name: anything}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: tcp, namespace: bookstore}
spec: {matches: {ports: [81, 82]}}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: buyers, namespace: bookstore}
spec:
  destination: {kind: ServiceAccount, name: bookstore, namespace: bookstore}
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
  rules:
  - {kind: HTTPRouteGroup, name: routes, matches: [buy, anything]}
  - {kind: TCPRoute, name: tcp}
"""


def mesh_config(permissive, egress=False):
    return f"""
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {{name: osm-mesh-config, namespace: osm-system}}
spec:
  traffic: {{enablePermissiveTrafficPolicyMode: {str(permissive).lower()},
            enableEgress: {str(egress).lower()}}}
  certificate: {{serviceCertValidityDuration: 24h, certKeyBitSize: 2048}}
"""


def ingress_backend(name, service, port):
    return f"""
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {{name: {name}, namespace: bookstore}}
spec:
  backends: [{{name: {service}, port: {{number: {port}, protocol: http}}}}]
  sources: [{{kind: IPRange, name: 10.0.0.0/8}}]
"""


def nobody_may(*rules):
    """rules: (resources, verbs)"""
    rules = "".join(f"\n- {{apiGroups: ['', apps], resources: [{resources}], verbs: [{verbs}]}}"
                    for resources, verbs in rules)
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: nobody-views}}
rules:{rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: nobody-views}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nobody-views}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}}]
"""


def secret(namespace, name, labels={}):
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}, labels: {json.dumps(labels)}}}
"""


def made(namespace, name, mesh="osm"):
    """A Secret as the control plane makes its root's."""
    return secret(namespace, name, {"app.kubernetes.io/name": "openservicemesh.io",
                                    "app.kubernetes.io/instance": mesh})


def gateway(namespace, mesh="osm"):
    return secret(namespace, f"gateway-of-{mesh}", {"openservicemesh.io/ingress-gateway": mesh})


def release(namespace, name):
    """What `osm` sees of a release of helm's."""
    return secret(namespace, f"sh.helm.release.v1.{name}.v1",
                  {"owner": "helm", "name": name, "status": "deployed", "version": "1"})
