"""Probes of every kind, by a real kubelet, through sidecars: they pass when the application is well and
fail when it isn't, native and beside the other containers."""
import json
import re

import pytest

import manifests as m
from conftest import pods_go_with_their_test
from kubectl import eventually
from mesh import is_injected

QUICK = {"periodSeconds": 1, "failureThreshold": 3}
# Where nothing should fail: on a slow machine, an application takes a while to start or to answer.
PATIENT = {"periodSeconds": 1, "failureThreshold": 100, "timeoutSeconds": 20}
KINDS = ("liveness", "readiness", "startup")


@pytest.fixture(params=["native", "container"])
def mode(mesh, request):
    """The mesh puts sidecars into pods in this way, for the test."""
    mesh.configure({"sidecar": {"mode": request.param}})
    # The injector hears of it in its own time.
    eventually(lambda: has_native(mesh) == (request.param == "native"))
    yield request.param
    mesh.configure({"sidecar": {"mode": "auto"}})


@pytest.fixture
def joined(joined, kubectl, request):
    yield from pods_go_with_their_test(joined, kubectl, request)


def has_native(mesh):
    """Would a pod get a native sidecar now? A dry run tells."""
    kubectl = mesh.kubectl
    if kubectl.try_("get", "namespace", "probes-mode").returncode != 0:
        kubectl("create", "namespace", "probes-mode")
        mesh.join("probes-mode")
        kubectl.eventually("get", "-n", "probes-mode", "serviceaccount", "default")
    pod = json.loads(kubectl("-n", "probes-mode", "create", "--dry-run=server", "-o", "json", "-f", "-",
                             input=json.dumps(m.pod("look", "test/pause:1"))))
    assert is_injected(pod)
    return "envoy" in [c["name"] for c in pod["spec"]["initContainers"]]


@pytest.fixture(scope="module", autouse=True)
def no_rest(kubectl):
    yield
    kubectl("delete", "namespace", "probes-mode", "--ignore-not-found", "--wait=false")


def probes(pace, **probe):
    return {f"{kind}Probe": {**pace, **probe} for kind in KINDS}


def status_of(kubectl, ns, pod, container="app"):
    statuses = kubectl.json("-n", ns, "get", "pod", pod)["status"].get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == container), None)


def complains(kubectl, ns, pod, says, container="app", kind="readiness"):
    """The kubelet's log tells what is wrong with a container. Events do too, but only some: after the
    first 25 of a pod, there is one every five minutes."""
    log = (kubectl.cluster.root / "log/kubelet.log").read_text(errors="replace")
    words = ('"Probe failed"', f'probeType="{kind.capitalize()}"', f'pod="{ns}/{pod}"',
             f'containerName="{container}"', says.replace('"', '\\"'))
    return any(all(w in line for w in words) for line in log.splitlines())


def fails(kubectl, ns, name, says):
    """The pod isn't ready, and the kubelet tells why."""
    eventually(lambda: complains(kubectl, ns, name, says))
    assert not status_of(kubectl, ns, name)["ready"]


def passed(kubectl, ns, pod, container="app"):
    """Kinds of a container's probes that have passed at least once, as the kubelet counts them."""
    node = kubectl.json("-n", ns, "get", "pod", pod)["spec"]["nodeName"]
    text = kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/probes")
    counts = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in text.splitlines()
              if line.startswith("prober_probe_total{")]
    return {x["probe_type"] for x in counts if x["result"] == "successful"
            and (x["namespace"], x["pod"], x["container"]) == (ns, pod, container)}


def passes(kubectl, ns, pod, *containers):
    """The pod is ready, each container's three probes have passed, and none started it anew."""
    kubectl.ready(ns, f"pod/{pod}")
    assert is_injected(kubectl.json("-n", ns, "get", "pod", pod))
    for c in containers:
        eventually(lambda c=c: passed(kubectl, ns, pod, c) == {"Liveness", "Readiness", "Startup"})
        assert status_of(kubectl, ns, pod, c)["restartCount"] == 0, (pod, c)


GOOD = {
    "http": {"httpGet": {"path": "/status/200", "port": "http"}},
    "http-by-number": {"httpGet": {"path": "/get?a=b", "port": 8080}},
    "redirect": {"httpGet": {"path": "/redirect-to?url=/status/500", "port": 8080}},
    "tcp": {"tcpSocket": {"port": "http"}},
    "exec": {"exec": {"command": ["true"]}},
}
BAD = {
    "http": ({"httpGet": {"path": "/status/500", "port": "http"}}, "statuscode: 500"),
    "http-wrong-port": ({"httpGet": {"path": "/", "port": 8099}}, "statuscode: 503"),
    "tcp": ({"tcpSocket": {"port": 8099}}, "statuscode: 404"),
    "grpc": ({"grpc": {"port": 8099}}, "failed"),
    "https-without-tls": ({"httpGet": {"path": "/", "port": "http", "scheme": "HTTPS"}},
                          "statuscode: 503"),
}


# Of an application that says itself how it is; what the kubelet says when it isn't well.
CHECKS = {
    "https": (lambda https, grpc: {"httpGet": {"path": "/healthz", "port": https, "scheme": "HTTPS"}},
              "HTTP probe failed with statuscode: 500"),
    "grpc": (lambda https, grpc: {"grpc": {"port": grpc}},
             'service unhealthy (responded with "NOT_SERVING")'),
    "grpc-service": (lambda https, grpc: {"grpc": {"port": grpc, "service": "shop"}},
                     'service unhealthy (responded with "NOT_SERVING")'),
}


