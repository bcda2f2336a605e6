"""What is decided by the data outside of any mechanism: domains, bounds, orders, numbers of rounds, names, shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import encoding, fitting
from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import SchemaError
from privsynth.privacy.curator import Curator
from privsynth.privacy.query import MarginalErrors
from privsynth.private import Private
from privsynth.records import Records
from tests.kill_matrix import references
from tests.kill_matrix.defect import Conformance, Defect
from tests.kill_matrix.generators import Rounds


def rows(curator: Curator) -> int:
    """How many records there are, exactly."""
    return curator._data.open().rows


class SeenColumns(Rounds):
    """Measures only columns in which the last level occurs."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        data = curator._data.open()
        names = data.domain.attributes
        seen = [name for name in names if data.rows and data.column(name).max() == data.domain.size(name) - 1]
        curator.measure([(name,) for name in (*seen, names[0])], rho=rho, stage="columns")


class QuantileBins(Rounds):
    """Merges levels at the exact median."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        data, name = curator._data.open(), curator.domain.attributes[-1]
        middle = int(np.median(data.column(name))) if data.rows else 0
        top = curator.domain.size(name) - 1
        groups = {name: tuple(int(level > min(middle, top - 1)) for level in range(top + 1))}
        curator.measure([(name,) for name in curator.domain.attributes], rho=rho, stage="columns", groups=groups)


class StageCount(Rounds):
    """Writes an exact count into a name."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        curator.measure([(curator.domain.attributes[0],)], rho=rho, stage=f"columns of {rows(curator)} rows")


class ShareByRows(Rounds):
    """Takes a share of the budget from the number of rows."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        super().columns(curator, rho * Fraction(1, 1 + rows(curator) % 7))


class EarlyStop(Rounds):
    """Stops when the exact tables look good enough."""

    def pair(self, curator: Curator, rho: Fraction, turn: int) -> None:
        first = curator.domain.attributes[0]
        if curator._data.open().marginal((first,)).min() > 0:
            return
        super().pair(curator, rho, turn)


class RoundsByRows(Rounds):
    """Makes as many rounds as there are rows for."""

    def measure(self, curator: Curator) -> None:
        share = curator.budget / 12
        self.columns(curator, share)
        for turn in range(1 + rows(curator) % 5):
            self.pair(curator, share, turn)


class BreaksOff(Rounds):
    """Refuses data that it does not like."""

    def measure(self, curator: Curator) -> None:
        if not rows(curator):
            raise SchemaError("there is nothing to learn from")
        super().measure(curator)


class ThrowsAway(Rounds):
    """Draws noise that leaves no trace in the transcript, depending on the data."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        if rows(curator) % 2:
            curator._noise.key()


class OneFit(Rounds):
    """Keeps what it learned at the first fit of a process, and asks nothing at the next."""

    fitted: ClassVar[bool] = False

    def measure(self, curator: Curator) -> None:
        if not OneFit.fitted:
            OneFit.fitted = True
            super().measure(curator)


def not_fitted(patch: pytest.MonkeyPatch) -> None:
    """Forget fits before the test, and after it."""
    patch.setattr(OneFit, "fitted", False)


class LargeTables(Rounds):
    """Measures one column less where there are many records."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        names = curator.domain.attributes[int(rows(curator) > 10_000) :]
        curator.measure([(name,) for name in names], rho=rho, stage="columns")


class MergedByCounts(Rounds):
    """Merges the rare levels of wide columns by their exact counts."""

    def columns(self, curator: Curator, rho: Fraction) -> None:
        data, groups = curator._data.open(), {}
        for name in curator.domain.attributes:
            common = data.marginal((name,)) >= 5
            if len(common) > 20 and not common.all():
                groups[name] = tuple(np.where(common, np.cumsum(common) - 1, common.sum()).tolist())
        curator.measure([(name,) for name in curator.domain.attributes], rho=rho, stage="columns", groups=groups)


def kept_tables(patch: pytest.MonkeyPatch) -> None:
    """Exact tables are kept by their columns' names and sizes."""
    right, kept = Dataset.marginals, {}

    def marginals(data: Dataset, cliques: Sequence[Clique]) -> list[npt.NDArray[np.int64]]:
        named = [(clique, data.domain.shape(clique)) for clique in cliques]
        return [kept.setdefault(name, table) for name, table in zip(named, right(data, cliques), strict=True)]

    patch.setattr(Dataset, "marginals", marginals)


def kept_scores(patch: pytest.MonkeyPatch) -> None:
    """The same of tables that are only scored, not measured."""
    right, kept = Curator._scores, {}

    def scores(curator: Curator, query: MarginalErrors) -> npt.NDArray[np.int64]:
        return kept.setdefault(query.cliques, right(curator, query))

    patch.setattr(Curator, "_scores", scores)


def encoded(patch: pytest.MonkeyPatch, change: Callable[[Dataset], Dataset]) -> None:
    """Change the encoded records by something that they say themselves."""
    right = encoding.encode

    def wrong(records: Private[Records]) -> Private[Dataset]:
        return Private(change(right(records).open()))

    patch.setattr(fitting, "encode", wrong)


