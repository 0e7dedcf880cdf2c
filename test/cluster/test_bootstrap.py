"""osm-bootstrap and osm-preinstall against a real API server."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest
import yaml

import programs
from cluster import TREE
from kubectl import Kubectl, eventually, summary

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
NS = "osm-system"
PRESETS = {
    "preset-mesh-config": {"sidecar": {"logLevel": "info"}, "traffic": {"enableEgress": True}},
    "preset-mesh-root-certificate": {"role": "active", "provider": {"tresor": {"ca": {"secretRef": {
        "name": "osm-ca-bundle", "namespace": NS}}}}},
}


def config_map(name, spec):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS},
            "data": {f"{name}.json": spec if isinstance(spec, str) else json.dumps(spec)}}


def crd(name, group, kind, plural, versions, **spec):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}", **name},
            "spec": {"group": group, "scope": "Namespaced",
                     "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": v, "served": True, "storage": v == versions[0], "schema": {
                         "openAPIV3Schema": {"type": "object",
                                             "x-kubernetes-preserve-unknown-fields": True}}}
                                  for v in versions], **spec}}


def rights(kubectl):
    """The accounts and roles of the chart, with the reconciler."""
    text = subprocess.run([programs.BIN / "helm", "template", "osm", TREE / "charts/osm", "-n", NS,
                           "--set", "osm.enableReconciler=true"], capture_output=True, text=True,
                          check=True).stdout
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    kubectl.apply(*[d for d in yaml.safe_load_all(text) if d and d["kind"] in kinds])


@pytest.fixture(scope="module")
def kubectl(api):
    """Also lets the programs be what they are in a cluster: accounts with the chart's rights."""
    kubectl = Kubectl(api)
    kubectl("create", "namespace", NS)
    rights(kubectl)
    for account in ("osm-bootstrap", "osm-preinstall"):
        config = yaml.safe_load(api.kubeconfig.read_text())
        config["users"][0]["user"]["as"] = f"system:serviceaccount:{NS}:{account}"
        (api.root / f"{account}.kubeconfig").write_text(yaml.safe_dump(config))
    return kubectl


def stop(process):
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


class Bootstrap:
    """The program, running in the API server's network while the context lasts."""

    def __init__(self, api, *flags, pod="one", port=9091):
        self.api, self.port = api, port
        self.line = api.net_line(BUILD / "src/daemon/osm-bootstrap", f"--osm-namespace={NS}",
                                 f"--kubeconfig={api.root}/osm-bootstrap.kubeconfig",
                                 "--http-address=127.0.0.1", f"--http-port={port}", *flags)
        self.environment = api.environment({"BOOTSTRAP_POD_NAME": pod})

    def __enter__(self):
        self.process = subprocess.Popen(self.line, env=self.environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        eventually(lambda: self.process.poll() is not None or "Health OK" in self.page("healthz"))
        assert self.process.poll() is None, self.process.communicate()[0]
        return self

    def __exit__(self, *_):
        self.said = stop(self.process)

    def page(self, name):
        return self.api.net("curl", "-s", "-m", "5", f"http://127.0.0.1:{self.port}/{name}",
                            capture_output=True, text=True).stdout


def run(api, program, *flags):
    config = f"--kubeconfig={api.root}/{program}.kubeconfig"
    return api.net(BUILD / f"src/daemon/{program}", config, *flags, capture_output=True, text=True,
                   timeout=120)


def test_takes_over_what_an_earlier_version_installed(api, kubectl):
    kubectl.apply(
        crd({}, "config.openservicemesh.io", "MeshConfig", "meshconfigs", ["v1alpha1"],
            conversion={"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"], "clientConfig": {"service": {
                    "name": "osm-bootstrap", "namespace": NS, "port": 9443, "path": "/convert"}}}}),
        crd({}, "access.smi-spec.io", "TrafficTarget", "traffictargets", ["v1alpha2"]),
        crd({}, "multicluster.x-k8s.io", "ServiceExport", "serviceexports", ["v1beta1"]))
    kubectl.eventually("get", "meshconfigs,traffictargets,serviceexports", "-A")
    kubectl.apply({"apiVersion": "config.openservicemesh.io/v1alpha1", "kind": "MeshConfig",
                   "metadata": {"name": "osm-mesh-config", "namespace": NS},
                   "spec": {"sidecar": {"logLevel": "debug"}}})
    for name, spec in PRESETS.items():
        kubectl.apply(config_map(name, spec))
    with Bootstrap(api, "--osm-version=v9") as bootstrap:
        assert "osm_version_info" in bootstrap.page("metrics")
        assert "version" in bootstrap.page("version")
    found = {x["metadata"]["name"]: x for x in kubectl.items("crd")}
    assert len(found) == 14
    config = found["meshconfigs.config.openservicemesh.io"]
    assert config["spec"]["conversion"] == {"strategy": "None"}
    assert config["status"]["storedVersions"] == ["v1alpha2"]
    assert config["metadata"]["labels"]["openservicemesh.io/reconcile"] == "v9"
    # Another implementation's stays as it is.
    assert found["serviceexports.multicluster.x-k8s.io"]["spec"]["versions"][0]["name"] == "v1beta1"
    kept = kubectl.json("-n", NS, "get", "meshconfig", "osm-mesh-config")
    assert kept["spec"]["sidecar"]["logLevel"] == "debug"
    root = kubectl.json("-n", NS, "get", "mrc", "osm-mesh-root-certificate")
    assert root["spec"]["role"] == "active"


