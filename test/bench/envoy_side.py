"""What a mesh of many services costs one real sidecar: permissive mode, every service visible.

`osm local` runs one pod with its sidecar. The services are manifests like any others; the pods behind
them are only said to be there, in the folder where the runtime publishes its own to the controller.
Envoy's own counters say what it has, how many bytes the controller sent, and how much memory it has
allocated; times run from the change of a file to the counter that shows it."""
import json
import re
import subprocess
import time
import uuid

import manifests as m

POLL_S = 0.005


def service(i):
    return m.service("many", f"s{i}", {"app": f"s{i}"},
                     [{"name": "http", "port": 80, "targetPort": 8080}],
                     clusterIP=f"10.97.{i // 250}.{i % 250 + 1}")


def pod(i, k):
    """The k-th of the i-th service; addresses are unique."""
    n = 2 * i + k
    ip = f"10.98.{n // 250}.{n % 250 + 1}"
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"s{i}-{k}", "namespace": "many",
                         "labels": {"app": f"s{i}", "osm-proxy-uuid": str(uuid.UUID(int=n))}},
            "spec": {"serviceAccountName": f"s{i}", "containers": [{"name": "app", "image": "app"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                       "conditions": [{"type": "Ready", "status": "True"}]}}


def endpoints(i, count=1):
    """With their pods and account."""
    pods = [pod(i, k) for k in range(count)]
    at = [{"addresses": [p["status"]["podIP"]], "conditions": {"ready": True},
           "targetRef": {"kind": "Pod", "name": p["metadata"]["name"], "namespace": "many"}}
          for p in pods]
    return [m.account("many", f"s{i}"), *pods,
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": f"s{i}", "namespace": "many",
                          "labels": {"kubernetes.io/service-name": f"s{i}"}},
             "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": at}]


class Sidecar:
    """Its admin pages."""

    def __init__(self, mesh, workload):
        self.mesh, self.workload = mesh, workload

    def get(self, query):
        """Nothing as long as it doesn't answer."""
        try:
            return self.mesh.proxy_get(self.workload, query)
        except subprocess.CalledProcessError:
            return ""

    def stats(self, *names):
        text = self.get(f"stats?filter=^({'|'.join(names)})$")
        found = dict(re.findall(r"^(\S+): (\d+)$", text, re.M))
        return [int(found.get(n.replace("\\", ""), 0)) for n in names]

    def listeners(self):
        return self.stats("listener_manager.total_listeners_active")[0]

    def received(self):
        return self.stats("cluster.osm-controller.upstream_cx_rx_bytes_total")[0]

    def allocated_mb(self):
        return int(json.loads(self.get("memory"))["allocated"]) / 1e6

    def members(self, cluster):
        return len(set(re.findall(rf"^{re.escape(cluster)}::([\d.:]+)::cx_active",
                                  self.get("clusters"), re.M)))


def until(what):
    """Milliseconds until it is so, in steps of a question to Envoy's admin page."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + 120, "Envoy doesn't get there"
        time.sleep(POLL_S)
    return (time.monotonic() - began) * 1000


def changed(sidecar, write, seen):
    """Milliseconds and bytes of one change."""
    before = sidecar.received()
    write()
    ms = until(seen)
    time.sleep(1)  # what belongs to it has come, too
    return ms, sidecar.received() - before


def published(mesh, i):
    return mesh.state / mesh.name / "objects" / f"many-{i}.yaml"


def start(mesh, count):
    m.write(mesh.dir / "client.yaml", m.mesh_config(permissive=True), m.namespace("town"),
            m.namespace("many"), *m.client("town", "client"))
    m.write(mesh.dir / "services.yaml", *[service(i) for i in range(count)])
    mesh.up()
    for i in range(count):
        m.write(published(mesh, i), *endpoints(i))


def run(mesh, count, say):
    """mesh: a new one that isn't up; the caller ends it. Returns Envoy's memory in MB."""
    start(mesh, count)
    last = f"many/s{count - 1}|8080"
    first = Sidecar(mesh, "client")
    until(lambda: first.listeners() >= count and first.members(last) == 1)
    sidecar = Sidecar(mesh, "late")
    m.write(mesh.dir / "late.yaml", *m.client("town", "late"))
    ready_ms = until(lambda: sidecar.listeners() >= count and sidecar.members(last) == 1)
    time.sleep(2)
    memory = sidecar.allocated_mb()
    say(f"{count} services: bytes of the first configuration", f"{sidecar.received() / 1e6:.2f} MB")
    say(f"{count} services: a new pod's Envoy has it after", f"{ready_ms:.0f} ms")
    say(f"{count} services: memory Envoy has allocated", f"{memory:.1f} MB")
    ms, size = changed(sidecar, lambda: m.write(published(mesh, 0), *endpoints(0, 2)),
                       lambda: sidecar.members("many/s0|8080") == 2)
    say(f"{count} services: one endpoint more", f"{ms:.0f} ms, {size} bytes")

    def add():
        m.write(published(mesh, count), service(count), *endpoints(count))
    have = sidecar.listeners()
    ms, size = changed(sidecar, add, lambda: sidecar.listeners() > have)
    say(f"{count} services: one new service", f"{ms:.0f} ms, {size} bytes", "at most 8 KB")
    return memory
