"""The engine's self-test: it passes on a machine that is fit, and says so when a wall does not hold."""

from __future__ import annotations

import resource

import pytest

from isolet import limits
from isolet.engine import selftest
from isolet.errors import EngineFault


def test_every_wall_holds_here() -> None:
    assert selftest.run() == []


@pytest.mark.parametrize("name", selftest.CHECKS)
def test_each_check_stands_by_itself(name: str) -> None:
    assert selftest.run((name,)) == []


def test_nothing_is_left_after_a_run() -> None:
    bench = selftest.Bench()
    for _, check, _ in selftest.CHECKS.values():
        check(bench)
        assert bench.engine.live == 0


def test_wall_that_does_not_hold_is_a_failure_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_way(_bench: selftest.Bench) -> None:
        raise EngineFault("the guest was not stopped")

    def breaks(_bench: selftest.Bench) -> None:
        raise ZeroDivisionError("of its own")

    monkeypatch.setitem(selftest.CHECKS, "recursion", ("", gives_way, "cure it"))
    monkeypatch.setitem(selftest.CHECKS, "restore", ("", breaks, "report it"))
    assert selftest.run() == [
        selftest.Failure("recursion", "the guest was not stopped", "cure it"),
        selftest.Failure("restore", "ZeroDivisionError: of its own", "report it"),
    ]


def test_check_sees_another_trap_than_the_one_that_is_due() -> None:
    bench = selftest.Bench()
    with pytest.raises(EngineFault, match="stopped by stack_overflow instead of unreachable"):
        selftest._trapped(bench, "recurse", "unreachable", limits.WASM_STACK_BYTES)
    with pytest.raises(EngineFault, match="was not stopped"):
        selftest._trapped(bench, "spoil", "unreachable")


def test_too_little_address_space_is_said_before_wasmtime_aborts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (4 << 30, 4 << 30))
    (failure,) = selftest.run()
    found = "8 GiB of address space are needed at least, and 4 are allowed"
    assert str(failure) == f"engine: {found}; ulimit -v unlimited"
