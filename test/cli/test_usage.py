"""What osm says of itself, of a wrong command line, and where no cluster is."""
import json
import os
import pathlib
import re

import pytest

COMMANDS = ["", "install", "uninstall", "uninstall mesh", "mesh", "mesh list", "mesh upgrade",
            "namespace", "namespace add", "namespace remove", "namespace ignore", "namespace list",
            "metrics", "metrics enable", "metrics disable", "proxy", "proxy get", "proxy set",
            "proxy status", "policy", "policy check-pods", "policy check-conflicts", "check",
            "verify", "verify connectivity", "verify ingress", "verify control-plane", "support",
            "support bug-report", "support error-info", "dashboard", "env", "version", "completion",
            "man", "local", "local up"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(osm, command):
    done = osm(*command.split(), "--help")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"[A-Z].*[^.]", lines[0]), lines[0]
    assert lines[2].startswith(f"Usage: osm {command}".rstrip()), lines[2]
    assert "  -h, --help" in done.stdout
    assert max(map(len, lines)) <= 110, max(lines, key=len)


def test_a_help_page(osm):
    assert osm("namespace", "add", "--help").stdout == """\
Let namespaces join a mesh

Usage: osm namespace add NAMESPACE...

New pods of the namespaces get a sidecar. Pods that run get theirs when they are made
anew, for instance by: kubectl rollout restart deployment -n NAMESPACE

Flags:
      --mesh-name NAME             which mesh (osm)
      --disable-sidecar-injection  join without sidecars for new pods
  -h, --help                       this text

Flags of every command:
      --osm-namespace NAME  namespace of the control plane (osm-system, or the config file's)
      --kubeconfig FILE     which kubeconfig ($KUBECONFIG, then ~/.kube/config)
      --context NAME        which context of the kubeconfig
      --verbose             tell each request on stderr
"""


@pytest.mark.parametrize("line, said", [
    ("namespaec list", 'osm: there is no command "namespaec"'),
    ("namespace", "osm namespace: expected a command"),
    ("namespace add", "osm namespace add: expected NAMESPACE..."),
    ("namespace remove a b", 'osm namespace remove: didn\'t expect "b"'),
    ("namespace list --mesh", "osm namespace list: there is no flag --mesh"),
    ("namespace list -o xml",
     'osm namespace list: --output: expected table|json|yaml, found "xml"'),
    ("metrics enable", "osm metrics enable: --namespace LIST is needed"),
    ("metrics enable --namespace=", "osm metrics enable: --namespace LIST is needed"),
    ("metrics disable --namespace ,", "osm metrics disable: --namespace LIST is needed"),
    ("proxy get certs", "osm proxy get: expected QUERY POD"),
    ("proxy get certs p -p 0",
     'osm proxy get: --local-port: expected a whole number from 1 to 65535, found "0"'),
    ("install --timeout soon",
     'osm install: --timeout: expected a time such as 90s or 2m, found "soon"'),
    ("install --enforce-single-mesh=maybe",
     'osm install: --enforce-single-mesh: expected true or false, found "maybe"'),
    ("local up --osm-namespace x", "osm local up: there is no flag --osm-namespace"),
    ("verify connectivity", "osm verify connectivity: --from-pod [NAMESPACE/]POD is needed"),
])
def test_usage_errors(osm, line, said):
    done = osm(*line.split())
    assert done.returncode == 2 and done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first == said
    assert second.startswith("See: osm") and second.endswith("--help")


# --- as a plugin ---

def test_the_plugin_of_kubectl(osm, tmp_path):
    from conftest import OSM
    import subprocess
    plugin = tmp_path / "kubectl-osm"
    plugin.symlink_to(OSM)
    done = subprocess.run([plugin, "namespace", "add", "--help"], capture_output=True, text=True)
    assert "Usage: kubectl osm namespace add NAMESPACE..." in done.stdout
    completes = tmp_path / "kubectl_complete-osm"
    completes.symlink_to(OSM)
    done = subprocess.run([completes, "names"], capture_output=True, text=True)
    assert done.stdout == "namespace\tWhich namespaces belong to a mesh\n:4\n"


# --- manual ---

