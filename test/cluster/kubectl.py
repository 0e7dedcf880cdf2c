"""kubectl for tests: values in, values out, errors that show what kubectl said."""
import functools
import json
import subprocess
import time

import pytest

TIMEOUT = 600


class KubectlError(AssertionError):
    """kubectl ended with an error; its output is the message."""


def eventually(what, seconds=180):
    """Repeats `what` until it returns something true, and returns that. What it raised last, or
    that it was never true, is the error in the end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = what()
            if seen:
                return seen
            error = AssertionError(f"still {seen!r} after {seconds} s")
        except AssertionError as e:
            error = e
        if time.monotonic() > deadline:
            raise error
        time.sleep(0.1)


class Kubectl:
    """kubectl(ARGS...) returns its output."""

    def __init__(self, cluster):
        self.cluster = cluster

    def try_(self, *args, input=None):
        """The finished process, whatever its outcome."""
        return self.cluster.kubectl(*args, input=input, text=True, capture_output=True,
                                    timeout=TIMEOUT)

    def __call__(self, *args, input=None):
        done = self.try_(*args, input=input)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *args):
        return json.loads(self(*args, "-o", "json"))

    @functools.cache
    def server_version(self):
        """"1.37.2"."""
        return self.json("version")["serverVersion"]["gitVersion"].removeprefix("v")

    def minor(self):
        """37 of 1.37.2."""
        return int(self.server_version().split(".")[1])

    def needs(self, minor, what):
        """Skips the test on a server that is too old to have something of Kubernetes' own."""
        if self.minor() < minor:
            pytest.skip(f"Kubernetes {self.server_version()} has no {what}: 1.{minor} has")

    def items(self, *args):
        return self.json("get", *args)["items"]

    def eventually(self, *args, seconds=180):
        """Repeats a command until it succeeds."""
        return eventually(lambda: self(*args) or "done", seconds)

    def apply(self, *objects, namespace=None):
        """Applies Python values, or the texts of manifests."""
        texts = [x if isinstance(x, str) else json.dumps(x) for x in objects]
        return self(*(["-n", namespace] if namespace else []), "apply", "-f", "-",
                    input="\n---\n".join(texts))

    def refused(self, *objects, namespace=None):
        """What the API server says to an object that it must refuse."""
        with_ns = ["-n", namespace] if namespace else []
        done = self.try_(*with_ns, "apply", "-f", "-", input="\n---\n".join(map(json.dumps, objects)))
        if done.returncode == 0:
            raise AssertionError(f"accepted: {done.stdout}")
        return done.stderr

    def ready(self, namespace, *workloads, seconds=300):
        """Waits until rollouts are complete and pods are ready ("deployment/x", "pod/y")."""
        waits = {}
        for workload in workloads:
            kind = workload.split("/")[0]
            if kind in ("deployment", "statefulset", "daemonset"):
                self("-n", namespace, "rollout", "status", workload, f"--timeout={seconds}s")
            else:
                waits.setdefault("Complete" if kind == "job" else "Ready", []).append(workload)
        for condition, names in waits.items():
            self("-n", namespace, "wait", f"--for=condition={condition}", *names,
                 f"--timeout={seconds}s")

    def serves(self, namespace, *services):
        """Waits until each service has a ready endpoint: that is known a moment after a pod is ready."""
        for service in services:
            eventually(lambda s=service: any(
                e.get("conditions", {}).get("ready") for found in self.items(
                    "-n", namespace, "endpointslices", "-l", f"kubernetes.io/service-name={s}")
                for e in found.get("endpoints") or ()))

    def execute(self, namespace, pod, *command, container=None, input=None):
        where = ["-c", container] if container else []
        return self("-n", namespace, "exec", *(["-i"] if input else []), pod, *where, "--",
                    *command, input=input)

    def curl(self, namespace, pod, url, *more, container=None):
        """(status code, body) of a call from inside a pod; code 0 when there was no answer."""
        where = ["-c", container] if container else []
        done = self.try_("-n", namespace, "exec", pod, *where, "--", "curl", "-sS", "-m", "10",
                         "-w", "\n%{http_code}", *more, url)
        body, _, code = done.stdout.rpartition("\n")
        return (int(code) if code.isdigit() else 0), body + done.stderr


def summary(process):
    """A finished process, for a message."""
    assert isinstance(process, subprocess.CompletedProcess)
    return f"exit code {process.returncode}\n{process.stdout}{process.stderr}"
