"""The heat maps of the report: how far each pair of columns is off, and what hangs together, columns in clusters.

Must never read anything but the matrices it is handed, and must never let a pair of unknown error look like a good one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from privsynth.report.numbers import PairMatrix
from privsynth.report.pictures import coordinate, grid, path, rect, shades, short, svg, text
from privsynth.report.words import percent

Floats: TypeAlias = npt.NDArray[np.float64]

ERROR_LEVELS = (0.01, 0.02, 0.05, 0.15, 0.3)
"""Limits between the shades of expected error, the lights' own among them; the report prints them as the legend."""

_WRITTEN_FROM = 22.0
"""Cells at least so wide have their number written in."""

_DARK = 4
"""From this shade on, what is written in a cell is white."""

_MARGIN, _SIDE = 150.0, 640.0


def clusters(association: Floats) -> list[int]:
    """An order of the columns in which those that hang together stand together: average linkage, ends joined that fit best.

    Shapes: `association` is (d, d), symmetric, from 0 to 1.
    """
    members = [[place] for place in range(len(association))]
    between = association.astype(np.float64).copy()
    np.fill_diagonal(between, -1)
    sizes = np.ones(len(members))
    for _ in range(len(members) - 1):
        first, second = sorted(divmod(int(np.argmax(between)), len(members)))
        members[first] = _joined(members[first], members[second], association)
        merged = (sizes[first] * between[first] + sizes[second] * between[second]) / (sizes[first] + sizes[second])
        between[first] = between[:, first] = np.where(between[first] < 0, -1, merged)
        between[second] = between[:, second] = -1
        between[first, first] = -1
        sizes[first] += sizes[second]
    return members[0] if members else []


def _joined(one: list[int], other: list[int], association: Floats) -> list[int]:
    """Two clusters in a row, each turned so that the ends that meet hang together most."""
    ways = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
    left, right = max(ways, key=lambda way: float(association[way[0][-1], way[1][0]]))
    return left + right


def _cell(d: int) -> float:
    return max(10.0, min(30.0, _SIDE / d))


def error_map(names: Sequence[str], pairs: PairMatrix, order: Sequence[int]) -> Markup:
    """The expected error of every pair, a column's mean beside its row; unknown errors are crossed out."""
    d, cell = len(names), _cell(len(names))
    side = d * cell
    error = pairs.expected_error[np.ix_(order, order)].copy()
    np.fill_diagonal(error, np.nan)
    shade = np.where(np.isnan(error), -1, np.searchsorted(np.array(ERROR_LEVELS), np.nan_to_num(error, nan=0.0)))
    parts = [rect(_MARGIN, _MARGIN, side, side, "frame"), *grid(shade, _MARGIN, _MARGIN, (cell, cell), "h")]
    parts += _crossed(np.isnan(error) & ~np.eye(d, dtype=bool), cell)
    parts += _lines(d, cell) + _names(names, order, cell)
    if cell >= _WRITTEN_FROM:
        parts += _written(error, shade, cell)
    for row in range(d):
        known = error[row][~np.isnan(error[row])]
        words = percent(float(known.mean())) if known.size else "–"
        parts.append(text(_MARGIN + side + 6, _MARGIN + row * cell + cell / 2 + 3.5, words, "tiny num"))
    parts.append(text(_MARGIN + side + 6, _MARGIN - 6, "mean", "tiny soft"))
    return svg(_MARGIN + side + 60, _MARGIN + side + 4, "Expected error of every pair of columns", parts, "map")


def association_map(names: Sequence[str], pairs: PairMatrix, order: Sequence[int]) -> Markup:
    """Cramér's V of every pair in the released table, in the same order."""
    d, cell = len(names), _cell(len(names))
    side = d * cell
    values = pairs.association[np.ix_(order, order)].copy()
    np.fill_diagonal(values, np.nan)
    parts = [rect(_MARGIN, _MARGIN, side, side, "frame"), *grid(shades(values, 1), _MARGIN, _MARGIN, (cell, cell), "c")]
    parts += _lines(d, cell) + _names(names, order, cell)
    return svg(_MARGIN + side + 60, _MARGIN + side + 4, "Association of every pair of columns", parts, "map")


def _number(error: float) -> str:
    """A percentage in as few characters as a cell bears."""
    return f"{100 * error:.0f}" if error >= 0.095 else f"{100 * error:.1f}"


def _written(error: Floats, shade: npt.NDArray[np.int64], cell: float) -> list[Markup]:
    """The number of each pair in its cell, white on the dark ones."""
    parts = []
    for row, column in zip(*np.nonzero(~np.isnan(error)), strict=True):
        x, y = _MARGIN + column * cell + cell / 2, _MARGIN + row * cell + cell / 2 + 3.5
        style = "mid cell on" if shade[row, column] >= _DARK else "mid cell"
        parts.append(text(x, y, _number(float(error[row, column])), style))
    return parts


def _crossed(unknown: npt.NDArray[np.bool_], cell: float) -> list[Markup]:
    """A stroke through every cell of unknown error."""
    strokes = []
    for row, column in zip(*np.nonzero(unknown), strict=True):
        x, y = coordinate(_MARGIN + column * cell + 2), coordinate(_MARGIN + (row + 1) * cell - 2)
        strokes.append(f"M{x} {y}l{coordinate(cell - 4)} {coordinate(4 - cell)}")
    return [path("".join(strokes), "unknown")] if strokes else []


def _lines(d: int, cell: float) -> list[Markup]:
    """White lines between the cells, and a diagonal of no pairs."""
    side = coordinate(d * cell)
    start = coordinate(_MARGIN)
    marks = [coordinate(_MARGIN + place * cell) for place in range(1, d)]
    lines = "".join(f"M{start} {mark}h{side}M{mark} {start}v{side}" for mark in marks)
    return [path(lines, "rules"), path(f"M{start} {start}l{side} {side}", "axis")]


def _names(names: Sequence[str], order: Sequence[int], cell: float) -> list[Markup]:
    parts = []
    turned = Markup('<text class="tiny" transform="translate({} {}) rotate(-60)">{}<title>{}</title></text>')
    for place, column in enumerate(order):
        name, middle = names[column], _MARGIN + place * cell + cell / 2
        parts.append(text(_MARGIN - 6, middle + 3.5, short(name, 24), "end tiny", name))
        parts.append(turned.format(coordinate(middle + 3), coordinate(_MARGIN - 6), short(name, 24), name))
    return parts
