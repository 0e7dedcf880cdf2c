"""The controller with many proxies: runs the swarm in worlds of several sizes, writes what it said as
JSON, a table of the figures that count, and plots of cost against size.

    scale.py [--full] [--out FOLDER] [--only FIRST-LAST [--more]]
    scale.py --again [--out FOLDER]     table and plots of what was measured before
"""
import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

from figures import line, machine, machine_line, say
from plots import COLOURS, Picture

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OSM_BUILD", ROOT / "build"))

# Changes of one thing, and of many at once.
CHANGES = "endpoint,weight,target,config,service,tenth,workload"
TIME = "certificate,root"  # what time brings; the last before the floor, as roots are others then
BESIDE = "window,refuse,drop"
# What is sent to those who read nothing must be more than sockets take: a world of many services.
UNREAD = "rest,unread,unread_window,slow"
# What is resident after each hour is compared with what was right before.
CHURN = "rest,churn,rest,churn,rest,churn,rest"
# hot: pods of the hot service; more: further options of the swarm.
Run = collections.namedtuple("Run", "name policy services pods hot rounds steps more",
                             defaults=((),))
SOTW = ("--delta", "0")
USUAL = [
    Run("a", "smi", 10, 10, 0, 4, f"{CHANGES},{TIME},floor"),
    Run("a", "smi", 100, 10, 0, 4, f"{CHANGES},{CHURN},{TIME},floor"),
    Run("a", "smi", 500, 10, 0, 40, "endpoint"),
    Run("a", "smi", 1000, 10, 0, 40, "rest,endpoint,fresh,floor"),
    Run("a, state of the world", "smi", 100, 10, 0, 4, "endpoint,target,service", SOTW),
    Run("b", "permissive", 100, 1, 0, 4, "service,floor"),
    Run("b", "permissive", 1000, 1, 0, 4, f"service,{UNREAD},floor", ("--pairs", "6")),
    Run("c", "hot", 10, 10, 10, 6, "endpoint,floor"),
    Run("c", "hot", 91, 10, 100, 6, "endpoint,window,refuse,floor", ("--pairs", "12")),
    Run("c", "hot", 991, 10, 100, 6, "endpoint,floor"),
]
FULL = [
    Run("a", "smi", 10, 10, 0, 10, f"rest,{CHANGES},known,fresh,{CHURN},{TIME},floor"),
    Run("a", "smi", 100, 10, 0, 10, f"rest,{CHANGES},known,fresh,{CHURN},{TIME},floor"),
    Run("a", "smi", 500, 10, 0, 40, "rest,endpoint,fresh,floor"),
    Run("a", "smi", 1000, 10, 0, 40, "rest,endpoint,fresh,known,rest,floor"),
    Run("a, all changes", "smi", 1000, 10, 0, 4, f"{CHANGES},{CHURN},{TIME},floor"),
    Run("a, sessions resumed", "smi", 1000, 10, 0, 2, "fresh,known,floor", ("--resume",)),
    Run("a, state of the world", "smi", 10, 10, 0, 6, f"{CHANGES},known,fresh,{TIME},floor", SOTW),
    Run("a, state of the world", "smi", 100, 10, 0, 6, f"{CHANGES},known,fresh,{TIME},floor", SOTW),
    Run("a, state of the world", "smi", 1000, 10, 0, 4, f"{CHANGES},known,floor", SOTW),
    Run("b, 10 pods a service", "permissive", 10, 10, 0, 6, f"{CHANGES},{TIME},floor"),
    Run("b", "permissive", 100, 1, 0, 6, f"rest,{CHANGES},fresh,{TIME},floor"),
    Run("b", "permissive", 500, 1, 0, 4, "rest,endpoint,service,config,fresh,floor"),
    Run("b", "permissive", 1000, 1, 0, 4,
        f"rest,{CHANGES},{UNREAD},known,rest,fresh,{TIME},floor", ("--pairs", "40")),
    Run("b, 10 pods a service", "permissive", 100, 10, 0, 4, f"rest,{CHANGES},fresh,{TIME},floor"),
    Run("b, 100 pods a service", "permissive", 100, 100, 0, 4, "rest,endpoint,service,floor"),
    Run("c", "hot", 10, 10, 10, 10, f"rest,{CHANGES},{TIME},floor"),
    Run("c", "hot", 91, 10, 100, 10, f"rest,endpoint,{BESIDE},weight,target,floor",
        ("--pairs", "40")),
    Run("c", "hot", 491, 10, 100, 10, "endpoint,floor"),
    Run("c", "hot", 991, 10, 100, 10, "rest,endpoint,floor"),
    Run("c, bad neighbours", "hot", 991, 10, 100, 2, "window,refuse,endpoint,floor",
        ("--bad", "1000", "--pairs", "10")),
    Run("c, state of the world", "hot", 991, 10, 100, 10, "endpoint,floor", SOTW),
]


