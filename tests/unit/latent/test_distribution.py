"""The distribution: conditional tables exactly, records near the tables, rules obeyed, arrays that do not fit refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.domain import Domain, Impossible
from privsynth.errors import FitError, SchemaError
from privsynth.latent import distribution, estimation
from privsynth.latent.distribution import LatentClassDistribution, restored
from privsynth.latent.estimation import fit
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import Layout
from privsynth.latent.observed import Observed, observe
from tests.mixtures import domain_of, joint, measured, random_mixture

Floats = npt.NDArray[np.float64]
SIZES = (3, 4, 5, 2)
GROUPS = {"c": (0, 1, 1, 0, 2), "b": (0, 1, 0, 0)}
TOTAL = 8000
COUNTS = np.random.default_rng(0).multinomial(TOTAL, joint(random_mixture(11, SIZES, 3)).ravel()).reshape(SIZES)


def observed(impossible: tuple[Impossible, ...] = (), groups: dict[str, tuple[int, ...]] | None = None) -> Observed:
    domain = domain_of(SIZES, (), impossible)
    counts = COUNTS.astype(np.float64)
    for one in impossible:
        axes = tuple(axis for axis, name in enumerate(domain.attributes) if name not in one.clique)
        order = np.argsort([domain.index(name) for name in one.clique])
        counts = np.where(np.expand_dims(one.table(domain).transpose(order), axes), 0.0, counts)
    found = measured(domain, counts, 20.0, np.random.default_rng(1), GROUPS if groups is None else groups)
    return observe(domain, list(found))


@lru_cache
def model() -> LatentClassDistribution:
    seen = observed()
    return LatentClassDistribution(seen, fit(seen, components=12))


def whole(model: LatentClassDistribution) -> Floats:
    """The probability of every cell of the domain, from the arrays, by a loop over classes."""
    arrays, sizes = model.arrays(), model.domain.sizes
    starts = np.cumsum([0, 3, 2, 3])
    groups = [range(3), GROUPS["b"], GROUPS["c"], range(2)]
    within = np.split(arrays["within"], np.cumsum(sizes)[:-1])
    table = np.zeros(sizes)
    for which, weight in enumerate(arrays["weights"]):
        levels = [
            np.array([arrays["given"][start + group, which] for group in of]) * share
            for start, of, share in zip(starts, groups, within, strict=True)
        ]
        table += weight * np.einsum("a,b,c,d->abcd", *levels)
    return table


def apart(one: Floats, two: Floats) -> float:
    return float(np.abs(one / one.sum() - two / two.sum()).sum())


def test_tables_of_any_attributes_in_any_order_are_those_of_all_cells() -> None:
    table = model().total * whole(model())
    assert table.sum() == pytest.approx(model().total)
    np.testing.assert_allclose(model().project(("a", "b", "c", "d")), table)
    np.testing.assert_allclose(model().project(("c",)), table.sum(axis=(0, 1, 3)))
    np.testing.assert_allclose(model().project(("c", "a")), table.sum(axis=(1, 3)).T)
    np.testing.assert_allclose(model().project(("d", "b", "c")), table.sum(axis=0).transpose(2, 0, 1))
    assert model().project(()) == pytest.approx(model().total)


@settings(max_examples=25)
@given(st.data())
def test_conditional_mixtures_are_exact(data: st.DataObject) -> None:
    """Every cell's probability under evidence, against the whole table cut down to the evidence."""
    names = data.draw(st.sets(st.sampled_from("abcd"), min_size=1))
    evidence = {}
    table = whole(model())
    for name in sorted(names):
        axis = "abcd".index(name)
        codes = data.draw(st.lists(st.integers(0, SIZES[axis] - 1), min_size=1, max_size=4))
        evidence[name] = np.array(codes)
        kept = np.isin(np.arange(SIZES[axis]), codes)
        table = table * np.expand_dims(kept, tuple(other for other in range(4) if other != axis))
    mixture, within = model()._conditional(evidence)
    fitted = replace(model()._fitted, mixture=mixture, total=1.0, within=shares(within))
    under = LatentClassDistribution(observed(), fitted).project(("a", "b", "c", "d"))
    np.testing.assert_allclose(under, table / table.sum(), atol=1e-12)


def shares(within: tuple[Floats, ...]) -> tuple[Floats, ...]:
    """Levels' shares of their groups, which dealing does not need to sum to 1."""
    groups = [np.arange(3), np.array(GROUPS["b"]), np.array(GROUPS["c"]), np.arange(2)]
    sums = [np.bincount(of, weights=each)[of] for of, each in zip(groups, within, strict=True)]
    return tuple(each / np.where(total > 0, total, 1.0) for each, total in zip(within, sums, strict=True))


