"""Linear reconstruction: do the counts in a release, taken together, give away the secrets of the people it was made from?

Must never solve for members and controls apart: all targets are unknowns of one system of equations.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Flags, Floats, Outcome, Tier, View
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING, Records

Int64s: TypeAlias = npt.NDArray[np.int64]

_BITS = 18
"""Highest bits of a key by which most of those that no target has are left out."""
_MOST_COLUMNS = 20
"""Most columns of one query: records that a generator changed a little agree in no more."""


@final
class LinearReconstruction(AbstractAttack):
    """The attacker knows all of everybody but one secret, counts in the release, and solves for all secrets at once.

    A secret is cut in two: the commonest released value or another one; for ordered columns above the released median or
    not. Each query counts, among the released records with certain values of some known columns, those with the secret on one
    side less those on the other, scaled to the number of targets. `marginals` sets of half of the columns or more (of 20, where
    there are more) are drawn at random, and every combination of their values that a target has is a query; ordered columns
    are cut into `bins` classes of equally many released records. Every target is an unknown: 1 or -1 is what a person adds to
    a count who is in the release, and somebody who is not adds 0. Least squares with a `ridge` gives each unknown a number, in
    at most `steps` steps; its sign is the guess. The surest share `share` of all guesses is made. Members and controls look
    alike to the queries, so without a leak as many controls as members are guessed right.
    Released counts are the more exact the more records are released, and the attack the stronger: a claim has to fix how many.
    Source: Annamalai, Gadotti, Rocher 2024 (marginal queries, least squares); Dinur, Nissim 2003. Not theirs: controls are
    unknowns too, training people who are no targets are noise, and queries are weighted.
    """

    name: ClassVar[str] = "linear_reconstruction"
    threat: ClassVar[str] = "that many counts in the release, taken together, tell the secrets of the people in it"
    tier: ClassVar[Tier] = "release and auxiliary data"

    marginals: int = Field(default=100, ge=1, le=10_000)
    bins: int = Field(default=50, ge=2, le=1000)
    ridge: float = Field(default=1.0, gt=0)
    share: float = Field(default=0.1, gt=0, le=1)
    undeclared: int = Field(default=1, ge=1)
    steps: int = Field(default=20, ge=1, le=1000)

    @property
    def largest_excess(self) -> float:
        """Twice the share of targets that are called: all of these members."""
        return min(1.0, 2 * self.share)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Reconstruct every secret of every target."""
        released, targets = self._classes(view.synthetic, view.synthetic), self._classes(view.targets, view.synthetic)
        mixed = {name: _mixed(np.concatenate([codes, targets[name]]), rng) for name, codes in released.items()}
        outcomes = []
        for name in self._secrets(view):
            known = [codes for other, codes in mixed.items() if other != name]
            signs = _signs(view.synthetic, view.synthetic, name)
            unknown = self._solved(known, signs, view.targets.rows, rng, f"audit: linear reconstruction of {name}")
            outcomes.append(self._guessed(name, unknown, signs, _signs(view.targets, view.synthetic, name)))
        return tuple(outcomes)

    def _secrets(self, view: View) -> list[str]:
        """The columns declared sensitive; or else those that are not quasi-identifying whose halves are most nearly equal."""
        modelled = view.schema.modelled
        declared = [column.name for column in modelled if column.role == "sensitive"]
        open_to_choice = [column.name for column in modelled if column.role != "quasi"] or [modelled[0].name]

        def slant(name: str) -> float:
            return abs(float(_signs(view.synthetic, view.synthetic, name).mean()))

        return declared or sorted(open_to_choice, key=slant)[: self.undeclared]

    def _classes(self, records: Records, release: Records) -> dict[str, Int64s]:
        """Each column as small whole numbers from 0."""
        return {
            name: np.where(ticks == MISSING, 0, ticks + 1)
            if is_nominal(records, name)
            else rank_codes(ticks, release.ticks[name], self.bins)
            for name, ticks in records.ticks.items()
        }

    def _solved(self, known: list[Int64s], signs: Floats, targets: int, rng: np.random.Generator, stage: str) -> Floats:
        """What each target adds to the counts. Shapes: each of `known` is (released + targets,), signs (released,)."""
        released = len(signs)
        scale = targets / released
        cells, answers, weights = [], [], []
        first = 0
        for marginal in range(self.marginals):
            progress.report(stage, marginal, self.marginals)
            keys = _keys(known, released + targets, rng)
            values, cell, size = np.unique(keys[released:], return_inverse=True, return_counts=True)
            rows, place = _found(keys[:released], values)
            found = scale * np.bincount(place, minlength=len(values))
            answers.append(scale * np.bincount(place, weights=signs[rows], minlength=len(values)))
            # A count of n people varies by chance as n does. Two guesses of n: so many targets, so many released records.
            # Queries of different columns count the same records, so more of them do not tell proportionally more.
            weights.append(2 / (scale * (size + found) * self.marginals))
            cells.append(first + cell)
            first += len(values)
        return _least_squares(np.stack(cells), np.concatenate(answers), np.concatenate(weights), self.ridge, self.steps)

    def _guessed(self, name: str, unknown: Floats, signs: Floats, truth: Floats) -> Outcome:
        sureness = np.abs(unknown)
        threshold = np.sort(sureness)[-int(np.ceil(self.share * len(sureness)))]
        claimed = (sureness >= threshold) & (sureness > 0)
        commonest = 1.0 if signs.sum() >= 0 else -1.0
        return Outcome(
            label=f"linear reconstruction: {name}",
            success=claimed & (np.sign(unknown) == truth),
            attempted=np.ones(len(truth), dtype=bool),
            baseline=float((claimed & (truth == commonest)).mean()),
            score=sureness,
        )


