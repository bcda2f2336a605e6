"""Black boxes on made-up tables: broken ones fail, each by its row; what keeps its claim does not; power is said."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth import encoding, records
from privsynth.audit_plan import BlackBoxTerms
from privsynth.black_box import checks as black_box
from privsynth.black_box.adapter import Adapter
from privsynth.black_box.lone_person import LonePerson, Plant, _evidence, largest_group, payoff
from privsynth.dataset import Dataset
from privsynth.errors import MechanismError
from privsynth.findings import Claim
from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING

SCHEMA = Schema.loads(
    """
[table]
name = "odd"
unit = "who"
[columns.who]
kind = "identifier"
make = "P-########"
[columns."a, ward"]
kind = "category"
values = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11"]
missing = ["?"]
[columns."sys.bp"]
kind = "number"
lower = "-10.0"
upper = "250.0"
precision = "0.1"
missing = [""]
[columns.born]
kind = "date"
lower = 1920-01-01
upper = 2019-12-31
[columns.seen]
kind = "date"
after = "born"
lower = 0
upper = 100
[columns.one]
kind = "integer"
lower = 7
upper = 7
[columns.stay]
kind = "integer"
lower = 0
upper = 99
[columns.again]
kind = "boolean"
true = ["yes"]
false = ["no"]
"""
)
TERMS = BlackBoxTerms(rows=150, released=600, levels=13)


def claim(epsilon):
    return Claim(epsilon=epsilon, delta=1e-6, rho=None, unit="person")


def verdicts(generate, *, epsilon=1.0, seed=1, max_rows=1, terms=TERMS):
    found = black_box.check(
        terms,
        Adapter.of_function(generate),
        schema=SCHEMA,
        claim=claim(epsilon),
        max_rows=max_rows,
        rng=np.random.default_rng(seed),
    )
    return {row.check: row for row in found.rows}, found.not_tried


RNG = np.random.default_rng(11)


def bootstrap(frame, rows):
    return frame.iloc[RNG.integers(0, len(frame), rows)]


def margins(frame, rows):
    """Each column drawn by itself from the data's values: no pair is kept."""
    columns = {name: frame[name].iloc[RNG.integers(0, len(frame), rows)].to_numpy() for name in frame}
    return pd.DataFrame({**columns, "seen": columns["born"]})


def public(frame, rows):
    """Knows the schema and nothing of the data."""
    born = np.datetime64("1920-01-01") + RNG.integers(0, 36000, rows)
    return pd.DataFrame(
        {
            "a, ward": RNG.choice([*(f"w{n}" for n in range(12)), "?"], rows),
            "sys.bp": np.where(RNG.random(rows) < 0.1, np.nan, RNG.uniform(-10, 250, rows)),
            "born": born,
            "seen": born + RNG.integers(0, 101, rows),
            "one": 7,
            "stay": RNG.integers(0, 100, rows),
            "again": RNG.random(rows) < 0.5,
        }
    ).replace({"again": {True: "yes", False: "no"}})


def constant(frame, rows):
    return {
        "a, ward": ["w1"] * rows, "sys.bp": [1.0] * rows, "born": ["2000-01-01"] * rows, "seen": ["2000-01-01"] * rows,
        "one": [7] * rows, "stay": [0] * rows, "again": ["no"] * rows,
    }  # fmt: skip


def test_a_generator_that_copies_rows_fails_both_tests_at_one():
    rows, _ = verdicts(bootstrap)
    assert {name: row.verdict for name, row in rows.items()} == {
        black_box.REPEATS: "PASS",
        black_box.LONE: "FAIL",
        black_box.CANARIES: "FAIL",
    }
    assert rows[black_box.CANARIES].estimate > 1
    assert "epsilon of at least" in rows[black_box.LONE].meaning
    assert "and 1 is claimed" in rows[black_box.LONE].meaning


def test_values_of_the_data_refute_even_ten_and_canaries_are_then_left_out():
    rows, not_tried = verdicts(margins, epsilon=10.0)
    assert rows[black_box.LONE].verdict == "FAIL"
    assert rows[black_box.LONE].estimate > 10
    assert set(not_tried) == {black_box.CANARIES}
    assert "169 canaries can refute epsilon" in not_tried[black_box.CANARIES]


