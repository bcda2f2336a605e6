"""What an adversarial reading of the privacy core tried: each test kills a mutation that no other test noticed."""

import copy
from fractions import Fraction

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import BudgetExceeded, MechanismError
from privsynth.measurement import Event, Purchase, entry_from_json
from privsynth.privacy import purchase
from privsynth.privacy.accounting import epsilon_of
from privsynth.privacy.curator import make_curator
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit, bound_contributions, hold_out
from privsynth.private import Private, PrivateAccessError
from privsynth.records import Records, read
from privsynth.schema import Schema


class Seen(AbstractNoiseSource):
    name, signable = "seen", False

    def __init__(self, add=0):
        self.calls, self.add = [], add

    def gaussian(self, exact, s2):
        self.calls.append((exact.copy(), s2))
        return exact + self.add

    def exponential(self, scores, rate):
        self.calls.append((scores.copy(), rate))
        return 0

    def key(self):
        return bytes(32)


def test_replacing_a_unit_doubles_the_variance_and_halves_the_rate():
    D = Domain(("a",), (2,))
    data = Dataset.from_columns({"a": np.array([0, 1])}, D)
    q = MarginalErrors(cliques=(("a",),), references=[np.zeros(2)], weights=(1,), penalties=(0.0,))
    out = []
    for rel in NeighboringRelation:
        s = Seen()
        c = make_curator(
            data, unit=PrivacyUnit(name="p", column="i", max_rows=3, relation=rel), rho=Fraction(1), noise=s
        )
        (_m,) = c.measure([("a",)], rho=Fraction(1, 2), stage="m")
        c.select(q, rho=Fraction(1, 8), stage="s")
        out.append((s.calls[0][1], s.calls[1][1]))
        assert (
            c.transcript[1].event.sensitivity_squared
            == (3 * (1 if rel is NeighboringRelation.ADD_REMOVE else 2) * 1024) ** 2
        )
    assert out[1] == (2 * out[0][0], out[0][1] / 2)


def test_selecting_beyond_the_budget_is_refused_before_the_data_is_touched():
    D = Domain(("a",), (2,))
    s = Seen()
    c = make_curator(
        Dataset.from_columns({"a": np.array([0, 1])}, D), unit=PrivacyUnit(name="p"), rho=Fraction(1, 10), noise=s
    )
    q = MarginalErrors(cliques=(("a",),), references=[np.zeros(2)], weights=(1,), penalties=(0.0,))
    c._tables = lambda cliques: pytest.fail("the data was touched")
    with pytest.raises(BudgetExceeded):
        c.select(q, rho=Fraction(1), stage="anything")
    assert s.calls == []


def test_scores_are_rounded_before_they_are_summed():
    n = 5000
    q = MarginalErrors(cliques=(("a",),), references=[np.full(n, 0.4 / 1024)], weights=(1,), penalties=(0.0,))
    assert q.answer([np.zeros(n, dtype=np.int64)]).tolist() == [0]
    with pytest.raises(MechanismError):
        MarginalErrors(cliques=(("a",),), references=[np.zeros(2)], weights=(1,), penalties=(float("nan"),))


def test_private_shows_nothing():
    p = Private([31337])
    assert "31337" not in repr(p) + str(p) + f"{p}"
    for f in (
        lambda: p.__reduce_ex__(4),
        lambda: copy.copy(p),
        lambda: copy.deepcopy(p),
        lambda: p == p,
        lambda: p != p,
        lambda: hash(p),
        lambda: list(p),
        lambda: len(p),
        lambda: bool(p),
        lambda: p[0],
        lambda: 1 in p,
        lambda: p < p,
    ):
        with pytest.raises(PrivateAccessError):
            f()


def test_a_purchase_survives_json():
    e = Event(
        stage="x",
        mechanism="stability-threshold",
        rho=Fraction(1, 3),
        delta=Fraction(1, 7),
        sensitivity_squared=2,
        sigma_squared=Fraction(5, 3),
    )
    p = Purchase(column="c", fact="categories", found=("a", "b"), event=e)
    assert entry_from_json(p.to_json()) == p


SCHEMA = Schema.loads(
    '[table]\nname="t"\nunit="id"\n[columns.id]\nkind="identifier"\nmake="P-####"\n[columns.label]\nkind="category"\nbuy=true\n[columns.age]\nkind="integer"\nlower=0\nupper=120\nbuy="edges"\nbins={method="uniform",count=4}\n'
)


def people(k=3):
    return read(
        {
            "id": [f"p{i // k}" for i in range(600)],
            "label": ["z", "y", "x"] * 200,
            "age": [str(i % 100) for i in range(600)],
        },
        SCHEMA,
    )


PRICE = purchase.Price(rho=Fraction(1, 10), delta=Fraction(1, 10**6))
UNIT = PrivacyUnit(name="p", column="id", max_rows=3)


