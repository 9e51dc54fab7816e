"""Long work as it goes: what is under way, how far, and how long each step took.

On a terminal a spinner, or a bar where the end is known, and a line for each step that is done. In a pipe each step is
one line, written when it begins: whoever reads a CI log sees where it hangs.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from . import console


class Steps:
    """What is under way, on stderr.

    with Steps() as steps:
        steps.begin("compile C")
        steps.advance(done_bytes, total_bytes)      # where it is known
    """

    def __init__(self) -> None:
        self._console = console.console(stderr=True)
        self._phase = ""
        self._began_s = 0.0
        self._task: TaskID | None = None
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._spinner = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._live: Progress | None = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.end(failed=kind is not None)

    def begin(self, phase: str) -> None:
        """The step before is done, this one begins. The same phase again changes nothing."""
        if phase == self._phase:
            return
        self.end()
        self._phase, self._began_s = phase, time.perf_counter()
        if self._console.is_terminal:
            self._show(self._spinner)
        else:
            self._console.print(f"{phase} …")

    def advance(self, done: int, total: int) -> None:
        """How far the present step is, in bytes."""
        if not total or not self._console.is_terminal:
            return
        if self._live is not self._bar:
            self._hide()
            self._show(self._bar, total)
        assert self._live is not None
        assert self._task is not None
        self._live.update(self._task, completed=done, total=total)

    def end(self, failed: bool = False) -> None:
        """The present step is done."""
        if not self._phase:
            return
        self._hide()
        if self._console.is_terminal:
            mark = ("✗ ", "red") if failed else ("✓ ", "green")
            took = f"  {console.seconds(time.perf_counter() - self._began_s)}"
            self._console.print(Text.assemble(mark, console.clean(self._phase), (took, "dim")))
        self._phase = ""

    def _show(self, progress: Progress, total: int | None = None) -> None:
        self._task = progress.add_task(console.clean(self._phase), total=total)
        self._live = progress
        progress.start()

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            assert self._task is not None
            self._live.remove_task(self._task)
            self._live = self._task = None


class Quiet(Steps):
    """Says nothing: for work that is a part of another's step."""

    def begin(self, phase: str) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        pass
