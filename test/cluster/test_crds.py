"""The custom resource definitions on a real API server: it takes them all, and what they say of
objects is what the mesh says."""
import json
import os
import pathlib
import subprocess

import pytest

from kubectl import Kubectl

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
NAMESPACES = ("bookstore", "bookbuyer", "curl", "httpbin", "osm-system", "otel", "other")
# plural: short name
KINDS = {"traffictargets.access.smi-spec.io": "tt", "httproutegroups.specs.smi-spec.io": "htr",
         "tcproutes.specs.smi-spec.io": "tr", "trafficsplits.split.smi-spec.io": "ts",
         "meshconfigs.config.openservicemesh.io": "meshconfig",
         "meshrootcertificates.config.openservicemesh.io": "mrc",
         "extensionservices.config.openservicemesh.io": "extsvc",
         "egresses.policy.openservicemesh.io": "egress",
         "ingressbackends.policy.openservicemesh.io": "ingressbackend",
         "retries.policy.openservicemesh.io": "retry",
         "upstreamtrafficsettings.policy.openservicemesh.io": "upstreamtrafficsetting",
         "telemetries.policy.openservicemesh.io": "telemetry",
         "serviceexports.multicluster.x-k8s.io": "svcex",
         "serviceimports.multicluster.x-k8s.io": "svcim"}


@pytest.fixture(scope="module")
def kubectl(api):
    """With the definitions and the namespaces of the manifests."""
    kubectl = Kubectl(api)
    text = subprocess.run([BUILD / "src/kinds/osm-crds"], check=True, capture_output=True,
                          text=True).stdout
    kubectl("apply", "--server-side", "-f", "-", input=text)
    for name in KINDS:
        kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=180s")
        # The server may serve a new kind a moment after it said so.
        kubectl.eventually("get", name, "-A")
    for name in NAMESPACES:
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return kubectl


def policy(kind, name, spec, group="policy.openservicemesh.io/v1alpha1", namespace="other"):
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace},
            "spec": spec}


def test_all_are_there_and_sound(kubectl):
    found = {x["metadata"]["name"]: x for x in kubectl.items("crd")}
    assert set(found) == set(KINDS)
    for name, crd in found.items():
        assert crd["spec"]["names"]["shortNames"] == [KINDS[name]]
        assert crd["spec"]["conversion"]["strategy"] == "None"
        conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        assert "NonStructuralSchema" not in conditions
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        for version in crd["spec"]["versions"]:
            unknown = "x-kubernetes-preserve-unknown-fields"
            assert version["served"] != (unknown in json.dumps(version["schema"]))


@pytest.mark.parametrize("name", ["smi", "config", "policy"])
def test_what_the_mesh_accepts_is_accepted(kubectl, name):
    kubectl("apply", "--validate=strict", "-f", DATA / f"good/{name}.yaml")


def test_explain_tells_fields(kubectl):
    said = kubectl("explain", "meshconfig.spec.sidecar.mode")
    assert "native" in said and "container" in said and "auto" in said


