"""Objects for tests, as Python values."""


def pod(name, image, *command, **spec):
    """A pod of one container that ends at once when told to."""
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    if command:
        container["command"] = list(command)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}


def client(name="client", **spec):
    """A pod to make calls from."""
    return pod(name, "test/curl:1", "sleep", "1000000", **spec)


def deployment(name, image, replicas=1, account=None, **container):
    template = pod(name, image, container=container)
    if account:
        template["spec"]["serviceAccountName"] = account
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]}}}


def httpbin(name="httpbin", replicas=1, account=None):
    """go-httpbin behind a service of its name, port 80. Ready soon, and for good: on a busy machine an
    answer takes a while."""
    probe = {"httpGet": {"path": "/status/200", "port": 8080}, "periodSeconds": 1,
             "timeoutSeconds": 10, "failureThreshold": 10}
    return [deployment(name, "test/httpbin:1", replicas, account, readinessProbe=probe,
                       ports=[{"containerPort": 8080}]),
            service(name, {"app": name}, {"name": "http", "port": 80, "targetPort": 8080})]


def service(name, selector, *ports, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector, "ports": list(ports), **spec}}


def account(name):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
