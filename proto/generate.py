"""Generates the C sources of all .proto files with protoc-c: generate.py PROTOC_C ROOT OUT PROTO...

Writes OUT/<path>.pb-c.[ch], and all.pb-c.c and all.pb-c.h that include every source and header, so
that the build knows its outputs."""
import pathlib
import subprocess
import sys

protoc_c, root, out = sys.argv[1:4]
root, out = pathlib.Path(root).resolve(), pathlib.Path(out)
protos = [str(pathlib.Path(p).resolve().relative_to(root)) for p in sys.argv[4:]]
subprocess.run([protoc_c, f"--c_out={out}", f"-I{root}", *protos], check=True)
sources = [p.removesuffix(".proto") + ".pb-c.c" for p in protos]
for suffix in "ch":
    lines = [f'#include "{s[:-1]}{suffix}"\n' for s in sources]
    (out / f"all.pb-c.{suffix}").write_text("".join(lines))
