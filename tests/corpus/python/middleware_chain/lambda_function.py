import contextlib
import functools
import json
import logging
import time
from types import SimpleNamespace

logger = logging.getLogger("shop")
logger.setLevel(logging.DEBUG)


def middleware(func=None, **options):
    """Turns f(handler, event, context, **options) into a decorator, with or without parentheses."""
    if func is None:
        return functools.partial(middleware, **options)

    @functools.wraps(func)
    def decorate(handler=None, **given):
        if handler is None:
            return functools.partial(decorate, **given)

        @functools.wraps(handler)
        def wrapped(event, context):
            return func(handler, event, context, **{**options, **given})

        return wrapped

    return decorate


@middleware
def json_errors(handler, event, context, expose=()):
    try:
        return handler(event, context)
    except expose as error:
        logger.info("exposed %s", error)
        return {"statusCode": getattr(error, "status", 400), "body": json.dumps({"error": type(error).__name__, "detail": str(error)})}


@middleware(max_depth=5)
def parse_json(handler, event, context, max_depth):
    def depth(value):
        if isinstance(value, (list, dict)):
            return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
        return 0

    body = json.loads(event["body"])
    if depth(body) > max_depth:
        raise ValueError(f"deeper than {max_depth}")
    return handler({**event, "json": SimpleNamespace(**body)}, context)


@middleware
def timed(handler, event, context):
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: logger.debug("took %.1f ms", (time.perf_counter() - started) * 1000))
        result = handler(event, context)
        result.setdefault("headers", {})["x-handler"] = handler.__name__
        return result


class Forbidden(PermissionError):
    status = 403


@middleware
def require_role(handler, event, context, role):
    claims = event.get("requestContext", {}).get("authorizer", {}).get("claims", {})
    roles = claims.get("cognito:groups", "").split(",")
    if role not in roles:
        raise Forbidden(f"needs {role}, has {roles}")
    return handler(event, context)


@json_errors(expose=(ValueError, PermissionError, AttributeError))
@timed
@require_role(role="staff")
@parse_json(max_depth=3)
def lambda_handler(event, context):
    """Discounts."""
    order = event["json"]
    with contextlib.suppress(ZeroDivisionError):
        order.rate = order.saved / order.total
    assert order.total >= 0, f"negative total {order.total}"
    return {"statusCode": 200, "body": json.dumps(vars(order), sort_keys=True)}
