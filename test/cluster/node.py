"""The first process of a cluster's namespaces: makes them a node, starts its programs in order and
keeps them running. Everything ends with it.

    node.py ROOT    started by cluster.py inside new mount, network, pid, cgroup, ipc and uts namespaces

A file ROOT/stopped/NAME keeps that program from being started again.
"""
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time

import cgroups
from parts import CONTAINERD, NODE, NODE_ADDRESS, PARTS, SERVICE_RANGE

ROOT = pathlib.Path(sys.argv[1])
READY_SECONDS = 300
BEGAN = time.monotonic()
# What the kubelet writes to settings of the whole machine lands on throw-away files.
MACHINE_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic",
                    "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
                    "kernel/keys/root_maxbytes")
children = {}  # name: its process


def say(text):
    print(f"{time.monotonic() - BEGAN:6.2f} s  {text}", flush=True)


def sh(*line):
    subprocess.run([str(x) for x in line], check=True)


# --- the node ---

def mount_all():
    sh("mount", "--make-rprivate", "/")
    sh("mount", "--make-rshared", "/")
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in ("/run/node", "/run/lock"):
        os.mkdir(folder)
    sh("mount", "-t", "overlay", "overlay", "-o",
       f"lowerdir=/var,upperdir={ROOT}/var,workdir={ROOT}/var-work", "/var")
    cgroups.mount(sh)
    for setting in MACHINE_SETTINGS:
        copy = ROOT / "settings" / setting.replace("/", "_")
        copy.write_text(pathlib.Path("/proc/sys", setting).read_text())
        sh("mount", "--bind", copy, f"/proc/sys/{setting}")


def make_network():
    sh("hostname", NODE)
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "cni0", "type", "bridge")
    sh("ip", "address", "add", f"{NODE_ADDRESS}/16", "dev", "cni0")
    sh("ip", "link", "set", "cni0", "up")
    # A service's address needs some route before it is rewritten. There is no outer network:
    # all else fails at once.
    sh("ip", "route", "add", SERVICE_RANGE, "dev", "cni0", "src", NODE_ADDRESS)
    sh("ip", "route", "add", "unreachable", "default")
    for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        file = pathlib.Path("/proc/sys", setting)
        if file.is_file():
            file.write_text("1")


# --- its programs ---

def start(name):
    with open(ROOT / "log" / f"{name}.log", "ab") as log:
        children[name] = subprocess.Popen(PARTS[name](ROOT), stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log)


def await_part(name, condition):
    """Waits for a condition that a program brings about; ends the cluster when it doesn't."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if condition():
                say(f"{name} is ready")
                return
        except OSError:
            pass
        if children[name].poll() is not None:
            sys.exit(f"{name} ended; see {ROOT}/log/{name}.log")
        if time.monotonic() > deadline:
            sys.exit(f"{name} is not ready after {READY_SECONDS} s; see {ROOT}/log/{name}.log")
        time.sleep(0.05)


def get_plain(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", path)
    return connection.getresponse().status == 200


def get_api(path):
    """What the API server answers, or None."""
    trust = ssl.create_default_context(cafile=ROOT / "keys/ca.crt")
    trust.load_cert_chain(ROOT / "keys/admin.crt", ROOT / "keys/admin.key")
    connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, timeout=5, context=trust)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.read() if answer.status == 200 else None


def has_condition(path, kind):
    conditions = json.loads(get_api(path) or "{}").get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def load_images():
    """Those that nothing starts without come first; those of samples are pulled when asked for."""
    first = [ROOT / "images" / f"{x}.tar" for x in ("pause", "coredns")]
    rest = sorted(x for x in (ROOT / "images").glob("*.tar")
                  if x not in first and not x.name.startswith("sample-"))
    with open(ROOT / "log/images.log", "wb") as log:
        for image in (*first, *rest):
            if subprocess.run(["ctr", "-a", CONTAINERD, "-n", "k8s.io", "images", "import", image],
                              stdout=log, stderr=log).returncode != 0:
                return
    (ROOT / "images-loaded").touch()


def bring_up():
    for name in ("containerd", "registry", "etcd"):
        start(name)
    await_part("etcd", lambda: get_plain(2379, "/health"))
    start("apiserver")
    await_part("containerd", lambda: os.path.exists(CONTAINERD))
    loading = threading.Thread(target=load_images)
    loading.start()
    await_part("apiserver", lambda: get_api("/readyz"))
    for name in ("controller-manager", "scheduler", "kubelet", "kube-proxy"):
        start(name)
    sh("kubectl", f"--kubeconfig={ROOT}/keys/admin.kubeconfig", "apply", "-f",
       ROOT / "etc/coredns.yaml")
    await_part("controller-manager",
               lambda: get_api("/api/v1/namespaces/default/serviceaccounts/default"))
    await_part("kubelet", lambda: has_condition(f"/api/v1/nodes/{NODE}", "Ready"))
    await_part("kube-proxy", lambda: get_plain(10256, "/healthz"))
    await_part("kubelet", lambda: has_condition(
        "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available"))
    loading.join()
    if not (ROOT / "images-loaded").exists():
        sys.exit(f"images could not be loaded; see {ROOT}/log/images.log")
    say("images are loaded")


def reap():
    """Reaps all that ended; the names of those that are ours, with their exit codes."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pid = 0
        if pid == 0:
            return ended
        ended.update({name: os.waitstatus_to_exitcode(status)
                      for name, child in children.items() if child.pid == pid})


def keep_running():
    """Like any node's first process: takes in orphans, starts programs again that ended."""
    down = set()
    while True:
        for name, code in reap().items():
            say(f"{name} ended with {code}")
            down.add(name)
        for name in [x for x in down if not (ROOT / "stopped" / x).exists()]:
            down.remove(name)
            start(name)
            say(f"{name} is started again")
        time.sleep(0.1)


def main():
    os.environ["KUBECONFIG"] = str(ROOT / "keys/admin.kubeconfig")
    mount_all()
    make_network()
    cgroups.enable_inside()
    bring_up()
    (ROOT / "ready").touch()
    keep_running()


if __name__ == "__main__":
    main()
