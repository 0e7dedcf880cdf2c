"""Helm, of the programs that the cluster tests build too; OSM_HELM names another."""
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))


def pytest_configure(config):
    if not os.environ.get("OSM_HELM"):
        import programs
        programs.get(["helm"])
        os.environ["OSM_HELM"] = str(programs.BIN / "helm")
