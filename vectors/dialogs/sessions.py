"""Sessions by docs/protocol/session.md: the login of a service, its packets and its messages."""

import hashlib
from collections import namedtuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from primitives import Noise, aead, agree, counted, derive, public_of, sha256

NUMBERS = {"hybrid-aes256gcm": 0x0001, "hybrid-chacha20poly1305": 0x0002, "x25519-aes256gcm": 0x0101,
           "x25519-aes128gcm": 0x0102, "x25519-chacha20poly1305": 0x0103, "delivered-key": 0x0201}
OF_THE_SESSION = (1 << 64) - 1
AGREEMENT_EXTENSION = "1.2.840.113556.1.8000.2554.28380.35535.47627.19125.34232.10458768.15301350.1"

Command = namedtuple("Command", "id value wire")
MAX_PACKET, MESSAGE_ID, END, NOP = 0x2000, 0x3000, 0x7010, 0x7000
CERTIFICATE_ID, OPTION_CHOICE, SITE_PROOF, SESSION_PROOF = 0x8000, 0x8003, 0x8004, 0x8005
SESSION_KEY, LOGIN_START, HANDSHAKE, KEM_KEY, KEM_CIPHERTEXT, RESUME, KEY_EVENTS = range(0x9002, 0x9009)
KEY_EVENTS_REQUEST, EVENT_LENGTH, BODY_LENGTH = 0x3002, 281, 153
DATA_LENGTH, WRAPPED, KEY_SHARE = 0x2001, 0xA003, 0xA013
REKEY, REKEY_ANSWER, REKEYED, VERIFICATION = 0x1001, 0x1002, 0x7011, 0x8001
CODE, GROUP, COMMAND, EVENT, PARAMS, DATA, OUTPUT, CONTENT = (
    0x1000, 0x8010, 0x8011, 0x8012, 0xA010, 0xA002, 0xA011, 0xA012)
GOODBYE, SESSION_ID, EXPIRES, IDLE_LIMIT, USERNAME = 0x0002, 0x8020, 0x3001, 0x2003, 0x9000


def risp(data):
    """The commands of a complete string of RISP (risp.md)."""
    at = 0
    while at < len(data):
        start, number = at, int.from_bytes(data[at:at + 2], "big")
        at += 2
        shape = number >> 12
        if shape <= 6:
            length = 1 << shape
        elif 8 <= shape <= 11:
            width = 1 << (shape - 8)
            length = int.from_bytes(data[at:at + width], "big")
            at += width
        else:
            length = 0
        yield Command(number, data[at:at + length], data[start:at + length])
        at += length
        assert at <= len(data), "an incomplete command"


def command(number, value):
    width = 1 << ((number >> 12) - 8) if 8 <= number >> 12 <= 11 else 0
    return number.to_bytes(2, "big") + (len(value).to_bytes(width, "big") if width else b"") + value


class Derived:
    """The derived values of a file. Compares each computed value with the file's."""

    def __init__(self, listed):
        self.listed = {value["name"]: bytes.fromhex(value["bytes"]) for value in listed}
        self.seen = set()

    def check(self, name, value):
        assert self.listed[name] == value, f"{name} is {value.hex()}"
        self.seen.add(name)
        return value


