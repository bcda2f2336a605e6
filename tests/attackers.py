"""What an attacker may have beside a release, made for tests: noisy answers, and a generator to run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from privsynth.attack import Refit
from privsynth.encoding import encode_public
from privsynth.measurement import Event, Measurement, Transcript
from privsynth.records import Records


def noisy_answers(records: Records, *, sigma: int = 1, order: int = 3, names: Sequence[str] = ()) -> Transcript:
    """The tables of up to `order` columns with Gaussian noise; of columns of labels where there are any and none are named."""
    labelled = [column.name for column in records.schema.modelled if column.kind in ("category", "boolean", "ordered")]
    columns = tuple(names) or tuple(labelled or records.ticks)
    encoded, rng = encode_public(records), np.random.default_rng(1)
    event = Event(
        stage="tables",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma**2),
    )
    cliques = [clique for size in range(1, order + 1) for clique in itertools.combinations(columns, size)]
    tables = [encoded.marginal(clique) for clique in cliques]
    return tuple(
        Measurement(
            clique=clique, values=table + np.rint(rng.normal(0, sigma, table.shape)).astype(np.int64), event=event
        )
        for clique, table in zip(cliques, tables, strict=True)
    )


def bootstrap(rows: int) -> Refit:
    """A generator that releases its training records, drawn with replacement."""

    def refit(records: Records, rng: np.random.Generator) -> Records:
        return records.take(rng.integers(records.rows, size=rows))

    return refit
