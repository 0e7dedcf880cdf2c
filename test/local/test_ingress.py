"""Calls from outside the mesh, through real Envoys: who is let in by an IngressBackend, and that nobody
else is. The gateways are pods without sidecars that call the server's pod at its own address.

A refusal counts only where the same configuration lets somebody in: what hasn't reached the sidecar
yet refuses, too.
"""
import sys

import pytest

import manifests as m
from mesh import eventually
from test_handshakes import KEY, openssl, other_root, own_root

HTTP, H2 = m.ECHO_PORTS["http"], m.ECHO_PORTS["h2"]
PRINCIPAL = "gateway.outside.cluster.local"
FQDN = "server.shop.svc.cluster.local"
GATEWAY = {"kind": "Service", "name": "gateway", "namespace": "outside"}
NAMED = {"kind": "AuthenticatedPrincipal", "name": PRINCIPAL}


@pytest.fixture(scope="module")
def mesh(new_mesh):
    mesh = new_mesh("ingress")
    objects = [m.namespace("shop"), m.namespace("town"), m.namespace("outside", inject=False)]
    objects += m.echo("shop", "server") + m.client("town", "alice")
    objects += m.client("outside", "gateway") + m.client("outside", "stranger")
    objects += [m.service("shop", "server", {"app": "server"}, m.echo_ports()),
                m.service("outside", "gateway", {"app": "gateway"}, [{"port": 80}])]
    m.write(mesh.dir / "apps.yaml", *objects)
    m.write(mesh.dir / "policy.yaml", m.mesh_config())
    mesh.up()
    yield mesh
    mesh.down()


@pytest.fixture(scope="module")
def certificates(mesh, tmp_path_factory):
    """Files with chain and key: of the gateway, of another principal, and one of a stranger's root."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "other"):
        (folder / name).mkdir()
    roots = {"own": own_root(mesh, folder / "own"), "other": other_root(folder / "other")}
    made = {"ca": roots["own"] / "ca.crt"}
    for what, root, name in (("gateway", "own", PRINCIPAL), ("another", "own", f"x.{PRINCIPAL}"),
                             ("foreign", "other", PRINCIPAL)):
        path = folder / what
        request, extensions = path.with_suffix(".csr"), path.with_suffix(".ext")
        extensions.write_text(f"subjectAltName = DNS:{name}\n")
        openssl("req", "-new", *KEY, "-subj", "/O=test", "-keyout", path.with_suffix(".key"),
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", roots[root] / "ca.crt", "-CAkey",
                roots[root] / "ca.key", "-CAcreateserial", "-days", 1, "-extfile", extensions,
                "-out", path)
        made[what] = path
    return made


def ingress(sources, port=HTTP, protocol="http", name="in", backend="server", matches=(), **tls):
    entry = {"name": backend, "port": {"number": port, "protocol": protocol}}
    if tls:
        entry["tls"] = {"skipClientCertValidation": False, **tls}
    return {"apiVersion": "policy.openservicemesh.io/v1alpha1", "kind": "IngressBackend",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"backends": [entry], "sources": list(sources), **(
                {"matches": [{"apiGroup": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup",
                              "name": x} for x in matches]} if matches else {})}}


def policy(mesh, *objects, permissive=False):
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=permissive), *objects)


def server(mesh):
    return mesh.pod_of("shop/server")["ip"]


def address(mesh, who):
    return {"kind": "IPRange", "name": f"{mesh.pod_of(who)['ip']}/32"}


def call(mesh, who, scheme="http", port=HTTP, name=None, certificate=None, path="/", more=()):
    """The HTTP status; None: no answer. With what curl said."""
    ip = server(mesh)
    host = name or ip
    line = ["curl", "-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{errormsg}",
            "--resolve", f"{host}:{port}:{ip}", *more]
    if certificate:
        line += ["--cert", certificate, "--key", certificate.with_suffix(".key")]
    done = mesh.execute(who, *line, f"{scheme}://{host}:{port}{path}", check=False)
    status, version, *why = done.stdout.split(" ", 2)
    return int(status) or None, version, why


def allowed(mesh, who="outside/gateway", **options):
    return eventually(lambda: ((seen := call(mesh, who, **options))[0] == 200, seen))


def refused(mesh, who="outside/gateway", status=None, **options):
    """At once: the configuration has come already. To one of the sidecar's threads, that is: where it is
    the application's filters that refuse, another may be late."""
    if status:
        closes(mesh, who, status, **options)
        return
    seen = call(mesh, who, **options)
    assert seen[0] is None, seen


