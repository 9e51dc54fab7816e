"""SAM's resources become CloudFormation's under the ids that SAM gives them."""

from __future__ import annotations

from typing import Any

import pytest

from isolet.errors import TemplateInvalid
from isolet.stack import sam
from isolet.stack.sam import Expanded, expanded
from isolet.template import Evaluator, chosen, read

HEAD = "Transform: AWS::Serverless-2016-10-31\n"


def expand(text: str, head: str = HEAD) -> Expanded:
    template = read(head + text)

    def of_resource(id: str, attribute: str, path: str) -> Any:
        raise AssertionError(f"{path} asks for {id}")

    return expanded(template, Evaluator(template, chosen(template, {}), "shop", "123456789012", of_resource))


def function(properties: str) -> str:
    return f"Resources: {{Hello: {{Type: AWS::Serverless::Function, Properties: {properties}}}}}\n"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("{Role: r}", {"Hello": sam.FUNCTION}),
        ("{}", {"HelloRole": sam.ROLE, "Hello": sam.FUNCTION}),
        (
            "{Role: r, AutoPublishAlias: live}",
            {"Hello": sam.FUNCTION, "HelloVersion": sam.VERSION, "HelloAliaslive": sam.ALIAS},
        ),
        ("{Role: r, FunctionUrlConfig: {AuthType: AWS_IAM}}", {"Hello": sam.FUNCTION, "HelloUrl": sam.URL}),
        (
            "{Role: r, FunctionUrlConfig: {AuthType: NONE}}",
            {"Hello": sam.FUNCTION, "HelloUrl": sam.URL, "HelloUrlPublicPermissions": sam.PERMISSION},
        ),
        (
            "{Role: r, EventInvokeConfig: {MaximumRetryAttempts: 1}}",
            {"Hello": sam.FUNCTION, "HelloEventInvokeConfig": sam.EVENT_INVOKE},
        ),
        (
            "{Role: r, Events: {A: {Type: Api, Properties: {Path: /a, Method: get}}, B: {Type: HttpApi}}}",
            {"Hello": sam.FUNCTION, "ServerlessRestApi": sam.REST_API, "ServerlessHttpApi": sam.HTTP_API},
        ),
    ],
)
def test_function_becomes_what_sam_makes_of_it(properties: str, expected: dict[str, str]) -> None:
    made = expand(function(properties))
    assert {id: resource.type for id, resource in made.resources.items()} == expected
    assert made.unmapped == ()


@pytest.mark.parametrize(
    ("properties", "member", "expected"),
    [
        ("{}", "Code", "."),
        ("{CodeUri: hello/}", "Code", "hello/"),
        ("{CodeUri: {Bucket: b, Key: k, Version: v}}", "Code", {"S3Bucket": "b", "S3Key": "k", "S3ObjectVersion": "v"}),
        ("{InlineCode: x}", "Code", {"ZipFile": "x"}),
        ("{Tracing: Active}", "TracingConfig", {"Mode": "Active"}),
        ("{DeadLetterQueue: {Type: SQS, TargetArn: arn}}", "DeadLetterConfig", {"TargetArn": "arn"}),
        ("{Timeout: !Ref T}", "Timeout", {"Ref": "T"}),
    ],
)
def test_members_are_called_as_cloudformation_calls_them(properties: str, member: str, expected: Any) -> None:
    assert expand(function(properties)).resources["Hello"].properties[member] == expected


def test_globals_are_every_functions() -> None:
    text = "Globals: {Function: {Timeout: 5, Environment: {Variables: {A: 1}}}}\n"
    hello = expand(text + function("{Environment: {Variables: {B: 2}}}")).resources["Hello"]
    assert hello.properties["Timeout"] == 5
    assert hello.properties["Environment"] == {"Variables": {"A": 1, "B": 2}}


def test_alias_is_what_the_rest_of_the_function_hangs_on() -> None:
    made = expand(
        "Parameters: {Stage: {Type: String, Default: live}}\n"
        + function(
            "{AutoPublishAlias: !Ref Stage, FunctionUrlConfig: {AuthType: NONE}, EventInvokeConfig: "
            "{DestinationConfig: {OnFailure: {Type: SQS, Destination: arn}}}}"
        )
    ).resources
    assert made["HelloUrl"].properties["Qualifier"] == "live"
    assert made["HelloUrlPublicPermissions"].properties["FunctionName"] == {"Ref": "HelloAliaslive"}
    assert made["HelloEventInvokeConfig"].properties == {
        "FunctionName": {"Ref": "Hello"},
        "Qualifier": "live",
        "DestinationConfig": {"OnFailure": {"Destination": "arn"}},
    }


@pytest.mark.parametrize(
    ("properties", "place"),
    [
        ("{ProvisionedConcurrencyConfig: {}}", "ProvisionedConcurrencyConfig"),
        ("{Events: {Q: {Type: SQS, Properties: {Queue: q}}}}", "Events.Q"),
        (
            "{Events: {A: {Type: HttpApi, Properties: {Path: /, Method: get, Auth: {}}}}}",
            "Events.A.Properties.Auth",
        ),
    ],
)
def test_what_becomes_nothing_is_named(properties: str, place: str) -> None:
    assert [each.path for each in expand(function(properties)).unmapped] == [f"Resources.Hello.Properties.{place}"]


@pytest.mark.parametrize(
    ("text", "head", "message"),
    [
        (
            function("{}"),
            "",
            "Resources.Hello.Type: AWS::Serverless::Function needs Transform: AWS::Serverless-2016-10-31",
        ),
        (function("[]"), HEAD, "Resources.Hello.Properties: this is a map"),
        (function("{Events: []}"), HEAD, "Resources.Hello.Properties.Events: this is a map"),
        (function("{Events: {A: 1}}"), HEAD, "Resources.Hello.Properties.Events.A: an event is a map with a Type"),
        (function("{FunctionUrlConfig: x}"), HEAD, "Resources.Hello.Properties.FunctionUrlConfig: this is a map"),
    ],
)
def test_error_names_its_place(text: str, head: str, message: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        expand(text, head)
    assert caught.value.message == message
