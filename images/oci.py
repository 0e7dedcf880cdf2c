#!/usr/bin/env python3
"""Writes container images as OCI archives from programs of this machine, without Docker.

The same inputs give the same bytes: names are sorted, times are 0, and what a compiler wrote for
debuggers is stripped. An archive is what `ctr images import`, `podman load` and `skopeo` take."""
import argparse
import glob
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KEYS = {"ref", "programs", "modules", "shell", "files", "links", "folders", "user", "entrypoint",
        "command", "environment"}


class Bad(Exception):
    """A sentence for the user."""


def version():
    found = re.search(r"version: '([^']+)'", (HERE.parent / "meson.build").read_text())
    return found.group(1)


def describe(path):
    """The images of a description, checked."""
    images = yaml.safe_load(pathlib.Path(path).read_text())
    for name, image in images.items():
        if unknown := set(image) - KEYS:
            raise Bad(f"{path}: {name}: expected {', '.join(sorted(KEYS))}, "
                      f"found {', '.join(sorted(unknown))}")
    return images


class Places:
    """Where files come from."""

    def __init__(self, build, roots, base):
        self.build = pathlib.Path(build)
        self.roots = [pathlib.Path(root).resolve() for root in roots] + [pathlib.Path("/")]
        self.base = base

    def program(self, name):
        """A program's path on this machine."""
        if name.startswith("$"):
            if not os.environ.get(name[1:]):
                raise Bad(f"{name} isn't set: expected the path of a program")
            return pathlib.Path(os.environ[name[1:]])
        if not name.startswith("/"):
            return self.build / "src" / name
        return self.find(name)[0]

    def find(self, pattern):
        """Files of this machine by an absolute name, which may have wildcards."""
        for root in self.roots:
            found = [pathlib.Path(p) for p in sorted(glob.glob(f"{root}/{pattern.lstrip('/')}"))]
            if found:
                return found
        raise Bad(f"{pattern}: there is no such file below "
                  f"{' or '.join(str(root) for root in self.roots)}")

    def file(self, name):
        return self.find(name)[0] if name.startswith("/") else self.base / name

    def inside(self, path):
        """A file's path in an image: without the root that it was found below."""
        for root in self.roots:
            if path.is_relative_to(root):
                return "/" + str(path.relative_to(root))
        return str(path)

    def library_path(self):
        folders = [folder for root in self.roots[:-1]
                   for folder in glob.glob(f"{root}/usr/lib/*-linux-gnu*")]
        return ":".join(folders)


class Tree:
    """An image's files: path without leading slash -> (kind, content, mode)."""

    def __init__(self, places):
        self.places = places
        self.entries = {}

    def put(self, path, kind, content, mode):
        name = os.path.normpath("/" + str(path)).lstrip("/")
        self.entries[name] = (kind, content, mode)

    def put_file(self, path, source, mode=None):
        try:
            content = pathlib.Path(source).read_bytes()
        except OSError as e:
            raise Bad(f"{source}: {e.strerror}") from e
        if mode is None:  # whatever the umask was that it was made with
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.put(path, "file", content, mode)

    def put_program(self, path, source):
        if not os.path.isfile(source):
            raise Bad(f"{source}: there is no such program; build it first")
        self.put(path, "file", stripped(source), 0o755)
        self.put_libraries(source)

    def put_libraries(self, source):
        for library in libraries(source, self.places.library_path()):
            # The content behind the name that the loader asks for, so that no links are needed.
            self.put_file(self.places.inside(pathlib.Path(library)), library, 0o755)

    def put_modules(self, folder):
        for path in sorted(folder.iterdir()):
            if path.is_file() and ".so" in path.name:
                self.put_file(self.places.inside(path), path, 0o644)
                self.put_libraries(path)

    def put_shell(self):
        busybox = self.places.program("/bin/busybox")
        self.put_program("/bin/busybox", busybox)
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for applet in listed.stdout.split():
            if applet != "busybox":
                self.put(f"/bin/{applet}", "link", "busybox", 0o777)

    def put_accounts(self, user):
        """What programs ask libc for: their user, and how names are resolved."""
        accounts = {0: "root", 65534: "nobody"}
        accounts.setdefault(int(user.split(":")[0]), "nonroot")
        passwd = [f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for uid, name in sorted(accounts.items())]
        group = [f"{name}:x:{uid}:\n" for uid, name in sorted(accounts.items())]
        self.put("/etc/passwd", "file", "".join(passwd).encode(), 0o644)
        self.put("/etc/group", "file", "".join(group).encode(), 0o644)
        self.put("/etc/nsswitch.conf", "file", b"hosts: files dns\n", 0o644)

    def all(self):
        """Every entry, with the folders that lead to it, in order."""
        entries = dict(self.entries)
        for name in self.entries:
            for parent in list(pathlib.PurePath(name).parents)[:-1]:
                entries.setdefault(str(parent), ("folder", None, 0o755))
        return sorted(entries.items())


def libraries(program, library_path):
    """What the loader would map for a program: absolute paths; none for a static one."""
    environment = dict(os.environ, LC_ALL="C", LD_LIBRARY_PATH=library_path)
    r = subprocess.run(["ldd", program], env=environment, capture_output=True, text=True,
                       check=False)
    text = r.stdout + r.stderr
    if "not a dynamic executable" in text or "statically linked" in text:
        return []
    if r.returncode or "not found" in text:
        raise Bad(f"{program}: its libraries aren't all there: {text.strip()}")
    return re.findall(r"(?:=> |^\s*)(/\S+) \(0x", r.stdout, re.M)