def measure(run):
    """What the swarm says about one world: a list of records."""
    line = [BUILD / "test/bench/swarm/swarm", "--controller", BUILD / "src/daemon/osm-controller",
            "--policy", run.policy, "--services", run.services, "--pods", run.pods, "--hot", run.hot,
            "--rounds", run.rounds, "--steps", run.steps, *run.more]
    began = time.monotonic()
    out = subprocess.run([str(x) for x in line], capture_output=True, text=True)
    records = [json.loads(x) | {"workload": run.name} for x in out.stdout.splitlines()]
    print(f"workload {run.name}, {records[0]['proxies'] if records else '?'} proxies: "
          f"{time.monotonic() - began:.0f} s", flush=True)
    if out.stderr:
        print(out.stderr, file=sys.stderr)
    return records + unverified(run, records, out.returncode)


def unverified(run, records, status):
    """A swarm that crashed or failed counts as a failure, whatever it said of itself."""
    verified = [r for r in records if r["what"] == "verified"]
    if verified and (status == 0 or any(r["wrong"] or r["failures"] for r in verified)):
        return []
    print(f"the swarm ended with status {status} {'after' if verified else 'before'} verifying",
          file=sys.stderr)
    return [{"what": "verified", "workload": run.name, "policy": run.policy,
             "services": run.services, "proxies": records[0]["proxies"] if records else 0,
             "resources": 0, "wrong": 0, "failures": 1}]


# --- the table ---

class Figures:
    """Records by workload, size and step; medians of rounds."""

    def __init__(self, records):
        self.records = records

    def of(self, what, workload, proxies=None, field=None):
        """Rounds in which answers were held back count for the push alone."""
        return [r for r in self.records if r["what"] == what and r["workload"] == workload
                and (proxies is None or r["proxies"] == proxies)
                and (field is None or field in r)
                and (field in (None, "push_cpu_ms") or "push_cpu_ms" not in r)]

    def median(self, what, field, workload, proxies):
        rows = self.of(what, workload, proxies, field)
        return statistics.median(r[field] for r in rows) if rows else None

    def sizes(self, workload, what):
        return sorted({r["proxies"] for r in self.of(what, workload)})


def ratio(a, b):
    return None if a is None or not b else a / b


NOT_MEASURED = "not measured (--full)"


def show(value, unit, digits=1):
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}{unit}"


def scaled(value, by):
    return None if value is None else value * by


def last(rows, field):
    return rows[-1][field] if rows else None


