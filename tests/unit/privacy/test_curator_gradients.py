"""Gradient steps through the curator: what is asked of the noise, what a neighbour changes, and when it refuses."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import BudgetExceeded, FitError, MechanismError
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.gradient import AbstractLoss
from privsynth.privacy.noise import SystemNoise, UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.replay import RecordingNoise, ReplayingNoise

DOMAIN = Domain(("a", "b"), (3, 4))
CLIP = Fraction(1, 2)


class Columns(AbstractLoss):
    """One matrix: row i's gradient is outer(one-hot of column b, (size, size)), much larger than the clip."""

    def __init__(self, size: float = 10) -> None:
        self.size = size
        self.keys: list[bytes] = []

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return ((4, 2),)

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> list[tuple[npt.NDArray[np.float32], ...]]:  # type: ignore[override]
        self.keys.append(key)
        inputs = np.full((len(codes), 2), self.size, dtype=np.float32)
        return [(inputs, np.eye(4, dtype=np.float32)[codes[:, 1]])]

    def host(self, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return array


def table(rows: int, *, units: npt.NDArray[np.int64] | None = None) -> Dataset:
    rng = np.random.default_rng(5)
    return Dataset.from_columns({"a": rng.integers(0, 3, rows), "b": rng.integers(0, 4, rows)}, DOMAIN, units)


def curator(
    data: Dataset,
    *,
    noise: AbstractNoiseSource | None = None,
    rate: Fraction = Fraction(1, 4),
    steps: int = 3,
    multiplier: Fraction = Fraction(2),
    unit: PrivacyUnit | None = None,
) -> Curator:
    plan = SampledGaussian(sampling_rate=rate, steps=steps, noise_multiplier=multiplier)
    return make_curator(
        data,
        unit=unit or PrivacyUnit(name="row"),
        rho=Fraction(1),
        noise=noise or SystemNoise(),
        composition="pld",
        training=plan,
    )


def test_a_sum_is_the_clipped_gradients_of_those_who_take_part_plus_noise() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    holder = curator(table(4000), noise=noise)
    (noisy,) = holder.gradient_sum(Columns(), clip=CLIP)
    (asked,) = noise.calls
    size = float(CLIP) / 2**0.5
    assert noisy.shape == (4, 2)
    per_level = asked.exact.reshape(4, 2)[:, 0] * float(CLIP) * 2.0**-11 / size
    np.testing.assert_allclose(per_level, np.rint(per_level), atol=0.02)
    assert abs(per_level.sum() - 1000) < 6 * 28  # binomial(4000, 1/4), sd 27
    np.testing.assert_allclose(noisy, asked.noisy.reshape(4, 2) * float(CLIP) * 2.0**-11)


def test_the_noise_is_the_multiplier_times_the_sensitivity() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    holder = curator(table(10), noise=noise, multiplier=Fraction(3))
    holder.gradient_sum(Columns(), clip=CLIP)
    sensitivity = 2**11 * (1 + 1 / 64)  # 8 weights: a grid of clip / 2^(9 + 2)
    assert float(noise.calls[0].parameter) == pytest.approx((3 * sensitivity) ** 2, rel=1e-3)
    assert float(noise.calls[0].parameter) >= (3 * sensitivity) ** 2


def test_a_unit_with_several_rows_gets_several_times_the_noise() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    unit = PrivacyUnit(name="patient", column="p", max_rows=3)
    holder = curator(table(30, units=np.repeat(np.arange(10), 3)), noise=noise, unit=unit)
    holder.gradient_sum(Columns(), clip=CLIP)
    assert float(noise.calls[0].parameter) == pytest.approx((2 * 3 * 2**11 * (1 + 1 / 64)) ** 2, rel=1e-3)


@pytest.mark.parametrize("per_unit", [1, 3])
def test_a_unit_more_moves_a_question_by_its_sensitivity_or_not_at_all(per_unit: int) -> None:
    unit = PrivacyUnit(name="patient", column="p", max_rows=per_unit)
    owners = np.repeat(np.arange(101), per_unit)
    more = table(101 * per_unit, units=owners)
    more.column("b")[-per_unit:] = 0
    recorded = RecordingNoise(UnsafeSeededNoise(3))
    holder = curator(more, noise=recorded, steps=40, unit=unit)
    for _ in range(40):
        holder.gradient_sum(Columns(), clip=CLIP)
    replaying = ReplayingNoise(recorded)
    other = curator(more.take(slice(0, 100 * per_unit)), noise=replaying, steps=40, unit=unit)
    for _ in range(40):
        other.gradient_sum(Columns(), clip=CLIP)
    moves = [np.linalg.norm(a.exact - b.exact) for a, b in zip(recorded.calls, replaying.calls, strict=True)]
    took_part = sum(move > 0 for move in moves)
    bound = per_unit * 2**11 * (1 + 1 / 64)
    assert 2 <= took_part <= 22  # binomial(40, 1/4): outside once in 3e4 seeds, and this one is fixed
    assert max(moves) <= bound
    assert max(moves) > 0.9 * bound


def test_every_chunk_has_a_key_of_its_own() -> None:
    loss = Columns()
    holder = curator(table(4000), rate=Fraction(1))
    holder.gradient_sum(loss, clip=CLIP)
    holder.gradient_sum(loss, clip=CLIP)
    assert len(loss.keys) == len(set(loss.keys)) > 2 * 4000 / 1152


def test_steps_run_out() -> None:
    holder = curator(table(10), steps=2)
    holder.gradient_sum(Columns(), clip=CLIP)
    holder.gradient_sum(Columns(), clip=CLIP)
    with pytest.raises(BudgetExceeded, match="all 2 gradient steps"):
        holder.gradient_sum(Columns(), clip=CLIP)


def test_a_step_that_fails_is_spent() -> None:
    class Broken(AbstractLoss):
        shapes = ((4, 2),)

        def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> list[tuple[npt.NDArray[np.float32], ...]]:  # type: ignore[override]
            raise MemoryError

        def host(self, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
            return array

    holder = curator(table(100), steps=1, rate=Fraction(1))
    with pytest.raises(FitError, match="not enough memory"):
        holder.gradient_sum(Broken(), clip=CLIP)
    with pytest.raises(MechanismError, match="this fit has ended: a gradient step failed"):
        holder.gradient_sum(Columns(), clip=CLIP)
    with pytest.raises(MechanismError, match="has ended"):
        holder.measure([("a",)], rho=Fraction(1), stage="after")


@pytest.mark.filterwarnings("error")
def test_how_a_loss_fails_is_not_told() -> None:
    class Telling(Columns):
        def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> list[tuple[npt.NDArray[np.float32], ...]]:  # type: ignore[override]
            warnings.warn(f"odd records: {codes}", stacklevel=1)
            np.exp(np.float32(codes[0, 0] + 1000))
            raise ValueError(f"bad records: {codes}")

    with pytest.raises(
        MechanismError, match=r"^a loss failed on the records; try it on made-up records to see how$"
    ) as found:
        curator(table(100), rate=Fraction(1)).gradient_sum(Telling(), clip=CLIP)
    assert found.value.__suppress_context__


def test_a_training_is_concluded_once() -> None:
    holder = curator(table(10), steps=5)
    holder.gradient_sum(Columns(), clip=CLIP)
    holder.conclude({}, stage="gradients")
    with pytest.raises(MechanismError, match="concluded"):
        holder.conclude({}, stage="gradients")
    with pytest.raises(MechanismError, match="concluded"):
        holder.gradient_sum(Columns(), clip=CLIP)


@pytest.mark.parametrize(("column", "units"), [("p", None), (None, np.arange(10))])
def test_a_table_whose_units_are_not_the_plans_is_refused(
    column: str | None, units: npt.NDArray[np.int64] | None
) -> None:
    with pytest.raises(MechanismError, match="disagree"):
        curator(table(10, units=units), unit=PrivacyUnit(name="patient", column=column))


def test_what_is_refused_beforehand_costs_no_step() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    holder = curator(table(10), noise=noise, steps=1)
    with pytest.raises(MechanismError):
        holder.gradient_sum(Columns(), clip=Fraction(0))
    assert not noise.keys
    holder.gradient_sum(Columns(), clip=CLIP)


def test_an_empty_table_gets_noise_all_the_same() -> None:
    (noisy,) = curator(table(0)).gradient_sum(Columns(), clip=CLIP)
    assert np.all(noisy != 0)


def test_weights_are_recorded_with_what_they_cost() -> None:
    holder = curator(table(10), steps=5)
    with pytest.raises(MechanismError, match="no gradient step"):
        holder.conclude({}, stage="gradients")
    holder.gradient_sum(Columns(), clip=CLIP)
    holder.gradient_sum(Columns(), clip=CLIP)
    found = holder.conclude({"w": np.ones((4, 2), dtype=np.float32)}, stage="gradients")
    assert holder.transcript[-1] is found
    assert (found.event.steps, found.event.sampling_rate, found.event.noise_multiplier) == (2, Fraction(1, 4), 2)


def test_without_a_plan_there_are_no_gradients() -> None:
    holder = make_curator(table(10), unit=PrivacyUnit(name="row"), rho=Fraction(1), noise=SystemNoise())
    with pytest.raises(MechanismError, match="no part for gradient steps"):
        holder.gradient_sum(Columns(), clip=CLIP)


def test_nothing_is_selected_where_everything_is_gaussian() -> None:
    holder = curator(table(10))
    query = MarginalErrors(cliques=(("a",),), references=[np.ones(3)], weights=[1], penalties=[0.0])
    with pytest.raises(MechanismError, match="no Gaussian mechanism"):
        holder.select(query, rho=Fraction(1, 2), stage="select")


def test_replacing_one_is_refused_before_anything_is_drawn() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    holder = curator(table(10), noise=noise, unit=PrivacyUnit(name="row", relation=NeighboringRelation.REPLACE_ONE))
    with pytest.raises(MechanismError, match="adding or removing"):
        holder.gradient_sum(Columns(), clip=CLIP)
    assert not noise.keys


@pytest.mark.parametrize(
    ("composition", "with_training"), [("gdp", True), ("zcdp", True), ("pld", False), ("rdp", False)]
)
def test_gradients_and_their_composition_come_together(composition: str, with_training: bool) -> None:
    plan = (
        SampledGaussian(sampling_rate=Fraction(1, 4), steps=1, noise_multiplier=Fraction(1)) if with_training else None
    )
    with pytest.raises(MechanismError, match="add up"):
        make_curator(
            table(3),
            unit=PrivacyUnit(name="row"),
            rho=Fraction(1),
            noise=SystemNoise(),
            composition=composition,  # type: ignore[arg-type]
            training=plan,
        )
