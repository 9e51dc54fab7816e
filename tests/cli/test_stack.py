"""A template deployed by the command line to a server in its processes: called, deployed again, changed, removed."""

from __future__ import annotations

import json
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from served import Served

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev}
Globals:
  Function:
    Timeout: 5
    Environment: {Variables: {STAGE: !Ref Stage}}
Resources:
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: common/}
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: hello/
      Handler: app.handler
      Runtime: python3.12
      MemorySize: 192
      Layers: [!Ref Common]
      AutoPublishAlias: live
      FunctionUrlConfig: {AuthType: NONE}
      EventInvokeConfig: {MaximumRetryAttempts: 1}
      Environment:
        Variables:
          PLAIN: !GetAtt Plain.Arn
          API: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/hello/'
      Events:
        Get: {Type: Api, Properties: {Path: /hello, Method: get}}
        Any: {Type: HttpApi, Properties: {Path: '/items/{proxy+}', Method: ANY}}
        Tick: {Type: Schedule, Properties: {Schedule: rate(1 day), Input: '{"tick": 1}'}}
  Plain:
    Type: AWS::Lambda::Function
    Properties:
      Code: {ZipFile: "exports.handler = async event => ({url: process.env.URL, event})"}
      Handler: index.handler
      Runtime: nodejs22.x
      Role: !GetAtt Role.Arn
      ReservedConcurrentExecutions: 3
      Environment: {Variables: {URL: !GetAtt HelloUrl.FunctionUrl}}
      Tags: [{Key: team, Value: shop}]
  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub '/aws/lambda/${Plain}', RetentionInDays: 7}}
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Zipped:
    Type: AWS::Lambda::Function
    Properties: {Code: zipped.zip, Handler: main.handler, Runtime: python3.11, Role: !GetAtt Role.Arn}
Outputs:
  Api: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/hello/'}
  Url: {Value: !GetAtt HelloUrl.FunctionUrl}
  Alias: {Value: !Ref Hello.Alias}
  Layer: {Value: !Ref Common}
"""
# What is left when the template shrinks.
LESS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: hello/, Handler: less.handler, Runtime: python3.12, Description: less}
"""
HELLO = """
import os

import common

def handler(event, context):
    return {"path": event.get("rawPath"), "common": common.X, "parameters": event.get("pathParameters"),
            **{name: os.environ.get(name) for name in ("STAGE", "PLAIN", "API")}}
"""
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.end()


@pytest.fixture
def shop(served: Served) -> Iterator[Path]:
    """A directory with a template, of which nothing is deployed before and after."""
    directory = served.directory / "shop"
    (directory / "hello").mkdir(parents=True, exist_ok=True)
    (directory / "common" / "python").mkdir(parents=True, exist_ok=True)
    (directory / "template.yaml").write_text(TEMPLATE)
    (directory / "hello" / "app.py").write_text(HELLO)
    (directory / "common" / "python" / "common.py").write_text("X = 1\n")
    with zipfile.ZipFile(directory / "zipped.zip", "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return 'zipped'\n")
    yield directory
    deploy(served, "--delete")


def deploy(served: Served, *arguments: str) -> dict[str, Any]:
    done = served.isolet("deploy", "shop", "--json", *arguments)
    assert done.returncode == 0, done.stderr.decode()
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def whats(deployed: dict[str, Any]) -> dict[str, str]:
    return {made["id"]: made["what"] for made in (*deployed["functions"], *deployed["layers"])}


def at_url(served: Served, url: str) -> Any:
    """A function URL, asked for by its Host: not every resolver knows names below `.localhost`."""
    host = url.removeprefix("http://").rstrip("/")
    return httpx.get(f"{served.url}/", headers={"Host": host}).json()


def test_template_is_served(served: Served, shop: Path) -> None:
    deployed = deploy(served)
    assert whats(deployed) == dict.fromkeys(("Hello", "Plain", "Zipped", "Common"), "created")
    assert deployed["notMapped"] == []
    assert deployed["routes"] == [f"GET {served.url}/hello", f"ANY {served.url}/items/{{proxy+}}"]
    outputs = deployed["outputs"]
    assert outputs["Api"] == f"{served.url}/hello"
    assert outputs["Alias"] == f"{ARN}shop-Hello:live"
    expected = {"common": 1, "STAGE": "dev", "PLAIN": f"{ARN}shop-Plain", "API": f"{served.url}/hello"}
    assert httpx.get(outputs["Api"]).json() == {"path": "/hello", "parameters": None, **expected}
    answer = httpx.post(f"{served.url}/items/a/b").json()
    assert answer == {"path": "/items/a/b", "parameters": {"proxy": "a/b"}, **expected}
    assert at_url(served, outputs["Url"])["STAGE"] == "dev"
    assert served.cloud.invoke("shop-Plain", 1).value == {"url": outputs["Url"], "event": 1}
    assert served.cloud.invoke("shop-Zipped", {}).value == "zipped"
    assert served.cloud.invoke("shop-Hello", {}, Qualifier="live").value["STAGE"] == "dev"


