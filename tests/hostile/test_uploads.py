"""What tenants upload: zips that are none, modules that are none, modules made to harm whoever compiles them.

Of every upload here, twice: it is refused in words that say why; the second time at once, without a builder; nothing is
left of it on the disk or among the processes, and the builder kept within its limits.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import multiprocessing
import os
import re
import resource
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from hostile.house import BUILD, ROLE, Case, Expected, Failed, House, Seen, answers, module, refused, until
from isolet import limits
from isolet.builder import build
from isolet.building import BuildRequest
from isolet.engine.engine import wat
from isolet.errors import ModuleInvalid
from isolet.snapshot import sections
from served import PATIENCE_S, zipped
from snapshot.test_hostile import GUEST, HARM, VOID, with_body, with_functions, with_types
from storage.test_packages import BAD, module_and

FUNCTIONS = "/2015-03-31/functions"
# What a builder may take beyond its limit until it is noticed: the kernel looks at each tick, and Python has to start.
CPU_SLACK_S = 3


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────


def builds(house: House) -> int:
    """How many builders there have been."""
    text = httpx.get(f"{house.server.url}/metrics", timeout=PATIENCE_S).text
    return sum(int(float(value)) for value in re.findall(r"^isolet_builds_total\{\S+\} (\S+)$", text, re.MULTILINE))


def builder_cpu_s(house: House) -> float:
    """CPU-seconds of all builders that have ended."""
    fields = Path(f"/proc/{house.server.keeper()}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def builders(house: House) -> list[int]:
    keeper = house.server.keeper()
    return [int(pid) for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()]


def stored(house: House) -> set[str]:
    """Everything in the data directory that uploads might leave, but packages, which are kept for an hour."""
    return {path.name for path in (house.server.directory / "data" / "artifacts").iterdir()}


def packages(house: House) -> set[str]:
    return {path.name for path in (house.server.directory / "data" / "packages").iterdir()}


# ── uploading ───────────────────────────────────────────────────────────────────────────────────────────────────


def create(house: House, name: str, package: bytes, **settings: Any) -> Seen:
    body = {
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "provided.al2023",
        "Handler": "handle",
        "Code": {"ZipFile": base64.b64encode(package).decode()},
        **settings,
    }
    return ask(house, "POST", FUNCTIONS, body)


def ask(house: House, method: str, path: str, body: Mapping[str, Any] | None = None) -> Seen:
    answer = house.hostile.http.request(method, path, json=body)
    said = answer.json() if answer.content else {}
    error = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    return Seen(answer.status_code, error, str(said.get("message", said.get("Message", ""))), said)


def configuration(house: House, name: str) -> Any:
    """What is known of a function. Who asks in a loop meets the tenant's rate of calls, and asks again."""
    while (seen := ask(house, "GET", f"{FUNCTIONS}/{name}/configuration")).status == 429:
        pass
    return seen.value


def built(house: House, name: str) -> Seen:
    """What became of a function: its error is the state that it ended in."""
    deadline_s = monotonic() + PATIENCE_S
    while (state := configuration(house, name))["State"] == "Pending":
        assert monotonic() < deadline_s, f"{name} is still being built"
    return Seen(200, "" if state["State"] == "Active" else state["State"], state.get("StateReason", ""), state)


# ── refused with the request ────────────────────────────────────────────────────────────────────────────────────


def at_once(package: Callable[[], bytes]) -> Callable[[House], Seen]:
    """Uploaded, refused, and no trace of it anywhere."""

    def attack(house: House) -> Seen:
        content, before = package(), (builds(house), stored(house), packages(house))
        seen = create(house, "upload", content)
        assert (builds(house), stored(house), packages(house)) == before
        assert ask(house, "GET", f"{FUNCTIONS}/upload").status == 404
        return seen

    return attack


def no_package(words: str) -> Expected:
    """The alternatives of a pattern are all that a message may say; here it says one of them."""
    return refused(400, "InvalidParameterValueException", words if re.fullmatch(r"[\w ./,-]+", words) else "")


def crowded() -> bytes:
    """A directory of twenty thousand entries, which says that it has one."""
    content = module_and()
    end = content.rfind(b"PK\x05\x06")
    at = struct.unpack_from("<I", content, end + 16)[0]
    directory = content[at:end] * 20_000
    return content[:at] + directory + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), at, 0)


