"""Levels: bins, atoms and the missing level partition what a column admits, as declared and as brute force says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.levels import granule_bounds, level_names, levels
from privsynth.schema.ticks import MISSING

UNIFORM = {"method": "uniform", "count": 2}


def column(**keys):
    return Schema.from_json({"table": {"name": "t"}, "columns": [{"name": "x", **keys}]}).column("x")


def integer(lower, upper, **keys):
    return column(kind="integer", lower=lower, upper=upper, **keys)


@st.composite
def integer_columns(draw):
    lower = draw(st.integers(-60, 60))
    upper = lower + draw(st.integers(0, 80))
    atoms = draw(st.lists(st.integers(lower, upper), unique=True, max_size=4))
    free = upper - lower + 1 - len(atoms)
    method = draw(st.sampled_from(["none", "uniform", "quantiles", "log", "edges"]))
    keys = {"atoms": atoms, "missing": draw(st.sampled_from([[], [""]]))}
    if method == "edges":
        edges = draw(st.lists(st.integers(lower, upper), unique=True, min_size=1, max_size=6))
        keys["bins"] = {"method": "edges", "edges": sorted(edges)}
    elif method != "none":
        keys["bins"] = {"method": method, "count": draw(st.integers(1, max(1, free)))}
    return integer(lower, upper, **keys)


@given(integer_columns())
def test_every_value_is_in_exactly_one_level(one):
    layout = levels(one)
    values = np.arange(one.lower, one.upper + 1)
    codes = layout.codes(values)
    assert codes.min() >= 0
    assert codes.max() < layout.size
    assert len(np.unique(codes)) == layout.size - layout.missing, "no level is empty"
    for atom, code in zip(sorted(one.atoms), range(layout.bins, layout.size), strict=False):
        assert values[codes == code].tolist() == [atom]
    ordinary = codes[~np.isin(values, one.atoms)]
    assert (np.diff(ordinary) >= 0).all(), "bins follow the order of the values"
    assert (ordinary < layout.bins).all()


@given(integer_columns())
def test_spans_ranks_and_the_missing_level(one):
    layout = levels(one)
    values = np.arange(one.lower, one.upper + 1)
    codes = layout.codes(values)
    first, last = layout.span(np.arange(layout.size))
    for code in range(layout.size - layout.missing):
        assert first[code] == values[codes == code].min()
        assert last[code] == values[codes == code].max()
    free = values[~np.isin(values, one.atoms)]
    assert layout.rank(free).tolist() == list(range(len(free)))
    assert layout.unrank(np.arange(len(free))).tolist() == free.tolist()
    if layout.missing:
        assert layout.codes(np.array([MISSING])).tolist() == [layout.size - 1]
        assert first[-1] == last[-1] == MISSING
    assert len(level_names(one)) == layout.size == len(set(level_names(one)))


@given(integer_columns(), st.integers(2, 9))
def test_declared_numbers_of_bins_are_kept(one, count):
    free = one.upper - one.lower + 1 - len(one.atoms)
    bins = levels(one).bins
    if one.bins is None:
        assert bins == (free if free <= 32 else 32)
    elif one.bins.method == "quantiles":
        assert bins == one.bins.count or free == 0
        widths = np.diff(levels(one).ranks)
        assert free == 0 or widths.max() - widths.min() <= 1
    elif one.bins.method == "log":
        assert bins <= one.bins.count


def test_uniform_bins_have_equal_widths():
    layout = levels(integer(0, 119, bins={"method": "uniform", "count": 12}))
    assert layout.starts.tolist() == list(range(0, 120, 10))
    layout = levels(integer(0, 14, atoms=[0], bins={"method": "uniform", "count": 14}))
    assert layout.starts.tolist() == list(range(1, 15))


def test_edges_start_bins():
    layout = levels(integer(0, 120, bins={"method": "edges", "edges": [18, 65, 120]}))
    assert layout.starts.tolist() == [0, 18, 65, 120]
    layout = levels(integer(0, 120, bins={"method": "edges", "edges": [0, 18]}))
    assert layout.starts.tolist() == [0, 18]


def test_log_bins_grow_away_from_zero():
    layout = levels(integer(-1000, 1000, bins={"method": "log", "count": 8}))
    widths = np.diff(layout.ranks)
    assert layout.bins == 8
    assert widths[:4].tolist() == sorted(widths[:4].tolist(), reverse=True)
    assert widths[4:].tolist() == sorted(widths[4:].tolist())
    assert widths.sum() == 2001


def test_long_tables_and_short_ones_get_the_same_codes():
    layout = levels(integer(0, 50_000, atoms=[0, 7, 40_000], missing=[""], bins={"method": "log", "count": 40}))
    values = np.append(np.arange(0, 50_001), MISSING)
    long = np.concatenate([values, values])
    assert (
        layout.codes(long)[: values.size].tolist()
        == np.concatenate([layout.codes(values[:500]), layout.codes(values[500:])]).tolist()
    )


def test_wide_ranges_are_searched():
    one = integer(0, 1 << 40, bins={"method": "uniform", "count": 1024})
    layout = levels(one)
    values = np.random.default_rng(1).integers(0, (1 << 40) + 1, 1000)
    codes = layout.codes(values)
    assert (layout.starts[codes] <= values).all()
    assert (np.append(layout.starts, (1 << 40) + 1)[codes + 1] > values).all()


def test_labels_are_levels_in_order():
    one = column(kind="category", values=["a", "b"], missing=["?"])
    assert level_names(one) == ("a", "b", "missing")
    assert levels(one).codes(np.array([1, 0, MISSING])).tolist() == [1, 0, 2]
    assert granule_bounds(one) == (0, 1)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (
            {"kind": "number", "lower": "0", "upper": "1", "precision": "0.25", "atoms": ["1"], "bins": UNIFORM},
            ("0.00 to 0.25", "0.50 to 0.75", "1.00"),
        ),
        ({"kind": "integer", "lower": 0, "upper": 20, "step": 10}, ("0", "10", "20")),
        (
            {"kind": "date", "lower": "2001-01-01", "upper": "2001-12-31", "granularity": "month", "bins": UNIFORM},
            ("2001-01 to 2001-06", "2001-07 to 2001-12"),
        ),
        (
            {"kind": "date", "lower": "2001-01-01", "upper": "2003-01-01", "granularity": "year", "missing": [""]},
            ("2001", "2002", "2003", "missing"),
        ),
        (
            {"kind": "datetime", "lower": "2001-01-01T00:00:00", "upper": "2001-01-01T02:00:00", "granularity": "hour"},
            ("2001-01-01T00:00:00", "2001-01-01T01:00:00", "2001-01-01T02:00:00"),
        ),
        ({"kind": "boolean", "true": ["Y"], "false": ["N"]}, ("N", "Y")),
    ],
)
def test_levels_have_names(keys, names):
    assert level_names(column(**keys)) == names


def test_days_after_another_have_names():
    schema = Schema.loads(
        """
        [table]
        name = "t"
        [columns.a]
        kind = "datetime"
        granularity = "hour"
        lower = 2001-01-01T00:00:00
        upper = 2001-02-01T00:00:00
        [columns.b]
        kind = "datetime"
        granularity = "hour"
        after = "a"
        lower = 0
        upper = 2
        atoms = [0]
        bins = {method = "uniform", count = 2}
        [columns.c]
        kind = "date"
        after = "a"
        lower = 0
        upper = 1
        """
    )
    assert level_names(schema.column("c")) == ("0 days", "1 day")
    assert level_names(schema.column("b")) == ("1 to 24 hours", "25 to 48 hours", "0 hours")


def test_what_is_still_to_be_bought_has_no_levels():
    with pytest.raises(SchemaError, match="not bought yet"):
        levels(column(kind="category", buy=True))
    assert granule_bounds(column(kind="integer", buy="bounds")) == (-(1 << 50), 1 << 50)
