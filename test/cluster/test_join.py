"""Namespaces join and leave; pods get their sidecars when they are made, and only there."""
import pytest

import manifests as m
from conftest import pods_go_with_their_test
from kubectl import eventually
from mesh import Caller, containers, is_injected
from test_injection import dry

INJECTION = "openservicemesh.io/sidecar-injection"
EXCLUSION = "openservicemesh.io/outbound-port-exclusion-list"


@pytest.fixture
def joined(joined, kubectl, request):
    yield from pods_go_with_their_test(joined, kubectl, request)


def get_pod(kubectl, namespace, name):
    return kubectl.json("-n", namespace, "get", "pod", name)


def test_pods_of_a_joined_namespace_get_a_sidecar(kubectl, joined):
    ns = joined("joined")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    pod = get_pod(kubectl, ns, "client")
    init, apps = containers(pod)
    # Native sidecars: the API server has them, and the mode is "auto".
    assert init[:2] == ["envoy", "osm-init"] and apps == ["app"]
    uuid = pod["metadata"]["labels"]["osm-proxy-uuid"]
    secret = f"envoy-bootstrap-config-{uuid}"
    found = eventually(lambda: kubectl.json("-n", ns, "get", "secret", secret)["metadata"].get(
        "ownerReferences"))
    assert [(o["kind"], o["uid"]) for o in found] == [("Pod", pod["metadata"]["uid"])]
    kubectl("-n", ns, "delete", "pod", "client")
    eventually(lambda: kubectl.try_("-n", ns, "get", "secret", secret).returncode != 0)


def test_pods_of_another_namespace_are_untouched(kubectl, mesh, new_namespace):
    ns = new_namespace("elsewhere")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    pod = get_pod(kubectl, ns, "client")
    assert containers(pod) == ([], ["app"])
    assert pod["metadata"]["labels"] == {"app": "client"}
    assert not kubectl.items("-n", ns, "secrets")


def test_joining_leaves_running_pods_alone(kubectl, mesh, new_namespace):
    ns = new_namespace("late")
    kubectl.apply(*m.httpbin(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin")
    mesh.join(ns)
    assert not any(map(is_injected, kubectl.items("-n", ns, "pods")))
    kubectl("-n", ns, "rollout", "restart", "deployment/httpbin")
    kubectl.ready(ns, "deployment/httpbin")
    pods = [p for p in kubectl.items("-n", ns, "pods") if not p["metadata"].get("deletionTimestamp")]
    assert pods and all(map(is_injected, pods))


def test_who_decides_about_injection(kubectl, joined):
    ns = joined("choosy", "--disable-sidecar-injection")
    yes = m.client("yes")
    yes["metadata"]["annotations"] = {INJECTION: "enabled"}
    host = m.client("host", hostNetwork=True)
    host["metadata"]["annotations"] = {INJECTION: "enabled"}
    kubectl.apply(m.client("no"), yes, host, namespace=ns)
    kubectl.ready(ns, "pod/no", "pod/yes", "pod/host")
    injected = {p["metadata"]["name"] for p in kubectl.items("-n", ns, "pods") if is_injected(p)}
    assert injected == {"yes"}


def test_annotations_that_cant_be_understood_refuse_the_pod(kubectl, joined):
    ns = joined("strict")
    for annotation, value in ((INJECTION, "maybe"), (EXCLUSION, "80,http"), (EXCLUSION, "$(reboot)")):
        pod = m.client("bad")
        pod["metadata"]["annotations"] = {annotation: value}
        said = kubectl.refused(pod, namespace=ns)
        assert annotation in said and value.split(",")[-1] in said
    assert not kubectl.items("-n", ns, "pods")


def test_leaving(kubectl, mesh, joined):
    """Pods made after their namespace left have no sidecar, and are called as any other."""
    ns = joined("leaving")
    kubectl.apply(*m.httpbin(), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    Caller(kubectl, ns, "client").gets("http://httpbin/get", 200)
    said = mesh.osm("namespace", "remove", ns).stdout
    assert f"Namespace [{ns}] successfully removed from mesh [osm]" in said
    assert "2 of its pods still run with a sidecar, which keeps what it has until its" in said
    # The API server's admission hears of the label that is gone in its own time.
    eventually(lambda: not is_injected(dry(kubectl, ns, m.client("look"))[0]))
    found = kubectl.json("get", "namespace", ns)["metadata"]
    assert not any("openservicemesh.io" in key for key in
                   [*found.get("labels", {}), *found.get("annotations", {})])
    kubectl("-n", ns, "rollout", "restart", "deployment/httpbin")
    kubectl("-n", ns, "delete", "pod", "client")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    assert containers(get_pod(kubectl, ns, "client")) == ([], ["app"])
    Caller(kubectl, ns, "client").gets("http://httpbin/get", 200)


def test_namespaces_are_listed(mesh, joined):
    ns = joined("listed")
    line = next(x for x in mesh.osm("namespace", "list").stdout.splitlines() if ns in x)
    assert line.split() == [ns, "osm", "enabled"]
