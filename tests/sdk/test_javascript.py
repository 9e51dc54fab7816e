"""What Lambda's Node runtime promises a handler, held by the guest in the real engine."""

from __future__ import annotations

import json
import re

import pytest

from interpreted import Answer, house

JS = house("javascript")
ID = "7c7a6e8e-0000-4000-8000-000000000000"


def run(source: str, event: object = None, **options: object) -> Answer:
    """One invocation of the default handler in index.js."""
    return JS.function(source, **options).invoke(event)  # type: ignore[arg-type]


def in_handler(body: str, event: object = None) -> Answer:
    return run("exports.handler = async (event, context) => {" + body + "\n}", event)


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event", {"a": [1, 2.5, "é", None, True, {"b": {}}], "big": 2**53, "n": -7}),
        ("undefined", None),
        ("({a: undefined, b: () => 1, c: Symbol('x'), d: 1})", {"d": 1}),
        ("[undefined, () => 1, NaN, Infinity, -0]", [None, None, None, None, 0]),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("new Map([[1, 2]])", {}),
        ("Buffer.from('hi')", {"type": "Buffer", "data": [104, 105]}),
        ("new Uint8Array([1, 2])", {"0": 1, "1": 2}),
        ("[Object(1), Object('s'), Object(false)]", [1, "s", False]),
        ("({toJSON() { return {x: 1} }})", {"x": 1}),
        ("3.0", 3),
        ("1e21", 1e21),
        ("'\\ud800'", "�"),
        ("JSON.parse('{\"__proto__\": 1}')", {"__proto__": 1}),
        ("Object.fromEntries(Array.from({length: 40}, (_, i) => ['k' + i, i]))", {f"k{i}": i for i in range(40)}),
    ],
)
def test_a_result_is_what_its_json_is(expression: str, value: object) -> None:
    event = {"a": [1, 2.5, "é", None, True, {"b": {}}], "big": 2**53, "n": -7}
    assert in_handler(f"return {expression}", event).ok == value


@pytest.mark.parametrize(
    "expression", ["(() => { const o = {}; o.o = o; return o })()", "1n", "{toJSON() { throw 1 }}"]
)
def test_a_result_that_has_no_json_is_an_error(expression: str) -> None:
    assert in_handler(f"return ({expression})").error.message == "Unable to stringify response body"  # type: ignore[union-attr]


def test_bytes_in_an_event_are_base64() -> None:
    assert in_handler("return event", b"\x00\xff").ok == "AP8="


# ── handlers ────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = {
    "async": "exports.handler = async (event) => event.n + 1",
    "promise": "exports.handler = (event) => Promise.resolve(event.n + 1)",
    "thenable": "exports.handler = (event) => ({then: (done) => done(event.n + 1)})",
    "callback": "exports.handler = (event, context, callback) => callback(null, event.n + 1)",
    "late callback": "exports.handler = (event, context, callback) => { "
    "setTimeout(() => callback(null, event.n + 1), 2) }",
    "succeed": "exports.handler = (event, context) => context.succeed(event.n + 1)",
    "done": "exports.handler = (event, context) => { setImmediate(() => context.done(null, event.n + 1)) }",
    "module.exports": "module.exports = {handler: async (event) => event.n + 1}",
    "module": "export const handler = async (event) => event.n + 1",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_answers(kind: str) -> None:
    assert run(KINDS[kind], {"n": 1}).ok == 2


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.js": "exports.go = async () => 'here'"}, "app.go"),
        ({"src/app.js": "exports.a = {b: async () => 'here'}"}, "src/app.a.b"),
        ({"app.mjs": "export const go = async () => 'here'"}, "app.go"),
        ({"app.cjs": "exports.go = async () => 'here'"}, "app.go"),
        ({"app.js": "export async function go() { return 'here' }", "package.json": '{"type": "module"}'}, "app.go"),
        ({"app/index.js": "exports.go = async () => 'here'"}, "app.go"),
        ({"app.mjs": "const x = await Promise.resolve('here'); export const go = async () => x"}, "app.go"),
    ],
)
def test_a_handler_is_found(files: dict[str, str], handler: str) -> None:
    assert JS.function(files, handler).invoke().ok == "here"


def test_a_callback_waits_for_an_empty_loop_unless_told_otherwise() -> None:
    source = """
        exports.handler = (event, context, callback) => {
          context.callbackWaitsForEmptyEventLoop = event.wait;
          const seen = [];
          setTimeout(() => seen.push('timer'), 5);
          callback(null, seen);
        }"""
    function = JS.function(source)
    assert function.invoke({"wait": True}).ok == ["timer"]
    assert function.invoke({"wait": False}).ok == []


def test_the_first_answer_counts() -> None:
    assert run("exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2); c.fail(new Error('late')) }").ok == 1


