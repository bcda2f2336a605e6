"""Targets: the shares that a what-if declares for one column or for several together, read against a schema.

Must never take a share from a table: what is not declared keeps the proportions that the model gives it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.conditions import Allowed, read_conditions
from privsynth.domain import Clique
from privsynth.errors import InputError, SchemaError
from privsynth.schema import Schema
from privsynth.schema.levels import Levels, level_names, levels

Targets: TypeAlias = Mapping[str | tuple[str, ...], Mapping[object, float]]
"""{column: {value: share}}, or {(column, column): {(value, value): share}}. A value is a label, a number, None for missing, a
pair (lower, upper) for a range of an ordered column, or a frozenset of any of them."""

Groups: TypeAlias = tuple[npt.NDArray[np.bool_], ...]
"""Of each column of a cell, which groups of levels it takes. Shapes: (groups of the column,)."""

_ROUNDING = 1e-9
"""Shares may miss one by so much: decimals in binary."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """Shares of the cells of one table, over groups of levels; the last cell is what was not named.

    Shapes: `cells` has one axis a column, over the column's groups: the cell of each combination; `shares` is (cells,) and sums
        to one; `names` has one text a cell.
    """

    columns: Clique
    cells: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    names: tuple[str, ...]

    def words(self, cell: int) -> str:
        """A cell for a message: `"sex" = F`."""
        return f'"{", ".join(self.columns)}" = {self.names[cell]}'


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Targets over a common grouping of levels, in which every declared cell is a union of combinations of groups.

    Shapes: `group_of[name]` is (levels of the column,).
    """

    targets: tuple[Target, ...]
    group_of: Mapping[str, npt.NDArray[np.int64]]

    @property
    def columns(self) -> Clique:
        """The targeted columns, in the schema's order."""
        return tuple(self.group_of)

    @property
    def one_way(self) -> bool:
        """Whether every target is of one column."""
        return all(len(target.columns) == 1 for target in self.targets)

    def groups(self, name: str) -> int:
        """How many groups a column's levels fall into."""
        return int(self.group_of[name].max()) + 1


def read_targets(schema: Schema, targets: Targets) -> Plan:
    """Read what a what-if declares.

    Raises: SchemaError naming the column, what was expected and found, and what to do.
    """
    if not isinstance(targets, Mapping) or not targets:
        raise SchemaError(
            'expected targets such as {"readmitted": {"<30": 0.2}}: a column, with the shares of some of its values'
        )
    asked: dict[Clique, dict[tuple[object, ...], float]] = {}
    for key, shares in targets.items():
        columns = _columns(schema, key)
        if columns in asked:
            raise SchemaError(f'the shift of "{", ".join(columns)}" is declared twice; leave one of the two out')
        asked[columns] = _declared(columns, shares)
    sets = {
        columns: [
            tuple(_level_set(schema, name, value) for name, value in zip(columns, cell, strict=True)) for cell in cells
        ]
        for columns, cells in asked.items()
    }
    group_of: dict[str, npt.NDArray[np.int64]] = {}
    for column in schema.modelled:
        name, touching = column.name, [columns for columns in sets if column.name in columns]
        found = [cell[columns.index(name)] for columns in touching for cell in sets[columns]]
        if found:
            group_of[column.name] = np.unique(np.stack(found), axis=1, return_inverse=True)[1].reshape(-1)
    made = [
        _target(columns, cells, [_in_groups(columns, cell, group_of) for cell in sets[columns]])
        for columns, cells in asked.items()
    ]
    return Plan(targets=tuple(made), group_of=group_of)


def _in_groups(
    columns: Clique, cell: tuple[npt.NDArray[np.bool_], ...], group_of: Mapping[str, npt.NDArray[np.int64]]
) -> Groups:
    """Of each column, which groups a cell takes: whole ones, as groups were made so."""
    return tuple(
        np.bincount(group_of[name], weights=inside, minlength=int(group_of[name].max()) + 1) > 0
        for name, inside in zip(columns, cell, strict=True)
    )


def _columns(schema: Schema, key: object) -> Clique:
    columns = (key,) if isinstance(key, str) else key
    if not isinstance(columns, tuple) or not columns or not all(isinstance(name, str) for name in columns):
        raise SchemaError(f'expected the name of a column, or several as ("sex", "ward"); found {key!r}')
    if len(set(columns)) < len(columns):
        raise SchemaError(f'the shift of "{", ".join(columns)}" names a column twice; leave one out')
    for name in columns:
        schema.modelled_column(name)
    return columns


def _declared(columns: Clique, shares: object) -> dict[tuple[object, ...], float]:
    """Cell -> share, each a number from 0 to 1."""
    where = f'the shift of "{", ".join(columns)}"'
    if not isinstance(shares, Mapping) or not shares:
        raise SchemaError(f'{where}: expected shares of some of its values, such as {{"<30": 0.2}}; found {shares!r}')
    found: dict[tuple[object, ...], float] = {}
    for value, share in shares.items():
        cell = _cell(value, len(columns))
        if len(cell) != len(columns):
            raise SchemaError(f"{where}: expected {len(columns)} values, one a column, found {value!r}")
        plain = isinstance(share, int | float | Decimal | Fraction | np.number) and not isinstance(share, bool)
        if not plain or not math.isfinite(share) or not 0 <= share <= 1:
            raise SchemaError(f"{where}: the share of {_words(value)} is a number from 0 to 1, found {share!r}")
        found[cell] = float(share)
    if sum(found.values()) > 1 + _ROUNDING:
        raise SchemaError(f"{where}: the shares add up to {sum(found.values()):.6g}, which is more than 1; lower some")
    return found


