import base64
import decimal
import json
from http import HTTPStatus
from urllib.parse import unquote_plus


class Response:
    def __init__(self, body=None, status=HTTPStatus.OK, **headers):
        self.body, self.status = body, status
        self.headers = {"Content-Type": "application/json; charset=utf-8"}
        for key, value in headers.items():
            self.headers[key.replace("_", "-").title()] = value

    def to_proxy(self):
        text = json.dumps(self.body, cls=DecimalEncoder, ensure_ascii=False) if self.body is not None else ""
        return {
            "isBase64Encoded": False,
            "statusCode": self.status.value,
            "statusDescription": f"{self.status.value} {self.status.phrase}",
            "multiValueHeaders": {k: [v] for k, v in self.headers.items()},
            "body": text,
        }


class DecimalEncoder(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, decimal.Decimal):
            return str(o)
        return super().default(o)


class Orders:
    """REST resource: one method per verb, like the web frameworks do it."""

    store = {
        "A-100": {"lines": [("tea", 2, decimal.Decimal("4.20")), ("mug", 1, decimal.Decimal("11.00"))], "note": "ß & Ü"},
    }

    def __init__(self, event, context):
        self.event = event
        self.context = context

    @property
    def params(self):
        multi = self.event.get("multiValueQueryStringParameters") or {}
        return {k: [unquote_plus(v) for v in values] for k, values in multi.items()}

    def header(self, name, default=None):
        for key, values in (self.event.get("multiValueHeaders") or {}).items():
            if key.lower() == name.lower():
                return values[-1]
        return default

    def dispatch(self):
        method = self.event["httpMethod"].lower()
        handler = getattr(self, method, None)
        if handler is None:
            verbs = [v.upper() for v in ("get", "post", "patch") if hasattr(self, v)]
            return Response({"message": "Method Not Allowed"}, HTTPStatus.METHOD_NOT_ALLOWED, allow=", ".join(verbs))
        return handler(**(self.event.get("pathParameters") or {}))

    def get(self, order_id):
        order = self.store.get(order_id)
        if order is None:
            return Response({"message": f"order {order_id} not found"}, HTTPStatus.NOT_FOUND)
        fields = self.params.get("field")
        total = sum((qty * price for _, qty, price in order["lines"]), decimal.Decimal())
        body = {"id": order_id, "total": total, "lines": [list(line) for line in order["lines"]], "note": order["note"]}
        if fields:
            body = {k: body[k] for k in fields}
        return Response(body, etag=f'"{len(order["lines"])}"', x_request=self.context.function_name)

    def post(self):
        raw = self.event["body"]
        if self.event.get("isBase64Encoded"):
            raw = base64.b64decode(raw).decode("utf-8")
        content_type = self.header("content-type", "")
        if not content_type.startswith("application/json"):
            return Response({"message": f"cannot read {content_type!r}"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        data = json.loads(raw, parse_float=decimal.Decimal)
        total = sum(decimal.Decimal(line["price"]) * line["quantity"] for line in data["lines"])
        return Response({"total": total, "lines": len(data["lines"])}, HTTPStatus.CREATED)


def handler(event, context):
    return Orders(event, context).dispatch().to_proxy()
