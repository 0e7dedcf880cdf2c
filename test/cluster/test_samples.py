"""The manifests that OSM's documentation publishes work as they stand (samples/), in its order."""
import collections
import json
import pathlib

import pytest

from kubectl import eventually
from mesh import Caller

SAMPLES = pathlib.Path(__file__).resolve().parent / "samples"


def sample(name):
    return (SAMPLES / f"{name}.yaml").read_text()


def counters(kubectl, namespace, deployment):
    """What a program of the bookstore counted so far."""
    text = kubectl.execute(namespace, f"deployment/{deployment}", "curl", "-sS",
                           "http://127.0.0.1:14002/counters", container=deployment)
    return collections.Counter(json.loads(text))


def grows(kubectl, who, counter):
    """Waits until a counter of a program grows. Its pod has no probe, so it may not listen yet."""
    before = eventually(lambda: counters(kubectl, who, who))
    eventually(lambda: counters(kubectl, who, who)[counter] > before[counter])


def is_still(kubectl, who, counter):
    """Waits until a counter stands still while the program goes on counting others."""
    def seen():
        first = counters(kubectl, who, who)
        later = eventually(lambda: (now := counters(kubectl, who, who)) != first and now)
        return later[counter] == first[counter]
    eventually(seen)


@pytest.fixture
def bookstore(kubectl, joined):
    """The bookstore, in permissive mode. The volume that mysql claims is one of the node's."""
    for name in ("bookstore", "bookbuyer", "bookthief", "bookwarehouse"):
        joined(name)
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "books"},
                   "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                            "persistentVolumeReclaimPolicy": "Retain",
                            "hostPath": {"path": "/run/books", "type": "DirectoryOrCreate"}}})
    kubectl.apply(*map(sample, ("bookbuyer", "bookthief", "bookstore", "bookwarehouse", "mysql")))
    for name in ("bookbuyer", "bookthief", "bookstore", "bookwarehouse"):
        kubectl.ready(name, f"deployment/{name}")
    kubectl.ready("bookwarehouse", "statefulset/mysql")
    yield kubectl
    kubectl("delete", "persistentvolume", "books", "--wait=false")


def test_bookstore(bookstore, mesh):
    kubectl = bookstore
    for who in ("bookbuyer", "bookthief"):
        grows(kubectl, who, "bought from bookstore-v1")
    with mesh.smi_mode():
        for who in ("bookbuyer", "bookthief"):
            is_still(kubectl, who, "bought")
        kubectl.apply(sample("traffic-access-v1"))
        grows(kubectl, "bookbuyer", "bought from bookstore-v1")
        is_still(kubectl, "bookthief", "bought")
        kubectl.apply(sample("traffic-access-v1-allow-bookthief"))
        grows(kubectl, "bookthief", "bought from bookstore-v1")
        kubectl.apply(sample("traffic-access-v1"))
        is_still(kubectl, "bookthief", "bought")
        kubectl.apply(sample("bookstore-v2"))
        kubectl.ready("bookstore", "deployment/bookstore-v2")
        kubectl.apply(sample("traffic-split-v1"))
        grows(kubectl, "bookbuyer", "bought from bookstore-v1")
        kubectl.apply(sample("traffic-split-50-50"))
        grows(kubectl, "bookbuyer", "bought from bookstore-v2")
        grows(kubectl, "bookbuyer", "bought from bookstore-v1")
        kubectl.apply(sample("traffic-split-v2"))
        is_still(kubectl, "bookbuyer", "bought from bookstore-v1")
        grows(kubectl, "bookbuyer", "bought from bookstore-v2")


def test_httpbin_and_curl(kubectl, joined):
    joined("httpbin")
    joined("curl")
    kubectl.apply(sample("httpbin"), namespace="httpbin")
    kubectl.apply(sample("curl"), namespace="curl")
    kubectl.ready("httpbin", "deployment/httpbin")
    kubectl.ready("curl", "deployment/curl")
    Caller(kubectl, "curl", "deployment/curl", "curl").gets("http://httpbin.httpbin:14001/get", 200)


def test_tcp_echo(kubectl, joined):
    joined("tcp-demo")
    joined("curl")
    kubectl.apply(sample("tcp-echo"))
    kubectl.apply(sample("curl"), namespace="curl")
    kubectl.ready("tcp-demo", "deployment/tcp-echo")
    kubectl.ready("curl", "deployment/curl")
    caller = Caller(kubectl, "curl", "deployment/curl", "curl")
    eventually(lambda: caller.says_tcp("tcp-echo.tcp-demo", 9000, "hello") == "hello")
