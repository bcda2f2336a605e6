"""Records: one table as whole numbers under its schema; the only way in for private data.

Must never infer anything from a table, and never show a cell, a row or a count of it in a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth import frames
from privsynth.errors import RecordsError, SchemaError
from privsynth.packed import Index, PackedColumn, PackedTicks
from privsynth.parsing import OutOfDomain, distinct_texts, domain_rule, parse_column
from privsynth.private import Private
from privsynth.schema import Schema
from privsynth.schema.columns import (
    SECONDS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    TextColumn,
)
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING, rebased

__all__ = ["MISSING", "OutOfDomain", "Records", "read", "read_public", "to_arrow"]

_Ticks = npt.NDArray[np.int64]

_MOST_SAID = 5
"""Of columns that the table and the schema do not share, how many an error names."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Records:
    """One table: every modelled column as ticks (see `ticks`), and which privacy unit each row belongs to.

    Shapes: each array of `ticks`, and `units`, is (rows,) int64; `unit_names[u]` is the raw id of unit code u, in order of
        first appearance; `units` is None where each row is its own unit.
        A table that was read is packed: looking up a column makes a wide copy of it.
    Privacy: private unless the table is synthetic; `labels` (columns whose categories are to be bought: tick -> label) too.
    Raises: RecordsError when columns are not those of the schema, or lengths differ.
    """

    schema: Schema
    ticks: Mapping[str, _Ticks]
    units: _Ticks | None = None
    unit_names: tuple[bytes, ...] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.ticks) != tuple(column.name for column in self.schema.modelled):
            raise RecordsError("records: the columns are not the schema's modelled columns in order")
        arrays = [] if self.units is None else [self.units]
        lengths: set[int] = set()
        if isinstance(self.ticks, PackedTicks):
            lengths = self.ticks.lengths
        else:
            arrays += self.ticks.values()
        lengths = lengths.union(array.size for array in arrays)
        if len(lengths) != 1 or any(array.dtype != np.int64 or array.ndim != 1 for array in arrays):
            raise RecordsError("records: the columns are not whole numbers (int64) of one length")

    def __repr__(self) -> str:
        return f"Records({len(self.ticks)} columns)"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return max(self.ticks.lengths) if isinstance(self.ticks, PackedTicks) else next(iter(self.ticks.values())).size

    def take(self, index: Index) -> Records:
        """The rows of an index, a mask or a slice, in its order; unit codes keep their meaning."""
        taken: Mapping[str, _Ticks]
        if isinstance(self.ticks, PackedTicks):
            taken = self.ticks.take(index)
        else:
            taken = {name: ticks[index] for name, ticks in self.ticks.items()}
        return replace(self, ticks=taken, units=None if self.units is None else self.units[index])

    def with_ticks(self, ticks: Mapping[str, _Ticks]) -> Records:
        """The same rows with other values; `ticks` holds every modelled column, in order."""
        return replace(self, ticks=dict(ticks))

    def with_schema(self, schema: Schema) -> Records:
        """The same rows under this schema with what was bought filled in.

        Labels that were not bought go to the declared `other` label, or else to the missing level; numbers beyond bought
        bounds go to the nearest bound. Raises: SchemaError when it is not this schema with something bought.
        """
        if [(one.name, one.kind) for one in schema.columns] != [(one.name, one.kind) for one in self.schema.columns]:
            raise SchemaError(
                "the completed schema has other columns than the records; complete the records' own schema"
            )
        changes: dict[str, _Ticks] = {}
        labels = dict(self.labels)
        for old in self.schema.unresolved:
            new, ticks = schema.modelled_column(old.name), self.ticks[old.name]
            if isinstance(new, CategoryColumn):
                if not new.buy:
                    changes[old.name] = _relabelled(ticks, labels.pop(old.name), new)
            else:
                lower, upper = granule_bounds(new)
                changes[old.name] = np.where(ticks == MISSING, MISSING, np.clip(ticks, lower, upper))
        changed = self.ticks.replaced(changes) if isinstance(self.ticks, PackedTicks) else {**self.ticks, **changes}
        return replace(self, schema=schema, ticks=changed, labels=labels)


def _relabelled(ticks: _Ticks, labels: Sequence[str], column: CategoryColumn) -> _Ticks:
    position = {label: index for index, label in enumerate(column.labels)}
    rest = MISSING if column.other is None else position[column.other]
    table = np.array([*(position.get(label, rest) for label in labels), MISSING], dtype=np.int64)
    return table[np.where(ticks == MISSING, len(labels), ticks)]


