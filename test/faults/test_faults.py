"""Broken and hostile peers of the discovery service: it refuses with the right code, stays up, and
its memory stays flat."""
import itertools
import resource
import socket
import ssl
import struct

import pytest

from wire import (ACK, CDS, CONTINUATION, Controller, DATA, END_HEADERS, END_STREAM, HEADERS, PING,
                  RST, SDS, SETTINGS, WINDOW, field, frame, request, uri_of)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
REFUSED_STREAM, COMPRESSION_ERROR, CALM = 7, 9, 11
INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 3, 7, 8, 12
UNAUTHENTICATED = 16
ROUNDS = 12


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    c = Controller(tmp_path_factory.mktemp("controller"))
    yield c
    c.stop()


@pytest.fixture(autouse=True)
def still_works(controller):
    yield
    controller.works()


def stays_flat(controller, round_of):
    """Rounds until three in a row took next to nothing: a leak of each round would go on."""
    seen = [controller.resident_pages()]
    while len(seen) < 5 or seen[-1] > seen[-4] + 8:
        assert len(seen) < 60, f"resident pages after each round: {seen}"
        for _ in range(ROUNDS):
            round_of()
        seen.append(controller.resident_pages())


# --- handshakes ---

def is_served_beside_stalled(controller):
    """More of them than may be under way on both threads. False: who came behind them was served only
    when the first of them had been let go."""
    stalled = [socket.create_connection(("127.0.0.1", controller.port)) for _ in range(2600)]
    for s in stalled:
        s.sendall(b"\x16")
    controller.works()
    stalled[0].setblocking(False)
    try:
        return bool(stalled[0].recv(1))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        for s in stalled:
            s.close()


