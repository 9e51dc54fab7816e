"""The Python interpreter: Lambda's contract, the library, and what a snapshot must not freeze."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import textwrap
from typing import Any

import pytest

from interpreted import Answer, Function, House, house
from isolet.errors import CallRefused
from isolet.model import Capabilities

ID = "5a6f0c4e-6f0b-4c3d-9c57-0d2f3f7a9b11"


@pytest.fixture(scope="session")
def python() -> House:
    return house("python")


def run(python: House, body: str, event: Any = None, **options: Any) -> Answer:
    """One invocation of a handler with these lines; `import`s and the like come before a line `---`."""
    head, lines = parts(body)
    return python.function(handler_of(head, lines), **options).invoke(event)


def parts(text: str) -> tuple[str, str]:
    """What is before and after the line `---`."""
    head, _, lines = textwrap.dedent(text).rpartition("---\n")
    return head, lines


def handler_of(head: str, lines: str) -> str:
    inner = textwrap.indent(textwrap.dedent(lines), "    ")
    return f"{textwrap.dedent(head)}\ndef lambda_handler(event, context):\n{inner}\n"


# ── events and results ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 127, 128, -32, -33, -129, 255, 256, 65_535, 65_536, -32_769, 2**31, -(2**31) - 1),
        *(2**63 - 1, -(2**63), 2**64 - 1, 1.5, -0.0, 1e300, 5e-324, "", "ä€𝄞", "x" * 31, "x" * 32, "x" * 70_000),
        *([], [[]], list(range(20)), {}, {"a": {"b": [1, None, "c"]}}, {str(n): n for n in range(70)}),
        *([1] * 70_000, {"ключ": "значение"}, "a\x00b"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_comes_as_an_event_goes_as_a_result(python: House, value: Any, echo: Function) -> None:
    answer = echo.invoke(value).ok
    assert answer == value
    assert repr(answer) == repr(value)


@pytest.fixture(scope="session")
def echo(python: House) -> Function:
    return python.function("def lambda_handler(event, context):\n    return event\n")


def test_bytes_in_an_event_are_base64_text(echo: Function) -> None:
    for size in range(8):
        data = bytes(range(size))
        assert echo.invoke({"body": data}).ok == {"body": base64.b64encode(data).decode()}


def test_events_may_be_deep(python: House) -> None:
    event: Any = 0
    for _ in range(500):
        event = [event]
    depth = "depth = 0\nwhile event: event, depth = event[0], depth + 1\nreturn depth"
    assert run(python, depth, event).ok == 500


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("{1: 'a', 2.5: 'b', True: 'c', None: 'd'}", {"1": "c", "2.5": "b", "null": "d"}),
        ("{'1': 'a', 1: 'b'}", {"1": "b"}),
        ("(1, (2,))", [1, [2]]),
        ("__import__('collections').namedtuple('P', 'x y')(1, 2)", {"x": 1, "y": 2}),
        ("__import__('collections').OrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
        ("__import__('decimal').Decimal('9.95')", 9.95),
        ("__import__('decimal').Decimal('10')", 10),
        ("__import__('enum').IntEnum('E', 'A').A", 1),
        ("type('S', (str,), {})('sub')", "sub"),
        ("10 ** 30", 1e30),
        ("{'a': b'x'}", {"a": "x"}),
        ("'\\ud800'", "?"),
    ],
)
def test_a_result_becomes_what_lambdas_json_makes_of_it(python: House, expression: str, result: Any) -> None:
    assert run(python, f"return {expression}").ok == result


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("{1, 2}", "Object of type set is not JSON serializable"),
        ("__import__('datetime').date(2024, 1, 1)", "Object of type date is not JSON serializable"),
        ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
        ("float('nan')", "Out of range float values are not JSON compliant: nan"),
        ("[1e400]", "Out of range float values are not JSON compliant: inf"),
        ("[0] * 100_001", "100001 items in one list or dict, and at most 100000 are taken"),
    ],
)
def test_a_result_that_json_has_no_word_for_is_a_marshal_error(python: House, expression: str, why: str) -> None:
    answer = run(python, f"return {expression}")
    assert answer.failure == ("Runtime.MarshalError", f"Unable to marshal response: {why}")
    assert answer.logs[0] == f"[ERROR] Runtime.MarshalError: Unable to marshal response: {why}"


def test_a_circle_is_told_from_depth(python: House) -> None:
    circle = run(python, "a = []\na.append({'a': a})\nreturn a").failure
    deep = run(python, "a = []\nfor _ in range(80): a = [a]\nreturn a").failure
    assert circle == ("Runtime.MarshalError", "Unable to marshal response: Circular reference detected")
    assert deep == ("Runtime.MarshalError", "Unable to marshal response: it is nested deeper than 62 levels")


def test_a_large_answer_and_a_large_event_pass(echo: Function) -> None:
    event = {"data": "x" * 3_000_000}
    assert echo.invoke(event).ok == event


# ── the context ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_context_has_what_lambdas_has(python: House) -> None:
    names = (
        *("aws_request_id", "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb"),
        *("log_group_name", "log_stream_name", "client_context", "tenant_id"),
    )
    source = f"""
        return [getattr(context, name) for name in {names}] + [
            context.get_remaining_time_in_millis(), context.identity.cognito_identity_id, repr(context)[:30]]"""
    function = python.function(handler_of("", source.strip("\n")), timeout_s=20)
    values = function.invoke(request_id=ID).ok
    assert values[:6] == [ID, "f", "$LATEST", function.target.arn, "128", "/aws/lambda/f"]
    assert "[$LATEST]" in values[6]
    assert values[7:9] == [None, None]
    assert 0 < values[9] <= 20_000
    assert values[10] is None
    assert values[11].startswith("LambdaContext([aws_request_id=")


def test_client_context_is_an_object(python: House) -> None:
    function = python.function(
        "def lambda_handler(event, context):\n"
        "    c = context.client_context\n"
        "    return [c.custom, c.env, c.client.app_title, c.client.installation_id]\n"
    )
    given = {"custom": {"a": 1}, "env": {"make": "x"}, "client": {"app_title": "t"}}
    assert function.invoke(client_context=given).ok == [{"a": 1}, {"make": "x"}, "t", None]


def test_trace_and_log_stream_are_variables_of_one_invocation(python: House) -> None:
    source = "import os\n---\nreturn [os.environ.get('_X_AMZN_TRACE_ID'), os.environ['AWS_LAMBDA_LOG_STREAM_NAME']]"
    head, lines = parts(source)
    function = python.function(handler_of(head, lines))
    assert function.invoke(trace_id="Root=1-2-3").ok[0] == "Root=1-2-3"
    trace, stream = function.invoke().ok
    assert trace is None
    assert "[$LATEST]" in stream


def test_the_environment_is_the_functions(python: House) -> None:
    body = "import os\nSEEN = os.environ['COLOUR']\n---\nreturn [SEEN, os.environ['COLOUR'], os.getenv('_HANDLER')]"
    assert run(python, body, environment={"COLOUR": "blue"}).ok == ["blue", "blue", "lambda_function.lambda_handler"]
    assert run(python, body, environment={"COLOUR": "red"}).ok[0] == "red"


# ── handlers ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_handler_may_be_in_a_package_by_dots_or_slashes(python: House) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/mod.py": "from . import other\ndef f(e, c): return other.x",
        "pkg/other.py": "x = 7",
    }
    assert python.function(files, handler="pkg.mod.f").invoke().ok == 7
    assert python.function(files, handler="pkg/mod.f").invoke().ok == 7


def test_an_asynchronous_handler_is_awaited(python: House) -> None:
    source = """
        import asyncio
        async def part(n):
            await asyncio.sleep(0.01 * n)
            return n
        async def lambda_handler(event, context):
            return await asyncio.gather(part(3), part(1), asyncio.to_thread(lambda: 7))
    """
    assert python.function(source).invoke().ok == [3, 1, 7]


def test_an_asynchronous_handler_may_fail(python: House) -> None:
    answer = python.function("async def lambda_handler(event, context):\n    raise LookupError('x')\n").invoke()
    assert answer.failure == ("LookupError", "x")
    assert answer.stack == [
        "  File \"/var/task/lambda_function.py\", line 2, in lambda_handler\n    raise LookupError('x')\n"
    ]


def test_waiting_for_nothing_is_an_error_and_no_hang(python: House) -> None:
    source = "import asyncio\nasync def lambda_handler(event, context):\n    await asyncio.Event().wait()\n"
    kind, message = python.function(source).invoke().failure
    assert kind == "RuntimeError"
    assert "nobody in this isolate can bring about" in message


def test_module_state_is_fresh_in_every_invocation(python: House) -> None:
    function = python.function(handler_of("seen = []\n", "seen.append(event)\nreturn seen"))
    assert [function.invoke(n).ok for n in range(3)] == [[0], [1], [2]]


NO_NAME = "cannot import name 'nope' from 'json' (/var/lang/lib/python3.11/json/__init__.py)"
MALFORMED = "not enough values to unpack (expected 2, got 1)"


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        ("import nosuch", "app.f", "ImportModuleError", "Unable to import module 'app': No module named 'nosuch'"),
        ("", "absent.f", "ImportModuleError", "Unable to import module 'absent': No module named 'absent'"),
        ("from json import nope", "app.f", "ImportModuleError", f"Unable to import module 'app': {NO_NAME}"),
        ("x = 1", "app.f", "HandlerNotFound", "Handler 'f' missing on module 'app'"),
        ("", "nodots", "MalformedHandlerName", f"Bad handler 'nodots': {MALFORMED}"),
        ("", "sys.exit", "BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("def f(:", "app.f", "UserCodeSyntaxError", "Syntax error in module 'app': invalid syntax (app.py, line 1)"),
    ],
)
def test_a_module_that_cannot_be_used_answers_every_event_with_why(
    python: House, source: str, handler: str, kind: str, message: str
) -> None:
    function = python.function({"app.py": source}, handler=handler)
    for _ in range(2):
        answer = function.invoke()
        assert answer.failure == (f"Runtime.{kind}", message)
        assert answer.logs[0] == f"[ERROR] Runtime.{kind}: {message}"


def test_an_error_of_the_modules_own_answers_every_event(python: House) -> None:
    answer = python.function("x = 1\nx / 0\n").invoke()
    assert answer.failure == ("ZeroDivisionError", "division by zero")
    assert answer.stack == ['  File "/var/task/lambda_function.py", line 2, in <module>\n    x / 0\n']


def test_a_syntax_error_shows_its_line(python: House) -> None:
    stack = python.function("x = 1\ndef f(:\n    pass\n", handler="lambda_function.f").invoke().stack
    assert stack == ['  File "/var/task/lambda_function.py" Line 2\n    def f(:\n']


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit()", "Runtime exited without providing a reason"),
        ("sys.exit('why')", "Runtime exited with error: exit status 1"),
        ("os._exit(4)", "Runtime exited with error: exit status 4"),
        ("raise KeyboardInterrupt", "Runtime exited with error: exit status 1"),
    ],
)
@pytest.mark.parametrize("where", ["handler", "module"])
def test_leaving_is_an_exit_error(python: House, statement: str, message: str, where: str) -> None:
    head = "import os, sys\n" + (statement if where == "module" else "")
    answer = run(python, f"{head}\n---\n{statement}")
    assert answer.failure[0] == "Runtime.ExitError"
    assert answer.failure[1].endswith(message)


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_has_type_message_and_the_functions_own_frames(python: House) -> None:
    files = {
        "lambda_function.py": "import helper\ndef lambda_handler(event, context):\n    return helper.parse(event)\n",
        "helper.py": "import json\ndef parse(text):\n    return json.loads(text)\n",
    }
    answer = python.function(files).invoke("{")
    assert answer.failure[0] == "JSONDecodeError"
    assert answer.failure[1].startswith("Expecting property name enclosed in double quotes")
    assert answer.stack == [
        '  File "/var/task/lambda_function.py", line 3, in lambda_handler\n    return helper.parse(event)\n',
        '  File "/var/task/helper.py", line 3, in parse\n    return json.loads(text)\n',
    ]
    assert answer.logs[1] == "Traceback (most recent call last):"
    assert answer.levels[0] == 4


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("class Odd(Exception): pass\n---\nraise Odd()", ("Odd", "")),
        (
            "class Odd(Exception):\n    def __str__(self): 1 / 0\n---\nraise Odd",
            ("Odd", "<str() of it raised ZeroDivisionError>"),
        ),
        ("---\nreturn event['x']", ("KeyError", "'x'")),
        ("---\nreturn [0] * (1 << 30)", ("MemoryError", "")),
        ("def f(): return f()\n---\nreturn f()", ("RecursionError", "maximum recursion depth exceeded")),
    ],
)  # fmt: skip
def test_errors_of_every_kind_are_answers(python: House, body: str, failure: tuple[str, str]) -> None:
    assert run(python, body, {}).failure == failure


@pytest.mark.parametrize(
    "expression",
    [
        *("G().y", "len(E())", "iter(E())", "str(E())", "E()()", "E() == 1", "E() + E()", "hash(E())", "bool(E())"),
        *("json.dumps(nest(5000))", "json.loads('[' * 100_000)", "repr(nest(5000))", "copy.deepcopy(nest(5000))"),
        *("pickle.dumps(nest(5000))", "nest(5000) == nest(5000)", "re.compile('(' * 2000 + ')' * 2000)"),
        *("compile('-' * 100_000 + '1', 'x', 'eval')", "eval('+'.join(['1'] * 50_000))", "isinstance(1, tuples(5000))"),
    ],
)
def test_deep_recursion_through_c_is_an_exception_and_no_trap(python: House, expression: str, deep: Function) -> None:
    assert deep.invoke(expression).ok in ("RecursionError", "MemoryError")


@pytest.fixture(scope="session")
def deep(python: House) -> Function:
    source = """
        import copy, json, pickle, re
        class G:
            def __getattr__(self, name): return getattr(self, name + "x")
        class E:
            def __len__(self): return len(self)
            def __iter__(self): return iter(self)
            def __str__(self): return "%s" % self
            def __call__(self): return self()
            def __eq__(self, other): return self == other
            def __add__(self, other): return other + self
            def __hash__(self): return hash((self,))
            def __bool__(self): return bool(self)
        def nest(n):
            made = []
            for _ in range(n): made = [made]
            return made
        def tuples(n):
            made = ()
            for _ in range(n): made = (made,)
            return made
        def lambda_handler(event, context):
            try:
                eval(event)
            except (RecursionError, MemoryError) as error:
                return type(error).__name__
    """
    return python.function(source, memory_mb=256)


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_prints_are_lines_of_the_log(python: House) -> None:
    answer = run(python, "import sys\n---\nprint('a', 1)\nprint('b\\nc', end='')\nprint('e', file=sys.stderr)")
    assert sorted(answer.logs) == ["a 1", "b", "c", "e"]


def test_logging_has_lambdas_form(python: House) -> None:
    body = """
        import logging
        logger = logging.getLogger()
        logger.setLevel(logging.INFO)
        ---
        logger.info("hello %s", 1)
        logging.getLogger("other").warning("two\\nlines")
        logger.debug("not this")"""
    head, lines = parts(body)
    answer = python.function(handler_of(head, lines)).invoke(request_id=ID)
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"\[INFO\]\t{when}\t{ID}\thello 1", answer.logs[0])
    assert re.fullmatch(rf"\[WARNING\]\t{when}\t{ID}\ttwo", answer.logs[1])
    assert answer.logs[2:] == ["lines"]
    assert answer.levels == [2, 3, 3]


def test_records_are_objects_if_the_format_is_json(python: House) -> None:
    body = """
        import logging
        logger = logging.getLogger("orders")
        ---
        logger.info("hello %s\\nyou", 1, extra={"order": 7, "thing": object})
        logger.debug("not this")
        print("plain")
        try:
            {}["x"]
        except KeyError:
            logger.exception("no")
        raise ValueError("told by the host")"""
    head, lines = parts(body)
    variables = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    answer = python.function(handler_of(head, lines), environment=variables).invoke(request_id=ID)
    told = [line for line in answer.logs if line.startswith("{")]
    hello, failed = map(json.loads, told)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", hello.pop("timestamp"))
    assert hello == {
        "level": "INFO",
        "message": "hello 1\nyou",
        "logger": "orders",
        "requestId": ID,
        "order": 7,
        "thing": "<class 'object'>",
    }
    assert (failed["level"], failed["message"], failed["errorType"]) == ("ERROR", "no", "KeyError")
    assert failed["errorMessage"] == "'x'"
    assert failed["location"].startswith("/var/task/")
    assert len(failed["stackTrace"]) == 1
    assert [line for line in answer.logs if line not in told] == ["plain"]


@pytest.mark.parametrize(("level", "kept"), [("TRACE", 3), ("DEBUG", 3), ("WARN", 1), ("FATAL", 0)])
def test_levels_of_lambdas_are_heeded(python: House, level: str, kept: int) -> None:
    body = "import logging\n---\nfor say in (logging.debug, logging.info, logging.warning): say('x')"
    head, lines = parts(body)
    answer = python.function(handler_of(head, lines), environment={"AWS_LAMBDA_LOG_LEVEL": level}).invoke()
    assert len(answer.logs) == kept


def test_what_a_module_says_while_it_is_imported_is_kept_with_the_deployment(python: House) -> None:
    function = python.function("print('importing', end='')\ndef lambda_handler(event, context): pass\n")
    assert function.init_logs == ["importing"]
    assert function.invoke().logs == []


# ── what a snapshot must not freeze ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "expression",
    [
        *("random.random()", "random.gauss(0, 1)", "uuid.uuid4().hex", "uuid.uuid1().hex", "secrets.token_hex()"),
        *("os.urandom(8).hex()", "time.time_ns()", "str(datetime.datetime.now())", "time.monotonic_ns()"),
        *("random.SystemRandom().random()", "tempfile.mktemp() + str(random.random())"),
    ],
)
def test_chance_and_time_are_fresh_in_every_invocation(python: House, expression: str) -> None:
    head = f"import datetime, os, random, secrets, tempfile, time, uuid\nBEFORE = {expression}\n"
    function = python.function(handler_of(head, f"return [BEFORE, {expression}]"))
    first, second = (answer.ok for answer in function.invoke_together(1, 2))
    assert first[0] == second[0]
    assert len({first[0], first[1], second[1]}) == 3


def test_hooks_around_the_snapshot_are_called(python: House) -> None:
    source = """
        from snapshot_restore_py import register_after_restore, register_before_snapshot
        said = []
        register_before_snapshot(said.append, "before")
        @register_after_restore
        def after(): said.append("after")
        def lambda_handler(event, context): return said
    """
    function = python.function(source)
    assert [function.invoke().ok for _ in range(2)] == [["before", "after"]] * 2


# ── the library ─────────────────────────────────────────────────────────────────────────────────────────────────

MODULES = [
    "abc",
    "argparse",
    "array",
    "ast",
    "asyncio",
    "base64",
    "binascii",
    "bisect",
    "bz2_missing",
    "calendar",
    "cmath",
    "codecs",
    "collections.abc",
    "colorsys",
    "concurrent.futures",
    "configparser",
    "contextlib",
    "contextvars",
    "copy",
    "csv",
    "ctypes_missing",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "doctest",
    "email.message",
    "email.mime.multipart",
    "enum",
    "errno",
    "filecmp",
    "fileinput",
    "fnmatch",
    "fractions",
    "functools",
    "gc",
    "getpass",
    "gettext",
    "glob",
    "graphlib",
    "gzip",
    "hashlib",
    "heapq",
    "hmac",
    "html.parser",
    "http.client",
    "http.cookies",
    "http.server",
    "imghdr",
    "importlib.metadata",
    "importlib.resources",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging.config",
    "logging.handlers",
    "marshal",
    "math",
    "mimetypes",
    "multiprocessing",
    "netrc",
    "numbers",
    "operator",
    "optparse",
    "os",
    "pathlib",
    "pickle",
    "pkgutil",
    "platform",
    "plistlib",
    "pprint",
    "queue",
    "quopri",
    "random",
    "re",
    "reprlib",
    "sched",
    "secrets",
    "select",
    "selectors",
    "shelve",
    "shlex",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "stat",
    "statistics",
    "string",
    "stringprep",
    "struct",
    "subprocess",
    "symtable",
    "sysconfig",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "token",
    "tokenize",
    "tomllib",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "unittest.mock",
    "urllib.parse",
    "urllib.request",
    "urllib.robotparser",
    "uuid",
    "warnings",
    "wave",
    "weakref",
    "wsgiref.handlers",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
    "xml.sax",
    "xmlrpc.client",
    "zipfile",
    "zipimport",
    "zlib",
    "zoneinfo",
    "snapshot_restore_py",
    "isolet",
]


def test_the_library_can_be_imported(python: House) -> None:
    source = """
        import importlib
        def lambda_handler(event, context):
            missing = {}
            for name in event:
                try: importlib.import_module(name)
                except ImportError as error: missing[name] = str(error)
            return missing
    """
    names = [name for name in MODULES if not name.endswith("_missing")]
    assert python.function(source).invoke(names).ok == {}


def test_modules_of_the_library_are_like_modules_of_files(python: House) -> None:
    lines = """
        import importlib.util, inspect, json, json.decoder, pkgutil, sys, encodings
        ---
        spec = importlib.util.find_spec("json.encoder")
        return {
            "file": json.decoder.__file__, "package": json.__path__, "spec": [spec.name, spec.origin, spec.parent],
            "absent": importlib.util.find_spec("json.nope"),
            "below": sorted(m.name for m in pkgutil.iter_modules(json.__path__)),
            "code": json.loads.__code__.co_filename, "encodings": encodings.__file__, "path": sys.path[0],
            "again": importlib.reload(json) is json, "text": "é".encode("cp1252").hex(),
            "inspect": inspect.getsourcefile(json.decoder),
        }"""
    head, body = parts(lines)
    answer = python.function(handler_of(head, body)).invoke().ok
    library = "/var/lang/lib/python3.11"
    assert answer == {
        "file": f"{library}/json/decoder.py",
        "package": [f"{library}/json"],
        "spec": ["json.encoder", f"{library}/json/encoder.py", "json"],
        "absent": None,
        "below": ["decoder", "encoder", "scanner", "tool"],
        "code": f"{library}/json/__init__.py",
        "encodings": f"{library}/encodings/__init__.py",
        "path": "/var/task",
        "again": True,
        "text": "e9",
        "inspect": f"{library}/json/decoder.py",
    }


def test_the_functions_own_modules_and_data_come_first(python: House) -> None:
    files = {
        "lambda_function.py": """
            import importlib.resources, colorsys, pkg, json
            def lambda_handler(event, context):
                with open("data.json") as file: here = json.load(file)
                text = importlib.resources.files("pkg").joinpath("note.txt").read_text()
                return [colorsys.mine, here, text, __import__("pkgutil").get_data("pkg", "note.txt").decode()]
        """,
        "colorsys.py": "mine = True",
        "data.json": "[1]",
        "pkg/__init__.py": "",
        "pkg/note.txt": "ä",
    }
    assert python.function(files).invoke().ok == [True, [1], "ä", "ä"]


def test_tmp_is_written_and_read(python: House) -> None:
    body = """
        import os, shutil, tempfile
        ---
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "a", "b.txt")
            os.makedirs(os.path.dirname(path))
            with open(path, "w") as file: file.write("text")
            shutil.copy(path, directory)
            found = sorted(name for _, _, names in os.walk(directory) for name in names)
        return [found, os.path.exists(directory), tempfile.gettempdir()]"""
    head, lines = parts(body)
    assert python.function(handler_of(head, lines)).invoke().ok == [["b.txt", "b.txt"], False, "/tmp"]


def test_time_zones_are_there(python: House) -> None:
    body = """
        import datetime, zoneinfo
        ---
        at = datetime.datetime(2025, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
        return [at.isoformat(), len(zoneinfo.available_timezones()) > 500]"""
    head, lines = parts(body)
    assert python.function(handler_of(head, lines)).invoke().ok == ["2025-07-01T12:00:00+02:00", True]


def test_compression_is_native(python: House) -> None:
    body = """
        import gzip, io, zipfile, zlib
        ---
        data = event.encode() * 1000
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("a.txt", data)
        inside = zipfile.ZipFile(io.BytesIO(buffer.getvalue())).read("a.txt")
        small = len(zlib.compress(data, 9)) < 100
        return [zlib.crc32(data), gzip.decompress(gzip.compress(data)) == data, inside == data, small]"""
    head, lines = parts(body)
    answer = python.function(handler_of(head, lines)).invoke("abc").ok
    assert answer == [__import__("zlib").crc32(b"abc" * 1000), True, True, True]


def test_sqlite_keeps_a_file_in_tmp(python: House) -> None:
    body = """
        import sqlite3
        ---
        with sqlite3.connect("/tmp/a.db") as base:
            base.execute("create table t (a integer primary key, b text)")
            base.executemany("insert into t (b) values (?)", [(str(n),) for n in range(100)])
        base.close()
        base = sqlite3.connect("/tmp/a.db")
        base.row_factory = sqlite3.Row
        row = base.execute("select count(*) as n, sum(a) as total from t").fetchone()
        base.execute("create virtual table f using fts5(x)")
        root = base.execute("select sqrt(16)").fetchone()[0]
        inside = base.execute("select json_extract(?, '$.a[1]')", ['{"a": [1, 2]}']).fetchone()[0]
        return [row["n"], row["total"], root, inside]"""
    head, lines = parts(body)
    assert python.function(handler_of(head, lines)).invoke().ok == [100, 5050, 4.0, 2]


def test_hashes_and_keys_are_those_of_native_python(python: House) -> None:
    body = """
        import hashlib, hmac
        NAMES = ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")
        ---
        data = b"data" * 100
        return [
            *(hashlib.new(name, data).hexdigest() for name in NAMES),
            hmac.new(b"key", data, "sha256").hexdigest(),
            *(hashlib.pbkdf2_hmac(name, b"p" * 200, b"salt" * 50, 3, 150).hex() for name in event),
            hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=2, dklen=64).hex(),
        ]"""
    head, lines = parts(body)
    kinds = ["sha1", "sha224", "sha256", "sha384", "sha512", "md5", "sha3_256"]
    data = b"data" * 100
    assert python.function(handler_of(head, lines)).invoke(kinds).ok == [
        *(hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")),
        __import__("hmac").new(b"key", data, "sha256").hexdigest(),
        *(hashlib.pbkdf2_hmac(name, b"p" * 200, b"salt" * 50, 3, 150).hex() for name in kinds),
        hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=2, dklen=64).hex(),
    ]


def test_starting_a_thread_or_a_process_is_a_clear_error(python: House) -> None:
    thread = run(python, "import threading\n---\nthreading.Thread(target=print).start()").failure
    assert thread == ("RuntimeError", "can't start new thread: an isolate has one; asyncio runs tasks in turns")
    assert run(python, "import subprocess\n---\nsubprocess.run(['ls'])").failure[0] == "OSError"


def test_the_version_is_the_one_that_runs(python: House) -> None:
    assert run(python, "import sys, platform\n---\nreturn [sys.version_info[:2], platform.python_version()]").ok == [
        [3, 11],
        "3.11.2",
    ]


# ── capabilities ────────────────────────────────────────────────────────────────────────────────────────────────


class Web:
    """What the keeper fetched."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def __call__(self, operation: str, body: Any) -> Any:
        assert operation == "fetch"
        _, _, _, method, url, headers, sent, *_ = body
        self.requests.append({"method": method, "url": url, "headers": dict(headers), "body": sent})
        if "slow" in url:
            raise CallRefused("Timeout", "fetch: too slow")
        if "dead" in url:
            raise CallRefused("ConnectionFailed", "fetch: nobody listens")
        if "moved" in url:
            return {"status": 302, "url": url, "headers": [["location", "/there"]], "body": b""}
        status = 404 if "missing" in url else 200
        answer = json.dumps({"url": url, "method": method, "body": (sent or b"").decode()}).encode()
        headers = [["content-type", "application/json"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]]
        return {"status": status, "url": url, "headers": headers, "body": answer}