def checked(i, name, check, kinds, *flags):
    """The i-th container of its pod, with ports of its own and probes of these kinds."""
    https, grpc = 8440 + i, 9000 + i
    probe, _ = CHECKS[check]
    wanted = probes(QUICK if "--unhealthy" in flags else PATIENT, **probe(https, grpc))
    return {"name": name, "image": "test/prober:1",
            "args": [f"--https={https}", f"--grpc={grpc}", *flags],
            **{f"{kind}Probe": wanted[f"{kind}Probe"] for kind in kinds}}


def app(name, **more):
    return m.pod(name, "test/httpbin:1",
                 container={"ports": [{"name": "http", "containerPort": 8080}], **more})


def test_probes_pass_when_the_application_is_well(kubectl, joined, mode):
    ns = joined(f"probes-good-{mode}")
    kubectl.apply(*[app(name, **probes(PATIENT, **probe)) for name, probe in GOOD.items()], namespace=ns)
    for name in GOOD:
        passes(kubectl, ns, name, "app")


def test_readiness_fails_with_the_application(kubectl, joined, mode):
    ns = joined(f"probes-bad-{mode}")
    kubectl.apply(*[app(name, readinessProbe={**QUICK, **probe}) for name, (probe, _) in BAD.items()],
                  namespace=ns)
    for name, (_, says) in BAD.items():
        fails(kubectl, ns, name, says)


def test_https_and_grpc_checks_pass_when_the_application_is_well(kubectl, joined, mode):
    ns = joined(f"probes-well-{mode}")
    pod = m.pod("well", "x")
    pod["spec"]["containers"] = [checked(i, name, name, KINDS) for i, name in enumerate(CHECKS)]
    kubectl.apply(pod, namespace=ns)
    passes(kubectl, ns, "well", *CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_https_and_grpc_checks_fail_when_the_application_is_unwell(kubectl, joined, mode, check):
    """Its own answer reaches the kubelet, which does what each kind of probe is for."""
    ns = joined(f"probes-unwell-{check}-{mode}")
    cases = [(f"{check}-{kind}", kind) for kind in KINDS]
    pod = m.pod("unwell", "x")
    pod["spec"]["containers"] = [checked(i, name, check, [kind], "--unhealthy")
                                 for i, (name, kind) in enumerate(cases)]
    kubectl.apply(pod, namespace=ns)
    for name, kind in cases:
        eventually(lambda n=name, k=kind: complains(kubectl, ns, "unwell", CHECKS[check][1], n, k))
        if kind == "readiness":
            assert not status_of(kubectl, ns, "unwell", name)["ready"], name
            assert status_of(kubectl, ns, "unwell", name)["restartCount"] == 0, name
        else:
            eventually(lambda n=name: (status_of(kubectl, ns, "unwell", n) or {})
                       .get("restartCount", 0) > 0)
        assert passed(kubectl, ns, "unwell", name) == set(), name


def test_liveness_starts_a_container_anew(kubectl, joined, mode):
    """Well for the start, then not."""
    ns = joined(f"probes-live-{mode}")
    kubectl.apply(app("http", livenessProbe={**QUICK, "httpGet": {"path": "/status/503", "port": 8080}}),
                  app("tcp", livenessProbe={**QUICK, "tcpSocket": {"port": 8099}}), namespace=ns)
    for name in ("http", "tcp"):
        eventually(lambda n=name: (status_of(kubectl, ns, n) or {}).get("restartCount", 0) > 0)


def test_a_probe_keeps_its_own_timeout(kubectl, joined, mode):
    ns = joined(f"probes-slow-{mode}")
    slow = {"path": "/delay/3", "port": 8080}
    kubectl.apply(app("patient", readinessProbe={**QUICK, "timeoutSeconds": 10, "httpGet": slow}),
                  app("hasty", readinessProbe={**QUICK, "timeoutSeconds": 1, "httpGet": slow}),
                  namespace=ns)
    kubectl.ready(ns, "pod/patient")
    fails(kubectl, ns, "hasty", "")


def test_several_containers_have_several_probes(kubectl, joined, mode):
    ns = joined(f"probes-many-{mode}")

    def container(name, port, status):
        probe = {**QUICK, "httpGet": {"path": f"/status/{status}", "port": port}}
        return {"name": name, "image": "test/httpbin:1", "env": [{"name": "PORT", "value": str(port)}],
                "readinessProbe": probe, "startupProbe": {**PATIENT, "tcpSocket": {"port": port}}}
    pod = m.pod("many", "x")
    pod["spec"]["containers"] = [container("one", 8081, 200), container("two", 8082, 500),
                                 container("three", 8083, 204)]
    kubectl.apply(pod, namespace=ns)
    eventually(lambda: all((status_of(kubectl, ns, "many", c) or {}).get("ready") for c in ("one", "three")))
    assert not status_of(kubectl, ns, "many", "two")["ready"]


def test_hooks_reach_the_application(kubectl, mesh, joined):
    """httpGet hooks; the application's log tells. Native: the sidecar is there before and after."""
    eventually(lambda: has_native(mesh))
    ns = joined("probes-hooks")
    hook = {"httpGet": {"path": "/anything/stopping", "port": 8080}}
    pod = app("hooked", lifecycle={"preStop": hook}, readinessProbe={**QUICK, **GOOD["http"]})
    pod["spec"]["terminationGracePeriodSeconds"] = 30
    kubectl.apply(pod, namespace=ns)
    kubectl.ready(ns, "pod/hooked")
    kubectl("-n", ns, "delete", "pod", "hooked", "--wait=false")
    eventually(lambda: "/anything/stopping" in kubectl.try_("-n", ns, "logs", "hooked", "-c", "app").stdout
               or kubectl.try_("-n", ns, "get", "pod", "hooked").returncode != 0)
    events = kubectl("-n", ns, "get", "events", "--field-selector", "involvedObject.name=hooked", "-o", "yaml")
    assert "FailedPreStopHook" not in events
