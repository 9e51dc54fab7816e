"""A Lambda function under native CPython, as AWS's own runtime runs it (awslambdaric; a test compares the two).

    python3.11 -I native.py < request > outcomes

request: {"directory", "handler", "events": [JSON text, …], "variables": {…}}; outcomes: a list of {"status", "answer",
"log"}, one for each event. `status` is the process's exit status if the handler ended it, and null if it answered.

Every event sees the function as it was when its module had been imported: each is handled by a fork of its own. That is
what restoring a snapshot means, and what a first invocation sees in Lambda. /tmp is empty each time: TMPDIR names it.
"""

from __future__ import annotations

import asyncio
import decimal
import importlib
import inspect
import io
import json
import logging
import math
import os
import shutil
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import IO, Any

REQUEST_ID = "00000000-0000-0000-0000-000000000007"
TASK_ROOT, TMP, LIBRARY = "/var/task", "/tmp", "/var/lang/lib/python3.11"
# What comes before the user's own frames in a traceback.
OURS: tuple[str | None, ...] = (__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


class Fault(Exception):
    """An error of the runtime's own: its type, its message, its stack."""

    def __init__(self, kind: str, message: str, stack: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.stack = kind, message, stack or []


class Context:
    aws_request_id = REQUEST_ID
    function_version = "$LATEST"
    client_context = None
    identity = None

    def __init__(self, variables: dict[str, str]) -> None:
        self.function_name = variables["AWS_LAMBDA_FUNCTION_NAME"]
        self.memory_limit_in_mb = variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = "2024/01/01/[$LATEST]0"
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"
        self._deadline_s = time.time() + 10

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._deadline_s - time.time()) * 1000), 0)


def load(handler: str) -> Callable[[Any, Any], Any]:
    """The handler's function. Raises Fault, or what the module raises."""
    try:
        module_name, name = handler.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{handler}': {error}") from None
    try:
        if module_name.split(".")[0] in sys.builtin_module_names:
            message = f"Cannot use built-in module {module_name} as a handler module"
            raise Fault("Runtime.BuiltInModuleConflict", message)
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        line = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [line]) from None
    try:
        return getattr(module, name)  # type: ignore[no-any-return]
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'") from None


def marshal(value: Any) -> str:
    """As simplejson writes it, which AWS's runtime uses: Decimals are numbers, named tuples objects, bytes text."""
    return json.dumps(_plain(value, ()))


def _plain(value: Any, around: tuple[int, ...]) -> Any:
    if isinstance(value, decimal.Decimal):
        return math.nan if value.is_nan() else json.loads(str(value))
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, (dict, list, tuple)) and not callable(getattr(value, "_asdict", None)):
        return value
    if id(value) in around:
        raise ValueError("Circular reference detected")
    around = (*around, id(value))
    if not isinstance(value, dict) and callable(getattr(value, "_asdict", None)):
        value = value._asdict()
    if isinstance(value, dict):
        return {_key(key): _plain(inner, around) for key, inner in value.items()}
    return [_plain(inner, around) for inner in value]


def _key(key: Any) -> Any:
    return key.decode("utf-8") if isinstance(key, bytes) else key


def failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Fault):
        return {"errorMessage": error.message, "errorType": error.kind, "stackTrace": error.stack}
    frames = traceback.extract_tb(error.__traceback__)
    own = [(f.filename, f.lineno, f.name, f.line) for f in frames if f.filename not in OURS]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(own),
    }


def handle(handler: Callable[[Any, Any], Any], event: str, context: Context) -> Any:
    """What the caller gets, as a value of JSON."""
    try:
        result = handler(json.loads(event), context)
        if inspect.iscoroutine(result):  # beyond AWS's runtime: what isolet promises
            result = asyncio.run(result)
        if isinstance(result, bytes):
            return result.decode("utf-8")
        try:
            return json.loads(marshal(result))
        except Exception as error:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    except Exception as error:
        return told(failure(error))


def told(error: dict[str, Any]) -> dict[str, Any]:
    """A failure is also logged."""
    message = f": {error['errorMessage']}" if error["errorMessage"] else ""
    print(f"[ERROR] {error['errorType']}{message}", "Traceback (most recent call last):", sep="\n")
    print("".join(error["stackTrace"]), end="")
    return error


class Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = REQUEST_ID
        return True


def set_up_logging() -> None:
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    handler.addFilter(Filter())
    logging.getLogger().addHandler(handler)


def forked(work: Callable[[], Any]) -> tuple[int | None, Any, str]:
    """(exit status or None, answer, what was printed) of `work` in a fork of this process."""
    with tempfile.TemporaryFile() as log:
        return (*_forked(work, log.fileno()), _written(log))


def _forked(work: Callable[[], Any], log: int) -> tuple[int | None, Any]:
    answers = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answers[0])
        os.dup2(log, 1)
        os.dup2(log, 2)
        answer = json.dumps(work()).encode()  # SystemExit ends the process with its status
        sys.stdout.flush()
        with open(answers[1], "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(answers[1])
    with open(answers[0], "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return (None, json.loads(answer)) if answer else (os.waitstatus_to_exitcode(status), None)


def _written(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode()


def main() -> None:
    request = json.load(sys.stdin)
    directory, outcomes = request["directory"], io.StringIO()
    tmp = tempfile.mkdtemp()
    os.environ.clear()
    os.environ.update({**request["variables"], "LAMBDA_TASK_ROOT": directory, "TMPDIR": tmp})
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    sys.path.insert(0, directory)
    os.chdir(directory)
    set_up_logging()
    context = Context(request["variables"])
    try:
        handler, failed = load(request["handler"]), None
    except Exception as error:
        failed = failure(error)
    for event in request["events"]:
        work = (lambda: told(failed)) if failed else (lambda event=event: handle(handler, event, context))  # type: ignore[misc]
        status, answer, log = forked(work)
        text = json.dumps({"status": status, "answer": answer, "log": log})
        # The function was told other names of these directories than a guest is.
        for ours, guests in ((directory, TASK_ROOT), (tmp, TMP), (sysconfig.get_path("stdlib"), LIBRARY)):
            text = text.replace(ours, guests)
        outcomes.write(text + "\n")
        shutil.rmtree(tmp)
        os.mkdir(tmp)
    os.rmdir(tmp)
    sys.stdout.write(outcomes.getvalue())


if __name__ == "__main__":
    main()
