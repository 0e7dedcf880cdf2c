"""A mesh's life: started twice, killed in parts and whole, out of room, changed, taken away."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

import manifests as m
import mesh as local
from mesh import eventually

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
    for applied in (running.state / running.name / "applied").iterdir():
        applied.unlink()
    fill(running)


@pytest.fixture
def own(new_mesh):
    """A mesh of the test's own."""
    mesh = new_mesh("own")
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
        return all(s["ok"] == work for s in seen), (seen, status_or_none(mesh))
    eventually(look)


def is_ready(mesh):
    status = status_or_none(mesh)
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


def is_daemon(mesh, line):
    """A child that hasn't become what it is to be has its parent's line."""
    return " local daemon " in line and str(mesh.state) in line


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
    init = next(pid for pid in descendants(daemon_of(mesh))
                if pid != app and is_first_beside(pid, app))
    os.kill(init, signal.SIGKILL)
    eventually(lambda: (container(mesh, "shop/server", "app")["pid"] not in (0, app),
                        mesh.status()))
    calls_work(mesh)
    eventually(lambda: is_ready(mesh))


def is_first_beside(pid, app):
    """Whether a process is the first of its pid namespace and in the network of another one. Some end
    while they are looked at."""
    with contextlib.suppress(OSError):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        return numbers[-1] == "1" and \
            os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{app}/ns/net")
    return False


# --- the runtime killed ---

def test_a_killed_runtime(own):
    own.up()
    calls_work(own)
    daemon = daemon_of(own)
    below = descendants(daemon)
    os.kill(daemon, signal.SIGKILL)
    eventually(lambda: (own.osm("status", check=False).returncode == 1
                        and status_or_none(own) is None, processes().get(daemon)))
    done = own.osm("status", check=False)
    assert done.stderr == (f'osm: mesh "{own.name}" doesn\'t run; '
                           "start it with: osm local up -f DIR\n")
    own.osm("up", "--wait")  # the folders and images are remembered
    calls_work(own)
    eventually(lambda: (not (still := {pid: line for pid, (_, line) in processes().items()
                                       if below.get(pid) == line}), still))
    below = descendants(daemon_of(own))
    os.kill(daemon_of(own), signal.SIGKILL)
    own.down()
    nothing_left(own, below)


def test_a_program_in_a_folder_of_roots_only(own, tmp_path):
    """As in a checkout in /root: the sidecar's user may not enter it, and runs what is in it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copy("/bin/sleep", private / "sleep")
    m.write(own.dir / "apps.yaml", m.namespace("town"),
            *m.client("town", "alice", securityContext={"runAsUser": 1500}))
    own.up("--image", f"test/sleep={private}/sleep")
    pod = own.pod_of("town/alice")
    assert (pod["ready"], pod["restarts"]) == (True, 0), pod


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
    line = [local.OSM, "local", "up", "--name", own.name, "--state-dir", own.state, "--wait",
            "-f", own.dir, "--ads-port", str(own.port), "--image",
            f"test/echo={sys.executable} {local.HERE / 'echo.py'}", "--image",
            "test/sleep=/bin/sleep"]
    up = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    up.send_signal(how)
    up.wait(timeout=local.TIMEOUT)
    own.down()
    nothing_left(own)


def test_up_while_another_up_runs(own):
    """Two at once make one mesh."""
    line = [local.OSM, "local", "up", "--name", own.name, "--state-dir", own.state, "--wait",
            "-f", own.dir, "--ads-port", str(own.port), "--image",
            f"test/echo={sys.executable} {local.HERE / 'echo.py'}", "--image",
            "test/sleep=/bin/sleep"]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    for up in both:
        out, err = up.communicate(timeout=local.TIMEOUT)
        assert up.returncode == 0, (out, err)
    everyone = processes()
    daemons = [pid for pid, (parent, line) in everyone.items() if is_daemon(own, line)
               and not is_daemon(own, everyone.get(parent, (0, ""))[1])]
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


# --- apply, delete ---

def apply(mesh, *objects, verb="apply", check=True):
    return mesh.osm(verb, "-f", "-", input=m.text(*objects), check=check)


def test_apply_and_delete_take_effect(mesh):
    """What is applied goes before the folder's; what is deleted is gone though its file stays."""
    strict = m.mesh_config(permissive=False)
    done = apply(mesh, strict)
    assert done.stdout == "MeshConfig osm-system/osm-mesh-config: applied\n"
    calls_work(mesh, work=False)
    apply(mesh, m.mesh_config(permissive=True))
    calls_work(mesh)
    server = m.service("shop", "server", {"app": "server"}, m.echo_ports())
    done = apply(mesh, server, verb="delete")
    assert done.stdout == "Service shop/server: deleted\n"
    calls_work(mesh, work=False)
    apply(mesh, server)
    calls_work(mesh)


