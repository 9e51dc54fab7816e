"""Lambda's contract for Python: how a handler is found, what its context is, where logs go, how failures are told.

The shim calls the handler itself; what is here is needed before the first event, or when something went wrong.

Laws:
- `load` never raises: what the user's module does wrong is kept, and answers every event.
- A stack shows the function's own frames, outermost first, as Lambda's does.
"""

import gc
import importlib
import logging
import os
import posix
import sys
import time
import traceback

import _isolet

# Where layers have what they bring: the directories of the version that runs are on sys.path from the start.
LAYERS = "/opt/python"
# Frames of these are the interpreter's, not the function's.
_INTERPRETER = ("/var/lang/", "<frozen ")
# Log levels of abi.md, by Python's.
_LEVELS = ((logging.CRITICAL, 5), (logging.ERROR, 4), (logging.WARNING, 3), (logging.INFO, 2), (logging.DEBUG, 1))

# The context of the invocation; the shim sets it.
context = None


# ── the context ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Record:
    """Named fields, None unless they were given."""

    __slots__ = ()

    def __init__(self, values=None):
        for name in self.__slots__:
            setattr(self, name, (values or {}).get(name))

    def __repr__(self):
        return f"{type(self).__name__}([{','.join(f'{name}={getattr(self, name)}' for name in self.__slots__)}])"


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    __slots__ = (  # noqa: RUF023
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")  # noqa: RUF023  in Lambda's order


class LambdaContext:
    """The handler's second argument. The shim fills it from the envelope."""

    aws_request_id = None
    function_name = None
    function_version = None
    invoked_function_arn = None
    memory_limit_in_mb = None
    log_group_name = None
    log_stream_name = None
    client_context = None
    tenant_id = None
    identity = CognitoIdentity()
    _epoch_deadline_time_in_ms = 0

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        _write_log(logging.INFO, str(message))

    def __repr__(self):
        names = (
            *("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb"),
            *("function_version", "invoked_function_arn", "client_context", "identity", "tenant_id"),
        )
        return f"LambdaContext([{','.join(f'{name}={getattr(self, name)}' for name in names)}])"


def client_context(values):
    if not isinstance(values, dict):
        return None
    made = ClientContext(values)
    made.client = Client(made.client) if isinstance(made.client, dict) else None
    return made


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_log(level, text):
    """A line of the log for each line of the text."""
    number = next((ours for theirs, ours in _LEVELS if level >= theirs), 0)
    for line in text.splitlines():
        _isolet.log(number, line)


class LambdaLoggerHandler(logging.Handler):
    def emit(self, record):
        try:
            _write_log(record.levelno, self.format(record))
        except Exception:
            self.handleError(record)


class LambdaLoggerFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = context.aws_request_id if context is not None else ""
        record.tenant_id = None
        return True


def _set_up_logging():
    logging.Formatter.converter = time.gmtime
    line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
    handler = LambdaLoggerHandler()
    handler.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    logging.getLogger().addHandler(handler)


def log_error(found):
    """As Lambda writes a failure to the function's log. In JSON the host does, for every language."""
    if _json is not None:
        return
    kind, message, stack = found
    lines = [f"[ERROR] {kind}: {message}" if message else f"[ERROR] {kind}", "Traceback (most recent call last):"]
    _write_log(logging.ERROR, "\n".join([*lines, *(frame.rstrip("\n") for frame in stack)]))


class _JsonFormatter(logging.Formatter):
    """A record as an object of Lambda's: what it says, who, in which request; its exception; what `extra` added."""

    def format(self, record):
        said = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, value, _ = record.exc_info
            said["stackTrace"] = _stack(value)
            said["errorType"] = kind.__name__
            said["errorMessage"] = _described(value)
            said["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        said["requestId"] = record.aws_request_id
        for name, value in record.__dict__.items():
            if name not in _OF_A_RECORD and name not in said:
                said[name] = value
        return _json.dumps({name: value for name, value in said.items() if value is not None}, default=str)


# Attributes that every record has; others came by `extra`.
_OF_A_RECORD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "aws_request_id", "tenant_id", "taskName"}
# The module `json`, once a function's lines are JSON.
_json = None
# Levels of Lambda's that Python has no name for.
_OTHER_LEVELS = {"TRACE": logging.NOTSET + 1}


def _log_as(form, level):
    """Heeds AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL."""
    global _json
    if form == "JSON":
        _json = importlib.import_module("json")
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LambdaLoggerHandler):
                handler.setFormatter(_JsonFormatter())
    number = _OTHER_LEVELS.get(level, logging.getLevelNamesMapping().get(level))
    if number is not None:
        logging.getLogger().setLevel(number)


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────


def _stack(value):
    frames = traceback.extract_tb(value.__traceback__)
    # Four fields each, as Lambda's runtime has it: a frame's columns would be shown as a line of carets.
    own = [(f.filename, f.lineno, f.name, f.line) for f in frames if not f.filename.startswith(_INTERPRETER)]
    return traceback.format_list(own)


def _described(value):
    try:
        return str(value)
    except Exception as failed:
        return f"<str() of it raised {type(failed).__name__}>"


def _found(kind, message, stack=()):
    found = (kind, message, list(stack))
    log_error(found)
    return found


def error(value):
    """(type, message, stack) of what a handler raised."""
    return _found(type(value).__name__, _described(value), _stack(value))


def marshal_error(value):
    return _found("Runtime.MarshalError", f"Unable to marshal response: {_described(value)}")


def unmarshal_error(value):
    return _found("Runtime.UnmarshalError", f"Unable to unmarshal input: {_described(value)}")


