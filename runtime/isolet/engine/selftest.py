"""The engine, tried on this machine: a guest runs into every wall, and each must hold. Takes some tens of milliseconds.

What can be wrong although every test passed elsewhere: a handler of SIGSEGV that sits before wasmtime's, a limit on
address space, a kernel without the mappings that the pool wants, a wheel of another version. The server runs this
before it serves, and refuses to if anything fails; `isolet doctor` runs each check in a process of its own, since some
failures are the death of it.

Law: a check that cannot be made has failed.
"""

from __future__ import annotations

import contextlib
import resource
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .. import limits
from ..errors import EngineFault, IsoletError, OutOfFuel, Overloaded, Trapped
from .engine import Engine, EngineSettings, Template, wat
from .host import GuestView, HostFunction, Wait
from .isolate import Isolate, drive


class Failure(NamedTuple):
    check: str
    found: str
    cure: str

    def __str__(self) -> str:
        return f"{self.check}: {self.found}; {self.cure}"


# What a slot of the pool reserves: 4 GiB for the memory, the guard behind it, and small change.
SLOT_BYTES = 4 * limits.GIB + 64 * limits.MIB

_PAGES = 4
_PAGES_MAX = 8
_SLOTS = 2
# Two slices and a half: it must be stopped between slices before its fuel ends it.
_FUEL = limits.SLICE_FUEL * 5 // 2
_IMAGE_AT, _IMAGE = 64, b"as the snapshot has it"
# Beyond the bytes that a slot keeps resident, which are reset in another way than those within.
_FAR_AT = (_PAGES - 1) * limits.WASM_PAGE_BYTES
assert _FAR_AT > limits.MEMORY_KEEP_RESIDENT_BYTES, "both ways of resetting a slot are tried"

_GUEST = f"""
(module
  (import "selftest" "double" (func $double (param i32) (result i32)))
  (import "selftest" "ask" (func $ask (param i32) (result i32)))
  (memory (export "memory") {_PAGES})
  (data (i32.const {_IMAGE_AT}) "{_IMAGE.decode("ascii")}")
  (func (export "out_of_bounds") (i32.store (i32.const -4) (i32.const 1)))
  (func $down (param i64) (result i64) (i64.add (call $down (local.get 0)) (i64.const 1)))
  (func (export "recurse") (drop (call $down (i64.const 0))))
  (func (export "spin") (loop (br 0)))
  (func (export "grow") (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))))
  (func (export "call_host") (i32.store (i32.const 0) (call $ask (call $double (i32.const 20)))))
  (func (export "spoil")
    (memory.fill (i32.const {_IMAGE_AT}) (i32.const 255) (i32.const {len(_IMAGE)}))
    (memory.fill (i32.const {_FAR_AT}) (i32.const 255) (i32.const {limits.WASM_PAGE_BYTES}))))
"""


def _ask(_guest: GuestView, number: int) -> Wait:
    return Wait("selftest", number, lambda status: number + status)


_IMPORTS = (
    HostFunction("selftest", "double", "i", "i", lambda _guest, number: 2 * number),
    HostFunction("selftest", "ask", "i", "i", _ask, suspends=True),
)


class Bench:
    """An engine as a worker has it, but small, and the guest that tries it."""

    def __init__(self) -> None:
        self.engine = Engine(EngineSettings(pooling=True, isolates_max=_SLOTS), _IMPORTS)
        self.wasm = wat(_GUEST)

    def template(self) -> Template:
        """The guest, as a worker gets it: from a file."""
        artifact = self.engine.compile(self.wasm).serialize()
        with tempfile.NamedTemporaryFile(prefix="isolet-selftest-") as file:
            file.write(artifact)
            file.flush()
            return self.engine.link(self.engine.load(file.name))

    @contextlib.contextmanager
    def isolate(self, template: Template, fuel: int = _FUEL) -> Iterator[Isolate]:
        isolate = Isolate(self.engine, template, _PAGES_MAX * limits.WASM_PAGE_BYTES, fuel)
        try:
            drive(isolate.instantiate())
            yield isolate
        finally:
            isolate.close()


# ── checks: each returns, or raises ─────────────────────────────────────────────────────────────────────────────


def _require(holds: bool, found: str) -> None:
    if not holds:
        raise EngineFault(found)


def _trapped(bench: Bench, export: str, trap: str, fuel: int = _FUEL) -> None:
    with bench.isolate(bench.template(), fuel) as isolate:
        try:
            drive(isolate.call(export))
        except Trapped as trapped:
            _require(trapped.trap == trap, f"the guest was stopped by {trapped.trap} instead of {trap}")
        else:
            raise EngineFault("the guest was not stopped")


