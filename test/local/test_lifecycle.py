"""A mesh's life: started twice, killed in parts and whole, out of room, changed, taken away."""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

import conftest
import manifests as m

SECONDS = 90


def eventually(what, seconds=SECONDS):
    """Repeats `what` until it says that all is as wanted; what it saw last is in the message."""
    deadline = time.monotonic() + seconds
    while True:
        ok, seen = what()
        if ok:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


# --- what a mesh is made of ---

def apps():
    return [m.namespace("shop"), m.namespace("town"), *m.echo("shop", "server"),
            m.service("shop", "server", {"app": "server"}, m.echo_ports()),
            *m.client("town", "alice")]


def fill(mesh, permissive=True):
    m.write(mesh.dir / "apps.yaml", *apps())
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=permissive))


@pytest.fixture(scope="module")
def running(new_mesh):
    mesh = new_mesh("life")
    fill(mesh)
    mesh.up()
    yield mesh
    mesh.down()


@pytest.fixture
def mesh(running):
    """A mesh whose calls work; its policy is put right again after each test."""
    calls_work(running)
    yield running
    fill(running)


numbers = itertools.count()


@pytest.fixture
def own(new_mesh):
    """A mesh of the test's own."""
    mesh = new_mesh(f"own-{os.getpid()}-{next(numbers)}")
    fill(mesh)
    yield mesh
    mesh.osm("down", check=False)


def call(mesh, protocol="http"):
    """The outcome; one of a pod that is just being started again is a failed call."""
    try:
        return mesh.call("town/alice", protocol, "server.shop", m.ECHO_PORTS[protocol])
    except (AssertionError, json.JSONDecodeError) as e:
        return {"ok": False, "error": str(e)}


def calls_work(mesh, work=True):
    def look():
        seen = [call(mesh, p) for p in ("http", "grpc", "tcp")]
        return all(s["ok"] == work for s in seen), (seen, mesh.status_or_none())
    eventually(look)


def is_ready(mesh):
    status = mesh.status_or_none()
    return bool(status) and status["ready"], status


def pods(mesh):
    return {p["name"]: p["restarts"] for p in mesh.status()["pods"]}


def container(mesh, workload, name):
    return next(c for c in mesh.pod_of(workload)["containers"] if c["name"] == name)


# --- what a mesh leaves on the machine ---

def processes():
    """pid -> (parent, command line) of all that runs."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text()
            if stat.rsplit(")", 1)[1].split()[0] != "Z":
                parent = int(stat.rsplit(")", 1)[1].split()[1])
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = (parent, line)
    return found


def daemon_of(mesh):
    pid = int((mesh.state / mesh.name / "daemon.pid").read_text().split()[0])
    assert " local daemon " in processes()[pid][1]
    return pid


def descendants(pid):
    table = processes()
    below, todo = {}, [pid]
    while todo:
        at = todo.pop()
        for child, (parent, line) in table.items():
            if parent == at:
                below[child] = line
                todo.append(child)
    return below


def controller_of(mesh):
    found = [pid for pid, line in descendants(daemon_of(mesh)).items() if "osm-controller" in line]
    assert len(found) <= 1, found
    return found[0] if found else 0


def links(mesh):
    shown = subprocess.run(["ip", "-d", "link"], text=True, capture_output=True, check=True).stdout
    return [line for line in shown.splitlines() if f"alias osm-local {mesh.name} " in line]


def mentions(mesh):
    """Processes that were started for this mesh; pods' own don't name it."""
    return {pid: line for pid, (_, line) in processes().items()
            if str(mesh.state) in line and pid != os.getpid()}


def nothing_left(mesh, pids=()):
    def look():
        left = {pid: line for pid, (_, line) in processes().items() if pid in pids}
        left.update(mentions(mesh))
        return not left, left
    eventually(look)
    assert not links(mesh)
    assert not (mesh.state / mesh.name).exists(), list(mesh.state.rglob("*"))
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    assert f"{mesh.state}/{mesh.name}" not in mounts


def status_or_none(mesh):
    done = mesh.osm("status", "-o", "json", check=False)
    return json.loads(done.stdout) if done.stdout else None


conftest.Mesh.status_or_none = status_or_none


# --- up ---

def test_up_a_second_time_changes_nothing(mesh):
    before = pods(mesh)
    daemon, controller = daemon_of(mesh), controller_of(mesh)
    mesh.up()
    assert pods(mesh) == before
    mesh.osm("up", "--wait")  # with the folders and images of the last time
    assert pods(mesh) == before
    assert (daemon_of(mesh), controller_of(mesh)) == (daemon, controller)
    assert call(mesh)["ok"]


def test_up_with_another_port_for_a_running_mesh_is_refused(mesh):
    before = pods(mesh)
    done = mesh.osm("up", "--ads-port", mesh.port + 1000, check=False)
    assert done.returncode == 1
    assert "--ads-port" in done.stderr and "osm local down" in done.stderr, done.stderr
    assert pods(mesh) == before
    mesh.osm("up", "--wait")
    assert call(mesh)["ok"]


def test_up_can_add_and_take_away_a_folder(mesh):
    more = mesh.dir.parent / "more"
    more.mkdir()
    m.write(more / "bob.yaml", *m.client("town", "bob"))
    mesh.up(roots=[mesh.dir, more])
    assert mesh.pod_of("town/bob")["ready"]
    calls_work(mesh)
    mesh.up()
    eventually(lambda: (not any(p["workload"] == "Deployment/bob" for p in mesh.status()["pods"]),
                        mesh.status()))
    calls_work(mesh)


# --- parts that are killed ---

@pytest.mark.parametrize("workload,name", [("shop/server", "app"), ("shop/server", "envoy"),
                                           ("town/alice", "envoy")])
def test_a_killed_container_is_started_again(mesh, workload, name):
    before = container(mesh, workload, name)
    os.kill(before["pid"], signal.SIGKILL)

    def again():
        after = container(mesh, workload, name)
        return after["pid"] not in (0, before["pid"]), after
    after = eventually(again)
    assert after["restarts"] == before["restarts"] + 1
    calls_work(mesh)
    eventually(lambda: is_ready(mesh))


def test_a_killed_controller_is_started_again(mesh):
    before = pods(mesh)
    old = controller_of(mesh)
    os.kill(old, signal.SIGKILL)
    assert call(mesh)["ok"]  # sidecars go on with what they have
    eventually(lambda: (controller_of(mesh) not in (0, old), controller_of(mesh)))
    fill(mesh, permissive=False)
    calls_work(mesh, work=False)
    fill(mesh)
    calls_work(mesh)
    eventually(lambda: is_ready(mesh))
    assert pods(mesh) == before


def test_a_killed_pod_is_started_again(mesh):
    """The process that holds a pod's namespaces."""
    app = container(mesh, "shop/server", "app")["pid"]
    init = next(pid for pid in descendants(daemon_of(mesh)) if pid != app and
                os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{app}/ns/net") and
                in_pid_namespace(pid) == 1)
    os.kill(init, signal.SIGKILL)
    eventually(lambda: (container(mesh, "shop/server", "app")["pid"] not in (0, app),
                        mesh.status()))
    calls_work(mesh)
    eventually(lambda: is_ready(mesh))


