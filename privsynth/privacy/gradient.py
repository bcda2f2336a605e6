"""The sum of clipped gradients: what a network must tell of each record's gradient, and the clipping that bounds it.

Must never import an array library of its own: the arithmetic is written with what numpy arrays and torch tensors share, so
that the same few lines clip on every device, and can be read and tested without torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError
from privsynth.privacy.sampled_gaussian import NO_REPLACEMENT
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit

Array: TypeAlias = Any
"""A matrix, in single precision, of numpy or torch."""

Factors: TypeAlias = Sequence[tuple[Array, Array]]
"""For each weight matrix its inputs (rows, in) and slopes (rows, out): a row's gradient is outer(slopes, inputs)."""

CHUNK_ROWS: Final = 832
"""Rows whose gradients are computed together and added up in single precision, at most."""

_BLOCK_ROWS: Final = 64
"""Rows of a chunk that are summed in one product of matrices: short sums round less."""

_ROOM: Final = Fraction(1, 64)
"""How much more than the clipping norm one row may move a sum, for all rounding together: see `GradientSum`."""

MOST_WIDE: Final = 1 << 13
"""Inputs or outputs of a weight matrix, at most: norms are sums of so many squares."""

_SINGLE: Final = frozenset({"float32", "torch.float32"})
_SMALLEST: Final = Fraction(1, 1024)
_LARGEST_SQUARE: Final = 2.0**80
"""Rows with factors beyond this squared norm add nothing: the squares of others cannot be lost beside them."""

_GRID_BITS: Final = 9
"""Rounding to the grid moves a whole sum by at most 2^-9 of the clipping norm."""


class AbstractLoss(ABC):
    """A network's loss at its present weights, as far as the curator needs it.

    Privacy: row i of every factor must be a function of record i, of the weights, and of randomness that is drawn from `key`
        for that row alone: no normalisation over a batch, no sampling that looks at other rows.
    """

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of each weight matrix, in order. A bias is a weight on an input that is always one."""

    @abstractmethod
    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """The factors of each record's gradient, matrix by matrix.

        Args: `codes` is (rows, attributes); `key` is 32 secret bytes, never the same twice, for reparametrisation and masks.
        """

    @abstractmethod
    def host(self, array: Array) -> npt.NDArray[np.floating]:
        """The array as numpy's, in main memory."""


