"""Calls through real Envoys: every protocol, mode and policy has its allowed and its denied case."""
import json
import re

import pytest

import manifests as m
from mesh import eventually

PROTOCOLS = list(m.ECHO_PORTS)
HTTP = ["http", "h2", "grpc"]
TCP = ["tcp", "server-first"]


@pytest.fixture(scope="module")
def mesh(new_mesh):
    """One server, two clients, a pod without a sidecar; policy.yaml is what tests change."""
    mesh = new_mesh("traffic")
    objects = [m.namespace("shop"), m.namespace("town"), m.namespace("outside", inject=False)]
    objects += m.echo("shop", "server")
    objects += m.echo("shop", "other")
    objects += [m.service("shop", name, {"app": name}, m.echo_ports())
                for name in ("server", "other")]
    objects += [m.service("shop", "headless", {"app": "server"},
                          [{"name": "web", "port": 8001, "appProtocol": "http"}],
                          clusterIP="None")]
    objects += [m.service("shop", "six", {"app": "server"}, m.echo_ports(), ipFamilies=["IPv6"]),
                m.service("shop", "dual", {"app": "server"}, m.echo_ports(),
                          ipFamilyPolicy="PreferDualStack")]
    objects += m.client("town", "alice") + m.client("town", "mallory")
    objects += m.client("outside", "stranger")
    m.write(mesh.dir / "apps.yaml", *objects)
    # Sidecars have the log level that holds when their pod is made.
    m.write(mesh.dir / "policy.yaml", m.mesh_config(permissive=True,
                                                    sidecar={"logLevel": "warning"}))
    mesh.up()
    yield mesh
    mesh.down()


def policy(mesh, *objects):
    m.write(mesh.dir / "policy.yaml", *objects)


def call(mesh, who, protocol, host="server.shop", **options):
    return mesh.call(who, protocol, host, m.ECHO_PORTS[protocol], **options)


def allowed(mesh, who, protocol, **options):
    def attempt():
        seen = call(mesh, who, protocol, **options)
        return seen["ok"], seen
    return eventually(attempt)


REFUSED = {"http": 403, "h2": 403, "grpc": "PERMISSION_DENIED"}
UNANSWERED = ("DEADLINE_EXCEEDED", "UNAVAILABLE")


def denied(mesh, who, protocol, **options):
    """What answers first when the call works no longer is a refusal; an answer that doesn't come, as the
    connection ends when its listener goes, is none."""
    def attempt():
        seen = call(mesh, who, protocol, **options)
        answered = protocol in TCP or seen["status"] not in (None, *UNANSWERED)
        return not seen["ok"] and answered, seen
    seen = eventually(attempt)
    assert seen["status"] == REFUSED.get(protocol), seen
    return seen


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_permissive_mode_lets_everyone_in_the_mesh_call(mesh, protocol):
    policy(mesh, m.mesh_config(permissive=True))
    for who in ("town/alice", "town/mallory"):
        assert allowed(mesh, who, protocol)["name"] == "server"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_smi_mode_without_policy_lets_nobody_call(mesh, protocol):
    policy(mesh, m.mesh_config())
    for who in ("town/alice", "town/mallory"):
        denied(mesh, who, protocol)


ANY_HTTP = m.route_group("shop", "any", [{"name": "all", "pathRegex": ".*", "methods": ["*"]}])
HTTP_RULES = [{"kind": "HTTPRouteGroup", "name": "any", "matches": ["all"]}]
TCP_RULES = [{"kind": "TCPRoute", "name": "any"}]


def target(rules, sources=("town/alice",), name="one"):
    return m.traffic_target("shop", name, "server", list(sources), rules)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_traffic_target_lets_its_source_call_and_nobody_else(mesh, protocol):
    rules = HTTP_RULES if protocol in HTTP else TCP_RULES
    policy(mesh, m.mesh_config(), ANY_HTTP, m.tcp_route("shop", "any"), target(rules))
    assert allowed(mesh, "town/alice", protocol)["name"] == "server"
    denied(mesh, "town/mallory", protocol)
    denied(mesh, "town/alice", protocol, host="other.shop")


