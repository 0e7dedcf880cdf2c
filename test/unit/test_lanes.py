"""test/lanes.py: a file passes when it has tests and all of them pass; test/results.py tells which didn't."""
import json
import pathlib
import subprocess
import sys

import pytest

LANES = pathlib.Path(__file__).resolve().parents[1] / "lanes.py"


def run(folder, **files):
    """Its exit code for these files, and what it said."""
    (folder / "xml").mkdir()
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    done = subprocess.run([sys.executable, LANES, folder / "xml", "2", folder], capture_output=True,
                          text=True, timeout=300)
    return done.returncode, done.stdout


PASSES = "def test_it():\n    pass\n"


def test_files_that_pass(tmp_path):
    code, said = run(tmp_path, one=PASSES, two=PASSES)
    assert code == 0
    assert said.count("1 passed") == 2 and len(list((tmp_path / "xml").glob("*.xml"))) == 2


@pytest.mark.parametrize("bad", [
    "def test_it():\n    assert False\n",
    "import no_such_module\n",
    "def it():\n    pass\n",
    ""], ids=["fails", "breaks", "no test of its own", "empty"])
def test_one_that_does_not_pass_fails_all(tmp_path, bad):
    assert run(tmp_path, one=PASSES, two=bad)[0] == 1


RESULTS = LANES.parent / "results.py"


def results_of(*files):
    """(counts, the lines of what failed)"""
    counts, *failed = subprocess.run([sys.executable, RESULTS, *files], capture_output=True, text=True,
                                     check=True).stdout.splitlines()
    return tuple(map(int, counts.split())), failed


@pytest.mark.parametrize("bad, counts, says", [
    ("def test_it():\n    assert 1 == 2, 'because'\n", (1, 1), "test_two::test_it: AssertionError: because"),
    ("import no_such_module\n", (1, 1), "No module named 'no_such_module'"),
    ("import os\ndef test_it():\n    os._exit(9)\n", (1, 1), "test_two.py: pytest ended with 9"),
    ("def it():\n    pass\n", (1, 1), "test_two.py: pytest ended with 5"),
    ("import pytest\ndef test_it():\n    pytest.skip('no root')\n", (1, 1), "no root")])
def test_results_of_files_name_what_failed(tmp_path, bad, counts, says):
    run(tmp_path, one=PASSES, two=bad)
    found, failed = results_of(*(tmp_path / "xml").glob("*.xml"))
    assert found == counts and len(failed) == 1 and says in failed[0], failed


def program(name, result, stdout="", stderr=""):
    return json.dumps({"name": name, "result": result, "returncode": 1, "stdout": stdout, "stderr": stderr})


CMOCKA = """
[  ERROR   ] --- 0x1 != 0x2
[   LINE   ] --- a.c:6: error: Failure!
[  PASSED  ] 3 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] test_a

 1 FAILED TEST(S)
"""
LEAKS = "\n==1==ERROR: LeakSanitizer: detected memory leaks\n"


def test_results_of_programs_name_what_failed(tmp_path):
    log = tmp_path / "testlog.json"
    log.write_text("\n".join([
        program("fine", "OK", stderr="[  PASSED  ] 7 test(s)."), program("script", "OK"),
        program("tests", "FAIL", "[ RUN      ] test_a\n[  FAILED  ] test_a\n", CMOCKA),
        program("leaks", "FAIL", stderr="[  PASSED  ] 2 test(s)." + LEAKS), program("slow", "TIMEOUT")]))
    counts, failed = results_of(log)
    assert counts == (7 + 1 + 3 + 2, 3)
    assert failed == ["tests: test_a: 0x1 != 0x2 (a.c:6)",
                      "leaks: FAIL, exit code 1: ==1==ERROR: LeakSanitizer: detected memory leaks",
                      "slow: TIMEOUT, exit code 1:"]


def test_no_results_are_a_failure(tmp_path):
    (tmp_path / "half.xml").write_text("<testsuites>")
    for name in ("half.xml", "none.xml", "none.json"):
        counts, failed = results_of(tmp_path / name)
        assert counts == (0, 1) and name in failed[0]
