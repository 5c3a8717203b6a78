"""A receiver of a webhook that prints each request as one line of JSON and verifies its signature.

webhook_receiver.py SECRET BEHAVIOUR ...

Each behaviour is the answer to one request, the first one first; then requests get 204. A behaviour is
`STATUS`, `STATUS:HEADER:VALUE`, `hang`, `late`: 204 once the site has given up waiting, `cut`, `garbage`,
`huge`, `echo` or `echo-late`: the token at the place where the site cuts the reply.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

secret, behaviours = sys.argv[1], sys.argv[2:]
key = base64.b64decode(secret.removeprefix("whsec_"))
lock = threading.Lock()


def verified(headers, body):
    """The signature, verified as docs/protocol/alarms.md says."""
    identifier, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    signed = f"{identifier}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    version, _, found = headers.get("webhook-signature", "").partition(",")
    return version == "v1" and hmac.compare_digest(wanted, found)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with lock:
            behaviour = behaviours.pop(0) if behaviours else "204"
            document = {
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": body.decode(),
                "verified": verified(self.headers, body),
                "behaviour": behaviour,
            }
            print(json.dumps(document), flush=True)
        if behaviour == "hang":
            threading.Event().wait()
        elif behaviour == "late":
            self.connection.recv(1)
            self.close_connection = True
            try:
                self.answer("204", b"")
            except OSError:
                pass
        elif behaviour == "cut":
            self.close_connection = True
        elif behaviour == "garbage":
            self.wfile.write(b"\x00\xff nonsense\r\n\r\n" * 10)
            self.close_connection = True
        elif behaviour == "huge":
            self.send_response(500)
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif behaviour == "echo":
            self.answer("400", self.headers["authorization"].encode())
        elif behaviour == "echo-late":
            token = self.headers["authorization"].split()[1].encode()
            self.answer("400", b"x" * (120 - len(token) // 2) + token)
        else:
            self.answer(behaviour, b"" if behaviour == "204" else b'{"error":"no such number"}')

    def answer(self, behaviour, body):
        status, *header = behaviour.split(":", 2)
        self.send_response(int(status))
        if header:
            self.send_header(*header)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_address[1], flush=True)
server.serve_forever()
