"""Who may call whom, and where calls go: what SMI objects and the MeshConfig say is what happens."""
import collections
import json

import pytest

import manifests as m
from kubectl import eventually
from mesh import Caller, route_group, split, tcp_route, traffic_target

CALLS = 100
GROUP = {"kind": "HTTPRouteGroup", "name": "routes"}


@pytest.fixture(scope="module")
def shop(new_shop):
    return new_shop("shop-client", "shop")


def test_permissive_mode_allows_all_in_the_mesh(shop, kubectl, new_namespace):
    body = shop.gets("http://httpbin.shop/headers", 200)
    # Two sidecars were on the way; the second knows the first by its certificate.
    assert "X-Request-Id" in json.loads(body)["headers"]
    stranger = new_namespace("stranger")
    kubectl.apply(m.client(), namespace=stranger)
    kubectl.ready(stranger, "pod/client")
    assert Caller(kubectl, stranger, "client").get("http://httpbin.shop/get")[0] == 0


def test_smi_denies_and_allows(shop, kubectl, mesh):
    shop.gets("http://httpbin.shop/get", 200)
    with mesh.smi_mode():
        shop.is_refused("http://httpbin.shop/get")
        kubectl.apply(
            route_group("routes", "shop", {"name": "get", "pathRegex": "/get", "methods": ["GET"]}),
            traffic_target("allow", "shop", ("shop-client", "client"), "httpbin",
                           {**GROUP, "matches": ["get"]}))
        shop.gets("http://httpbin.shop/get", 200)
        shop.gets("http://httpbin.shop/headers", 403)
        shop.gets("http://httpbin.shop/get", 403, "-X", "POST")
        kubectl("-n", "shop", "delete", "traffictarget", "allow")
        shop.is_refused("http://httpbin.shop/get")
    shop.gets("http://httpbin.shop/headers", 200)


def test_headers_of_route_groups(shop, kubectl, mesh):
    with mesh.smi_mode():
        shop.is_refused("http://httpbin.shop/get")
        kubectl.apply(
            route_group("routes", "shop", {"name": "beta", "pathRegex": "/get", "methods": ["GET"],
                                           "headers": [{"x-beta": "(yes|true)"}]}),
            traffic_target("allow", "shop", ("shop-client", "client"), "httpbin", GROUP | {
                "matches": ["beta"]}))
        shop.gets("http://httpbin.shop/get", 200, "-H", "x-beta: yes")
        assert shop.get("http://httpbin.shop/get")[0] == 403
        assert shop.get("http://httpbin.shop/get", "-H", "x-beta: yesterday")[0] == 403


def test_tcp(shop, kubectl, mesh):
    kubectl.apply(m.account("echo"),
                  m.deployment("echo", "test/curl:1", account="echo",
                               command=["nc", "-ll", "-p", "9000", "-e", "cat"]),
                  m.service("echo", {"app": "echo"},
                            {"name": "tcp", "port": 9000, "appProtocol": "tcp"}), namespace="shop")
    kubectl.ready("shop", "deployment/echo")
    says = lambda: shop.says_tcp("echo.shop", 9000, "hello")  # noqa: E731
    eventually(lambda: says() == "hello")
    with mesh.smi_mode():
        eventually(lambda: says() == "")
        kubectl.apply(tcp_route("ports", "shop", 9000),
                      traffic_target("tcp", "shop", ("shop-client", "client"), "echo",
                                     {"kind": "TCPRoute", "name": "ports"}))
        eventually(lambda: says() == "hello")


def shares(shop, url):
    """How many of the calls each deployment answered."""
    script = f"for i in $(seq {CALLS}); do curl -sS -m 10 {url}; done"
    said = shop.kubectl.execute(shop.namespace, shop.pod, "sh", "-c", script, container="app")
    names = [x.split('"')[3].rsplit("-", 2)[0] for x in said.splitlines() if "hostname" in x]
    return collections.Counter(names)


def test_splits(shop, kubectl):
    for version in ("v1", "v2"):
        kubectl.apply(*m.httpbin(f"split-{version}"), namespace="shop")
    kubectl.apply(m.service("split", {"app": "split-v1"},
                            {"name": "http", "port": 80, "targetPort": 8080}), namespace="shop")
    kubectl.ready("shop", "deployment/split-v1", "deployment/split-v2")
    url = "http://split.shop/hostname"
    shop.gets(url, 200)
    kubectl.apply(split("split", "shop", "split.shop", split_v1=0, split_v2=100))
    eventually(lambda: shares(shop, url) == {"split-v2": CALLS})
    kubectl.apply(split("split", "shop", "split", split_v1=50, split_v2=50))
    # 100 fair tosses fall outside of 20..80 once in 10 million times.
    eventually(lambda: 20 <= shares(shop, url)["split-v1"] <= 80)
    kubectl.apply(split("split", "shop", "split", split_v1=100, split_v2=0))
    eventually(lambda: shares(shop, url) == {"split-v1": CALLS})
    kubectl("-n", "shop", "delete", "trafficsplit", "split")
    eventually(lambda: shares(shop, url) == {"split-v1": CALLS})


def test_egress_is_the_meshs_choice(shop, kubectl, mesh, new_namespace):
    """What isn't in the mesh can be called while egress is allowed, and can't when it isn't."""
    outside = new_namespace("outside")
    kubectl.apply(*m.httpbin(), namespace=outside)
    kubectl.ready(outside, "deployment/httpbin")
    shop.gets("http://httpbin.outside/get", 200)
    mesh.configure({"traffic": {"enableEgress": False}})
    try:
        shop.is_refused("http://httpbin.outside/get")
    finally:
        mesh.configure({"traffic": {"enableEgress": True}})
    shop.gets("http://httpbin.outside/get", 200)
