"""Tickets of edition v2 and of its symmetric path, by docs/protocol/broker.md."""

import base64
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from primitives import XWing, derive, public_of, sha256
from sessions import Derived


def unbase64(text):
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lp(text):
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def once(key, associated_data, sealed):
    """AES-256-GCM under a key for one message."""
    return AESGCM(key).decrypt(bytes(12), sealed, associated_data)


class Member:
    """A party, from its seed."""

    def __init__(self, listed):
        seed = bytes.fromhex(listed["seed"])
        self.id = listed["id"]
        signing = Ed25519PrivateKey.from_private_bytes(derive(seed, "identity signing"))
        self.agreement = derive(seed, "identity agreement")
        self.hybrid = XWing(derive(seed, "party sealing"))
        verifying = signing.public_key().public_bytes_raw()
        self.verifying = Ed25519PublicKey.from_public_bytes(verifying)
        keys = b"\1" + verifying + public_of(self.agreement) + self.hybrid.public
        assert keys.hex() == listed["public_keys"]
        self.fingerprint = sha256(keys)

    def open(self, suite, info, sealed):
        if suite == "xwing-aes256gcm":
            own = MLKEM768X25519PrivateKey(self.hybrid.kem, self.hybrid.agreement)
            kem = KEM.MLKEM768_X25519
        else:
            own, kem = X25519PrivateKey.from_private_bytes(self.agreement), KEM.X25519
        return Suite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM).decrypt(sealed, own, info)


