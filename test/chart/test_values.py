"""The chart's values: what Open Service Mesh's users set keeps its name, default and effect, or is
refused with the reason; and nothing is a value that has no effect."""
import json

import pytest
import yaml

from chart import (CHART, GUARD, TOP, VALUES, Refused, at, by_name, everything, leaves, nested, render)

SCHEMA = json.loads((CHART / "values.schema.json").read_text())

# Defaults of Open Service Mesh's chart 1.2 that are kept.
KEPT = {
    "osm.image.registry": "openservicemesh",
    "osm.image.pullPolicy": "IfNotPresent",
    "osm.image.name.osmController": "osm-controller",
    "osm.image.name.osmInjector": "osm-injector",
    "osm.image.name.osmSidecarInit": "init",
    "osm.image.name.osmBootstrap": "osm-bootstrap",
    "osm.image.name.osmCRDs": "osm-crds",
    "osm.image.name.osmPreinstall": "osm-preinstall",
    "osm.image.name.osmHealthcheck": "osm-healthcheck",
    "osm.imagePullSecrets": [],
    "osm.osmController.replicaCount": 1,
    "osm.osmController.resource.limits": {"cpu": "1.5", "memory": "1G"},
    "osm.osmController.podLabels": {},
    "osm.osmController.enablePodDisruptionBudget": False,
    "osm.osmController.tolerations": [],
    "osm.osmController.autoScale": {"enable": False, "minReplicas": 1, "maxReplicas": 5,
                                    "cpu": {"targetAverageUtilization": 80},
                                    "memory": {"targetAverageUtilization": 80}},
    "osm.injector.replicaCount": 1,
    "osm.injector.resource.limits.cpu": "0.5",
    "osm.injector.webhookTimeoutSeconds": 20,
    "osm.injector.autoScale.enable": False,
    "osm.osmBootstrap.replicaCount": 1,
    "osm.osmBootstrap.resource.limits": {"cpu": "0.5", "memory": "128M"},
    "osm.prometheus.port": 7070,
    "osm.prometheus.retention.time": "15d",
    "osm.prometheus.image": "prom/prometheus:v2.34.0",
    "osm.prometheus.resources": {"limits": {"cpu": "1", "memory": "2G"},
                                 "requests": {"cpu": "0.5", "memory": "512M"}},
    "osm.grafana.port": 3000,
    "osm.grafana.image": "grafana/grafana:8.2.2",
    "osm.trustDomain": "cluster.local",
    "osm.certificateProvider.kind": "tresor",
    "osm.certificateProvider.serviceCertValidityDuration": "24h",
    "osm.certificateProvider.certKeyBitSize": 2048,
    "osm.caBundleSecretName": "osm-ca-bundle",
    "osm.enableDebugServer": False,
    "osm.enablePermissiveTrafficPolicy": True,
    "osm.enableEgress": True,
    "osm.enableReconciler": False,
    "osm.deployPrometheus": False,
    "osm.deployGrafana": False,
    "osm.meshName": "osm",
    "osm.envoyLogLevel": "error",
    "osm.controllerLogLevel": "info",
    "osm.localProxyMode": "Localhost",
    "osm.maxDataPlaneConnections": 0,
    "osm.configResyncInterval": "0s",
    "osm.enforceSingleMesh": True,
    "osm.webhookConfigNamePrefix": "osm-webhook",
    "osm.osmNamespace": "",
    "osm.validatorWebhook.webhookConfigurationName": "",
    "osm.outboundIPRangeExclusionList": [],
    "osm.outboundIPRangeInclusionList": [],
    "osm.outboundPortExclusionList": [],
    "osm.inboundPortExclusionList": [],
    "osm.networkInterfaceExclusionList": [],
    "osm.enablePrivilegedInitContainer": False,
    "osm.controlPlaneTolerations": [],
    "osm.featureFlags.enableEgressPolicy": True,
    "osm.featureFlags.enableIngressBackendPolicy": True,
    "osm.featureFlags.enableEnvoyActiveHealthChecks": False,
    "smi.validateTrafficTarget": True,
}

