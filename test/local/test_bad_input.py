"""Bad manifests and bad command lines: the user learns what is wrong and where, nothing that worked
before stops, and the rest of what was written counts."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import manifests as m
import mesh as local
from mesh import eventually

# --- manifests ---

ANY = m.route_group("shop", "any", [{"name": "all", "pathRegex": ".*", "methods": ["*"]}])
RULES = [{"kind": "HTTPRouteGroup", "name": "any", "matches": ["all"]},
         {"kind": "TCPRoute", "name": "any"}]


def target(name, destination, *sources, rules=RULES):
    return m.traffic_target("shop", name, destination, list(sources), rules)


@pytest.fixture(scope="module")
def running(new_mesh):
    """alice may call the server, mallory may not."""
    mesh = new_mesh("bad")
    m.write(mesh.dir / "apps.yaml", m.namespace("shop"), m.namespace("town"),
            *m.echo("shop", "server"), *m.client("town", "alice"), *m.client("town", "mallory"),
            m.service("shop", "server", {"app": "server"}, m.echo_ports()))
    m.write(mesh.dir / "policy.yaml", *policy())
    mesh.up()
    yield mesh
    mesh.down()


def policy():
    return [m.mesh_config(), ANY, m.tcp_route("shop", "any"),
            target("one", "server", "town/alice")]


@pytest.fixture
def mesh(running):
    """The mesh, put right again after each test."""
    eventually(lambda: works(running))
    yield running
    (running.dir / "bad.yaml").unlink(missing_ok=True)
    m.write(running.dir / "policy.yaml", *policy())
    eventually(lambda: (not running.status()["findings"], running.status()))


def outcomes(mesh):
    return [mesh.call(who, protocol, "server.shop", m.ECHO_PORTS[protocol])
            for who in ("town/alice", "town/mallory") for protocol in ("http", "grpc", "tcp")]


def works(mesh):
    seen = outcomes(mesh)
    return [s["ok"] for s in seen] == [True] * 3 + [False] * 3, seen


def stays_working(mesh):
    """No waiting: what worked never stopped, what was denied never opened."""
    ok, seen = works(mesh)
    assert ok, seen


def write(mesh, file, text):
    temporary = mesh.dir / f".{file}.new"
    temporary.write_text(text)
    temporary.rename(mesh.dir / file)


neighbours = 0


def neighbour():
    """A service of the server's under a name that nothing had before."""
    global neighbours
    neighbours += 1
    return m.service("shop", f"neighbour-{neighbours}", {"app": "server"}, m.echo_ports())


def line_of(text, word):
    lines = [n for n, line in enumerate(text.splitlines(), 1) if word in line]
    assert len(lines) == 1, (word, lines)
    return lines[0]


def finding(mesh, level, file, line, object, *words):
    """The one finding of that object; waits for it. One sentence, in one line."""
    def look():
        status = mesh.status()
        found = [f for f in status["findings"]
                 if f["file"] == str(mesh.dir / file) and (f["object"] or "") == object
                 and all(w in f["text"] for w in words)]
        return len(found) == 1, status["findings"]
    seen = [f for f in eventually(look) if all(w in f["text"] for w in words)]
    assert seen[0]["level"] == level, seen
    assert seen[0]["line"] == line, seen
    assert "\n" not in seen[0]["text"], seen
    shown = mesh.osm("status", check=False).stdout
    assert f"{mesh.dir / file}:{line}: " in shown and seen[0]["text"] in shown, shown
    return seen[0]


def neighbours_count(mesh, *services):
    for s in services:
        def attempt(name=s["metadata"]["name"]):
            seen = mesh.call("town/alice", "http", f"{name}.shop", 8001)
            return seen["ok"], seen
        assert eventually(attempt)["name"] == "server"


