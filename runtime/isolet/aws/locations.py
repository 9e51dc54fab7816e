"""URLs of packages that GetFunction and GetLayerVersion answer: whoever has one may read the package for ten minutes.

Law: a URL is signed for one package and one end, with a key of this server. So an account gets at its own packages
only, and knowing another's digest is worth nothing. Precedent: Lambda's Location is a presigned URL of S3, for ten
minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import cached_property

from ..clock import Clock
from ..errors import AccessDenied

PATH = "/isolet/packages/"
VALID_S = 600


class Locations:
    def __init__(self, key: Callable[[], bytes], clock: Clock) -> None:
        """`key` reads a key of this server's, when it is first needed."""
        self._read_key = key
        self._clock = clock

    @cached_property
    def _key(self) -> bytes:
        return hmac.digest(self._read_key(), b"locations of packages", "sha256")

    def url(self, origin: str, digest: str) -> str:
        expires = str(int(self._clock.wall_s()) + VALID_S)
        return f"{origin}{PATH}{digest}.zip?Expires={expires}&Signature={self._signature(digest, expires)}"

    def require(self, digest: str, expires: str, signature: str) -> None:
        """Raises AccessDenied for a URL that was not given out, or not for now."""
        if not re.fullmatch(r"[0-9]{1,12}", expires) or not hmac.compare_digest(
            self._signature(digest, expires).encode(), signature.encode("utf-8", "replace")
        ):
            raise AccessDenied("Access Denied")
        if int(expires) < self._clock.wall_s():
            raise AccessDenied("Request has expired")

    def _signature(self, digest: str, expires: str) -> str:
        return hmac.new(self._key, f"{digest} {expires}".encode(), hashlib.sha256).hexdigest()
