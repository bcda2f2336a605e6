"""Groups compared: rates of an outcome on real and synthetic rows, and what models trained on either do to each group.

Must never leave the house: it counts real people without noise, though none of a group below the cell-size rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import frames, provenance, records
from privsynth.errors import InputError, RecordsError, SchemaError
from privsynth.learning import learners
from privsynth.learning.learners import LearnerName, Predictor
from privsynth.learning.task import Task
from privsynth.metrics.fairness_cells import NOBODY, blocks, hidden_pairs
from privsynth.metrics.fairness_rates import Estimate
from privsynth.metrics.fairness_sides import Rows, Sides, figures_of, too_few
from privsynth.metrics.people import about
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Table: TypeAlias = Records | frames.Source

MIN_CELL: Final = 11
"""The cell-size rule where no policy says another."""

MOST_ROWS: Final = 20_000
"""Rows that a model is trained on, of either table: as many of both."""

_TESTED = 0.3
"""Share of the real rows that models are tested on where there is no holdout."""

_SPLIT = 4711
"""Of the generator that draws them: a table is always split alike, so that two comparisons show the same groups together."""

BANNER: Final = "INTERNAL: computed on real records; never release"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group, or several small ones together: about how many real rows, and figures by what they are and whose they are.

    Args: `figures` maps ("rate", "real") and the like to an estimate, None where the cell-size rule hides it.
    """

    name: str
    members: tuple[str, ...]
    rows: int
    figures: Mapping[tuple[str, str], Estimate | None]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The groups of one protected column, or of two together; `apart` holds differences, `note` says what is left out."""

    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    apart: Mapping[tuple[str, str], Estimate | None]
    note: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupComparison:
    """What `compare_groups` found.

    Privacy: INTERNAL: exact figures of real records, though none of a group below the cell-size rule.
    """

    target: str
    counted: str
    learner: str
    min_cell: int
    tested_apart: bool
    sections: tuple[Section, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"GroupComparison({BANNER}; see .lines())"

    @property
    def together(self) -> Mapping[str, tuple[str, ...]]:
        """By protected column, the labels that are shown as one group."""
        alone = [one for one in self.sections if len(one.columns) == 1]
        return {
            one.columns[0]: tuple(label for group in one.groups if len(group.members) > 1 for label in group.members)
            for one in alone
        }

    def to_json(self) -> dict[str, object]:
        """Plain JSON; figures as {what: {whose: {value, lower, upper}}}, null where the cell-size rule hides one."""
        return {
            "notice": BANNER,
            "target": self.target,
            "counted": self.counted,
            "learner": self.learner,
            "minCell": self.min_cell,
            "testedOnHoldout": self.tested_apart,
            "notes": list(self.notes),
            "sections": [
                {
                    "columns": list(one.columns),
                    "note": one.note,
                    "groups": [
                        {"name": g.name, "members": list(g.members), "rows": g.rows, "figures": _nested(g.figures)}
                        for g in one.groups
                    ],
                    "apart": _nested(one.apart),
                }
                for one in self.sections
            ],
        }

    def lines(self) -> list[str]:
        """What to read, a line a figure that groups differ in."""
        out = [BANNER, f"groups by {self.counted}; models: {self.learner}, tested on real rows", *self.notes]
        for section in self.sections:
            out.append(
                f"{' x '.join(section.columns)}: {section.note}" if section.note else " x ".join(section.columns)
            )
            for group in section.groups:
                told = ", ".join(f"{what} {whose} {one or 'hidden'}" for (what, whose), one in group.figures.items())
                out.append(f"  {group.name} (about {group.rows} rows): {told}")
            for (what, whose), one in section.apart.items():
                out.append(f"  largest difference of {what}, {whose}: {one or 'hidden'}")
        return out


def _nested(figures: Mapping[tuple[str, str], Estimate | None]) -> dict[str, dict[str, object]]:
    out: dict[str, dict[str, object]] = {}
    for (what, whose), one in figures.items():
        out.setdefault(what, {})[whose] = None if one is None else one.to_json()
    return out


def compare_groups(
    schema: Schema | str | Path,
    real: Table,
    synthetic: Table,
    task: Task | None = None,
    *,
    rng: np.random.Generator,
    holdout: Table | None = None,
    protected: Sequence[str] = (),
    learner: LearnerName = "gradient_boosting",
    min_cell: int = MIN_CELL,
    trained: Mapping[str, Predictor] | None = None,
) -> GroupComparison:
    """Compare the groups of the protected columns, alone and in pairs, on real and on synthetic rows.

    Rates are shares of the outcome (means, of a number). Models are trained on real and on synthetic rows, as many of both,
    and tested on the holdout or else on three tenths of the real rows that the real-trained one has not seen (the synthetic
    rows may come from them). A row is selected when it is among the likeliest, as many as there are rows with the outcome.
    Intervals hold 90 % of the time for rows that are independent of each other. Those three tenths are the same every time.
    Args: `schema` may be its file. Tables are records, or what `records.read` reads. `protected` is the schema's [use] when
        empty. `trained` gives models {"real": ..., "synthetic": ...} that were trained already, on none of the holdout's rows.
    Privacy: INTERNAL. Reads real records without noise. Groups with 1 to min_cell - 1 people of an answer, among all rows or
        among those that are tested, are shown only together with others; numbers of rows are rounded.
    Raises: SchemaError when nothing is protected or to be predicted; RecordsError when the outcome is the same in every real
        row; SyntheticSource where a real table is none; InputError when fairlearn or scikit-learn is not installed.
    """
    require_min_cell(min_cell)
    schema = Schema.load(schema) if isinstance(schema, str | Path) else schema
    task = task or Task.of(schema)
    columns = tuple(protected) or schema.use.protected
    _require_protected(schema, task, columns)
    whole, made = _records(real, schema), _records(synthetic, schema, public=True)
    task.require_learnable(task.examples(whole), "the real table")
    tested = _tested(whole) if holdout is None else np.zeros(whole.rows, dtype=np.bool_)
    judged = whole.take(tested) if holdout is None else _records(holdout, schema)
    notes: list[str] = []
    if trained is None:
        trained = _trained(task, whole.take(~tested), made, learner, rng, notes)
    sides = Sides(
        task=task,
        whole=Rows.of(task, whole, columns),
        made=Rows.of(task, made, columns),
        judged=Rows.of(task, judged, columns),
        rest=Rows.of(task, whole.take(~tested), columns) if holdout is None else None,
        predicted={name: one.predict(task.examples(judged).inputs) for name, one in trained.items()},
        min_cell=min_cell,
        rng=rng,
    )
    return GroupComparison(
        target=task.target,
        counted=f"{task.target} is {' or '.join(task.outcome) or task.classes[-1]}"
        if task.kind == "outcome"
        else task.target,
        learner=learner,
        min_cell=min_cell,
        tested_apart=holdout is not None,
        sections=tuple(_sections(schema, columns, sides)),
        notes=tuple(notes),
    )


def require_min_cell(min_cell: int) -> None:
    """Raises: InputError for a cell-size rule that is none."""
    if isinstance(min_cell, bool) or not isinstance(min_cell, int) or min_cell < 1:
        raise InputError(f"min_cell is a whole number of people, at least 1; found {min_cell!r}")


def _require_protected(schema: Schema, task: Task, columns: Sequence[str]) -> None:
    if not columns:
        raise SchemaError(
            'no column is protected, so that there are no groups; add [use] with protected = ["COLUMN"] to the schema'
        )
    for name in columns:
        if not isinstance(schema.modelled_column(name), LabelledColumn):
            raise SchemaError(f'protected: "{name}" has no labels, and so no groups; declare a column of bands')
        if name == task.target:
            raise SchemaError(f'"{name}" is what is predicted, and cannot be protected as well; take another column')


def _records(table: Table, schema: Schema, *, public: bool = False) -> Records:
    if isinstance(table, Records):
        return table
    if public:
        return records.read_public(table, schema)
    provenance.require_real(table, "the real table whose groups are compared")
    return records.read(table, schema).open()


def _tested(real: Records) -> Mask:
    """Three tenths of the rows, whole units together, the same ones in every comparison."""
    rng = np.random.default_rng(_SPLIT)
    units = np.arange(real.rows) if real.units is None else real.units
    drawn: Mask = rng.random(int(units.max()) + 1 if units.size else 0) < _TESTED
    return drawn[units]


def _trained(
    task: Task, real: Records, synthetic: Records, learner: LearnerName, rng: np.random.Generator, notes: list[str]
) -> dict[str, Predictor]:
    sides = {"real": task.examples(real), "synthetic": task.examples(synthetic)}
    rows = min(MOST_ROWS, *(len(one) for one in sides.values()))
    notes.append(f"each model was trained on {rows} rows")
    out = {}
    for name, found in sides.items():
        some = found.take(rng.permutation(len(found))[:rows])
        try:
            out[name] = learners.fit(task, some, learner, int(rng.integers(1 << 31)))
        except RecordsError:
            notes.append(f"no model: the {name} rows to learn from have one answer only")
    return out


def _sections(schema: Schema, columns: Sequence[str], sides: Sides) -> list[Section]:
    shown: dict[str, tuple[Ints, tuple[tuple[str, ...], ...]]] = {}
    found = []
    for name in columns:
        column = schema.modelled_column(name)
        assert isinstance(column, LabelledColumn)
        labels = [*column.labels, "missing"]
        block_of = _blocks(name, len(labels), sides)
        count = int(block_of.max()) + 1
        members = tuple(
            tuple(label for label, at in zip(labels, block_of, strict=True) if at == one) for one in range(count)
        )
        shown[name] = block_of, members
        found.append(_single(name, block_of, members, sides))
    for one, two in itertools.combinations(columns, 2):
        found.append(_pair((one, two), (shown[one], shown[two]), sides))
    return found


def _blocks(name: str, labels: int, sides: Sides) -> Ints:
    """The block of each label, by people."""

    def together(groups: list[int]) -> list[Ints]:
        return [
            sides.people(rows, np.where(np.isin(rows.levels[name], groups), 0, NOBODY), 1)[0] for rows in sides.real
        ]

    tables = [sides.people(rows, rows.levels[name], labels) for rows in sides.real]
    return blocks(tables, sides.min_cell, together=together)


def _single(name: str, block_of: Ints, members: Sequence[tuple[str, ...]], sides: Sides) -> Section:
    if len(members) < 2:
        return Section(columns=(name,), groups=(), apart={}, note=too_few(sides.min_cell))
    together = [one for one in members if len(one) > 1]
    note = "" if not together else f"shown together, for some of them are small: {', '.join(together[0])}"
    figures, apart = figures_of(sides, lambda rows: block_of[rows.levels[name]], len(members), in_pairs=False)
    rows = sides.table(sides.whole, block_of[sides.whole.levels[name]], len(members)).sum(axis=1).tolist()
    groups = tuple(
        Group(name=" or ".join(member), members=member, rows=about(rows[place]), figures=figures[place])
        for place, member in enumerate(members)
    )
    return Section(columns=(name,), groups=groups, apart=apart, note=note)


def _pair(names: tuple[str, str], shown: Sequence[tuple[Ints, tuple[tuple[str, ...], ...]]], sides: Sides) -> Section:
    (first, of_first), (second, of_second) = shown
    nothing = Section(columns=names, groups=(), apart={}, note=too_few(sides.min_cell))
    if len(of_first) < 2 or len(of_second) < 2:
        return nothing

    def place(rows: Rows) -> Ints:
        one, two = first[rows.levels[names[0]]], second[rows.levels[names[1]]]
        return np.where((one == NOBODY) | (two == NOBODY), NOBODY, one * len(of_second) + two)

    shape = (len(of_first), len(of_second))
    size = shape[0] * shape[1]
    tables = [sides.people(rows, place(rows), size) for rows in sides.real]
    slices = [table[:, answer].reshape(shape) for table in tables for answer in range(table.shape[1])]
    hidden = hidden_pairs(slices, sides.min_cell)
    if hidden is None:
        return nothing
    enough = tables[1].sum(axis=1) >= sides.min_cell
    kept = np.flatnonzero(~hidden.ravel() & enough)
    if kept.size < 2:
        return nothing
    renumbered = np.full(size + 1, NOBODY, dtype=np.int64)
    renumbered[kept] = np.arange(kept.size)
    figures, apart = figures_of(sides, lambda rows: renumbered[place(rows)], kept.size, in_pairs=True)
    counts = sides.table(sides.whole, place(sides.whole), size).sum(axis=1)
    groups = []
    for at, cell in enumerate(kept.tolist()):
        one, two = of_first[cell // shape[1]], of_second[cell % shape[1]]
        name = f"{' or '.join(one)}, {' or '.join(two)}"
        groups.append(Group(name=name, members=(*one, *two), rows=about(int(counts[cell])), figures=figures[at]))
    note = f"{size - kept.size} of {size} pairs are small, or hidden because others are" if kept.size < size else ""
    return Section(columns=names, groups=tuple(groups), apart=apart, note=note)
