"""install, upgrade and uninstall on an API server where no pod ever runs: what they refuse, what
they say when it doesn't come up, and what they leave."""
import contextlib
import http.server
import json
import pathlib
import signal
import subprocess
import threading
import time

import pytest

import objects
from conftest import OSM
from test_api import failed, worked


@pytest.fixture
def clean(on_api):
    on_api.apply(objects.namespace("osm-system"))
    return on_api


def temporary_folders(folder):
    return [p for p in folder.iterdir() if p.name.startswith("osm-chart")]


def test_where_a_mesh_is_already(clean):
    clean.apply(objects.bookstore())
    failed(clean("install"), "mesh [osm] is installed already, in namespace [osm-system]; upgrade it "
           "with: osm mesh upgrade --mesh-name osm")
    failed(clean("install", "--mesh-name", "second"),
           "namespace [osm-system] has mesh [osm] already; say another with --osm-namespace")
    failed(clean("install", "--mesh-name", "second", "--osm-namespace", "second-system"),
           "mesh [osm] in namespace [osm-system] was installed as the only one of its cluster")
    failed(clean("mesh", "upgrade", "--mesh-name", "second"), 'there is no mesh "second"')
    assert "second-system" not in clean.kubectl("get", "namespaces", "-o", "name")


def test_where_another_mesh_is(clean):
    clean.apply(objects.controller("osm-system", "osm", enforce=False))
    failed(clean("install", "--mesh-name", "second", "--osm-namespace", "second-system"),
           "there is mesh [osm] in namespace [osm-system] already; to have another beside it, say "
           "--enforce-single-mesh=false")


def test_an_install_that_does_not_come_up(clean, tmp_path):
    """No kubelet runs, so that it can't. What is left is found by the next install, and goes."""
    done = clean("install", "--timeout", "3s", env={"TMPDIR": str(tmp_path)})
    failed(done, "osm: install of mesh [osm]: helm: ")
    assert done.stderr.rstrip().endswith(
        "; undo it with: osm uninstall mesh --mesh-name osm --osm-namespace osm-system")
    assert temporary_folders(tmp_path) == []
    failed(clean("install"), "an earlier install of mesh [osm] in namespace [osm-system] was left "
           "unfinished")
    out = clean("check", "--pre")
    assert out.returncode == 1 and "was left unfinished" in out.stdout
    worked(clean("uninstall", "mesh", "-f"),
           "OSM [mesh name: osm] in namespace [osm-system] uninstalled\n")
    assert nothing_left(clean)


def nothing_left(on_api):
    """Of the chart and its hooks; the uninstall of a mesh that never ran needs no image."""
    inside = on_api.kubectl("get", "jobs,deployments,services,secrets,configmaps,roles,"
                            "rolebindings,serviceaccounts", "-n", "osm-system", "-o", "name")
    cluster = on_api.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name", "-l",
                             "app.kubernetes.io/name=openservicemesh.io")
    assert (inside, cluster) == ("", "")
    return True


def test_a_failed_install_can_undo_itself(clean):
    done = clean("install", "--timeout", "3s", "--atomic")
    failed(done, "install of mesh [osm]: helm: ")
    assert "undo it with" not in done.stderr
    assert nothing_left(clean)


def brought(on_api):
    """What its user makes before an install."""
    on_api.apply(objects.secret("osm-system", "osm-ca-bundle") + "---" + objects.mesh_config(True))
    return owned(on_api)


def owned(on_api):
    """With what it holds: one that was made anew differs."""
    listed = json.loads(on_api.kubectl("get", "secrets,meshconfigs", "-n", "osm-system", "-o", "json"))
    return {(x["kind"], x["metadata"]["name"], x["metadata"]["uid"]) for x in listed["items"]}