def test_an_http_target_gives_no_tcp_access_and_the_reverse(mesh):
    policy(mesh, m.mesh_config(), ANY_HTTP, target(HTTP_RULES))
    allowed(mesh, "town/alice", "http")
    for protocol in TCP:
        denied(mesh, "town/alice", protocol)
    policy(mesh, m.mesh_config(), m.tcp_route("shop", "any"), target(TCP_RULES))
    allowed(mesh, "town/alice", "tcp")
    for protocol in HTTP:
        denied(mesh, "town/alice", protocol)


def test_a_tcp_route_with_ports_opens_only_those(mesh):
    policy(mesh, m.mesh_config(), m.tcp_route("shop", "any", [m.ECHO_PORTS["tcp"]]),
           target(TCP_RULES))
    allowed(mesh, "town/alice", "tcp")
    denied(mesh, "town/alice", "server-first")


def test_paths_methods_and_headers_are_matched_by_the_server(mesh):
    group = m.route_group("shop", "any", [
        {"name": "read", "pathRegex": "/books/[0-9]+", "methods": ["GET", "HEAD"]},
        {"name": "agent", "pathRegex": "/agents", "headers": [{"user-agent": "agent-.*"}]}])
    rules = [{"kind": "HTTPRouteGroup", "name": "any", "matches": ["read", "agent"]}]
    policy(mesh, m.mesh_config(), group, target(rules))
    allowed(mesh, "town/alice", "http", path="/books/12")
    allowed(mesh, "town/alice", "http", path="/books/12?page=2")
    denied(mesh, "town/alice", "http", path="/books/12/pages")
    denied(mesh, "town/alice", "http", path="/x/books/12")
    denied(mesh, "town/alice", "http", path="/books/12", method="POST")
    denied(mesh, "town/alice", "http", path="/agents")
    allowed(mesh, "town/alice", "http", path="/agents", headers=["user-agent:agent-7"])


def test_paths_are_normalised_before_policy(mesh):
    group = m.route_group("shop", "any", [{"name": "all", "pathRegex": "/public/.*"}])
    policy(mesh, m.mesh_config(), group, target(HTTP_RULES))
    allowed(mesh, "town/alice", "http", path="/public/a")
    for path in ("/public/../private", "/public/%2e%2e/private", "//private", "/public/..%2fprivate"):
        seen = mesh.raw_http("town/alice", "server.shop", 8001, path)
        assert seen.split(b" ")[1] in (b"403", b"400", b"307"), (path, seen)


def test_overlapping_targets_add_up(mesh):
    """A call is allowed when any TrafficTarget allows it, whatever their order."""
    group = m.route_group("shop", "any", [{"name": "all", "pathRegex": ".*"},
                                          {"name": "books", "pathRegex": "/books"}])
    policy(mesh, m.mesh_config(), group,
           target([{"kind": "HTTPRouteGroup", "name": "any", "matches": ["books"]}],
                  ["town/alice"], "a"),
           target(HTTP_RULES, ["town/mallory"], "b"))
    allowed(mesh, "town/mallory", "http", path="/books")
    allowed(mesh, "town/alice", "http", path="/books")
    denied(mesh, "town/alice", "http", path="/films")


def test_the_host_header_opens_no_other_service(mesh):
    policy(mesh, m.mesh_config(), ANY_HTTP, target(HTTP_RULES))
    seen = allowed(mesh, "town/alice", "http", headers=["host:other.shop:8001"])
    assert seen["name"] == "server"


def test_a_client_without_a_sidecar_is_refused(mesh):
    policy(mesh, m.mesh_config(permissive=True))
    allowed(mesh, "town/alice", "http")
    ip = mesh.pod_of("shop/server")["ip"]
    for protocol in PROTOCOLS:
        seen = call(mesh, "outside/stranger", protocol, host=ip)
        assert not seen["ok"], seen


