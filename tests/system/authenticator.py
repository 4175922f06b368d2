# SPDX-License-Identifier: Apache-2.0
"""A software WebAuthn authenticator (CTAP2-like, ES256), CBOR by hand.

It answers the portal's options as a browser and a key would together. Every part can be bent, so that
tests can play the attacker: another origin, no user verification, an old counter, a wrong signature.
"""

import base64
import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if value < 1 << (8 * struct.calcsize(form)):
            return bytes([major << 5 | code]) + struct.pack(form, value)
    raise ValueError(value)


def cbor(value):
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    raise TypeError(type(value))


class Authenticator:
    """Holds credentials: id -> [key, user handle, counter]."""

    def __init__(self, origin, counts=True):
        self.origin = origin
        self.counts = counts
        self.credentials = {}

    def _client_data(self, kind, options, origin):
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": origin or self.origin,
                           "crossOrigin": False}).encode()

    @staticmethod
    def _auth_data(rp_id, flags, counter, more=b""):
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", counter) + more

    def create(self, options, origin=None, rp_id=None, flags=0x45):
        """The JSON of navigator.credentials.create()."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = os.urandom(16)
        public = key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: public.x.to_bytes(32, "big"), -3: public.y.to_bytes(32, "big")}
        more = bytes(16) + struct.pack(">H", len(name)) + name + cbor(cose)
        auth_data = self._auth_data(rp_id or options["rp"]["id"], flags, 0, more)
        attestation = cbor({"fmt": "none", "attStmt": {}, "authData": auth_data})
        self.credentials[name] = [key, unb64(options["user"]["id"]), 0]
        return {"id": b64(name), "rawId": b64(name), "type": "public-key",
                "response": {"clientDataJSON": b64(self._client_data("webauthn.create", options, origin)),
                             "attestationObject": b64(attestation)}}

    def get(self, options, origin=None, rp_id=None, flags=0x05, counter=None, spoil=False, challenge=None):
        """The JSON of navigator.credentials.get()."""
        allowed = [unb64(one["id"]) for one in options.get("allowCredentials", [])]
        name = next(one for one in self.credentials if not allowed or one in allowed)
        entry = self.credentials[name]
        if self.counts:
            entry[2] += 1
        if challenge is not None:
            options = dict(options, challenge=challenge)
        auth_data = self._auth_data(rp_id or options["rpId"], flags, entry[2] if counter is None else counter)
        client_data = self._client_data("webauthn.get", options, origin)
        signature = entry[0].sign(auth_data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        if spoil:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        return {"id": b64(name), "rawId": b64(name), "type": "public-key",
                "response": {"clientDataJSON": b64(client_data), "authenticatorData": b64(auth_data),
                             "signature": b64(signature), "userHandle": b64(entry[1])}}
