"""The figures of one comparison of groups: real rows, synthetic rows, and what models predict of real ones, block by block.

Must never decide which groups are told apart: it is given the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.encoding import encode_public
from privsynth.learning.task import Task
from privsynth.metrics.fairness_cells import NOBODY, hidden_outcomes
from privsynth.metrics.fairness_rates import Estimate, errors, mean, rates_apart, share
from privsynth.metrics.people import in_cells
from privsynth.records import Records

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Figures: TypeAlias = dict[tuple[str, str], Estimate | None]
"""Figures by what they are and whose: ("rate", "real"); None where the cell-size rule hides one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows with a known answer: the level of each protected column, the answer, whose they are. Shapes: (rows,) each."""

    levels: Mapping[str, Ints]
    answers: Floats
    units: Ints | None

    @classmethod
    def of(cls, task: Task, found: Records, columns: Sequence[str]) -> Rows:
        """Those of a table. Privacy: as private as it."""
        answers = task.answers(found)
        known, data = ~np.isnan(answers), encode_public(found)
        return cls(
            levels={name: data.column(name)[known].astype(np.int64) for name in columns},
            answers=answers[known],
            units=None if found.units is None else found.units[known],
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """All rows that are compared, and what each model predicts of those that are judged."""

    task: Task
    whole: Rows
    made: Rows
    judged: Rows
    rest: Rows | None
    predicted: Mapping[str, Floats]
    min_cell: int
    rng: np.random.Generator

    @property
    def real(self) -> tuple[Rows, ...]:
        """Tables of real people that figures are told of, all rows first; the rest can be told from the two others."""
        return (self.whole, self.judged) if self.rest is None else (self.whole, self.judged, self.rest)

    def classes(self) -> int:
        """How many answers are counted apart; 1 of a number."""
        return max(1, len(self.task.classes))

    def table(self, rows: Rows, groups: Ints, size: int) -> Ints:
        """(groups, answers) counts of rows."""
        return self._counted(rows, groups, size, None)

    def people(self, rows: Rows, groups: Ints, size: int) -> Ints:
        """(groups, answers) counts of people, by which it is judged what may be shown: never more than rows."""
        return self._counted(rows, groups, size, rows.units)

    def _counted(self, rows: Rows, groups: Ints, size: int, units: Ints | None) -> Ints:
        classes = self.classes()
        answers = rows.answers.astype(np.int64) if self.task.kind != "number" else np.zeros(len(groups), dtype=np.int64)
        cells = np.where(groups == NOBODY, NOBODY, groups * classes + answers)
        return in_cells(cells, units, size * classes).reshape(size, classes)


def too_few(min_cell: int) -> str:
    """What is said where fewer than two groups can be shown."""
    return f"not compared: fewer than two groups can be shown, each with {min_cell} people or more in every part"


def figures_of(
    sides: Sides, block_of: Callable[[Rows], Ints], count: int, *, in_pairs: bool
) -> tuple[list[Figures], Figures]:
    """The figures of every block, and the differences between blocks. In pairs nothing is told that is counted of predictions.

    Args: `block_of` gives the block of each row, `NOBODY` where it is not shown.
    """
    out: list[Figures] = [{} for _ in range(count)]
    apart: Figures = {}
    if sides.task.kind == "number":
        _means(sides, block_of, out, apart)
    else:
        _shares(sides, block_of, out, apart)
    block = block_of(sides.judged)
    kept = block != NOBODY
    block, answers = block[kept], sides.judged.answers[kept]
    units = None if sides.judged.units is None else sides.judged.units[kept]
    for whose, predicted in sides.predicted.items():
        own = predicted[kept]
        if sides.task.kind == "classes":
            if not in_pairs:
                _right(sides, whose, block, own.argmax(axis=1) == answers, units, out)
            continue
        guess = own[:, -1]
        for place, figures in enumerate(out):
            mine = block == place
            figures["predicted", whose] = mean(guess[mine])
            figures["predicted less observed", whose] = mean(guess[mine] - answers[mine])
    if sides.task.kind == "outcome" and sides.predicted and not in_pairs:
        chosen = {whose: _likeliest(one[:, -1], sides.judged.answers)[kept] for whose, one in sides.predicted.items()}
        _wrong(sides, block, answers == 1, chosen, units, out, apart)
    return out, apart


def _shares(sides: Sides, block_of: Callable[[Rows], Ints], out: list[Figures], apart: Figures) -> None:
    real, made = (sides.table(rows, block_of(rows), len(out)) for rows in (sides.whole, sides.made))
    judged = sides.table(sides.judged, block_of(sides.judged), len(out))
    wanted = [1] if sides.task.kind == "outcome" else range(len(sides.task.classes))
    for answer in wanted:
        what = "rate" if sides.task.kind == "outcome" else f"rate of {sides.task.classes[answer]}"
        for place, figures in enumerate(out):
            figures[what, "real"] = share(int(real[place, answer]), int(real[place].sum()))
            found = share(int(made[place, answer]), int(made[place].sum()))
            figures[what, "synthetic"] = None if found is None else Estimate(value=found.value)
            if sides.task.kind == "outcome":
                figures["observed", "tested"] = share(int(judged[place, answer]), int(judged[place].sum()))
        for whose, table in (("real", real), ("synthetic", made)):
            sorted_out = np.stack([table.sum(axis=1) - table[:, answer], table[:, answer]], axis=1)
            apart[what, whose] = rates_apart(sorted_out[table.sum(axis=1) > 0], sides.rng)


def _means(sides: Sides, block_of: Callable[[Rows], Ints], out: list[Figures], apart: Figures) -> None:
    for what, whose, rows in (
        ("mean", "real", sides.whole),
        ("mean", "synthetic", sides.made),
        ("observed", "tested", sides.judged),
    ):
        block = block_of(rows)
        for place, figures in enumerate(out):
            found = mean(rows.answers[block == place])
            figures[what, whose] = found if whose != "synthetic" or found is None else Estimate(value=found.value)
        if what == "mean":
            known = [one.value for one in (figures[what, whose] for figures in out) if one is not None]
            apart[what, whose] = Estimate(value=max(known) - min(known)) if len(known) > 1 else None


def _right(
    sides: Sides, whose: str, block: Ints, right: npt.NDArray[np.bool_], units: Ints | None, out: list[Figures]
) -> None:
    counts, people = (in_cells(block * 2 + right, one, 2 * len(out)).reshape(-1, 2) for one in (None, units))
    hidden = np.asarray(hidden_outcomes(people, sides.min_cell).any(axis=1), dtype=np.bool_)
    for place, figures in enumerate(out):
        figures["right", whose] = None if hidden[place] else share(int(counts[place, 1]), int(counts[place].sum()))


def _wrong(
    sides: Sides,
    block: Ints,
    truth: npt.NDArray[np.bool_],
    chosen: Mapping[str, npt.NDArray[np.bool_]],
    units: Ints | None,
    out: list[Figures],
    apart: Figures,
) -> None:
    everything = errors(block, truth, chosen, units=units, blocks=len(out), min_cell=sides.min_cell, rng=sides.rng)
    for whose, found in everything.items():
        for place, figures in enumerate(out):
            figures["selected", whose] = found.selected[place]
            figures["false positive rate", whose] = found.false_positive[place]
            figures["false negative rate", whose] = found.false_negative[place]
        apart["demographic parity", whose] = found.parity
        apart["equalized odds", whose] = found.odds


def _likeliest(chances: Floats, answers: Floats) -> npt.NDArray[np.bool_]:
    """The likeliest rows, as many as there are outcomes (more where chances tie)."""
    wanted = int(answers.sum())
    if wanted == 0:
        return np.zeros(len(chances), dtype=np.bool_)
    least = np.partition(chances, len(chances) - wanted)[len(chances) - wanted]
    return np.asarray(chances >= least, dtype=np.bool_)