def test_an_applied_deployment_runs_and_a_deleted_one_ends(mesh):
    bob = m.client("town", "bob")
    apply(mesh, *bob)
    eventually(lambda: (workload_ready(mesh, "Deployment/bob", 1), mesh.status()))
    apply(mesh, *bob, verb="delete")
    eventually(lambda: (not pods_of(mesh, "Deployment/bob"), mesh.status()))
    calls_work(mesh)


@pytest.mark.parametrize("text,words", [
    ("kind: [", ["standard input:", "nothing was changed: 1 error"]),
    ("apiVersion: v1\nkind: Servce\nmetadata: {name: x, namespace: shop}\n",
     ["Servce shop/x", 'did you mean "Service"?', "nothing was changed"]),
    ("", ["expected objects, found none"])])
@pytest.mark.parametrize("verb", ["apply", "delete"])
def test_apply_of_something_bad_changes_nothing(mesh, text, words, verb):
    """Also not the good object before it."""
    good = m.text(m.mesh_config(permissive=False)) + "---\n" if text else ""
    before = files_below(mesh, "applied")
    done = mesh.osm(verb, "-f", "-", input=good + text, check=False)
    assert done.returncode == 1 and done.stdout == "", done
    assert all(w in done.stderr for w in words), done.stderr
    assert files_below(mesh, "applied") == before
    calls_work(mesh)


def files_below(mesh, folder):
    return {p.name: p.read_text() for p in (mesh.state / mesh.name / folder).iterdir()}


def test_apply_of_no_file_or_a_folder(mesh):
    for path, word in ((mesh.dir / "gone.yaml", "No such file"), (mesh.dir, "found a folder")):
        done = mesh.osm("apply", "-f", path, check=False)
        assert done.returncode == 1 and str(path) in done.stderr and word in done.stderr, done
    assert "-f FILE" in mesh.osm("apply", check=False).stderr


# --- logs, exec, proxy get ---

def test_exec_gives_output_and_exit_code(mesh):
    done = mesh.osm("exec", "town/alice", "--", "/bin/sh", "-c", "cat; echo no >&2; exit 7",
                    input="yes", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "yes", "no\n")
    killed = mesh.osm("exec", "alice", "--", "/bin/sh", "-c", "kill -9 $$", check=False)
    assert killed.returncode == 128 + 9
    gone = mesh.osm("exec", "alice", "--", "/no/such/program", check=False)
    assert gone.returncode in (1, 126, 127) and "/no/such/program" in gone.stderr, gone
    name = mesh.pod_of("town/alice")["name"]
    assert mesh.execute(name, "/bin/hostname").stdout == f"{name}\n"


def test_logs_are_those_of_the_container(mesh):
    app = container(mesh, "shop/server", "app")["pid"]
    out = f"/proc/{app}/fd/1"
    word = f"written by {app}"
    with open(out, "w") as f:
        f.write(f"first\n{word}\n")
    eventually(lambda: (mesh.logs("shop/server").endswith(f"first\n{word}\n"),
                        mesh.logs("shop/server")))
    assert mesh.osm("logs", "server", "--tail", "1").stdout == f"{word}\n"
    assert word not in mesh.logs("server", "envoy")
    done = mesh.osm("logs", "server", "-c", "nobody", check=False)
    assert done.returncode == 1 and 'has no container "nobody"' in done.stderr, done


@pytest.mark.parametrize("line", [["logs", "POD"], ["exec", "POD", "--", "/bin/true"],
                                  ["proxy", "get", "stats", "POD"]])
def test_an_unknown_pod(mesh, line):
    for pod in ("ghost", "shop/ghost", "ghosts/server"):
        words = [pod if w == "POD" else w for w in line]
        whole = [local.OSM, "local", *words[:1 + (words[0] == "proxy")], "--name", mesh.name,
                 "--state-dir", mesh.state, *words[1 + (words[0] == "proxy"):]]
        done = subprocess.run(whole, text=True, capture_output=True, timeout=60)
        assert done.returncode == 1 and done.stdout == "", done
        assert done.stderr == (f'osm: there is no pod or workload "{pod}"; see: '
                               "osm local status\n")


