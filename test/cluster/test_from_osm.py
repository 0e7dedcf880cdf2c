"""A release of Open Service Mesh's own chart becomes one of ours by an upgrade in place."""
import base64
import json
import subprocess

import pytest
import yaml

from mesh import CONTROL_PLANE, NAMESPACE
from test_chart import CHART, HELM

LABELS = {"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm",
          "app.kubernetes.io/version": "v1.2.4"}
PORTS = {"osm-controller": [15128, 9092, 9091], "osm-validator": [9093], "osm-injector": [9090],
         "osm-bootstrap": [9443, 9091]}
# As its users have them, with what they changed and with fields that have no effect any more.
MESH_CONFIG = {
    "sidecar": {"enablePrivilegedInitContainer": False, "logLevel": "error",
                "maxDataPlaneConnections": 0, "configResyncInterval": "0s",
                "localProxyMode": "Localhost"},
    "traffic": {"enableEgress": False, "enablePermissiveTrafficPolicyMode": False,
                "outboundPortExclusionList": [6379], "inboundPortExclusionList": []},
    "observability": {"enableDebugServer": True, "osmLogLevel": "info",
                      "tracing": {"enable": False}},
    "certificate": {"serviceCertValidityDuration": "12h", "certKeyBitSize": 2048},
    "featureFlags": {"enableWASMStats": True, "enableEgressPolicy": True,
                     "enableAsyncProxyServiceMapping": False, "enableRetryPolicy": False},
}


def labelled(kind, name, api="v1", **more):
    return {"apiVersion": api, "kind": kind, "metadata": {
        "name": name, "namespace": NAMESPACE, "labels": LABELS}, **more}


def deployment(name):
    """With its selector, its labels, its one account, and the container that waited."""
    container = {"image": "test/pause:1", "imagePullPolicy": "IfNotPresent"}
    labels = {**LABELS, "app": name}
    d = labelled("Deployment", name, "apps/v1", spec={
        "replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": labels}, "spec": {
            "serviceAccountName": "osm", "priorityClassName": "system-node-critical",
            "securityContext": {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000},
            "containers": [{"name": name, **container, "ports": [
                {"name": f"port-{p}", "containerPort": p} for p in PORTS[name]]}]}}})
    d["metadata"]["labels"] = {**labels, "meshName": "osm", "enforceSingleMesh": "true"}
    return d


def service(name):
    return labelled("Service", name, spec={
        "selector": {"app": name.replace("validator", "controller")},
        "ports": [{"name": f"port-{p}", "port": p, "targetPort": p} for p in PORTS[name]]})


def objects():
    """What its chart 1.2 made, as far as ours makes it too, or doesn't any more."""
    for name in CONTROL_PLANE:
        yield deployment(name)
    for name in PORTS:
        yield service(name)
    yield labelled("ServiceAccount", "osm")
    yield labelled("ConfigMap", "preset-mesh-config", data={
        "preset-mesh-config.json": json.dumps(MESH_CONFIG)})
    yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
           "metadata": {"name": "osm"},
           "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
           "metadata": {"name": "osm"},
           "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "osm"},
           "subjects": [{"kind": "ServiceAccount", "name": "osm", "namespace": NAMESPACE}]}


def definition():
    """Of MeshConfig, with anything in it; the one that converted named a webhook."""
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "meshconfigs.config.openservicemesh.io", "labels": LABELS},
            "spec": {"group": "config.openservicemesh.io", "scope": "Namespaced",
                     "names": {"kind": "MeshConfig", "plural": "meshconfigs",
                               "singular": "meshconfig", "listKind": "MeshConfigList"},
                     "versions": [{"name": "v1alpha2", "served": True, "storage": True, "schema": {
                         "openAPIV3Schema": {"type": "object",
                                             "x-kubernetes-preserve-unknown-fields": True}}}]}}