WEB = Capabilities(fetch=("*", "*:8443"))


def fetched(python: House, body: str, event: Any = None) -> tuple[Any, list[dict[str, Any]]]:
    web = Web()
    head, lines = parts(body)
    return python.function(handler_of(head, lines), capabilities=WEB, asked=web).invoke(event).ok, web.requests


def test_urllib_goes_through_fetch(python: House) -> None:
    answer, requests = fetched(
        python,
        """import json, urllib.request
---
request = urllib.request.Request(event, data=b'{"a": 1}', headers={"X-Key": "k"}, method="PUT")
with urllib.request.urlopen(request, timeout=5) as response:
    cookies = response.headers.get_all("set-cookie")
    return [response.status, json.load(response), response.headers["Content-Type"], cookies]
""",
        "https://api.example.com:8443/items?q=1",
    )
    sent = {"url": "https://api.example.com:8443/items?q=1", "method": "PUT", "body": '{"a": 1}'}
    assert answer == [200, sent, "application/json", ["a=1", "b=2"]]
    assert requests[0]["headers"]["x-key"] == "k"


def test_urllib_follows_redirects_and_raises_for_status(python: House) -> None:
    answer, requests = fetched(
        python,
        """import urllib.error, urllib.request
---
there = urllib.request.urlopen("http://a.example/moved").url
try:
    urllib.request.urlopen("http://a.example/missing")
except urllib.error.HTTPError as error:
    return [there, error.code, b"missing" in error.read()]
""",
    )
    assert answer == ["http://a.example/there", 404, True]
    assert [request["url"] for request in requests] == [
        "http://a.example/moved",
        "http://a.example/there",
        "http://a.example/missing",
    ]