# Its other values, each with one that means something.
REFUSED = {
    "osm.sidecarWindowsImage": "envoyproxy/envoy-windows:v1.23.1",
    "osm.curlImage": "curlimages/curl",
    "osm.grafana.enableRemoteRendering": True,
    "osm.grafana.rendererImage": "grafana/grafana-image-renderer:3.2.1",
    "osm.certificateProvider.kind": "vault",
    "osm.vault.host": "vault.vault.svc",
    "osm.certmanager.issuerName": "osm-ca",
    "osm.deployJaeger": True,
    "osm.tracing.enable": True,
    "osm.tracing.address": "jaeger.osm-system",
    "osm.enableFluentbit": True,
    "osm.fluentBit.outputPlugin": "stdout",
    "osm.featureFlags.enableWASMStats": True,
    "osm.featureFlags.enableAsyncProxyServiceMapping": True,
    "osm.featureFlags.enableSnapshotCacheMode": True,
    "osm.featureFlags.enableMulticlusterMode": True,
    "osm.featureFlags.enableRetryPolicy": True,
    "osm.featureFlags.enableMeshRootCertificate": True,
    "osm.featureFlags.enableSPIFFE": True,
    "osm.featureFlags.enableEgressPolicy": False,
    "osm.featureFlags.enableIngressBackendPolicy": False,
    "contour.enabled": True,
}

# A value other than the default, for each that a simple rule doesn't give.
OTHER = {
    "osm.image.pullPolicy": "Never",
    "osm.sidecar.mode": "container",
    "osm.sidecar.resources": {"limits": {"cpu": "1"}},
    "osm.controllerLogLevel": "debug",
    "osm.envoyLogLevel": "debug",
    "osm.localProxyMode": "PodIP",
    "osm.certificateProvider.serviceCertValidityDuration": "1h",
    "osm.certificateProvider.keyAlgorithm": "RSA",
    "osm.certificateProvider.certKeyBitSize": 4096,
    "osm.configResyncInterval": "1m",
    "osm.prometheus.retention.time": "1d",
    "osm.networkInterfaceExclusionList": ["eth1"],
}


def other(path, value):
    """Some value that isn't the default."""
    if path in OTHER:
        return OTHER[path]
    if ".digest." in path:
        return "sha256:" + "a" * 64
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        if "IPRange" in path:
            return ["10.0.0.0/8"]
        if "Port" in path:
            return [6379]
        if path.startswith("osm.") and ".affinity." in path:
            return []
        return [{"key": "x"}]
    if isinstance(value, dict):
        return {"x": "y"}
    if value.replace(".", "").rstrip("MG").isdigit():
        return "7" + value
    return (value + "x") if value else "x"


def units():
    """Values as one sets them: affinity, a tree of Kubernetes' own, counts as one."""
    seen = set()
    for path, value in leaves(VALUES):
        if ".affinity." in path:
            path = path.partition(".affinity.")[0] + ".affinity"
            value = at(VALUES, path)
        if path not in seen:
            seen.add(path)
            yield path, value


def without_names(path):
    """Some values count only with others."""
    if path.startswith("osm.image.digest."):
        return [("osm.image.tag", ""), *[(f"osm.image.digest.{n}", "sha256:" + "b" * 64)
                                         for n in VALUES["osm"]["image"]["digest"]]]
    return []


@pytest.mark.parametrize("path", KEPT)
def test_default_is_kept(path):
    assert at(VALUES, path) == KEPT[path]


@pytest.mark.parametrize("path", [p for p, _ in units() if p not in REFUSED])
def test_every_value_has_an_effect(path):
    value = at(VALUES, path)
    changed = {"nodeAffinity": None} if path.endswith(".affinity") else other(path, value)
    base = [*everything(), *without_names(path)]
    if path.endswith("replicaCount"):
        base = []
    if path in dict(everything()):
        changed = dict(everything())[path]
        base = [(p, v) for p, v in base if p != path]
    more = ("--api-versions", GUARD)
    assert render(*base, (path, changed), more=more) != render(*base, more=more)


@pytest.mark.parametrize("path", REFUSED)
def test_value_without_effect_is_refused(path):
    with pytest.raises(Refused) as e:
        render((path, REFUSED[path]))
    named = [line for line in str(e.value).splitlines() if line.startswith("  ")]
    assert len(named) == 1
    assert path.startswith(named[0].strip().split(":")[0])


def test_webhooks_callers_may_have_to_show_a_certificate():
    documents = by_name(render(("osm.webhookClientCA", "PEM\n")))
    assert documents["ConfigMap", "osm-webhook-client-ca"]["data"] == {"ca.crt": "PEM\n"}
    for name in ("osm-controller", "osm-injector"):
        spec = documents["Deployment", name]["spec"]["template"]["spec"]
        container, = spec["containers"]
        file, = [a.partition("=")[2] for a in container["args"] if a.startswith("--webhook-client-ca=")]
        mount, = container["volumeMounts"]
        volume, = spec["volumes"]
        assert file == mount["mountPath"] + "/ca.crt" and mount["name"] == volume["name"]
        assert volume["configMap"]["name"] == "osm-webhook-client-ca"
    without = by_name(render())
    assert ("ConfigMap", "osm-webhook-client-ca") not in without
    assert "webhook-client-ca" not in json.dumps(list(without.values()))


