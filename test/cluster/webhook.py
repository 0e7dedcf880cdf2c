"""An admission webhook on the node: it labels each pod that it is asked about."""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile

import keys

PORT = 9443


class Webhook:
    """Runs in the cluster's network while the context lasts."""

    def __init__(self, cluster, address):
        self.cluster, self.address = cluster, address
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        folder = pathlib.Path(self.folder.name)
        keys.make_root(folder)
        keys.make_certificate(folder, "hook", "/CN=hook", "serverAuth", f"IP:{self.address}")
        self.process = subprocess.Popen(
            self.cluster.net_line(sys.executable, __file__, self.address, folder),
            stdout=subprocess.PIPE, env=self.cluster.environment())
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def stop(self):
        self.process.kill()
        self.process.wait()

    def configuration(self, labels):
        trust = (pathlib.Path(self.folder.name) / "ca.crt").read_bytes()
        return {"apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration", "metadata": {"name": "hook"},
                "webhooks": [{
                    "name": "hook.example.test", "admissionReviewVersions": ["v1"],
                    "sideEffects": "None", "namespaceSelector": {"matchLabels": labels},
                    "clientConfig": {"url": f"https://{self.address}:{PORT}/",
                                     "caBundle": base64.b64encode(trust).decode()},
                    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                               "resources": ["pods"]}]}]}


def serve(address, folder):
    """Answers reviews until it is killed; says so when it listens."""
    import http.server
    import ssl

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            patch = [{"op": "add", "path": "/metadata/labels/touched", "value": "yes"}]
            review["response"] = {"uid": review.pop("request")["uid"], "allowed": True,
                                  "patchType": "JSONPatch",
                                  "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
            body = json.dumps(review).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/hook.crt", f"{folder}/hook.key")
    server = http.server.ThreadingHTTPServer((address, PORT), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
