"""Calls without a pause from a pod, and what became of them."""
import re
import subprocess
import threading

from kubectl import eventually

STOP = "/tmp/stop-load"
# A shell in the pod repeats rounds until it is told to stop.
ROUND = 1000
SCRIPT = """
rm -f {stop}
while [ ! -e {stop} ]; do h2load --h1 -n {n} -c 4 -m 1 {url} || echo "round failed"; done
"""
ANSWERS = re.compile(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$", re.M)
REQUESTS = re.compile(r"^requests: (\d+) total, .*? (\d+) succeeded, (\d+) failed, (\d+) errored, "
                      r"(\d+) timeout$", re.M)


class Load:
    """with Load(kubectl, namespace, pod, url) as load: ...; then load.succeeded and load.failed. Calls
    are being answered when the context begins."""

    def __init__(self, kubectl, namespace, pod, url, container="app"):
        self.kubectl, self.where = kubectl, (namespace, pod)
        self.url, self.container = url, container
        self.text, self.succeeded, self.failed = "", 0, 0

    def read(self):
        for line in self.process.stdout:
            self.text += line

    def answered(self):
        """How many of its calls had a good answer, in the rounds that have ended."""
        return sum(int(good) for good, *_ in ANSWERS.findall(self.text))

    def reaches(self, calls):
        """Waits until so many calls of its own had a good answer."""
        def seen():
            assert self.answered() >= calls or self.process.poll() is not None, \
                f"{self.answered()} calls were answered\n{self.text[-2000:]}"
            return True
        eventually(seen)

    def __enter__(self):
        cluster = self.kubectl.cluster
        script = SCRIPT.format(stop=STOP, n=ROUND, url=self.url)
        self.process = subprocess.Popen(
            cluster.net_line("kubectl", "-n", self.where[0], "exec", self.where[1], "-c",
                             self.container, "--", "sh", "-c", script),
            env=cluster.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        try:
            self.reaches(1)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.end()
        self.count()

    def end(self):
        eventually(lambda: self.kubectl.execute(*self.where, "touch", STOP,
                                                container=self.container) or "told")
        try:
            self.process.wait(120)
        finally:
            self.process.kill()
            self.thread.join()

    def count(self):
        """A round that says nothing of its requests failed whole."""
        rounds = REQUESTS.findall(self.text)
        assert self.process.returncode == 0 and len(rounds) == len(ANSWERS.findall(self.text)), \
            self.text[-2000:]
        self.succeeded = self.answered()
        self.failed = sum(int(total) for total, *_ in rounds) - self.succeeded
        self.failed += self.text.count("round failed")