def test_api_answers_what_the_template_says(served: Served, shop: Path) -> None:
    layer = deploy(served)["outputs"]["Layer"]
    client = served.client("lambda")
    hello = client.get_function(FunctionName="shop-Hello")
    configuration = hello["Configuration"]
    assert (configuration["Timeout"], configuration["MemorySize"], configuration["Runtime"]) == (5, 192, "python3.12")
    assert configuration["Role"] == "arn:aws:iam::000000000000:role/shop-HelloRole"
    assert [each["Arn"] for each in configuration["Layers"]] == [layer]
    assert hello["Tags"]["isolet-stack"] == "shop"
    published = client.list_versions_by_function(FunctionName="shop-Hello")["Versions"][-1]["Version"]
    assert client.get_alias(FunctionName="shop-Hello", Name="live")["FunctionVersion"] == published != "$LATEST"
    assert client.get_function_url_config(FunctionName="shop-Hello", Qualifier="live")["AuthType"] == "NONE"
    asynchronous = client.get_function_event_invoke_config(FunctionName="shop-Hello", Qualifier="live")
    assert asynchronous["MaximumRetryAttempts"] == 1
    policy = json.loads(client.get_policy(FunctionName="shop-Hello", Qualifier="live")["Policy"])
    assert [statement["Sid"] for statement in policy["Statement"]] == ["HelloUrlPublicPermissions"]
    plain = client.get_function(FunctionName="shop-Plain")
    assert plain["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    assert plain["Tags"]["team"] == "shop"


def test_schedule_is_eventbridges(served: Served, shop: Path) -> None:
    (made,) = deploy(served)["schedules"]
    events = served.client("events")
    rule = events.describe_rule(Name="shop-HelloTick")
    assert (rule["Arn"], rule["ScheduleExpression"], rule["State"]) == (made["arn"], "rate(1 day)", "ENABLED")
    targets = events.list_targets_by_rule(Rule="shop-HelloTick")["Targets"]
    assert targets == [{"Id": "HelloTickLambdaTarget", "Arn": f"{ARN}shop-Hello:live", "Input": '{"tick": 1}'}]
    (shop / "template.yaml").write_text(TEMPLATE.replace("rate(1 day)", "rate(2 days)"))
    assert [each["what"] for each in deploy(served)["schedules"]] == ["updated"]
    assert events.describe_rule(Name="shop-HelloTick")["ScheduleExpression"] == "rate(2 days)"


def test_log_group_keeps_lines_as_long_as_the_template_says(served: Served, shop: Path) -> None:
    def retention() -> int | None:
        (group,) = served.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/shop-Plain")["logGroups"]
        days: int | None = group.get("retentionInDays")
        return days

    deploy(served)
    assert retention() == 7
    (shop / "template.yaml").write_text(TEMPLATE.replace("RetentionInDays: 7", "RetentionInDays: 14"))
    deploy(served)
    assert retention() == 14
    deploy(served, "--delete")
    assert retention() is None


def test_deploying_again_changes_nothing(served: Served, shop: Path) -> None:
    first = deploy(served)
    again = deploy(served)
    assert set(whats(again).values()) == {"unchanged"}
    assert [each["what"] for each in again["schedules"]] == ["unchanged"]
    assert again["outputs"] == first["outputs"]
    versions = served.client("lambda").list_versions_by_function(FunctionName="shop-Hello")["Versions"]
    assert len(versions) == 2, "$LATEST and one that is published"


def test_only_what_changed_is_updated(served: Served, shop: Path) -> None:
    first = deploy(served)
    client = served.client("lambda")
    before = client.get_alias(FunctionName="shop-Hello", Name="live")["FunctionVersion"]
    (shop / "hello" / "app.py").write_text(HELLO.replace("rawPath", "other"))
    assert whats(deploy(served)) == {
        "Hello": "updated",
        "Plain": "unchanged",
        "Zipped": "unchanged",
        "Common": "unchanged",
    }
    assert client.get_alias(FunctionName="shop-Hello", Name="live")["FunctionVersion"] == str(int(before) + 1)
    (shop / "common" / "python" / "common.py").write_text("X = 2\n")
    deployed = deploy(served, "--parameter", "Stage=prod")
    assert whats(deployed)["Common"] == "updated"
    assert deployed["outputs"]["Layer"] != first["outputs"]["Layer"]
    answer = httpx.get(f"{served.url}/hello").json()
    assert (answer["STAGE"], answer["common"]) == ("prod", 2)


def test_what_is_no_longer_asked_for_is_removed(served: Served, shop: Path) -> None:
    deploy(served)
    (shop / "template.yaml").write_text(LESS)
    (shop / "hello" / "less.py").write_text("def handler(event, context):\n    return 'less'\n")
    deployed = deploy(served)
    assert whats(deployed) == {"Hello": "updated"}
    assert deployed["removed"] == ["shop-HelloTick", "shop-Plain", "shop-Zipped"]
    assert served.cloud.invoke("shop-Hello", {}).value == "less"
    client = served.client("lambda")
    function = client.get_function(FunctionName="shop-Hello")
    assert function["Tags"] == {"isolet-stack": "shop", "isolet:language": "python"}
    configuration = function["Configuration"]
    assert (configuration["Timeout"], configuration["MemorySize"], configuration["Description"]) == (3, 128, "less")
    assert "Environment" not in configuration
    assert "Layers" not in configuration
    assert client.list_aliases(FunctionName="shop-Hello")["Aliases"] == []
    assert client.list_function_url_configs(FunctionName="shop-Hello")["FunctionUrlConfigs"] == []
    assert client.list_function_event_invoke_configs(FunctionName="shop-Hello")["FunctionEventInvokeConfigs"] == []
    assert httpx.get(f"{served.url}/hello").status_code == 403, "as API Gateway: nobody's path, and not signed"
    (shop / "template.yaml").write_text(TEMPLATE)


def test_delete_removes_what_the_template_made(served: Served, shop: Path) -> None:
    client = served.client("lambda")
    deploy(served)
    served.cloud.deploy("mine", (shop / "zipped.zip").read_bytes(), Runtime="python3.11", Handler="main.handler")
    assert deploy(served, "--delete") == {
        "stack": "shop",
        "deleted": ["shop-HelloTick", "shop-Hello", "shop-Plain", "shop-Zipped", "shop-Common"],
    }
    assert [each["FunctionName"] for each in client.list_functions()["Functions"]] == ["mine"]
    assert client.list_layers()["Layers"] == []
    assert served.client("events").list_rules()["Rules"] == []
    assert deploy(served, "--delete")["deleted"] == []
    served.cloud.remove("mine")


def test_function_of_somebody_else_is_not_touched(served: Served, shop: Path) -> None:
    served.cloud.deploy("shop-Plain", (shop / "zipped.zip").read_bytes(), Runtime="python3.11", Handler="main.handler")
    done = served.isolet("deploy", "shop")
    assert done.returncode == 1
    assert b"error: Resources.Plain: shop-Plain already exists and is not of the stack shop" in done.stderr
    with pytest.raises(ClientError, match="Function not found"):
        served.client("lambda").get_function(FunctionName="shop-Hello")
    assert served.cloud.invoke("shop-Plain", {}).value == "zipped"
    served.cloud.remove("shop-Plain")


def test_strict_refuses_what_is_not_mapped_and_changes_nothing(served: Served, shop: Path) -> None:
    (shop / "template.yaml").write_text(TEMPLATE.replace("Outputs:", "  Table: {Type: AWS::DynamoDB::Table}\nOutputs:"))
    done = served.isolet("deploy", "shop/template.yaml", "--strict")
    said = b"Resources.Table: AWS::DynamoDB::Table is not mapped: isolet has nothing of the kind"
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, b"", b"error: " + said)
    assert served.client("lambda").list_functions()["Functions"] == []
    done = served.isolet("deploy", "shop/template.yaml")
    assert done.returncode == 0
    assert b"warning: " + said in done.stderr


