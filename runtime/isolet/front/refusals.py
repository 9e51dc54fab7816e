"""What the limits of a request are called when it is over them."""

from __future__ import annotations

from .. import limits
from ..errors import HeadersTooLarge, PayloadTooLarge, UriTooLong


def uri_too_long(limit: int) -> UriTooLong:
    return UriTooLong(f"the request target has more than {limit:,} bytes")


def headers_too_large(count: int, size: int) -> HeadersTooLarge:
    return HeadersTooLarge(f"the request has more than {count:,} headers, or {size:,} bytes of them")


def body_too_large(size: int, limit: int) -> PayloadTooLarge:
    if limit == limits.PAYLOAD_BYTES_MAX:
        return PayloadTooLarge(f"Request must be smaller than {limit} bytes for the InvokeFunction operation")
    return PayloadTooLarge(f"the body has {size:,} bytes or more; at most {limit:,} are taken")
