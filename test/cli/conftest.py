"""`osm` of the build, with an environment that knows no cluster, or with a real API server."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from api import Api  # noqa: E402

OSM = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve() / "src/cli/osm"


def pytest_sessionstart(session):
    """No test is skipped: what is missing is said at once."""
    if not OSM.is_file():
        raise pytest.UsageError(f"these tests need {OSM}: ninja -C build")
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests make network namespaces, which needs root")


@pytest.fixture
def osm(tmp_path):
    """osm("namespace", "list") without any cluster; .code, .out, .err by subprocess's names."""
    def run(*args, env=None, **more):
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **(env or {})}
        return subprocess.run([OSM, *args], capture_output=True, text=True, env=clean,
                              timeout=120, **more)
    return run


@pytest.fixture(scope="session")
def api_server():
    with tempfile.TemporaryDirectory(prefix="osm-cli-") as folder:
        made = Api(pathlib.Path(folder) / "api")
        try:
            made.up()
            definitions = subprocess.run([OSM.parents[1] / "kinds/osm-crds"], check=True,
                                         capture_output=True, text=True).stdout
            made.kubectl("apply", "--server-side", "-f", "-", input=definitions, text=True,
                         check=True, capture_output=True)
            made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=180s",
                         check=True, capture_output=True)
            yield made
        finally:
            made.down()


KEPT = {"default", "kube-system", "kube-public", "kube-node-lease"}
NAMESPACED = ",".join([
    "pods", "services", "serviceaccounts", "secrets", "configmaps", "deployments", "jobs", "roles",
    "rolebindings", "meshconfigs", "traffictargets", "httproutegroups", "tcproutes",
    "ingressbackends", "egresses", "leases"])
OURS = ",".join(["clusterroles", "clusterrolebindings", "validatingadmissionpolicies",
                 "validatingadmissionpolicybindings", "mutatingwebhookconfigurations",
                 "validatingwebhookconfigurations"])


class OnApi:
    """osm and kubectl against the API server."""

    def __init__(self, api):
        self.api = api

    def __call__(self, *args, env=None, **more):
        return self.api.net(OSM, *args, env=env, capture_output=True, text=True, timeout=300, **more)

    def kubectl(self, *args, **more):
        done = self.api.kubectl(*args, capture_output=True, text=True, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, text):
        self.kubectl("apply", "-f", "-", input=text)

    def runs(self, namespace, *pods):
        """As a kubelet would say."""
        status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        for name in pods:
            self.kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "-p",
                         json.dumps(status))

    def wipe(self):
        """Makes the server empty again. No controller empties namespaces here, nor lets them go."""
        names = self.kubectl("get", "namespaces", "-o", "name").split()
        for name in {n.removeprefix("namespace/") for n in names} - KEPT:
            self.kubectl("delete", NAMESPACED, "--all", "-n", name, "--force", "--grace-period=0")
            self.kubectl("delete", "namespace", name, "--wait=false")
            self.kubectl("replace", "--raw", f"/api/v1/namespaces/{name}/finalize", "-f", "-",
                         input=json.dumps({"apiVersion": "v1", "kind": "Namespace",
                                           "metadata": {"name": name}, "spec": {}}))
        self.kubectl("delete", OURS, "-l", "app.kubernetes.io/name=openservicemesh.io")
        self.kubectl("delete", "clusterrole,clusterrolebinding", "nobody-views", "--ignore-not-found")


@pytest.fixture
def nobody(on_api):
    """A kubeconfig of somebody who may do nothing."""
    file = on_api.api.root / "nobody.kubeconfig"
    config = json.loads(on_api.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"]["as"] = "nobody"
    file.write_text(json.dumps(config))
    return ("--kubeconfig", file)


@pytest.fixture
def on_api(api_server):
    used = OnApi(api_server)
    yield used
    used.wipe()
