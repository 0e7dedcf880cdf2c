"""Measures the figures of docs/performance.md and prints them, with the machine that they are of.

    bench.py [NAME...]    all, or: build size rest policy change
"""
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/local"))
import manifests as m  # noqa: E402
from mesh import BUILD, Mesh  # noqa: E402

APPS = BUILD / "demo"
CLIENTS = 11
ROUNDS = 40
COUNTERS_PORT = 14002


def say(name, value, limit=""):
    print(f"{name:<58} {value:>14}  {limit}", flush=True)


def machine():
    cpu = next((x.split(": ")[1] for x in open("/proc/cpuinfo") if x.startswith("model name")), "?")
    print(f"{os.cpu_count()} cores, {cpu.strip()}, Linux {os.uname().release}\n")


def new_mesh(name):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="osm-bench-"))
    mesh = Mesh(name, folder, pathlib.Path(f"/run/osm-bench-{os.getpid()}"))
    mesh.port = 15190
    return mesh


def end(mesh):
    mesh.osm("down", check=False)
    shutil.rmtree(mesh.dir, ignore_errors=True)


# --- the build ---

def bench_build():
    """A configured-from-nothing build of everything, tests too."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        subprocess.run(["meson", "setup", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", folder, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        say("build from nothing", f"{time.monotonic() - began:.1f} s", "under 60 s")


def bench_size():
    for program in ("daemon/osm-controller", "cli/osm"):
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, BUILD / "src" / program], check=True)
            size = os.stat(stripped.name).st_size
            say(f"{program.split('/')[1]}, stripped", f"{size / 1e6:.2f} MB", "under 3 MB")


# --- the controller at rest ---

def child_of_mesh(program, mesh):
    """The process number of a program that runs for this mesh."""
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (proc / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if line[0].endswith(program) and any(str(mesh.state) in x for x in line):
            return int(proc.name)
    raise RuntimeError(f"no {program}")


def memory(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith(field))


def cpu_ms(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def bench_rest():
    """The bookstore of the demo, ten seconds after it came up."""
    mesh = new_mesh("rest")
    try:
        for file in (ROOT / "demo/manifests").glob("*.yaml"):
            shutil.copy(file, mesh.dir)
        began = time.monotonic()
        mesh.up(*[x for a in ("bookbuyer", "bookstore", "bookwarehouse", "bookdb")
                  for x in ("--image", f"bookstore/{a}={APPS / a}")])
        say("osm local up --wait: the bookstore, 6 pods", f"{time.monotonic() - began:.1f} s")
        pid = child_of_mesh("osm-controller", mesh)
        time.sleep(5)
        before = cpu_ms(pid)
        time.sleep(10)
        say("osm-controller at rest, resident", f"{memory(pid, 'VmRSS:'):.1f} MiB", "under 10 MiB")
        say("osm-controller at rest, of that its own", f"{memory(pid, 'RssAnon:'):.1f} MiB")
        say("osm-controller at rest, CPU", f"{(cpu_ms(pid) - before) / 10:.1f} ms/s")
    finally:
        end(mesh)


# --- a policy change ---

class Client:
    """A bookbuyer in the mesh, its counters read over one connection."""

    def __init__(self, ip):
        self.http = http.client.HTTPConnection(ip, COUNTERS_PORT, timeout=10)

    def count(self, counter):
        self.http.request("GET", "/counters")
        return json.load(self.http.getresponse()).get(counter, 0)


def client_manifests(i):
    name = f"client-{i}"
    pod = m.deployment("town", name, name, "bookstore/bookbuyer")
    template = pod["spec"]["template"]
    template["metadata"]["annotations"] = {
        "openservicemesh.io/inbound-port-exclusion-list": str(COUNTERS_PORT)}
    template["spec"]["containers"][0]["env"] = [
        {"name": "BOOKSTORE", "value": "store.shop:14001"}, {"name": "INTERVAL_MS", "value": "10"},
        {"name": "PAGE", "value": "/books-bought"}]
    return [m.account("town", name), pod]


def policy_mesh():
    mesh = new_mesh("policy")
    objects = [m.namespace("shop"), m.namespace("town"), m.account("shop", "store"),
               m.deployment("shop", "store", "store", "bookstore/bookstore", probe=14001),
               m.service("shop", "store", {"app": "store"}, [{"name": "http", "port": 14001}]),
               m.route_group("shop", "all", [{"name": "all", "pathRegex": ".*"}])]
    for i in range(CLIENTS):
        objects += client_manifests(i)
    m.write(mesh.dir / "apps.yaml", m.mesh_config(), *objects)
    mesh.up(*[x for a in ("bookbuyer", "bookstore")
              for x in ("--image", f"bookstore/{a}={APPS / a}")])
    return mesh


def until_all(clients, counter, began):
    """Milliseconds until the counter of each client moved."""
    left = {c: c.count(counter) for c in clients}
    while left:
        left = {c: n for c, n in left.items() if c.count(counter) == n}
        if time.monotonic() > began + 30:
            raise RuntimeError(f"{len(left)} clients see no change of \"{counter}\"")
    return (time.monotonic() - began) * 1000


def bench_policy():
    """A TrafficTarget appears in a file and goes again; 11 clients call one server all the time."""
    mesh = policy_mesh()
    try:
        pods = mesh.status()["pods"]
        clients = [Client(p["ip"]) for p in pods if p["namespace"] == "town"]
        target = m.traffic_target("shop", "all", "store",
                                  [f"town/client-{i}" for i in range(CLIENTS)],
                                  [{"kind": "HTTPRouteGroup", "name": "all"}])
        allowed, denied = [], []
        for _ in range(ROUNDS // 2):
            began = time.monotonic()
            m.write(mesh.dir / "target.yaml", target)
            allowed.append(until_all(clients, "bought", began))
            time.sleep(0.3)
            began = time.monotonic()
            (mesh.dir / "target.yaml").unlink()
            denied.append(until_all(clients, "refused", began))
            time.sleep(0.3)
        for name, times in (("allowed", allowed), ("denied", denied)):
            times.sort()
            say(f"{len(pods)} Envoys: the last one has {name} after, median",
                f"{statistics.median(times):.0f} ms", "under 100 ms")
            say(f"{len(pods)} Envoys: the last one has {name} after, worst of {len(times)}",
                f"{times[-1]:.0f} ms")
    finally:
        end(mesh)


def bench_change():
    """What one change costs the controller, by the size of the mesh."""
    print(flush=True)
    subprocess.run([BUILD / "test/bench/bench_mesh"], check=True)


BENCHES = {"build": bench_build, "size": bench_size, "rest": bench_rest, "policy": bench_policy,
           "change": bench_change}


def main():
    names = sys.argv[1:] or list(BENCHES)
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        sys.exit(f"no benchmark \"{unknown[0]}\"; there are: {' '.join(BENCHES)}")
    machine()
    for name in names:
        BENCHES[name]()


main()
