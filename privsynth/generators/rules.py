"""`rules`: a table made from a rules file, without any table to learn from; for tests and for cold starts.

Must never see records or a curator: it is no generator of private tables, and no policy can name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth import identifiers, records, rules
from privsynth.errors import SchemaError
from privsynth.making.document import RulesFile
from privsynth.making.drawing import Columns
from privsynth.making.makers import Faker
from privsynth.provenance import RULES, Provenance, mark
from privsynth.records import Records
from privsynth.schema.columns import IdentifierColumn, IntegerColumn, TextColumn
from privsynth.schema.labels import FORMULA_SIGNS
from privsynth.schema.ticks import MISSING, from_granules, rebased

NAME = "rules"

INSTEAD = (
    '"rules" learns from no table, so that nothing private can be released by it; make a table with `privsynth imagine '
    "RULES.toml` or ps.imagine, or choose a generator that measures"
)
"""What is said to whoever asks for it by name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """A made-up table, as records and as Arrow columns, and how many rows each business rule had to mend."""

    records: Records
    table: pa.Table
    repaired: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """A JSON object: what it is, and how many rows each rule mended."""
        return {"imagined": "from rules", "mended": dict(self.repaired)}

    def lines(self) -> list[str]:
        """The same for a reader."""
        mended = [f"rule {text}: {count:,} rows mended" for text, count in self.repaired.items() if count]
        return [f"imagined from rules: {self.table.num_rows:,} rows, of nobody; no budget was spent", *mended]


def draw(declared: RulesFile, n: int, *, rng: np.random.Generator) -> Imagined:
    """Make n rows that obey every business rule of the schema; the same rules and state of `rng`, the same rows.

    Privacy: there is nothing to protect; it costs no budget.
    Raises: FitError when no row obeys every business rule; SchemaError when identifiers run out, or Faker is not installed.
    """
    schema, unit = declared.schema, declared.unit
    owners: npt.NDArray[np.int64] | None = None
    table = Columns(schema, n)
    if unit is not None:
        owners = _owners(declared, n, rng)
        people = Columns(schema, int(owners[-1]) + 1)
        for name in [name for name in declared.order if name in unit.same]:
            people.make(schema.modelled_column(name), declared.make.get(name), rng)
        table = Columns(schema, n, {name: made[owners] for name, made in people.made.items()})
    for name in [name for name in declared.order if name not in table.made]:
        table.make(schema.modelled_column(name), declared.make.get(name), rng)
    found = Records(schema=schema, ticks=_ticks(table), units=owners)
    mended, repaired = rules.repair(schema, found, rng=rng, keep=() if unit is None else unit.same)
    beside = _beside(declared, mended, rng)
    released = records.to_arrow(mended, {column.name: beside[column.name] for column in schema.identifiers})
    arrays = {
        column.name: pa.array(beside[column.name], pa.string())
        if column.name in beside
        else released.column(column.name)
        for column in schema.columns
    }
    says = Provenance(synthetic="all", origin=RULES, generator=NAME, epsilon=None, table=schema.table.name)
    return Imagined(records=mended, table=mark(pa.table(arrays), says), repaired=repaired)


def _owners(declared: RulesFile, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The unit of each row, in order. Shapes: (n,), ascending from 0."""
    assert declared.unit is not None
    rows = IntegerColumn(kind="integer", name="rows", lower=1, upper=declared.unit.most)
    ends = np.cumsum(Columns(declared.schema, n).draw(rows, declared.unit.rows, rng))
    return np.searchsorted(ends, np.arange(n), side="right")


def _ticks(table: Columns) -> dict[str, npt.NDArray[np.int64]]:
    """Granules as ticks, in the schema's order; what is counted after another column is added to it."""
    schema = table.schema
    ticks = {column.name: from_granules(column, table.made[column.name]) for column in schema.modelled}
    for column, base in schema.following:
        start, offset = rebased(column, base, ticks[base.name]), table.made[column.name]
        absent = (start == MISSING) | (offset == MISSING)
        ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + np.where(absent, 0, offset))
    return ticks


def _beside(declared: RulesFile, found: Records, rng: np.random.Generator) -> dict[str, list[str]]:
    """Identifiers and text of every row, made anew; those that are the same in a unit's rows once a unit."""
    schema, unit = declared.schema, declared.unit
    once = {schema.unit, *(unit.same if unit is not None else ())}
    made: dict[str, list[str]] = {}
    for column in schema.columns:
        if isinstance(column, IdentifierColumn | TextColumn):
            if unit is not None and found.units is not None and column.name in once:
                people = _texts(declared, column, int(found.units.max()) + 1, rng)
                made[column.name] = [people[owner] for owner in found.units.tolist()]
            else:
                made[column.name] = _texts(declared, column, found.rows, rng)
    return made


def _texts(declared: RulesFile, column: IdentifierColumn | TextColumn, n: int, rng: np.random.Generator) -> list[str]:
    """n texts of a column that is not modelled; empty ones where nothing is said of it."""
    way = declared.make.get(column.name)
    if isinstance(way, Faker):
        return _fakes(declared, column.name, way, n, rng)
    if isinstance(column, TextColumn):
        return [""] * n
    single = column.name in identifiers.unrepeated(declared.schema)
    return identifiers.regenerate(column, n, rng=rng, unique=single)


def _fakes(declared: RulesFile, name: str, way: Faker, n: int, rng: np.random.Generator) -> list[str]:
    """Words of a provider, from a pool: texts that a spreadsheet would run are left out."""
    where = f"[make.{name}] in {declared.source}"
    try:
        maker = import_module("faker").Faker(declared.locale)
    except ModuleNotFoundError:
        raise SchemaError(f'{where}: how = "faker" needs the extra: pip install "privsynth[fake]"') from None
    except AttributeError:
        raise SchemaError(f'{where}: Faker has no locale "{declared.locale}"; write another, such as "en_US"') from None
    maker.seed_instance(int(rng.integers(2**63)))
    try:
        drawn = [" ".join(str(maker.format(way.provider)).split()) for _ in range(min(way.pool, n))]
    except AttributeError:
        raise SchemaError(
            f'{where}: Faker has no "{way.provider}" in the locale "{declared.locale}"; use another'
        ) from None
    pool = [text for text in drawn if text and text[0] not in FORMULA_SIGNS]
    if not pool:
        raise SchemaError(f'{where}: provider "{way.provider}" made no text that may stand in a table; use another')
    return [pool[place] for place in rng.integers(len(pool), size=n).tolist()]
