"""How far a schedule has come: which instant fires next, and which never again. Pure.

Laws:
- Of the instants that were missed the latest fires, alone: a clock that jumps forward, and a keeper that was down, make
  one fire and no flood.
- What is done is done: no instant up to `done_s` fires, unless the clock is seen to be set back.
- A clock that is set back by more than SET_BACK_S makes a schedule go on from the present: a rate begins anew, beside
  its instants until then; cron at its next instant, but never again at the latest one that it fired for. So an hour's
  jump back neither stops what fires each minute, nor repeats what fired at noon.

Instants are Unix seconds.
"""

from __future__ import annotations

from typing import NamedTuple

from .cron import Rate, Schedule, latest_due

# A clock is set back by less than this in everyday's corrections: one waits then until it has caught up.
SET_BACK_S = 60


class Standing(NamedTuple):
    anchor_s: int  # a rate counts from here
    done_s: int
    last_s: int  # the latest instant that it ever fired for; 0: none

    def after(self, instant_s: int) -> Standing:
        """Once it has fired for this instant."""
        return Standing(self.anchor_s, instant_s, max(self.last_s, instant_s))


def begun(now_s: float, last_s: int = 0) -> Standing:
    """Of a schedule that is made, changed or enabled: what was missed before is no concern of its."""
    return Standing(int(now_s), int(now_s), last_s)


def due(schedule: Schedule, standing: Standing, now_s: float) -> int | None:
    """The instant that it is to fire for, if there is one."""
    found = latest_due(schedule, standing.done_s, now_s, standing.anchor_s)
    if found is not None and found == standing.last_s:
        found = latest_due(schedule, standing.done_s, found - 1, standing.anchor_s)
    return found


def next_instant(schedule: Schedule, standing: Standing) -> int | None:
    """When it is to fire next, perhaps in the past; None: never again."""
    found = schedule.next_after(standing.done_s, standing.anchor_s)
    if found is not None and found == standing.last_s:
        found = schedule.next_after(found, standing.anchor_s)
    return found


def in_the_present(schedule: Schedule, standing: Standing, now_s: float) -> Standing:
    """The same, or where it goes on if the clock was set back."""
    if now_s >= standing.done_s - SET_BACK_S:
        return standing
    present = int(now_s)
    if not isinstance(schedule, Rate):
        return Standing(standing.anchor_s, present, standing.last_s)
    if (present - standing.anchor_s) % schedule.period_s == 0:
        present -= 1  # Else its instants would be those that it has had.
    return Standing(present, present, standing.last_s)