class Login:
    """A service's login or a resumption, computed with the private keys of both ends."""

    def __init__(self, inputs, connection, resumption):
        self.inputs, self.option, self.resumption = inputs, connection["option"], resumption
        self.derived = Derived(connection["derived"])
        seed = bytes.fromhex(inputs["site_seed"])
        self.site = self.derived.check("site agreement key (X25519)", derive(seed, "site agreement"))
        signing = self.derived.check("site signing key (Ed25519)", derive(seed, "site signing"))
        signing = Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw()
        self.verifying = Ed25519PublicKey.from_public_bytes(signing)
        assert bytes.fromhex(inputs["site_public_key"]) == signing + public_of(self.site)
        service = inputs["account"]["service"]
        self.own = derive(bytes.fromhex(service["identity_seed"]), "identity agreement")
        self.certificate = bytes.fromhex(service["certificate"])
        extension = x509.load_der_x509_certificate(self.certificate).extensions
        extension = extension.get_extension_for_oid(x509.ObjectIdentifier(AGREEMENT_EXTENSION))
        assert extension.value.value[-32:] == public_of(self.own)
        self.drawn = {end: [bytes.fromhex(value["bytes"]) for value in connection[f"{end}_entropy"]]
                      for end in ("client", "server")}
        self.sent = {"client": hashlib.sha256(), "server": hashlib.sha256()}
        self.received, self.info = {}, None

    def transcript(self, label, listed=True):
        sent = self.sent["client"].digest() + self.sent["server"].digest()
        digest = sha256(b"countersign/1 ", label.encode(), b"\0", sent)
        return self.derived.check(f"T({label})", digest) if listed else digest

    def read_command(self, sender, sent):
        """Reads one plaintext command from either end."""
        delivered = self.option == "delivered-key"
        if delivered and sender == "server" and self.info is None:
            self.info = b"countersign/1 delivered-key\0" + self.transcript("delivered key")
        if sent.id == OPTION_CHOICE:
            numbers = [NUMBERS[name].to_bytes(2, "big") for name in self.inputs["options"]]
            listed = sha256(b"countersign/1 options\0", *numbers)[:8]
            assert sent.value == listed + NUMBERS[self.option].to_bytes(2, "big")
        elif sent.id == KEY_EVENTS_REQUEST:
            assert sent.value == bytes(8), "the first contact requests all events"
        elif sent.id == KEY_EVENTS:
            self.key_events(sent.value)
        elif sent.id == HANDSHAKE:
            self.handshake(sent.value)
        elif sent.id == RESUME:
            self.resume(sent.value)
        elif sent.id == SESSION_KEY and delivered:
            self.open_key(sent.value)
        elif sent.id == SESSION_KEY and self.resumption is None:
            self.session_key(sent.value)
        elif sent.id == SITE_PROOF:
            self.verifying.verify(sent.value, self.transcript("site proof"))
        elif sent.id == SESSION_PROOF:
            assert sent.value == derive(self.code, "session code", self.transcript("session code"))
        self.received[sent.id] = sent.value
        self.sent[sender].update(sent.wire)

    def key_events(self, page):
        """Follows the site's key events from the first one. One has the pinned key, the newest proves the site."""
        newest, digest, rest = int.from_bytes(page[:8], "big"), page[8:40], page[40:]
        events = [rest[at:at + EVENT_LENGTH] for at in range(0, len(rest), EVENT_LENGTH)]
        assert [event.hex() for event in events] == self.inputs["key_events"] and len(events) == newest + 1
        previous, committed, signer, pinned = bytes(32), None, None, False
        for number, event in enumerate(events):
            body, own, by_previous = event[:BODY_LENGTH], event[BODY_LENGTH:-64], event[-64:]
            keys, signed = body[9:73], b"countersign site key event 1" + body
            assert body[0] == 1 and int.from_bytes(body[1:9], "big") == number and body[113:145] == previous
            assert committed in (None, sha256(b"countersign next site key 1", keys))
            Ed25519PublicKey.from_public_bytes(keys[:32]).verify(own, signed)
            if signer is None:
                assert by_previous == bytes(64)
                self.site_id = sha256(signed)
            else:
                signer.verify(by_previous, signed)
            signer, previous, committed = Ed25519PublicKey.from_public_bytes(keys[:32]), sha256(signed), body[73:105]
            pinned = pinned or keys.hex() == self.inputs["site_public_key"]
        assert pinned and self.site_id.hex() == self.inputs["site_id"]
        assert digest == self.derived.check("digest of the newest key event", previous)
        self.verifying = signer

    def kem(self):
        """The ML-KEM key of the client, from its 64 bytes of d and z."""
        seed = next(value for value in self.drawn["client"] if len(value) == 64)
        return MLKEM768PrivateKey.from_seed_bytes(seed)

    def handshake(self, message):
        limit = command(MAX_PACKET, self.inputs["max_packet"].to_bytes(4, "big"))
        payload = command(CERTIFICATE_ID, sha256(self.certificate)) + limit
        if self.option.startswith("hybrid"):
            payload += command(KEM_KEY, self.kem().public_key().public_bytes_raw())
        self.derived.check("payload of HANDSHAKE", payload)
        ephemeral = next(value for value in self.drawn["client"] if len(value) == 32)
        chacha = self.option.endswith("chacha20poly1305")
        prologue = self.transcript("machine prologue")
        self.noise = Noise(chacha, prologue, self.own, ephemeral, public_of(self.site))
        assert self.noise.write(payload) == message

    def session_key(self, message):
        secret = b""
        if self.option.startswith("hybrid"):
            secret = self.kem().decapsulate(self.received[KEM_CIPHERTEXT])
        self.derived.check("S", secret)
        psk = self.derived.check("psk", derive(secret, "machine psk", self.transcript("machine psk")))
        payload, keys = self.noise.read(message, psk)
        self.derived.check("payload of SESSION-KEY", payload)
        self.derived.check("Noise handshake hash", self.noise.hash)
        self.secret = b"".join(keys)

    def open_key(self, sealed):
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        own = X25519PrivateKey.from_private_bytes(self.own)
        opened = suite.decrypt(sealed, own, self.derived.check("info of HPKE", self.info))
        self.secret, self.code = opened[:32], self.derived.check("session code", opened[32:])

    def resume(self, value):
        sent = self.transcript("resume")
        session, attempt, proof, self.share = value[:16], value[16:24], value[24:56], value[56:]
        assert session.hex() == self.inputs["welcome"]["session"]
        covered = sha256(sent, session, attempt, self.share)
        self.derived.check("digest that the proof of RESUME covers", covered)
        assert proof == derive(self.resumption, "resume", covered)

    def exchange(self, offerer, offer, answer):
        """The shared secrets of KEY-SHAREs."""
        private = next(value for value in self.drawn[offerer] if len(value) == 32 and public_of(value) == offer[:32])
        secrets = agree(private, answer[:32])
        if len(offer) > 32:
            keys = [MLKEM768PrivateKey.from_seed_bytes(seed) for seed in self.drawn[offerer] if len(seed) == 64]
            own = next(key for key in keys if key.public_key().public_bytes_raw() == offer[32:])
            secrets += own.decapsulate(answer[32:])
        return secrets

    def established(self):
        """The packet keys of both directions, and the chain key."""
        if self.resumption is not None:
            shared = self.exchange("client", self.share, self.received[SESSION_KEY])
            self.derived.check("resumption secret R", self.resumption)
            self.secret = self.resumption + self.derived.check("shared secrets", shared)
        self.derived.check("K", self.secret)
        sent = self.transcript("packets")
        keys = [self.derived.check(label, derive(self.secret, label, sent))
                for label in ("packets from client", "packets from server", "chain")]
        if self.resumption is None:
            secret = derive(self.secret, "resumption", sent)
            self.resumption = self.derived.check("resumption secret R", secret)
        return keys


