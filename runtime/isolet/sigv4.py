"""AWS's Signature Version 4: who claims to have signed a request, and whether they did; and, for our own client, the
headers that sign one (`Signer`).

The receiver has two steps, because the key lies elsewhere: `read` finds the claim (an access key, a scope, a time, a
signature) and refuses what is incomplete, too old or signs too little; `verify` holds it against the key that
`signing_key` derives from the secret. A worker only ever sees that derived key, which is worth something for one day,
region and service.

Laws:
- What is signed is what was received: method, path and query as they came in the request line, the headers, the bytes
  of the body. A body is always hashed by us; `UNSIGNED-PAYLOAD` is not taken (none of the APIs here allows it).
- The host and every `x-amz-*` header that is there must be signed: what changes the meaning of a request cannot be
  added to it on the way.
- Signatures are compared in constant time. Until then nothing is said that depends on the secret.
- The canonical path is that of all services but S3: `.`, `..` and empty segments removed, then encoded once more.

Not there: temporary credentials. Our keys are long-lived; an `X-Amz-Security-Token` is signed as any other header, and
gives nothing.

Replay: a signed request is taken as often as it comes within SIGNATURE_SKEW_S of its time, either way. Whoever reads
one on its way may send it again, byte for byte and nothing else, for five minutes (for ten, if the client's clock is
five minutes fast), and a presigned URL until it expires. AWS takes it twice, too: a memory of signatures would have to
be shared by all workers before each request, and would refuse a client that repeats what it got no answer to. Against
readers there is TLS, in front of the server; what must not happen twice needs a name that makes it once.

Precedent: AWS's documentation ("Create a signed AWS API request") and the words of its services' refusals; botocore's
signer is the reference that tests hold this to.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from base64 import b64encode
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from . import limits
from .errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken
from .model import REGION

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_UNRESERVED = "-_.~"
# Of one claim; more is nobody's name of a region.
_SCOPE_CHARS_MAX = 256

Headers = Sequence[tuple[bytes, bytes]]


class Scope(NamedTuple):
    """What a derived key is for."""

    date: str  # YYYYMMDD
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about who signed it, not yet believed."""

    access_key: str
    scope: Scope
    time: str  # YYYYMMDD'T'HHMMSS'Z'
    signed_headers: str  # names in lower case with `;` between them
    signature: str = field(repr=False)
    # The request's headers as the signature has them: name in lower case → values, folded and joined.
    headers: Mapping[bytes, bytes] = field(repr=False)


def signing_key(secret: str, scope: Scope) -> bytes:
    """What signs for one day, region and service. The secret cannot be had back from it."""
    key = ("AWS4" + secret).encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def body_sha256(body: bytes | bytearray) -> str:
    """0.7 ms for a mebibyte: larger bodies than HASH_INLINE_BYTES_MAX are for a thread."""
    return hashlib.sha256(body).hexdigest()


# ── what a request claims ───────────────────────────────────────────────────────────────────────────────────────


def read(query: str, headers: Headers, now_s: float) -> Claim:
    """The claim of a request: of its `Authorization` header, else of its query (presigned).

    Raises MissingAuthenticationToken, IncompleteSignature, InvalidSignature (time, scope, too little is signed).
    """
    folded = _folded(headers)
    authorization = folded.get(b"authorization")
    if authorization:
        claim, expires_s = _of_header(authorization, folded), limits.SIGNATURE_SKEW_S
    elif "X-Amz-Signature=" in query or "X-Amz-Algorithm=" in query:
        claim, expires_s = _of_query(query, folded)
    else:
        raise MissingAuthenticationToken("Missing Authentication Token")
    _require_present(claim.time, expires_s, now_s)
    _require_scope(claim)
    _require_signed(claim)
    return claim


def _folded(headers: Headers) -> dict[bytes, bytes]:
    folded: dict[bytes, bytes] = {}
    for raw, value in headers:
        name = raw.lower()
        value = b" ".join(value.split())
        folded[name] = folded[name] + b"," + value if name in folded else value
    return folded


