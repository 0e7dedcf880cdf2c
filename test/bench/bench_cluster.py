"""What the mesh costs on a real cluster (test/cluster): how long an install takes, and how much later
a pod is ready. Run by bench.py as its group "cluster".

    bench_cluster.py [--full] [install | pod]

Without --full fewer times, and without the pods of idle containers that those of the mesh are
compared with.
"""
import pathlib
import random
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/cluster"))
import manifests as m  # noqa: E402
import programs  # noqa: E402
from cluster import Cluster, new_root  # noqa: E402
from figures import say  # noqa: E402
from kubectl import Kubectl  # noqa: E402
from mesh import Mesh  # noqa: E402

FULL = "--full" in sys.argv
INSTALLS = 3 if FULL else 1
PODS = 10 if FULL else 3
# The kubelet looks at its containers once a second: pods come at any moment between two looks.
PAUSES = random.Random(1)


def seconds(what):
    began = time.monotonic()
    what()
    return time.monotonic() - began


def bench_install(mesh):
    """`osm install`, which returns when all is ready, with images that the node has."""
    times = []
    for i in range(INSTALLS):
        times.append(seconds(mesh.install))
        if i < INSTALLS - 1:
            mesh.uninstall("--delete-cluster-wide-resources", "--delete-namespace")
    say(f"osm install to all ready, median of {INSTALLS}", f"{statistics.median(times):.1f} s",
        "under 15 s")
    if INSTALLS > 1:
        say(f"osm install to all ready, worst of {INSTALLS}", f"{max(times):.1f} s")


# Ends after a moment, as osm-init does: what ends at once is seen before the kubelet looks away.
INIT = {"name": "first", "image": "test/curl:1", "command": ["sleep", "0.2"]}
LISTEN = {"name": "sidecar", "image": "test/curl:1",
          "command": ["nc", "-ll", "-p", "8080", "-e", "true"]}
PROBE = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 60}
SIDECAR = {**LISTEN, "restartPolicy": "Always"}
HOOK = {"postStart": {"exec": {"command": ["sleep", "0.2"]}}}

# What the kubelet takes for more containers that do nothing, by what lets the application start.
IDLE = {
    "with an idle init container": [INIT],
    "with an idle native sidecar and an init container after it": [SIDECAR, INIT],
    "with these, and a readiness probe of the sidecar":
        [{**SIDECAR, "readinessProbe": {**PROBE, "periodSeconds": 5}}, INIT],
    "with an init container and a native sidecar with a postStart hook":
        [INIT, {**SIDECAR, "lifecycle": HOOK}],
    "with an init container and a native sidecar with a startup probe":
        [INIT, {**SIDECAR, "startupProbe": PROBE}],
}


def idle(containers):
    return lambda name: m.client(name, initContainers=containers)


def until_ready(kubectl, namespace, pod):
    """From the request that makes a pod until it is ready, in seconds."""
    kubectl.apply(pod, namespace=namespace)
    kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{pod['metadata']['name']}",
            "--timeout=60s")


def medians(kubectl, kinds):
    """Of pods of each kind, made by turns; kinds: what -> (namespace, function that makes one)."""
    times = {kind: [] for kind in kinds}
    for i in range(PODS + 1):
        for j, (kind, (namespace, make)) in enumerate(kinds.items()):
            pod = make(f"pod-{len(kinds)}-{i}-{j}")
            time.sleep(PAUSES.random())
            times[kind].append(seconds(lambda: until_ready(kubectl, namespace, pod)))
            kubectl("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--wait=false",
                    "--grace-period=1")
    # The first reads images from disk.
    found = {kind: statistics.median(of[1:]) for kind, of in times.items()}
    for kind, median in found.items():
        say(f"a pod is ready {kind}, median of {PODS}", f"{median:.2f} s")
    return found


def bench_pod(mesh, kubectl):
    """The same pod in the mesh, in both modes, and outside of it, with and without idle containers in
    the sidecar's place."""
    for namespace in ("in", "out"):
        kubectl("create", "namespace", namespace)
        kubectl.eventually("-n", namespace, "get", "serviceaccount", "default")
    mesh.join("in")
    outside = {"without the mesh": ("out", m.client)}
    found = medians(kubectl, {**outside, "in the mesh": ("in", m.client),
                              **{kind: ("out", idle(of)) for kind, of in IDLE.items() if FULL}})
    kubectl("-n", "osm-system", "patch", "meshconfig", "osm-mesh-config", "--type=merge",
            "-p", '{"spec":{"sidecar":{"mode":"container"}}}')
    time.sleep(2)  # until the injector has heard of it
    beside = medians(kubectl, {**outside, "in the mesh, mode container": ("in", m.client)})
    say("in the mesh so much later", f"{found['in the mesh'] - found['without the mesh']:.2f} s",
        "at most 1 s")
    later = beside["in the mesh, mode container"] - beside["without the mesh"]
    say("in the mesh so much later, mode container", f"{later:.2f} s", "at most 1 s")


def main():
    names = [x for x in sys.argv[1:] if x != "--full"] or ["install", "pod"]
    programs.get()
    cluster = Cluster(new_root("bench-"))
    try:
        cluster.up()
        kubectl = Kubectl(cluster)
        mesh = Mesh(cluster, kubectl)
        if "install" in names:
            bench_install(mesh)
        else:
            mesh.install()
        if "pod" in names:
            bench_pod(mesh, kubectl)
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
