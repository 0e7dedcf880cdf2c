"""The chart's documents before a real API server: all are taken, its pods pass the pod security
standard that it promises, and its accounts can do no more than they should."""
import json
import subprocess

import pytest
import yaml

import programs
from cluster import TREE
from kubectl import eventually

CHART = TREE / "charts/osm"
HELM = programs.BIN / "helm"
GUARD = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
GUARD_MINOR = 30
GUARD_SAYS = "writes only Secrets of its sidecars"
ALL = ["osm.deployGrafana=true", "osm.deployPrometheus=true",
       "osm.osmController.autoScale.enable=true", "osm.injector.autoScale.enable=true",
       "osm.osmController.enablePodDisruptionBudget=true",
       "osm.injector.enablePodDisruptionBudget=true"]


def rendered(kubectl, namespace, *values, release=None):
    """The chart's documents as helm would make them for this server; the release has the namespace's name
    when none is said."""
    sets = [word for value in values for word in ("--set", value)]
    guard = ["--api-versions", GUARD] if kubectl.minor() >= GUARD_MINOR else []
    text = subprocess.run([HELM, "template", release or namespace, CHART, "-n", namespace,
                           "--kube-version", kubectl.server_version(), *guard, *sets], capture_output=True,
                          text=True, check=True).stdout
    return [d for d in yaml.safe_load_all(text) if d]


@pytest.fixture(scope="module")
def guarded(kubectl, accounts):
    """The accounts' namespace, where the chart's policy limits them."""
    kubectl.needs(GUARD_MINOR, "ValidatingAdmissionPolicy (v1)")
    return accounts


@pytest.mark.parametrize("values", [[], ALL], ids=["default", "everything"])
def test_the_server_takes_every_document(kubectl, new_namespace, values):
    ns = new_namespace("chart-taken")
    documents = rendered(kubectl, ns, *values)
    said = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-",
                   input="\n---\n".join(map(json.dumps, documents)))
    assert said.count("(server dry run)") == len(documents)


def test_pods_are_restricted(kubectl, new_namespace):
    """The API server's own judgement of "restricted"."""
    ns = new_namespace("chart-restricted",
                       labels={"pod-security.kubernetes.io/enforce": "restricted"})
    names = set()
    for d in rendered(kubectl, ns, *ALL):
        if d["kind"] not in ("Deployment", "Job"):
            continue
        spec = d["spec"]["template"]["spec"]
        del spec["serviceAccountName"]
        names.add(d["metadata"]["name"])
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
            "name": d["metadata"]["name"], "labels": d["spec"]["template"]["metadata"]["labels"]}}
        kubectl("-n", ns, "apply", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    assert {"osm-controller", "osm-injector", "osm-bootstrap", "osm-prometheus", "osm-grafana",
            f"{ns}-preinstall", f"{ns}-cleanup"} == names


@pytest.fixture(scope="module")
def accounts(kubectl):
    """The chart's accounts, roles and guard alone, in a namespace of their own."""
    ns = "chart-rights"
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
             "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    chosen = [d for d in rendered(kubectl, ns) if d["kind"] in kinds]
    for name in (ns, "chart-app"):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kubectl.apply(*chosen)
    yield ns
    kubectl("delete", "-f", "-", "--ignore-not-found", input="\n---\n".join(map(json.dumps, chosen)))
    kubectl("delete", "namespace", ns, "chart-app", "--wait=false")


def secret(name, **more):
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **more})


def as_account(kubectl, ns, account, *args, input=None):
    return kubectl.try_(f"--as=system:serviceaccount:{ns}:{account}", *args, input=input)


def test_only_secrets_of_sidecars_are_written(kubectl, guarded):
    def refused(name):
        r = as_account(kubectl, guarded, "osm-injector", "-n", "chart-app", "create",
                       "--dry-run=server", "-f", "-", input=secret(name))
        return r.returncode != 0 and GUARD_SAYS in r.stderr

    for name in ("mine", "envoy-bootstrap-configuration"):
        # A policy takes a moment until it is in force.
        eventually(lambda name=name: refused(name))
    r = as_account(kubectl, guarded, "osm-injector", "-n", "chart-app", "create", "-f", "-",
                   input=secret("envoy-bootstrap-config-1"))
    assert r.returncode == 0, r.stderr
    # Somebody else's Secret can't be changed, and so not be read from the answer either.
    kubectl("-n", "chart-app", "create", "-f", "-", input=secret("theirs"))
    r = as_account(kubectl, guarded, "osm-injector", "-n", "chart-app", "apply", "--server-side",
                   "--force-conflicts", "-f", "-", input=secret("theirs"))
    assert r.returncode != 0 and GUARD_SAYS in r.stderr
    # Others go on as they did.
    kubectl("-n", "chart-app", "label", "secret", "theirs", "a=b")


