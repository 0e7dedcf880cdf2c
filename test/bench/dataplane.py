"""What our configuration costs requests: two sidecars against the barest pair of Envoys.

Four pods of `osm local`, all on one bridge: a client and a server with sidecars under SMI policy, and
a client and a server whose Envoys have nothing but mutual TLS and one route. Client and server run
the same programs in both pairs (an Envoy that answers at once, wrk or h2load), and the pairs take
turns, so that what the machine does meanwhile hits both.

A request's cost is the CPU time of the two proxies; requests a second per core is its inverse, and
doesn't depend on how the load generator and the server share the cores with them."""
import json
import os
import pathlib
import re
import statistics
import subprocess

import manifests as m

PORT, BARE_IN, BARE_OUT = 9000, 9001, 9002
SECONDS, CONNECTIONS, STREAMS = 4, 16, 4


def listener(port, filters, transport=None):
    chain = {"filters": filters, **({"transport_socket": transport} if transport else {})}
    return {"name": str(port), "filter_chains": [chain],
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}}}


def connection_manager(route):
    return [{"name": "hcm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
                 ".HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, **route}]}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]


def tls(folder, side):
    """Both ends show a certificate and check the other's."""
    kind = "UpstreamTlsContext" if side == "client" else "DownstreamTlsContext"
    context = {"@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}",
               "common_tls_context": {
                   "tls_certificates": [{"certificate_chain": {"filename": f"{folder}/cert.pem"},
                                         "private_key": {"filename": f"{folder}/key.pem"}}],
                   "validation_context": {"trusted_ca": {"filename": f"{folder}/cert.pem"}}}}
    if side == "server":
        context["require_client_certificate"] = True
    return {"name": "tls", "typed_config": context}


def cluster(host, port, transport=None):
    """Speaks to the upstream what the downstream spoke, as sidecars do."""
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"name": "up", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": "up", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address}}]}]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3"
                             ".HttpProtocolOptions",
                    "use_downstream_protocol_config": {"http2_protocol_options": {}}}},
            **({"transport_socket": transport} if transport else {})}


def envoy_config(path, listeners, clusters=()):
    path.write_text(json.dumps({"static_resources": {"listeners": listeners,
                                                     "clusters": list(clusters)}}))
    return path


def self_signed(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)


def configs(folder, bare_server):
    """The server's program, and the bare pair; the client's needs the server's address."""
    answer = {"direct_response": {"status": 200, "body": {"inline_string": "x" * 128}}}
    app = envoy_config(folder / "app.json", [listener(PORT, connection_manager(answer))])
    route = connection_manager({"route": {"cluster": "up", "timeout": "0s"}})
    bare_in = envoy_config(folder / "bare-in.json", [listener(BARE_IN, route, tls(folder, "server"))],
                           [cluster("127.0.0.1", PORT)])
    bare_out = envoy_config(folder / "bare-out.json", [listener(BARE_OUT, route)],
                            [cluster(bare_server or "127.0.0.1", BARE_IN, tls(folder, "client"))])
    return app, bare_in, bare_out


def envoy_container(name, config):
    return {"name": name, "image": "bench/envoy",
            "args": ["--log-level", "error", "--use-dynamic-base-id", "-c", str(config)]}


def with_containers(workload, *containers):
    workload["spec"]["template"]["spec"]["containers"] = list(containers)
    return workload


def pods(folder):
    """All but the bare client."""
    app, bare_in, _ = configs(folder, None)
    server = with_containers(m.deployment("shop", "server", "server", ""),
                             envoy_container("app", app))
    bare = with_containers(m.deployment("bare", "server", "server", ""),
                           envoy_container("app", app), envoy_container("proxy", bare_in))
    return [m.namespace("shop"), m.namespace("bare", inject=False), m.account("shop", "server"),
            m.account("bare", "server"), server, bare,
            m.service("shop", "server", {"app": "server"}, [{"name": "http", "port": PORT}]),
            *m.client("shop", "client"),
            m.route_group("shop", "all", [{"name": "all", "pathRegex": ".*", "methods": ["GET"]}]),
            m.traffic_target("shop", "all", "server", ["shop/client"],
                             [{"kind": "HTTPRouteGroup", "name": "all"}])]