def test_conditional_records_follow_the_conditional_table_and_no_other() -> None:
    evidence = {"c": np.array([1, 3]), "d": np.array([1])}
    drawn = model().draw(40_000, np.random.default_rng(0), evidence)
    assert set(drawn.column("c").tolist()) == {1, 3}
    assert set(drawn.column("d").tolist()) == {1}
    table = whole(model())[:, :, [1, 3], 1]
    found = drawn.marginal(("a", "b", "c")).astype(np.float64)[:, :, [1, 3]]
    assert apart(found, table) < 0.02


def test_one_level_of_a_group_is_evidence_for_it_alone() -> None:
    for seed in range(20):
        drawn = model().draw(7, np.random.default_rng(seed), {"b": np.array([3])})
        assert drawn.column("b").tolist() == [3] * 7


def test_evidence_that_has_no_probability_is_refused_and_classes_without_any_are_left_out() -> None:
    fitted = model()._fitted
    given = fitted.mixture.given.copy()
    given[:3] = 0.0
    given[0, :6], given[1, 6:] = 1.0, 1.0
    other = LatentClassDistribution(observed(), replace(fitted, mixture=replace(fitted.mixture, given=given)))
    with pytest.raises(FitError, match="probability zero"):
        other.draw(5, np.random.default_rng(0), {"a": np.array([2])})
    mixture, _ = other._conditional({"a": np.array([0])})
    assert not mixture.weights[6:].any()
    np.testing.assert_allclose(np.add.reduceat(mixture.given, mixture.layout.starts), 1.0)
    drawn = other.draw(200, np.random.default_rng(0), {"a": np.array([0, 2])})
    assert set(drawn.column("a").tolist()) == {0}


@pytest.mark.parametrize("codes", [[], [4], [-1], [0, 4]])
def test_evidence_outside_the_levels_is_refused(codes: list[int]) -> None:
    with pytest.raises(FitError, match="no level, or one outside its 4 levels"):
        model().draw(1, np.random.default_rng(0), {"b": np.array(codes, dtype=np.int64)})
    with pytest.raises(SchemaError):
        model().draw(1, np.random.default_rng(0), {"e": np.array([0])})


def test_fewer_than_no_records_are_refused() -> None:
    with pytest.raises(FitError, match="cannot be negative"):
        model().draw(-1, np.random.default_rng(0))
    assert model().draw(0, np.random.default_rng(0)).rows == 0
    assert model().draw(1, np.random.default_rng(0)).rows == 1


def pair_distance(drawn: Dataset, tables: Floats) -> float:
    layout = Layout(SIZES)
    return sum(
        apart(
            drawn.marginal((drawn.domain.attributes[i], drawn.domain.attributes[j])).astype(np.float64),
            tables[layout.part(i), layout.part(j)],
        )
        for i, j in layout.pairs()
    )