ZIPS = [
    Case(f"zip: {name}", BUILD, at_once(make), no_package(words))
    for name, (make, words) in BAD.items()
    if name not in ("empty", "crowded")  # nothing is no upload; and ours is smaller, for a worker keeps what it took
]


def encoded(house: House) -> Seen:
    """A body that says it is compressed: a bomb that no limit on the request's bytes would see."""
    body = gzip.compress(json.dumps({"FunctionName": "upload", "Code": {"ZipFile": "A" * 5_000_000}}).encode())
    answer = house.hostile.http.post(FUNCTIONS, content=body, headers={"content-encoding": "gzip"})
    return Seen(answer.status_code)


def not_base64(house: House) -> Seen:
    return ask(house, "POST", FUNCTIONS, {"FunctionName": "upload", "Role": ROLE, "Code": {"ZipFile": "!" * 9}})


def from_a_file(house: House) -> Seen:
    code = {"S3Bucket": "data", "S3Key": "../../../../etc/passwd"}
    settings = {"Runtime": "provided.al2023", "Handler": "handle"}
    return ask(house, "POST", FUNCTIONS, {"FunctionName": "upload", "Role": ROLE, "Code": code, **settings})


def layer(package: Callable[[], bytes]) -> Callable[[House], Seen]:
    def attack(house: House) -> Seen:
        before = packages(house)
        content = {"ZipFile": base64.b64encode(package()).decode()}
        seen = ask(house, "POST", "/2018-10-31/layers/upload/versions", {"Content": content})
        assert packages(house) == before
        return seen

    return attack


REQUESTS = [
    Case("zip: crowded", BUILD, at_once(crowded), no_package("directory has")),
    Case("a compressed body", BUILD, encoded, refused(400)),
    Case("a zip that is not base64", BUILD, not_base64, refused(400, "SerializationException")),
    Case("code from a path", BUILD, from_a_file, refused(400, "InvalidParameterValueException", "S3 endpoint")),
    *(
        Case(f"layer: {name}", BUILD, layer(BAD[name][0]), refused(400, "InvalidParameterValueException"))
        for name in ("slip", "symlink", "bomb", "overlap", "truncated")
    ),
]


def attack_with(house: House, cases: Sequence[Case]) -> None:
    """All of them, one after the other, and the house afterwards as it was before."""
    problems = []
    with house.watched():
        for case in cases:
            assert callable(case.input)
            try:
                case.expected.check(case.input(house))
            except AssertionError as problem:
                problems.append(f"{case}: {problem}")
    assert not problems, "\n".join(problems)


def test_uploads_are_refused_with_their_requests(house: House) -> None:
    attack_with(house, [*ZIPS, *REQUESTS])


# ── refused by the builder ──────────────────────────────────────────────────────────────────────────────────────


def twice(package: Callable[[], bytes], **settings: Any) -> Callable[[House], Seen]:
    """Uploaded; refused by the builder; uploaded again under the same name, and refused at once in the same words."""

    def attack(house: House) -> Seen:
        content, before = package(), stored(house)
        count, cpu_s = builds(house), builder_cpu_s(house)
        created = create(house, "upload", content, **settings)
        assert created.status == 201, created
        try:
            seen = built(house, "upload")
            assert seen.error == "Failed", seen
            until(lambda: not builders(house), "the builder is gone")
            assert builder_cpu_s(house) - cpu_s <= limits.BUILD_CPU_S + CPU_SLACK_S
            assert builds(house) == count + 1
            again = ask(house, "PUT", f"{FUNCTIONS}/upload/code", {"ZipFile": base64.b64encode(content).decode()})
        finally:
            house.hostile.remove("upload")
        assert (again.status, again.error, again.says) == (400, "InvalidParameterValueException", seen.says)
        anew = create(house, "upload", content, **settings)
        assert (anew.status, anew.says) == (400, seen.says)
        assert builds(house) == count + 1, "the second and the third are refused without a builder"
        assert stored(house) == before
        return seen

    return attack


def failed(says: str) -> Expected:
    return Expected(200, "Failed", says)


def wasm(name: str, content: str | bytes | Callable[[], bytes], says: str, **settings: Any) -> Case:
    def package() -> bytes:
        return zipped({"function.wasm": content() if callable(content) else module(content)})

    return Case(f"module: {name}", BUILD, twice(package, **settings), failed(says))


