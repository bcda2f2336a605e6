"""Kinds: the errors of means, correlations and rest are what noise of the known size makes, and lights follow their rules."""

import math
from fractions import Fraction

import numpy as np
import pytest

from privsynth import report
from privsynth.encoding import encode_public
from privsynth.measurement import ErrorScores, Event, Measurement
from privsynth.records import Records
from privsynth.report import kinds
from privsynth.report.kinds import Errors
from privsynth.report.scales import scales
from privsynth.schema import Schema

SCHEMA = Schema.loads(
    """
[table]
name = "t"
[columns.x]
kind = "integer"
lower = 0
upper = 9
bins = {method = "edges", edges = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
[columns.y]
kind = "integer"
lower = 0
upper = 99
bins = {method = "uniform", count = 10}
[columns.g]
kind = "category"
values = ["a", "b", "c"]
"""
)
N = 4000
SIGMA = 40


def event(sigma=SIGMA):
    return Event(
        stage="s",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma * sigma),
    )


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 10, N)
    ticks = {"x": x, "y": np.clip(x * 10 + rng.integers(0, 40, N) - 15, 0, 99), "g": rng.integers(0, 3, N)}
    return Records(schema=SCHEMA, ticks={name: values.astype(np.int64) for name, values in ticks.items()})


def facts_of(table, cliques, predicted=None, more=(), sigma=SIGMA):
    encoded = encode_public(table)
    transcript = tuple(Measurement(clique=one, values=encoded.marginal(one), event=event(sigma)) for one in cliques)
    return report.gather({}, SCHEMA, (*transcript, *more), table, predicted or {})


@pytest.fixture(scope="module")
def facts(table):
    return facts_of(table, [("x",), ("y",), ("g",), ("x", "y"), ("x", "g")])


def test_nine_in_ten_decide_and_the_unknown_counts_as_worst():
    errors = Errors(names=tuple("abcdefghij"), sizes=np.array([0.01] * 9 + [math.inf]), green=0.02, amber=0.1)
    assert errors.deciding == 0.01
    assert errors.light == "green"
    two = Errors(names=tuple("abcdefghij"), sizes=np.array([0.01] * 8 + [math.inf] * 2), green=0.02, amber=0.1)
    assert two.deciding == math.inf
    assert two.light == "red"
    assert two.counts() == {"green": 8, "amber": 0, "red": 2}
    assert two.names[two.worst] == "i"


def test_a_kind_of_which_nothing_is_known_is_red():
    assert Errors(names=(), sizes=kinds.NONE, green=1.0, amber=2.0).light == "red"


@pytest.mark.parametrize(("error", "light"), [(0.02, "green"), (0.021, "amber"), (0.1, "amber"), (0.101, "red")])
def test_a_light_changes_at_its_limit(error, light):
    assert Errors(names=("a",), sizes=np.array([error]), green=0.02, amber=0.1).light == light
    never = Errors(names=("a",), sizes=np.array([error]), green=None, amber=0.1).light
    assert never == ("amber" if light == "green" else light)


def test_shares_are_those_of_a_normal_interval_of_90_percent(facts):
    """Column x is held by three tables: sigma, and sigma times the root of 10 and of 3 levels summed over."""
    sigma = SIGMA / math.sqrt(1 + 1 / 10 + 1 / 3)
    shares = kinds.of_shares(facts.columns)
    assert shares.sizes[0] == pytest.approx(1.6449 * sigma / facts.bought.total, rel=1e-3)


def test_the_error_of_a_mean_is_what_noise_makes_of_it(table):
    """Noise drawn a thousand times into the counts of x, whose bins hold one value each."""
    facts = facts_of(table, [("x",), ("y",), ("g",)])
    means = kinds.of_means(SCHEMA, facts.columns)
    counts = np.bincount(table.ticks["x"], minlength=10).astype(float)
    values = np.arange(10)
    noisy = counts + np.random.default_rng(5).normal(0, SIGMA, (4000, 10))
    simulated = (noisy * (values - (counts * values).sum() / N)).sum(axis=1) / N / table.ticks["x"].std()
    inside = np.mean(np.abs(simulated) <= means.sizes[0])
    assert 0.88 <= inside <= 0.92