def _mixed(codes: Int64s, rng: np.random.Generator) -> Int64s:
    """Codes times a random odd number, modulo 2**64: numbers whose sums over columns tell rows apart."""
    return np.asarray(codes * (2 * int(rng.integers(1 << 62)) + 1))


def _keys(known: list[Int64s], rows: int, rng: np.random.Generator) -> Int64s:
    """Numbers that are equal where rows agree in a random set of columns, and else as good as never.

    Sums of mixed codes: whether two different rows meet is a matter of chance below 1e-15.
    """
    keys = np.zeros(rows, dtype=np.int64)
    most = min(len(known), _MOST_COLUMNS)
    for column in rng.permutation(len(known))[: rng.integers((most + 1) // 2, most + 1)]:
        keys += known[column]
    return keys


def _found(keys: Int64s, values: Int64s) -> tuple[Int64s, Int64s]:
    """Which keys are among the values (ascending), and where. Most are not, which their highest bits show as a rule."""
    wanted = np.zeros(1 << _BITS, dtype=bool)
    wanted[values >> (64 - _BITS)] = True
    rows = np.flatnonzero(wanted[keys >> (64 - _BITS)])
    place = np.searchsorted(values, keys[rows]).clip(max=len(values) - 1)
    equal = values[place] == keys[rows]
    return rows[equal], place[equal]


def _signs(records: Records, release: Records, name: str) -> Floats:
    """1 where a value is the release's commonest, or above its median; -1 elsewhere."""
    values, counts = np.unique(release.ticks[name], return_counts=True)
    if is_nominal(records, name):
        side: Flags = records.ticks[name] == values[counts.argmax()]
    else:
        side = records.ticks[name] > values[np.searchsorted(counts.cumsum(), (counts.sum() + 1) // 2)]
    return np.where(side, 1.0, -1.0)


def _least_squares(cells: Int64s, answers: Floats, weights: Floats, ridge: float, steps: int) -> Floats:
    """The v that minimises sum of weights * (sums of v by cell - answers)^2 + ridge * |v|^2, by conjugate gradients.

    Shapes: cells (marginals, unknowns), in which cell of each marginal an unknown is; answers and weights (cells,).
    """
    marginals, unknowns = cells.shape

    def summed(v: Floats) -> Floats:
        return np.asarray(
            np.bincount(cells.ravel(), weights=np.tile(v, marginals), minlength=len(answers)), dtype=np.float64
        )

    def spread(q: Floats) -> Floats:
        return np.asarray((weights * q)[cells].sum(axis=0))

    solution = np.zeros(unknowns)
    residual = spread(answers)
    direction, size = residual.copy(), float(residual @ residual)
    start = size
    for _ in range(steps):
        if size <= 1e-12 * start:
            break
        image = spread(summed(direction)) + ridge * direction
        length = size / float(direction @ image)
        solution += length * direction
        residual -= length * image
        before, size = size, float(residual @ residual)
        direction = residual + size / before * direction
    return solution


ATTACK = LinearReconstruction
