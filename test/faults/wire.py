"""A controller to do harm to, and frames made by hand to do it with."""
import base64
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import time

import hpack

BUILD = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve()
DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
TYPES = "type.googleapis.com/"
CDS = TYPES + "envoy.config.cluster.v3.Cluster"
SDS = TYPES + "envoy.extensions.transport_sockets.tls.v3.Secret"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
TIMEOUT = 180

MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{openservicemesh.io/monitored-by: osm}}}}
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {{namespace: osm-system, name: osm-mesh-config}}
spec: {{traffic: {{enablePermissiveTrafficPolicyMode: true}}}}
{workloads}
"""
WORKLOAD = """---
apiVersion: v1
kind: ServiceAccount
metadata: {{namespace: shop, name: {name}}}
---
apiVersion: v1
kind: Service
metadata: {{namespace: shop, name: {name}}}
spec: {{clusterIP: 10.96.{net}.{host}, selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{namespace: shop, name: {name}, labels: {{app: {name}, osm-proxy-uuid: {uuid}}}}}
spec: {{serviceAccountName: {name}, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: 10.0.{net}.{host}, podIPs: [{{ip: 10.0.{net}.{host}}}]}}
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def uuid_of(n):
    return f"00000000-0000-4000-8000-{n:012d}"


def uri_of(name, n, domain="cluster.local"):
    """Who the sidecar of pod number n is, when its service account is this."""
    return f"spiffe://{domain}/{uuid_of(n)}/sidecar/{name}/shop"


def openssl(*line):
    subprocess.run(["openssl", *map(str, line)], check=True, capture_output=True)


class Controller:
    """osm-controller with a mesh of two workloads: web is number 1, db number 2; and of more."""

    def __init__(self, folder, more=0):
        self.folder = folder
        manifests = folder / "manifests"
        manifests.mkdir()
        names = ["web", "db"] + [f"more-{i}" for i in range(more)]
        workloads = "".join(WORKLOAD.format(name=name, net=n >> 8, host=n & 255, uuid=uuid_of(n))
                            for n, name in enumerate(names, 1))
        (manifests / "mesh.yaml").write_text(MANIFESTS.format(workloads=workloads))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [BUILD / "src/daemon/osm-controller", "--source", manifests, "--ca-file",
             folder / "ca.yaml", "--ads-address", "127.0.0.1:0", "--shards", "2"],
            stdout=self.log, stderr=self.log)
        self.port = self.wait_for_port()
        text = (folder / "ca.yaml").read_text()
        for key, name in (("ca.crt", "ca.crt"), ("private.key", "ca.key")):
            found = re.search(rf'{key}"?: "?([A-Za-z0-9+/=]+)', text).group(1)
            (folder / name).write_bytes(base64.b64decode(found))
        self.contexts = {name: self.context(name, n) for n, name in enumerate(("web", "db"), 1)}

    def wait_for_port(self):
        """A free one that it was given, as its log says."""
        until = time.monotonic() + TIMEOUT
        while not (found := re.search(r'"ads_port":"(\d+)"', self.words())):
            assert self.process.poll() is None and time.monotonic() < until, self.words()
            time.sleep(0.05)
        return int(found.group(1))

    def words(self):
        self.log.flush()
        return (self.folder / "log").read_text()[-3000:]

    def other_root(self, subject):
        """The files of another mesh's root."""
        path = self.folder / f"root{len(list(self.folder.glob('root*')))}.crt"
        openssl("req", "-x509", *KEY, "-days", 1, "-subj", f"/{subject}", "-keyout",
                path.with_suffix(".key"), "-out", path)
        return path

    def certificate(self, name, uri, days=1, root=None):
        """A file with a certificate of this root, ours when it isn't said, and its key."""
        root = root or self.folder / "ca.crt"
        path = self.folder / f"{name}-{len(list(self.folder.glob('*.csr')))}"
        key, request, extensions = (path.with_suffix(x) for x in (".key", ".csr", ".ext"))
        extensions.write_text(f"subjectAltName = URI:{uri}\n")
        openssl("req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", root, "-CAkey", root.with_suffix(".key"),
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", path)
        path.write_text(path.read_text() + key.read_text())
        return path

    def context_of(self, certificate=None):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        context.set_alpn_protocols(["h2"])
        if certificate:
            context.load_cert_chain(certificate)
        return context

    def context(self, name, n):
        return self.context_of(self.certificate(name, uri_of(name, n)))

    def connect(self, name="web", settings=b"", context=None, options=(), grant=0):
        """options: of the socket, (level, name, value); grant: more window for the connection"""
        raw = socket.socket()
        for option in options:
            raw.setsockopt(*option)
        raw.settimeout(TIMEOUT)
        raw.connect(("127.0.0.1", self.port))
        context = context or self.contexts[name]
        return Wire(context.wrap_socket(raw, server_hostname="ads.cluster.local"), settings, grant)

    def resident_pages(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])

    def works(self):
        """It is there, and serves."""
        assert self.process.poll() is None, self.words()
        with self.connect() as w:
            w.open()
            w.send(w.message(request(CDS)))
            assert CDS.encode() in w.next_message()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(TIMEOUT)
        assert code == 0 and "ThreadSanitizer" not in self.words(), self.words()
        self.log.close()


