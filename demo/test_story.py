"""The story itself, as `./run demo` tells it."""
import os
import pathlib
import secrets
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ["OSM_BUILD"])


def test_all_of_the_story_holds():
    done = subprocess.run([sys.executable, HERE / "story.py", "--osm", BUILD / "src/cli/osm",
                           "--envoy", os.environ["OSM_ENVOY"], "--apps", BUILD / "demo",
                           "--patient", "--name", f"bookstore-{secrets.token_hex(4)}"],
                          text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as expected" in done.stdout and "NOT AS EXPECTED" not in done.stdout
