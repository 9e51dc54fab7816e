"""The isolate: a Store, an instance, limits and fuel; one invocation; a coroutine metered in fuel.

Its methods that run the guest are generators. They yield None when a fuel slice is used up (resume it when it is its
turn again) and a `Wait` when the guest waits for the host (resume it once the wait is finished), and return their
result. Closing the generator, or `close`, frees everything, whatever the guest was doing.

Laws:
- One isolate serves one invocation, is driven by one task on one thread, and is never called again after a trap.
- Every `(ptr, len)` is an unsigned 32-bit pair, checked in 64-bit arithmetic against the present size of memory.
- The Store dies in `finally`; usage is read just before.
- A frame's trap and error slots are zero except between a poll and `_failure`; its argument kinds are always i32.

Measured (2 cores, wasmtime 50.0.1): see benches/bench_isolate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final, TypeVar

from .. import limits
from ..errors import AbiViolation, GuestError, IsoletError, OutOfFuel, OutOfMemory, ResponseTooLarge
from . import binding, traps
from .binding import (
    Frame,
    call_async,
    caller_export_get,
    export_get,
    future_delete,
    future_poll,
    get_fuel,
    instantiate_async,
    instantiate_now,
    linker_define,
    linker_instantiate_async,
    memmove,
    memory_data,
    memory_data_size,
    set_fuel,
    set_yield_interval,
    store_context,
    store_delete,
    store_limiter,
    store_new,
    string_at,
)
from .engine import Code, Engine, Template
from .host import Wait
from .workingset import WorkingSet, give_back, written

# What the guest's code yields to its driver: None (slice used up) or what it waits for.
Step = Wait | None
T = TypeVar("T")

_OUTCOME_BYTES_MAX = limits.PAYLOAD_BYTES_MAX + limits.ENVELOPE_BYTES_MAX
_U32 = 0xFFFFFFFF
# Copies of limits.py's, since every isolate reads them.
_SLICE_FUEL: Final = limits.SLICE_FUEL
_SLICE_FIRST_FUEL = limits.SLICE_FIRST_FUEL
_SLICE_FUEL_MIN = limits.SLICE_FUEL_MIN
_SLICE_SLOW_NS = limits.SLICE_SLOW_NS
_SLICE_PENANCE_NS = int(limits.SLICE_PENANCE_S * 1e9)
_TABLE_ELEMENTS_MAX = limits.TABLE_ELEMENTS_MAX
# From this much memory, and from this many slices on (fewer do not write so much), an isolate is freed in steps, of
# 0.2 ms each.
_BURIED_BYTES = 8 * limits.MIB
_BURIED_SLICES = 4
_GIVEN_BACK_BYTES = 2 * limits.MIB


class Isolate:
    """One instance of a template. `state` is the host functions' object for this invocation; the engine never looks
    at it."""

    # What an isolate starts with. Class attributes, because most invocations leave most of them as they are: setting
    # twenty of them in every `__init__` costs 0.6 µs.
    # True once instantiation is over; until then a start section may be running.
    born = False
    failure: BaseException | None = None
    wait: Wait | None = None
    wait_result_at = 0
    host_calls = 0
    slices = 0
    fuel_used = 0
    memory_bytes = 0
    restore_ns = 0
    state: Any = None
    _store = 0
    _context = 0
    _base = 0
    _future = 0
    _debt = 0
    _hurried = False
    # Fuel of its slices once it has had two; 0: the template's.
    _slice_fuel = 0
    # The charges that end a slice.
    _debt_max = _SLICE_FUEL
    # Whether a slice took long by the clock.
    _suspected = False
    _frame: Frame | None = None

    def __init__(self, engine: Engine, template: Template, memory_bytes_max: int, fuel: int, state: Any = None) -> None:
        self._engine = engine
        self._template = template
        self.memory_bytes_max = memory_bytes_max
        self.fuel = fuel
        if state is not None:
            self.state = state

    # ── an invocation ───────────────────────────────────────────────────────────────────────────────────────────

    def run(self, payload: bytes, buffer_ptr: int, buffer_len: int) -> Generator[Step, None, bytes]:
        """Restore (if `prepare` has not), call with `payload`, read outcome and usage.

        `buffer_ptr`, `buffer_len`: the input buffer recorded with the snapshot, inside its memory; 0, 0 for a module
        that could not be frozen, which is then initialised here. Raises a GuestError or a HostError.

        When it returns, the guest is done but not yet freed: whoever runs it calls `close`, after the answer is on its
        way. When it raises, or is closed, the guest is gone.

        One flat body, where `instantiate` and `handle` would do: two nested generators cost 2 µs of 17.
        """
        done = False
        try:
            if not self._store:
                began_ns = perf_counter_ns()
                future = self._begin()
                if not future_poll(future):
                    yield from self._until_done(future)
                self._future = 0
                future_delete(future)
                self._born(began_ns)
            length = len(payload)
            if length > buffer_len or buffer_ptr == 0:
                if buffer_ptr == 0:
                    yield from self.initialise()
                buffer_ptr = yield from self._buffer(length)
                self.write(buffer_ptr, payload)
            else:
                memmove(self._base + buffer_ptr, payload, length)
            self._future = future = self._begin_handle(buffer_ptr, length)
            self._engine.running[0] = self
            if not future_poll(future):
                yield from self._until_done(future)
            self._future = 0
            future_delete(future)
            outcome = self._outcome()
            done = True
            return outcome
        finally:
            if not done:
                self.close()

    def serve(self, payload: bytes, buffer_ptr: int, buffer_len: int) -> Generator[Step, None, bytes]:
        """`run`, and free: the whole life."""
        try:
            return (yield from self.run(payload, buffer_ptr, buffer_len))
        finally:
            self.close()

    def prepare(self) -> bool:
        """Restores ahead of an invocation, at once. False, and nothing is kept, if it cannot (no slot, a start
        section)."""
        try:
            restoring = self.instantiate()
            next(restoring)
        except StopIteration:
            return True
        except IsoletError:
            pass
        else:
            restoring.close()
        self.close()
        return False

    def _begin(self) -> int:
        """Store, limits and fuel; starts instantiation and makes this the running isolate."""
        engine = self._engine
        self._frame = frame = engine.frames.pop() if engine.frames else Frame()
        self._store = store = store_new(engine.address, None, None)
        engine.live += 1
        self._context = context = store_context(store)
        template = self._template
        code = template.code
        instances = 1 if code is None else 2
        store_limiter(store, self.memory_bytes_max, _TABLE_ELEMENTS_MAX, instances, engine.tables_max, 1)
        set_fuel(context, self.fuel)
        if code is None:
            set_yield_interval(context, template.slice_fuel)
            future: int = instantiate_async(template.address, context, frame.instance_at, frame.trap_at, frame.error_at)
        else:
            self._restore_state(template.address, code, frame)
            set_yield_interval(context, template.slice_fuel)
            future = linker_instantiate_async(
                engine.state_linker, context, code.module.address, frame.instance_at, frame.trap_at, frame.error_at
            )
        self._future = future
        engine.running[0] = self
        return future

    def _restore_state(self, state_at: int, code: Code, frame: Frame) -> None:
        """Instantiates a state and shows its memory and globals to the code that comes next.

        At once, on no fiber: there is nothing to run in a state. It saves 0.7 µs of 13.
        """
        context, linker, module = self._context, self._engine.state_linker, code.state_module
        error = instantiate_now(state_at, context, frame.instance_at, frame.trap_at)
        if error or frame.words[Frame.TRAP]:
            frame.words[Frame.ERROR] = error or 0
            raise self._failure()
        for name in code.names:
            export_get(context, frame.instance_at, name, len(name), frame.item_extern_at)
            refusal = linker_define(linker, context, module, len(module), name, len(name), frame.item_extern_at)
            assert not refusal, binding.take_error(refusal)

    def _born(self, began_ns: int) -> None:
        """The instance is there, or it failed; finds its memory."""
        frame, context = self._frame, self._context
        assert frame is not None, "begun"
        words = frame.words
        if words[Frame.TRAP] or words[Frame.ERROR]:
            raise self._failure()
        if not export_get(context, frame.instance_at, b"memory", 6, frame.memory_extern_at):
            raise AbiViolation("the module does not export `memory`")
        self._base = memory_data(context, frame.memory_at)
        self.born = True
        pages = self._template.written
        if pages is not None and pages.runs and not pages.populate(self._base):
            self._template.written = WorkingSet(())
        self.restore_ns = perf_counter_ns() - began_ns

    def _begin_handle(self, ptr: int, length: int) -> int:
        frame, context = self._frame, self._context
        assert frame is not None, "begun"
        if not export_get(context, frame.instance_at, b"isolet_handle", 13, frame.handle_extern_at):
            raise AbiViolation("the module does not export `isolet_handle`")
        words = frame.words
        words[Frame.ARGUMENTS + 1], words[Frame.ARGUMENTS + 5] = ptr, length
        return int(
            call_async(
                context, frame.handle_at, frame.arguments_at, 2, frame.result_at, 1, frame.trap_at, frame.error_at
            )
        )

    def _outcome(self) -> bytes:
        """A copy of the outcome's bytes, once `isolet_handle` has returned."""
        frame = self._frame
        assert frame is not None, "begun"
        words = frame.words
        if words[Frame.TRAP] or words[Frame.ERROR]:
            raise self._failure()
        self._measure(frame)
        packed = words[Frame.RESULT + 1]
        ptr, length = packed >> 32, packed & _U32
        if length > _OUTCOME_BYTES_MAX:
            raise ResponseTooLarge(
                f"Response payload size exceeded maximum allowed payload size ({limits.PAYLOAD_BYTES_MAX} bytes)."
            )
        if ptr + length > self.memory_bytes:
            raise AbiViolation(
                f"the outcome's bytes {ptr:,}…{ptr + length:,} are outside the guest's memory of {self.memory_bytes:,}"
            )
        return string_at(self._base + ptr, length)

    def _measure(self, frame: Frame) -> None:
        """Reads what the guest has spent; memory never shrinks, so its size now is its peak."""
        get_fuel(self._context, frame.fuel_at)
        self.fuel_used = min(self.fuel, self.fuel - frame.words[Frame.FUEL] + self._debt)
        if self._base:
            self.memory_bytes = memory_data_size(self._context, frame.memory_at)

    def _buffer(self, length: int) -> Generator[Step, None, int]:
        ptr = yield from self.call("isolet_buffer", length)
        if ptr == 0:
            raise OutOfMemory(f"the guest has no buffer for an event of {length:,} bytes; raise `memory_mb`")
        return ptr

    # ── the same in steps, for the builder ──────────────────────────────────────────────────────────────────────

    def instantiate(self) -> Generator[Step, None, None]:
        """Store, limits, fuel, instance; runs a start function if there is one. Sets `restore_ns`."""
        began_ns = perf_counter_ns()
        future = self._begin()
        if not future_poll(future):
            yield from self._until_done(future)
        self._future = 0
        future_delete(future)
        self._born(began_ns)

    def initialise(self) -> Generator[Step, None, None]:
        """The template's initialisers, where the module has them."""
        for name in self._template.initialisers:
            if self.has_function(name):
                yield from self.call(name)

    def handle(self, payload: bytes, buffer_ptr: int, buffer_len: int) -> Generator[Step, None, bytes]:
        """Writes `payload` into the guest and calls `isolet_handle`; returns a copy of the outcome's bytes."""
        length = len(payload)
        if length > buffer_len or buffer_ptr == 0:
            buffer_ptr = yield from self._buffer(length)
        self.write(buffer_ptr, payload)
        self._future = future = self._begin_handle(buffer_ptr, length)
        self._engine.running[0] = self
        if not future_poll(future):
            yield from self._until_done(future)
        self._future = 0
        future_delete(future)
        return self._outcome()

    def call(self, name: str, *arguments: int) -> Generator[Step, None, int]:
        """Calls an exported function of i32 (or i64) parameters and at most one integer result; 0 if it has none."""
        frame, context = self._frame, self._context
        assert frame is not None, "instantiate comes first"
        words, encoded = frame.words, name.encode()
        found = export_get(context, frame.instance_at, encoded, len(encoded), frame.item_extern_at)
        if not found or words[Frame.ITEM] & 0xFF != binding.EXTERN_FUNC:
            raise AbiViolation(f"the module does not export the function `{name}`")
        for index, argument in enumerate(arguments):
            words[Frame.ARGUMENTS + 4 * index + 1] = argument & _U32
        words[Frame.RESULT] = words[Frame.RESULT + 1] = 0
        results = 1 if name in ("isolet_buffer", "isolet_handle") else 0
        self._future = future = call_async(
            context,
            frame.item_at,
            frame.arguments_at,
            len(arguments),
            frame.result_at,
            results,
            frame.trap_at,
            frame.error_at,
        )
        self._engine.running[0] = self
        if not future_poll(future):
            yield from self._until_done(future)
        self._future = 0
        future_delete(future)
        if words[Frame.TRAP] or words[Frame.ERROR]:
            raise self._failure()
        # The upper half of an i32's word is whatever was there.
        mask = _U32 if words[Frame.RESULT] & 0xFF == binding.KIND_I32 else 0xFFFFFFFFFFFFFFFF
        return int(words[Frame.RESULT + 1]) & mask

    def _until_done(self, future: int) -> Generator[Step, None, None]:
        """Yields until the future is done. Called when the first poll said that it is not."""
        running, sizing = self._engine.running, not self._engine.settings.alone
        while True:
            self.slices += 1
            running[0] = None
            if self.wait is not None:
                yield self.wait
            else:
                yield None
            if self._hurried or self._debt:
                self._settle()
            running[0] = self
            cpu_ns = thread_time_ns() if self._suspected else 0
            began_ns = perf_counter_ns()
            if future_poll(future):
                return
            took_ns = perf_counter_ns() - began_ns
            if sizing and (took_ns > _SLICE_SLOW_NS or self._slice_fuel != _SLICE_FUEL):
                self._size_slice(took_ns, thread_time_ns() - cpu_ns if cpu_ns else 0)

    def _size_slice(self, took_ns: int, cpu_ns: int) -> None:
        """After a slice: fuel for the next ones by what this one took. Slices double while they are short.

        One that took long by the clock may have been interrupted: from then on this isolate's are looked at in CPU
        time, too, and only what that says makes them smaller.
        """
        template, fuel = self._template, self._slice_fuel or self._template.slice_fuel
        if took_ns > _SLICE_SLOW_NS:
            self._suspected = True
            took_ns = cpu_ns
            if took_ns <= _SLICE_SLOW_NS:
                return
            sized = max(_SLICE_FUEL_MIN, fuel * _SLICE_SLOW_NS // (2 * took_ns))
            template.slice_fuel = min(template.slice_fuel, sized)
            self._debt_max = sized
            template.penance_ends_ns = perf_counter_ns() + _SLICE_PENANCE_NS
        elif perf_counter_ns() < template.penance_ends_ns:
            sized = min(2 * fuel, template.slice_fuel)
        else:
            template.slice_fuel = _SLICE_FIRST_FUEL
            sized = min(2 * fuel, _SLICE_FUEL)
        self._slice_fuel = sized
        if sized != fuel and not self._hurried:
            self._settle()

    def _failure(self) -> IsoletError:
        """What the trap or error slot says, as ours; the slot is emptied."""
        frame = self._frame
        assert frame is not None
        words = frame.words
        trap, error = words[Frame.TRAP], words[Frame.ERROR]
        words[Frame.TRAP] = words[Frame.ERROR] = 0
        code, message = binding.take_trap(trap) if trap else (None, "")
        refusal = binding.take_error(error) if error else ""
        noted, self.failure = self.failure, None
        if isinstance(noted, IsoletError):
            return noted
        if trap:
            return traps.guest_error(
                code,
                message,
                fuel=self.fuel,
                memory_bytes=self.memory_size(),
                memory_bytes_max=self.memory_bytes_max,
            )
        return traps.host_error(refusal)

    def close(self) -> None:
        """Frees the isolate, at whatever point it is; reads its usage first. May be called twice."""
        store = self._store
        if not store:
            return
        if self._future:
            future_delete(self._future)
            self._future = 0
        frame = self._frame
        assert frame is not None
        if not self.memory_bytes:
            self._measure(frame)
        words = frame.words
        if words[Frame.TRAP] or words[Frame.ERROR]:  # of a future dropped after it failed
            self._failure()
        engine, base = self._engine, self._base
        self._frame = None
        self._store = self._context = self._base = 0
        if engine.running[0] is self:
            engine.running[0] = None
        self.wait = None
        bury = engine.bury
        if bury is not None and self.slices >= _BURIED_SLICES and self.memory_bytes >= _BURIED_BYTES and self.state:
            freeing = _freed_in_steps(engine, store, frame, base, self.memory_bytes)
            next(freeing)  # one that was never begun would free nothing when it is dropped
            bury(self.state, freeing)
            return
        store_delete(store)
        engine.live -= 1
        engine.frames.append(frame)

    def note_written(self, born_bytes: int) -> None:
        """Notes which pages this invocation wrote, for later restores of its template, once the guest is done: of the
        first `born_bytes`, the memory that every isolate is born with."""
        self._template.written = WorkingSet(written(self._base, min(born_bytes, self.memory_bytes)))

    @property
    def noted(self) -> bool:
        return self._template.written is not None

    def find_memory(self, caller: int) -> None:
        """For host functions called by a start section: the instance is not ours to ask yet, but the caller is."""
        frame = self._frame
        assert frame is not None, "begun"
        if caller_export_get(caller, b"memory", 6, frame.memory_extern_at):
            self._base = memory_data(self._context, frame.memory_at)

    # ── what host functions may do (host.GuestView) ─────────────────────────────────────────────────────────────

    def read(self, ptr: int, length: int) -> bytes:
        if ptr + length > self.memory_size():
            raise AbiViolation(
                f"bytes {ptr:,}…{ptr + length:,} are outside the guest's memory of {self.memory_size():,}"
            )
        return string_at(self._base + ptr, length)

    def write(self, ptr: int, data: bytes) -> None:
        length = len(data)
        if ptr + length > self.memory_size():
            raise AbiViolation(
                f"bytes {ptr:,}…{ptr + length:,} are outside the guest's memory of {self.memory_size():,}"
            )
        memmove(self._base + ptr, data, length)

    def read_u32(self, ptr: int) -> int:
        return int.from_bytes(self.read(ptr, 4), "little")

    def write_u32(self, ptr: int, value: int) -> None:
        self.write(ptr, (value & _U32).to_bytes(4, "little"))

    def write_u64(self, ptr: int, value: int) -> None:
        self.write(ptr, (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"))

    def charge(self, fuel: int) -> None:
        """Takes fuel for work done on the guest's behalf. Raises OutOfFuel when that was the last of it.

        Setting a Store's fuel restarts its yield interval, so a storm of host calls that paid at once would never
        yield. The charge is therefore a debt, settled when a slice is worth of it has gathered: the guest then yields
        at its next chance.
        """
        self._debt += fuel
        if self._debt >= self._debt_max and not self._hurried:
            set_yield_interval(self._context, 1)
            self._pay()
            self._hurried = True
        elif self._hurried:
            self._pay()

    def _pay(self) -> None:
        frame = self._frame
        assert frame is not None
        get_fuel(self._context, frame.fuel_at)
        left = frame.words[Frame.FUEL] - self._debt
        self._debt = 0
        set_fuel(self._context, max(left, 0))
        if left <= 0:
            raise OutOfFuel(f"spent its {self.fuel:,} fuel on host calls; raise `fuel` or call less")

    def _settle(self) -> None:
        """Between slices: the interval is back to normal and the debt paid."""
        self._hurried = False
        set_yield_interval(self._context, self._slice_fuel or self._template.slice_fuel)
        frame = self._frame
        assert frame is not None
        get_fuel(self._context, frame.fuel_at)
        set_fuel(self._context, max(frame.words[Frame.FUEL] - self._debt, 0))
        self._debt = 0

    # ── looking in; more of it in inspection.py ─────────────────────────────────────────────────────────────────

    def memory_size(self) -> int:
        """Bytes of linear memory at present; 0 before instantiation and after `close`."""
        frame = self._frame
        if frame is None or not self._base:
            return 0
        return int(memory_data_size(self._context, frame.memory_at))

    def has_function(self, name: str) -> bool:
        return self._export(name) == binding.EXTERN_FUNC

    def _export(self, name: str) -> int | None:
        """Puts the named export into the frame's item; its kind, or None."""
        frame, encoded = self._frame, name.encode()
        assert frame is not None, "instantiate comes first"
        if not export_get(self._context, frame.instance_at, encoded, len(encoded), frame.item_extern_at):
            return None
        return int(frame.words[Frame.ITEM]) & 0xFF


def _freed_in_steps(engine: Engine, store: int, frame: Frame, base: int, size: int) -> Generator[None, None, None]:
    """Frees a Store and its memory. At one go, 100 MiB that a guest has written take 9 ms.

    Whoever drops it half-way has freed the rest at once.
    """
    try:
        for at in range(0, size, _GIVEN_BACK_BYTES):
            give_back(base + at, min(_GIVEN_BACK_BYTES, size - at))
            yield None
    finally:
        store_delete(store)
        engine.live -= 1
        engine.frames.append(frame)


def drive(running: Generator[Step, None, T], on_wait: Callable[[Wait], None] | None = None) -> T:
    """Runs a generator of an Isolate's to its end on the spot, for the builder and tests.

    `on_wait` must finish the wait it is given; without it, a guest that waits is an error of the guest's.
    """
    try:
        step = next(running)
        while True:
            if step is not None:
                if on_wait is None:
                    raise GuestError("the guest waits for the host where it may not")
                on_wait(step)
            step = running.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        running.close()
