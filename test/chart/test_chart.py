"""What the chart makes: names, labels and ports that others depend on, and the security of its pods."""
import json
import re
import sys

import pytest
import yaml

from chart import (CHART, GUARD, HELM, TOP, VALUES, at, by_name, everything, helm, pod_specs,
                   render)

sys.path.append(str(CHART.parent))
import values_table  # noqa: E402

PROGRAMS = {"osm-controller": "osmController", "osm-injector": "injector",
            "osm-bootstrap": "osmBootstrap"}
SETS = {"default": [], "everything": everything(),
        "another mesh": [("osm.meshName", "north"), ("osm.osmNamespace", "north-system"),
                         ("osm.enforceSingleMesh", False)],
        "fewer": [("osm.networkPolicy.enable", False), ("osm.osmController.nodeSelector", {"a": "b"})]}


@pytest.fixture(scope="module", params=SETS)
def documents(request):
    return render(*SETS[request.param], more=("--api-versions", GUARD))


@pytest.fixture(scope="module")
def default():
    return by_name(render())


def test_lint_finds_nothing():
    for values in SETS.values():
        sets = [w for path, value in values for w in ("--set-json", f"{path}={json.dumps(value)}")]
        assert "0 chart(s) failed" in helm("lint", "--strict", CHART, *sets)


def test_versions_are_the_projects():
    project = re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text()).group(1)
    meta = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert meta["version"] == meta["appVersion"] == VALUES["osm"]["image"]["tag"] == project
    assert meta["kubeVersion"] == ">= 1.29.0-0"


def test_an_older_server_is_refused():
    with pytest.raises(Exception, match="1.28"):
        render(kube="1.28.9")


def test_objects_have_the_names_that_others_know(default):
    services = {name: [p["port"] for p in d["spec"]["ports"]]
                for (kind, name), d in default.items() if kind == "Service"}
    assert services == {"osm-controller": [15128, 9091], "osm-validator": [9093],
                        "osm-injector": [9090], "osm-bootstrap": [9091]}
    for name in PROGRAMS:
        assert ("Deployment", name) in default
    assert ("Job", "osm-preinstall") in default and ("Job", "osm-cleanup") in default
    mesh = json.loads(default["ConfigMap", "preset-mesh-config"]["data"]["preset-mesh-config.json"])
    assert mesh["traffic"]["enablePermissiveTrafficPolicyMode"] is True
    root = default["ConfigMap", "preset-mesh-root-certificate"]["data"]
    provider = json.loads(root["preset-mesh-root-certificate.json"])["provider"]
    assert provider == {"tresor": {"ca": {"secretRef": {"name": "osm-ca-bundle",
                                                        "namespace": "osm-system"}}}}


def test_services_reach_their_pods(documents):
    pods = dict(pod_specs(documents))
    for (kind, name), service in by_name(documents).items():
        if kind != "Service":
            continue
        chosen = [t for t in pods.values()
                  if service["spec"]["selector"].items() <= t["metadata"]["labels"].items()]
        assert len(chosen) == 1, name
        ports = {p["name"]: p["containerPort"]
                 for c in chosen[0]["spec"]["containers"] for p in c["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], name


def test_selectors_are_those_of_open_service_mesh(default):
    """A Deployment's selector can't change, so an upgrade in place needs the one that was there."""
    for name in PROGRAMS:
        assert default["Deployment", name]["spec"]["selector"] == {"matchLabels": {"app": name}}


def test_labels_say_whose_it_is(documents):
    for d in documents:
        labels = d["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "openservicemesh.io"
        assert labels["app.kubernetes.io/instance"] in ("osm", "north")
        assert labels["app.kubernetes.io/version"]


def test_labels_of_the_mesh(default):
    labels = default["Deployment", "osm-controller"]["metadata"]["labels"]
    assert labels["meshName"] == "osm" and labels["enforceSingleMesh"] == "true"
    other = by_name(render(*SETS["another mesh"]))["Deployment", "osm-controller"]["metadata"]
    assert other["labels"]["meshName"] == "north" and "enforceSingleMesh" not in other["labels"]
    assert other["namespace"] == "north-system"


def test_everything_is_in_its_namespace():
    everywhere = {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy",
                  "ValidatingAdmissionPolicyBinding"}
    for d in render(*SETS["another mesh"], *everything(), more=("--api-versions", GUARD)):
        if d["kind"] in everywhere:
            assert "namespace" not in d["metadata"]
        else:
            assert d["metadata"]["namespace"] == "north-system", d
        for subject in d.get("subjects", []):
            assert subject["namespace"] == "north-system"


def test_pods_are_restricted(documents):
    """Pod security "restricted", and beyond it a read-only file system."""
    for name, template in pod_specs(documents):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"] + spec.get("initContainers", []):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True
            assert "privileged" not in security and "runAsUser" not in security
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "secret", "projected"}


def test_tokens_only_where_the_api_is_called(documents):
    accounts = {d["metadata"]["name"]: d for d in documents if d["kind"] == "ServiceAccount"}
    bound = {s["name"] for d in documents for s in d.get("subjects", [])}
    for name, account in accounts.items():
        assert account["automountServiceAccountToken"] is False
    for name, template in pod_specs(documents):
        spec = template["spec"]
        assert spec["serviceAccountName"] in accounts
        assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] in bound), name


