"""The swarm says so when a controller tells one proxy one wrong thing."""
import re

import pytest

from swarm import BUILD, CONTROLLER, swarm, verified, wrapped

# Service 11 of 20 is the one whose endpoints change: its first pod's address comes in the first change.
MEDIUM = ("--services", "20", "--pods", "10", "--rounds", "1", "--steps", "fresh,endpoint")
ADDRESS = "10.0.5.128"
OF_ADDRESS = r"[0-9a-f-]{36}: eds bench/service-0011\|8080: "


def liar(folder, how, after):
    """A controller that lies once, about the message with that address that follows so many others, and
    the file that says so."""
    log = folder / "lies"
    return wrapped(folder, f"""\
export OSM_LIE={how} OSM_LIE_BYTES={ADDRESS} OSM_LIE_AFTER={after} OSM_LIE_LOG={log}
LD_PRELOAD={BUILD}/test/faults/liar.so${{LD_PRELOAD:+:$LD_PRELOAD}} exec "{CONTROLLER}" "$@"
"""), log


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
    controller = wrapped(tmp_path, f"""\
grep -q 'addresses: .10\\.0\\.5\\.129.' "$4"/*.yaml || exit 77
sed -i 's/\\(addresses: .10\\.0\\.5\\.\\)129/\\177/' "$4"/*.yaml
exec "{CONTROLLER}" "$@"
""")
    out = swarm(*MEDIUM, controller=controller)
    failed_with(out, r"wrong: \d+, the first: " + OF_ADDRESS + "its content isn't what the mesh says")
