"""A swarm's run that measured nothing, or came to no good end, is a failure; it leaves nothing behind."""
import pathlib
import resource
import subprocess
import sys
import time

import pytest

from swarm import CONTROLLER, SMALL, SWARM, swarm, verified, wrapped


def test_readers_that_do_not_block_are_a_failure():
    """What twenty services are sent fits into sockets: nothing would be measured."""
    out = swarm("--policy", "permissive", "--services", "20", "--pods", "1", "--bad", "5", "--pairs",
                "2", "--steps", "slow")
    assert out.returncode == 1
    assert "of 5 readers 5 took a whole response" in out.stderr


def test_a_controller_that_ends_badly_is_a_failure(tmp_path):
    """As with a sanitizer's finding: it says something, and its status isn't 0."""
    controller = wrapped(tmp_path, f"""\
"{CONTROLLER}" "$@" &
trap 'kill $!; wait $!; echo "WARNING: data race"; exit 66' TERM
wait $!
""")
    out = swarm(*SMALL, controller=controller)
    assert out.returncode == 1
    assert verified(out)["failures"] == 1
    assert "status 66" in out.stderr and "WARNING: data race" in out.stderr


@pytest.mark.parametrize("option,words", [
    (("--steps", "endpoint,endpont"), '--steps: there is no step "endpont"'),
    (("--delta", "2"), '--delta: expected a share from 0 to 1, found "2"'),
    (("--services", "0"), '--services: expected a whole number from 2 to 4096, found "0"'),
    (("--pods", "129"), '--pods: expected a whole number from 1 to 128, found "129"'),
    (("--steps", "floor,rest"), '--steps: floor must be the last, found "rest" after it')])
def test_what_it_is_asked_is_checked_before_it_begins(option, words):
    out = swarm(*SMALL, *option)
    assert out.returncode in (1, 2) and out.stdout == "" and words in out.stderr


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
