"""Peers: adding one is adding a folder; one that fails is in the table, never left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolet.lab.peers import Contender, Settings, compare, find
from isolet.lab.works import LANGUAGES, WORKS

PEERS = Path(__file__).parents[2] / "benches" / "peers"

_PEER = """
import contextlib
from isolet.lab.peers import Unavailable
NAME, KIND, LANGUAGES, FRESH = "{name}", "call", ("python",), True
DIFFERS = {{"instance": "none", "isolation": "none", "metering": "none", "note": ""}}
def install(cache):
    {install}
    return "1"
@contextlib.contextmanager
def calling(work, language, cache):
    yield lambda body: {answer}
"""


def peers(directory: Path, **made: tuple[str, str]) -> list[Contender]:
    for name, (install, answer) in made.items():
        (directory / name).mkdir()
        (directory / name / "peer.py").write_text(_PEER.format(name=name, install=install, answer=answer))
    settings = Settings(rounds=2, seconds=0.01)
    return compare(find(directory), WORKS["hello"], "python", directory, settings)


def test_folder_is_a_peer_and_is_measured(tmp_path: Path) -> None:
    (found,) = peers(tmp_path, one=("pass", "'hello\\n'"))
    assert found.reason == ""
    assert found.version == "1"
    assert len(found.times["calls"].medians) == 2
    assert found.as_plain()["differs"]["metering"] == "none"


def test_peer_that_cannot_be_installed_is_listed_with_its_reason(tmp_path: Path) -> None:
    broken, fine = peers(tmp_path, a=("raise Unavailable('no wheel for it')", "''"), b=("pass", "'hello\\n'"))
    assert broken.reason == "no wheel for it"
    assert broken.times == {}
    assert fine.reason == ""


def test_peer_whose_code_fails_is_listed_with_its_reason(tmp_path: Path) -> None:
    (found,) = peers(tmp_path, a=("[][1]", "''"))
    assert found.reason.startswith("IndexError")


def test_peer_that_answers_otherwise_is_not_measured(tmp_path: Path) -> None:
    (found,) = peers(tmp_path, a=("pass", "'goodbye'"))
    assert "answers 'goodbye', not 'hello" in found.reason
    assert found.times == {}


def test_peer_of_another_language_is_not_asked(tmp_path: Path) -> None:
    peers(tmp_path, a=("pass", "'hello\\n'"))
    assert compare(find(tmp_path), WORKS["hello"], "c", tmp_path, Settings(rounds=1, seconds=0.01)) == []


@pytest.mark.parametrize("peer", find(PEERS), ids=lambda peer: peer.folder)
def test_every_peer_of_ours_says_what_it_does_differently(peer: object) -> None:
    from isolet.lab.peers import Peer

    assert isinstance(peer, Peer)
    assert {"instance", "isolation", "metering", "note"} == peer.differs.keys()
    assert all(peer.differs.values())
    assert set(peer.languages) <= set(LANGUAGES)
    assert peer.kind in ("http", "call")
    assert isinstance(peer.fresh, bool)


@pytest.mark.slow
def test_peers_that_need_no_download_give_the_expected_answers(tmp_path: Path) -> None:
    chosen = [peer for peer in find(PEERS) if peer.folder in ("isolet", "isolet_inside", "wasmtime_py")]
    for work in WORKS.values():
        found = compare(chosen, work, "c", tmp_path, Settings(rounds=1, seconds=0.3, connections=(1,), workers=1))
        assert {one.peer.folder: one.reason for one in found} == {
            "isolet": "",
            "isolet_inside": "",
            "wasmtime_py": "",
        }
