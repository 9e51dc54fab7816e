"""What isolet claims to be ahead in, each claim measured against whom it names, in one run.

Laws:
- A claim is a ratio of ours to theirs, taken round by round between neighbours in time. It holds if the median of its
  rounds does; the interval beside it says how sure that is.
- Nothing is left out: a peer that could not be measured is a claim that was not measured, with the peer's reason.
- Where a claim names "the best" peer, that is the one with the lowest median of its rounds in this run.

Two comparisons cross what tables of `isolet bench compare` keep apart, both to our disadvantage: JavaScript on workerd
is held against C on isolet over the same HTTP, and a process that is called in a row against isolet over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidParameter
from . import density, peers
from .figures import Estimate, estimate, ratio
from .peers import Contender, Peer, Settings
from .works import WORKS

ALONE: Final = "1 connection"
CROWD: Final = "32 connections"
CALLS: Final = "calls"
# Who is held against whom: by work, the folder of a peer and the language it speaks.
HELLO: Final = (
    *(("isolet", "c"), ("wasmtime_serve", "c"), ("workerd", "javascript")),
    *(("isolet_inside", "c"), ("wasmtime_py", "c"), ("extism", "c")),
)
STATE: Final = (
    *(("isolet", "c"), ("wasmtime_serve", "c"), ("isolet_inside", "c"), ("wasmtime_py", "c"), ("extism", "c")),
    *(("isolet", "javascript"), ("process_fresh", "javascript")),
    *(("isolet", "python"), ("componentize_py", "python"), ("process_fresh", "python")),
)
# Isolates a second of the public classes, to which the claim of ours refers.
_PUBLIC_A_SECOND: Final = 10_000


@dataclass(frozen=True)
class Claim:
    """`found` is what the target speaks of; None if it was not measured, for `reason`."""

    text: str
    target: float
    at_least: bool
    found: Estimate | None
    # Medians of both, with their unit.
    ours: str = ""
    theirs: str = ""
    reason: str = ""

    @property
    def holds(self) -> bool | None:
        """None: it was not measured."""
        if self.found is None:
            return None
        return self.found.value >= self.target if self.at_least else self.found.value <= self.target

    def as_plain(self) -> dict[str, Any]:
        return {
            "claim": self.text,
            "target": f"{'≥' if self.at_least else '≤'} {self.target:g}",
            "found": None if self.found is None else self.found.as_plain(),
            "holds": self.holds,
            "ours": self.ours,
            "theirs": self.theirs,
            **({"not_measured": self.reason} if self.reason else {}),
        }


@dataclass
class Court:
    """What was measured, asked for by peer and language."""

    hello: Sequence[Contender]
    state: Sequence[Contender]
    grown: density.Density

    def claims(self) -> list[Claim]:
        ours, inside = self._one(self.hello, "isolet"), self._one(self.hello, "isolet_inside")
        serve, workerd = self._one(self.hello, "wasmtime_serve"), self._one(self.hello, "workerd", "javascript")
        public, extism = self._one(self.hello, "wasmtime_py"), self._one(self.hello, "extism")
        return [
            _rates("hello over HTTP, 32 connections, to wasmtime serve: requests a second", 2.0, ours, serve, CROWD),
            _tails("the same: 99th percentile", 1.0, ours, serve, CROWD),
            _rates("hello over HTTP, 32 connections, to workerd: requests a second", 1.5, ours, workerd, CROWD),
            _medians("hello over HTTP, one connection, to wasmtime serve: median", 0.7, ours, serve, ALONE),
            _medians("an isolate's whole life, to wasmtime-py's public classes", 0.25, inside, public, CALLS),
            _medians("the same, to extism, a new plug-in per call", 0.1, inside, extism, CALLS),
            *self._stateful(),
            _scaled("isolates a second, one core, where the public classes give 10,000", 40_000, inside, public),
            *self._growth(),
        ]

    @staticmethod
    def _one(contenders: Sequence[Contender], folder: str, language: str = "c") -> Contender:
        return next(one for one in contenders if (one.peer.folder, one.language) == (folder, language))

    def _stateful(self) -> list[Claim]:
        text = "a table of 20,000 entries made before, in {}, to the best with fresh instances ({})"
        found = []
        for language, how, load in (
            *(("c", "over HTTP", ALONE), ("c", "called in a row", CALLS)),
            *(("javascript", "over HTTP", ALONE), ("python", "over HTTP", ALONE)),
        ):
            ours = self._one(self.state, "isolet" if load == ALONE else "isolet_inside", language)
            rivals = [
                one
                for one in self.state
                if one.language == language
                and not one.peer.folder.startswith("isolet")
                and one.peer.fresh
                # Processes have no HTTP: they are asked directly, which is less than what we do.
                and (load in one.times or one.peer.folder == "process_fresh" or one.reason)
            ]
            best = min(rivals, key=lambda one: _median(one) if not one.reason else float("inf"))
            found.append(_medians(text.format(f"{_SPELT[language]} {how}", best.peer.name), 0.1, ours, best, load))
        return found

    def _growth(self) -> list[Claim]:
        number = max(self.grown.last_us)
        first, last = self.grown.first_us[number], self.grown.last_us[number]
        alone = self.grown.first_us[min(self.grown.first_us)]
        texts = (
            (f"a request of the {number:,}th deployed function, to one of the first", first, "last_to_first"),
            ("the same, to the only function of a server", alone, "against_alone"),
        )
        return [
            Claim(text, 1.1, False, getattr(self.grown, of)(number), _us(last), _us(theirs))
            for text, theirs, of in texts
        ]


_SPELT: Final = {"c": "C", "javascript": "JavaScript", "python": "Python"}


def _load(contender: Contender, wanted: str) -> str:
    """What is compared of a contender: what is asked for, or calls where it has no HTTP."""
    return wanted if wanted in contender.times else CALLS


def _median(contender: Contender) -> float:
    return estimate(contender.times[_load(contender, ALONE)].medians).value


def _us(rounds: Sequence[float]) -> str:
    return f"{estimate(rounds).value:,.1f} µs"


def _unmeasured(text: str, target: float, at_least: bool, *both: Contender) -> Claim | None:
    for one in both:
        if one.reason or not one.times:
            return Claim(text, target, at_least, None, reason=f"{one.peer.name}: {one.reason or 'nothing measured'}")
    return None


def _medians(text: str, target: float, ours: Contender, theirs: Contender, load: str) -> Claim:
    if (missing := _unmeasured(text, target, False, ours, theirs)) is not None:
        return missing
    mine, other = ours.times[_load(ours, load)].medians, theirs.times[_load(theirs, load)].medians
    return Claim(text, target, False, ratio(mine, other), _us(mine), _us(other))


def _tails(text: str, target: float, ours: Contender, theirs: Contender, load: str) -> Claim:
    if (missing := _unmeasured(text, target, False, ours, theirs)) is not None:
        return missing
    mine, other = ours.times[load].tails, theirs.times[load].tails
    return Claim(text, target, False, ratio(mine, other), _us(mine), _us(other))


def _rates(text: str, target: float, ours: Contender, theirs: Contender, load: str) -> Claim:
    if (missing := _unmeasured(text, target, True, ours, theirs)) is not None:
        return missing
    mine, other = ours.rates[load], theirs.rates[load]
    return Claim(text, target, True, ratio(mine, other), _per_s(mine), _per_s(other))


def _per_s(rates: Sequence[float]) -> str:
    return f"{estimate(rates).value:,.0f}/s"


def _scaled(text: str, target: float, ours: Contender, theirs: Contender) -> Claim:
    claim = _rates(text, target, ours, theirs, CALLS)
    if claim.found is None:
        return claim
    return replace(claim, found=Estimate(*(_PUBLIC_A_SECOND * part for part in claim.found)))


def measure(
    found: Sequence[Peer],
    cache: Path,
    settings: Settings,
    functions: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Court:
    """Raises InvalidParameter: a peer that a claim names is not in `found`."""
    by_folder = {peer.folder: peer for peer in found}
    for folder in sorted({folder for folder, _ in HELLO + STATE} - by_folder.keys()):
        raise InvalidParameter(
            f"a claim is against the peer {folder}, which is not there; see `isolet bench compare --list`"
        )

    def contest(work: str, who: Sequence[tuple[str, str]], connections: Sequence[int]) -> list[Contender]:
        entries = [(by_folder[folder], WORKS[work], language) for folder, language in who]
        return peers.contest(entries, cache, replace(settings, connections=connections), progress)

    hello = contest("hello", HELLO, (1, 32))
    state = contest("state", STATE, (1,))
    return Court(hello, state, density.measure(functions, 1, settings.rounds, progress))
