"""wasmtime's traps and errors, as our typed GuestErrors and HostErrors: plain values, no wasmtime object kept."""

from __future__ import annotations

from ..errors import EngineFault, GuestError, IsoletError, OutOfFuel, OutOfMemory, Overloaded, Trapped

# wasmtime_trap_code_enum → (the name in answers and metrics, what it says to the function's author)
_TRAPS = {
    0: ("stack_overflow", "the call stack is exhausted; recurse less deeply"),
    1: ("memory_out_of_bounds", "a load or store outside linear memory"),
    2: ("heap_misaligned", "a misaligned atomic access"),
    3: ("table_out_of_bounds", "a table access out of bounds"),
    4: ("indirect_call_to_null", "a call through an empty table slot"),
    5: ("bad_signature", "an indirect call with another signature than the function's"),
    6: ("integer_overflow", "an integer overflow in a division"),
    7: ("integer_division_by_zero", "an integer division by zero"),
    8: ("bad_conversion_to_integer", "a float that does not fit the integer it is converted to"),
    9: ("unreachable", "an unreachable instruction: an abort, a panic or a failed assertion"),
    10: ("interrupt", "interrupted"),
    12: ("atomic_wait_non_shared_memory", "an atomic wait on memory that is not shared"),
    13: ("null_reference", "a null reference"),
}
_OUT_OF_FUEL = 11
_WASM_PAGE = 65536


def guest_error(code: int | None, message: str, *, fuel: int, memory_bytes: int, memory_bytes_max: int) -> GuestError:
    """The GuestError of a trap. `memory_bytes` is the size of linear memory now: a guest that traps with no page left
    to grow into ran out of memory (the C API does not tell of refused growth)."""
    if code == _OUT_OF_FUEL:
        return OutOfFuel(f"spent its {fuel:,} fuel; raise `fuel` or do less")
    if code in (9, 1) and memory_bytes + _WASM_PAGE > memory_bytes_max:
        return OutOfMemory(
            f"stopped with {memory_bytes:,} of {memory_bytes_max:,} bytes of memory in use; "
            "raise `memory_mb` or use less"
        )
    if code is None:
        return Trapped(message.splitlines()[0] if message else "trapped", "host")
    name, meaning = _TRAPS.get(code, ("unknown", f"trap code {code}"))
    return Trapped(f"wasm trap: {meaning}", name)


def host_error(message: str) -> IsoletError:
    """The error of a call that wasmtime itself refused (no trap)."""
    if "maximum concurrent" in message and "limit" in message:
        return Overloaded("every isolate slot of this worker is taken; try again later")
    if "memory minimum size" in message or "exceeds memory limits" in message or "table minimum size" in message:
        return OutOfMemory(f"the module starts with more than its limits allow: {message.splitlines()[-1].strip()}")
    return EngineFault(f"wasmtime refused: {' '.join(message.split())}")
