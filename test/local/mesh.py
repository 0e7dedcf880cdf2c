"""A mesh for tests and benchmarks: `osm local` as a user runs it."""
import json
import os
import pathlib
import subprocess
import sys
import time

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
OSM = BUILD / "src/cli/osm"
HERE = pathlib.Path(__file__).parent
TIMEOUT = 300


def eventually(what, seconds=180):
    """Repeats `what` until it says (True, what it saw); what it saw last is in the message."""
    deadline = time.monotonic() + seconds
    while True:
        ok, seen = what()
        if ok:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


class Mesh:
    """One mesh; `dir` holds its manifests, `state` what the runtime keeps."""

    def __init__(self, name, folder, state):
        self.name, self.dir, self.state = name, folder, state
        self.port = 15128

    def osm(self, *args, check=True, input=None, env=None):
        """Runs `osm local VERB`; the flags that name the mesh are added."""
        line = [OSM, "local", args[0], "--name", self.name, "--state-dir", self.state, *args[1:]]
        done = subprocess.run([str(a) for a in line], text=True, capture_output=True, input=input,
                              timeout=TIMEOUT, env=env)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, line))}\n{done.stdout}{done.stderr}")
        return done

    def up(self, *more, check=True, wait=True, roots=None):
        images = ["--image", f"test/echo={sys.executable} {HERE / 'echo.py'}",
                  "--image", "test/sleep=/bin/sleep"]
        folders = [x for root in roots or [self.dir] for x in ("-f", root)]
        return self.osm("up", *folders, *images, "--ads-port", self.port,
                        *(["--wait"] if wait else []), *more, check=check)

    def down(self):
        self.osm("down")

    def status(self, edges=False):
        return json.loads(self.osm("status", "-o", "json", check=False).stdout)

    def pod_of(self, workload):
        ns, name = workload.split("/")
        return next(p for p in self.status()["pods"] if p["namespace"] == ns and
                    name in (p["name"], p["workload"].split("/")[1]))

    def execute(self, who, *command, check=True):
        return self.osm("exec", who, "--", *command, check=check)

    def call(self, who, protocol, host, port, path=None, method=None, headers=(), count=1):
        """The outcome of a call, or with a count how often each server answered (call.py)."""
        path = path or ("/shop.Cart/Get" if protocol == "grpc" else "/")
        line = [sys.executable, HERE / "call.py", protocol, host, port, "--path", path,
                "--count", count]
        line += ["--method", method] if method else []
        line += [x for h in headers for x in ("--header", h)]
        return json.loads(self.execute(who, *line).stdout)

    def raw_http(self, who, host, port, path):
        """The first bytes of the answer to a request whose path is sent as it stands."""
        code = ("import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10);"
                "s.sendall(f'GET {sys.argv[3]} HTTP/1.1\\r\\nhost: {sys.argv[1]}:{sys.argv[2]}"
                "\\r\\n\\r\\n'.encode()); sys.stdout.buffer.write(s.recv(4096))")
        return self.execute(who, sys.executable, "-c", code, host, port, path).stdout.encode()

    def proxy_get(self, pod, query):
        line = [OSM, "local", "proxy", "get", "--name", self.name, "--state-dir", self.state,
                query, pod]
        return subprocess.run(line, text=True, capture_output=True, timeout=TIMEOUT,
                              check=True).stdout

    def logs(self, pod, container=None):
        return self.osm("logs", pod, *(["-c", container] if container else [])).stdout