def exit_status(value):
    """The status that a process would have ended with, of SystemExit; of anything else its trace and 1."""
    if not isinstance(value, SystemExit):
        traceback.print_exception(value)
        return 1
    if value.code is None:
        return 0
    if isinstance(value.code, int):
        return value.code
    print(value.code, file=sys.stderr)
    return 1


# ── the handler ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Fault(Exception):
    """What Lambda's runtime itself finds wrong: (type, message, stack)."""


def _handler(name):
    """The function that Handler names. Raises _Fault, and what the module raises."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        why = "not enough values to unpack (expected 2, got 1)"
        raise _Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {why}")
    if module_name.split(".")[0] in sys.builtin_module_names:
        what = f"Cannot use built-in module {module_name} as a handler module"
        raise _Fault("Runtime.BuiltInModuleConflict", what)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise _Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        what = f"Syntax error in module '{module_name}': {error}"
        raise _Fault("Runtime.UserCodeSyntaxError", what, [where]) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        what = f"Handler '{function_name}' missing on module '{module_name}'"
        raise _Fault("Runtime.HandlerNotFound", what) from None


def load():
    """(handler, None, None), (None, what every event is answered with, None), or (None, None, an exit status)."""
    _read_environment()
    _find_layers()
    os._exit = _exit
    try:
        return _with_hooks(_handler(os.environ.get("_HANDLER", ""))), None, None
    except _Fault as fault:
        kind, message, *stack = fault.args
        return None, (kind, message, stack[0] if stack else []), None
    except Exception as failed:
        return None, (type(failed).__name__, _described(failed), _stack(failed)), None
    except BaseException as left:
        return None, None, exit_status(left)
    finally:
        os._exit = posix._exit


def _exit(status):
    """os._exit while the module is imported: the process is not there yet, so nothing may end it."""
    raise SystemExit(status)


def _with_hooks(handler):
    """The handler and the hooks of Lambda's SnapStart: before the snapshot is now, after it is in each invocation."""
    hooks = sys.modules.get("snapshot_restore_py")
    if hooks is None:
        return handler
    for function, positional, named in reversed(hooks.before_snapshot):
        function(*positional, **named)
    if not hooks.after_restore:
        return handler

    def restored(event, context):
        for function, positional, named in hooks.after_restore:
            function(*positional, **named)
        return handler(event, context)

    return restored


def _read_environment():
    """os.environ as this function has it, with what Lambda adds."""
    given = _isolet.environ()
    name = given.get(b"AWS_LAMBDA_FUNCTION_NAME", b"")
    given.setdefault(b"AWS_EXECUTION_ENV", b"AWS_Lambda_python3.11")
    given.setdefault(b"AWS_DEFAULT_REGION", given.get(b"AWS_REGION", b"us-east-1"))
    given.setdefault(b"AWS_LAMBDA_LOG_GROUP_NAME", b"/aws/lambda/" + name)
    given.setdefault(b"AWS_LAMBDA_INITIALIZATION_TYPE", b"on-demand")
    given.setdefault(b"LAMBDA_RUNTIME_DIR", b"/var/runtime")
    given.setdefault(b"LANG", b"en_US.UTF-8")
    given.setdefault(b"PATH", b"/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin")
    data = os.environ._data
    data.clear()
    data.update(given)
    form, level = (
        given.get(name, b"").decode().upper() for name in (b"AWS_LAMBDA_LOG_FORMAT", b"AWS_LAMBDA_LOG_LEVEL")
    )
    _log_as(form, level)
    importlib.invalidate_caches()


def _find_layers():
    """Other versions' directories of the layers go behind this one's: `pip install` made them for a runtime that is
    named otherwise, `python3.13`."""
    try:
        versions = [name[6:] for name in os.listdir(f"{LAYERS}/lib") if name.startswith("python3.")]
    except OSError:
        return
    newest_first = sorted((name for name in versions if name[2:].isdigit()), key=lambda name: -int(name[2:]))
    places = [f"{LAYERS}/lib/python{version}/site-packages" for version in newest_first]
    at = sys.path.index(LAYERS)
    sys.path[at:at] = [place for place in places if place not in sys.path and os.path.isdir(place)]


def run(coroutine):
    """The result of an asynchronous handler."""
    import asyncio

    return asyncio.run(coroutine)


# ── before there is a function ──────────────────────────────────────────────────────────────────────────────────

SAMPLE = {
    "event": {"key": "value", "number": 1, "list": [1.5, None, True], "map": {"a": "b"}},
    "context": {
        "request_id": "00000000-0000-4000-8000-000000000000",
        "function_name": "sample",
        "function_version": "$LATEST",
        "function_arn": "arn:aws:lambda:us-east-1:000000000000:function:sample",
        "memory_limit_mb": 128,
        "log_group": "/aws/lambda/sample",
        "log_stream": "2000/01/01/[$LATEST]00000000000000000000000000000000",
        "deadline_ms": 4102444800000,
        "entropy": bytes(16),
    },
}


def sample_handler(event, context):
    remaining = context.get_remaining_time_in_millis()
    return {"statusCode": 200, "headers": {"a": event["key"]}, "body": "x", "left": remaining, "all": [event, 1, None]}


def booted():
    """The shim has walked an invocation's way; what that left behind goes, and the rest stays for good.

    So no collection of a function's touches the interpreter's own objects: a page that is not written to is neither in
    the function's state nor copied in an invocation.
    """
    global context
    context = None
    settle()


def settle():
    """The last thing before the snapshot: what lives now lives for good, and no collection looks at it again."""
    gc.collect()
    gc.freeze()


sys.dont_write_bytecode = True
os.cpu_count = lambda: 1
_set_up_logging()