def closes(mesh, who="outside/gateway", status=None, **options):
    return eventually(lambda: ((seen := call(mesh, who, **options))[0] == status, seen))


def finding(mesh, *words):
    def found():
        texts = [f["text"] for f in mesh.status()["findings"]]
        return any(all(w in t for w in words) for t in texts), texts
    eventually(found)


def synced(mesh):
    eventually(lambda: (mesh.pod_of("shop/server")["sidecar"] == "synced",
                        mesh.pod_of("shop/server")))


def test_http_opens_one_port_to_the_gateways_addresses(mesh):
    policy(mesh, ingress([GATEWAY]))
    allowed(mesh)
    refused(mesh, "outside/stranger")
    refused(mesh, port=H2)
    refused(mesh, "outside/stranger", port=H2)
    refused(mesh, scheme="https")
    policy(mesh)
    closes(mesh)


def test_address_ranges(mesh):
    policy(mesh, ingress([address(mesh, "outside/stranger")]))
    allowed(mesh, "outside/stranger")
    refused(mesh)
    policy(mesh, ingress([GATEWAY, address(mesh, "outside/stranger")]))
    allowed(mesh)
    allowed(mesh, "outside/stranger")
    policy(mesh, ingress([{"kind": "IPRange", "name": "0.0.0.0/0"}]))
    allowed(mesh)
    allowed(mesh, "outside/stranger")
    policy(mesh, ingress([GATEWAY]))
    closes(mesh, "outside/stranger")
    allowed(mesh)


def test_the_gateways_pods_may_come_and_go(mesh):
    """Only its Service changes: the stranger's pod is behind it for a while."""
    def selects(app):
        m.write(mesh.dir / "moving.yaml",
                m.service("outside", "moving", {"app": app}, [{"port": 80}]))
    selects("gateway")
    policy(mesh, ingress([{**GATEWAY, "name": "moving"}]))
    allowed(mesh)
    refused(mesh, "outside/stranger")
    selects("stranger")
    allowed(mesh, "outside/stranger")
    closes(mesh)
    selects("nobody")
    closes(mesh, "outside/stranger")
    finding(mesh, "endpoints not found for service outside/moving", "ready")
    refused(mesh)
    (mesh.dir / "moving.yaml").unlink()
    finding(mesh, "endpoints not found for service outside/moving", "no such service")
    refused(mesh)
    refused(mesh, "outside/stranger")


def test_https_looks_at_the_certificate_and_at_the_address(mesh, certificates):
    policy(mesh, ingress([GATEWAY, NAMED], protocol="https"))
    allowed(mesh, scheme="https", certificate=certificates["gateway"])
    refused(mesh, scheme="https")
    refused(mesh, scheme="https", certificate=certificates["another"], status=403)
    refused(mesh, scheme="https", certificate=certificates["foreign"])
    refused(mesh, "outside/stranger", scheme="https", certificate=certificates["gateway"])
    refused(mesh)
    policy(mesh, ingress([NAMED], protocol="https"))
    allowed(mesh, "outside/stranger", scheme="https", certificate=certificates["gateway"])
    refused(mesh, "outside/stranger", scheme="https")
    refused(mesh, scheme="https", certificate=certificates["another"], status=403)


def test_who_needs_no_certificate_may_have_any(mesh, certificates):
    policy(mesh, ingress([GATEWAY], protocol="https", skipClientCertValidation=True))
    allowed(mesh, scheme="https")
    for certificate in ("gateway", "another", "foreign"):
        allowed(mesh, scheme="https", certificate=certificates[certificate])
    refused(mesh, "outside/stranger", scheme="https")
    refused(mesh, "outside/stranger", scheme="https", certificate=certificates["gateway"])
    refused(mesh)