ABI = """(func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0))"""


def guest(body: str, pages: str = "2") -> str:
    return f'(module (memory (export "memory") {pages}) {body} {ABI})'


def init(code: str, more: str = "") -> str:
    return guest(f'{more} (func $init (export "isolet_init") {code})')


def cut() -> bytes:
    return GUEST[:-7]


def with_locals() -> bytes:
    """Ten thousand locals, alive in as many loops."""
    unsigned = sections.unsigned
    code = b"".join(b"\x03\x40\x20" + unsigned(n) + b"\x41\x01\x6a\x21" + unsigned(n) + b"\x0b" for n in range(10_000))
    parsed = sections.parse(GUEST)
    payloads = parsed.payloads()
    bodies = [parsed.wasm[b.start : b.end] for b in parsed.bodies[:-1]]
    bodies.append(b"\x01" + unsigned(10_000) + b"\x7f" + code + b"\x0b")
    payloads[sections.CODE] = sections.vector(unsigned(len(body)) + body for body in bodies)
    return sections.emit(payloads)


def nested_values(depth: int = 20_000) -> bytes:
    return with_body(b"\x41\0" + b"\x04\x7f\x41\0" * depth + b"\x05\x41\0\x0b" * depth + b"\x1a")


MODULES = [
    wasm("cut off", cut, "bytes announced"),
    wasm("sections that lie", lambda: GUEST[:9] + b"\xff\xff\xff\xff\x0f" + GUEST[10:], "section"),
    wasm("no handler", '(module (memory (export "memory") 1))', "does not export `isolet_"),
    wasm("no memory", f"(module (memory 1) {ABI})", "does not export its memory"),
    wasm("two memories", f'(module (memory (export "memory") 1) (memory 1) {ABI})', "2 memories"),
    wasm("more memory than it has", guest("", "4096"), "raise `memory_mb`"),
    wasm(
        "the memory is a function", f'(module (memory 1) (func (export "memory")) {ABI})', "does not export its memory"
    ),
    wasm(
        "a handler of another type",
        '(module (memory (export "memory") 1) (func (export "isolet_buffer") (param i32) (result i32) (i32.const 0))'
        ' (func (export "isolet_handle") (param i64) (result i64) (i64.const 0)))',
        "the export `isolet_handle` is (i64)",
    ),
    wasm(
        "a handler that is a global",
        '(module (memory (export "memory") 1) (func (export "isolet_buffer") (param i32) (result i32) (i32.const 0))'
        ' (global (export "isolet_handle") i32 (i32.const 0)))',
        "is a global, and it must be a function",
    ),
    wasm("a program", guest('(func (export "_start"))'), "exports `_start`"),
    wasm("an import that there is not", f'(module (import "env" "system" (func)) {guest("")[8:]}', "`env.system`"),
    wasm("a memory from outside", f'(module (import "env" "memory" (memory 1)) {ABI})', "imports the memory"),
    wasm(
        "an import of another type",
        f'(module (import "isolet" "take" (func (param i64))) {guest("")[8:]}',
        "the module imports `isolet.take` as",
    ),
    wasm("a reserved name", guest('(func (export "__isolet_g0"))'), "which is reserved"),
    wasm("tables without end", guest("(table 1 funcref)" * 5), "5 tables"),
    wasm("a table that is too large", guest("(table 100001 funcref)"), "100,001 elements"),
    wasm("code that does not validate", lambda: with_body(b"\x1a"), "failed to compile"),
    wasm("an instruction of a proposal that is off", lambda: with_body(b"\xfe\x03\x00"), "switched off here"),
    wasm("a start function that traps", "start_trap.wat", "failed in the start function"),
    wasm("initialisation that traps", "initialiser_traps.wat", "its last words: no table found"),
    wasm("initialisation that recurs", init("(call $init)"), "call stack is exhausted"),
    wasm(
        "initialisation that exits",
        '(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) '
        + init("(call $exit (i32.const 3))")[8:],
        "failed in `isolet_init`",
    ),
    wasm("initialisation outside of memory", init("(i32.store (i32.const -1) (i32.const 1))"), "outside linear memory"),
    wasm(
        "initialisation that takes all memory and falls",
        init("(loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) unreachable"),
        "failed in `isolet_init`",
    ),
    wasm("a buffer outside of memory", "buffer_outside.wat", "isolet_buffer"),
    wasm("no buffer", "no_buffer.wat", "isolet_buffer"),
    wasm("100,000 types", lambda: with_types(99_000), "10,000"),
    wasm("100,000 functions", lambda: with_functions(99_000), "99,003 functions, and at most 50,000"),
    wasm(
        "a function of 300 KB: 60,000 indirect calls", HARM["indirect calls"], "at most 262,144 are allowed; split it"
    ),
    wasm("a branch table of a million", HARM["a giant branch table"], "at most 262,144"),
    wasm("drops without end", HARM["drops without end"], "at most 262,144"),
    wasm("20,000 values in as many conditions", nested_values, "needs more than 1,024 MiB of memory"),
]