def rows_of_push(f):
    n = max(f.sizes("c", "endpoint"), default=10000)
    push = f.median("endpoint", "push_cpu_ms", "c", n)
    floor = f.median("floor_endpoint", "cpu_ms", "c", n)
    both = f.median("endpoint", "cpu_ms", "c", n)
    answered = f.median("floor_endpoint_answered", "cpu_ms", "c", n)
    yield (f"one endpoint that {n:,} proxies use: CPU of the push, times the floor's",
           show(ratio(push, floor), "", 2), "1.5")
    yield ("the same with all answers, times the floor's with answers",
           show(ratio(both, answered), "", 2), "")
    yield ("the floor: CPU for each proxy", show(ratio(floor, n / 1000), " us"), "")
    for size in f.sizes("c", "endpoint"):
        limit = {10000: "250 ms", 1000: "30 ms"}.get(size, "")
        receipt = f.median("endpoint", "max_ms", "c", size)
        bare = f.median("floor_endpoint", "max_ms", "c", size)
        yield (f"the same, last receipt of {size:,}", show(receipt, " ms"), limit)
        yield ("    times the floor's", show(ratio(receipt, bare), "", 2), "")
    few = f.median("endpoint", "cpu_ms", "a", 10000)
    yield ("one endpoint that 50 of 10,000 use: CPU, part of the above",
           show(ratio(few, both), "", 4), "0.02")
    yield ("    against a mesh half as large: the push", doubled(f, "push_cpu_ms"), "1.2")
    yield ("    with all answers", doubled(f, "cpu_ms"), "1.2")


def doubled(f, field):
    """Rounds with 10,000 proxies by the median with 5,000: a few milliseconds each, so many rounds."""
    half = f.median("endpoint", field, "a", 5000)
    rows = f.of("endpoint", "a", 10000, field)
    return spread(r[field] / half for r in rows) if half else NOT_MEASURED


def rows_of_size(f):
    n = max(f.sizes("a", "start"), default=10000)
    rest = last(f.of("rest", "a", n), "rss_kib")
    yield (f"resident for each of {n:,} proxies, everything counted",
           show(scaled(rest, 1.024 / n), " KB"), "48 KB")
    rests = f.of("rest", "a", n, "seconds")
    yield ("    CPU a second at rest",
           show(rests[-1]["cpu_ms"] / rests[-1]["seconds"] if rests else None, " ms"), "")
    fresh = f.of("reconnect_fresh", "a", n)
    yield (f"{n:,} proxies connect at once: the last has everything",
           show(scaled(last(fresh, "max_ms"), 0.001), " s"), "15 s")
    yield ("    CPU of the controller, times a bare handshake's",
           show(ratio(last(fresh, "cpu_ms"), f.median("floor_connect", "cpu_ms", "a", n)), "", 2),
           "")
    yield "    lost on the way", show(last(fresh, "lost"), "", 0), "0"
    b = f.of("start", "b", 1000)
    yield ("permissive, 1,000 services and proxies: resident",
           show(max((r["rss_kib"] * 1.024 / 1000 for r in b), default=None), " MB"), "150 MB")
    yield ("    the same at rest, after all came back with what they knew",
           show(scaled(rested(f, "reconnect_known", "b", 1000), 1.024 / 1000), " MB"), "150 MB")
    storms = [r for what in ("start", "reconnect_known", "reconnect_fresh")
              for r in f.of(what, "b", 1000)]
    yield ("    the most right after all connected, whatever they knew",
           show(max((r["rss_kib"] * 1.024 / 1000 for r in storms), default=None), " MB"), "150 MB")
    yield ("    all connect at once: CPU", show(scaled(last(b[:1], "cpu_ms"), 0.001), " s", 2),
           "4 s")
    yield ("    all connect again, knowing nothing: CPU",
           show(scaled(last(f.of("reconnect_fresh", "b", 1000), "cpu_ms"), 0.001), " s", 2), "4 s")
    yield ("    the floor of that: the same bytes",
           show(scaled(f.median("floor_full", "cpu_ms", "b", 1000), 0.001), " s", 2), "")
    yield ("    one new service: bytes to each proxy",
           show(scaled(last(f.of("service", "b", 1000), "bytes"), 0.001), ""), "8,192")


def pairs(f, what, workload, field):
    """Beside bad neighbours times without, of each pair of rounds."""
    rows = f.of(what, workload, 1000)
    for one, other in zip(rows[::2], rows[1::2]):
        bad, good = (one, other) if one["bad"] else (other, one)
        yield bad[field] / good[field]


def spread(ratios):
    """The median, and between what half of them lie."""
    ratios = list(ratios)
    if len(ratios) < 2:
        return NOT_MEASURED
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


