"""Prints "<passed> <failed>" of junit XML files; a skipped test counts as failed, because what a
test needs is set up before it runs."""
import sys
import xml.etree.ElementTree as ElementTree

passed = failed = 0
for file in sys.argv[1:]:
    for suite in ElementTree.parse(file).getroot().iter("testsuite"):
        bad = sum(int(suite.get(k, 0)) for k in ("failures", "errors", "skipped"))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad
print(passed, failed)
