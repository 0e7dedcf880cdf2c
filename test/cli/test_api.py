"""osm against a real API server."""
import json
import re
import tarfile
import time

import objects


def failed(done, said):
    assert done.returncode == 1, done
    assert done.stderr.startswith("osm: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr, done.stderr


def worked(done, out=None):
    assert (done.returncode, done.stderr) == (0, ""), done
    if out is not None:
        assert done.stdout == out
    return done.stdout


def metadata(on_api, kind, name, *more):
    return json.loads(on_api.kubectl("get", kind, name, *more, "-o", "json"))["metadata"]


# --- namespace ---

def test_a_namespace_joins_and_leaves(on_api):
    on_api.apply(objects.bookstore() + "---" + objects.namespace("shop"))
    worked(on_api("namespace", "add", "shop"),
           "Namespace [shop] successfully added to mesh [osm]\n")
    found = metadata(on_api, "namespace", "shop")
    assert found["labels"]["openservicemesh.io/monitored-by"] == "osm"
    assert found["annotations"]["openservicemesh.io/sidecar-injection"] == "enabled"
    assert worked(on_api("namespace", "list", "osm")).splitlines() == [
        "NAMESPACE  MESH  SIDECAR-INJECTION", "bookbuyer  osm   -", "bookstore  osm   -",
        "shop       osm   enabled"]
    worked(on_api("ns", "add", "shop", "--disable-sidecar-injection"))
    assert json.loads(worked(on_api("namespace", "list", "-o", "json")))[2] == {
        "namespace": "shop", "mesh": "osm", "sidecarInjection": "disabled"}
    worked(on_api("namespace", "ignore", "shop"), "Namespace [shop] successfully ignored\n")
    assert "shop       osm   disabled (ignored)" in worked(on_api("namespace", "list"))
    failed(on_api("namespace", "add", "shop"), "namespace [shop] is ignored")
    worked(on_api("namespace", "remove", "shop"),
           "Namespace [shop] successfully removed from mesh [osm]\n")
    found = metadata(on_api, "namespace", "shop")
    assert not [k for k in {**found["labels"], **found.get("annotations", {})}
                if k.startswith("openservicemesh")]
    worked(on_api("namespace", "remove", "shop"),
           "Namespace [shop] already does not belong to any mesh\n")


def test_namespaces_that_may_not_join(on_api):
    on_api.apply("---".join([objects.bookstore(), objects.namespace("shop"),
                             objects.namespace("other", "second")]))
    failed(on_api("namespace", "add", "osm-system"), "namespace [osm-system] already has "
           "[osm-controller] installed and cannot be added to mesh [osm]")
    failed(on_api("namespace", "add", "kube-system"), "namespace [kube-system] is the cluster's own: "
           "its pods get no sidecars, so it can't be added to a mesh")
    failed(on_api("namespace", "add", "other"), "namespace [other] belongs to mesh [second]; take it "
           "out first with: osm namespace remove other --mesh-name second")
    failed(on_api("namespace", "remove", "other"), "belongs to mesh [second], not to mesh [osm]")
    # Of several either all join or none.
    failed(on_api("namespace", "add", "shop", "nope"), 'there is no namespace "nope"')
    assert "labels" not in metadata(on_api, "namespace", "shop") or \
        "openservicemesh.io/monitored-by" not in metadata(on_api, "namespace", "shop")["labels"]


def test_joining_a_mesh_that_is_not_there_yet(on_api):
    on_api.apply(objects.namespace("shop"))
    done = on_api("namespace", "add", "shop", "--mesh-name", "late")
    assert done.returncode == 0
    assert done.stderr == "warning: there is no mesh [late] in this cluster yet\n"


def test_empty_lists(on_api):
    worked(on_api("namespace", "list"), "No namespaces in any mesh\n")
    worked(on_api("namespace", "list", "--mesh-name", "x"), "No namespaces in mesh [x]\n")
    worked(on_api("namespace", "list", "-o", "json"), "[]\n")
    worked(on_api("mesh", "list"), "No osm mesh control planes found\n")
    worked(on_api("mesh", "list", "-o", "yaml"), "[]\n")


# --- metrics ---

def test_metrics(on_api):
    on_api.apply(objects.bookstore())
    on_api.apply(objects.pod("bookstore", "plain", "bookstore"))
    worked(on_api("metrics", "enable", "--namespace", "bookstore,bookbuyer"),
           "Metrics successfully enabled in namespace [bookstore]\n"
           "Metrics successfully enabled in namespace [bookbuyer]\n")
    assert metadata(on_api, "pod", "store", "-n", "bookstore")["annotations"].items() >= {
        "prometheus.io/scrape": "true", "prometheus.io/port": "15010",
        "prometheus.io/path": "/stats/prometheus"}.items()
    plain = metadata(on_api, "pod", "plain", "-n", "bookstore")["annotations"]
    assert "prometheus.io/scrape" not in plain
    assert metadata(on_api, "namespace", "bookstore")["annotations"][
        "openservicemesh.io/metrics"] == "enabled"
    worked(on_api("metrics", "disable", "--namespace", "bookstore"))
    assert "prometheus.io/scrape" not in metadata(on_api, "pod", "store", "-n", "bookstore")[
        "annotations"]
    failed(on_api("metrics", "enable", "--namespace", "bookstore,default"),
           "namespace [default] belongs to no mesh")
    assert "openservicemesh.io/metrics" not in metadata(on_api, "namespace", "bookstore")[
        "annotations"]


def test_metrics_of_applications(on_api):
    """A running pod's own go aside and come back; who scrapes another port is left alone."""
    def annotations(name):
        return metadata(on_api, "pod", name, "-n", "bookstore").get("annotations", {})
    own = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "x": "y"}
    aside = {f"openservicemesh.io/app-prometheus-{key}": own[f"prometheus.io/{key}"]
             for key in ("scrape", "port")}
    sidecars = {"prometheus.io/scrape": "true", "prometheus.io/port": "15010",
                "prometheus.io/path": "/stats/prometheus"}
    on_api.apply(objects.bookstore())
    on_api.apply(objects.pod("bookstore", "measured", "bookstore", objects.BUYER, annotations=own))
    kept = annotations("measured").items() - own.items()
    for _ in range(2):
        worked(on_api("metrics", "enable", "--namespace", "bookstore"))
        assert dict(annotations("measured").items() - kept) == {"x": "y", **aside, **sidecars}
    for _ in range(2):
        worked(on_api("metrics", "disable", "--namespace", "bookstore"))
        assert dict(annotations("measured").items() - kept) == own
    assert not annotations("store").keys() & sidecars.keys()