# OSM's published manifests, as its guides and demos have them.
SAMPLES = """
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: httpbin-80, namespace: curl}
spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: curl}]
  hosts: [httpbin.org]
  ports: [{number: 80, protocol: http}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: tcp-443, namespace: curl}
spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: curl}]
  ports: [{number: 443, protocol: tcp}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: httpbin, namespace: httpbin}
spec:
  backends:
  - name: httpbin
    port: {number: 14001, protocol: https}
    tls: {skipClientCertValidation: false}
  sources:
  - {kind: Service, name: ingress-nginx-controller, namespace: ingress-nginx}
  - {kind: AuthenticatedPrincipal, name: ingress-nginx.ingress-nginx.cluster.local}
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: httpbin-http, namespace: httpbin}
spec:
  backends: [{name: httpbin, port: {number: 14001, protocol: http}}]
  sources: [{kind: Service, namespace: osm-system, name: osm-contour-envoy}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: {name: retry, namespace: curl}
spec:
  source: {kind: ServiceAccount, name: curl, namespace: curl}
  destinations: [{kind: Service, name: httpbin, namespace: httpbin}]
  retryPolicy: {retryOn: 5xx, perTryTimeout: 1s, numRetries: 5, retryBackoffBaseInterval: 1s}
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: http-rate-limit, namespace: httpbin}
spec:
  host: fortio.demo.svc.cluster.local
  connectionSettings:
    tcp: {maxConnections: 1}
    http: {maxPendingRequests: 1, maxRequestsPerConnection: 1}
  rateLimit:
    local: {http: {requests: 3, unit: minute, burst: 10}, tcp: {connections: 1, unit: minute}}
  httpRoutes:
  - path: .*
    rateLimit: {local: {requests: 3, unit: minute}}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: bookstore-sample, namespace: bookstore}
spec:
  service: bookstore.bookstore
  backends: [{service: bookstore, weight: 50}, {service: bookstore-v2, weight: 50}]
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: bookbuyer-access, namespace: bookstore}
spec:
  destination: {kind: ServiceAccount, name: bookstore, namespace: bookstore}
  rules: [{kind: HTTPRouteGroup, name: sample-routes, matches: [buy-a-book, books-bought]}]
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: sample-routes, namespace: bookstore}
spec:
  matches:
  - name: books-bought
    pathRegex: /books-bought
    methods: [GET]
    headers: [{user-agent: ".*-http-client/*.*"}, {client-app: bookbuyer}]
  - {name: buy-a-book, pathRegex: ".*a-book.*new", methods: [GET]}
  - {name: update-books-bought, pathRegex: /update-books-bought, methods: [POST]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: tcp-echo-route, namespace: other}
spec: {matches: {ports: [9000]}}
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {name: osm-mesh-root-certificate, namespace: osm-system}
spec:
  provider: {tresor: {ca: {secretRef: {name: osm-ca-bundle, namespace: osm-system}}}}
  trustDomain: cluster.local
  role: active
"""


def test_published_samples(kubectl):
    kubectl("apply", "--validate=strict", "-f", "-", input=SAMPLES)


def test_defaults(kubectl):
    kubectl.apply(policy("MeshConfig", "defaults", {"sidecar": {}}, "config.openservicemesh.io/v1alpha2"))
    spec = kubectl.json("-n", "other", "get", "meshconfig", "defaults")["spec"]
    assert spec["sidecar"]["tlsMinProtocolVersion"] == "TLSv1_2"
    assert spec["sidecar"]["mode"] == "auto"
    # What isn't set mustn't become a limit that is.
    kubectl.apply(policy("UpstreamTrafficSetting", "defaults", {
        "host": "a.b", "connectionSettings": {"tcp": {"connectTimeout": "4s"}, "http": {}}}))
    spec = kubectl.json("-n", "other", "get", "upstreamtrafficsetting", "defaults")["spec"]
    assert spec["connectionSettings"] == {"tcp": {"connectTimeout": "4s"}, "http": {}}


def backend(port=80, **more):
    return {"name": "a", "port": {"number": port, "protocol": "http", **more}}


RANGE = {"kind": "IPRange", "name": "10.0.0.0/8"}
ROOT = {"tresor": {"ca": {"secretRef": {"name": "a", "namespace": "b"}}}}
CONFIG = "config.openservicemesh.io/v1alpha2"
VAULT = {"host": "vault.example", "port": 8200, "role": "mesh", "protocol": "https", "token": {
    "secretKeyRef": {"name": "a", "key": "token", "namespace": "b"}}}
CERT_MANAGER = {"issuerName": "a", "issuerKind": "Issuer", "issuerGroup": "cert-manager.io"}
# (name, a whole one, where each value is that it needs)
PROVIDERS = [
    ("tresor", ROOT["tresor"], [("ca", "secretRef", x) for x in ("name", "namespace")]),
    ("vault", VAULT, [*((x,) for x in ("host", "port", "role", "protocol")),
                      *(("token", "secretKeyRef", x) for x in ("name", "key", "namespace"))]),
    ("certManager", CERT_MANAGER, [(x,) for x in CERT_MANAGER]),
]


def without(value, path, *instead):
    """The value, but what is at the path is left out or is another."""
    key, *rest = path
    if rest:
        return {**value, key: without(value[key], rest, *instead)}
    return {k: v for k, v in value.items() if k != key} | {key: v for v in instead}


