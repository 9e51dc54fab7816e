from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.trace import Parent, from_traceparent, parent

TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def test_the_two_spellings_name_one_span() -> None:
    assert from_traceparent(TRACEPARENT) == HEADER
    assert parent(HEADER) == Parent(0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8, True)
    assert from_traceparent(TRACEPARENT[:-2] + "00").endswith(";Sampled=0")
    assert parent(HEADER.replace("Sampled=1", "Sampled=0")) == parent(HEADER)._replace(sampled=False)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", TRACEPARENT[:-1], TRACEPARENT.upper(), "ff" + TRACEPARENT[2:]),
        *("00-" + "0" * 32 + TRACEPARENT[35:], TRACEPARENT[:36] + "0" * 16 + "-01"),
    ],
)
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert from_traceparent(text) == ""


@pytest.mark.parametrize(
    "text", ["", "Root=1-5759e988-bd862e3fe1be46a994272793", "Parent=53995c3f42cd8ad8", "a;b;=;=="]
)
def test_header_without_root_and_parent_has_no_parent(text: str) -> None:
    assert parent(text) is None


@given(st.text())
def test_any_text_is_a_context_or_none(text: str) -> None:
    assert parent(from_traceparent(text)) is None or text.startswith("0")
    parent(text)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_every_context_survives_the_other_spelling(trace_id: int, span_id: int, sampled: bool) -> None:
    made = f"00-{trace_id:032x}-{span_id:016x}-{sampled:02x}"
    assert parent(from_traceparent(made)) == Parent(trace_id, span_id, sampled)
