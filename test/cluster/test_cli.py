"""What `osm` says of a mesh that runs: it must agree with what the pods see."""
import concurrent.futures
import json
import os
import pathlib
import tarfile

import pytest

import manifests as m
from kubectl import eventually
from mesh import NAMESPACE, OSM, Caller, route_group, traffic_target

LINE = "---------------------------------------------\n"


@pytest.fixture
def shop(kubectl, new_shop):
    """A shop that is called; the pod of httpbin."""
    new_shop("cli-client", "cli-shop").gets("http://httpbin.cli-shop/get", 200)
    return kubectl.items("-n", "cli-shop", "pods", "-l", "app=httpbin")[0]["metadata"]["name"]


def settled(mesh, *line):
    """The command's output once it succeeds: sidecars may still be told of the last change."""
    done = None

    def succeeds():
        nonlocal done
        done = mesh.osm(*line, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return True
    eventually(succeeds)
    return done.stdout


def fails(mesh, *line):
    """The command's result when it ended with 1, else None."""
    done = mesh.osm(*line, check=False)
    return done if done.returncode == 1 else None


# --- check ---

def test_check_finds_all_well(mesh, shop):
    out = settled(mesh, "check", "--osm-namespace", NAMESPACE)
    for line in ("osm-controller: 1 of 1 replicas are ready",
                 "root certificate: valid, and its key belongs to it",
                 "holds the lease and writes",
                 "osm-injector: certificate and CA bundle go together",
                 "osm-validator: certificate and CA bundle go together",
                 "would get its sidecar", "would be refused"):
        assert [x for x in out.splitlines() if x.startswith("  ok    ") and line in x], out
    assert "  fail  " not in out and out.endswith("\nAll is well\n")


def test_check_finds_what_is_broken(mesh, kubectl, shop):
    mesh.scale("osm-injector", 0)
    try:
        def found():
            done = mesh.osm("check", check=False)
            assert done.returncode == 1
            failed = [x for x in done.stdout.splitlines() if x.startswith("  fail  ")]
            assert any("osm-injector: 0 of 0 replicas are ready" in x for x in failed), done.stdout
            assert any("pods can't be made in namespace [" in x for x in failed), done.stdout
            assert done.stdout.endswith("\nNot all is well: see the lines that say fail\n")
            return True
        eventually(found)
    finally:
        mesh.scale("osm-injector", 1)


def test_check_finds_pods_without_sidecars(mesh, kubectl, new_namespace):
    ns = new_namespace("cli-late")
    kubectl.apply(m.client(), namespace=ns)
    kubectl.ready(ns, "pod/client")
    mesh.join(ns)
    warning = f"  warn  1 pods of namespace [{ns}] run without a sidecar\n"
    eventually(lambda: warning in mesh.osm("check", check=False).stdout)


# --- proxies ---

def test_proxy_status(mesh, kubectl, shop):
    out = settled(mesh, "proxy", "status", "-n", "cli-shop")
    head, row = out.splitlines()
    assert head.split() == ["POD", "IDENTITY", "STATE", "CONTROLLER", "WHY"]
    controllers = [p["metadata"]["name"] for p in
                   kubectl.items("-n", NAMESPACE, "pods", "-l", "app=osm-controller")]
    assert row.split()[:3] == [f"cli-shop/{shop}", "cli-shop/httpbin", "synced"]
    assert row.split()[3] in controllers
    rows = json.loads(settled(mesh, "proxy", "status", f"cli-shop/{shop}", "-o", "json"))
    assert [r["pod"] for r in rows] == [f"cli-shop/{shop}"] and rows[0]["state"] == "synced"
    pods = [r["pod"] for r in json.loads(settled(mesh, "proxy", "status", "-o", "json"))]
    assert pods == sorted(pods) and "cli-client/client" in pods


def test_sidecars_of_a_namespace_that_left_are_stale(mesh, shop):
    mesh.osm("namespace", "remove", "cli-shop")
    try:
        def told():
            done = mesh.osm("proxy", "status", "-o", "json", check=False)
            assert done.stdout.startswith("["), done.stderr
            rows = [r for r in json.loads(done.stdout) if r["identity"] == "cli-shop/httpbin"]
            assert [r["state"] for r in rows] == ["stale"], rows
            assert rows[0]["why"].startswith("no pod of the mesh has it, so it is told nothing new")
            return True
        eventually(told)
    finally:
        mesh.join("cli-shop")
    done = mesh.osm("proxy", "status", "nobody", check=False)
    assert done.returncode == 1 and "no such pod has a sidecar of mesh [osm]" in done.stderr


def test_envoys_pages(mesh, shop, tmp_path):
    dump = json.loads(mesh.osm("proxy", "get", "config_dump", shop, "-n", "cli-shop").stdout)
    assert dump["configs"]
    file = tmp_path / "certs.json"
    out = mesh.osm("proxy", "get", "certs", shop, "-n", "cli-shop", "-f", file)
    assert out.stdout == "" and json.loads(file.read_text())["certificates"]
    assert "upstream: debug" in mesh.osm("proxy", "set", "logging?upstream=debug", shop, "-n",
                                         "cli-shop").stdout
    assert "upstream: debug" in mesh.osm("proxy", "set", "logging", shop, "-n", "cli-shop").stdout
    done = mesh.osm("proxy", "get", "no-such-page", shop, "-n", "cli-shop", check=False)
    assert done.returncode == 1 and 'answered 404 to "no-such-page"' in done.stderr
    done = mesh.osm("proxy", "get", "certs", "nobody", "-n", "cli-shop", check=False)
    assert done.stderr == "osm: there is no pod [nobody] in namespace [cli-shop]\n"


def test_several_at_a_time(mesh, shop):
    """Each has a local port of its own, and none is left open."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        lines = [("proxy", "get", "ready", shop, "-n", "cli-shop")] * 4
        done = list(pool.map(lambda line: mesh.osm(*line, check=False), lines))
    assert [(d.returncode, d.stdout) for d in done] == [(0, "LIVE\n")] * 4
    eventually(lambda: [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                        if b"port-forward\0" in read(p) and shop.encode() in read(p)] == [])


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


# --- policy ---

def test_policy_says_what_happens(mesh, kubectl, shop):
    client = Caller(kubectl, "cli-client", "client")
    line = ("policy", "check-pods", "cli-client/client", f"cli-shop/{shop}")
    assert "Permissive mode enabled" in mesh.osm(*line).stdout
    with mesh.smi_mode():
        client.is_refused("http://httpbin.cli-shop/get")
        done = mesh.osm(*line, check=False)
        assert done.returncode == 1 and "is not allowed to communicate to pod" in done.stdout
        kubectl.apply(
            route_group("routes", "cli-shop", {"name": "get", "pathRegex": "/get",
                                               "methods": ["GET"]}),
            traffic_target("allow", "cli-shop", ("cli-client", "client"), "httpbin",
                           {"kind": "HTTPRouteGroup", "name": "routes", "matches": ["get"]}))
        client.gets("http://httpbin.cli-shop/get", 200)
        assert "    TrafficTarget cli-shop/allow\n      HTTP: GET /get\n" in mesh.osm(*line).stdout
        kubectl("-n", "cli-shop", "delete", "traffictarget/allow", "httproutegroup/routes")


def test_connectivity_step_by_step(mesh, kubectl, shop):
    line = ("verify", "connectivity", "--from-pod", "cli-client/client", "--to-pod",
            f"cli-shop/{shop}", "--to-service", "httpbin")
    assert settled(mesh, *line) == (
        f'{LINE}[+] Context: Verify if pod "cli-client/client" can access pod "cli-shop/{shop}" for '
        f'service "cli-shop/httpbin"\nStatus: Success\n\n{LINE}')
    with mesh.smi_mode():
        done = eventually(lambda: fails(mesh, *line))
        assert "Status: Failure" in done.stdout
        assert 'Verify if policy lets service account "cli-client/client" call "cli-shop/httpbin"' \
            in done.stdout
        assert "Reason: no TrafficTarget names both with a rule" in done.stdout
    done = mesh.osm(*line[:-1], "nobody", check=False)
    assert done.returncode == 1 and 'there is no service "cli-shop/nobody" in the mesh' in done.stdout
    done = mesh.osm(*line, "--app-protocol", "grpc", check=False)
    assert done.returncode == 1 and "has no port whose protocol is grpc" in done.stdout


def test_connectivity_to_the_outside(mesh, shop):
    line = ("verify", "connectivity", "--from-pod", "cli-client/client", "--to-ext-host",
            "example.com", "--to-ext-port", "80")
    assert "Status: Success" in settled(mesh, *line)
    mesh.configure({"traffic": {"enableEgress": False}})
    try:
        done = eventually(lambda: fails(mesh, *line))
        assert "Suggestion: set MeshConfig spec.traffic.enableEgress" in done.stdout
    finally:
        mesh.configure({"traffic": {"enableEgress": True}})


def test_control_plane_health(mesh):
    assert mesh.osm("verify", "control-plane-health").stdout == (
        f'{LINE}[+] Context: Verify the health of OSM control plane in namespace "{NAMESPACE}"\n'
        f"Status: Success\n\n{LINE}")


# --- the rest ---

def test_metrics_of_pods_that_run(mesh, kubectl, shop):
    mesh.osm("metrics", "enable", "--namespace", "cli-shop")
    annotations = kubectl.json("-n", "cli-shop", "get", "pod", shop)["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == "15010"
    mesh.osm("metrics", "disable", "--namespace", "cli-shop")
    annotations = kubectl.json("-n", "cli-shop", "get", "pod", shop)["metadata"]["annotations"]
    assert "prometheus.io/scrape" not in annotations


def test_meshes_and_versions(mesh, shop):
    meshes = json.loads(mesh.osm("mesh", "list", "-o", "json").stdout)
    assert [(x["name"], x["namespace"]) for x in meshes] == [("osm", NAMESPACE)]
    assert {"cli-client", "cli-shop"} <= set(meshes[0]["addedNamespaces"])
    assert "TrafficTarget:v1alpha3" in meshes[0]["smi"]
    version = json.loads(mesh.osm("version", "-o", "json").stdout)
    assert version["meshes"][0]["version"] == version["client"]["version"]


def test_as_a_plugin_of_kubectl(cluster, mesh, tmp_path):
    (tmp_path / "kubectl-osm").symlink_to(OSM.resolve())
    path = f"{tmp_path}:{cluster.environment()['PATH']}"
    done = cluster.net("kubectl", "osm", "mesh", "list", env={"PATH": path}, capture_output=True,
                       text=True)
    assert done.returncode == 0 and done.stdout.startswith("MESH NAME"), done.stderr


def test_a_bug_report_holds_no_secrets(mesh, kubectl, shop, tmp_path):
    settled(mesh, "check")
    file = tmp_path / "report.tar.gz"
    mesh.osm("support", "bug-report", "--app-pods", f"cli-shop/{shop}", "-o", file)
    with tarfile.open(file) as archive:
        texts = {x.name: archive.extractfile(x).read().decode() for x in archive if x.isfile()}
    folder = f"./apps/cli-shop/{shop}"
    for page in ("config_dump", "ready", "stats", "clusters", "listeners", "certs", "envoy.log",
                 "pod.yaml"):
        assert texts[f"{folder}/{page}"], page
    assert [n for n in texts if n.startswith("./control-plane/osm-controller-")]
    assert "All is well" in texts["./osm/check.txt"]
    assert not [n for n, t in texts.items() if "PRIVATE KEY" in t]
    assert os.stat(file).st_size > 10000


def test_an_install_that_fails_goes_whole(uninstalled_mesh, kubectl):
    """Images that aren't there: the sentence names the pod; undoing it needs no images."""
    mesh = uninstalled_mesh
    if mesh.is_installed():
        mesh.uninstall()
    done = mesh.osm("install", "--set", "osm.image.name.osmInjector=none", "--timeout", "60s",
                    check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "; pod osm-injector-" in done.stderr and "container osm-injector: " in done.stderr
    assert done.stderr.endswith("; undo it with: osm uninstall mesh --mesh-name osm "
                                "--osm-namespace osm-system\n")
    mesh.uninstall()
    kinds = "deployments,services,jobs,secrets,roles,rolebindings,meshconfigs,leases"
    eventually(lambda: kubectl("get", kinds, "-n", NAMESPACE, "-o", "name") == "")
    assert "osm-" not in kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
