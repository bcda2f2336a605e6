"""The sum of clipped gradients: against gradients written out row by row, and what a hostile loss can do to it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import MechanismError
from privsynth.privacy.gradient import CHUNK_ROWS, MOST_WIDE, AbstractLoss, GradientSum, clipped_sums
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit

Factors = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
ROW = PrivacyUnit(name="row")


class Given(AbstractLoss):
    """A loss whose factors are told: code i stands for row i of them."""

    def __init__(self, factors: Factors) -> None:
        self._factors = factors

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((slopes.shape[1], inputs.shape[1]) for inputs, slopes in self._factors)

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        return [(inputs[codes[:, 0]], slopes[codes[:, 0]]) for inputs, slopes in self._factors]

    def host(self, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return array


def factors_of(
    rows: int, seed: int = 0, size: float = 1.0, shapes: Sequence[tuple[int, int]] = ((7, 5), (3, 8))
) -> Factors:
    rng = np.random.default_rng(seed)
    spread = size * np.exp(rng.normal(0, 2, (rows, 1)))
    return [
        (rng.normal(size=(rows, n_in)).astype(np.float32), (spread * rng.normal(size=(rows, n_out))).astype(np.float32))
        for n_out, n_in in shapes
    ]


def written_out(factors: Factors, clip: float) -> list[npt.NDArray[np.float64]]:
    """The same sum from every row's own gradient, in double precision."""
    each = [np.einsum("ro,ri->roi", slopes.astype(float), inputs.astype(float)) for inputs, slopes in factors]
    norms = np.sqrt(sum((gradient**2).sum((1, 2)) for gradient in each))
    return [(gradient * np.minimum(1, clip / norms)[:, None, None]).sum(0) for gradient in each]


def chunks_of(rows: Sequence[int]) -> list[tuple[npt.NDArray[np.int64], bytes]]:
    codes = np.array(rows, dtype=np.int64)[:, None]
    return [(codes[start : start + CHUNK_ROWS], b"key") for start in range(0, len(codes), CHUNK_ROWS)]


def moved(query: GradientSum, rows: Sequence[int], more: Sequence[int]) -> float:
    with np.errstate(all="ignore"):
        one, two = query.answer(chunks_of(rows)), query.answer(chunks_of([*rows, *more]))
    return float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(one, two, strict=True))))


@pytest.mark.parametrize("clip", [0.01, 1.0, 30.0])
def test_it_is_the_sum_of_gradients_clipped_one_by_one(clip: float) -> None:
    factors = factors_of(200)
    for found, wanted in zip(clipped_sums(factors, clip), written_out(factors, clip), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * clip)


def test_the_norm_is_taken_over_all_matrices_together() -> None:
    factors = factors_of(1, size=100)
    found = np.sqrt(sum((part**2).sum() for part in clipped_sums(factors, 1.0)))
    assert found == pytest.approx(1.0, rel=1e-5)


def test_chunks_add_up_to_the_whole_on_the_grid() -> None:
    factors = factors_of(2000)
    query = GradientSum(Given(factors), Fraction(1))
    found, wanted = query.answer(chunks_of(range(2000))), written_out(factors, 1.0)
    for matrix, exact in zip(found, wanted, strict=True):
        assert matrix.dtype == np.int64
        np.testing.assert_allclose(matrix * float(query.grid), exact, atol=1e-2)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(0, 900),
    size=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e25]),
    clip=st.sampled_from([Fraction(1, 64), Fraction(1), Fraction(100)]),
    seed=st.integers(0, 1000),
)
def test_one_row_moves_a_sum_by_no_more_than_the_sensitivity(rows: int, size: float, clip: Fraction, seed: int) -> None:
    query = GradientSum(Given(factors_of(rows + 1, seed, size)), clip)
    assert moved(query, range(rows), [rows]) <= query.sensitivity(ROW)


def test_a_clipped_row_uses_most_of_the_sensitivity() -> None:
    query = GradientSum(Given(factors_of(5, size=1e4)), Fraction(1))
    assert moved(query, range(4), [4]) > 0.97 * query.sensitivity(ROW)