def test_manual_pages(osm, tmp_path):
    done = osm("man", "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {p.name for p in tmp_path.iterdir() if p.suffix == ".1"}
    assert {f"osm{'-' if c else ''}{c.replace(' ', '-')}.1" for c in COMMANDS} <= pages
    page = (tmp_path / "osm-namespace-add.1").read_text()
    assert page.startswith('.TH "osm\\-namespace\\-add" 1')
    assert osm("man", "namespace", "add").stdout == page
    done = osm("man", "nope")
    assert (done.returncode, done.stderr) == (1, 'osm: there is no command "nope"\n')


# --- error codes ---

def test_error_info(osm):
    lines = osm("support", "error-info").stdout.splitlines()
    assert re.match(r"ERROR CODE +DESCRIPTION$", lines[0]) and len(lines) == 101
    one = osm("support", "error-info", "E2007").stdout
    assert one == """\
ERROR CODE  DESCRIPTION
E2007       Several TrafficSplits have the same apex service; the first is used.

What to do: Keep one TrafficSplit for the service that the log names.
"""
    assert osm("support", "error-info", "2007").stdout == one
    rows = json.loads(osm("support", "error-info", "e2007", "-o", "json").stdout)
    assert [set(r) for r in rows] == [{"code", "description", "toDo"}]


@pytest.mark.parametrize("code, said", [
    ("abc", "error code 'abc' is not a valid error code format, should be of the form Exxxx, "
            "ex. E1000"),
    ("E", "error code 'E' is not a valid error code format, should be of the form Exxxx, ex. "
          "E1000"),
    ("E1", "error code 'E1' is not a valid error code recognized by OSM"),
])
def test_error_info_of_a_wrong_code(osm, code, said):
    done = osm("support", "error-info", code)
    assert (done.returncode, done.stderr) == (1, f"osm: {said}\n")


# --- osm's own config ---

def test_env(osm, tmp_path):
    assert osm("env").stdout == """\
---
install:
  kind: self-hosted
  distribution: ""
  namespace: osm-system
"""
    config = tmp_path / ".osm/config.yaml"
    config.parent.mkdir()
    config.write_text("install: {kind: managed, distribution: AKS, namespace: kube-system}\n")
    assert osm("env").stdout == """\
---
install:
  kind: managed
  distribution: AKS
  namespace: kube-system
"""
    assert osm("env", "-o", "yaml").stdout == osm("env").stdout
    assert json.loads(osm("env", "-o", "json").stdout) == {"install": {
        "kind": "managed", "distribution": "AKS", "namespace": "kube-system"}}
    assert "install" not in re.findall(r"^  (\S+)", osm("--help").stdout, re.M)
    for line in ("install", "mesh upgrade", "uninstall mesh", "dashboard"):
        done = osm(*line.split())
        assert done.returncode == 1 and "this mesh is managed by AKS" in done.stderr


@pytest.mark.parametrize("text, said", [
    ("install: {kind: other}", 'install.kind: expected self-hosted or managed, found "other"'),
    ("install: {namespace: 3}", "install.namespace: expected a text of at most 63 characters"),
    ("install: [", "line 1"),
    ("install: {namespace: ''}", "install.namespace: expected a name"),
])
def test_a_bad_config(osm, tmp_path, text, said):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    done = osm("namespace", "list", env={"OSM_CONFIG": str(file)})
    assert done.returncode == 1
    assert done.stderr.startswith(f"osm: {file}: ") and said in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


def test_a_config_that_is_named_must_be_there(osm, tmp_path):
    done = osm("env", env={"OSM_CONFIG": str(tmp_path / "none.yaml")})
    assert done.returncode == 1 and f"can't read {tmp_path}/none.yaml" in done.stderr


# --- no cluster ---

ON_CLUSTER = ["mesh list", "namespace list", "namespace add a", "metrics enable --namespace a",
              "proxy get certs a", "proxy status", "policy check-pods a b", "check", "version",
              "verify control-plane", "support bug-report",
              "verify connectivity --from-pod a/b --to-pod c/d --to-service d",
              "verify ingress --from-service a/b --to-pod c/d --to-service d --ingress-backend e "
              "--to-port 80"]


@pytest.mark.parametrize("line", ON_CLUSTER)
def test_no_kubeconfig(osm, line):
    done = osm(*line.split())
    assert done.returncode == 1
    assert done.stderr.startswith("osm: ") and done.stderr.count("\n") == 1, done.stderr
    assert "kubeconfig" in done.stderr.lower()


def kubeconfig(folder, server="https://127.0.0.1:1"):
    file = folder / "kubeconfig"
    file.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "x"}}]}))
    return file


@pytest.mark.parametrize("line", [x for x in ON_CLUSTER if x != "version"])
def test_no_cluster(osm, tmp_path, line):
    done = osm(*line.split(), "--kubeconfig", kubeconfig(tmp_path), env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 1 and done.stdout == ""
    assert [x.name for x in tmp_path.iterdir()] == ["kubeconfig"]
    assert done.stderr.startswith("osm: ") and done.stderr.count("\n") == 1, done.stderr
    assert "the API server at https://127.0.0.1:1 doesn't answer" in done.stderr


def test_a_wrong_context(osm, tmp_path):
    done = osm("mesh", "list", "--kubeconfig", kubeconfig(tmp_path), "--context", "there")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert '"there"' in done.stderr and "here" in done.stderr, done.stderr


def test_install_without_helm(osm, tmp_path):
    done = osm("install", "--kubeconfig", kubeconfig(tmp_path), env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == ("osm: this needs helm, which isn't in PATH; install it "
                           "(https://helm.sh/docs/intro/install) or set OSM_HELM to its path\n")
    done = osm("install", "--kubeconfig", kubeconfig(tmp_path), env={"OSM_HELM": "/nope"})
    assert done.stderr == 'osm: $OSM_HELM: expected a program, found "/nope"\n'


def test_names_are_checked_before_anything_is_asked(osm, tmp_path):
    config = ("--kubeconfig", kubeconfig(tmp_path))
    for line in (("namespace", "list", "A/b"), ("namespace", "list", "--osm-namespace", "../x"),
                 ("install", "--mesh-name", "no spaces")):
        done = osm(*line, *config)
        assert done.returncode == 1 and "expected a name of lower-case letters" in done.stderr


def test_what_cannot_be_written(osm):
    if not pathlib.Path("/dev/full").exists():
        pytest.fail("/dev/full is expected")
    with open("/dev/full", "w") as full:
        import subprocess
        from conftest import OSM
        done = subprocess.run([OSM, "env"], stdout=full, stderr=subprocess.PIPE, text=True,
                              env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]})
    assert done.returncode == 1
