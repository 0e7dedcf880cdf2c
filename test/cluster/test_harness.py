"""The cluster itself is what the other tests take it for."""
import json
import re

import manifests as m
from kubectl import eventually
from parts import NODE_ADDRESS
from webhook import Webhook


def addresses(kubectl, namespace, name):
    """The addresses of pods that a name resolves to, in a pod."""
    found = kubectl.execute(namespace, "client", "nslookup", name)
    return set(re.findall(r"^Address.*\b(10\.88\.\S+)", found, re.M))


def test_pods_services_and_names(kubectl, new_namespace):
    ns = new_namespace("plain")
    kubectl.apply(*m.httpbin(replicas=2), m.client(),
                  m.service("headless", {"app": "httpbin"}, {"port": 8080}, clusterIP="None"),
                  namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    for host in ("httpbin", f"httpbin.{ns}.svc.cluster.local"):
        assert eventually(lambda: kubectl.curl(ns, "client", f"http://{host}/get")[0]) == 200
    address = kubectl.json("-n", ns, "get", "service", "httpbin")["spec"]["clusterIP"]
    assert kubectl.curl(ns, "client", f"http://{address}/get")[0] == 200
    pods = {p["status"]["podIP"] for p in kubectl.items("-n", ns, "pods", "-l", "app=httpbin")}
    eventually(lambda: addresses(kubectl, ns, f"headless.{ns}.svc.cluster.local") == pods)
    servers = set()
    eventually(lambda: servers.add(kubectl.curl(ns, "client", "http://httpbin/hostname")[1]) or
               len(servers) == 2)


def test_nothing_leads_outside(kubectl, new_namespace):
    ns = new_namespace("inside")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    code, said = kubectl.curl(ns, "client", "http://example.test/")
    assert code == 0 and "resolve" in said


def labels_of_new(kubectl, ns):
    """Those that a pod would have."""
    made = kubectl("-n", ns, "create", "--dry-run=server", "-o", "json", "-f", "-",
                   input=json.dumps(m.client("look")))
    return json.loads(made)["metadata"]["labels"]


def test_webhook_is_called_and_missed(cluster, kubectl, new_namespace):
    ns = new_namespace("hooked", labels={"hook": "on"})
    with Webhook(cluster, NODE_ADDRESS) as hook:
        kubectl.apply(hook.configuration({"hook": "on"}))
        try:
            # The API server hears of the webhook in its own time.
            eventually(lambda: "touched" in labels_of_new(kubectl, ns))
            kubectl.apply(m.client("touched"), namespace=ns)
            labels = kubectl.json("-n", ns, "get", "pod", "touched")["metadata"]["labels"]
            assert labels["touched"] == "yes"
            hook.stop()
            said = kubectl.refused(m.client("refused"), namespace=ns)
            assert "failed calling webhook" in said
        finally:
            kubectl("delete", "mutatingwebhookconfiguration", "hook")


def test_a_program_that_ends_is_started_again(cluster, kubectl):
    cluster.node("pkill", "-9", "kube-scheduler", check=True)
    log = cluster.root / "log/node.log"
    assert eventually(lambda: "scheduler is started again" in log.read_text())
    kubectl.eventually("get", "nodes")