def test_failure_names_its_resource_and_the_next_deployment_goes_on(served: Served, shop: Path) -> None:
    (shop / "template.yaml").write_text(TEMPLATE.replace("MemorySize: 192", "MemorySize: 100000"))
    done = served.isolet("deploy", "shop")
    assert done.returncode == 1
    assert b"error: Resources.Hello: " in done.stderr
    (shop / "template.yaml").write_text(TEMPLATE)
    assert whats(deploy(served))["Hello"] == "created"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Resources: {", "shop/template.yaml: the template is not YAML or JSON"),
        (TEMPLATE.replace("Timeout: 5", "Timeout: soon"), "Resources.Hello.Properties.Timeout: 'soon' is not a whole"),
        (TEMPLATE.replace("hello/\n", "nowhere/\n"), "Resources.Hello.Properties: there is no nowhere/ beside"),
    ],
)
def test_template_that_cannot_be_used_is_refused_with_its_place(
    served: Served, shop: Path, template: str, said: str
) -> None:
    (shop / "template.yaml").write_text(template)
    done = served.isolet("deploy", "shop")
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr.decode()
    (shop / "template.yaml").write_text(TEMPLATE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shop/hello/app.py",), "is neither a directory nor a template"),
        (("shop/hello", "--strict"), "--strict is for templates"),
        (("shop", "--parameter", "Stage"), "is not of the form NAME=VALUE"),
        (("shop", "--stack", "1 2"), "is no name"),
    ],
)
def test_command_line_that_says_nothing_is_a_usage_error(
    served: Served, shop: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = served.isolet("deploy", *arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_without_a_server_nobody_waits_for_a_build(served: Served, shop: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = served.isolet("deploy", "shop", "--endpoint", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 1
    assert b"no server answers at" in done.stderr
