#!/usr/bin/env python3
"""Writes the table of values in charts/osm/README.md from the comments of values.yaml.

A value is what a "# --" comment stands before; a map without one is looked into."""
import json
import pathlib
import re
import sys

import yaml

CHART = pathlib.Path(__file__).resolve().parent / "osm"
MARKS = "<!-- values -->\n", "<!-- end of values -->\n"


def comments(text):
    """Path of each value -> its comment."""
    found, path, comment = {}, [], None
    for line in text.splitlines():
        if m := re.match(r" *# -- (.*)", line):
            comment = m.group(1)
        elif m := re.match(r"( *)([A-Za-z]+):", line):
            depth = len(m.group(1)) // 2
            path = path[:depth] + [m.group(2)]
            if comment:
                found[".".join(path)] = comment
            comment = None
    return found


def at(values, path):
    for key in path.split("."):
        values = values[key]
    return values


def shown(value):
    """A default as one writes it; what is long is in values.yaml."""
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= 60 else "see values.yaml"


def table():
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = ["| value | default | |", "|---|---|---|"]
    for path, comment in comments(text).items():
        rows.append(f"| `{path}` | {shown(at(values, path))} | {comment} |")
    return "\n".join(rows) + "\n"


def readme(text):
    """The README with the table as it should be."""
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    return f"{before}{MARKS[0]}{table()}{MARKS[1]}{after}"


if __name__ == "__main__":
    path = CHART / "README.md"
    path.write_text(readme(path.read_text()))
    sys.exit(0)
