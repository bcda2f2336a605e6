"""The registry, and what each generator does that the others do not: shares, trees, rounds, weights, fall-backs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators, graphical
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError, PolicyError
from privsynth.generators.aim import AIM, closure
from privsynth.generators.latent_class import LatentClass
from privsynth.generators.mst import MST
from privsynth.measurement import Measurement, Selection, measurements
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.unit import PrivacyUnit


def chain(rows: int, seed: int = 0) -> Dataset:
    """a -> b -> c -> d: each a copy of the one before, one time in five drawn anew; e is independent."""
    rng = np.random.default_rng(seed)
    domain = Domain(tuple("abcde"), (6, 6, 6, 6, 3))
    columns = {"a": rng.integers(0, 6, rows), "e": rng.integers(0, 3, rows)}
    for before, name in itertools.pairwise("abcd"):
        columns[name] = np.where(rng.random(rows) < 0.2, rng.integers(0, 6, rows), columns[before])
    return Dataset.from_columns(columns, domain)


def curator(data: Dataset, rho: Fraction, seed: int = 1) -> Curator:
    return make_curator(data, unit=PrivacyUnit(name="row"), rho=rho, noise=UnsafeSeededNoise(seed))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("flow", {}, "choose one of independent, mst, aim, latent_class, vae, gan"),
        ("independent", {"rounds": 2}, "no setting rounds; it has none"),
        ("mst", {"iterations": 0}, "at least 1"),
        ("mst", {"iterations": "1/2"}, "whole number"),
        ("mst", {"iterations": True}, "must be an integer or a fraction"),
        ("mst", {"one_way_share": 0.25}, "must be an integer or a fraction"),
        ("mst", {"one_way_share": "a third"}, "must be an integer or a fraction"),
        ("mst", {"one_way_share": "1/0"}, "must be an integer or a fraction"),
        ("mst", {"one_way_share": "1/2", "selection_share": "1/2"}, "together below 1"),
        ("mst", {"selection_share": "0"}, "above 0"),
        ("aim", {"selection_share": 1}, "below 1"),
        ("aim", {"degree": 0}, "degree must be at least 1"),
        ("aim", {"max_model_megabytes": -1}, "max_model_megabytes must be at least 1"),
    ],
)
def test_names_and_settings_that_do_not_exist_or_fit_are_refused(
    name: str, settings: Mapping[str, object], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        generators.get(name, settings)


def test_settings_are_exact_and_names_are_those_of_the_files() -> None:
    assert generators.get("mst", {"one_way_share": "0.2", "iterations": 7}) == MST(
        one_way_share=Fraction(1, 5), iterations=7
    )
    assert [generators.get(name, {}).name for name in generators.NAMES] == list(generators.NAMES)


def test_mst_finds_the_tree_and_spends_its_shares_exactly() -> None:
    box = curator(chain(5000), Fraction(1, 2))
    generators.get("mst", {}).measure(box)
    tree = {entry.clique for entry in measurements(box.transcript) if len(entry.clique) == 2}
    assert {("a", "b"), ("b", "c"), ("c", "d")} < tree
    assert len(tree) == 4
    spent: dict[str, Fraction] = {}
    for entry in box.transcript:
        spent[entry.event.stage] = spent.get(entry.event.stage, Fraction(0)) + entry.event.rho
    assert spent == {"one-way": Fraction(1, 6), "select": Fraction(1, 40), "tree": Fraction(37, 120)}
    assert box.remaining == 0


def test_mst_is_not_drawn_to_wide_pairs_that_are_independent() -> None:
    """2,000 records in 2,500 cells are far from their expectations in L1, and say nothing."""
    rng = np.random.default_rng(0)
    domain = Domain(("w", "x", "y", "z"), (50, 50, 3, 3))
    y = rng.integers(0, 3, 2000)
    columns = {
        "w": rng.integers(0, 50, 2000),
        "x": rng.integers(0, 50, 2000),
        "y": y,
        "z": np.where(rng.random(2000) < 0.5, y, rng.integers(0, 3, 2000)),
    }
    box = curator(Dataset.from_columns(columns, domain), Fraction(20))
    generators.get("mst", {}).measure(box)
    assert next(entry.chosen for entry in box.transcript if isinstance(entry, Selection)) == ("y", "z")


@pytest.mark.parametrize("name", ["mst", "aim"])
def test_too_small_a_budget_for_pairs_goes_to_one_way_tables_whole(name: str) -> None:
    data = chain(300)
    box = curator(data, Fraction(1, 5000))
    generators.get(name, {}).measure(box)
    assert box.remaining == 0
    assert all(isinstance(entry, Measurement) and len(entry.clique) == 1 for entry in box.transcript)
    floor = curator(data, Fraction(1, 5000))
    generators.get("independent", {}).measure(floor)
    ours = sum(1 / entry.sigma**2 for entry in measurements(box.transcript) if entry.clique == ("a",))
    (theirs,) = [1 / entry.sigma**2 for entry in measurements(floor.transcript) if entry.clique == ("a",)]
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_aim_learns_the_chain_and_leaves_independent_columns_alone() -> None:
    data = chain(5000)
    box = curator(data, Fraction(1, 10))
    model = generators.get("aim", {}).fit(box)
    chosen = [entry.chosen for entry in box.transcript if isinstance(entry, Selection)]
    assert {("a", "b"), ("b", "c"), ("c", "d")} <= set(chosen)
    assert box.remaining == 0
    for pair in itertools.combinations("abcd", 2):
        assert np.abs(model.project(pair) - data.marginal(pair)).sum() < 0.25 * 5000


def test_aim_shares_every_round_between_choosing_and_measuring() -> None:
    box = curator(chain(2000), Fraction(1, 20))
    AIM(selection_share=Fraction(1, 4)).measure(box)
    rounds = [entry for entry in box.transcript if entry.event.stage != "one-way"]
    for choice, found in zip(rounds[::2], rounds[1::2], strict=True):
        assert isinstance(choice, Selection)
        assert isinstance(found, Measurement)
        assert choice.chosen == found.clique
        assert choice.event.rho == found.event.rho / 3
    spent = [choice.event.rho for choice in rounds[:-2:2]]
    assert all(after in {before, 4 * before} for before, after in itertools.pairwise(spent))
    assert spent[0] == box.budget / (8 * 5) / 4


def rounds_of(data: Dataset, rho: Fraction) -> list[Fraction]:
    box = curator(data, rho)
    AIM().measure(box)
    return [entry.event.rho for entry in box.transcript if isinstance(entry, Selection)]


def test_aim_spends_more_when_a_round_teaches_nothing_and_not_while_it_teaches() -> None:
    rng = np.random.default_rng(0)
    domain = Domain(tuple("abcde"), (6, 6, 6, 6, 3))
    nothing = {name: rng.integers(0, size, 5000) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    idle = rounds_of(Dataset.from_columns(nothing, domain), Fraction(1, 10))
    assert len(idle) <= 12
    busy = rounds_of(chain(5000), Fraction(1, 10))
    assert busy[:3] == [busy[0]] * 3


def test_aim_keeps_the_model_within_its_size_and_tables_within_theirs() -> None:
    rng = np.random.default_rng(0)
    domain = Domain(tuple("abcd"), (60, 60, 60, 60))
    hidden = rng.integers(0, 60, 4000)
    data = Dataset.from_columns({name: (hidden + rng.integers(0, 9, 4000)) % 60 for name in "abcd"}, domain)
    sizes = []
    for most in (1, 16):
        model = AIM(max_model_megabytes=most).fit(curator(data, Fraction(40)))
        assert isinstance(model, graphical.GraphicalDistribution)
        sizes.append(model.model.tree.megabytes)
    assert sizes[0] <= 1 < sizes[1] <= 16
    box = curator(data, Fraction(2))
    AIM(max_table_cells=3599, rounds_per_attribute=1).measure(box)
    assert all(len(entry.clique) == 1 for entry in measurements(box.transcript))


def test_the_workload_is_closed_downwards_with_the_weights_of_the_paper() -> None:
    domain = Domain(tuple("abcd"), (2, 2, 2, 2))
    for degree in (1, 2, 3, 4):
        workload = list(itertools.combinations("abcd", degree))
        found = closure(domain, degree)
        assert set(found) == {c for k in range(1, degree + 1) for c in itertools.combinations("abcd", k)}
        for clique, weight in found.items():
            assert weight == sum(len(set(clique) & set(table)) for table in workload)


def test_aim_scores_tables_of_three_attributes_too() -> None:
    """Parity: no pair depends on anything, the triple does."""
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2, (2, 4000))
    data = Dataset.from_columns(
        {"x": bits[0], "y": bits[1], "z": bits[0] ^ bits[1]}, Domain(("x", "y", "z"), (2, 2, 2))
    )
    model = AIM(degree=3).fit(curator(data, Fraction(1, 10)))
    assert np.abs(model.project(("x", "y", "z")) - data.marginal(("x", "y", "z"))).sum() < 0.2 * 4000


def test_penalties_are_the_noise_that_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[MarginalErrors, Fraction]] = []
    select = Curator.select

    def record(self: Curator, query: MarginalErrors, *, rho: Fraction, stage: str) -> int:
        asked.append((query, rho))
        return select(self, query, rho=rho, stage=stage)

    monkeypatch.setattr(Curator, "select", record)
    unit = PrivacyUnit(name="person", column="id", max_rows=3)
    box = make_curator(chain(5000), unit=unit, rho=Fraction(1, 2), noise=UnsafeSeededNoise(0))
    AIM().measure(box)
    query, rho = asked[0]
    cells = [int(np.prod(reference.shape)) for reference in query.references]
    sigma = 3 / np.sqrt(2 * float(rho) * 9)
    np.testing.assert_allclose(query.penalties, [np.sqrt(2 / np.pi) * sigma * c for c in cells])
    assert min(query.weights) == 4
    assert max(query.weights) == 8


def test_the_expected_error_of_pairs_is_noise_where_there_are_counts_and_counts_where_there_are_none() -> None:
    first = graphical.FirstLook(
        domain=Domain(("a", "b", "c"), (2, 2, 1)),
        total=1000.0,
        counts={"a": np.array([900.0, 100.0]), "b": np.array([1000.0, 0.0]), "c": np.array([1000.0])},
        sensitivity_squared=4,
    )
    np.testing.assert_allclose(first.table(("b", "a")), [[900, 100], [0, 0]])
    rho = Fraction(1, 100)
    noise = np.sqrt(2 / np.pi) * np.sqrt(4 * 2 / (2 * float(rho)))
    ab, ac, bc = noise + noise, noise + noise, noise
    assert first.pair_error(rho) == pytest.approx((ab + ac + bc) / 3 / 1000)
    assert first.affords_pairs(rho)
    assert first.pair_error(Fraction(1, 10**7)) == pytest.approx(1.0)
    assert not first.affords_pairs(Fraction(1, 10**7))


def test_arrays_that_do_not_belong_to_the_transcript_are_refused() -> None:
    box = curator(chain(100), Fraction(1, 10))
    generator = generators.get("mst", {})
    model = generator.fit(box)
    good = model.arrays()
    bad = [
        {},
        {"potentials": good["potentials"]},
        {**good, "potentials": good["potentials"][1:]},
        {**good, "potentials": np.full_like(good["potentials"], np.nan)},
        {**good, "total": np.array([-1.0])},
        {**good, "total": np.array([np.inf])},
        {**good, "total": np.array([1.0, 2.0])},
    ]
    for arrays in bad:
        with pytest.raises(FitError, match="stored model"):
            generator.restore(box.domain, box.transcript, arrays)


@pytest.mark.parametrize("found", [True, False])
def test_a_last_share_too_small_for_any_noise_stays_unspent(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    least = Fraction(1, 10**12)
    rng = np.random.default_rng(0)
    data = Dataset.from_columns({name: rng.integers(0, 2, 20_000) for name in "abc"}, Domain(tuple("abc"), (2,) * 3))
    box = curator(data, Fraction(1, 50))
    monkeypatch.setattr(LatentClass, "_significant", lambda self, scores, total: list(scores.cliques) if found else [])
    LatentClass(components=5, triple_share=least).measure(box)
    stages = {entry.event.stage for entry in box.transcript}
    assert stages >= {"pairs", "triple-scores"}
    assert stages.isdisjoint({"triples", "pairs-again"})
    assert box.remaining == least * box.budget


def test_what_is_too_little_for_one_way_tables_again_is_left_for_later() -> None:
    rng = np.random.default_rng(0)
    data = Dataset.from_columns({name: rng.integers(0, 2, 20_000) for name in "ab"}, Domain(("a", "b"), (2, 2)))
    box = curator(data, Fraction(1, 50))
    LatentClass(components=5, first_share=Fraction(15, 100) - Fraction(1, 10**12)).measure(box)
    assert {entry.event.stage for entry in box.transcript} == {"one-way", "pairs", "pairs-again"}
    assert box.remaining == 0
