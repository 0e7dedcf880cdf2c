"""What a cluster says of itself, for the output of a test that failed."""
LINES = 40


def tail(text):
    return "\n".join(text.splitlines()[-LINES:])


def is_well(pod):
    """Whether a pod runs with all its containers ready, or is done."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return True
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def logs(kubectl, pod):
    """The last lines of each container; of the one before when it was started again."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    parts = []
    status = pod.get("status", {})
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        for previous in (["--previous"] if c["restartCount"] else [], []):
            done = kubectl.try_("-n", namespace, "logs", name, "-c", c["name"], *previous,
                                f"--tail={LINES}")
            parts.append(f"--- {namespace}/{name} -c {c['name']} {' '.join(previous)}\n"
                         f"{done.stdout}{done.stderr}")
    return "\n".join(parts)


def of_cluster(kubectl):
    """Pods, the descriptions and logs of those that aren't well, the control plane's logs, events."""
    parts = [kubectl.try_("get", "pods", "-A", "-o", "wide").stdout]
    for pod in kubectl.items("pods", "-A"):
        namespace = pod["metadata"]["namespace"]
        if not is_well(pod):
            parts.append(tail(kubectl.try_("-n", namespace, "describe", "pod",
                                           pod["metadata"]["name"]).stdout))
        if not is_well(pod) or namespace == "osm-system":
            parts.append(logs(kubectl, pod))
    parts.append(tail(kubectl.try_("get", "events", "-A", "--sort-by=.lastTimestamp").stdout))
    return "\n\n".join(parts)
