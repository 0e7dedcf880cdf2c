"""Many pods in the mesh, simulated where they needn't run."""
import kwok
import manifests as m
from kubectl import eventually
from mesh import is_injected

PODS = 500
# Half of its limit in the chart. Each connection that the API server keeps takes some 80 KB.
INJECTOR_MB = 64


def simulated(name, replicas):
    """A deployment whose pods run on simulated nodes."""
    made = m.deployment(name, "test/httpbin:1", replicas)
    made["spec"]["template"]["spec"].update(nodeSelector=kwok.SELECTOR,
                                            tolerations=[kwok.TOLERATION])
    return made


def test_a_crowd_of_pods(cluster, kubectl, mesh, joined):
    """All are injected and become endpoints that a sidecar knows; then all go."""
    ns = joined("crowd")
    kubectl.apply(m.client(), m.service("crowd", {"app": "crowd"}, {"name": "http", "port": 8080}),
                  namespace=ns)
    kubectl.ready(ns, "pod/client")
    with kwok.Nodes(cluster, kubectl, 2):
        kubectl.apply(simulated("crowd", PODS), namespace=ns)
        kubectl.ready(ns, "deployment/crowd")
        pods = kubectl.items("-n", ns, "pods", "-l", "app=crowd")
        assert len(pods) == PODS and all(map(is_injected, pods))
        assert len({p["metadata"]["labels"]["osm-proxy-uuid"] for p in pods}) == PODS
        addresses = {p["status"]["podIP"] for p in pods}
        eventually(lambda: endpoints(mesh, ns) == addresses)
        kubectl("-n", ns, "scale", "deployment/crowd", "--replicas=0")
        eventually(lambda: endpoints(mesh, ns) == set())
        # What so many at once took of memory was lent.
        eventually(lambda: resident_mb(cluster, "osm-injector") < INJECTOR_MB)
        # Their secrets are theirs and go with them.
        eventually(lambda: len(kubectl.items("-n", ns, "secrets")) == 1, seconds=240)


def resident_mb(cluster, program):
    found = cluster.node("ps", "-C", program, "-o", "rss=", text=True, capture_output=True)
    return max(map(int, found.stdout.split())) / 1024


def endpoints(mesh, namespace):
    """The addresses that the client's sidecar has for the service."""
    said = mesh.osm("proxy", "get", "clusters", "client", "-n", namespace).stdout
    prefix = f"{namespace}/crowd|8080::10.99."
    return {line.split("::")[1].split(":")[0] for line in said.splitlines()
            if line.startswith(prefix)}