def test_stalled_handshakes_hold_up_nobody(controller):
    """After a second they don't count as under way; they are let go after ten. A machine may be so busy
    that these pass while the others still connect, but not each time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert any(is_served_beside_stalled(controller) for _ in range(3))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- certificates ---

STRANGERS = {
    "none": (lambda c: None, "CERTIFICATE_REQUIRED"),
    "expired": (lambda c: c.certificate("web", uri_of("web", 1), days=-1), "CERTIFICATE_EXPIRED"),
    "of another mesh": (lambda c: c.certificate("web", uri_of("web", 1),
                                                root=c.other_root("CN=another mesh")),
                        "UNKNOWN_CA"),
    "of another mesh whose root is called the same":
        (lambda c: c.certificate("web", uri_of("web", 1),
                                 root=c.other_root("CN=osm-ca.openservicemesh.io")), ""),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_handshake_ends_with_the_reason(controller, name):
    make, reason = STRANGERS[name]
    context = controller.context_of(make(controller))

    def one():
        with pytest.raises(ssl.SSLError) as failed:
            controller.connect(context=context).tls.recv(1)
        assert "_ALERT_" in failed.value.reason and failed.value.reason.endswith(reason)
    one()
    stays_flat(controller, one)


# Of our root, but not what a sidecar of this mesh has.
OTHERS = {
    "a service's": ("spiffe://cluster.local/web/shop", UNAUTHENTICATED),
    "a sidecar's of another trust domain": (uri_of("web", 1, domain="other.example"),
                                            UNAUTHENTICATED),
    "a sidecar's that names another account than its pod has": (uri_of("db", 1),
                                                                PERMISSION_DENIED),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_certificate_that_is_no_sidecars_of_ours_opens_nothing(controller, name):
    uri, status = OTHERS[name]
    context = controller.context_of(controller.certificate("web", uri))

    def one():
        with controller.connect(context=context) as w:
            w.open()
            w.say(w.message(request(SDS, ["service-cert"])))
            assert w.status() == status
    one()
    stays_flat(controller, one)


def test_sidecars_whose_uris_differ_are_different_peers(controller):
    """A common name of at most 64 bytes holds few sidecars' names: theirs are in the URI. More of
    them than one may have connections are served at once."""
    contexts = [controller.context_of(controller.certificate("same", uri_of("web", 1000 + i)))
                for i in range(20)]
    wires = [controller.connect(context=c) for c in contexts]
    for w in wires:
        assert w.next_frame()[0] == SETTINGS
    for w in wires:
        w.tls.close()


# --- frames ---

MALFORMED = {
    "a frame that is too large": (frame(DATA, 0, 1, bytes(16385)), {FRAME_SIZE_ERROR}),
    "data for no stream": (frame(DATA, 0, 0, b"x"), {PROTOCOL_ERROR}),
    "data for a stream that isn't open": (frame(DATA, 0, 7, b"x"),
                                          {PROTOCOL_ERROR, STREAM_CLOSED}),
    "headers of a stream that is ours": (frame(HEADERS, END_HEADERS, 2, b"\x82"),
                                         {PROTOCOL_ERROR}),
    "headers that don't decode": (frame(HEADERS, END_HEADERS, 1, b"\xff" * 40),
                                  {COMPRESSION_ERROR}),
    "settings that end early": (frame(SETTINGS, 0, 0, b"\x00" * 5), {FRAME_SIZE_ERROR}),
    "an acknowledgement with settings": (frame(SETTINGS, ACK, 0, b"\x00" * 6),
                                         {FRAME_SIZE_ERROR}),
    "a ping of seven bytes": (frame(PING, 0, 0, b"\x00" * 7), {FRAME_SIZE_ERROR}),
    "a window of nothing more": (frame(WINDOW, 0, 0, b"\x00" * 4), {PROTOCOL_ERROR}),
    "a window that is too large": (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"),
                                   {FLOW_CONTROL_ERROR}),
    "a reset of what isn't open": (frame(RST, 0, 9, b"\x00" * 4), {PROTOCOL_ERROR}),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
                                  {PROTOCOL_ERROR}),
    "a push from a client": (frame(5, END_HEADERS, 1, b"\x00\x00\x00\x02\x82"), {PROTOCOL_ERROR}),
    "another frame amid headers": (frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8)),
                                   {PROTOCOL_ERROR}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_ends_the_connection(controller, name):
    words, codes = MALFORMED[name]

    def one():
        with controller.connect() as w:
            w.say(words)
            assert w.goodbye() in codes
    one()
    stays_flat(controller, one)


def test_another_protocol_is_refused(controller):
    with controller.connect() as w:
        w.say(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert w.goodbye() is not None


# --- floods ---

def resets(w, i):
    return frame(HEADERS, END_HEADERS, 2 * i + 1, w.headers()) + \
        frame(RST, 0, 2 * i + 1, struct.pack(">I", 8))


# How many frames or bunches of them, and the code of the connection's end: None where it just ends, as
# nobody reads what would say why.
FLOODS = {
    "resets": (resets, 400, CALM),
    "pings": (lambda w, i: frame(PING, 0, 0, struct.pack(">Q", i)) * 100, 3000, None),
    "settings": (lambda w, i: frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64") * 100, 3000, None),
    "large settings": (lambda w, i: frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64" * 2000), 50, CALM),
    "continuations": (lambda w, i: frame(CONTINUATION if i else HEADERS, 0, 1, b""), 2000, None),
}
# And those of which each call is refused by itself, with this code, or because those before haven't
# gone yet: how many are served none the less.
REFUSED = {
    "large headers": (lambda w, i: frame(HEADERS, END_HEADERS, 2 * i + 1,
                                         w.headers(more=[(f"x-{k}", "y" * 90) for k in range(150)])),
                      CALM, 0),
    "calls": (lambda w, i: frame(HEADERS, END_HEADERS, 2 * i + 1, w.headers()), REFUSED_STREAM, 2),
}
CALLS = 300


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut_off_and_costs_no_memory(controller, name):
    """The peer reads nothing of what it causes until it is let go, or has said all."""
    make, count, code = FLOODS[name]

    def one():
        with controller.connect() as w:
            for i in range(count):
                if not w.try_say(make(w, i)):
                    break
            assert w.goodbye() == code
    one()
    stays_flat(controller, one)


@pytest.mark.parametrize("name", REFUSED)
def test_too_much_of_one_connection_is_refused_call_by_call(controller, name):
    make, code, served = REFUSED[name]

    def one():
        with controller.connect() as w:
            for i in range(CALLS):
                w.say(make(w, i))
            ended = {}
            while len(ended) < CALLS - served:
                _, _, stream, payload = w.until(RST)
                ended[stream] = payload
            ends = {int.from_bytes(x, "big") for x in ended.values()}
            assert code in ends and ends <= {code, REFUSED_STREAM}
    one()
    stays_flat(controller, one)


# --- messages ---

def say_in_pieces(w, words):
    """A long message, as far as it is listened to."""
    whole = words[9:]
    for at in range(0, len(whole), 16000):
        if not w.try_say(frame(DATA, 0, 1, whole[at:at + 16000])):
            break


def say_and_wait(w, words):
    say_in_pieces(w, words)
    w.say(frame(PING, 0, 0, bytes(8)))
    w.until(PING)


def ends_with(controller, words, status, path=None):
    def one():
        with controller.connect() as w:
            w.open(**({"path": path} if path else {}))
            for x in words(w):
                w.say(x)
            assert w.status() == status
    one()
    stays_flat(controller, one)


def test_an_oversized_message_is_refused_by_its_prefix(controller):
    ends_with(controller, lambda w: [w.message(b"x", length=(4 << 20) + 1)], RESOURCE_EXHAUSTED)


def test_a_compressed_message_is_refused(controller):
    ends_with(controller, lambda w: [w.message(b"x", flag=1)], UNIMPLEMENTED)


def test_what_is_no_request_is_refused(controller):
    ends_with(controller, lambda w: [w.message(b"\xff" * 30)], INVALID_ARGUMENT)


def test_too_many_names_are_refused(controller):
    content = request(SDS, [f"n{i}" for i in range(60000)])

    def one():
        with controller.connect() as w:
            w.open()
            say_in_pieces(w, w.message(content))
            assert w.status() == INVALID_ARGUMENT
    one()
    stays_flat(controller, one)


def test_asking_again_for_what_is_not_there_costs_nothing(controller):
    """The answer before is never acknowledged, so that nothing of it can be answered."""
    with controller.connect() as w:
        w.open()
        w.send(w.message(request(SDS, ["service-cert"])))
        w.next_message()
        words = w.message(request(SDS, [f"{i:x}" for i in range(20000)]))
        stays_flat(controller, lambda: say_and_wait(w, words))


def test_names_that_add_up_to_too_many_are_refused(controller):
    with controller.connect() as w:
        w.open()
        for part in range(3):
            say_in_pieces(w, w.message(request(SDS, [f"{part}-{i}" for i in range(20000)])))
            if part == 0:
                w.next_message()
        assert w.status() == INVALID_ARGUMENT


def test_a_name_longer_than_any_of_ours_is_refused(controller):
    ends_with(controller, lambda w: [w.message(request(SDS, ["x" * 1025]))], INVALID_ARGUMENT)


def test_what_one_certificate_may_leave_unfinished_is_limited(controller):
    """Each begins a request of 4 MB and keeps the last byte. All together may have 24 MB."""
    wires = [controller.connect() for _ in range(8)]
    for w in wires:
        w.open()
        say_in_pieces(w, w.message(bytes((4 << 20) - 1), length=4 << 20))
    for w in wires:
        w.try_say(frame(DATA, 0, 1, b"\xff"))
    ends = [w.status() for w in wires]
    assert set(ends) == {INVALID_ARGUMENT, RESOURCE_EXHAUSTED}
    assert 4 <= ends.count(INVALID_ARGUMENT) <= 6
    for w in wires:
        w.tls.close()


def test_an_unknown_method_is_refused(controller):
    ends_with(controller, lambda w: [], UNIMPLEMENTED, path="/no.Such/Method")


def test_a_deeply_nested_node_does_no_harm(controller):
    nested = b""
    for _ in range(8000):
        nested = field(1, b"\x0a\x01k" + field(2, field(5, nested)))
    node = field(1, "me") + field(3, nested)

    def one():
        with controller.connect() as w:
            w.open()
            say_in_pieces(w, w.message(request(CDS, node=node)))
            assert CDS.encode() in w.next_message()
    one()
    stays_flat(controller, one)


def test_a_message_may_come_byte_by_byte(controller):
    def one():
        with controller.connect() as w:
            w.open()
            for byte in w.message(request(CDS))[9:]:
                w.say(frame(DATA, 0, 1, bytes([byte])))
            assert CDS.encode() in w.next_message()
    one()
    stays_flat(controller, one)


# --- what isn't one's own ---

def test_each_gets_its_own_certificate_only(controller):
    """Whatever name is asked for: the connection's certificate says whose secrets they are."""
    def asked_by(mine, others):
        with controller.connect(mine) as w:
            w.open()
            node = field(1, f"{others}.shop")
            w.send(w.message(request(SDS, ["service-cert", f"service-cert:shop/{others}",
                                           f"shop/{others}"], node)))
            answer = w.next_message()
            assert answer.count(b"BEGIN PRIVATE KEY") == 1
            assert answer.count(b"BEGIN CERTIFICATE") == 1
            return answer
    for mine, others in (("web", "db"), ("db", "web")):
        assert certificate_name(asked_by(mine, others)) == f"{mine}.shop.cluster.local"
    stays_flat(controller, lambda: asked_by("web", "db"))


