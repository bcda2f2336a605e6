"""The latent class model as a generator's distribution: tables, records, conditional records, expected errors.

Must never hold or need anything but what was made from a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, Evidence
from privsynth.latent.dealing import class_counts, deal, split_groups
from privsynth.latent.drawing_each import EachRow
from privsynth.latent.estimation import expand, fine_layout
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import Layout, group_sums
from privsynth.latent.mixture import Mixture, wide_tables
from privsynth.latent.observed import Observed
from privsynth.latent.predicting import shares_of
from privsynth.latent.replacing import replace_impossible
from privsynth.latent.swapping import passes_for, swap
from privsynth.structural import StructuralZeros

Floats = npt.NDArray[np.float64]


@final
class LatentClassDistribution(AbstractDistribution):
    """A mixture of products over groups of levels, with each level's share of its group."""

    def __init__(self, seen: Observed, fitted: Fitted) -> None:
        self.domain = seen.domain
        self._group_of = seen.group_of
        self._seen = seen
        self._fitted = fitted
        self._each: EachRow | None = None

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self._fitted.total

    def project(self, clique: Clique) -> Floats:
        """Expected counts of the mixture. Shapes: `domain.shape(clique)`."""
        axes = [self.domain.index(name) for name in self.domain.project(clique).attributes]
        table = self._fitted.total * wide_tables(self._fitted.mixture, axes)
        for place, axis in enumerate(axes):
            shape = [-1 if each == place else 1 for each in range(len(axes))]
            table = np.take(table, self._group_of[axis], axis=place) * self._fitted.within[axis].reshape(shape)
        return table

    def expect(self, factors: Mapping[str, Floats]) -> float:
        """See `AbstractDistribution.expect`: class by class, without a table of all attributes together."""
        mixture = self._fitted.mixture
        by_class = mixture.weights * self._fitted.total
        for name, factor in factors.items():
            axis = self.domain.index(name)
            grouped = group_sums(self._fitted.within[axis] * factor, self._group_of[axis])
            by_class = by_class * (grouped @ mixture.given[mixture.layout.part(axis)])
        return float(by_class.sum())

    def expected_l1(self, clique: Clique) -> float | None:
        """Expected L1 error of an attribute's or a pair's normalised table; None for wider ones, and where nothing is known."""
        axes = [self.domain.index(name) for name in self.domain.project(clique).attributes]
        if not 1 <= len(axes) <= 2:
            return None
        found = float(self._fitted.pair_error[axes[0], axes[-1]])
        return None if np.isnan(found) else found

    @property
    def steps(self) -> int | None:
        """How many steps of refinement the fit took; None where that is not known."""
        return self._fitted.steps

    def by_class(self) -> tuple[Floats, Floats]:
        """Chances of the classes, and of levels in each class. Shapes: (classes,), (levels of all attributes, classes)."""
        mixture = self._fitted.mixture
        wide = [
            mixture.given[mixture.layout.part(axis)][group_of] * within[:, None]
            for axis, (group_of, within) in enumerate(zip(self._group_of, self._fitted.within, strict=True))
        ]
        return mixture.weights / mixture.weights.sum(), np.concatenate([*wide, np.zeros((0, len(mixture.weights)))])

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records with low error, rows in random order; with evidence, from the conditional mixture, exactly.

        Rows are dealt class by class, then improved by swaps inside classes until their pair tables are near what they
        should be (not with evidence). Rows that a rule rules out are replaced (`replacing`).
        Raises: FitError when the evidence has probability zero under the model, or n is negative.
        """
        if n < 0:
            raise FitError(f"the number of records cannot be negative; found {n}")
        mixture, within = self._conditional(given) if given else (self._fitted.mixture, self._fitted.within)
        if not self.domain.attributes:
            return Dataset((), self.domain)
        classes, codes = self._deal(mixture, within, n, rng)
        if not given and self._fitted.tables is not None and passes_for(n, len(codes)) and n > 1:
            codes = self._improved(codes, classes, rng)
        self._draw_again(codes, mixture, within, rng)
        order = rng.permutation(n)
        return Dataset(tuple(column[order] for column in codes), self.domain)

    def draw_independently(self, n: int, rng: np.random.Generator) -> Dataset:
        """Draw n records of the mixture, without the swaps that make them smooth. Raises: FitError when n is below 1."""
        if n < 1 or not self.domain.attributes:
            return super().draw_independently(n, rng)
        _, codes = self._deal(self._fitted.mixture, self._fitted.within, n, rng)
        self._draw_again(codes, self._fitted.mixture, self._fitted.within, rng)
        return Dataset(tuple(codes), self.domain).take(rng.integers(0, n, n))

    def draw_each(
        self, given: Mapping[str, npt.NDArray[np.int64]], wanted: Sequence[str], rng: np.random.Generator
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Draw the wanted attributes for each row of evidence, from the mixture given it: a class, then levels in it.

        Evidence that a class is 10^8 times less likely to give than another does not rule that class out. Rules are not
        looked at.
        Raises: FitError for evidence outside the levels, or on what is wanted.
        """
        if self._each is None:
            self._each = EachRow(self.domain, *self.by_class())
        return self._each.draw(given, wanted, rng)

    def _deal(
        self, mixture: Mixture, within: tuple[Floats, ...], n: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.unsignedinteger]]]:
        rows = class_counts(mixture.weights, n, rng)
        groups = deal(mixture, rows, rng)
        parts = zip(groups, self._group_of, within, strict=True)
        return np.repeat(np.arange(len(rows)), rows), [split_groups(*part, rng) for part in parts]

    def _improved(
        self, codes: list[npt.NDArray[np.unsignedinteger]], classes: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> list[npt.NDArray[np.unsignedinteger]]:
        """Swap inside classes; over groups where there are too many levels, which are then shared out again."""
        assert self._fitted.tables is not None
        tables = self._fitted.tables * (len(classes) / self._fitted.total)
        if self._fitted.fine.sizes == self.domain.sizes:
            work = np.stack([column.astype(np.int64) for column in codes])
            swap(work, classes, tables, self._fitted.fine, rng)
            return [column.astype(old.dtype) for column, old in zip(work, codes, strict=True)]
        work = np.stack([of[column] for of, column in zip(self._group_of, codes, strict=True)])
        swap(work, classes, tables, self._fitted.fine, rng)
        kinds = [np.min_scalar_type(size - 1) for size in self._fitted.fine.sizes]
        parts = zip(work, kinds, self._group_of, self._fitted.within, strict=True)
        return [split_groups(groups.astype(kind), of, within, rng) for groups, kind, of, within in parts]

    def _draw_again(
        self,
        codes: list[npt.NDArray[np.unsignedinteger]],
        mixture: Mixture,
        within: tuple[Floats, ...],
        rng: np.random.Generator,
    ) -> None:
        """Replace rows that hit an impossible cell; what cannot be replaced is left to the rules' repair."""
        if self.domain.impossible:
            replace_impossible(
                codes,
                StructuralZeros(self.domain),
                shares_of(mixture, self._group_of, within),
                lambda rows: self._deal(mixture, within, rows, rng)[1],
                rng,
            )

    def _conditional(self, given: Evidence) -> tuple[Mixture, tuple[Floats, ...]]:
        """The mixture and shares under evidence: classes weighed by its probability in each, levels cut down to it."""
        mixture, within = self._fitted.mixture, list(self._fitted.within)
        probabilities, weights = mixture.given.copy(), mixture.weights.copy()
        for name, allowed in given.items():
            axis = self.domain.index(name)
            size, codes = self.domain.size(name), np.asarray(allowed)
            if not codes.size or codes.min() < 0 or codes.max() >= size:
                raise FitError(f'the evidence on "{name}" allows no level, or one outside its {size} levels')
            shares = np.where(np.isin(np.arange(size), codes), within[axis], 0.0)
            kept = np.bincount(self._group_of[axis], weights=shares, minlength=mixture.layout.sizes[axis])
            part = mixture.layout.part(axis)
            probabilities[part] *= kept[:, None]
            chance = probabilities[part].sum(axis=0)
            weights *= chance
            probabilities[part] /= np.where(chance > 0, chance, 1.0)
            within[axis] = shares
        if not weights.sum() > 0:
            raise FitError("the evidence has probability zero under this model; allow more levels")
        probabilities[:, weights == 0] = mixture.given[:, weights == 0]
        return replace(mixture, given=probabilities, weights=weights / weights.sum()), tuple(within)

    def tilted(self, factors: Mapping[str, Floats]) -> LatentClassDistribution:
        """The distribution in proportion to this one times a factor of each level, none negative: a mixture again.

        The tables that records follow are changed as the mixture's own tables are. No errors are predicted of it.
        Shapes: (levels,). Raises: FitError when the factors leave nothing.
        """
        fitted, within = self._fitted, list(self._fitted.within)
        before = fitted.mixture
        given, weights = before.given.copy(), before.weights.copy()
        for name, factor in factors.items():
            axis = self.domain.index(name)
            part, group_of = before.layout.part(axis), self._group_of[axis]
            shares = within[axis] * factor
            kept = np.bincount(group_of, weights=shares, minlength=before.layout.sizes[axis])
            given[part] *= kept[:, None]
            chance = given[part].sum(axis=0)
            weights *= chance
            given[part] /= np.where(chance > 0, chance, 1.0)
            within[axis] = np.where(kept[group_of] > 0, shares / np.where(kept > 0, kept, 1.0)[group_of], within[axis])
        if not weights.sum() > 0:
            raise FitError("the factors leave no level that the model knows; expected some of them above zero")
        given[:, weights == 0] = before.given[:, weights == 0]
        after = Mixture(layout=before.layout, given=given, weights=weights / weights.sum())
        grouped = None if fitted.grouped is None else _followed(fitted.grouped, before, after)
        tables = grouped
        if grouped is not None and fitted.fine is not self._seen.layout:
            tables = expand(grouped, self._seen, within)
        return LatentClassDistribution(
            self._seen,
            replace(
                fitted,
                mixture=after,
                within=tuple(within),
                grouped=grouped,
                tables=tables,
                pair_error=np.full_like(fitted.pair_error, np.nan),
            ),
        )

    def arrays(self) -> dict[str, Floats]:
        """The mixture, the shares of levels, and, with pairs, the tables that records follow and the expected errors."""
        fitted = self._fitted
        found = {
            "given": fitted.mixture.given,
            "weights": fitted.mixture.weights,
            "within": np.concatenate([*fitted.within, np.zeros(0)]),
            "pair_error": fitted.pair_error,
            "total": np.array([fitted.total]),
        }
        if fitted.steps is not None:
            found["steps"] = np.array([float(fitted.steps)])
        return found if fitted.grouped is None else found | {"grouped": fitted.grouped}


def _followed(grouped: Floats, before: Mixture, after: Mixture) -> Floats:
    """Tables of all pairs, changed as the mixture's are; each keeps its sum. Shapes: (groups, groups)."""
    old = before.pairs() / before.weights.sum()
    moved = grouped * np.where(old > 0, after.pairs() / np.where(old > 0, old, 1.0), 0.0)
    indicator = before.layout.indicator()
    sums, wanted = (indicator @ table @ indicator.T for table in (moved, grouped))
    scale = np.where(sums > 0, wanted / np.where(sums > 0, sums, 1.0), 0.0)
    owner = before.layout.owner
    return np.asarray(moved * scale[np.ix_(owner, owner)])


def restored(seen: Observed, arrays: Mapping[str, Floats]) -> LatentClassDistribution:
    """The distribution whose `arrays()` these are. Raises: FitError when they do not belong to this transcript."""
    expected = {"given", "weights", "within", "pair_error", "total"} | (
        {"grouped"} if seen.pairs is not None else set()
    )
    classes = arrays["weights"].size if "weights" in arrays else 0
    places, attributes = seen.layout.total, len(seen.layout)
    shapes = {
        "given": (places, classes),
        "weights": (classes,),
        "within": (sum(seen.domain.sizes),),
        "pair_error": (attributes, attributes),
        "total": (1,),
        "grouped": (places, places),
        "steps": (1,),
    }
    expected |= {"steps"} & set(arrays)  # models of 0.3 and before do not say
    fits = set(arrays) == expected and all(arrays[name].shape == shapes[name] for name in expected)
    if not fits or not _sound(arrays):
        raise FitError("a stored latent class model does not belong to its measurements; was a file replaced?")
    within = tuple(Layout(seen.domain.sizes).split(arrays["within"])) if attributes else ()
    grouped = arrays.get("grouped")
    fine = fine_layout(seen)
    fitted = Fitted(
        total=float(arrays["total"][0]),
        mixture=Mixture(layout=seen.layout, given=arrays["given"], weights=arrays["weights"]),
        within=within,
        fine=fine,
        grouped=grouped,
        tables=grouped if grouped is None or fine is seen.layout else expand(grouped, seen, within),
        pair_error=arrays["pair_error"],
        steps=int(arrays["steps"][0]) if "steps" in arrays else None,
    )
    return LatentClassDistribution(seen, fitted)


def _sound(arrays: Mapping[str, Floats]) -> bool:
    """Whether numbers are what they can be: none negative or infinite, some record, some class; only errors may be unknown."""
    known = all(np.isfinite(array).all() for name, array in arrays.items() if name != "pair_error")
    bounded = all(not (array < 0).any() and not np.isinf(array).any() for array in arrays.values())
    return known and bounded and bool(arrays["total"][0] >= 1 and arrays["weights"].sum() > 0)
