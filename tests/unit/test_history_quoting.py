"""Quotes of several tables: shares, bounds, biases and errors from made-up records, and that noise is quoted as it will be."""

import math

import pytest

from privsynth import history_quoting
from privsynth.database.document import DatabaseSchema
from privsynth.database.terms import MOST_ROWS
from privsynth.histories import scarcity
from privsynth.policy import Policy
from privsynth.releasing.database_terms import database_terms
from tests import made_database
from tests import made_database_files as files

BOUGHT = made_database.BANK_TOML.replace("bound = {rows = 3}", 'bound = {rows = "buy", most = 3}')


def quoted(text=made_database.BANK_TOML, **changes):
    policy = Policy.loads(files.POLICY)
    return history_quoting.quote_history(None, schema=DatabaseSchema.loads(text), policy=policy, **changes)


def test_shares_are_the_plan_s_and_noise_is_that_of_a_unit_with_all_its_rows():
    agreed = database_terms(DatabaseSchema.loads(made_database.BANK_TOML), Policy.loads(files.POLICY))
    tables = {table.name: table for table in quoted().tables}
    assert sum(table.share for table in tables.values()) == pytest.approx(1)
    for name, table in tables.items():
        rho = float(agreed.fit.shares[name])
        # The counts of single attributes share the budget; a unit counts once, with weights "row" as often as it has rows.
        most = 16 if name == "transactions" else 1
        expected = most * math.sqrt(table.attributes / (2 * rho))
        assert table.sigma == pytest.approx(expected, rel=0.05)
    assert tables["transactions"].rows_used == 16
    assert tables["customers"].weights == "row"


def test_fewer_records_than_declared_are_rehearsed_with_as_much_less_noise(monkeypatch):
    whole = quoted().tables
    monkeypatch.setattr(history_quoting, "REHEARSED_ROWS", 2_000)
    for one, other in zip(whole, quoted().tables, strict=True):
        assert other.sigma == pytest.approx(one.sigma, rel=0.05)
        assert other.one_way_error == pytest.approx(one.one_way_error, rel=0.3)


def test_a_bound_that_is_bought_is_said_to_be():
    found = quoted(BOUGHT)
    (table,) = [table for table in found.tables if table.name == "accounts"]
    assert table.rows_used is None and table.to_json()["rowsUsed"] == "to be bought"
    assert f"enough for all accounts of 95 % of them, at most {MOST_ROWS}" in "\n".join(found.lines())


def test_pairs_that_are_measured_are_counted_and_errors_say_what_they_are_of():
    text = "\n".join(quoted(generator="mst").lines())
    assert "7 of 28 pairs measured" in text
    assert "share of rows off, from noise alone, if every patient has rows here: numbers of rows" in text


def test_a_budget_that_is_too_small_for_pairs_is_said_aloud():
    poor = files.POLICY.replace(files.GIVEN, 'default = "auto"\n') + '\n[budget]\nrelease_epsilon = "0.01"\n'
    schema = DatabaseSchema.loads(made_database.BANK_TOML)
    lines = history_quoting.quote_history(None, schema=schema, policy=Policy.loads(poor)).lines()
    said = "warning: accounts: columns are drawn independently of each other and of the rows above and before: the budget is "
    assert said + "too small for pairs; raise release_epsilon, drop columns, or carry fewer" in lines[2:8]
    assert any(line.startswith("warning: accounts: noise alone makes ") for line in lines[2:10])
    (why,) = [line for line in lines if line.startswith("chosen because")]
    assert "the rehearsal measured only" in why and "0 of 28 pairs of accounts" in why and "at once" not in why


def test_nothing_is_said_where_nothing_lacks_and_a_generator_s_own_limits_are_its_own():
    def said(generator, measured, off=0.1, sizes=None):
        return scarcity.warnings("stays", generator, measured=measured, pairs=28, off=off, sizes=sizes)

    assert not said("latent_class", 28) and not said("mst", 7)
    assert "only 7 of 28 pairs are measured" in said("latent_class", 7)[0]
    assert "the generator independent measures no pairs" in said("independent", 0)[0]
    assert said("mst", 7, off=0.21)[0].startswith(
        "stays: noise alone makes 21% of the values of a single attribute wrong"
    )
    assert "100% of the numbers of rows below it" in said("mst", 7, sizes=3.0)[0]
