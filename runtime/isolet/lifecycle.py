"""What an isolate's run, and a function version, may become. Tables; who holds such a thing moves it by them.

Run (scheduler.py):

    NEW ──▶ RUNNABLE ◀──────▶ WAITING
             │ ▲ │               │
             ▼ │ └──────┐        │
          RUNNING ──────┴──▶ ENDED ◀┘
"""

from __future__ import annotations

from enum import IntEnum

from .model import State


class RunState(IntEnum):
    NEW = 0  # made, never run
    RUNNABLE = 1  # waits for its slice
    RUNNING = 2  # inside its slice
    WAITING = 3  # waits for the host: a sleep, a reply
    ENDED = 4  # answered, failed, cancelled or timed out; its isolate is gone


NEXT_RUN_STATES: dict[RunState, frozenset[RunState]] = {
    RunState.NEW: frozenset({RunState.RUNNABLE, RunState.RUNNING, RunState.ENDED}),
    RunState.RUNNABLE: frozenset({RunState.RUNNING, RunState.ENDED}),
    RunState.RUNNING: frozenset({RunState.RUNNABLE, RunState.WAITING, RunState.ENDED}),
    RunState.WAITING: frozenset({RunState.RUNNABLE, RunState.ENDED}),
    RunState.ENDED: frozenset(),
}

# A function version, in Lambda's words. A failed one can be built again by new code or configuration.
NEXT_STATES: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.ACTIVE, State.FAILED}),
    State.ACTIVE: frozenset({State.PENDING}),
    State.FAILED: frozenset({State.PENDING}),
}
