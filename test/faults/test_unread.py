"""Peers that take no answer or say nothing whole: the controller lets them go, and keeps the others."""
import socket
import ssl
import struct
import threading
import time

import pytest

from wire import ACK, CDS, Controller, PING, SDS, WINDOW, frame, request

INITIAL_WINDOW_SIZE = 4
UNSENT, RECORD = 256 << 10, 16384 + 100  # LIMIT_UNSENT_BYTES; what is written at once
LISTEN = "0A"
PATIENCE = 240


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    c = Controller(tmp_path_factory.mktemp("controller"), more=2000)
    yield c
    c.stop()


def answer_pings(w):
    """Reads until the connection ends, which may be silent longer than others wait."""
    w.tls.settimeout(PATIENCE)
    try:
        while True:
            kind, flags, _, payload = w.next_frame()
            if kind == PING and not flags & ACK:
                w.say(frame(PING, ACK, 0, payload))
    except (OSError, ssl.SSLError):
        pass


def window_of(n):
    """Of each call, as a setting."""
    return struct.pack(">HI", INITIAL_WINDOW_SIZE, n)


# Of the socket: little room, and segments as on a network, as with the loopback's a write doesn't block.
NARROW = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 2048), (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448))


def ask(w, *what):
    w.open()
    w.send(w.message(request(*what or (CDS,))))
    return w


def sockets():
    """Local and remote port, state, bytes being sent and not read, inode of each TCP socket."""
    with open("/proc/net/tcp") as lines:
        for line in list(lines)[1:]:
            _, local, remote, state, queues, _, _, _, _, inode = line.split()[:10]
            yield (*(int(x.split(":")[1], 16) for x in (local, remote)), state,
                   *(int(x, 16) for x in queues.split(":")), int(inode))


def connections(c):
    """That the controller has; those that it closed have no inode."""
    return sum(local == c.port and state != LISTEN and inode != 0
               for local, _, state, _, _, inode in sockets())


def unsent(c, w):
    """Bytes that the kernel has for a peer, on the controller's side."""
    return sum(sending for local, remote, _, sending, _, _ in sockets()
               if (local, remote) == (c.port, w.tls.getsockname()[1]))


def unread(c, w):
    """Bytes that have left the controller for a peer, which reads none of them."""
    return unsent(c, w) + sum(received for local, remote, _, _, received, _ in sockets()
                              if (local, remote) == (w.tls.getsockname()[1], c.port))


def wait_for(what, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.5)


def size_of_answer(c):
    with c.connect() as w:
        return len(ask(w).next_message())


def test_the_kernel_holds_little_for_who_does_not_read(controller):
    """With ordinary sockets and windows, as Envoy's: all of it would fit into them."""
    large = 1 << 24
    whole = size_of_answer(controller)
    w = ask(controller.connect(settings=window_of(large), grant=large))
    seen = [-1, 0]
    while seen[-1] < NARROW[0][2] or seen[-1] > seen[-2]:
        time.sleep(0.5)
        seen.append(unread(controller, w))
    assert unsent(controller, w) <= UNSENT + RECORD
    assert unread(controller, w) < whole / 2
    w.tls.close()


def test_who_takes_no_answer_is_let_go(controller):
    """One reads nothing, one grants no window, one a byte now and then, one has its small answer in its
    socket and is silent; one begins a request, one has no call but one that was refused. One more takes
    what it asks for and answers pings: it stays."""
    whole = size_of_answer(controller)
    wait_for(lambda: connections(controller) == 0)
    good = ask(controller.connect("db"), SDS, ["service-cert"])
    deaf = ask(controller.connect(options=NARROW))
    closed = ask(controller.connect(settings=window_of(0)))
    slow = ask(controller.connect(settings=window_of(0)))
    silent = ask(controller.connect(), SDS, ["service-cert"])
    readers = [threading.Thread(target=answer_pings, args=(w,)) for w in (good, closed, slow)]
    for r in readers:
        r.start()
    wait_for(lambda: NARROW[0][2] < unread(controller, deaf))
    assert connections(controller) == 5
    assert unread(controller, deaf) < whole
    begun, refused = controller.connect(), controller.connect()
    begun.open()
    begun.say(begun.message(b"x" * 10, length=1000))
    refused.open(path="/no.Such/Method")

    def all_but_one_went():
        slow.try_say(frame(WINDOW, 0, 1, struct.pack(">I", 1)))
        return connections(controller) == 1
    wait_for(all_but_one_went)
    assert good.try_say(frame(PING, 0, 0, bytes(8)))
    assert readers[0].is_alive()
    for name in ("a message wasn't taken in time", "no answer to a ping",
                 "a message wasn't whole in time", "no call in time"):
        assert name in controller.words()
    controller.works()
    for w in (good, deaf, closed, slow, silent, begun, refused):
        w.tls.close()
