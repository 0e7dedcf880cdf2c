"""Injection as an API server asks for it."""
import base64
import concurrent.futures
import json
import subprocess

import pytest

import kwok
import manifests as m
from conftest import pods_go_with_their_test
from kubectl import eventually
from mesh import NAMESPACE, Caller, containers, is_injected

MESH = "openservicemesh.io/"
SECRET = "envoy-bootstrap-config-"


@pytest.fixture
def joined(joined, kubectl, request):
    yield from pods_go_with_their_test(joined, kubectl, request)


def dry(kubectl, ns, pod):
    """The pod as it would be stored, and the warnings."""
    done = kubectl.try_("-n", ns, "create", "--dry-run=server", "-o", "json", "-f", "-",
                        input=json.dumps(pod))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def secrets(kubectl, ns):
    return [s["metadata"]["name"] for s in kubectl.items("-n", ns, "secrets")
            if s["metadata"]["name"].startswith(SECRET)]


def annotated(name, **annotations):
    pod = m.pod(name, "test/pause:1")
    pod["metadata"]["annotations"] = {MESH + k.replace("_", "-"): v for k, v in annotations.items()}
    return pod


def test_the_webhooks_configuration_is_put_back(kubectl, mesh):
    """With the reconciler: what is changed is put back, what is deleted is made again."""
    def reconciler(on):
        mesh.osm("mesh", "upgrade", "--set", f"osm.enableReconciler={on}")
        mesh.comes_to("osm-injector", 1)
    name = kubectl.items("mutatingwebhookconfigurations", "-l", "app.kubernetes.io/name=openservicemesh.io")[0][
        "metadata"]["name"]

    def webhooks():
        return kubectl.json("get", "mutatingwebhookconfiguration", name)["webhooks"]
    reconciler("true")
    try:
        before = webhooks()
        kubectl("patch", "mutatingwebhookconfiguration", name, "--type=json", "-p", json.dumps(
            [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},
             {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 3}]))
        eventually(lambda: webhooks() == before)
        kubectl("delete", "mutatingwebhookconfiguration", name)
        eventually(lambda: webhooks() == before)
    finally:
        reconciler("false")


def test_many_pods_at_once_on_several_injectors(cluster, kubectl, mesh, joined):
    """Where they run they are simulated; each needs its Secret all the same."""
    ns, names = joined("inject-many"), [f"p{i}" for i in range(40)]
    mesh.scale("osm-injector", 2)
    try:
        with kwok.Nodes(cluster, kubectl, 1):
            kubectl.apply(*[m.pod(name, "test/pause:1", nodeSelector=kwok.SELECTOR,
                                  tolerations=[kwok.TOLERATION]) for name in names], namespace=ns)
            kubectl.ready(ns, *[f"pod/{name}" for name in names])
            pods = kubectl.items("-n", ns, "pods")
            uuids = [p["metadata"]["labels"]["osm-proxy-uuid"] for p in pods]
            assert len(set(uuids)) == len(names)
            # One that was shown to both injectors may leave a second Secret; never is one missing.
            assert {SECRET + u for u in uuids} <= set(secrets(kubectl, ns))
            kubectl("-n", ns, "delete", "pods", "--all")
    finally:
        mesh.scale("osm-injector", 1)


@pytest.fixture(scope="module")
def refused(kubectl, mesh, new_namespace):
    """A namespace whose quota refused a pod after the injector had stored its Secret. Comes after the
    tests that end injectors: only the one that stored it looks for its pod."""
    ns = new_namespace("inject-quota")
    mesh.join(ns)
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
                   "spec": {"hard": {"pods": "0"}}}, namespace=ns)
    eventually(lambda: kubectl.json("-n", ns, "get", "resourcequota", "none")["status"].get("hard"))
    assert "exceeded quota" in kubectl.refused(m.pod("late", "test/pause:1"), namespace=ns)
    return ns


def test_a_pod_that_is_refused_later_has_a_secret(kubectl, refused):
    assert len(secrets(kubectl, refused)) == 1


