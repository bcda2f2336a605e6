"""Tables: what is to be evaluated, read against one schema and encoded once.

Must never write a value of the real tables anywhere: what is read here is handed on in memory alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

import numpy as np

from privsynth import encoding, provenance, records
from privsynth.database import either
from privsynth.database.document import DatabaseSchema
from privsynth.dataset import Dataset
from privsynth.errors import InputError, SchemaError
from privsynth.evaluating import row_bounds
from privsynth.evaluating.known import Known, ReleaseLike, data_of, is_release
from privsynth.metrics.people import in_cells
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import CategoryColumn
from privsynth.schema.use import Use

SchemaLike: TypeAlias = Schema | DatabaseSchema | str | Path

Both: TypeAlias = tuple[Records, Dataset]
"""One table as records and encoded."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """The tables of an evaluation.

    Where a release is known, `real`, `holdout` and `merged` are of at most as many rows of each unit as it used: `counted` says
    so, and `caution` what to mind where none is known. `merged` are labels of the real table that the completed schema does not
    have, with their rows and people, by column.
    Privacy: `real`, `holdout` and `merged` are private.
    """

    schema: Schema
    synthetic: Both
    real: Both
    holdout: Both | None
    peers: Mapping[str, Both]
    merged: Mapping[str, Mapping[str, tuple[int, int]]]
    known: Known | None
    counted: str | None
    caution: str | None


def read(
    synthetic: object,
    *,
    real: object,
    holdout: object | None,
    schema: SchemaLike | None,
    release: ReleaseLike | None,
    peers: Mapping[str, object],
    rng: np.random.Generator,
) -> Tables:
    """Read everything; `rng` draws the rows of each unit that count.

    The schema may be the one that the release was made from: what it left to be bought is then taken from the release.
    Raises: InputError or SchemaError for what cannot be evaluated; RecordsError for unreadable tables; SyntheticSource where
        the real table says of itself that it is synthetic.
    """
    provenance.require_real(real, "the real table that a synthetic one is compared with")
    if holdout is not None:
        provenance.require_real(holdout, "the holdout")
    if release is None and isinstance(synthetic, str | Path) and is_release(synthetic):
        release = synthetic
    known = None if release is None else Known.of(release)
    declared = _declared(schema, known)
    complete = declared if known is None else _completed(declared, known)
    if complete.unresolved:
        raise SchemaError(
            "the schema leaves something to be bought; evaluate the release's folder, in which it is bought, or name it with "
            "--release"
        )
    source = data_of(synthetic) if isinstance(synthetic, str | Path) and is_release(synthetic) else synthetic
    made = records.read_public(source, complete, out_of_domain="clamp")
    others = {name: records.read_public(_source(one), complete, out_of_domain="clamp") for name, one in peers.items()}
    real_key, held_key = rng.bytes(row_bounds.KEY_BYTES), rng.bytes(row_bounds.KEY_BYTES)
    raw = _counted(records.read(real, declared, out_of_domain="clamp").open(), known, real_key)
    truth = raw.with_schema(complete) if declared.unresolved else raw
    held = None
    if holdout is not None:
        held = _counted(records.read(holdout, declared, out_of_domain="clamp").open(), known, held_key)
        held = held.with_schema(complete) if declared.unresolved else held
    return Tables(
        schema=complete,
        synthetic=_both(made),
        real=_both(truth),
        holdout=None if held is None else _both(held),
        peers={name: _both(one) for name, one in others.items()},
        merged=_merged(raw, complete),
        known=known,
        counted=None if known is None else row_bounds.counted(known.bound),
        caution=row_bounds.not_named(raw) if known is None else None,
    )


def _counted(table: Records, known: Known | None, key: bytes) -> Records:
    """The real rows that count: where a release is known, as many of each unit as it used."""
    return table if known is None else row_bounds.bounded(table, known.bound, key=key)


def _source(source: object) -> object:
    return data_of(source) if isinstance(source, str | Path) and is_release(source) else source


def _both(table: Records) -> Both:
    """Records with their ticks unpacked: they are looked up many times."""
    wide = table.with_ticks({name: table.ticks[name] for name in table.ticks})
    return wide, encoding.encode_public(wide)


def _declared(schema: SchemaLike | None, known: Known | None) -> Schema:
    if schema is None:
        if known is None:
            raise InputError("name the schema of the tables; only the folder of a release brings its own")
        return known.schema
    described = either.load(schema) if isinstance(schema, str | Path) else schema
    if isinstance(described, DatabaseSchema):
        raise InputError(
            "evaluate compares one table with one table, and this schema has [database]; evaluate each table with a schema of "
            "its own, or see privsynth.metrics.histories for figures of several tables"
        )
    return described


def _completed(declared: Schema, known: Known) -> Schema:
    """The release's schema, with the use that the given one declares."""
    complete = known.schema
    if [(one.name, one.kind) for one in declared.columns] != [(one.name, one.kind) for one in complete.columns]:
        raise SchemaError(
            "the schema has other columns than the release was made with; leave it out, or give the one it was made from"
        )
    if known.bound.column is not None and declared.unit != known.bound.column:
        raise SchemaError(
            f'the release counts rows by "{known.bound.column}", and the schema does not declare it as the unit; leave the '
            "schema out, or give the one that the release was made from"
        )
    return complete if declared.use == Use() else complete.model_copy(update={"use": declared.use})


def _merged(raw: Records, complete: Schema) -> dict[str, dict[str, tuple[int, int]]]:
    """Labels of the real table that were not bought, with their rows and their people."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name, labels in raw.labels.items():
        column = complete.modelled_column(name)
        assert isinstance(column, CategoryColumn)
        ticks = raw.ticks[name]
        cells = np.where(ticks == records.MISSING, -1, ticks.astype(np.int64))
        rows, people = (in_cells(cells, units, len(labels)).tolist() for units in (None, raw.units))
        found[name] = {
            label: (count, owners)
            for label, count, owners in zip(labels, rows, people, strict=True)
            if count and label not in column.labels
        }
    return found
