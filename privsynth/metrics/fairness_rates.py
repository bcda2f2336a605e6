"""Rates of groups, with intervals: shares, means, errors of a predictor by fairlearn, and how far groups lie apart.

Must never decide what may be shown: it is told which blocks are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError
from privsynth.metrics.fairness_cells import hidden_outcomes
from privsynth.metrics.people import in_cells
from privsynth.statistics import normal_quantile, proportion_lower, proportion_upper

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEVEL: Final = 0.9
"""Of every interval."""

_RESAMPLES = 400


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with a 90 % interval; no interval where rows were made, not sampled.

    Privacy: of real records it is internal.
    """

    value: float
    lower: float | None = None
    upper: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """value, lower, upper, to three digits."""
        named = {"value": self.value, "lower": self.lower, "upper": self.upper}
        return {name: None if one is None else float(f"{one:.3g}") for name, one in named.items()}

    def __str__(self) -> str:
        between = "" if self.lower is None else f" ({self.lower:.3g} to {self.upper:.3g})"
        return f"{self.value:.3g}{between}"


def share(successes: int, attempts: int) -> Estimate | None:
    """A share, with the exact interval; None of nothing. Source: Clopper, Pearson 1934."""
    if attempts == 0:
        return None
    alpha = (1 - LEVEL) / 2
    lower, upper = proportion_lower(successes, attempts, alpha), proportion_upper(successes, attempts, alpha)
    return Estimate(value=successes / attempts, lower=lower, upper=upper)


def mean(values: Floats) -> Estimate | None:
    """A mean, with the interval of the normal approximation; None of fewer than two values."""
    if len(values) < 2:
        return None
    middle = float(values.mean())
    half = normal_quantile((1 + LEVEL) / 2) * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Estimate(value=middle, lower=middle - half, upper=middle + half)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Errors:
    """What a predictor does to each block: shares that are selected, and that are wrong; None where a count is hidden.

    `parity` and `odds` are the demographic parity and equalized odds differences between the blocks that are shown.
    """

    selected: tuple[Estimate | None, ...]
    false_positive: tuple[Estimate | None, ...]
    false_negative: tuple[Estimate | None, ...]
    parity: Estimate | None
    odds: Estimate | None


def errors(
    block: Ints,
    truth: Mask,
    chosen: Mapping[str, Mask],
    *,
    units: Ints | None = None,
    blocks: int,
    min_cell: int,
    rng: np.random.Generator,
) -> dict[str, Errors]:
    """The errors of each predictor by block; their differences are all of the same blocks, those of which none is hidden.

    Shapes: `block`, `truth`, each of `chosen`, and `units` (whose the rows are, if not each is another's) are (rows,), blocks
        numbered from 0.
    Raises: InputError when fairlearn is not installed.
    """
    counts, people = (
        {
            whose: in_cells(block * 4 + truth * 2 + one, whom, 4 * blocks).reshape(blocks, 2, 2)
            for whose, one in chosen.items()
        }
        for whom in (None, units)
    )
    shown = {
        whose: np.stack([~hidden_outcomes(one[:, which], min_cell).any(axis=1) for which in (0, 1)], axis=1)
        for whose, one in people.items()
    }
    together = np.asarray(np.logical_and.reduce([one.all(axis=1) for one in shown.values()]), dtype=np.bool_)
    return {
        whose: _of_one(one, shown[whose], together, _by_group(block, truth, chosen[whose]), rng)
        for whose, one in counts.items()
    }


def _of_one(
    counts: Ints, shown: Mask, together: Mask, by_group: Mapping[str, Mapping[int, float]], rng: np.random.Generator
) -> Errors:
    """Shapes: `counts` is (blocks, without and with the outcome, not chosen and chosen), `shown` (blocks, 2)."""
    totals = counts.sum(axis=2)

    def named(what: str, visible: Mask, successes: Ints, attempts: Ints) -> tuple[Estimate | None, ...]:
        out: list[Estimate | None] = []
        for place in range(len(counts)):
            found = share(int(successes[place]), int(attempts[place])) if visible[place] else None
            out.append(None if found is None else replace(found, value=by_group[what][place]))
        return tuple(out)

    return Errors(
        selected=named("selection", shown[:, 0] & shown[:, 1], counts[:, :, 1].sum(axis=1), totals.sum(axis=1)),
        false_positive=named("false positive", shown[:, 0], counts[:, 0, 1], totals[:, 0]),
        false_negative=named("false negative", shown[:, 1], counts[:, 1, 0], totals[:, 1]),
        parity=_difference(counts[together], rng, _parity),
        odds=_difference(counts[together & (totals > 0).all(axis=1)], rng, _odds),
    )


def _by_group(block: Ints, truth: Mask, chosen: Mask) -> Mapping[str, Mapping[int, float]]:
    try:
        from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate
    except ImportError:
        raise InputError(
            'comparing groups needs fairlearn, which is not installed: pip install "privsynth[evaluate]"'
        ) from None
    wanted = {
        "selection": selection_rate,
        "false positive": false_positive_rate,
        "false negative": false_negative_rate,
    }
    frame = MetricFrame(
        metrics=wanted, y_true=truth.astype(np.int64), y_pred=chosen.astype(np.int64), sensitive_features=block
    )
    return {name: {int(key): float(one) for key, one in frame.by_group[name].items()} for name in wanted}


def _parity(counts: Floats) -> Floats:
    """Largest difference of selected shares. Shapes: (resamples, blocks, 2, 2) -> (resamples,)."""
    return np.asarray(np.ptp(_ratio(counts[:, :, :, 1].sum(axis=2), counts.sum(axis=(2, 3))), axis=1))


def _odds(counts: Floats) -> Floats:
    """The larger of the differences of selected shares among those with the outcome, and among those without."""
    return np.asarray(np.ptp(_ratio(counts[:, :, :, 1], counts.sum(axis=3)), axis=1).max(axis=1))


def rates_apart(counts: Ints, rng: np.random.Generator) -> Estimate | None:
    """Largest difference of rates between blocks. Shapes: (blocks, 2): without, with the outcome."""
    return _difference(counts[:, None, :], rng, _parity)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)


def _difference(counts: Ints, rng: np.random.Generator, how: Callable[[Floats], Floats]) -> Estimate | None:
    """A difference of blocks, with an interval of a bootstrap of the rows (which is one of the table of their counts).

    The largest difference of resampled rows lies above that of the rows, as it lies above the population's. So the interval is
    the union of the percentile interval and of the basic one, which is that reflected at the estimate, from 0 to 1; it always
    holds its estimate. Source: Davison, Hinkley 1997, chapter 5.
    """
    if len(counts) < 2:
        return None
    rows = int(counts.sum())
    again = rng.multinomial(rows, counts.ravel() / rows, size=_RESAMPLES).reshape(_RESAMPLES, *counts.shape)
    low, high = np.quantile(how(again.astype(np.float64)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    value = float(how(counts[None].astype(np.float64))[0])
    return Estimate(value=value, lower=max(0.0, min(low, 2 * value - high)), upper=min(1.0, max(high, 2 * value - low)))
