"""The discovery service's door: who gets through its TLS handshake, and what it costs to knock."""
import base64
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess

import hpack
import pytest
import yaml

import manifests as m
from mesh import eventually
from test_ads import CDS, Stream, address_of, connect
from test_lifecycle import calls_work, controller_of, fill, is_ready

TIMEOUT = 180
ALICE = "spiffe://cluster.local/8a4bd1f6-6a39-4f8a-9d0e-2f0c6f4b1d11/sidecar/alice/town"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
NAME = "ads.cluster.local"
ROUND = 30  # connections of each kind
MOST = 16  # LIMIT_ADS_CONNS_PER_PEER


@pytest.fixture(scope="module")
def mesh(new_mesh):
    mesh = new_mesh("door")
    m.write(mesh.dir / "apps.yaml", m.namespace("town"), *m.client("town", "alice"))
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=True))
    mesh.up()
    yield mesh
    mesh.down()


# --- certificates: each a file with chain and key ---

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*line):
    subprocess.run(["openssl", *map(str, line)], check=True, capture_output=True)


def sign(root, path, days):
    """A certificate of a sidecar of alice's, by the root in a folder's ca.crt and ca.key."""
    key, request = path.with_suffix(".key"), path.with_suffix(".csr")
    extensions = path.with_suffix(".ext")
    extensions.write_text(f"subjectAltName = URI:{ALICE}\n")
    openssl("req", "-new", *KEY, "-subj", "/CN=alice", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", root / "ca.crt", "-CAkey", root / "ca.key",
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", path)
    path.write_text(path.read_text() + key.read_text())
    return path


def own_root(mesh, folder):
    text = (mesh.state / mesh.name / "ca.yaml").read_text()
    for key, name in (("ca.crt", "ca.crt"), ("private.key", "ca.key")):
        found = re.search(rf'{key}"?: "?([A-Za-z0-9+/=]+)', text).group(1)
        (folder / name).write_bytes(base64.b64decode(found))
    return folder


def other_root(folder):
    """Only its key is another's."""
    openssl("req", "-x509", *KEY, "-days", 1, "-subj", "/CN=osm-ca.openservicemesh.io", "-keyout",
            folder / "ca.key", "-out", folder / "ca.crt")
    return folder


# --- clients ---

def context_of(root, certificate):
    context = ssl.create_default_context(cafile=root / "ca.crt")
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate)
    return context


class Door:
    """The controller's port, and clients before it: `clients` is what they come with."""

    def __init__(self, mesh, folder):
        for name in ("ours", "others"):
            (folder / name).mkdir()
        ours, others = own_root(mesh, folder / "ours"), other_root(folder / "others")
        certificates = {"good": sign(ours, ours / "good", 1),
                        "expired": sign(ours, ours / "expired", -1),
                        "of another root": sign(others, others / "good", 1), "none": None}
        self.clients = {name: context_of(ours, c) for name, c in certificates.items()}
        self.address = (address_of(mesh), mesh.port)

    def dial(self):
        return socket.create_connection(self.address, TIMEOUT)

    def knock(self, who, words=HELLO):
        """The first bytes that the server says to a client that is through; None when it isn't.
        With TLS 1.3 a client hears of that only after its own half of the handshake."""
        with self.dial() as raw:
            try:
                with self.clients[who].wrap_socket(raw, server_hostname=NAME) as tls:
                    tls.sendall(words)
                    return tls.recv(100) or None
            except (ssl.SSLError, ConnectionError):
                return None

    def client_hello(self):
        """What a client says first."""
        out = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            self.clients["good"].wrap_bio(ssl.MemoryBIO(), out,
                                          server_hostname=NAME).do_handshake()
        return out.read()

    def say(self, words):
        """A client that says something and goes."""
        with self.dial() as raw:
            raw.sendall(words)


@pytest.fixture(scope="module")
def door(mesh, tmp_path_factory):
    return Door(mesh, tmp_path_factory.mktemp("certificates"))


def works(mesh):
    """A sidecar is served."""
    with connect(mesh) as channel:
        stream = Stream(channel, True)
        stream.ask(CDS)
        assert stream.next(CDS).type_url == CDS
        stream.close()


# --- who gets through ---

def test_a_sidecars_certificate_opens(door):
    assert door.knock("good")[3] == 4, "a SETTINGS frame"


@pytest.mark.parametrize("who", ["none", "of another root", "expired"])
def test_others_stay_outside(mesh, door, who):
    assert door.knock(who) is None
    works(mesh)


# --- what it costs ---