# --- meshes ---

def test_meshes(on_api):
    on_api.apply(objects.bookstore() + "---" + objects.namespace("a-system") + "---" +
                 objects.controller("a-system", "second", version="v1.2.4"))
    assert worked(on_api("mesh", "list")) == """\
MESH NAME  MESH NAMESPACE  VERSION  ADDED NAMESPACES
second     a-system        v1.2.4   -
osm        osm-system      v0.1.0   bookbuyer,bookstore

MESH NAME  MESH NAMESPACE  SMI SUPPORTED
second     a-system        -
osm        osm-system      -
"""
    listed = json.loads(worked(on_api("mesh", "list", "-o", "json")))
    assert listed[1] == {"name": "osm", "namespace": "osm-system", "version": "v0.1.0",
                         "addedNamespaces": ["bookbuyer", "bookstore"], "smi": []}
    assert "MESH NAME  MESH NAMESPACE  VERSION" in worked(on_api("version"))
    failed(on_api("proxy", "status", "--mesh-name", "third"),
           'there is no mesh "third" in this cluster; there is: second, osm')
    failed(on_api("proxy", "status"), "there are 2 meshes; say which one with --mesh-name")
    failed(on_api("proxy", "status", "--mesh-name", "osm"),
           "there is no osm-controller pod in namespace osm-system")


