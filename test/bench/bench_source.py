"""What it costs a controller to know a cluster: 10,000 meshed pods behind 1,000 services on a real API
server, whose objects lie in its etcd as if they ran.

    bench_source.py [PODS]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OSM_BUILD", ROOT / "build")).resolve()
sys.path.insert(0, str(ROOT / "test/cluster"))
import cluster_objects  # noqa: E402
import programs  # noqa: E402
from api import Api  # noqa: E402
from figures import say  # noqa: E402
from kubectl import Kubectl  # noqa: E402

LIMITS = {"Pod": "at most 1000", "Service": "", "EndpointSlice": "10 endpoints", "ServiceAccount": ""}


def measure(pods):
    """The figures that bench_source prints, and the bytes of a pod as the server sends it."""
    with tempfile.TemporaryDirectory(prefix="osm-bench-") as folder:
        api = Api(pathlib.Path(folder) / "api")
        kubectl = Kubectl(api)
        try:
            api.up(cluster_objects.all_objects(pods))
            crds = subprocess.run([BUILD / "src/kinds/osm-crds"], check=True, capture_output=True)
            kubectl("apply", "--server-side", "-f", "-", input=crds.stdout.decode())
            page = kubectl("get", "--raw", "/api/v1/pods?limit=500")
            text = api.net(BUILD / "test/bench/bench_source", api.kubeconfig, "osm", "osm-system",
                           text=True, check=True, stdout=subprocess.PIPE).stdout
        finally:
            api.down()
    return dict(x.split(" ", 1) for x in text.splitlines()), len(page) / len(json.loads(page)["items"])


def main():
    pods = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    programs.get(("etcd", "kube-apiserver", "kubectl"))
    figures, pod_bytes = measure(pods)
    print(f"{pods:,} pods and {pods // cluster_objects.PODS_OF_A_SERVICE:,} services of a cluster, "
          f"{pod_bytes / 1000:.1f} KB a pod as sent:")
    say("listed and decoded, CPU of the controller", f"{float(figures['listed_s']):.2f} s")
    say("ready, as a mesh, CPU of the controller", f"{float(figures['ready_s']):.2f} s", "under 3 s")
    if [int(figures[x]) for x in ("mesh_services", "mesh_proxies")] != [pods // 10, pods]:
        sys.exit(f"the mesh that came of it isn't whole: {figures}")
    for kind, limit in LIMITS.items():
        n, held = figures[kind].split()
        say(f"held of each {kind} (of {int(n):,})", f"{held} bytes", limit)


if __name__ == "__main__":
    main()