def test_values_off_pass():
    """Scripts that turn off what this chart doesn't have go on working."""
    off = [(p, False) for p, v in REFUSED.items() if v is True]
    assert by_name(render(*off)) == by_name(render())


def test_all_refused_values_are_named_at_once():
    with pytest.raises(Refused) as e:
        render(("osm.deployJaeger", True), ("contour.enabled", True), ("osm.curlImage", "curl"))
    for path in ("osm.deployJaeger", "contour.enabled", "osm.curlImage"):
        assert f"{path}: " in str(e.value)


def find(schema, path):
    """Fails when the schema doesn't have a path."""
    for key in path.split("."):
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
        if "properties" not in schema:
            return  # any key, or one of Kubernetes' own
        schema = schema["properties"][key]


def test_schema_knows_every_value_and_no_others():
    for path, _ in units():
        find(SCHEMA, path)
    known = set(p for p, _ in units())

    def walk(schema, path):
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
        if not schema.get("properties"):
            yield path
        for key, inner in schema.get("properties", {}).items():
            yield from walk(inner, f"{path}.{key}".lstrip("."))

    refused = {p for p in REFUSED}
    for path in walk(SCHEMA, ""):
        assert any(k == path or k.startswith(path + ".") or path.startswith(k + ".")
                   for k in known | refused | {"global"}), path


@pytest.mark.parametrize("path, value", [
    ("osm.meshNme", "typo"), ("osm.image.pullPolicy", "Sometimes"), ("osm.meshName", "Not_A_Name"),
    ("osm.outboundPortExclusionList", [0]), ("osm.outboundPortExclusionList", [65536]),
    ("osm.outboundIPRangeExclusionList", ["10.0.0.0"]), ("osm.controllerLogLevel", "loud"),
    ("osm.envoyLogLevel", "loud"), ("osm.localProxyMode", "Host"), ("osm.prometheus.port", 0),
    ("osm.certificateProvider.kind", "mine"), ("osm.certificateProvider.certKeyBitSize", 1024),
    ("osm.configResyncInterval", "soon"), ("osm.sidecar.mode", "magic"),
    ("osm.injector.webhookTimeoutSeconds", 31), ("osm.image.digest.osmController", "sha256:1"),
    ("osm.networkInterfaceExclusionList", ["eth0; rm"]), ("osm.enableEgress", "yes")])
def test_bad_value_is_refused(path, value):
    with pytest.raises(Refused, match="schema|not allowed"):
        render((path, value))


def test_ipv6_ranges_pass():
    assert render(("osm.outboundIPRangeExclusionList", ["fd00::/8", "10.0.0.0/8"]))


def test_mesh_config_takes_its_values():
    """From values to the object that osm-bootstrap makes."""
    documents = by_name(render(
        ("osm.enableEgress", False), ("osm.outboundPortExclusionList", [6379, 7070]),
        ("osm.inboundPortExclusionList", [80]), ("osm.envoyLogLevel", "debug"),
        ("osm.outboundIPRangeInclusionList", ["10.0.0.0/8"]), ("osm.maxDataPlaneConnections", 1000000),
        ("osm.sidecar", {"mode": "native", "resources": {"requests": {"cpu": "10m"}}})))
    mesh = json.loads(documents["ConfigMap", "preset-mesh-config"]["data"]["preset-mesh-config.json"])
    assert mesh["traffic"]["enableEgress"] is False
    assert mesh["traffic"]["outboundPortExclusionList"] == [6379, 7070]
    assert mesh["traffic"]["inboundPortExclusionList"] == [80]
    assert mesh["traffic"]["outboundIPRangeInclusionList"] == ["10.0.0.0/8"]
    assert mesh["sidecar"]["mode"] == "native" and mesh["sidecar"]["logLevel"] == "debug"
    assert mesh["sidecar"]["resources"] == {"requests": {"cpu": "10m"}}
    assert mesh["sidecar"]["maxDataPlaneConnections"] == 1000000


def test_values_file_is_plain():
    """No two spellings of one value: what is set twice would be lost silently."""
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [k.value for k, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    assert yaml.load((CHART / "values.yaml").read_text(), Strict) == VALUES
    assert nested("a.b", 1) == {"a": {"b": 1}} and TOP.is_dir()
