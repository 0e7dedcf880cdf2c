"""Every kind of workload runs in the mesh."""
import pytest

import manifests as m
from conftest import pods_go_with_their_test
from kubectl import eventually
from mesh import Caller, is_injected

CALL = ["curl", "-sSf", "-m", "10", "--retry", "0", "http://httpbin/get"]


@pytest.fixture
def joined(joined, kubectl, request):
    yield from pods_go_with_their_test(joined, kubectl, request)


def template(name, image, command=None, **spec):
    """A pod template."""
    made = m.pod(name, image, *(command or ()), **spec)
    return {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}


def test_deployments_roll_out(kubectl, joined):
    ns = joined("rolling")
    kubectl.apply(*m.httpbin(replicas=3), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    client = Caller(kubectl, ns, "client")
    client.gets("http://httpbin/get", 200)
    kubectl("-n", ns, "set", "env", "deployment/httpbin", "X=1")
    kubectl.ready(ns, "deployment/httpbin")
    client.gets("http://httpbin/get", 200)
    assert all(map(is_injected, kubectl.items("-n", ns, "pods")))


def test_stateful_sets_are_called_by_name(kubectl, joined):
    ns = joined("stateful")
    spec = {"serviceName": "web", "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": template("web", "test/httpbin:1")}
    kubectl.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"},
                   "spec": spec},
                  m.service("web", {"app": "web"}, {"name": "http", "port": 8080}, clusterIP="None"),
                  m.client(), namespace=ns)
    kubectl.ready(ns, "statefulset/web", "pod/client")
    client = Caller(kubectl, ns, "client")
    for name in ("web-0", "web-1"):
        body = client.gets(f"http://{name}.web.{ns}:8080/hostname", 200)
        assert f'"{name}"' in body
    client.gets("http://web:8080/get", 200)


def test_daemon_sets(kubectl, joined):
    ns = joined("daemons")
    kubectl.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
                   "spec": {"selector": {"matchLabels": {"app": "agent"}},
                            "template": template("agent", "test/httpbin:1")}},
                  m.service("agent", {"app": "agent"}, {"name": "http", "port": 8080}),
                  m.client(), namespace=ns)
    kubectl.ready(ns, "daemonset/agent", "pod/client")
    Caller(kubectl, ns, "client").gets("http://agent:8080/get", 200)


def job(name, **spec):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0,
                     "template": template(name, "test/curl:1", CALL, restartPolicy="Never", **spec)}}


def test_jobs_complete(kubectl, joined):
    """The call that a job makes first goes through the mesh, and its sidecar ends with it."""
    ns = joined("jobs")
    kubectl.apply(*m.httpbin(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin")
    kubectl.serves(ns, "httpbin")
    kubectl.apply(job("call"), namespace=ns)
    kubectl.ready(ns, "job/call")
    pod = kubectl.items("-n", ns, "pods", "-l", "app=call")[0]
    assert is_injected(pod)
    eventually(lambda: kubectl.json("-n", ns, "get", "pod", pod["metadata"]["name"])["status"][
        "phase"] == "Succeeded")


def test_cron_jobs_complete(kubectl, joined):
    ns = joined("cron")
    kubectl.apply(*m.httpbin(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin")
    kubectl.serves(ns, "httpbin")
    kubectl.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "call"},
                   "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job("x")["spec"]}}},
                  namespace=ns)
    kubectl("-n", ns, "create", "job", "--from=cronjob/call", "now")
    kubectl.ready(ns, "job/now")


def test_init_containers_are_in_the_mesh_already(kubectl, joined):
    ns = joined("early")
    kubectl.apply(*m.httpbin(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin")
    kubectl.serves(ns, "httpbin")
    first = {"name": "first", "image": "test/curl:1", "command": CALL}
    kubectl.apply(m.client(initContainers=[first], restartPolicy="Never"), namespace=ns)
    kubectl.ready(ns, "pod/client")


def containers_of(kubectl, ns, pod):
    """Name -> its status, init containers too."""
    status = kubectl.json("-n", ns, "get", "pod", pod)["status"]
    return {c["name"]: c for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])}


def states(kubectl, ns, pod):
    """Name of a container -> "waiting", "running" or "terminated"."""
    return {name: next(iter(c["state"])) for name, c in containers_of(kubectl, ns, pod).items()}


def is_ready(kubectl, ns, pod):
    conditions = kubectl.json("-n", ns, "get", "pod", pod)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_applications_wait_for_a_controller_that_is_away(kubectl, mesh, joined):
    """A new pod's application starts when its sidecar serves, and its first call succeeds; osm-init says
    meanwhile what it waits for; a pod that waits can be deleted. A pod whose sidecar starts anew isn't
    ready until that serves."""
    ns = joined("away")
    kubectl.apply(*m.httpbin(), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    mesh.scale("osm-controller", 0)
    try:
        first_call = ["sh", "-c", " ".join(CALL) + " && exec sleep 1000000"]
        kubectl.apply(m.pod("late", "test/curl:1", *first_call, restartPolicy="Never"),
                      m.client("leaver", terminationGracePeriodSeconds=600), namespace=ns)
        kubectl.execute(ns, "client", "curl", "-sS", "-X", "POST", "http://127.0.0.1:15000/quitquitquit",
                        container="app")
        for pod in ("late", "leaver"):
            eventually(lambda: "osm-init: the pod waits" in kubectl("-n", ns, "logs", pod, "-c", "osm-init"))
        # The kubelet reports the container a moment after that.
        eventually(lambda: states(kubectl, ns, "late") == {
            "envoy": "running", "osm-init": "running", "app": "waiting"})
        kubectl("-n", ns, "delete", "pod", "leaver", "--timeout=120s")
        eventually(lambda: containers_of(kubectl, ns, "client")["envoy"]["restartCount"] > 0)
        eventually(lambda: states(kubectl, ns, "client")["envoy"] == "running")
        assert not is_ready(kubectl, ns, "client")
    finally:
        mesh.scale("osm-controller", 1)
    kubectl.ready(ns, "pod/late", "pod/client")
    Caller(kubectl, ns, "client").gets("http://httpbin/get", 200)


def test_pods_end_with_their_sidecars(kubectl, joined):
    """A pod that is deleted is gone within its grace period."""
    ns = joined("ending")
    kubectl.apply(m.pod("brief", "test/httpbin:1", terminationGracePeriodSeconds=20), namespace=ns)
    kubectl.ready(ns, "pod/brief")
    kubectl("-n", ns, "delete", "pod", "brief", "--timeout=120s")
