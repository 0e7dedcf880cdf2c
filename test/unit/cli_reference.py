"""Fails when docs/reference/cli.md isn't what `osm man --markdown` prints: OSM FILE."""
import difflib
import pathlib
import subprocess
import sys

osm, file = sys.argv[1:]
want = subprocess.run([osm, "man", "--markdown"], check=True, capture_output=True, text=True).stdout
found = pathlib.Path(file).read_text()
if want != found:
    sys.stdout.writelines(difflib.unified_diff(found.splitlines(True), want.splitlines(True), file,
                                               "osm man --markdown"))
    sys.exit(f"{file} is out of step; run: {osm} man --markdown > {file}")
