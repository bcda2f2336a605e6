"""Corrections: noisy tables of pairs give a made table's coefficients back, where pairs decide them."""

from fractions import Fraction

import numpy as np
import pytest

import privsynth as ps
from privsynth import records
from privsynth.combining.design import Design
from privsynth.combining.direct import direct_pair
from privsynth.combining.estimating import Scale, corrected, plain, spare_values, wanted_pairs
from privsynth.encoding import encode_public
from privsynth.measurement import Event, Measurement

SCHEMA = ps.Schema.loads(
    """
[table]
name = "made"
[columns.x]
kind = "integer"
lower = 0
upper = 9
bins = {method = "uniform", count = 10}
[columns.z]
kind = "category"
values = ["a", "b", "c"]
[columns.pay]
kind = "integer"
lower = 0
upper = 19
bins = {method = "uniform", count = 20}
[columns.back]
kind = "category"
values = ["no", "yes"]
missing = ["?"]
"""
)
ROWS = 20_000


def _event(sigma_squared=1):
    return Event(
        stage="pairs",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma_squared),
    )


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 10, ROWS)
    z = np.where(rng.random(ROWS) < x / 12, 2, rng.integers(0, 2, ROWS))
    pay = np.clip(x // 2 + 3 * z + rng.integers(0, 9, ROWS), 0, 19)
    back = rng.random(ROWS) < 1 / (1 + np.exp(-(0.25 * x - 0.8 * z - 1)))
    gone = rng.random(ROWS) < 0.1
    answer = np.where(gone, "?", np.where(back, "yes", "no"))
    return {"x": x.tolist(), "z": np.array(["a", "b", "c"])[z].tolist(), "pay": pay.tolist(), "back": answer.tolist()}


def _weakened(real):
    """Half of the rows have every column from another row: each association is half of what it was."""
    rng = np.random.default_rng(2)
    apart = rng.random(ROWS) < 0.5
    found = {}
    for name, values in real.items():
        column = np.array(values)
        column[apart] = rng.permutation(column[apart])
        found[name] = column.tolist()
    return found


def _measured(data, clique, groups=None):
    table = (data.regrouped(groups) if groups else data).marginal(clique)
    return Measurement(clique=clique, values=table, event=_event(), groups=groups or {})


def _coefficients(design, table, transcript=None):
    found = records.read_public(table, SCHEMA)
    rows = design.rows(found)
    scale = Scale.of(design, rows)
    if transcript is None:
        own = plain(design, scale.apply(rows))
        assert own is not None
        return scale.undo(own[0]), np.sqrt(np.diag(own[1])) * scale.y_width / scale.widths
    known = {pair: direct_pair(transcript, pair) for pair in wanted_pairs(design)}
    pairs = {pair: direct for pair, direct in known.items() if direct is not None}
    better = corrected(design, scale.apply(rows), encode_public(found), pairs, ROWS, spare_values(design, scale))
    assert better is not None
    return scale.undo(better.coefficients), better.beyond


@pytest.mark.parametrize(("target", "inputs"), [("pay", ["x", "z"]), ("back", ["x", "z"]), ("back", ["pay", "z", "x"])])
def test_pairs_give_the_coefficients_back_that_a_weakened_table_has_lost(real, target, inputs):
    design, data = Design.of(SCHEMA, target, inputs), encode_public(records.read_public(real, SCHEMA))
    truth, error = _coefficients(design, real)
    weak, _ = _coefficients(design, _weakened(real))
    found, beyond = _coefficients(design, _weakened(real), [_measured(data, pair) for pair in wanted_pairs(design)])
    assert np.abs(weak - truth)[1:].max() > 5 * error[1:].max(), "or there is nothing to correct"
    assert np.all(np.abs(found - truth)[1:] < 1.5 * error[1:] + 0.1 * np.abs(weak - truth)[1:])
    assert np.all(beyond == 0) == (target == "pay")


def test_a_linear_regression_is_exact_where_nothing_is_missing(real):
    design, data = Design.of(SCHEMA, "pay", ["x", "z"]), encode_public(records.read_public(real, SCHEMA))
    found, _ = _coefficients(design, _weakened(real), [_measured(data, pair) for pair in wanted_pairs(design)])
    assert found == pytest.approx(_coefficients(design, real)[0], abs=1e-6)


def test_tables_that_say_what_the_made_rows_say_change_nothing(real):
    design, data = Design.of(SCHEMA, "back", ["x", "z"]), encode_public(records.read_public(real, SCHEMA))
    found, _ = _coefficients(design, real, [_measured(data, pair) for pair in wanted_pairs(design)])
    assert found == pytest.approx(_coefficients(design, real)[0], abs=1e-6)


def test_a_pair_is_found_in_wider_tables_and_averaged_by_its_noise(real):
    data = encode_public(records.read_public(real, SCHEMA))
    own = data.marginal(("back", "z"))
    shifted = Measurement(clique=("z", "back"), values=own.T + 8, event=_event())
    wide = _measured(data, ("x", "z", "back"))
    found = direct_pair((shifted, wide), ("back", "z"))
    assert found is not None
    precise, rough = 1 / shifted.variance, 1 / (10 * wide.variance)
    assert found.variance == pytest.approx(1 / (precise + rough))
    assert found.values == pytest.approx(own + 8 * precise / (precise + rough))
    assert direct_pair((shifted,), ("back", "x")) is None


def test_a_pair_over_groups_lacks_nothing_when_its_groups_agree(real):
    data = encode_public(records.read_public(real, SCHEMA))
    groups = {"x": (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)}
    found = direct_pair((_measured(data, ("x", "back"), groups),), ("back", "x"))
    assert found is not None
    assert found.groups == (None, groups["x"])
    assert found.lacking(data, ROWS) == pytest.approx(np.zeros((3, 5)), abs=1e-12)
    assert np.abs(found.lacking(encode_public(records.read_public(_weakened(real), SCHEMA)), ROWS)).max() > 0.001
