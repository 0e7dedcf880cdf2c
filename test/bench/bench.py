"""Measures the figures of docs/performance.md, with the machine that they are of.

    bench.py [--full] [--out FOLDER] [NAME...]    all, or: build size rest policy change scale
                                                  dataplane envoy source cluster inject
    bench.py scale [--full] --only FIRST-LAST [--more] | --again
                                                  some of its worlds; its tables anew

Prints a table and writes it to FOLDER (build/bench) as bench.txt, as bench.json for machines, and
plots of cost against mesh size as PNG and SVG. Without --full all is done in ten minutes on a quiet
machine of two cores; with it there are more sizes and more rounds.
"""
import argparse
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
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/local"))
import dataplane  # noqa: E402
import envoy_side  # noqa: E402
import figures  # noqa: E402
import manifests as m  # noqa: E402
from figures import say  # noqa: E402
from mesh import BUILD, Mesh  # noqa: E402
from plots import Picture  # noqa: E402

APPS = BUILD / "demo"
CLIENTS = 11
COUNTERS_PORT = 14002


def new_mesh(name):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="osm-bench-"))
    mesh = Mesh(name, folder, pathlib.Path(f"/run/osm-bench-{os.getpid()}"))
    mesh.port = 15190
    return mesh


def end(mesh):
    mesh.osm("down", check=False)
    shutil.rmtree(mesh.dir, ignore_errors=True)


# --- the build ---