def test_a_mean_counts_a_quarter_of_its_bins(facts):
    one, other = scales(SCHEMA, facts.columns)
    assert one.quarter_bin == 0
    assert one.inside == 0
    assert other.quarter_bin == pytest.approx(9 / 4 / math.sqrt(_variance_of_y(facts)), rel=1e-6)
    assert other.inside == pytest.approx(81 / 12 / _variance_of_y(facts), rel=1e-6)


def _variance_of_y(facts):
    shares = facts.columns[1].released_share
    middles = np.arange(10) * 10 + 4.5
    return float((shares * (middles - (shares * middles).sum()) ** 2).sum() + 81 / 12)


def test_the_error_of_a_correlation_is_what_noise_makes_of_it(table):
    """x by y measured: noise into its hundred cells; the spreads come from the single columns, which know them better."""
    facts = facts_of(table, [("x",), ("y",), ("g",), ("x", "y")], sigma=8)
    found = kinds.of_correlations(SCHEMA, facts.columns, facts.pairs, facts.released)
    counts = encode_public(table).marginal(("x", "y")).astype(float)
    x, y = np.arange(10.0), np.arange(10) * 10 + 4.5

    shares = counts / counts.sum()
    a = (x - x @ shares.sum(1)) / math.sqrt(shares.sum(1) @ (x - x @ shares.sum(1)) ** 2)
    b = (y - shares.sum(0) @ y) / math.sqrt(shares.sum(0) @ (y - shares.sum(0) @ y) ** 2)
    rng = np.random.default_rng(7)

    def drawn():
        product = a @ (counts + rng.normal(0, 8, counts.shape)) @ b / N
        spreads = [1 + rng.normal(0, _sigma_one() / N, 10) @ scale**2 for scale in (a, b)]
        return product / math.sqrt(math.prod(spreads)) - a @ shares @ b

    off = [drawn() for _ in range(2000)]
    assert np.mean(np.abs(off) <= found.sizes[0]) >= 0.88
    assert found.sizes[0] <= 3 * np.std(off)
    assert found.names == ("x × y",)


def _sigma_one():
    """The noise of a level of x or y: its own table, and ten cells of the pair summed."""
    return 8 / math.sqrt(1 + 1 / 10)


def test_a_correlation_that_nobody_measured_is_not_known(table):
    facts = facts_of(table, [("x",), ("y",), ("g",)])
    assert kinds.of_correlations(SCHEMA, facts.columns, facts.pairs, facts.released).sizes.tolist() == [math.inf]
    assert kinds.of_regressions(facts.columns, facts.pairs, "g").light == "red"
    assert len(kinds.of_pairs(facts.columns, facts.pairs, known=False).names) == 3


def test_triples_are_read_from_scores_on_their_grid(table):
    scores = ErrorScores(
        cliques=(("x", "y", "g"),), values=np.array([round(2 * 1024 * N * 0.07)]), event=event(1024 * 20)
    )
    facts = facts_of(table, [("x",), ("y",), ("g",)], more=(scores,))
    found = kinds.of_triples(facts.transcript, float(N))
    assert found.errors.sizes.tolist() == [pytest.approx(0.07, rel=1e-4)]
    assert found.noise == pytest.approx(20 / (2 * N))
    assert found.errors.light == "amber"
    pairs = ErrorScores(cliques=(("x", "y"),), values=np.array([5]), event=event())
    assert kinds.of_triples((pairs,), float(N)) is None


def test_regressions_set_the_error_beside_the_association(table):
    predicted = {("x", "y"): 0.2, ("x", "g"): 0.02, ("y", "g"): 0.02}
    facts = facts_of(table, [("x",), ("y",), ("g",)], predicted=predicted)
    found = kinds.of_regressions(facts.columns, facts.pairs, "y")
    assert found.names[0] == "x × y"
    assert found.sizes[0] == pytest.approx(0.1 / facts.pairs.dependence[0, 1])
    assert 0.4 < facts.pairs.dependence[0, 1] < 0.9
    assert found.light_of(float(found.sizes[0])) == "amber"  # a good pair is amber at the best
    everything = kinds.of_regressions(facts.columns, facts.pairs, None)
    assert len(everything.names) == 3


def test_rare_categories_are_told_by_three_sigmas(facts):
    rare = kinds.of_rare(facts.columns, {"g"}, facts.bought)
    sigma = SIGMA / math.sqrt(1 + 1 / 10)
    assert rare.sizes.tolist() == [pytest.approx(3 * sigma / facts.bought.total, rel=1e-3)]
