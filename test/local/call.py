"""Makes calls and prints their outcomes as JSON, one a line, for tests.

    call.py PROTOCOL HOST PORT [--path P] [--method M] [--header K:V]... [--count N]

An outcome is {"ok": bool, "status": HTTP or gRPC status or null, "name": who answered, "error": ...}.
"""
import argparse
import collections
import json
import socket
import ssl
import struct
import sys

import hpack
import httpx

TIMEOUT = 10
# Nothing here speaks TLS; a client that isn't told so reads all of the system's roots first.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def call_http(args):
    with httpx.Client(timeout=TIMEOUT, verify=NO_TLS) as client:
        response = client.request(args.method, f"http://{args.host}:{args.port}{args.path}",
                                  headers=[h.split(":", 1) for h in args.header])
        return {"ok": response.status_code == 200, "status": response.status_code,
                "name": response.headers.get("x-name"), "error": None,
                "body": response.text if response.status_code != 200 else ""}


# HTTP/2's frames (RFC 9113, section 6).
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload):
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def read_frame(f):
    head = f.read(9)
    if len(head) < 9:
        raise OSError("the connection ended before the answer")
    length, flags, stream = struct.unpack(">IBI", head)
    return length & 0xff, flags, stream, f.read(length >> 8)


def call_h2(args):
    """HTTP/2 without TLS, frame by frame: the Python libraries take no answer after a GOAWAY, and
    curl takes longer to start than the call does."""
    headers = [(":method", args.method), (":scheme", "http"), (":path", args.path),
               (":authority", f"{args.host}:{args.port}"),
               *[h.lower().split(":", 1) for h in args.header]]
    answer, body, decoder = {}, b"", hpack.Decoder()
    with socket.create_connection((args.host, args.port), TIMEOUT) as s:
        s.settimeout(TIMEOUT)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"") +
                  frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack.Encoder().encode(headers)))
        f = s.makefile("rb")
        kind, flags, stream = None, 0, 0
        while not (stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM):
            kind, flags, stream, payload = read_frame(f)
            if stream == 1 and kind == HEADERS:
                answer.update(decoder.decode(payload))
            elif stream == 1 and kind == DATA:
                body += payload
            elif stream == 1 and kind == RST_STREAM:
                raise OSError(f"the stream was reset: {payload.hex()}")
    return {"ok": answer[":status"] == "200", "status": int(answer[":status"]),
            "name": answer.get("x-name"), "error": None,
            "body": body.decode() if answer[":status"] != "200" else ""}


def call_grpc(args):
    import grpc  # takes a while; the others don't need it
    with grpc.insecure_channel(f"{args.host}:{args.port}") as channel:
        try:
            answer = channel.unary_unary(args.path)(b"hello", timeout=TIMEOUT)
        except grpc.RpcError as e:
            return {"ok": False, "status": e.code().name, "name": None, "error": e.details()}
    return {"ok": True, "status": "OK", "name": answer.split(b" ")[0].decode(), "error": None}


def call_tcp(args, server_first):
    with socket.create_connection((args.host, args.port), TIMEOUT) as s:
        s.settimeout(TIMEOUT)
        f = s.makefile("rwb")
        name = None
        if server_first:
            greeting = f.readline()
            if not greeting.startswith(b"220 "):
                return {"ok": False, "status": None, "name": None, "error": f"greeting {greeting!r}"}
            name = greeting.split(b" ")[1].strip().decode()
        f.write(b"hello\n")
        f.flush()
        answer = f.readline()
        if not answer.endswith(b" hello\n"):
            return {"ok": False, "status": None, "name": None, "error": f"answer {answer!r}"}
        return {"ok": True, "status": None, "name": name or answer.split(b" ")[0].decode(),
                "error": None}


def call(args):
    try:
        if args.protocol == "http":
            return call_http(args)
        if args.protocol == "h2":
            return call_h2(args)
        if args.protocol == "grpc":
            return call_grpc(args)
        return call_tcp(args, args.protocol == "server-first")
    except (httpx.HTTPError, OSError) as e:
        return {"ok": False, "status": None, "name": None, "error": f"{type(e).__name__}: {e}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=["http", "h2", "grpc", "tcp", "server-first"])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--count", type=int, default=1)
    args = parser.parse_args()
    outcomes = [call(args) for _ in range(args.count)]
    if args.count == 1:
        json.dump(outcomes[0], sys.stdout)
    else:
        names = collections.Counter(o["name"] or f"failed: {o['status'] or o['error']}"
                                    for o in outcomes)
        json.dump(names, sys.stdout)


main()
