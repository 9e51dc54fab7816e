"""What a wall can be made of is tried, said in a line, and required if somebody asks."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from behind import MEANS
from isolet import server
from isolet.config import Config, load
from isolet.errors import SandboxMissing
from isolet.sandbox import audit, landlock, opener
from isolet.sandbox.audit import Act
from isolet.sandbox.wall import Means

WHOLE = Means(landlock_abi=7, seccomp=True, opener=True)


def test_survey_is_what_the_kernel_says_and_was_tried() -> None:
    found = audit.survey()
    assert found.landlock_abi == landlock.abi()
    assert found.opener <= found.seccomp


def test_kernel_without_landlock_makes_the_rest_of_the_wall() -> None:
    found = audit.survey(landlock_abi=-1)
    assert found == replace(MEANS, landlock_abi=0)
    assert not found.whole
    if found.seccomp:
        assert audit.attempted("read /etc/passwd", audit.ACTS["read /etc/passwd"], found).held


def test_supervisor_that_cannot_read_a_workers_memory_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where kernel.yama.ptrace_scope forbids it."""

    def refused(self: opener.Opener, *_: object) -> str:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(opener.Opener, "_read_path", refused)
    assert not audit.survey().opener


@pytest.mark.parametrize(
    ("means", "words", "missing"),
    [
        (WHOLE, "no capabilities, Landlock ABI 7, seccomp, files opened by the supervisor", []),
        (Means(7, True, False, True), "no capabilities, an empty root, Landlock ABI 7, seccomp", ["the supervisor"]),
        (replace(WHOLE, landlock_abi=0), "no capabilities, seccomp, files opened by the supervisor", ["no Landlock"]),
        (replace(WHOLE, opener=False), "no capabilities, Landlock ABI 7, seccomp", ["the supervisor cannot open"]),
        (Means(3), "no capabilities, Landlock ABI 3", ["no seccomp filters"]),
        (Means(), "no capabilities", ["no seccomp filters", "no Landlock"]),
    ],
)  # fmt: skip
def test_wall_is_said_in_a_line_and_what_is_missing_with_its_cure(means: Means, words: str, missing: list[str]) -> None:
    assert audit.described(means) == words
    said = audit.missing(means)
    assert [line.startswith(start) for line, start in zip(said, missing, strict=True)] == [True] * len(missing)
    assert all("use Linux" in line for line in said)
    assert means.whole == (not missing)


def test_required_sandbox_that_is_not_whole_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "survey", lambda: replace(WHOLE, landlock_abi=0))
    config = Config(data=tmp_path)
    assert not server.sandbox_means(config).whole
    with pytest.raises(SandboxMissing, match=r"no Landlock: use Linux 5\.13"):
        server.sandbox_means(replace(config, require_sandbox=True))


def test_sandbox_cannot_be_switched_off_and_required() -> None:
    with pytest.raises(SandboxMissing, match="`sandbox` is false"):
        server.sandbox_means(load(environment={}, arguments={"sandbox": "false", "require_sandbox": True}))


def test_act_that_is_let_through_is_not_held() -> None:
    assert audit.attempted("answer", Act(lambda _: None), MEANS) == ("answer", False, "done")


def test_act_that_the_kernel_finds_wrong_is_not_held() -> None:
    """It had looked: with right arguments it might have done it."""
    assert audit.attempted("seek", Act(lambda _: os.lseek(99_999, 0, 0)), MEANS) == ("seek", False, "EBADF")


def test_act_that_ends_or_fails_its_process_is_not_held() -> None:
    assert audit.attempted("leave", Act(lambda _: os._exit(3)), MEANS) == ("leave", False, "status 3")
    killed = Act(lambda _: os.kill(os.getpid(), signal.SIGKILL))
    assert audit.attempted("die", killed, MEANS) == ("die", False, "SIGKILL")
    assert audit.attempted("err", Act(lambda _: 1 // 0), MEANS) == ("err", False, "ZeroDivisionError")


def test_trials_leave_nothing_behind() -> None:
    before = os.listdir("/proc/self/fd"), _children()
    audit.survey()
    audit.attempted("fork", audit.ACTS["fork"], MEANS)
    assert (os.listdir("/proc/self/fd"), _children()) == before


def _children() -> list[str]:
    """This process's, those that wait to be reaped among them."""
    return [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
