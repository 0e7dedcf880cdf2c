"""What the control plane asks of the API server against what its roles allow, by the server's own audit
log: it is refused nothing, and nothing is allowed that it never asks for."""
import json

import pytest

import manifests as m
from kubectl import eventually
from mesh import NAMESPACE
from test_chart import rendered

SERVERS = ("osm-controller", "osm-injector", "osm-bootstrap")
HOOKS = ("osm-preinstall", "osm-cleanup")  # of an install, and of its end
RELEASE = "osm"
PREFIX = f"system:serviceaccount:{NAMESPACE}:"
RECONCILER = "osm.enableReconciler=true"

# What this file doesn't bring about.
RARE = {
    # A pod is made before the injector has heard of its namespace.
    ("osm-injector", "get", "", "namespaces"),
    # A pod was refused after its Secret was stored: minutes later, when none came.
    ("osm-injector", "delete", "", "secrets"),
    # Whoever comes first makes the root's Secret.
    ("osm-injector", "create", "", "secrets"),
    # Objects of a cluster that had older definitions are stored anew.
    ("osm-bootstrap", "patch", "apiextensions.k8s.io", "customresourcedefinitions/status"),
    *(("osm-bootstrap", verb, group, resource) for verb in ("list", "patch") for group, resource in
      (("access.smi-spec.io", "traffictargets"), ("specs.smi-spec.io", "httproutegroups"),
       ("specs.smi-spec.io", "tcproutes"), ("split.smi-spec.io", "trafficsplits"),
       ("config.openservicemesh.io", "meshconfigs"))),
}


def audit_log(cluster):
    text = (cluster.root / "log/audit.log").read_text()
    return text[:text.rfind("\n") + 1]


def requests(cluster, since=0):
    """(account, verb, group, resource, namespace, name, status code) of each request after the
    first so many bytes of the log."""
    for line in audit_log(cluster)[since:].splitlines():
        event = json.loads(line)
        what = event.get("objectRef")
        if not what or not event["user"]["username"].startswith(PREFIX):
            continue
        resource = "/".join(x for x in (what["resource"], what.get("subresource")) if x)
        yield (event["user"]["username"].removeprefix(PREFIX), event["verb"],
               what.get("apiGroup", ""), resource, what.get("namespace", ""),
               what.get("name", ""), event.get("responseStatus", {}).get("code", 0))