def certificate_name(answer):
    import subprocess
    pem = answer[answer.index(b"-----BEGIN CERTIFICATE"):]
    out = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"],
                         input=pem, capture_output=True, check=True).stdout.decode()
    return next(x.split("=")[1].strip() for x in out.splitlines() if "commonName" in x)


# --- streams cut ---

def first_answer(controller):
    with controller.connect() as w:
        w.open()
        w.send(w.message(request(SDS, ["service-cert"])))
        return w.next_message()


def test_an_answer_byte_by_byte_is_the_same(controller):
    """A window of one byte at a time."""
    whole = first_answer(controller)
    with controller.connect(settings=struct.pack(">HI", 4, 1)) as w:
        w.open()
        w.send(w.message(request(SDS, ["service-cert"])))
        assert w.next_message() == whole


def test_an_answer_cut_at_every_byte(controller):
    """The window closes after so many bytes, and the connection goes: with a close that is said,
    then with a reset."""
    size = len(first_answer(controller)) + 5

    def cut(at, linger):
        with controller.connect(settings=struct.pack(">HI", 4, at)) as w:
            w.open()
            w.send(w.message(request(SDS, ["service-cert"])))
            got = 0
            while got < at:
                got += len(w.until(DATA)[3])
            if linger:
                w.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for at in range(1, size):
        cut(at, at % 2)
    places = itertools.cycle(range(1, size))
    stays_flat(controller, lambda: cut(next(places), True))


def test_a_request_cut_at_every_byte(controller):
    with controller.connect() as w:
        words = frame(HEADERS, END_HEADERS, 1, w.headers()) + w.message(request(CDS))

    def cut(at):
        with controller.connect() as w:
            w.say(words[:at])
    for at in range(len(words)):
        cut(at)
    places = itertools.cycle(range(len(words)))
    stays_flat(controller, lambda: cut(next(places)))


def test_an_ended_request_ends_the_call(controller):
    with controller.connect() as w:
        w.open()
        w.say(frame(DATA, END_STREAM, 1))
        assert w.status() == 0
