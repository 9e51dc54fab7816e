"""Event stream messages, read by botocore's own parser."""

from __future__ import annotations

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from isolet import eventstream

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def read(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(message.headers), message.payload) for message in buffer]


@given(
    st.lists(st.tuples(st.dictionaries(NAMES, st.text(max_size=60), max_size=5), st.binary(max_size=300)), max_size=4)
)
def test_what_is_encoded_is_what_botocore_reads(messages: list[tuple[dict[str, str], bytes]]) -> None:
    assert read(b"".join(eventstream.encode(*message) for message in messages)) == messages


def test_an_event_names_its_member_and_says_that_it_is_one() -> None:
    data = eventstream.event("PayloadChunk", b"\0\xff", "application/octet-stream") + eventstream.event(
        "InvokeComplete"
    )
    assert read(data) == [
        (
            {":event-type": "PayloadChunk", ":content-type": "application/octet-stream", ":message-type": "event"},
            b"\0\xff",
        ),
        ({":event-type": "InvokeComplete", ":message-type": "event"}, b""),
    ]