def test_makes_what_is_missing_and_nothing_else(api, kubectl):
    kubectl("-n", NS, "delete", "meshconfig", "osm-mesh-config")
    kubectl("-n", NS, "patch", "mrc", "osm-mesh-root-certificate", "--type=merge", "-p",
            '{"metadata": {"labels": {"touched": "yes"}}}')
    with Bootstrap(api):
        pass
    made = kubectl.json("-n", NS, "get", "meshconfig", "osm-mesh-config")
    assert made["metadata"]["labels"] == {"app.kubernetes.io/name": "openservicemesh.io",
                                          "app.kubernetes.io/instance": "osm"}
    assert made["spec"]["sidecar"]["logLevel"] == "info"
    assert made["spec"]["traffic"]["enableEgress"] is True
    assert kubectl.json("-n", NS, "get", "mrc", "osm-mesh-root-certificate")["metadata"]["labels"]
    kubectl("-n", NS, "patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p",
            '{"spec": {"sidecar": {"logLevel": "warn"}}}')
    with Bootstrap(api):
        pass
    assert kubectl.json("-n", NS, "get", "meshconfig", "osm-mesh-config")["spec"]["sidecar"][
        "logLevel"] == "warn"


def test_a_preset_that_is_wrong_is_named(api, kubectl):
    kubectl("-n", NS, "delete", "meshconfig", "osm-mesh-config")
    kubectl.apply(config_map("preset-mesh-config", {"sidecar": {"mode": "both"}}))
    done = run(api, "osm-bootstrap", f"--osm-namespace={NS}")
    assert done.returncode == 1
    assert (f'ConfigMap {NS}/preset-mesh-config: preset-mesh-config.json: spec.sidecar.mode: expected '
            '"auto", "native" or "container", found "both"') in done.stderr, summary(done)
    kubectl.apply(config_map("preset-mesh-config", "{"))
    done = run(api, "osm-bootstrap", f"--osm-namespace={NS}")
    assert done.returncode == 1 and "preset-mesh-config.json" in done.stderr, summary(done)
    kubectl("-n", NS, "delete", "configmap", "preset-mesh-config")
    done = run(api, "osm-bootstrap", f"--osm-namespace={NS}")
    assert done.returncode == 1 and "isn't there" in done.stderr, summary(done)
    kubectl.apply(config_map("preset-mesh-config", PRESETS["preset-mesh-config"]))


def spec_of(kubectl, name):
    return kubectl.json("get", "crd", name)["spec"]


def reconciled(bootstrap):
    found = re.search(r'^osm_reconciliation_total{kind="CustomResourceDefinition"} (\d+)',
                      bootstrap.page("metrics"), re.M)
    return int(found[1]) if found else 0


