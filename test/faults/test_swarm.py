"""A small swarm (test/bench/swarm) through all that it can do: every message is checked."""
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

import pytest

BUILD = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve()
STEPS = ("endpoint,weight,target,config,service,tenth,workload,certificate,known,fresh,window,refuse,"
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


def of(out, what):
    return [r for r in map(json.loads, out.stdout.splitlines()) if r["what"] == what]


def test_readers_that_block_hold_up_nobody_and_are_queued_for_once():
    """The swarm proves that the controller's writes block, and counts what comes when they go on. Three
    of the five speak the delta protocol."""
    out = swarm("--policy", "permissive", "--services", "250", "--pods", "1", "--bad", "5", "--pairs",
                "2", "--delta", "0.02", "--steps", "slow,window,unread,unread_window")
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]
    for step in ("beside_slow", "beside_no_window"):
        assert sorted(r["bad"] for r in of(out, step)) == [0, 0, 5, 5]
        assert {r["received"] for r in of(out, step)} == {245}
    for step in ("unread", "unread_no_window"):
        assert [r["changes"] for r in of(out, step)] == [-1, *range(8)]
        assert {r["open"] for r in of(out, step)} == {250}


def test_readers_that_do_not_block_are_a_failure():
    """What twenty services are sent fits into sockets: nothing would be measured."""
    out = swarm("--policy", "permissive", "--services", "20", "--pods", "1", "--bad", "5", "--pairs",
                "2", "--steps", "slow")
    assert out.returncode == 1
    assert "of 5 readers 5 took a whole response" in out.stderr


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


# Service 11 of 20 is the one whose endpoints change: its first pod's address comes in the first change.
MEDIUM = ("--services", "20", "--pods", "10", "--rounds", "1", "--steps", "fresh,endpoint")
ADDRESS = "10.0.5.128"
OF_ADDRESS = r"[0-9a-f-]{36}: eds bench/service-0011\|8080: "


def liar(tmp_path, how, after):
    """A controller that lies once, about the message with that address that follows so many others, and
    the file that says so."""
    wrapper, log = tmp_path / "controller", tmp_path / "lies"
    wrapper.write_text(f"""#!/bin/sh
export OSM_LIE={how} OSM_LIE_BYTES={ADDRESS} OSM_LIE_AFTER={after} OSM_LIE_LOG={log}
LD_PRELOAD={BUILD}/test/faults/liar.so${{LD_PRELOAD:+:$LD_PRELOAD}} exec "{CONTROLLER}" "$@"
""")
    wrapper.chmod(0o755)
    return wrapper, log


def failed_with(out, line):
    assert out.returncode == 1, out.stdout[-2000:] + out.stderr[-2000:]
    assert [x for x in out.stderr.splitlines() if re.fullmatch(line, x)], out.stderr[-2000:]


WRONG = "wrong: 1, the first: " + OF_ADDRESS
# What comes right later is as wrong as what stays; what doesn't come at all shows when all wait for it.
LIES = [("alter", "1", WRONG + "the version isn't the content's"),
        ("alter", "0", WRONG + "its content isn't what the mesh says"),
        ("before", "1", WRONG + "the version isn't the content's"),
        ("before", "0", WRONG + "its content isn't what the mesh says"),
        ("twice", "1", WRONG + "it came again as it was"),
        ("twice", "0", WRONG + "it came again as it was"),
        ("drop", "1", r"endpoint: \d+ of 200 proxies don't hold what they should; " +
         OF_ADDRESS + "its content isn't what the mesh says .*")]


@pytest.mark.parametrize("how,delta,line", LIES, ids=[f"{x[0]}-delta-{x[1]}" for x in LIES])
def test_one_wrong_message_is_found(tmp_path, how, delta, line):
    """The 13th with that address, of a run of thousands."""
    controller, log = liar(tmp_path, how, 12)
    patience = ("--patience", "15") if how == "drop" else ()
    out = swarm(*MEDIUM, "--delta", delta, *patience, controller=controller)
    failed_with(out, line)
    assert log.read_text() == "lied\n"
    assert verified(out)["wrong"] == (how != "drop")
    assert verified(out)["responses"] > 2000


def test_a_controller_that_never_lies_is_right_behind_the_liar(tmp_path):
    """What finds lies is not what stands in between."""
    controller, log = liar(tmp_path, "alter", 10**9)
    out = swarm(*MEDIUM, controller=controller)
    assert out.returncode == 0, out.stderr
    assert not log.exists()


def test_a_controller_with_another_mesh_is_found(tmp_path):
    """All that it says fits together, and isn't what the mesh says: one address in one manifest."""
    wrapper = tmp_path / "controller"
    wrapper.write_text(f"""#!/bin/sh
grep -q 'addresses: .10\\.0\\.5\\.129.' "$4"/*.yaml || exit 77
sed -i 's/\\(addresses: .10\\.0\\.5\\.\\)129/\\177/' "$4"/*.yaml
exec "{CONTROLLER}" "$@"
""")
    wrapper.chmod(0o755)
    out = swarm(*MEDIUM, controller=wrapper)
    failed_with(out, r"wrong: \d+, the first: " + OF_ADDRESS + "its content isn't what the mesh says")


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