def field(number, content):
    """One length-delimited field of a protobuf message."""
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def request(type_url, names=(), node=b""):
    """A DeltaDiscoveryRequest."""
    return (field(1, node) if node else b"") + field(2, type_url) + \
        b"".join(field(3, n) for n in names)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


class Wire:
    """A connection that is through its handshake and says just what it is told to."""

    def __init__(self, tls, settings=b"", grant=0):
        self.tls, self.seen, self.encoder = tls, b"", hpack.Encoder()
        self.encoder.header_table_size = 0
        self.decoder = hpack.Decoder()
        self.body = b""
        self.say(PREFACE + frame(SETTINGS, 0, 0, settings))
        if grant:
            self.say(frame(WINDOW, 0, 0, struct.pack(">I", grant)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def say(self, words):
        self.tls.sendall(words)

    def try_say(self, words):
        """False: the other side is gone."""
        try:
            self.tls.sendall(words)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def headers(self, path=DELTA, more=()):
        return self.encoder.encode([(":method", "POST"), (":scheme", "https"), (":path", path),
                                    (":authority", "osm"), ("te", "trailers"),
                                    ("content-type", "application/grpc"), *more], huffman=False)

    def open(self, stream=1, path=DELTA, more=()):
        self.say(frame(HEADERS, END_HEADERS, stream, self.headers(path, more)))

    def message(self, content, stream=1, flag=0, length=None):
        prefix = struct.pack(">BI", flag, len(content) if length is None else length)
        return frame(DATA, 0, stream, prefix + content)

    def send(self, words):
        self.say(words)

    def read(self, size):
        while len(self.seen) < size:
            more = self.tls.recv(65536)
            if not more:
                raise ConnectionError("closed")
            self.seen += more
        out, self.seen = self.seen[:size], self.seen[size:]
        return out

    def next_frame(self):
        head = self.read(9)
        length = int.from_bytes(head[:3], "big")
        stream = int.from_bytes(head[5:], "big")
        return head[3], head[4], stream, self.read(length)

    def until(self, kind):
        """The next frame of a kind."""
        while True:
            got = self.next_frame()
            if got[0] == kind:
                return got

    def next_message(self):
        """A whole gRPC message; the window is kept open."""
        while True:
            if len(self.body) >= 5:
                n = int.from_bytes(self.body[1:5], "big")
                if len(self.body) >= n + 5:
                    out, self.body = self.body[5:n + 5], self.body[n + 5:]
                    return out
            _, _, stream, payload = self.until(DATA)
            self.body += payload
            if payload:
                more = struct.pack(">I", len(payload))
                self.say(frame(WINDOW, 0, 0, more) + frame(WINDOW, 0, stream, more))

    def status(self, stream=1):
        """The gRPC status that a call ends with."""
        while True:
            kind, flags, of, payload = self.next_frame()
            if kind == HEADERS:
                headers = dict(self.decoder.decode(payload))
                if of == stream and flags & END_STREAM:
                    return int(headers["grpc-status"])

    def goodbye(self):
        """The error code of GOAWAY; None when the connection just ends."""
        try:
            return int.from_bytes(self.until(GOAWAY)[3][4:8], "big")
        except (ConnectionError, ssl.SSLError):
            return None
