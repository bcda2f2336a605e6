"""The report's pictures as inline SVG: marginals with their intervals, pairs, the map of all pairs, odds, power, budget.

Must never read anything but the numbers it is handed, and must never write a label unescaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from privsynth.report.numbers import ColumnNumbers
from privsynth.report.words import percent, percent_at_most, posterior

if TYPE_CHECKING:
    from collections.abc import Iterable

RAMP_STEPS = 8
"""Shades of the accent colour, from c0 (almost white) to c7; style.css names them."""

_BAR_ROWS = 9
"""A marginal shows so many categories; the rest share one line."""


def coordinate(value: float) -> str:
    """A coordinate with one digit after the point, none when it is zero."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def short(label: str, length: int) -> str:
    """A label cut to so many characters."""
    return label if len(label) <= length else label[: length - 1] + "…"


def svg(width: float, height: float, title: str, parts: Iterable[Markup], style: str = "") -> Markup:
    """A picture of these parts; `style` is its class."""
    opening = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img"><title>{}</title>')
    return (
        opening.format(style, coordinate(width), coordinate(height), title) + Markup("").join(parts) + Markup("</svg>")
    )


def text(x: float, y: float, words: str, style: str = "", full: str | None = None) -> Markup:
    """Words at a place, escaped; where they were cut, the full ones show when they are pointed at."""
    body = Markup('<text class="{}" x="{}" y="{}">{}{}</text>')
    tip = Markup("<title>{}</title>").format(full) if full is not None and full != words else Markup("")
    return body.format(style, coordinate(x), coordinate(y), words, tip)


def rect(x: float, y: float, width: float, height: float, style: str) -> Markup:
    """A rectangle of at least no width."""
    shape = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>')
    return shape.format(style, coordinate(x), coordinate(y), coordinate(max(width, 0)), coordinate(height))


def path(data: str, style: str) -> Markup:
    """A line, in the words of SVG."""
    return Markup('<path class="{}" d="{}"/>').format(style, data)


def marginal(column: ColumnNumbers, *, sort: bool) -> Markup:
    """Released shares as bars, the 95 % interval of the real share as a whisker; the largest categories first if `sort`."""
    shares = column.released_share
    order = np.argsort(-shares, kind="stable") if sort else np.arange(len(shares))
    shown = order[:_BAR_ROWS] if len(order) > _BAR_ROWS + 1 else order
    left, plot, row = 140.0, 140.0, 19.0
    known = column.share if column.share is not None else shares
    half = column.half if column.share is not None else 0.0
    top = max(float(shares[shown].max()), float((known[shown] + half).max()), 1e-9)
    parts = []
    for line, level in enumerate(shown):
        y = line * row
        label = column.labels[level]
        parts.append(text(left - 8, y + 13, short(label, 19), "label", label))
        parts.append(rect(left, y + 4, plot * shares[level] / top, 11, "bar"))
        if column.share is not None:
            parts.append(_whisker(left, plot / top, float(known[level]), half, y + 9.5))
        outside = column.share is not None and abs(shares[level] - known[level]) > half
        parts.append(text(left + plot + 8, y + 13, percent(float(shares[level])), "num off" if outside else "num"))
    height = len(shown) * row
    if len(shown) < len(order):
        rest = order[len(shown) :]
        words = f"{len(rest)} more together"
        parts.append(text(left - 8, height + 13, words, "label soft"))
        parts.append(text(left + plot + 8, height + 13, percent(float(shares[rest].sum())), "num soft"))
        height += row
    return svg(left + plot + 70, height + 2, f"Released shares of {column.name}", parts)


def _whisker(left: float, scale: float, centre: float, half: float, y: float) -> Markup:
    low, high = max(centre - half, 0) * scale + left, max(centre + half, 0) * scale + left
    return path(f"M{coordinate(low)} {coordinate(y - 3)}v6m0-3H{coordinate(high)}m0-3v6", "whisker")


def histogram(column: ColumnNumbers) -> Markup:
    """Released shares of a column of many ordered levels as columns, with a whisker at each."""
    shares, known = column.released_share, column.share
    half = 0.0 if known is None else column.half
    top = max(float(shares.max()), 0.0 if known is None else float((known + half).max()), 1e-9)
    width, plot, head = 340.0, 112.0, 18.0
    step = width / len(shares)
    parts = []
    for level, share in enumerate(shares):
        x, height = level * step, plot * float(share) / top
        parts.append(rect(x + step * 0.08, head + plot - height, step * 0.84, height, "bar"))
        if known is not None:
            low, high = (head + plot * (1 - max(float(known[level]) + sign * half, 0) / top) for sign in (-1, 1))
            parts.append(path(f"M{coordinate(x + step / 2)} {coordinate(high)}V{coordinate(low)}", "whisker"))
    parts.append(path(f"M0 {coordinate(head + plot)}H{coordinate(width)}", "axis"))
    parts += _axis_labels(column.labels, step, width, head + plot + 15)
    parts.append(text(0, 11, f"up to {percent(float(shares.max()))}", "soft"))
    return svg(width, head + plot + 22, f"Released shares of {column.name}", parts)


def _axis_labels(labels: Sequence[str], step: float, width: float, y: float) -> list[Markup]:
    """As many labels below the columns as fit: none cut by the edge, none over another."""
    parts: list[Markup] = []
    free_from = 0.0
    for level, label in enumerate(labels):
        shown = short(label, 16)
        half = len(shown) * 3.3
        x = min(max(level * step + step / 2, half), width - half)
        if x - half >= free_from:
            parts.append(text(x, y, shown, "mid", label))
            free_from = x + half + 6
    return parts


