"""The discovery service as a client of our own sees it: both ways of the protocol, identities,
refusals. The client has the certificate of a pod's sidecar."""
import queue
import re
import subprocess
import threading

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.rpc import code_pb2, status_pb2

import manifests as m
from mesh import eventually

TYPES = "type.googleapis.com/"
CDS = TYPES + "envoy.config.cluster.v3.Cluster"
LDS = TYPES + "envoy.config.listener.v3.Listener"
EDS = TYPES + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SDS = TYPES + "envoy.extensions.transport_sockets.tls.v3.Secret"
SERVER = "shop/server|80"
TIMEOUT = 180


@pytest.fixture(scope="module")
def mesh(new_mesh):
    mesh = new_mesh("ads")
    objects = [m.namespace("shop"), m.namespace("town")]
    objects += m.client("shop", "server") + m.client("town", "alice") + m.client("town", "bob")
    ports = [{"name": "http", "port": 80}, {"name": "tcp-x", "port": 90}]
    objects.append(m.service("shop", "server", {"app": "server"}, ports))
    m.write(mesh.dir / "apps.yaml", *objects)
    m.write(mesh.dir / "leaving.yaml", *m.client("town", "carol"))
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=True))
    mesh.up()
    yield mesh
    mesh.down()


def files_of(mesh, workload):
    pod = mesh.pod_of(workload)
    return (mesh.state / mesh.name / "pods" / f"{pod['namespace']}_{pod['name']}" / "volumes" /
            "envoy-bootstrap-config-volume")


def address_of(mesh, workload="town/alice"):
    """Of the controller, as a sidecar's bootstrap says it."""
    text = (files_of(mesh, workload) / "bootstrap.yaml").read_text()
    return re.search(rf"address: \"?([0-9.]+)\"?\s+port_value: {mesh.port}", text).group(1)


def connect(mesh, workload="town/alice"):
    files = files_of(mesh, workload)
    address = address_of(mesh, workload)
    credentials = grpc.ssl_channel_credentials((files / "cacert.pem").read_bytes(),
                                               (files / "sds_key.pem").read_bytes(),
                                               (files / "sds_cert.pem").read_bytes())
    return grpc.secure_channel(f"{address}:{mesh.port}", credentials,
                               [("grpc.ssl_target_name_override", "ads.cluster.local")])


class Stream:
    """One open stream; `ask` sends, `next` waits for an answer of a type and acknowledges it."""

    def __init__(self, channel, delta, node="who I say I am"):
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        self.delta, self.out, self.seen = delta, queue.Queue(), queue.Queue()
        self.node = node
        call = stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources
        self.call = call(iter(self.out.get, None))
        self.names, self.versions = {}, {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for answer in self.call:
                self.seen.put(answer)
        except grpc.RpcError as e:
            self.seen.put(e)

    def request(self, type_url, **more):
        kind = discovery_pb2.DeltaDiscoveryRequest if self.delta else discovery_pb2.DiscoveryRequest
        request = kind(type_url=type_url, **more)
        request.node.id = self.node
        self.out.put(request)

    def ask(self, type_url, names=()):
        self.names[type_url] = list(names)
        if self.delta:
            self.request(type_url, resource_names_subscribe=names)
        else:
            self.request(type_url, resource_names=names)

    def answer(self, got, error=None):
        detail = {"error_detail": status_pb2.Status(code=code_pb2.INVALID_ARGUMENT,
                                                    message=error)} if error else {}
        if self.delta:
            self.request(got.type_url, response_nonce=got.nonce, **detail)
        else:
            version = self.versions.get(got.type_url, "") if error else got.version_info
            self.versions[got.type_url] = version
            self.request(got.type_url, response_nonce=got.nonce, version_info=version,
                         resource_names=self.names[got.type_url], **detail)

    def next(self, type_url, acknowledge=True):
        while True:
            got = self.seen.get(timeout=TIMEOUT)
            if isinstance(got, grpc.RpcError):
                raise got
            if acknowledge:
                self.answer(got)
            if got.type_url == type_url:
                return got

    def until(self, type_url, wanted):
        """The first of a type's answers that is as wanted."""
        while not wanted(got := self.next(type_url)):
            pass
        return got

    def resources(self, got):
        """name -> packed resource of an answer."""
        if self.delta:
            return {r.name: r.resource for r in got.resources}
        found = {}
        for r in got.resources:
            cluster = cluster_pb2.Cluster()
            found[cluster.name if r.Unpack(cluster) else len(found)] = r
        return found

    def close(self):
        self.out.put(None)
        self.call.cancel()


@pytest.fixture(params=[False, True], ids=["state-of-the-world", "delta"])
def stream(mesh, request):
    """A new one, when the policy lets alice call the server."""
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=True))
    with connect(mesh) as channel:
        other = Stream(channel, True)
        other.ask(CDS)
        other.until(CDS, lambda got: SERVER in other.resources(got))
        other.close()
        stream = Stream(channel, request.param)
        yield stream
        stream.close()