def _of_header(authorization: bytes, headers: Mapping[bytes, bytes]) -> Claim:
    text = authorization.decode("latin-1")
    algorithm, _, rest = text.partition(" ")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals and algorithm == ALGORITHM:
            raise IncompleteSignature(
                "Invalid key=value pair (missing equal-sign) in Authorization header "
                f"(hashed with SHA-256 and encoded with Base64): '{_hashed(authorization)}'."
            )
        fields[name] = value
    when = _time_of(headers)
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if algorithm != ALGORITHM or not fields.get(name)
    ]
    if not when:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        said = f"(Hashed with SHA-256 and encoded with Base64) Authorization={_hashed(authorization)}"
        raise IncompleteSignature(" ".join([*missing, said]))
    access_key, scope = _credential(fields["Credential"])
    return Claim(access_key, scope, when, fields["SignedHeaders"], fields["Signature"], headers)


def _of_query(query: str, headers: Mapping[bytes, bytes]) -> tuple[Claim, int]:
    """(the claim, for how many seconds it holds)."""
    fields = {name: value.decode("latin-1") for name, value in _parameters(query) if name.startswith(b"X-Amz-")}
    missing = [
        f"AWS query-string parameters must include '{name.decode()}'."
        for name in (
            *(b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature", b"X-Amz-SignedHeaders", b"X-Amz-Date"),
            b"X-Amz-Expires",
        )
        if not fields.get(name)
    ]
    if missing:
        raise IncompleteSignature(" ".join([*missing, "Re-examine the query-string parameters."]))
    if fields[b"X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{fields[b'X-Amz-Algorithm']}'.")
    expires = fields[b"X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", expires) or not 1 <= int(expires) <= limits.PRESIGNED_S_MAX:
        raise IncompleteSignature(
            f"X-Amz-Expires must be a number of seconds from 1 to {limits.PRESIGNED_S_MAX} (a week), not '{expires}'."
        )
    access_key, scope = _credential(fields[b"X-Amz-Credential"])
    claim = Claim(
        access_key,
        scope,
        fields[b"X-Amz-Date"],
        fields[b"X-Amz-SignedHeaders"],
        fields[b"X-Amz-Signature"],
        headers,
    )
    return claim, int(expires)


def _credential(text: str) -> tuple[str, Scope]:
    parts = text.split("/")
    if len(parts) != 5 or len(text) > _SCOPE_CHARS_MAX or not text.isascii():
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:_SCOPE_CHARS_MAX]}'"
        )
    access_key, date, region, service, terminator = parts
    if terminator != TERMINATOR:
        raise InvalidSignature(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
        )
    return access_key, Scope(date, region, service)


def _time_of(headers: Mapping[bytes, bytes]) -> str:
    """X-Amz-Date, or Date as X-Amz-Date has it; "" without a date that can be read."""
    when = headers.get(b"x-amz-date")
    if when is not None:
        return when.decode("latin-1")
    date = headers.get(b"date", b"").decode("latin-1")
    if not date or _TIME.fullmatch(date):
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return ""


def _hashed(authorization: bytes) -> str:
    return b64encode(hashlib.sha256(authorization).digest()).decode("ascii")


# ── what a claim must say ───────────────────────────────────────────────────────────────────────────────────────


def _require_scope(claim: Claim) -> None:
    day = claim.time[:8]
    if claim.scope.date != day:
        raise InvalidSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.scope.date}' != '{day}', from '{claim.time[:_SCOPE_CHARS_MAX]}'."
        )


