"""Certificates near their end are renewed, and no call fails. The controller begins with a wall clock
that is behind, so what it issues is well on in its life for everybody else; then its clock is set
right, as when the node's is."""
import json
import os
import pathlib
import shutil
import struct
import time
from datetime import datetime

import pytest

import manifests as m
from kubectl import eventually
from load import Load
from mesh import NAMESPACE, Caller

MODULE = pathlib.Path(os.environ["OSM_BUILD"]) / "test/bench/swarm/clock_ahead.so"
DEPLOYMENT = ("-n", NAMESPACE, "deployment/osm-controller")
VALIDITY = "1h"
BEHIND_S = 50 * 60
# The rest of an hour at which a certificate is due, and a minute.
NEAR_S = 21 * 60
CALLS = 2000


class Clock:
    """What the controller's clock is ahead by, in a file that it reads each time."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.file = folder, folder / "ahead"
        shutil.copy(MODULE, folder)
        self.file.write_bytes(bytes(8))

    def set(self, seconds):
        with open(self.file, "r+b") as f:
            f.write(struct.pack("=q", seconds))

    def patch(self):
        """What gives it to the controller's pods."""
        env = {"OSM_CLOCK_AHEAD": f"/clock/{self.file.name}", "LD_PRELOAD": f"/clock/{MODULE.name}"}
        return {"spec": {"template": {"spec": {
            "volumes": [{"name": "clock", "hostPath": {"path": str(self.folder),
                                                       "type": "Directory"}}],
            "containers": [{"name": "osm-controller",
                            "env": [{"name": k, "value": v} for k, v in env.items()],
                            "volumeMounts": [{"name": "clock", "mountPath": "/clock",
                                              "readOnly": True}]}]}}}}


def replaced(kubectl, kind, patch):
    """Waits until no controller is left that was there before its template's change."""
    old = kubectl("-n", NAMESPACE, "get", "pods", "-l", "app=osm-controller", "-o", "name").split()
    kubectl("-n", NAMESPACE, "patch", "deployment", "osm-controller", f"--type={kind}", "-p",
            json.dumps(patch))
    kubectl.ready(NAMESPACE, "deployment/osm-controller")
    kubectl("-n", NAMESPACE, "wait", "--for=delete", *old, "--timeout=300s")


@pytest.fixture
def clock(cluster, kubectl, mesh):
    """The controller's clock, which is behind."""
    config = mesh.config()["certificate"]
    template = kubectl.json("get", *DEPLOYMENT)["spec"]["template"]
    made = Clock(cluster.root / "clock")
    made.set(-BEHIND_S)
    try:
        mesh.configure({"certificate": {"serviceCertValidityDuration": VALIDITY}})
        replaced(kubectl, "strategic", made.patch())
        yield made
    finally:
        mesh.configure({"certificate": config})
        replaced(kubectl, "json", [{"op": "replace", "path": "/spec/template", "value": template}])


def pods(kubectl, ns):
    return [p["metadata"]["name"] for p in kubectl.items("-n", ns, "pods")]


def ends(mesh, ns, pod):
    """When the certificates end that a sidecar shows to others, by serial number; that for the
    controller is another one."""
    listed = json.loads(mesh.osm("proxy", "get", "certs", pod, "-n", ns).stdout)["certificates"]
    return {chain["serial_number"]: datetime.fromisoformat(
                chain["expiration_time"].replace("Z", "+00:00")).timestamp()
            for c in listed for chain in c["cert_chain"]
            if not any("/sidecar/" in n.get("uri", "") for n in chain["subject_alt_names"])}


def near_their_end(mesh, ns, pod):
    """Waits until a sidecar has what the controller issues whose clock is behind; when it ends."""
    def seen():
        found = ends(mesh, ns, pod)
        assert found and max(found.values()) < time.time() + NEAR_S, found
        return found
    return eventually(seen)


def renewed(mesh, ns, pod, before):
    """Waits until a sidecar shows only others than those before, which have long to go."""
    def seen():
        found = ends(mesh, ns, pod)
        assert found and not set(found) & set(before), found
        assert min(found.values()) > time.time() + NEAR_S, found
        return found
    eventually(seen)


def test_certificates_of_sidecars_near_their_end(clock, joined, kubectl, mesh):
    ns = joined("clock")
    kubectl.apply(*m.httpbin(), m.client(), namespace=ns)
    kubectl.ready(ns, "deployment/httpbin", "pod/client")
    Caller(kubectl, ns, "client").gets("http://httpbin/get", 200)
    before = {pod: near_their_end(mesh, ns, pod) for pod in pods(kubectl, ns)}
    assert len(before) == 2
    with Load(kubectl, ns, "client", "http://httpbin/get") as load:
        clock.set(0)
        for pod, found in before.items():
            renewed(mesh, ns, pod, found)
        load.reaches(load.answered() + CALLS)
    assert load.failed == 0, load.text[-4000:]
    assert load.succeeded >= CALLS
