"""latent_class: shares and stages, what is looked for in tables of three, and tables that are hard to be right about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain, Impossible, LevelFacts
from privsynth.errors import PolicyError
from privsynth.generator import AbstractDistribution
from privsynth.generators import latent_class
from privsynth.generators.latent_class import LatentClass
from privsynth.latent import measuring
from privsynth.latent.planning import Budget, Plan, exact_shares, make_plan, of_few_sizes, one_way_weights
from privsynth.measurement import ErrorScores, Event, Measurement, measurements
from privsynth.privacy.accounting import gaussian_rho_for
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.unit import PrivacyUnit
from tests.models import total_variation

EPSILON_1 = gaussian_rho_for(Fraction(1), Fraction(1, 10**9))


def data_of(
    columns: Mapping[str, npt.NDArray[np.integer]], sizes: tuple[int, ...], domain: Domain | None = None
) -> Dataset:
    return Dataset.from_columns(dict(columns), domain or Domain(tuple(columns), sizes))


def box_of(data: Dataset, rho: Fraction = Fraction(1, 10), seed: int = 1) -> Curator:
    return make_curator(data, unit=PrivacyUnit(name="row"), rho=rho, noise=UnsafeSeededNoise(seed))


def driven(rows: int = 3000, attributes: int = 5) -> Dataset:
    """Columns of four levels that follow one hidden class."""
    rng = np.random.default_rng(0)
    hidden = rng.integers(0, 4, rows)
    names = "abcdefgh"[:attributes]
    columns = {name: np.where(rng.random(rows) < 0.4, rng.integers(0, 4, rows), hidden) for name in names}
    return data_of(columns, (4,) * attributes)


def spent(box: Curator) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for entry in box.transcript:
        found[entry.event.stage] = found.get(entry.event.stage, Fraction(0)) + entry.event.rho
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"components": 0},
        {"triples": 0},
        {"first_share": 0},
        {"score_share": "0"},
        {"triple_share": "0"},
        {"first_share": "47/100"},
        {"score_share": "39/100"},
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: Mapping[str, object]) -> None:
    with pytest.raises(PolicyError, match="latent_class"):
        generators.get("latent_class", settings)


def test_only_gaussian_noise_is_asked_for() -> None:
    assert LatentClass.composition == "gdp"
    box = box_of(driven())
    LatentClass(components=10).measure(box)
    assert {entry.event.mechanism for entry in box.transcript} == {"rounded-gaussian"}


def test_stages_and_shares_where_pairs_are_worth_it() -> None:
    """Narrow columns: the plan leaves one-way tables a tenth of what is planned; nothing stands out in tables of three."""
    box = box_of(driven())
    LatentClass(components=20).measure(box)
    planned = Fraction(97, 1000)
    assert spent(box) == {
        "one-way": planned / 10,
        "pairs": planned * 9 / 10,
        "triple-scores": Fraction(2, 1000),
        "pairs-again": Fraction(1, 1000),
    }
    assert box.remaining == 0
    first = [entry.event.rho / (planned / 10) for entry in measurements(box.transcript) if len(entry.clique) == 1]
    assert first == list(one_way_weights([4] * 5))
    pairs = [entry.clique for entry in measurements(box.transcript) if entry.event.stage == "pairs"]
    assert pairs == list(itertools.combinations("abcde", 2))
    assert not any(entry.groups for entry in measurements(box.transcript))


def test_wide_columns_get_more_for_their_one_way_tables_and_their_rare_levels_are_merged() -> None:
    rng = np.random.default_rng(0)
    columns = {name: np.minimum(rng.geometric(0.1, 20_000) - 1, 59) for name in "abcd"}
    domain = Domain(tuple("abcd"), (60,) * 4, (LevelFacts(ordered=60), *[LevelFacts()] * 3))
    box = box_of(data_of(columns, (60,) * 4, domain), Fraction(1, 50))
    LatentClass(components=20).measure(box)
    shares = spent(box)
    assert shares["one-way-again"] > 0
    assert sum(shares.values()) == Fraction(1, 50)
    planned = Fraction(97, 5000)
    assert shares["pairs"] + shares["one-way"] + shares["one-way-again"] == planned
    assert (shares["one-way"] + shares["one-way-again"]) / planned in {
        Fraction(each, 100) for each in (15, 25, 35, 50, 65, 80)
    }
    pairs = [entry for entry in measurements(box.transcript) if len(entry.clique) == 2]
    assert len({entry.groups[name] for entry in pairs for name in entry.clique if name == "a"}) == 1
    assert list(pairs[0].groups["a"]) == sorted(pairs[0].groups["a"])
    assert list(pairs[0].groups["b"]) != sorted(pairs[0].groups["b"]) or max(pairs[0].groups["b"]) < 59
    wide = [entry for entry in measurements(box.transcript) if len(entry.clique) == 1]
    assert all(not entry.groups and entry.values.size == 60 for entry in wide)


def test_tables_of_three_are_measured_over_the_groups_of_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LatentClass, "_stand_out", lambda self, curator: [("a", "b", "c")])
    rng = np.random.default_rng(0)
    columns = {name: np.minimum(rng.geometric(0.2, 5000) - 1, 29) for name in "abc"}
    box = box_of(data_of(columns, (30,) * 3), Fraction(1, 20))
    LatentClass(components=5).measure(box)
    first, *_, last = [entry for entry in measurements(box.transcript) if len(entry.clique) > 1]
    assert last.event.stage == "triples"
    assert last.event.rho == Fraction(1, 20) * Fraction(3, 100)
    assert {name: last.groups[name] for name in first.clique} == dict(first.groups)
    assert last.values.shape == tuple(max(last.groups[name]) + 1 for name in "abc")


def test_it_is_planned_for_the_noise_that_the_unit_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Budget] = []

    def record(estimates: list[np.ndarray], facts: list[LevelFacts], budget: Budget, spent: Fraction) -> Plan:
        asked.append(budget)
        return make_plan(estimates, facts, budget, spent)

    monkeypatch.setattr(measuring, "make_plan", record)
    unit = PrivacyUnit(name="person", column="id", max_rows=3)
    box = make_curator(driven(), unit=unit, rho=Fraction(1), noise=UnsafeSeededNoise(0))
    LatentClass(components=5).measure(box)
    assert asked == [Budget(rho=0.97, sensitivity_squared=9)]


@pytest.mark.parametrize("first", [Fraction(3, 10), Fraction(45, 100)])
def test_a_large_first_share_is_planned_with(first: Fraction) -> None:
    box = box_of(driven())
    LatentClass(components=10, first_share=first).measure(box)
    assert box.remaining == 0
    assert spent(box)["one-way"] == Fraction(97, 1000) * first


@pytest.mark.parametrize("rho", [Fraction(1, 10**8), Fraction(1, 10**6)])
def test_a_budget_too_small_for_pairs_measures_counts_alone(rho: Fraction) -> None:
    rng = np.random.default_rng(0)
    data = data_of({name: rng.integers(0, 30, 300) for name in "abc"}, (30,) * 3)
    box = box_of(data, rho)
    model = LatentClass().fit(box)
    assert set(spent(box)) == {"one-way", "one-way-again"}
    assert box.remaining == 0
    assert model.total >= 1
    drawn = model.draw(100, np.random.default_rng(0))
    assert drawn.rows == 100
    assert model.expected_l1(("a", "b")) is None
    assert model.expected_l1(("a",)) is not None


@lru_cache
def parity() -> tuple[AbstractDistribution, Curator, Dataset]:
    """Seventeen columns that follow nothing, and three bits whose parity is odd one time in twenty."""
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.integers(0, 3, 20_000) for i in range(17)}
    one, two = rng.integers(0, 2, (2, 20_000))
    columns |= {"x": one, "y": two, "z": one ^ two ^ (rng.random(20_000) < 0.05)}
    data = data_of(columns, (3,) * 17 + (2,) * 3)
    box = box_of(data, EPSILON_1)
    return LatentClass(components=100).fit(box), box, data


def test_an_exclusive_or_of_three_columns_among_twenty_is_found_and_followed() -> None:
    model, box, data = parity()
    found = [entry for entry in measurements(box.transcript) if entry.event.stage == "triples"]
    assert [entry.clique for entry in found] == [("x", "y", "z")]
    truth = data.marginal(("x", "y", "z")).astype(np.float64)
    assert total_variation(np.full((2, 2, 2), 1 / 8), truth) > 0.4
    assert total_variation(model.project(("x", "y", "z")), truth) < 0.05
    drawn = model.draw(20_000, np.random.default_rng(0))
    assert total_variation(drawn.marginal(("x", "y", "z")).astype(np.float64), truth) < 0.05
    (scores,) = [entry for entry in box.transcript if isinstance(entry, ErrorScores)]
    assert len(scores.cliques) == math.comb(20, 3)
    assert scores.event.rho == box.budget / 50
    assert box.remaining == 0


def test_the_same_transcript_is_always_the_same_model() -> None:
    model, box, _ = parity()
    again = LatentClass(components=100).estimate(box.domain, box.transcript)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])


def scores_of(values: list[float], sigma: float = 10.0) -> ErrorScores:
    """Scores in records; noise too."""
    event = Event(
        stage="triple-scores",
        mechanism="rounded-gaussian",
        rho=Fraction(1, 100),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma * MarginalErrors.GRID) ** 2,
    )
    whole = np.array(values) * MarginalErrors.GRID
    cliques = tuple(itertools.combinations("abcdefgh", 3))[: len(values)]
    return ErrorScores(cliques=cliques, values=whole.astype(np.int64), event=event)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 289, 291, 10, 300], [4, 2]),
        ([300, 700, 500, 400, 600], [1, 4, 2]),
        ([0] + [50] * 7 + [339, 341], [9]),
        ([50] * 8 + [341], [8]),
        ([0] * 5, []),
    ],
)
def test_scores_stand_out_above_the_typical_one_by_their_noise_and_by_what_is_notable(
    values: list[float], expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1,000 records: a quarter of them, and four standard deviations of 10, above the median of ten or more scores."""
    monkeypatch.setattr(latent_class, "_NOTABLE", 0.25)
    monkeypatch.setattr(latent_class, "_SIGNIFICANT", 4.0)
    scores = scores_of(values)
    found = LatentClass()._significant(scores, 1000.0)
    assert found == [scores.cliques[place] for place in expected]
    assert LatentClass(triples=1)._significant(scores, 1000.0) == found[:1]


