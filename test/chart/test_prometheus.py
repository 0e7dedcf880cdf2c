"""Which pods the chart's Prometheus scrapes: its rules for labels, applied as Prometheus documents
them, to pods as the mesh has them."""
import re

import pytest
import yaml

from chart import by_name, pod_specs, render


def sanitized(name):
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def discovered(pod):
    """The labels of each target that the role "pod" finds: one for every container's port."""
    meta = pod["metadata"]
    labels = {"__meta_kubernetes_pod_name": meta["name"],
              "__meta_kubernetes_namespace": meta["namespace"]}
    for kind in ("label", "annotation"):
        for name, value in meta.get(f"{kind}s", {}).items():
            labels[f"__meta_kubernetes_pod_{kind}_{sanitized(name)}"] = value
            labels[f"__meta_kubernetes_pod_{kind}present_{sanitized(name)}"] = "true"
    spec = pod["spec"]
    for container in spec["containers"] + spec.get("initContainers", []):
        for port in container.get("ports", []):
            yield {**labels, "__address__": f"10.0.0.1:{port['containerPort']}",
                   "__meta_kubernetes_pod_container_port_name": port.get("name", "")}


def relabelled(labels, rules):
    """None when a rule drops the target."""
    for rule in rules:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        found = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if action == "keep" and not found:
            return None
        if action == "replace" and found:
            labels = {**labels, rule["target_label"]: value}
    return labels


@pytest.fixture(scope="module")
def documents():
    return render(("osm.deployPrometheus", True))


@pytest.fixture(scope="module")
def scraped(documents):
    text = by_name(documents)["ConfigMap", "osm-prometheus-server-conf"]["data"]["prometheus.yml"]
    jobs = {j["job_name"]: j for j in yaml.safe_load(text)["scrape_configs"]}

    def targets(job, pod):
        discovery, = jobs[job]["kubernetes_sd_configs"]
        allowed = discovery.get("namespaces", {}).get("names")
        if allowed and pod["metadata"]["namespace"] not in allowed:
            return []
        found = (relabelled(t, jobs[job]["relabel_configs"]) for t in discovered(pod))
        return [t for t in found if t]
    return targets


def test_control_plane(documents, scraped):
    for name, template in pod_specs(documents):
        pod = {"metadata": {**template["metadata"], "name": f"{name}-1", "namespace": "osm-system"},
               "spec": template["spec"]}
        targets = scraped("osm-control-plane", pod)
        if name in ("osm-controller", "osm-injector", "osm-bootstrap"):
            target, = targets
            assert target["__address__"] == "10.0.0.1:9091"
            assert target["app"] == name and target["pod"] == f"{name}-1"
        else:
            assert not targets
        pod["metadata"]["namespace"] = "elsewhere"
        assert not scraped("osm-control-plane", pod)


def meshed(native, **annotations):
    envoy = {"name": "envoy", "ports": [{"name": "proxy-admin", "containerPort": 15000},
                                        {"name": "proxy-metrics", "containerPort": 15010}]}
    app = {"name": "app", "ports": [{"containerPort": 8080}]}
    return {"metadata": {"name": "shop-1", "namespace": "shop", "annotations": annotations,
                         "labels": {"osm-proxy-uuid": "u", "app": "shop"}},
            "spec": {"containers": [app] if native else [app, envoy],
                     "initContainers": [envoy] if native else []}}


@pytest.mark.parametrize("native", [True, False])
def test_sidecars(scraped, native):
    target, = scraped("osm-sidecars", meshed(native, **{"prometheus.io/scrape": "true"}))
    assert target["__address__"] == "10.0.0.1:15010"
    assert target["source_namespace"] == "shop" and target["source_service"] == "shop"
    assert not scraped("osm-sidecars", meshed(native, **{"prometheus.io/scrape": "false"}))
    assert not scraped("osm-sidecars", meshed(native))


def test_pods_outside_the_mesh_are_not_its(scraped):
    pod = meshed(True, **{"prometheus.io/scrape": "true"})
    del pod["metadata"]["labels"]["osm-proxy-uuid"]
    assert not scraped("osm-sidecars", pod)