BESIDE_WHAT = {"beside_slow": ("b", "100 of 1,000 read nothing"),
               "beside_no_window": ("c", "100 of 1,000 grant no window"),
               "beside_dropping": ("c", "100 hang up, come back"),
               "beside_refusing": ("c", "100 of 1,000 refuse everything")}


UNREAD_WHAT = {"unread": "read nothing", "unread_no_window": "grant no window"}


def rested(f, what, workload, n):
    """Resident at rest right after the last such step."""
    rows = [r for r in f.records if r["workload"] == workload and r["proxies"] == n]
    return last([after for before, after in zip(rows, rows[1:])
                 if before["what"] == what and after["what"] == "rest"], "rss_kib")


def churned(f, n):
    """Resident after each churn by resident when it began."""
    rows = [r for r in f.records if r["workload"] == "a" and r["proxies"] == n
            and r["what"] in ("rest", "churn")]
    rests = [i for i, r in enumerate(rows) if r["what"] == "rest"]
    found = [rows[j]["rss_kib"] / rows[i]["rss_kib"] for i, j in zip(rests, rests[1:]) if j > i + 1]
    return found


def rows_of_others(f):
    for what, (workload, name) in BESIDE_WHAT.items():
        rows = f.of(what, workload, 1000)
        count = f", {len(rows) // 2} pairs" if rows else ""
        limit = "" if what == "beside_dropping" else "1"  # a handshake costs what it costs
        yield (f"{name}: the others' median receipt, times without{count}",
               spread(pairs(f, what, workload, "p50_ms")), limit)
        yield "    their 99th percentile", spread(pairs(f, what, workload, "p99_ms")), limit
        yield "    their last receipt", spread(pairs(f, what, workload, "max_ms")), limit
        yield "    CPU of the controller", spread(pairs(f, what, workload, "cpu_ms")), ""
    for what, name in UNREAD_WHAT.items():
        rows = {r["changes"]: r["rss_kib"] for r in f.of(what, "b", 1000)}
        yield (f"100 of 1,000 {name}: resident for each, more than when it read",
               show(scaled(rows[1] - rows[-1], 1.024 / 100) if rows else None, " KB"), "")
        yield (f"    resident after {max(rows, default=7)} changes, times after the first",
               show(rows[max(rows)] / rows[1] if rows else None, "", 3), "1")
    churns = churned(f, 1000)
    for hour, name in enumerate(("an hour's churn: resident after it against right before it",
                                 "    the second hour", "    the third")):
        yield name, show(churns[hour] if hour < len(churns) else None, "", 3), "1.02"
    done = [r for r in f.records if r["what"] == "verified"]
    yield ("resources received and compared", show(sum(r["resources"] for r in done), "", 0), "")
    yield ("    wrong", show(sum(r["wrong"] for r in done), "", 0), "0")
    yield ("    worlds that didn't come to rest", show(sum(r["failures"] for r in done), "", 0),
           "0")


CHANGE_NAMES = {"endpoint": "an endpoint", "weight": "a weight", "target": "a TrafficTarget",
                "service": "a new service", "workload": "a pod in place of another",
                "config": "MeshConfig: egress", "tenth": "endpoints of a tenth of the services",
                "certificate": "one identity's certificate ends",
                "root_trusted": "another root is trusted", "root_signs": "the other root signs",
                "root_alone": "the old root goes"}


# Of a change; the floor's of the same bytes to as many, with answers for the CPU, without for the time.
COLUMNS = ("cpu_ms", "received", "p50_ms", "p99_ms", "max_ms", "bytes", "responses")


def rows_of_changes(f):
    """Every kind of change in every world: CPU, who hears, times, bytes, responses, and how many times
    the floor's the CPU and the last receipt are."""
    for workload in sorted({r["workload"] for r in f.records}):
        for what, name in CHANGE_NAMES.items():
            for n in f.sizes(workload, what):
                rows = f.of(what, workload, n, "cpu_ms")
                if rows:
                    x = {k: statistics.median(r[k] for r in rows) for k in COLUMNS}
                    x["cpu_floor"] = ratio(x["cpu_ms"], f.median(
                        f"floor_{what}_answered", "cpu_ms", workload, n))
                    x["max_floor"] = ratio(x["max_ms"], f.median(
                        f"floor_{what}", "max_ms", workload, n))
                    yield workload, name, n, x


