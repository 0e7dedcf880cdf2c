"""Calls from outside the mesh: a gateway's pods without sidecars, with the certificate that the mesh
keeps for them, and what `osm verify ingress` says of it."""
import base64
import json
import re
import subprocess

import pytest

import manifests as m
from kubectl import eventually
from mesh import NAMESPACE

PRINCIPAL = "gateway.edge.cluster.local"
SECRET = "gateway-certificate"
PORT = 8080
GATEWAY = {"kind": "Service", "name": "gateway", "namespace": "edge"}
NAMED = {"kind": "AuthenticatedPrincipal", "name": PRINCIPAL}


def certificate_of(kubectl):
    """The Secret's data; {} while there is none."""
    done = kubectl.try_("-n", "edge", "get", "secret", SECRET, "-o", "json")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def roots_of(secret):
    """The certificates of its ca.crt; of several, each Secret has an order of its own."""
    pem = base64.b64decode(secret["data"]["ca.crt"]).decode()
    return set(re.findall("-----BEGIN.*?-----END", pem, re.DOTALL))


@pytest.fixture(scope="module")
def world(kubectl, mesh, joined):
    """A server in the mesh, a gateway in a namespace whose pods get no sidecars, and the mesh's
    certificate for it."""
    joined("front")
    joined("edge", "--disable-sidecar-injection")
    mesh.configure({"certificate": {"ingressGateway": {
        "subjectAltNames": [PRINCIPAL], "validityDuration": "24h",
        "secret": {"name": SECRET, "namespace": "edge"}}}})
    eventually(lambda: certificate_of(kubectl))
    mounted = {"volumes": [{"name": "c", "secret": {"secretName": SECRET}}],
               "container": {"volumeMounts": [{"name": "c", "mountPath": "/c"}]}}
    kubectl.apply(*m.httpbin(), namespace="front")
    kubectl.apply(m.client("gateway", **mounted), m.client("stranger", **mounted),
                  m.service("gateway", {"app": "gateway"}, {"port": 443}), namespace="edge")
    kubectl.ready("front", "deployment/httpbin")
    kubectl.ready("edge", "pod/gateway", "pod/stranger")
    kubectl.serves("edge", "gateway")
    yield mesh
    mesh.configure({"certificate": {"ingressGateway": None}})
    eventually(lambda: not certificate_of(kubectl))
    for ns in ("front", "edge"):
        kubectl("-n", ns, "delete", "deployments,pods", "--all", "--wait=false")


def server(kubectl):
    """The only pod of the server that isn't on its way out."""
    return next(p for p in kubectl.items("-n", "front", "pods", "-l", "app=httpbin")
                if not p["metadata"].get("deletionTimestamp"))


def backend(sources, protocol="http", port=PORT, service="httpbin", **tls):
    entry = {"name": service, "port": {"number": port, "protocol": protocol}}
    if tls:
        entry["tls"] = tls
    return {"apiVersion": "policy.openservicemesh.io/v1alpha1", "kind": "IngressBackend",
            "metadata": {"name": "in", "namespace": "front"},
            "spec": {"backends": [entry], "sources": list(sources)}}


def call(kubectl, who, scheme, *more):
    ip = server(kubectl)["status"]["podIP"]
    return kubectl.curl("edge", who, f"{scheme}://{ip}:{PORT}/get", "-k", *more)[0]


WITH = ("--cert", "/c/tls.crt", "--key", "/c/tls.key")


def allowed(kubectl, who, scheme, *more):
    eventually(lambda: call(kubectl, who, scheme, *more) == 200)


def status(kubectl):
    return kubectl.json("-n", "front", "get", "ingressbackend", "in").get("status", {})


def verify(mesh, kubectl, protocol="http", port=PORT, service="httpbin", source="edge/gateway"):
    pod = server(kubectl)["metadata"]["name"]
    return mesh.osm("verify", "ingress", "--from-service", source, "--to-pod", f"front/{pod}",
                    "--to-service", service, "--ingress-backend", "in", "--to-port", port,
                    "--app-protocol", protocol, check=False)


def says_yes(mesh, kubectl, *args, **options):
    def seen():
        done = verify(mesh, kubectl, *args, **options)
        assert done.returncode == 0 and "Status: Success" in done.stdout, done.stdout + done.stderr
        return done.stdout
    return eventually(seen)


def says_no(mesh, kubectl, reason, **options):
    def seen():
        done = verify(mesh, kubectl, **options)
        assert done.returncode == 1 and reason in done.stdout, done.stdout + done.stderr
        return done.stdout
    return eventually(seen)


def test_http(world, kubectl):
    kubectl.apply(backend([GATEWAY]))
    allowed(kubectl, "gateway", "http")
    assert call(kubectl, "stranger", "http") == 0
    eventually(lambda: status(kubectl) == {
        "currentStatus": "committed", "reason": "successfully committed by the system"})
    says_yes(world, kubectl)


