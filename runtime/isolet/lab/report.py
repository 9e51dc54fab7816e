"""Reports: a JSON file for machines, a CSV for spreadsheets, a page for people. The page is one file, its pictures in
it."""

from __future__ import annotations

import csv
import html
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import machine, plots


@dataclass
class Table:
    """Rows as they are shown. The first column is text, the others numbers as strings."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    # What a reader must know of these numbers.
    note: str = ""

    def as_plain(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


@dataclass
class Report:
    """What one run of the laboratory found."""

    title: str
    command: str
    settings: Mapping[str, Any]
    method: str
    tables: list[Table] = field(default_factory=list)
    # What draws each picture, by its title.
    figures: dict[str, Callable[[], Any]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine.describe)

    def as_plain(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "command": self.command,
            "machine": self.machine,
            "settings": dict(self.settings),
            "method": " ".join(self.method.split()),
            "tables": [table.as_plain() for table in self.tables],
            **self.data,
        }

    def as_csv(self) -> str:
        """All tables below each other, each row beginning with its table's title."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for table in self.tables:
            writer.writerow(["table", *table.columns])
            writer.writerows([table.title, *(cell.replace(",", "") for cell in row)] for row in table.rows)
        return text.getvalue()

    def as_html(self) -> str:
        parts = [_HEAD.format(title=html.escape(self.title)), f"<h1>{html.escape(self.title)}</h1>"]
        parts.append(f"<p><code>{html.escape(self.command)}</code></p>")
        for table in self.tables:
            parts.append(_table(table))
        for title, draw in self.figures.items():
            parts.append(f"<figure><figcaption>{html.escape(title)}</figcaption>{plots.svg(draw())}</figure>")
        parts.append("<h2>Method</h2>")
        parts += [f"<p>{html.escape(part)}</p>" for part in self.method.strip().split("\n\n")]
        parts.append("<h2>Machine and settings</h2>")
        measured = json.dumps({"machine": self.machine, "settings": dict(self.settings)}, indent=1)
        parts.append(f"<pre>{html.escape(measured)}</pre>")
        return "\n".join([*parts, "</main></body></html>", ""])

    def save_plots(self, path: Path) -> list[Path]:
        """Each picture in a file: the first by the name that was given, the others beside it with their titles."""
        written = []
        for number, (title, draw) in enumerate(self.figures.items()):
            target = path if number == 0 else path.with_stem(f"{path.stem}-{title}")
            plots.save(draw(), target)
            written.append(target)
        return written

    def write(self, path: Path) -> Path:
        """`path` decides by its suffix: .json, .csv, .html."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {
            ".json": lambda: json.dumps(self.as_plain(), indent=1, ensure_ascii=False) + "\n",
            ".csv": self.as_csv,
            ".html": self.as_html,
        }[path.suffix]()
        path.write_text(text, encoding="utf-8")
        return path


def default_path(directory: Path, what: str) -> Path:
    """<date>-<what>-<machine>.json."""
    return directory / f"{time.strftime('%Y-%m-%d')}-{what}-{machine.short_name()}.json"


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    note = f"<p class=note>{html.escape(table.note)}</p>" if table.note else ""
    return (
        f"<h2>{html.escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"
    )


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 }}
main {{ max-width: 60rem; margin: 0 auto; padding: 2rem 1rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #8884 }}
th:first-child, td:first-child {{ text-align: left }}
.note {{ color: #888; max-width: 45rem }}
figure {{ margin: 2rem 0; background: #fff; color: #000; padding: 1rem }}
figure svg {{ max-width: 100%; height: auto }}
pre {{ overflow-x: auto }}
</style></head><body><main>"""