def test_the_server_shows_a_certificate_of_the_mesh(mesh, certificates):
    policy(mesh, ingress([GATEWAY], protocol="https", skipClientCertValidation=True))
    allowed(mesh, scheme="https")
    code = mesh.execute("outside/gateway", "curl", "-sS", "-m", "10", "--cacert", certificates["ca"],
                        "--resolve", f"server.shop.cluster.local:{HTTP}:{server(mesh)}",
                        f"https://server.shop.cluster.local:{HTTP}/").stdout
    assert '"name": "server"' in code


def test_any_server_name_unless_some_are_given(mesh):
    names = [None, "example.com", FQDN]
    policy(mesh, ingress([GATEWAY], protocol="https", skipClientCertValidation=True))
    for name in names:
        allowed(mesh, scheme="https", name=name)
        refused(mesh, "outside/stranger", scheme="https", name=name)
    policy(mesh, ingress([GATEWAY], protocol="https", skipClientCertValidation=True,
                         sniHosts=["Shop.Example.com", "*.town.example.com", f"*.{FQDN[7:]}"]))
    closes(mesh, scheme="https")
    for name in ("shop.example.com", "a.town.example.com", FQDN):
        allowed(mesh, scheme="https", name=name)
        refused(mesh, "outside/stranger", scheme="https", name=name)
    for name in (None, "example.com", "town.example.com", "x.shop.example.com"):
        refused(mesh, scheme="https", name=name)


def grpc_call(mesh, who, ca):
    code = ("import grpc, pathlib, sys\n"
            "ca = grpc.ssl_channel_credentials(pathlib.Path(sys.argv[1]).read_bytes())\n"
            "name = [('grpc.ssl_target_name_override', 'server.shop.cluster.local')]\n"
            "with grpc.secure_channel(sys.argv[2], ca, name) as channel:\n"
            "    print(channel.unary_unary('/shop.Cart/Get')(b'hello', timeout=10).decode())")
    done = mesh.execute(who, sys.executable, "-c", code, ca,
                        f"{server(mesh)}:{m.ECHO_PORTS['grpc']}", check=False)
    return done.stdout.startswith("server "), done.stdout + done.stderr


def test_the_application_is_spoken_to_as_it_speaks(mesh, certificates):
    """A gateway that would rather speak HTTP/2 isn't led into an error; one for gRPC gets it."""
    policy(mesh, ingress([GATEWAY], protocol="https", skipClientCertValidation=True),
           ingress([GATEWAY], port=m.ECHO_PORTS["grpc"], name="grpc", protocol="https",
                   skipClientCertValidation=True))
    assert allowed(mesh, scheme="https", more=("--http2",))[1] == "1.1"
    eventually(lambda: grpc_call(mesh, "outside/gateway", certificates["ca"]))
    assert not grpc_call(mesh, "outside/stranger", certificates["ca"])[0]


def test_calls_must_match(mesh):
    group = m.route_group("shop", "read", [{"name": "r", "pathRegex": "/books/.*",
                                            "methods": ["GET"]}])
    policy(mesh, ingress([GATEWAY], matches=["read"]), group)
    allowed(mesh, path="/books/1")
    refused(mesh, path="/", status=403)
    refused(mesh, path="/books/../secret", status=403, more=("--path-as-is",))
    refused(mesh, path="/books/1", status=403, more=("-XPOST",))
    policy(mesh, ingress([GATEWAY], matches=["read"]))
    closes(mesh, path="/books/1")
    finding(mesh, "no HTTPRouteGroup shop/read")


@pytest.mark.parametrize("bad, words", [
    (lambda: ingress([NAMED]), "expected a Service or an IPRange"),
    (lambda: ingress([NAMED], protocol="https", skipClientCertValidation=True),
     "expected a Service or an IPRange"),
    (lambda: ingress([{**GATEWAY, "name": "nowhere"}]), "outside/nowhere"),
    (lambda: ingress([{**GATEWAY, "namespace": "nowhere"}]), "nowhere/gateway"),
    (lambda: ingress([GATEWAY], port=9), "8001, 8002, 8003, 8004, 8005"),
    (lambda: ingress([GATEWAY], backend="nothing"), "no service shop/nothing"),
    (lambda: ingress([GATEWAY], protocol="https", skipClientCertValidation=True,
                     sniHosts=["*", "*a.example.com"]), "expected a host name"),
])
def test_what_cannot_be_as_meant_opens_nothing_and_says_why(mesh, bad, words):
    """Beside it, a good one, by which it is seen that the sidecar took the configuration."""
    policy(mesh, bad(), ingress([GATEWAY], name="out", port=H2))
    finding(mesh, words)
    allowed(mesh, port=H2, more=("--http2-prior-knowledge",))
    for scheme in ("http", "https"):
        refused(mesh, scheme=scheme)
    synced(mesh)
    policy(mesh)
    closes(mesh, port=H2, more=("--http2-prior-knowledge",))