def test_a_handler_that_says_nothing_answers_null() -> None:
    assert run("exports.handler = () => {}").ok is None
    assert run("exports.handler = () => new Promise(() => {})").ok is None


def test_an_async_handler_that_never_settles_is_an_error() -> None:
    answer = run("exports.handler = async () => { await new Promise(() => {}) }")
    assert answer.error is not None
    assert answer.error.error_type == "Runtime.NodeJsExit"  # type: ignore[attr-defined]


def test_every_invocation_starts_from_the_same_state() -> None:
    function = JS.function("let n = 0; exports.handler = async () => ++n")
    assert [function.invoke().ok for _ in range(3)] == [1, 1, 1]


# ── the context ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_context_is_lambdas() -> None:
    source = """
        exports.handler = async (event, context) => {
          const {callbackWaitsForEmptyEventLoop, ...rest} = context;
          const kinds = ['done', 'fail', 'succeed'].map((key) => typeof context[key]);
          return {...rest, left: context.getRemainingTimeInMillis(), kinds};
        }"""
    said = (
        JS.function(source, name="thumbs", memory_mb=256)
        .invoke({}, request_id="7c7a6e8e-0000-4000-8000-000000000000", client_context={"custom": {"a": 1}})
        .ok
    )
    assert said["functionName"] == "thumbs"
    assert said["functionVersion"] == "$LATEST"
    assert said["memoryLimitInMB"] == "256"
    assert said["logGroupName"] == "/aws/lambda/thumbs"
    assert said["awsRequestId"] == "7c7a6e8e-0000-4000-8000-000000000000"
    assert said["invokedFunctionArn"].endswith(":function:thumbs")
    assert said["clientContext"] == {"custom": {"a": 1}}
    assert 0 < said["left"] <= 30_000
    assert said["kinds"] == ["function"] * 3


def test_the_environment_is_the_functions() -> None:
    function = JS.function(
        "const seen = process.env.COLOUR; exports.handler = async () => "
        "[seen, process.env.COLOUR, process.env._X_AMZN_TRACE_ID,"
        "process.env.AWS_LAMBDA_FUNCTION_NAME, process.env._HANDLER, process.env.LAMBDA_TASK_ROOT]",
        environment={"COLOUR": "blue"},
        name="painter",
    )
    assert function.invoke(trace_id="Root=1-2-3").ok == [
        *("blue", "blue", "Root=1-2-3", "painter", "index.handler", "/var/task")
    ]


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────


def failed(answer: Answer) -> tuple[str, str]:
    assert answer.error is not None, answer
    return answer.error.error_type, answer.error.message  # type: ignore[attr-defined]


FAILURES = {
    "thrown": ("exports.handler = async () => { throw new TypeError('no') }", ("TypeError", "no")),
    "thrown at once": ("exports.handler = () => { throw new RangeError('no') }", ("RangeError", "no")),
    "rejected": ("exports.handler = () => Promise.reject(new Error('no'))", ("Error", "no")),
    "called back": ("exports.handler = (e, c, cb) => cb(new Error('no'))", ("Error", "no")),
    "a string": ("exports.handler = async () => { throw 'no' }", ("string", "no")),
    "called back with a string": ("exports.handler = (e, c, cb) => cb('no')", ("string", "no")),
    "context.fail": ("exports.handler = (e, c) => c.fail(new Error('no'))", ("Error", "no")),
    "context.fail of nothing": ("exports.handler = (e, c) => c.fail()", ("string", "handled")),
    "its own class": (
        "class Mine extends Error { constructor(m) { super(m); this.name = "
        "'Mine' } }; exports.handler = async () => { throw new Mine('no') }",
        ("Mine", "no"),
    ),
    "in a timer": (
        "exports.handler = (e, c, cb) => { setTimeout(() => { throw new Error('no') }, 1) }",
        ("Error", "no"),
    ),
    "in a tick": (
        "exports.handler = (e, c, cb) => { process.nextTick(() => { throw new Error('no') }) }",
        ("Error", "no"),
    ),
    "nobody caught it": (
        "exports.handler = async () => { Promise.reject(new "
        "Error('no')); await new Promise(r => setTimeout(r, 5)); return 1 }",
        ("Runtime.UnhandledPromiseRejection", "Error: no"),
    ),
    "no such module": (
        "require('./nope'); exports.handler = async () => 1",
        (
            "Runtime.ImportModuleError",
            "Error: Cannot find module './nope'\nRequire stack:\n- /var/task/index.js\n- /var/runtime/index.mjs",
        ),
    ),
    "no such export": ("exports.other = 1", ("Runtime.HandlerNotFound", "index.handler is undefined or not exported")),
    "no function": ("exports.handler = 5", ("Runtime.HandlerNotFound", "index.handler is not a function")),
    "thrown while imported": ("throw new TypeError('early')", ("TypeError", "early")),
    "rejected while imported": (
        "Promise.reject(new Error('early')); exports.handler = async () => 1",
        ("Runtime.UnhandledPromiseRejection", "Error: early"),
    ),
    "in an ES module": (
        "import './nope.mjs'; export const handler = 1",
        ("Error", "Cannot find module '/var/task/nope.mjs' imported from /var/task/index.js"),
    ),
    "a package": (
        "import 'left-pad'; export const handler = 1",
        ("Error", "Cannot find package 'left-pad' imported from /var/task/index.js"),
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_told_as_lambda_tells_it(case: str) -> None:
    source, expected = FAILURES[case]
    assert failed(run(source)) == expected


def test_a_syntax_error_is_the_users() -> None:
    kind, message = failed(run("exports.handler = async () => { return 1"))
    assert kind == "Runtime.UserCodeSyntaxError"
    assert message.startswith("SyntaxError: ")


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("index", ("Runtime.MalformedHandlerName", "Bad handler")),
        ("../index.handler", None),
        (
            "missing.handler",
            (
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'missing'\nRequire stack:\n- /var/runtime/index.mjs",
            ),
        ),
    ],
)
def test_a_bad_handler_name(handler: str, expected: tuple[str, str] | None) -> None:
    kind, message = failed(JS.function({"index.js": "exports.handler = 1"}, handler).invoke())
    if expected is None:
        assert kind == "Runtime.MalformedHandlerName"
        assert message.startswith("'../index.handler' is not a valid handler name. ")
    else:
        assert (kind, message) == expected