def test_what_its_user_made_stays(clean):
    mine = brought(clean)
    assert len(mine) == 2
    failed(clean("install", "--atomic", "--set", "osm.image.pullPolicy=Sometimes"), "pullPolicy")
    assert owned(clean) == mine
    failed(clean("install", "--atomic", "--timeout", "3s"), "install of mesh [osm]: helm: ")
    assert owned(clean) == mine
    failed(clean("install", "--timeout", "3s"), "undo it with: osm uninstall mesh")
    assert owned(clean) > mine
    worked(clean("uninstall", "mesh", "-f"))
    assert owned(clean) == mine


def test_what_the_mesh_made_goes(clean):
    """As far as one came up that never got whole."""
    clean.apply(objects.namespace("edge"))
    failed(clean("install", "--timeout", "3s", "--set", "osm.caBundleSecretName=root"), "undo it with")
    clean.apply("---".join([
        objects.made("osm-system", "root"), objects.gateway("edge"), objects.gateway("edge", "other"),
        objects.mesh_config(True).replace("metadata: {", "metadata: {labels: {"
                                          "app.kubernetes.io/name: openservicemesh.io}, ")]))
    worked(clean("uninstall", "mesh", "-f"))
    assert nothing_left(clean) and owned(clean) == set()
    assert clean.kubectl("get", "secrets", "-n", "edge", "-o", "name") == "secret/gateway-of-other\n"


def test_where_the_namespace_is_going(clean):
    clean.kubectl("delete", "namespace", "osm-system", "--wait=false")
    failed(clean("install"), "namespace [osm-system] is being deleted; try again when it is gone")


def test_a_chart_that_is_none(clean, tmp_path):
    failed(clean("install", "--osm-chart-path", tmp_path / "none"),
           "--osm-chart-path: expected a chart's folder or archive")
    failed(clean("install", "--osm-chart-path", tmp_path), "helm: ")
    failed(clean("install", "--set", "osm.image.pullPolicy=Sometimes"), "pullPolicy")
    assert clean.kubectl("get", "secrets", "-n", "osm-system", "-o", "name") == ""


def interrupted(on_api, line, signo, tmp_path, until):
    child = subprocess.Popen(on_api.api.net_line(OSM, *line), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True,
                             env=on_api.api.environment({"TMPDIR": str(tmp_path)}))
    deadline = time.monotonic() + 180
    while not until():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    # As a terminal does: the whole group gets it.
    if signo == signal.SIGINT:
        subprocess.run(["kill", "-INT", "--", f"-{child.pid}"], check=True)
    else:
        child.send_signal(signo)
    out, err = child.communicate(timeout=180)
    return subprocess.CompletedProcess(line, child.returncode, out, err)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(clean, tmp_path, signo):
    def helm_waits():
        return "preinstall" in clean.kubectl("get", "jobs", "-n", "osm-system", "-o", "name")
    done = interrupted(clean, ["install"], signo, tmp_path, helm_waits)
    failed(done, "interrupted; undo it with: osm uninstall mesh")
    assert temporary_folders(tmp_path) == []
    left = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if str(tmp_path).encode() in read(p)]
    assert left == []


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_an_interrupted_install_can_undo_itself(clean, tmp_path):
    def helm_waits():
        return "preinstall" in clean.kubectl("get", "jobs", "-n", "osm-system", "-o", "name")
    done = interrupted(clean, ["install", "--atomic"], signal.SIGINT, tmp_path, helm_waits)
    failed(done, "interrupted")
    assert "undo it with" not in done.stderr
    assert nothing_left(clean)


@pytest.mark.parametrize("command", ["install", "mesh upgrade"])
@pytest.mark.parametrize("value, said", [
    ("osm.meshName=x", "--set osm.meshName=... isn't taken; give the mesh's name with --mesh-name"),
    ("osm.trustDomain=a.b, osm.osmNamespace=x", "--set osm.osmNamespace=... isn't taken; give the "
     "control plane's namespace with --osm-namespace")])
