"""TrafficSplits: the measured share of each version, through real Envoys."""
import json
import math

import pytest

import manifests as m
from test_traffic import eventually

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


def shares(mesh, protocol="http", count=N, **options):
    return mesh.call("town/alice", protocol, "apex.shop", m.ECHO_PORTS[protocol], count=count,
                     **options)


def split(mesh, weights, **more):
    m.write(mesh.dir / "split.yaml", m.traffic_split("shop", "split", "apex", weights, **more))


def within(n, total, share):
    """Six standard deviations: wrong once in 500 million runs."""
    return abs(n - total * share) <= 6 * math.sqrt(total * share * (1 - share)) + 1e-9


@pytest.mark.parametrize("protocol", ["http", "h2", "tcp"])
@pytest.mark.parametrize("v1", [100, 75, 50, 0])
def test_each_version_gets_its_share(mesh, protocol, v1):
    split(mesh, {"v1": v1, "v2": 100 - v1})

    def as_told():
        seen = shares(mesh, protocol)
        good = sum(seen.values()) == N and all(
            within(seen.get(v, 0), N, w / 100) for v, w in (("v1", v1), ("v2", 100 - v1)))
        return good, seen
    eventually(as_told, 60)


def test_weights_need_not_add_up_to_a_hundred(mesh):
    split(mesh, {"v1": 1, "v2": 3})
    eventually(lambda: (within((seen := shares(mesh)).get("v1", 0), N, 0.25), seen), 60)


def test_the_apex_may_be_its_own_backend(mesh):
    split(mesh, {"apex": 1, "v2": 1})
    eventually(lambda: (within((seen := shares(mesh)).get("v1", 0), N, 0.25), seen), 60)


def test_a_missing_backend_leaves_the_others_and_is_reported(mesh):
    split(mesh, {"v1": 1, "nowhere": 1})
    eventually(lambda: ((seen := shares(mesh, count=50)) == {"v1": 50}, seen))
    eventually(lambda: (any("nowhere" in f["text"] for f in mesh.status()["findings"]),
                        mesh.status()["findings"]))


def test_only_what_matches_is_split(mesh):
    m.write(mesh.dir / "canary.yaml", m.route_group("shop", "canary", [
        {"name": "testers", "headers": [{"x-tester": "yes"}]}]))
    split(mesh, {"v2": 1}, matches=["canary"])
    eventually(lambda: ((seen := shares(mesh, count=50, headers=["x-tester:yes"])) == {"v2": 50},
                        seen))
    seen = shares(mesh, headers=["x-tester:no"])
    assert within(seen.get("v2", 0), N, 0.5), seen


def test_weights_that_sum_to_nothing_are_refused_and_change_nothing(mesh):
    split(mesh, {"v1": 0, "v2": 1})
    eventually(lambda: ((seen := shares(mesh, count=50)) == {"v2": 50}, seen))
    split(mesh, {"v1": 0, "v2": 0})
    found = eventually(lambda: (found := [f for f in mesh.status()["findings"]
                                          if f["level"] == "error" and "weight" in f["text"]],
                                found))
    assert "split.yaml" in json.dumps(found)
    assert shares(mesh, count=50) == {"v2": 50}


def test_without_a_split_the_apex_is_a_service_like_any(mesh):
    (mesh.dir / "split.yaml").unlink()
    eventually(lambda: (within((seen := shares(mesh)).get("v1", 0), N, 0.5), seen), 60)
