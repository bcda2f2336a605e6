"""The stated sensitivities hold on random neighbours, and are reached: half of any of them would be too little."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import MechanismError
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit

DOMAIN = Domain(("a", "b", "c"), (2, 3, 4))
CLIQUES = (("a",), ("a", "b"), ("c", "b"), ("a", "b", "c"))


def dataset(rows):
    codes = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Dataset.from_columns({name: codes[:, axis] for axis, name in enumerate(DOMAIN.attributes)}, DOMAIN)


row = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 3))
tables = st.lists(row, max_size=12)


def unit_with(rows, relation=NeighboringRelation.ADD_REMOVE):
    return PrivacyUnit(name="patient", column="id", max_rows=rows, relation=relation)


@given(tables, st.lists(row, max_size=3))
def test_marginals_move_by_at_most_their_sensitivity(rest, added):
    query, unit = Marginals(cliques=CLIQUES), unit_with(3)
    before, after = query.answer(dataset(rest)), query.answer(dataset(rest + added))
    for x, y in zip(before, after, strict=True):
        assert ((x - y) ** 2).sum() <= query.table_sensitivity_squared(unit)


def test_marginal_sensitivity_is_reached():
    query, unit = Marginals(cliques=CLIQUES), unit_with(3)
    before, after = query.answer(dataset([])), query.answer(dataset([(1, 2, 3)] * 3))
    assert [((x - y) ** 2).sum() for x, y in zip(before, after, strict=True)] == [
        query.table_sensitivity_squared(unit)
    ] * 4


@given(tables, st.lists(row, max_size=2), st.lists(row, max_size=2))
def test_replacing_a_unit_moves_marginals_by_at_most_its_larger_sensitivity(rest, out, into):
    query, unit = Marginals(cliques=CLIQUES), unit_with(2, NeighboringRelation.REPLACE_ONE)
    before, after = query.answer(dataset(rest + out)), query.answer(dataset(rest + into))
    for x, y in zip(before, after, strict=True):
        assert ((x - y) ** 2).sum() <= query.table_sensitivity_squared(unit) == 8
        assert np.abs(x - y).sum() <= unit.l1 == 4


def errors_for(references, weights=(1, 2, 1, 3)):
    return MarginalErrors(cliques=CLIQUES, references=references, weights=weights, penalties=(0.3, 0.0, -1.5, 2.25))


@given(tables, st.lists(row, max_size=3), st.integers(0, 2**32))
def test_scores_move_by_at_most_their_sensitivity(rest, added, seed):
    rng = np.random.default_rng(seed)
    query = errors_for([rng.random(DOMAIN.shape(clique)) * 5 for clique in CLIQUES])
    unit = unit_with(3)
    exact = Marginals(cliques=CLIQUES)
    before = query.answer(exact.answer(dataset(rest)))
    after = query.answer(exact.answer(dataset(rest + added)))
    assert np.abs(before - after).max() <= query.sensitivity(unit)


def test_score_sensitivity_is_reached_in_both_directions():
    exact, unit = Marginals(cliques=CLIQUES), unit_with(1)
    for reference, sign in ((0.0, 1), (5.0, -1)):
        query = errors_for([np.full(DOMAIN.shape(clique), reference) for clique in CLIQUES])
        change = query.answer(exact.answer(dataset([(0, 0, 0)]))) - query.answer(exact.answer(dataset([])))
        assert sign * change[3] == query.sensitivity(unit)


def test_scores_are_the_weighted_distances():
    query = errors_for([np.full(DOMAIN.shape(clique), 0.25) for clique in CLIQUES])
    scores = query.answer(Marginals(cliques=CLIQUES).answer(dataset([(0, 0, 0), (0, 0, 0)])))
    wanted = [1.75 + 0.25 * (cells - 1) for cells in (2, 6, 12, 24)]
    penalised = [
        (distance - penalty) * weight
        for distance, penalty, weight in zip(wanted, (0.3, 0, -1.5, 2.25), (1, 2, 1, 3), strict=False)
    ]
    assert scores / MarginalErrors.GRID == pytest.approx(penalised, abs=1e-2)


def test_some_of_the_candidates_are_asked_about_as_before_and_keep_their_identities():
    query = errors_for([np.full(DOMAIN.shape(clique), 0.25) for clique in CLIQUES])
    exact = Marginals(cliques=CLIQUES).answer(dataset([(0, 0, 0), (0, 0, 0)]))
    some = query.among([3, 1])
    assert some.answer([exact[3], exact[1]]).tolist() == query.answer(exact)[[3, 1]].tolist()
    assert some.sensitivity(unit_with(1)) == query.sensitivity(unit_with(1))
    assert some.identities == (query.identities[3], query.identities[1])
    again = errors_for(query.references)
    assert len({*query.identities, *again.identities}) == 2 * len(CLIQUES)
    with pytest.raises(MechanismError, match="at least one"):
        query.among([])


@pytest.mark.parametrize("weights", [("3/2", "-1/2"), ("1", "0"), ("1/2", "1/3"), ("1",)])
def test_weights_share_out_the_whole_and_no_more(weights):
    with pytest.raises(MechanismError, match="weights"):
        Marginals(cliques=(("a",), ("b",)), weights=tuple(map(Fraction, weights)))
    shares = Marginals(cliques=(("a",), ("b",)), weights=(Fraction(1, 3), Fraction(2, 3))).shares(Fraction(1, 7))
    assert shares == [Fraction(1, 21), Fraction(2, 21)]


def test_references_cannot_change_after_they_were_checked():
    mine = np.full((2,), 0.25)
    query = MarginalErrors(cliques=(("a",),), references=[mine], weights=(1,), penalties=(0.0,))
    mine[:] = 1e300
    assert query.references[0].tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="read-only"):
        query.references[0][:] = 1e300


@given(st.integers(1, 2**48), st.integers(0, 2**33), st.integers(1, 3))
def test_no_weight_and_no_number_of_rows_leaves_64_bits(weight, rows, added):
    """Distances are cut off, and cut off they still move by no more than one unit's share."""
    query = MarginalErrors(cliques=(("a",),), references=[np.zeros(2)], weights=(weight,), penalties=(0.0,))
    before, after = (query.answer([np.array([count, 0])])[0] for count in (rows, rows + added))
    assert 0 <= int(after) - int(before) <= query.sensitivity(unit_with(added))
    assert after <= 2**58
    assert query.sensitivity_squared(unit_with(added)) == query.sensitivity(unit_with(added)) ** 2


