"""The same as native.py, by AWS's own code: `awslambdaric`, which Lambda runs functions with.

    python3.11 aws_runtime.py AWSLAMBDARIC < request > outcomes

AWSLAMBDARIC is the directory that pip installed it into. Its loop over HTTP is left out; what finds the handler, calls
it, and writes results and errors is all its own.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import native

sys.path.insert(0, sys.argv[1])

from awslambdaric import bootstrap  # type: ignore[import-not-found]
from awslambdaric.lambda_runtime_exception import FaultException  # type: ignore[import-not-found]
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller  # type: ignore[import-not-found]

sys.path.pop(0)


class Client:
    """Lambda's Runtime API, as far as one invocation needs it."""

    marshaller = LambdaMarshaller()

    def __init__(self) -> None:
        self.answer: Any = None

    def post_invocation_result(self, _id: str, result: Any, *_more: object) -> None:
        self.answer = json.loads(result)

    def post_invocation_error(self, _id: str, error: str, *_more: object) -> None:
        self.answer = _without_id(json.loads(error))


class Sink:
    """Where AWS's runtime logs: here to nowhere, the logs are not what is compared."""

    def log(self, message: str, frame_type: object = None) -> None: ...

    def log_error(self, lines: list[str]) -> None: ...


def _without_id(error: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in error.items() if key != "requestId"}


def load(name: str) -> Any:
    """Raises native.Fault, or what the module raises."""
    try:
        return bootstrap._get_handler(name)
    except FaultException as fault:
        raise native.Fault(fault.exception_type, fault.msg, fault.trace) from None


def handle(handler: Any, event: str, context: Any) -> Any:
    client = Client()
    arn, deadline_ms = context.invoked_function_arn, int(time.time() * 1000) + 10_000
    bootstrap.handle_event_request(
        client, handler, native.REQUEST_ID, event, "application/json", None, None, arn, deadline_ms, None, Sink()
    )
    return client.answer


if __name__ == "__main__":
    native.load, native.handle = load, handle
    native.OURS += tuple(sys.modules[name].__file__ for name in ("awslambdaric.bootstrap",))
    native.main()