def test_scores_are_lowered_by_what_sampling_alone_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[MarginalErrors] = []
    measure = Curator.measure_errors

    def record(self: Curator, query: MarginalErrors, *, rho: Fraction, stage: str) -> ErrorScores:
        asked.append(query)
        return measure(self, query, rho=rho, stage=stage)

    monkeypatch.setattr(Curator, "measure_errors", record)
    LatentClass(components=10).measure(box_of(driven()))
    (query,) = asked
    assert query.cliques == tuple(itertools.combinations("abcde", 3))
    assert set(query.weights) == {1}
    for table, penalty in zip(query.references, query.penalties, strict=True):
        chance = np.random.default_rng(0).normal(0, np.sqrt(table), (4000, *table.shape))
        assert penalty == pytest.approx(np.abs(chance).sum(axis=(1, 2, 3)).mean(), rel=0.01)
        assert table.sum() == pytest.approx(3000, rel=0.05)


def test_small_tables_of_three_are_looked_at_first_and_large_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = Domain(tuple("abcd"), (200, 2, 3, 100))
    assert latent_class._candidates(domain) == [("b", "c", "d"), ("a", "b", "c")]
    with monkeypatch.context() as few:
        few.setattr(latent_class, "_TRIPLE_ATTRIBUTES", 3)
        assert latent_class._candidates(domain) == [("b", "c", "d")]
    monkeypatch.setattr(latent_class, "_TRIPLES", 1)
    assert latent_class._candidates(domain) == [("b", "c", "d")]
    assert latent_class._candidates(Domain(("a", "b"), (2, 2))) == []
    monkeypatch.setattr(latent_class, "_TRIPLES", 9)
    monkeypatch.setattr(latent_class, "_TRIPLE_ATTRIBUTES", 3)
    assert latent_class._candidates(Domain(tuple("edcba"), (3, 9, 4, 2, 9))) == [("e", "c", "b")]


