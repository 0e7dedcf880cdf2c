"""A small swarm (test/bench/swarm) through all that it can do: every message is checked."""
import pytest

from swarm import of, swarm, verified

STEPS = ("endpoint,weight,target,config,service,tenth,workload,churn,certificate,known,fresh,window,refuse,"
         "drop,root,known,fresh,certificate,known")


@pytest.mark.parametrize("policy", ["smi", "permissive", "hot"])
def test_every_proxy_holds_what_it_should(policy):
    out = swarm("--policy", policy, "--services", "20", "--pods", "3", "--rounds", "2", "--bad", "5",
                "--pairs", "2", "--delta", "0.5", "--resume", "--steps", STEPS)
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]
    assert verified(out)["wrong"] == 0
    assert verified(out)["responses"] > 1000


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