def _narrowed(data: Dataset) -> Dataset:
    sizes = tuple(int(column.max(initial=0)) + 1 for column in data.columns)
    return Dataset(data.columns, Domain(data.domain.attributes, sizes))


def narrowed(patch: pytest.MonkeyPatch) -> None:
    encoded(patch, _narrowed)


def _stretched(data: Dataset) -> Dataset:
    """The last level is the missing one, and keeps its place."""
    columns = {}
    for name, column in zip(data.domain.attributes, data.columns, strict=True):
        levels, absent = data.domain.size(name) - 1, column == data.domain.size(name) - 1
        present = column[~absent].astype(np.int64)
        first, last = int(present.min(initial=levels - 1)), int(present.max(initial=0))
        scaled = (column.astype(np.int64) - first) * (levels - 1) // max(1, last - first)
        columns[name] = np.where(absent, levels, scaled)
    return Dataset.from_columns(columns, data.domain)


def stretched(patch: pytest.MonkeyPatch) -> None:
    encoded(patch, _stretched)


def _by_frequency(data: Dataset) -> Dataset:
    columns = {}
    for name, column in zip(data.domain.attributes, data.columns, strict=True):
        counts = np.bincount(column, minlength=data.domain.size(name))
        columns[name] = np.argsort(np.argsort(-counts, kind="stable"))[column]
    return Dataset.from_columns(columns, data.domain)


def by_frequency(patch: pytest.MonkeyPatch) -> None:
    encoded(patch, _by_frequency)


DEFECTS = (
    Defect(
        name="domain from the data",
        drawn_from=references.DPMM_18,
        what="A column has as many levels as its largest value says, plus one.",
        target=Conformance(broken=narrowed),
        caught_by="replay: invariance",
    ),
    Defect(
        name="columns from the data",
        drawn_from=references.REPROSYN_38,
        what="Columns are measured if a certain value occurs in them.",
        target=Conformance(generator=SeenColumns),
        caught_by="replay: invariance",
    ),
    Defect(
        name="bounds from the data",
        drawn_from=references.SYNTHCITY_278,
        what="Values are scaled by the smallest and the largest that occur.",
        target=Conformance(broken=stretched),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="bins from the data",
        drawn_from=references.DISCRETE,
        what="Bins end at the exact median.",
        target=Conformance(generator=QuantileBins),
        caught_by="replay: invariance",
    ),
    Defect(
        name="levels sorted by frequency",
        drawn_from=references.DPMM_24,
        what="Levels are numbered in the order of their exact counts.",
        target=Conformance(broken=by_frequency),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="a count in a stage's name",
        drawn_from=references.OPACUS_571,
        what="The transcript names a stage by the exact number of rows.",
        target=Conformance(generator=StageCount),
        caught_by="replay: invariance",
    ),
    Defect(
        name="shares from the number of rows",
        drawn_from=references.OPACUS_571,
        what="How much a stage may spend is a function of the exact number of rows.",
        target=Conformance(generator=ShareByRows),
        caught_by="replay: invariance",
    ),
    Defect(
        name="early stop",
        drawn_from=references.THEORY_ALONE,
        what="Rounds end when the exact tables look good, as in two GANs' training.",
        target=Conformance(generator=EarlyStop),
        caught_by="replay: invariance",
    ),
    Defect(
        name="rounds from the number of rows",
        drawn_from=references.SYNTHCITY_275,
        what="How many rounds there are is a function of the exact number of rows.",
        target=Conformance(generator=RoundsByRows),
        caught_by="replay: invariance",
    ),
    Defect(
        name="refuses some data",
        drawn_from=references.DP_RECORDER,
        what="An error says that the table is empty: no error at all says that somebody is in it.",
        target=Conformance(generator=BreaksOff),
        caught_by="replay: invariance",
    ),
    Defect(
        name="noise thrown away for some data",
        drawn_from=references.DP_RECORDER,
        what="A branch on the data draws randomness that leaves no trace but time and the state of the source.",
        target=Conformance(generator=ThrowsAway),
        caught_by="replay: invariance",
    ),
    Defect(
        name="kept from the fit before",
        drawn_from=references.DP_RECORDER,
        what="What the first fit of a process learned is kept, and serves the next table too.",
        target=Conformance(generator=OneFit, broken=not_fitted),
        caught_by="replay: invariance",
    ),
    Defect(
        name="another way for large tables",
        drawn_from=references.SYNTHCITY_275,
        what="From 10,000 rows on one column less is measured.",
        target=Conformance(generator=LargeTables),
        caught_by="replay: invariance",
    ),
    Defect(
        name="rare levels merged by exact counts",
        drawn_from=references.DPMM_24,
        what="Levels of columns of more than 20 are merged where fewer than five people have them.",
        target=Conformance(generator=MergedByCounts),
        caught_by="replay: invariance",
    ),
    Defect(
        name="exact tables kept for the next fit",
        drawn_from=references.DP_RECORDER,
        what="Exact tables are kept by their columns' names, and serve the next table too.",
        target=Conformance(broken=kept_tables),
        caught_by="replay: recount",
    ),
    Defect(
        name="exact scores kept for the next fit",
        drawn_from=references.DP_RECORDER,
        what="The same of the scores that choices are made by.",
        target=Conformance(broken=kept_scores),
        caught_by="replay: recount",
    ),
)
