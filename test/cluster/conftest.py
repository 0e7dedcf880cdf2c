"""A cluster for the whole run; namespaces for the tests of a file; what isn't well is told when a test fails.

OSM_CLUSTER names the folder of a running cluster (cluster.py up) to use instead of a new one; it is
left running."""
import os
import pathlib
import shutil

import pytest

import manifests as m
import report
from api import Api
from cluster import Cluster, new_root
from kubectl import Kubectl
from mesh import Caller, Mesh

NEEDED = ("openssl", "nsenter", "unshare", "ip", "iptables")


def pytest_report_header(config):
    return f"build: {os.environ.get('OSM_BUILD')}, Envoy: {os.environ.get('OSM_ENVOY')}"


def pytest_sessionstart(session):
    """No test is skipped: what is missing is said at once."""
    missing = [x for x in NEEDED if not shutil.which(x)]
    if not pathlib.Path(os.environ.get("OSM_ENVOY", "?")).is_file():
        missing.append("OSM_ENVOY")
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        raise pytest.UsageError(f"the cluster tests need {', '.join(missing)}")


@pytest.fixture(scope="session")
def cluster():
    """The running cluster (cluster.Cluster)."""
    if os.environ.get("OSM_CLUSTER"):
        yield Cluster(os.environ["OSM_CLUSTER"])
        return
    made = Cluster(new_root("cluster-"))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def api():
    """An API server without a node (api.Api), a new one for each file of tests."""
    made = Api(new_root("api-"))
    made.up()
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def kubectl(cluster):
    return Kubectl(cluster)


@pytest.fixture(scope="session")
def uninstalled_mesh(cluster, kubectl):
    """The mesh, whether it is installed or not."""
    return Mesh(cluster, kubectl)


@pytest.fixture(scope="module")
def mesh(uninstalled_mesh):
    """The mesh, installed; it stays for the tests that follow."""
    if not uninstalled_mesh.is_installed():
        uninstalled_mesh.install()
    return uninstalled_mesh


@pytest.fixture(scope="module")
def new_namespace(kubectl, request):
    """Makes namespaces, new_namespace("shop") -> "shop"; they go after the file's tests."""
    made = []

    def make(name, labels=None, annotations=None):
        if name in made:
            return name
        # An earlier file's may be on its way out.
        kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=300s")
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": labels or {}, "annotations": annotations or {}}})
        made.append(name)
        # Pods are refused until the namespace has its account.
        kubectl.eventually("get", "-n", name, "serviceaccount", "default")
        return name

    yield make
    if made and not request.config.getoption("--keep"):
        kubectl("delete", "namespace", *made, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def joined(mesh, new_namespace):
    """Makes namespaces that are in the mesh."""
    def make(name, *more):
        new_namespace(name)
        mesh.join(name, *more)
        return name
    return make


@pytest.fixture(scope="module")
def new_shop(kubectl, joined):
    """Makes a client, and httpbin with an account of its own, in two namespaces of the mesh; the client."""
    def make(clients, shop):
        joined(clients)
        joined(shop)
        kubectl.apply(m.account("client"), m.client(serviceAccountName="client"), namespace=clients)
        kubectl.apply(m.account("httpbin"), *m.httpbin(account="httpbin"), namespace=shop)
        kubectl.ready(clients, "pod/client")
        kubectl.ready(shop, "deployment/httpbin")
        return Caller(kubectl, clients, "client")
    return make


# What makes pods, and pods.
WORKLOADS = "deployments,statefulsets,daemonsets,cronjobs,jobs,pods"


def pods_go_with_their_test(joined, kubectl, request):
    """For a fixture `joined` of files with many pods: each sidecar takes some of the inotify instances
    that the machine has."""
    made = []

    def make(name, *more):
        made.append(name)
        return joined(name, *more)
    yield make
    if not request.config.getoption("--keep"):
        for name in made:
            kubectl("-n", name, "delete", WORKLOADS, "--all", "--wait=false")


def pytest_addoption(parser):
    parser.addoption("--keep", action="store_true", help="leave namespaces that tests made")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure comes what the cluster says of itself: this is looked at before the test's
    namespaces go."""
    outcome = yield
    result = outcome.get_result()
    kubectl = getattr(item, "funcargs", {}).get("kubectl")
    if result.failed and kubectl and call.when != "teardown":
        try:
            said = report.of_cluster(kubectl)
        except Exception as e:  # of a cluster that doesn't answer; the tests go on
            said = str(e)
        result.sections.append(("the cluster", said))