def bare_client(folder, server):
    _, _, bare_out = configs(folder, server)
    return [m.account("bare", "client"),
            with_containers(m.deployment("bare", "client", "client", ""),
                            {"name": "app", "image": "test/sleep", "args": ["infinity"]},
                            envoy_container("proxy", bare_out))]


def proxies_of(mesh, namespace, pod_ips):
    """Process numbers of the two proxies of a pair: in the pods' network namespaces, by their
    command lines."""
    want = {"shop": "bootstrap.yaml", "bare": "bare-"}[namespace]
    found = []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (proc / "cmdline").read_bytes().decode().split("\0")
            net = (proc / "net/fib_trie").read_text()
        except OSError:
            continue
        if "envoy" in line[0] and any(want in x for x in line) and any(
                re.search(rf"\b{re.escape(ip)}\b", net) for ip in pod_ips):
            found.append(int(proc.name))
    assert len(found) == 2, f"{namespace}: expected two proxies, found {found}"
    return found


def cpu_s(pids):
    """Of all threads, to the nanosecond (/proc/PID/task/TID/schedstat)."""
    return sum(int(t.read_text().split()[0]) for pid in pids
               for t in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def wrk(mesh, who, url):
    out = mesh.execute(who, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency",
                       url).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return (int(re.search(r"(\d+) requests in", out)[1]),
            milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", out)[1]),
            milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", out)[1]))


def h2load(mesh, who, url, log):
    """Its log has a line a request: start, status, microseconds."""
    out = mesh.execute(who, "h2load", "-t1", f"-c{CONNECTIONS // STREAMS}", f"-m{STREAMS}",
                       f"-D{SECONDS}", f"--log-file={log}", url).stdout
    assert re.search(r", 0 failed, 0 errored, 0 timeout", out), out
    times = sorted(int(line.split("\t")[2]) / 1000 for line in open(log))
    os.unlink(log)
    return len(times), times[len(times) // 2], times[len(times) * 99 // 100]


def measure(mesh, pair, protocol, folder):
    who, url, pids = pair
    before = cpu_s(pids)
    count, p50, p99 = (wrk(mesh, who, url) if protocol == "HTTP/1.1" else
                       h2load(mesh, who, url, folder / "h2load.log"))
    return count / (cpu_s(pids) - before), p50, p99


def compare(mesh, pairs, protocol, rounds, say):
    runs = {name: [] for name in pairs}
    for turn in range(rounds + 1):
        for name, pair in pairs.items():
            run = measure(mesh, pair, protocol, mesh.dir)
            if turn > 0:  # the first warms up
                runs[name].append(run)
    median = {name: [statistics.median(x) for x in zip(*of)] for name, of in runs.items()}
    for name, (per_core, p50, p99) in median.items():
        say(f"{protocol}, {name}: requests a second per core", f"{per_core:.0f}")
        say(f"{protocol}, {name}: p50, p99", f"{p50:.2f}, {p99:.2f} ms")
    ratio = statistics.median(a[0] / b[0] for a, b in zip(runs["sidecars"], runs["barest"]))
    say(f"{protocol}: sidecars to barest, pair by pair", f"{ratio:.2f}")


def run(mesh, rounds, say):
    """mesh: a new one that isn't up; the caller ends it. rounds: measured turns of each pair."""
    self_signed(mesh.dir)
    m.write(mesh.dir / "pods.yaml", m.mesh_config(), *pods(mesh.dir))
    mesh.up("--image", f"bench/envoy={os.environ['OSM_ENVOY']}")
    ip = {f"{p['namespace']}/{p['workload'].split('/')[1]}": p["ip"] for p in mesh.status()["pods"]}
    m.write(mesh.dir / "client.yaml", *bare_client(mesh.dir, ip["bare/server"]))
    mesh.up("--image", f"bench/envoy={os.environ['OSM_ENVOY']}")
    ip = {f"{p['namespace']}/{p['workload'].split('/')[1]}": p["ip"] for p in mesh.status()["pods"]}
    pairs = {}
    for name, namespace, url in (("sidecars", "shop", f"http://server.shop:{PORT}/"),
                                 ("barest", "bare", f"http://127.0.0.1:{BARE_OUT}/")):
        ips = [ip[f"{namespace}/{x}"] for x in ("client", "server")]
        pairs[name] = (f"{namespace}/client", url, proxies_of(mesh, namespace, ips))
    for protocol in ("HTTP/1.1", "HTTP/2"):
        compare(mesh, pairs, protocol, rounds, say)
