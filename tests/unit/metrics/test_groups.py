"""Comparing groups: the figures are fairlearn's and the table's own, and no small count can be worked out from them."""

import gzip
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from privsynth import records
from privsynth.errors import RecordsError, SchemaError
from privsynth.learning.task import Task
from privsynth.metrics import fairness_rates
from privsynth.metrics.fairness_cells import NOBODY, blocks, hidden_outcomes, hidden_pairs
from privsynth.metrics.groups import BANNER, compare_groups
from privsynth.schema import Schema

LEAST = 3

SCHEMA = Schema.loads("""
[table]
name = "loans"
[columns.group]
kind = "category"
values = ["a", "b", "c", "d", "nobody"]
[columns.sex]
kind = "category"
values = ["F", "M"]
missing = [""]
[columns.income]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 20 }
[columns.paid]
kind = "boolean"
[columns.plan]
kind = "category"
values = ["x", "y", "z"]
[use]
target = "paid"
protected = ["group", "sex"]
""")


def table(rows, seed, few=5):
    """Groups a and b are large, c and d have `few` rows together; b pays less often at the same income."""
    rng = np.random.default_rng(seed)
    group = rng.choice(2, rows)
    group[:few] = 2 + np.arange(few) % 2
    income = rng.integers(0, 100, rows)
    paid = rng.random(rows) < np.clip(0.2 + income / 150 - 0.2 * (group == 1), 0.02, 0.98)
    return records.read_public(
        {
            "group": ["abcd"[one] for one in group],
            "sex": rng.choice(["F", "M"], rows).tolist(),
            "income": [str(one) for one in income],
            "paid": ["true" if one else "false" for one in paid],
            "plan": [["x", "y", "z"][one] for one in (paid + rng.integers(0, 2, rows))],
        },
        SCHEMA,
    )


@pytest.fixture(scope="module")
def found():
    return compare_groups(SCHEMA, table(3000, 1), table(2500, 2), rng=np.random.default_rng(0))


# ---- what may be shown -----------------------------------------------------------------------------------------------

small_tables = hnp.arrays(np.int64, st.tuples(st.integers(2, 5), st.just(2)), elements=st.integers(0, 7))


@settings(max_examples=200, deadline=None)
@given(small_tables, st.randoms(use_true_random=False))
def test_blocks_have_no_small_count_in_any_part_and_no_group_is_hidden_alone(whole, chance):
    """Each group of a block has a row at least, and any of them could be a large one: all rows but one of each other."""
    judged = np.array([[chance.randint(0, count) for count in row] for row in whole.tolist()])
    parts = [whole, judged, whole - judged]
    block_of = blocks(parts, LEAST)
    assert ((block_of == NOBODY) | (whole.sum(axis=1) > 0)).all()
    for block in range(block_of.max() + 1):
        inside = block_of == block
        for part in parts:
            summed = part[inside].sum(axis=0)
            assert not ((summed > 0) & (summed < LEAST)).any()
        if any(((part[inside] > 0) & (part[inside] < LEAST)).any() for part in parts):
            assert whole[inside].sum() - (inside.sum() - 1) >= LEAST
    if (block_of == NOBODY).any() and block_of.max() >= 0:
        assert (whole[block_of == NOBODY] == 0).all()


def possible(counts, hidden):
    """The greatest value of each cell among tables that agree with what is shown and all totals; what is hidden is not zero."""
    rows, columns = counts.shape
    agreeing = []
    for values in itertools.product(range(counts.max() * 2 + 1), repeat=(rows - 1) * (columns - 1)):
        other = np.zeros_like(counts)
        other[:-1, :-1] = np.array(values, dtype=np.int64).reshape(rows - 1, columns - 1)
        other[:-1, -1] = counts.sum(axis=1)[:-1] - other[:-1].sum(axis=1)
        other[-1] = counts.sum(axis=0) - other[:-1].sum(axis=0)
        if (other >= (counts > 0)).all() and (other == counts)[~hidden].all():
            agreeing.append(other)
    return np.max(agreeing, axis=0)


def given_away(counts, hidden):
    """Whether a small count is shown, or that it is one follows from the shown cells and the totals."""
    return bool(((possible(counts, hidden) < LEAST) & (counts > 0) & (counts < LEAST)).any())


small_slices = hnp.arrays(np.int64, st.sampled_from([(2, 2, 2), (2, 2, 3), (2, 3, 2)]), elements=st.integers(0, 5))


