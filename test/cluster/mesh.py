"""The mesh in a cluster, installed and used as its users do: with `osm`."""
import contextlib
import json
import os
import pathlib
import subprocess

from cluster import TREE
from kubectl import eventually, summary

OSM = pathlib.Path(os.environ.get("OSM_BUILD", TREE / "build")) / "src/cli/osm"
NAMESPACE = "osm-system"
CONTROL_PLANE = ("osm-controller", "osm-injector", "osm-bootstrap")
TIMEOUT = 300


class Mesh:
    """One mesh; there is at most one in a cluster."""

    def __init__(self, cluster, kubectl):
        self.cluster, self.kubectl = cluster, kubectl

    def osm(self, *args, check=True, input=None):
        """Runs `osm` in the cluster's network; the finished process."""
        done = self.cluster.net(OSM, *args, text=True, capture_output=True, timeout=TIMEOUT,
                                input=input, stdin=None if input else subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"osm {' '.join(map(str, args))}\n{summary(done)}")
        return done

    def is_installed(self):
        return self.kubectl.try_("-n", NAMESPACE, "get", "deployment", "osm-controller"
                                 ).returncode == 0

    def install(self, *more):
        """Installs what the CLI carries and waits until all of it is ready."""
        done = self.osm("install", *more)
        self.webhooks_answer()
        return done

    def webhooks_answer(self):
        """Waits until kube-proxy leads to the webhooks: it follows by up to a second or two."""
        for service, port in (("osm-injector", 9090), ("osm-validator", 9093)):
            eventually(lambda: self.cluster.net(
                "curl", "-ksS", "-m", "5", "-o", "/dev/null", f"https://{service}.{NAMESPACE}:{port}/",
                capture_output=True).returncode == 0)

    def scale(self, name, replicas):
        """Scales a deployment of the control plane."""
        self.kubectl("-n", NAMESPACE, "scale", f"deployment/{name}", f"--replicas={replicas}")
        self.comes_to(name, replicas)

    def comes_to(self, name, replicas):
        """Waits until a deployment of the control plane has just so many pods, and all are ready. While
        one ends, the API server may still be led to its webhook; where there was none, it isn't yet."""
        self.kubectl.ready(NAMESPACE, f"deployment/{name}")
        eventually(lambda: len(self.kubectl.items("-n", NAMESPACE, "pods", "-l", f"app={name}")) == replicas)
        if replicas:
            self.webhooks_answer()

    def uninstall(self, *more):
        return self.osm("uninstall", "mesh", "--force", *more)

    def join(self, namespace, *more):
        self.osm("namespace", "add", namespace, *more)

    def config(self):
        return self.kubectl.json("-n", NAMESPACE, "get", "meshconfig", "osm-mesh-config")["spec"]

    def configure(self, spec):
        """Merges into the MeshConfig."""
        self.kubectl("-n", NAMESPACE, "patch", "meshconfig", "osm-mesh-config", "--type=merge",
                     "-p", json.dumps({"spec": spec}))

    @contextlib.contextmanager
    def smi_mode(self, **traffic):
        """Nobody may call anybody without a TrafficTarget, while the context lasts."""
        before = self.config()["traffic"]
        self.configure({"traffic": {"enablePermissiveTrafficPolicyMode": False, **traffic}})
        try:
            yield
        finally:
            self.configure({"traffic": before})

    def logs(self, app, *more):
        return self.kubectl("-n", NAMESPACE, "logs", f"--selector=app={app}", "--tail=-1", *more)


class Caller:
    """Calls from one pod's container."""

    def __init__(self, kubectl, namespace, pod, container="app"):
        self.kubectl, self.namespace, self.pod, self.container = kubectl, namespace, pod, container

    def get(self, url, *more):
        """(status code, body); code 0 when there was no answer."""
        return self.kubectl.curl(self.namespace, self.pod, url, *more, container=self.container)

    def gets(self, url, code, *more):
        """Waits until the answer has a status code; the body."""
        def seen():
            got, body = self.get(url, *more)
            assert got == code, f"{url}: expected {code}, got {got}: {body}"
            return body or "(empty)"
        return eventually(seen)

    def is_refused(self, url, *more):
        """Waits until there is no answer of the application: a refusal, or no connection."""
        def seen():
            got, body = self.get(url, *more)
            assert got in (0, 403, 404, 502, 503), f"{url}: expected a refusal, got {got}: {body}"
            return "refused"
        return eventually(seen)

    def says_tcp(self, host, port, line):
        """What a TCP server answers to a line, "" when it doesn't."""
        script = f'printf "%s\\n" "{line}" | nc -w 5 {host} {port}'
        return self.kubectl.try_("-n", self.namespace, "exec", self.pod, "-c", self.container, "--",
                                 "sh", "-c", script).stdout.strip()


def containers(pod):
    """(names of init containers, names of containers)"""
    spec = pod["spec"]
    return ([c["name"] for c in spec.get("initContainers", [])],
            [c["name"] for c in spec["containers"]])


def is_injected(pod):
    return "envoy" in sum(containers(pod), [])


def traffic_target(name, namespace, source, destination, *rules):
    """source: (namespace, account); rules: {"kind", "name", "matches"}."""
    return {"apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"destination": {"kind": "ServiceAccount", "name": destination,
                                     "namespace": namespace},
                     "sources": [{"kind": "ServiceAccount", "name": source[1],
                                  "namespace": source[0]}],
                     "rules": list(rules)}}


def route_group(name, namespace, *matches):
    return {"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"matches": list(matches)}}


def tcp_route(name, namespace, *ports):
    return {"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "TCPRoute",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"matches": {"ports": list(ports)}}}


def split(name, namespace, service, **weights):
    return {"apiVersion": "split.smi-spec.io/v1alpha2", "kind": "TrafficSplit",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"service": service,
                     "backends": [{"service": s.replace("_", "-"), "weight": w}
                                  for s, w in weights.items()]}}