def test_bought_labels_come_from_the_noisy_counts_in_alphabetical_order():
    col = SCHEMA.column("label")
    assert purchase.categories(people(), col, unit=UNIT, price=PRICE, noise=Seen()).found == ("x", "y", "z")
    assert purchase.categories(people(), col, unit=UNIT, price=PRICE, noise=Seen(-1000)).found == ()
    s = Seen()
    purchase.categories(people(), col, unit=UNIT, price=PRICE, noise=s)
    T = purchase.stability_threshold(s.calls[0][1], 3, PRICE.delta)

    class At(Seen):
        def gaussian(self, exact, s2):
            return np.array([T, T - 1, T])

    assert purchase.categories(people(), col, unit=UNIT, price=PRICE, noise=At()).found == ("x", "z")
    assert purchase.stability_threshold(s.calls[0][1], 1, PRICE.delta) < T


def test_histograms_pay_for_every_row_of_a_unit_and_edges_come_from_the_noisy_counts():
    s = Seen()
    purchase.edges(people(), SCHEMA.column("age"), unit=UNIT, price=PRICE, noise=s)
    assert s.calls[0][1] == Fraction(9) / (2 * PRICE.rho)

    class Flip(Seen):
        def gaussian(self, exact, s2):
            out = np.zeros_like(exact)
            out[:8] = 100
            return out

    assert purchase.edges(people(), SCHEMA.column("age"), unit=UNIT, price=PRICE, noise=Flip()).found == ("2", "4", "6")


def test_different_units_rows_are_drawn_independently():
    S = Schema.from_domain({"x": 10000})
    r = Records(
        schema=S,
        ticks={"x": np.arange(4000, dtype=np.int64)},
        units=np.repeat(np.arange(400), 10),
        unit_names=tuple(str(i).encode() for i in range(400)),
    )
    kept = bound_contributions(r, PrivacyUnit(name="p", column="i", max_rows=1), bytes(32)).ticks["x"] % 10
    assert (np.bincount(kept, minlength=10) > 10).all()


def test_rows_without_units_are_held_out_one_by_one():
    S = Schema.from_domain({"x": 10000})
    _, held = hold_out(Records(schema=S, ticks={"x": np.arange(4000, dtype=np.int64)}), 0.5, bytes(32))
    h = np.zeros(4000, bool)
    h[held.ticks["x"]] = True
    assert 380 < (h[::2] & h[1::2]).sum() < 620


def test_the_guarantee_splits_delta_and_refuses_an_overspent_transcript():
    from privsynth.privacy.accounting import rho_for
    from privsynth.privacy.guarantee import Budget, Guarantee, decimal_up

    b = Budget.of("1", "1e-6", buys=True)
    assert b.rho == rho_for("1", "5e-7") and b.purchase_delta == Fraction(1, 2 * 10**6)

    def bought(rho, delta):
        return Purchase(
            column="c",
            fact="categories",
            found=(),
            event=Event(
                stage="x",
                mechanism="stability-threshold",
                rho=rho,
                delta=delta,
                sensitivity_squared=1,
                sigma_squared=Fraction(1),
            ),
        )

    unit = PrivacyUnit(name="p")
    g = Guarantee.for_budget(b, unit, (bought(b.rho, b.purchase_delta),))
    assert g.epsilon == epsilon_of(b.rho, "5e-7") and 0.999999 < g.epsilon <= 1
    for rho, delta in (
        (b.rho * Fraction(1000001, 1000000), b.purchase_delta),
        (b.rho, b.purchase_delta * Fraction(1000001, 1000000)),
    ):
        with pytest.raises(MechanismError):
            Guarantee.for_budget(b, unit, (bought(rho, delta),))
    assert decimal_up(Fraction(1, 3), 4) == "0.3334" and decimal_up(Fraction(1, 4), 4) == "0.25"


def test_large_counts_are_noised_too():
    a = np.full(2000, 10**9, np.int64)
    from privsynth.privacy.mechanism import gaussian

    (x,), _ = gaussian([a], sensitivity_squared=1, shares=[Fraction(1, 200)], stage="x", noise=SystemNoise())
    assert (x != a).sum() > 1000


def test_a_number_or_question_of_a_kind_of_its_own_decides_nothing():
    class Modest(Fraction):
        def __gt__(self, other):
            return other == 0

    class Insensitive(MarginalErrors):
        def sensitivity_squared(self, unit):
            return 1

    noise = Seen()
    data = Dataset.from_columns({"a": np.array([0, 1])}, Domain(("a",), (2,)))
    box = make_curator(data, unit=PrivacyUnit(name="p"), rho=Fraction(1), noise=noise)
    with pytest.raises(MechanismError, match="exact fraction"):
        box.measure([("a",)], rho=Modest(1000), stage="m")
    with pytest.raises(MechanismError, match="weights"):
        box.measure([("a",)], rho=Fraction(1), stage="m", weights=[Modest(1)])
    with pytest.raises(MechanismError, match="above zero"):
        make_curator(data, unit=PrivacyUnit(name="p"), rho=Modest(1), noise=noise)
    asked = Insensitive(cliques=(("a",),), references=[np.zeros(2)], weights=(1,), penalties=(0.0,))
    with pytest.raises(MechanismError, match="MarginalErrors"):
        box.measure_errors(asked, rho=Fraction(1), stage="s")
    assert (noise.calls, box.remaining) == ([], 1)
