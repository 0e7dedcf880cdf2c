"""A server for tests, a port for each protocol; every answer says who answered.

    echo.py --name NAME --http PORT --h2 PORT --grpc PORT --tcp PORT --server-first PORT
"""
import argparse
import asyncio
import json

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events


async def serve_http(name, reader, writer):
    """HTTP/1.1: answers with what it was asked, as JSON."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.dumps({"name": name, "method": method, "path": path, "headers": headers})
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nx-name: {name}\r\n\r\n{body}".encode())
        await writer.drain()


async def serve_h2(name, reader, writer):
    """HTTP/2 with prior knowledge."""
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    writer.write(conn.data_to_send())
    while data := await reader.read(65536):
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = {k.decode(): v.decode() for k, v in event.headers}
                body = json.dumps({"name": name, "method": headers[":method"],
                                   "path": headers[":path"], "version": 2}).encode()
                conn.send_headers(event.stream_id, [(":status", "200"), ("x-name", name)])
                conn.send_data(event.stream_id, body, end_stream=True)
        writer.write(conn.data_to_send())
        await writer.drain()


async def serve_tcp(name, reader, writer):
    """Says back each line with its name before it."""
    while line := await reader.readline():
        writer.write(name.encode() + b" " + line)
        await writer.drain()


async def serve_server_first(name, reader, writer):
    """Greets before the client says anything, as mail and database servers do."""
    writer.write(b"220 " + name.encode() + b"\n")
    await writer.drain()
    await serve_tcp(name, reader, writer)


class Echo(grpc.GenericRpcHandler):
    """Any method: the request's bytes with the server's name before them."""

    def __init__(self, name):
        self.name = name.encode()

    def service(self, details):
        async def answer(request, context):
            return self.name + b" " + request
        return grpc.unary_unary_rpc_method_handler(answer)


def quietly(handler, name):
    async def handle(reader, writer):
        try:
            await handler(name, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    return handle


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    for protocol in ("http", "h2", "grpc", "tcp", "server-first"):
        parser.add_argument(f"--{protocol}", type=int)
    args = parser.parse_args()
    handlers = {"http": serve_http, "h2": serve_h2, "tcp": serve_tcp,
                "server_first": serve_server_first}
    for protocol, handler in handlers.items():
        port = getattr(args, protocol)
        if port:
            await asyncio.start_server(quietly(handler, args.name), None, port)
    if args.grpc:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Echo(args.name),))
        server.add_insecure_port(f"[::]:{args.grpc}")
        await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
