"""What the terminal sees. Results go to stdout, everything else (progress, notes, errors) to stderr.

Laws:
- Colours, spinners and bars only on a terminal, and not with NO_COLOR; a pipe gets plain lines, as wide as they are.
- Text of a tenant's (log lines, error messages, results) shows no control character on a terminal: what a function
  writes must not move a cursor or retitle a window.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

# As wide as any table: a terminal that is narrower wraps its lines, but no number is cut.
_TABLE_COLUMNS = 10_000


def console(stderr: bool = False, width: int | None = None) -> Console:
    """A console on the present stdout or stderr."""
    # rich takes NO_COLOR by its word and leaves bold and dim.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(
        stderr=stderr, width=width, color_system=colours, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


def clean(text: str) -> str:
    """`text` without control characters (they are spelled out), but for tabs and line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\t\n" else c.encode("unicode_escape").decode("ascii") for c in text)


def say(text: str, style: str = "") -> None:
    """A line on stdout."""
    say_parts((text, style))


def say_parts(*parts: tuple[str, str]) -> None:
    """A line on stdout, its parts each in a style."""
    _line(console(), parts)


def note(text: str, style: str = "") -> None:
    """A line on stderr."""
    _line(console(stderr=True), [(text, style)])


def warn(text: str) -> None:
    _line(console(stderr=True), [("warning: ", "bold yellow"), (text, "")])


def fail(text: str) -> None:
    _line(console(stderr=True), [("error: ", "bold red"), (text, "")])


def _line(to: Console, parts: Sequence[tuple[str, str]]) -> None:
    if to.is_terminal:
        to.print(Text.assemble(*((clean(text), style) for text, style in parts)))
    else:  # as it is: rich would make spaces of the tabs in a REPORT line
        to.file.write("".join(clean(text) for text, _ in parts) + "\n")


def say_json(value: Any) -> None:
    """A result for scripts: indented on a terminal."""
    _write_json(value, indent=2 if sys.stdout.isatty() else None)


def say_json_line(value: Any) -> None:
    """One of many results: a line each."""
    _write_json(value, indent=None)


def _write_json(value: Any, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    sys.stdout.write(text + "\n")


def say_bytes(payload: bytes) -> None:
    """A function's own answer: as it is in a pipe, readable on a terminal."""
    if sys.stdout.isatty():
        try:
            say_json(json.loads(payload))
        except ValueError:
            say(payload.decode(errors="replace"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(payload if payload.endswith(b"\n") else payload + b"\n")
    sys.stdout.buffer.flush()


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> None:
    """A table; the columns named in `right` are numbers. The last row may be a sum: it begins with an empty cell."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    flush_right = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in flush_right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row), style="bold" if not row[0] else None)
    shown = console(width=_TABLE_COLUMNS)
    with shown.capture() as captured:
        shown.print(table, soft_wrap=False)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))


# ── numbers for people ──────────────────────────────────────────────────────────────────────────────────────────


def size(count: int | float) -> str:
    """Bytes, in three digits."""
    if count < 1000:
        return f"{count:.0f} B"
    unit, divisor = next((u, d) for u, d in (("KB", 1e3), ("MB", 1e6), ("GB", 1e9)) if count < 999.5 * d or u == "GB")
    scaled = count / divisor
    return f"{scaled:.0f} {unit}" if scaled >= 99.95 else f"{scaled:.1f} {unit}"


def seconds(value: float) -> str:
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s"


def whole(value: int) -> str:
    """A count, or a part of one: fuel runs into billions."""
    for limit, divisor, unit in ((10**10, 10**9, " G"), (10**7, 10**6, " M")):
        if value >= limit:
            return f"{value / divisor:,.1f}{unit}"
    return f"{value:,}"


def pairs(rows: Mapping[str, str | Iterable[str]]) -> None:
    """Names and values below each other, indented, on stdout. A value of several lines has one name."""
    width = max((len(name) for name in rows), default=0)
    for name, value in rows.items():
        for index, line in enumerate([value] if isinstance(value, str) else value):
            label = name if index == 0 else ""
            say_parts((f"  {label.ljust(width + 2)}", "dim"), (line, ""))
