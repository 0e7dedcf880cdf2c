"""Makes the archives of all images that a cluster loads: the project's, and those of the tests."""
import os
import pathlib
import subprocess
import sys

import programs

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("OSM_BUILD", TREE / "build"))
DESCRIPTIONS = (TREE / "images/images.yaml", HERE / "images.yaml")


class ImageError(Exception):
    """What oci.py said."""


def make():
    """The folder of archives."""
    folder = BUILD / "test-images"
    for description in DESCRIPTIONS:
        done = subprocess.run([sys.executable, TREE / "images/oci.py", "--description", description,
                               "--build", BUILD, "--root", programs.DEBIAN, "--root",
                               programs.CACHE, "--out", folder],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise ImageError(done.stderr)
    return folder