@settings(max_examples=80, deadline=None)
@given(small_slices)
def test_no_small_pair_can_be_worked_out_from_what_is_shown_and_the_totals(slices):
    hidden = hidden_pairs(list(slices), LEAST)
    if hidden is not None:
        assert not any(given_away(counts, hidden) for counts in slices)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.just(2)), elements=st.integers(0, 6)))
def test_no_small_number_of_errors_can_be_worked_out(counts):
    """Its totals are shown only where they are not small themselves, as blocks see to."""
    hidden = hidden_outcomes(counts, LEAST)
    assert hidden.all() or not given_away(counts, hidden)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(np.int64, st.tuples(st.integers(2, 6), st.just(2)), elements=st.integers(0, 25)))
def test_errors_that_are_hidden_sum_to_no_small_number(counts):
    """The sum may be known from errors of the other kind, of which there are as many."""
    hidden = hidden_outcomes(counts, 11)
    sums = np.where(hidden, counts, 0).sum(axis=0)
    assert hidden.all() or ((sums == 0) | (sums >= 11)).all()


def test_many_groups_of_one_row_are_no_block_of_as_many_rows_as_groups():
    table = np.array([[1, 0]] * 11 + [[0, 1]] * 11 + [[500, 100], [300, 100]])
    assert blocks([table], 11).tolist() == [1] * 22 + [0, 1]


def test_a_group_of_few_people_is_small_however_many_rows_they_have():
    """Two people have all 204 rows of group c: it is shown together with another."""
    real = table(3000, 1, few=0)
    group = np.where(np.arange(3000) < 204, 2, real.ticks["group"])
    units = np.where(group == 2, np.arange(3000) % 2, np.arange(3000))
    alone = records.Records(schema=SCHEMA, ticks={**real.ticks, "group": group})
    for whose, members in ((None, 1), (units, 2)):
        found = compare_groups(
            SCHEMA,
            replace(alone, units=whose),
            table(500, 2),
            rng=np.random.default_rng(0),
            protected=["group"],
            trained={},
        )
        assert [len(one.members) for one in found.sections[0].groups if "c" in one.members] == [members]


def test_errors_of_few_people_are_hidden_however_many_rows_they_have():
    truth, block = np.tile([False, True], 400), np.repeat([0, 1], 400)
    chosen = truth.copy()
    chosen[:40] = ~truth[:40]
    chosen[400:440] = ~truth[400:440]
    rng, units = np.random.default_rng(0), np.where(np.arange(800) < 40, np.arange(800) % 4, np.arange(800))
    for whose, shown in ((None, True), (units, False)):
        found = fairness_rates.errors(block, truth, {"one": chosen}, units=whose, blocks=2, min_cell=11, rng=rng)["one"]
        assert (found.false_positive[0] is not None) == shown


def test_what_is_shown_together_does_not_depend_on_chance():
    """Of group c so few rows are tested, in some splits, that it is small there: a table is always split alike."""
    real, made = table(3000, 1, few=0), table(500, 2)
    group = np.where(np.arange(3000) < 90, 2, real.ticks["group"])
    real = records.Records(schema=SCHEMA, ticks={**real.ticks, "group": group})
    seen = {
        tuple(one.name for one in section.groups)
        for seed in range(12)
        for section in compare_groups(SCHEMA, real, made, rng=np.random.default_rng(seed), trained={}).sections[:1]
    }
    assert len(seen) == 1


def test_the_check_fails_where_only_small_cells_are_hidden():
    counts = np.array([[1, 5], [4, 5]])
    assert given_away(counts, (counts > 0) & (counts < LEAST))
    ones = np.array([[1, 1, 9], [1, 9, 9]])
    assert given_away(ones, np.array([[True, True, False], [True, True, False]]))
    assert not given_away(counts, hidden_outcomes(counts, LEAST))


def test_small_groups_are_shown_together_with_another_and_no_count_of_people_is_small(found):
    by_group = found.sections[0]
    assert [group.members for group in by_group.groups[:-1]] in ([("a",)], [("b",)])
    assert set(by_group.groups[-1].members) in ({"a", "c", "d"}, {"b", "c", "d"})
    assert "are small" in by_group.note
    for section in found.sections:
        for group in section.groups:
            assert group.rows % 10 == 0
            assert "nobody" not in group.members


