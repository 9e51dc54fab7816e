"""A web API on API Gateway's payload format 2.0: the same file runs on AWS Lambda.

GET  /orders/catalogue?under=10        what there is
POST /orders                           {"items": [{"sku": …, "quantity": …}], "coupon": …} → the priced order
"""

import csv
import json
import logging
import os
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_EVEN, Decimal

logger = logging.getLogger()
logger.setLevel(logging.INFO)

CENT = Decimal("0.01")
COUPONS = {"MOSS10": Decimal("0.10")}


@dataclass(frozen=True)
class Article:
    sku: str
    name: str
    price: Decimal
    tax: Decimal


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def load_catalogue():
    path = os.path.join(os.path.dirname(__file__), "catalogue.csv")
    with open(path, newline="") as file:
        rows = [Article(r["sku"], r["name"], Decimal(r["price"]), Decimal(r["tax"])) for r in csv.DictReader(file)]
    return {article.sku: article for article in rows}


# Read once, when the function is deployed: every invocation finds it in memory.
CATALOGUE = load_catalogue()


def money(amount):
    return str(amount.quantize(CENT, ROUND_HALF_EVEN))


def list_catalogue(event):
    under = Decimal((event.get("queryStringParameters") or {}).get("under", "Infinity"))
    found = [article for article in CATALOGUE.values() if article.price < under]
    return 200, {"articles": [asdict(a) | {"price": money(a.price), "tax": str(a.tax)} for a in found]}


def parse_items(body):
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise Refused(422, "items must be a list of at least one {sku, quantity}")
    for number, item in enumerate(items):
        article = CATALOGUE.get(item.get("sku"))
        if article is None:
            raise Refused(422, f"items[{number}].sku: there is no {item.get('sku')!r}")
        quantity = item.get("quantity", 1)
        if type(quantity) is not int or not 1 <= quantity <= 99:
            raise Refused(422, f"items[{number}].quantity: {quantity!r} is not 1 to 99")
        yield article, quantity


def place_order(event):
    try:
        body = json.loads(event.get("body") or "")
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    rate = COUPONS.get(body.get("coupon"), Decimal(0))
    lines, taxes = [], defaultdict(Decimal)
    for article, quantity in parse_items(body):
        net = (article.price * quantity * (1 - rate)).quantize(CENT, ROUND_HALF_EVEN)
        taxes[article.tax] += net * article.tax
        lines.append({"sku": article.sku, "name": article.name, "quantity": quantity, "net": money(net)})
    net = sum(Decimal(line["net"]) for line in lines)
    tax = sum(taxes.values())
    order = {
        "id": str(uuid.uuid4()),
        "lines": lines,
        "net": money(net),
        "tax": {f"{rate:%}": money(amount) for rate, amount in sorted(taxes.items())},
        "total": money(net + tax),
    }
    logger.info("order %s over %s", order["id"], order["total"])
    return 201, order


ROUTES = {("GET", "/orders/catalogue"): list_catalogue, ("POST", "/orders"): place_order}


def lambda_handler(event, context):
    request = event["requestContext"]["http"]
    try:
        route = ROUTES.get((request["method"], event["rawPath"]))
        if route is None:
            raise Refused(404, f"nothing is at {request['method']} {event['rawPath']}")
        status, answer = route(event)
    except Refused as refused:
        status, answer = refused.status, {"error": str(refused)}
    headers = {"content-type": "application/json", "x-request-id": context.aws_request_id}
    return {"statusCode": status, "headers": headers, "body": json.dumps(answer)}
