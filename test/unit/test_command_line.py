"""osm-controller's command line: what is wrong with it is told on its own pod too."""
import http.server
import json
import os
import pathlib
import subprocess
import threading

CONTROLLER = pathlib.Path(os.environ["OSM_BUILD"]) / "src/daemon/osm-controller"


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes events."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.events.append((self.path.partition("?")[0], body))
        self.send_response(201)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


def run(tmp_path, *flags, env=()):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.events = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}], "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}))
    done = subprocess.run([CONTROLLER, "--kubeconfig", kubeconfig, *flags], capture_output=True,
                          text=True, timeout=120, env={**os.environ, **dict(env)})
    server.shutdown()
    server.server_close()
    return done, server.events


def test_a_wrong_command_line_is_an_event_of_the_pod(tmp_path):
    done, events = run(tmp_path, "--certificate-manager", "vault", "--osm-namespace", "mesh-system",
                       env={"CONTROLLER_POD_NAME": "osm-controller-1", "CONTROLLER_POD_UID": "u"})
    assert done.returncode == 1
    (path, event), = events
    assert path == "/api/v1/namespaces/mesh-system/events"
    assert event["reason"] == "FatalInvalidCLIParameters" and event["type"] == "Warning"
    assert event["involvedObject"]["name"] == "osm-controller-1"
    assert event["message"].startswith("--certificate-manager vault isn't built into this version")
    log, = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert log["error_code"] == "E1000" and log["reason"] == event["message"]


def test_outside_a_pod_nobody_is_told(tmp_path):
    done, events = run(tmp_path, "--trust-domain", "")
    assert done.returncode == 1 and not events
    assert "osm-controller: --trust-domain: expected a name, found nothing" in done.stderr
