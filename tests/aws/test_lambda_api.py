"""Lambda's API from outside: boto3 against a server in its processes. What is compared is whole answers."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, WaiterError

from served import Served, zipped

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service"
SOURCE = """
import os, time

def handler(event, context):
    if "sleep" in event:
        time.sleep(event["sleep"])
    return {
        "said": "%s",
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "level": os.environ.get("LEVEL"),
    }
"""


def arn(name: str, qualifier: str = "") -> str:
    whole = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    return f"{whole}:{qualifier}" if qualifier else whole


def package(said: str = "one") -> bytes:
    return zipped({"app.py": SOURCE % said})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.end()


@pytest.fixture(scope="module")
def aws(server: Served) -> Any:
    return server.client("lambda")


@pytest.fixture
def function(aws: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A function of this test's own, active."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", request.node.name)[-60:].strip("-")
    create(aws, name)
    yield name
    aws.delete_function(FunctionName=name)


def create(aws: Any, name: str, said: str = "one", **more: Any) -> dict[str, Any]:
    created: dict[str, Any] = aws.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package(said)},
        **more,
    )
    settle(aws, name)
    return plain(created)


def settle(aws: Any, name: str) -> None:
    aws.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    aws.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def update(aws: Any, name: str, said: str) -> None:
    aws.update_function_code(FunctionName=name, ZipFile=package(said))
    settle(aws, name)


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def invoke(aws: Any, name: str, event: Any = None, **more: Any) -> Any:
    answer = aws.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode(), **more)
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read()), answer.get("ExecutedVersion")


def refusal(call: Any, **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    said = refused.value.response
    return said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Message"]


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_answer_of_create_has_what_lambdas_has_and_nothing_else(aws: Any) -> None:
    created = create(aws, "created", Description="d", Environment={"Variables": {"LEVEL": "3"}}, Tags={"team": "a b"})
    for member in ("CodeSha256", "LastModified", "RevisionId", "CodeSize", "RuntimeVersionConfig"):
        assert created.pop(member)
    assert created == {
        "Architectures": ["x86_64"],
        "Description": "d",
        "Environment": {"Variables": {"LEVEL": "3"}},
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": arn("created"),
        "FunctionName": "created",
        "Handler": "app.handler",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/created"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Pending",
        "StateReason": "The function is being created. Queued.",
        "StateReasonCode": "Creating",
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }
    got = aws.get_function(FunctionName="created")
    assert (got["Configuration"]["State"], got["Configuration"]["LastUpdateStatus"]) == ("Active", "Successful")
    assert got["Tags"] == {"team": "a b"}
    assert httpx.get(got["Code"]["Location"]).content == package()
    assert httpx.get(got["Code"]["Location"].replace("Signature=", "Signature=0")).status_code == 403
    assert invoke(aws, "created")[0]["level"] == "3"
    assert aws.delete_function(FunctionName="created")["ResponseMetadata"]["HTTPStatusCode"] == 204
    kind, status, message = refusal(aws.get_function, FunctionName="created")
    assert (kind, status, message) == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {arn('created')}",
    )


def test_build_that_fails_says_why(aws: Any) -> None:
    aws.create_function(
        FunctionName="broken",
        Runtime="provided.al2023",
        Handler="handle",
        Role=ROLE,
        Code={"ZipFile": zipped({"function.wasm": b"\0asm\1\0\0\0"})},
    )
    with pytest.raises(WaiterError, match="Waiter FunctionActiveV2 failed"):
        settle(aws, "broken")
    failed = aws.get_function_configuration(FunctionName="broken")
    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "FunctionError")
    assert failed["StateReason"] == "the module defines 0 memories, and a guest has exactly one"
    aws.delete_function(FunctionName="broken")


def test_revision_that_is_not_the_latest_changes_nothing(aws: Any, function: str) -> None:
    old = aws.get_function_configuration(FunctionName=function)["RevisionId"]
    aws.update_function_configuration(FunctionName=function, Timeout=7, RevisionId=old)
    settle(aws, function)
    kind, status, _ = refusal(aws.update_function_configuration, FunctionName=function, Timeout=9, RevisionId=old)
    assert (kind, status) == ("PreconditionFailedException", 412)
    assert aws.get_function_configuration(FunctionName=function)["Timeout"] == 7


def test_all_that_a_request_violates_is_told_at_once(aws: Any) -> None:
    kind, status, message = refusal(
        aws.create_function, FunctionName="bad name!", Role="nobody", Code={"ZipFile": b"x"}, Timeout=901
    )
    assert (kind, status) == ("ValidationException", 400)
    assert message.startswith("3 validation errors detected: ")
    assert (
        "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"
        in (message)
    )


def test_images_are_refused_with_the_reason(aws: Any) -> None:
    kind, status, message = refusal(
        aws.create_function, FunctionName="image", Role=ROLE, PackageType="Image", Code={"ImageUri": "a.b/c:d"}
    )
    assert (kind, status) == ("InvalidParameterValueException", 400)
    assert "PackageType Image is not served" in message


def test_operation_that_is_not_served_says_so(aws: Any) -> None:
    kind, status, message = refusal(
        aws.create_code_signing_config,
        AllowedPublishers={"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p"]},
    )
    assert status >= 400
    assert "CreateCodeSigningConfig" in message
    assert "not served by isolet" in message
    assert kind.endswith("Exception")


def test_lists_come_in_pages(aws: Any) -> None:
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        create(aws, name)
    pages = list(aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    listed = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert [name for name in listed if name.startswith("page-")] == names
    assert all(len(page["Functions"]) <= 2 for page in pages)
    for name in names:
        aws.delete_function(FunctionName=name)


# ── versions and aliases ────────────────────────────────────────────────────────────────────────────────────────


def test_version_stays_as_it_was_and_unchanged_code_is_the_same_version(aws: Any, function: str) -> None:
    first = aws.publish_version(FunctionName=function, Description="the first")
    assert (first["Version"], first["FunctionArn"]) == ("1", arn(function, "1"))
    assert (first["State"], first["Description"]) == ("Active", "the first")
    assert aws.publish_version(FunctionName=function)["Version"] == "1"
    update(aws, function, "two")
    assert aws.publish_version(FunctionName=function)["Version"] == "2"
    for name, version, said in [
        (f"{function}:1", "1", "one"),
        (arn(function, "2"), "2", "two"),
        (function, None, "two"),
    ]:
        value, executed = invoke(aws, name)
        assert executed == (version or "$LATEST")
        assert (value["said"], value["version"]) == (said, version or "$LATEST")
        assert value["arn"] == arn(function, version or "")
    listed = aws.list_versions_by_function(FunctionName=function)["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]
    aws.delete_function(FunctionName=function, Qualifier="1")
    assert refusal(aws.invoke, FunctionName=function, Qualifier="1")[0] == "ResourceNotFoundException"


def test_publishing_with_other_code_than_meant_is_refused(aws: Any, function: str) -> None:
    kind, _, message = refusal(aws.publish_version, FunctionName=function, CodeSha256="0" * 44)
    assert kind == "InvalidParameterValueException"
    assert message.startswith("CodeSHA256 (0000")


def test_creating_with_publish_makes_version_one_with_the_function(aws: Any) -> None:
    created = create(aws, "published", Publish=True)
    assert created["Version"] == "1"
    aws.get_waiter("published_version_active").wait(FunctionName="published", Qualifier="1")
    assert invoke(aws, "published:1")[0]["version"] == "1"
    updated = aws.update_function_code(FunctionName="published", ZipFile=package("two"), Publish=True)
    assert (updated["Version"], updated["FunctionArn"]) == ("2", arn("published", "2"))
    settle(aws, "published")
    assert invoke(aws, "published:2")[0]["said"] == "two"
    aws.delete_function(FunctionName="published")
    create(aws, "published", Publish=True)
    assert aws.list_versions_by_function(FunctionName="published")["Versions"][1]["Version"] == "3"
    aws.delete_function(FunctionName="published")


def test_alias_shifts_by_weight_and_tells_which_version_ran(aws: Any, function: str) -> None:
    aws.publish_version(FunctionName=function)
    update(aws, function, "two")
    aws.publish_version(FunctionName=function)
    made = plain(aws.create_alias(FunctionName=function, Name="live", FunctionVersion="1", Description="d"))
    assert made.pop("RevisionId")
    assert made == {
        "AliasArn": arn(function, "live"),
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "d",
    }
    value, executed = invoke(aws, function, Qualifier="live")
    assert (value["said"], value["arn"], executed) == ("one", arn(function, "live"), "1")
    shifted = aws.update_alias(
        FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}}
    )
    assert shifted["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    ran = Counter(invoke(aws, f"{function}:live")[1] for _ in range(60))
    assert set(ran) == {"1", "2"}
    kind, status, message = refusal(aws.delete_function, FunctionName=function, Qualifier="2")
    assert (kind, status) == ("ResourceConflictException", 409)
    assert "live" in message
    done = aws.update_alias(FunctionName=function, Name="live", FunctionVersion="2", RoutingConfig={})
    assert "RoutingConfig" not in done
    assert invoke(aws, f"{function}:live")[1] == "2"
    assert [alias["Name"] for alias in aws.list_aliases(FunctionName=function)["Aliases"]] == ["live"]
    aws.delete_alias(FunctionName=function, Name="live")
    assert refusal(aws.get_alias, FunctionName=function, Name="live") == (
        "ResourceNotFoundException",
        404,
        f"Cannot find alias arn: {arn(function, 'live')}",
    )


@pytest.mark.parametrize(
    ("alias", "words"),
    [
        ({"FunctionVersion": "9"}, "Function not found: "),
        (
            {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "Invalid function version 1.",
        ),
        (
            {"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}},
            "cannot be greater than 1",
        ),
    ],
)
def test_alias_that_cannot_be_is_refused(aws: Any, function: str, alias: dict[str, Any], words: str) -> None:
    aws.publish_version(FunctionName=function)
    _, status, message = refusal(aws.create_alias, FunctionName=function, Name="live", **alias)
    assert status in (400, 404)
    assert words in message


# ── policies, concurrency, asynchronous configuration ───────────────────────────────────────────────────────────


def test_policy_is_kept_as_it_was_given(aws: Any, function: str) -> None:
    assert refusal(aws.get_policy, FunctionName=function)[:2] == ("ResourceNotFoundException", 404)
    added = aws.add_permission(
        FunctionName=function,
        StatementId="bucket",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket",
        SourceAccount="111122223333",
    )
    statement = json.loads(added["Statement"])
    assert statement == {
        "Sid": "bucket",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(function),
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "111122223333"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
        },
    }
    got = aws.get_policy(FunctionName=function)
    assert json.loads(got["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    again = {"StatementId": "bucket", "Action": "lambda:InvokeFunction", "Principal": "111122223333"}
    assert refusal(aws.add_permission, FunctionName=function, **again)[:2] == ("ResourceConflictException", 409)
    aws.remove_permission(FunctionName=function, StatementId="bucket")
    assert refusal(aws.get_policy, FunctionName=function)[0] == "ResourceNotFoundException"


def test_reserved_concurrency_holds_over_all_workers(server: Served, aws: Any, function: str) -> None:
    aws.update_function_configuration(FunctionName=function, Timeout=60)
    settle(aws, function)
    assert plain(aws.get_function_concurrency(FunctionName=function)) == {}
    put = aws.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
    assert plain(put) == {"ReservedConcurrentExecutions": 2}
    assert aws.get_function(FunctionName=function)["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    began = threading.Barrier(2)

    def hold() -> Any:
        began.wait()
        client = server.client("lambda")
        while True:  # what asks below may have the place for the moment of its call
            try:
                return invoke(client, function, {"sleep": 6})
            except client.exceptions.TooManyRequestsException:
                continue

    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(hold) for _ in range(2)]
        # A third is refused once both run; until then it finds room, and is over at once.
        seen: set[str] = set()
        while not any(one.done() for one in held) and "throttled" not in seen:
            try:
                invoke(aws, function)
            except ClientError as refused:
                said = refused.response
                assert said["Error"]["Code"] == "TooManyRequestsException"
                assert said["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
                assert said["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
                seen.add("throttled")
        for one in held:
            one.result()
    assert seen
    aws.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    assert refusal(aws.invoke, FunctionName=function)[:2] == ("TooManyRequestsException", 429)
    aws.delete_function_concurrency(FunctionName=function)
    assert invoke(aws, function)[0]["said"] == "one"
    kind, _, message = refusal(aws.put_function_concurrency, FunctionName=function, ReservedConcurrentExecutions=901)
    assert kind == "InvalidParameterValueException"
    assert "UnreservedConcurrentExecution below its minimum value of [100]" in message


def test_asynchronous_configuration_is_kept_by_qualifier(aws: Any, function: str) -> None:
    assert refusal(aws.get_function_event_invoke_config, FunctionName=function)[1:] == (
        404,
        f"The function {arn(function, '$LATEST')} doesn't have an EventInvokeConfig",
    )
    queue = "arn:aws:sqs:us-east-1:000000000000:failures"
    put = plain(
        aws.put_function_event_invoke_config(
            FunctionName=function, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue}}
        )
    )
    assert put.pop("LastModified")
    assert put == {
        "FunctionArn": arn(function, "$LATEST"),
        "MaximumRetryAttempts": 1,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": queue}},
    }
    changed = aws.update_function_event_invoke_config(FunctionName=function, MaximumEventAgeInSeconds=60)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (1, 60)
    listed = aws.list_function_event_invoke_configs(FunctionName=function)["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"] for config in listed] == [arn(function, "$LATEST")]
    aws.delete_function_event_invoke_config(FunctionName=function)
    assert refusal(aws.get_function_event_invoke_config, FunctionName=function)[1] == 404


# ── function URLs ───────────────────────────────────────────────────────────────────────────────────────────────


def test_function_url_serves_its_alias(server: Served, aws: Any, function: str) -> None:
    aws.publish_version(FunctionName=function)
    aws.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    made = aws.create_function_url_config(
        FunctionName=function, Qualifier="live", AuthType="NONE", Cors={"AllowOrigins": ["*"], "MaxAge": 60}
    )
    port = server.url.rpartition(":")[2]
    assert re.fullmatch(rf"http://[a-z0-9]{{32}}\.lambda-url\.localhost:{port}/", made["FunctionUrl"])
    assert (made["FunctionArn"], made["InvokeMode"]) == (arn(function, "live"), "BUFFERED")
    assert made["Cors"] == {"AllowOrigins": ["*"], "MaxAge": 60}
    host = made["FunctionUrl"].removeprefix("http://").rstrip("/")
    answer = httpx.get(f"{server.url}/x?y=1", headers={"host": host, "origin": "http://a.example"})
    assert (answer.status_code, answer.json()["version"]) == (200, "1")
    assert answer.headers["access-control-allow-origin"] == "http://a.example"
    assert aws.get_function_url_config(FunctionName=function, Qualifier="live")["FunctionUrl"] == made["FunctionUrl"]
    listed = aws.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    assert [url["FunctionUrl"] for url in listed] == [made["FunctionUrl"]]
    again = refusal(aws.create_function_url_config, FunctionName=function, Qualifier="live", AuthType="NONE")
    assert again[:2] == ("ResourceConflictException", 409)
    changed = aws.update_function_url_config(FunctionName=function, Qualifier="live", InvokeMode="RESPONSE_STREAM")
    assert changed["InvokeMode"] == "RESPONSE_STREAM"
    assert httpx.get(f"{server.url}/", headers={"host": host}).json()["said"] == "one"
    aws.delete_function_url_config(FunctionName=function, Qualifier="live")
    assert httpx.get(f"{server.url}/", headers={"host": host}).status_code in (403, 404)
    assert refusal(aws.get_function_url_config, FunctionName=function, Qualifier="live")[1] == 404


def test_stream_of_an_answer_ends_with_its_completion(aws: Any, function: str) -> None:
    answer = aws.invoke_with_response_stream(FunctionName=function, Payload=b"{}")
    events = list(answer["EventStream"])
    body = b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)
    assert json.loads(body)["said"] == "one"
    assert "InvokeComplete" in events[-1]
    assert answer["ExecutedVersion"] == "$LATEST"


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_layers_have_versions_and_functions_name_them(aws: Any, function: str) -> None:
    content = zipped({"python/shared.py": "VALUE = 42\n"})
    first = aws.publish_layer_version(
        LayerName="shared", Description="d", Content={"ZipFile": content}, CompatibleRuntimes=["python3.12"]
    )
    layer_arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:shared"
    assert (first["LayerVersionArn"], first["Version"]) == (f"{layer_arn}:1", 1)
    assert httpx.get(first["Content"]["Location"]).content == content
    second = aws.publish_layer_version(LayerName="shared", Content={"ZipFile": content})
    assert second["Version"] == 2
    listed = aws.list_layer_versions(LayerName="shared")["LayerVersions"]
    assert [version["Version"] for version in listed] == [2, 1]
    assert aws.list_layers()["Layers"][0]["LatestMatchingVersion"]["Version"] == 2
    assert aws.get_layer_version_by_arn(Arn=f"{layer_arn}:1")["Description"] == "d"
    unknown = refusal(aws.update_function_configuration, FunctionName=function, Layers=[f"{layer_arn}:9"])
    assert unknown[::2] == ("InvalidParameterValueException", f"Layer version {layer_arn}:9 does not exist.")
    twice = refusal(
        aws.update_function_configuration, FunctionName=function, Layers=[f"{layer_arn}:1", f"{layer_arn}:2"]
    )
    assert "Two different versions of the same layer are not allowed" in twice[2]
    aws.update_function_configuration(FunctionName=function, Layers=[f"{layer_arn}:1"])
    settle(aws, function)
    assert aws.get_function_configuration(FunctionName=function)["Layers"] == [
        {"Arn": f"{layer_arn}:1", "CodeSize": len(content)}
    ]
    aws.delete_layer_version(LayerName="shared", VersionNumber=1)
    assert refusal(aws.get_layer_version, LayerName="shared", VersionNumber=1)[:2] == ("ResourceNotFoundException", 404)
    assert invoke(aws, function)[0]["said"] == "one"


# ── what is kept for tools ──────────────────────────────────────────────────────────────────────────────────────


def test_event_source_mappings_are_kept(aws: Any, function: str) -> None:
    source = "arn:aws:sqs:us-east-1:000000000000:orders"
    made = aws.create_event_source_mapping(FunctionName=function, EventSourceArn=source)
    assert (made["State"], made["BatchSize"], made["FunctionArn"]) == ("Creating", 10, arn(function))
    again = refusal(aws.create_event_source_mapping, FunctionName=function, EventSourceArn=source)
    assert again[:2] == ("ResourceConflictException", 409)
    assert aws.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled"
    aws.update_event_source_mapping(UUID=made["UUID"], BatchSize=5, Enabled=False)
    listed = aws.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [(one["BatchSize"], one["State"]) for one in listed] == [(5, "Disabled")]
    assert aws.delete_event_source_mapping(UUID=made["UUID"])["State"] == "Deleting"
    assert refusal(aws.get_event_source_mapping, UUID=made["UUID"])[:2] == ("ResourceNotFoundException", 404)
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
    unplaced = refusal(aws.create_event_source_mapping, FunctionName=function, EventSourceArn=stream)
    assert unplaced[0] == "InvalidParameterValueException"
    assert "'startingPosition'" in unplaced[2]
    nobody = refusal(aws.create_event_source_mapping, FunctionName="nobody", EventSourceArn=source)
    assert nobody[0] == "InvalidParameterValueException"


def test_what_infrastructure_tools_read_on_every_refresh_is_answered(server: Served, aws: Any, function: str) -> None:
    assert aws.get_function_code_signing_config(FunctionName=function)["FunctionName"] == function
    assert aws.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"
    assert aws.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Terminate"
    assert aws.list_provisioned_concurrency_configs(FunctionName=function)["ProvisionedConcurrencyConfigs"] == []
    assert aws.list_tags(Resource=arn(function))["Tags"] == {}
    settings = aws.get_account_settings()
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert settings["AccountUsage"]["FunctionCount"] >= 1
    assert server.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_provisioned_concurrency_is_ready_at_once(aws: Any, function: str) -> None:
    aws.publish_version(FunctionName=function)
    put = aws.put_provisioned_concurrency_config(
        FunctionName=function, Qualifier="1", ProvisionedConcurrentExecutions=3
    )
    assert (put["Status"], put["AvailableProvisionedConcurrentExecutions"]) == ("READY", 3)
    aws.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="1")
    gone = refusal(aws.get_provisioned_concurrency_config, FunctionName=function, Qualifier="1")
    assert gone[:2] == ("ProvisionedConcurrencyConfigNotFoundException", 404)