def test_puts_definitions_back(api, kubectl):
    name = "retries.policy.openservicemesh.io"
    with Bootstrap(api, "--enable-reconciler") as bootstrap:
        eventually(lambda: [x["spec"]["holderIdentity"]
                            for x in kubectl.items("-n", NS, "leases")] == ["one"])
        before = spec_of(kubectl, name)
        kubectl("patch", "crd", name, "--type=json", "-p", json.dumps([
            {"op": "replace", "path": "/spec/names/shortNames", "value": ["mine"]}]))
        eventually(lambda: spec_of(kubectl, name) == before)
        # What others add beside is theirs.
        kubectl("label", "crd", name, "mine=yes")
        kubectl("label", "crd", name, "app.kubernetes.io/name-")
        eventually(lambda: kubectl.json("get", "crd", name)["metadata"]["labels"].get(
            "app.kubernetes.io/name") == "openservicemesh.io")
        assert kubectl.json("get", "crd", name)["metadata"]["labels"]["mine"] == "yes"
        kubectl("delete", "crd", name, "--wait")
        eventually(lambda: spec_of(kubectl, name) == before)
        # The first may have been put right by the program's own beginning.
        eventually(lambda: reconciled(bootstrap) >= 2)
    assert "it is made again" in bootstrap.said


def test_leaves_definitions_alone_when_not_asked(api, kubectl):
    name = "retries.policy.openservicemesh.io"
    with Bootstrap(api) as bootstrap:
        kubectl("label", "crd", name, "app.kubernetes.io/name=other", "--overwrite")
        assert "osm_reconciliation_total{" not in bootstrap.page("metrics")
        labels = kubectl.json("get", "crd", name)["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "other"


def test_no_server(api):
    config = api.kubeconfig.read_text().replace(":6443", ":6444")
    (api.root / "nobody.kubeconfig").write_text(config)
    done = run(api, "osm-preinstall", f"--kubeconfig={api.root}/nobody.kubeconfig")
    assert done.returncode == 1 and ":6444" in done.stderr, summary(done)


# --- before an install ---

def controller(namespace, mesh, single):
    labels = {"app": "osm-controller", "meshName": mesh, "enforceSingleMesh": single}
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "osm-controller", "namespace": namespace, "labels": labels},
            "spec": {"selector": {"matchLabels": {"app": "osm-controller"}}, "template": {
                "metadata": {"labels": {"app": "osm-controller"}},
                "spec": {"containers": [{"name": "c", "image": "none"}]}}}}


def test_preinstall(api, kubectl):
    def check(*flags):
        return run(api, "osm-preinstall", *flags)

    done = check("--namespace=osm-system")
    assert done.returncode == 0 and "a mesh can be installed" in done.stderr, summary(done)
    kubectl("create", "namespace", "other")
    kubectl.apply(controller("other", "first", "false"))
    done = check("--namespace=osm-system")
    assert done.returncode == 1, summary(done)
    assert 'this mesh wants to be the only one (enforceSingleMesh), and there is mesh "first" in ' \
        "namespace other" in done.stderr
    assert check("--namespace=osm-system", "--enforce-single-mesh=false").returncode == 0
    kubectl("label", "-n", "other", "deployment", "osm-controller", "enforceSingleMesh=true",
            "--overwrite")
    done = check("--namespace=osm-system", "--enforce-single-mesh=false")
    assert done.returncode == 1, summary(done)
    assert 'mesh "first" in namespace other was installed with enforceSingleMesh' in done.stderr
    done = check("--namespace=other")
    assert done.returncode == 1 and "there is a control plane already" in done.stderr, summary(done)
    kubectl("-n", "other", "delete", "deployment", "osm-controller")
    text = (pathlib.Path(__file__).resolve().parents[1] / "data/webhooks/mutating.yaml").read_text()
    kubectl("create", "-f", "-", input=text.replace("namespace: osm-system", "namespace: gone")
            .replace("UEVNCg==", ""))
    done = check("--namespace=osm-system")
    assert done.returncode == 0 and "left by a mesh that is gone" in done.stderr, summary(done)


def test_usage(api):
    done = run(api, "osm-preinstall", "--namespaces=x")
    assert done.returncode == 2 and "namespace" in done.stderr, summary(done)