def test_all_rows_of_a_unit_may_pull_the_same_way() -> None:
    factors = [(np.ones((10, 5), dtype=np.float32), np.full((10, 7), 50, dtype=np.float32))]
    query = GradientSum(Given(factors), Fraction(1))
    unit = PrivacyUnit(name="patient", column="p", max_rows=3)
    assert 2.9 * query.sensitivity(ROW) < moved(query, range(7), [7, 8, 9]) <= query.sensitivity(unit)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("where", ["inputs", "slopes"])
def test_a_row_with_an_absurd_factor_adds_nothing(bad: float, where: str) -> None:
    factors = factors_of(6)
    factors[1][0 if where == "inputs" else 1][3, 0] = bad
    query = GradientSum(Given(factors), Fraction(1))
    for with_it, without in zip(
        query.answer(chunks_of(range(6))), query.answer(chunks_of([0, 1, 2, 4, 5])), strict=True
    ):
        np.testing.assert_array_equal(with_it, without)


def test_an_absurd_factor_that_the_others_hide_adds_nothing() -> None:
    """Its square is lost, or infinite times zero: the norm that is computed says nothing about the gradient."""
    inputs, slopes = np.full((2, 5), 2e-23, dtype=np.float32), np.full((2, 7), 1e19, dtype=np.float32)
    query = GradientSum(Given([(inputs, slopes)]), Fraction(1, 1024))
    with np.errstate(all="ignore"):
        assert not any(part.any() for part in query.answer(chunks_of([0, 1])))


def test_no_rows_give_zeros_of_the_right_shapes() -> None:
    query = GradientSum(Given(factors_of(1)), Fraction(1))
    found = query.answer([])
    assert [part.shape for part in found] == [(7, 5), (3, 8)]
    assert not any(part.any() for part in found)


@pytest.mark.parametrize("clip", [Fraction(0), Fraction(-1), Fraction(1, 10_000), Fraction(10_000), 1.0, 1])
def test_a_clip_out_of_range_is_refused(clip: object) -> None:
    with pytest.raises(MechanismError, match="between 1/1024 and 1024"):
        GradientSum(Given(factors_of(1)), clip)  # type: ignore[arg-type]


def test_a_matrix_that_is_too_wide_is_refused() -> None:
    wide = [(np.ones((1, MOST_WIDE + 1), dtype=np.float32), np.ones((1, 1), dtype=np.float32))]
    with pytest.raises(MechanismError, match="merge levels"):
        GradientSum(Given(wide), Fraction(1))


def test_a_loss_without_weights_is_refused() -> None:
    with pytest.raises(MechanismError, match="has weights"):
        GradientSum(Given([]), Fraction(1))


def test_half_precision_is_refused() -> None:
    half = [(inputs.astype(np.float16), slopes) for inputs, slopes in factors_of(2)]
    with pytest.raises(MechanismError, match="single precision"):
        GradientSum(Given(half), Fraction(1)).answer(chunks_of([0]))  # type: ignore[arg-type]


def test_too_many_rows_at_a_time_are_refused() -> None:
    query = GradientSum(Given(factors_of(1)), Fraction(1))
    with pytest.raises(MechanismError, match=f"at most {CHUNK_ROWS} rows"):
        query.answer([(np.zeros((CHUNK_ROWS + 1, 1), dtype=np.int64), b"key")])


def test_factors_that_do_not_match_the_shapes_are_refused() -> None:
    class Short(AbstractLoss):
        shapes = ((7, 5), (3, 8))

        def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
            return factors_of(len(codes))[: self.given]

        def host(self, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
            return array.T if self.turned else array

        given, turned = 1, False

    with pytest.raises(MechanismError, match="1 of 2"):
        GradientSum(Short(), Fraction(1)).answer(chunks_of([0]))
    turned = Short()
    turned.given, turned.turned = 2, True
    with pytest.raises(MechanismError, match="shape"):
        GradientSum(turned, Fraction(1)).answer(chunks_of([0]))


def test_replacing_a_unit_is_not_accounted_for() -> None:
    unit = PrivacyUnit(name="row", relation=NeighboringRelation.REPLACE_ONE)
    with pytest.raises(MechanismError, match="adding or removing"):
        GradientSum(Given(factors_of(1)), Fraction(1)).sensitivity(unit)