def grants(documents):
    """(account, rule, namespace or None) of each rule of the chart."""
    rules = {(d["kind"], d["metadata"]["name"]): d["rules"] for d in documents
             if d["kind"] in ("Role", "ClusterRole")}
    for d in documents:
        if d["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        for rule in rules[d["roleRef"]["kind"], d["roleRef"]["name"]]:
            yield d["subjects"][0]["name"], rule, d["metadata"].get("namespace")


def uses(request):
    """The verbs that a request needs. Applying what isn't there makes it, and who watches lists
    first where the server can't do both at once."""
    verb, code = request[1], request[-1]
    return {verb} | ({"create"} if verb == "patch" and code == 201 else set()) | \
        ({"list"} if verb == "watch" else set())


def allows(grant, request):
    account, rule, namespace = grant
    who, _, group, resource, where, name, _ = request
    return (account == who and uses(request) & set(rule["verbs"]) and group in rule["apiGroups"] and
            resource in rule["resources"] and namespace in (None, where) and
            (not rule.get("resourceNames") or name in rule["resourceNames"]))


def one_by_one(grant):
    """A rule of several verbs and resources as rules of one each."""
    account, rule, namespace = grant
    for verb in rule["verbs"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield account, {**rule, "verbs": [verb], "apiGroups": [group],
                                "resources": [resource]}, namespace


def policy(kind, name, namespace, spec):
    return {"apiVersion": "policy.openservicemesh.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def left_webhook():
    """What a mesh in another namespace left behind; it is called for nothing."""
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "left", "labels": {"app.kubernetes.io/name": "openservicemesh.io"}},
            "webhooks": [{"name": "left.openservicemesh.io", "sideEffects": "None",
                          "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
                          "clientConfig": {"service": {"namespace": "gone", "name": "osm-injector"}}}]}


def put_right(kubectl, kind, name):
    """Deletes what the reconciler keeps, and waits for it."""
    uid = kubectl.json("get", kind, name)["metadata"]["uid"]
    kubectl("delete", kind, name)
    eventually(lambda: kubectl.try_("get", kind, name).returncode == 0 and
               kubectl.json("get", kind, name)["metadata"]["uid"] != uid)


def gateway_certificate(kubectl, ns):
    """Makes it wanted, and no longer."""
    def want(what):
        kubectl("-n", NAMESPACE, "patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p",
                json.dumps({"spec": {"certificate": {"ingressGateway": what}}}))
    want({"subjectAltNames": ["gateway.example"], "secret": {"name": "gateway", "namespace": ns}})
    kubectl.eventually("-n", ns, "get", "secret", "gateway")
    want(None)
    eventually(lambda: kubectl.try_("-n", ns, "get", "secret", "gateway").returncode != 0)


def events(kubectl, ns, name):
    return kubectl.items("-n", ns, "events", "--field-selector", f"involvedObject.name={name}")


def said_again(kubectl, ns, name, patched):
    """What was said about an object is said by another controller, and counted in the same event."""
    kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/osm-controller")
    kubectl.ready(NAMESPACE, "deployment/osm-controller")
    eventually(patched)
    assert any(e["count"] > 1 for e in events(kubectl, ns, name))


@pytest.fixture(scope="module")
def asked(cluster, kubectl, uninstalled_mesh):
    """Gives all that the control plane has asked for while it did everything it does."""
    mesh, ns = uninstalled_mesh, "rights"
    if mesh.is_installed():
        mesh.uninstall()
        # Until they have ended they ask, with no rights any more.
        kubectl("-n", NAMESPACE, "wait", "--for=delete", "pod", "--all", "--timeout=300s")
    since = len(audit_log(cluster))
    kubectl.apply(left_webhook())
    mesh.install("--set", RECONCILER)
    kubectl("delete", "mutatingwebhookconfiguration", "left")
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}})
    mesh.join(ns)
    kubectl.eventually("get", "-n", ns, "serviceaccount", "default")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    kubectl.apply(
        policy("IngressBackend", "b", ns, {
            "backends": [{"name": "nobody", "port": {"number": 80, "protocol": "http"}}],
            "sources": [{"kind": "IPRange", "name": "10.0.0.0/8"}]}),
        policy("UpstreamTrafficSetting", "u", ns, {"host": f"nobody.{ns}.svc.cluster.local"}),
        policy("Telemetry", "t", ns, {"accessLog": {"format": "%START_TIME%"}}))
    for kind, name in (("ingressbackend", "b"), ("upstreamtrafficsetting", "u"), ("telemetry", "t")):
        eventually(lambda kind=kind, name=name: kubectl.json("-n", ns, "get", kind, name).get(
            "status"))
    gateway_certificate(kubectl, ns)
    eventually(lambda: events(kubectl, ns, "b"))
    said_again(kubectl, ns, "b", lambda: any(
        r[:4] == ("osm-controller", "patch", "", "events") and r[4] == ns and r[-1] == 200
        for r in requests(cluster, since)))
    put_right(kubectl, "mutatingwebhookconfiguration", "osm-webhook-osm")
    put_right(kubectl, "validatingwebhookconfiguration", "osm-validator-mesh-osm")
    put_right(kubectl, "crd", "retries.policy.openservicemesh.io")
    # With its configuration goes the note of the roots that sidecars know: all get new certificates.
    kubectl("-n", NAMESPACE, "scale", "deployment/osm-injector", "--replicas=0")
    kubectl("-n", NAMESPACE, "wait", "--for=delete", "pod", "-l", "app=osm-injector",
            "--timeout=300s")
    kubectl("delete", "mutatingwebhookconfiguration", "osm-webhook-osm")
    kubectl("-n", NAMESPACE, "scale", "deployment/osm-injector", "--replicas=1")
    eventually(lambda: any(r[:4] == ("osm-injector", "patch", "", "secrets")
                           for r in requests(cluster, since)))
    yield lambda: list(requests(cluster, since))
    kubectl("delete", "namespace", ns, "--wait=false")
    if mesh.is_installed():
        mesh.uninstall()


def test_nothing_is_refused(asked):
    assert not [r for r in asked() if r[-1] == 403]


def in_vain(kubectl, asked, accounts):
    """(account, verb, group, resource) of what is allowed and wasn't asked for."""
    vain, found = set(), set()
    for grant in grants(rendered(kubectl, NAMESPACE, RECONCILER, release=RELEASE)):
        for one in one_by_one(grant):
            account, rule, _ = one
            found.add(account)
            what = (account, rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0])
            if account in accounts and what not in RARE and not any(allows(one, r) for r in asked):
                vain.add(what)
    assert found >= set(accounts)
    return vain


def test_nothing_is_allowed_in_vain(kubectl, asked):
    def seen():
        vain = in_vain(kubectl, asked(), SERVERS)
        assert not vain
        return True
    eventually(seen)


def test_the_hooks_need_what_they_may(kubectl, uninstalled_mesh, asked):
    uninstalled_mesh.uninstall()
    of_hooks = [r for r in asked() if r[0] in HOOKS]
    assert not [r for r in of_hooks if r[-1] == 403]
    assert not in_vain(kubectl, of_hooks, HOOKS)