@pytest.mark.parametrize("max_rows", [1, 3])
def test_a_generator_that_knows_nothing_of_the_data_does_not_fail(max_rows):
    terms = TERMS.model_copy(update={"alpha": 0.05})
    failed = 0
    for seed in range(25):
        rows, _ = verdicts(public, epsilon=0.01, seed=seed, max_rows=max_rows, terms=terms)
        assert len(rows) == 3
        failed += any(row.verdict != "PASS" for row in rows.values())
    assert failed <= 5  # 1.25 expected at most


def test_the_same_noise_twice_fails_and_a_constant_does_not():
    def seeded(frame, rows):
        return frame.iloc[np.random.default_rng(1).integers(0, len(frame), rows)]

    rows, _ = verdicts(seeded)
    assert rows[black_box.REPEATS].verdict == "FAIL"
    assert "fixed seed" in rows[black_box.REPEATS].meaning
    rows, _ = verdicts(constant)
    assert [row.verdict for row in rows.values()] == ["PASS"] * 3
    assert "whatever the table" in rows[black_box.REPEATS].meaning


def test_fits_are_bounded_and_a_clear_failure_costs_few():
    made, same = [], []

    def counted(frame, rows):
        alike = frame.groupby("who").nunique(dropna=False).max(axis=1) == 1
        made.append((len(frame), rows, frame["who"].value_counts().max()))
        same.append(int(alike.sum()))
        return public(frame, rows)

    verdicts(counted, max_rows=4)
    assert len(made) == TERMS.lone_fits + 1 + TERMS.canary_fits
    assert {rows for _, rows, _ in made} == {600}
    assert {most for *_, most in made} == {4}
    assert made[0][0] == made[1][0] == 154
    assert same[0] >= 1  # the person who holds what nobody else does
    assert same[-1] >= 50  # every canary is a unit of equal rows
    assert 150 < made[-1][0] <= 150 + 4 * 169
    made.clear()

    def copied(frame, rows):
        made.append(0)
        return bootstrap(frame, rows)

    verdicts(copied)
    assert 4 <= len(made) <= 6  # two of one table, another, and canaries: of eight


def test_what_cannot_be_checked_is_said_and_not_passed():
    small = Schema.loads('[table]\nname = "small"\n[columns.x]\nkind = "boolean"\n')
    found = black_box.check(
        TERMS,
        Adapter.of_function(lambda frame, rows: frame),
        schema=small,
        claim=claim(1.0),
        max_rows=1,
        rng=np.random.default_rng(1),
    )
    assert [row.check for row in found.rows] == [black_box.REPEATS]
    assert set(found.not_tried) == {black_box.LONE, black_box.CANARIES}
    with pytest.raises(MechanismError, match="needs a unit column"):
        black_box.check(
            TERMS, Adapter.of_function(public), schema=small, claim=claim(1.0), max_rows=2, rng=np.random.default_rng(1)
        )


def test_evidence_without_the_person_has_mean_one_at_most():
    """The heart of the check: the release is fixed, the plants are drawn, and the evidence is fair."""
    rng = np.random.default_rng(3)
    released = LonePerson.among(SCHEMA, 400, max_rows=1, rng=rng).table
    found = [LonePerson.among(SCHEMA, 1, max_rows=1, rng=rng).evidence(released) for _ in range(1500)]
    assert np.mean(found) < 1 + 3 * np.std(found) / math.sqrt(len(found))
    assert np.mean(np.array(found) >= 20) <= 1 / 20


@pytest.mark.parametrize("shown", [[0], [2], [2, 3], [0, MISSING, 3], [3, 3, 3, 2]])
@pytest.mark.parametrize(
    ("usual", "reserved"), [([0, 1], [2, 3, MISSING]), (range(2), range(2, 9)), (range(8, 10), range(4))]
)
def test_the_bets_on_one_column_are_exactly_fair(shown, usual, reserved):
    plant = Plant(name="x", usual=usual, reserved=reserved, held=None, starts=(0, 3, 5))
    mean = plant.nothing * _evidence([plant.bets(np.array(shown), 2)])
    for held in plant.reserved:
        chance = (1 - plant.nothing) / len(plant.reserved)
        mean += chance * _evidence([replace(plant, held=held).bets(np.array(shown), 2)])
    assert mean == pytest.approx(1)