def stripped(program):
    """A program without symbols and lines, which hold the folder it was built in; scripts as is."""
    content = pathlib.Path(program).read_bytes()
    if not content.startswith(b"\x7fELF") or b".debug_info" not in content:
        return content
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["strip", "--strip-all", "-o", out.name, program], check=True)
        return pathlib.Path(out.name).read_bytes()


def tree_of(image, places):
    tree = Tree(places)
    tree.put_accounts(image.get("user", "0"))
    tree.put("/tmp", "folder", None, 0o1777)
    for folder in image.get("folders", []):
        tree.put(folder, "folder", None, 0o755)
    if image.get("shell"):
        tree.put_shell()
    for path, source in image.get("programs", {}).items():
        tree.put_program(path, places.program(source))
    for pattern in image.get("modules", []):
        for folder in places.find(pattern):
            tree.put_modules(folder)
    for path, source in image.get("files", {}).items():
        tree.put_file(path, places.file(source))
    for path, target in image.get("links", {}).items():
        tree.put(path, "link", target, 0o777)
    return tree


def layer_of(tree):
    """The tree as a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (kind, content, mode) in tree.all():
            info = tarfile.TarInfo(name)
            info.mode = mode
            if kind == "folder":
                info.type = tarfile.DIRTYPE
            elif kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if kind == "file" else None)
    return out.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def document(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type, content):
    return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest(content),
            "size": len(content)}


def configuration(image, layer):
    """How a container of the image runs, as the OCI image specification has it."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    environment.update(image.get("environment", {}))
    run = {"Env": [f"{name}={text}" for name, text in environment.items()]}
    for key, field in (("entrypoint", "Entrypoint"), ("command", "Cmd"), ("user", "User")):
        if image.get(key):
            run[field] = image[key]
    return document({"architecture": architecture(), "os": "linux", "config": run,
                     "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}})


def architecture():
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise Bad(f"expected a machine of {' or '.join(ARCHITECTURES)}, found {machine}")
    return ARCHITECTURES[machine]


def archive(image, ref, tree):
    """The image as an OCI layout in a tar archive."""
    layer = layer_of(tree)
    config = configuration(image, layer)
    manifest = document({"schemaVersion": 2,
                         "mediaType": "application/vnd.oci.image.manifest.v1+json",
                         "config": descriptor("config.v1+json", config),
                         "layers": [descriptor("layer.v1.tar", layer)]})
    entry = descriptor("manifest.v1+json", manifest)
    # containerd takes the whole name from the first, others the tag from the second.
    entry["annotations"] = {"io.containerd.image.name": full_name(ref),
                            "org.opencontainers.image.ref.name": ref.rsplit(":", 1)[1]}
    entry["platform"] = {"architecture": architecture(), "os": "linux"}
    files = {f"blobs/sha256/{digest(blob)[7:]}": blob for blob in (config, layer, manifest)}
    files["index.json"] = document({"schemaVersion": 2, "manifests": [entry],
                                    "mediaType": "application/vnd.oci.image.index.v1+json"})
    files["oci-layout"] = document({"imageLayoutVersion": "1.0.0"})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue(), digest(manifest)


def full_name(ref):
    """As the kubelet and containerd name it: a name without a registry is one of docker.io."""
    first = ref.split("/")[0]
    return ref if "." in first or ":" in first or first == "localhost" else f"docker.io/{ref}"


def unpack(tree, folder):
    """The tree as files, for a container builder or a test to take."""
    for name, (kind, content, mode) in tree.all():
        path = folder / name
        if kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
        elif kind == "link":
            path.symlink_to(content)
        else:
            path.write_bytes(content)
        if kind != "link":
            path.chmod(mode)


def write(path, content):
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as out:
        out.write(content)
    os.chmod(out.name, 0o644)
    os.rename(out.name, path)


def parse(argv):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("names", nargs="*", metavar="IMAGE", help="those to write (all)")
    p.add_argument("--description", default=HERE / "images.yaml", help="images.yaml beside this")
    p.add_argument("--build", default=HERE.parent / "build", help="where the programs were built")
    p.add_argument("--root", action="append", default=[],
                   help="unpacked Debian packages, looked into before this machine's own files")
    p.add_argument("--tag", default=version(), help="of images without a ref (%(default)s)")
    p.add_argument("--out", type=pathlib.Path, required=True, help="folder to write to")
    p.add_argument("--unpack", action="store_true", help="folders of files, not archives")
    return p.parse_args(argv)


def main(argv):
    args = parse(argv)
    images = describe(args.description)
    base = pathlib.Path(args.description).resolve().parent
    places = Places(args.build, args.root, base)
    for name in args.names or images:
        if name not in images:
            raise Bad(f"there is no image \"{name}\"; there are {', '.join(images)}")
        image = images[name]
        ref = image.get("ref", f"openservicemesh/{name}:{args.tag}")
        tree = tree_of(image, places)
        if args.unpack:
            folder = args.out / name
            folder.mkdir(parents=True)
            unpack(tree, folder)
            continue
        args.out.mkdir(parents=True, exist_ok=True)
        content, identity = archive(image, ref, tree)
        path = args.out / f"{name}.tar"
        write(path, content)
        print(f"{path} {ref}@{identity} {len(content) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Bad as e:
        sys.exit(f"oci.py: {e}")