def shades(values: npt.NDArray[np.float64], top: float) -> npt.NDArray[np.int64]:
    """Shade of each value, 0 to RAMP_STEPS - 1, by the square root so that small values show; -1 for nan."""
    filled = np.nan_to_num(np.clip(values, 0, None), nan=0.0)
    step = np.minimum((np.sqrt(filled / max(top, 1e-12)) * RAMP_STEPS).astype(np.int64), RAMP_STEPS - 1)
    return np.where(np.isnan(values), -1, step)


def grid(shades: npt.NDArray[np.int64], x: float, y: float, cell: tuple[float, float], prefix: str) -> list[Markup]:
    """Cells by shade, one path a shade; shade -1 stays empty. Cells of a row with one shade are drawn as one."""
    width, height = cell
    paths: dict[int, list[str]] = {}
    for row, line in enumerate(shades):
        edges = np.flatnonzero(np.r_[True, line[1:] != line[:-1], True])
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if line[start] >= 0:
                left, top, run = x + start * width, y + row * height, coordinate((stop - start) * width)
                shape = f"M{coordinate(left)} {coordinate(top)}h{run}v{coordinate(height)}"
                paths.setdefault(int(line[start]), []).append(f"{shape}h{coordinate((start - stop) * width)}z")
    return [path("".join(runs), f"{prefix}{shade}") for shade, runs in sorted(paths.items())]


def pair_triptych(
    names: tuple[str, str],
    labels: tuple[Sequence[str], Sequence[str]],
    noisy: npt.NDArray[np.float64],
    released: npt.NDArray[np.float64],
    sigma: float,
) -> Markup:
    """A measured pair three times: the noisy answer, the released table, and their difference in standard deviations.

    Shapes: `noisy` and `released` are counts on the same scale, one row a level of the first column.
    """
    rows, columns = noisy.shape
    left, panel, gap, head = 190.0, 190.0, 18.0, 22.0
    cell = (panel / columns, max(9.0, min(18.0, 260.0 / rows)))
    height = rows * cell[1]
    top = float(max(noisy.max(), released.max()))
    gaps = (released - noisy) / sigma
    parts = [
        text(left - 8, head + row * cell[1] + cell[1] / 2 + 4, short(labels[0][row], 28), "label", labels[0][row])
        for row in range(rows)
    ]
    for index, title in enumerate(("bought (noisy)", "released", "released − bought")):
        x = left + index * (panel + gap)
        parts.append(text(x, head - 9, title, "strong"))
        parts.append(rect(x, head, panel, height, "frame"))
        parts += _ends(labels[1], x, panel, head + height + 14)
        if title.startswith("released −"):
            parts += _difference(gaps, x, head, cell)
        else:
            parts += grid(shades(noisy if index == 0 else released, top), x, head, cell, "c")
    return svg(left + 3 * panel + 2 * gap, head + height + 20, f"{names[0]} by {names[1]}", parts, "wide")


def _ends(labels: Sequence[str], x: float, width: float, y: float) -> list[Markup]:
    """The first and the last label below a panel."""
    return [
        text(x, y, short(labels[0], 12), "soft", labels[0]),
        text(x + width, y, short(labels[-1], 12), "end soft", labels[-1]),
    ]


def _difference(gaps: npt.NDArray[np.float64], x: float, y: float, cell: tuple[float, float]) -> list[Markup]:
    """Cells further than two standard deviations from the noisy answer: accent where too many, grey where too few."""
    size = np.abs(gaps)
    shade = np.where(size < 2, -1, np.where(size < 3, 0, np.where(size < 5, 1, 2)))
    more = grid(np.where(gaps > 0, shade, -1), x, y, cell, "more")
    return more + grid(np.where(gaps < 0, shade, -1), x, y, cell, "less")


def odds(epsilon: float) -> Markup:
    """How far a belief can move: three beliefs before, and the most that each may become."""
    left, plot, row = 50.0, 190.0, 30.0
    parts = []
    for line, prior in enumerate((0.01, 0.1, 0.5)):
        after, y = posterior(prior, epsilon), line * row + 14
        parts.append(text(left - 10, y + 4, percent(prior), "end"))
        parts.append(rect(left, y - 5, plot, 10, "track"))
        parts.append(rect(left + plot * prior, y - 5, plot * (after - prior), 10, "bar"))
        parts.append(rect(left, y - 5, plot * prior, 10, "before"))
        parts.append(text(left + plot + 10, y + 4, f"at most {percent_at_most(after)}", "num"))
    return svg(left + plot + 104, 3 * row, "How far a belief about one person can move", parts, "odds")


def power(threshold: float, detectable: float | None, ceiling: float | None) -> Markup:
    """An attack's scale: what it would have seen, the limit that the policy sets, what the guarantee alone allows."""
    marks = [value for value in (threshold, detectable, ceiling) if value is not None]
    top = max([*marks, 1e-9]) * 1.15
    plot = 150.0
    parts = [rect(0, 6, plot, 8, "track")]
    if detectable is not None:
        parts.append(rect(0, 6, plot * detectable / top, 8, "unseen"))
    if ceiling is not None:
        parts.append(path(f"M{coordinate(plot * ceiling / top)} 3v14", "ceiling"))
    parts.append(path(f"M{coordinate(plot * threshold / top)} 2v16", "limit"))
    return svg(plot, 20, "Power of the attack", parts, "power")


def budget(spent: float, cap: float) -> Markup:
    """How much of a population's lifetime budget is spent."""
    share = min(1.0, spent / cap) if cap > 0 else 1.0
    parts = [rect(0, 2, 300, 8, "track"), rect(0, 2, 300 * share, 8, "bar")]
    return svg(300, 12, "Share of the lifetime budget", parts, "meter")