def test_the_control_plane_says_how_it_is(default):
    paths = {"osm-controller": ("/health/ready", "/health/alive"),
             "osm-injector": ("/healthz", "/health/alive"),
             "osm-bootstrap": ("/healthz", "/healthz")}
    for name, (ready, alive) in paths.items():
        container, = default["Deployment", name]["spec"]["template"]["spec"]["containers"]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        for probe, path in (("readinessProbe", ready), ("livenessProbe", alive),
                            ("startupProbe", alive)):
            get = container[probe]["httpGet"]
            assert get["path"] == path and ports[get["port"]] == 9091
        annotations = default["Deployment", name]["spec"]["template"]["metadata"]["annotations"]
        assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": "9091"}


def test_why_a_program_ended_is_in_its_status(default):
    """`kubectl describe` shows its last words."""
    for _, template in pod_specs(default.values()):
        for container in template["spec"]["containers"]:
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_hooks_go_once_they_succeeded(documents):
    hooks = [d for d in documents if "helm.sh/hook" in d["metadata"].get("annotations", {})]
    jobs = {d["metadata"]["name"]: d for d in hooks if d["kind"] == "Job"}
    assert set(jobs) == {"osm-preinstall", "osm-cleanup"}
    for d in hooks:
        notes = d["metadata"]["annotations"]
        name = "pre-install" if d["metadata"]["name"] == "osm-preinstall" else "post-delete"
        assert notes["helm.sh/hook"] == name
        assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        # A Job comes after the account and the rights that it uses.
        assert int(notes["helm.sh/hook-weight"]) < 0 or d["kind"] == "Job"


def test_images_by_tag_or_by_digest():
    digests = {name: "sha256:" + str(n) * 64 for n, name in
               enumerate(VALUES["osm"]["image"]["digest"])}
    for values, joint in ((("osm.image.tag", "1.2"), lambda name: ":1.2"),
                          (("osm.image.tag", ""), lambda name: "@" + digests[name])):
        found = set()
        rendered = render(values, ("osm.image.digest", digests), ("osm.image.registry", "here/x"))
        for _, template in pod_specs(rendered):
            for c in template["spec"]["containers"]:
                found |= {c["image"], *(e.get("value") for e in c.get("env", []))}
        for name, image in VALUES["osm"]["image"]["name"].items():
            assert f"here/x/{image}{joint(name)}" in found, name


def test_an_image_without_tag_and_digest_is_refused():
    with pytest.raises(Exception, match="expected a digest in osm.image.digest.osm"):
        render(("osm.image.tag", ""))


