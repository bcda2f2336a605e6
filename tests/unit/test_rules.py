"""Rules: a repair leaves nothing broken, stays inside the schema, and changes as little as it can."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.encoding import decode, encode_public
from privsynth.errors import FitError
from privsynth.records import Records, read_public
from privsynth.rules import check, repair
from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING

COLUMNS, *RULES = Path(__file__).with_name("stays_with_rules.toml").read_text(encoding="utf-8").split("[[rules]]")


def schema_with(*rules: str) -> Schema:
    return Schema.loads(COLUMNS + "".join(f"[[rules]]\n{rule}\n" for rule in rules))


def drawn(schema: Schema, rows: int, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    domain = schema.domain()
    codes = {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    return decode(Dataset.from_columns(codes, domain), schema, rng=rng)


def repaired(schema: Schema, records: Records, seed: int = 0, keep=()) -> Records:
    before = check(schema.rules, records)
    fixed, counts = repair(schema, records, rng=np.random.default_rng(seed), keep=keep)
    assert counts == {text: int(mask.sum()) for text, mask in before.items()}
    assert list(counts) == [rule.text for rule in schema.rules]
    for text, mask in check(schema.rules, fixed).items():
        assert not mask.any(), text
    assert fixed.rows == records.rows
    encode_public(fixed)  # raises where a value left its domain
    return fixed


# --- repair ---

REPLACING = (6,)
"""Rules that some rows can only obey by being replaced: where a is 0 and the price is above 50, both would have to move."""


@pytest.mark.parametrize("number", range(len(RULES)))
def test_each_rule_alone_can_be_repaired(number):
    schema = schema_with(RULES[number])
    records = drawn(schema, 500)
    fixed = repaired(schema, records)
    named = set(schema.rules[0].columns)
    moved = named | {column.name for column, base in schema.following if base.name in named}
    moved |= {column.name for column, base in schema.following if base.name in moved}
    broken = next(iter(check(schema.rules, records).values()))
    for name, values in records.ticks.items():
        assert (fixed.ticks[name][~broken] == values[~broken]).all(), "rows that obey are left alone"
        if name not in moved and number not in REPLACING:
            assert (fixed.ticks[name] == values).all(), "columns that the rule does not name are left alone"


@given(
    st.lists(st.integers(0, 5) | st.integers(8, len(RULES) - 2), min_size=1, max_size=6, unique=True),
    st.integers(0, 1000),
)
def test_rules_hold_together(numbers, seed):
    schema = schema_with(*(RULES[number] for number in numbers))
    repaired(schema, drawn(schema, 120, seed), seed)


def test_many_rules_hold_at_once():
    schema = schema_with(*(RULES[number] for number in (0, 1, 2, 3, 4, 6, 9, 11, 12, 14, 16, 18, 20)))
    repaired(schema, drawn(schema, 4000))


def test_nothing_to_repair_changes_nothing():
    schema = schema_with(RULES[8])
    records = drawn(schema, 50)
    obeying = records.take(~check(schema.rules, records)["a <= 33"])
    fixed, counts = repair(schema, obeying, rng=np.random.default_rng(0))
    assert fixed is obeying
    assert counts == {"a <= 33": 0}
    assert repair(schema_with(), records, rng=np.random.default_rng(0)) == (records, {})


def test_values_are_drawn_anew_within_their_bin_where_that_helps():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[columns.b]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">="\nright="b"'
    )
    rng = np.random.default_rng(0)
    same = rng.integers(0, 10, 5000)
    records = decode(Dataset.from_columns({"a": same, "b": same}, schema.domain()), schema, rng=rng)
    fixed = repaired(schema, records)
    assert [column.tolist() for column in encode_public(fixed).columns] == [same.tolist(), same.tolist()]
    assert (fixed.ticks["b"] == records.ticks["b"]).all(), "one side was enough"
    changed = fixed.ticks["a"][records.ticks["a"] < records.ticks["b"]] % 10
    assert set(changed.tolist()) == set(range(1, 10)), "not piled up at the bound"


def test_the_right_side_moves_where_the_left_cannot():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=5\n[columns.b]\nkind="integer"\nlower=0\nupper=99\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">"\nright="b"'
    )
    fixed = repaired(schema, read_public({"a": [3, 0, 5], "b": [50, 50, 2]}, schema))
    assert fixed.ticks["a"].tolist() == [5, 5, 5] or (fixed.ticks["a"] > fixed.ticks["b"]).all()


def test_moving_a_base_moves_what_is_counted_after_it():
    schema = schema_with(RULES[5])
    records = drawn(schema, 500)
    fixed = repaired(schema, records)
    for name, base, per_day in (("discharge", "admit", 1), ("checked", "admit", 1440)):
        there = (records.ticks[name] != MISSING) & (records.ticks[base] != MISSING)
        assert ((fixed.ticks[name] == MISSING) == (records.ticks[name] == MISSING)).all()
        moved = fixed.ticks[name][there] - records.ticks[name][there]
        assert (moved == (fixed.ticks[base][there] - records.ticks[base][there]) * per_day).all()


def test_consequences_are_borrowed_from_rows_that_obey():
    schema = schema_with('kind="implication"\nif={column="sex",in=["M"]}\nthen={column="a",lower=5,upper=20}')
    records = drawn(schema, 3000)
    ticks = dict(records.ticks)
    man = ticks["sex"] == 0
    ticks["a"] = np.where(man & (ticks["a"] <= 25), 7, ticks["a"])
    fixed = repaired(schema, records.with_ticks(ticks))
    assert set(fixed.ticks["a"][man].tolist()) == {7}


@pytest.mark.parametrize(
    "rule",
    [
        'if={column="sex",in=["M"]}\nthen={column="a",in=[5]}',
        'if={column="sex",in=["M"]}\nthen={column="a",lower=5,upper=5}',
        'if={column="sex",in=["M"]}\nthen={column="b",missing=true}',
    ],
)
def test_consequences_that_no_row_has_are_made(rule):
    schema = schema_with('kind="implication"\n' + rule)
    records = drawn(schema, 60)
    one = np.full(60, 9, dtype=np.int64)
    ticks = {**records.ticks, "a": one, "b": one, "sex": np.zeros(60, dtype=np.int64)}
    fixed = repaired(schema, records.with_ticks(ticks))
    assert set(fixed.ticks["sex"].tolist()) == {0}


def test_combinations_keep_what_they_can():
    schema = schema_with(RULES[18])
    records = drawn(schema, 2000)
    fixed = repaired(schema, records)
    state, code = records.ticks["state"], records.ticks["zip"]
    there = state != MISSING
    kept = (fixed.ticks["state"] == state) | (fixed.ticks["zip"] == code)
    assert kept[there].all()
    assert (fixed.ticks["zip"] == code)[~there].all()


def test_likelier_combinations_are_chosen_more_often():
    schema = schema_with(RULES[18])
    records = drawn(schema, 6000)
    state = np.full(6000, 2, dtype=np.int64)
    code = np.repeat(np.array([0, 2, 3]), [2000, 3900, 100])
    fixed = repaired(schema, records.with_ticks({**records.ticks, "state": state, "zip": code}))
    ny = fixed.ticks["zip"][:2000][fixed.ticks["state"][:2000] == 2]
    assert (ny == 2).sum() > 10 * (ny == 3).sum() > 0


def test_sums_adjust_the_parts_where_the_total_cannot_follow():
    schema = schema_with(RULES[20])
    records = drawn(schema, 3)
    ticks = {**records.ticks}
    for name, values in (("a", [10, 50, 40]), ("b", [5, 50, MISSING]), ("total", [80, 3, 7])):
        ticks[name] = np.array(values, dtype=np.int64)
    fixed = repaired(schema, records.with_ticks(ticks))
    assert [fixed.ticks[name].tolist() for name in ("a", "b", "total")] == [[10, 30, 40], [5, 50, MISSING], [15, 80, 7]]


# --- keeping what was conditioned on ---


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        *itertools.product([0, 1], [["seen"], ["admit"], ["discharge"]]),
        (2, ["born"]),
        (2, ["admit"]),
        (6, ["price"]),
        (6, ["a"]),
        (11, ["pregnant"]),
        (11, ["sex"]),
        (14, ["before"]),
        (18, ["state"]),
        (18, ["zip"]),
        (20, ["total"]),
        (20, ["a", "total"]),
    ],
    ids=str,
)
def test_kept_columns_are_not_changed_in_place(number, kept):
    schema = schema_with(RULES[number])
    records = drawn(schema, 800)
    fixed = repaired(schema, records, keep=kept)
    for name in kept:
        same = fixed.ticks[name] == records.ticks[name]
        assert same.mean() > 0.4, "most rows could be mended without it; the others were replaced"
        assert set(fixed.ticks[name].tolist()) <= set(records.ticks[name].tolist())


def test_a_kept_value_stays():
    schema = schema_with(RULES[11], RULES[18])
    records = drawn(schema, 300)
    one = np.zeros(300, dtype=np.int64)
    fixed = repaired(schema, records.with_ticks({**records.ticks, "sex": one, "state": one}), keep=("sex", "state"))
    assert set(fixed.ticks["sex"].tolist()) == set(fixed.ticks["state"].tolist()) == {0}


def test_where_the_consequence_is_kept_the_condition_gives_way():
    schema = schema_with(RULES[11])
    records = drawn(schema, 300)
    fixed = repaired(schema, records, keep=["pregnant"])
    for name, values in records.ticks.items():
        assert (fixed.ticks[name] == values).all() == (name != "sex"), name


def test_a_combination_may_change_every_column():
    schema = schema_with('kind="combination"\ncolumns=["state","zip"]\nallowed=[["TX","770"]]')
    records = drawn(schema, 300)
    fixed = repaired(schema, records)
    for name, values in records.ticks.items():
        assert (fixed.ticks[name] == values).all() == (name not in ("state", "zip")), name


# --- what cannot be repaired ---


def test_rows_that_cannot_be_mended_are_replaced_by_others():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=5\n[columns.b]\nkind="integer"\nlower=0\nupper=9\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">"\nright="b"'
    )
    records = read_public({"a": [1, 2, 4], "b": [7, 1, 3]}, schema)
    fixed = repaired(schema, records, keep=("a", "b"))
    assert (fixed.ticks["a"][0], fixed.ticks["b"][0]) in {(2, 1), (4, 3)}
    assert fixed.ticks["a"].tolist()[1:] == [2, 4]


def test_contradicting_rules_are_an_error():
    schema = schema_with('kind="order"\nleft="a"\nop="<"\nright="b"', 'kind="order"\nleft="b"\nop="<"\nright="a"')
    records = drawn(schema, 50)
    records = records.take(records.ticks["b"] != MISSING)
    with pytest.raises(FitError, match='no row with what was asked of a, b obeys every rule; the hardest is "'):
        repair(schema, records, rng=np.random.default_rng(1), keep=("a", "b"), asked=("a", "b"))
    with pytest.raises(FitError, match='no row obeys every rule; the hardest is "'):
        repair(schema, records, rng=np.random.default_rng(0))


def test_the_same_generator_repairs_the_same():
    schema = schema_with(*(RULES[number] for number in (0, 2, 6, 18, 20)))
    records = drawn(schema, 300)
    one, two = (repaired(schema, records, seed=4) for _ in range(2))
    assert all((one.ticks[name] == two.ticks[name]).all() for name in one.ticks)