def test_http_client_keeps_a_connection_and_sends_chunks(python: House) -> None:
    answer, requests = fetched(
        python,
        """import http.client
---
connection = http.client.HTTPSConnection("api.example.com", timeout=3)
seen = []
for n in range(2):
    connection.request("POST", f"/{n}", body=iter([b"ab", b"cd"]), encode_chunked=True)
    response = connection.getresponse()
    seen.append([response.status, response.getheader("content-type"), len(response.read()) > 0])
connection.request("HEAD", "/head")
seen.append(connection.getresponse().read() == b"")
return seen
""",
    )
    assert answer == [[200, "application/json", True]] * 2 + [True]
    assert [(r["method"], r["url"], r["body"]) for r in requests] == [
        ("POST", "https://api.example.com/0", b"abcd"),
        ("POST", "https://api.example.com/1", b"abcd"),
        ("HEAD", "https://api.example.com/head", None),
    ]


def test_what_the_host_refuses_is_an_os_error_with_its_words(python: House) -> None:
    answer, _ = fetched(
        python,
        """import urllib.error, urllib.request
---
found = []
for url in ("http://a.example/slow", "http://a.example/dead"):
    try:
        urllib.request.urlopen(url)
    except OSError as error:
        reason = getattr(error, "reason", error)
        found.append([type(reason).__name__, str(reason)])
return found
""",
    )
    assert answer == [
        ["TimeoutError", "fetch: too slow"],
        ["ConnectionRefusedError", "[Errno 111] fetch: nobody listens"],
    ]


