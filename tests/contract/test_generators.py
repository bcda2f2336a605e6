"""Laws that every generator obeys; a new file in privsynth/generators/ is tested here without a line being added."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import privsynth.generators
from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution
from privsynth.privacy.curator import Curator
from privsynth.privacy.unit import PrivacyUnit
from privsynth.transcript_files import transcript_from_files, transcript_to_files
from tests.fitting_of import SHORT, able, curator_of, short
from tests.models import total_variation

every_generator = pytest.mark.parametrize("name", generators.NAMES)
structured = [name for name in generators.NAMES if name != "independent"]
every_structured = pytest.mark.parametrize("name", structured)
every_structured_of_tables = pytest.mark.parametrize("name", [name for name in structured if name not in SHORT])
every_trained = pytest.mark.parametrize("name", SHORT)


def table(rows: int = 3000, seed: int = 0, *, named: bool = False) -> Dataset:
    """Six columns, the first four of them driven by one hidden class, one of a single level; each row of its own unit."""
    rng = np.random.default_rng(seed)
    domain = Domain(("age", "with space", "c", "d", "one", "alone"), (20, 5, 3, 2, 1, 4))
    hidden = rng.integers(0, 3, rows)
    columns = {
        "age": np.clip(rng.poisson(3 + 5 * hidden), 0, 19),
        "with space": np.minimum(4, hidden + rng.integers(0, 3, rows)),
        "c": np.where(rng.random(rows) < 0.1, rng.integers(0, 3, rows), hidden),
        "d": (hidden == 2) ^ (rng.random(rows) < 0.05),
        "one": np.zeros(rows, dtype=np.int64),
        "alone": rng.integers(0, 4, rows),
    }
    codes = {name: np.asarray(column, dtype=np.int64) for name, column in columns.items()}
    return Dataset.from_columns(codes, domain, np.arange(rows) if named else None)


RHO = Fraction(1, 10)


@functools.lru_cache(maxsize=16)
def fitted(name: str) -> tuple[AbstractDistribution, Curator]:
    """A model of the table, from few steps where it takes any, and the curator that was asked; both are left as they are."""
    box = curator_of(short(name), table(), RHO)
    return short(name).fit(box), box


def well_fitted(name: str, data: Dataset, rho: Fraction = RHO, seed: int = 1) -> AbstractDistribution:
    """A model from as many steps as it needs."""
    return able(name).fit(curator_of(able(name), data, rho, seed=seed))


def pair_error(model: AbstractDistribution, data: Dataset, seed: int = 5) -> float:
    """Mean total variation over all pairs, of records against the table."""
    drawn = model.draw(data.rows, np.random.default_rng(seed))
    pairs = list(itertools.combinations(data.domain.attributes, 2))
    tables = zip(drawn.marginals(pairs), data.marginals(pairs), strict=True)
    return float(np.mean([total_variation(one.astype(float), two.astype(float)) for one, two in tables]))


@functools.lru_cache
def mean_error(name: str, rho: Fraction, fits: int) -> float:
    data = table(2000)
    return float(np.mean([pair_error(well_fitted(name, data, rho, seed), data) for seed in range(fits)]))


def test_every_file_of_the_folder_is_registered_under_its_own_name() -> None:
    folder = Path(privsynth.generators.__file__).parent
    assert set(generators.NAMES) == {path.stem for path in folder.glob("*.py")} - {"__init__", "rules"}


@every_generator
@pytest.mark.parametrize("rho", [Fraction(1, 10**6), Fraction(1, 997), Fraction(1, 3), Fraction(5)])
def test_the_whole_budget_is_spent_and_every_event_is_in_the_transcript(name: str, rho: Fraction) -> None:
    box = curator_of(short(name), table(500), rho)
    short(name).measure(box)
    assert box.remaining == 0
    assert sum(entry.event.rho for entry in box.transcript) == box.budget
    taken = [entry.event.steps for entry in box.transcript if entry.event.mechanism == "sampled-gaussian"]
    assert taken == ([] if box.training is None else [box.training.steps])
    assert box.training_state()[0] == sum(taken)


@every_generator
def test_the_model_is_a_function_of_domain_and_transcript(name: str) -> None:
    model, box = fitted(name)
    read = transcript_from_files(*transcript_to_files(box.transcript))
    again = short(name).estimate(box.domain, read)
    assert model.total == again.total
    for key, array in model.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[key])


@every_generator
def test_stored_arrays_restore_the_model(name: str) -> None:
    model, box = fitted(name)
    again = short(name).restore(box.domain, box.transcript, model.arrays())
    assert again.total == model.total
    for clique in [("age",), ("with space", "alone"), ("d", "age", "c"), ()]:
        np.testing.assert_allclose(again.project(clique), model.project(clique), rtol=1e-12, atol=1e-12)
    one, two = (each.draw(100, np.random.default_rng(0)) for each in (model, again))
    for left, right in zip(one.columns, two.columns, strict=True):
        np.testing.assert_array_equal(left, right)


@every_generator
def test_tables_are_consistent_and_sum_to_the_estimated_total(name: str) -> None:
    model, box = fitted(name)
    assert abs(model.total - 3000) < 100
    pair = model.project(("d", "age"))
    assert pair.shape == (2, 20)
    assert (pair >= 0).all()
    assert pair.sum() == pytest.approx(model.total)
    np.testing.assert_allclose(pair.sum(axis=0), model.project(("age",)), atol=1e-6)
    np.testing.assert_allclose(pair, model.project(("age", "d")).T)
    assert model.project(()) == pytest.approx(model.total)
    assert model.domain == box.domain


@every_generator
def test_records_lie_in_the_domain_and_follow_the_model(name: str) -> None:
    model, box = fitted(name)
    drawn = model.draw(5000, np.random.default_rng(2))
    assert drawn.domain == box.domain
    assert drawn.rows == 5000
    for clique in [("age",), ("c", "d"), ("age", "with space")]:
        expected = model.project(clique)
        independent_draws = 0.4 * np.sqrt(expected.size / 5000)
        assert total_variation(drawn.marginal(clique).astype(float), expected) < 1.2 * independent_draws
    half = drawn.take(np.arange(2500))
    assert total_variation(half.marginal(("age",)).astype(float), model.project(("age",))) < 0.06


@every_generator
def test_conditional_records_respect_the_evidence_and_follow_the_conditional_model(name: str) -> None:
    model = well_fitted(name, table())
    allowed = {"c": np.array([2, 0]), "alone": np.array([3])}
    drawn = model.draw(4000, np.random.default_rng(3), allowed)
    assert drawn.rows == 4000
    assert set(drawn.column("c").tolist()) <= {0, 2}
    assert set(drawn.column("alone").tolist()) == {3}
    expected = model.project(("age", "c", "alone"))[:, [0, 2], 3].sum(axis=1)
    assert total_variation(drawn.marginal(("age",)).astype(float), expected) < 0.03


@every_generator
@pytest.mark.parametrize("codes", [[], [99], [-1]])
def test_evidence_outside_the_domain_is_refused(name: str, codes: list[int]) -> None:
    model, _ = fitted(name)
    with pytest.raises(FitError):
        model.draw(5, np.random.default_rng(0), {"c": np.array(codes, dtype=np.int64)})


@every_generator
@pytest.mark.parametrize(
    "sizes", [(), (1,), (7,), (1, 1), (3, 1), (2, 3, 4)], ids=lambda sizes: "x".join(map(str, sizes)) or "none"
)
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_no_attribute_one_attribute_one_category_no_records(name: str, sizes: tuple[int, ...], rows: int) -> None:
    rng = np.random.default_rng(4)
    domain = Domain(tuple(f"c{i}" for i in range(len(sizes))), sizes)
    data = Dataset.from_columns({f"c{i}": rng.integers(0, size, rows) for i, size in enumerate(sizes)}, domain)
    box = curator_of(short(name), data, RHO)
    model = short(name).fit(box)
    assert model.total >= 1
    assert box.remaining >= 0
    for count in (0, 1, 17):
        drawn = model.draw(count, rng)
        assert drawn.domain == domain
        assert drawn.rows == (count if sizes else 0)


@every_structured
def test_structure_is_found_where_there_is_budget_for_it(name: str) -> None:
    data = table()
    floor = pair_error(well_fitted("independent", data), data)
    assert pair_error(well_fitted(name, data), data) < 0.6 * floor


@every_structured_of_tables
@pytest.mark.parametrize("rho", [Fraction(1, 10**6), Fraction(1, 10**5), Fraction(1, 3000), Fraction(1, 500)])
def test_independence_is_not_beaten_by_noise(name: str, rho: Fraction) -> None:
    """Means over eight fits each; the allowance is twice what two independent such means differ by at the least budget."""
    assert mean_error(name, rho, 8) < 1.08 * mean_error("independent", rho, 8)


@every_trained
@pytest.mark.parametrize(
    "rho",
    [
        pytest.param(Fraction(1, 10**6), marks=pytest.mark.full_only),
        Fraction(1, 10**5),
        Fraction(1, 3000),
        pytest.param(Fraction(1, 500), marks=pytest.mark.full_only),
    ],
)
def test_tables_are_not_beaten_by_the_noise_of_training(name: str, rho: Fraction) -> None:
    """Training starts from tables with a part of the budget: of what others make of that part, the worse is the floor.

    Means over four fits each, which differ by as much again; the tables are drawn with the same noise.
    """
    part = rho * (able(name).schedule or pytest.fail("it does not train")).first_share
    floor = max(mean_error(each, part, 4) for each in ("independent", "latent_class"))
    assert mean_error(name, rho, 4) < 1.08 * floor


@every_generator
def test_noise_is_weighed_the_same_for_units_of_many_rows(name: str) -> None:
    """A unit of four rows makes all noise four times as large; what the generator plans has to follow."""
    unit = PrivacyUnit(name="person", column="id", max_rows=4)
    box = curator_of(able(name), table(named=True), Fraction(16, 10), unit=unit)
    alike, single = able(name).fit(box), well_fitted(name, table())
    assert box.remaining == 0
    assert total_variation(alike.project(("age", "c")), single.project(("age", "c"))) < 0.05
