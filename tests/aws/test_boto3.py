"""The services beside Lambda as boto3 speaks to them, over a real socket: worker, door, keeper in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from isolet.config import load
from isolet.model import DEFAULT_TENANT
from isolet.server import embedded


def with_clients(directory: Path, main: Callable[[Callable[[str], Any]], None]) -> None:
    """Runs `main` in a thread beside a server; it is given what makes a client of a service."""

    async def live() -> None:
        chosen = {"port": 0, "data": str(directory / "data"), "isolates": 16}
        async with asyncio.timeout(120), embedded(load(arguments=chosen)) as server:

            def client(service: str) -> Any:
                return boto3.client(
                    *(service, "us-east-1"),
                    endpoint_url=server.url,
                    aws_access_key_id="test",
                    aws_secret_access_key="test",
                    config=ClientConfig(retries={"total_max_attempts": 1}),
                )

            await asyncio.to_thread(main, client)

    asyncio.run(live())


def test_boto3_speaks_to_every_service_beside_lambda(tmp_path: Path) -> None:
    def main(client: Callable[[str], Any]) -> None:
        identity = client("sts").get_caller_identity()
        assert identity["Account"] == identity["UserId"] == DEFAULT_TENANT
        assert identity["Arn"] == f"arn:aws:iam::{DEFAULT_TENANT}:root"
        assert identity["ResponseMetadata"]["RequestId"]
        with pytest.raises(ClientError, match="isolet") as refused:
            client("sts").get_session_token()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501

        logs = client("logs")
        assert logs.describe_log_groups()["logGroups"] == []
        with pytest.raises(logs.exceptions.ResourceNotFoundException, match="The specified log group does not exist"):
            logs.filter_log_events(logGroupName="/aws/lambda/none")
        with pytest.raises(logs.exceptions.InvalidParameterException, match=r"^An error .* at 'logGroupName' failed"):
            logs.filter_log_events(logGroupName="/aws/lambda/x y")

        secrets = client("secretsmanager")
        for name in "ab":
            secrets.create_secret(Name=name, SecretBinary=b"\0\xff", Tags=[{"Key": "k", "Value": "v"}])
        assert secrets.get_secret_value(SecretId="a")["SecretBinary"] == b"\0\xff"
        pages = secrets.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 1})
        assert [one["Name"] for page in pages for one in page["SecretList"]] == ["a", "b"]
        with pytest.raises(secrets.exceptions.ResourceNotFoundException, match="can't find the specified secret"):
            secrets.describe_secret(SecretId="c")

    with_clients(tmp_path, main)