def test_replicas_scale_and_survive():
    documents = by_name(render(*everything()))
    for name in ("osm-controller", "osm-injector"):
        scaler = documents["HorizontalPodAutoscaler", f"{name}-hpa"]["spec"]
        assert scaler["scaleTargetRef"]["name"] == name
        assert "replicas" not in documents["Deployment", name]["spec"]
        budget = documents["PodDisruptionBudget", f"{name}-pdb"]["spec"]
        assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}
        rolling = documents["Deployment", name]["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_pods_that_end_are_waited_for_where_the_server_can():
    for kube, waits in (("1.29.4", False), ("1.30.0", True)):
        deployment = by_name(render(kube=kube))["Deployment", "osm-injector"]
        container, = deployment["spec"]["template"]["spec"]["containers"]
        assert ("lifecycle" in container) is waits


def test_placement():
    documents = by_name(render(*everything(), ("osm.injector.tolerations", [{"key": "mine"}])))
    spec = documents["Deployment", "osm-injector"]["spec"]["template"]["spec"]
    assert spec["tolerations"] == [{"key": "control", "operator": "Exists"}, {"key": "mine"}]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    needed, = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"]
    assert [e["values"] for e in needed["matchExpressions"]] == [["linux"], ["amd64", "arm64"]]
    assert spec["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"


def test_network_policies_open_what_is_served():
    documents = by_name(render())
    for name in PROGRAMS:
        container, = documents["Deployment", name]["spec"]["template"]["spec"]["containers"]
        policy = documents["NetworkPolicy", name]["spec"]
        assert policy["podSelector"] == {"matchLabels": {"app": name}}
        assert {p["port"] for p in policy["ingress"][0]["ports"]} == \
            {p["containerPort"] for p in container["ports"]}
    assert not [k for k in by_name(render(("osm.networkPolicy.enable", False)))
                if k[0] == "NetworkPolicy"]


def test_no_wildcard_is_granted(documents):
    for d in documents:
        for rule in d.get("rules", []) if d["kind"] in ("Role", "ClusterRole") else []:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], d


def resources(documents):
    """(group, plural, is it in a namespace) of each."""
    for d in documents:
        plural = re.sub("y$", "ie", d["kind"].lower()) + "s"
        yield d["apiVersion"].rpartition("/")[0], plural, "namespace" in d["metadata"]


def test_osm_asks_for_the_rights_that_an_install_takes():
    """Those of the chart's objects, of helm's own Secret, and of the namespace."""
    text = (TOP / "src/cli/access.c").read_text()
    names = dict(re.findall(r'#define ([A-Z]+) "(.+)"', text))
    rows = re.findall(r'\{"create", (\S+), "(\w*)", (true|false), (.+), (NULL|".*")\}', text)
    assert len(rows) == text.count('{"create"')
    known = {(names.get(group, group.strip('"')), plural, namespaced == "true"): value
             for group, plural, namespaced, _, value in rows}
    guarded = {plural for _, plural, _, served, _ in rows if served != "NULL"}
    always = set(resources(render(more=("--api-versions", GUARD))))
    everywhere = set(resources(render(*everything(), more=("--api-versions", GUARD))))
    helms = {("", "secrets", True), ("", "namespaces", False)}
    assert {k for k, value in known.items() if value == "NULL"} == always | helms
    assert set(known) == everywhere | helms
    assert guarded == {plural for _, plural, _ in always - set(resources(render()))}


def test_secrets_of_others_stay_theirs():
    """Cluster-wide Secrets may only be written, never read, and a policy says which."""
    documents = render(more=("--api-versions", GUARD))
    for d in documents:
        for rule in d.get("rules", []) if d["kind"] == "ClusterRole" else []:
            if "secrets" in rule["resources"]:
                assert not {"get", "list", "watch"} & set(rule["verbs"]), d["metadata"]["name"]
    guard = by_name(documents)["ValidatingAdmissionPolicy", "osm-secrets"]["spec"]
    assert guard["failurePolicy"] == "Fail"
    accounts = guard["matchConditions"][0]["expression"]
    writers = {s["name"] for d in documents if d["kind"] == "ClusterRoleBinding"
               for s in d["subjects"] if any(
                   "secrets" in rule["resources"]
                   for rule in by_name(documents)["ClusterRole", d["roleRef"]["name"]]["rules"])}
    assert writers
    for name in writers:
        assert f"system:serviceaccount:osm-system:{name}" in accounts


def test_readme_lists_all_values():
    text = (CHART / "README.md").read_text()
    assert text == values_table.readme(text), "run charts/values_table.py"
    documented = values_table.comments((CHART / "values.yaml").read_text())
    for path in documented:
        at(VALUES, path)


def test_dashboards_are_grafanas():
    for path in (CHART / "dashboards").glob("*.json"):
        board = json.loads(path.read_text())
        assert board["uid"] == path.stem and board["panels"]
    maps = by_name(render(("osm.deployGrafana", True)))["ConfigMap", "osm-grafana-dashboards"]
    assert set(maps["data"]) == {p.name for p in (CHART / "dashboards").glob("*.json")}


def test_chart_is_self_contained(tmp_path):
    """It installs from a package too, without this repository around it."""
    helm("package", CHART, "--destination", tmp_path)
    package, = tmp_path.glob("osm-*.tgz")
    assert helm("template", "osm", package) == helm("template", "osm", CHART)
    assert HELM