# ---- the figures -----------------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_tables(found):
    paid = table(3000, 1)
    male = paid.ticks["sex"] == 1
    group = next(one for one in found.sections[1].groups if one.name == "M")
    assert group.rows == round(male.sum(), -2)
    rate = group.figures["rate", "real"]
    assert rate.value == pytest.approx((paid.ticks["paid"][male] == 1).mean())
    assert rate.lower < rate.value < rate.upper
    made = table(2500, 2)
    assert group.figures["rate", "synthetic"].value == pytest.approx(
        (made.ticks["paid"][made.ticks["sex"] == 1] == 1).mean()
    )


def test_errors_are_fairlearns_with_intervals_around_them():
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference, false_negative_rate

    rng = np.random.default_rng(4)
    block, truth = rng.integers(0, 3, 2000), rng.random(2000) < 0.4
    chosen = rng.random(2000) < np.where(truth, 0.7, 0.2) + 0.1 * (block == 1)
    found = fairness_rates.errors(block, truth, {"real": chosen}, blocks=3, min_cell=11, rng=rng)["real"]
    assert found.parity.value == pytest.approx(demographic_parity_difference(truth, chosen, sensitive_features=block))
    assert found.odds.value == pytest.approx(equalized_odds_difference(truth, chosen, sensitive_features=block))
    assert found.false_negative[1].value == pytest.approx(false_negative_rate(truth[block == 1], chosen[block == 1]))
    for one in (found.parity, found.odds, *found.selected, *found.false_positive):
        assert one.lower < one.value < one.upper


def test_a_largest_difference_is_in_its_own_interval():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one = fairness_rates.rates_apart(rng.binomial(40, [[0.7, 0.3]] * 8), rng)
        assert 0 <= one.lower <= one.value <= one.upper <= 1
    even = fairness_rates.rates_apart(np.full((8, 2), 20), rng)
    assert even.lower == even.value == 0 < even.upper


def test_two_models_are_compared_on_the_same_groups():
    """One model's few errors in block 0 are hidden, with another block's: the other model's differences leave both out."""
    rng = np.random.default_rng(4)
    block, truth = np.repeat(np.arange(6), 500), np.tile(np.arange(2), 1500) == 1
    noisy = rng.random(3000) < np.where(truth, 0.7, 0.2) + 0.2 * (block == 0)
    exact = np.where(block == 0, truth, noisy)
    exact[:3] = ~truth[:3]
    both = fairness_rates.errors(block, truth, {"one": noisy, "two": exact}, blocks=6, min_cell=11, rng=rng)
    alone = fairness_rates.errors(block, truth, {"one": noisy}, blocks=6, min_cell=11, rng=rng)["one"]
    assert both["two"].selected[0] is None
    assert both["one"].selected[0] == alone.selected[0]
    assert alone.parity.value > 0.15
    assert both["one"].parity.value == pytest.approx(both["two"].parity.value)
    assert both["one"].parity.value < 0.1


def test_a_difference_that_is_there_is_found_and_one_that_is_not_is_small(found):
    by_group, by_sex, by_both = found.sections
    assert by_group.apart["rate", "real"].lower > 0.1
    assert by_group.apart["demographic parity", "real"].lower > 0.1
    assert by_group.apart["equalized odds", "synthetic"].value > 0.05
    assert by_sex.apart["rate", "real"].value < 0.06
    assert len(by_both.groups) == 4
    assert all("selected" not in what for group in by_both.groups for what, _ in group.figures)


def test_predictions_are_calibrated_where_they_are_learned_from_rows_like_those_tested(found):
    for group in found.sections[0].groups:
        gap = group.figures["predicted less observed", "real"]
        assert abs(gap.value) < 0.12
        assert gap.lower < gap.value < gap.upper


def test_a_schema_may_be_named_by_its_file(tmp_path):
    (tmp_path / "schema.toml").write_text('[table]\nname = "t"\n[columns.a]\nkind = "boolean"\n[use]\ntarget = "a"\n')
    with pytest.raises(SchemaError, match='no column to predict "a" from'):
        compare_groups(tmp_path / "schema.toml", table(20, 1), table(20, 2), rng=np.random.default_rng(0))


def test_it_says_that_it_is_internal_and_becomes_plain_json(found):
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["notice"] == found.lines()[0] == BANNER
    first = document["sections"][0]["groups"][0]["figures"]
    assert set(first["rate"]) == {"real", "synthetic"}
    assert set(first["selected"]["real"]) == {"value", "lower", "upper"}
    assert not document["testedOnHoldout"]