def test_without_a_grant_the_message_names_it(python: House) -> None:
    lines = "urllib.request.urlopen('https://api.example.com/x')"
    kind, message = run(python, f"import urllib.request\n---\n{lines}").failure
    assert kind in ("URLError", "PermissionError")
    assert 'fetch = ["api.example.com"]' in message


def test_other_protocols_are_refused_clearly(python: House) -> None:
    kind, message = run(python, "import socket\n---\nsocket.socket(type=socket.SOCK_DGRAM).connect(('a', 53))").failure
    assert kind == "OSError"
    assert "an isolate speaks HTTP as a client, and nothing else" in message


def test_isolet_module_speaks_the_capabilities(python: House) -> None:
    kept: dict[str, bytes] = {}

    def keeper(operation: str, body: Any) -> Any:
        if operation == "secret":
            return "s3cr3t"
        assert operation == "kv"
        _, what, namespace, key, value, options = body
        assert namespace == "counters"
        if what == "put" and key in kept and options.get("if_version") == 0:
            raise CallRefused("Conflict", "kv.put: it is there")
        if what == "put":
            kept[key] = value
            return {"version": 5}
        if what == "get":
            return {"value": kept[key], "version": 5} if key in kept else None
        if what == "list":
            return {"keys": sorted(kept), "more": False}
        return kept.pop(key, None) is not None

    source = """
        import isolet
        def lambda_handler(event, context):
            counters = isolet.kv("counters")
            seen = [counters.get("a"), counters.put("a", "7", if_version=0), counters.get("a").value.decode()]
            try:
                counters.put("a", b"8", if_version=0)
            except isolet.Conflict as error:
                seen.append([error.type, isinstance(error, isolet.CapabilityError)])
            keys = counters.list("a")
            seen += [keys, keys.more, counters.delete("a"), isolet.secret("KEY")]
            try:
                isolet.kv("others").get("x")
            except isolet.NotGranted as error:
                seen.append('kv = ["others"]' in str(error))
            return seen
    """
    granted = Capabilities(kv=("counters",), secrets=("KEY",))
    answer = python.function(source, capabilities=granted, asked=keeper).invoke().ok
    assert answer == [None, 5, "7", ["Conflict", True], ["a"], False, True, "s3cr3t", True]