def read(source: frames.Source, schema: Schema, *, out_of_domain: OutOfDomain = "refuse") -> Private[Records]:
    """Read a private table against its schema: a path (.csv, .csv.gz, .tsv, .parquet), a frame, or a dict of lists.

    Every column of the table must be declared and every declared column present; identifiers and dropped text are not kept,
    but for the privacy unit's.
    Privacy: what is read depends on each row alone and on the schema; nothing is spent.
    Raises: RecordsError naming the column and the rule, never a cell, a row or a count.
    """
    names = frames.column_names(source)
    check_names(names, _declared(schema), absent_allowed=frozenset())
    return Private(_read(source, schema, schema.unit, out_of_domain))


def read_public(source: frames.Source, schema: Schema, *, out_of_domain: OutOfDomain = "refuse") -> Records:
    """Read a synthetic table, which nobody needs protection from; identifiers and dropped text may be absent.

    Raises: RecordsError as `read`.
    """
    names = frames.column_names(source)
    optional = frozenset(one.name for one in schema.columns if isinstance(one, IdentifierColumn | TextColumn))
    check_names(names, _declared(schema), absent_allowed=optional)
    return _read(source, schema, None, out_of_domain)


def _declared(schema: Schema) -> list[str]:
    return [column.name for column in schema.columns]


def check_names(names: Sequence[str], declared: Sequence[str], *, absent_allowed: frozenset[str]) -> None:
    """The table's columns are those declared. A first line that is no header is data, so unknown names are only quoted
    where most of the others are known. Raises: RecordsError."""
    known = set(declared)
    found = [name for name in names if name in known]
    if not found:
        raise RecordsError(
            "is this the schema of this table? None of the table's columns is in it; expected a first line with the names of "
            "the columns, separated by commas (.csv) or tabs (.tsv)"
        )
    for name in declared:
        if found.count(name) > 1:
            raise RecordsError(f'the table has more than one column "{name}"; remove or rename the others')
    absent = [name for name in declared if name not in found and name not in absent_allowed]
    if absent:
        ask = "is this the schema of this table? " if 2 * len(absent) > len(declared) else ""
        raise RecordsError(
            f"{ask}the table lacks {_quoted(absent)}, which the schema declares; add the column, or remove it from the schema"
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        say = _quoted(dict.fromkeys(unknown)) if 2 * len(found) > len(declared) else "columns"
        raise RecordsError(
            f'the table has {say}, which the schema does not declare; add a [columns.NAME], of kind "text" with '
            "drop = true to leave it out"
        )


def _quoted(names: Sequence[str] | Mapping[str, None]) -> str:
    shown = [f'"{name}"' for name in list(names)[:_MOST_SAID]]
    return f"column{'s' if len(names) > 1 else ''} {', '.join(shown)}{' and more' if len(names) > _MOST_SAID else ''}"


def _read(source: frames.Source, schema: Schema, unit: str | None, out_of_domain: OutOfDomain) -> Records:
    found, beside = read_beside(source, schema, [unit] if unit else [], out_of_domain)
    if not found.rows:
        raise RecordsError("the table has no rows; expected at least one")
    if unit is None:
        return found
    units, names = _units(beside[unit], unit)
    return replace(found, units=units, unit_names=names)


def read_beside(
    source: frames.Source, schema: Schema, beside: Sequence[str], out_of_domain: OutOfDomain
) -> tuple[Records, dict[str, pa.Array]]:
    """Read block by block, packing each; only the columns `beside` and labels still to be bought are kept as they are.

    Returns: the records, which may be none, and the columns `beside`, not read under the schema.
    Privacy: private; only for what puts it into a box. Raises: RecordsError as `read`.
    """
    to_buy = [column for column in schema.modelled if isinstance(column, CategoryColumn) and column.buy]
    known = [column for column in schema.modelled if column not in to_buy]
    packed: dict[str, list[PackedColumn]] = {column.name: [] for column in known}
    kept: dict[str, list[pa.Array]] = {name: [] for name in [*(column.name for column in to_buy), *beside]}
    for arrays in frames.blocks(source, list(dict.fromkeys([*packed, *kept]))):
        if len({len(array) for array in arrays.values()}) > 1:
            raise RecordsError("the table's columns differ in length; expected one value a row in each")
        ticks = {column.name: parse_column(column, arrays[column.name], out_of_domain)[0] for column in known}
        _hold_to_offsets(schema, ticks, out_of_domain)
        for name, blocks in packed.items():
            blocks.append(PackedColumn.of(ticks[name]))
        for name, pieces in kept.items():
            pieces.append(arrays[name])
    found = {name: PackedColumn.joined(blocks) for name, blocks in packed.items()}
    labels: dict[str, tuple[str, ...]] = {}
    for column in to_buy:
        ticks_of_labels, labels[column.name] = parse_column(column, _whole(kept[column.name]), out_of_domain)
        found[column.name] = PackedColumn.of(ticks_of_labels)
    ordered = PackedTicks({column.name: found[column.name] for column in schema.modelled})
    return Records(schema=schema, ticks=ordered, labels=labels), {name: _whole(kept[name]) for name in beside}


def _whole(pieces: Sequence[pa.Array]) -> pa.Array:
    return frames.joined(pa.chunked_array(pieces)) if pieces else pa.array([], pa.string())


def _hold_to_offsets(schema: Schema, ticks: dict[str, _Ticks], out_of_domain: OutOfDomain) -> None:
    """Hold columns counted in days after another to their bounds, bases first; missing where the base is missing."""
    for column, base in schema.following:
        start = rebased(column, base, ticks[base.name])
        own = ticks[column.name]
        absent = (start == MISSING) | (own == MISSING)
        lower, upper = granule_bounds(column)
        offset = np.where(absent, lower, own - np.where(absent, 0, start))
        inside = np.clip(offset, lower, upper)
        if (inside != offset).any() and out_of_domain != "clamp":
            if out_of_domain == "refuse" or not column.nullable:
                raise RecordsError(
                    f'column "{column.name}" holds values outside its domain; expected {domain_rule(column)}. Correct the '
                    f'table, widen [columns.{column.name}] in the schema, or let the policy say out_of_domain = "clamp"'
                )
            absent |= inside != offset
        ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + inside)


