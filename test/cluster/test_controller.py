"""The controllers of a mesh: several serve, one writes, any of them may go at any time."""
import base64
import json
import subprocess

import pytest

import manifests as m
from kubectl import eventually
from load import Load
from mesh import NAMESPACE, Caller, route_group, split, traffic_target

LEAST_CALLS = 10000


@pytest.fixture
def shop(kubectl, joined):
    """A client and two versions of httpbin, behind a service each, in the mesh."""
    ns = joined("controlled")
    kubectl.apply(m.account("client"), m.account("httpbin"),
                  *m.httpbin(account="httpbin"), *m.httpbin("other", account="httpbin"),
                  m.client(serviceAccountName="client"), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "deployment/other", "pod/client")
    Caller(kubectl, ns, "client").gets("http://httpbin/get", 200)
    return ns


def controllers(kubectl):
    """The names of the pods that are ready and don't end."""
    return sorted(p["metadata"]["name"]
                  for p in kubectl.items("-n", NAMESPACE, "pods", "-l", "app=osm-controller")
                  if "deletionTimestamp" not in p["metadata"] and any(
                      c["type"] == "Ready" and c["status"] == "True"
                      for c in p["status"].get("conditions", [])))


def holder(kubectl):
    lease = kubectl.json("-n", NAMESPACE, "get", "lease", "osm-controller")
    return lease["spec"].get("holderIdentity", "")


@pytest.fixture
def two(mesh, kubectl):
    """Two controllers, one of which holds the lease; their names, the holder's first."""
    mesh.scale("osm-controller", 2)
    eventually(lambda: holder(kubectl) in controllers(kubectl))
    first = holder(kubectl)
    yield [first, *(c for c in controllers(kubectl) if c != first)]
    mesh.scale("osm-controller", 1)


