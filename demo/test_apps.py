"""The bookstore's programs by themselves, without a mesh."""
import contextlib
import json
import os
import pathlib
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

APPS = pathlib.Path(os.environ["OSM_BUILD"]) / "demo"


def free_port():
    """Below the ports that outgoing connections get: it stays free until somebody asks for it."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("0.0.0.0", port))
            return port


class App:
    def __init__(self, program, **settings):
        self.port, self.counters_port = free_port(), free_port()
        env = {"PORT": str(self.port), "COUNTERS_PORT": str(self.counters_port), **settings}
        self.process = subprocess.Popen([APPS / program], env=env)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def counters(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.counters_port}/counters") as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0


def eventually(what):
    deadline = time.monotonic() + 60
    while True:
        try:
            if what():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "not in 60 s"
        time.sleep(0.02)


@pytest.fixture
def run():
    apps = []

    def start(program, **settings):
        apps.append(App(program, **settings))
        eventually(lambda: apps[-1].counters() is not None)
        return apps[-1]
    yield start
    for app in apps:
        if app.process.poll() is None:
            app.stop()


def ask(db, *lines):
    with socket.create_connection(("127.0.0.1", db.port)) as s:
        s.sendall("".join(f"{line}\n" for line in lines).encode())
        f = s.makefile()
        return [f.readline().strip() for _ in lines]


def test_a_sale_goes_through_store_warehouse_and_database(run):
    db = run("bookdb")
    warehouse = run("bookwarehouse", DATABASE=db.address)
    store = run("bookstore", NAME="bookstore-v9", WAREHOUSE=warehouse.address)
    buyer = run("bookbuyer", BOOKSTORE=store.address, INTERVAL_MS="1")
    eventually(lambda: buyer.counters().get("bought", 0) >= 20)
    buyer.stop()

    def agree():
        """When what was under way is done: of a sale, at most the answer to the buyer was lost."""
        sold, delivered = store.counters()["sold"], warehouse.counters()["delivered"]
        answers = ask(db, "GET delivered/bookstore-v9", "GET nothing", "DROP x")
        return (sold >= 20 and abs(sold - delivered) <= 1 and int(answers[0]) == delivered and
                answers[1] == "0" and answers[2].startswith("error: expected"))
    eventually(agree)


def test_a_store_without_a_warehouse_sells_nothing_and_recovers(run):
    db = run("bookdb")
    port = free_port()
    store = run("bookstore", WAREHOUSE=f"127.0.0.1:{port}")
    buyer = run("bookbuyer", BOOKSTORE=store.address, INTERVAL_MS="5")
    eventually(lambda: buyer.counters().get("failed", 0) >= 3)
    assert "bought" not in buyer.counters()
    run("bookwarehouse", DATABASE=db.address, PORT=str(port))
    eventually(lambda: buyer.counters().get("bought", 0) >= 3)


def test_the_database_may_come_back(run):
    port = free_port()
    warehouse = run("bookwarehouse", DATABASE=f"127.0.0.1:{port}")
    url = f"http://{warehouse.address}/deliver"
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(url, data=b"")
    assert e.value.code == 502
    run("bookdb", PORT=str(port))
    with urllib.request.urlopen(url, data=b"") as answer:
        assert json.load(answer) == {"delivered": 1}


def test_a_wrong_setting_is_said():
    done = subprocess.run([APPS / "bookdb"], env={"PORT": "70000"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'PORT: expected a number from 1 to 65535, found "70000"\n'
