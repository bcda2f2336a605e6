"""Debiasing: the outcome no longer depends on the group in any stratum, what is kept is kept, and what it costs is said."""

import numpy as np
import pytest

import privsynth as ps
from privsynth import rules
from privsynth.debiasing import Debias, cost_of, debiased, draw_debiased
from privsynth.debiasing.tables import conditional_information
from privsynth.encoding import decode, encode_public
from privsynth.errors import FitError, InputError, SchemaError
from tests import made_models

GENERATORS = ("independent", "mst", "aim", "latent_class")
SCHEMA = ps.Schema.loads("""
[table]
name = "loans"
[columns.group]
kind = "category"
values = ["a", "b", "c"]
[columns.years]
kind = "integer"
lower = 0
upper = 39
bins = { method = "uniform", count = 40 }
[columns.trait]
kind = "category"
values = ["x", "y", "z"]
[columns.paid]
kind = "boolean"
[columns.form]
kind = "category"
values = ["short", "long"]
[[rules]]
kind = "implication"
if = {column = "paid", in = ["true"]}
then = {column = "form", in = ["long"]}
[use]
target = "paid"
protected = ["group"]
legitimate = ["years"]
""")
DEBIAS = Debias.of(SCHEMA, asked=True)
"""What the schema declares."""


def rng(seed=1):
    return np.random.default_rng(seed)


def table(rows, seed=2):
    """The outcome depends on the group, on years, and shows in a trait; only those who paid filled in the long form."""
    draws = np.random.default_rng(seed)
    group = draws.choice(3, rows, p=[0.6, 0.3, 0.1])
    years = np.clip(draws.normal(12 + 8 * (group == 1), 8, rows), 0, 39).astype(int)
    paid = draws.random(rows) < np.clip(0.1 + 0.015 * years + 0.3 * (group == 1), 0, 1)
    trait = np.where(draws.random(rows) < 0.6, 2 * paid, draws.integers(0, 3, rows))
    form = np.where(paid, 1, draws.integers(0, 2, rows))
    labels = {"group": "abc", "trait": "xyz"}
    return {
        "group": [labels["group"][one] for one in group],
        "years": [str(one) for one in years],
        "trait": [labels["trait"][one] for one in trait],
        "paid": ["true" if one else "false" for one in paid],
        "form": [["short", "long"][one] for one in form],
    }


@pytest.fixture(scope="module")
def models():
    data = table(20_000)
    return {name: ps.fit(data, SCHEMA, generator=name, epsilon=5.0, delta=1e-6) for name in GENERATORS}


def counted(plan, records):
    """The (group, stratum, outcome) table of records."""
    data = encode_public(records)
    cells = plan.cells({name: data.column(name).astype(np.int64) for name in plan.debias.columns})
    return np.bincount(cells, minlength=plan.after.size).reshape(plan.after.shape).astype(float)


def test_the_dependence_is_there_before_and_gone_after_and_both_tables_that_are_kept_are_kept(models):
    model = models["aim"]
    plan = debiased(SCHEMA, model.distribution, DEBIAS)
    assert conditional_information(plan.before) > 0.02
    assert conditional_information(plan.after) < 1e-12
    assert np.allclose(plan.after.sum(axis=2), plan.before.sum(axis=2))
    assert np.allclose(plan.after.sum(axis=0), plan.before.sum(axis=0))


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_follow_the_debiased_table_from_every_generator_after_the_rules_were_repaired(models, name):
    """Cells are filled to within a row, so that what is left is far below what as many independent rows would show."""
    model, n = models[name], 6000
    plan = debiased(SCHEMA, model.distribution, DEBIAS)
    drawn = model.draw(n, rng=rng(), debias=True)
    assert drawn.table.num_rows == n
    found = counted(plan, drawn.records)
    assert np.abs(found - n * plan.after).max() < 1 + 1e-9
    plain = counted(plan, model.draw(n, rng=rng()).records)
    groups, strata, outcomes = plan.after.shape
    chance = (groups - 1) * strata * (outcomes - 1) / (2 * np.log(2) * n)  # the mean of independent rows
    assert conditional_information(found / n) < chance / 2
    if name in {"aim", "latent_class"}:
        assert conditional_information(plain / n) > 3 * chance
    for mask in rules.check(SCHEMA.rules, drawn.records).values():
        assert not mask.any()


