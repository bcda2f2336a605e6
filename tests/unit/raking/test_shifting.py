"""What-ifs: declared shares are met, nothing else moves more than it must, and what cannot be met is said."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import raking
from privsynth.dataset import Dataset
from privsynth.errors import FitError
from privsynth.graphical import GraphicalDistribution
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.markov_random_field import MarkovRandomField
from privsynth.raking import shifting
from privsynth.raking.projecting import Classes, Field
from privsynth.raking.shifting import ShiftedDistribution
from privsynth.schema import Schema
from tests.made_models import latent

SIZES = {"a": 3, "b": 2, "c": 4}
SCHEMA = Schema.from_domain(SIZES)
ALL = ("a", "b", "c")
MARGINS = {"a": ("a",), "b": ("b",), "ab": ("a", "b"), "bc": ("c", "b")}


def mixture(seed):
    return latent(SCHEMA.domain(), np.random.default_rng(seed), classes=3, total=1000.0)


def chain(seed):
    rng = np.random.default_rng(seed)
    tables = {clique: rng.normal(size=SCHEMA.domain().shape(clique)) for clique in (("a", "b"), ("b", "c"))}
    return GraphicalDistribution(MarkovRandomField(CliqueVector.of(SCHEMA.domain(), tables), 1000.0))


def joint(distribution):
    table = distribution.project(ALL)
    return table / table.sum()


def margin(table, columns):
    rest = tuple(axis for axis, name in enumerate(ALL) if name not in columns)
    kept = [name for name in ALL if name in columns]
    return table.sum(axis=rest).transpose([kept.index(name) for name in columns])


def targets_of(table, margins):
    """Every share of these margins but the last cell's, which what is not named gets."""
    found = {}
    for columns in margins:
        shares = margin(table, columns)
        cells = list(itertools.product(*map(range, shares.shape)))[:-1]
        key = columns[0] if len(columns) == 1 else columns
        found[key] = {cell[0] if len(columns) == 1 else cell: float(shares[cell]) for cell in cells}
    return found


def divergence(q, p):
    return float(np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1) / p), 0)))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    margins=st.lists(st.sampled_from(sorted(MARGINS)), min_size=1, max_size=3, unique=True),
    kind=st.sampled_from([mixture, chain]),
)
def test_it_is_the_i_projection(seed, margins, kind):
    """Pythagoras: for any q with the declared shares, D(q|p) = D(q|shifted) + D(shifted|p), and so no q is nearer to p."""
    rng = np.random.default_rng(seed)
    columns = [MARGINS[name] for name in margins]
    model = kind(seed)
    wanted = rng.dirichlet(np.ones(24)).reshape(3, 2, 4)
    before, after = joint(model), joint(raking.shift(SCHEMA, model, targets_of(wanted, columns)))
    for each in columns:
        assert np.allclose(margin(after, each), margin(wanted, each), atol=2e-6)
    gap = divergence(wanted, before) - divergence(wanted, after) - divergence(after, before)
    assert abs(gap) < 1e-4 * (1 + divergence(wanted, before))
    named = [name for name in ALL if any(name in each for each in columns)]
    rest = tuple(axis for axis, name in enumerate(ALL) if name not in named)
    if rest:
        conditional = [table / table.sum(axis=rest, keepdims=True) for table in (before, after)]
        assert np.allclose(*conditional, atol=1e-9)


def test_another_distribution_with_the_same_shares_fails_that_law():
    wanted = np.random.default_rng(7).dirichlet(np.ones(24)).reshape(3, 2, 4)
    model = mixture(7)
    before = joint(model)
    after = joint(raking.shift(SCHEMA, model, targets_of(wanted, [("a",), ("c", "b")])))
    other = (wanted + after) / 2
    assert np.allclose(margin(other, ("c", "b")), margin(wanted, ("c", "b")), atol=2e-6)
    gap = divergence(wanted, before) - divergence(wanted, other) - divergence(other, before)
    assert abs(gap) > 0.05


