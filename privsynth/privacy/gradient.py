"""The sum of clipped gradients: what a network must tell of each record's gradient, and the clipping that bounds it.

Must never import an array library of its own: the arithmetic is written with what numpy arrays and torch tensors share, so
that the same few lines clip on every device, and can be read and tested without torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias, TypeVar, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError
from privsynth.privacy.sampled_gaussian import NO_REPLACEMENT
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit

Array: TypeAlias = Any
"""A matrix, in single precision, of numpy or torch."""

Factors: TypeAlias = Sequence[tuple[Array, Array]]
"""For each weight matrix its inputs (rows, in) and slopes (rows, out): a row's gradient is outer(slopes, inputs)."""

_Number = TypeVar("_Number", np.int64, np.float64)

CHUNK_ROWS: Final = 1152
"""Rows whose gradients are computed together and added up in single precision, at most."""

_BLOCK_ROWS: Final = 64
"""Rows of a chunk that are summed in one product of matrices: short sums round less."""

_ROOM: Final = Fraction(1, 64)
"""How much more than the clipping norm one row may move a sum, for all rounding together: see `GradientSum`."""

MOST_WIDE: Final = 1 << 13
"""Inputs or outputs of a weight matrix, at most: norms are sums of so many squares."""

_MOST_MATRICES: Final = 1024
_SINGLE: Final = frozenset({"float32", "torch.float32"})
_LIBRARIES: Final = frozenset({"numpy.ndarray", "torch.Tensor"})
SMALLEST_CLIP: Final = Fraction(1, 1024)
_LARGEST_SQUARE: Final = 2.0**64
"""Rows with factors beyond this squared norm add nothing: the squares of others cannot be lost beside them."""

_GRID_BITS: Final = 9
"""Rounding to the grid moves a whole sum by at most 2^-9 of the clipping norm."""


class AbstractLoss(ABC):
    """A network's loss at its present weights, as far as the curator needs it.

    Privacy: row i of every factor must be a function of record i, of the weights, and of randomness for that row alone, drawn
        from `key` independently and alike for all rows: no normalisation over a batch, no mask or permutation that rows
        share, no stratified draws. `factors` must change nothing: what it remembered of records would be learned for nothing.
    """

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of each weight matrix, in order. A bias is a weight on an input that is always one."""

    @abstractmethod
    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """The factors of each record's gradient, matrix by matrix.

        Args: `codes` is (rows, attributes), always as many rows within a fit: some of them stand in for nobody, and what is
            returned for them is not used. `key` is 32 secret bytes, never the same twice, for reparametrisation and masks.
        """

    @abstractmethod
    def host(self, array: Array) -> npt.NDArray[np.floating]:
        """The array as numpy's, in main memory."""


@final
class GradientSum:
    """The sum, over records, of a loss's gradients, each clipped to an L2 norm of at most `clip` over all matrices together.

    Units: answers are integers, multiples of `grid`.
    Privacy: one row moves an answer by at most `clip` * (1 + 1/64) in L2. Proof: rows are dealt into chunks of at most
        R = 1152, and each chunk is computed by itself, so a row more or less changes one chunk. A loss always sees the same
        number of rows, so that the same products of matrices are computed whoever else is there, and a row's factors, its norm
        and whether it counts are the same bits beside any other rows (`tests` and the audit hold networks to it). So in exact
        arithmetic a row moves its chunk's sum by its own gradient, at most `clip`. The rest is rounding, with u = 2^-24. A sum
        of m = 64 products is off by at most (m + 1) u times the sum of their sizes, and adding up R / m = 18 such sums by 17 u
        times all sizes, which come to at most R clip; so two sums of R rows are off by 2 R 82 u clip < .0113 clip. Norms and
        scales are off by less than 2^-10 of themselves (sums of up to 2^13 squares, none of which is below 2^-60 of the
        largest that counts). A chunk's sum, or both where it is split, is rounded to the grid, which moves the answer by at
        most 1.5 sqrt(weights) grid <= 1.5 * 2^-9 clip. Together that is less than .0152 clip, and 1/64 is .0156.
    """

    def __init__(self, loss: AbstractLoss, clip: Fraction) -> None:
        if type(clip) is not Fraction or not SMALLEST_CLIP <= clip <= 1 / SMALLEST_CLIP:
            raise MechanismError("gradients are clipped to a norm between 1/1024 and 1024, given as an exact fraction")
        self.loss, self.clip, self.shapes = loss, clip, tuple(loss.shapes)
        if max((*map(max, self.shapes), 1)) > MOST_WIDE:
            raise MechanismError(
                f"a weight matrix has more than {MOST_WIDE} rows or columns; merge levels of the widest columns, or drop some"
            )
        weights = self._weights = sum(rows * columns for rows, columns in self.shapes)
        if weights < 1 or len(self.shapes) > _MOST_MATRICES:
            raise MechanismError(f"a loss has weights, in at most {_MOST_MATRICES} matrices")
        self.grid = clip / (1 << (_GRID_BITS + math.ceil(math.log2(weights) / 2)))

    def sensitivity(self, unit: PrivacyUnit) -> int:
        """How far one unit moves an answer in L2, in multiples of the grid: `max_rows` rows by the bound of one each.

        Raises: MechanismError for the relation "replace-one": nothing is claimed for it under Poisson sampling.
        """
        if unit.relation is not NeighboringRelation.ADD_REMOVE:
            raise MechanismError(NO_REPLACEMENT)
        return math.ceil(unit.max_rows * self.clip * (1 + _ROOM) / self.grid)

    def answer(
        self, chunks: Iterable[tuple[npt.NDArray[np.int64], bytes]], *, rows: int = CHUNK_ROWS
    ) -> list[npt.NDArray[np.int64]]:
        """The exact sum over these chunks of records, each filled up to `rows` rows with nobody's.

        Shapes: one matrix a weight matrix, `shapes`. Raises: MechanismError for a loss that breaks its contract.
        """
        return self.split(self.flat_answer(chunks, rows=rows))

    def flat_answer(
        self, chunks: Iterable[tuple[npt.NDArray[np.int64], bytes]], *, rows: int = CHUNK_ROWS
    ) -> npt.NDArray[np.int64]:
        """What `answer` says, one matrix after the other in one array. Shapes: (weights,)."""
        total = np.zeros(self._weights, dtype=np.int64)
        matrices = self.split(total)
        for codes, key in chunks:
            if not 0 < len(codes) <= rows <= CHUNK_ROWS:
                raise MechanismError(f"gradients are added up for at most {CHUNK_ROWS} rows at a time")
            filled = np.zeros((rows, codes.shape[1]), dtype=np.int64)
            filled[: len(codes)] = codes
            for part, matrix in zip(self._parts(filled, key, len(codes)), matrices, strict=True):
                rounded = part * np.float64(1 / self.grid)
                np.add(matrix, np.rint(rounded, out=rounded), out=matrix, casting="unsafe")  # whole, below 2^53: exact
        return total

    def split(self, flat: npt.NDArray[_Number]) -> list[npt.NDArray[_Number]]:
        """Views of one array, matrix by matrix. Shapes: (weights,) -> `shapes`."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), self.shapes, strict=True)]

    def _parts(self, filled: npt.NDArray[np.int64], key: bytes, present: int) -> list[npt.NDArray[np.floating]]:
        """One chunk's sums, in main memory; what is said of them where they are refused is no secret."""
        factors = tuple(self.loss.factors(filled, key))
        if len(factors) != len(self.shapes):
            raise MechanismError(f"factors were given for {len(factors)} of {len(self.shapes)} weight matrices")
        for inputs, slopes in factors:
            _require_matrix(inputs, len(filled))
            _require_matrix(slopes, len(filled))
        sums = clipped_sums(factors, float(self.clip), present)
        found = [self.loss.host(each) for each in sums]
        if any(str(each.dtype) not in _SINGLE for each in (*sums, *found)):
            raise MechanismError(_PRECISION)
        if tuple(each.shape for each in found) != self.shapes:
            raise MechanismError("gradients were given of other shapes than the weight matrices'")
        return found


