"""What verbs have in common."""

from __future__ import annotations

import time

import click
import pytest
from click.testing import CliRunner

from isolet.cli.options import Since, Verb
from isolet.errors import CompileFailed, Conflict


@pytest.mark.parametrize(("text", "ago_s"), [("30s", 30), ("10m", 600), ("2h", 7_200), ("1d", 86_400), ("1w", 604_800)])
def test_since_counts_back_from_now(text: str, ago_s: int) -> None:
    before = time.time()
    instant = Since().convert(text, None, None)
    assert before - ago_s <= instant <= time.time() - ago_s


def test_since_takes_an_instant() -> None:
    assert Since().convert("2026-11-20T18:00:00+00:00", None, None) == 1_795_197_600.0
    assert Since().convert("99999999d", None, None) == 0.0


@pytest.mark.parametrize("text", ["", "10", "m", "yesterday", "10 m", "-1h"])
def test_since_refuses_what_is_no_time_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 10m, 2h, 1d"):
        Since().convert(text, None, None)


def run(error: Exception) -> tuple[int, str, str]:
    @click.command(cls=Verb)
    def verb() -> None:
        raise error

    result = CliRunner().invoke(verb)
    return result.exit_code, result.stdout, result.stderr


def test_errors_of_ours_are_a_line_and_status_1() -> None:
    assert run(Conflict("it is there already; choose another")) == (
        *(1, ""),
        "error: it is there already; choose another\n",
    )


def test_compilers_words_come_first() -> None:
    assert run(CompileFailed("a.c:1: no", "a.c:1: no\n  1 | int\n")) == (
        1,
        "",
        "a.c:1: no\n  1 | int\nerror: a.c:1: no\n",
    )


def test_defects_keep_their_trace() -> None:
    @click.command(cls=Verb)
    def verb() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(verb).exception, ZeroDivisionError)