def _level_set(schema: Schema, name: str, value: object) -> npt.NDArray[np.bool_]:
    """Which levels a value stands for; SchemaError where it cuts a level. Shapes: (levels,)."""
    allowed = read_conditions(schema, {name: list(value) if isinstance(value, frozenset) else value})[name]
    column = schema.modelled_column(name)
    layout = levels(column)
    codes = allowed.codes(layout)
    cut = _cut(layout, allowed, codes)
    if cut is not None:
        names = level_names(column)
        shown = " and ".join(dict.fromkeys((names[int(codes[0])], names[int(codes[-1])])))
        raise SchemaError(
            f'the shift of "{name}": {_words(value)} is a part of the level {names[cut]}, and a model knows no parts of '
            f"levels; declare whole ones (here {shown}), or fit with other bins"
        )
    found = np.zeros(layout.size, dtype=bool)
    found[codes] = True
    return found


def _cut(layout: Levels, allowed: Allowed, codes: npt.NDArray[np.int64]) -> int | None:
    """A level of which only a part is allowed; None where there is none."""
    bins = codes[codes < layout.bins]
    if allowed.values is None:
        first, last = layout.span(bins)
        whole = (first >= allowed.lower) & (last <= allowed.upper)
    else:
        held = np.bincount(layout.codes(allowed.values), minlength=layout.size)
        whole = held[bins] == np.diff(layout.ranks)[bins]
    return None if whole.all() else int(bins[np.flatnonzero(~whole)[0]])


def _target(columns: Clique, asked: Mapping[tuple[object, ...], float], inside: Sequence[Groups]) -> Target:
    """A target from the groups that each of its cells takes of each column."""
    where = f'the shift of "{", ".join(columns)}"'
    cells = np.full([len(groups) for groups in inside[0]], -1, dtype=np.int64)
    for place, (cell, groups) in enumerate(zip(asked, inside, strict=True)):
        block = np.ix_(*groups)
        if (cells[block] >= 0).any():
            other = list(asked)[int(cells[block].max())]
            raise SchemaError(
                f"{where}: {_named(other)} and {_named(cell)} overlap; let every row count for one of them"
            )
        cells[block] = place
    rest, shares = cells < 0, np.array(list(asked.values()))
    left = 1 - shares.sum()
    if not rest.any() and abs(left) > _ROUNDING:
        raise SchemaError(
            f"{where}: all that there is is named, and its shares add up to {shares.sum():.6g}; let them be 1"
        )
    cells[rest] = len(shares)
    return Target(
        columns=columns,
        cells=cells,
        shares=np.append(shares, max(left, 0.0)) / max(shares.sum(), 1.0),
        names=(*map(_named, asked), "what is not named"),
    )


def _named(cell: tuple[object, ...]) -> str:
    return ", ".join(map(_words, cell))


def _words(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, tuple):
        return f"({', '.join('open' if part is None else _words(part) for part in value)})"
    if isinstance(value, frozenset):
        return " or ".join(sorted(map(_words, value)))
    return str(value)


def columns_of(shifts: Sequence[Targets]) -> Clique:
    """Every column that some shift targets, once."""
    keys = [(key,) if isinstance(key, str) else key for targets in shifts for key in targets]
    return tuple(dict.fromkeys(name for key in keys for name in key))


def require_none(shifts: Sequence[Targets], what: str) -> None:
    """Refuse for a what-if what only a model of records has. Raises: InputError."""
    if shifts:
        raise InputError(
            f"{what}: not of a shifted model. Error bars say how far a model is from the records that it was fitted to, and "
            "there are no records of a what-if; ask the model that was shifted"
        )


def to_json(targets: Targets) -> list[dict[str, object]]:
    """Targets as plain JSON that `from_json` reads."""
    found: list[dict[str, object]] = []
    for key, shares in targets.items():
        columns = [key] if isinstance(key, str) else list(key)
        cells = [
            {"values": [_plain(one) for one in _cell(value, len(columns))], "share": float(share)}
            for value, share in shares.items()
        ]
        found.append({"columns": columns, "cells": cells})
    return found


def _cell(value: object, columns: int) -> tuple[object, ...]:
    """A declared key as one value a column."""
    return value if columns > 1 and isinstance(value, tuple) else (value,)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return {"range": [_plain(part) for part in value]}
    if isinstance(value, frozenset):
        return {"any": sorted((_plain(part) for part in value), key=str)}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dt.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def from_json(value: Sequence[Mapping[str, object]]) -> Targets:
    """Read what `to_json` wrote. Raises: KeyError, TypeError or ValueError when it is damaged."""
    found: dict[str | tuple[str, ...], dict[object, float]] = {}
    for one in value:
        columns, cells = one["columns"], one["cells"]
        if not isinstance(columns, list) or not isinstance(cells, list):
            raise TypeError("targets are lists of columns and cells")
        key = str(columns[0]) if len(columns) == 1 else tuple(map(str, columns))
        read = [([_from_plain(part) for part in cell["values"]], float(cell["share"])) for cell in cells]
        found[key] = {values[0] if len(columns) == 1 else tuple(values): share for values, share in read}
    return found


def _from_plain(value: object) -> object:
    if isinstance(value, dict):
        (kind, parts), *_ = value.items()
        return (tuple if kind == "range" else frozenset)(_from_plain(part) for part in parts)
    return value