def bad(mesh, text, level, word, object, *words):
    """A file with something bad between two good services; `word` is in the line to be named."""
    before, after = neighbour(), neighbour()
    whole = m.text(before) + "---\n" + text.rstrip("\n") + "\n---\n" + m.text(after)
    write(mesh, "bad.yaml", whole)
    finding(mesh, level, "bad.yaml", line_of(whole, word), object, *words)
    stays_working(mesh)
    neighbours_count(mesh, before, after)
    stays_working(mesh)
    assert mesh.status()["controller"]["ready"]


def test_broken_yaml(mesh):
    bad(mesh, "apiVersion: v1\nkind: Service\nmetadata:\n  name: [broken\nspec: here\n", "error",
        "spec: here", "", 'expected "," or "]"')


def test_a_tab_as_indentation(mesh):
    bad(mesh, "apiVersion: v1\nkind: Service\nmetadata:\n\tname: tabbed\n", "error", "\t", "",
        "indent with spaces")


def test_an_unknown_kind(mesh):
    bad(mesh, "apiVersion: v1\nkind: Servce\nmetadata: {name: x, namespace: shop}\n", "error",
        "apiVersion: v1", "Servce shop/x", 'did you mean "Service"?')


def test_two_objects_of_one_name(mesh):
    """The first file counts: calls go on reaching the server."""
    text = ("apiVersion: v1\nkind: Service\nmetadata:\n  name: server\n  namespace: shop\n"
            "spec:\n  selector: {app: alice}\n  ports: [{port: 8001}]\n")
    bad(mesh, text, "error", "apiVersion: v1", "Service shop/server",
        f"is defined before, at {mesh.dir / 'apps.yaml'}:", "delete one of the two")


def test_a_traffic_target_to_a_missing_service_account(mesh):
    bad(mesh, one_line(target("lost", "ghost", "town/alice")), "warning", '"lost"',
        "TrafficTarget shop/lost", "spec.destination: there is no service account shop/ghost",
        "check its name")


def test_a_traffic_target_from_a_missing_service_account(mesh):
    bad(mesh, one_line(target("lost", "server", "town/ghost")), "warning", '"lost"',
        "TrafficTarget shop/lost", "spec.sources[0]: there is no service account town/ghost",
        "check its name")


def test_a_traffic_target_with_a_missing_route_group(mesh):
    rules = [{"kind": "HTTPRouteGroup", "name": "nowhere", "matches": ["all"]}]
    bad(mesh, one_line(target("lost", "server", "town/mallory", rules=rules)), "warning", '"lost"',
        "TrafficTarget shop/lost", "there is no HTTPRouteGroup shop/nowhere", "allows nothing")


def test_a_traffic_split_to_a_missing_service(mesh):
    split = m.traffic_split("shop", "half", "server", {"server": 1, "ghost": 1})
    bad(mesh, one_line(split), "warning", '"half"', "TrafficSplit shop/half",
        "spec.backends[1].service: there is no service shop/ghost", "go")


def test_a_traffic_split_of_a_missing_service(mesh):
    split = m.traffic_split("shop", "half", "ghost", {"server": 1})
    bad(mesh, one_line(split), "warning", '"half"', "TrafficSplit shop/half",
        "spec.service: there is no service shop/ghost", "create it")


def test_a_bad_regular_expression(mesh):
    text = ("apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\n"
            "metadata: {name: broken, namespace: shop}\nspec:\n  matches:\n  - name: x\n"
            "    pathRegex: /books/(\n")
    bad(mesh, text, "error", "pathRegex", "HTTPRouteGroup shop/broken",
        "spec.matches[0].pathRegex: expected a regular expression", "never closed")


def test_weights_that_sum_to_zero(mesh):
    text = ("apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\n"
            "metadata: {name: none, namespace: shop}\nspec:\n  service: server\n  backends:\n"
            "  - {service: server, weight: 0}\n")
    bad(mesh, text, "error", "backends:", "TrafficSplit shop/none",
        "spec.backends: expected at least one weight above 0")