def resident_pages(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def flood(door):
    """Every way of knocking in vain."""
    hello = door.client_hello()
    for _ in range(ROUND):
        for words in (b"", b"GET / HTTP/1.1\r\n\r\n", hello[:40], hello):
            door.say(words)
        for who in ("none", "of another root", "expired"):
            assert door.knock(who) is None
        door.knock("good", b"this isn't HTTP/2 " * 10)


def test_a_flood_costs_no_memory(mesh, door):
    """Rounds go on until three in a row took next to nothing. The allocator's caches and gaps fill
    up in the first twenty or so; a leak of 32 bytes a connection takes 5 pages in any three."""
    pid = controller_of(mesh)
    before = descriptors(pid)
    stalled = [door.dial() for _ in range(ROUND)]
    for s in stalled[::2]:
        s.sendall(door.client_hello()[:-1])
    seen = [resident_pages(pid)]
    while len(seen) < 5 or seen[-1] > seen[-4] + 2:
        assert len(seen) < 100, f"resident pages after each round: {seen}"
        flood(door)
        seen.append(resident_pages(pid))
    works(mesh)
    for s in stalled:
        s.close()
    eventually(lambda: ((now := descriptors(pid)) <= before, (before, now)))
    assert controller_of(mesh) == pid


# --- who never comes to the point ---

def goes(connection):
    """The server ends it, whatever it says before."""
    connection.settimeout(TIMEOUT)
    try:
        while connection.recv(4096):
            pass
    except (ConnectionError, ssl.SSLEOFError):
        pass


def test_who_says_nothing_is_let_go(door):
    with door.dial() as raw:
        goes(raw)


def test_who_never_calls_is_let_go(door):
    with door.dial() as raw, door.clients["good"].wrap_socket(raw, server_hostname=NAME) as tls:
        tls.sendall(HELLO)
        goes(tls)


# --- how many one may hold ---

def call():
    """The HEADERS frame of one."""
    block = hpack.Encoder().encode([(":method", "POST"), (":scheme", "https"), (":path", ADS),
                                    (":authority", NAME), ("content-type", "application/grpc"),
                                    ("te", "trailers")])
    return struct.pack(">IBI", len(block) << 8 | 1, 4, 1) + block


def enter(door):
    """A connection that is through and stays: who calls has all the time."""
    tls = door.clients["good"].wrap_socket(door.dial(), server_hostname=NAME)
    tls.sendall(HELLO + call())
    return tls


def stays(tls):
    try:
        return bool(tls.recv(100))
    except (ssl.SSLError, ConnectionError):
        return False


def test_one_certificate_has_a_few_connections(mesh, door):
    held = [enter(door) for _ in range(MOST)]
    try:
        assert all(stays(tls) for tls in held)
        assert door.knock("good") is None
        works(mesh)
        held.pop().close()
        eventually(lambda: (door.knock("good") is not None, "the place of one that went is free"))
    finally:
        for tls in held:
            tls.close()


# --- another root ---

def serial_of(file):
    """Of a certificate, as Envoy writes it."""
    said = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", file], check=True, text=True,
                          capture_output=True).stdout
    return said.strip().partition("=")[2].lower()


def verifies(root, file):
    return subprocess.run(["openssl", "verify", "-CAfile", root, file], capture_output=True,
                          check=False).returncode == 0


@pytest.fixture
def own(new_mesh):
    mesh = new_mesh("roots")
    fill(mesh)
    mesh.up()
    yield mesh
    mesh.down()


def test_sidecars_follow_another_root(own, tmp_path):
    """Their own certificates: a controller that starts anew knows them, and they know it."""
    new, old = other_root(tmp_path), own.state / own.name / "ca.yaml"
    before = list((own.state / own.name).glob("pods/*/volumes/*/sds_cert.pem"))
    assert before and not any(verifies(new / "ca.crt", f) for f in before)
    document = yaml.safe_load(old.read_text())
    roots = (new / "ca.crt").read_bytes() + base64.b64decode(document["data"]["ca.crt"])
    document["data"] = {key: base64.b64encode(value).decode() for key, value in
                        (("ca.crt", roots), ("private.key", (new / "ca.key").read_bytes()))}
    text = old.with_name("ca.new")
    text.touch(0o600)
    text.write_text(json.dumps(document))
    text.rename(old)
    eventually(lambda: (all(verifies(new / "ca.crt", f) for f in before), before))
    pod = own.pod_of("town/alice")
    name = f"{pod['namespace']}/{pod['name']}"
    serials = {serial_of(f) for f in before}

    def is_used():
        shown = own.proxy_get(name, "certs")
        return any(s in shown for s in serials), (serials, shown)
    eventually(is_used)
    gone = controller_of(own)
    os.kill(gone, signal.SIGKILL)
    eventually(lambda: (controller_of(own) not in (0, gone), controller_of(own)))
    eventually(lambda: is_ready(own))
    calls_work(own)