def kill(kubectl, pod):
    """As when its machine loses power: nothing is said to anybody."""
    kubectl("-n", NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")


def split_arrives(kubectl, mesh, ns, weights):
    """A change of policy reaches every proxy. Where a controller just went, kube-proxy leads to the other
    a moment later, which is asked whether to store it."""
    eventually(lambda: kubectl.apply(split("share", ns, "httpbin", **weights)))
    all_synced(mesh)


def all_synced(mesh):
    def seen():
        done = mesh.osm("proxy", "status", "-o", "json", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)
    return eventually(seen)


def assert_none_failed(load):
    assert load.failed == 0, load.text[-4000:]
    assert load.succeeded >= LEAST_CALLS


def test_one_is_killed_under_load(two, shop, kubectl, mesh):
    """Its proxies go to the other, the lease too, policy goes on changing: no call fails."""
    with Load(kubectl, shop, "client", "http://httpbin/get") as load:
        split_arrives(kubectl, mesh, shop, {"httpbin": 1, "other": 1})
        kill(kubectl, two[0])
        split_arrives(kubectl, mesh, shop, {"httpbin": 3, "other": 1})
        eventually(lambda: holder(kubectl) not in ("", two[0]))
        eventually(lambda: len(controllers(kubectl)) == 2)
        split_arrives(kubectl, mesh, shop, {"httpbin": 1, "other": 3})
        load.reaches(LEAST_CALLS)
    assert_none_failed(load)


def test_all_are_replaced_under_load(two, shop, kubectl, mesh):
    """A rollout: each says goodbye before it goes."""
    with Load(kubectl, shop, "client", "http://httpbin/get") as load:
        kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/osm-controller")
        kubectl.ready(NAMESPACE, "deployment/osm-controller")
        eventually(lambda: not set(two) & set(controllers(kubectl)))
        split_arrives(kubectl, mesh, shop, {"httpbin": 1, "other": 1})
        load.reaches(LEAST_CALLS)
    assert_none_failed(load)


def test_the_lease_is_given_back_at_a_clean_end(two, kubectl):
    kubectl("-n", NAMESPACE, "delete", "pod", two[0], "--wait=false")
    # Far less than the 15 s after which a lease is taken from who fell silent.
    eventually(lambda: holder(kubectl) not in ("", two[0]))


def backend(name, service):
    return {"apiVersion": "policy.openservicemesh.io/v1alpha1", "kind": "IngressBackend",
            "metadata": {"name": name},
            "spec": {"backends": [{"name": service, "port": {"number": 8080, "protocol": "http"}}],
                     "sources": [{"kind": "IPRange", "name": "10.0.0.0/8"}]}}


def status_of(kubectl, ns, name):
    return kubectl.json("-n", ns, "get", "ingressbackend", name).get("status", {})


def test_policies_say_in_their_status_whether_they_are_in_force(shop, kubectl):
    kubectl.apply(backend("front", "httpbin"), namespace=shop)
    status = eventually(lambda: status_of(kubectl, shop, "front"))
    assert status["currentStatus"] in ("committed", "error") and status["reason"]
    # Nothing is written again while nothing changes.
    version = kubectl.json("-n", shop, "get", "ingressbackend", "front")["metadata"]
    kubectl.apply(m.account("noise"), namespace=shop)
    kubectl.apply(backend("later", "other"), namespace=shop)
    eventually(lambda: status_of(kubectl, shop, "later"))
    now = kubectl.json("-n", shop, "get", "ingressbackend", "front")["metadata"]
    assert now["resourceVersion"] == version["resourceVersion"]


def events_of(kubectl, ns, name):
    return kubectl.items("-n", ns, "events", "--field-selector", f"involvedObject.name={name}")


def test_what_is_not_as_meant_is_an_event_on_the_object(shop, kubectl):
    kubectl.apply(
        route_group("routes", shop, {"name": "all", "pathRegex": ".*", "methods": ["*"]}),
        traffic_target("to-nobody", shop, (shop, "client"), "nobody",
                       {"kind": "HTTPRouteGroup", "name": "routes", "matches": ["all"]}))
    # The first may say that the routes aren't there, when they are heard of after the target.
    event = eventually(lambda: [e for e in events_of(kubectl, shop, "to-nobody")
                                if f"{shop}/nobody" in e["message"]])[0]
    target = kubectl.json("-n", shop, "get", "traffictarget", "to-nobody")
    assert event["type"] == "Warning" and event["source"]["component"] == "osm-controller"
    assert event["involvedObject"]["kind"] == "TrafficTarget"
    assert event["involvedObject"]["uid"] == target["metadata"]["uid"]


def test_a_bootstrap_secret_belongs_to_its_pod_and_goes_with_it(shop, kubectl):
    pod = kubectl.json("-n", shop, "get", "pod", "client")["metadata"]
    secret = "envoy-bootstrap-config-" + pod["labels"]["osm-proxy-uuid"]

    def owners():
        owned = kubectl.json("-n", shop, "get", "secret", secret)["metadata"]
        return [(o["kind"], o["name"], o["uid"]) for o in owned.get("ownerReferences", [])]
    assert eventually(owners) == [("Pod", "client", pod["uid"])]
    kubectl("-n", shop, "delete", "pod", "client")
    eventually(lambda: "NotFound" in kubectl.try_("-n", shop, "get", "secret", secret).stderr)


def reasons(kubectl, pod):
    return {e["reason"]: e["message"] for e in events_of(kubectl, NAMESPACE, pod)}


def test_a_broken_root_changes_nothing_and_is_told(two, kubectl, mesh, shop):
    """Who runs keeps the root that it has, who starts doesn't make another one; both say why."""
    data = kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")["data"]
    broken = {"data": {**data, "private.key": base64.b64encode(b"no key").decode()}}
    kubectl("-n", NAMESPACE, "patch", "secret", "osm-ca-bundle", "-p", json.dumps(broken))
    try:
        told = eventually(lambda: reasons(kubectl, two[0]).get("CertificateRotationFailure"))
        assert 'Secret osm-system/osm-ca-bundle: data["private.key"]' in told
        kubectl("-n", NAMESPACE, "delete", "pod", two[1], "--wait=false")

        def fresh():
            pods = kubectl.items("-n", NAMESPACE, "pods", "-l", "app=osm-controller")
            return [p["metadata"]["name"] for p in pods if p["metadata"]["name"] not in two
                    and "deletionTimestamp" not in p["metadata"]]
        name = eventually(fresh)[0]
        told = eventually(lambda: reasons(kubectl, name).get("FatalInvalidCertificateManager"))
        assert 'Secret osm-system/osm-ca-bundle: data["private.key"]' in told
        assert name not in controllers(kubectl)
        assert Caller(kubectl, shop, "client").get("http://httpbin/get")[0] == 200
    finally:
        kubectl("-n", NAMESPACE, "patch", "secret", "osm-ca-bundle", "-p",
                json.dumps({"data": data}))
    eventually(lambda: name in controllers(kubectl))
    all_synced(mesh)


METRICS = """
osm_k8s_api_event_count osm_resource_namespace_count osm_proxy_connect_count
osm_proxy_reconnect_count osm_proxy_config_update_time osm_proxy_broadcast_event_count
osm_proxy_response_send_success_count osm_proxy_response_send_error_count
osm_proxy_xds_request_count osm_proxy_max_connections_rejected
osm_admission_webhook_response_total osm_error_err_code_count osm_http_response_total
osm_http_response_duration osm_feature_flag_enabled osm_version_info osm_events_queued
osm_reconciliation_total
""".split()


def page(cluster, kubectl, path):
    pod = kubectl.json("-n", NAMESPACE, "get", "pod", eventually(lambda: controllers(kubectl))[0])
    url = f"http://{pod['status']['podIP']}:9091{path}"
    done = cluster.net("curl", "-sS", "-m", "10", url, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counts(cluster, kubectl, **least):
    """The controller's page of metrics once each of these samples is at least so many."""
    def seen():
        text = page(cluster, kubectl, "/metrics")
        value = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        few = {name: value.get(name) for name, n in least.items() if int(value.get(name, 0)) < n}
        assert not few, f"expected at least {least}, found {few}"
        return text
    return eventually(seen)


def test_metrics_have_their_names_and_count(shop, cluster, kubectl):
    # Sidecars of a controller that went come by and by, and may have all that they need. Then there
    # is a service, which nobody has.
    counts(cluster, kubectl, osm_proxy_connect_count=3, osm_resource_namespace_count=1, osm_lease_held=1)
    kubectl.apply(m.service("news", {"app": "httpbin"}, {"name": "http", "port": 80}), namespace=shop)
    clusters = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    text = counts(cluster, kubectl, osm_proxy_broadcast_event_count=1, **{
        f'osm_proxy_xds_request_count{{type="{clusters}"}}': 3,
        f'osm_proxy_config_update_time_count{{resource_type="{clusters}",success="true"}}': 3})
    for name in METRICS:
        assert f"# TYPE {name} " in text, name
    # Nothing that every new pod brings anew.
    uuids = [p["metadata"]["labels"]["osm-proxy-uuid"] for p in kubectl.items("-n", shop, "pods")]
    assert not [u for u in uuids if u in text]


def test_the_version_page_says_what_was_built(mesh, cluster, kubectl):
    version = json.loads(page(cluster, kubectl, "/version"))
    assert sorted(version) == ["build_date", "git_commit", "version"]


def new_root(folder):
    """(certificate, key) of another root, in PEM."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "3650",
                    "-subj", "/CN=another root", "-addext", "keyUsage=critical,keyCertSign"],
                   check=True, capture_output=True)
    return cert.read_text(), key.read_text()


def certificates(kubectl, ns):
    """Serial numbers of the certificates that the client's sidecar shows to other sidecars; that
    for the controller names it by its uuid."""
    text = Caller(kubectl, ns, "client").gets("http://127.0.0.1:15000/certs", 200)
    return {chain["serial_number"] for c in json.loads(text)["certificates"]
            for chain in c["cert_chain"]
            if not any("/sidecar/" in n.get("uri", "") for n in chain["subject_alt_names"])}


def test_another_root_takes_over_and_no_call_fails(shop, kubectl, mesh, tmp_path):
    """Somebody replaces the root in its Secret: sidecars first trust it, then get certificates of
    it, while they go on calling each other."""
    before = certificates(kubectl, shop)
    secret = kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")
    end = "-----END CERTIFICATE-----\n"
    old = base64.b64decode(secret["data"]["ca.crt"]).decode().split(end)[0] + end
    cert, key = new_root(tmp_path)
    with Load(kubectl, shop, "client", "http://httpbin/get") as load:
        kubectl("-n", NAMESPACE, "patch", "secret", "osm-ca-bundle", "-p", json.dumps(
            {"stringData": {"ca.crt": cert + old, "private.key": key}}))
        # It signs two minutes after it is trusted.
        eventually(lambda: certificates(kubectl, shop) - before, seconds=240)
        all_synced(mesh)
        load.reaches(LEAST_CALLS)
    assert_none_failed(load)
    # Also new pods find their way.
    kubectl.apply(m.client("late", serviceAccountName="client"), namespace=shop)
    kubectl.ready(shop, "pod/late")
    Caller(kubectl, shop, "late").gets("http://httpbin/get", 200)