def test_an_unknown_field_is_a_warning_and_the_object_counts(mesh):
    text = ("apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: shop}\nspec:\n"
            "  selector: {app: server}\n  sesionAffinity: None\n"
            "  ports: [{port: 8001, appProtocol: http}]\n")
    bad(mesh, text, "warning", "sesionAffinity", "Service shop/odd",
        "spec.sesionAffinity: there is no such field", "did you mean")
    neighbours_count(mesh, {"metadata": {"name": "odd"}})


def test_a_wrong_type(mesh):
    text = ("apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: shop}\nspec:\n"
            "  selector: {app: server}\n  ports:\n  - port: eighty\n")
    bad(mesh, text, "error", "eighty", "Service shop/odd",
        'spec.ports[0].port: expected a whole number from 1 to 65535, found "eighty"')


def test_a_document_that_is_no_object(mesh):
    bad(mesh, "- one\n- two\n", "error", "- one", "", "expected an object with apiVersion")


def test_an_edit_that_breaks_a_file_keeps_what_it_said(mesh):
    """The policy in force was in the very document that is now broken."""
    text = m.text(*policy())
    broken = text.replace('"kind": "TrafficTarget"', '"kind": "TrafficTarget')
    assert broken != text
    added = neighbour()
    write(mesh, "policy.yaml", broken + "---\n" + m.text(added))

    def look():
        findings = mesh.status()["findings"]
        return any(f["file"] == str(mesh.dir / "policy.yaml") and f["level"] == "error"
                   for f in findings), findings
    seen = eventually(look)
    assert seen[0]["line"] >= line_of(broken, "TrafficTarget"), seen
    stays_working(mesh)
    m.write(mesh.dir / "policy.yaml", *policy()[:-1])

    def closed():
        seen = mesh.call("town/alice", "http", "server.shop", 8001)
        return not seen["ok"], seen
    eventually(closed)
    m.write(mesh.dir / "policy.yaml", *policy())
    eventually(lambda: works(mesh))


def test_a_value_of_a_wrong_type_keeps_the_object_as_it_was(mesh):
    text = m.text(*policy())
    write(mesh, "policy.yaml", text.replace('"sources": [', '"sources": ["town/mallory",'))
    eventually(lambda: (any(f["object"] == "TrafficTarget shop/one"
                            for f in mesh.status()["findings"]), mesh.status()["findings"]))
    stays_working(mesh)


def one_line(o):
    """Such that an object's line is known."""
    return json.dumps(o)


# --- command lines ---

@pytest.fixture
def fresh(new_mesh):
    mesh = new_mesh("line")
    m.write(mesh.dir / "apps.yaml", m.namespace("town"), *m.client("town", "alice"))
    yield mesh
    mesh.osm("down", check=False)


def refused(done, code, *words):
    assert done.returncode == code, done
    assert all(w in done.stderr for w in words), done.stderr
    assert done.stderr.startswith("osm"), done.stderr


def left_nothing(mesh):
    assert not mesh.state.exists(), list(mesh.state.rglob("*"))


def test_up_without_a_folder(fresh):
    refused(fresh.osm("up", check=False), 1, "-f FOLDER")
    left_nothing(fresh)


def test_up_with_a_folder_that_is_not_there(fresh):
    gone = fresh.dir / "gone"
    refused(fresh.up(roots=[gone], check=False), 1, str(gone), "No such file or directory")
    left_nothing(fresh)


def reason_given(mesh, workload, *words):
    """Waits until status gives this reason; `up --wait` gives it too, and names the pod once."""
    def look():
        pods = mesh.status()["pods"]
        return any(all(w in p["reason"] for w in words) for p in pods), pods
    eventually(look)
    done = mesh.up("--timeout", "0", check=False)
    refused(done, 1, f"pod {workload}-", *words)
    assert done.stderr.count(f"pod {workload}-") == 1, done.stderr


def test_an_image_without_a_command(fresh):
    m.write(fresh.dir / "apps.yaml", m.namespace("town"), *m.client("town", "alice"),
            m.account("town", "bob"), m.deployment("town", "bob", "bob", "example/app:1"))
    fresh.up(wait=False)
    eventually(lambda: (any(p["ready"] for p in fresh.status()["pods"]), fresh.status()))
    reason_given(fresh, "town/bob", 'container "app": image "example/app:1" has no command here: '
                 "give one with --image example/app:1=/path/to/program")
    fresh.up("--image", "example/app=/bin/sleep infinity")
    assert fresh.pod_of("town/bob")["ready"]


