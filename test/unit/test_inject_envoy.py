"""Generated bootstraps and rules before the real thing: Envoy takes every bootstrap, its listeners tell
what the application answers, and the kernel takes the rules, which let through and redirect what they
should."""
import concurrent.futures
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import grpc
import pytest
import yaml

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
PRINT = BUILD / "test/unit/inject_print"
ENVOY = os.environ["OSM_ENVOY"]
# One that other users than root can read.
PYTHON = "/usr/bin/python3"
PATIENCE = 60


def inject(*arguments, containers, spec=None, annotations=None, config=None):
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": "web", "namespace": "demo", "annotations": annotations or {}},
           "spec": {"serviceAccountName": "web", "containers": containers, **(spec or {})}}
    documents = [pod]
    if config:
        documents.append({"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
                          "metadata": {"name": "osm-mesh-config", "namespace": "osm-system"},
                          "spec": config})
    done = subprocess.run([PRINT, *arguments], input="---\n".join(map(yaml.safe_dump, documents)),
                          capture_output=True, text=True, check=True)
    out = json.loads(done.stdout)
    assert "error" not in out, out["error"]
    return out


def write_bootstrap(folder, out):
    """The Secret's files, with paths of this folder; returns the bootstrap's."""
    for name, text in out["secret"]["stringData"].items():
        (folder / name).write_text(text.replace("/etc/envoy", str(folder)))
    return folder / "bootstrap.yaml"


def command(folder, out):
    """The sidecar's command line, with paths of this folder."""
    pod = out["pod"]["spec"]
    envoy = next(c for c in pod["containers"] + pod["initContainers"] if c["name"] == "envoy")
    args = [a.replace("/etc/envoy", str(folder)) for a in envoy["args"]]
    return [ENVOY, *["warning" if a == "error" else a for a in args]]


def container(name="app", **more):
    return {"name": name, "image": "i", "ports": [{"name": "http", "containerPort": 8080}], **more}


def get(port, path="/", scheme="HTTP", **more):
    return {"httpGet": {"port": port, "path": path, "scheme": scheme}, **more}


def patiently(probe):
    """For an application of a test: a probe's own second is short on a machine that is busy."""
    return {"timeoutSeconds": PATIENCE, **probe}


PODS = {
    "plain": [container()],
    "http": [container(livenessProbe=get("http", "/a b?x=é"), readinessProbe=get(1, timeoutSeconds=30))],
    "https": [container(livenessProbe=get(8443, scheme="HTTPS"), startupProbe=get(8443, scheme="HTTPS"))],
    "tcp": [container(livenessProbe={"tcpSocket": {"port": 3306}})],
    "grpc": [container(livenessProbe={"grpc": {"port": 9000}}, readinessProbe={"grpc": {"port": 9001}})],
    "hooks": [container(lifecycle={"preStop": get("http", "/bye"), "postStart": get(1, scheme="HTTPS")})],
    "several": [container(f"c{i}", livenessProbe=get(8000 + i), readinessProbe={"grpc": {"port": 9000 + i}})
                for i in range(8)],
}