def test_https_with_the_meshs_certificate(world, kubectl):
    kubectl.apply(backend([GATEWAY, NAMED], "https", skipClientCertValidation=False))
    allowed(kubectl, "gateway", "https", *WITH)
    assert call(kubectl, "gateway", "https") == 0
    assert call(kubectl, "stranger", "https", *WITH) == 0
    assert call(kubectl, "gateway", "http") == 0
    says_yes(world, kubectl, "https")
    # The server's certificate is checked by the ca.crt beside.
    ip = server(kubectl)["status"]["podIP"]
    account = server(kubectl)["spec"]["serviceAccountName"]
    name = f"{account}.front.cluster.local"
    code, said = kubectl.curl("edge", "gateway", f"https://{name}:{PORT}/get", *WITH, "--cacert",
                              "/c/ca.crt", "--resolve", f"{name}:{PORT}:{ip}")
    assert code == 200, said


def test_a_principal_that_the_certificate_has_not(world, kubectl):
    kubectl.apply(backend([GATEWAY, {**NAMED, "name": "else.edge.cluster.local"}], "https",
                          skipClientCertValidation=False))
    eventually(lambda: call(kubectl, "gateway", "https", *WITH) == 403)
    says_no(world, kubectl, "none of its AuthenticatedPrincipals is a name in the certificate",
            protocol="https")


def test_from_a_namespace_that_is_not_in_the_mesh(world, kubectl, new_namespace):
    """A Service there says nothing, an address range does."""
    new_namespace("wild")
    kubectl.apply(m.client("gateway"), m.service("gateway", {"app": "gateway"}, {"port": 443}),
                  namespace="wild")
    kubectl.ready("wild", "pod/gateway")
    kubectl.serves("wild", "gateway")
    ip = kubectl.json("-n", "wild", "get", "pod", "gateway")["status"]["podIP"]

    def code():
        return kubectl.curl("wild", "gateway",
                            f"http://{server(kubectl)['status']['podIP']}:{PORT}/get")[0]
    kubectl.apply(backend([{**GATEWAY, "namespace": "wild"}]))
    says_no(world, kubectl, 'namespace "wild" belongs to no mesh', source="wild/gateway")
    eventually(lambda: "endpoints not found for service wild/gateway" in
               status(kubectl).get("reason", ""))
    assert code() == 0
    kubectl.apply(backend([{"kind": "IPRange", "name": f"{ip}/32"}]))
    eventually(lambda: code() == 200)
    says_yes(world, kubectl, source="wild/gateway")
    says_no(world, kubectl, "none of its sources is Service edge/gateway, or a range with the "
            "addresses of its pods")
    assert call(kubectl, "gateway", "http") == 0
    kubectl("-n", "wild", "delete", "pod", "gateway", "--wait=false")


@pytest.mark.parametrize("change, options, reason", [
    (backend([GATEWAY], port=80), {"port": 80}, "expected a port of the pods of service front/httpbin"),
    (backend([GATEWAY]), {"port": 80}, 'none of its backends is service "httpbin" with port 80'),
    (backend([GATEWAY]), {"protocol": "https"}, "its port's protocol is http, not https"),
    (backend([GATEWAY], service="gone"), {"service": "gone"}, "there is no service front/gone"),
    (backend([{**GATEWAY, "name": "gone"}]), {"source": "edge/gone"},
     "endpoints not found for service edge/gone"),
    (backend([GATEWAY]), {"source": "edge/stranger"},
     "none of its sources is Service edge/stranger"),
])
def test_what_is_missing_is_said(world, kubectl, change, options, reason):
    kubectl.apply(change)
    says_no(world, kubectl, reason, **options)


def test_a_gateway_without_pods(world, kubectl):
    kubectl.apply(m.service("empty", {"app": "nobody"}, {"port": 443}), namespace="edge")
    kubectl.apply(backend([{**GATEWAY, "name": "empty"}]))
    says_no(world, kubectl, 'service "edge/empty" has none', source="edge/empty")
    # The status is written a moment after the change is known.
    says_no(world, kubectl, "endpoints not found for service edge/empty: none of its pods is ready",
            source="edge/empty")


def test_the_certificate_is_put_back_and_follows_meshconfig(world, kubectl):
    first = certificate_of(kubectl)
    assert first["type"] == "kubernetes.io/tls"
    assert set(first["data"]) == {"tls.crt", "tls.key", "ca.crt"}
    bundle = kubectl.json("-n", NAMESPACE, "get", "secret", "osm-ca-bundle")
    assert roots_of(first) == roots_of(bundle)
    kubectl("-n", "edge", "delete", "secret", SECRET)
    eventually(lambda: certificate_of(kubectl))
    world.configure({"certificate": {"ingressGateway": {
        "subjectAltNames": [PRINCIPAL, "second.example"]}}})

    def names():
        pem = base64.b64decode(certificate_of(kubectl)["data"]["tls.crt"])
        return subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem,
                              capture_output=True, check=True).stdout.decode()
    eventually(lambda: f"DNS:{PRINCIPAL}, DNS:second.example" in names())


def test_a_certificate_that_cannot_be_made_is_told(world, kubectl):
    before = certificate_of(kubectl)["data"]
    world.configure({"certificate": {"ingressGateway": {"subjectAltNames": ["Not A Name"]}}})
    eventually(lambda: any("subjectAltNames[0]: expected a host name" in e["message"]
                           for e in kubectl.items("-n", NAMESPACE, "events")))
    assert certificate_of(kubectl)["data"] == before
    world.configure({"certificate": {"ingressGateway": {"subjectAltNames": [PRINCIPAL]}}})
