"""Records with as many of each class as were asked for: drawn under each class's condition, exactly.

Must never touch a record: the classes' shares are declared, and what is drawn comes from a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np

from privsynth.dataset import Dataset
from privsynth.encoding import evidence
from privsynth.errors import SchemaError
from privsynth.generator import AbstractDistribution
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn

Rebalance: TypeAlias = str | Mapping[str, Mapping[str, float]]
"""A column whose labels are to be equally frequent, or {column: {label: share}}; labels that are left out share the rest."""

_ROUNDING: Final = 1e-9


def rebalanced_column(rebalance: Rebalance) -> str:
    """The one column that is rebalanced. Raises: SchemaError when there is not exactly one."""
    if isinstance(rebalance, str):
        return rebalance
    if not isinstance(rebalance, Mapping) or len(rebalance) != 1:
        raise SchemaError(
            'rebalance is the name of a column, or one column with its shares: {"grade": {"A": 0.5, "B": 0.5}}'
        )
    return next(iter(rebalance))


def shares_of(schema: Schema, rebalance: Rebalance) -> list[tuple[list[str | None], float]]:
    """What is asked for: labels that keep their proportions among each other, and the share of these together, above zero.

    Shares add up to one. Every label that is named is alone; all else, a missing value too, has what the named ones leave.
    Raises: SchemaError as `draw_rebalanced`.
    """
    name = rebalanced_column(rebalance)
    return _shares(schema, name, None if isinstance(rebalance, str) else rebalance[name])


def draw_rebalanced(
    schema: Schema,
    distribution: AbstractDistribution,
    n: int,
    rng: np.random.Generator,
    rebalance: Rebalance,
    given: Mapping[str, object],
) -> Dataset:
    """n records, rows in random order, of which each label of the column has its share, rounded to whole records.

    What the shares leave of one goes to the labels that are not named, in the model's proportions.
    Raises: SchemaError for a column without labels, one that `given` conditions as well, or shares that are none; FitError
        where a label that is wanted has probability zero.
    """
    name = rebalanced_column(rebalance)
    shares = shares_of(schema, rebalance)
    if name in given:
        raise SchemaError(f'"{name}" cannot be rebalanced and conditioned at once; leave one of them out')
    ends = np.rint(np.cumsum([share for _, share in shares]) * n).astype(np.int64)
    counts = np.diff(ends, prepend=0).tolist()
    parts = [
        distribution.draw(count, rng, evidence(schema, {**given, name: labels}))
        for (labels, _), count in zip(shares, counts, strict=True)
        if count
    ]
    order = rng.permutation(n)
    columns = [
        np.concatenate([part.columns[index] for part in parts])[order] for index in range(len(distribution.domain))
    ]
    return Dataset(tuple(columns), distribution.domain)


def _shares(schema: Schema, name: str, asked: Mapping[str, float] | None) -> list[tuple[list[str | None], float]]:
    column = schema.modelled_column(name)
    if not isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn):
        raise SchemaError(
            f'[columns.{name}]: a column of kind "{column.kind}" has no labels to rebalance; take one that has'
        )
    if asked is None:
        return [([label], 1 / len(column.labels)) for label in column.labels]
    where = f'the rebalance of "{name}"'
    if not isinstance(asked, Mapping) or not asked:
        raise SchemaError(f'{where}: expected shares of some of its labels, such as {{"<30": 0.2}}; found {asked!r}')
    for label, share in asked.items():
        if label not in column.labels:
            raise SchemaError(f'{where}: it has no label "{label}"; its labels are {", ".join(column.labels)}')
        plain = isinstance(share, int | float | Decimal | Fraction | np.number) and not isinstance(share, bool)
        if not plain or not math.isfinite(share) or not 0 <= share <= 1:
            raise SchemaError(f'{where}: the share of "{label}" is a number from 0 to 1, found {share!r}')
    whole = sum(map(float, asked.values()))
    if whole > 1 + _ROUNDING:
        raise SchemaError(f"{where}: the shares add up to {whole:.6g}, which is more than 1; lower some")
    found: list[tuple[list[str | None], float]] = [([label], float(share)) for label, share in asked.items() if share]
    if whole < 1 - _ROUNDING:
        others: list[str | None] = [label for label in column.labels if label not in asked]
        others += [None] if column.nullable else []
        if not others:
            raise SchemaError(
                f"{where}: all that there is is named, and its shares add up to {whole:.6g}; let them be 1"
            )
        found.append((others, 1 - whole))
    return found