def root(tmp_path):
    """A root certificate as it made them: RSA, in the keys that ours reads."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
                    "-subj", "/C=US/L=CA/O=Open Service Mesh/CN=osm-ca.openservicemesh.io",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                    "-keyout", tmp_path / "key", "-out", tmp_path / "crt"],
                   check=True, capture_output=True)
    data = {"ca.crt": "crt", "private.key": "key"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "osm-ca-bundle", "namespace": NAMESPACE,
        "labels": {k: v for k, v in LABELS.items() if not k.endswith("instance")}},
        "data": {k: base64.b64encode((tmp_path / f).read_bytes()).decode() for k, f in data.items()}}


def remove(mesh, kubectl):
    mesh.uninstall("--delete-cluster-wide-resources", "--delete-namespace")
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=300s")


@pytest.fixture
def release(uninstalled_mesh, kubectl, tmp_path):
    """An installed release of that chart, with what its daemons had made."""
    mesh = uninstalled_mesh
    if mesh.is_installed():
        remove(mesh, kubectl)
    chart = tmp_path / "osm"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: osm\nversion: 1.2.4\n")
    (chart / "templates/all.yaml").write_text("---\n".join(map(yaml.safe_dump, objects())))
    helm(mesh, "install", "osm", chart, "-n", NAMESPACE, "--create-namespace", "--wait")
    kubectl.apply(definition(), root(tmp_path))
    kubectl("wait", "--for=condition=Established", "--timeout=180s",
            "crd/meshconfigs.config.openservicemesh.io")
    # The server may serve a new kind a moment after it said so.
    kubectl.eventually("get", "meshconfigs", "-A")
    kubectl.apply(labelled("MeshConfig", "osm-mesh-config", "config.openservicemesh.io/v1alpha2",
                           spec=MESH_CONFIG))
    yield mesh
    remove(mesh, kubectl)


def helm(mesh, *arguments):
    done = mesh.cluster.net(HELM, *arguments, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def includes(found, wanted):
    """Whether all that was set is as it was; new fields have their defaults beside it."""
    if isinstance(wanted, dict):
        return all(includes(found.get(key), value) for key, value in wanted.items())
    return found == wanted


def test_upgrade_in_place(release, kubectl):
    before = {name: kubectl.json("-n", NAMESPACE, "get", "deployment", name)["metadata"]["uid"]
              for name in CONTROL_PLANE}
    ca = kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")["data"]
    helm(release, "upgrade", "osm", CHART, "-n", NAMESPACE, "--reset-values", "--wait", "--timeout",
         "4m")
    for name in CONTROL_PLANE:
        found = kubectl.json("-n", NAMESPACE, "get", "deployment", name)
        assert found["metadata"]["uid"] == before[name]
        spec = found["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == name and "pause" not in spec["containers"][0]["image"]
        assert "runAsUser" not in spec["securityContext"]
    ports = [p["port"] for p in kubectl.json("-n", NAMESPACE, "get", "service",
                                             "osm-controller")["spec"]["ports"]]
    assert ports == [15128, 9091]
    assert includes(release.config(), MESH_CONFIG)
    assert kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")["data"] == ca
    for gone in ("clusterrole/osm", "clusterrolebinding/osm", "serviceaccount/osm"):
        assert kubectl.try_("-n", NAMESPACE, "get", gone).returncode != 0


def test_what_was_set_for_it_is_refused_with_the_reason(release, kubectl):
    """--reuse-values brings all of the old chart's values; none is lost silently."""
    done = release.cluster.net(HELM, "upgrade", "osm", CHART, "-n", NAMESPACE, "--reset-values",
                               "--set", "osm.deployJaeger=true", text=True, capture_output=True)
    assert done.returncode != 0 and "osm.deployJaeger: sidecars don't report traces" in done.stderr
    assert kubectl.json("-n", NAMESPACE, "get", "deployment", "osm-controller")[
        "spec"]["template"]["spec"]["serviceAccountName"] == "osm"