# --- policy ---

def test_whether_a_pod_may_call_another(on_api):
    on_api.apply(objects.bookstore())
    done = on_api("policy", "check-pods", "bookbuyer/buyer", "bookstore/store")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "[+] SMI traffic policy mode enabled for mesh [osm] operated by osm-controller running in "
        "namespace [osm-system]",
        "[+] Pod 'bookbuyer/buyer' is not allowed to communicate to pod 'bookstore/store': no "
        "TrafficTarget names both service accounts with a rule"]
    on_api.apply(objects.POLICY)
    assert worked(on_api("policy", "check-pods", "bookbuyer/buyer", "bookstore/store")).splitlines(
    )[1:] == ["[+] Pod 'bookbuyer/buyer' is allowed to communicate to pod 'bookstore/store' by:",
              "    TrafficTarget bookstore/buyers",
              "      HTTP: GET,POST /buy.*, user-agent: curl.*",
              "      HTTP: any method, any path",
              "      TCP: 81,82"]
    assert on_api("policy", "check-pods", "bookstore/store", "bookbuyer/buyer").returncode == 1
    verdict = json.loads(worked(on_api("policy", "check-pods", "bookbuyer/buyer", "bookstore/store",
                                       "-o", "json")))
    assert verdict["allowed"] is True and verdict["permissive"] is False
    assert verdict["rules"][0]["tcpPorts"] == [81, 82]
    on_api.apply(objects.mesh_config(permissive=True))
    assert worked(on_api("policy", "check-pods", "bookstore/store", "bookbuyer/buyer")).splitlines(
    )[1] == "[+] Pod 'bookstore/store' is allowed to communicate to pod 'bookbuyer/buyer'"


def test_pods_that_have_no_part_in_it(on_api):
    on_api.apply(objects.bookstore() + "---" + objects.namespace("shop") + "---" +
                 objects.account("shop", "default") + "---" + objects.pod("shop", "web"))
    on_api.apply(objects.pod("bookstore", "plain", "bookstore"))
    for other, said in (("shop/web", "namespace [shop] belongs to no mesh"),
                        ("bookstore/plain", "pod [plain] in namespace [bookstore] has no sidecar"),
                        ("bookstore/none", "there is no pod [none] in namespace [bookstore]"),
                        ("x", "there is no pod [x] in namespace [default]"),
                        ("a/b/c", "expected a name of lower-case letters")):
        failed(on_api("policy", "check-pods", "bookbuyer/buyer", other), said)
    failed(on_api("proxy", "get", "certs", "web", "-n", "shop"),
           "pod [web] in namespace [shop] is not a part of a mesh: it has no sidecar")
    failed(on_api("proxy", "get", "certs", "bookbuyer/buyer"),
           "can't reach port 15000 of pod/buyer in namespace bookbuyer: ")


def test_ingress_backends_that_claim_the_same(on_api):
    on_api.apply(objects.bookstore())
    on_api.apply(objects.ingress_backend("one", "web", 80))
    on_api.apply(objects.ingress_backend("two", "web", 81))
    line = ("policy", "check-conflicts", "IngressBackend", "-n", "bookstore")
    worked(on_api(*line), "No conflicts among 2 IngressBackends in namespace [bookstore]\n")
    on_api.apply(objects.ingress_backend("three", "web", 80))
    done = on_api(*line)
    assert (done.returncode, done.stdout) == (1, """\
SERVICE  PORT  INGRESSBACKENDS
web      80    one,three
""")
    failed(on_api("policy", "check-conflicts", "Egress", "-n", "a"),
           'expected IngressBackend, found "Egress"')
    failed(on_api("policy", "check-conflicts", "IngressBackend", "-n", "a,b"),
           "--namespaces: expected one namespace, found 2")


# --- verify ---

