"""The smallest function: small, and the same for everyone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isolet import limits
from isolet.snapshot.sections import parse
from running import Guest, http_event

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "event", [None, {"name": "x" * 170}, http_event("GET", "/hello")], ids=["nil", "plain", "http"]
)
def test_every_event_is_answered_alike(event: Any) -> None:
    guest = Guest(HERE)
    assert guest.invoke(event) == {
        "statusCode": 200,
        "headers": {"content-type": "text/plain; charset=utf-8"},
        "body": "hello\n",
    }
    # Of a millisecond's some 5,000,000; the benches lean on it.
    assert guest.fuel < 5_000


def test_it_imports_nothing_and_fits_in_the_smallest_memory() -> None:
    guest = Guest(HERE)
    assert parse(guest.package.wasm).imports == ()
    assert len(guest.package.wasm) < 5_000
    assert guest.manifest.settings.memory_mb == limits.MEMORY_MB_MIN
