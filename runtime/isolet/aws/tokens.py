"""Pagination tokens: where the next page begins, opaque to clients. Pure.

Laws:
- `decode(what, encode(what, place), …) == place`; a token fits into a query as it is.
- A token is of the listing (`what`) that gave it. Any other text is refused, with the service's own words for that.
- A token holds no secret and grants nothing: an account that sends another's sees its own resources only.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from ..errors import IsoletError

# Longer than any that we give: a function's name, an ARN, a place of a log.
TOKEN_CHARS_MAX = 4_096


def encode(what: str, place: Any) -> str:
    """`place` is a value of JSON."""
    packed = json.dumps([what, place], separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def decode(what: str, token: str, refusal: IsoletError) -> Any:
    """Where the page of this token begins. Raises `refusal` for what `encode(what, …)` did not give."""
    if len(token) > TOKEN_CHARS_MAX:
        raise refusal
    try:
        unpacked = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise refusal from None
    if not isinstance(unpacked, list) or len(unpacked) != 2 or unpacked[0] != what:
        raise refusal
    return unpacked[1]