_PRECISION: Final = "gradients are computed in single precision; the bound on rounding holds for no other"


def _require_matrix(factor: Array, rows: int) -> None:
    """Nothing that looks like a matrix but computes otherwise: masked, half precision, more rows than records."""
    kind = type(factor)
    if f"{kind.__module__}.{kind.__qualname__}" not in _LIBRARIES:
        raise MechanismError("factors are plain arrays of numpy or torch")
    if str(factor.dtype) not in _SINGLE:
        raise MechanismError(_PRECISION)
    if factor.ndim != 2 or len(factor) != rows:
        raise MechanismError("factors are matrices with one row for each record")


def clipped_sums(factors: Factors, clip: float, present: int | None = None) -> list[Array]:
    """The sum over the first `present` rows of each matrix's gradients, every row scaled to a norm of at most `clip`.

    A row's norm is over all its gradients together: |outer(s, x)|^2 = |s|^2 |x|^2, so that it needs no row's gradient, and the
    sum of scaled gradients is one product of matrices (ghost norms: Goodfellow 2015; Li, Tramer, Liang, Hashimoto 2022). A row
    with a NaN, an infinite or an absurd factor adds nothing: decided once, for each row from its own numbers alone.
    """
    rows = [(_by_rows(inputs), _by_rows(slopes)) for inputs, slopes in factors]
    squares = [((inputs * inputs).sum(1), (slopes * slopes).sum(1)) for inputs, slopes in rows]
    squared = sum(one * two for one, two in squares)
    sound = squared < _LARGEST_SQUARE  # false for NaN
    for one, two in squares:
        sound = sound & (one < _LARGEST_SQUARE) & (two < _LARGEST_SQUARE)
    scale, sound = (clip / (squared**0.5).clip(clip))[:present], sound[:present]
    kept = [(inputs[:present], slopes[:present]) for inputs, slopes in rows]
    if not bool(sound.all()):
        scale, kept = scale[sound], [(inputs[sound], slopes[sound]) for inputs, slopes in kept]
    return [_summed(inputs, slopes, scale[:, None]) for inputs, slopes in kept]


def _by_rows(matrix: Array) -> Array:
    """The matrix laid out row by row in memory: the order in which a row's squares are added depends on the layout."""
    return matrix.reshape(-1).reshape(matrix.shape)


def _summed(inputs: Array, slopes: Array, scale: Array) -> Array:
    """(slopes * scale)^T inputs, a block of rows at a time."""
    total = (slopes[:_BLOCK_ROWS] * scale[:_BLOCK_ROWS]).T @ inputs[:_BLOCK_ROWS]
    for start in range(_BLOCK_ROWS, len(inputs), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        total += (slopes[block] * scale[block]).T @ inputs[block]
    return total
