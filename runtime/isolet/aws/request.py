"""A request of the control plane as it came, before anybody interpreted it; and an answer before it is sent.

Law: path and query are the client's own bytes. A signature is over them, and a label may hold an encoded slash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from urllib.parse import parse_qsl

from ..errors import InvalidParameter

# A query or a form of more fields than this is refused. Precedent: Django's DATA_UPLOAD_MAX_NUMBER_FIELDS, 1,000; a
# PutMetricData call of CloudWatch has 1,000 metrics with some ten fields each.
FIELDS_MAX = 20_000

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/,\s]*/([^/,\s]+)/aws4_request", re.ASCII)
_PRESIGNED = re.compile(r"[^/]+/\d{8}/[^/]*/([^/]+)/aws4_request", re.ASCII)

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # raw, percent-encoded, without the query
    query: str  # raw, without the question mark
    headers: Headers  # in their order, names in lower case
    body: bytes
    scheme: str = "http"

    def header(self, name: str, default: str = "") -> str:
        """The first header of this name, which is in lower case."""
        return self._headers.get(name, default)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return dict(reversed(self.headers))

    @cached_property
    def parameters(self) -> list[tuple[str, str]]:
        """The query, decoded, in its order. Raises InvalidParameter."""
        return decoded(self.query)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.header('host', 'localhost')}"

    @property
    def media_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @cached_property
    def signed_for(self) -> str:
        """The service in the scope of its signature; "" without one."""
        if found := _SCOPE.search(self.header("authorization")):
            return found[1]
        if "X-Amz-Credential" in self.query:
            found = _PRESIGNED.fullmatch(dict(self.parameters).get("X-Amz-Credential", ""))
            return found[1] if found else ""
        return ""


class Answer(NamedTuple):
    """Without Content-Length and Date, which whoever sends it adds."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def decoded(form: str) -> list[tuple[str, str]]:
    """The fields of a query or a form. Raises InvalidParameter."""
    if not form:
        return []
    try:
        return parse_qsl(form, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as reason:
        raise InvalidParameter(f"the query is not one of at most {FIELDS_MAX:,} fields in UTF-8: {reason}") from None
