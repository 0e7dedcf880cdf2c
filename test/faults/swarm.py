"""Runs the swarm (test/bench/swarm) beside a controller of these programs."""
import json
import os
import pathlib
import subprocess

BUILD = pathlib.Path(os.environ.get("OSM_BUILD", "build")).resolve()
SWARM, CONTROLLER = BUILD / "test/bench/swarm/swarm", BUILD / "src/daemon/osm-controller"
SMALL = ("--services", "3", "--pods", "2", "--rounds", "1")


def swarm(*args, controller=CONTROLLER, **more):
    return subprocess.run([SWARM, "--controller", controller, *args], capture_output=True, text=True,
                          timeout=600, **more)


def of(out, what):
    return [r for r in map(json.loads, out.stdout.splitlines()) if r["what"] == what]


def verified(out):
    last = json.loads(out.stdout.splitlines()[-1])
    assert last["what"] == "verified"
    return last


def wrapped(folder, script):
    """A controller with something in front of it."""
    wrapper = folder / "controller"
    wrapper.write_text("#!/bin/sh\n" + script)
    wrapper.chmod(0o755)
    return wrapper