@pytest.mark.parametrize(
    "source",
    [
        "exports.handler = async () => process.exit(1)",
        "process.exit(1)",
        "exports.handler = (e, c, cb) => { setTimeout(() => process.exit(), 1) }",
    ],
)
def test_process_exit_ends_the_invocation(source: str) -> None:
    kind, message = failed(run(source))
    assert kind == "Runtime.ExitError"
    assert "Runtime exited" in message


def test_a_failure_is_logged_with_its_stack() -> None:
    answer = in_handler("const e = new Error('no'); e.code = 'E_NO'; throw e")
    line = next(line for line in answer.logs if "Invoke Error" in line)
    assert line.split("\t")[2:4] == ["ERROR", "Invoke Error "]
    said = json.loads(line.split("\t")[4])
    assert (said["errorType"], said["errorMessage"], said["code"]) == ("Error", "no", "E_NO")
    assert said["stack"][0] == "Error: no"


def test_a_stack_has_the_users_frames_and_v8s_words() -> None:
    source = """\
function inner() {
  throw new Error('deep');
}
const outer = () => [1].map(() => inner());
exports.handler = async () => outer();
"""
    assert JS.function({"index.js": source}).invoke().stack == [
        "Error: deep",
        "    at inner (/var/task/index.js:2:9)",
        "    at /var/task/index.js:4:35",
        "    at Array.map (<anonymous>)",
        "    at outer (/var/task/index.js:4:25)",
        "    at Runtime.handler (/var/task/index.js:5:31)",
    ]


def test_a_stack_in_a_module_names_its_url() -> None:
    stack = (
        JS.function({"index.mjs": "export const handler = async () => {\n  throw new Error('x');\n}"}).invoke().stack
    )
    assert stack == ["Error: x", "    at Runtime.handler (file:///var/task/index.mjs:2:9)"]


@pytest.mark.parametrize(
    "body",
    [
        "const f = () => f(); f()",
        "const o = {toString() { return '' + o }}; '' + o",
        "JSON.parse('['.repeat(100000))",
        "let o = []; for (let i = 0; i < 20000; i++) o = [o]; JSON.stringify(o)",
        "new Function('return ' + '('.repeat(50000) + '1' + ')'.repeat(50000))",
        "new Function('return ' + 'a?b:'.repeat(50000) + '1')",
        "new Function('x=>'.repeat(20000) + '1')",
        "const p = new Proxy({}, {get: (t, k, r) => r[k]}); p.x",
        "const f = () => [1].sort.call([1, 2], f); f()",
        "const f = () => 'a'.replace(/a/, f); f()",
        "let o = []; for (let i = 0; i < 20000; i++) o = [o]; o.flat(Infinity)",
        "const f = () => { try { f() } finally { n++ } }; let n = 0; f()",
        "const g = function* () { yield* g() }; [...g()]",
        "const f = async () => { await f() }; await f()",
    ],
)
def test_recursion_without_end_is_an_error_and_no_trap(body: str) -> None:
    assert failed(in_handler(body)) == ("RangeError", "Maximum call stack size exceeded")


def test_recursion_is_a_thousand_deep() -> None:
    assert in_handler("const sum = (n) => n ? n + sum(n - 1) : 0; return sum(1000)").ok == 500500