def test_a_pod_gets_one_sidecar_and_one_secret(kubectl, joined):
    ns = joined("inject-one")
    kubectl.apply(m.pod("one", "test/pause:1"), namespace=ns)
    kubectl.ready(ns, "pod/one")
    pod = kubectl.json("-n", ns, "get", "pod", "one")
    uuid = pod["metadata"]["labels"]["osm-proxy-uuid"]
    init, running = containers(pod)
    assert init == ["envoy", "osm-init"] and running == ["app"]
    assert secrets(kubectl, ns) == [SECRET + uuid]
    data = kubectl.json("-n", ns, "get", "secret", SECRET + uuid)["data"]
    assert sorted(data) == ["bootstrap.yaml", "cacert.pem", "sds_cert.pem", "sds_key.pem",
                            "signing_issuer_id", "tls_certificate_sds_secret.yaml",
                            "validating_issuer_id", "validation_context_sds_secret.yaml"]
    # The Secret goes with its pod.
    owned = eventually(lambda: kubectl.json("-n", ns, "get", "secret", SECRET + uuid)["metadata"].get(
        "ownerReferences"))
    assert [(o["kind"], o["name"]) for o in owned] == [("Pod", "one")]
    kubectl("-n", ns, "delete", "pod", "one")
    eventually(lambda: secrets(kubectl, ns) == [])


def test_a_dry_run_leaves_nothing(kubectl, joined):
    ns = joined("inject-dry")
    pod, _ = dry(kubectl, ns, m.pod("dry", "test/pause:1"))
    assert is_injected(pod)
    assert secrets(kubectl, ns) == []


def test_what_was_not_asked_for_stays_as_it_is(kubectl, mesh, joined, new_namespace):
    ns = joined("inject-choice")
    for value, injected in (("enabled", True), ("yes", True), ("no", False), ("disabled", False)):
        pod, _ = dry(kubectl, ns, annotated("x", sidecar_injection=value))
        assert is_injected(pod) == injected, value
    host = m.pod("x", "test/pause:1", hostNetwork=True)
    assert not is_injected(dry(kubectl, ns, host)[0])
    off = joined("inject-off", "--disable-sidecar-injection")
    assert not is_injected(dry(kubectl, off, m.pod("x", "test/pause:1"))[0])
    assert is_injected(dry(kubectl, off, annotated("x", sidecar_injection="enabled"))[0])
    outside = new_namespace("inject-outside")
    assert not is_injected(dry(kubectl, outside, annotated("x", sidecar_injection="enabled"))[0])


def test_a_namespace_that_joins_is_known_at_once(kubectl, mesh, new_namespace):
    """The API server asks as soon as the namespace has its label, which may be before our watch hears."""
    for i in range(5):
        ns = new_namespace(f"inject-joins-{i}")
        mesh.join(ns)
        assert is_injected(dry(kubectl, ns, m.pod("x", "test/pause:1"))[0])


