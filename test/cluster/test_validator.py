"""The validating webhook: an API server asks osm-controller, which runs beside it with the chart's
rights. What each row of the rules refuses, with which sentence, and what is only warned of."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
import yaml

import programs
from cluster import TREE
from kubectl import Kubectl, eventually

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
NS = "osm-system"
ADDRESS = "10.96.9.93"
POLICY = "policy.openservicemesh.io/v1alpha1"
CONFIG = "config.openservicemesh.io/v1alpha2"
SPLIT = "split.smi-spec.io/v1alpha2"
RANGE = {"kind": "IPRange", "name": "10.0.0.0/8"}


def thing(version, kind, name, spec=None, namespace="shop", **meta):
    return {"apiVersion": version, "kind": kind,
            "metadata": {"name": name, "namespace": namespace, **meta},
            **({} if spec is None else {"spec": spec})}


def install(api, kubectl):
    """Definitions, namespaces, the chart's rights, and the service that the webhook is at: its
    address is one of this network."""
    text = subprocess.run([BUILD / "src/kinds/osm-crds"], check=True, capture_output=True,
                          text=True).stdout
    kubectl("apply", "--server-side", "-f", "-", input=text)
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=180s")
    api.net("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo", check=True)
    for name, labels in ((NS, {}), ("shop", {"openservicemesh.io/monitored-by": "osm"}),
                         ("plain", {})):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace",
                       "metadata": {"name": name, "labels": labels}})
    kubectl.apply({"apiVersion": "v1", "kind": "Service",
                   "metadata": {"name": "osm-validator", "namespace": NS},
                   "spec": {"clusterIP": ADDRESS, "ports": [{"port": 9093}]}})
    text = subprocess.run([programs.BIN / "helm", "template", "osm", TREE / "charts/osm", "-n", NS],
                          capture_output=True, text=True, check=True).stdout
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    kubectl.apply(*[d for d in yaml.safe_load_all(text) if d and d["kind"] in kinds])


class Controller:
    """osm-controller, beside the API server."""

    def __init__(self, api):
        config = yaml.safe_load(api.kubeconfig.read_text())
        config["users"][0]["user"]["as"] = f"system:serviceaccount:{NS}:osm-controller"
        (api.root / "controller.kubeconfig").write_text(yaml.safe_dump(config))
        self.api = api
        self.log = open(api.root / "log/controller.log", "ab")

    def start(self):
        self.process = subprocess.Popen(
            self.api.net_line(BUILD / "src/daemon/osm-controller", f"--osm-namespace={NS}",
                              f"--kubeconfig={self.api.root}/controller.kubeconfig"),
            env=self.api.environment({"CONTROLLER_POD_NAME": "one"}), stdout=self.log,
            stderr=self.log)
        page = "http://127.0.0.1:9091/health/ready"
        eventually(lambda: self.process.poll() is not None or self.api.net(
            "curl", "-sf", page, capture_output=True).returncode == 0)
        assert self.process.poll() is None, self.said()

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def said(self):
        return (self.api.root / "log/controller.log").read_text()


@pytest.fixture(scope="module")
def controller(api):
    kubectl = Kubectl(api)
    install(api, kubectl)
    running = Controller(api)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def kubectl(api, controller):
    """Once the API server asks: until then it takes what only the webhook refuses."""
    kubectl = Kubectl(api)
    kubectl.eventually("get", "validatingwebhookconfiguration", "osm-validator-mesh-osm")
    target = thing("access.smi-spec.io/v1alpha3", "TrafficTarget", "probe", {
        "destination": {"kind": "ServiceAccount", "name": "a", "namespace": "elsewhere"},
        "sources": [], "rules": [{"kind": "TCPRoute", "name": "r"}]})
    eventually(lambda: "expected the namespace of the TrafficTarget" in kubectl.try_(
        "create", "--dry-run=server", "-f", "-", input=json.dumps(target)).stderr)
    for name in ("server", "client"):
        kubectl.apply(thing("v1", "ServiceAccount", name))
    for name in ("apex", "v1", "v2"):
        kubectl.apply(thing("v1", "Service", name, {"selector": {"app": name},
                                                    "ports": [{"port": 80}]}))
    # The controller must have heard of these.
    eventually(lambda: warnings(kubectl, split("probe", ("v1", 1), ("v2", 1)), dry=True) == [])
    return kubectl


def warnings(kubectl, document, dry=False):
    """What is warned of when it is stored."""
    done = kubectl.try_("apply", *(["--dry-run=server"] if dry else []), "-f", "-",
                        input=json.dumps(document))
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("Warning: ") for line in done.stderr.splitlines()
            if line.startswith("Warning: ")]


def split(name, *backends, apex="apex"):
    return thing(SPLIT, "TrafficSplit", name, {
        "service": apex, "backends": [{"service": s, "weight": w} for s, w in backends]})


def target(name, *rules, **other):
    """other: fields of the destination that are other than usual."""
    return thing("access.smi-spec.io/v1alpha3", "TrafficTarget", name, {
        "destination": {"kind": "ServiceAccount", "name": "server", "namespace": "shop", **other},
        "sources": [{"kind": "ServiceAccount", "name": "client", "namespace": "shop"}],
        "rules": list(rules)})


def ingress(name, backend="v1", port=80, protocol="http", **spec):
    return thing(POLICY, "IngressBackend", name, {
        "backends": [{"name": backend, "port": {"number": port, "protocol": protocol}}],
        "sources": [RANGE], **spec})


def root(name, role, **spec):
    return thing(CONFIG, "MeshRootCertificate", name, {"role": role, "provider": {
        "tresor": {"ca": {"secretRef": {"name": "a", "namespace": "b"}}}}, **spec}, NS)


def group(name, **match):
    return thing("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", name,
                 {"matches": [{"name": "all", **match}]})


REFUSED = [
    (target("t", {"kind": "TCPRoute", "name": "r"}, namespace="other"),
     'TrafficTarget shop/t: spec.destination.namespace: expected the namespace of the TrafficTarget, '
     '"shop", found "other"'),
    (group("g", pathRegex="/a("),
     'HTTPRouteGroup shop/g: spec.matches[0].pathRegex: expected a regular expression (RE2), found '
     '"/a("; the ( is never closed'),
    (group("g", pathRegex="(?=a)"), "no lookahead"),
    (group("g", headers=[{"a b": "c"}]), "expected the name of an HTTP header as key"),
    (thing("split.smi-spec.io/v1alpha2", "TrafficSplit", "s", {
        "service": "apex", "backends": [{"service": "v1", "weight": 1}],
        "matches": [{"kind": "HTTPRouteGroup", "name": "g"}]}),
     'expected apiVersion "split.smi-spec.io/v1alpha4", which has this field'),
    (split("s", ("v1.elsewhere", 1)), 'expected the name of a service in namespace "shop"'),
    (thing(POLICY, "UpstreamTrafficSetting", "u", {
        "host": "a.b", "httpRoutes": [{"path": "/a["}]}), "the [ is never closed"),
    (thing(CONFIG, "MeshConfig", "m", {"sidecar": {
        "tlsMinProtocolVersion": "TLSv1_3", "tlsMaxProtocolVersion": "TLSv1_2"}}, NS),
     "expected a version that isn't above tlsMaxProtocolVersion"),
    (thing(CONFIG, "MeshConfig", "m", {"traffic": {
        "outboundIPRangeExclusionList": ["10.0.0.0/40"]}}, NS),
     "what is after the / isn't a number from 0 to 32"),
    *((ingress("i", sources=[{"kind": "IPRange", "name": name}]), "spec.sources[0].name: expected")
      for name in ("10.0.0.0/33", "10.0.0/8")),
    (root("r", "active", trustDomain="Not_A_Domain"), "spec.trustDomain"),
    (root("r", "active", trustDomain=""), "spec.trustDomain: expected a name, found an empty one"),
]


@pytest.mark.parametrize("document, sentence", REFUSED, ids=range(len(REFUSED)))
def test_refused(kubectl, document, sentence):
    assert sentence in kubectl.refused(document)


def test_which_webhook_and_how(kubectl):
    said = kubectl.refused(group("g", pathRegex="/a(", methods=["GET"]))
    assert 'admission webhook "osm-validator.k8s.io" denied the request: HTTPRouteGroup shop/g: ' in said


def test_the_same_backend_twice(kubectl):
    assert warnings(kubectl, ingress("first")) == []
    assert "expected a port of the pods of service shop/v1" in warnings(
        kubectl, ingress("wrong", port=8080), dry=True)[0]
    eventually(lambda: "which first has too: duplicate backends detected" in
               kubectl.try_("apply", "--dry-run=server", "-f", "-",
                            input=json.dumps(ingress("second"))).stderr)
    warnings(kubectl, ingress("second", port=81))
    # Itself isn't another.
    warnings(kubectl, ingress("first", sources=[{"kind": "IPRange", "name": "10.0.0.0/9"}]))


def test_the_same_host_twice(kubectl):
    def setting(name):
        return thing(POLICY, "UpstreamTrafficSetting", name,
                     {"host": "v1.shop.svc.cluster.local"})
    warnings(kubectl, setting("first"))
    eventually(lambda: "which first has too" in kubectl.try_(
        "apply", "--dry-run=server", "-f", "-", input=json.dumps(setting("second"))).stderr)


def test_roots(kubectl):
    warnings(kubectl, root("b", "passive"))
    eventually(lambda: "as MeshRootCertificate b is passive, found passive" in kubectl.try_(
        "apply", "--dry-run=server", "-f", "-", input=json.dumps(root("c", "passive"))).stderr)
    kubectl("-n", NS, "delete", "meshrootcertificate", "b")
    assert warnings(kubectl, root("a", "active")) == ["kind: is accepted, but has no effect yet"]
    eventually(lambda: "as MeshRootCertificate a is active, found active" in kubectl.try_(
        "apply", "--dry-run=server", "-f", "-", input=json.dumps(root("b", "active"))).stderr)
    warnings(kubectl, root("b", "passive"))
    eventually(lambda: "as two MeshRootCertificates are in use" in kubectl.try_(
        "apply", "--dry-run=server", "-f", "-", input=json.dumps(root("c", "active"))).stderr)
    warnings(kubectl, root("c", "inactive"))
    assert "as two MeshRootCertificates are in use, found passive" in kubectl.refused(
        root("c", "passive"))
    assert "as no other MeshRootCertificate is, found passive" in kubectl.refused(root("a", "passive"))


def warned(kubectl, document, *sentences):
    """Once the controller has heard of what is there, just these are said, and it is stored."""
    eventually(lambda: warnings(kubectl, document, dry=True) == list(sentences))
    assert warnings(kubectl, document) == list(sentences)


def test_warnings(kubectl):
    warned(kubectl, group("lonely"),
           "nothing uses this HTTPRouteGroup yet: no TrafficTarget, TrafficSplit, IngressBackend or "
           "Egress of this namespace names it")
    warned(kubectl, target("early", {"kind": "HTTPRouteGroup", "name": "later"}),
           "spec.rules[0]: there is no HTTPRouteGroup shop/later; this rule allows nothing until "
           "there is")
    ghost = target("nobody", {"kind": "HTTPRouteGroup", "name": "lonely"})
    ghost["spec"]["destination"]["name"] = "ghost"
    warned(kubectl, ghost,
           "spec.destination: there is no service account shop/ghost in the mesh; check its name")
    warned(kubectl, split("one", ("v1", 1)))
    warned(kubectl, split("two", ("v2", 1)),
           "spec.service: TrafficSplit one already splits all calls to shop/apex and comes first by "
           "name; this one has no effect (E2007), give it matches or delete it")
    warned(kubectl, thing(CONFIG, "MeshConfig", "mine", {
        "featureFlags": {"enableRetryPolicy": True}}, NS),
           "spec.featureFlags.enableRetryPolicy: is accepted, but has no effect yet",
           f"nothing reads this MeshConfig: the mesh reads {NS}/osm-mesh-config only")


def test_outside_the_mesh_nothing_is_asked(kubectl):
    document = group("free", pathRegex="/a(")
    document["metadata"]["namespace"] = "plain"
    assert warnings(kubectl, document) == []


def test_status_and_labels_of_what_is_refused_today(kubectl, controller):
    """An object that was stored when nobody asked can still be labelled, and go."""
    stored = ingress("old", sources=[{"kind": "Service", "name": "Not_A_Name", "namespace": "x"}])
    controller.stop()
    refused = kubectl.refused(stored)
    assert 'failed calling webhook "osm-validator.k8s.io"' in refused
    # The MeshConfig is what may have stopped the controller: it can be mended.
    warnings(kubectl, thing(CONFIG, "MeshConfig", "osm-mesh-config", {}, NS))
    kubectl("label", "namespace", "shop", "openservicemesh.io/ignore=true")
    eventually(lambda: kubectl.apply(stored))
    kubectl("label", "namespace", "shop", "openservicemesh.io/ignore-")
    controller.start()
    kubectl("-n", "shop", "label", "ingressbackend", "old", "a=b")
    kubectl("-n", "shop", "patch", "ingressbackend", "old", "--subresource=status", "--type=merge",
            "-p", '{"status": {"currentStatus": "error"}}')
    assert "expected a name of lower-case letters" in kubectl.refused(
        ingress("old", port=99, sources=stored["spec"]["sources"]))
    kubectl("-n", "shop", "delete", "ingressbackend", "old")
