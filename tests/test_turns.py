from __future__ import annotations

import asyncio

from isolet.turns import Turns
from keeping import run


def test_so_many_have_their_turn_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        size = 2
        turns, film, gates = Turns(lambda: size), list[int](), [asyncio.Event() for _ in range(7)]

        async def one(number: int) -> None:
            async with turns:
                film.append(number)
                await gates[number].wait()

        tasks = [asyncio.ensure_future(one(number)) for number in range(7)]
        await asyncio.sleep(0)
        assert (film, turns.taken, turns.waiting) == ([0, 1], 2, 5)
        tasks[3].cancel()  # waits
        await asyncio.wait({tasks[3]})
        gates[0].set()
        await tasks[0]
        await asyncio.sleep(0)
        assert (film, turns.taken, turns.waiting) == ([0, 1, 2], 2, 3)
        size = 1
        gates[1].set()
        await tasks[1]
        assert (turns.taken, turns.waiting) == (1, 3)
        size = 3
        gates[2].set()
        await tasks[2]
        await asyncio.sleep(0)
        assert film == [0, 1, 2, 4, 5, 6]
        for gate in gates:
            gate.set()
        await asyncio.wait(tasks)
        assert (turns.taken, turns.waiting) == (0, 0)

    run(main)


def test_a_turn_that_came_to_one_who_left_is_the_next_ones() -> None:
    async def main() -> None:
        turns, entered = Turns(lambda: 1), list[str]()

        async def one(name: str) -> None:
            async with turns:
                entered.append(name)

        await turns.__aenter__()
        left, stays = asyncio.ensure_future(one("left")), asyncio.ensure_future(one("stays"))
        await asyncio.sleep(0)
        await turns.__aexit__()  # gives it to the first
        left.cancel()
        await asyncio.wait({left, stays})
        assert (entered, turns.taken) == (["stays"], 0)

    run(main)