@final
class GradientSum:
    """The sum, over records, of a loss's gradients, each clipped to an L2 norm of at most `clip` over all matrices together.

    Units: answers are integers, multiples of `grid`.
    Privacy: one row moves an answer by at most `clip` * (1 + 1/64) in L2. Proof: rows are dealt into chunks of at most
        R = 832, and each chunk is computed by itself, so a row more or less changes one chunk. In exact arithmetic it moves
        that chunk's sum by its own gradient, at most `clip`. The rest is rounding, with u = 2^-24. A sum of m = 64 products is
        off by at most (m + 1) u times the sum of their sizes, and adding up R / m = 13 such sums by 12 u times all sizes, which
        come to at most R clip; so two sums of R rows are off by 2 R 77 u clip < .0077 clip. Norms and scales are off by
        less than 2^-10 of themselves (sums of up to 2^13 squares, none of which is below 2^-69 of the largest that counts). A
        chunk's sum, or both where it is split, is rounded to the grid, which moves the answer by at most 1.5 sqrt(weights) grid
        <= 1.5 * 2^-9 clip. Other rows of the chunk, computed in one more row's company, move by less than 2^-18 clip each,
        which is asked of every loss. Together that is less than .0148 clip, and 1/64 is .0156.
    """

    def __init__(self, loss: AbstractLoss, clip: Fraction) -> None:
        if type(clip) is not Fraction or not _SMALLEST <= clip <= 1 / _SMALLEST:
            raise MechanismError("gradients are clipped to a norm between 1/1024 and 1024, given as an exact fraction")
        if max((*map(max, loss.shapes), 1)) > MOST_WIDE:
            raise MechanismError(
                f"a weight matrix has more than {MOST_WIDE} rows or columns; merge levels of the widest columns, or drop some"
            )
        weights = sum(rows * columns for rows, columns in loss.shapes)
        if weights < 1:
            raise MechanismError("a loss without weights has no gradient")
        self.loss, self.clip = loss, clip
        self.grid = clip / (1 << (_GRID_BITS + math.ceil(math.log2(weights) / 2)))

    def sensitivity(self, unit: PrivacyUnit) -> int:
        """How far one unit moves an answer in L2, in multiples of the grid: `max_rows` rows by the bound of one each.

        Raises: MechanismError for the relation "replace-one": nothing is claimed for it under Poisson sampling.
        """
        if unit.relation is not NeighboringRelation.ADD_REMOVE:
            raise MechanismError(NO_REPLACEMENT)
        return math.ceil(unit.max_rows * self.clip * (1 + _ROOM) / self.grid)

    def answer(self, chunks: Iterable[tuple[npt.NDArray[np.int64], bytes]]) -> list[npt.NDArray[np.int64]]:
        """The exact sum over these chunks of records. Shapes: one matrix a weight matrix, `loss.shapes`."""
        total = [np.zeros(shape) for shape in self.loss.shapes]  # whole numbers below 2^53: exact
        for codes, key in chunks:
            if not 0 < len(codes) <= CHUNK_ROWS:
                raise MechanismError(f"gradients are added up for at most {CHUNK_ROWS} rows at a time")
            factors = self.loss.factors(codes, key)
            if any(str(each.dtype) not in _SINGLE for pair in factors for each in pair):
                raise MechanismError(
                    "gradients are computed in single precision; the bound on rounding holds for no other"
                )
            with np.errstate(over="ignore", invalid="ignore"):  # what warns depends on the records
                parts = clipped_sums(factors, float(self.clip))
            for index, part in enumerate(parts):
                total[index] += self._on_grid(self.loss.host(part), total[index].shape)
            if len(parts) != len(total):
                raise MechanismError(f"factors were given for {len(parts)} of {len(total)} weight matrices")
        return [each.astype(np.int64) for each in total]

    def _on_grid(self, part: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        if part.shape != shape:
            raise MechanismError(f"a gradient of shape {part.shape} was given for a weight matrix of shape {shape}")
        return np.rint(part * np.float64(1 / self.grid))


def clipped_sums(factors: Factors, clip: float) -> list[Array]:
    """The sum over rows of each matrix's gradients, every row scaled so that all its gradients together have norm <= clip.

    |outer(s, x)|^2 = |s|^2 |x|^2, so norms need no row's gradient, and the sum of scaled gradients is one product of matrices
    (ghost norms: Goodfellow 2015; Li, Tramer, Liang, Hashimoto 2022). A row with a NaN, an infinite or an absurd factor adds
    nothing.
    """
    squares = [((inputs * inputs).sum(1), (slopes * slopes).sum(1)) for inputs, slopes in factors]
    squared = sum(one * two for one, two in squares)
    sound = squared < _LARGEST_SQUARE  # false for NaN
    for one, two in squares:
        sound = sound & (one < _LARGEST_SQUARE) & (two < _LARGEST_SQUARE)
    if not bool(sound.all()):
        return clipped_sums([(inputs[sound], slopes[sound]) for inputs, slopes in factors], clip)
    scale = clip / (squared**0.5).clip(clip)
    return [_summed(inputs, slopes * scale[:, None]) for inputs, slopes in factors]


def _summed(inputs: Array, slopes: Array) -> Array:
    """slopes^T inputs, a block of rows at a time."""
    total = slopes[:_BLOCK_ROWS].T @ inputs[:_BLOCK_ROWS]
    for start in range(_BLOCK_ROWS, len(inputs), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        total += slopes[block].T @ inputs[block]
    return total