REFUSED = {
    "sidecar_injection": ("maybe", "expected enabled, yes, true, disabled, no or false, found"),
    "outbound_port_exclusion_list": ("http", "expected a comma-separated list of ports"),
    "inbound_port_exclusion_list": ("70000", "expected a comma-separated list of ports"),
    "outbound_ip_range_exclusion_list": ("10.0.0.1; reboot", "list of address ranges"),
    "outbound_ip_range_inclusion_list": ("$(id)/8", "list of address ranges"),
    "sidecar_cpu_limit": ("many", "expected a quantity such as 100m"),
    "sidecar_memory_request": ("64Mb", "expected a quantity such as 128Mi"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_annotations_are_refused_by_name(kubectl, joined, name):
    ns = joined("inject-refused")
    value, says = REFUSED[name]
    said = kubectl.refused(annotated("bad", **{name: value}), namespace=ns)
    assert "osm-inject.k8s.io" in said and MESH + name.replace("_", "-") in said and says in said
    assert value in said
    assert secrets(kubectl, ns) == []


def test_resources_of_a_sidecar(kubectl, mesh, joined):
    ns = joined("inject-resources")
    before = mesh.config()["sidecar"].get("resources") or {}
    mesh.configure({"sidecar": {"resources": {"limits": {"cpu": "400m", "memory": "300Mi"}}}})
    try:
        def seen():
            pod, _ = dry(kubectl, ns, annotated("x", sidecar_cpu_limit="250m", sidecar_memory_request="32Mi"))
            envoy = next(c for c in pod["spec"]["initContainers"] if c["name"] == "envoy")
            return envoy["resources"] == {"limits": {"cpu": "250m", "memory": "300Mi"},
                                          "requests": {"cpu": "250m", "memory": "32Mi"}}
        eventually(seen)
    finally:
        mesh.configure({"sidecar": {"resources": before or None}})


def test_owners_are_warned(kubectl, joined):
    ns = joined("inject-warned")
    windows = m.pod("x", "test/pause:1", nodeSelector={"kubernetes.io/os": "windows"})
    pod, said = dry(kubectl, ns, windows)
    assert not is_injected(pod) and "Warning: the pod is for Windows" in said
    user = m.pod("x", "test/pause:1", container={"securityContext": {"runAsUser": 1500}})
    pod, said = dry(kubectl, ns, user)
    assert is_injected(pod) and "runs as user 1500" in said


def test_exclusions_let_calls_bypass_the_sidecar(kubectl, mesh, joined, new_namespace):
    """Without a policy that allows it, only what is excluded gets through."""
    ns, outside = joined("inject-excluded"), new_namespace("inject-plain")
    open_pod = m.pod("open", "test/httpbin:1", container={"ports": [{"containerPort": 8080}]})
    open_pod["metadata"]["annotations"] = {MESH + "inbound-port-exclusion-list": "8080"}
    closed = m.pod("closed", "test/httpbin:1")
    caller = m.client("caller")
    kubectl.apply(open_pod, closed, namespace=ns)
    kubectl.apply(caller, namespace=outside)
    kubectl.ready(ns, "pod/open", "pod/closed")
    kubectl.ready(outside, "pod/caller")
    client = Caller(kubectl, outside, "caller")

    def address(pod):
        return kubectl.json("-n", ns, "get", "pod", pod)["status"]["podIP"]
    client.gets(f"http://{address('open')}:8080/get", 200)
    client.is_refused(f"http://{address('closed')}:8080/get")
    # And outwards: the application of a pod outside of the mesh, by its address, with egress off.
    plain = m.pod("plain", "test/httpbin:1")
    kubectl.apply(plain, namespace=outside)
    kubectl.ready(outside, "pod/plain")
    ip = kubectl.json("-n", outside, "get", "pod", "plain")["status"]["podIP"]
    free, bound = m.client("free"), m.client("bound")
    free["metadata"]["annotations"] = {MESH + "outbound-ip-range-exclusion-list": f"{ip}/32"}
    kubectl.apply(free, bound, namespace=ns)
    kubectl.ready(ns, "pod/free", "pod/bound")
    before = mesh.config()["traffic"]["enableEgress"]
    mesh.configure({"traffic": {"enableEgress": False}})
    try:
        Caller(kubectl, ns, "bound").is_refused(f"http://{ip}:8080/get")
        Caller(kubectl, ns, "free").gets(f"http://{ip}:8080/get", 200)
    finally:
        mesh.configure({"traffic": {"enableEgress": before}})


def under_way(client):
    """How many calls of a pod's sidecar wait for their answer."""
    text = client.get("http://127.0.0.1:15000/stats?filter=8080.*upstream_rq_active$")[1]
    return sum(int(line.split(": ")[1]) for line in text.splitlines() if ": " in line)


def test_calls_under_way_finish_when_a_pod_ends(kubectl, joined):
    """Both ways: a server's answers, and calls that a client has begun. The application goes on for some
    seconds after it was told to end; its sidecar ends after it."""
    kubectl.needs(30, "preStop hooks that sleep")
    ns = joined("inject-drain")
    linger = {"lifecycle": {"preStop": {"sleep": {"seconds": 12}}}}
    server = m.pod("server", "test/httpbin:1", container=linger, terminationGracePeriodSeconds=30)
    leaver = m.pod("leaver", "test/curl:1", "sh", "-c", "echo begun; trap 'curl -sS -m 20 -o /dev/null -w "
                   "\"last=%{http_code}\" http://other:8080/delay/2; exit 0' TERM; "
                   "while :; do sleep 0.2; done", terminationGracePeriodSeconds=30)
    ports = {"name": "http", "port": 8080}
    kubectl.apply(server, m.pod("other", "test/httpbin:1"), leaver, m.client(),
                  m.service("server", {"app": "server"}, ports), m.service("other", {"app": "other"}, ports),
                  namespace=ns)
    kubectl.ready(ns, "pod/server", "pod/other", "pod/leaver", "pod/client")
    client = Caller(kubectl, ns, "client")
    client.gets("http://server:8080/get", 200)
    # Calls of eight seconds, which are under way when the pod is told to end.
    calls = "for i in 1 2 3 4 5; do curl -sS -m 60 -o /dev/null -w '%{http_code} ' " \
        "http://server:8080/delay/8 & done; wait"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = pool.submit(kubectl.execute, ns, "client", "sh", "-c", calls)
        eventually(lambda: under_way(client) == 5)
        kubectl("-n", ns, "delete", "pod", "server", "--wait=false")
        assert answers.result() == "200 " * 5
    # A client that calls as the last thing it does.
    log = subprocess.Popen(kubectl.cluster.net_line("kubectl", "-n", ns, "logs", "-f", "leaver", "-c", "app"),
                           env=kubectl.cluster.environment(), stdout=subprocess.PIPE, text=True)
    assert log.stdout.readline() == "begun\n"
    kubectl("-n", ns, "delete", "pod", "leaver", "--wait=false")
    assert log.communicate(timeout=120)[0] == "last=200"


def test_a_copy_of_a_pod_has_a_sidecar_of_its_own(kubectl, joined):
    """kubectl get pod -o yaml | kubectl create -f -, with another name."""
    ns = joined("inject-copy")
    probe = {"httpGet": {"path": "/get", "port": 8080}, "periodSeconds": 1}
    kubectl.apply(m.pod("first", "test/httpbin:1", container={"readinessProbe": probe}), namespace=ns)
    kubectl.ready(ns, "pod/first")
    copy = kubectl.json("-n", ns, "get", "pod", "first")
    del copy["status"], copy["spec"]["nodeName"]
    first = copy["metadata"]["labels"]["osm-proxy-uuid"]
    copy["metadata"] = {"name": "second", "labels": copy["metadata"]["labels"],
                        "annotations": copy["metadata"]["annotations"]}
    kubectl("-n", ns, "create", "-f", "-", input=json.dumps(copy))
    kubectl.ready(ns, "pod/second")
    second = kubectl.json("-n", ns, "get", "pod", "second")
    assert second["metadata"]["labels"]["osm-proxy-uuid"] != first
    assert containers(second) == containers(kubectl.json("-n", ns, "get", "pod", "first"))


def test_sidecars_pass_the_baseline_standard_but_for_osm_init(kubectl, mesh, joined):
    """What a namespace with the restricted standard says of an injected pod names osm-init alone."""
    ns = joined("inject-security")
    kubectl("label", "namespace", ns, "pod-security.kubernetes.io/warn=restricted")
    pod = m.pod("x", "test/pause:1", container={"securityContext": {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"}}})
    # The API server's admission hears of the label in its own time.
    said = eventually(lambda: dry(kubectl, ns, pod)[1])
    assert "osm-init" in said and '"envoy"' not in said and '"app"' not in said


def test_another_root_reaches_the_sidecars(kubectl, mesh, joined):
    """The mesh's root is replaced: the bootstrap's certificate is of the new one, and calls go on."""
    ns = joined("inject-roots")
    kubectl.apply(*m.httpbin(), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    client = Caller(kubectl, ns, "client")
    client.gets("http://httpbin/get", 200)
    uuid = kubectl.json("-n", ns, "get", "pod", "client")["metadata"]["labels"]["osm-proxy-uuid"]

    def bootstrap(key):
        data = kubectl.json("-n", ns, "get", "secret", SECRET + uuid)["data"]
        return base64.b64decode(data[key]).decode()
    before = bootstrap("cacert.pem")
    old = kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")["data"]
    key, cert = mesh.cluster.net("sh", "-c", "d=$(mktemp -d) && openssl req -x509 -newkey ec -pkeyopt "
                                 "ec_paramgen_curve:P-256 -nodes -subj /O=Open\\ Service\\ Mesh/CN=osm-ca."
                                 "openservicemesh.io -days 3650 -addext basicConstraints=critical,CA:TRUE "
                                 "-addext keyUsage=critical,keyCertSign,cRLSign -keyout $d/k -out $d/c "
                                 "2>/dev/null && cat $d/k && echo ==== && cat $d/c && rm -r $d", text=True,
                                 capture_output=True, check=True).stdout.split("====\n")
    both = cert + base64.b64decode(old["ca.crt"]).decode()
    encode = {"ca.crt": base64.b64encode(both.encode()).decode(),
              "private.key": base64.b64encode(key.encode()).decode()}
    kubectl("-n", NAMESPACE, "patch", "secret", "osm-ca-bundle", "-p", json.dumps({"data": encode}))
    eventually(lambda: bootstrap("cacert.pem") != before and cert.strip() in bootstrap("cacert.pem"))
    client.gets("http://httpbin/get", 200)


def test_the_secret_of_a_pod_that_was_refused_goes(kubectl, refused):
    """Two minutes after it was stored; those of pods that came are no longer waited for."""
    eventually(lambda: secrets(kubectl, refused) == [], 240)
    assert "(406)" not in kubectl("-n", NAMESPACE, "logs", "deployment/osm-injector")
