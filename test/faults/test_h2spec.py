"""h2spec's 146 cases against our HTTP/2 layer."""
import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

BUILD = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve()
CACHE = pathlib.Path(os.environ.get("OSM_CLUSTER_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() /
                     "osm-cluster")
CASES = 146
PATIENCE = 180


@pytest.fixture
def port():
    """A sanitizer's report is an exit code, too."""
    server = subprocess.Popen([BUILD / "test/faults/echo_server"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
        server.terminate()
        said = server.communicate(timeout=PATIENCE)[1]
        assert server.returncode == 0 and "Sanitizer" not in said, said
    finally:
        server.kill()
        server.wait()


def test_every_case_passes(port, tmp_path):
    report = tmp_path / "report.xml"
    line = [CACHE / "bin/h2spec", "-S", "-h", "127.0.0.1", "-p", port, "-o", "10", "-j", report]
    out = subprocess.run(line, capture_output=True, text=True, timeout=600)
    # A failed case quotes bytes that XML can't hold.
    text = re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd]", "?", report.read_text(errors="replace"))
    suites = xml.etree.ElementTree.fromstring(text).iter("testsuite")
    cases = [case for suite in suites for case in suite.iter("testcase")]
    bad = [(c.get("package"), c.get("classname")) for c in cases
           if c.find("failure") is not None or c.find("error") is not None
           or c.find("skipped") is not None]
    assert not bad, out.stdout[-4000:]
    assert len(cases) == CASES and out.returncode == 0, out.stdout[-4000:]