def test_brute_force_finds_nothing_nearer():
    from scipy.optimize import minimize

    model = mixture(4)
    declared = {"a": {0: 0.5}, ("b", "c"): {(0, 0): 0.3, (1, 2): 0.2}}
    before, after = joint(model), joint(raking.shift(SCHEMA, model, declared))
    shares = [(lambda t: t[0].sum(), 0.5), (lambda t: t[:, 0, 0].sum(), 0.3), (lambda t: t[:, 1, 2].sum(), 0.2)]
    constraints = [
        {"type": "eq", "fun": lambda x, of=of, share=share: of(x.reshape(3, 2, 4)) - share} for of, share in shares
    ]
    constraints.append({"type": "eq", "fun": lambda x: x.sum() - 1})
    found = minimize(
        lambda x: divergence(x.reshape(3, 2, 4), before),
        np.full(24, 1 / 24),
        bounds=[(1e-12, 1)] * 24,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert divergence(after, before) == pytest.approx(found.fun, abs=1e-5)
    assert np.allclose(found.x.reshape(3, 2, 4), after, atol=2e-3)


@pytest.mark.parametrize("kind", [mixture, chain])
def test_every_way_to_fit_gives_the_same(kind, monkeypatch):
    declared = {"a": {1: 0.6}, "b": {0: 0.2}, "c": {(0, 1): 0.9}}
    direct = raking.shift(SCHEMA, kind(1), declared)
    assert type(direct) is type(kind(1))
    monkeypatch.setattr(shifting, "_JOINT_GROUPS", 1)
    other = raking.shift(SCHEMA, kind(1), declared)
    wrapped = _wrapped(kind(1), declared, monkeypatch)
    assert np.allclose(joint(direct), joint(other), atol=1e-9)
    assert np.allclose(joint(direct), joint(wrapped), atol=1e-9)


def _wrapped(model, declared, monkeypatch):
    """The same by the way that is open to every distribution."""
    monkeypatch.setattr(shifting, "_JOINT_GROUPS", 1 << 16)
    plan = shifting.read_targets(SCHEMA, declared)
    space = shifting.Joint(plan.columns, shifting.in_groups(model.project(plan.columns), list(plan.group_of.values())))
    shifting.fit(space, plan.targets)
    return ShiftedDistribution(model, plan.group_of, space.table)


def test_spaces_are_those_that_were_meant(monkeypatch):
    plan = shifting.read_targets(SCHEMA, {"a": {1: 0.6}})
    assert isinstance(shifting._space(mixture(1), plan), Classes)
    monkeypatch.setattr(shifting, "_JOINT_GROUPS", 1)
    assert isinstance(shifting._space(chain(1), plan), Field)


def test_a_table_that_a_clique_holds_stays_in_the_graphical_model():
    declared = {("b", "a"): {(0, 2): 0.5}}
    assert isinstance(raking.shift(SCHEMA, chain(2), declared), GraphicalDistribution)
    outside = raking.shift(SCHEMA, chain(2), {("a", "c"): {(0, 2): 0.5}})
    assert isinstance(outside, ShiftedDistribution)
    assert outside.project(("c", "a"))[2, 0] == pytest.approx(500)


@pytest.mark.parametrize("kind", [mixture, chain])
@pytest.mark.parametrize("declared", [{"a": {1: 0.6}}, {("a", "c"): {(0, 3): 0.4, (2, 2): 0.0}}])
def test_records_have_the_shares_also_under_conditions(kind, declared):
    shifted, rng = raking.shift(SCHEMA, kind(3), declared), np.random.default_rng(0)
    drawn, expected = shifted.draw(20_000, rng), joint(shifted)
    assert isinstance(drawn, Dataset)
    assert np.abs(drawn.marginal(ALL) / 20_000 - expected).sum() / 2 < 0.03
    evidence = {"b": np.array([1]), "c": np.array([2, 3])}
    given = shifted.draw(20_000, rng, evidence).marginal(ALL) / 20_000
    within = np.zeros_like(expected)
    within[:, 1, 2:] = expected[:, 1, 2:]
    assert np.abs(given - within / within.sum()).sum() / 2 < 0.03
    assert shifted.draw(0, rng).rows == 0


def test_records_of_a_shifted_mixture_follow_its_tables():
    """The tables that swaps bring records to are shifted with the mixture."""
    import privsynth as ps

    rng = np.random.default_rng(5)
    a = rng.integers(0, 3, 4000)
    table = {"a": a, "b": (a > 0) ^ (rng.random(4000) < 0.1), "c": (a + rng.integers(0, 2, 4000)) % 4}
    model = ps.fit(
        {k: v.astype(int).tolist() for k, v in table.items()}, SCHEMA, epsilon=5, delta=1e-6, generator="latent_class"
    )
    assert isinstance(model.distribution, LatentClassDistribution)
    shifted = model.shifted({"a": {0: 0.8}})
    drawn = shifted.distribution.draw(4000, np.random.default_rng(1))
    for pair in itertools.combinations(ALL, 2):
        wanted = shifted.project(pair)
        assert np.abs(drawn.marginal(pair) / 4000 - wanted / wanted.sum()).sum() / 2 < 0.02
    assert (drawn.columns[0] == 0).mean() == pytest.approx(0.8, abs=0.01)


def test_evidence_that_a_what_if_rules_out_is_refused():
    shifted = raking.shift(SCHEMA, mixture(1), {("a", "b"): {(0, 0): 0.0, (0, 1): 0.0}})
    with pytest.raises(FitError, match="probability zero under this what-if"):
        shifted.draw(5, np.random.default_rng(0), {"a": np.array([0])})
    with pytest.raises(FitError, match="allows no level"):
        shifted.draw(5, np.random.default_rng(0), {"a": np.array([7])})
    with pytest.raises(FitError, match="negative"):
        shifted.draw(-1, np.random.default_rng(0))
    assert raking.shift(SCHEMA, mixture(1), {"a": {0: 0.0}}).project(("a",))[0] == 0


def test_rows_given_every_targeted_column_are_drawn_as_before():
    model, rows = mixture(1), np.arange(6) % 3
    shifted = raking.shift(SCHEMA, model, {("a", "b"): {(0, 0): 0.5}})
    given_both = {"a": rows, "b": rows % 2}
    drawn = shifted.draw_each(given_both, ["c"], np.random.default_rng(2))
    assert drawn["c"].tolist() == model.draw_each(given_both, ["c"], np.random.default_rng(2))["c"].tolist()
    assert shifted.draw_each({"a": rows}, ["c"], np.random.default_rng(2)) is None


def test_what_has_no_probability_cannot_be_brought_about():
    without = raking.shift(SCHEMA, mixture(1), {"a": {0: 0.0}})
    with pytest.raises(FitError, match=r'gives "a" = 0 no probability.*declare no share for it'):
        raking.shift(SCHEMA, without, {"a": {0: 0.1}})
    with pytest.raises(FitError, match='gives "a" = what is not named no probability'):
        raking.shift(SCHEMA, without, {"a": {1: 0.1, 2: 0.2}})


@pytest.mark.parametrize(
    "declared",
    [
        {"a": {0: 0.5}, ("a", "b"): {(0, 0): 0.4, (0, 1): 0.3}},
        {("a", "b"): {(0, 0): 0.9}, ("b", "c"): {(1, 0): 0.2}},
    ],
)
@pytest.mark.parametrize("kind", [mixture, chain])
def test_contradictions_are_said(kind, declared):
    with pytest.raises(FitError, match=r"cannot be met together.*contradict each other"):
        raking.shift(SCHEMA, kind(2), declared)


def test_tables_that_are_too_large_are_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(shifting, "_JOINT_GROUPS", 1)
    with pytest.raises(FitError, match="too many cells for this model; declare shares of fewer columns"):
        raking.shift(SCHEMA, mixture(1), {("a", "b"): {(0, 0): 0.5}})
    monkeypatch.undo()
    shifted = raking.shift(SCHEMA, mixture(1), {("a", "b"): {(0, 0): 0.5}})
    monkeypatch.setattr(shifting, "_TABLE_CELLS", 10)
    with pytest.raises(FitError, match="a table of c, a, b has too many cells"):
        shifted.project(("c",))


def test_a_shift_of_a_shift():
    first = raking.shift(SCHEMA, mixture(1), {("a", "b"): {(0, 0): 0.5}})
    second = raking.shift(SCHEMA, first, {"c": {0: 0.7}})
    assert second.project(("c",))[0] == pytest.approx(700)
    assert second.draw(50, np.random.default_rng(0)).rows == 50
    assert {"shifted", "weights"} <= set(second.arrays())
    assert second.expected_l1(("a",)) is None
