"""Runs files of tests in several pytest processes side by side: much of what they do is waiting. What
each file says is shown when it is done, and kept as junit XML; that of one that broke off says so.

    lanes.py [--cluster] XML-FOLDER LANES PATH...

A path is a file, or a folder of which all are meant.

With --cluster each lane has a cluster of its own (cluster/cluster.py), which its files use one after
the other.
"""
import argparse
import contextlib
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

import results

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE / "cluster"))

# Those that take minutes go first, so that no lane is alone for long in the end.
LONG = ("test_controller", "test_injection", "test_probes", "test_lifecycle", "test_faults",
        "test_swarm", "test_install", "test_samples", "test_workloads", "test_cli", "test_story",
        "test_splits")
END_SECONDS = 30
printing = threading.Lock()
making = threading.Lock()  # a cluster comes up with images that it makes first


def files_of(paths):
    found = [f for path in paths
             for f in ([path] if path.is_file() else sorted(path.rglob("test_*.py")))]
    return sorted(found, key=lambda f: LONG.index(f.stem) if f.stem in LONG else len(LONG))


class Lane(threading.Thread):
    """Takes file after file; `ok` in the end when all passed."""

    def __init__(self, todo, folder, cluster=None):
        super().__init__(daemon=True)
        self.todo, self.folder, self.cluster, self.ok = todo, folder, cluster, False
        self.process = None

    def run(self):
        env = dict(os.environ)
        if self.cluster:
            self.bring_up()
            env["OSM_CLUSTER"] = str(self.cluster.root)
        ok = True
        while True:
            try:
                number, file = self.todo.get_nowait()
            except queue.Empty:
                self.ok = ok
                return
            ok = self.run_file(file, self.folder / f"{number}.xml", env) and ok

    def bring_up(self):
        try:
            with making:
                self.cluster.up()
        except Exception as e:
            xml = self.folder / f"{self.cluster.root.name}.xml"
            results.write_broken(xml, "a lane's cluster", str(e))
            raise

    def run_file(self, file, xml, env):
        """Whether it has tests, and all of them passed."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={xml}", file],
            env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        said, _ = self.process.communicate()
        with printing:
            print(f"--- {file}\n{said}", end="", flush=True)
        code = self.process.returncode
        if code != 0 and not (xml.is_file() and results.of_file(xml)[1]):
            last = (said.splitlines() or ["-"])[-1]
            results.write_broken(xml, file, f"pytest ended with {code}: {last}")
        return code == 0

    def end(self):
        """Early: takes no more files, and the tests of this one put their things away."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.todo.get_nowait()
        if self.is_alive() and self.process:
            self.process.send_signal(signal.SIGINT)
        self.join(END_SECONDS)


def new_clusters(lanes):
    from cluster import Cluster, new_root
    return [Cluster(new_root("cluster-")) for _ in range(lanes)]


def end_early(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("lanes: ended")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("xml", type=pathlib.Path)
    parser.add_argument("lanes", type=int)
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, end_early)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    todo = queue.Queue()
    for numbered in enumerate(files_of(args.paths)):
        todo.put(numbered)
    clusters = new_clusters(args.lanes) if args.cluster else [None] * args.lanes
    lanes = [Lane(todo, args.xml, c) for c in clusters]
    try:
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    finally:
        for lane in lanes:
            lane.end()
        for c in clusters:
            if c:
                c.down()
    return 0 if all(lane.ok for lane in lanes) else 1


if __name__ == "__main__":
    sys.exit(main())
