"""A running isolet as its users speak to it: boto3."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import WaiterError


class Answer(NamedTuple):
    value: Any  # of JSON
    failed: bool
    log: str  # the last 4 KB


class Cloud:
    """A running isolet as boto3 sees it."""

    def __init__(self, url: str, read_timeout_s: float = 300) -> None:
        self.client = boto3.client(
            "lambda",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout_s),
        )

    def deploy(self, name: str, zipped: bytes, **settings: Any) -> None:
        self.client.create_function(
            FunctionName=name, Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": zipped}, **settings
        )
        try:
            self.client.get_waiter("function_active_v2").wait(
                FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
        except WaiterError as failed:
            raise AssertionError(failed.last_response["Configuration"].get("StateReason")) from None

    def invoke(self, name: str, event: Any, **more: Any) -> Answer:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail", **more)
        log = base64.b64decode(answer["LogResult"]).decode() if "LogResult" in answer else ""
        return Answer(json.loads(answer["Payload"].read()), "FunctionError" in answer, log)

    def remove(self, name: str) -> None:
        self.client.delete_function(FunctionName=name)


def environment(variables: Mapping[str, str]) -> dict[str, Any]:
    return {"Environment": {"Variables": dict(variables)}} if variables else {}
