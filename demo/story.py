"""The bookstore's story: policy by policy, what is expected and what real applications saw.

    story.py --osm OSM --envoy ENVOY --apps FOLDER [--name MESH] [--patient]

Everything is real: programs in network namespaces, an Envoy beside each, certificates from our
control plane. Exits with 0 only when all that was expected happened. Needs root.
"""
import argparse
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
BUYERS = ("bookbuyer", "bookthief")
COUNTERS_PORT = 14002
LIVE_S = 1.0
PATIENCE_S = 30.0
ANSWER_S = 60
# A split that isn't in force yet sells so many books of the right version once in a million.
SURE = 20
SALES, SALES_S = 600, 300
# Five standard deviations of a share of one half among SALES.
TOLERANCE = 0.10


def words(counts):
    """{"bought": 3, "refused": 1} -> "bought 3, refused 1"."""
    return ", ".join(f"{k} {n}" for k, n in sorted(counts.items())) or "nothing"


class Story:
    def __init__(self, args):
        self.osm_path = args.osm.resolve()
        self.envoy = args.envoy.resolve()
        self.apps = args.apps.resolve()
        self.name = args.name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bookstore-"))
        self.live_s = PATIENCE_S if args.patient else LIVE_S
        self.failed = 0
        self.steps = 0
        self.ips = {}

    # --- words ---

    def step(self, title):
        self.steps += 1
        print(f"\n{self.steps}. {title}", flush=True)

    def did(self, text):
        print(f"   did:      {text}", flush=True)

    def check(self, expected, ok, saw):
        self.failed += not ok
        print(f"   expected: {expected}\n   saw:      {saw}   {'ok' if ok else 'NOT AS EXPECTED'}",
              flush=True)

    # --- the mesh ---

    def osm(self, *args, check=True, show=False):
        line = [self.osm_path, "local", args[0], "--name", self.name, *args[1:]]
        done = subprocess.run([str(a) for a in line], text=True, check=False, timeout=300,
                              stdout=None if show else subprocess.PIPE)
        if check and done.returncode != 0:
            raise RuntimeError(f"osm local {' '.join(map(str, args))} failed")
        return done.stdout

    def put(self, policy, name=None):
        """Copies a policy into the folder that the mesh watches, as an editor would save it."""
        target = self.folder / (name or policy)
        fresh = target.with_name("." + target.name)
        shutil.copy(HERE / "policy" / policy, fresh)
        fresh.rename(target)
        self.did(f"demo/policy/{policy} -> {target}")
        return time.monotonic()

    def counters(self, app):
        url = f"http://{self.ips[app]}:{COUNTERS_PORT}/counters"
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            return json.load(answer)

    def since(self, app, before):
        now = self.counters(app)
        return {k: n - before.get(k, 0) for k, n in now.items() if n > before.get(k, 0)}

    def live(self, since, app, counter):
        """Seconds from a change until a counter moves; None when it never does."""
        before = self.counters(app).get(counter, 0)
        while time.monotonic() < since + PATIENCE_S:
            if self.counters(app).get(counter, 0) > before:
                return time.monotonic() - since
            time.sleep(0.005)
        return None

    def one_second(self, wanted):
        """What each of `wanted`, app -> counter, counts in a second, and whether it is only that."""
        before = {app: self.counters(app) for app in wanted}
        time.sleep(1)
        seen = {app: self.since(app, before[app]) for app in wanted}
        pure = {app: counter in seen[app] and all(
            k == counter or k.startswith(f"{counter} from ") for k in seen[app])
            for app, counter in wanted.items()}
        return seen, pure

    def becomes(self, since, wanted):
        """Each of `wanted`, app -> counter, moves in time, and from then on only these do: the sidecars
        of two stores learn of a change one after the other."""
        times = {app: self.live(since, app, counter) for app, counter in wanted.items()}
        seen, pure = self.one_second(wanted)
        while not all(pure.values()) and time.monotonic() < since + self.live_s:
            seen, pure = self.one_second(wanted)
        says = {"bought": "buys", "refused": "gets 403"}
        for app, counter in wanted.items():
            took = times[app]
            ok = took is not None and took < self.live_s and pure[app]
            delay = "never" if took is None else f"after {took * 1000:.0f} ms"
            self.check(f"{app} {says[counter]}, within {self.live_s:.0f} s of the change", ok,
                       f"{delay}; in one second then: {words(seen[app])}")

    def split_live(self, since, want):
        """Seconds from a change until books come from the versions that they should come from, and only
        from these."""
        wanted = {"v1", "v2"} if 0 < want < 1 else {"v1"} if want else {"v2"}
        while (began := time.monotonic()) < since + PATIENCE_S:
            before, versions, seen = self.counters("bookbuyer"), set(), {}
            while versions <= wanted and seen.get("bought", 0) < SURE:
                time.sleep(0.01)
                if time.monotonic() > began + PATIENCE_S:
                    return None
                seen = self.since("bookbuyer", before)
                versions = {v for v in ("v1", "v2") if seen.get(f"bought from bookstore-{v}", 0)}
            if versions == wanted:
                return began - since
        return None

    def share(self, since, want):
        """The share of v1 among the next sales, once the change is in force."""
        took = self.split_live(since, want)
        self.check(f"in force within {self.live_s:.0f} s of the change",
                   took is not None and took < self.live_s,
                   "never" if took is None else f"after {took * 1000:.0f} ms")
        before = self.counters("bookbuyer")
        end = time.monotonic() + SALES_S
        while time.monotonic() < end:
            seen = self.since("bookbuyer", before)
            if seen.get("bought", 0) >= SALES:
                break
            time.sleep(0.05)
        v1, v2 = (seen.get(f"bought from bookstore-{v}", 0) for v in ("v1", "v2"))
        got = v1 / (v1 + v2) if v1 + v2 else -1
        exact = want in (0, 1)
        ok = got == want if exact else abs(got - want) < TOLERANCE
        wrong = {k: n for k, n in seen.items() if not k.startswith("bought")}
        self.check(f"{want:.0%} of bookbuyer's books from v1" +
                   ("" if exact else f", give or take {TOLERANCE:.0%}"),
                   ok and not wrong and v1 + v2 >= SALES,
                   f"v1 {v1} ({got:.1%}), v2 {v2}" + (f", also {words(wrong)}" if wrong else ""))

    # --- the story ---

    def start(self):
        self.step("Six applications, an Envoy beside each, in permissive mode")
        for file in (HERE / "manifests").glob("*.yaml"):
            shutil.copy(file, self.folder)
        images = [x for a in ("bookbuyer", "bookstore", "bookwarehouse", "bookdb")
                  for x in ("--image", f"bookstore/{a}={self.apps / a}")]
        self.osm("down", check=False)
        began = time.monotonic()
        self.did(f"osm local up -f {self.folder} --wait")
        self.osm("up", "-f", self.folder, "--envoy", self.envoy, *images, "--wait", show=True)
        status = json.loads(self.osm("status", "-o", "json"))
        pods = status["pods"]
        self.ips = {p["workload"].split("/")[1]: p["ip"] for p in pods}
        self.check("6 pods ready, 6 sidecars synced",
                   [(p["ready"], p["sidecar"]) for p in pods] == [(True, "synced")] * 6,
                   f"{sum(p['ready'] for p in pods)} ready, "
                   f"{sum(p['sidecar'] == 'synced' for p in pods)} synced, "
                   f"after {time.monotonic() - began:.1f} s")

    def permissive(self):
        self.step("Permissive: everybody may call everybody")
        before, since = {a: self.counters(a) for a in (*BUYERS, "bookdb")}, time.monotonic()
        time.sleep(2)
        for app in BUYERS:
            self.live(since, app, "bought")
            seen = self.since(app, before[app])
            self.check(f"{app} buys, nothing is refused",
                       seen.get("bought", 0) > 0 and "refused" not in seen and
                       "failed" not in seen, words(seen))
        self.live(since, "bookdb", "queries")
        seen = self.since("bookdb", before["bookdb"])
        self.check("the warehouse reaches its database over TCP", seen.get("queries", 0) > 0, words(seen))

    def mutual_tls(self):
        self.step("Mutual TLS between all services, without the applications knowing")
        for app in ("bookstore-v1", "bookwarehouse", "bookdb"):
            stats = self.osm("proxy", "get", "stats?filter=ssl.handshake", app)
            handshakes = sum(int(x.split(": ")[1]) for x in stats.splitlines() if ": " in x)
            certs = json.loads(self.osm("proxy", "get", "certs", app))["certificates"]
            names = sorted({n["uri"] for c in certs for x in c["cert_chain"]
                            for n in x["subject_alt_names"] if "uri" in n})
            self.check(f"{app} has a certificate of its own, and was called over TLS",
                       handshakes > 0 and any(app in n for n in names),
                       f"{', '.join(names)}; {handshakes} TLS handshakes")
        answer = self.plain_call(self.ips["bookstore-v1"], 14001)
        self.check("a caller without a certificate of the mesh gets no answer", answer == b"",
                   answer or "the connection was closed")

    def plain_call(self, ip, port):
        try:
            with socket.create_connection((ip, port), ANSWER_S) as s:
                s.sendall(b"GET /books-bought HTTP/1.0\r\n\r\n")
                return s.recv(4096)
        except OSError:
            return b""

    def policies(self):
        self.step("SMI mode: what no TrafficTarget allows is denied")
        self.becomes(self.put("smi-mode.yaml", "mesh.yaml"),
                     {"bookbuyer": "refused", "bookthief": "refused"})
        self.step("A TrafficTarget: bookbuyer may buy, bookthief still may not")
        self.becomes(self.put("bookbuyer-may-buy.yaml"),
                     {"bookbuyer": "bought", "bookthief": "refused"})
        for v1, v2 in ((100, 0), (50, 50), (0, 100)):
            self.step(f"A TrafficSplit: {v1} to v1, {v2} to v2")
            policy = f"split-{v1}-{v2}.yaml"
            self.share(self.put(policy, "split.yaml"), v1 / 100)
        self.step("A TrafficTarget for bookthief: it may buy too")
        self.becomes(self.put("bookthief-may-buy.yaml"),
                     {"bookbuyer": "bought", "bookthief": "bought"})

    def look(self):
        self.step("What `osm local status` shows of it")
        time.sleep(5)  # Envoys sum up their latencies every 5 s
        self.osm("status", show=True)

    def end(self):
        self.step("The end: all that was made is removed")
        self.did("osm local down")
        self.osm("down")
        links = subprocess.run(["ip", "-d", "link"], text=True, capture_output=True, check=True)
        left = [x for x in links.stdout.splitlines() if f"osm-local {self.name} " in x]
        self.check("no network links, no state", not left and
                   not pathlib.Path(f"/run/osm-local/{self.name}").exists(), left or "none left")

    def tell(self):
        began = time.monotonic()
        try:
            self.start()
            self.permissive()
            self.mutual_tls()
            self.policies()
            self.look()
            self.end()
        except (RuntimeError, OSError, subprocess.TimeoutExpired, KeyError) as e:
            self.failed += 1
            print(f"\nthe story broke off: {type(e).__name__}: {e}", flush=True)
        finally:
            self.osm("down", check=False)
            shutil.rmtree(self.folder, ignore_errors=True)
        print(f"\n{'All as expected' if self.failed == 0 else f'{self.failed} not as expected'}, "
              f"in {time.monotonic() - began:.0f} s.")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("osm", "envoy", "apps"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--name", default="bookstore", help="of the mesh")
    parser.add_argument("--patient", action="store_true",
                        help="don't judge how fast a change is live: for machines that are busy")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return Story(parser.parse_args()).tell()


sys.exit(main())
