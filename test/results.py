"""Prints what tests came to, by pytest's XML (junit) and meson's log (testlog.json): "<passed> <failed>",
then a line for each that failed, with the first line of what it said. A skipped test counts as failed,
because what a test needs is set up before it runs.

    results.py FILE...
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

WIDTH = 240  # of a line: some assertions say all that they compared
# What a cmocka program writes of its tests.
PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (?!\d+ test)(\S+)$", re.M)
ERROR = re.compile(r"^\[  ERROR   \] --- (.*)\n\[   LINE   \] --- (.*?): error", re.M)
# What tells most of a program that ended otherwise: a sanitizer's line, or an assertion's.
TELLING = re.compile(r"^.*(?:ERROR: |runtime error: |WARNING: Thread|Assertion ).*$", re.M)


def first_line(text):
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def said_by(bad):
    """The first line of an exception, else what pytest says in short."""
    raised = re.search(r"^E +(\S.*)$", bad.text or "", re.M)
    return raised[1] if raised else first_line(bad.get("message") or bad.text or bad.tag)


def of_junit(file):
    """(passed, [what failed])"""
    passed, failed = 0, []
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        bad = [x for x in case if x.tag in ("failure", "error", "skipped")]
        name = "::".join(x for x in (case.get("classname"), case.get("name")) if x)
        passed += not bad
        failed += [f"{name}: {said_by(x)}" for x in bad[:1]]
    return passed, failed


def of_program(run):
    """(passed, [what failed]) of a program: of its tests if it is one of many, else of itself."""
    said = f"{run.get('stdout', '')}\n{run.get('stderr', '')}"
    passed, names = sum(map(int, PASSED.findall(said))), list(dict.fromkeys(FAILED.findall(said)))
    if run["result"] == "OK":
        return passed or 1, []
    errors = [f"{what} ({where})" for what, where in ERROR.findall(said)]
    if names:
        errors += [""] * len(names)
        return passed, [f"{run['name']}: {n}: {e}" for n, e in zip(names, errors)]
    told = TELLING.search(said)
    why = errors[0] if errors else told[0] if told else first_line(run.get("stderr", ""))
    return passed, [f"{run['name']}: {run['result']}, exit code {run.get('returncode')}: {why}".rstrip()]


def of_meson(file):
    runs = [of_program(json.loads(line)) for line in pathlib.Path(file).read_text().splitlines()]
    return sum(passed for passed, _ in runs), [line for _, failed in runs for line in failed]


def of_file(file):
    try:
        return (of_meson if str(file).endswith(".json") else of_junit)(file)
    except (OSError, ValueError, ElementTree.ParseError) as e:
        return 0, [f"{file}: no results: {e}"]


def write_broken(file, name, why):
    """Results of what ended without any that tell why: as of one test that failed."""
    suite = ElementTree.Element("testsuite")
    case = ElementTree.SubElement(suite, "testcase", classname=str(name))
    ElementTree.SubElement(case, "error", message=why)
    ElementTree.ElementTree(suite).write(file)


def main(files):
    found = [of_file(file) for file in files]
    failed = [line for _, lines in found for line in lines]
    print(sum(passed for passed, _ in found), len(failed))
    for line in failed:
        print(line[:WIDTH])


if __name__ == "__main__":
    main(sys.argv[1:])
