"""A small swarm (test/bench/swarm) through all that it can do: every message is checked."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import pytest

BUILD = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve()
STEPS = ("endpoint,weight,target,config,service,tenth,workload,certificate,known,fresh,slow,refuse,"
         "drop,root,known,fresh,certificate,known")


SWARM, CONTROLLER = BUILD / "test/bench/swarm/swarm", BUILD / "src/daemon/osm-controller"
SMALL = ("--services", "3", "--pods", "2", "--rounds", "1")


def swarm(*args, controller=CONTROLLER, **more):
    return subprocess.run([SWARM, "--controller", controller, *args], capture_output=True, text=True,
                          timeout=600, **more)


def verified(out):
    last = json.loads(out.stdout.splitlines()[-1])
    assert last["what"] == "verified"
    return last


@pytest.mark.parametrize("policy", ["smi", "permissive", "hot"])
def test_every_proxy_holds_what_it_should(policy):
    out = swarm("--policy", policy, "--services", "20", "--pods", "3", "--rounds", "2", "--bad", "5",
                "--pairs", "2", "--delta", "0.5", "--resume", "--steps", STEPS)
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]
    assert verified(out)["wrong"] == 0
    assert verified(out)["responses"] > 1000


def test_a_controller_that_ends_badly_is_a_failure(tmp_path):
    """As with a sanitizer's finding: it says something, and its status isn't 0."""
    wrapper = tmp_path / "controller"
    wrapper.write_text(f"""#!/bin/sh
"{CONTROLLER}" "$@" &
trap 'kill $!; wait $!; echo "WARNING: data race"; exit 66' TERM
wait $!
""")
    wrapper.chmod(0o755)
    out = swarm(*SMALL, controller=wrapper)
    assert out.returncode == 1
    assert verified(out)["failures"] == 1
    assert "status 66" in out.stderr and "WARNING: data race" in out.stderr


def limit_descriptors(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_are_raised_or_asked_for():
    few = swarm(*SMALL, preexec_fn=limit_descriptors(16, 4096))
    assert few.returncode == 0, few.stderr
    out = swarm("--services", "100", preexec_fn=limit_descriptors(64, 64))
    assert out.returncode == 1
    assert out.stderr.count("\n") == 1 and "1000 proxies need 1128 descriptors" in out.stderr


def test_a_killed_swarm_leaves_no_folder():
    with subprocess.Popen([SWARM, "--controller", CONTROLLER, *SMALL, "--steps", "rest"],
                          stdout=subprocess.PIPE, text=True) as p:
        p.stdout.readline()
        ours = [x for x in pathlib.Path("/tmp").glob("osm-swarm-*") if str(x) in commands_of(p.pid)]
        assert len(ours) == 1
        p.kill()
    for _ in range(600):
        if not ours[0].exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{ours[0]} is still there")


def commands_of(parent):
    """The command lines of a process's children."""
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return "".join(pathlib.Path(f"/proc/{x}/cmdline").read_text() for x in children)


def test_a_swarm_that_says_nothing_is_a_failure():
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "bench"))
    import scale
    run = scale.Run("x", "smi", 1, 1, 0, 1, "")
    assert [r["failures"] for r in scale.unverified(run, [], 134)] == [1]
    good = {"what": "verified", "wrong": 0, "failures": 0, "proxies": 1}
    assert scale.unverified(run, [good], 0) == []
    assert [r["failures"] for r in scale.unverified(run, [good], 134)] == [1]
