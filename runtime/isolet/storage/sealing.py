"""Values on the disk that are worth nothing without a key file: AES-256-GCM, each bound to its place.

Laws:
- The key is in a file of its own that only its owner can read, and never in the database: a copy of one without the
  other opens nothing.
- A value's place (the words that find its row) is authenticated with it: a row that was moved elsewhere does not open.
  Callers with different kinds of rows have places of different lengths or first words.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import StorageUnavailable
from .artifacts import read_key

_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2: of this length, and random, for fewer than 2³² values under one key


class Sealing:
    """The key is read, or made, when it is first needed. May be used from any thread."""

    def __init__(self, key_path: Path) -> None:
        self.key_path = key_path
        self._cipher: AESGCM | None = None

    def seal(self, plain: bytes, *place: str) -> bytes:
        """Raises StorageUnavailable (the key file cannot be used)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead().encrypt(nonce, plain, _packed(place))

    def open(self, sealed: bytes, *place: str) -> bytes | None:
        """None for what does not open: another key, another place, or damage. Raises StorageUnavailable."""
        try:
            return self._aead().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _packed(place))
        except InvalidTag:
            return None

    def refusal(self, what: str) -> StorageUnavailable:
        """What is said of `what`, which does not open."""
        return StorageUnavailable(
            f"{what} does not open with the key {self.key_path}; put the key back with which it was set, "
            "or set it again"
        )

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(read_key(self.key_path, "put back the one that the secrets were set with"))
        return self._cipher


def _packed(place: tuple[str, ...]) -> bytes:
    packed: bytes = msgpack.packb(place)
    return packed
