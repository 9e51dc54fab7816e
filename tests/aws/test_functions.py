from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from isolet.errors import ModuleInvalid
from keeping import ROLE, Client, FakeBuilder, FakeWorker, package, run, running_keeper

FUNCTIONS = "/2015-03-31/functions"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:resize"
ZIP = base64.b64encode(package()).decode()


def body(name: str = "resize", **members: Any) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "provided.al2023",
        "Handler": "handle",
        "Code": {"ZipFile": ZIP},
    } | members


async def create(client: Client, name: str = "resize", **members: Any) -> dict[str, Any]:
    status, answer = await client("POST", FUNCTIONS, body(name, **members))
    assert status == 201, answer
    assert isinstance(answer, dict)
    return answer


CONFIGURATION = {
    "FunctionName": "resize",
    "FunctionArn": ARN,
    "Runtime": "provided.al2023",
    "Role": ROLE,
    "Handler": "handle",
    "CodeSize": len(package()),
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "LastModified": "2023-11-14T22:13:20.000+0000",
    "CodeSha256": base64.b64encode(hashlib.sha256(package()).digest()).decode(),
    "Version": "$LATEST",
    "TracingConfig": {"Mode": "PassThrough"},
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/resize"},
}
RUNTIME_ARN = f"arn:aws:lambda:us-east-1::runtime:{hashlib.sha256(b'provided.al2023').hexdigest()}"