def test_clusters_come_and_follow_the_policy(mesh, stream):
    stream.ask(CDS)
    assert SERVER in stream.resources(stream.next(CDS))
    m.write(mesh.dir / "policy.yaml", m.mesh_config())
    stream.until(CDS, lambda got: SERVER in got.removed_resources if stream.delta
                 else SERVER not in stream.resources(got))


def test_only_what_was_asked_for_comes(stream):
    stream.ask(EDS, [SERVER, "shop/nothing|80"])
    got = stream.next(EDS)
    names = [r.name for r in got.resources] if stream.delta else len(got.resources)
    assert names == ([SERVER] if stream.delta else 1)


def test_the_certificate_says_who_asks(mesh, stream):
    bootstrap = (files_of(mesh, "shop/server") / "bootstrap.yaml").read_text()
    stream.node = re.search(r'node:\s+id: "?([-0-9a-f]{36})', bootstrap).group(1)
    stream.ask(LDS)
    got = stream.next(LDS)
    text = b"".join(r.SerializeToString() for r in got.resources)
    assert b"outbound_shop/server_80" in text
    assert b"rds-inbound.shop/server" not in text, "alice got the server's listener"


def test_secrets_are_ones_own(stream):
    stream.ask(SDS, ["service-cert"])
    got = stream.next(SDS)
    text = b"".join(r.SerializeToString() for r in got.resources)
    assert text.count(b"PRIVATE KEY") == 2  # begin and end
    certificate = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"],
                                 input=text[text.index(b"-----BEGIN CERT"):], check=True,
                                 capture_output=True).stdout.decode()
    assert "spiffe://cluster.local/alice/town" in certificate


def test_what_is_refused_is_shown_and_not_sent_again(mesh, stream):
    words = f"{SERVER} is no good in {'delta' if stream.delta else 'sotw'}"
    stream.ask(CDS)
    stream.answer(stream.next(CDS, acknowledge=False), error=words)

    def shown():
        sidecar = mesh.pod_of("town/alice")["sidecar"]
        return words in sidecar, sidecar
    eventually(shown)
    # Other types go on meanwhile, and what was refused doesn't come again.
    stream.ask(EDS, [SERVER])
    while (got := stream.seen.get(timeout=TIMEOUT)).type_url != EDS:
        assert stream.delta and SERVER not in stream.resources(got)
        stream.answer(got)
    stream.answer(got)
    # A change is sent, and ends it.
    m.write(mesh.dir / "policy.yaml", m.mesh_config())
    stream.next(CDS)
    eventually(lambda: ((state := mesh.pod_of("town/alice")["sidecar"]) == "synced", state))


def test_another_service_is_unimplemented(mesh):
    with connect(mesh) as channel:
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary("/envoy.service.health.v3.HealthDiscoveryService/FetchHealthCheck")(
                b"", timeout=TIMEOUT)
        assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_sidecar_is_served_no_longer_than_its_pod_is_there(mesh):
    with connect(mesh, "town/carol") as channel:
        stream = Stream(channel, True)
        stream.ask(CDS)
        stream.next(CDS)
        m.write(mesh.dir / "leaving.yaml", m.account("town", "carol"))
        with pytest.raises(grpc.RpcError) as ended:
            while True:
                got = stream.seen.get(timeout=TIMEOUT)
                if isinstance(got, grpc.RpcError):
                    raise got
        assert ended.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert "did not find pod for uuid" in ended.value.details()