def test_two_columns_have_no_table_of_three_and_their_pair_gets_all() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, 2000)
    data = data_of({"x": x, "y": np.where(rng.random(2000) < 0.2, rng.integers(0, 3, 2000), x)}, (3, 3))
    box = box_of(data)
    model = LatentClass().fit(box)
    assert set(spent(box)) >= {"one-way", "pairs", "pairs-again"}
    assert "triple-scores" not in spent(box)
    assert box.remaining == 0
    truth = data.marginal(("x", "y")).astype(np.float64)
    assert total_variation(model.project(("x", "y")), truth) < 0.03


def test_pairs_share_their_budget_by_their_weights() -> None:
    rng = np.random.default_rng(0)
    sizes = (2, 12, 30)
    columns = {name: rng.integers(0, size, 20_000) for name, size in zip("abc", sizes, strict=True)}
    box = box_of(data_of(columns, sizes), Fraction(2))
    LatentClass(components=10).measure(box)
    pairs = [entry.event.rho for entry in measurements(box.transcript) if entry.event.stage == "pairs"]
    reach = [math.sqrt((one + two) * one * two) for one, two in itertools.combinations(sizes, 2)]
    shares = exact_shares(of_few_sizes(np.cbrt(np.array(reach))))
    found = [float(rho / sum(pairs)) for rho in pairs]
    np.testing.assert_allclose(found, sorted(map(float, shares)), rtol=0.2)


# ---- tables that are hard to be right about -----------------------------------------------------------------------------


def test_all_rows_equal() -> None:
    data = data_of({name: np.full(2000, 2) for name in "abcd"}, (5,) * 4)
    model = LatentClass(components=20).fit(box_of(data))
    drawn = model.draw(500, np.random.default_rng(0))
    assert drawn.marginal(("a", "b"))[2, 2] > 440
    assert total_variation(model.project(("a", "d")), data.marginal(("a", "d")).astype(np.float64)) < 0.1


