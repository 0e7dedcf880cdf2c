"""An API server with its etcd and nothing else, in a network of its own: for tests and measurements of
who talks to it, and of what needs nothing to run. Up in some seconds; it can be restarted, made to forget,
and filled by way of etcd. All ends with the process that made it.

    api = Api(folder)
    api.up()
    api.kubectl("get", "pods", "-A")
    api.net(program, ..., api.kubeconfig)      # in its network
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import time

import keys
import parts

HERE = pathlib.Path(__file__).resolve().parent
UP_SECONDS = 300
SERVER = f"https://{parts.NODE_ADDRESS}:6443"


class Api:
    """What Kubectl and tests use of a cluster.Cluster, and what only a server alone can do."""

    def __init__(self, root):
        from cluster import program_path
        self.root = pathlib.Path(root).resolve()
        self.kubeconfig = self.root / "keys/admin.kubeconfig"
        self.path = program_path()
        self.processes = {}
        self.holder = None

    def up(self, objects=()):
        """objects: (key, object) pairs that are there before the server is: see put."""
        (self.root / "log").mkdir(parents=True, exist_ok=True)
        (self.root / "etc").mkdir(exist_ok=True)
        try:
            keys.make(self.root / "keys")
            shutil.copy(HERE / "templates/audit.yaml", self.root / "etc")
            self.make_network()
            self.start("etcd", f"{parts.ETCD}/health")
            self.put(objects)
            self.start_server()
        except BaseException:
            self.down()
            raise

    def down(self):
        for part in list(self.processes):
            self.stop(part)
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- programs ---

    def make_network(self):
        """A process holds the network; it ends when we do, as it reads from us."""
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c",
             f"ip link set lo up && ip addr add {parts.NODE_ADDRESS}/32 dev lo && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise AssertionError("no network: is this root, with ip and unshare?")

    def start(self, part, health):
        """Starts it and waits until this URL says that it is well."""
        command = parts.PARTS[part](self.root)
        with open(self.root / f"log/{part}.log", "ab") as log:
            self.processes[part] = subprocess.Popen(
                self.net_line("setpriv", "--pdeathsig", "KILL", *command), env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        admin = self.root / "keys/admin"
        deadline = time.monotonic() + UP_SECONDS
        while self.net("curl", "-sf", "-m", "5", "--cacert", self.root / "keys/ca.crt", "--cert",
                       f"{admin}.crt", "--key", f"{admin}.key", health,
                       stdout=subprocess.DEVNULL).returncode != 0:
            if self.processes[part].poll() is not None or time.monotonic() > deadline:
                said = (self.root / f"log/{part}.log").read_text()[-2000:]
                raise AssertionError(f"{part} doesn't come up; the end of its log:\n{said}")
            time.sleep(0.05)

    def stop(self, part):
        process = self.processes.pop(part)
        process.kill()
        process.wait()

    def start_server(self):
        self.start("apiserver", f"{SERVER}/readyz")

    def restart(self):
        self.stop("apiserver")
        self.start_server()

    def environment(self, more=None):
        return {**os.environ, "PATH": self.path, "KUBECONFIG": str(self.kubeconfig),
                # All servers of tests have one address, and kubectl keeps what it heard of each.
                "KUBECACHEDIR": str(self.root / "kubectl"), **(more or {})}

    def net_line(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "--", *map(str, command)]

    def net(self, *command, env=None, **more):
        return subprocess.run(self.net_line(*command), env=self.environment(env), **more)

    def kubectl(self, *args, **more):
        return self.net("kubectl", *args, **more)

    # --- etcd ---

    def etcd(self, path, body):
        """A call of etcd's JSON gateway."""
        done = self.net("curl", "-sS", "--fail-with-body", "-d", "@-", f"{parts.ETCD}/v3/{path}",
                        input=json.dumps(body), text=True, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def put(self, objects, each=100):
        """Writes (key, object) pairs where the API server keeps them: "pods/shop/a"."""
        def text(x):
            return base64.b64encode(x.encode()).decode()

        batch = []
        for key, value in [*objects, (None, None)]:
            if key:
                batch.append({"requestPut": {"key": text("/registry/" + key),
                                             "value": text(json.dumps(value))}})
            if batch and (len(batch) == each or not key):
                self.etcd("kv/txn", {"success": batch})
                batch = []

    def compact(self):
        """Makes etcd forget all but the present."""
        revision = self.etcd("kv/range", {"key": base64.b64encode(b"/").decode()})["header"]["revision"]
        self.etcd("kv/compaction", {"revision": revision, "physical": True})
