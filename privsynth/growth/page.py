"""The page of learning curves: one self-contained HTML file under a red banner.

Must never show more than the figures it is handed, nor a curve beyond the sizes that were measured.
"""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from privsynth.growth.curve import Curve
from privsynth.growth.learning import ROWS, TITLES, Growth
from privsynth.report import page
from privsynth.report.pictures import coordinate, path, rect, svg, text

_LEFT, _PLOT, _TOP, _HIGH = 60.0, 520.0, 12.0, 180.0
_POINTS = 60


def render(found: Growth) -> str:
    """Write the page. Privacy: it shows figures computed on real people; internal."""
    lead = (
        f'{found.measure} of {found.learner.replace("_", " ")} at predicting "{found.target}", judged on held-out real rows, '
        f"{found.seeds} times at each size; {found.spent}."
    )
    sections = [
        {"title": TITLES[name], "words": curve.words(ROWS[name]), "picture": picture(curve, ROWS[name])}
        for name, curve in found.curves.items()
    ]
    return page.fill(
        "growth.html",
        {
            "page": page.head(f"Learning curves of {found.target}"),
            "lead": lead,
            "seen": found.seen,
            "rows": found.rows_caution,
            "curves": sections,
        },
    )


def picture(curve: Curve, rows: str) -> Markup:
    """The means with two standard errors either way, the fitted curve between the sizes measured, where it stops helping."""
    logs = np.log(np.array(curve.sizes, dtype=np.float64))
    means, errors = np.array(curve.means), np.array(curve.spread)
    low, high = float((means - 2 * errors).min()), float((means + 2 * errors).max())
    span = max(high - low, 1e-3)

    def across(n: float) -> float:
        return _LEFT + _PLOT * (math.log(n) - float(logs[0])) / float(logs[-1] - logs[0])

    def down(score: float) -> float:
        return _TOP + _HIGH * (1 - (score - low) / span)

    base = _TOP + _HIGH
    parts = [path(f"M{coordinate(_LEFT)} {coordinate(base)}h{coordinate(_PLOT)}", "axis")]
    parts += [text(_LEFT - 8, down(value) + 4, f"{value:.3f}", "label") for value in (low, high)]
    for place, n in enumerate(curve.sizes):
        x = across(n)
        top, bottom = down(means[place] + 2 * errors[place]), down(means[place] - 2 * errors[place])
        parts.append(path(f"M{coordinate(x)} {coordinate(top)}V{coordinate(bottom)}", "whisker"))
        parts.append(rect(x - 3, down(means[place]) - 3, 6, 6, "bar"))
        parts.append(text(x, base + 15, f"{n:,}", "mid soft"))
    if curve.ceiling is not None:
        steps = np.exp(np.linspace(float(logs[0]), float(logs[-1]), _POINTS)).tolist()
        line = [f"{coordinate(across(n))} {coordinate(down(curve.at(n) or 0.0))}" for n in steps]
        parts.append(path("M" + "L".join(line), "whisker"))
    if curve.stops_at is not None and curve.stops_at > curve.sizes[0]:
        parts.append(path(f"M{coordinate(across(curve.stops_at))} {coordinate(_TOP)}V{coordinate(base)}", "limit"))
    return svg(_LEFT + _PLOT + 30, base + 22, f"Score by {rows}", parts, "wide")
