"""Throw-away keys and certificates of a cluster (P-256), made by openssl, and kubeconfigs of them."""
import base64
import subprocess

from parts import NODE, NODE_ADDRESS

SERVICE_ADDRESS = "10.96.0.1"
API_NAMES = ",".join(
    [f"IP:{x}" for x in ("127.0.0.1", NODE_ADDRESS, SERVICE_ADDRESS)] +
    [f"DNS:{x}" for x in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                          "kubernetes.default.svc.cluster.local")])

# name: subject, use, alternative names
CERTIFICATES = {
    "apiserver": ("/CN=kube-apiserver", "serverAuth", API_NAMES),
    "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", "serverAuth",
                f"IP:{NODE_ADDRESS},DNS:{NODE}"),
    "kubelet-client": (f"/O=system:nodes/CN=system:node:{NODE}", "clientAuth", ""),
    "apiserver-kubelet": ("/O=system:masters/CN=kube-apiserver-kubelet-client", "clientAuth", ""),
    "admin": ("/O=system:masters/CN=kubernetes-admin", "clientAuth", ""),
    "controller-manager": ("/CN=system:kube-controller-manager", "clientAuth", ""),
    "scheduler": ("/CN=system:kube-scheduler", "clientAuth", ""),
    "kube-proxy": ("/CN=system:kube-proxy", "clientAuth", ""),
    "front-proxy": ("/CN=front-proxy-client", "clientAuth", ""),
}
CLIENTS = ("kubelet-client", "controller-manager", "scheduler", "kube-proxy")


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


def new_key(folder, name):
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")


def make_root(folder):
    new_key(folder, "ca")
    openssl(folder, "req", "-x509", "-new", "-key", "ca.key", "-days", "30", "-subj",
            "/CN=test-cluster-ca", "-out", "ca.crt", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_certificate(folder, name, subject, use, names):
    new_key(folder, name)
    extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature",
                  f"extendedKeyUsage={use}", *([f"subjectAltName={names}"] if names else [])]
    (folder / f"{name}.ext").write_text("\n".join(extensions))
    openssl(folder, "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.crt")


def kubeconfig(folder, name):
    """A kubeconfig text whose user is one of the certificates."""
    def data(file):
        return base64.b64encode((folder / file).read_bytes()).decode()

    return f"""\
apiVersion: v1
kind: Config
current-context: test
contexts:
- name: test
  context: {{cluster: test, user: {name}}}
clusters:
- name: test
  cluster: {{server: "https://{NODE_ADDRESS}:6443", certificate-authority-data: {data("ca.crt")}}}
users:
- name: {name}
  user: {{client-certificate-data: {data(f"{name}.crt")}, client-key-data: {data(f"{name}.key")}}}
"""


def make(folder):
    """Fills a new folder with keys, certificates and NAME.kubeconfig of each client."""
    folder.mkdir(mode=0o700, parents=True)
    make_root(folder)
    for name, (subject, use, names) in CERTIFICATES.items():
        make_certificate(folder, name, subject, use, names)
    new_key(folder, "accounts")
    openssl(folder, "ec", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")
    for name in (*CLIENTS, "admin"):
        file = folder / f"{name}.kubeconfig"
        file.touch(0o600)
        file.write_text(kubeconfig(folder, name))