def _units(array: pa.Array, name: str) -> tuple[_Ticks, tuple[bytes, ...]]:
    """Number the privacy units in order of first appearance."""
    texts, positions = distinct_texts(array, name)
    names = tuple(texts.cast(pa.binary()).to_pylist())
    if (positions < 0).any() or b"" in names:
        raise RecordsError(f'column "{name}" names the privacy unit and has empty cells; every row needs its unit')
    return positions, names


def to_arrow(records: Records, identifiers: Mapping[str, Sequence[str]]) -> pa.Table:
    """Turn synthetic records into the released table: the schema's columns in order, in natural types.

    Labels are text (truth values where the labels are true and false), integers int64, numbers the float64 nearest to the
    decimal, dates date32 (months text such as 2001-05, years int64), datetimes timestamp[s]. Missing is null, in columns of
    labels the first declared marker.
    Args: `identifiers` holds the regenerated columns, one value a row.
    Raises: RecordsError when an identifier column is absent or of another length.
    """
    arrays: dict[str, pa.Array] = {}
    for column in records.schema.released:
        if isinstance(column, IdentifierColumn):
            made = identifiers.get(column.name)
            if made is None or len(made) != records.rows:
                raise RecordsError(f'identifier column "{column.name}" needs one regenerated value a row')
            arrays[column.name] = pa.array(list(made), pa.string())
        else:
            arrays[column.name] = written(column, records.ticks[column.name])
    return pa.table(arrays)


def written(column: ModelledColumn, ticks: _Ticks) -> pa.Array:
    """One column in its natural type, as `to_arrow` writes it. Shapes: as `ticks`, (rows,)."""
    absent = ticks == MISSING
    values = np.where(absent, 0, ticks)
    match column:
        case IntegerColumn():
            return pa.array(values * column.step, mask=absent)
        case NumberColumn():
            numerator, denominator = column.unit.as_integer_ratio()
            return pa.array(values.astype(np.float64) * numerator / denominator, mask=absent)
        case DateColumn():
            return _written_dates(column, values, absent)
        case DatetimeColumn():
            return pa.array(values * SECONDS[column.granularity], mask=absent).cast(pa.timestamp("s"))
        case BooleanColumn() if tuple(label.lower() for label in column.labels) == ("false", "true"):
            return pa.array(values == 1, mask=absent)
        case _:
            marker = column.missing[0] if column.missing else ""
            texts = pa.array([*column.labels, marker], pa.string())
            return texts.take(pa.array(np.where(absent, len(column.labels), values)))


def _written_dates(column: DateColumn, values: _Ticks, absent: npt.NDArray[np.bool_]) -> pa.Array:
    days = values.astype("datetime64[D]")
    match column.granularity:
        case "day":
            return pa.array(days, mask=absent)
        case "month":
            return pa.array(np.datetime_as_string(days, unit="M").astype(object), pa.string(), mask=absent)
        case "year":
            return pa.array(days.astype("datetime64[Y]").astype(np.int64) + 1970, mask=absent)
