"""TrafficSplits: the measured share of each version, through real Envoys.

Shares are measured twice. The first may be repeated until the split has reached the sidecar; the
second must be right at once, so that repeating doesn't help a share that is a little off. A right
one fails once in 500 million times (six standard deviations of 400 calls: 15 of 100 at a share of
a half, 13 at a quarter); one that is off by twice that is taken for right as rarely. Where all calls
go to one version there is nothing to estimate, and few calls do.
"""
import json
import math

import pytest

import manifests as m
from mesh import eventually

ANY = m.route_group("shop", "any", [{"name": "all", "pathRegex": ".*"}])
RULES = [{"kind": "HTTPRouteGroup", "name": "any", "matches": ["all"]},
         {"kind": "TCPRoute", "name": "tcp"}]
N = 400


@pytest.fixture(scope="module")
def mesh(new_mesh):
    mesh = new_mesh("splits")
    objects = [m.namespace("shop"), m.namespace("town")]
    for v in ("v1", "v2"):
        objects += m.echo("shop", v, labels={"set": "all"})
        objects.append(m.service("shop", v, {"app": v}, m.echo_ports()))
    objects.append(m.service("shop", "apex", {"set": "all"}, m.echo_ports()))
    objects += m.client("town", "alice")
    m.write(mesh.dir / "apps.yaml", *objects)
    m.write(mesh.dir / "policy.yaml", m.mesh_config(), ANY, m.tcp_route("shop", "tcp"),
            *[m.traffic_target("shop", v, v, ["town/alice"], RULES) for v in ("v1", "v2")])
    mesh.up()
    yield mesh
    mesh.down()


def shares(mesh, protocol="http", count=N, host="apex.shop", **options):
    """How often each version answered."""
    return mesh.call("town/alice", protocol, host, m.ECHO_PORTS[protocol], count=count, **options)


def split(mesh, weights, **more):
    m.write(mesh.dir / "split.yaml", m.traffic_split("shop", "split", "apex", weights, **more))


def within(n, total, share):
    return abs(n - total * share) <= 6 * math.sqrt(total * share * (1 - share)) + 1e-9


def split_as(seen, expected):
    return sum(seen.values()) == N and all(within(seen.get(v, 0), N, share)
                                           for v, share in expected.items())


def becomes(mesh, expected, protocol="http"):
    """The shares come to what is expected, and stay so; every call is answered."""
    eventually(lambda: (split_as(seen := shares(mesh, protocol), expected), seen))
    seen = shares(mesh, protocol)
    assert split_as(seen, expected), seen


def all_go_to(mesh, version, protocol="http", **options):
    eventually(lambda: ((seen := shares(mesh, protocol, count=50, **options)) == {version: 50}, seen))


@pytest.mark.parametrize("protocol", ["http", "h2", "tcp"])
@pytest.mark.parametrize("v1", [100, 75, 50, 0])
def test_each_version_gets_its_share(mesh, protocol, v1):
    split(mesh, {"v1": v1, "v2": 100 - v1})
    becomes(mesh, {"v1": v1 / 100, "v2": 1 - v1 / 100}, protocol)


def test_weights_need_not_add_up_to_a_hundred(mesh):
    split(mesh, {"v1": 1, "v2": 3})
    becomes(mesh, {"v1": 0.25, "v2": 0.75})


def test_the_apex_may_be_its_own_backend(mesh):
    split(mesh, {"apex": 1, "v2": 1})
    becomes(mesh, {"v1": 0.25, "v2": 0.75})


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_a_backend_that_is_an_apex_takes_the_calls_itself(mesh, protocol):
    """Splits don't chain: v1's own split sends all to v2, and only calls to v1 know of it."""
    m.write(mesh.dir / "chained.yaml", m.traffic_split("shop", "chained", "v1", {"v2": 1}))
    split(mesh, {"v1": 1, "v2": 3})
    all_go_to(mesh, "v2", protocol, host="v1.shop")
    becomes(mesh, {"v1": 0.25, "v2": 0.75}, protocol)
    (mesh.dir / "chained.yaml").unlink()
    all_go_to(mesh, "v1", protocol, host="v1.shop")
    becomes(mesh, {"v1": 0.25, "v2": 0.75}, protocol)


def test_splits_that_name_each_other(mesh):
    """Nor do they go round in circles."""
    m.write(mesh.dir / "chained.yaml", m.traffic_split("shop", "there", "v1", {"v2": 1}),
            m.traffic_split("shop", "back", "v2", {"v1": 1}))
    for here, there in (("v1", "v2"), ("v2", "v1")):
        all_go_to(mesh, there, host=f"{here}.shop")
    becomes(mesh, {"v1": 0.25, "v2": 0.75})
    (mesh.dir / "chained.yaml").unlink()
    all_go_to(mesh, "v1", host="v1.shop")


def test_a_weight_of_nothing_beside_others(mesh):
    split(mesh, {"v1": 0, "apex": 1, "v2": 1})
    becomes(mesh, {"v1": 0.25, "v2": 0.75})
    split(mesh, {"v1": 1, "apex": 0, "v2": 0})
    becomes(mesh, {"v1": 1, "v2": 0})


def test_a_missing_backend_leaves_the_others_and_is_reported(mesh):
    split(mesh, {"v1": 1, "nowhere": 1})
    all_go_to(mesh, "v1")
    eventually(lambda: (any("nowhere" in f["text"] for f in mesh.status()["findings"]),
                        mesh.status()["findings"]))


def test_only_what_matches_is_split(mesh):
    m.write(mesh.dir / "canary.yaml", m.route_group("shop", "canary", [
        {"name": "testers", "headers": [{"x-tester": "yes"}]}]))
    split(mesh, {"v2": 1}, matches=["canary"])
    all_go_to(mesh, "v2", headers=["x-tester:yes"])
    seen = shares(mesh, headers=["x-tester:no"])
    assert split_as(seen, {"v1": 0.5, "v2": 0.5}), seen


def test_weights_that_sum_to_nothing_are_refused_and_change_nothing(mesh):
    split(mesh, {"v1": 0, "v2": 1})
    all_go_to(mesh, "v2")
    split(mesh, {"v1": 0, "v2": 0})
    found = eventually(lambda: (found := [f for f in mesh.status()["findings"]
                                          if f["level"] == "error" and "weight" in f["text"]],
                                found))
    assert "split.yaml" in json.dumps(found)
    assert shares(mesh, count=50) == {"v2": 50}


def test_without_a_split_the_apex_is_a_service_like_any(mesh):
    (mesh.dir / "split.yaml").unlink()
    becomes(mesh, {"v1": 0.5, "v2": 0.5})