def test_repairing_after_the_choice_would_bring_rows_out_of_their_cells(models):
    """Why rows are chosen after their repair: a repair that may change the outcome leaves the table."""
    plan = debiased(SCHEMA, models["independent"].distribution, DEBIAS)
    codes = models["independent"].distribution.draw(6000, rng())
    before = decode(codes, SCHEMA, rng=rng())
    after, counts = rules.repair(SCHEMA, before, rng=rng(), keep=("form",))
    assert sum(counts.values()) > 100
    assert np.abs(counted(plan, after) - counted(plan, before)).max() > 10


def test_few_rows_are_right_on_average():
    """Every cell has the right chance even where there are fewer rows than cells: a small sample is not the same few cells."""
    distribution = made_models.latent(SCHEMA.domain(), rng(), total=50_000)
    plan = debiased(SCHEMA, distribution, DEBIAS)
    found = sum(
        counted(plan, draw_debiased(SCHEMA, distribution, plan, 5, rng=rng(seed))[0]) for seed in range(100)
    ).sum(axis=1)
    expected = 500 * plan.after.sum(axis=1)
    assert np.abs(found - expected).max() < 6 * np.sqrt(expected.max())


def test_conditions_and_shares_hold_together_with_it(models):
    model = models["aim"]
    drawn = model.draw(
        3000, rng=rng(), debias=True, given={"years": (5, 30)}, rebalance={"paid": {"true": 0.5, "false": 0.5}}
    )
    frame = drawn.table.to_pandas()
    assert frame["years"].astype(int).between(5, 30).all()
    assert abs(frame["paid"].astype(str).str.lower().eq("true").mean() - 0.5) < 0.01
    plan = debiased(SCHEMA, model.distribution, DEBIAS, {"years": (5, 30)}, {"paid": {"true": 0.5, "false": 0.5}})
    assert np.abs(counted(plan, drawn.records) - 3000 * plan.after).max() < 1 + 1e-9
    assert conditional_information(plan.after) < 1e-12


@pytest.mark.parametrize("name", GENERATORS)
def test_an_outcome_has_the_rate_that_was_asked_for_within_one_group(models, name):
    frame = (
        models[name]
        .draw(400, rng=rng(), given={"group": "c"}, rebalance={"paid": {"true": 0.25, "false": 0.75}})
        .table.to_pandas()
    )
    assert (frame["group"] == "c").all()
    assert frame["paid"].astype(str).str.lower().eq("true").sum() == 100


def test_the_rest_of_a_row_is_as_the_model_has_it_given_its_cell(models):
    model = models["aim"]
    drawn = model.draw(20_000, rng=rng(), debias=True).table.to_pandas()
    plain = model.draw(20_000, rng=rng(9)).table.to_pandas()
    for group in "ab":
        rates = [
            frame[(frame["group"] == group) & (frame["paid"].astype(str).str.lower() == "true")]["trait"]
            .value_counts(normalize=True)
            .sort_index()
            .to_numpy()
            for frame in (drawn, plain)
        ]
        assert np.abs(rates[0] - rates[1]).max() < 0.05


def test_what_it_costs_is_told_from_the_model_alone(models):
    cost = models["aim"].debiasing_cost(rng=rng())
    assert cost.information_before > 0.02
    assert cost.information_after < 1e-9
    assert 0 < cost.replaced < 0.3
    assert cost.pairs["group"] > 0.02 > cost.pairs["years"] >= 0
    rates = {one.group: one for one in cost.rates}
    assert rates["b"].before - rates["a"].before > rates["b"].after - rates["a"].after > 0
    assert cost.to_json()["mergedLevels"] == {"years": {"groups": cost.merged["years"][0], "levels": 40}}
    assert any("not promised" in line for line in cost.lines())


def test_too_fine_strata_are_merged_and_that_is_said():
    distribution = made_models.latent(SCHEMA.domain(), rng(), total=3000)
    cost = cost_of(SCHEMA, distribution, DEBIAS, noise={}, rng=rng())
    assert 2 <= cost.strata <= 3000 / (20 * 6) < 40
    assert any("levels were merged" in line for line in cost.lines())
    with pytest.raises(FitError, match="too few"):
        cost_of(SCHEMA, made_models.latent(SCHEMA.domain(), rng(), total=60), DEBIAS, noise={}, rng=rng())


