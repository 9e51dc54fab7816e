"""What a host function is, as the engine links it and hostcalls write it. No wasmtime here.

Laws:
- A host function sees its guest through `GuestView` only; everything of the invocation is in `GuestView.state`.
- i32 and i64 arguments arrive unsigned; results are taken modulo 2³² or 2⁶⁴, so that −1 may be returned as it is.
- It raises nothing but GuestErrors, which end the invocation. A `Wait` in place of a result suspends the guest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class GuestView(Protocol):
    """The engine's isolate, as host functions see it. Pointers and lengths are the guest's unsigned 32-bit numbers."""

    # The invoker's per-invocation object (hostcalls/state.py); opaque to the engine.
    state: Any
    # Host calls so far, the present one included; counted by the engine.
    host_calls: int

    def read(self, ptr: int, length: int) -> bytes:
        """A copy of the guest's bytes. AbiViolation if any of them is outside memory."""
        ...

    def write(self, ptr: int, data: bytes) -> None:
        """Copies `data` to the guest. AbiViolation if any of it would be outside memory; nothing is written then."""
        ...

    def read_u32(self, ptr: int) -> int: ...

    def write_u32(self, ptr: int, value: int) -> None: ...

    def write_u64(self, ptr: int, value: int) -> None: ...

    def charge(self, fuel: int) -> None:
        """Takes `fuel` from what the guest has left. OutOfFuel if there is less."""
        ...


class Wait:
    """What a suspended guest waits for. The isolate's driver awaits what `kind` and `argument` mean and calls `finish`.

    `finish` is called at most once, on the event loop's thread; 0 says that it came about. Kinds:
    - "sleep": the argument is seconds as a float ≥ 0.
    - "work": the argument makes a coroutine that answers the status; it is cancelled when the guest ends before it.
    """

    __slots__ = ("argument", "kind", "ready", "status", "then", "wake")

    def __init__(self, kind: str, argument: object, then: Callable[[int], int] | None = None) -> None:
        self.kind = kind
        self.argument = argument
        # Turns the driver's status into what the guest's call returns (a reply's length, an errno); None: as it is.
        self.then = then
        self.status: int | None = None
        self.ready = False
        # Set by the driver: told once the guest may run again.
        self.wake: Callable[[], object] | None = None

    def __repr__(self) -> str:
        return f"Wait({self.kind} {self.argument!r}{f' → {self.status}' if self.ready else ''})"

    def finish(self, status: int) -> None:
        self.status = status if self.then is None else self.then(status)
        self.ready = True
        if self.wake is not None:
            self.wake()


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One import that guests may use. `params` and `results` spell types: i = i32, I = i64, f = f32, d = f64.

    `func(guest, *arguments)` answers the result as an int, None if `results` is empty, or, if it `suspends`, a Wait.
    """

    module: str
    name: str
    params: str
    results: str
    func: Callable[..., int | Wait | None]
    suspends: bool = False