@pytest.mark.parametrize("mode", [(), ("native",), ("ipv6",), ("native", "ipv6")], ids=str)
@pytest.mark.parametrize("pod", PODS)
def test_envoy_takes_the_bootstrap(tmp_path, pod, mode):
    out = inject(*mode, containers=PODS[pod])
    write_bootstrap(tmp_path, out)
    done = subprocess.run([*command(tmp_path, out), "--mode", "validate"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[warning]" not in done.stderr


# --- probes through a running Envoy ---

class App(http.server.ThreadingHTTPServer):
    """Answers /PATH by its number, /999 late and /998 when it is released; notes what it was asked."""

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.released = [], threading.Event()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, self.client_address[1]))
        status = int(self.path.strip("/").split("?")[0].split("/")[-1])
        if status == 999:
            time.sleep(3)
            status = 200
        elif status == 998:
            self.server.released.wait(PATIENCE)
            status = 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def free_ports(n):
    """Free when we looked; nothing else of the test takes ports meanwhile."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Sidecar:
    """A real Envoy with a generated bootstrap, its ports moved to free ones. There is no controller, so
    it goes live by itself only where the bootstrap doesn't wait for one."""

    def __init__(self, folder, out):
        path = write_bootstrap(folder, out)
        b = yaml.safe_load(path.read_text())
        for config in ("cds_config", "lds_config"):
            b["dynamic_resources"][config]["initial_fetch_timeout"] = "0.1s"
        listeners = b["static_resources"].get("listeners", [])
        fixed = [x["address"]["socket_address"]["port_value"] for x in listeners] + [15000]
        self.ports = dict(zip(fixed, free_ports(len(fixed))))
        text = json.dumps(b)
        for before, after in self.ports.items():
            text = text.replace(f'"port_value": {before}', f'"port_value": {after}')
        path.write_text(text)
        self.process = subprocess.Popen([*command(folder, out), "--disable-hot-restart",
                                         "--concurrency", "1"])
        deadline = time.monotonic() + PATIENCE
        while self.get(15000, "/ready") != 200:
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.05)

    def get(self, port, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"User-Agent": "kube-probe/1.37", **(headers or {})})
            response = connection.getresponse()
            self.headers = dict(response.getheaders())
            return response.status
        except OSError:
            return None
        finally:
            connection.close()

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def sidecar(tmp_path):
    made = []

    def make(**pod):
        made.append(Sidecar(tmp_path, inject(*pod.pop("mode", ()), **pod)))
        return made[-1]
    yield make
    for s in made:
        s.end()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody",
                    "-days", "1", "-keyout", folder / "key", "-out", folder / "cert"],
                   check=True, capture_output=True)
    return folder / "cert", folder / "key"


def test_http_probes_pass_and_fail_as_the_application_does(sidecar):
    app = App()
    s = sidecar(containers=[container(livenessProbe=patiently(get(app.port, "/200?x=1")),
                                      readinessProbe=patiently(get(app.port, "/503")),
                                      startupProbe=patiently(get(app.port, "/302")))])
    assert s.get(15901, "/osm-liveness-probe/app", {"Host": "a.b", "X-Own": "1"}) == 200
    assert s.get(15902, "/osm-readiness-probe/app") == 503
    assert s.get(15903, "/osm-startup-probe/app") == 302
    assert "location" not in {k.lower() for k in s.headers}
    path, headers, _ = app.asked[0]
    assert path == "/200?x=1"
    assert headers["host"] == "a.b" and headers["x-own"] == "1"
    # Each probe asks on a connection of its own, as the kubelet does.
    assert len({connection for _, _, connection in app.asked}) == 3
    app.shutdown()
    app.server_close()
    assert s.get(15901, "/osm-liveness-probe/app") == 503


def test_only_the_probes_paths_lead_to_the_application(sidecar):
    app = App()
    s = sidecar(containers=[container(livenessProbe=get(app.port, "/200"))])
    for path in ("/", "/200", "/osm-liveness-probe/", "/osm-liveness-probe/app/", "/osm-liveness-probe/app2",
                 "/osm-liveness-probe/app/../../200", "/osm-readiness-probe/app", "/OSM-liveness-probe/app"):
        assert s.get(15901, path) == 404, path
    assert not app.asked


def test_a_probe_has_its_own_timeout(sidecar):
    app = App()
    s = sidecar(containers=[container(livenessProbe=get(app.port, "/999", timeoutSeconds=1),
                                      readinessProbe=get(app.port, "/999", timeoutSeconds=60))])
    assert s.get(15901, "/osm-liveness-probe/app") == 504
    assert s.get(15902, "/osm-readiness-probe/app") == 200


def test_containers_have_probes_of_their_own(sidecar, tls):
    apps = [App(), App(tls), App(tls)]
    s = sidecar(containers=[container(f"c{i}", livenessProbe=patiently(
        get(a.port, f"/{200 + i}", "HTTPS" if i else "HTTP"))) for i, a in enumerate(apps)])
    for i in range(3):
        assert s.get(15901, f"/osm-liveness-probe/c{i}") == 200 + i
    apps[1].shutdown()
    apps[1].server_close()
    assert s.get(15901, "/osm-liveness-probe/c1") == 503
    assert s.get(15901, "/osm-liveness-probe/c2") == 202