def test_an_image_whose_program_is_not_there(fresh):
    m.write(fresh.dir / "apps.yaml", m.namespace("town"), m.account("town", "bob"),
            m.deployment("town", "bob", "bob", "example/app"))
    fresh.up("--image", "example/app=/no/such/program -v", wait=False)
    reason_given(fresh, "town/bob", "--image example/app: expected a program",
                 '"/no/such/program"')


def without_envoy():
    env = {k: v for k, v in os.environ.items() if k != "OSM_ENVOY"}
    env["PATH"] = "/usr/bin:/bin"
    assert not shutil.which("envoy", path=env["PATH"])
    return env


def test_no_envoy(fresh):
    done = fresh.osm("up", "-f", fresh.dir, check=False, env=without_envoy())
    refused(done, 1, "found no Envoy", "--envoy PATH", "OSM_ENVOY=PATH")
    left_nothing(fresh)


@pytest.mark.parametrize("path", ["/no/such/envoy", "/etc/passwd", "/tmp"])
def test_an_envoy_that_is_none(fresh, path):
    refused(fresh.up("--envoy", path, check=False), 1, f"--envoy {path}: expected the Envoy")
    left_nothing(fresh)
    done = fresh.osm("up", "-f", fresh.dir, check=False, env={**os.environ, "OSM_ENVOY": path})
    refused(done, 1, f"OSM_ENVOY {path}: expected the Envoy")
    left_nothing(fresh)


def test_no_root(fresh):
    """As nobody, who can't read the folders that the tests are in."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(local.OSM, folder)
        line = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program,
                "local", "up", "--name", "line", "-f", folder]
        done = subprocess.run(line, text=True, capture_output=True, timeout=60, cwd="/")
    refused(done, 1, "needs root; run it with sudo")


@contextlib.contextmanager
def taken(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", port))
        s.listen()
        yield


def test_a_port_that_is_taken(fresh):
    with taken(fresh.port):
        for wait in (False, True):
            done = fresh.up(wait=wait, check=False)
            refused(done, 1, "osm-controller", f"port {fresh.port} ", "Address already in use",
                    "choose another port with --ads-port")
        assert f"port {fresh.port} " in fresh.status()["controller"]["problem"]
    fresh.up()
    assert fresh.status()["ready"]


@pytest.mark.parametrize("text", ["example/app", "=/bin/sleep", "example/app=",
                                  'example/app=/bin/sleep "1'])
def test_a_bad_image(fresh, text):
    refused(fresh.up("--image", text, check=False), 1, "--image")
    left_nothing(fresh)


@pytest.mark.parametrize("text", ["soon", "-1", "", "1d", "99999999999999999999"])
def test_a_bad_timeout(fresh, text):
    done = fresh.up("--timeout", text, check=False)
    refused(done, 2, f'--timeout: expected a time such as 90s or 2m, found "{text}"')
    left_nothing(fresh)


@pytest.mark.parametrize("port", ["-1", "0", "65536"])
def test_a_bad_port(fresh, port):
    refused(fresh.up("--ads-port", port, check=False), 2,
            f'--ads-port: expected a whole number from 1 to 65535, found "{port}"')
    left_nothing(fresh)


def test_a_flag_that_does_not_exist(fresh):
    refused(fresh.up("--wiat", check=False), 2, "there is no flag --wiat", "--help")
    left_nothing(fresh)


def test_a_bad_name():
    line = [local.OSM, "local", "up", "--name", "../x", "-f", "/tmp"]
    done = subprocess.run(line, text=True, capture_output=True, timeout=60)
    refused(done, 1, '--name: expected', '"../x"')
    assert not pathlib.Path("/run/x").exists()
