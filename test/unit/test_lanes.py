"""test/lanes.py: a file passes when it has tests and all of them pass."""
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