def test_verify_says_what_is_missing(on_api):
    on_api.apply(objects.bookstore())
    done = on_api("verify", "connectivity", "--from-pod", "bookbuyer/buyer", "--to-pod",
                  "bookstore/store", "--to-service", "bookstore")
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.startswith("""\
---------------------------------------------
[+] Context: Verify if pod "bookbuyer/buyer" can access pod "bookstore/store" for service \
"bookstore/bookstore"
Status: Failure
""")
    assert 'Reason: pod "bookbuyer/buyer" has no container envoy\n' in done.stdout
    assert done.stdout.endswith("\n\n---------------------------------------------\n")
    failed(on_api("verify", "connectivity", "--from-pod", "a"), "expected --to-pod and --to-service")
    done = on_api("verify", "control-plane")
    assert done.returncode == 1
    assert '[++] Context: Verify osm-injector in namespace "osm-system"\nStatus: Failure\n' \
        "Reason: it has no pods\n" in done.stdout
    done = on_api("verify", "ingress", "--from-service", "gate/way", "--to-pod", "bookstore/store",
                  "--to-service", "bookstore", "--ingress-backend", "none", "--to-port", "80")
    assert done.returncode == 1
    assert 'there is no IngressBackend "none" in namespace "bookstore"' in done.stdout


def test_verify_egress(on_api):
    on_api.apply(objects.bookstore() + "---" + objects.mesh_config(permissive=True))
    on_api.kubectl("delete", "pod", "buyer", "-n", "bookbuyer", "--force", "--grace-period=0")
    on_api.apply(objects.pod("bookbuyer", "buyer", "bookbuyer", objects.BUYER, container="envoy"))
    on_api.runs("bookbuyer", "buyer")
    line = ("verify", "connectivity", "--from-pod", "bookbuyer/buyer", "--to-ext-host",
            "example.com", "--to-ext-port", "443")
    done = on_api(*line)
    assert done.returncode == 1 and "Reason: egress is off\n" in done.stdout, done
    assert "enableEgress\n" in done.stdout and "Egress policy" not in done.stdout
    on_api.apply("""
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: out, namespace: bookbuyer}
spec:
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
  hosts: [example.com]
  ports: [{number: 443, protocol: https}]
""")
    done = on_api(*line)
    assert done.returncode == 1
    assert 'Reason: egress is off; Egress "bookbuyer/out" names the host, but has no effect yet\n' \
        in done.stdout


# --- check ---

def test_check_before_an_install(on_api):
    out = worked(on_api("check", "--pre"))
    assert "  ok    API server https://10.88.0.1:6443 is 1." in out
    assert "  ok    you may make all that an install makes\n" in out
    assert out.endswith("\nAll is well\n") and "fail" not in out


def test_check_after_an_install(on_api):
    on_api.apply(objects.bookstore())
    on_api.apply(objects.mesh_config(permissive=True))
    on_api.apply(objects.lease("osm-controller-that-is-gone"))
    done = on_api("check")
    assert done.returncode == 1 and done.stderr == ""
    lines = [x.strip() for x in done.stdout.splitlines()]
    assert "Control plane of mesh [osm] in namespace [osm-system]" in lines
    for line in ("ok    version v0.1.0, as this osm",
                 "fail  osm-controller: 0 of 1 replicas are ready",
                 "fail  there is no Deployment osm-injector",
                 "fail  osm-controller-that-is-gone holds the lease osm-controller and is gone: "
                 "nobody writes statuses and owner references until another takes it",
                 "ok    MeshConfig osm-mesh-config: permissive mode",
                 "fail  osm-injector: there is no webhook configuration of mesh [osm] among the "
                 "mutatingwebhookconfigurations",
                 "warn  there is no Secret osm-ca-bundle: is the root another's (Vault, "
                 "cert-manager)?"):
        assert line in lines, done.stdout
    assert any(x.startswith("ok    all ") and x.endswith(" CRDs are there") for x in lines)
    rows = json.loads(on_api("check", "-o", "json").stdout)
    assert {r["level"] for r in rows} == {"ok", "warn", "fail"}
    assert all(r["text"] and r["section"] for r in rows)


