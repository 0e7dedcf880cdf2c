"""Simulated nodes (kwok): their pods are scheduled, admitted and reported ready like others, and run
nothing. For counts that real containers would be too heavy for."""
import pathlib
import subprocess

STAGES = pathlib.Path(__file__).resolve().parent / "kwok/stages.yaml"
SELECTOR = {"type": "simulated"}
TOLERATION = {"key": "simulated", "operator": "Exists"}


def node(name):
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {**SELECTOR, "kubernetes.io/os": "linux",
                                                  "kubernetes.io/arch": "amd64"}},
            "spec": {"taints": [{"key": "simulated", "effect": "NoSchedule"}]}}


class Nodes:
    """Simulated nodes while the context lasts; pods get there by SELECTOR and TOLERATION."""

    def __init__(self, cluster, kubectl, count):
        self.cluster, self.kubectl = cluster, kubectl
        self.names = [f"simulated-{i}" for i in range(count)]

    def __enter__(self):
        self.log = open(self.cluster.root / "log/kwok.log", "wb")
        self.process = subprocess.Popen(
            self.cluster.net_line("kwok", f"--kubeconfig={self.cluster.kubeconfig}",
                                  f"--config={STAGES}", "--manage-all-nodes=false",
                                  "--manage-nodes-with-label-selector=type=simulated",
                                  "--node-lease-duration-seconds=40", "--cidr=10.99.0.1/16",
                                  "--node-ip=10.98.0.1", "--enable-crds="),
            stdout=self.log, stderr=self.log, env=self.cluster.environment())
        self.kubectl.apply(*map(node, self.names))
        for name in self.names:
            self.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=180s")
        return self

    def __exit__(self, *_):
        self.kubectl("delete", "node", *self.names, "--ignore-not-found")
        self.process.terminate()
        self.process.wait()
        self.log.close()
