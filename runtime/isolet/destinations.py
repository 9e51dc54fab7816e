"""Where the ends of asynchronous invocations are told: SQS queues, SNS topics, EventBridge buses, S3 buckets.

Another function is the fifth kind; it needs no client and no network (deliveries.py).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from .errors import InvalidParameter, IsoletError, StorageUnavailable
from .event_records import is_success
from .storage.outbox import Posted

EVENT_SOURCE = "lambda"
_DETAIL_TYPE = "Lambda Function Invocation Result - "
# Refusals that are of one message: others may pass. Every other refusal is of the destination.
_CODES_OF_A_MESSAGE = frozenset(
    {
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterValue",
        "ValidationError",
        "ValidationException",
        "EntityTooLarge",
        "MessageTooLong",
        "RequestEntityTooLarge",
    }
)


class Clients(Protocol):
    def client(self, service: str) -> Any:
        """botocore's. Raises StorageUnavailable if nothing is configured."""


def kind_of(destination: str) -> str:
    """The service of an ARN: "lambda", "sqs", "sns", "events", "s3"; "" for what is none."""
    parts = destination.split(":", 5)
    return parts[2] if len(parts) == 6 and parts[0] == "arn" else ""


class Destinations:
    """For threads."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._queue_urls: dict[str, str] = {}
        self._kinds: dict[str, Callable[[Posted], None]] = {
            "sqs": self._to_queue,
            "sns": self._to_topic,
            "events": self._to_bus,
            "s3": self._to_bucket,
        }

    def send(self, posted: Posted) -> None:
        """Returns once the service has it.

        Raises InvalidParameter (it refused this one) and StorageUnavailable (nothing can go there now: it does not
        answer, is not there, refuses us, or none is configured).
        """
        from botocore.exceptions import BotoCoreError, ClientError

        send = self._kinds.get(kind_of(posted.destination))
        if send is None:
            raise StorageUnavailable(f"{posted.destination} is no destination that this server knows")
        try:
            send(posted)
        except ClientError as refused:
            error = refused.response.get("Error", {})
            raise _refusal(posted, error.get("Code"), error.get("Message")) from None
        except BotoCoreError as failed:
            raise StorageUnavailable(f"{posted.destination} cannot be reached: {failed}") from None

    def _to_queue(self, posted: Posted) -> None:
        client = self._clients.client("sqs")
        url = self._queue_urls.get(posted.destination)
        if url is None:
            *_, account, name = posted.destination.split(":")
            url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
            self._queue_urls[posted.destination] = url
        message = {"QueueUrl": url, "MessageBody": posted.body.decode(), "MessageAttributes": _attributes(posted)}
        if posted.destination.endswith(".fifo"):
            message |= {"MessageGroupId": posted.name, "MessageDeduplicationId": posted.request_id}
        client.send_message(**message)

    def _to_topic(self, posted: Posted) -> None:
        self._clients.client("sns").publish(
            TopicArn=posted.destination, Message=posted.body.decode(), MessageAttributes=_attributes(posted)
        )

    def _to_bus(self, posted: Posted) -> None:
        record = json.loads(posted.body)
        entry = {
            "Source": EVENT_SOURCE,
            "DetailType": _DETAIL_TYPE + ("Success" if is_success(posted.body) else "Failure"),
            "Detail": posted.body.decode(),
            "EventBusName": posted.destination,
            "Resources": [posted.destination, record["requestContext"]["functionArn"]],
        }
        answer = self._clients.client("events").put_events(Entries=[entry])
        if answer.get("FailedEntryCount"):
            (failed,) = answer["Entries"]
            raise _refusal(posted, failed.get("ErrorCode"), failed.get("ErrorMessage"))

    def _to_bucket(self, posted: Posted) -> None:
        at = datetime.fromtimestamp(posted.created_ms / 1000, UTC)
        # The same name at every attempt: what is delivered twice is there once.
        id = uuid.uuid5(uuid.NAMESPACE_URL, f"{posted.destination} {posted.request_id}")
        self._clients.client("s3").put_object(
            Bucket=posted.destination.rpartition(":")[2],
            Key=f"aws/lambda/async/{posted.name}/{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{id}",
            Body=posted.body,
            ContentType="application/json",
        )


def _refusal(posted: Posted, code: object, message: object) -> IsoletError:
    text = f"{posted.destination} refused: {code}: {message}"
    return InvalidParameter(text) if code in _CODES_OF_A_MESSAGE else StorageUnavailable(text)


def _attributes(posted: Posted) -> dict[str, dict[str, str]]:
    """Of a dead letter, as SQS and SNS take them; neither takes an empty value."""
    if not posted.attributes:
        return {}
    return {
        name: {"DataType": "Number" if name == "ErrorCode" else "String", "StringValue": value}
        for name, value in json.loads(posted.attributes).items()
        if value
    }
