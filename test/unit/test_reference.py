"""The pages of docs/reference are those that the tables of kinds give."""
import os
import pathlib
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ["OSM_BUILD"])
PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs/reference"
CRDS = BUILD / "src/kinds/osm-crds"
TOP = PAGES.parents[1]
PAGE_PATHS = sorted(PAGES.glob("*.*.md"))


def crds(*args):
    return subprocess.run([CRDS, *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGE_PATHS, ids=lambda p: p.stem)
def test_page_is_current(page):
    made = crds("--docs", page.stem)
    assert made.returncode == 0, made.stderr
    hint = f"osm-crds --docs {page.stem} > docs/reference/{page.name}"
    assert page.read_text() == made.stdout, hint


def test_every_group_has_a_page():
    groups = {line.split()[1] for line in crds().stdout.splitlines() if line.startswith("  group: ")}
    assert groups == {page.stem for page in PAGE_PATHS}


def test_group_that_there_is_not():
    done = crds("--docs", "apps")
    assert done.returncode == 1 and '"apps"' in done.stderr


def test_error_codes_that_are_reported_are_listed():
    sources = [p.read_text() for p in TOP.glob("src/**/*.c")]
    reported = {code for text in sources for code in re.findall(r'"(E\d{4})"', text)}
    text = (TOP / "docs/moving-from-osm.md").read_text()
    listed, = re.findall(r"These are reported, in logs and in `osm_error_err_code_count`:([^.]*)\.", text)
    assert set(listed.replace(",", " ").split()) == reported
    described = set(re.findall(r"X\((\d{4}),", (TOP / "src/base/error_codes.h").read_text()))
    assert {code[1:] for code in reported} <= described


def test_metrics_page_is_current():
    made = subprocess.run([BUILD / "src/observe/metrics_reference"], capture_output=True, text=True,
                          check=True)
    hint = "metrics_reference > docs/reference/metrics.md"
    assert (PAGES / "metrics.md").read_text() == made.stdout, hint