def test_only_the_person_holds_what_is_planted():
    for seed in range(20):
        lone = LonePerson.among(SCHEMA, 200, max_rows=2, rng=np.random.default_rng(seed))
        assert lone.table.rows == 202
        assert {plant.name for plant in lone.plants} == {"a, ward", "sys.bp", "born", "stay", "again"}
        for plant in lone.plants:
            shown = lone.table.ticks[plant.name]
            unusual = np.isin(shown, np.array(plant.usual), invert=True)
            assert unusual.sum() == (0 if plant.held is None else 2)
            assert set(shown[unusual].tolist()) <= {plant.held}
            assert plant.held is None or plant.held in plant.reserved


def test_bets_on_labels_by_hand():
    labels = Plant(name="x", usual=[0, 1], reserved=[2, 3, MISSING], held=MISSING)
    assert labels.nothing == 0.25
    one = [(0.25, True)]
    assert labels.bets(np.array([0, MISSING]), 1) == (one, one, one)
    assert labels.bets(np.array([0, MISSING]), 2) == (one, one, [(0.25, False)])
    assert labels.bets(np.array([0, 3, 2, MISSING, MISSING]), 2) == ([(0.75, True)], [(0.75, True)], one)
    assert labels.bets(np.array([0, 1]), 1) == ([(0.25, False)], [], [(0.25, False)])


def test_bets_on_the_most_extreme_number_by_hand():
    above = Plant(name="x", usual=range(100), reserved=range(1000, 2000), held=1500)
    chances, right = zip(*above.bets(np.array([3, 1500]), 1)[0], strict=True)
    assert chances == pytest.approx((0.0009, 0.0027, 0.0369, 0.2709))
    assert right == (True, True, True, True)
    chances, right = zip(*above.bets(np.array([3, MISSING, 1990]), 1)[0], strict=True)
    assert chances == pytest.approx((0.0009, 0.0027, 0.027, 0.144))
    assert right == (False, False, False, False)
    assert [hit for _, hit in above.bets(np.array([1510]), 1)[0]] == [False, False, True, True]
    assert above.bets(np.array([MISSING, 99, 300]), 1)[0] == [(0.1, False)]
    below = Plant(name="x", usual=range(900, 1000), reserved=range(500), held=None)
    assert below.bets(np.array([950, 700]), 1)[0] == [(0.1, True)]
    assert below.bets(np.array([950, 200]), 1)[0][0] == (pytest.approx(0.0018), False)


def test_bets_on_levels_and_on_what_is_shown_often_by_hand():
    plant = Plant(name="x", usual=range(100), reserved=range(1000, 2000), held=1550, starts=(0, 900, 1100, 1500, 1600))
    assert plant.bets(np.array([3, 1550]), 1)[1:] == ([(0.0009, True)], [(0.0009, True)])
    _, shown, often = plant.bets(np.array([1010, 1510, 1520, 1530]), 3)
    assert shown == [(pytest.approx(0.9 * 0.2), True)]  # 1000-1099 and 1500-1599
    assert often == [(pytest.approx(0.9 * 0.1), True)]
    _, _, sharp = plant.bets(np.array([1010, 1510, *[1550] * 4]), 3)
    assert sharp == [(0.0009, True)]
    _, _, apart = plant.bets(np.array([1010, 1590, 1595, 1605, 1999]), 3)  # three near each other, in two levels
    assert apart == [(pytest.approx(0.9 * 0.041), False)]
    assert plant.bets(np.array([1010, 1590, 1400, 1999]), 3)[2] == [(pytest.approx(0.1), False)]
    (_, _, sharp), (_, _, blurred) = plant.best(), plant.best(blurred=True)
    assert (sharp, blurred) == ([(0.0009, True)], [(pytest.approx(0.09), True)])


