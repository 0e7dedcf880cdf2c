"""A whole Kubernetes of one node on this machine, in namespaces of its own: nothing of it listens
outside of them, and ending its first process ends all of it. Several can run at the same time.

    cluster.py [--root FOLDER] up                  start it; its images are made and loaded
    cluster.py [--root FOLDER] down                end it, wipe its folder
    cluster.py [--root FOLDER] load ARCHIVE...     image archives into the running node
    cluster.py [--root FOLDER] kubectl ARGS...     kubectl, from outside
    cluster.py [--root FOLDER] net COMMAND...      any command in its network: helm, osm, curl
    cluster.py [--root FOLDER] node COMMAND...     any command on its node: ctr, ps, iptables-save
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cgroups
import images
import keys
import parts
import programs

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
# Where templates go that don't go into etc/.
FOLDERS = {"cni.conflist": "etc/cni", "hosts.toml": "etc/registries/docker.io"}
UP_SECONDS = 600
DOWN_SECONDS = 120


class ClusterError(Exception):
    """What kept a cluster from coming up, or from going; the message is for people."""


def new_root(prefix):
    """A new folder for a cluster, where nobody looks."""
    cache = TREE / ".cache"
    cache.mkdir(exist_ok=True)
    return tempfile.mkdtemp(prefix=prefix, dir=cache)


def program_path():
    """PATH with the cluster's programs first."""
    debian = programs.DEBIAN
    return (f"{programs.OTHER}/bin:{programs.BIN}:{debian}/usr/bin:{debian}/usr/sbin:"
            f"{os.environ['PATH']}")