def times(value):
    return "" if value is None else f"x{value:,.1f}"


def table_of_changes(f):
    """An x: times the floor's."""
    lines = [f"{'workload':<22} {'proxies':>7}  {'change of':<37} {'CPU ms':>8} {'':>6} {'hear':>7} "
             f"{'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'':>6} {'bytes':>12} {'responses':>9}"]
    for workload, name, n, x in rows_of_changes(f):
        lines.append(f"{workload:<22} {n:>7,}  {name:<37} {x['cpu_ms']:>8,.1f} {times(x['cpu_floor']):>6} "
                     f"{x['received']:>7,.0f} {x['p50_ms']:>8,.1f} {x['p99_ms']:>8,.1f} "
                     f"{x['max_ms']:>8,.1f} {times(x['max_floor']):>6} {x['bytes']:>12,.0f} "
                     f"{x['responses']:>9,.0f}")
    return lines


def floor_of_start(f, r, field):
    """Bare handshakes, and the same bytes as a whole configuration has; nothing of those who know it."""
    if r["what"] == "reconnect_known":
        return f.median("floor_connect", field, r["workload"], r["proxies"])
    parts = [f.median(what, field, r["workload"], r["proxies"])
             for what in ("floor_connect", "floor_full")]
    return None if None in parts else sum(parts)


def table_of_worlds(f):
    """All connect at once, in every world. An x: times the floor's."""
    lines = [f"{'workload':<22} {'proxies':>7} {'services':>8}  {'all connect':<15} {'last, s':>8} {'':>6} "
             f"{'CPU s':>7} {'':>6} {'MB sent':>9} {'MB resident':>12} {'KB a proxy':>11}"]
    for r in f.records:
        if r["what"] in ("start", "reconnect_known", "reconnect_fresh"):
            lines.append(f"{r['workload']:<22} {r['proxies']:>7,} {r['services']:>8,}  "
                         f"{r['what'].replace('reconnect_', 'again, '):<15} "
                         f"{r['max_ms'] / 1000:>8,.2f} "
                         f"{times(ratio(r['max_ms'], floor_of_start(f, r, 'max_ms'))):>6} "
                         f"{r['cpu_ms'] / 1000:>7,.2f} "
                         f"{times(ratio(r['cpu_ms'], floor_of_start(f, r, 'cpu_ms'))):>6} "
                         f"{r['bytes'] / 1e6:>9,.1f} {r['rss_kib'] * 1.024 / 1000:>12,.1f} "
                         f"{r['rss_kib'] * 1.024 / r['proxies']:>11,.1f}")
    return lines


def write_table(records, on, out):
    f = Figures(records)
    for rows in (rows_of_push, rows_of_size, rows_of_others):
        for what, value, limit in rows(f):
            say(what, value, limit)
    lines = [machine_line(on), ""]
    for rows in (rows_of_push, rows_of_size, rows_of_others):
        lines += [line(*row) for row in rows(f)]
    lines += ["", *table_of_changes(f), "", *table_of_worlds(f)]
    (out / "scale.txt").write_text("\n".join(lines) + "\n")


# --- plots ---

def sizes_of(f, workload, what, field, each=False, scale=1.0):
    """Size of the mesh -> median cost."""
    found = {n: f.median(what, field, workload, n) for n in f.sizes(workload, what)}
    return {n: y * scale / (n if each else 1) for n, y in found.items() if y}


def memory_of(f, workload):
    """Size of the mesh -> KB a proxy, the first time that it was at rest."""
    return {n: f.of("rest", workload, n)[0]["rss_kib"] * 1.024 / n
            for n in f.sizes(workload, "rest")}


