"""Claims: a ratio round by round, held against its target; what could not be measured is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from isolet.errors import InvalidParameter
from isolet.lab import claims
from isolet.lab.claims import ALONE, CALLS, CROWD, HELLO, STATE, Claim, Court
from isolet.lab.density import Density
from isolet.lab.figures import Distribution, Estimate, Rounds
from isolet.lab.peers import Contender, Peer, Settings, find
from isolet.lab.works import WORKS

PEERS = Path(__file__).parents[2] / "benches" / "peers"


def peer(folder: str, kind: str, fresh: bool = True) -> Peer:
    module = ModuleType(folder)
    module.NAME, module.KIND, module.LANGUAGES, module.FRESH = folder, kind, (), fresh  # type: ignore[attr-defined]
    return Peer(folder, module)


def contender(folder: str, language: str, us: float, *loads: str, work: str = "hello", fresh: bool = True) -> Contender:
    """Three rounds, each of one time."""
    made = Contender(peer(folder, "call" if loads == (CALLS,) else "http", fresh), WORKS[work], language)
    for load in loads:
        rounds = Rounds()
        for _ in range(3):
            round_ = Distribution()
            round_.record_ns(int(1_000 * us))
            rounds.add(round_)
        made.times[load] = rounds
        made.rates[load] = [1e6 / us] * 3
    return made


def grown(last_us: float) -> Density:
    return Density(first_us={1: [100.0], 1_000: [100.0]}, last_us={1: [100.0], 1_000: [last_us]})


def court(serve_us: float = 100.0, last_us: float = 105.0) -> Court:
    hello = [
        contender("isolet", "c", 50, ALONE, CROWD),
        contender("wasmtime_serve", "c", serve_us, ALONE, CROWD),
        contender("workerd", "javascript", 100, ALONE, CROWD, fresh=False),
        contender("isolet_inside", "c", 20, CALLS),
        contender("wasmtime_py", "c", 100, CALLS),
        contender("extism", "c", 300, CALLS),
    ]
    state = [
        contender("isolet", "c", 50, ALONE, work="state"),
        contender("wasmtime_serve", "c", 1_000, ALONE, work="state"),
        contender("isolet_inside", "c", 20, CALLS, work="state"),
        contender("wasmtime_py", "c", 2_000, CALLS, work="state"),
        contender("extism", "c", 1_000, CALLS, work="state"),
        contender("isolet", "javascript", 500, ALONE, work="state"),
        contender("process_fresh", "javascript", 50_000, CALLS, work="state"),
        contender("isolet", "python", 500, ALONE, work="state"),
        contender("componentize_py", "python", 1_000, ALONE, work="state"),
        contender("process_fresh", "python", 20_000, CALLS, work="state"),
    ]
    return Court(hello, state, grown(last_us))


def by_text(found: Sequence[Claim], words: str) -> Claim:
    (claim,) = [claim for claim in found if words in claim.text]
    return claim


def test_claim_is_the_ratio_of_ours_to_theirs() -> None:
    found = court().claims()
    assert by_text(found, "32 connections, to wasmtime serve").found == Estimate(2.0, 2.0, 2.0)
    assert by_text(found, "one connection").found == pytest.approx((0.5, 0.5, 0.5), rel=0.01)
    assert by_text(found, "public classes give 10,000").found == Estimate(50_000.0, 50_000.0, 50_000.0)
    assert by_text(found, "whole life").found == pytest.approx((0.2, 0.2, 0.2), rel=0.01)
    assert by_text(found, "1,000th").found == pytest.approx((1.05, 1.05, 1.05))


@pytest.mark.parametrize(
    ("serve_us", "last_us", "held"), [(100.0, 110.0, (True, True, True)), (99.0, 111.0, (False, True, False))]
)
def test_claim_holds_up_to_its_target_and_not_beyond(serve_us: float, last_us: float, held: tuple[bool, ...]) -> None:
    found = court(serve_us, last_us).claims()
    words = ("32 connections, to wasmtime serve", "one connection", "1,000th")
    assert tuple(by_text(found, word).holds for word in words) == held


def test_stateful_claim_is_against_the_best_that_gives_a_fresh_instance() -> None:
    found = [claim for claim in court().claims() if claim.text.startswith("a table of 20,000")]
    assert [claim.text.rpartition("(")[2].rstrip(")") for claim in found] == [
        "wasmtime_serve",
        "extism",
        "process_fresh",
        "componentize_py",
    ]
    assert [claim.holds for claim in found] == [True, True, True, False]
    assert found[2].theirs.startswith("50,0"), "a process is asked directly"


def test_peer_that_was_not_measured_is_said_and_holds_nothing() -> None:
    asked = court()
    broken = next(one for one in asked.hello if one.peer.folder == "workerd")
    broken.reason = "there is no node here"
    claim = by_text(asked.claims(), "workerd")
    assert claim.holds is None
    assert claim.found is None
    assert claim.as_plain()["not_measured"] == "workerd: there is no node here"


def test_every_peer_of_a_claim_is_there() -> None:
    spoken = {(one.folder, language) for one in find(PEERS) for language in one.languages}
    assert set(HELLO + STATE) <= spoken


def test_directory_without_a_peer_of_a_claim_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="against the peer componentize_py, which is not there"):
        claims.measure(find(tmp_path), tmp_path, Settings(rounds=1), 2)