def test_values_that_are_flags(osm, command, value, said):
    failed(osm(*command.split(), "--set", value), said)


# --- one that helm installed by another name ---

def test_a_release_by_another_name_is_removed(clean):
    chart = pathlib.Path(__file__).resolve().parents[2] / "charts/osm"
    done = clean.api.net("helm", "install", "mine", chart, "-n", "osm-system", "--no-hooks", "--wait",
                         "--timeout", "2s", capture_output=True, text=True)
    assert done.returncode != 0 and "release: not found" not in done.stderr
    (mesh,) = json.loads(worked(clean("mesh", "list", "-o", "json")))
    assert (mesh["name"], mesh["namespace"]) == ("osm", "osm-system")
    worked(clean("uninstall", "mesh", "-f"))
    assert nothing_left(clean)


def test_a_release_by_another_name_is_upgraded(clean, tmp_path):
    helm = tmp_path / "helm"
    helm.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/said\n')
    helm.chmod(0o755)
    clean.apply(objects.bookstore())
    clean.kubectl("annotate", "deployment", "osm-controller", "-n", "osm-system",
                  "meta.helm.sh/release-name=mine", "meta.helm.sh/release-namespace=releases")
    worked(clean("mesh", "upgrade", env={"OSM_HELM": str(helm)}))
    words = (tmp_path / "said").read_text().split()
    assert words[words.index("upgrade") + 1] == "mine"
    assert {"--namespace=releases", "--set=osm.osmNamespace=osm-system"} <= set(words)


# --- uninstall ---

def joined(on_api):
    return on_api.kubectl("get", "namespaces", "-o", "name", "-l",
                          "openservicemesh.io/monitored-by=osm").split()


def test_without_a_release_nothing_changes(clean):
    clean.apply(objects.bookstore())
    before = joined(clean)
    failed(clean("uninstall", "mesh", "-f"), 'uninstall of mesh [osm]: helm has no release "osm" in '
           "namespace [osm-system]; remove the mesh with what installed it")
    assert joined(clean) == before and len(before) == 2


def test_without_rights_nothing_changes(clean, nobody):
    clean.apply(objects.bookstore() + "---" + objects.release("osm-system", "osm") + "---" +
                objects.nobody_may(("deployments, secrets", "get, list"),
                                   ("namespaces", "get, list, patch")))
    before = joined(clean)
    deadline = time.monotonic() + 180
    while clean("mesh", "list", *nobody).returncode != 0:  # the server learns of rights by a watch
        assert time.monotonic() < deadline
    failed(clean("uninstall", "mesh", "-f", *nobody), 'it needs more rights than context "test" has: '
           "it may not delete secrets")
    assert joined(clean) == before and len(before) == 2



def test_nothing_to_uninstall(clean):
    failed(clean("uninstall", "mesh", "-f"), "there is no mesh in this cluster")
    clean.apply(objects.bookstore())
    failed(clean("uninstall", "mesh", "-f", "--mesh-name", "second"), 'there is no mesh "second"')


def test_uninstall_asks(clean):
    clean.apply(objects.bookstore())
    asks = "Uninstall OSM [mesh name: osm] in namespace [osm-system]? [y/n]: "
    worked(clean("uninstall", "mesh", input="n\n"), asks)
    done = clean("uninstall", "mesh", input="what\nmaybe\nperhaps\ny\n")
    assert (done.returncode, done.stdout) == (1, asks * 3)
    assert "nothing was removed" in done.stderr
    assert clean.kubectl("get", "deployment", "osm-controller", "-n", "osm-system")


def test_several_meshes_are_not_forced(clean):
    clean.apply(objects.bookstore() + "---" + objects.namespace("second-system") + "---" +
                objects.controller("second-system", "second"))
    failed(clean("uninstall", "mesh", "-f"),
           "there are 2 meshes; say which one with --mesh-name")