def test_all_scores_together_move_by_at_most_their_sensitivity_and_reach_it():
    query, unit = errors_for([np.zeros(DOMAIN.shape(clique)) for clique in CLIQUES]), unit_with(2)
    before, after = (query.answer(Marginals(cliques=CLIQUES).answer(dataset(rows))) for rows in ([], [(1, 2, 3)] * 2))
    assert int(((after - before) ** 2).sum()) == query.sensitivity_squared(unit)


@given(tables, st.lists(row, max_size=3), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_tables_over_groups_move_by_at_most_their_sensitivity(rest, added, raw):
    groups = tuple(sorted(set(raw)).index(group) for group in raw)
    query, unit = Marginals(cliques=CLIQUES, groups={"c": groups}), unit_with(3)
    before, after = query.answer(dataset(rest)), query.answer(dataset(rest + added))
    for x, y in zip(before, after, strict=True):
        assert ((x - y) ** 2).sum() <= query.table_sensitivity_squared(unit)
        assert x.sum() == len(rest)
    assert before[2].shape == (max(groups) + 1, 3)


def test_queries_without_candidates_or_with_bad_numbers_are_refused():
    with pytest.raises(MechanismError):
        Marginals(cliques=())
    with pytest.raises(MechanismError, match="finite"):
        errors_for([np.full(DOMAIN.shape(clique), np.nan) for clique in CLIQUES])
    with pytest.raises(MechanismError, match="weights"):
        errors_for([np.zeros(DOMAIN.shape(clique)) for clique in CLIQUES], weights=(1, 0, 1, 1))
    with pytest.raises(MechanismError, match="as many"):
        MarginalErrors(cliques=CLIQUES, references=[], weights=[], penalties=[])


def test_units_are_checked():
    with pytest.raises(MechanismError):
        PrivacyUnit(name="row", max_rows=0)
    with pytest.raises(MechanismError, match="unit column"):
        PrivacyUnit(name="row", max_rows=2)
    assert Fraction(unit_with(3).l2_squared) == 9
