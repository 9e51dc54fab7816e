"""The orders API: the same file under this Python and in an isolate, request by request."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from interpreted import Function, house
from isolet.languages.build import PACKAGERS
from isolet.languages.package import silent
from isolet.manifest import load
from running import http_event

HERE = Path(__file__).parent

REQUESTS: dict[str, dict[str, Any]] = {
    "catalogue": http_event("GET", "/orders/catalogue"),
    "cheap": http_event("GET", "/orders/catalogue", queryStringParameters={"under": "10"}),
    "order": http_event(
        "POST", "/orders", body=json.dumps({"items": [{"sku": "B-101", "quantity": 3}, {"sku": "B-103"}]})
    ),
    "coupon": http_event(
        "POST", "/orders", body=json.dumps({"items": [{"sku": "B-102", "quantity": 2}], "coupon": "MOSS10"})
    ),
    "unknown article": http_event("POST", "/orders", body=json.dumps({"items": [{"sku": "X"}]})),
    "too many": http_event("POST", "/orders", body=json.dumps({"items": [{"sku": "B-101", "quantity": 100}]})),
    "no items": http_event("POST", "/orders", body="{}"),
    "no JSON": http_event("POST", "/orders", body="{"),
    "nothing there": http_event("DELETE", "/orders"),
}


@pytest.fixture(scope="module")
def guest() -> Function:
    files, _ = PACKAGERS["python"](HERE, load(HERE), silent)
    package = {name: file if isinstance(file, bytes) else file.read_bytes() for name, file in files.items()}
    return house("python").function(package, name="orders")


@pytest.fixture(scope="module")
def native() -> ModuleType:
    spec = importlib.util.spec_from_file_location("orders_native", HERE / "lambda_function.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_chance(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without its order's and its request's id."""
    body = json.loads(answer["body"])
    body.pop("id", None)
    return answer | {"body": body, "headers": answer["headers"] | {"x-request-id": ""}}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_it_answers_as_natively(guest: Function, native: ModuleType, request_: dict[str, Any]) -> None:
    context = SimpleNamespace(aws_request_id="r")
    assert without_chance(guest.invoke(request_).ok) == without_chance(native.lambda_handler(request_, context))


def test_an_order_adds_up(guest: Function) -> None:
    order = json.loads(guest.invoke(REQUESTS["order"]).ok["body"])
    assert order["net"] == "32.70"
    assert order["tax"] == {"7%": "1.26", "19%": "2.79"}
    assert Decimal(order["total"]) == Decimal("36.75")


def test_no_two_orders_have_one_id(guest: Function) -> None:
    ids = {json.loads(answer.ok["body"])["id"] for answer in guest.invoke_together(*[REQUESTS["order"]] * 8)}
    assert len(ids) == 8


def test_the_catalogue_was_read_at_deployment(guest: Function) -> None:
    assert guest.info.baked
    assert guest.invoke(REQUESTS["catalogue"]).usage.host_calls < 5
