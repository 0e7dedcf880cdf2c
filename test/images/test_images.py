"""The images that images/oci.py writes: the same each time, and complete: every program in them runs
in a folder that holds nothing but the image."""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
IMAGES = yaml.safe_load((TOP / "images/images.yaml").read_text())
NAMES = list(IMAGES)
VERSION = re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text()).group(1)

# What the redirection of a pod's traffic needs of iptables: its matches and targets, a table given
# on standard input, and rules looked up before they are added.
RULES = """
set -e
%(tool)s-restore --noflush <<EOT
*nat
:OSM_PROXY_OUTBOUND - [0:0]
-A OSM_PROXY_OUTBOUND -o lo ! -d %(lo)s -m owner --uid-owner 1500 -j RETURN
-A OSM_PROXY_OUTBOUND -p tcp -o lo -d %(lo)s -m owner --uid-owner 1500 -j DNAT --to %(lo)s
-A OSM_PROXY_OUTBOUND -p tcp --match multiport --dports 80,443 -j RETURN
-A OSM_PROXY_OUTBOUND -p tcp -j REDIRECT --to-port 15001
COMMIT
EOT
%(tool)s -t nat -C OUTPUT -p tcp -j OSM_PROXY_OUTBOUND 2>/dev/null ||
    %(tool)s -t nat -A OUTPUT -p tcp -j OSM_PROXY_OUTBOUND
%(tool)s -t nat -S
"""


def oci(*arguments, status=0):
    r = subprocess.run([sys.executable, TOP / "images/oci.py", "--build", os.environ["OSM_BUILD"],
                        *map(str, arguments)], capture_output=True, text=True, check=False)
    assert r.returncode == status, r.stderr
    return r


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    oci("--out", folder, *NAMES)
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The images' files, with the folders that a container runtime mounts."""
    folder = tmp_path_factory.mktemp("trees")
    oci("--out", folder, "--unpack", *NAMES)
    for name in NAMES:
        for mounted in ("dev", "proc"):
            (folder / name / mounted).mkdir()
    return folder


def inside(tree, *command):
    """Runs a command that sees an image's files alone, with a network of its own."""
    mounts = f"mount --rbind /dev {tree}/dev && mount -t proc proc {tree}/proc && " \
             f"exec chroot {tree} \"$@\""
    return subprocess.run(["unshare", "-m", "-n", "sh", "-c", mounts, "sh", *command],
                          capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def blobs(archive):
    with tarfile.open(archive) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}


def blob(files, descriptor):
    content = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
    assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(content) == descriptor["size"]
    return content


@pytest.mark.parametrize("name", NAMES)
def test_archive_says_how_the_image_runs(archives, name):
    files = blobs(archives / f"{name}.tar")
    entry = json.loads(files["index.json"])["manifests"][0]
    ref = IMAGES[name].get("ref", f"openservicemesh/{name}:{VERSION}")
    assert entry["annotations"]["io.containerd.image.name"] == f"docker.io/{ref}"
    manifest = json.loads(blob(files, entry))
    config = json.loads(blob(files, manifest["config"]))
    layer = blob(files, manifest["layers"][0])
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    run = config["config"]
    assert run["User"] == IMAGES[name]["user"]
    assert run.get("Entrypoint") == IMAGES[name].get("entrypoint")
    assert run.get("Cmd") == IMAGES[name].get("command")


def test_same_inputs_give_same_bytes(archives, tmp_path):
    oci("--out", tmp_path, *NAMES)
    for name in NAMES:
        assert (tmp_path / f"{name}.tar").read_bytes() == (archives / f"{name}.tar").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_every_library_is_there(trees, name):
    """The image's own loader resolves all that its programs and modules need."""
    tree = trees / name
    loaders = sorted(tree.glob("lib*/ld-linux-*"))
    assert len(loaders) == 1
    checked = 0
    for path in sorted(tree.rglob("*")):
        if path.is_symlink() or not path.is_file() or path in loaders:
            continue
        if not path.read_bytes()[:4] == b"\x7fELF" or path.name == "busybox":
            continue
        r = inside(tree, f"/{loaders[0].relative_to(tree)}", "--list",
                   f"/{path.relative_to(tree)}")
        assert r.returncode == 0 and "not found" not in r.stdout, f"{path}: {r.stdout}{r.stderr}"
        checked += 1
    assert checked > 1


@pytest.mark.parametrize("name", [n for n in NAMES if n != "init"])
def test_program_runs_alone(trees, name):
    for path in IMAGES[name]["programs"]:
        r = inside(trees / name, path, "--version" if name == "envoy" else "--help")
        assert r.returncode == 0, r.stderr
        assert path.rsplit("/", 1)[1] in r.stdout


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("osm-")])
def test_ours_run_as_nobody_special(trees, name):
    assert IMAGES[name]["user"] == "65532:65532"
    assert not (trees / name / "bin").exists(), "no shell in it"


@pytest.mark.parametrize("variant", ["", "-nft", "-legacy"])
@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
def test_init_redirects(trees, family, variant):
    restore = {"tool": f"{family}{variant}", "lo": "127.0.0.1" if family == "iptables" else "::1"}
    r = inside(trees / "init", "/bin/sh", "-c", RULES % restore)
    assert r.returncode == 0, r.stderr
    assert "-A OUTPUT -p tcp -j OSM_PROXY_OUTBOUND" in r.stdout
    assert "--dports 80,443 -j RETURN" in r.stdout
    assert "REDIRECT --to-ports 15001" in r.stdout


def test_init_without_nf_tables_takes_the_older_interface(trees):
    """A kernel without nf_tables, played by a program that fails as iptables does there."""
    program = trees / "init/usr/sbin/xtables-nft-multi"
    whole = program.read_bytes()
    try:
        program.write_text("#!/bin/sh\necho 'Could not fetch rule set generation id' >&2\nexit 4\n")
        r = inside(trees / "init", "iptables", "--version")
    finally:
        program.write_bytes(whole)
    assert r.returncode == 0 and "legacy" in r.stdout


def test_what_is_missing_is_said(tmp_path):
    r = oci("--out", tmp_path, "osm-nothing", status=1)
    assert 'there is no image "osm-nothing"; there are osm-controller' in r.stderr
    r = oci("--out", tmp_path, "--build", tmp_path, "osm-controller", status=1)
    assert r.stderr.endswith("osm-controller: there is no such program; build it first\n")


def stages():
    """The stages of the Dockerfile: name -> instructions."""
    found = {}
    for line in (TOP / "images/Dockerfile").read_text().replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.rsplit(" AS ", 1)[1]
            found[name] = {"FROM": rest.split(" ")[0]}
        elif word.isupper():
            found[name][word] = rest
    return found


def test_dockerfile_says_the_same():
    dockerfile = stages()
    assert list(dockerfile)[0] == "build"
    ours = [name for name, image in IMAGES.items() if "ref" not in image]
    assert set(dockerfile) - {"build"} == set(ours)
    assert set(dockerfile["build"]["RUN"].split("--out /images")[1].split()) == set(ours)
    for name in ours:
        stage = dict(dockerfile[name])
        assert stage.pop("FROM") == "scratch"
        assert stage.pop("COPY") == f"--from=build /images/{name} /"
        assert stage.pop("USER") == IMAGES[name]["user"]
        assert json.loads(stage.pop("ENTRYPOINT", "null")) == IMAGES[name].get("entrypoint")
        assert json.loads(stage.pop("CMD", "null")) == IMAGES[name].get("command")
        assert not stage
