"""Iterative proportional fitting: the distribution nearest to a model's that has the declared shares.

Must never give a combination weight that the model gives none: what it rules out stays ruled out.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique
from privsynth.errors import FitError
from privsynth.pgm.markov_random_field import MarkovRandomField
from privsynth.raking.targets import Target

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 2000
_CLOSE: Final = 1e-11
_MET: Final = 1e-6
"""Shares count as met within this. Rounds go on until they are far closer, or are over."""


class AbstractSpace(ABC):
    """A distribution over groups of levels, under factors that are multiplied into it."""

    @abstractmethod
    def shares(self, target: Target) -> Floats:
        """What the target's groups have now, summing to one. Shapes: as `target.cells`."""

    @abstractmethod
    def scale(self, target: Target, factor: Floats) -> None:
        """Multiply a factor in. Shapes: as `target.cells`."""


@final
class Joint(AbstractSpace):
    """The whole table over the groups of all targeted columns.

    Shapes: `table` has one axis a column, in the order of `columns`; it sums to one.
    """

    def __init__(self, columns: Clique, table: Floats) -> None:
        self._columns = columns
        self.table = table

    def shares(self, target: Target) -> Floats:
        """What the target's groups have now."""
        axes = [self._columns.index(name) for name in target.columns]
        rest = tuple(axis for axis in range(self.table.ndim) if axis not in axes)
        found: Floats = self.table.sum(axis=rest).transpose(np.argsort(np.argsort(axes)))
        return np.asarray(found / found.sum())

    def scale(self, target: Target, factor: Floats) -> None:
        """Multiply a factor in."""
        axes = [self._columns.index(name) for name in target.columns]
        spread = factor.transpose(np.argsort(axes))
        shape = [self.table.shape[axis] if axis in axes else 1 for axis in range(self.table.ndim)]
        self.table = self.table * spread.reshape(shape)
        self.table = self.table / self.table.sum()


@final
class Classes(AbstractSpace):
    """A mixture of products, under factors of single columns: it stays one, with other weights.

    Shapes: `weights` (classes,); `given[name]` (groups, classes), whose columns sum to one.
    """

    def __init__(self, weights: Floats, given: Mapping[str, Floats]) -> None:
        self._weights, self._given = weights, dict(given)

    def shares(self, target: Target) -> Floats:
        """What the target's groups have now."""
        (name,) = target.columns
        found: Floats = self._given[name] @ self._weights
        return np.asarray(found / found.sum())

    def scale(self, target: Target, factor: Floats) -> None:
        """Multiply a factor in."""
        (name,) = target.columns
        tilted = self._given[name] * factor[:, None]
        mass = tilted.sum(axis=0)
        self._given[name] = tilted / np.where(mass > 0, mass, 1.0)
        weights = self._weights * mass
        self._weights = weights / weights.sum()


@final
class Field(AbstractSpace):
    """A Markov random field, under factors of single columns: exact, by its beliefs.

    Shapes: `group_of[name]` (levels,).
    """

    def __init__(self, model: MarkovRandomField, group_of: Mapping[str, npt.NDArray[np.int64]]) -> None:
        self._model, self._group_of = model, group_of
        self._factors = {name: np.ones(of.size) for name, of in group_of.items()}

    def shares(self, target: Target) -> Floats:
        """What the target's groups have now."""
        (name,) = target.columns
        beliefs = self._model.condition(self._factors)
        belief = next(one for one in beliefs if name in one.domain.attributes)
        axis = belief.domain.index(name)
        levels = belief.values.sum(axis=tuple(other for other in range(belief.values.ndim) if other != axis))
        found = np.bincount(self._group_of[name], weights=levels)
        return np.asarray(found / found.sum())

    def scale(self, target: Target, factor: Floats) -> None:
        """Multiply a factor in."""
        (name,) = target.columns
        tilted = self._factors[name] * factor[self._group_of[name]]
        self._factors[name] = tilted / tilted.max()


def fit(space: AbstractSpace, targets: Sequence[Target]) -> list[Floats]:
    """Move a space to the targets, by factors of the targets' own cells.

    The limit is the I-projection: of all distributions with these shares the one of least Kullback-Leibler divergence from
    the model's, so that what is drawn given the targeted columns is the model's own.
    Returns: each target's factor over its groups. Shapes: as their `cells`.
    Raises: FitError when a share is asked of what has probability zero, or when the shares cannot be met together.
    Source: Deming, Stephan 1940; Csiszar 1975, theorem 3.2 (convergence of iterative proportional fitting).
    """
    factors = [np.ones(target.cells.shape) for target in targets]
    for target in targets:
        now = _of_cells(space.shares(target), target)
        lost = np.flatnonzero((now <= 0) & (target.shares > _MET))
        if lost.size:
            raise FitError(
                f"the model gives {target.words(int(lost[0]))} no probability, and weighting cannot bring it about; "
                "declare no share for it, or fit to records that have it"
            )
    for _ in range(_ROUNDS):
        off = 0.0
        for place, target in enumerate(targets):
            now = _of_cells(space.shares(target), target)
            off = max(off, float(np.abs(now - target.shares).max()))
            ratio = (target.shares / np.where(now > 0, now, 1.0))[target.cells]
            if not np.isfinite(ratio).all() or not (ratio * space.shares(target)).any():
                raise _unmet(targets, target, now)
            space.scale(target, ratio)
            factors[place] = factors[place] * ratio
            factors[place] /= factors[place].max()
        if off < _CLOSE:
            break
    for target in targets:
        now = _of_cells(space.shares(target), target)
        if np.abs(now - target.shares).max() > _MET:
            raise _unmet(targets, target, now)
    return factors


def _of_cells(shares: Floats, target: Target) -> Floats:
    """Shares of the target's own cells. Shapes: (cells,)."""
    found = np.bincount(target.cells.ravel(), weights=shares.ravel(), minlength=target.shares.size)
    return np.asarray(found, dtype=np.float64)


def _unmet(targets: Sequence[Target], target: Target, now: Floats) -> FitError:
    worst = int(np.abs(now - target.shares).argmax())
    others = ", ".join(f'"{", ".join(one.columns)}"' for one in targets)
    return FitError(
        f"the shares of {others} cannot be met together: {target.words(worst)} was asked {target.shares[worst]:.4g} and "
        f"stays at {now[worst]:.4g}. They contradict each other, or ask for combinations that no row can have; declare "
        "fewer, or others"
    )


def in_groups(table: Floats, group_of: Sequence[npt.NDArray[np.int64]]) -> Floats:
    """A table over levels, summed over groups of them on every axis; it sums to one. Shapes: `group_of[axis]` (levels,)."""
    for axis, of in enumerate(group_of):
        indicator = np.eye(int(of.max()) + 1)[of]
        table = np.moveaxis(np.tensordot(table, indicator, axes=(axis, 0)), -1, axis)
    return np.asarray(table / table.sum(), dtype=np.float64)


def joint_of_classes(weights: Floats, given: Sequence[Floats]) -> Floats:
    """The table of a mixture of products. Shapes: `given` are (groups, classes)."""
    product = functools.reduce(
        lambda left, right: (left[:, None, :] * right[None, :, :]).reshape(-1, len(weights)),
        given[:-1],
        weights[None, :],
    )
    return np.asarray((product @ given[-1].T).reshape([len(one) for one in given]))
