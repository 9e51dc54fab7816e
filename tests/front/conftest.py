"""Fixtures of the door's tests: houses (house.py) on asyncio's loop and on uvloop's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from front.house import House, Opener, Scripted, Somebody, echo, target
from isolet.clock import ManualClock
from isolet.front.app import make_app
from isolet.front.door import CallersLike, Control, Door, HttpLimits
from isolet.model import Invocation, Outcome, Served, Target
from isolet.routing import RoutingTable

LOOPS = {"asyncio": {}, "uvloop": {"use_uvloop": True}}


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", LOOPS[request.param]


@pytest.fixture
async def open_house(anyio_backend: Any) -> AsyncIterator[Opener]:
    houses: list[House] = []

    async def opener(
        *,
        script: Callable[[Invocation], Outcome | None] = echo,
        control: Control | None = None,
        app: Any = None,
        targets: tuple[Target, ...] = (target(),),
        invoker: Any = None,
        callers: CallersLike | None = None,
        **limits: Any,
    ) -> House:
        table = RoutingTable()
        for name in {each.name for each in targets}:
            of_name = tuple(each for each in targets if each.name == name)
            table.put(Served(of_name[0].tenant, name, of_name))
        clock, invoker = ManualClock(), invoker or Scripted(script)
        door = Door(table, invoker, callers or Somebody(), http_limits=HttpLimits(**limits), clock=clock)
        house = House(door, invoker, clock, app or make_app(door, control))
        houses.append(house)
        await house.open()
        return house

    yield opener
    for house in houses:
        await house.close()


@pytest.fixture
async def house(open_house: Opener) -> House:
    return await open_house()