def test_no_token_of_an_account_is_made(kubectl, guarded):
    """Kubernetes puts the token of the account that it names into a Secret of that type: who may
    make one in any namespace, and read what a patch answers, would have everybody's rights."""
    kubectl("-n", "chart-app", "create", "serviceaccount", "somebody")
    token = {"type": "kubernetes.io/service-account-token", "metadata": {
        "name": "envoy-bootstrap-config-token",
        "annotations": {"kubernetes.io/service-account.name": "somebody"}}}

    def refused(*args):
        r = as_account(kubectl, guarded, "osm-injector", "-n", "chart-app", *args, "-f", "-",
                       input=secret("", **token))
        return r.returncode != 0 and GUARD_SAYS in r.stderr

    eventually(lambda: refused("create", "--dry-run=server"))
    kubectl("-n", "chart-app", "create", "-f", "-", input=secret("", **token))
    assert refused("apply", "--server-side", "--force-conflicts")


def test_only_secrets_of_sidecars_are_deleted(kubectl, guarded):
    """The injector deletes those of pods that were refused after all; nobody else's, whatever its
    name or its type."""
    def delete(name, *more):
        return as_account(kubectl, guarded, "osm-injector", "-n", "chart-app", "delete", "secret",
                          name, "--wait=false", *more)

    def refused(name, *more):
        r = delete(name, *more)
        return r.returncode != 0 and GUARD_SAYS in r.stderr

    mine = "envoy-bootstrap-config-2"
    theirs = {"database": "Opaque", "envoy-bootstrap-configuration": "Opaque",
              "envoy-bootstrap-config-3": "kubernetes.io/basic-auth"}
    for name, kind in {mine: "Opaque", **theirs}.items():
        kubectl("-n", "chart-app", "create", "-f", "-",
                input=secret(name, type=kind, stringData={"username": "a", "password": "b"}))
    for name in theirs:
        # A policy takes a moment until it is in force.
        eventually(lambda name=name: refused(name, "--dry-run=server"))
        assert refused(name)
    r = delete(mine)
    assert r.returncode == 0, r.stderr
    left = {s["metadata"]["name"] for s in kubectl.items("-n", "chart-app", "secrets")}
    assert mine not in left and set(theirs) <= left


def test_the_root_is_made_and_not_deleted(kubectl, guarded):
    root = secret("osm-ca-bundle")
    r = as_account(kubectl, guarded, "osm-injector", "-n", guarded, "create", "-f", "-", input=root)
    assert r.returncode == 0, r.stderr

    def refused():
        r = as_account(kubectl, guarded, "osm-injector", "-n", guarded, "delete", "--dry-run=server",
                       "secret", "osm-ca-bundle")
        return r.returncode != 0 and GUARD_SAYS in r.stderr
    eventually(refused)


def tls_secret(name, mesh=None):
    labels = {"openservicemesh.io/ingress-gateway": mesh} if mesh else {}
    return secret(name, type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""},
                  metadata={"name": name, "labels": labels})


def test_only_the_ingress_gateways_secret_is_written_beside(kubectl, guarded):
    """It is where MeshConfig says, so its label makes the difference: what hasn't it already, or has
    another mesh's, is somebody else's."""
    def write(document, *more, account="osm-controller"):
        return as_account(kubectl, guarded, account, "-n", "chart-app", "apply", "--server-side",
                          "--force-conflicts", "-f", "-", *more, input=document)

    def refused(r):
        return r.returncode != 0 and GUARD_SAYS in r.stderr

    mine = tls_secret("gateway", "osm")
    for document in (tls_secret("gateway"), tls_secret("gateway", "other")):
        # A policy takes a moment until it is in force.
        eventually(lambda d=document: refused(write(d, "--dry-run=server")))
    assert refused(write(mine, account="osm-injector"))
    for name, label in (("site", None), ("another", "other")):
        kubectl("-n", "chart-app", "create", "-f", "-", input=tls_secret(name, label))
        assert refused(write(tls_secret(name, "osm")))
        assert refused(as_account(kubectl, guarded, "osm-controller", "-n", "chart-app", "delete",
                                  "secret", name))
    assert write(mine).returncode == 0
    assert write(mine).returncode == 0
    done = as_account(kubectl, guarded, "osm-controller", "-n", "chart-app", "delete", "secret",
                      "gateway")
    assert done.returncode == 0, done.stderr


# They delete Secrets of sidecars and of the gateway, and the policy keeps them from others'.
DELETE = (("osm-injector", "delete"), ("osm-controller", "delete"))


@pytest.mark.parametrize("account, verb", [
    (account, verb) for account in ("osm-controller", "osm-injector", "osm-bootstrap")
    for verb in ("get", "list", "watch", "delete") if (account, verb) not in DELETE])
def test_secrets_of_others_are_not_read(kubectl, accounts, account, verb):
    r = as_account(kubectl, accounts, account, "auth", "can-i", verb, "secrets", "-n", "chart-app")
    assert r.stdout.strip() == "no", r.stderr
