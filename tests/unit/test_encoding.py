"""Encoding: a function of the schema alone; what is decoded lies in the level that it was decoded from."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from privsynth import encoding
from privsynth.dataset import Dataset
from privsynth.encoding import decode, domain, encode, encode_public, evidence
from privsynth.errors import RecordsError, SchemaError
from privsynth.private import Private
from privsynth.records import Records, read_public
from privsynth.rules import meets
from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING

SCHEMA = Schema.loads(
    """
    [table]
    name = "t"
    [columns.race]
    kind = "category"
    values = ["a", "b", "c"]
    missing = ["?"]
    [columns.band]
    kind = "ordered"
    values = ["lo", "mid", "hi"]
    [columns.smoker]
    kind = "boolean"
    missing = [""]
    [columns.stay]
    kind = "integer"
    lower = 1
    upper = 14
    bins = {method = "uniform", count = 14}
    [columns.visits]
    kind = "integer"
    lower = 0
    upper = 400
    step = 4
    atoms = [0, 40]
    bins = {method = "log", count = 6}
    missing = ["-1"]
    [columns.balance]
    kind = "number"
    lower = "-100.00"
    upper = "5000.00"
    precision = "0.01"
    bins = {method = "edges", edges = ["0", "0.01", "1000"]}
    atoms = ["0", "99.99"]
    [columns.born]
    kind = "date"
    lower = 1900-01-01
    upper = 2000-12-31
    granularity = "month"
    bins = {method = "quantiles", count = 10}
    [columns.admit]
    kind = "date"
    lower = 2001-01-01
    upper = 2008-12-31
    missing = [""]
    [columns.seen]
    kind = "datetime"
    granularity = "hour"
    after = "admit"
    lower = 0
    upper = 3
    atoms = [0]
    bins = {method = "uniform", count = 3}
    missing = [""]
    [columns.discharge]
    kind = "date"
    after = "seen"
    lower = 0
    upper = 60
    missing = [""]
    """
)
SIZES = SCHEMA.domain()


@st.composite
def datasets(draw):
    rows = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    codes = {name: rng.integers(0, size, rows) for name, size in zip(SIZES.attributes, SIZES.sizes, strict=True)}
    return Dataset.from_columns(codes, SIZES)


def sample(rows: int, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, size, rows) for name, size in zip(SIZES.attributes, SIZES.sizes, strict=True)}
    return Dataset.from_columns(codes, SIZES)


@given(datasets(), st.integers(0, 1 << 32))
def test_what_is_decoded_is_encoded_as_the_same_levels(dataset, seed):
    records = decode(dataset, SCHEMA, rng=np.random.default_rng(seed))
    again = encode_public(records)
    admit_missing = records.ticks["admit"] == MISSING
    for name, before, after in zip(SIZES.attributes, dataset.columns, again.columns, strict=True):
        asked = before != after
        if name in ("seen", "discharge"):
            gone = admit_missing | ((records.ticks["seen"] == MISSING) & (name == "discharge"))
            assert (after[gone] == SIZES.size(name) - 1).all(), "without its base a column is missing"
            asked = asked & ~gone
        assert not asked.any(), name


@given(datasets(), st.integers(0, 1 << 32))
def test_encoding_then_decoding_keeps_values_to_within_their_bin(dataset, seed):
    records = decode(dataset, SCHEMA, rng=np.random.default_rng(0))
    back = decode(encode_public(records), SCHEMA, rng=np.random.default_rng(seed))
    for name in ("race", "band", "smoker", "stay"):
        assert (records.ticks[name] == back.ticks[name]).all(), "single values are kept exactly"
    for name, atoms in (("visits", (0, 10)), ("balance", (0, 9999))):
        for atom in (*atoms, MISSING):
            assert ((records.ticks[name] == atom) == (back.ticks[name] == atom)).all(), "atoms are kept exactly"
    assert [column.tolist() for column in encode_public(back).columns] == [
        column.tolist() for column in encode_public(records).columns
    ]


def test_encoding_in_blocks_changes_nothing(monkeypatch):
    records = decode(sample(50), SCHEMA, rng=np.random.default_rng(0))
    at_once = encode_public(records)
    monkeypatch.setattr(encoding, "_BLOCK_ROWS", 7)
    for before, after in zip(at_once.columns, encode_public(records).columns, strict=True):
        assert before.dtype == after.dtype
        assert before.tolist() == after.tolist()
    assert encode_public(records.take(slice(0))).rows == 0


@pytest.mark.parametrize("given_", [{}, {"stay": (3, 5), "visits": [0, 4]}])
def test_decoding_in_blocks_changes_nothing(monkeypatch, given_):
    dataset = sample(3_000, seed=1)
    for name, codes in evidence(SCHEMA, given_).items():
        dataset = dataset.take(np.isin(dataset.column(name), codes))
    at_once = decode(dataset, SCHEMA, rng=np.random.default_rng(2), given=given_)
    assert at_once.rows > 30
    monkeypatch.setattr(encoding, "_CACHED_ROWS", 11)
    in_blocks = decode(dataset, SCHEMA, rng=np.random.default_rng(2), given=given_)
    for name in at_once.ticks:
        assert in_blocks.ticks[name].tolist() == at_once.ticks[name].tolist(), name


def test_private_records_stay_in_their_box():
    records = decode(sample(5), SCHEMA, rng=np.random.default_rng(0))
    boxed = encode(Private(records))
    assert isinstance(boxed, Private)
    assert [column.tolist() for column in boxed.open().columns] == [
        column.tolist() for column in encode_public(records).columns
    ]
    assert domain(SCHEMA) == boxed.open().domain


def test_decoding_stays_inside_the_schema():
    records = decode(sample(20_000), SCHEMA, rng=np.random.default_rng(1))
    ticks = records.ticks
    assert set(np.unique(ticks["visits"]).tolist()) <= {MISSING, *range(101)}
    assert ticks["balance"].min() >= -10_000
    assert ticks["balance"].max() <= 500_000
    born = ticks["born"].astype("datetime64[D]")
    assert (born == born.astype("datetime64[M]")).all(), "a month is the tick of its first day"
    there = (ticks["admit"] != MISSING) & (ticks["seen"] != MISSING)
    hours = ticks["seen"][there] - 24 * ticks["admit"][there]
    assert (hours.min(), hours.max()) == (0, 72)


def test_draws_within_a_bin_are_uniform_over_its_admissible_values():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.x]\nkind="integer"\nlower=0\nupper=20\natoms=[0, 7]\nbins={method="uniform", count=1}'
    )
    rows = 190_000
    codes = Dataset.from_columns({"x": np.zeros(rows, dtype=np.int64)}, schema.domain())
    drawn = decode(codes, schema, rng=np.random.default_rng(5)).ticks["x"]
    counts = np.bincount(drawn, minlength=21)
    assert counts[[0, 7]].tolist() == [0, 0]
    assert stats.chisquare(np.delete(counts, [0, 7])).pvalue > 1e-6


def test_a_dataset_of_another_schema_is_refused():
    other = Schema.from_domain({"x": 3})
    with pytest.raises(SchemaError, match="domain is not the schema's"):
        decode(sample(3), other, rng=np.random.default_rng(0))


def test_encoding_needs_a_complete_schema():
    schema = Schema.loads('[table]\nname="t"\n[columns.x]\nkind="category"\nbuy=true')
    records = read_public({"x": ["a"]}, schema)
    with pytest.raises(SchemaError, match="something to buy: x"):
        encode_public(records)


@pytest.mark.parametrize("value", [3, -1, MISSING])
def test_values_outside_the_domain_are_not_encoded(value):
    schema = Schema.from_domain({"x": 3})
    with pytest.raises(RecordsError, match='column "x" holds values outside'):
        encode_public(Records(schema=schema, ticks={"x": np.array([0, value], dtype=np.int64)}))


GIVEN = [
    {"race": "a"},
    {"race": None},
    {"race": "?"},
    {"race": ["a", None]},
    {"race": {"b", "c"}},
    {"band": ("lo", "mid")},
    {"band": "hi"},
    {"smoker": True},
    {"smoker": [False, None]},
    {"stay": 3},
    {"stay": (3, 5)},
    {"stay": (None, 5)},
    {"stay": (13, None)},
    {"visits": (8, 60)},
    {"visits": [0, 8, 12, 200]},
    {"visits": 40},
    {"balance": 17.5},
    {"balance": "99.99"},
    {"balance": (-3, 12.5)},
    {"balance": (99.99, 99.99)},
    {"born": "1950-03"},
    {"born": dt.date(1950, 3, 17)},
    {"born": ("1950-01", "1951-12")},
    {"admit": (dt.date(2002, 1, 1), dt.date(2002, 1, 31))},
    {"seen": 2, "admit": "2002-01-05"},
    {"seen": (1, 2)},
    {"discharge": [0, 7], "seen": 0, "admit": (dt.date(2002, 1, 1), None)},
    {"race": "a", "stay": (1, 2), "balance": [0, 5]},
]


@pytest.mark.parametrize("given_", GIVEN, ids=range(len(GIVEN)))
def test_conditions_are_met_exactly(given_):
    allowed = evidence(SCHEMA, given_)
    assert list(allowed) == list(given_)
    rng = np.random.default_rng(2)
    codes = dict(zip(SIZES.attributes, sample(400).columns, strict=True))
    for name, levels in allowed.items():
        assert levels.dtype == np.int64
        assert levels.tolist() == sorted(set(levels.tolist()))
        codes[name] = rng.choice(levels, 400)
    if "seen" in given_ or "discharge" in given_:
        for name in ("admit", "seen"):
            if name not in given_:
                codes[name] = np.zeros(400, dtype=np.int64)
    records = decode(Dataset.from_columns(codes, SIZES), SCHEMA, rng=rng, given=given_)
    assert meets(SCHEMA, records, given_).all()
    again = dict(zip(SIZES.attributes, encode_public(records).columns, strict=True))
    for name in given_:
        assert (again[name] == codes[name]).all(), "each row keeps its level"


def test_conditions_that_do_not_hold_are_seen():
    records = decode(sample(500), SCHEMA, rng=np.random.default_rng(0))
    met = meets(SCHEMA, records, {"race": "a", "stay": (3, 5)})
    race, stay = records.ticks["race"], records.ticks["stay"]
    assert (met == ((race == 0) & (stay >= 3) & (stay <= 5))).all()
    assert 0 < met.sum() < 500


def test_exact_values_come_back():
    given_ = {"balance": 17.5, "visits": 12, "born": "1950-03", "race": "c"}
    codes = dict(zip(SIZES.attributes, sample(50).columns, strict=True))
    codes.update({name: np.repeat(levels, 50) for name, levels in evidence(SCHEMA, given_).items()})
    records = decode(Dataset.from_columns(codes, SIZES), SCHEMA, rng=np.random.default_rng(0), given=given_)
    assert set(records.ticks["balance"].tolist()) == {1750}
    assert set(records.ticks["visits"].tolist()) == {3}
    assert set(records.ticks["born"].tolist()) == {(dt.date(1950, 3, 1) - dt.date(1970, 1, 1)).days}
    assert set(records.ticks["race"].tolist()) == {2}


def test_a_range_reaches_all_of_its_values():
    given_ = {"stay": (3, 5), "balance": ("0.00", "0.05")}
    rng = np.random.default_rng(0)
    codes = dict(zip(SIZES.attributes, sample(3000).columns, strict=True))
    codes.update({name: rng.choice(levels, 3000) for name, levels in evidence(SCHEMA, given_).items()})
    records = decode(Dataset.from_columns(codes, SIZES), SCHEMA, rng=rng, given=given_)
    assert set(records.ticks["stay"].tolist()) == {3, 4, 5}
    assert set(records.ticks["balance"].tolist()) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("given_", "say"),
    [
        ({"nobody": 1}, 'no column "nobody"'),
        ({"race": "d"}, "none of its labels"),
        ({"race": ("a", "b")}, "as a list"),
        ({"race": []}, "the list is empty"),
        ({"band": None}, "never missing"),
        ({"stay": 15}, "outside the declared bounds"),
        ({"stay": "many"}, "expected a number"),
        ({"stay": 3.5}, "not a multiple"),
        ({"stay": (5, 3)}, "holds no value"),
        ({"stay": (20, 30)}, "range from 20 to 30 holds no value"),
        ({"stay": ("20", None)}, "range from 20 upwards holds no value"),
        ({"stay": (1, 2, 3)}, "no pair"),
        ({"stay": [1, 99]}, "outside the declared bounds"),
        ({"balance": float("nan")}, "finite"),
        ({"visits": 6}, "not a multiple"),
        ({"born": "soon"}, "expected a date"),
        ({"seen": dt.date(2002, 1, 1)}, 'expected whole days after "admit"'),
        ({"seen": True}, 'expected whole days after "admit"'),
        ({"seen": 9}, "outside the declared bounds"),
    ],
    ids=str,
)
def test_conditions_that_cannot_be_met_are_refused(given_, say):
    with pytest.raises(SchemaError, match=say):
        evidence(SCHEMA, given_)


@pytest.mark.parametrize("given_", [{"stay": (3, 5)}, {"stay": 3}, {"balance": (2000, None)}], ids=str)
def test_rows_drawn_without_the_condition_are_refused(given_):
    with pytest.raises(SchemaError, match="not drawn under the condition"):
        decode(sample(50), SCHEMA, rng=np.random.default_rng(0), given=given_)
