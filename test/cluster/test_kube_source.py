"""What a controller knows of a cluster, from a real API server that restarts, forgets, refuses and
learns. `follow` (follow.c) runs the cluster source and says what it knows."""
import base64
import json
import os
import pathlib
import queue
import subprocess
import threading
import time

import pytest

import parts
from kubectl import Kubectl

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
SECONDS = 120
JOINED = {"openservicemesh.io/monitored-by": "osm"}


def kubectl(api, *args, **more):
    return Kubectl(api)(*args, **more)


def apply(api, *objects):
    kubectl(api, "apply", "--server-side", "-f", "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


class Follow:
    """The program, and the last that it said."""

    def __init__(self, api, kubeconfig=None):
        self.said = queue.Queue()
        self.last = None
        self.process = subprocess.Popen(
            api.net_line(BUILD / "test/cluster/follow", kubeconfig or api.kubeconfig, "osm",
                         "osm-system"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))

    def until(self, what, holds):
        """Waits until holds(what it said last)."""
        deadline = time.monotonic() + SECONDS
        while self.last is None or not holds(self.last):
            left = deadline - time.monotonic()
            try:
                self.last = self.said.get(timeout=max(left, 0.01))
            except queue.Empty:
                raise AssertionError(f"expected {what}, found {self.last}") from None
        return self.last

    def knows(self, title, label=""):
        return self.until(f"{title} {label}", lambda x: x["objects"].get(title) == label)

    def knows_not(self, title):
        return self.until(f"no {title}", lambda x: title not in x["objects"])

    def is_live(self, *kinds):
        return self.until(f"{kinds} live", lambda x: all(x["states"][k] == "live" for k in kinds))

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(SECONDS) == 0


@pytest.fixture
def follow(api):
    started = []

    def start(kubeconfig=None):
        started.append(Follow(api, kubeconfig))
        return started[-1]

    yield start
    for one in started:
        one.end()


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels or None}}


def account(space, name, version="1"):
    return {"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": space, "labels": {"v": version}}}


def join(api, name):
    apply(api, namespace(name, **JOINED))


def test_a_namespace_joins_and_leaves(api, follow):
    apply(api, namespace("shop"))
    apply(api, account("shop", "web"))
    known = follow()
    assert "ServiceAccount shop/web" not in known.until("sync", lambda x: x["in_sync"])["objects"]
    join(api, "shop")
    # With the namespace comes what it holds, not after it.
    assert "ServiceAccount shop/web" in known.until(
        "the namespace", lambda x: "Namespace shop" in x["objects"])["objects"]
    apply(api, account("shop", "web", "2"))
    known.knows("ServiceAccount shop/web", "2")
    kubectl(api, "label", "namespace", "shop", "openservicemesh.io/monitored-by-")
    left = known.knows_not("Namespace shop")
    assert not [x for x in left["objects"] if " shop/" in x]
    kubectl(api, "delete", "namespace", "shop", "--wait=false")


def test_the_api_server_restarts(api, follow):
    join(api, "away")
    apply(api, account("away", "before"))
    known = follow()
    known.knows("ServiceAccount away/before", "1")
    api.restart()
    apply(api, account("away", "before", "2"), account("away", "after"))
    known.knows("ServiceAccount away/before", "2")
    known.knows("ServiceAccount away/after", "1")


def test_the_server_forgets_where_we_were(api, follow):
    """What changed and went while we couldn't hear of it, in a history that etcd has dropped."""
    join(api, "old")
    apply(api, account("old", "stays"), account("old", "goes"))
    known = follow()
    known.knows("ServiceAccount old/goes", "1")
    os.kill(known.process.pid, 19)  # SIGSTOP
    try:
        kubectl(api, "delete", "serviceaccount", "-n", "old", "goes")
        apply(api, account("old", "stays", "2"), account("old", "new"))
        api.restart()  # so that nothing remembers but etcd
        api.compact()
    finally:
        os.kill(known.process.pid, 18)  # SIGCONT
    known.knows("ServiceAccount old/stays", "2")
    known.knows("ServiceAccount old/new", "1")
    known.knows_not("ServiceAccount old/goes")


def test_a_watch_breaks_within_an_object(api, follow):
    """The API server is killed while it sends thousands of objects."""
    join(api, "many")
    known = follow()
    known.knows("Namespace many")
    objects = [account("many", f"a{i}") for i in range(300)]
    for o in objects:
        o["metadata"]["annotations"] = {"openservicemesh.io/note": "x" * 20000}
    writer = threading.Thread(target=lambda: Kubectl(api).try_(
        "apply", "--server-side", "-f", "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})))
    writer.start()
    known.knows("ServiceAccount many/a20", "1")
    api.restart()
    writer.join()
    apply(api, *objects)
    known.until("all of them", lambda x: sum(" many/a" in o for o in x["objects"]) == 300)


def user_config(api, name, token_file):
    """A kubeconfig whose user has a token in a file."""
    ca = base64.b64encode((api.root / "keys/ca.crt").read_bytes()).decode()
    path = api.root / f"{name}.kubeconfig"
    path.write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": f"https://{parts.NODE_ADDRESS}:6443",
                                               "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"tokenFile": str(token_file)}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x"}))
    return path


def token_of(api, name):
    return kubectl(api, "create", "token", "-n", "default", name, "--duration=10m").strip()


def role(name, *rules):
    return ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
             "metadata": {"name": name}, "rules": list(rules)},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
             "metadata": {"name": name},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
             "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": name}]})