class Direction:
    """The packets that one end sends."""

    def __init__(self, option, key):
        self.option, self.cipher, self.number = option, aead(option.replace("delivered-key", "aes256gcm").split("-")[-1], key), 0

    def open(self, commands):
        """The plaintext of the next packet."""
        first = next(commands)
        if first.id == WRAPPED:
            plaintext = self.record(first.wire[:10], first.wire[10:])
            assert int.from_bytes(first.wire[6:10], "big") == len(plaintext)
            return plaintext
        data, digest = next(commands), next(commands)
        assert (first.id, data.id, digest.id) == (DATA_LENGTH, DATA, VERIFICATION)
        plaintext = self.record(first.wire + data.wire[:6], data.value)
        assert int.from_bytes(first.value, "big") == len(plaintext)
        assert self.record(digest.wire[:3], digest.value) == sha256(plaintext)
        return plaintext

    def record(self, associated, sealed):
        plaintext = self.cipher.decrypt(counted(self.number), sealed, associated)
        self.number += 1
        return plaintext


class Messages:
    """Puts together what one end says in its packets, as the files list it."""

    def __init__(self):
        self.open, self.sent, self.outside = {}, [], []

    def read(self, plaintext):
        """Reads a packet. Returns its complete key offers and answers, and REKEYED."""
        current, keys = None, []
        for sent in risp(plaintext):
            if sent.id == MESSAGE_ID:
                number = int.from_bytes(sent.value, "big")
                current = self.open.setdefault(number, {"id": number})
            elif sent.id == END:
                del self.open[current["id"]]
                keys += self.whole(current)
                current = None
            elif current is None:
                self.outside.append(sent)
                if sent.id == REKEYED:
                    keys.append((REKEYED, 0, b""))
                elif sent.id == GOODBYE:
                    self.sent.append({"goodbye": sent.value[0]})
            elif sent.id == VERIFICATION:
                body = [current.get(part, b"") for part in (PARAMS, DATA, OUTPUT, KEY_SHARE, CONTENT)]
                assert sent.value == sha256(*body)
            elif sent.id == CONTENT:
                if CONTENT not in current:
                    self.whole(current, True)
                current[CONTENT] = current.get(CONTENT, b"") + sent.value
            else:
                current[sent.id] = current.get(sent.id, b"") + sent.value
        return keys

    def whole(self, message, content=False):
        text = lambda part: message.get(part, b"").decode()
        number = message["id"]
        if CONTENT in message and not content:
            self.sent += [{"content": {"id": number, "bytes": message[CONTENT].hex()}}, {"content_end": {"id": number}}]
        elif number == OF_THE_SESSION:
            if REKEY in message:
                option = int.from_bytes(message[REKEY], "big")
                self.sent.append({"offer_keys": next(name for name in NUMBERS if NUMBERS[name] == option)})
                return [(REKEY, option, message[KEY_SHARE])]
            self.sent.append("accept_keys")
            return [(REKEY_ANSWER, int.from_bytes(message[REKEY_ANSWER], "big"), message[KEY_SHARE])]
        elif COMMAND in message:
            self.sent.append({"operation": {"id": number, "group": text(GROUP), "command": text(COMMAND),
                                            "params": text(PARAMS), "content": content}})
        elif EVENT in message:
            assert number == 0
            self.sent.append({"event": {"group": text(GROUP), "event": text(EVENT), "data": text(DATA)}})
        else:
            self.sent.append({"result": {"id": number, "code": int.from_bytes(message[CODE], "big"),
                                         "data": text(DATA), "output": text(OUTPUT), "content": content}})
        return []