def test_hooks_lead_to_the_application(sidecar, tls):
    app = App(tls)
    s = sidecar(containers=[container(lifecycle={"preStop": get(app.port, "/201", "HTTPS")})])
    assert s.get(15905, "/osm-prestop-hook/app") == 201


CHECK = "/grpc.health.v1.Health/Check"


def grpc_app():
    """Answers with what it is sent; one service beside the check. The server and its port."""
    echo = grpc.unary_unary_rpc_method_handler(lambda message, _: message)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    for service, method in (("grpc.health.v1.Health", "Check"), ("shop.Books", "Sell")):
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: echo})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def call(port, method):
    """What a call of gRPC says: its answer, or the code that it failed with."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            return channel.unary_unary(method)(b"books", timeout=PATIENCE, wait_for_ready=True)
        except grpc.RpcError as e:
            return e.code()


def test_grpc_probes_pass_and_fail_as_the_application_does(sidecar):
    server, port = grpc_app()
    s = sidecar(containers=[container(livenessProbe=patiently({"grpc": {"port": port}}))])
    assert [call(s.ports[15910], CHECK) for _ in range(3)] == [b"books"] * 3
    server.stop(0).wait()
    assert call(s.ports[15910], CHECK) == grpc.StatusCode.UNAVAILABLE


def test_only_the_check_leads_to_the_application(sidecar):
    """Whoever reaches the pod may ask there without a certificate."""
    server, port = grpc_app()
    s = sidecar(containers=[container(livenessProbe={"grpc": {"port": port}})])
    assert call(port, "/shop.Books/Sell") == b"books"
    for method in ("/shop.Books/Sell", CHECK + "/../../shop.Books/Sell", "/grpc.health.v1.Health/Watch"):
        assert call(s.ports[15910], method) == grpc.StatusCode.UNIMPLEMENTED, method
    server.stop(0)


def test_ready_says_that_the_sidecar_is(sidecar):
    s = sidecar(mode=("native",), containers=[container()])
    assert s.get(15905, "/ready") == 200
    for path in ("/", "/config_dump", "/quitquitquit", "/ready/../config_dump", "/readyx"):
        assert s.get(15905, path) == 404, path


def test_a_native_sidecar_is_not_ready_without_configuration(tmp_path):
    """No controller: the pod's containers wait."""
    out = inject("native", containers=[container()])
    path = write_bootstrap(tmp_path, out)
    b = yaml.safe_load(path.read_text())
    admin, ready = free_ports(2)
    text = json.dumps(b).replace('"port_value": 15000', f'"port_value": {admin}').replace(
        '"port_value": 15905', f'"port_value": {ready}')
    path.write_text(text)
    process = subprocess.Popen([*command(tmp_path, out), "--disable-hot-restart"])
    try:
        deadline = time.monotonic() + PATIENCE
        status = None
        while status is None and time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=PATIENCE)
            try:
                connection.request("GET", "/ready")
                status = connection.getresponse().status
            except OSError:
                time.sleep(0.05)
        assert status == 503
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", ready), 1)
    finally:
        process.terminate()
        process.wait(PATIENCE)


# --- osm-init waits for the sidecar ---