def test_memory_that_runs_out_is_an_error() -> None:
    function = JS.function(
        "exports.handler = async () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20)) }", memory_mb=32
    )
    assert "memory" in failed(function.invoke())[1]


# ── what is fresh in every invocation ───────────────────────────────────────────────────────────────────────────


def test_random_values_are_fresh_in_every_invocation() -> None:
    function = JS.function(
        "Math.random(); const crypto = require('crypto'); exports.handler = async () => [Math.random(), Math.random(),"
        "crypto.randomUUID(), crypto.randomBytes(8).toString('hex'), "
        "[...globalThis.crypto.getRandomValues(new Uint8Array(8))].join()]"
    )
    seen = [value for _ in range(20) for value in function.invoke().ok]
    assert len(set(seen)) == len(seen)
    assert all(0 <= value < 1 for value in seen if isinstance(value, float))


def test_the_clock_goes_on() -> None:
    function = JS.function(
        "const then = Date.now(); exports.handler = async () => Date.now() >= then && performance.now() < 5000"
    )
    assert function.invoke().ok is True


# ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ticks_before_jobs_before_timers() -> None:
    body = """
        const seen = [];
        setTimeout(() => seen.push('timer'));
        setImmediate(() => seen.push('immediate'));
        queueMicrotask(() => seen.push('microtask'));
        Promise.resolve().then(() => seen.push('then'));
        process.nextTick(() => seen.push('tick'));
        seen.push('now');
        await new Promise((done) => setTimeout(done, 10));
        return [seen.slice(0, 4), seen.slice(4).sort()];"""
    first, then = in_handler(body).ok
    assert first == ["now", "microtask", "then", "tick"] or first == ["now", "tick", "microtask", "then"]
    assert then == ["immediate", "timer"]


def test_timers_fire_in_the_order_of_their_times() -> None:
    body = """
        const seen = [];
        const wait = (ms) => new Promise((done) => setTimeout(() => { seen.push(ms); done() }, ms));
        const gone = setTimeout(() => seen.push('gone'), 1);
        clearTimeout(gone);
        let n = 0;
        await new Promise((done) => {
          const i = setInterval(() => { if (++n === 3) { clearInterval(i); done() } }, 1);
        });
        await Promise.all([wait(9), wait(3), wait(6)]);
        return [seen, n];"""
    assert in_handler(body).ok == [[3, 6, 9], 3]


def test_waiting_spends_no_fuel() -> None:
    def fuel(ms: int) -> int:
        return in_handler(f"await new Promise((done) => setTimeout(done, {ms})); return 1").usage.fuel

    assert fuel(60) < fuel(5) + 50_000


def test_async_local_storage_follows_what_was_started_in_it() -> None:
    body = """
        const { AsyncLocalStorage } = require('node:async_hooks');
        const store = new AsyncLocalStorage();
        const seen = [];
        await Promise.all([1, 2].map((id) => store.run(id, async () => {
          await null;
          seen.push([id, store.getStore()]);
          await new Promise((done) => setTimeout(done, 2));
          seen.push([id, store.getStore()]);
          await new Promise((done) => process.nextTick(done));
          seen.push([id, store.getStore()]);
        })));
        return [seen.length, seen.every(([a, b]) => a === b), store.getStore() === undefined];"""
    assert in_handler(body).ok == [6, True, True]


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_of_the_log_is_lambdas() -> None:
    answer = JS.function(
        "exports.handler = async () => { console.log('hi %s', 'you', {a: 1}); console.error('bad') }"
    ).invoke(request_id=ID)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t[-0-9a-f]{36}\tINFO\thi you { a: 1 }", answer.logs[0])
    assert answer.logs[1].endswith(f"\t{ID}\tERROR\tbad")
    assert answer.levels == [2, 4]


def test_lines_of_json_if_the_environment_says_so() -> None:
    function = JS.function(
        "exports.handler = async () => { console.debug('no'); console.warn('w', {a: 1}); console.info({x: 1}) }",
        environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
    )
    lines = [json.loads(line) for line in function.invoke(request_id=ID).logs]
    assert [(line["level"], line["requestId"], line["message"]) for line in lines] == [
        ("WARN", ID, "w { a: 1 }"),
        ("INFO", ID, {"x": 1}),
    ]


def test_what_is_written_to_stdout_is_as_it_is() -> None:
    assert in_handler("process.stdout.write('one\\ntwo\\n'); return 1").logs == ["one", "two"]


def test_a_secret_of_the_prototype_is_no_way_out() -> None:
    assert in_handler(
        "Object.prototype.then = 1; Array.prototype.push = null; return [typeof native, typeof library]"
    ).ok == [
        "undefined",
        "undefined",
    ]
