"""Makes calls and prints their outcomes as JSON, one a line, for tests.

    call.py PROTOCOL HOST PORT [--path P] [--method M] [--header K:V]... [--count N]

An outcome is {"ok": bool, "status": HTTP or gRPC status or null, "name": who answered, "error": ...}.
"""
import argparse
import collections
import json
import socket
import subprocess
import sys

import grpc
import httpx

TIMEOUT = 10


def call_http(args):
    with httpx.Client(timeout=TIMEOUT) as client:
        response = client.request(args.method, f"http://{args.host}:{args.port}{args.path}",
                                  headers=[h.split(":", 1) for h in args.header])
        return {"ok": response.status_code == 200, "status": response.status_code,
                "name": response.headers.get("x-name"), "error": None,
                "body": response.text if response.status_code != 200 else ""}


def call_h2(args):
    """HTTP/2 without TLS, with curl: the Python libraries take no answer after a GOAWAY."""
    url = f"http://{args.host}:{args.port}{args.path}"
    headers = [x for h in args.header for x in ("-H", h)]
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-m", str(TIMEOUT), "-X",
                           args.method, *headers, "-w", "\n%{http_code} %header{x-name}", url],
                          text=True, capture_output=True)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())
    body, _, last = done.stdout.rpartition("\n")
    status, _, name = last.partition(" ")
    return {"ok": status == "200", "status": int(status), "name": name or None, "error": None,
            "body": body if status != "200" else ""}


def call_grpc(args):
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