class Init:
    """osm-init's own script as the first process of a pod's namespaces; `serve` plays the sidecar."""

    def __init__(self, folder, out, shell, tools):
        init = next(c for c in out["pod"]["spec"]["initContainers"] if c["name"] == "osm-init")
        (folder / "init.sh").write_text(init["command"][2])
        (folder / "sh").symlink_to(shell)
        for name in tools:
            (folder / name).symlink_to("/bin/busybox")
        for name in ("iptables", "iptables-restore"):
            (folder / name).symlink_to(shutil.which(name))
        self.server = None
        self.child = subprocess.Popen(
            ["unshare", "-n", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c",
             f"ip link set lo up; PATH={folder}; exec {folder}/sh {folder}/init.sh"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def first(self):
        """The script's process, as seen from outside."""
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        while not (found := children.read_text().split()):
            assert self.child.poll() is None
            time.sleep(0.01)
        return int(found[0])

    def until_it_waits(self):
        """The rules are there: their last part is the jump out of OUTPUT."""
        deadline = time.monotonic() + PATIENCE
        while "OSM_PROXY_OUTBOUND" not in subprocess.run(
                ["nsenter", "-t", str(self.first()), "-n", "iptables", "-t", "nat", "-S", "OUTPUT"],
                capture_output=True, text=True).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def serve(self):
        script = "import socket as s; s.create_server(('127.0.0.1', 15905)).accept()"
        self.server = subprocess.Popen(["nsenter", "-t", str(self.first()), "-n", PYTHON, "-c", script])

    def end(self):
        for process in filter(None, (self.child, self.server)):
            process.kill()
            process.wait()


@pytest.fixture
def osm_init(tmp_path):
    made = []

    def make(*arguments, shell="/bin/busybox", tools=("nc", "sleep")):
        made.append(Init(tmp_path, inject(*arguments, containers=[container()]), shell, tools))
        return made[-1]
    yield make
    for x in made:
        x.end()


def test_osm_init_ends_when_the_sidecar_serves(osm_init):
    init = osm_init("native")
    init.until_it_waits()
    with pytest.raises(subprocess.TimeoutExpired):
        init.child.wait(1)
    init.serve()
    assert init.child.wait(PATIENCE) == 0
    assert init.server.wait(PATIENCE) == 0


def test_osm_init_that_waits_says_so_and_can_be_ended(osm_init):
    init = osm_init("native")
    init.until_it_waits()
    said = init.child.stdout.readline()
    assert said.startswith("osm-init: the pod waits, as its sidecar has no configuration yet"), said
    os.kill(init.first(), signal.SIGTERM)
    init.child.wait(PATIENCE)


def test_osm_init_says_what_its_image_lacks(osm_init):
    init = osm_init("native", shell="/bin/dash", tools=())
    assert init.child.wait(PATIENCE) == 1
    assert init.child.stdout.read().startswith("osm-init: expected nc in its image")


def test_osm_init_waits_only_for_a_sidecar_that_is_there_before_it(osm_init):
    assert osm_init().child.wait(PATIENCE) == 0


# --- osm-healthcheck ---

HEALTHCHECK = BUILD / "src/daemon/osm-healthcheck"


def in_namespace(script):
    """Runs a shell script in a network namespace of its own; its output."""
    done = subprocess.run(["unshare", "-n", "sh", "-c", "ip link set lo up\n" + script],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_healthcheck_tells_whether_a_port_takes_connections():
    said = in_namespace(f"""
        {HEALTHCHECK} --verbosity error & pid=$!
        ask() {{ curl -s -o /dev/null -w '%{{http_code}}\\n' "$@"; }}
        until ask http://127.0.0.1:15904/ >/dev/null; do sleep 0.05; done
        nc -lk 127.0.0.1 7000 >/dev/null & listener=$!
        until nc -z 127.0.0.1 7000; do sleep 0.05; done
        ask -H 'Original-Tcp-Port: 7000' http://127.0.0.1:15904/osm-healthcheck
        kill $listener; wait $listener
        ask -H 'Original-Tcp-Port: 7000' http://127.0.0.1:15904/osm-healthcheck
        ask http://127.0.0.1:15904/osm-healthcheck
        ask -H 'Original-Tcp-Port: 70000' http://127.0.0.1:15904/osm-healthcheck
        ask -H 'Original-Tcp-Port: x' http://127.0.0.1:15904/osm-healthcheck
        ask http://127.0.0.1:15904/elsewhere
        head -c 100000 /dev/zero | ask --data-binary @- http://127.0.0.1:15904/osm-healthcheck
        kill $pid; wait $pid
        """)
    assert said.split() == ["200", "404", "400", "400", "400", "404", "413"]


def test_healthcheck_tells_of_no_port_that_no_probe_names():
    """Anybody who reaches the pod can ask it."""
    said = in_namespace(f"""
        {HEALTHCHECK} --verbosity error --ports 7000,7001 & pid=$!
        ask() {{ curl -s -o /dev/null -w '%{{http_code}}\\n' -H "Original-Tcp-Port: $1" \\
            http://127.0.0.1:15904/osm-healthcheck; }}
        until ask 1 >/dev/null; do sleep 0.05; done
        nc -lk 127.0.0.1 7001 >/dev/null & listener=$!
        until nc -z 127.0.0.1 7001; do sleep 0.05; done
        for port in 7000 7001 15904 15000 22; do ask $port; done
        kill $listener $pid; wait
        """)
    assert said.split() == ["404", "200", "403", "403", "403"]
    done = subprocess.run([HEALTHCHECK, "--ports", "7000,http"], capture_output=True, text=True)
    assert done.returncode == 1 and '--ports: expected at most' in done.stderr


# --- rules ---

# Who listens where in the pod, by the name that it answers with. 15001 and 15003 are the sidecar's.
LISTEN = """
import os, socket, sys, threading, time
for at in sys.argv[1:]:
    host, port = at.rsplit("@", 1)
    s = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    def serve(s=s, port=port):
        while True:
            c, _ = s.accept(); c.sendall(port.encode()); c.close()
    threading.Thread(target=serve, daemon=True).start()
os.setuid(1500)
print("up", flush=True)
time.sleep(600)
"""
# call.py UID HOST PORT...: what answers there, a line each.
CALL = """
import os, socket, sys
os.setuid(int(sys.argv[1]))
for host, port in (x.rsplit("@", 1) for x in sys.argv[2:]):
    try:
        with socket.create_connection((host, int(port)), 60) as c:
            print(f"{host}@{port}={c.recv(100).decode()}")
    except OSError as e:
        print(f"{host}@{port}=refused")
"""


class Pod:
    """Two network namespaces joined by a link: a pod with the rules, and another machine."""

    def __init__(self, folder, out, times=1):
        (folder / "listen.py").write_text(LISTEN)
        (folder / "call.py").write_text(CALL)
        (folder / "rules.sh").write_text(out["rules"])
        self.folder, self.processes = folder, []
        self.pod = self.namespace()
        self.outside = self.namespace()
        self.run(self.pod, f"ip link add eth0 type veth peer name eth0 netns {self.outside}")
        for process, last in ((self.pod, 1), (self.outside, 2)):
            self.run(process, f"ip link set lo up; ip addr add 10.9.0.{last}/24 dev eth0; "
                     f"ip -6 addr add fd99::{last}/64 dev eth0 nodad; ip link set eth0 up")
        for _ in range(times):
            self.set_rules()

    def set_rules(self):
        self.run(self.pod, f"POD_IP=10.9.0.1 sh {self.folder}/rules.sh")

    def namespace(self):
        child = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; exec sleep 600"],
                                 stdout=subprocess.PIPE)
        child.stdout.readline()
        self.processes.append(child)
        return child.pid

    def run(self, namespace, script):
        done = subprocess.run(["nsenter", "-t", str(namespace), "-n", "sh", "-e", "-c", script],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def listen(self, namespace, *where):
        child = subprocess.Popen(["nsenter", "-t", str(namespace), "-n", PYTHON, self.folder / "listen.py",
                                  *where], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"up\n"
        self.processes.append(child)

    def call(self, namespace, user, *where):
        said = self.run(namespace, f"{PYTHON} {self.folder}/call.py {user} {' '.join(where)}")
        return dict(line.split("=") for line in said.split())

    def end(self):
        for p in reversed(self.processes):
            p.kill()
            p.wait()


@pytest.fixture
def pod(tmp_path):
    made = []

    def make(*arguments, times=1, **more):
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o111)
        made.append(Pod(tmp_path, inject(*arguments, containers=[container()], **more), times))
        return made[-1]
    yield make
    for p in made:
        p.end()


APP_USER, SIDECAR_USER = 1000, 1500


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_rules_redirect_what_they_should(pod, times):
    p = pod("ipv6", times=times)
    here = ["0.0.0.0@15001", "0.0.0.0@15003", "0.0.0.0@15010", "0.0.0.0@15901", "0.0.0.0@15904",
            "0.0.0.0@15905", "0.0.0.0@8080", "::1@8081", "fd99::1@8080", "fd99::1@15001", "fd99::1@15003"]
    p.listen(p.pod, *[x for x in here if not x.startswith("::1@")], "::1@15001", "::1@8081")
    p.listen(p.outside, "10.9.0.2@80", "fd99::2@80")
    # From outside all comes to the sidecar but what is for the kubelet and for Prometheus.
    assert p.call(p.outside, APP_USER, "10.9.0.1@8080", "10.9.0.1@15010", "10.9.0.1@15901", "10.9.0.1@15904",
                  "10.9.0.1@15905", "fd99::1@8080") == {
        "10.9.0.1@8080": "15003", "10.9.0.1@15010": "15010", "10.9.0.1@15901": "15901",
        "10.9.0.1@15904": "15904", "10.9.0.1@15905": "15905", "fd99::1@8080": "15003"}
    # The application's calls go through the sidecar, but those to itself.
    assert p.call(p.pod, APP_USER, "10.9.0.2@80", "fd99::2@80", "127.0.0.1@8080", "10.9.0.1@8080",
                  "::1@8081") == {
        "10.9.0.2@80": "15001", "fd99::2@80": "15001", "127.0.0.1@8080": "8080", "10.9.0.1@8080": "8080",
        "::1@8081": "8081"}
    # The sidecar's own go out; to its own pod they come in as everybody's.
    assert p.call(p.pod, SIDECAR_USER, "10.9.0.2@80", "fd99::2@80", "127.0.0.1@8080", "10.9.0.1@8080") == {
        "10.9.0.2@80": "80", "fd99::2@80": "80", "127.0.0.1@8080": "8080", "10.9.0.1@8080": "15003"}


@pytest.mark.parametrize("address", ["10.9.0.2", "fd99::2"])
@pytest.mark.parametrize("first", ["server", "client"])
def test_connections_older_than_the_rules_go_on(pod, address, first):
    """The sidecar is connected to osm-controller before osm-init sets the rules. The first packet that they
    see may be of either side."""
    p = pod("ipv6", times=0)

    def side(namespace, connect, *lines):
        child = subprocess.Popen(["nsenter", "-t", str(namespace), "-n", PYTHON, "-u", "-c", "\n".join((
            "import socket, sys", connect, "print('connected')", "sys.stdin.readline()", *lines))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.processes.append(child)
        return child
    says, hears = ("c.sendall(b'late')",), ("c.settimeout(10)", "print(c.recv(4))")
    server = side(p.outside, f"s = socket.create_server(({address!r}, 15128), family=socket.AF_INET6 if ':' in "
                  f"{address!r} else socket.AF_INET); print('listens'); c = s.accept()[0]",
                  *(says if first == "server" else hears), "sys.stdin.readline()")
    assert server.stdout.readline() == "listens\n"
    client = side(p.pod, f"import os; os.setuid({SIDECAR_USER}); c = socket.create_connection(({address!r}, 15128))",
                  *(hears if first == "server" else says), "sys.stdin.readline()")
    assert client.stdout.readline() == server.stdout.readline() == "connected\n"
    p.set_rules()
    for child in (server, client):
        child.stdin.write("go on\n")
        child.stdin.flush()
    assert (client if first == "server" else server).stdout.readline() == "b'late'\n"


def test_exclusions_and_inclusions_are_followed(pod):
    mesh = "openservicemesh.io/"
    ports = ",".join(str(port) for port in range(7001, 7021))  # more than one rule takes
    p = pod(annotations={mesh + "outbound-port-exclusion-list": "81," + ports,
                         mesh + "inbound-port-exclusion-list": "9090",
                         mesh + "outbound-ip-range-exclusion-list": "10.9.0.3/32"},
            config={"traffic": {"networkInterfaceExclusionList": ["eth7", "dummy+"]}})
    p.run(p.outside, "ip addr add 10.9.0.3/24 dev eth0; ip addr add 10.9.0.4/24 dev eth0")
    p.listen(p.pod, "0.0.0.0@15001", "0.0.0.0@15003", "0.0.0.0@9090", "0.0.0.0@8080")
    p.listen(p.outside, "0.0.0.0@80", "0.0.0.0@81", "0.0.0.0@7001", "0.0.0.0@7020")
    assert p.call(p.outside, APP_USER, "10.9.0.1@9090", "10.9.0.1@8080") == {
        "10.9.0.1@9090": "9090", "10.9.0.1@8080": "15003"}
    assert p.call(p.pod, APP_USER, "10.9.0.2@80", "10.9.0.2@81", "10.9.0.2@7001", "10.9.0.2@7020",
                  "10.9.0.3@80") == {
        "10.9.0.2@80": "15001", "10.9.0.2@81": "81", "10.9.0.2@7001": "7001", "10.9.0.2@7020": "7020",
        "10.9.0.3@80": "80"}


def test_with_inclusions_only_those_are_redirected(pod):
    p = pod(annotations={"openservicemesh.io/outbound-ip-range-inclusion-list": "10.9.0.3/32"})
    p.run(p.outside, "ip addr add 10.9.0.3/24 dev eth0")
    p.listen(p.pod, "0.0.0.0@15001")
    p.listen(p.outside, "0.0.0.0@80")
    assert p.call(p.pod, APP_USER, "10.9.0.2@80", "10.9.0.3@80") == {
        "10.9.0.2@80": "80", "10.9.0.3@80": "15001"}


def test_pod_ip_mode_calls_the_pods_address(pod):
    p = pod(config={"sidecar": {"localProxyMode": "PodIP"}})
    p.listen(p.pod, "10.9.0.1@8080", "127.0.0.1@15000", "0.0.0.0@15003")
    assert p.call(p.pod, SIDECAR_USER, "127.0.0.1@8080", "127.0.0.1@15000") == {
        "127.0.0.1@8080": "8080", "127.0.0.1@15000": "15000"}
    assert p.call(p.pod, APP_USER, "127.0.0.1@8080") == {"127.0.0.1@8080": "refused"}


def test_a_pod_without_ipv6_needs_no_ip6tables(tmp_path):
    """Rules for both, in a namespace without an address of IPv6 and with tools that fail."""
    out = inject("ipv6", containers=[container()])
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("ip6tables", "ip6tables-restore"):
        (tools / tool).write_text("#!/bin/sh\nexit 3\n")
        (tools / tool).chmod(0o755)
    (tmp_path / "rules.sh").write_text(out["rules"])
    script = f"PATH={tools}:$PATH sh {tmp_path}/rules.sh && iptables -t nat -S OUTPUT"
    assert "OSM_PROXY_OUTBOUND" in in_namespace(script)
    done = subprocess.run(["unshare", "-n", "sh", "-c", "ip link set lo up; ip link add eth0 type veth "
                           "peer name eth1; ip link set eth0 up; ip -6 addr add fd99::1/64 dev eth0 nodad; " + script],
                          capture_output=True, text=True)
    assert done.returncode != 0  # an address that can't be redirected: the pod must not start


def test_callers_do_not_wait_for_each_other(sidecar):
    """A probe that hangs holds up no other."""
    app = App()
    s = sidecar(containers=[container(livenessProbe=patiently(get(app.port, "/998")),
                                      readinessProbe=patiently(get(app.port, "/200")))])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(s.get, 15901, "/osm-liveness-probe/app")
        assert s.get(15902, "/osm-readiness-probe/app") == 200
        assert not slow.done()
        app.released.set()
        assert slow.result() == 200
