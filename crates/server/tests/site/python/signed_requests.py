"""Signs requests with the PyPI package `http-message-signatures`, an independent implementation of
RFC 9421. Standard input is a JSON list of requests; standard output is the list of their headers."""

import base64
import datetime
import hashlib
import json
import sys
from types import SimpleNamespace

from http_message_signatures import HTTPMessageSigner, algorithms
from http_message_signatures.resolvers import MappingKeyResolver


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def headers(request):
    fields = {"Host": request["host"], **request.get("fields", {})}
    body = request["body"].encode()
    if body:
        digest = base64.b64encode(hashlib.new(request["hash"], body).digest()).decode()
        name = {"sha256": "sha-256", "sha512": "sha-512"}[request["hash"]]
        fields["Content-Digest"] = f"{name}=:{digest}:"
        fields["Content-Type"] = "application/json"
    # The package covers each digest that it finds; this one is to be added behind it.
    digests = {}
    if "content-digest" not in request["covered"]:
        digests = {"Content-Digest": fields.pop("Content-Digest")} if body else {}
    covers = bool(body) and not digests
    message = SimpleNamespace(method=request["method"], url=request["url"], headers=fields)
    keys = MappingKeyResolver(
        public_keys={}, private_keys={request["keyid"]: request["key"].encode()}
    )
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=keys)
    signer.sign(
        message,
        key_id=request["keyid"],
        created=at(request["created"]),
        expires=at(request["expires"]),
        nonce=request["nonce"],
        tag=request["tag"],
        include_alg=request["alg"],
        covered_component_ids=request["covered"],
        use_existing_digest=covers,
        body=body if covers else None,
    )
    fields.update(digests)
    return {name: value for name, value in fields.items() if name != "Host"}


print(json.dumps([headers(request) for request in json.load(sys.stdin)]))