def _require_present(when: str, expires_s: int, now_s: float) -> None:
    signed_s = _seconds(when)
    if signed_s is None:
        raise IncompleteSignature(
            f"Date must be in ISO-8601 'basic format'. Got '{when[:_SCOPE_CHARS_MAX]}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        )
    if signed_s + expires_s < now_s:
        raise InvalidSignature(
            f"Signature expired: {when} is now earlier than {_shown(now_s - expires_s)} "
            f"({_shown(now_s)} - {expires_s / 60:g} min.)"
        )
    skew_s = limits.SIGNATURE_SKEW_S
    if signed_s - skew_s > now_s:
        raise InvalidSignature(
            f"Signature not yet current: {when} is still later than {_shown(now_s + skew_s)} "
            f"({_shown(now_s)} + {skew_s / 60:g} min.)"
        )


@lru_cache(maxsize=64)
def _seconds(when: str) -> int | None:
    """Unix seconds of an X-Amz-Date; None for what is none."""
    match = _TIME.fullmatch(when)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return timegm((year, month, day, hour, minute, second))


def _shown(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def _require_signed(claim: Claim) -> None:
    signed = claim.signed_headers.split(";")
    if "host" not in signed:
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in claim.headers:
        if name.startswith(b"x-amz-") and name.decode("latin-1") not in signed:
            raise InvalidSignature(f"'{name.decode('latin-1')}' must be a 'SignedHeader' in the AWS Authorization.")


# ── whether it is so ────────────────────────────────────────────────────────────────────────────────────────────


def verify(claim: Claim, key: bytes, method: str, path: str, query: str, body_sha256: str) -> None:
    """Returns if the request was signed with this derived key. `path` and `query` are as received, still encoded.

    Raises InvalidSignature.
    """
    request = canonical_request(claim, method, path, query, body_sha256)
    if request is None:
        raise InvalidSignature(MISMATCH)
    signature = _signature(claim, key, request)
    if not hmac.compare_digest(signature.encode(), claim.signature.encode("utf-8", "replace")):
        raise InvalidSignature(MISMATCH)


def _signature(claim: Claim, key: bytes, request: bytes) -> str:
    text = f"{ALGORITHM}\n{claim.time}\n{claim.scope}\n{hashlib.sha256(request).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def canonical_request(claim: Claim, method: str, path: str, query: str, body_sha256: str) -> bytes | None:
    """What is signed; None if a header that should be signed is not there."""
    parts = [method.encode(), canonical_path(path), canonical_query(query)]
    for name in claim.signed_headers.encode("latin-1").split(b";"):
        value = claim.headers.get(name)
        if value is None:
            return None
        parts.append(name + b":" + value)
    parts += (b"", claim.signed_headers.encode("latin-1"), body_sha256.encode())
    return b"\n".join(parts)


@lru_cache(maxsize=256)
def canonical_path(path: str) -> bytes:
    """`path` (percent-encoded, as received) without dot segments and empty ones, and encoded once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{end}", safe="/" + _UNRESERVED).encode("ascii")


@lru_cache(maxsize=256)
def canonical_query(query: str) -> bytes:
    """The parameters in the order of their encoded names and values, without the signature of a presigned request."""
    if not query:
        return b""
    encoded = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in _parameters(query)
        if name != b"X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in encoded).encode("ascii")


def _parameters(query: str) -> list[tuple[bytes, bytes]]:
    """Names and values, decoded; a `+` is a space, as in all forms."""
    parameters = []
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            parameters.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return parameters


# ── the sender's side ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs. `token` is that of temporary credentials, "" without one."""

    access_key: str
    secret: str = field(repr=False)
    region: str = REGION
    token: str = field(default="", repr=False)

    def sign(
        self, service: str, method: str, path: str, query: str, headers: Headers, body: bytes, now_s: float
    ) -> list[tuple[bytes, bytes]]:
        """The headers to add to a request, whose `Host` is among `headers`; path and query are as they are sent."""
        when = _shown(now_s)
        added = [(b"X-Amz-Date", when.encode("ascii"))]
        if self.token:
            added.append((b"X-Amz-Security-Token", self.token.encode("latin-1")))
        folded = {
            name: value
            for name, value in _folded([*headers, *added]).items()
            if name == b"host" or name.startswith(b"x-amz-")
        }
        names = ";".join(sorted(name.decode("latin-1") for name in folded))
        claim = Claim(self.access_key, Scope(when[:8], self.region, service), when, names, "", folded)
        request = canonical_request(claim, method, path, query, body_sha256(body))
        assert request is not None, "what is signed is there"
        signature = _signature(claim, signing_key(self.secret, claim.scope), request)
        said = f"{ALGORITHM} Credential={self.access_key}/{claim.scope}, SignedHeaders={names}, Signature={signature}"
        return [*added, (b"Authorization", said.encode("latin-1"))]