def in_pid_namespace(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])


# --- the runtime killed ---

def test_a_killed_runtime(own):
    own.up()
    calls_work(own)
    daemon = daemon_of(own)
    below = descendants(daemon)
    os.kill(daemon, signal.SIGKILL)
    eventually(lambda: (own.osm("status", check=False).returncode == 1
                        and own.status_or_none() is None, processes().get(daemon)))
    done = own.osm("status", check=False)
    assert done.stderr == f'osm: mesh "{own.name}" doesn\'t run; start it with: osm local up -f DIR\n'
    own.osm("up", "--wait")  # the folders and images are remembered
    calls_work(own)
    still = {pid: line for pid, (_, line) in processes().items() if below.get(pid) == line}
    assert not still, still
    below = descendants(daemon_of(own))
    os.kill(daemon_of(own), signal.SIGKILL)
    own.down()
    nothing_left(own, below)


def test_down_leaves_nothing(own):
    own.up()
    daemon = daemon_of(own)
    pids = {daemon, *descendants(daemon)}
    assert len(links(own)) >= 3  # the bridge and the pods' ends
    own.down()
    nothing_left(own, pids)
    assert own.osm("down").stdout == f'mesh "{own.name}" doesn\'t run\n'


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.5, 1.5])
def test_an_interrupted_up_then_down_leaves_nothing(own, how, after):
    """Whatever the moment: no outcome depends on which one it is."""
    line = [conftest.OSM, "local", "up", "--name", own.name, "--state-dir", own.state, "--wait",
            "-f", own.dir, "--ads-port", str(own.port), "--image",
            f"test/echo={sys.executable} {conftest.HERE / 'echo.py'}", "--image",
            "test/sleep=/bin/sleep"]
    up = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    up.send_signal(how)
    up.wait(timeout=60)
    own.down()
    nothing_left(own)


def test_up_while_another_up_runs(own):
    """Two at once make one mesh."""
    line = [conftest.OSM, "local", "up", "--name", own.name, "--state-dir", own.state, "--wait",
            "-f", own.dir, "--ads-port", str(own.port), "--image",
            f"test/echo={sys.executable} {conftest.HERE / 'echo.py'}", "--image",
            "test/sleep=/bin/sleep"]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    for up in both:
        out, err = up.communicate(timeout=180)
        assert up.returncode == 0, (out, err)
    everyone = processes()
    daemons = [pid for pid, line in mentions(own).items() if " local daemon " in line
               and " local daemon " not in everyone[everyone[pid][0]][1]]
    assert daemons == [daemon_of(own)]
    assert len(pods(own)) == 2
    calls_work(own)


def test_two_meshes_side_by_side(mesh, own):
    """Same namespaces and names in both, other policy."""
    fill(own, permissive=False)
    before = pods(mesh)
    own.up()
    calls_work(mesh)
    calls_work(own, work=False)
    fill(own)
    calls_work(own)
    assert not set(pods(own)) & set(pods(mesh))
    fill(mesh, permissive=False)
    calls_work(mesh, work=False)
    calls_work(own)
    fill(mesh)
    calls_work(mesh)
    own.down()
    nothing_left(own)
    assert call(mesh)["ok"] and pods(mesh) == before
