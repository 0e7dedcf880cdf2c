"""The command lines of a node's programs. `root` is the cluster's folder."""
import pathlib
import sys

NODE = "node1"
NODE_ADDRESS = "10.88.0.1"
POD_RANGE = "10.88.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
CONTAINERD = "/run/node/containerd.sock"
ETCD = "http://127.0.0.1:2379"
ETCD_PEERS = "http://127.0.0.1:2380"


def containerd(root):
    return ["containerd", "-c", f"{root}/etc/containerd.toml"]


def registry(root):
    return [sys.executable, str(pathlib.Path(__file__).parent / "registry.py"), f"{root}/images"]


def etcd(root):
    return ["etcd", "--name=test", f"--data-dir={root}/etcd", "--unsafe-no-fsync",
            "--log-level=warn", f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={ETCD_PEERS}", f"--initial-advertise-peer-urls={ETCD_PEERS}",
            f"--initial-cluster=test={ETCD_PEERS}"]


def apiserver(root):
    keys = f"{root}/keys"
    return ["kube-apiserver", f"--etcd-servers={ETCD}", "--bind-address=0.0.0.0",
            f"--advertise-address={NODE_ADDRESS}", "--secure-port=6443",
            f"--tls-cert-file={keys}/apiserver.crt",
            f"--tls-private-key-file={keys}/apiserver.key", f"--client-ca-file={keys}/ca.crt",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            f"--service-account-key-file={keys}/accounts.pub",
            f"--service-account-signing-key-file={keys}/accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_RANGE}", "--allow-privileged=true",
            f"--audit-policy-file={root}/etc/audit.yaml", f"--audit-log-path={root}/log/audit.log",
            # Without these the controller manager floods its log.
            f"--requestheader-client-ca-file={keys}/ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={keys}/front-proxy.crt",
            f"--proxy-client-key-file={keys}/front-proxy.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={keys}/ca.crt",
            f"--kubelet-client-certificate={keys}/apiserver-kubelet.crt",
            f"--kubelet-client-key={keys}/apiserver-kubelet.key"]


def controller_manager(root):
    keys = f"{root}/keys"
    config = f"{keys}/controller-manager.kubeconfig"
    return ["kube-controller-manager", f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1", "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={keys}/accounts.key",
            f"--root-ca-file={keys}/ca.crt", f"--cluster-signing-cert-file={keys}/ca.crt",
            f"--cluster-signing-key-file={keys}/ca.key",
            # With the default the first service account takes five seconds.
            "--kube-api-qps=500", "--kube-api-burst=1000"]


def scheduler(root):
    config = f"{root}/keys/scheduler.kubeconfig"
    return ["kube-scheduler", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1",
            "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000"]


def kubelet(root):
    return ["kubelet", f"--config={root}/etc/kubelet.yaml",
            f"--kubeconfig={root}/keys/kubelet-client.kubeconfig", f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}", f"--root-dir={root}/kubelet",
            f"--cert-dir={root}/kubelet/pki", "--v=1"]  # tells why a probe failed


def kube_proxy(root):
    return ["kube-proxy", f"--config={root}/etc/kube-proxy.yaml"]


PARTS = {f.__name__.replace("_", "-"): f for f in
         (containerd, registry, etcd, apiserver, controller_manager, scheduler,
          kubelet, kube_proxy)}
