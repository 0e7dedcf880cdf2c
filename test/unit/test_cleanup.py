"""osm-cleanup against a small API server: what it asks to be removed, and what it leaves."""
import http.server
import json
import os
import pathlib
import subprocess
import threading

import pytest

CLEANUP = pathlib.Path(os.environ["OSM_BUILD"]) / "src/daemon/osm-cleanup"
NAMESPACE = "/namespaces/mesh-system"
CONFIG = "/apis/config.openservicemesh.io/v1alpha2" + NAMESPACE
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
SECRET = f"/api/v1{NAMESPACE}/secrets/root"
ALL = {f"{WEBHOOKS}/mutatingwebhookconfigurations/inject",
       f"{WEBHOOKS}/validatingwebhookconfigurations/validate",
       f"{CONFIG}/meshconfigs/osm-mesh-config",
       f"{CONFIG}/meshrootcertificates/osm-mesh-root-certificate", SECRET,
       *(f"/apis/coordination.k8s.io/v1{NAMESPACE}/leases/osm-{name}"
         for name in ("controller", "bootstrap"))}
OURS = {"metadata": {"name": "root", "labels": {"app.kubernetes.io/name": "openservicemesh.io"}}}


class Server(http.server.ThreadingHTTPServer):
    """Has the objects of a dict, by path; refuses to remove those of a set."""

    def __init__(self, objects, refused=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.refused = objects, refused
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def status(self, code, message):
        self.answer(code, {"kind": "Status", "code": code, "message": message})

    def do_GET(self):
        if self.path in self.server.objects:
            self.answer(200, self.server.objects[self.path])
        else:
            self.status(404, "not found")

    def do_DELETE(self):
        if self.path in self.server.refused:
            self.status(403, "you may not")
        elif self.server.objects.pop(self.path, None) is None:
            self.status(404, "not found")
        else:
            self.status(200, "gone")

    def log_message(self, *args):
        pass


@pytest.fixture
def clean(tmp_path):
    servers = []

    def run(objects, refused=()):
        server = Server(objects, refused)
        servers.append(server)
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps({
            "current-context": "t", "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "t", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {
                "server": f"http://127.0.0.1:{server.server_port}"}}]}))
        return subprocess.run(
            [CLEANUP, f"--kubeconfig={config}", "--osm-namespace=mesh-system",
             "--ca-bundle-secret-name=root", "--webhook-config-name=inject",
             "--validator-webhook-config=validate"], capture_output=True, text=True, check=False)

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def test_removes_what_the_control_plane_made(clean):
    objects = {path: OURS for path in ALL} | {f"/api/v1{NAMESPACE}/secrets/mine": {}}
    r = clean(objects)
    assert r.returncode == 0, r.stderr
    assert set(objects) == {f"/api/v1{NAMESPACE}/secrets/mine"}


def test_nothing_there_is_no_error(clean):
    r = clean({})
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("labels", [None, {}, {"app.kubernetes.io/name": "mine"}])
def test_a_root_of_ones_own_stays(clean, labels):
    metadata = {"name": "root"} | ({} if labels is None else {"labels": labels})
    objects = {SECRET: {"metadata": metadata}}
    r = clean(objects)
    assert r.returncode == 0 and set(objects) == {SECRET}
    assert "left alone" in r.stderr


def test_what_is_refused_is_said_and_the_rest_goes(clean):
    refused = f"{WEBHOOKS}/mutatingwebhookconfigurations/inject"
    objects = {path: OURS for path in ALL}
    r = clean(objects, {refused})
    assert r.returncode == 1 and set(objects) == {refused}
    assert "you may not" in r.stderr.splitlines()[-1]
