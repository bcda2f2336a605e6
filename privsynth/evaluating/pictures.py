"""Pictures of an evaluation as inline SVG: errors beside what a fresh sample shows, learners, correlations.

Must never read anything but the numbers it is handed, and must never write a label unescaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from privsynth.metrics.prediction import Estimate
from privsynth.report.pictures import coordinate, path, rect, short, svg, text
from privsynth.report.words import percent

_SHADES = 8
_DIFFERENCE_TOP = 0.5
_LABEL_HEIGHT = 9.0
"""Where columns are many, so many of them share a label that none lies over another."""


def bars(lines: Sequence[tuple[str, float, float | None]], title: str, *, left: float = 290.0) -> Markup:
    """Shares as bars, with a mark where a fresh sample lies.

    Args: `lines` are (label, share, mark or None).
    """
    plot, row = 260.0, 21.0
    top = max([value for _, *values in lines for value in values if value is not None], default=0.0) or 1.0
    parts = []
    for place, (label, value, mark) in enumerate(lines):
        y = place * row
        parts.append(text(left - 8, y + 14, short(label, 44), "label", label))
        parts.append(rect(left, y + 4, plot * max(value, 0.0) / top, 12, "bar"))
        if mark is not None:
            parts.append(path(f"M{coordinate(left + plot * mark / top)} {coordinate(y + 2)}v16", "limit"))
        parts.append(text(left + plot + 8, y + 14, percent(value), "num"))
    return svg(left + plot + 66, max(len(lines), 1) * row + 2, title, parts, "wide")


def intervals(lines: Sequence[tuple[str, str, Estimate]], measure: str) -> Markup:
    """Estimates with their intervals on one scale; `lines` are (label, style, estimate), style "real", "made" or "direct"."""
    left, plot, row = 250.0, 300.0, 22.0
    ends = [end for _, _, one in lines for end in (one.lower, one.upper)]
    guess = 0.5 if measure == "AUC" else 0.0
    low, high = min([guess, *ends]), max([*ends, guess + 0.01])
    low = max(low, -0.5)
    span = high - low

    def at(value: float) -> float:
        return left + plot * (min(max(value, low), high) - low) / span

    parts = []
    for place, (label, style, one) in enumerate(lines):
        y = place * row + 11
        parts.append(text(left - 10, y + 4, short(label, 40), "label", label))
        parts.append(rect(left, y - 4, plot, 8, "track"))
        ends_of = coordinate(at(one.lower)), coordinate(at(one.upper))
        parts.append(path(f"M{ends_of[0]} {coordinate(y - 5)}v10m0-5H{ends_of[1]}m0-5v10", "measured"))
        parts.append(rect(at(one.value) - 3, y - 5, 6, 10, f"of-{style}"))
        parts.append(text(left + plot + 10, y + 4, f"{one.value:.3f}", "num"))
    bottom = len(lines) * row + 12
    parts.append(text(at(guess), bottom, f"{guess:g} is guessing" if measure == "AUC" else "0 is the mean", "mid"))
    return svg(left + plot + 60, bottom + 6, f"{measure} with intervals of 95 %", parts, "wide")


def matrix(names: Sequence[str], values: npt.NDArray[np.float64], title: str, *, difference: bool = False) -> Markup:
    """A matrix of correlations: the stronger the darker; of differences, accent where too high and grey where too low."""
    d = len(names)
    cell = max(5.0, min(20.0, 270.0 / max(d, 1)))
    margin, side = 96.0, d * cell
    top = _DIFFERENCE_TOP if difference else 1.0
    shade = np.minimum((np.nan_to_num(np.abs(values)) / top * _SHADES).astype(np.int64), _SHADES - 1)
    parts = [rect(margin, 4, side, side, "frame")]
    apart = math.ceil(_LABEL_HEIGHT / cell)
    for row in range(d):
        if row % apart == 0:
            middle = 4 + row * cell + cell / 2 + 3.5
            parts.append(text(margin - 5, middle, short(names[row], 15), "end tiny", names[row]))
        for column in range(d):
            if row != column and not np.isnan(values[row, column]) and shade[row, column] > 0:
                style = _style(float(values[row, column]), int(shade[row, column]), difference=difference)
                parts.append(rect(margin + column * cell, 4 + row * cell, cell, cell, style))
    return svg(margin + side + 4, side + 8, title, parts)


def _style(value: float, shade: int, *, difference: bool) -> str:
    if not difference:
        return f"c{shade}"
    return f"{'more' if value > 0 else 'less'}{min(2, shade // 3)}"
