"""Prints "<passed> <failed>" of a junit XML file; a skipped test counts as failed, because what a
test needs is set up before it runs."""
import sys
import xml.etree.ElementTree as ElementTree

passed = failed = 0
for suite in ElementTree.parse(sys.argv[1]).getroot().iter("testsuite"):
    bad = sum(int(suite.get(k, 0)) for k in ("failures", "errors", "skipped"))
    failed += bad
    passed += int(suite.get("tests", 0)) - bad
print(passed, failed)
