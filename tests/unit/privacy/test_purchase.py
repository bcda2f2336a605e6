"""Buying facts: what is found, what it costs, and that a label which one person has stays unseen."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from privsynth.errors import BudgetExceeded, MechanismError
from privsynth.privacy import purchase
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import read
from privsynth.schema import Schema

ROW = PrivacyUnit(name="row")
PRICE = purchase.Price(rho=Fraction(1, 10), delta=Fraction(1, 10**6))
SCHEMA = Schema.loads(
    """
[table]
name = "t"
[columns.label]
kind = "category"
buy = true
[columns.cost]
kind = "number"
precision = "0.01"
buy = "bounds"
missing = [""]
[columns.age]
kind = "integer"
lower = 0
upper = 120
buy = "edges"
bins = {method = "uniform", count = 4}
"""
)


class Exact(AbstractNoiseSource):
    """No noise; keeps what it was given."""

    name, signable = "exact", False

    def __init__(self):
        self.seen = []

    def gaussian(self, exact, sigma_squared):
        self.seen.append((exact.copy(), sigma_squared))
        return exact

    def exponential(self, scores, rate):
        raise AssertionError("not used")

    def key(self):
        return bytes(32)


def table(labels=("a",) * 300 + ("b",) * 200 + ("unique",), costs=None, ages=None):
    n = len(labels)
    return read(
        {
            "label": list(labels),
            "cost": list(costs or ["12.50"] * n),
            "age": list(ages or [str(20 + i % 40) for i in range(n)]),
        },
        SCHEMA,
    )


def test_frequent_labels_are_found_and_a_single_persons_is_not():
    found = purchase.categories(table(), SCHEMA.column("label"), unit=ROW, price=PRICE, noise=SystemNoise())
    assert found.found == ("a", "b")
    assert (found.event.mechanism, found.event.rho, found.event.delta) == (
        "stability-threshold",
        PRICE.rho,
        PRICE.delta,
    )
    assert Fraction(found.event.sensitivity_squared) / (2 * found.event.sigma_squared) <= PRICE.rho


def test_a_person_counts_once_for_a_label_however_many_rows():
    schema = Schema.loads(
        '[table]\nname="t"\nunit="id"\n[columns.id]\nkind="identifier"\nmake="P-####"\n'
        '[columns.label]\nkind="category"\nbuy=true\n'
    )
    records = read({"id": ["p"] * 5 + ["q"], "label": ["x"] * 5 + ["x"]}, schema)
    noise = Exact()
    unit = PrivacyUnit(name="person", column="id", max_rows=5)
    purchase.categories(records, schema.column("label"), unit=unit, price=PRICE, noise=noise)
    ((counts, variance),) = noise.seen
    assert counts.tolist() == [2]
    assert variance == 5 / (2 * PRICE.rho)


@pytest.mark.parametrize("rows", [1, 7])
def test_the_threshold_is_the_smallest_that_keeps_delta(rows):
    variance, delta = Fraction(50), Fraction(1, 10**6)
    threshold = purchase.stability_threshold(variance, rows, delta)
    sigma = float(variance) ** 0.5
    values = np.arange(-200, 201)
    weight = np.exp(-(values**2) / (2 * float(variance)))
    exact_tail = weight[values >= threshold - 1].sum() / weight.sum()
    assert rows * exact_tail <= delta
    assert rows * stats.norm.sf((threshold - 3) / sigma) > delta


def test_bounds_are_powers_of_two_around_the_values_and_skip_outliers():
    costs = ["-3.00"] * 150 + ["12.50"] * 350 + ["9999999.99"]
    found = purchase.bounds(table(costs=costs), SCHEMA.column("cost"), unit=ROW, price=PRICE, noise=SystemNoise())
    assert found.found == ("-5.11", "20.47")
    assert found.event.rho == PRICE.rho
    resolved = SCHEMA.resolve("cost", "bounds", found.found)
    assert "cost" not in [column.name for column in resolved.unresolved]


def test_bounds_that_drown_in_noise_are_refused_without_a_number():
    price = purchase.Price(rho=Fraction(1, 10**7), delta=Fraction(1, 10**6))
    with pytest.raises(BudgetExceeded, match="declare lower and upper"):
        purchase.bounds(table(), SCHEMA.column("cost"), unit=ROW, price=price, noise=SystemNoise())


def test_edges_split_the_records_evenly():
    ages = [str(30 + i % 4) for i in range(501)]
    found = purchase.edges(table(ages=ages), SCHEMA.column("age"), unit=ROW, price=PRICE, noise=Exact())
    assert found.found == ("31", "32", "33")


def test_each_histogram_counts_each_row_once():
    for buy, column in ((purchase.bounds, "cost"), (purchase.edges, "age")):
        noise = Exact()
        buy(table(), SCHEMA.column(column), unit=ROW, price=PRICE, noise=noise)
        ((counts, variance),) = noise.seen
        assert counts.sum() == 501
        assert variance == 1 / (2 * PRICE.rho)


def test_missing_values_are_left_out_and_an_empty_column_does_not_crash():
    noise = Exact()
    with pytest.raises(BudgetExceeded):
        purchase.bounds(table(costs=[""] * 501), SCHEMA.column("cost"), unit=ROW, price=PRICE, noise=noise)
    assert noise.seen[0][0].sum() == 0


def test_a_price_must_pay_something():
    with pytest.raises(MechanismError):
        purchase.Price(rho=Fraction(0), delta=Fraction(1, 2))
    with pytest.raises(MechanismError):
        purchase.Price(rho=Fraction(1), delta=Fraction(0))


def test_records_stay_private():
    assert isinstance(table(), Private)