BOMBS = [
    # Time or memory, whichever is over first.
    wasm("50,000 indirect calls", lambda: with_body((b"\x41\0\x11" + VOID + b"\0") * 50_000), "building upload"),
    wasm("10,000 locals in as many loops", with_locals, "needs more than 1,024 MiB of memory"),
    wasm("a start function that never ends", "start_loop.wat", "10 s"),
    wasm("initialisation that never ends", "initialiser_spins.wat", "10 s"),
]


# Of the others, every run has these: an import, an export, an initialisation, two that a limit meets.
QUICK = (
    "no handler",
    "an import that there is not",
    "a start function that traps",
    "100,000 functions",
    "20,000 values",
)


def is_quick(case: Case) -> bool:
    return case.name.removeprefix("module: ").startswith(QUICK)


def test_modules_are_refused_and_the_second_time_at_once(house: House) -> None:
    attack_with(house, [case for case in MODULES if is_quick(case)])


@pytest.mark.slow
def test_all_the_modules_are_refused_and_the_second_time_at_once(house: House) -> None:
    attack_with(house, [case for case in MODULES if not is_quick(case)])


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS, ids=str)
def test_bomb_is_refused_within_the_limits_and_the_second_time_at_once(house: House, case: Case) -> None:
    house.attacked(case)


# ── no harm ─────────────────────────────────────────────────────────────────────────────────────────────────────


def taken(package: Callable[[], bytes], value: Any) -> Callable[[House], Seen]:
    """Built, called, removed."""

    def attack(house: House) -> Seen:
        created = create(house, "upload", package())
        assert created.status == 201, created
        try:
            assert built(house, "upload").error == ""
            seen = house.hostile.invoke("upload")
        finally:
            house.hostile.remove("upload")
        return seen

    return attack


def logging() -> bytes:
    """As many lines while it initialises as its host calls allow."""
    lines = """(local $n i32) (loop $more
      (call $log (i32.const 2) (i32.const 0) (i32.const 40))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $n) (i32.const 20000))))"""
    text = '(module (import "isolet" "log" (func $log (param i32 i32 i32))) (memory (export "memory") 2)'
    text += f'(func (export "isolet_init") {lines})'
    text += """(func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (data (i32.const 100) "\\81\\a2ok\\01")
      (func (export "isolet_handle") (param i32 i32) (result i64)
        (i64.or (i64.shl (i64.const 100) (i64.const 32)) (i64.const 5))))"""
    return wat(text)


def nested_zip() -> bytes:
    """A zip in a zip in a zip: a file like any other; nobody opens it."""
    inner = zipped({"bomb": bytes(1_000_000)})
    for _ in range(5):
        inner = zipped({"again.zip": inner, "../../slip": b"x"})
    return zipped({"function.wasm": logging(), "data.zip": inner})


HARMLESS = [
    Case("a zip in a zip; a flood of lines while it initialises", BUILD, taken(nested_zip, 1), answers(1)),
]


def test_uploads_that_only_look_hostile_are_functions(house: House) -> None:
    attack_with(house, HARMLESS)