def rule(group, *resources):
    return {"apiGroups": [group], "resources": list(resources), "verbs": ["list", "watch"]}


ALL_RULES = (rule("", "namespaces", "pods", "services", "serviceaccounts"),
             rule("discovery.k8s.io", "endpointslices"), rule("access.smi-spec.io", "*"),
             rule("specs.smi-spec.io", "*"), rule("split.smi-spec.io", "*"),
             rule("policy.openservicemesh.io", "*"), rule("config.openservicemesh.io", "*"))


def test_denied_then_granted(api, follow):
    apply(api, account("default", "reader"), *role("reader", *ALL_RULES[1:],
                                                  rule("", "namespaces", "services", "serviceaccounts")))
    token = api.root / "reader.token"
    token.write_text(token_of(api, "reader"))
    join(api, "secretive")
    known = follow(user_config(api, "reader", token))
    # Nobody knows what pods there are, so nothing is told.
    with pytest.raises(queue.Empty):
        known.said.get(timeout=8)
    apply(api, *role("reader", *ALL_RULES))
    known.knows("Namespace secretive")


def test_a_token_rotates(api, follow):
    """The old token's account is gone, so that only the new one is accepted."""
    apply(api, account("default", "one"), account("default", "two"), *role("one", *ALL_RULES),
              *role("two", *ALL_RULES))
    join(api, "turning")
    token = api.root / "turning.token"
    token.write_text(token_of(api, "one"))
    known = follow(user_config(api, "turning", token))
    known.knows("Namespace turning")
    fresh = token.with_suffix(".new")
    fresh.write_text(token_of(api, "two"))
    fresh.rename(token)
    kubectl(api, "delete", "serviceaccount", "-n", "default", "one")
    api.restart()
    apply(api, account("turning", "web"))
    known.knows("ServiceAccount turning/web", "1")


SPLIT = {"apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit",
         "metadata": {"name": "split", "namespace": "late", "labels": {"v": "1"}},
         "spec": {"service": "web", "backends": [{"service": "web-v1", "weight": 1}]}}


def definitions(group):
    text = subprocess.run([BUILD / "src/kinds/osm-crds"], check=True, capture_output=True,
                          text=True).stdout
    return [x for x in text.split("\n---\n") if f"group: {group}" in x or f'group: "{group}"' in x]


def established(api, definition):
    """Waits until its kind can be used: it may be served a moment after the server said so."""
    kubectl(api, "wait", f"crd/{definition}", "--for=condition=Established", "--timeout=180s")
    Kubectl(api).eventually("get", definition, "-A")


def test_a_definition_comes_late_and_goes(api, follow):
    join(api, "late")
    known = follow()
    said = known.until("sync without it", lambda x: x["in_sync"] and "Namespace late" in x["objects"])
    assert said["states"]["TrafficSplit"] == "missing"
    assert any("TrafficSplit: the cluster has no CustomResourceDefinition "
               "trafficsplits.split.smi-spec.io" in x for x in said["findings"])
    crd = "\n---\n".join(definitions("split.smi-spec.io"))
    kubectl(api, "apply", "--server-side", "-f", "-", input=crd)
    established(api, "trafficsplits.split.smi-spec.io")
    known.is_live("TrafficSplit")
    apply(api, SPLIT)
    said = known.knows("TrafficSplit late/split", "1")
    assert not any("trafficsplits" in x for x in said["findings"])
    kubectl(api, "delete", "crd", "trafficsplits.split.smi-spec.io")
    said = known.knows_not("TrafficSplit late/split")
    known.until("missing", lambda x: x["states"]["TrafficSplit"] == "missing")
    known.knows("Namespace late")


def test_an_object_that_cannot_be_understood(api, follow):
    """It keeps its last good form, is named, and does its neighbours no harm."""
    join(api, "late")
    definition = json.loads(kubectl(api, "create", "--dry-run=client", "-o", "json", "-f", "-",
                                        input=definitions("split.smi-spec.io")[0]))
    for version in definition["spec"]["versions"]:  # one that lets anything in, as old ones did
        version["schema"] = {"openAPIV3Schema": {"type": "object",
                                                 "x-kubernetes-preserve-unknown-fields": True}}
    apply(api, definition)
    established(api, "trafficsplits.split.smi-spec.io")
    known = follow()
    known.is_live("TrafficSplit")
    apply(api, SPLIT)
    known.knows("TrafficSplit late/split", "1")
    bad = json.loads(json.dumps(SPLIT))
    bad["metadata"]["labels"]["v"] = "2"
    bad["spec"]["backends"][0]["weight"] = "ten"
    other = json.loads(json.dumps(SPLIT))
    other["metadata"]["name"] = "other"
    kubectl(api, "replace", "-f", "-", input=json.dumps(bad))
    apply(api, other)
    known.knows("TrafficSplit late/other", "1")
    said = known.until("a finding", lambda x: any("late/split" in y for y in x["findings"]))
    assert said["objects"]["TrafficSplit late/split"] == "1"
    assert any(x.startswith("error: TrafficSplit late/split: spec.backends[0].weight: expected")
               for x in said["findings"])
    good = json.loads(json.dumps(SPLIT))
    good["metadata"]["labels"]["v"] = "3"
    kubectl(api, "replace", "-f", "-", input=json.dumps(good))
    said = known.knows("TrafficSplit late/split", "3")
    known.until("no finding", lambda x: not any("late/split" in y for y in x["findings"]))
    kubectl(api, "delete", "crd", "trafficsplits.split.smi-spec.io")