def bench_build(_):
    """A configured-from-nothing build of everything, tests too."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        subprocess.run(["meson", "setup", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", folder, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        say("build from nothing", f"{time.monotonic() - began:.1f} s", "under 60 s")


def bench_size(_):
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


def bench_rest(_):
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


def bench_policy(args):
    """A TrafficTarget appears in a file and goes again; 11 clients call one server all the time."""
    mesh = policy_mesh()
    try:
        pods = mesh.status()["pods"]
        clients = [Client(p["ip"]) for p in pods if p["namespace"] == "town"]
        target = m.traffic_target("shop", "all", "store",
                                  [f"town/client-{i}" for i in range(CLIENTS)],
                                  [{"kind": "HTTPRouteGroup", "name": "all"}])
        allowed, denied = [], []
        for _ in range(20 if args.full else 10):
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


CHANGED = {"endpoint": "an endpoint", "split": "a TrafficSplit", "target": "a TrafficTarget",
           "pod": "a pod"}


def bench_change(args):
    """What the mesh alone costs, by its size: built from nothing, and one change."""
    done = subprocess.run([BUILD / "test/bench/bench_mesh"], check=True, capture_output=True,
                          text=True)
    sizes = {r["services"]: r for r in map(json.loads, done.stdout.splitlines())}
    smallest, largest = sizes[min(sizes)], sizes[max(sizes)]
    for n, r in sizes.items():
        say(f"the mesh alone, {n:,} services: built from nothing", f"{r['built_ms']:.0f} ms")
    for key, what in CHANGED.items():
        for n, r in sizes.items():
            say(f"the mesh alone, {n:,} services: {what} changes", f"{r[key + '_us']:.1f} us")
        say("    the largest mesh, times the smallest",
            f"{largest[key + '_us'] / smallest[key + '_us']:.2f}")
    with Picture(args.out, "mesh", "One change of the mesh (nothing sent)", "us", "services") as p:
        for key, what in CHANGED.items():
            p.line({n: r[key + "_us"] for n, r in sizes.items()}, what)
    with Picture(args.out, "build", "The mesh built from nothing", "ms", "services") as p:
        p.line({n: r["built_ms"] for n, r in sizes.items()}, "all services, policies and pods")


def bench_dataplane(args):
    """Requests through two sidecars against the barest pair of Envoys."""
    mesh = new_mesh("dataplane")
    try:
        dataplane.run(mesh, 5 if args.full else 3, say)
    finally:
        end(mesh)


def bench_envoy(_):
    """What many services cost one real sidecar."""
    memory = {}
    for count in (10, 1000):
        mesh = new_mesh("envoy")
        try:
            memory[count] = envoy_side.run(mesh, count, say)
        finally:
            end(mesh)
    say("memory of a sidecar, a service", f"{(memory[1000] - memory[10]) / 990 * 1000:.0f} KB",
        "at most 60 KB")


def program(name, *line):
    subprocess.run([sys.executable, ROOT / "test/bench" / name, *line], check=True)


def bench_source(_):
    """What it costs a controller to know a large cluster."""
    program("bench_source.py")


def bench_scale(args):
    """Thousands of simulated sidecars."""
    options = [f"--{name}" for name in ("full", "more", "again") if getattr(args, name)]
    program("scale.py", "--out", args.out, *options, *(["--only", args.only] if args.only else []))


def bench_cluster(args):
    """The mesh on a Kubernetes that is brought up for it."""
    program("bench_cluster.py", *(["--full"] if args.full else []))


def bench_inject(_):
    """Admission reviews: over HTTPS, with certificates issued and Secrets made. Before all else that
    the machine has to do, or answers would wait for that."""
    done = subprocess.run(["chrt", "-r", "1", BUILD / "test/bench/bench_inject", "2000", "1000"],
                          check=True, capture_output=True, text=True)
    runs = {r["run"]: r for r in map(json.loads, done.stdout.splitlines())}
    fast, rate, cpu = runs["fast"], runs["rate"], runs["cpu"]
    say("a review, CPU of the injector", f"{cpu['us_per_review']} us")
    say("reviews a second of one core's CPU", f"{cpu['per_core_s']}", "at least 1000")
    say("reviews a second, 8 callers as fast as answers come", f"{fast['per_s']}")
    say("at 1000 a second asked for: answered", f"{rate['per_s']}")
    say("at 1000 a second asked for: median", f"{rate['p50_ms']:.2f} ms")
    say("at 1000 a second asked for: 99th percentile", f"{rate['p99_ms']:.2f} ms", "under 5 ms")
    say("resident after 4,200 reviews", f"{cpu['resident_mib']:.1f} MiB")


BENCHES = {"build": bench_build, "size": bench_size, "rest": bench_rest, "policy": bench_policy,
           "change": bench_change, "scale": bench_scale, "dataplane": bench_dataplane,
           "envoy": bench_envoy, "source": bench_source, "cluster": bench_cluster,
           "inject": bench_inject}


def measure(name, args):
    """The figures of one group; what it says is kept although it fails."""
    file = args.out / "figures.part"
    file.write_text("")
    os.environ["OSM_BENCH_FIGURES"] = str(file)
    began, error = time.monotonic(), None
    print(f"\n{name}", flush=True)
    try:
        BENCHES[name](args)
    except Exception:
        error = traceback.format_exc()
        print(error, file=sys.stderr, flush=True)
    took = round(time.monotonic() - began, 1)
    print(f"({name} took {took} s)", flush=True)
    records = [json.loads(x) for x in file.read_text().splitlines()]
    file.unlink()
    return {"group": name, "seconds": took, "error": error, "figures": records}


def write(args, on, groups):
    (args.out / "bench.json").write_text(
        json.dumps({"machine": on, "full": args.full, "groups": groups}, indent=1) + "\n")
    lines = [figures.machine_line(on)]
    for g in groups:
        lines += ["", f"{g['group']} ({g['seconds']} s)" + (", failed" if g["error"] else "")]
        lines += [figures.line(r["shown"], r["value"], r["to_reach"])
                  for r in g["figures"]]
    (args.out / "bench.txt").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="all sizes, more rounds")
    parser.add_argument("--out", type=pathlib.Path, default=BUILD / "bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHES))
    worlds = parser.add_argument_group("of scale")
    worlds.add_argument("--only", metavar="FIRST-LAST", help="these worlds, by number")
    worlds.add_argument("--more", action="store_true", help="besides what was measured before")
    worlds.add_argument("--again", action="store_true", help="tables and plots of what was measured before")
    args = parser.parse_args()
    if (args.only or args.more or args.again) and args.names != ["scale"]:
        parser.error("--only, --more and --again are for: bench scale")
    unknown = [n for n in args.names if n not in BENCHES]
    if unknown:
        sys.exit(f"no benchmark \"{unknown[0]}\"; there are: {' '.join(BENCHES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    on, groups = figures.machine(), []
    print(figures.machine_line(on))
    for name in args.names or BENCHES:
        groups.append(measure(name, args))
        write(args, on, groups)
    print(f"\n{sum(g['seconds'] for g in groups):.0f} s in all; written to {args.out}: bench.txt, "
          "bench.json, plots as PNG and SVG")
    failed = [g["group"] for g in groups if g["error"]]
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
