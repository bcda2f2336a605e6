"""Aligning: which columns of an earlier release's schema a new one still has, and which new level takes each old one.

Must never guess: a column whose old tables cannot be summed exactly into the new levels is told apart as new, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, ModelledColumn, OrderedColumn
from privsynth.schema.levels import levels

ColumnMap: TypeAlias = Mapping[str, str | Mapping[str, str]]
"""{old column: its new name}, and {new column: {old label: new label}}."""

_LABELLED = (CategoryColumn, OrderedColumn, BooleanColumn)

_MOST_SAID = 5
"""Of columns that cannot be carried over, how many a refusal names."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A column whose old tables are kept: its old name, the new level of each old one, and whether it is declared otherwise."""

    name: str
    was: str
    level_of: tuple[int, ...]
    redeclared: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Columns that are carried over; those that are measured as new, with the reason; old ones that are gone."""

    carried: tuple[Carried, ...]
    new: Mapping[str, str]
    gone: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it as one line: two refreshes with another text read the earlier release in another way."""
        carried = [[one.name, one.was, list(one.level_of)] for one in self.carried]
        return json.dumps([carried, dict(self.new), list(self.gone)], sort_keys=True)

    def carries(self, name: str) -> bool:
        """Whether the old release says anything of a new column."""
        return any(one.name == name for one in self.carried)


def align(old: Schema, new: Schema, mapped: ColumnMap | None = None) -> Alignment:
    """Compare two schemas column by column. Units: levels, as codes count them.

    Raises: SchemaError for a map of a column or label that there is not, and where no column is carried over.
    """
    renamed, labels = _read(old, new, mapped or {})
    earlier = {column.name: column for column in old.modelled}
    was_of = {renamed.get(name, name): name for name in earlier}
    carried, fresh = [], {}
    for column in new.modelled:
        was = was_of.get(column.name)
        if was is None:
            fresh[column.name] = "the earlier release has no such column"
            continue
        found = _level_of(earlier[was], column, labels.get(column.name, {}))
        if isinstance(found, str):
            fresh[column.name] = found
        else:
            redeclared = column != earlier[was]
            carried.append(Carried(name=column.name, was=was, level_of=found, redeclared=redeclared))
    if not carried:
        raise SchemaError(_nothing(fresh, another=2 * len(set(fresh) - set(was_of)) > len(fresh)))
    kept = {column.name for column in new.modelled}
    gone = tuple(name for name in earlier if renamed.get(name, name) not in kept)
    return Alignment(carried=tuple(carried), new=fresh, gone=gone)


def _nothing(reasons: Mapping[str, str], *, another: bool) -> str:
    """That nothing is carried over, with a few of the reasons; `another` where most columns have other names."""
    ask = "is this the schema of this table? " if another else ""
    said = "; ".join(f'"{name}": {reason}' for name, reason in list(reasons.items())[:_MOST_SAID])
    more = f"; and {len(reasons) - _MOST_SAID} more" if len(reasons) > _MOST_SAID else ""
    return (
        f"{ask}nothing of the earlier release can be carried over to this schema ({said}{more}); give the schema of the "
        "refreshed table, say with a map how columns and labels correspond, or make a release of its own with "
        "`privsynth release`"
    )


def _read(old: Schema, new: Schema, mapped: ColumnMap) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
    """The renamed columns, and the labels of each new column that were renamed."""
    before, after = ({column.name for column in schema.modelled} for schema in (old, new))
    renamed: dict[str, str] = {}
    labels: dict[str, Mapping[str, str]] = {}
    for key, value in mapped.items():
        if isinstance(value, str):
            _require_sides(key, value, before, after)
            renamed[key] = value
        elif isinstance(value, Mapping) and all(isinstance(label, str) for label in value.values()):
            if key not in after:
                raise SchemaError(
                    f'map: labels are given for "{key}", which is no modelled column of the new schema; a table of labels '
                    "stands under the new column's name"
                )
            labels[key] = value
        else:
            raise SchemaError(
                f'map: the entry "{key}" is neither a name nor a table of labels; expected old_column = "new_column", or '
                '[new_column] with "old label" = "new label", all as text in quotes'
            )
    targets = [renamed.get(name, name) for name in sorted(before)]
    twice = sorted({name for name in targets if targets.count(name) > 1})
    if twice:
        raise SchemaError(f'map: two earlier columns would become "{twice[0]}"; give each one a name of its own')
    return renamed, labels


def _require_sides(was: str, name: str, before: Set[str], after: Set[str]) -> None:
    """Refuse a renaming of which a side is unknown, and say which."""
    wrong = []
    if was not in before:
        wrong.append(f'"{was}" is no modelled column of the earlier release')
    if name not in after:
        wrong.append(f'"{name}" is no modelled column of the new schema')
    if wrong:
        swapped = "; the two look swapped" if was in after and name in before else ""
        raise SchemaError(f'map: {was} = "{name}" reads old = "new", and {" and ".join(wrong)}{swapped}')


def _level_of(old: ModelledColumn, new: ModelledColumn, renamed: Mapping[str, str]) -> tuple[int, ...] | str:
    """The new level of each old one; or why the old tables cannot be summed into the new levels."""
    if isinstance(old, _LABELLED) and isinstance(new, _LABELLED):
        found = _of_labels(old.labels, new.labels, renamed)
    elif renamed:
        raise SchemaError(f'map: labels are given for "{new.name}", which has none')
    elif isinstance(old, _LABELLED) or isinstance(new, _LABELLED) or _measure(old) != _measure(new):
        found = "its kind, bounds or unit changed, so that its old levels mean something else"
    else:
        found = _of_bins(old, new)
    if isinstance(found, str):
        return found
    before, after = levels(old), levels(new)
    if before.missing != after.missing:
        return "a value may be missing now and could not before, or the other way round"
    return (*found, after.size - 1) if before.missing else found


def _of_labels(old: tuple[str, ...], new: tuple[str, ...], renamed: Mapping[str, str]) -> tuple[int, ...] | str:
    for sides, labels, whose in ((renamed, old, "the earlier release"), (renamed.values(), new, "the new schema")):
        unknown = [label for label in sides if label not in labels]
        if unknown:
            raise SchemaError(
                f'map: "{unknown[0]}" is no label of the column in {whose}; a map of labels reads "old label" = "new label"'
            )
    become = [renamed.get(label, label) for label in old]
    lost = [label for label in become if label not in new]
    if lost:
        return f'the label "{lost[0]}" is gone; a map may say which label takes its records'
    added = [label for label in new if label not in become]
    if added:
        return f'the label "{added[0]}" is new, so that the old tables do not say how often it was'
    return tuple(new.index(label) for label in become)


def _of_bins(old: ModelledColumn, new: ModelledColumn) -> tuple[int, ...] | str:
    """Bins and atoms that each lie in one new level."""
    before, after = levels(old), levels(new)
    count = before.bins + int(before.atoms.size)
    first, last = before.span(np.arange(count))
    low, high = after.codes(first), after.codes(last)
    cut = not set(after.atoms.tolist()) <= set(before.atoms.tolist())
    if cut or not np.array_equal(low, high) or len(set(low.tolist())) < after.size - int(after.missing):
        return "its bins are cut otherwise, and the old ones are no parts of the new ones"
    return tuple(low.tolist())


def _measure(column: ModelledColumn) -> tuple[object, ...]:
    """What must be the same for the values of two columns to be the same whole numbers within the same bounds."""
    said = column.model_dump()
    layout = levels(column)
    units = (said.get(name) for name in ("kind", "step", "precision", "granularity", "after", "format"))
    return (*units, layout.lower, layout.upper)
