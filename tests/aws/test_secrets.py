"""Secrets Manager's operations in AWS's shapes. No value is in an error."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keeping import TENANT, Client, run, running_keeper

TOKEN = "a" * 32
NOW_S = 1_700_000_000.0


def said(answer: Any) -> str:
    """Exceptions of the model spell it `Message`, others do not."""
    message: str = answer.get("Message") or answer["message"]
    return message


class Manager:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def status(self, operation: str, **members: Any) -> tuple[int, Any]:
        headers = [("X-Amz-Target", f"secretsmanager.{operation}")]
        answer: tuple[int, Any] = await self._client("POST", "/", members, headers)
        assert self._client.headers["content-type"] == "application/x-amz-json-1.1"
        return answer

    async def __call__(self, operation: str, **members: Any) -> Any:
        status, answer = await self.status(operation, **members)
        assert status == 200, answer
        return answer

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        status, answer = await self.status(operation, **members)
        assert status == 400, answer
        assert "hunter2" not in str(answer)
        return answer["__type"], said(answer)


def with_manager(directory: Path, main: Callable[[Manager], Awaitable[None]]) -> None:
    async def live() -> None:
        async with running_keeper(directory) as keeper:
            await main(Manager(Client(keeper)))

    run(live)


def test_a_secret_lives_as_in_secrets_manager(tmp_path: Path) -> None:
    async def main(aws: Manager) -> None:
        created = await aws("CreateSecret", Name="prod/db", SecretString="hunter2", ClientRequestToken=TOKEN)
        arn = created["ARN"]
        assert arn.startswith(f"arn:aws:secretsmanager:us-east-1:{TENANT}:secret:prod/db-")
        assert created == {"ARN": arn, "Name": "prod/db", "VersionId": TOKEN}
        got = await aws("GetSecretValue", SecretId="prod/db")
        assert got == {
            "ARN": arn,
            "Name": "prod/db",
            "VersionId": TOKEN,
            "SecretString": "hunter2",
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": NOW_S,
        }
        put = await aws("PutSecretValue", SecretId=arn, SecretBinary=base64.b64encode(b"\0\xff").decode())
        assert put["VersionStages"] == ["AWSCURRENT"]
        got = await aws("GetSecretValue", SecretId=arn.removesuffix(arn[-7:]))
        assert (got["SecretBinary"], got["VersionId"]) == ("AP8=", put["VersionId"])
        assert "SecretString" not in got
        previous = await aws("GetSecretValue", SecretId="prod/db", VersionStage="AWSPREVIOUS")
        assert previous["SecretString"] == "hunter2"
        updated = await aws("UpdateSecret", SecretId="prod/db", Description="the database")
        assert updated == {"ARN": arn, "Name": "prod/db"}
        assert await aws("DescribeSecret", SecretId="prod/db") == {
            "ARN": arn,
            "Name": "prod/db",
            "Description": "the database",
            "LastChangedDate": NOW_S,
            "VersionIdsToStages": {put["VersionId"]: ["AWSCURRENT"], TOKEN: ["AWSPREVIOUS"]},
            "CreatedDate": NOW_S,
        }
        deleted = await aws("DeleteSecret", SecretId="prod/db")
        assert deleted == {"ARN": arn, "Name": "prod/db", "DeletionDate": NOW_S + 30 * 86_400}
        assert await aws("ListSecrets") == {"SecretList": []}
        assert len((await aws("ListSecrets", IncludePlannedDeletion=True))["SecretList"]) == 1
        assert await aws("RestoreSecret", SecretId="prod/db") == {"ARN": arn, "Name": "prod/db"}
        await aws("DeleteSecret", SecretId="prod/db", ForceDeleteWithoutRecovery=True)
        assert await aws.refused("DescribeSecret", SecretId="prod/db") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )

    with_manager(tmp_path, main)


def test_a_secret_may_be_made_without_a_value(tmp_path: Path) -> None:
    async def main(aws: Manager) -> None:
        assert "VersionId" not in await aws("CreateSecret", Name="k", Tags=[{"Key": "team", "Value": "a"}])
        described = await aws("DescribeSecret", SecretId="k")
        assert described["Tags"] == [{"Key": "team", "Value": "a"}]
        assert "VersionIdsToStages" not in described
        assert await aws.refused("GetSecretValue", SecretId="k") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
        )

    with_manager(tmp_path, main)


def test_secrets_are_listed_in_pages(tmp_path: Path) -> None:
    async def main(aws: Manager) -> None:
        for name in "cab":
            await aws("CreateSecret", Name=name, SecretString="hunter2")
        page = await aws("ListSecrets", MaxResults=2)
        assert [one["Name"] for one in page["SecretList"]] == ["a", "b"]
        page = await aws("ListSecrets", MaxResults=2, NextToken=page["NextToken"])
        assert [one["Name"] for one in page["SecretList"]] == ["c"]
        assert "NextToken" not in page
        page = await aws("ListSecrets", SortOrder="desc")
        assert [one["Name"] for one in page["SecretList"]] == ["c", "b", "a"]
        assert "hunter2" not in str(page)

    with_manager(tmp_path, main)


@pytest.mark.parametrize(
    ("operation", "members", "kind", "words"),
    [
        ("CreateSecret", {}, "ValidationException", "Value null at 'name'"),
        ("CreateSecret", {"Name": "a b"}, "ValidationException", "Invalid name"),
        ("CreateSecret", {"Name": "there", "SecretString": "hunter2"}, "ResourceExistsException", "already exists"),
        ("CreateSecret", {"Name": "n", "SecretString": ""}, "ValidationException", "'secretString'"),
        ("CreateSecret", {"Name": "n", "SecretString": "hunter2" * 10_000}, "ValidationException", "'secretString'"),
        ("CreateSecret", {"Name": "n", "SecretString": ["hunter2"]}, "SerializationException", "list"),
        ("CreateSecret", {"Name": "n", "SecretString": "hunter2\ud800"}, "SerializationException", "surrogate"),
        ("CreateSecret", {"Name": "n", "SecretBinary": "hunter2!"}, "SerializationException", "base64"),
        ("CreateSecret", {"Name": "n", "SecretBinary": "AA==", "SecretString": "hunter2"},
         "InvalidParameterException", "both"),
        ("CreateSecret", {"Name": "n", "Tags": ["x"]}, "SerializationException", "Unexpected value type"),
        ("CreateSecret", {"Name": "n", "ClientRequestToken": "short"}, "ValidationException", "clientRequestToken"),
        ("PutSecretValue", {"SecretId": "there"}, "InvalidParameterException", "SecretString or SecretBinary"),
        ("PutSecretValue", {"SecretId": "none", "SecretString": "hunter2"}, "ResourceNotFoundException", "can't find"),
        ("UpdateSecret", {"SecretString": "hunter2"}, "ValidationException", "Value null at 'secretId'"),
        ("GetSecretValue", {"SecretId": "there", "VersionId": "b" * 32}, "ResourceNotFoundException", "VersionId"),
        ("DeleteSecret", {"SecretId": "there", "RecoveryWindowInDays": 6}, "InvalidParameterException", "7 and 30"),
        ("DeleteSecret", {"SecretId": "there", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True},
         "InvalidParameterException", "conjunction"),
        ("ListSecrets", {"MaxResults": 0}, "ValidationException", "maxResults"),
        ("ListSecrets", {"NextToken": "b"}, "InvalidNextTokenException", "NextToken"),
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused(
    tmp_path: Path, operation: str, members: dict[str, Any], kind: str, words: str
) -> None:
    async def main(aws: Manager) -> None:
        await aws("CreateSecret", Name="there", SecretString="x")
        found, message = await aws.refused(operation, **members)
        assert found == kind
        assert words in message

    with_manager(tmp_path, main)


def test_what_is_marked_for_deletion_is_refused_in_awss_words(tmp_path: Path) -> None:
    async def main(aws: Manager) -> None:
        await aws("CreateSecret", Name="k", SecretString="hunter2")
        await aws("DeleteSecret", SecretId="k", RecoveryWindowInDays=7)
        for operation, members in (
            ("GetSecretValue", {}),
            ("PutSecretValue", {"SecretString": "hunter2"}),
            ("DeleteSecret", {}),
        ):
            kind, message = await aws.refused(operation, SecretId="k", **members)
            assert kind == "InvalidRequestException"
            assert "marked for deletion" in message
        kind, message = await aws.refused("CreateSecret", Name="k", SecretString="hunter2")
        assert (kind, "scheduled for deletion" in message) == ("InvalidRequestException", True)

    with_manager(tmp_path, main)


def test_what_is_not_served_is_said(tmp_path: Path) -> None:
    async def main(aws: Manager) -> None:
        status, answer = await aws.status("RotateSecret", SecretId="k")
        assert (status, "GetSecretValue" in said(answer)) == (501, True)
        status, answer = await aws.status("CreateSecret", Name="k", AddReplicaRegions=[{"Region": "us-east-2"}])
        assert status == 501
        status, answer = await aws._client("POST", "/", {}, [("X-Amz-Target", "Other_2020.Thing")])
        assert (status, "secretsmanager.*" in answer["message"]) == (400, True)
        assert answer["__type"] == "UnknownOperationException"
        status, answer = await aws._client("POST", "/", {})
        assert status == 404

    with_manager(tmp_path, main)