def test_created_function_is_answered_pending_in_lambdas_shape(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            answer = await create(Client(keeper))
            revision = answer.pop("RevisionId")
            assert len(revision) == 36
            assert answer == CONFIGURATION | {
                "RuntimeVersionConfig": {"RuntimeVersionArn": RUNTIME_ARN},
                "State": "Pending",
                "StateReason": "The function is being created. Queued.",
                "StateReasonCode": "Creating",
            }

    run(main)


def test_active_function_is_answered_whole_and_nothing_empty(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client)
            await keeper.deployments.settled()
            status, answer = await client("GET", f"{FUNCTIONS}/resize")
            assert status == 200
            shown = answer["Configuration"]
            shown.pop("RevisionId")
            assert shown == CONFIGURATION | {
                "RuntimeVersionConfig": {"RuntimeVersionArn": RUNTIME_ARN},
                "State": "Active",
                "LastUpdateStatus": "Successful",
            }
            assert answer["Code"]["RepositoryType"] == "S3"
            assert "Tags" not in answer
            path = answer["Code"]["Location"].removeprefix("http://x")
            assert await client("GET", path) == (200, package())
            status, configuration = await client("GET", f"{FUNCTIONS}/resize/configuration")
            configuration.pop("RevisionId")
            assert configuration == shown

    run(main)


@pytest.mark.parametrize("name", ["resize", ARN, "000000000000:function:resize", "resize:$LATEST", f"{ARN}:$LATEST"])
def test_function_is_found_by_every_form_of_its_name(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client)
            status, answer = await client("GET", f"{FUNCTIONS}/{name.replace(':', '%3A').replace('$', '%24')}")
            assert status == 200
            assert answer["Configuration"]["FunctionName"] == "resize"
            assert (await client("GET", f"{FUNCTIONS}/resize?Qualifier=%24LATEST"))[0] == 200

    run(main)


def test_unknown_function_is_a_404_in_lambdas_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            for method, path, content in [
                ("GET", "resize", None),
                ("GET", "resize/configuration", None),
                ("DELETE", "resize", None),
                ("PUT", "resize/configuration", {"Timeout": 5}),
                ("PUT", "resize/code", {"ZipFile": ZIP}),
            ]:
                status, answer = await client(method, f"{FUNCTIONS}/{path}", content)
                assert (status, answer) == (404, {"Type": "User", "Message": f"Function not found: {ARN}"})
                assert client.headers["x-amzn-errortype"] == "ResourceNotFoundException"
            await create(client)
            status, answer = await client("GET", f"{FUNCTIONS}/resize?Qualifier=7")
            assert (status, answer["Message"]) == (404, f"Function not found: {ARN}:7")

    run(main)


def test_settings_come_back_as_they_were_given(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            client = Client(keeper)
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            tags = {"team": "a", "isolet:fuel": "77", "isolet:http": "true", "isolet:routes": '["GET /x/{id}"]'}
            answer = await create(
                client,
                Description="résizes",
                Timeout=9,
                MemorySize=64,
                Environment={"Variables": {"A_B": "ü"}},
                Tags=tags | {"isolet:timeout_s": "8.5", "isolet:language": "go"},
            )
            assert answer["Environment"] == {"Variables": {"A_B": "ü"}}
            assert (answer["Timeout"], answer["MemorySize"], answer["Description"]) == (9, 64, "résizes")
            await keeper.deployments.settled()
            _, got = await client("GET", f"{FUNCTIONS}/resize")
            assert got["Tags"] == tags | {"isolet:timeout_s": "8.5", "isolet:language": "go"}
            target = worker.table["000000000000", "resize"]
            assert (target.fuel, target.http, target.timeout_s) == (77, True, 8.5)
            assert [str(route) for route in target.routes] == ["GET /x/{id}"]

    run(main)


def test_failed_function_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.fails = ModuleInvalid("no export isolet_handle")
        async with running_keeper(tmp_path, builder) as keeper:
            client = Client(keeper)
            await create(client)
            await keeper.deployments.settled()
            _, answer = await client("GET", f"{FUNCTIONS}/resize/configuration")
            assert (answer["State"], answer["StateReasonCode"]) == ("Failed", "FunctionError")
            assert answer["StateReason"] == "no export isolet_handle"
            assert "LastUpdateStatus" not in answer

    run(main)


# ── update and delete ───────────────────────────────────────────────────────────────────────────────────────────


def test_code_is_updated_in_progress_then_successful(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        async with running_keeper(tmp_path, builder) as keeper:
            client = Client(keeper)
            await create(client)
            await keeper.deployments.settled()
            builder.hold()
            second = base64.b64encode(package("v2")).decode()
            status, answer = await client("PUT", f"{FUNCTIONS}/resize/code", {"ZipFile": second})
            assert status == 200
            assert (answer["State"], answer["LastUpdateStatus"]) == ("Active", "InProgress")
            assert answer["LastUpdateStatusReasonCode"] == "Creating"
            status, refused = await client("PUT", f"{FUNCTIONS}/resize/code", {"ZipFile": second})
            assert status == 409
            assert refused["message"].endswith(f"An update is in progress for resource: {ARN}")
            assert client.headers["x-amzn-errortype"] == "ResourceConflictException"
            builder.fails = ModuleInvalid("bad")
            builder.gate.set()
            await keeper.deployments.settled()
            _, after = await client("GET", f"{FUNCTIONS}/resize/configuration")
            assert (after["LastUpdateStatus"], after["LastUpdateStatusReason"]) == ("Failed", "bad")
            assert after["CodeSha256"] == CONFIGURATION["CodeSha256"]

    run(main)


def test_configuration_is_updated_member_by_member(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client, Timeout=9, Environment={"Variables": {"A_B": "c"}})
            await keeper.deployments.settled()
            _, answer = await client("PUT", f"{FUNCTIONS}/resize/configuration", {"Description": "new"})
            assert (answer["Description"], answer["Timeout"]) == ("new", 9)
            assert answer["LastUpdateStatus"] == "Successful"
            _, answer = await client("PUT", f"{FUNCTIONS}/resize/configuration", {"Environment": {"Variables": {}}})
            assert "Environment" not in answer
            await keeper.deployments.settled()
            stale = {"Timeout": 5, "RevisionId": "00000000-0000-0000-0000-000000000000"}
            status, answer = await client("PUT", f"{FUNCTIONS}/resize/configuration", stale)
            assert status == 412
            assert client.headers["x-amzn-errortype"] == "PreconditionFailedException"

    run(main)


def test_delete_answers_204_without_a_body(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client)
            assert await client("DELETE", f"{FUNCTIONS}/resize") == (204, b"")
            assert (await client("GET", f"{FUNCTIONS}/resize"))[0] == 404

    run(main)


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_is_paged_and_shows_what_lambda_shows(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            assert await client("GET", f"{FUNCTIONS}/") == (200, {"Functions": []})
            for number in range(7):
                await create(client, f"f{number}", Code={"ZipFile": base64.b64encode(package(str(number))).decode()})
            names: list[str] = []
            marker = ""
            for size in (3, 3, 1):
                _, page = await client("GET", f"{FUNCTIONS}?MaxItems=3{marker}")
                assert len(page["Functions"]) == size
                names += [function["FunctionName"] for function in page["Functions"]]
                marker = f"&Marker={page.get('NextMarker', '')}"
            assert names == [f"f{number}" for number in range(7)]
            assert marker == "&Marker="
            _, page = await client("GET", FUNCTIONS)
            assert set(page["Functions"][0]) == set(CONFIGURATION) | {"RevisionId"}
            assert (await client("GET", f"{FUNCTIONS}?MaxItems=0"))[0] == 400
            assert (await client("GET", f"{FUNCTIONS}?Marker=%FF"))[0] == 400

    run(main)


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tags_are_added_listed_and_removed(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client, Tags={"team": "a"})
            await keeper.deployments.settled()
            path = f"/2017-03-31/tags/{ARN.replace(':', '%3A')}"
            assert await client("POST", path, {"Tags": {"isolet:fuel": "9", "owner": "b"}}) == (204, b"")
            _, answer = await client("GET", path)
            assert answer == {"Tags": {"team": "a", "owner": "b", "isolet:fuel": "9"}}
            assert (await client("DELETE", f"{path}?tagKeys=team&tagKeys=isolet%3Afuel"))[0] == 204
            _, answer = await client("GET", path)
            assert answer == {"Tags": {"owner": "b"}}
            assert (await client("DELETE", path))[0] == 400
            assert (await client("POST", path, {}))[0] == 400
            assert (await client("GET", "/2017-03-31/tags/resize"))[0] == 400

    run(main)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────

VALIDATION: list[tuple[dict[str, Any], str]] = [
    ({"FunctionName": None}, "Value null at 'functionName' failed to satisfy constraint: Member must not be null"),
    ({"Role": None}, "Value null at 'role' failed to satisfy constraint: Member must not be null"),
    ({"Role": "me"}, "Value 'me' at 'role' failed to satisfy constraint: Member must satisfy regular expression"),
    ({"FunctionName": "a b"}, "Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy"),
    ({"FunctionName": "x" * 65}, "Member must have length less than or equal to 64"),
    (
        {"Timeout": 0},
        "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal",
    ),
    ({"Timeout": 901}, "Member must have value less than or equal to 900"),
    (
        {"MemorySize": 4_096},
        "Value '4096' at 'memorySize' failed to satisfy constraint: Member must have value less than",
    ),
    ({"Description": "x" * 257}, "Member must have length less than or equal to 256"),
    ({"Handler": "a b"}, "at 'handler' failed to satisfy constraint"),
    (
        {"Environment": {"Variables": {"1": "a"}}},
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy",
    ),
]


@pytest.mark.parametrize(("members", "words"), VALIDATION)
def test_violated_constraint_is_refused_in_awss_words(members: dict[str, Any], words: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            status, answer = await client("POST", FUNCTIONS, body() | members)
            assert status == 400
            assert answer["message"].startswith("1 validation error detected: ")
            assert words in answer["message"]
            assert client.headers["x-amzn-errortype"] == "ValidationException"

    run(main)


def test_all_violations_are_told_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            status, answer = await Client(keeper)("POST", FUNCTIONS, {"Timeout": 0, "MemorySize": 0})
            assert status == 400
            assert answer["message"].startswith("5 validation errors detected: ")
            for member in ("functionName", "role", "code", "timeout", "memorySize"):
                assert f"'{member}'" in answer["message"]

    run(main)


INVALID: list[tuple[Any, int, str, str]] = [
    (b"{", 400, "InvalidRequestContentException", "Could not parse request body into json"),
    (b"[1]", 400, "SerializationException", ""),
    (b"[" * 100_000, 400, "InvalidRequestContentException", "Could not parse"),
    (body(Timeout="3"), 400, "SerializationException", "can not be converted to an Integer"),
    (body(Timeout=True), 400, "SerializationException", "can not be converted to an Integer"),
    (body(Runtime=None), 400, "InvalidParameterValueException", "Runtime and Handler are mandatory"),
    (body(Code={"ZipFile": "%"}), 400, "SerializationException", ""),
    (body(Code={"ZipFile": "aGVsbG8="}), 400, "InvalidParameterValueException", "Could not unzip uploaded file."),
    (body(Code={}), 400, "InvalidParameterValueException", "Please provide a source for function code."),
    (body(Code={"S3Bucket": "bucket", "S3Key": "k"}), 400, "InvalidParameterValueException", "endpoint_s3"),
    (body(Layers=["arn"]), 400, "ValidationException", "layers"),
    (body(PackageType="Image"), 400, "InvalidParameterValueException", "PackageType Image is not served"),
    (body(VpcConfig={"SubnetIds": ["subnet-1"]}), 501, "InvalidParameterValueException", "VpcConfig is not served"),
    (body(Tags={"a": 1}), 400, "SerializationException", "can not be converted to a String"),
    (body(Tags={"isolet:fuel": "x"}), 400, "InvalidParameterValueException", "isolet:fuel"),
    (body(Tags={f"t{n}": "" for n in range(51)}), 400, "InvalidParameterValueException", "50 tags"),
    (body(Environment={"Variables": {"A_B": 1}}), 400, "SerializationException", "can not be converted to a String"),
    (body(Environment={"Variables": {"A_B": "x" * 4_096}}), 400, "InvalidParameterValueException", "4KB limit"),
    (body(Environment={"Variables": {"AWS_REGION": "x"}}), 400, "InvalidParameterValueException", "reserved keys"),
    (body(Environment={"Variables": {"A_B": "\0"}}), 400, "InvalidParameterValueException", "NUL"),
]


@pytest.mark.parametrize(("content", "status", "name", "words"), INVALID)
def test_bad_request_is_refused_and_nothing_is_created(
    content: Any, status: int, name: str, words: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            got, answer = await client("POST", FUNCTIONS, content)
            assert (got, client.headers["x-amzn-errortype"]) == (status, name)
            assert words in answer["message"]
            assert answer.get("Type") == (None if name == "ValidationException" else "User")
            assert (await client("GET", FUNCTIONS))[1] == {"Functions": []}

    run(main)


def test_what_asks_for_nothing_is_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await create(
                Client(keeper),
                Publish=False,
                PackageType="Zip",
                Layers=[],
                VpcConfig={},
                TracingConfig={"Mode": "PassThrough"},
                EphemeralStorage={"Size": 512},
                SnapStart={"ApplyOn": "None"},
            )

    run(main)


def test_second_function_of_a_name_is_a_conflict(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            await create(client)
            status, answer = await client("POST", FUNCTIONS, body())
            assert (status, answer) == (409, {"Type": "User", "message": "Function already exist: resize"})

    run(main)


def test_update_while_pending_is_a_conflict(tmp_path: Path) -> None:
    async def main() -> None:
        builder = FakeBuilder()
        builder.hold()
        async with running_keeper(tmp_path, builder) as keeper:
            client = Client(keeper)
            await create(client)
            status, answer = await client("PUT", f"{FUNCTIONS}/resize/configuration", {"Timeout": 5})
            assert status == 409
            assert answer["message"].endswith("The function is currently in the following state: Pending")
            await asyncio.sleep(0)

    run(main)