def test_groups_that_noise_hides_have_no_rates():
    distribution = made_models.latent(SCHEMA.domain(), rng(), total=3000)
    shares = {one.group: one.share for one in cost_of(SCHEMA, distribution, DEBIAS, noise={}, rng=rng()).rates}
    rarest = min(shares, key=lambda group: shares[group])
    noise = {"group": 0.11 * shares[rarest]}
    cost = cost_of(SCHEMA, distribution, DEBIAS, noise=noise, rng=rng())
    told = {one.group: one.before is not None and one.after is not None for one in cost.rates}
    assert told == {group: share >= 1.1 * shares[rarest] for group, share in shares.items()}
    assert f"group = {rarest}: too few, the noise is wider" in cost.lines()


def test_merged_levels_are_drawn_as_the_model_has_them_within_the_cell():
    distribution = made_models.latent(SCHEMA.domain(), rng(), total=3000)
    plan = debiased(SCHEMA, distribution, DEBIAS)
    cells = np.repeat(np.arange(plan.before.size), 3000)
    codes = plan.rows(cells, rng())
    assert (plan.cells(codes) == cells).all()
    first = codes["years"][:3000]
    shares = np.where(plan.merged["years"] == 0, plan.unmerged[0, :, 0], 0.0)
    found = np.bincount(first, minlength=40) / 3000
    assert np.abs(found - shares / shares.sum()).max() < 0.05


def test_with_nothing_legitimate_the_rates_are_the_same_in_every_group_from_every_generator(models):
    debias = Debias(protected=("group",), outcome="paid")
    for model in models.values():
        frame = model.draw(4000, rng=rng(), debias=debias).table.to_pandas()
        rates = (frame["paid"].astype(str).str.lower() == "true").groupby(frame["group"]).mean()
        assert rates.max() - rates.min() < 0.01


def test_a_number_is_debiased_by_its_levels_and_its_mean_is_told(models):
    debias = Debias(protected=("group",), outcome="years")
    cost = models["aim"].debiasing_cost(debias, rng=rng())
    before = [one.before for one in cost.rates]
    after = [one.after for one in cost.rates]
    assert max(before) - min(before) > 4
    assert max(after) - min(after) < 1e-9
    assert models["aim"].sample(50, rng=rng(), debias=debias) is not None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Debias(protected=(), outcome="paid"), "are tuples"),
        (Debias(protected=("years",), outcome="paid"), "no labels"),
        (Debias(protected=("group",), outcome="nowhere"), "no modelled column"),
        (Debias(protected=("group",), outcome="paid", legitimate=("group",)), "twice"),
        ("group", "found 'group'"),
    ],
)
def test_what_cannot_be_debiased_is_refused(models, asked, said):
    with pytest.raises(SchemaError, match=said):
        models["independent"].sample(5, rng=rng(), debias=asked)


def test_a_schema_that_declares_no_use_says_what_to_declare():
    bare = SCHEMA.model_copy(update={"use": ps.Schema.loads(_BARE).use})
    with pytest.raises(SchemaError, match="names no target or no protected column"):
        Debias.of(bare, asked=True)


_BARE = """
[table]
name = "bare"
[columns.paid]
kind = "boolean"
"""


def test_one_group_or_one_outcome_is_refused_and_so_is_another_column_to_rebalance(models):
    model = models["aim"]
    for given in ({"group": "a"}, {"paid": True}):
        with pytest.raises((FitError, InputError), match=r"one (protected group|outcome) only"):
            model.sample(5, rng=rng(), debias=True, given=given)
    with pytest.raises(SchemaError, match="sample twice"):
        model.sample(5, rng=rng(), debias=True, rebalance="trait")


def test_rules_that_tie_the_outcome_to_the_group_are_named_as_the_reason(models):
    tied = Debias(protected=("form",), outcome="paid")
    for name in ("independent", "aim"):
        with pytest.raises(FitError, match="rule"):
            models[name].sample(500, rng=rng(), debias=tied)
