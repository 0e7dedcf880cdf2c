"""What breaks around the mesh does not break the mesh; what it can't do meanwhile, it says."""
import contextlib
import json
import sys

import pytest

import manifests as m
from kubectl import eventually
from mesh import NAMESPACE, Caller, route_group, traffic_target

ETCD_PORT = 2379
# Talks to etcd's JSON gateway, from within the cluster's network.
ETCD_CALL = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:%d" + sys.argv[1], sys.argv[2].encode())
print(urllib.request.urlopen(request, timeout=10).read().decode())
""" % ETCD_PORT


@pytest.fixture(scope="module")
def pair(kubectl, joined):
    """A client and httpbin in the mesh, calls go through."""
    ns = joined("pair")
    kubectl.apply(m.account("client"), m.account("httpbin"), *m.httpbin(account="httpbin"),
                  m.client(serviceAccountName="client"), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    client = Caller(kubectl, ns, "client")
    client.gets("http://httpbin/get", 200)
    return client


def policy_works(pair, mesh):
    """A change of policy reaches the proxies: calls are denied, then allowed."""
    ns, kubectl = pair.namespace, pair.kubectl
    with mesh.smi_mode():
        pair.is_refused("http://httpbin/get")
        kubectl.apply(
            route_group("routes", ns, {"name": "all", "pathRegex": ".*", "methods": ["*"]}),
            traffic_target("allow", ns, (ns, "client"), "httpbin",
                           {"kind": "HTTPRouteGroup", "name": "routes", "matches": ["all"]}))
        pair.gets("http://httpbin/get", 200)
        kubectl("-n", ns, "delete", "traffictarget/allow", "httproutegroup/routes")
    pair.gets("http://httpbin/get", 200)


@contextlib.contextmanager
def scaled_down(mesh, name):
    mesh.scale(name, 0)
    try:
        yield
    finally:
        mesh.scale(name, 1)


def test_injector_down(pair, kubectl, mesh, new_namespace):
    """No pod of the mesh is made without a sidecar; others are made, and those that run go on."""
    free = new_namespace("free")
    with scaled_down(mesh, "osm-injector"):
        said = kubectl.refused(m.client("late"), namespace=pair.namespace)
        assert "failed calling webhook" in said and "osm-inject" in said
        kubectl.apply(m.client(), namespace=free)
        assert pair.get("http://httpbin/get")[0] == 200
    kubectl.apply(m.client("late"), namespace=pair.namespace)
    kubectl.ready(pair.namespace, "pod/late")


def test_controller_down(pair, kubectl, mesh):
    """Proxies go on with what they have; policy that can't be judged isn't stored."""
    target = traffic_target("x", pair.namespace, (pair.namespace, "client"), "httpbin",
                            {"kind": "HTTPRouteGroup", "name": "x"})
    with scaled_down(mesh, "osm-controller"):
        said = kubectl.refused(target)
        assert "failed calling webhook" in said and "osm-validator" in said
        for _ in range(10):
            assert pair.get("http://httpbin/get")[0] == 200
    policy_works(pair, mesh)


@contextlib.contextmanager
def stopped(cluster, name, program):
    """A program of the node stays away while the context lasts."""
    mark = cluster.root / "stopped" / name
    mark.touch()
    cluster.node("pkill", "-9", "-x", program[:15], check=True)
    try:
        yield
    finally:
        mark.unlink()


def restarts(kubectl):
    """How often each container of the control plane was started again; pods that end aren't it."""
    return {(p["metadata"]["name"], c["name"]): c["restartCount"]
            for p in kubectl.items("-n", NAMESPACE, "pods")
            if "deletionTimestamp" not in p["metadata"]
            for c in p["status"].get("containerStatuses", [])}


def api_is_back(kubectl):
    """Definitions' kinds are served a moment after the server says that it is ready."""
    kubectl.eventually("get", "--raw", "/readyz")
    for kind in ("meshconfigs", "httproutegroups", "traffictargets"):
        kubectl.eventually("get", kind, "-A")


def test_api_server_down_and_back(pair, cluster, kubectl, mesh):
    before = restarts(kubectl)
    with stopped(cluster, "apiserver", "kube-apiserver"):
        with pytest.raises(AssertionError):
            kubectl("get", "nodes")
        # exec needs the API server; the node doesn't.
        eventually(lambda: node_call(cluster, pair) == 200)
    api_is_back(kubectl)
    policy_works(pair, mesh)
    assert restarts(kubectl) == before


def node_call(cluster, pair):
    """A call made in the client's container by way of the node; its status code."""
    listed = cluster.node("ctr", "tasks", "ls", text=True, capture_output=True, check=True).stdout
    for line in listed.splitlines()[1:]:
        pid = line.split()[1]
        name = cluster.node("nsenter", "-t", pid, "-u", "hostname", text=True,
                            capture_output=True).stdout.strip()
        words = cluster.node("cat", f"/proc/{pid}/cmdline", text=True, capture_output=True).stdout
        if name == pair.pod and words.startswith("sleep"):
            done = cluster.node("nsenter", "-t", pid, "-n", "-m", "curl", "-sS", "-o", "/dev/null",
                                "-m", "10", "-w", "%{http_code}", "http://httpbin/get", text=True,
                                capture_output=True)
            assert done.returncode == 0, done.stderr
            return int(done.stdout)
    raise AssertionError(f"no container of {pair.pod} in\n{listed}")


def etcd(cluster, path, body):
    done = cluster.net(sys.executable, "-c", ETCD_CALL, path, json.dumps(body), text=True,
                       capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_etcd_compacted(pair, cluster, kubectl, mesh):
    """Watches can't be resumed where they were (410 Gone), so all is listed again."""
    before = restarts(kubectl)
    with stopped(cluster, "apiserver", "kube-apiserver"):
        revision = etcd(cluster, "/v3/kv/range", {"key": "Lw=="})["header"]["revision"]
        etcd(cluster, "/v3/kv/compaction", {"revision": revision, "physical": True})
    api_is_back(kubectl)
    # More changes than a server keeps in mind of before it was started.
    policy_works(pair, mesh)
    assert restarts(kubectl) == before


def test_watches_that_break(pair, cluster, kubectl, mesh):
    """The controller's connections are cut again and again while objects come and go."""
    pod = kubectl.items("-n", NAMESPACE, "pods", "-l", "app=osm-controller")[0]
    rule = ["INPUT", "-s", pod["status"]["podIP"], "-p", "tcp", "--dport", "6443", "-j", "REJECT",
            "--reject-with", "tcp-reset"]
    for i in range(5):
        cluster.node("iptables", "-I", *rule, check=True)
        kubectl.apply(*(route_group(f"noise-{n}", pair.namespace, {
            "name": "x", "pathRegex": f"/{i}", "methods": ["GET"]}) for n in range(20)))
        cluster.node("iptables", "-D", *rule, check=True)
        kubectl.apply(*(route_group(f"noise-{n}", pair.namespace, {
            "name": "x", "pathRegex": f"/again-{i}", "methods": ["GET"]}) for n in range(20)))
    policy_works(pair, mesh)