def test_asking_while_the_module_is_imported_is_an_error_and_runs_it_in_every_invocation(python: House) -> None:
    source = """
        import isolet
        try:
            SECRET = isolet.secret("KEY")
        except isolet.Unavailable:
            SECRET = "not yet"
        def lambda_handler(event, context): return SECRET
    """
    granted = Capabilities(secrets=("KEY",))
    function = python.function(source, capabilities=granted, asked=lambda operation, body: "s3cr3t")
    assert not function.info.baked
    assert function.invoke().ok == "s3cr3t"


def test_sleeping_does_not_hold_the_loop(python: House) -> None:
    """Two that sleep at once take the time of one: the second begins before the first ends."""
    body = "import time\n---\nbegan = time.time()\ntime.sleep(0.3)\nreturn [began, time.time()]"
    head, lines = parts(body)
    first, second = (answer.ok for answer in python.function(handler_of(head, lines)).invoke_together(1, 2))
    assert max(first[0], second[0]) < min(first[1], second[1])


# ── the state ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_small_functions_state_is_small(echo: Function) -> None:
    assert echo.info.baked
    assert echo.info.artifact_bytes < 1_000_000


def test_an_invocation_of_a_small_handler_takes_little_fuel(echo: Function) -> None:
    """Fuel is the same on every machine: more than this means that a call imports, or formats, or reads something."""
    assert echo.invoke({"name": "Ada"}).usage.fuel < 40_000
