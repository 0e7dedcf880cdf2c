"""Fails when a folder of src/ includes one above it, or a library that another folder owns."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"

# folder -> folders that it may include, besides what those may.
MAY_USE = {
    "base": [],
    "doc": ["base"],
    "net": ["base"],
    "kinds": ["doc"],
    "store": ["kinds"],
    "kube": ["net", "kinds"],
    "source": ["store", "kube"],
    "mesh": ["store"],
    "cert": ["net", "doc"],
    "xds": ["mesh", "cert", "net"],
    "inject": ["kinds", "cert"],
    "webhook": ["inject", "mesh", "kube", "cert"],
    "local": ["inject", "source"],
    "observe": ["net", "mesh", "xds"],
    "daemon": ["xds", "inject", "local", "observe", "source", "webhook"],
    "cli": ["xds", "inject", "local", "observe", "source", "webhook"],
}

# library header (pattern) -> folders that may include it.
LIBRARIES = {
    r"(uthash|xxhash)\.h": {"base"},
    r"(jansson|yaml)\.h": {"doc"},
    r"(event2?/|evhttp|event\.h)": {"net"},
    r"nghttp2/": {"net"},
    r"curl/": {"net"},
    r"openssl/": {"net", "cert"},
    r"(protobuf-c/|.*\.pb-c\.h)": {"xds"},
    r"sys/inotify\.h": {"source"},
    r"(libmnl/|linux/rtnetlink\.h|linux/netlink\.h)": {"local"},
}


def reachable(folder):
    seen, todo = set(), [folder]
    while todo:
        f = todo.pop()
        if f not in seen:
            seen.add(f)
            todo += MAY_USE[f]
    return seen


def main():
    bad = []
    for path in sorted(SRC.rglob("*.[ch]")):
        folder = path.relative_to(SRC).parts[0]
        allowed = reachable(folder)
        for n, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not m:
                continue
            name = m.group(1)
            where = f"{path.relative_to(SRC.parent)}:{n}"
            top = name.split("/")[0]
            if top in MAY_USE and line.strip().startswith('#include "') and top not in allowed:
                bad.append(f"{where}: src/{folder} may not use src/{top}")
            for pattern, owners in LIBRARIES.items():
                if re.match(pattern, name) and folder not in owners:
                    bad.append(f"{where}: <{name}> belongs to src/{' and src/'.join(sorted(owners))}")
    for folder in MAY_USE:
        if not (SRC / folder / "README.md").is_file():
            bad.append(f"src/{folder}: no README.md")
    print("\n".join(bad) if bad else "layers: ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