def test_columns_of_one_level_and_one_column_alone() -> None:
    rng = np.random.default_rng(0)
    data = data_of(
        {"a": np.zeros(500, dtype=int), "b": rng.integers(0, 3, 500), "c": np.zeros(500, dtype=int)}, (1, 3, 1)
    )
    model = LatentClass(components=5).fit(box_of(data))
    np.testing.assert_allclose(model.project(("a", "b", "c"))[0, :, 0], model.project(("b",)))
    alone = LatentClass().fit(box_of(data_of({"b": rng.integers(0, 3, 500)}, (3,))))
    assert alone.draw(10, rng).rows == 10
    box = box_of(data_of({"b": rng.integers(0, 3, 500)}, (3,)))
    LatentClass().measure(box)
    assert set(spent(box)) == {"one-way", "one-way-again"}


@pytest.mark.parametrize("rho", [Fraction(1, 10**4), Fraction(1, 10), Fraction(3)])
def test_a_hundred_thousand_levels_are_merged_or_left_alone(rho: Fraction) -> None:
    """Nothing may be a matrix over single levels: that would be ten billion cells."""
    rng = np.random.default_rng(0)
    size = 100_000
    columns = {"code": (size * rng.random(5000) ** 9).astype(np.int64), "b": rng.integers(0, 3, 5000)}
    columns["c"] = ((columns["code"] > 40) ^ (rng.random(5000) < 0.1)).astype(np.int64)
    box = box_of(data_of(columns, (size, 3, 2)), rho)
    model = LatentClass(components=10).fit(box)
    assert box.remaining == 0
    drawn = model.draw(2000, rng)
    assert drawn.domain.sizes == (size, 3, 2)
    assert model.project(("code", "c")).shape == (size, 2)
    if rho > 1:
        groups = [entry.groups["code"] for entry in measurements(box.transcript) if "code" in entry.groups]
        assert 10 < max(groups[0]) + 1 < 2000
        assert model.project(("code", "c"))[0, 0] / model.project(("code",))[0] > 0.8


@pytest.mark.parametrize("seed", range(4))
def test_no_records_and_negative_noisy_totals(seed: int) -> None:
    """Counts of an empty table are noise: about half of the estimated totals are negative."""
    data = data_of({name: np.zeros(0, dtype=np.int64) for name in "abc"}, (3, 2, 4))
    box = box_of(data, Fraction(1, 100), seed)
    model = LatentClass(components=10).fit(box)
    assert box.remaining == 0
    assert 1 <= model.total < 300
    for clique in [("a",), ("b", "c"), ("a", "b", "c")]:
        table = model.project(clique)
        assert np.isfinite(table).all()
        assert table.sum() == pytest.approx(model.total)
    assert model.draw(20, np.random.default_rng(0)).rows == 20


def test_every_total_is_negative_and_there_is_one_record() -> None:
    data = data_of({name: np.zeros(0, dtype=np.int64) for name in "abc"}, (3, 2, 4))
    box = box_of(data)
    LatentClass(components=5).measure(box)
    lowered = tuple(
        Measurement(clique=entry.clique, values=entry.values - 500, event=entry.event, groups=entry.groups)
        for entry in measurements(box.transcript)
    )
    model = LatentClass(components=5).estimate(data.domain, lowered)
    assert model.total == 1
    assert np.isfinite(model.project(("a", "b"))).all()


def test_impossible_cells_stay_empty_in_records_of_a_real_fit() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 4000)
    columns = {"a": a, "b": np.minimum(3, a + rng.integers(0, 3, 4000)), "c": rng.integers(0, 3, 4000)}
    below = np.tril(np.ones((4, 4), dtype=bool), -1)
    domain = Domain(tuple("abc"), (4, 4, 3), (), (Impossible.of(("a", "b"), below),))
    model = LatentClass(components=30).fit(box_of(data_of(columns, (4, 4, 3), domain), Fraction(1, 200)))
    drawn = model.draw(4000, rng)
    assert not drawn.marginal(("a", "b"))[below].any()
    assert (
        total_variation(
            drawn.marginal(("a", "b")).astype(float), data_of(columns, (4, 4, 3)).marginal(("a", "b")).astype(float)
        )
        < 0.1
    )


def test_a_rest_too_small_for_all_pairs_goes_to_one_way_tables() -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.integers(0, 2, 1_000_000) for i in range(30)}
    box = box_of(data_of(columns, (2,) * 30), Fraction(1, 10**6))
    LatentClass(components=5).measure(box)
    assert "pairs" in spent(box)
    assert "pairs-again" not in spent(box)
