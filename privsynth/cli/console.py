"""What every command shares: where output goes, how progress looks, how an error becomes an exit code.

Must never print anything of an unexpected exception but its type and where in privsynth it was raised.
"""

from __future__ import annotations

import json
import math
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

from privsynth import progress
from privsynth.errors import PrivsynthError
from privsynth.progress import Note

if TYPE_CHECKING:
    from rich.progress import TaskID

UNEXPECTED_EXIT = 1
_EVERY_SECONDS = 2
"""A stage says how far it is no more often than this."""


@final
@dataclass(slots=True)
class Pace:
    """How fast stages go, by the clock: what is left of those that say how it goes."""

    _first: dict[str, tuple[float, int]] = field(default_factory=dict)

    def words(self, stage: str, done: int, total: int, note: Note | None) -> list[str]:
        """The stage's note, and how long the rest takes at the pace since its first report."""
        now = time.monotonic()
        since, done_by_then = self._first.setdefault(stage, (now, done))
        if note is None:
            return []
        said = [words] if (words := note()) else []
        if done_by_then < done < total:
            said.append(f"{_duration((now - since) / (done - done_by_then) * (total - done))} left")
        return said


@final
@dataclass(slots=True)
class Console:
    """Output settings of one run of the command line."""

    quiet: bool = False
    as_json: bool = False
    _said: dict[str, float] = field(default_factory=dict)
    _pace: Pace = field(default_factory=Pace)

    def say(self, line: str = "") -> None:
        """Print a line for a person; nothing under --quiet or --json."""
        if not (self.quiet or self.as_json):
            sys.stdout.write(line + "\n")

    def result(self, value: Mapping[str, object], lines: list[str]) -> None:
        """Print a command's result: the JSON object under --json, the lines otherwise (under --quiet too)."""
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str) if self.as_json else "\n".join(lines)
        sys.stdout.write(text + "\n")

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show progress inside the block: a live bar on a terminal, a line every two seconds elsewhere, on stderr."""
        if self.quiet:
            yield
        elif sys.stderr.isatty():
            with _live_bar() as sink, progress.listening(sink):
                yield
        else:
            with progress.listening(self._plain_line):
                yield

    def _plain_line(self, stage: str, done: int, total: int, note: Note | None) -> None:
        now, ends = time.monotonic(), note is not None and done == total
        if stage in self._said and (total <= 1 or now - self._said[stage] < _EVERY_SECONDS) and not ends:
            return
        self._said[stage] = now
        counted = f" {done}/{total}" if total > 1 else ""
        sys.stderr.write("  " + ", ".join([stage + counted, *self._pace.words(stage, done, total, note)]) + "\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def _live_bar() -> Iterator[progress.Sink]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        noted: dict[str, float] = {}

        def sink(stage: str, done: int, total: int, note: Note | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)
            now = time.monotonic()
            if note is not None and now - noted.get(stage, -_EVERY_SECONDS) >= _EVERY_SECONDS:
                noted[stage] = now
                bars.update(tasks[stage], description=", ".join([f"{stage} {done}/{total}", note()]))

        yield sink


def explain(error: BaseException) -> tuple[str, int]:
    """The message and exit code for an error: ours in full, any other only by its type and place."""
    if isinstance(error, PrivsynthError):
        return f"error: {error}", error.exit_code
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "privsynth" in frame.filename]
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    text = (
        f"error: something unexpected went wrong inside privsynth ({type(error).__name__}{place}). Its text is withheld, "
        "because it may hold private values. Please report this line."
    )
    return text, UNEXPECTED_EXIT