def test_what_is_the_clusters_goes_when_asked(clean):
    """After an uninstall that broke off; the definitions come back for other tests."""
    clean.apply("---".join([
        objects.secret("osm-system", "osm-ca-bundle"), objects.made("osm-system", "root"),
        objects.gateway("osm-system"), objects.gateway("osm-system", "other")]))
    names = clean.kubectl("get", "crd", "-o", "name")
    assert "traffictargets.access.smi-spec.io" in names
    try:
        out = worked(clean("uninstall", "mesh", "-f", "-a"))
        assert out == ("There is no mesh in this cluster; cluster-wide resources of mesh [osm] "
                       "deleted\n")
        assert clean.kubectl("get", "crd", "-o", "name") == ""
        assert clean.kubectl("get", "secrets", "-n", "osm-system", "-o", "name").split() == [
            "secret/gateway-of-other", "secret/osm-ca-bundle"]
    finally:
        definitions = subprocess.run([OSM.parents[1] / "kinds/osm-crds"], check=True,
                                     capture_output=True, text=True).stdout
        clean.kubectl("apply", "--server-side", "-f", "-", input=definitions)
        clean.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=180s")


# --- servers that we play ---

@contextlib.contextmanager
def serving(handler, folder):
    """(server, a kubeconfig of it)"""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = folder / "kubeconfig"
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "old",
            "contexts": [{"name": "old", "context": {"cluster": "old", "user": "u"}}],
            "clusters": [{"name": "old", "cluster": {
                "server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}]}))
        yield server, file
        server.shutdown()


class Going(http.server.BaseHTTPRequestHandler):
    """A server with a mesh; its namespace is gone when somebody comes to change it."""
    lists = {
        "deployments": [{"metadata": {"name": "osm-controller", "namespace": "osm-system", "labels": {
            "app": "osm-controller", "meshName": "osm"}}}],
        "namespaces": [{"metadata": {"name": "going", "labels": {
            "openservicemesh.io/monitored-by": "osm"}}}],
        "secrets": [{"metadata": {"name": "release", "namespace": "osm-system", "labels": {
            "owner": "helm", "name": "osm", "status": "deployed", "version": "1"}}}]}

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        gateways = "ingress-gateway" in self.path
        items = [] if gateways else self.lists.get(path.rsplit("/", 1)[1], [])
        self.answer(200, {"kind": "List", "metadata": {}, "items": items})

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(201, {**review, "status": {"allowed": True}})

    def do_PATCH(self):
        self.server.patched.append(self.path)
        self.answer(404, {"kind": "Status", "status": "Failure", "code": 404, "message": "not found"})

    def log_message(self, *args):
        pass


def test_a_namespace_that_goes_meanwhile(osm, tmp_path):
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\nexit 0\n")
    helm.chmod(0o755)
    with serving(Going, tmp_path) as (server, kubeconfig):
        server.patched = []
        worked(osm("uninstall", "mesh", "-f", "--kubeconfig", kubeconfig, env={"OSM_HELM": str(helm)}),
               "OSM [mesh name: osm] in namespace [osm-system] uninstalled\n")
    assert [x.split("?")[0] for x in server.patched] == ["/api/v1/namespaces/going"]


# --- an older server ---

class Old(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"major": "1", "minor": "25+", "gitVersion": "v1.25.3"}).encode()
        self.send_response(200 if self.path == "/version" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_an_older_server(osm, tmp_path):
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\nexit 1\n")
    helm.chmod(0o755)
    with serving(Old, tmp_path) as (server, file):
        url = f"http://127.0.0.1:{server.server_port}"
        failed(osm("install", "--kubeconfig", file, env={"OSM_HELM": str(helm)}),
               f"the mesh needs Kubernetes 1.29 or later; the API server at {url} is 1.25")
        out = osm("check", "--pre", "--kubeconfig", file)
    assert out.returncode == 1 and f"  fail  API server {url} is 1.25; 1.29 or later is needed" in \
        out.stdout
