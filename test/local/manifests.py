"""Manifests for tests, as Python values; `write` puts them into a file of several documents."""
import json

ECHO_PORTS = {"http": 8001, "h2": 8002, "grpc": 8003, "tcp": 8004, "server-first": 8005}
APP_PROTOCOLS = {"http": "http", "h2": "http", "grpc": "grpc", "tcp": "tcp",
                 "server-first": "tcp-server-first"}


def namespace(name, inject=True):
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"openservicemesh.io/monitored-by": "osm"},
                         "annotations": {"openservicemesh.io/sidecar-injection":
                                         "enabled" if inject else "disabled"}}}


def account(ns, name):
    return {"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": ns}}


def mesh_config(permissive=False, egress=False, **more):
    spec = {"traffic": {"enablePermissiveTrafficPolicyMode": permissive, "enableEgress": egress}}
    spec.update(more)
    return {"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
            "metadata": {"name": "osm-mesh-config", "namespace": "osm-system"}, "spec": spec}


def service(ns, name, selector, ports, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns},
            "spec": {"selector": selector, "ports": ports, **spec}}


def echo_ports():
    return [{"name": p, "port": n, "targetPort": n, "appProtocol": APP_PROTOCOLS[p]}
            for p, n in ECHO_PORTS.items()]


def deployment(ns, name, sa, image, args=(), labels=None, probe=None, replicas=1, **pod):
    labels = {"app": name, **(labels or {})}
    container = {"name": "app", "image": image, "args": [str(a) for a in args]}
    if probe:
        container["readinessProbe"] = {"tcpSocket": {"port": probe}, "periodSeconds": 1}
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"serviceAccountName": sa, "containers": [container],
                                           **pod}}}}


def echo(ns, name, sa=None, labels=None, **more):
    """A server of every protocol, with its account; no service."""
    args = ["--name", name]
    for p, n in ECHO_PORTS.items():
        args += [f"--{p}", n]
    return [account(ns, sa or name),
            deployment(ns, name, sa or name, "test/echo", args, labels, probe=8001, **more)]


def client(ns, name, **more):
    """A pod that does nothing, to run calls in."""
    return [account(ns, name), deployment(ns, name, name, "test/sleep", ["infinity"], **more)]


def traffic_target(ns, name, destination, sources, rules):
    return {"apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"destination": {"kind": "ServiceAccount", "name": destination,
                                     "namespace": ns},
                     "sources": [{"kind": "ServiceAccount", "name": s.split("/")[1],
                                  "namespace": s.split("/")[0]} for s in sources],
                     "rules": rules}}


def route_group(ns, name, matches):
    return {"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup",
            "metadata": {"name": name, "namespace": ns}, "spec": {"matches": matches}}


def tcp_route(ns, name, ports=()):
    return {"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "TCPRoute",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"matches": {"ports": list(ports)}} if ports else {"matches": {}}}


def traffic_split(ns, name, apex, weights, matches=None):
    spec = {"service": apex, "backends": [{"service": s, "weight": w} for s, w in weights.items()]}
    version = "v1alpha2"
    if matches:
        version = "v1alpha4"
        spec["matches"] = [{"kind": "HTTPRouteGroup", "name": m} for m in matches]
    return {"apiVersion": f"split.smi-spec.io/{version}", "kind": "TrafficSplit",
            "metadata": {"name": name, "namespace": ns}, "spec": spec}


def text(*objects):
    return "\n---\n".join(json.dumps(o, indent=1) for o in objects) + "\n"


def write(path, *objects):
    """Writes as editors do: a new file, renamed over the old."""
    temporary = path.with_name("." + path.name + ".new")
    temporary.write_text(text(*objects))
    temporary.rename(path)