class Dialog:
    def __init__(self, file):
        self.inputs, self.derived = file["inputs"], Derived(file["derived"])
        self.texts = {sent["name"]: json.loads(sent["text"]) for sent in file["messages"]}
        self.members = {name: Member(self.inputs[name]) for name in ("site", "consumer", "provider")}
        for name, member in self.members.items():
            self.derived.check(f"fingerprint of the {name}", member.fingerprint)
        seeds = [drawn for drawn in file["entropy"]["consumer"] if drawn["name"].startswith("ticket presentation")]
        self.ephemeral = XWing(bytes.fromhex(seeds[0]["bytes"]))

    def opened(self, name, text):
        return json.loads(self.derived.check(f"{name}, opened", text))

    def sealed_message(self, name, message, sender, recipient):
        """Verifies a sealed message, then opens it."""
        kind = name.replace(" ", "-")
        sender, recipient = self.members[sender], self.members[recipient]
        names = message["type"], message["from"], message["to"], message["suite"]
        assert names == (kind, sender.id, recipient.id, self.inputs["suite"])
        assert unbase64(message["key"]) == recipient.fingerprint
        info = b"countersign broker 2\0" + b"".join(map(lp, names)) + sender.fingerprint + recipient.fingerprint
        assert ("header" in message) == (kind == "auth-ticket")
        if "header" in message:
            info += unbase64(message["header"]["id"]) + message["header"]["expires"].to_bytes(8, "big")
        self.derived.check(f"info of the {name}", info)
        sealed = unbase64(message["sealed"])
        signed = b"countersign broker 2 signature\0" + info + sealed
        sender.verifying.verify(unbase64(message["signature"]), signed)
        return self.opened(name, recipient.open(message["suite"], info, sealed))

    def symmetric_ticket(self, ticket):
        key = bytes.fromhex(self.inputs["ticket_key"])
        name = self.derived.check("name of the ticket key", derive(key, "broker ticket key name", length=8))
        assert unbase64(ticket["key"]) == name
        salt, sealed = unbase64(ticket["salt"]), unbase64(ticket["sealed"])
        assert (ticket["from"], ticket["to"]) == (self.members["site"].id, self.members["provider"].id)
        info = b"countersign broker 2 fast ticket\0" + lp(ticket["from"]) + lp(ticket["to"]) + name + salt
        self.derived.check("info of the auth ticket", info)
        key = self.derived.check("key of the auth ticket", derive(key, "broker fast ticket", salt))
        return self.opened("auth ticket", once(key, info, sealed)), sha256(info) + sha256(sealed)

    def read(self):
        """Reads all messages of the dialog."""
        response, presentation = self.texts["auth response"], self.texts["ticket presentation"]
        sealed = presentation["ticket"]
        if self.inputs["ticket_key"]:
            ticket, ticket_hashes = self.symmetric_ticket(sealed)
        else:
            request = self.sealed_message("auth request", self.texts["auth request"], "consumer", "site")
            response = self.sealed_message("auth response", response, "site", "consumer")
            assert request["nonce"] == response["requesterNonce"]
            ticket = self.sealed_message("auth ticket", sealed, "site", "provider")
            assert (sealed["header"]["id"], sealed["header"]["expires"]) == (ticket["id"], ticket["expires"])
            ticket_hashes = sha256(unbase64(sealed["sealed"])) + sha256(unbase64(sealed["signature"]))
        assert response["ticket"] == sealed
        assert all(response[name] == ticket[name] for name in ticket if name != "authData")
        assert ticket["ts"] == self.inputs["now"] and ticket["authData"] == json.loads(self.inputs["auth_data"])
        assert ticket["expires"] - ticket["ts"] == self.inputs["ticket_lifetime"]
        self.agree(ticket, ticket_hashes, unbase64(presentation["id"]))

    def agree(self, ticket, ticket_hashes, id_object):
        credentials = ticket["oneTimeCredentials"]
        key = unbase64(credentials["key"])

        def opened(name, label, iv, associated_data, sealed):
            one = self.derived.check(f"key of the {name}", derive(key, label, unbase64(iv)))
            self.derived.check(f"associated data of the {name}", associated_data)
            return self.opened(name, once(one, associated_data, sealed))

        shown = opened("ID object", "broker id object", credentials["iv"], sha256(ticket_hashes), id_object)
        nonces = "serverNonce", "requesterNonce"
        assert all(shown[nonce] == ticket[nonce] for nonce in nonces) and shown["id"] == ticket["requester"]
        assert unbase64(shown["ephemeral"]) == self.ephemeral.public
        sealed, associated_data = unbase64(self.texts["acknowledgement"]["message"]), sha256(ticket_hashes, id_object)
        acknowledged = opened("acknowledgement", "broker acknowledgement", shown["iv"], associated_data, sealed)
        assert all(acknowledged[nonce] == shown[nonce] for nonce in (*nonces, "finalNonce"))
        shared = self.ephemeral.decapsulate(unbase64(acknowledged["encapsulated"]))
        self.derived.check("secret for the ephemeral key", shared)
        secret = derive(unbase64(ticket["secret"]) + shared, "broker shared secret", sha256(associated_data, sealed))
        self.signed_request(self.derived.check("shared secret", secret), ticket["id"])

    def signed_request(self, secret, ticket):
        """A request that is signed with HTTP message signatures (RFC 9421)."""
        request = self.texts["signed request"]
        digest = base64.b64encode(sha256(request["content"].encode())).decode()
        assert request["content-digest"] == f"sha-256=:{digest}:"
        name, _, parameters = request["signature-input"].partition("=")
        components = "method", "authority", "request-target"
        assert name == "countersign" and f'keyid="{ticket}"' in parameters
        assert parameters.startswith('("@method" "@authority" "@request-target" "content-digest");')
        lines = [f'"@{component}": {request[component.removeprefix("request-")]}' for component in components]
        lines += [f'"content-digest": {request["content-digest"]}', f'"@signature-params": {parameters}']
        base = self.derived.check("signature base of the request", "\n".join(lines).encode())
        code = base64.b64encode(hmac.digest(secret, base, "sha256")).decode()
        assert request["signature"] == f"countersign=:{code}:"


def check(file):
    """Verifies a dialog. Returns the number of its messages."""
    dialog = Dialog(file)
    dialog.read()
    missing = set(dialog.derived.listed) - dialog.derived.seen
    assert not missing, f"values that were not computed: {missing}"
    return len(dialog.texts)
