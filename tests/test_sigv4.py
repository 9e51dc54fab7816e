"""Signatures: what botocore signs is accepted, and nothing that differs from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from isolet import sigv4
from isolet.errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken, Unauthenticated

ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 1, 1, 0, 10, 0, tzinfo=UTC)
HOST = "127.0.0.1:8080"


@dataclass(frozen=True)
class Received:
    """A request as a server gets it."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def verify(self, now: datetime = NOW, secret: str = SECRET) -> sigv4.Claim:
        claim = sigv4.read(self.query, self.headers, now.timestamp())
        key = sigv4.signing_key(secret, claim.scope)
        sigv4.verify(claim, key, self.method, self.path, self.query, hashlib.sha256(self.body).hexdigest())
        return claim

    def with_header(self, name: bytes, value: bytes | None) -> Received:
        others = tuple(header for header in self.headers if header[0].lower() != name)
        return replace(self, headers=others if value is None else (*others, (name, value)))


def signed(
    method: str = "POST",
    path: str = "/2015-03-31/functions/f/invocations",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"{}",
    presigned_s: int | None = None,
    at: datetime = NOW,
) -> Received:
    """The request as botocore signs it."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
    credentials = Credentials(ACCESS_KEY, SECRET)
    signer: SigV4Auth
    if presigned_s is None:
        signer = SigV4Auth(credentials, "lambda", "eu-west-3")
    else:
        signer = SigV4QueryAuth(credentials, "lambda", "eu-west-3", expires=presigned_s)
        request.data = b""
    with patch("botocore.auth.get_current_datetime", lambda: at.replace(tzinfo=None)):
        signer.add_auth(request)
    sent = [(b"Host", HOST.encode())]
    sent += [(name.encode(), value.encode()) for name, value in request.headers.items()]
    return Received(method, path, urlsplit(request.url).query, tuple(sent), b"" if presigned_s else body)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
# Percent-encoded as clients do, with what SDKs encode twice: ARNs, slashes, percent signs.
PATHS = st.lists(
    st.one_of(WORDS, st.sampled_from([".", "..", "", "arn:aws:lambda", "a%2Fb", "$LATEST"])), max_size=5
).map(lambda words: "/" + "/".join(quote(word, safe="$:~") for word in words))
QUERIES = st.lists(st.tuples(WORDS, WORDS), max_size=4).map(
    lambda pairs: urlencode(pairs, quote_via=quote, safe="-_.~")
)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Target", "X-Amz-Log-Type", "x-odd", "Accept"]),
    st.text("abc \t,;=\"'/", max_size=20),
    max_size=4,
)


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]), PATHS, QUERIES, HEADERS, st.binary(max_size=50))
def test_whatever_botocore_signs_is_accepted(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    claim = signed(method, path, query, headers, body).verify()
    assert (claim.access_key, claim.scope.region, claim.scope.service) == (ACCESS_KEY, "eu-west-3", "lambda")


@given(st.sampled_from(["GET", "POST", "PUT"]), PATHS, QUERIES, HEADERS, st.binary(max_size=50), st.booleans())
def test_our_client_signs_as_botocore_does(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, temporary: bool
) -> None:
    """But that it leaves unsigned what need not be signed; what it signs is accepted."""
    given = [(b"Host", HOST.encode())] + [(name.encode(), value.encode()) for name, value in headers.items()]
    signer = sigv4.Signer(ACCESS_KEY, SECRET, "eu-west-3", "token" if temporary else "")
    added = signer.sign("lambda", method, path, query, given, body, NOW.timestamp())
    received = Received(method, path, query, (*given, *added), body)
    claim = received.verify()
    assert (claim.access_key, claim.scope.region, claim.scope.service) == (ACCESS_KEY, "eu-west-3", "lambda")
    assert SECRET not in repr(signer)
    if not any(name.lower().startswith("x-amz") or name == "Content-Type" for name in headers) and not temporary:
        theirs = dict(signed(method, path, query, {}, body).headers)[b"Authorization"]
        assert dict(added)[b"Authorization"] == theirs


@given(PATHS, st.dictionaries(WORDS, WORDS, max_size=3), st.integers(1, 604_800))
def test_whatever_botocore_presigns_is_accepted(path: str, query: dict[str, str], expires_s: int) -> None:
    encoded = urlencode(query, quote_via=quote, safe="-_.~")
    signed("GET", path, encoded, presigned_s=expires_s).verify()


@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    """But for those that mean the same: of a path's empty segments and of white space around a header's words."""
    request = signed(query="Qualifier=1", headers={"X-Amz-Log-Type": "Tail", "Content-Type": "application/json"})
    part = data.draw(st.sampled_from(["method", "path", "query", "body"]))
    text = getattr(request, part)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcdefXYZ0189"))
    other = text[:at] + (letter.encode() if part == "body" else letter) + text[at + 1 :]
    if other != text:
        with pytest.raises(Unauthenticated):
            replace(request, **{part: other}).verify()


@pytest.mark.parametrize("name", [b"host", b"x-amz-date", b"x-amz-log-type", b"content-type"])
def test_no_signed_header_can_be_changed_removed_or_doubled(name: bytes) -> None:
    request = signed(headers={"X-Amz-Log-Type": "Tail", "Content-Type": "application/json"})
    request.verify()
    for changed in (
        request.with_header(name, b"20260101T001001Z"),
        request.with_header(name, None),
        replace(request, headers=(*request.headers, (name, b"20260101T001000Z"))),
    ):
        with pytest.raises(Unauthenticated):
            changed.verify()


def test_a_header_that_means_something_to_the_api_cannot_be_added_unsigned() -> None:
    added = signed().with_header(b"x-amz-target", b"Logs_20140328.DescribeLogGroups")
    with pytest.raises(InvalidSignature, match="'x-amz-target' must be a 'SignedHeader' in the AWS Authorization"):
        added.verify()
    signed().with_header(b"x-amzn-trace-id", b"Root=1").verify()  # proxies add it


def test_the_host_must_be_signed() -> None:
    request = signed()
    [authorization] = [value for name, value in request.headers if name == b"Authorization"]
    with pytest.raises(InvalidSignature, match="'Host' or ':authority' must be a 'SignedHeader'"):
        request.with_header(b"authorization", authorization.replace(b"host;", b"")).verify()


@pytest.mark.parametrize("place", ["/20260101/", "/eu-west-3/", "/lambda/", "/aws4_request", "Signature="])
def test_no_part_of_the_claim_can_be_changed(place: str) -> None:
    """But the access key, which says whose secret it is held against."""
    request = signed()
    [authorization] = [value.decode() for name, value in request.headers if name == b"Authorization"]
    at = authorization.index(place) + len(place) - 2
    letter = "x" if authorization[at] != "x" else "y"
    changed = authorization[:at] + letter + authorization[at + 1 :]
    with pytest.raises(Unauthenticated):
        request.with_header(b"authorization", changed.encode()).verify()


def test_another_secret_is_refused_in_awss_words() -> None:
    with pytest.raises(InvalidSignature) as refusal:
        signed().verify(secret=SECRET.swapcase())
    assert refusal.value.message == sigv4.MISMATCH


def test_a_payload_that_is_not_signed_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}).verify()
    honest = hashlib.sha256(b"{}").hexdigest()
    signed(headers={"X-Amz-Content-SHA256": honest}).verify()


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────


def at(minute: int, second: int = 0) -> datetime:
    return NOW.replace(minute=minute, second=second)


def test_a_request_may_come_again_within_its_time_byte_for_byte_and_not_after_it() -> None:
    """What replay means: there is no memory of signatures, and none is needed beyond ten minutes."""
    request = signed()
    for minute in (5, 10, 10, 15):
        request.verify(at(minute))
    for minute in (4, 16):
        with pytest.raises(InvalidSignature):
            request.verify(at(minute, 59))
    with pytest.raises(InvalidSignature):
        replace(request, body=b"[]").verify(at(10))


def test_five_minutes_of_skew_are_allowed_either_way_and_no_more() -> None:
    request = signed()
    request.verify(at(5))
    request.verify(at(15))
    with pytest.raises(InvalidSignature) as late:
        request.verify(at(15, 1))
    assert late.value.message == (
        "Signature expired: 20260101T001000Z is now earlier than 20260101T001001Z (20260101T001501Z - 5 min.)"
    )
    with pytest.raises(InvalidSignature) as early:
        request.verify(at(4, 59))
    assert early.value.message == (
        "Signature not yet current: 20260101T001000Z is still later than 20260101T000959Z (20260101T000459Z + 5 min.)"
    )


def test_a_presigned_url_holds_as_long_as_it_says() -> None:
    request = signed("GET", "/x", presigned_s=900)
    request.verify(at(25))
    with pytest.raises(InvalidSignature, match=r"\(20260101T002501Z - 15 min\.\)"):
        request.verify(at(25, 1))
    with pytest.raises(InvalidSignature):  # its own word is signed, too
        replace(request, query=request.query.replace("Expires=900", "Expires=990")).verify(at(25, 1))
    for days in ("604801", "0", "-1", "x", "9" * 30):
        with pytest.raises(IncompleteSignature):
            replace(request, query=request.query.replace("Expires=900", f"Expires={days}")).verify()


def test_the_scope_is_of_the_day_of_the_request() -> None:
    request = signed().with_header(b"x-amz-date", b"20260102T000000Z")
    with pytest.raises(InvalidSignature) as refusal:
        request.verify(datetime(2026, 1, 2, tzinfo=UTC))
    assert refusal.value.message == (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20260101' != '20260102', from '20260102T000000Z'."
    )


def test_a_date_header_serves_in_place_of_x_amz_date() -> None:
    signed(headers={"Date": "any"}).verify()


# ── what is no signature ────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_without_a_signature_is_told_so() -> None:
    with pytest.raises(MissingAuthenticationToken, match=r"^Missing Authentication Token$"):
        replace(signed(), headers=((b"Host", b"x"),)).verify()


@pytest.mark.parametrize("scheme", [b"Bearer abc", b"Basic dGVzdDp0ZXN0", b"AWS4-HMAC-SHA1 Credential=a", b"AWS a:b="])
def test_another_scheme_is_told_what_is_missing(scheme: bytes) -> None:
    with pytest.raises(IncompleteSignature, match=r"^Authorization header requires 'Credential' parameter. "):
        replace(signed(), headers=((b"Host", b"x"), (b"Authorization", scheme))).verify()


def test_a_secret_in_the_wrong_place_is_told_the_form() -> None:
    request = signed()
    [authorization] = [value for name, value in request.headers if name == b"Authorization"]
    with pytest.raises(IncompleteSignature, match=r"^Credential must have exactly 5 slash-delimited elements"):
        request.with_header(b"authorization", authorization.replace(b"=AKIA", b"=AK/IA")).verify()


@given(st.binary(max_size=200), WORDS)
def test_no_bytes_are_more_than_a_refusal(authorization: bytes, query: str) -> None:
    with pytest.raises(Unauthenticated):
        Received(
            "GET", "/", "", ((b"Host", b"x"), (b"Authorization", b"AWS4-HMAC-SHA256 " + authorization)), b""
        ).verify()
    with pytest.raises(Unauthenticated):
        Received("GET", "/", "X-Amz-Signature=&" + quote(query, safe="&=%+"), ((b"Host", b"x"),), b"").verify()
