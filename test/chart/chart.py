"""The chart as a client sees it: rendered by helm, without a cluster."""
import functools
import json
import os
import pathlib
import subprocess

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
CHART = TOP / "charts/osm"
HELM = os.environ["OSM_HELM"]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
# What a server of the newest supported version has, which helm asks it for on an install.
GUARD = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


class Refused(Exception):
    """What helm said."""


@functools.cache
def helm(*arguments):
    """What helm prints; asked the same again, it would say the same."""
    r = subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, check=False)
    if r.returncode != 0:
        raise Refused(r.stderr + r.stdout)
    return r.stdout


def nested(path, value):
    """{"osm": {"image": {"tag": value}}} of "osm.image.tag"."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def render(*values, kube="1.37.0", namespace="osm-system", more=()):
    """All documents of the chart, hooks too, with (path, value) set."""
    sets = [word for path, value in values for word in ("--set-json", f"{path}={json.dumps(value)}")]
    text = helm("template", "osm", CHART, "--namespace", namespace, "--kube-version", kube, *sets,
                *more)
    return [d for d in yaml.safe_load_all(text) if d]


def by_name(documents):
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


def pod_specs(documents):
    """(name, pod template) of everything that makes pods."""
    for d in documents:
        if d["kind"] in ("Deployment", "Job"):
            yield d["metadata"]["name"], d["spec"]["template"]


def leaves(value, path=""):
    """Paths of all values that aren't maps; of empty maps too."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def at(value, path):
    for key in path.split("."):
        value = value[key]
    return value


def everything():
    """Values that turn on all that the chart can make."""
    return [("osm.deployPrometheus", True), ("osm.deployGrafana", True),
            ("osm.osmController.enablePodDisruptionBudget", True),
            ("osm.injector.enablePodDisruptionBudget", True),
            ("osm.osmController.autoScale.enable", True),
            ("osm.injector.autoScale.enable", True), ("osm.imagePullSecrets", [{"name": "pull"}]),
            ("osm.controlPlaneTolerations", [{"key": "control", "operator": "Exists"}])]