def test_what_evidence_pays():
    assert payoff(math.exp(5), 1, epsilon=2, delta=0) == pytest.approx(0.5 + 0.5 * math.exp(3))
    assert payoff(math.exp(5), 2, epsilon=2, delta=0) == pytest.approx(0.5 + 0.5 * math.exp(1))
    assert payoff(math.exp(5), 2, epsilon=2, delta=1e-9) == pytest.approx(0.5 + 0.25 * math.exp(1))
    assert payoff(1e300, 1, epsilon=1, delta=0.01) == pytest.approx(0.5 + 0.25 * 100)
    assert payoff(1e300, 2, epsilon=1, delta=0.01) == pytest.approx(0.5 + 0.25 * 100 / (1 + math.e))
    assert payoff(0.0, 1, epsilon=0, delta=0) == pytest.approx(0.5)
    assert payoff(1e300, 100, epsilon=60, delta=1e-5) == pytest.approx(0.5)


def test_a_payoff_has_mean_one_at_most_for_a_generator_that_just_keeps_its_claim():
    """The worst case of (epsilon, delta): evidence is t with chance min(1, e^(k epsilon)/t) + delta_k, else 0."""
    for size, epsilon, delta in ((1, 1.0, 1e-3), (3, 0.5, 1e-3), (2, 2.0, 0.0)):
        failure = sum(math.exp(step * epsilon) for step in range(size)) * delta
        for evidence in np.exp(np.arange(0.0, 30.0, 0.5)):
            chance = min(1.0, math.exp(size * epsilon) / evidence + failure)
            mean = chance * payoff(evidence, size, epsilon=epsilon, delta=delta)
            mean += (1 - chance) * payoff(0.0, size, epsilon=epsilon, delta=delta)
            assert mean <= 1 + 1e-9


def test_the_largest_group_is_one_that_could_still_pay():
    assert largest_group(math.exp(10), epsilon=1, delta=0, most=30) == 8  # 0.5 + 0.5 e^2 is above 4, with e^1 below
    assert largest_group(math.exp(10), epsilon=1, delta=0, most=5) == 5
    assert largest_group(math.exp(10), epsilon=20, delta=0, most=30) == 1


def noisy(times):
    """One noisy table a column, for epsilon 1 and delta 1e-6 where `times` is 1, and so many times less noise."""

    def generate(frame, rows):
        table = records.read_public(frame, SCHEMA)
        data, columns = encoding.encode_public(table), {}
        for name, size in zip(data.domain.attributes, data.domain.sizes, strict=True):
            counts = np.maximum(data.marginal((name,)) + RNG.normal(0, 13.0 / times, size), 0) + 1e-12
            columns[name] = RNG.choice(size, rows, p=counts / counts.sum())
        drawn = encoding.decode(Dataset.from_columns(columns, data.domain), SCHEMA, rng=RNG)
        return records.to_arrow(drawn, {"who": ["x"] * rows})

    return generate


def test_too_little_noise_is_seen_and_enough_is_not():
    terms = TERMS.model_copy(update={"released": 5000})
    assert verdicts(noisy(300), terms=terms)[0][black_box.LONE].verdict == "FAIL"
    for seed in range(3):
        rows, _ = verdicts(noisy(1), terms=terms, seed=seed)
        assert {row.verdict for row in rows.values()} == {"PASS"}


def test_groups_grow_while_nothing_is_seen_up_to_what_the_claim_lets_them_refute():
    largest = []

    def counted(frame, rows):
        columns = [name for name in frame if name != "who"]
        largest.append(int(frame.groupby(columns, dropna=False).size().max()))
        return public(frame, rows)

    verdicts(counted, terms=TERMS)
    groups = largest[: TERMS.lone_fits + 1]
    assert groups[:3] == [1, 1, 1]
    assert groups[3:5] == [2, 4]
    assert groups == sorted(groups)
    assert 4 < groups[-1] < 24  # as large a group as the evidence of five columns can pay for
    largest.clear()
    verdicts(counted, epsilon=10.0)
    assert set(largest) == {1}  # two would cost an epsilon of 20
