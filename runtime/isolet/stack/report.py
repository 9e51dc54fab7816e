"""What is to be said of a template beside its plans: what is not mapped, and what differs. Each once."""

from __future__ import annotations

from collections.abc import Iterable

from .sam import Unmapped

NOTHING = "isolet has nothing of the kind"


class Report:
    def __init__(self, unmapped: Iterable[Unmapped]) -> None:
        self._unmapped = dict.fromkeys(unmapped)
        self._warnings: dict[str, None] = {}

    def miss(self, path: str, what: str, reason: str = NOTHING) -> None:
        self._unmapped[Unmapped(path, what, reason)] = None

    def warn(self, text: str) -> None:
        self._warnings[text] = None

    @property
    def unmapped(self) -> tuple[Unmapped, ...]:
        return tuple(self._unmapped)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)
