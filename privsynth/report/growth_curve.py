"""The learning curve of a release: expected error of single and pair tables against the number of synthetic rows drawn.

Must never read anything but public numbers: more synthetic rows cannot tell more than the noisy answers did.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from privsynth.report.numbers import roughness
from privsynth.report.pictures import coordinate, path, svg, text
from privsynth.report.sections import Facts, Section
from privsynth.report.words import count, percent

Floats: TypeAlias = npt.NDArray[np.float64]

NEGLIGIBLE: Final = 0.1
"""More rows stop helping where what sampling adds is below this share of the noise."""

_FEWEST = 100


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """The error of tables of one kind, against the rows drawn.

    Shapes: `noise` and `rough` have one entry a table: its expected error however many rows are drawn, and what n random rows
        add, times the root of n. Units: total variation distances.
    """

    name: str
    noise: Floats
    rough: Floats

    def error(self, rows: float) -> float:
        """Mean expected error with so many rows drawn: noise and sampling are independent, so that their squares add."""
        return float(np.sqrt(self.noise**2 + self.rough**2 / rows).mean())

    @property
    def floor(self) -> float:
        """Mean expected error however many rows are drawn."""
        return float(self.noise.mean())

    @property
    def enough(self) -> float:
        """From so many rows on sampling adds less than a tenth of the noise; infinite without noise."""
        floor = self.floor
        return (float(self.rough.mean()) / (NEGLIGIBLE * floor)) ** 2 if floor > 0 else math.inf


def curves(facts: Facts) -> list[Curve]:
    """The curves of single columns and of pairs, of those whose error is known."""
    single = [(column.expected_error, roughness(column.released_share)) for column in facts.columns]
    places = itertools.combinations(range(len(facts.columns)), 2)
    pairs = [(float(facts.pairs.expected_error[place]), float(facts.pairs.roughness[place])) for place in places]
    found = []
    for name, tables in (("single columns", single), ("pairs of columns", pairs)):
        known = np.array([table for table in tables if math.isfinite(table[0])], dtype=np.float64).reshape(-1, 2)
        if len(known) and known[:, 0].any():
            found.append(Curve(name=name, noise=known[:, 0], rough=known[:, 1]))
    return found


def growth(facts: Facts) -> Section:
    """The picture, and where more rows stop helping."""
    found = curves(facts)
    rows = facts.released.rows
    lines = [
        {
            "name": curve.name,
            "now": percent(curve.error(rows)),
            "floor": percent(curve.floor),
            "tenth": percent(curve.error(max(1.0, rows / 10))),
            "enough": f"{count(_two_figures(curve.enough))} rows",
        }
        for curve in found
    ]
    return {
        "lines": lines,
        "svg": picture(found, rows) if found else "",
        "rows": count(rows),
        "words": _words(found, rows),
    }


def _two_figures(rows: float) -> float:
    if not math.isfinite(rows) or rows < 1:
        return rows
    scale = 10.0 ** max(0, math.floor(math.log10(rows)) - 1)
    return math.ceil(rows / scale) * scale


def _words(found: Sequence[Curve], rows: int) -> str:
    if not found:
        return "The error of no table is known, so that nothing can be said of more rows."
    enough = max(curve.enough for curve in found)
    if rows >= enough:
        return (
            f"The {count(rows)} rows of this release are enough: more rows would make no table better that can be told."
        )
    gain = max(1 - curve.floor / curve.error(rows) for curve in found)
    return (
        f"With the {count(rows)} rows of this release sampling still adds to the noise; drawing without end would lower the "
        f"expected error by up to {percent(gain)} of itself."
    )


def picture(found: Sequence[Curve], rows: int) -> Markup:
    """Error against rows, both on a scale of ratios; the floor of noise, where sampling stops to matter, and this release."""
    left, top, width, height = 56.0, 26.0, 520.0, 220.0
    last = 10 ** math.ceil(math.log10(max(10 * rows, *(curve.enough for curve in found), 10 * _FEWEST)))
    low = min(curve.floor for curve in found) / 1.5
    high = max(curve.error(_FEWEST) for curve in found) * 1.1

    def x(of: float) -> float:
        return left + width * math.log(of / _FEWEST) / math.log(last / _FEWEST)

    def y(error: float) -> float:
        return top + height * (1 - math.log(error / low) / math.log(high / low))

    parts = [path(f"M{coordinate(left)} {coordinate(top)}v{coordinate(height)}h{coordinate(width)}", "axis")]
    decades = range(int(math.log10(_FEWEST)), int(math.log10(last)) + 1)
    parts += [text(x(10.0**decade), top + height + 16, f"{10**decade:,}", "mid") for decade in decades]
    for error in _ticks(low, high):
        parts.append(path(f"M{coordinate(left)} {coordinate(y(error))}h{coordinate(width)}", "gridline"))
        parts.append(text(left - 6, y(error) + 4, percent(error), "end soft"))
    if _FEWEST <= rows <= last:
        parts.append(path(f"M{coordinate(x(rows))} {coordinate(top)}v{coordinate(height)}", "now"))
        parts.append(text(x(rows), top - 8, "this release", "mid strong"))
    for place, curve in enumerate(found):
        steps = np.geomspace(_FEWEST, last, 60)
        line = "L".join(f"{coordinate(x(at))} {coordinate(y(curve.error(at)))}" for at in steps.tolist())
        parts.append(path(f"M{line}", f"curve k{place}"))
        parts.append(path(f"M{coordinate(left)} {coordinate(y(curve.floor))}h{coordinate(width)}", f"floor k{place}"))
        parts.append(text(left + width + 8, y(curve.error(last)) + 4, curve.name, "strong"))
        if _FEWEST <= curve.enough <= last:
            parts.append(_dot(x(curve.enough), y(curve.error(curve.enough)), f"k{place}"))
    parts.append(text(left + width / 2, top + height + 34, "synthetic rows drawn", "mid"))
    return svg(
        left + width + 130, top + height + 40, "Expected error against the number of synthetic rows", parts, "wide"
    )


def _dot(x: float, y: float, style: str) -> Markup:
    return path(f"M{coordinate(x)} {coordinate(y - 4.5)}a4.5 4.5 0 1 0 0.01 0z", f"dot {style}")


def _ticks(low: float, high: float) -> list[float]:
    """Round errors within the range: 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**decade for decade in decades for step in (1, 2, 5) if low <= step * 10.0**decade <= high]
