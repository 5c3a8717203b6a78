"""Primitives of both protocols: key derivation, records, Noise and X-Wing."""

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def derive(key, label, context=b"", length=32):
    """derive(key, label, context) of session.md, and KDF of broker.md."""
    info = b"countersign/1 " + label.encode() + b"\0" + context
    return HKDF(hashes.SHA256(), length, None, info).derive(key)


def agree(private, public):
    """X25519 with both keys as bytes."""
    key = X25519PrivateKey.from_private_bytes(private)
    return key.exchange(X25519PublicKey.from_public_bytes(public))


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def aead(cipher, key):
    """The record cipher of an option, named by the end of the option's name."""
    if cipher == "chacha20poly1305":
        return ChaCha20Poly1305(key)
    return AESGCM(key[:16] if cipher == "aes128gcm" else key)


def counted(number):
    """The nonce of a packet."""
    return bytes(4) + number.to_bytes(8, "big")


class Noise:
    """The initiator of Noise_IKpsk2_25519_..._SHA256 (Noise, revision 34)."""

    def __init__(self, chacha, prologue, own, ephemeral, site):
        name = b"Noise_IKpsk2_25519_ChaChaPoly_SHA256" if chacha else b"Noise_IKpsk2_25519_AESGCM_SHA256"
        self.chacha = chacha
        self.hash = name.ljust(32, b"\0") if len(name) <= 32 else sha256(name)
        self.chaining = self.hash
        self.own, self.ephemeral, self.site = own, ephemeral, site
        self.mix_hash(prologue)
        self.mix_hash(site)

    def mix_hash(self, data):
        self.hash = sha256(self.hash, data)

    def expand(self, material, outputs):
        key = hmac.digest(self.chaining, material, "sha256")
        made, last = [], b""
        for number in range(1, outputs + 1):
            last = hmac.digest(key, last + bytes([number]), "sha256")
            made.append(last)
        return made

    def mix_key(self, material):
        self.chaining, self.key = self.expand(material, 2)
        self.number = 0

    def cipher(self):
        if self.chacha:
            return ChaCha20Poly1305(self.key), bytes(4) + self.number.to_bytes(8, "little")
        return AESGCM(self.key), bytes(4) + self.number.to_bytes(8, "big")

    def seal(self, plaintext):
        cipher, nonce = self.cipher()
        sealed = cipher.encrypt(nonce, plaintext, self.hash)
        self.number += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        cipher, nonce = self.cipher()
        plaintext = cipher.decrypt(nonce, sealed, self.hash)
        self.number += 1
        self.mix_hash(sealed)
        return plaintext

    def share(self, public):
        """The token e of a handshake with a psk."""
        self.mix_hash(public)
        self.mix_key(public)

    def write(self, payload):
        """Message 1: e, es, s, ss."""
        public = public_of(self.ephemeral)
        self.share(public)
        self.mix_key(agree(self.ephemeral, self.site))
        static = self.seal(public_of(self.own))
        self.mix_key(agree(self.own, self.site))
        return public + static + self.seal(payload)

    def read(self, message, psk):
        """Message 2: e, ee, se, psk. Returns its payload and the two keys, that of the initiator's direction first."""
        theirs = message[:32]
        self.share(theirs)
        self.mix_key(agree(self.ephemeral, theirs))
        self.mix_key(agree(self.own, theirs))
        self.chaining, mixed, self.key = self.expand(psk, 3)
        self.number = 0
        self.mix_hash(mixed)
        payload = self.open(message[32:])
        return payload, self.expand(b"", 2)


class XWing:
    """The private half of an X-Wing key (draft-connolly-cfrg-xwing-kem)."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.agreement = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = self.kem.public_key().public_bytes_raw() + self.agreement.public_key().public_bytes_raw()

    def decapsulate(self, encapsulated):
        ciphertext, ephemeral = encapsulated[:1088], encapsulated[1088:]
        agreed = self.agreement.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        parts = self.kem.decapsulate(ciphertext), agreed, ephemeral, self.public[1184:], b"\\.//^\\"
        return hashlib.sha3_256(b"".join(parts)).digest()