def out_of_bounds(bench: Bench) -> None:
    _trapped(bench, "out_of_bounds", "memory_out_of_bounds")


def recursion(bench: Bench) -> None:
    # A call takes more bytes of the stack than it spends fuel.
    _trapped(bench, "recurse", "stack_overflow", limits.WASM_STACK_BYTES)


def infinite_loop(bench: Bench) -> None:
    with bench.isolate(bench.template()) as isolate:
        spinning = isolate.call("spin")
        _require(next(spinning) is None, "a guest that spins does not give way after its slice")
        try:
            drive(spinning)
        except OutOfFuel:
            return
        raise EngineFault("a guest that spins is not stopped when its fuel is spent")


def memory_limit(bench: Bench) -> None:
    with bench.isolate(bench.template()) as isolate:
        drive(isolate.call("grow"))
        pages = isolate.memory_size() // limits.WASM_PAGE_BYTES
        _require(pages == _PAGES_MAX, f"a guest that may have {_PAGES_MAX} pages grew to {pages}")


def host_call(bench: Bench) -> None:
    waited: list[object] = []

    def answer(wait: Wait) -> None:
        waited.append(wait.argument)
        wait.finish(2)

    with bench.isolate(bench.template()) as isolate:
        drive(isolate.call("call_host"), answer)
        _require(waited == [40], f"the guest waits for {waited} instead of [40]")
        found = isolate.read_u32(0)
        _require(found == 42, f"two host calls gave {found} instead of 42")


def restore(bench: Bench) -> None:
    template = bench.template()
    for _ in range(_SLOTS + 1):  # more lives than slots: the last one is in a slot that was spoilt
        with bench.isolate(template) as isolate:
            image = isolate.read(_IMAGE_AT, len(_IMAGE))
            _require(image == _IMAGE, f"a fresh isolate holds {image!r} instead of its image {_IMAGE!r}")
            left = isolate.read(_FAR_AT, limits.WASM_PAGE_BYTES).count(0)
            _require(left == limits.WASM_PAGE_BYTES, "a fresh isolate holds what its predecessor wrote")
            drive(isolate.call("spoil"))


def slots(bench: Bench) -> None:
    template = bench.template()
    with contextlib.ExitStack() as held:
        for _ in range(_SLOTS):
            held.enter_context(bench.isolate(template))
        try:
            held.enter_context(bench.isolate(template))
        except Overloaded:
            pass
        else:
            raise EngineFault(f"a pool of {_SLOTS} slots holds one more")
    _require(bench.engine.live == 0, f"{bench.engine.live} isolates are left after all were freed")


_SIGNALS = (
    "something handles SIGSEGV before wasmtime does: do not enable faulthandler after the start, "
    "and attach no debugger or crash reporter"
)
_WHEEL = "install the wasmtime that isolet asks for: pip install --force-reinstall 'wasmtime>=50.0.1,<51'"

# By name: what must hold, the check, and the cure where we know one.
CHECKS: dict[str, tuple[str, Callable[[Bench], None], str]] = {
    "out of bounds": ("a store outside memory is a trap", out_of_bounds, _SIGNALS),
    "recursion": ("endless recursion is a trap", recursion, _SIGNALS),
    "infinite loop": ("a spinning guest gives way, and ends with its fuel", infinite_loop, _WHEEL),
    "memory limit": ("a guest's memory ends at its limit", memory_limit, _WHEEL),
    "host call": ("host functions answer, at once and later", host_call, _WHEEL),
    "restore": ("every isolate begins as its image, whatever the slot held", restore, _WHEEL),
    "slots": ("the pool ends where it should and takes its slots back", slots, _WHEEL),
}


def run(names: tuple[str, ...] = tuple(CHECKS)) -> list[Failure]:
    """Those of the checks that failed. Never raises; the process may die of a machine that is wrong enough."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    needed = _SLOTS * SLOT_BYTES
    if allowed != resource.RLIM_INFINITY and allowed < needed:  # wasmtime would abort the process
        gib = limits.GIB
        found = f"{needed // gib} GiB of address space are needed at least, and {allowed // gib} are allowed"
        return [Failure("engine", found, "ulimit -v unlimited")]
    try:
        bench = Bench()
    except Exception as error:
        cure = "let `isolet doctor` look at the address space that may be reserved"
        return [Failure("engine", f"no engine can be made: {_said(error)}", cure)]
    failures = []
    try:
        for name in names:
            _, check, cure = CHECKS[name]
            try:
                check(bench)
            except Exception as error:
                failures.append(Failure(name, _said(error), cure))
    finally:
        bench.engine.close()
    return failures


def _said(error: Exception) -> str:
    if isinstance(error, IsoletError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