def test_two_of_one_port_and_two_services_of_one_pod(mesh):
    """Conditions that are the same twice would make Envoy refuse the listener."""
    other = m.service("shop", "alias", {"app": "server"}, m.echo_ports())
    policy(mesh, other, ingress([GATEWAY]), ingress([GATEWAY], name="once-more"),
           ingress([GATEWAY, address(mesh, "outside/stranger")], name="alias", backend="alias"))
    finding(mesh, "IngressBackend shop/in opens port 8001")
    allowed(mesh)
    allowed(mesh, "outside/stranger")
    synced(mesh)
    policy(mesh)
    closes(mesh)


def mesh_protocol(mesh, who, certificate):
    """What comes of a call in the mesh's own protocol, with this certificate."""
    code = ("import socket, ssl, sys\n"
            "c = ssl._create_unverified_context(); c.set_alpn_protocols(['osm'])\n"
            "c.load_cert_chain(sys.argv[1], sys.argv[2])\n"
            "s = c.wrap_socket(socket.create_connection((sys.argv[3], int(sys.argv[4])), 10),\n"
            "                  server_hostname=sys.argv[5])\n"
            "s.sendall(b'GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n')\n"
            "print(s.recv(99).split(b'\\r\\n')[0].decode())")
    return mesh.execute(who, sys.executable, "-c", code, certificate,
                        certificate.with_suffix(".key"), server(mesh), HTTP, FQDN,
                        check=False).stdout


@pytest.mark.parametrize("protocol", ["http", "https"])
def test_the_meshs_own_calls_are_as_before(mesh, certificates, protocol):
    """Calls of the mesh pass by its own rules, and the gateway's certificate opens nothing there."""
    group = m.route_group("shop", "any", [{"name": "all", "pathRegex": ".*"}])
    target = m.traffic_target("shop", "t", "server", ["town/alice"],
                              [{"kind": "HTTPRouteGroup", "name": "any"}])
    policy(mesh, ingress([GATEWAY, NAMED], protocol=protocol), group, target)
    certificate = certificates["gateway"] if protocol == "https" else None
    allowed(mesh, scheme=protocol, certificate=certificate)
    eventually(lambda: ((seen := mesh.call("town/alice", "http", "server.shop", HTTP))["ok"], seen))
    for who in ("outside/gateway", "outside/stranger"):
        assert "403" in mesh_protocol(mesh, who, certificates["gateway"])
    policy(mesh, ingress([GATEWAY, NAMED], protocol=protocol), group)
    eventually(lambda: ((seen := mesh.call("town/alice", "http", "server.shop", HTTP))["status"] == 403,
                        seen))
    allowed(mesh, scheme=protocol, certificate=certificate)


def test_the_gateways_certificate_is_made_in_clusters_only(mesh):
    m.write(mesh.dir / "policy.yaml", m.mesh_config(certificate={"ingressGateway": {
        "subjectAltNames": [PRINCIPAL], "secret": {"name": "gateway", "namespace": "outside"}}}))
    finding(mesh, "spec.certificate.ingressGateway", "without a cluster")


def test_permissive_mode_opens_nothing_to_the_outside(mesh, certificates):
    policy(mesh, ingress([GATEWAY], port=H2), permissive=True)
    eventually(lambda: ((seen := mesh.call("town/alice", "http", "server.shop", HTTP))["ok"], seen))
    assert "403" in mesh_protocol(mesh, "outside/gateway", certificates["gateway"])
    allowed(mesh, port=H2, more=("--http2-prior-knowledge",))
    refused(mesh)
    refused(mesh, "outside/stranger", port=H2, more=("--http2-prior-knowledge",))