def test_proxy_get(mesh):
    for pod in ("alice", "town/alice", mesh.pod_of("town/alice")["name"]):
        assert mesh.proxy_get(pod, "ready") == "LIVE\n"
    assert json.loads(mesh.proxy_get("alice", "server_info"))["state"] == "LIVE"
    line = [local.OSM, "local", "proxy", "get", "--name", mesh.name, "--state-dir", mesh.state,
            "no/such/page", "alice"]
    done = subprocess.run(line, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1 and "invalid path" in done.stderr, done


# --- kinds of workloads ---

def pods_of(mesh, workload):
    return [p for p in mesh.status()["pods"] if p["workload"] == workload]


def workload_ready(mesh, workload, n):
    found = pods_of(mesh, workload)
    return len(found) == n and all(p["ready"] for p in found)


def pod_template(name, command, **spec):
    return {"metadata": {"labels": {"app": name}},
            "spec": {"serviceAccountName": name, **spec,
                     "containers": [{"name": "app", "image": "test/none", "command": command}]}}


@contextlib.contextmanager
def added(mesh, name, *objects):
    """Objects in a file of their own, which leaves at the end with all that it made."""
    file = mesh.dir / f"{name}.yaml"
    m.write(file, m.account("town", name), *objects)
    yield file
    file.unlink()
    eventually(lambda: (not any(p["name"].startswith(name) for p in mesh.status()["pods"]),
                        mesh.status()))


def job(name, command, **spec):
    return {"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": "town"},
            "spec": {"template": pod_template(name, command, restartPolicy="Never"), **spec}}


def test_a_job_runs_to_its_end(mesh):
    """Through its sidecar, which ends with it."""
    call_once = [sys.executable, str(local.HERE / "call.py"), "http", "server.shop", "8001"]
    with added(mesh, "clean", job("clean", call_once)):
        def over():
            found = pods_of(mesh, "Job/clean")
            return [p["phase"] for p in found] == ["Succeeded"], mesh.status()
        eventually(over)
        assert '"ok": true' in mesh.logs("clean")
        eventually(lambda: is_ready(mesh))  # a job that is done holds up nothing


def test_a_job_that_fails_is_tried_again_and_given_up(mesh):
    with added(mesh, "fail", job("fail", ["/bin/false"], backoffLimit=1)):
        def over():
            return [p["phase"] for p in pods_of(mesh, "Job/fail")] == ["Failed"] * 2, mesh.status()
        eventually(over)
        assert not mesh.status()["ready"]
        calls_work(mesh)


def test_a_stateful_set_has_names_and_addresses(mesh):
    service = m.service("town", "kept", {"app": "kept"},
                        [{"name": "web", "port": 8001, "appProtocol": "http"}], clusterIP="None")
    echo = [sys.executable, str(local.HERE / "echo.py"), "--name", "kept", "--http", "8001"]
    kept = {"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "kept", "namespace": "town"},
            "spec": {"serviceName": "kept", "replicas": 2,
                     "selector": {"matchLabels": {"app": "kept"}},
                     "template": pod_template("kept", echo)}}
    with added(mesh, "kept", service, kept) as file:
        eventually(lambda: (workload_ready(mesh, "StatefulSet/kept", 2), mesh.status()))
        assert sorted(p["name"] for p in pods_of(mesh, "StatefulSet/kept")) == ["kept-0", "kept-1"]

        def reached(host):
            seen = mesh.call("town/alice", "http", host, 8001)
            return seen["ok"] and seen["name"] == "kept", seen
        for host in ("kept-0.kept.town", "kept-1.kept.town", "kept.town"):
            eventually(lambda h=host: reached(h))
        kept["spec"]["replicas"] = 1
        m.write(file, m.account("town", "kept"), service, kept)
        eventually(lambda: ([p["name"] for p in pods_of(mesh, "StatefulSet/kept")] == ["kept-0"],
                            mesh.status()))


def test_a_bare_pod(mesh):
    bare = pod_template("bare", ["/bin/sleep", "infinity"])
    bare["metadata"].update(name="bare", namespace="town")
    with added(mesh, "bare", {"apiVersion": "v1", "kind": "Pod", **bare}):
        eventually(lambda: (any(p["name"] == "bare" and p["ready"] for p in mesh.status()["pods"]),
                            mesh.status()))
        seen = mesh.call("town/bare", "http", "server.shop", 8001)
        assert seen["ok"], seen


