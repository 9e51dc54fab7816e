"""A template as what is to be deployed: names, requests, order, what is not mapped, errors with their place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isolet.errors import TemplateInvalid
from isolet.stack.plans import AttachedPlan, Code, FunctionPlan, LayerPlan, LogGroupPlan, RulePlan
from isolet.stack.stack import Stack
from isolet.template import read

ENDPOINT = "http://127.0.0.1:8080"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
BASE = "Runtime: python3.12, Handler: app.handler"


def stack(resources: str, rest: str = "", **given: str) -> Stack:
    text = f"Transform: AWS::Serverless-2016-10-31\nResources:\n{resources}\n{rest}\n"
    return Stack(read(text), given, "shop", "123456789012", ENDPOINT)


def function(more: str = "", id: str = "Hello") -> str:
    return f"  {id}: {{Type: AWS::Serverless::Function, Properties: {{{BASE}{', ' if more else ''}{more}}}}}\n"


def planned(more: str = "", others: str = "") -> FunctionPlan:
    plan = stack(function(more) + others).plan("Hello")
    assert isinstance(plan, FunctionPlan)
    return plan


def test_function_without_more_is_as_lambda_makes_one() -> None:
    plan = planned()
    assert plan.name == "shop-Hello"
    assert plan.code == Code(path=".")
    assert plan.architectures == ("x86_64",)
    assert plan.tags == {"isolet-stack": "shop"}
    assert plan.reserved is None
    assert plan.configuration == {
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Role": "arn:aws:iam::123456789012:role/shop-HelloRole",
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Environment": {"Variables": {}},
        "Layers": [],
        "DeadLetterConfig": {"TargetArn": ""},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/shop-Hello"},
    }


@pytest.mark.parametrize(
    ("more", "member", "expected"),
    [
        ("Timeout: 5", "Timeout", 5),
        ("MemorySize: '256'", "MemorySize", 256),
        (
            "Environment: {Variables: {N: 1, T: true, H: !Ref Hello}}",
            "Environment",
            {"Variables": {"N": "1", "T": "true", "H": "shop-Hello"}},
        ),
        (
            "DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Queue.Arn}",
            "DeadLetterConfig",
            {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:shop-Queue"},
        ),
        (
            "LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}",
            "LoggingConfig",
            {
                "LogFormat": "JSON",
                "LogGroup": "/aws/lambda/shop-Hello",
                "ApplicationLogLevel": "DEBUG",
                "SystemLogLevel": "INFO",
            },
        ),
        (
            "Environment: {Variables: {Q: !Ref Queue, T: !Ref Table}}",
            "Environment",
            {"Variables": {"Q": "https://sqs.us-east-1.amazonaws.com/123456789012/shop-Queue", "T": "items"}},
        ),
    ],
)
def test_members_become_lambdas(more: str, member: str, expected: Any) -> None:
    others = "  Queue: {Type: AWS::SQS::Queue}\n  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: items}}\n"
    assert planned(more, others).configuration[member] == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("{A: {Type: Api, Properties: {Path: /hello, Method: get}}}", ["GET /hello"]),
        ("{A: {Type: HttpApi, Properties: {Path: '/a/{proxy+}', Method: ANY}}}", ["ANY /a/{proxy+}"]),
        ("{A: {Type: HttpApi, Properties: {Path: '/a/{id}/', Method: '*'}}}", ["ANY /a/{id}"]),
        ("{A: {Type: HttpApi}}", ["ANY /", "ANY /{proxy+}"]),
        (
            "{A: {Type: Api, Properties: {Path: /, Method: post}}, "
            "B: {Type: Api, Properties: {Path: /b, Method: put}}}",
            ["POST /", "PUT /b"],
        ),
    ],
)
def test_events_become_routes(events: str, expected: list[str]) -> None:
    tags = planned(f"Events: {events}").tags
    assert tags["isolet:http"] == "true"
    assert json.loads(tags["isolet:routes"]) == expected


def test_urls_of_apis_are_the_servers() -> None:
    made = stack(
        function("Events: {A: {Type: Api, Properties: {Path: /hello, Method: get}}, B: {Type: HttpApi}}"),
        "Outputs:\n"
        "  Rest: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/hello/'}\n"
        "  Stage: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/Prod/'}\n"
        "  Http: {Value: !Sub 'https://${ServerlessHttpApi}.execute-api.${AWS::Region}.amazonaws.com/Production'}\n"
        "  Attribute: {Value: !GetAtt ServerlessHttpApi.ApiEndpoint}\n",
    )
    assert made.outputs({}) == {
        "Rest": f"{ENDPOINT}/hello",
        "Stage": f"{ENDPOINT}/",
        "Http": f"{ENDPOINT}/Production",
        "Attribute": ENDPOINT,
    }


def test_attached_resources_name_their_function_however_it_is_written() -> None:
    made = stack(
        function("FunctionName: hello")
        + "  Version: {Type: AWS::Lambda::Version, Properties: {FunctionName: !GetAtt Hello.Arn}}\n"
        "  Alias: {Type: AWS::Lambda::Alias, Properties: {FunctionName: hello, Name: live, FunctionVersion: "
        "!GetAtt Version.Version, RoutingConfig: {AdditionalVersionWeights: [{FunctionVersion: 2, FunctionWeight: "
        "0.5}]}}}\n"
        "  Url: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !Ref Alias, AuthType: NONE, Cors: "
        "{AllowOrigins: ['*'], MaxAge: '5'}}}\n"
        "  Allow: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref Hello, "
        "Action: lambda:InvokeFunction, Principal: s3.amazonaws.com}}\n"
        "  Async: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref Hello, Qualifier: $LATEST, "
        "MaximumRetryAttempts: 0, DestinationConfig: {OnFailure: {Destination: !GetAtt Hello.Arn}}}}\n"
    )
    attached = {id: plan for id in made.order if isinstance(plan := made.plan(id), AttachedPlan)}
    assert {id: (plan.function, plan.qualifier, plan.name) for id, plan in attached.items()} == {
        "Version": ("hello", "", ""),
        "Alias": ("hello", "", "live"),
        "Url": ("hello", "live", ""),
        "Allow": ("hello", "", "Allow"),
        "Async": ("hello", "", ""),
    }
    assert attached["Alias"].body["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    assert attached["Url"].body["Cors"] == {"AllowOrigins": ["*"], "MaxAge": 5}
    assert attached["Async"].body["DestinationConfig"] == {"OnFailure": {"Destination": f"{ARN}hello"}}
    now = made.plan("Alias", {"Version": {"Version": "7"}})
    assert isinstance(now, AttachedPlan)
    assert now.body["FunctionVersion"] == "7"


def test_what_gives_a_result_goes_before_what_needs_it() -> None:
    made = stack(
        function("Environment: {Variables: {URL: !GetAtt OtherUrl.FunctionUrl}}", "Hello")
        + function("Layers: [!Ref Common], FunctionUrlConfig: {AuthType: AWS_IAM}", "Other")
        + "  Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: common/}}\n"
    )
    assert made.order == ("Common", "Other", "OtherUrl", "Hello")
    layer = made.plan("Common")
    assert isinstance(layer, LayerPlan)
    assert (layer.name, layer.code, layer.retained) == ("shop-Common", Code(path="common/"), False)
    hello = made.plan("Hello", {"OtherUrl": {"FunctionUrl": "http://there/"}})
    assert isinstance(hello, FunctionPlan)
    assert hello.configuration["Environment"] == {"Variables": {"URL": "http://there/"}}


@pytest.mark.parametrize(
    ("event", "body", "target"),
    [
        (
            "{Type: Schedule, Properties: {Schedule: rate(5 minutes), Input: '{}', Description: d}}",
            {"ScheduleExpression": "rate(5 minutes)", "State": "ENABLED", "Description": "d"},
            {"Id": "HelloTickLambdaTarget", "Arn": f"{ARN}shop-Hello", "Input": "{}"},
        ),
        (
            "{Type: ScheduleV2, Properties: {ScheduleExpression: 'cron(0 8 ? * MON-FRI *)', State: DISABLED}}",
            {"ScheduleExpression": "cron(0 8 ? * MON-FRI *)", "State": "DISABLED", "Description": ""},
            {"Id": "HelloTickLambdaTarget", "Arn": f"{ARN}shop-Hello"},
        ),
        (
            "{Type: Schedule, Properties: {Schedule: rate(1 day), Enabled: false}}",
            {"ScheduleExpression": "rate(1 day)", "State": "DISABLED", "Description": ""},
            {"Id": "HelloTickLambdaTarget", "Arn": f"{ARN}shop-Hello"},
        ),
    ],
)
def test_schedule_becomes_a_rule(event: str, body: dict[str, str], target: dict[str, str]) -> None:
    made = stack(function(f"Events: {{Tick: {event}}}"))
    assert made.order == ("Hello", "HelloTick")
    plan = made.plan("HelloTick")
    assert isinstance(plan, RulePlan)
    assert (plan.name, plan.body, plan.targets) == ("shop-HelloTick", body, (target,))


def test_log_group_of_a_function_is_planned_by_its_name() -> None:
    made = stack(
        function("FunctionName: hello")
        + "  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub '/aws/lambda/${Hello}', "
        "RetentionInDays: 7}}\n"
    )
    plan = made.plan("Logs")
    assert isinstance(plan, LogGroupPlan)
    assert (plan.name, plan.retention_days) == ("/aws/lambda/hello", 7)
    assert made.report.unmapped == ()


def test_schedule_of_a_function_with_an_alias_calls_the_alias() -> None:
    plan = stack(
        function("AutoPublishAlias: live, Events: {T: {Type: Schedule, Properties: {Schedule: rate(1 day)}}}")
    ).plan("HelloT")
    assert isinstance(plan, RulePlan)
    assert plan.targets[0]["Arn"] == f"{ARN}shop-Hello:live"


def test_condition_decides_what_is_there() -> None:
    conditions = "Conditions: {IsProd: !Equals [!Ref Stage, prod]}\nParameters: {Stage: {Type: String, Default: dev}}\n"
    text = function() + (
        "  Extra: {Type: AWS::Serverless::Function, Condition: IsProd, "
        f"Properties: {{{BASE}, AutoPublishAlias: a}}}}\n"
    )
    assert stack(text, conditions).order == ("Hello",)
    assert stack(text, conditions, Stage="prod").order == ("Hello", "Extra", "ExtraVersion", "ExtraAliasa")
    with pytest.raises(TemplateInvalid) as caught:
        stack(text + function("Description: !Ref Extra", "Third"), conditions)
    assert caught.value.message == "Resources.Third.Properties.Description: Extra is not there: its condition is false"


def test_what_is_not_mapped_is_named() -> None:
    made = stack(
        function(
            "VpcConfig: {SubnetIds: [a]}, "
            "Events: {T: {Type: Schedule, Properties: {Schedule: rate(1 day), RetryPolicy: {}}}}"
        )
        + "  Table: {Type: AWS::DynamoDB::Table}\n"
        "  Role: {Type: AWS::IAM::Role}\n"
        "  Pattern: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [aws.s3]}}}\n"
        "  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1, Auth: {}}}\n"
    )
    assert [(each.path, each.what) for each in made.report.unmapped] == [
        ("Resources.Hello.Properties.VpcConfig", "VpcConfig"),
        ("Resources.Hello.Properties.Events.T.Properties.RetryPolicy", "RetryPolicy"),
        ("Resources.Table", "AWS::DynamoDB::Table"),
        ("Resources.Pattern", "AWS::Events::Rule"),
        ("Resources.Api.Properties.Auth", "Auth"),
    ]


HELLO = "Resources.Hello.Properties"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (function("Timeout: soon"), f"{HELLO}.Timeout", "'soon' is not a whole number"),
        (
            function("Timeout: !Ref Nobody"),
            f"{HELLO}.Timeout",
            "the template has no resource or parameter 'Nobody'",
        ),
        (
            function("Description: !GetAtt Hello.Name"),
            f"{HELLO}.Description",
            "Hello (AWS::Lambda::Function) has no attribute 'Name' here; known: Arn",
        ),
        (
            function("FunctionName: 'a b'"),
            f"{HELLO}.FunctionName",
            "'a b' is no name of a function; give a FunctionName of at most 64 letters, digits, - and _",
        ),
        (function("FunctionName: !Ref Hello"), f"{HELLO}.FunctionName", "it needs its own name"),
        (
            function("PackageType: Image"),
            f"{HELLO}.PackageType",
            "isolet runs WebAssembly and source, not containers",
        ),
        (
            "  A: {Type: AWS::Lambda::Function, Properties: {Code: {ImageUri: x}}}\n",
            "Resources.A.Properties.Code.ImageUri",
            "isolet runs WebAssembly and source, not containers",
        ),
        (
            function("Events: {A: {Type: Api, Properties: {Path: /a}}}"),
            f"{HELLO}.Events.A.Properties",
            "Method is missing",
        ),
        (
            function("Events: {A: {Type: Api, Properties: {Path: '/{a}/{a}', Method: get}}}"),
            f"{HELLO}.Events.A.Properties.Path",
            "'GET /{a}/{a}' has {a} twice; give each parameter its own name",
        ),
        (
            function("FunctionUrlConfig: {InvokeMode: BUFFERED}"),
            f"{HELLO}.FunctionUrlConfig",
            "AuthType is missing",
        ),
        (
            function("FunctionUrlConfig: {AuthType: NONE}, Description: !GetAtt HelloUrl.FunctionUrl"),
            "Resources",
            "Circular dependency between resources: [Hello, HelloUrl, HelloUrlPublicPermissions]",
        ),
        (
            function("Events: {T: {Type: Schedule, Properties: {Schedule: daily}}}"),
            f"{HELLO}.Events.T.Properties.Schedule",
            "'daily': Parameter ScheduleExpression is not valid.",
        ),
        (function("Tags: {isolet-stack: x}"), f"{HELLO}.Tags.isolet-stack", "this tag is isolet's own"),
        (
            function() + "  V: {Type: AWS::Lambda::Version, Properties: {FunctionName: other}}\n",
            "Resources.V.Properties.FunctionName",
            "'other' is no function of this template; name one by !Ref or !GetAtt",
        ),
        (
            function("FunctionName: same") + function("FunctionName: same", "Second"),
            "Resources.Second.Properties.FunctionName",
            "'same' is the name of Hello too",
        ),
    ],
)
def test_error_names_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        stack(text)
    assert caught.value.message == f"{place}: {said}"


def test_of_two_with_one_name_a_condition_may_choose() -> None:
    conditions = "Conditions: {First: !Equals [1, 1], Second: !Not [!Condition First]}\n"
    one = f"{{Type: AWS::Serverless::Function, Condition: First, Properties: {{{BASE}, FunctionName: same}}}}"
    made = stack(f"  A: {one}\n  B: {one.replace('First', 'Second')}\n", conditions)
    assert made.order == ("A",)
