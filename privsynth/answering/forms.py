"""Forms: a question as sums over records of products of one factor a column, and what is made of these sums.

Must never hold anything of records: factors follow from the question, the schema and noisy counts of single columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.answering.parsing import Question
from privsynth.answering.profiles import Inside, kept, shaken_kept, values, whole
from privsynth.dataset import Dataset
from privsynth.schema import Schema

Floats = npt.NDArray[np.float64]
Factors: TypeAlias = Mapping[str, Floats]

_TINY = 1e-9


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """A question's sums, in the order in which `made_of` takes them.

    `exact` says that no condition cuts a level and that no value inside a level is taken for granted.
    """

    question: Question
    sums: tuple[Factors, ...]
    exact: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of all sums."""
        return tuple(dict.fromkeys(name for one in self.sums for name in one))

    def made_of(self, found: Floats) -> float:
        """The answer that these sums make. Shapes: (sums,)."""
        match self.question.kind:
            case "count":
                return float(found[0])
            case "share" | "mean":
                return float(found[0] / max(found[1], _TINY))
            case "correlation":
                return _correlation(found)

    def slope(self, found: Floats) -> Floats:
        """How the answer moves with each sum, by differences. Shapes: (sums,)."""
        scale = 1e-4 * np.maximum(np.abs(found), _TINY)
        out = np.zeros(len(found))
        for place, step in enumerate(scale.tolist()):
            moved = np.zeros(len(found))
            moved[place] = step
            out[place] = (self.made_of(found + moved) - self.made_of(found - moved)) / (2 * step)
        return out

    def of(self, expect: Callable[[Factors], float]) -> Floats:
        """All sums of a distribution. Shapes: (sums,)."""
        return np.array([expect(one) for one in self.sums])

    def counted(self, records: Dataset, weight: float) -> Floats:
        """All sums over records, each of which stands for so many. Shapes: (sums,)."""
        out = []
        for one in self.sums:
            product = np.full(records.rows, weight)
            for name, factor in one.items():
                product = product * factor[records.column(name)]
            out.append(float(product.sum()))
        return np.array(out)


def _correlation(found: Floats) -> float:
    number, one, two, one_one, two_two, both = found.tolist()
    number = max(number, _TINY)
    spread = (one_one / number - (one / number) ** 2) * (two_two / number - (two / number) ** 2)
    if spread <= 0:
        return 0.0
    return float(np.clip((both / number - one * two / number**2) / math.sqrt(spread), -1.0, 1.0))


def form(
    question: Question, schema: Schema, inside: Mapping[str, Inside], rng: np.random.Generator | None = None
) -> Form:
    """A question's form.

    Args: with `rng` it is as it might be otherwise: what levels hold inside is drawn, as far as it is unknown.
    """
    cut = False

    def share(name: str, part: str) -> Floats:
        nonlocal cut
        region = question.where.get(name) if part == "where" else question.given.get(name)
        both = [each[name] for each in (question.where, question.given) if name in each]
        if part == "both":
            region = both[0] if len(both) == 1 else both[0].met_by(both[1])
        assert region is not None
        found = kept(region, inside[name])
        cut |= bool(((found > 0) & (found < 1)).any())
        return found if rng is None else shaken_kept(found, rng)

    shaken = inside if rng is None else {name: one.shaken(rng) for name, one in inside.items()}
    if question.kind == "share":
        together = {name: share(name, "both") for name in dict.fromkeys((*question.where, *question.given))}
        alone = {name: share(name, "given") for name in question.given if name not in question.where}
        alone |= {name: share(name, "given") for name in question.given if name in question.where}
        return Form(question=question, sums=(together, alone), exact=not cut)
    base = {name: share(name, "where") for name in question.where}
    if question.kind == "count":
        return Form(question=question, sums=(base,), exact=not cut)
    moments = {}
    for name in question.targets:
        column = schema.modelled_column(name)
        region = question.where.get(name, whole(column, missing=False))
        mean, square = values(column, region, shaken[name])
        present = base.get(name, kept(whole(column, missing=False), inside[name]))
        if inside[name].layout.missing:
            present = present.copy()
            present[-1] = 0.0
        cut |= bool(np.any(np.diff(inside[name].layout.ranks) > 1))
        moments[name] = (present, present * mean, present * square)
    return Form(question=question, sums=_moment_sums(question, base, moments), exact=not cut)


def _moment_sums(
    question: Question, base: Factors, moments: Mapping[str, tuple[Floats, Floats, Floats]]
) -> tuple[Factors, ...]:
    """The sums of a mean or a correlation; records count where all targets are there."""
    if question.kind == "mean":
        (name,) = question.targets
        return ({**base, name: moments[name][1]}, {**base, name: moments[name][0]})
    one, two = question.targets
    powers = ((0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1))
    return tuple({**base, one: moments[one][left], two: moments[two][right]} for left, right in powers)