def test_check_takes_the_names_that_the_chart_gave(on_api):
    on_api.apply(objects.namespace("osm-system"))
    on_api.apply(objects.controller("osm-system", "osm", args=["--ca-bundle-secret-name=own-root"]))
    for mesh, name in (("osm", "own-hooks"), ("north", "osm-webhook-osm")):
        on_api.apply(f"""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: openservicemesh.io, app.kubernetes.io/instance: {mesh}}}
webhooks: []
""")
    lines = [x.strip() for x in on_api("check").stdout.splitlines()]
    assert [x for x in lines if "own-root" in x] == [
        "warn  there is no Secret own-root: is the root another's (Vault, cert-manager)?"]
    assert [x for x in lines if "osm-injector: " in x] == [
        "fail  osm-injector: webhook configuration own-hooks has no CA bundle"]


def test_check_knows_who_is_to_have_a_sidecar(on_api):
    switch = "openservicemesh.io/sidecar-injection"
    on_api.apply(objects.bookstore())
    on_api.kubectl("annotate", "namespace", "bookstore", f"{switch}=Yes")
    on_api.apply("---".join([
        objects.pod("bookstore", "early", "bookstore"),
        objects.pod("bookstore", "asked", "bookstore", annotations={switch: "TRUE"}),
        objects.pod("bookstore", "without", "bookstore", annotations={switch: "no"}),
        objects.pod("bookstore", "never", "bookstore", annotations={switch: "False"}),
        objects.pod("bookstore", "windows", "bookstore", more="os: {name: windows},"),
        objects.pod("bookstore", "node", "bookstore", more="hostNetwork: true,"),
        objects.pod("bookbuyer", "asked", "bookbuyer", annotations={switch: "enabled"}),
        objects.pod("bookbuyer", "plain", "bookbuyer")]))
    on_api.runs("bookstore", "early", "asked", "without", "never", "windows", "node")
    on_api.runs("bookbuyer", "asked", "plain")
    done = on_api("check")
    assert re.findall(r"warn  (\d+ pods .*)", done.stdout) == [
        "1 pods of namespace [bookbuyer] run without a sidecar",
        "2 pods of namespace [bookstore] run without a sidecar"]


# --- rights ---

def test_without_rights(on_api, nobody):
    on_api.apply(objects.bookstore())
    for line in ("namespace list", "mesh list", "namespace add bookstore", "proxy get certs x"):
        done = on_api(*line.split(), *nobody)
        failed(done, '"nobody" cannot')
    failed(on_api("install", *nobody), '"nobody" cannot')
    done = on_api("check", "--pre", *nobody)
    assert done.returncode == 1
    assert "  fail  you may not create clusterroles.rbac.authorization.k8s.io\n" in done.stdout


def test_install_needs_rights(on_api, nobody):
    """Who may look but not make anything is told at once, and nothing is made."""
    on_api.apply(objects.nobody_may(("deployments, namespaces", "get, list")))
    deadline = time.monotonic() + 180
    while on_api("mesh", "list", *nobody).returncode != 0:  # the server learns of rights by a watch
        assert time.monotonic() < deadline
    done = on_api("install", "--osm-namespace", "fresh", *nobody)
    failed(done, 'an install needs more rights than context "test" has: it may not create '
           "namespaces; osm check --pre lists all")
    assert "fresh" not in on_api.kubectl("get", "namespaces", "-o", "name")
    assert "  fail  you may not create namespaces\n" in on_api(
        "check", "--pre", "--osm-namespace", "fresh", *nobody).stdout


