"""Quotes: the choice and its reasons, the rehearsal's plan, and what a budget for counts alone is said to mean."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest

from privsynth import provenance, quoting
from privsynth.errors import RefusedError, SyntheticSource
from privsynth.policy import Policy
from privsynth.privacy.accounting import Cap
from privsynth.privacy.ledgers.memory import MemoryLedger
from privsynth.releasing import terms as release_terms
from privsynth.schema import Schema

COLUMNS = "\n".join(f'[columns.c{i}]\nkind = "category"\nvalues = ["a", "b", "c"]\n' for i in range(4))
SCHEMA = f'[table]\nname = "made"\n{COLUMNS}'


def policy(size=100_000, epsilon="2", more=""):
    return Policy.loads(
        '[policy]\nname = "p"\nversion = "1"\nextends = ["internal-research"]\n'
        f'[population]\nid = "x"\npublic_size = {size}\n[unit]\nname = "row"\n'
        f'[budget]\nrelease_epsilon = "{epsilon}"\nrelease_delta = "1e-9"\n{more}'
    )


def quoted(generator=None, **terms):
    return quoting.quote(None, schema=Schema.loads(SCHEMA), policy=policy(**terms), generator=generator)


def test_the_choice_and_the_rehearsal_are_explained():
    found = quoted()
    assert found.generator == "latent_class"
    assert (found.pairs, found.measured_pairs) == (6, 6)
    text = "\n".join(found.lines())
    assert "chosen because: latent_class: all 6 pairs of 4 columns" in text
    assert "a rehearsal on made-up records" in text
    assert "6 of 6 pairs of columns are measured" in text
    assert found.to_json()["reasons"] == list(found.reasons)
    assert found.to_json()["pairs"] == {"of": 6, "measured": 6}
    assert sum(stage.share for stage in found.stages) == pytest.approx(1)


def test_a_budget_for_nothing_but_counts_is_said_plainly():
    found = quoted(size=10_000, epsilon="0.001")
    assert found.measured_pairs == 0
    text = "\n".join(found.lines())
    assert "the budget is so small that nothing but counts of single columns would be measured" in text
    assert "none of 6 pairs" in text


def test_independent_is_not_blamed_on_the_budget():
    found = quoted("independent")
    assert (found.reasons, found.measured_pairs) == ((), 0)
    text = "\n".join(found.lines())
    assert '"independent" counts single columns only' in text
    assert "so small" not in text
    assert "chosen because" not in text


def test_a_tree_is_quoted_with_the_pairs_it_has():
    assert quoted("mst").measured_pairs == 3


def test_a_schema_with_something_to_buy_is_not_rehearsed():
    schema = Schema.loads(SCHEMA + '[columns.more]\nkind = "category"\nbuy = true\n')
    found = quoting.quote(None, schema=schema, policy=policy())
    assert (found.generator, found.pairs, found.measured_pairs, found.stages) == ("latent_class", 10, None, ())
    assert "cannot be quoted before the domain is known" in "\n".join(found.lines())


def test_fewer_records_than_declared_are_rehearsed_with_as_much_less_noise(monkeypatch):
    """The noise that is quoted is the real one, however few records stand for the people."""
    agreed = release_terms.terms(Schema.loads(SCHEMA), policy(size=50_000), generator="independent")
    whole = quoting._rehearse(agreed, 50_000)
    monkeypatch.setattr(quoting, "REHEARSED_ROWS", 5_000)
    part = quoting._rehearse(agreed, 50_000)
    assert part.stages[0].sigma == pytest.approx(whole.stages[0].sigma, rel=0.01)
    assert part.stages[0].l1 == pytest.approx(whole.stages[0].l1, rel=0.01)
    rho = agreed.fit.budget.rho
    assert whole.stages[0].sigma == pytest.approx(math.sqrt(4 / (2 * rho)), rel=0.01)
    assert dataclasses.replace(part.stages[0], sigma=0, l1=0).share == pytest.approx(1)


def test_made_up_levels_are_in_range_and_as_rare_as_said():
    made = quoting._levels(4, 60_000, np.random.default_rng(1))
    shares = np.bincount(made, minlength=4) / len(made)
    np.testing.assert_allclose(shares, np.array([12, 6, 4, 3]) / 25, atol=0.01)
    assert quoting._levels(1, 5, np.random.default_rng(1)).tolist() == [0] * 5


def test_a_quote_says_how_far_counts_and_cells_will_be_off():
    found = quoted()
    assert found.single is not None
    assert found.pair is not None
    assert 0 < found.single.l1 < found.pair.l1
    assert found.single.cell_rows == pytest.approx(found.single.cell_share * 100_000, rel=0.1)
    text = "\n".join(found.lines())
    assert "the count of one value of a column is within +-" in text
    assert "a cell of two columns' table is within +-" in text
    assert text.count("% of the declared size) 9 times in 10") == 2
    assert found.to_json()["errors"]["pairs"]["tables"] == 6
    less = quoted(epsilon="1")
    assert less.single.cell_rows > found.single.cell_rows


def test_where_no_pair_is_measured_a_quote_says_nothing_of_pairs():
    found = quoted("independent")
    assert found.single is not None
    assert found.pair is None


@pytest.mark.parametrize(("unit", "cap"), [("row (add-remove)", "9.9"), ("person (add-remove)", "10")])
def test_an_account_that_was_opened_in_other_terms_is_refused_as_a_release_refuses_it(unit, cap):
    agreed = release_terms.terms(Schema.loads(SCHEMA), policy())
    asked, ours = agreed.account
    assert (asked, float(ours.epsilon)) == ("row (add-remove)", 10)
    ledger = MemoryLedger()
    ledger.open_account("x", unit=unit, cap=Cap.of(cap, agreed.policy.budget.lifetime_delta))
    for refused in (
        lambda: quoting.quote(None, schema=Schema.loads(SCHEMA), policy=policy(), ledger=ledger),
        lambda: ledger.open_account("x", unit=asked, cap=ours),
    ):
        with pytest.raises(RefusedError, match=r"which cannot change; found unit .* correct the policy"):
            refused()
    assert [entry.kind for entry in ledger.entries()] == ["open"]


def test_an_account_in_the_policy_s_terms_is_quoted():
    ledger = MemoryLedger()
    unit, cap = release_terms.terms(Schema.loads(SCHEMA), policy()).account
    ledger.open_account("x", unit=unit, cap=cap)
    assert quoting.quote(None, schema=Schema.loads(SCHEMA), policy=policy(), ledger=ledger).admitted


def test_a_synthetic_table_is_refused_in_the_words_of_a_release():
    says = provenance.Provenance(synthetic="all", origin="uncertified", generator="mst", epsilon=1.0, table="made")
    table = provenance.mark(pa.table({f"c{index}": ["a"] for index in range(4)}), says)
    with pytest.raises(SyntheticSource, match="the table to be released must be real records"):
        quoting.quote(table, schema=Schema.loads(SCHEMA), policy=policy())
