from __future__ import annotations

import pytest

from isolet.aws import models
from isolet.aws.request import Request
from isolet.aws.routes import Router
from isolet.errors import UnknownOperation, UnknownRoute
from modelled import SERVICES

ROUTER = Router(map(models.load, SERVICES))
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Request:
    path, _, query = path.partition("?")
    return Request(method, path, query, list((headers or {}).items()), body)


def signed(service: str) -> dict[str, str]:
    scope = (
        f"AWS4-HMAC-SHA256 Credential=test/20261127/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
    return {"authorization": scope}


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("method", "path", "operation", "labels"),
    [
        ("GET", "/2015-03-31/functions", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "ListFunctions", {}),
        ("POST", "/2015-03-31/functions", "CreateFunction", {}),
        ("GET", "/2015-03-31/functions/f", "GetFunction", {"FunctionName": "f"}),
        ("GET", "/2015-03-31/functions/f/configuration", "GetFunctionConfiguration", {"FunctionName": "f"}),
        ("GET", f"/2015-03-31/functions/{ARN}/configuration", "GetFunctionConfiguration", {"FunctionName": ARN}),
        ("POST", f"/2017-03-31/tags/{ARN.replace(':', '%3A')}", "TagResource", {"Resource": ARN}),
        ("GET", "/2015-03-31/functions/a%2Fb", "GetFunction", {"FunctionName": "a/b"}),
        ("GET", "/2015-03-31/functions/f/aliases/a", "GetAlias", {"FunctionName": "f", "Name": "a"}),
        ("GET", "/2018-10-31/layers", "ListLayers", {}),
        ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        ("GET", "/2018-10-31/layers?find=other", "ListLayers", {}),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", "ListProvisionedConcurrencyConfigs",
         {"FunctionName": "f"}),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=a", "GetProvisionedConcurrencyConfig",
         {"FunctionName": "f"}),
    ],
)  # fmt: skip
def test_rest_path_is_an_operation_with_its_labels(
    method: str, path: str, operation: str, labels: dict[str, str]
) -> None:
    route = ROUTER.find(request(method, path))
    assert (route.model.name, route.operation, route.labels) == ("lambda", operation, labels)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions//configuration"),
        ("GET", "/x/%00"),
    ],
)
def test_path_of_nobody_is_refused(method: str, path: str) -> None:
    with pytest.raises(UnknownRoute):
        ROUTER.find(request(method, path))


@pytest.mark.parametrize(
    ("asked", "service", "operation", "protocol"),
    [
        (request("POST", "/", {"x-amz-target": "Logs_20140328.FilterLogEvents"}), "logs", "FilterLogEvents", "json"),
        (request("POST", "/", {"x-amz-target": "secretsmanager.ListSecrets"}), "secretsmanager", "ListSecrets", "json"),
        (request("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics"),
         "cloudwatch", "ListMetrics", "smithy-rpc-v2-cbor"),
        (request("POST", "/", FORM, b"Action=GetCallerIdentity&Version=2011-06-15"),
         "sts", "GetCallerIdentity", "query"),
        (request("POST", "/", FORM, b"Action=ListMetrics&Version=2010-08-01"), "cloudwatch", "ListMetrics", "query"),
        (request("GET", "/?Action=GetCallerIdentity"), "sts", "GetCallerIdentity", "query"),
        (request("POST", "/", FORM | signed("monitoring"), b"Action=ListMetrics"),
         "cloudwatch", "ListMetrics", "query"),
    ],
)  # fmt: skip
def test_other_protocols_name_their_operation(asked: Request, service: str, operation: str, protocol: str) -> None:
    route = ROUTER.find(asked)
    assert (route.model.name, route.operation, route.protocol) == (service, operation, protocol)


@pytest.mark.parametrize(
    "asked",
    [
        request("POST", "/", {"x-amz-target": "Logs_20140328.Nothing"}),
        request("POST", "/", {"x-amz-target": "Other.Nothing"}),
        request("POST", "/service/Other/operation/Nothing"),
        request("POST", "/", FORM, b"Action=Nothing&Version=2011-06-15"),
    ],
)
def test_operation_that_nobody_has_is_said_so(asked: Request) -> None:
    with pytest.raises(UnknownOperation, match=r"Nothing"):
        ROUTER.find(asked)


def test_scope_of_a_signature_names_the_service() -> None:
    assert request("GET", "/", signed("lambda")).signed_for == "lambda"
    presigned = request("GET", "/?X-Amz-Credential=test%2F20261127%2Fus-east-1%2Fsts%2Faws4_request")
    assert presigned.signed_for == "sts"
    assert request("GET", "/").signed_for == ""
