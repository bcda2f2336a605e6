"""Records with as many of each class as were asked for: drawn under each class's condition, exactly.

Must never touch a record: the classes' shares are declared, and what is drawn comes from a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from privsynth.dataset import Dataset
from privsynth.encoding import evidence
from privsynth.errors import SchemaError
from privsynth.generator import AbstractDistribution, Evidence
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn

Rebalance: TypeAlias = str | Mapping[str, Mapping[str, float]]
"""A column whose labels are to be equally frequent, or {column: {label: share}}; labels that are left out do not occur."""


def rebalanced_column(rebalance: Rebalance) -> str:
    """The one column that is rebalanced. Raises: SchemaError when there is not exactly one."""
    if isinstance(rebalance, str):
        return rebalance
    if not isinstance(rebalance, Mapping) or len(rebalance) != 1:
        raise SchemaError(
            'rebalance is the name of a column, or one column with its shares: {"grade": {"A": 0.5, "B": 0.5}}'
        )
    return next(iter(rebalance))


def shares_of(schema: Schema, rebalance: Rebalance) -> dict[str, float]:
    """What is asked for: label -> share, above zero; they need not add up to one. Raises: SchemaError as `draw_rebalanced`."""
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

    Raises: SchemaError for a column without labels, one that `given` conditions as well, or shares that are none; FitError
        where a label that is wanted has probability zero.
    """
    name = rebalanced_column(rebalance)
    shares = shares_of(schema, rebalance)
    if name in given:
        raise SchemaError(f'"{name}" cannot be rebalanced and conditioned at once; leave one of them out')
    ends = np.rint(np.cumsum(list(shares.values())) / sum(shares.values()) * n).astype(np.int64)
    counts = np.diff(ends, prepend=0).tolist()
    parts = [
        distribution.draw(count, rng, _with(schema, given, name, label))
        for label, count in zip(shares, counts, strict=True)
        if count
    ]
    order = rng.permutation(n)
    columns = [
        np.concatenate([part.columns[index] for part in parts])[order] for index in range(len(distribution.domain))
    ]
    return Dataset(tuple(columns), distribution.domain)


def _with(schema: Schema, given: Mapping[str, object], name: str, label: str) -> Evidence:
    return evidence(schema, {**given, name: label})


def _shares(schema: Schema, name: str, asked: Mapping[str, float] | None) -> dict[str, float]:
    """Label -> share, above zero; not yet adding up to one."""
    column = schema.modelled_column(name)
    if not isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn):
        raise SchemaError(
            f'[columns.{name}]: a column of kind "{column.kind}" has no labels to rebalance; take one that has'
        )
    if asked is None:
        return dict.fromkeys(column.labels, 1.0)
    unknown = [label for label in asked if label not in column.labels]
    if unknown:
        raise SchemaError(f"[columns.{name}]: rebalance names {unknown}; its labels are {', '.join(column.labels)}")
    if not all(isinstance(share, int | float) and math.isfinite(share) and share >= 0 for share in asked.values()):
        raise SchemaError(f"[columns.{name}]: the shares to rebalance to must be numbers, zero or more")
    wanted = {label: float(share) for label, share in asked.items() if share}
    if not wanted:
        raise SchemaError(f"[columns.{name}]: at least one share to rebalance to must be above zero")
    return wanted
