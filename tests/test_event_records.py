"""Destination records and dead letters, field by field as Lambda's."""

from __future__ import annotations

import json

import pytest

from isolet import limits
from isolet.event_records import Delivery, Ending, Event, deliveries, is_success
from isolet.model import EventPolicy
from isolet.retry import Counts, Ended, Fate, Verdict

NOW_MS = 1_573_755_365_568
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
TOLD = "arn:aws:sns:us-east-1:000000000000:told"
EVENT = Event(1, "id", "000000000000", "f", "", b'{"a":[1]}', b"\xc0", "Root=1", 2, NOW_MS - 5, Counts())
FAILED = Ending(Ended.FAILED, "3", b'{"errorMessage":"no"}', "no")


def told(ending: Ending, fate: Fate, attempts: int = 1, event: Event = EVENT, **policy: str) -> list[Delivery]:
    return deliveries(event, ending, Verdict(fate, Counts(attempts)), EventPolicy(**policy), NOW_MS)


def test_success_is_told_with_request_and_response() -> None:
    (one,) = told(Ending(Ended.SUCCEEDED, "3", b'{"r":1}'), Fate.SUCCEEDED, on_success=TOLD)
    assert (one.destination, one.depth, one.attributes) == (TOLD, 3, "")
    assert json.loads(one.body) == {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": "id",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"a": [1]},
        "responseContext": {"statusCode": 200, "executedVersion": "3"},
        "responsePayload": {"r": 1},
    }
    assert is_success(one.body)


def test_exhausted_event_is_told_with_its_last_error() -> None:
    event = EVENT._replace(qualifier="live", body=b"")
    one, other = told(FAILED, Fate.EXHAUSTED, 3, event, on_failure=TOLD, dead_letter=DEAD)
    record = json.loads(one.body)
    assert (one.destination, other.destination) == (TOLD, DEAD)
    assert record["requestContext"] == {
        "requestId": "id",
        "functionArn": f"{ARN}:live",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "3", "functionError": "Unhandled"}
    assert record["responsePayload"] == {"errorMessage": "no"}
    assert not is_success(one.body)


def test_expired_event_has_no_response() -> None:
    (one,) = told(Ending(Ended.LATE, message="too old"), Fate.EXPIRED, on_failure=TOLD)
    record = json.loads(one.body)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record.keys().isdisjoint({"responseContext", "responsePayload"})


def test_dead_letter_is_the_event_as_it_came() -> None:
    (one,) = told(FAILED._replace(message="n" * 5_000), Fate.EXHAUSTED, dead_letter=DEAD, on_success=TOLD)
    assert (one.destination, one.body) == (DEAD, EVENT.body)
    assert json.loads(one.attributes) == {"RequestID": "id", "ErrorCode": "200", "ErrorMessage": "n" * 1_024}


def test_message_that_queues_would_refuse_is_made_sendable() -> None:
    """A NUL or a half character would keep the dead letter from ever being delivered."""
    (one,) = told(FAILED._replace(message="a\0b\x1b\nc" + "é" * 600), Fate.EXHAUSTED, dead_letter=DEAD)
    message = json.loads(one.attributes)["ErrorMessage"]
    assert message.startswith("a\ufffdb\ufffd\ncéé")
    assert set(message[6:]) == {"é"}
    assert len((message.replace("\ufffd", "?")).encode()) <= 1_024


def test_stopped_chain_is_told_to_no_other_function() -> None:
    stopped = EVENT._replace(depth=limits.INVOKE_DEPTH_MAX)
    refused = Ending(Ended.REFUSED, message="too deep")
    assert told(refused, Fate.EXHAUSTED, event=stopped, on_failure=ARN) == []
    (one,) = told(refused, Fate.EXHAUSTED, event=stopped, on_failure=ARN, dead_letter=DEAD)
    assert one.destination == DEAD
    both = told(refused, Fate.EXHAUSTED, event=stopped, on_failure=TOLD, dead_letter=DEAD)
    assert [one.destination for one in both] == [TOLD, DEAD]
    assert len(told(FAILED, Fate.EXHAUSTED, event=EVENT, on_failure=ARN)) == 1


@pytest.mark.parametrize("fate", [Fate.SUCCEEDED, Fate.EXHAUSTED, Fate.EXPIRED])
def test_nobody_is_told_where_nobody_is_named(fate: Fate) -> None:
    assert told(FAILED, fate) == []