def test_headless_services_reach_their_pods(mesh):
    policy(mesh, m.mesh_config(permissive=True))
    assert allowed(mesh, "town/alice", "http", host="headless.shop")["name"] == "server"
    policy(mesh, m.mesh_config())
    denied(mesh, "town/alice", "http", host="headless.shop")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_split_may_go_to_a_headless_service(mesh, protocol):
    policy(mesh, m.mesh_config(permissive=True),
           m.service("shop", "pods", {"app": "server"}, m.echo_ports(), clusterIP="None"),
           m.traffic_split("shop", "all", "other", {"pods": 1}))

    def moved():
        seen = call(mesh, "town/alice", protocol, host="other.shop")
        return seen["name"] == "server", seen
    eventually(moved)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_services_with_ipv6_addresses(mesh, protocol):
    policy(mesh, m.mesh_config(permissive=True))
    assert allowed(mesh, "town/alice", protocol, host="six.shop")["name"] == "server"
    policy(mesh, m.mesh_config())
    denied(mesh, "town/alice", protocol, host="six.shop")


def test_a_dual_stack_service_answers_at_both_its_addresses(mesh):
    policy(mesh, m.mesh_config(permissive=True))
    for family in ("-4", "-6"):
        eventually(lambda f=family: (
            (done := mesh.execute("town/alice", "curl", "-sS", f, "http://dual.shop:8001/",
                                  check=False)).returncode == 0 and "server" in done.stdout,
            done.stdout + done.stderr))


def test_envoys_hold_no_refused_resource_and_no_warning(mesh):
    policy(mesh, m.mesh_config(), ANY_HTTP, m.tcp_route("shop", "any"), target(HTTP_RULES),
           target(TCP_RULES, name="two"))
    allowed(mesh, "town/alice", "http")

    def settled():
        pods = mesh.status()["pods"]
        return all(p["sidecar"] in ("-", "synced") for p in pods), pods
    pods = eventually(settled)
    for pod in pods:
        name = f"{pod['namespace']}/{pod['name']}"
        if pod["sidecar"] == "-":
            continue
        dump = mesh.proxy_get(name, "config_dump?include_eds")
        assert "error_state" not in dump, name
        log = mesh.logs(name, "envoy")
        bad = [line for line in log.splitlines()
               if "[warning]" in line or "[error]" in line or "[critical]" in line]
        assert not bad, bad
        resources = json.loads(dump)["configs"]
        listeners = next(c for c in resources if "ListenersConfigDump" in c["@type"])
        assert any(x["name"] == "outbound-listener" for x in listeners["dynamic_listeners"])


def test_a_sidecar_keeps_few_statistics_of_a_service(mesh):
    """What is called is counted; what says nothing isn't there, and listeners count together."""
    policy(mesh, m.mesh_config(permissive=True))
    allowed(mesh, "town/alice", "http")
    pod = mesh.pod_of("town/alice")
    text = mesh.proxy_get(f"town/{pod['name']}", "stats")
    found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    port = m.ECHO_PORTS["http"]
    called = f"cluster.shop/server|{port}"
    for name in (f"{called}.upstream_rq_completed", f"{called}.upstream_cx_total",
                 f"{called}.ssl.handshake", "listener.outbound.downstream_cx_total",
                 f"listener.outbound.http.rds-outbound.{port}.downstream_rq_completed"):
        assert int(found[name]) > 0, name
    assert f"{called}.circuit_breakers.default.remaining_rq" in found
    assert f"{called}.membership_healthy" in found
    unused = [n for n in found if re.search(r"\.(lb_subsets|lb_zone|ocsp_|high\.|rds\.)", n)
              or re.match(r"cluster\..+\.(update_|ssl\.certificate\.|client_ssl_|warming_state)", n)
              or n.startswith("http.rds-outbound.")]
    assert not unused
    assert not [n for n in found if n.startswith("listener.") and f"_{port}." in n]


def test_all_certificates_are_of_the_mesh_and_calls_are_mutual_tls(mesh):
    policy(mesh, m.mesh_config(permissive=True))
    allowed(mesh, "town/alice", "tcp")
    name = mesh.pod_of("shop/server")
    stats = mesh.proxy_get(f"shop/{name['name']}", "stats?filter=ssl.handshake")
    assert sum(int(line.split(": ")[1]) for line in stats.splitlines() if line) > 0
    certs = mesh.proxy_get(f"shop/{name['name']}", "certs")
    assert "spiffe://cluster.local/server/shop" in certs
