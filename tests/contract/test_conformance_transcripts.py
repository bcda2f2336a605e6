"""The kill matrix of what only many noisy answers show, of the claim's arithmetic, and of what passes by the noise."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import epsilon_bounds, generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.findings import Claim
from privsynth.generator import AbstractDistribution
from privsynth.measurement import Transcript
from privsynth.privacy import purchase
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from tests.laboratory import PATIENT, REPLACED, RHO, ROW, Int64s, Pairs, checked, failing

Floats = npt.NDArray[np.float64]
PROMISED = Claim(epsilon=2.17, delta=1e-5, rho=float(RHO), unit="patient")


class Normal(AbstractNoiseSource):
    """Rounded normal noise, to be broken by subclasses."""

    name: ClassVar[str] = "normal"
    signable: ClassVar[bool] = False

    def __init__(self, seed: int = 7) -> None:
        self._right, self._rng = UnsafeSeededNoise(seed), np.random.default_rng(seed)

    def noise(self, size: int) -> Floats:
        """Standard normal numbers."""
        return self._rng.normal(size=size)

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        noise = self.noise(exact.size).reshape(exact.shape) * float(sigma_squared) ** 0.5
        return np.asarray(exact + np.rint(noise).astype(np.int64))

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return self._right.exponential(scores, rate)

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        return self._right.choices(scores, rate, count)

    def key(self) -> bytes:
        return self._right.key()


class Mirrored(Normal):
    """The second half of each draw is the first one, negative and from behind: sums of the two hold no noise."""

    def noise(self, size: int) -> Floats:
        half = self._rng.normal(size=size - size // 2)
        return np.concatenate([half, -half[: size // 2][::-1]])


class Tires(Normal):
    """Half of the noise beyond the first 131,072 cells of a table."""

    def noise(self, size: int) -> Floats:
        return np.asarray(self._rng.normal(size=size) * np.where(np.arange(size) < 1 << 17, 1.0, 0.5))


class Hasty(Normal):
    """Follows scores too closely where many choices are made at once."""

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        return self._right.choices(scores, rate * Fraction(11, 10) if count > 1 else rate, count)


class Faint(Normal):
    """A hundredth of the noise."""

    def noise(self, size: int) -> Floats:
        return self._rng.normal(size=size) / 100


def test_noise_that_can_be_subtracted_is_caught() -> None:
    assert "noise: discriminant" in failing(checked(noise=Mirrored()))


def test_too_little_noise_beyond_the_first_block_is_caught() -> None:
    assert "noise: scale" in failing(checked(noise=Tires()))


def test_a_rate_too_large_where_many_choose_is_caught() -> None:
    assert "selection: distribution" in failing(checked(noise=Hasty()))


def test_what_hardly_any_noise_gives_away_shows_in_one_fit_and_against_the_claim() -> None:
    found = failing(checked(generators.get("mst", {}), unit=ROW, noise=Faint()))
    assert found >= {"one run: canaries", "transcript: tree", "transcript: whole fit"}


# ---- the claim -------------------------------------------------------------------------------------------------------


def test_a_claim_that_the_budget_implies_passes() -> None:
    assert failing(checked(claim=PROMISED)) == set()


@pytest.mark.parametrize(
    "claim",
    [
        replace(PROMISED, epsilon=2.1),
        replace(PROMISED, delta=1e-6),
        replace(PROMISED, rho=float(RHO) / 2),
        Claim(epsilon=1.995, delta=1e-5, rho=float(RHO), unit="patient", composition="gdp"),
        Claim(epsilon=2.1, delta=1e-5, rho=None, unit="patient"),
    ],
    ids=["epsilon", "delta", "rho", "selections as Gaussian", "epsilon alone"],
)
def test_a_claim_of_more_than_was_spent_for_is_caught(claim: Claim) -> None:
    assert failing(checked(claim=claim)) == {"claim: accounting"}


def test_the_example_is_at_the_edge() -> None:
    assert 2.16 < epsilon_bounds.zcdp_epsilon(float(RHO), 1e-5) < 2.17


# ---- past the noise --------------------------------------------------------------------------------------------------


class Copies(Pairs):
    """Keeps the data, and draws its rows."""

    kept: ClassVar[list[Dataset]] = []

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        self.kept[:] = [curator._data.open()]

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        return _Bootstrap(super().estimate(domain, transcript), self.kept[0])


class _Bootstrap(AbstractDistribution):
    def __init__(self, honest: AbstractDistribution, data: Dataset) -> None:
        self.domain, self._honest, self._data = honest.domain, honest, data

    @property
    def total(self) -> float:
        return self._honest.total

    def project(self, clique: tuple[str, ...]) -> Floats:
        return self._honest.project(clique)

    def draw(self, n: int, rng: np.random.Generator, given: object = None) -> Dataset:
        honest = self._honest.draw(n, rng)
        if not self._data.rows:
            return honest
        copied = tuple(
            np.append(one[:-1], own[:1]) for one, own in zip(honest.columns, self._data.columns, strict=True)
        )
        return Dataset(copied, self.domain)

    def arrays(self) -> dict[str, Floats]:
        return self._honest.arrays()


def test_one_copied_row_is_caught() -> None:
    assert failing(checked(Copies())) == {"replay: records"}


class Remembers(Pairs):
    """Leaves its first table's larger half behind, and asks by it for ever."""

    def measure(self, curator: Curator) -> None:
        name = curator.domain.attributes[0]
        if "first" not in vars(self):
            counts = curator._data.open().marginal((name,))
            self.first = int(counts[0] > counts[1:].sum())
        curator.measure([(curator.domain.attributes[self.first],)], rho=curator.budget, stage="columns")


def test_what_a_fit_leaves_behind_hides_nothing_from_the_next() -> None:
    assert failing(checked(Remembers(), unit=ROW)) == {"replay: invariance"}


# ---- what is bought --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
def test_a_threshold_that_is_too_low_is_caught(unit: PrivacyUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchase, "stability_threshold", lambda variance, rows, delta: 2)
    assert failing(checked(unit=unit)) == {"ledger"}


def test_a_histogram_of_too_little_sensitivity_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = purchase._histogram
    one = PrivacyUnit(name="row")
    monkeypatch.setattr(
        purchase,
        "_histogram",
        lambda cell, cells, unit, price, noise, stage: right(cell, cells, one, price, noise, stage),
    )
    assert failing(checked()) == {"replay: sensitivity"}


def test_a_purchase_that_looks_at_the_data_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = purchase._outer_end
    seen: list[int] = []
    present = purchase._present

    def peeking(records: object, column: object) -> Int64s:
        ticks: Int64s = present(records, column)  # type: ignore[arg-type]
        seen[:] = [int(ticks.max(initial=0)) % 2]
        return ticks

    monkeypatch.setattr(purchase, "_present", peeking)
    monkeypatch.setattr(
        purchase, "_outer_end", lambda length, *, lower: right(length, lower=lower) + seen[0] * (not lower)
    )
    assert failing(checked()) == {"replay: invariance"}
