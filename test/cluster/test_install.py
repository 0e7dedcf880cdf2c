"""Installing, upgrading, uninstalling; and what each says when it can't."""
import json

import pytest

import manifests as m
from kubectl import eventually
from mesh import CONTROL_PLANE, NAMESPACE, Caller, is_injected

# What a cluster makes and drops by itself.
VOLATILE = ("events", "events.events.k8s.io", "leases.coordination.k8s.io",
            "componentstatuses", "clustertrustbundles.certificates.k8s.io")


def all_objects(kubectl):
    """Every object of the cluster: (kind, namespace, name)."""
    kinds = [k for k in kubectl("api-resources", "--verbs=list", "-o", "name").split()
             if k not in VOLATILE]
    columns = "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name"
    listed = kubectl("get", "-A", "-o", columns, "--no-headers", ",".join(kinds))
    return {tuple(line.split()) for line in listed.splitlines()}


@pytest.fixture
def no_mesh(uninstalled_mesh, kubectl):
    """The mesh, not installed, and nothing of an earlier one."""
    if uninstalled_mesh.is_installed():
        uninstalled_mesh.uninstall()
    kubectl("delete", "crd", "-l", "app.kubernetes.io/name=openservicemesh.io", "--timeout=300s")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s")
    return uninstalled_mesh


def is_calm(mesh, kubectl):
    """A fresh mesh finds nothing wrong with itself, and what it waited for is said to have come."""
    (root,) = kubectl.items("-n", NAMESPACE, "meshrootcertificates")
    eventually(lambda: "\n  ok    nothing is wrong with the mesh's objects\n"
               in mesh.osm("check", check=False).stdout)
    assert [e["message"] for e in kubectl.items("-n", NAMESPACE, "events")
            if e["involvedObject"]["name"] == root["metadata"]["name"]] == []

    def kinds(state):
        lines = [json.loads(line) for line in mesh.logs("osm-controller").splitlines()]
        return {x["kind"] for x in lines if x.get("state") == state}
    eventually(lambda: kinds("missing") <= kinds("live"))


def use(mesh, kubectl, ns):
    """A pod with a sidecar, and an ingress gateway's certificate: each has a Secret."""
    mesh.join(ns)
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    assert is_injected(kubectl.json("-n", ns, "get", "pod", "client"))
    mesh.configure({"certificate": {"ingressGateway": {
        "subjectAltNames": ["gateway.edge.cluster.local"], "validityDuration": "24h",
        "secret": {"name": "gateway-certificate", "namespace": ns}}}})
    kubectl.eventually("get", "-n", ns, "secret", "gateway-certificate")


def test_nothing_is_left_behind(no_mesh, kubectl, new_namespace):
    mesh, ns = no_mesh, new_namespace("uses")
    kubectl.eventually("get", "-n", ns, "configmap", "kube-root-ca.crt")
    # Kinds that have just gone may still be listed for a moment.
    before = eventually(lambda: all_objects(kubectl))
    said = mesh.install().stdout
    assert f"installed successfully in namespace [{NAMESPACE}] with mesh name [osm]" in said
    for name in CONTROL_PLANE:
        status = kubectl.json("-n", NAMESPACE, "get", "deployment", name)["status"]
        assert status["readyReplicas"] == status["replicas"]
    added = eventually(lambda: all_objects(kubectl)) - before
    assert ("CustomResourceDefinition", "<none>", "traffictargets.access.smi-spec.io") in added
    assert ("Secret", NAMESPACE, "osm-ca-bundle") in added
    is_calm(mesh, kubectl)
    use(mesh, kubectl, ns)
    mesh.uninstall("--delete-cluster-wide-resources", "--delete-namespace")
    kubectl("-n", ns, "delete", "pod", "client", "--now")
    eventually(lambda: all_objects(kubectl) - before == set())


def test_uninstalling_keeps_policies(no_mesh, kubectl, new_namespace):
    """Without being told to, an uninstall leaves users' objects; a new install takes them up."""
    no_mesh.install()
    ns = new_namespace("keeps")
    no_mesh.join(ns)
    kubectl.apply({"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "TCPRoute",
                   "metadata": {"name": "mine", "namespace": ns},
                   "spec": {"matches": {"ports": [1]}}})
    no_mesh.uninstall()
    assert kubectl.json("-n", ns, "get", "tcproute", "mine")
    labels = kubectl.json("get", "namespace", ns)["metadata"]["labels"]
    assert "openservicemesh.io/monitored-by" not in labels
    # Nobody is asked any more, so pods can be made.
    eventually(lambda: kubectl.apply(m.client(), namespace=ns))
    no_mesh.install()
    assert kubectl.json("-n", ns, "get", "tcproute", "mine")


def test_upgrade_leaves_traffic_alone(mesh, kubectl, joined):
    ns = joined("upgraded")
    kubectl.apply(*m.httpbin(), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    client = Caller(kubectl, ns, "client")
    client.gets("http://httpbin/get", 200)
    mesh.configure({"sidecar": {"logLevel": "info"}})
    mesh.osm("mesh", "upgrade", "--set", "osm.osmController.replicaCount=2")
    mesh.comes_to("osm-controller", 2)
    assert client.get("http://httpbin/get")[0] == 200
    assert mesh.config()["sidecar"]["logLevel"] == "info"
    kubectl.apply(m.client("later"), namespace=ns)
    kubectl.ready(ns, "pod/later")
    assert is_injected(kubectl.json("-n", ns, "get", "pod", "later"))
    Caller(kubectl, ns, "later").gets("http://httpbin/get", 200)
    # Other tests count on one.
    mesh.osm("mesh", "upgrade", "--set", "osm.osmController.replicaCount=1")
    mesh.comes_to("osm-controller", 1)


def refuses(done):
    """A failed command says why in its last line, which is a sentence of one line."""
    assert done.returncode == 1 and done.stderr.strip()
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) <= 3
    return done.stderr


def test_a_second_install_is_refused(mesh, kubectl):
    before = kubectl.items("-n", NAMESPACE, "deployments")
    said = refuses(mesh.osm("install", check=False))
    assert "osm" in said and NAMESPACE in said
    generations = [d["metadata"]["generation"] for d in before]
    after = kubectl.items("-n", NAMESPACE, "deployments")
    assert [d["metadata"]["generation"] for d in after] == generations


def test_a_second_mesh_is_refused(mesh, kubectl):
    said = refuses(mesh.osm("install", "--mesh-name", "other", "--osm-namespace", "other",
                            check=False))
    assert "osm" in said
    assert kubectl.try_("get", "deployment", "-n", "other", "osm-controller").returncode != 0