class Cluster:
    """A cluster whose state is a folder; another process can use it by the folder's name."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.kubeconfig = self.root / "keys/admin.kubeconfig"

    # --- its life ---

    def first_process(self):
        """The number of the process that is the first inside, None when the cluster isn't up."""
        try:
            unshare = int((self.root / "unshare.pid").read_text())
            line = pathlib.Path(f"/proc/{unshare}/cmdline").read_bytes().decode().split("\0")
            children = pathlib.Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        except (OSError, ValueError):
            return None
        return int(children[0]) if children and str(self.root) in line else None

    def up(self, outlives_us=False):
        """Returns when pods can be scheduled, names resolve, and all images are loaded. It ends with the
        thread that called, unless it outlives us."""
        if os.geteuid() != 0:
            raise ClusterError("a cluster needs root: namespaces, control groups, mounts")
        if self.first_process():
            raise ClusterError(f"a cluster is running in {self.root} already")
        self.prepare()
        with open(self.root / "log/node.log", "wb") as log:
            bound = [] if outlives_us else ["setpriv", "--pdeathsig", "KILL"]
            child = subprocess.Popen([*bound, *self.in_cgroups(), "unshare", "-m", "-n", "-p", "-f", "-C",
                                      "-i", "-u", "--mount-proc", "--kill-child", sys.executable,
                                      HERE / "node.py", self.root], stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True,
                                     env={**os.environ, "PATH": program_path()})
        cgroups.started(self.groups(), child.pid)
        (self.root / "unshare.pid").write_text(str(child.pid))
        deadline = time.monotonic() + UP_SECONDS
        while not (self.root / "ready").exists():
            if child.poll() is not None or time.monotonic() > deadline:
                said = (self.root / "log/node.log").read_text()
                self.end()
                raise ClusterError(f"the cluster did not come up; logs are in {self.root}/log\n"
                                   f"{said}")
            time.sleep(0.05)

    def prepare(self):
        """What the node finds in its folder: keys, configuration, images, empty folders."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("log", *FOLDERS.values(), "settings", "var", "var-work", "stopped", "pod-logs",
                       "kubelet"):
            (self.root / folder).mkdir(parents=True)
        keys.make(self.root / "keys")
        (self.root / "images").symlink_to(images.make())
        (self.root / "etc/resolv.conf").write_text(
            f"nameserver {parts.DNS_ADDRESS}\n"
            "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
        values = {"ROOT": self.root, "DEBIAN": programs.DEBIAN, "NODE": parts.NODE,
                  "NODE_ADDRESS": parts.NODE_ADDRESS, "DNS_ADDRESS": parts.DNS_ADDRESS,
                  "POD_RANGE": parts.POD_RANGE}
        for template in (HERE / "templates").iterdir():
            text = template.read_text()
            for name, value in values.items():
                text = text.replace(f"@{name}@", str(value))
            folder = FOLDERS.get(template.name, "etc")
            (self.root / folder / template.name).write_text(text)

    def in_cgroups(self):
        """A command prefix that runs the rest in new control groups."""
        groups = cgroups.make(f"osm-cluster-{os.getpid()}-{time.monotonic_ns()}")
        (self.root / "cgroups").write_text("".join(f"{g}\n" for g in groups))
        return ["sh", "-c", 'while read -r g; do echo $$ >"$g/cgroup.procs" || exit 1; done <"$0"; '
                'exec "$@"', self.root / "cgroups"]

    def groups(self):
        file = self.root / "cgroups"
        return list(map(pathlib.Path, file.read_text().split())) if file.exists() else []

    def end(self):
        """Ends all processes inside, and removes the control groups; the folder stays."""
        first = self.first_process()
        if first:
            os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + DOWN_SECONDS
        while self.first_process():
            if time.monotonic() > deadline:
                raise ClusterError(f"process {first} doesn't end")
            time.sleep(0.05)
        (self.root / "ready").unlink(missing_ok=True)
        left = cgroups.remove(self.groups(), deadline)
        if left:
            raise ClusterError(f"control group {left[0]} can't be removed")
        (self.root / "cgroups").unlink(missing_ok=True)

    def down(self):
        """Ends it and wipes its folder."""
        self.end()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- using it ---

    def enter(self, *namespaces):
        first = self.first_process()
        if not first:
            raise ClusterError(f"no cluster is running in {self.root}")
        return ["nsenter", "-t", str(first), *namespaces, "--"]

    def environment(self, more=None):
        return {**os.environ, "PATH": program_path(), "KUBECONFIG": str(self.kubeconfig),
                "CONTAINERD_ADDRESS": parts.CONTAINERD, "CONTAINERD_NAMESPACE": "k8s.io",
                # All clusters have one address, and kubectl keeps what it heard of each.
                "KUBECACHEDIR": str(self.root / "kubectl"),
                **(more or {})}

    def net_line(self, *command):
        """A command line that runs in the cluster's network with its DNS. Files and signals are as
        outside, so that ending the process ends the command itself."""
        return [*self.enter("-n"), "unshare", "-m", "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                str(self.root / "etc/resolv.conf"), *map(str, command)]

    def net(self, *command, env=None, **more):
        return subprocess.run(self.net_line(*command), env=self.environment(env), **more)

    def kubectl(self, *args, **more):
        return self.net("kubectl", *args, **more)

    def node(self, *command, **more):
        """Runs a command on the node: in its network, mounts, processes and control groups."""
        return subprocess.run([*self.enter("-m", "-n", "-p", "-i", "-u", "-C"),
                               *map(str, command)], env=self.environment(), **more)

    def load(self, *archives):
        for archive in archives:
            self.node("ctr", "images", "import", pathlib.Path(archive).resolve(), check=True,
                      stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--root", default=TREE / ".cache/cluster")
    parser.add_argument("verb", choices=["up", "down", "load", "kubectl", "net", "node"])
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    cluster = Cluster(args.root)
    if args.verb == "up":
        programs.get()
        cluster.up(outlives_us=True)
        print((cluster.root / "log/node.log").read_text(), end="")
        print(f"kubeconfig, for use within its network: {cluster.kubeconfig}")
    elif args.verb in ("down", "load"):
        getattr(cluster, args.verb)(*args.rest)
    else:
        return getattr(cluster, args.verb)(*args.rest).returncode
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as e:
        sys.exit(f"cluster: {e}")