REFUSED = [
    (policy("IngressBackend", "x", {"backends": [backend(), backend()], "sources": [RANGE]}),
     "expected each backend and port once"),
    (policy("IngressBackend", "x", {"backends": [backend(protocol="https")], "sources": [RANGE]}),
     "needs a source of kind AuthenticatedPrincipal"),
    (policy("IngressBackend", "x", {"backends": [backend()],
                                    "sources": [{"kind": "Service", "name": "a"}]}),
     "a source of kind Service needs a namespace"),
    (policy("IngressBackend", "x", {"backends": [backend()],
                                    "sources": [{"kind": "IPRange", "name": "10.0.0.1"}]}),
     "expected an address range"),
    (policy("IngressBackend", "x", {"backends": [backend(protocol="tcp")], "sources": [RANGE]}),
     "should match"),
    (policy("IngressBackend", "x", {"backends": [backend()], "sources": [
        {"kind": "ServiceAccount", "name": "a", "namespace": "b"}]}),
     'spec.sources[0].kind: Unsupported value: "ServiceAccount": supported values: "Service", '
     '"AuthenticatedPrincipal", "IPRange"'),
    *((policy("IngressBackend", "x", {"backends": [backend()], "sources": [
        {"kind": "AuthenticatedPrincipal", **name}]}), f"spec.sources[0].name{sentence}")
      for name, sentence in (({}, ": Required value"), ({"name": ""}, " in body should be"))),
    (policy("IngressBackend", "x", {"backends": [backend()], "sources": [
        {"kind": "Service", "namespace": "a"}]}), "spec.sources[0].name: Required value"),
    (policy("Egress", "x", {"sources": [], "ports": [], "matches": [
        {"apiGroup": "apps/v1", "kind": "Deployment", "name": "a"}]}),
     "expected HTTPRouteGroups of specs.smi-spec.io/v1alpha4"),
    *((policy("Egress", "x", {"sources": [], "ports": [], "matches": [
        {"apiGroup": group, "kind": kind, "name": "a"}]}),
       "expected HTTPRouteGroups of specs.smi-spec.io/v1alpha4 and an UpstreamTrafficSetting of "
       "policy.openservicemesh.io/v1alpha1 only")
      for group, kind in (("specs.smi-spec.io/v1alpha4", "UpstreamTrafficSetting"),
                          ("specs.smi-spec.io/v1alpha4", "TCPRoute"),
                          ("policy.openservicemesh.io/v1alpha1", "HTTPRouteGroup"))),
    (policy("Egress", "x", {"sources": [], "ports": [], "matches": [
        {"apiGroup": "policy.openservicemesh.io/v1alpha1", "kind": "UpstreamTrafficSetting",
         "name": n} for n in "ab"]}),
     "expected at most one UpstreamTrafficSetting"),
    (policy("UpstreamTrafficSetting", "x", {"host": "bare"}), "with at least one dot"),
    *((policy("UpstreamTrafficSetting", "x", {"host": "a.b", "rateLimit": {
        "local": {"http": {"requests": 1, "unit": "second", "responseStatusCode": code}}}}),
       f"spec.rateLimit.local.http.responseStatusCode in body should be {bound}")
      for code, bound in ((399, "greater than or equal to 400"), (600, "less than or equal to 599"))),
    (policy("TrafficSplit", "x", {"service": "a", "backends": [{"service": "b", "weight": 0}]},
            "split.smi-spec.io/v1alpha2"), "expected at least one weight above 0"),
    (policy("TrafficSplit", "x", {"service": "a", "backends": [{"service": "b", "weight": 1}] * 2},
            "split.smi-spec.io/v1alpha4"), "expected each service once"),
    (policy("MeshRootCertificate", "x", {"role": "active", "provider": {}}, CONFIG),
     "expected one of tresor, vault and certManager"),
    (policy("MeshRootCertificate", "x", {"role": "active", "provider": {
        **ROOT, "certManager": CERT_MANAGER}}, CONFIG), "expected one of tresor, vault and certManager"),
    *((policy("MeshRootCertificate", "x", {"role": "active", "provider": without(
        {provider: values}, (provider, *path))}, CONFIG),
       f"spec.provider.{'.'.join((provider, *path))}: Required value")
      for provider, values, paths in PROVIDERS for path in paths),
    *((policy("MeshRootCertificate", "x", {"role": "active", "provider": without(
        {provider: values}, (provider, *path), "")}, CONFIG),
       f"spec.provider.{'.'.join((provider, *path))}")
      for provider, values, paths in PROVIDERS for path in paths if path[-1] != "port"),
    (policy("MeshRootCertificate", "x", {"role": "standby", "provider": ROOT}, CONFIG),
     "Unsupported value"),
    (policy("MeshConfig", "x", {"sidecar": {"resources": {"limits": {"cpu": "much"}}}}, CONFIG),
     "should match"),
    (policy("MeshConfig", "x", {"certificate": {"serviceCertValidityDuration": "a day"}}, CONFIG),
     "should match"),
]


