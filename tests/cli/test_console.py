"""What terminals and pipes see."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.cli import console
from isolet.cli.steps import Steps


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stdout and stderr, from here to the end of the test. (pytest puts its own back between fixture and test.)"""
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


@given(st.text())
def test_clean_text_moves_no_cursor(text: str) -> None:
    cleaned = console.clean(text)
    assert all(c.isprintable() or c in "\t\n" for c in cleaned)
    assert console.clean(cleaned) == cleaned


def test_clean_text_spells_control_characters_out() -> None:
    assert console.clean("a\x1b[31mb\tc\n\x9bé") == "a\\x1b[31mb\tc\n\\x9bé"


def test_pipe_gets_lines_without_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a result", "bold red")
    console.note("REPORT\tDuration: 1 ms\t")
    console.fail("no [bold]markup[/bold]")
    console.warn("x" * 500)
    out, err = capsys.readouterr()
    assert out == "a result\n"
    assert err == f"REPORT\tDuration: 1 ms\t\nerror: no [bold]markup[/bold]\nwarning: {'x' * 500}\n"


def test_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    console.say("a result", "bold red")
    assert "\x1b[" in seen.getvalue()
    seen.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    console.say("a result", "bold red")
    console.say_table(("name",), [("x",)])
    assert "\x1b" not in seen.getvalue()


def test_tables_are_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_table(("name", "calls"), [("a" * 200, "1"), ("b", "1,000"), ("", "1,001")], right=("calls",))
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [207, 207, 207, 207]
    assert lines[1] == f"{'a' * 200}      1"
    assert [line.split()[-1] for line in lines] == ["calls", "1", "1,000", "1,001"]


def test_json_is_one_line_in_a_pipe_and_indented_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.say_json({"é": [1]})
    assert capsys.readouterr().out == '{"é": [1]}\n'
    monkeypatch.setattr(sys, "stdout", made := Terminal())
    console.say_json({"é": [1]})
    assert made.getvalue() == '{\n  "é": [\n    1\n  ]\n}\n'


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same_and_moves_no_cursor(value: object) -> None:
    out, sys.stdout = sys.stdout, (made := Terminal())
    try:
        console.say_json(value)
    finally:
        sys.stdout = out
    assert json.loads(made.getvalue()) == value
    assert all(c.isprintable() or c == "\n" for c in made.getvalue())


def test_answer_is_untouched_in_a_pipe(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    console.say_bytes(b'{"a":1.50}')
    assert capsysbinary.readouterr().out == b'{"a":1.50}\n'


def test_answer_is_readable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    console.say_bytes(b'{"a":"\xc2\x9b"}')
    console.say_bytes(b"no json\x1b")
    assert seen.getvalue() == '{\n  "a": "\\u009b"\n}\nno json\\x1b\n'


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1.0 KB"), (99_949, "99.9 KB"), (99_960, "100 KB"), (999_499, "999 KB"),
        (999_500, "1.0 MB"), (3_900_000, "3.9 MB"), (5 * 10**12, "5000 GB"),
    ],
)  # fmt: skip
def test_sizes_have_three_digits(count: int, shown: str) -> None:
    assert console.size(count) == shown


def test_durations_and_counts_are_for_people() -> None:
    assert [console.seconds(s) for s in (0.000012, 0.0123, 4.56)] == ["12 µs", "12 ms", "4.6 s"]
    assert [console.whole(n) for n in (51_445, 9_999_999, 832_700_000, 10**10)] == [
        *("51,445", "9,999,999", "832.7 M", "10.0 G")
    ]


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_steps_in_a_pipe_are_a_line_each_when_they_begin(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps() as steps:
        steps.begin("compile")
        steps.begin("compile")
        steps.advance(1, 2)
        steps.begin("upload")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "compile …\nupload …\n")


def test_steps_on_a_terminal_leave_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), Steps() as steps:  # noqa: PT012
        steps.begin("install")
        steps.advance(10, 100)
        steps.advance(50, 100)
        steps.begin("compile")
        raise ZeroDivisionError
    shown = seen.getvalue()
    assert "✓ " in shown.partition("✗ ")[0]
    assert "✗ " in shown
    assert "50/100 bytes" in shown
    assert shown.index("install") < shown.index("compile")