def test_rights_that_an_install_needs(on_api, nobody):
    """Each that lacks is named; not those to make what is there or what the values leave off."""
    on_api.apply(objects.namespace("osm-system") + """---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nobody-views}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, list]}
- {apiGroups: [""], resources: [secrets, services, serviceaccounts, configmaps], verbs: [create]}
- {apiGroups: [apps, batch], resources: [deployments, jobs], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nobody-views}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nobody-views}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]
""")
    deadline = time.monotonic() + 180
    while "create jobs" in (out := on_api("check", "--pre", *nobody).stdout):
        assert time.monotonic() < deadline, out
    rbac, guard = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
    inside = " in namespace osm-system"
    assert re.findall("fail  you may not create (.*)", out) == [
        f"networkpolicies.networking.k8s.io{inside}", f"roles.{rbac}{inside}",
        f"rolebindings.{rbac}{inside}", f"clusterroles.{rbac}", f"clusterrolebindings.{rbac}",
        f"validatingadmissionpolicies.{guard}", f"validatingadmissionpolicybindings.{guard}"]
    assert re.findall("warn  you may not create (.*)", out) == [
        f"poddisruptionbudgets.policy{inside}, which an install with "
        "enablePodDisruptionBudget=true does",
        f"horizontalpodautoscalers.autoscaling{inside}, which an install with "
        "autoScale.enable=true does"]


def test_credentials_that_are_refused(on_api):
    file = on_api.api.root / "wrong.kubeconfig"
    config = json.loads(on_api.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": "wrong"}
    file.write_text(json.dumps(config))
    failed(on_api("mesh", "list", "--kubeconfig", file),
           "the API server at https://10.88.0.1:6443 doesn't accept the credentials of context "
           '"test"')


# --- more ---

def test_names_of_the_cluster_are_completed(on_api):
    on_api.apply(objects.bookstore())
    assert on_api("__complete", "--", "namespace", "add", "book").stdout.split() == [
        "bookbuyer", "bookstore"]
    assert on_api("__complete", "--", "proxy", "get", "certs", "bookstore/").stdout.split() == [
        "bookstore/store"]


def test_a_bug_report(on_api, tmp_path):
    on_api.apply(objects.bookstore())
    on_api.apply("""
apiVersion: v1
kind: Secret
metadata: {name: osm-ca-bundle, namespace: osm-system}
stringData: {ca.crt: SECRETWORD, private.key: SECRETWORD}
""")
    file = tmp_path / "report.tar.gz"
    out = worked(on_api("support", "bug-report", "--app-namespaces", "bookstore", "-o", file))
    assert f"[+] Bug report: {file} (" in out
    with tarfile.open(file) as archive:
        texts = {m.name: archive.extractfile(m).read().decode() for m in archive if m.isfile()}
    assert "Control plane of mesh [osm]" in texts["./osm/check.txt"]
    assert "name: store" in texts["./apps/bookstore/store/pod.yaml"]
    assert "can't reach port 15000" in texts["./apps/bookstore/store/envoy.missing"]
    assert "./policies/traffictargets.yaml" in texts
    assert not [n for n, t in texts.items() if "SECRETWORD" in t]
    missing = [n for n in texts if n.endswith(".missing")]
    assert f"({len(texts) - len(missing)} files, {len(missing)} that couldn't be had)" in out


def test_a_bug_report_counts_what_is_forbidden(on_api, nobody, tmp_path):
    """What kubectl wasn't given is missing, though kubectl prints an empty list for it."""
    on_api.apply(objects.bookstore())
    file = tmp_path / "report.tar.gz"
    out = worked(on_api("support", "bug-report", "-o", file, *nobody))
    with tarfile.open(file) as archive:
        names = [m.name for m in archive if m.isfile()]
    assert "./policies/traffictargets.yaml.missing" in names
    assert "./osm/mesh-list.txt.missing" in names
    assert "./control-plane/osm-controller.log.missing" in names
    missing = [n for n in names if n.endswith(".missing")]
    assert f"({len(names) - len(missing)} files, {len(missing)} that couldn't be had)" in out


def test_verbose_tells_requests(on_api):
    done = on_api("namespace", "list", "--verbose")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "context test, server https://10.88.0.1:6443"
    assert "LIST /api/v1/namespaces?labelSelector=" in done.stderr


def test_no_dashboard_without_grafana(on_api):
    failed(on_api("dashboard"), "there is no service osm-grafana in namespace [osm-system]")
