"""Meshes for tests, each in its own state folder."""
import contextlib
import os
import pathlib
import random
import secrets
import socket

import pytest

from mesh import OSM, Mesh


def free_port():
    """Below the ports that outgoing connections get; another run of the tests may be about."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("0.0.0.0", port))
            return port


@pytest.fixture(scope="module")
def new_mesh(tmp_path_factory):
    """Makes meshes of names that none had before, also not in a run that was killed and left things;
    those that a test leaves are ended."""
    made = []

    def make(kind):
        folder = tmp_path_factory.mktemp(kind)
        (folder / "manifests").mkdir()
        name = f"{kind}-{secrets.token_hex(4)}"
        # Unix sockets' paths are short, temporary folders' aren't.
        mesh = Mesh(name, folder / "manifests", pathlib.Path(f"/run/osm-test-{name}"))
        mesh.port = free_port()
        made.append(mesh)
        return mesh

    yield make
    for mesh in made:
        mesh.osm("down", check=False)


def pytest_report_header(config):
    return f"osm: {OSM}, Envoy: {os.environ.get('OSM_ENVOY')}"


def pytest_sessionstart(session):
    """No test is skipped: what is missing is said at once."""
    missing = [str(p) for p in (OSM, pathlib.Path(os.environ.get("OSM_ENVOY", "?")))
               if not p.is_file()]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        raise pytest.UsageError(f"the local tests need {', '.join(missing)}")