@pytest.mark.parametrize(("target", "what"), [("income", "mean"), ("plan", "rate of y")])
def test_numbers_have_means_and_labels_have_rates_of_each(target, what):
    task = Task.of(SCHEMA, target)
    found = compare_groups(
        SCHEMA,
        table(900, 1),
        table(800, 2),
        task,
        rng=np.random.default_rng(0),
        protected=["sex"],
        holdout=table(600, 3),
    )
    for group in found.sections[0].groups:
        assert group.figures[what, "real"].lower < group.figures[what, "real"].value
        assert group.figures[what, "synthetic"].value > 0
    assert found.sections[0].apart[what, "real"].value >= 0
    assert found.tested_apart


# ---- bad input -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_compared_is_said():
    real, rng = table(400, 1), np.random.default_rng(0)
    with pytest.raises(SchemaError, match="no labels"):
        compare_groups(SCHEMA, real, real, rng=rng, protected=["income"])
    with pytest.raises(SchemaError, match="what is predicted"):
        compare_groups(SCHEMA, real, real, rng=rng, protected=["paid"])
    bare = SCHEMA.model_copy(update={"use": SCHEMA.use.model_copy(update={"protected": ()})})
    with pytest.raises(SchemaError, match="no column is protected"):
        compare_groups(bare, real, real, rng=rng)
    same = real.take(real.ticks["paid"] == 1)
    with pytest.raises(RecordsError, match="the same in every row"):
        compare_groups(SCHEMA, same, real, rng=rng)


def test_synthetic_rows_with_one_outcome_give_no_model_and_that_is_said():
    real = table(400, 1)
    found = compare_groups(SCHEMA, real, real.take(real.ticks["paid"] == 1), rng=np.random.default_rng(0))
    assert any("synthetic rows to learn from have one answer only" in note for note in found.notes)
    assert ("selected", "synthetic") not in found.sections[0].groups[0].figures


def test_one_group_or_only_small_ones_are_not_compared_and_that_is_said():
    real = table(400, 1)
    one = real.take(real.ticks["sex"] == 0)
    found = compare_groups(SCHEMA, one, real, rng=np.random.default_rng(0), protected=["sex", "group"])
    assert found.sections[0].groups == () and "fewer than two groups" in found.sections[0].note
    assert found.sections[2].groups == () and "fewer than two groups" in found.sections[2].note
    few = compare_groups(SCHEMA, real.take(slice(0, 25)), real, rng=np.random.default_rng(0))
    assert all(section.groups == () for section in few.sections[:1])


def test_the_page_on_groups_runs_as_it_stands_on_fewer_rows_and_a_faster_generator(tmp_path, monkeypatch):
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root)
    text = (root / "docs" / "fairness.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert code.count("clients.csv.gz") == code.count('"latent_class"') == 1
    with gzip.open(root / "examples" / "credit_default" / "clients.csv.gz", "rt", encoding="utf-8") as source:
        (tmp_path / "few.csv").write_text("".join(itertools.islice(source, 3001)), encoding="utf-8")
    code = code.replace("examples/credit_default/clients.csv.gz", str(tmp_path / "few.csv"))
    code = code.replace('"latent_class"', '"independent"').replace("20_000", "3000").replace("10_000", "1000")
    code = code.replace("epsilon=1,", "epsilon=1000,")
    names: dict[str, object] = {}
    exec(compile(code, "fairness.md", "exec"), names)  # noqa: S102 - it is our own page
    assert names["found"].lines()[0] == BANNER
    assert names["fair"].num_rows == names["women_tenth"].num_rows == 1000
    assert names["women"]["SEX"].to_pylist() == ["2"] * 1000
    assert names["women_tenth"]["default.payment.next.month"].to_pylist().count("1") == 100


def test_a_table_that_says_it_is_synthetic_is_not_compared_as_the_real_one():
    import pyarrow as pa

    from privsynth import provenance
    from privsynth.errors import SyntheticSource

    said = provenance.Provenance(synthetic="all", origin="model", generator="mst", epsilon=1.0, table="t")
    marked = provenance.mark(pa.table({"sex": ["F"]}), said)
    with pytest.raises(SyntheticSource, match="groups are compared"):
        compare_groups(SCHEMA, marked, table(50, 2), rng=np.random.default_rng(0))
