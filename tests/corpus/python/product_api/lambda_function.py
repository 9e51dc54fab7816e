"""Products behind an HTTP API (payload format 2.0)."""
import json
import logging
import os
import re

logger = logging.getLogger()
logger.setLevel(os.environ.get("LOG_LEVEL", "INFO"))

PRODUCTS = {
    "1": {"id": "1", "name": "Espresso cup", "price": 9.5, "tags": ["kitchen", "ceramic"]},
    "2": {"id": "2", "name": "Moka pot", "price": 34.0, "tags": ["kitchen"]},
    "3": {"id": "3", "name": "Hand grinder", "price": 89.99, "tags": ["kitchen", "steel"]},
}

ROUTES = []


class HTTPError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def route(method, pattern):
    regex = re.compile("^" + re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern) + "$")

    def register(func):
        ROUTES.append((method, regex, func))
        return func

    return register


def respond(status, body=None, headers=None):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": "" if body is None else json.dumps(body, sort_keys=True),
    }


def parse_body(event):
    try:
        body = json.loads(event.get("body") or "")
    except json.JSONDecodeError as e:
        raise HTTPError(400, f"invalid JSON: {e}")
    if not isinstance(body, dict):
        raise HTTPError(400, f"expected an object, got {type(body).__name__}")
    return body


@route("GET", "/products")
def list_products(event):
    query = event.get("queryStringParameters") or {}
    items = list(PRODUCTS.values())
    if "tag" in query:
        items = [p for p in items if query["tag"] in p["tags"]]
    if "max_price" in query:
        items = [p for p in items if p["price"] <= float(query["max_price"])]
    items.sort(key=lambda p: p[query.get("sort", "name")])
    return respond(200, {"items": items, "count": len(items)}, {"cache-control": "max-age=60"})


@route("GET", "/products/{id}")
def get_product(event, id):
    try:
        return respond(200, PRODUCTS[id])
    except KeyError as e:
        raise HTTPError(404, f"no product {e}")


@route("POST", "/products")
def create_product(event):
    body = parse_body(event)
    missing = [k for k in ("name", "price") if k not in body]
    if missing:
        raise HTTPError(422, "missing: " + ", ".join(missing))
    new_id = str(max(map(int, PRODUCTS)) + 1)
    PRODUCTS[new_id] = {"id": new_id, "name": body["name"], "price": round(float(body["price"]), 2), "tags": body.get("tags", [])}
    return respond(201, PRODUCTS[new_id], {"location": f"/products/{new_id}"})


@route("DELETE", "/products/{id}")
def delete_product(event, id):
    if PRODUCTS.pop(id, None) is None:
        raise HTTPError(404, f"no product '{id}'")
    return respond(204)


def lambda_handler(event, context):
    http = event["requestContext"]["http"]
    method, path = http["method"], event["rawPath"].rstrip("/") or "/"
    logger.info("%s %s", method, path)
    allowed = set()
    try:
        for candidate, regex, func in ROUTES:
            match = regex.match(path)
            if not match:
                continue
            if candidate == method:
                return func(event, **match.groupdict())
            allowed.add(candidate)
        if allowed:
            return respond(405, {"error": "method not allowed"}, {"allow": ", ".join(sorted(allowed))})
        raise HTTPError(404, f"no route {path}")
    except HTTPError as e:
        logger.warning("%d %s", e.status, e)
        return respond(e.status, {"error": str(e)})