def joined(sent):
    """Joins the pieces of each message's content, since the sender chooses how many there are."""
    whole = []
    for one in sent:
        last = whole[-1] if whole else None
        if "content" in one and isinstance(last, dict) and "content" in last and one["content"]["id"] == last["content"]["id"]:
            last["content"]["bytes"] += one["content"]["bytes"]
        else:
            whole.append({name: dict(value) if isinstance(value, dict) else value for name, value in one.items()}
                         if isinstance(one, dict) else one)
    return whole


def check(file):
    """Verifies every connection of a file. Returns the number of packets."""
    resumption, opened = None, 0
    for connection in file["connections"]:
        login = Login(file["inputs"], connection, resumption)
        session = None
        for flight in connection["flights"]:
            sender, commands = flight["from"], risp(bytes.fromhex(flight["bytes"]))
            plaintexts = [bytes.fromhex(part["packet"]["plaintext"]) for part in flight["parts"] if "packet" in part]
            clear = [part for part in flight["parts"] if "clear" in part]
            for part in clear:
                sent = next(commands)
                assert sent.value.hex() == part["clear"]["value"], part["clear"]["command"]
                login.read_command(sender, sent)
            if plaintexts and session is None:
                session = Session(file["inputs"], login)
            for plaintext in plaintexts:
                assert session.open(sender, commands) == plaintext
                opened += 1
            assert next(commands, None) is None
            if session is not None:
                assert session.sent(sender) == joined(flight["says"]), flight["says"]
        missing = set(login.derived.listed) - login.derived.seen
        assert not missing, f"values that were not computed: {missing}"
        resumption = login.resumption
    return opened


class Session:
    """Both directions of a session, and their keys from one key exchange to the next."""

    def __init__(self, inputs, login):
        client, server, self.chain = login.established()
        self.inputs, self.login, self.round, self.offer = inputs, login, 1, None
        self.directions = {"client": Direction(login.option, client), "server": Direction(login.option, server)}
        self.messages = {"client": Messages(), "server": Messages()}
        self.next = {}
        self.welcomed = False

    def open(self, sender, commands):
        plaintext = self.directions[sender].open(commands)
        if sender == "server" and not self.welcomed:
            self.welcome(plaintext)
            return plaintext
        for what, option, share in self.messages[sender].read(plaintext):
            if what == REKEY:
                self.offer = sender, option, share
            elif what == REKEY_ANSWER:
                self.exchange(option, share)
                self.directions[sender] = self.next.pop(sender)
            else:
                self.directions[sender] = self.next.pop(sender)
        return plaintext

    def welcome(self, plaintext):
        sent = {one.id: one.value for one in risp(plaintext)}
        welcome = self.inputs["welcome"]
        assert sent[SESSION_ID].hex() == welcome["session"] and sent[USERNAME].decode() == welcome["account"]
        assert int.from_bytes(sent[EXPIRES], "big") == welcome["expires"]
        assert int.from_bytes(sent[IDLE_LIMIT], "big") == welcome["idle_limit"]
        self.welcomed = True

    def exchange(self, option, answer):
        offerer, offered, offer = self.offer
        assert option == offered
        self.round += 1
        check = lambda name, value: self.login.derived.check(f"{name} {self.round}", value)
        secrets = check("shared secrets", self.login.exchange(offerer, offer, answer))
        digest = check("D", sha256(option.to_bytes(2, "big"), offer, answer))
        fresh = check("fresh", derive(self.chain + secrets, "new keys", digest))
        name = next(name for name in NUMBERS if NUMBERS[name] == option)
        for end in ("client", "server"):
            label = f"packets from {end}"
            self.next[end] = Direction(name, check(label, derive(fresh, label, digest)))
        self.chain = check("chain", derive(fresh, "chain", digest))

    def sent(self, sender):
        sent, self.messages[sender].sent = self.messages[sender].sent, []
        return sent
