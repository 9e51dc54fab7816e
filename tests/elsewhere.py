"""AWS's other services, for tests: a moto server in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import boto3
from botocore.config import Config as BotoConfig

from isolet.config import AwsClients

ACCOUNT = "123456789012"
REGION = "us-east-1"


class Elsewhere:
    """SQS, SNS, EventBridge and S3 at `url`."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert self._process.poll() is None, "moto ended"
                assert time.monotonic() < deadline, "moto did not begin"
                time.sleep(0.05)

    @property
    def config(self) -> AwsClients:
        return AwsClients(endpoint_s3=self.url, endpoint_sqs=self.url, endpoint_sns=self.url, endpoint_events=self.url)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=BotoConfig(s3={"addressing_style": "path"}),
        )

    def queue(self, name: str) -> str:
        """Makes a queue; its ARN."""
        self.client("sqs").create_queue(QueueName=name)
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def messages(self, arn: str, count: int = 1) -> list[dict[str, Any]]:
        """The next `count` messages of a queue, once they are there; they are gone from it then."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 60
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages came"
            answer = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