# ── together ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_change_that_is_refused_leaves_what_served(house: House) -> None:
    """UpdateFunctionCode of a bomb: LastUpdateStatus says why, and the function answers as before."""
    with house.watched():
        house.hostile.deploy("upload", logging())
        try:
            bad = zipped({"function.wasm": module("start_trap.wat"), "another": b"package"})
            changed = ask(house, "PUT", f"{FUNCTIONS}/upload/code", {"ZipFile": base64.b64encode(bad).decode()})
            assert changed.status == 200
            until(lambda: configuration(house, "upload")["LastUpdateStatus"] != "InProgress", "the update has ended")
            assert configuration(house, "upload")["LastUpdateStatus"] == "Failed"
            assert "start function" in configuration(house, "upload")["LastUpdateStatusReason"]
            assert house.hostile.invoke("upload").value == 1
        finally:
            house.hostile.remove("upload")


@pytest.mark.slow
def test_bomb_in_many_functions_goes_off_once(house: House) -> None:
    """The same bytes under twenty names at once: one builder, twenty refusals."""
    package = zipped(
        {"function.wasm": with_body(b"\x41\0" + b"\x04\x7f\x41\0" * 19_000 + b"\x05\x41\0\x0b" * 19_000 + b"\x1a")}
    )
    names = [f"upload-{number}" for number in range(20)]
    with house.watched():
        count = builds(house)
        answered = [create(house, name, package) for name in names]
        pending = [name for name, each in zip(names, answered, strict=True) if each.status == 201]
        reasons = {built(house, name).says for name in pending}
        reasons |= {each.says for each in answered if each.status != 201}
        for name in pending:
            house.hostile.remove(name)
        assert all("needs more than 1,024 MiB of memory" in reason for reason in reasons), reasons
        assert builds(house) == count + 1


def test_refusal_of_one_tenant_tells_another_nothing(house: House) -> None:
    """Another account that uploads the refused bytes has them built, as if nobody ever had."""
    package = {"function.wasm": wat(guest('(func (export "_start")) (global i32 (i32.const 71))'))}
    with house.watched():
        with pytest.raises(Failed, match="_start"):
            house.hostile.deploy("upload", package)
        house.hostile.remove("upload")
        count = builds(house)
        with pytest.raises(Failed, match="_start"):
            house.neighbour.deploy("upload", package)
        house.neighbour.remove("upload")
        assert builds(house) == count + 1


@pytest.mark.slow
def test_neighbour_deploys_beside_bombs(house: House) -> None:
    """While bombs take all the builders that a tenant may have, a neighbour's function is built and answers."""
    bomb = with_body((b"\x41\0\x11" + VOID + b"\0") * 49_000)
    with house.watched():
        names = [f"upload-{number}" for number in range(3)]
        for number, name in enumerate(names):
            create(house, name, zipped({"function.wasm": bomb, "n": str(number)}))
        house.neighbour.deploy("beside", logging())
        assert house.neighbour.invoke("beside").value == 1
        house.neighbour.remove("beside")
        for name in names:
            assert built(house, name).error == "Failed"
            house.hostile.remove(name)


def _measured(harm: bytes, directory: str, answers: Any) -> None:
    """In a process of its own: what its builders took."""
    path = Path(directory) / "package.zip"
    path.write_bytes(zipped({"function.wasm": harm}))
    request = BuildRequest(str(path), "harm", "arn", 16, f"{directory}/artifacts", f"{directory}/mac.key")
    try:
        asyncio.run(build(request))
        said = ""
    except ModuleInvalid as refusal:
        said = refusal.message
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    answers.send((said, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024))


@pytest.fixture
def spawned() -> Any:
    return multiprocessing.get_context("fork")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HARM, "10,000 locals"])
def test_builder_keeps_within_its_limits(name: str, tmp_path: Path, spawned: Any) -> None:
    """Made or refused; measured by its parent."""
    harm = with_locals() if name not in HARM else HARM[name]()
    mine, theirs = spawned.Pipe()
    process = spawned.Process(target=_measured, args=(harm, str(tmp_path), theirs))
    process.start()
    assert mine.poll(PATIENCE_S)
    said, cpu_s, resident_bytes = mine.recv()
    process.join(PATIENCE_S)
    print(f"{name}: {cpu_s:.1f} CPU-s, {resident_bytes // limits.MIB} MiB: {said or 'made'}")
    assert cpu_s <= limits.BUILD_CPU_S + CPU_SLACK_S
    # Pages of files (the interpreter, the engine's library) come on top of what the limit counts.
    assert resident_bytes <= limits.BUILD_MEMORY_BYTES + 128 * limits.MIB