def test_a_deployment_is_scaled_in_its_file(mesh):
    """Pods that stay are those that were there; calls reach all of them, and work all the time."""
    def scale(n):
        objects = [o for o in apps() if not (o["kind"] == "Deployment" and
                                             o["metadata"]["name"] == "server")]
        server = next(o for o in m.echo("shop", "server", replicas=n) if o["kind"] == "Deployment")
        m.write(mesh.dir / "apps.yaml", *objects, server)
        eventually(lambda: (workload_ready(mesh, "Deployment/server", n), mesh.status()))
        return {p["name"]: p["ip"] for p in pods_of(mesh, "Deployment/server")}

    one = scale(1)
    three = scale(3)
    assert one.items() <= three.items()
    eventually(lambda: is_ready(mesh))
    for _ in range(10):
        assert call(mesh)["ok"]
    again = scale(1)
    assert again.items() <= three.items()
    calls_work(mesh)
    scale(0)
    calls_work(mesh, work=False)
    scale(1)
    calls_work(mesh)


# --- a full disk ---

@pytest.fixture
def tiny(own):
    """A mesh whose state has 4 MB."""
    own.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", own.state],
                   check=True)
    yield own
    own.osm("down", check=False)
    subprocess.run(["umount", own.state], check=True)
    own.state.rmdir()


def fill_up(folder):
    """All of it, to the last byte and the last file."""
    with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as f:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while f.write(b"x" * size):
                    pass
    with contextlib.suppress(OSError):
        for n in range(100000):
            (folder / f"ballast-{n}").touch()


def empty(folder):
    for file in folder.glob("ballast*"):
        file.unlink()


FULL = "No space left on device"


def test_a_full_disk_stops_nothing_that_worked(tiny):
    tiny.up()
    calls_work(tiny)
    before = pods(tiny)
    fill_up(tiny.state)
    m.write(tiny.dir / "bob.yaml", *m.client("town", "bob"))

    def told():
        status = tiny.status()
        said = [status["problem"]] + [f["text"] for f in status["findings"]]
        return any(FULL in s and str(tiny.state) in s for s in said), status
    eventually(told)
    shown = tiny.osm("status", check=False)
    assert shown.returncode == 1 and FULL in shown.stdout + shown.stderr, shown
    calls_work(tiny)
    assert before.items() <= pods(tiny).items()
    done = apply(tiny, m.mesh_config(permissive=False), check=False)
    assert done.returncode == 1 and FULL in done.stderr and "applied" in done.stderr, done
    again = tiny.up(check=False, wait=False)
    assert again.returncode in (0, 1) and (again.returncode == 0 or FULL in again.stderr), again
    fill(tiny, permissive=False)  # policy is read from the user's folder, which isn't full
    calls_work(tiny, work=False)
    fill(tiny)
    calls_work(tiny)

    empty(tiny.state)
    eventually(lambda: (workload_ready(tiny, "Deployment/bob", 1), tiny.status()))
    eventually(lambda: is_ready(tiny))
    assert before.items() <= pods(tiny).items()
    apply(tiny, m.mesh_config(permissive=False))
    calls_work(tiny, work=False)


def test_a_killed_container_comes_back_on_a_full_disk(tiny):
    tiny.up()
    fill_up(tiny.state)
    for name in ("app", "envoy"):
        old = container(tiny, "shop/server", name)["pid"]
        os.kill(old, signal.SIGKILL)
        eventually(lambda n=name, o=old: (container(tiny, "shop/server", n)["pid"] not in (0, o),
                                          tiny.status()))
    calls_work(tiny)


def test_a_killed_controller_comes_back_on_a_full_disk(tiny):
    tiny.up()
    fill_up(tiny.state)
    old = controller_of(tiny)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: (controller_of(tiny) not in (0, old), tiny.status()))
    fill(tiny, permissive=False)
    calls_work(tiny, work=False)
    empty(tiny.state)
    eventually(lambda: is_ready(tiny))


def test_up_on_a_full_disk(tiny):
    fill_up(tiny.state)
    done = tiny.up(check=False)
    assert done.returncode == 1 and FULL in done.stderr and str(tiny.state) in done.stderr, done
    empty(tiny.state)
    tiny.up()
    calls_work(tiny)
