"""Writes the tables of the READMEs from what was measured: no number in them is copied by hand.

A table that comes from a result stands behind a line that names the result and the table's title:

    <!-- benches/results/<date>-<what>-<machine>.json: <title> -->

and, if not all of its columns are wanted, those that are: `…: <title>: <column>, <column> -->`.

    python benches/tables.py            rewrites README.md and benches/README.md
    python benches/tables.py --check    says what would change; exit code 1 if something would
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "benches" / "README.md")
_TABLE = re.compile(
    r"^<!-- (?P<path>benches/results/[^:]+\.json): (?P<what>.+?) -->\n+(?P<old>(?:\|.*\n)*)", re.MULTILINE
)


def rewritten(page: str) -> str:
    """The page with its tables as the results have them. Raises SystemExit: a result or a table is not there."""
    return _TABLE.sub(_replaced, page)


def _replaced(found: re.Match[str]) -> str:
    title, _, wanted = found["what"].partition(": ")
    table = _table(ROOT / found["path"], title)
    columns = [word.strip() for word in wanted.split(",")] if wanted else table["columns"]
    for column in columns:
        if column not in table["columns"]:
            raise SystemExit(
                f"{found['path']}: {title} has no column {column!r}; there are {', '.join(table['columns'])}"
            )
    places = [table["columns"].index(column) for column in columns]
    lines = [columns, *([row[place] for place in places] for row in table["rows"])]
    rows = [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
    rule = "|" + "---|" * len(columns)
    # Where there was no table yet, the match has taken the empty line that is to follow it.
    end = "\n" if found["old"] else "\n\n"
    return f"<!-- {found['path']}: {found['what']} -->\n\n" + "\n".join([rows[0], rule, *rows[1:]]) + end


def _table(path: Path, title: str) -> dict[str, Any]:
    if not path.is_file():
        raise SystemExit(f"there is no result {path.relative_to(ROOT)}")
    tables = {table["title"]: table for table in json.loads(path.read_text())["tables"]}
    if title not in tables:
        raise SystemExit(f"{path.relative_to(ROOT)} has no table {title!r}; there are: {'; '.join(tables)}")
    table: dict[str, Any] = tables[title]
    return table


def main() -> int:
    stale = [page for page in PAGES if rewritten(page.read_text()) != page.read_text()]
    for page in stale:
        if "--check" in sys.argv[1:]:
            print(f"{page.relative_to(ROOT)}: its tables are not those of the results; run python benches/tables.py")
        else:
            page.write_text(rewritten(page.read_text()))
            print(f"written: {page.relative_to(ROOT)}")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