@pytest.mark.parametrize("document, sentence", REFUSED, ids=range(len(REFUSED)))
def test_rules(kubectl, document, sentence):
    assert sentence in kubectl.refused(document)


def test_a_root_keeps_what_it_is(kubectl):
    root = policy("MeshRootCertificate", "fixed", {"role": "active", "provider": ROOT}, CONFIG)
    kubectl.apply(root)
    for change, sentence in (
            ({"trustDomain": "other.local"}, "trustDomain can't be changed"),
            ({"spiffeEnabled": True}, "spiffeEnabled can't be changed"),
            ({"provider": {"tresor": {"ca": {"secretRef": {"name": "c", "namespace": "b"}}}}},
             "can't be changed"),
            ({"role": "inactive"}, "make it passive first")):
        assert sentence in kubectl.refused({**root, "spec": {**root["spec"], **change}})
    for role in ("passive", "inactive"):
        kubectl.apply({**root, "spec": {**root["spec"], "role": role}})
    assert "make it passive first" in kubectl.refused(root)


def test_versions_convert(kubectl):
    kubectl.apply(policy("TrafficSplit", "new", {
        "service": "a", "backends": [{"service": "b", "weight": 1}],
        "matches": [{"kind": "HTTPRouteGroup", "name": "g"}]}, "split.smi-spec.io/v1alpha4"))
    for version in ("v1alpha2", "v1alpha3", "v1alpha4"):
        found = kubectl.json("-n", "other", "get", f"trafficsplits.{version}.split.smi-spec.io", "new")
        assert found["apiVersion"] == f"split.smi-spec.io/{version}"
        assert found["spec"]["matches"][0]["name"] == "g"
    old = policy("MeshConfig", "old", {"sidecar": {"logLevel": "debug"}},
                 "config.openservicemesh.io/v1alpha1")
    said = kubectl.try_("apply", "-f", "-", input=json.dumps(old))
    assert "v1alpha1 MeshConfig is deprecated" in said.stderr
    found = kubectl.json("-n", "other", "get", "meshconfigs.v1alpha2.config.openservicemesh.io", "old")
    assert found["spec"]["sidecar"]["logLevel"] == "debug"


def test_columns_and_status(kubectl):
    kubectl.apply(policy("IngressBackend", "shown", {"backends": [backend()], "sources": [RANGE]}))
    kubectl("-n", "other", "patch", "ingressbackend", "shown", "--subresource=status",
            "--type=merge", "-p", json.dumps({"status": {"currentStatus": "committed"}}))
    shown = kubectl("-n", "other", "get", "ingressbackend", "shown").split()
    assert shown[:3] == ["NAME", "STATUS", "AGE"] and shown[4] == "committed"
    assert kubectl("-n", "osm-system", "get", "mrc").split()[:3] == ["NAME", "ROLE", "AGE"]
    assert kubectl("-n", "bookstore", "get", "ts").split()[:3] == ["NAME", "SERVICE", "AGE"]


def test_a_definition_can_be_applied_again(kubectl):
    """By whom it was applied first: no conflict, nothing changes."""
    before = {x["metadata"]["name"]: x["metadata"]["generation"] for x in kubectl.items("crd")}
    text = subprocess.run([BUILD / "src/kinds/osm-crds"], check=True, capture_output=True,
                          text=True).stdout
    kubectl("apply", "--server-side", "-f", "-", input=text)
    after = {x["metadata"]["name"]: x["metadata"]["generation"] for x in kubectl.items("crd")}
    assert before == after
