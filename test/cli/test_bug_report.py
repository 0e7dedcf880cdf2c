"""Bug reports of servers that aren't what they say."""
import http.server
import json
import os
import threading

import pytest


@pytest.fixture
def liar(tmp_path):
    """A kubeconfig of a server whose pods have names that lead out of any folder."""
    pods = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [
        {"metadata": {"namespace": "shop", "name": "../../../escaped"}},
        {"metadata": {"namespace": "shop", "name": "--kubeconfig=x"}}]}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(pods).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = tmp_path / "config"
        file.write_text(json.dumps({
            "clusters": [{"name": "c", "cluster": {
                "server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}))
        yield file
        server.shutdown()


def test_nothing_is_written_outside_of_its_folder(osm, liar, tmp_path):
    kubectl, words = tmp_path / "kubectl", tmp_path / "words"
    kubectl.write_text(f'#!/bin/sh\necho "$@" >> {words}\n')
    kubectl.chmod(0o700)
    folder = tmp_path / "folder/tmp"
    folder.mkdir(parents=True)
    done = osm("support", "bug-report", "--all", f"--kubeconfig={liar}",
               env={"OSM_KUBECTL": str(kubectl), "TMPDIR": str(folder)})
    assert done.returncode == 0, done
    assert [x for x in os.listdir(folder) if not x.startswith("osm-bug-report-")] == []
    assert "shop" not in words.read_text() and "escaped" not in words.read_text()