def plot_one(f, out):
    """One endpoint of one service changes."""
    with Picture(out, "push", "One endpoint changes: CPU of the controller", "ms") as p:
        p.line(sizes_of(f, "c", "endpoint", "push_cpu_ms"), "all proxies use it (workload c)",
               colour=COLOURS["c"])
        p.line(sizes_of(f, "c", "floor_endpoint", "cpu_ms"), "the floor of that: SSL_write alone", "--",
               COLOURS["floor"])
        p.line(sizes_of(f, "a", "endpoint", "cpu_ms"), "50 proxies use it, whatever the mesh's size "
               "(a)", colour=COLOURS["a"])
    with Picture(out, "receipt", "One endpoint changes: the last proxy has it", "ms") as p:
        p.line(sizes_of(f, "c", "endpoint", "max_ms"), "the last of all (workload c)",
               colour=COLOURS["c"])
        p.line(sizes_of(f, "c", "floor_endpoint", "max_ms"), "the floor of that", "--", COLOURS["floor"])
        p.line(sizes_of(f, "a", "endpoint", "max_ms"), "the last of 50 (a)", colour=COLOURS["a"])


def plot_all(f, out):
    with Picture(out, "changes", "CPU of the controller for one change (workload a)", "ms") as p:
        for what, name in CHANGE_NAMES.items():
            points = sizes_of(f, "a", what, "cpu_ms")
            points.update(sizes_of(f, "a, all changes", what, "cpu_ms"))
            p.line(points, name)
    with Picture(out, "memory", "Resident memory for each proxy, at rest", "KB") as p:
        p.line(memory_of(f, "a"), "workload a: five services each", colour=COLOURS["a"])
        p.line(memory_of(f, "b"), "workload b: all services, one pod each", colour=COLOURS["b"])
        p.line(memory_of(f, "c"), "workload c: one service", colour=COLOURS["c"])
        p.reach(48, "48 KB, to be reached by a with 10,000")
    with Picture(out, "storm", "All proxies connect at once: CPU of the controller", "s") as p:
        p.line(sizes_of(f, "a", "start", "cpu_ms", scale=0.001), "workload a", colour=COLOURS["a"])
        p.line(sizes_of(f, "b", "start", "cpu_ms", scale=0.001), "workload b", colour=COLOURS["b"])
        p.line(sizes_of(f, "c", "start", "cpu_ms", scale=0.001), "workload c", colour=COLOURS["c"])
        p.line(sizes_of(f, "a", "floor_connect", "cpu_ms", scale=0.001), "bare handshakes", "--",
               COLOURS["floor"])


def worlds(parser, only, count):
    """The first and the last world that are asked for."""
    asked = re.fullmatch(r"(\d+)-(\d+)", only or f"1-{count}")
    first, last = (int(asked[1]), int(asked[2])) if asked else (0, 0)
    if not 1 <= first <= last <= count:
        parser.error(f"--only: expected the first and the last world of 1-{count}, found \"{only}\"")
    return first, last


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="all sizes and protocols")
    parser.add_argument("--only", metavar="FIRST-LAST", help="these worlds, by number, such as 4-6")
    parser.add_argument("--more", action="store_true", help="besides what was measured before")
    parser.add_argument("--again", action="store_true", help="of what was measured before")
    parser.add_argument("--out", type=pathlib.Path, default=BUILD / "bench")
    args = parser.parse_args()
    runs = FULL if args.full else USUAL
    first, last = worlds(parser, args.only, len(runs))
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "scale.json"
    if (args.again or args.more) and not file.exists():
        parser.error(f"nothing was measured before: there is no {file}")
    before = json.loads(file.read_text()) if args.again or args.more else {}
    records, on = before.get("records", []), before.get("machine") or machine()
    for run in [] if args.again else runs[first - 1:last]:
        records += measure(run)
        file.write_text(json.dumps({"machine": on, "records": records}, indent=1))
    write_table(records, on, args.out)
    f = Figures(records)
    plot_one(f, args.out)
    plot_all(f, args.out)
    print(f"written to {args.out}: scale.json, scale.txt, plots as PNG and SVG")
    bad = [r for r in records if r["what"] == "verified" and (r["wrong"] or r["failures"])]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