@pytest.mark.parametrize("finest", [3000, 5])
def test_records_are_nearer_to_the_tables_than_dealt_and_drawn_ones(
    finest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether swapping goes by levels or, where there are too many, by groups."""
    monkeypatch.setattr(estimation, "_FINEST", finest)
    seen = observed(groups=GROUPS if finest == 5 else {})
    found = LatentClassDistribution(seen, fit(seen, components=12))
    tables = estimation.expand(found._fitted.grouped, seen, found._fitted.within)  # type: ignore[arg-type]
    swapped = pair_distance(found.draw(4000, np.random.default_rng(0)), tables)
    monkeypatch.setattr(distribution, "passes_for", lambda rows, attributes: 0)
    dealt = pair_distance(found.draw(4000, np.random.default_rng(0)), tables)
    assert swapped < (0.4 if finest == 3000 else 0.9) * dealt


def test_rows_come_in_random_order_and_one_way_tables_are_met() -> None:
    drawn = model().draw(4000, np.random.default_rng(3))
    for name in "abcd":
        found, expected = drawn.marginal((name,)), model().project((name,)) * 4000 / model().total
        assert np.abs(found - expected).max() < 6
        halves = [np.bincount(part, minlength=len(found)) for part in np.split(drawn.column(name), 2)]
        assert np.abs(halves[0] - halves[1]).max() < 4.5 * np.sqrt(4000 / 2)
        assert np.abs(halves[0] - halves[1]).max() > 0
    again = model().draw(4000, np.random.default_rng(3))
    for one, two in zip(drawn.columns, again.columns, strict=True):
        np.testing.assert_array_equal(one, two)


def ruled() -> LatentClassDistribution:
    pair, triple = np.zeros((5, 3), dtype=bool), np.zeros((3, 4, 2), dtype=bool)
    pair[1, 0] = pair[4, 2] = pair[3, 1] = True
    triple[2, :2, 1] = True
    seen = observed((Impossible.of(("c", "a"), pair), Impossible.of(("a", "b", "d"), triple)))
    return LatentClassDistribution(seen, fit(seen, components=12))


@pytest.mark.parametrize("evidence", [None, {"d": np.array([1])}], ids=["all", "given"])
def test_no_row_hits_an_impossible_cell(
    evidence: Mapping[str, npt.NDArray[np.int64]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ruled()
    drawn = found.draw(5000, np.random.default_rng(0), evidence)
    for one in found.domain.impossible:
        assert not drawn.marginal(one.clique)[one.table(found.domain)].any()
    if evidence:
        assert set(drawn.column("d").tolist()) == {1}
    monkeypatch.setattr(distribution, "replace_impossible", lambda *_: None)
    careless = found.draw(5000, np.random.default_rng(0), evidence)
    assert any(careless.marginal(one.clique)[one.table(found.domain)].any() for one in found.domain.impossible)


def test_rules_that_no_draw_can_obey_are_left_to_repair() -> None:
    everything = Impossible.of(("a", "d"), np.ones((3, 2), dtype=bool))
    seen = observed()
    seen = replace(seen, domain=replace(seen.domain, impossible=(everything,)))
    drawn = LatentClassDistribution(seen, model()._fitted).draw(50, np.random.default_rng(0))
    assert drawn.rows == 50


def test_expected_errors_are_told_for_one_and_two_attributes() -> None:
    errors = model()._fitted.pair_error
    assert model().expected_l1(("c",)) == errors[2, 2] > 0
    assert model().expected_l1(("d", "b")) == model().expected_l1(("b", "d")) == errors[1, 3] > 0
    assert model().expected_l1(("a", "b", "c")) is None
    assert model().expected_l1(()) is None
    unknown = replace(model()._fitted, pair_error=np.full((4, 4), np.nan))
    assert LatentClassDistribution(observed(), unknown).expected_l1(("a", "b")) is None


def test_what_is_stored_is_what_is_restored() -> None:
    again = restored(observed(), model().arrays())
    one, two = again._fitted, model()._fitted
    for name in ("total", "grouped", "tables", "pair_error"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert again.draw(300, np.random.default_rng(0)).columns[2].tolist() == (
        model().draw(300, np.random.default_rng(0)).columns[2].tolist()
    )


def test_without_pairs_there_are_no_tables_to_store() -> None:
    domain = domain_of(SIZES)
    one_way = [
        one for one in measured(domain, COUNTS.astype(float), 9.0, np.random.default_rng(0)) if len(one.clique) == 1
    ]
    seen = observe(domain, one_way)
    found = LatentClassDistribution(seen, fit(seen, components=5))
    assert set(found.arrays()) == {"given", "weights", "within", "pair_error", "total"}
    assert restored(seen, found.arrays()).expected_l1(("a", "b")) is None
    with pytest.raises(FitError):
        restored(seen, {**found.arrays(), "grouped": np.zeros((14, 14))})


def changed(name: str, place: int, value: float) -> dict[str, Floats]:
    arrays = {key: array.copy() for key, array in model().arrays().items()}
    arrays[name].reshape(-1)[place] = value
    return arrays


GOOD = ("given", "weights", "within", "pair_error", "total", "grouped")


@pytest.mark.parametrize(
    "arrays",
    [
        dict,
        *(lambda name=name: {key: array for key, array in model().arrays().items() if key != name} for name in GOOD),
        *(lambda name=name: {**model().arrays(), name: model().arrays()[name][:-1]} for name in GOOD),
        *(lambda name=name: changed(name, 1 if name != "total" else 0, np.inf) for name in GOOD),
        *(lambda name=name: changed(name, 1 if name != "total" else 0, -0.5) for name in GOOD),
        *(lambda name=name: changed(name, 0, np.nan) for name in GOOD if name != "pair_error"),
        lambda: {**model().arrays(), "more": np.zeros(1)},
        lambda: changed("total", 0, 0.5),
        lambda: {**model().arrays(), "weights": np.zeros(12)},
        lambda: {**model().arrays(), "weights": np.zeros(0), "given": np.zeros((10, 0))},
        lambda: {**model().arrays(), "total": np.array(8000.0)},
    ],
)
def test_arrays_that_do_not_belong_are_refused(arrays) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FitError, match="does not belong"):
        restored(observed(), arrays())


def test_no_attributes_have_no_records() -> None:
    seen = observe(Domain((), ()), [])
    found = LatentClassDistribution(seen, fit(seen, components=3))
    assert found.draw(5, np.random.default_rng(0)).rows == 0
    assert restored(seen, found.arrays()).total == 1
    assert isinstance(found._fitted, Fitted)


def test_each_row_is_drawn_given_its_own_evidence_over_levels_and_groups() -> None:
    table, rng, rows = whole(model()), np.random.default_rng(31), 60_000
    given = {"c": rng.integers(0, 5, rows), "a": rng.integers(0, 3, rows)}
    drawn = model().draw_each(given, ["b", "d"], rng)
    for a, c in ((0, 1), (2, 4)):
        mine = (given["a"] == a) & (given["c"] == c)
        found = np.bincount(drawn["b"][mine] * 2 + drawn["d"][mine], minlength=8).reshape(4, 2)
        assert apart(found.astype(np.float64), table[a, :, c, :]) < 0.12
    with pytest.raises(FitError, match="outside its 5 levels"):
        model().draw_each({"c": np.array([5])}, ["b"], rng)
