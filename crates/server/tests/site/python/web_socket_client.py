"""A device in Python: connects by WebSocket, calls operations, and prints what it sees as JSON lines.

Arguments: HOST PORT CERTIFICATE KEY ID
"""

import json
import ssl
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

host, port, certificate, key, person = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE  # The test compares the site's key elsewhere.
context.load_cert_chain(certificate, key)
context.set_alpn_protocols(["http/1.1"])


def show(**values):
    print(json.dumps(values), flush=True)


def open_socket():
    return connect(
        f"wss://{host}:{port}/device?id={person}",
        ssl=context,
        subprotocols=["countersign.device.1"],
        max_size=None,
        compression=None,
        open_timeout=120,
        close_timeout=120,
    )


def closed(socket):
    try:
        while True:
            socket.recv(timeout=120)
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else None


with open_socket() as socket:
    show(subprotocol=socket.subprotocol, welcome=json.loads(socket.recv(timeout=120)))
    socket.ping().wait(120)
    for number in (1, 2):
        operation = {"id": number, "group": "device", "command": "list", "params": {}}
        socket.send(json.dumps(operation, indent=2))
    outcomes = [json.loads(socket.recv(timeout=120)) for _ in range(2)]
    show(ids=sorted(outcome["id"] for outcome in outcomes), codes=[o["code"] for o in outcomes])
with open_socket() as socket:
    socket.recv(timeout=120)
    socket.send(b"binary")
    show(binary=closed(socket))
with open_socket() as socket:
    socket.recv(timeout=120)
    socket.send("x" * (1 << 20) + "x")
    show(long=closed(socket))
with open_socket() as socket:
    socket.recv(timeout=120)
    for _ in range(3):
        socket.send("{}")
    show(malformed=closed(socket))
with open_socket() as socket:
    socket.recv(timeout=120)
    show(ready=True)
    show(revoked=closed(socket))
try:
    with open_socket() as socket:
        show(again=True)
except Exception as error:  # The site closes without an answer.
    show(again=False)
