"""Keys as text: the same however a file holds them, different where they differ; and which of two moments is the earlier."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database.moments import earlier
from privsynth.database.referring import Keys, together
from privsynth.errors import RecordsError
from privsynth.schema.columns import DateColumn, DatetimeColumn
from privsynth.schema.ticks import MISSING, from_granules, granules


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ([1, 2, 10**10], [1.0, 1e10, np.nan]),
        (["1", "2", "10000000000"], ["1.0", " 10000000000 ", ""]),
        (["1 ", "2 ", "10000000000"], [1.0, 1e10, None]),
        ([1.0, 2.0, 1e10], ["1", "10000000000.00", None]),
        ([1.5, 2.0, 1e10], ["1.5", "10000000000", None]),
        ([-1, -2, -(10**10)], ["-1.0", "-10000000000.0", ""]),
        ([1, 2, 10**10], pa.array([1.0, 1e10, None]).dictionary_encode()),
    ],
)
def test_a_key_is_the_same_however_a_file_holds_it(there, here):
    other = here if isinstance(here, pa.Array) else pa.array(here)
    found = Keys.of({"a": pa.array(there)}, ["a"], {}).rows_of(Keys.of({"b": other}, ["b"], {}))
    assert found.tolist() == [0, 2, -1]


@pytest.mark.parametrize("large", [2.0**53, -(2.0**53), 1e300, np.inf])
def test_floats_in_which_two_keys_may_have_become_one_are_refused(large):
    assert not Keys.of({"a": pa.array([2.0**53 - 1, 2.0**53 - 2])}, ["a"], {}).repeats
    with pytest.raises(RecordsError, match=r'^column "a" is a key and holds floating-point numbers') as caught:
        Keys.of({"a": pa.array([1.0, large, None])}, ["a"], {})
    assert "9" not in str(caught.value)


def test_keys_that_differ_stay_different():
    found = Keys.of({"a": pa.array(["7", "07", "7.5", "x.0", "A", "a"])}, ["a"], {})
    assert not found.repeats
    assert Keys.of({"a": pa.array(["7", "7.0"])}, ["a"], {}).repeats
    marked = Keys.of({"a": pa.array(["7", "none", "none"])}, ["a"], {"a": ["none"]})
    assert (marked.has_empty, marked.repeats) == (True, False)


def test_what_is_no_part_of_a_key_is_none_of_a_marker_either():
    """Accents may be letters of their own (NFD, as some systems write names) or not (NFC)."""
    assert Keys.of({"a": pa.array(["Ren\u00e9", "Rene\u0301"])}, ["a"], {}).repeats
    marked = Keys.of({"a": pa.array(["-9.0", "-9", " ne\u0301ant", "7"])}, ["a"], {"a": ["-9.0", "n\u00e9ant "]})
    assert marked.places[:3].tolist() == [-1] * 3
    assert marked.places[3] >= 0


@given(st.lists(st.tuples(*[st.text("ab|\\", max_size=3)] * 2), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_parts_are_joined_so_that_different_keys_stay_different(pairs):
    parts = Keys.of({"a": pa.array([a for a, _ in pairs]), "b": pa.array([b for _, b in pairs])}, ["a", "b"], {})
    filled = [pair for pair in pairs if all(pair)]
    assert len(parts.texts) == len(set(filled))
    assert (parts.places >= 0).tolist() == [all(pair) for pair in pairs]
    assert parts.repeats == (len(set(filled)) < len(filled))
    found = parts.rows_of(parts)
    assert all(found[row] < 0 or pairs[found[row]] == pair for row, pair in enumerate(pairs))


def test_a_row_without_a_key_is_nobodys_parent():
    assert Keys.of({"a": pa.array(["7", ""])}, ["a"], {}).rows_of(
        Keys.of({"a": pa.array(["8", ""])}, ["a"], {})
    ).tolist() == [-1, -1]


def test_all_keys_together_are_in_the_order_in_which_they_first_stand():
    first = Keys.of({"a": pa.array(["z", "b", "b", "z"]), "b": pa.array(["1", "2", "1", "1"])}, ["a", "b"], {})
    second = Keys.of({"a": pa.array(["a", "z", ""]), "b": pa.array(["1", "1", "9"])}, ["a", "b"], {})
    assert together([first, second]).names() == (b"z|1", b"b|2", b"b|1", b"a|1")


def _column(kind, granularity):
    early, late = dt.datetime(1950, 1, 1), dt.datetime(2050, 1, 1)
    if kind == "date":
        return DateColumn(name="x", kind="date", granularity=granularity, lower=early.date(), upper=late.date())
    return DatetimeColumn(name="x", kind="datetime", granularity=granularity, lower=early, upper=late)


@pytest.mark.parametrize(
    ("left", "right", "gap", "wanted"),
    [
        (("datetime", "minute"), ("date", "day"), 0, False),
        (("datetime", "minute"), ("date", "day"), 1, True),
        (("date", "day"), ("datetime", "second"), 0, False),
        (("date", "day"), ("datetime", "second"), 1, True),
        (("datetime", "second"), ("datetime", "hour"), 0, False),
        (("datetime", "hour"), ("datetime", "second"), 0, False),
        (("datetime", "minute"), ("datetime", "second"), 0, True),
        (("datetime", "hour"), ("datetime", "second"), 1, True),
        (("date", "month"), ("date", "day"), 20, False),
        (("date", "month"), ("date", "day"), 31, True),
        (("date", "day"), ("date", "year"), 200, False),
        (("date", "year"), ("datetime", "minute"), 364, False),
        (("date", "year"), ("datetime", "minute"), 366, True),
    ],
)
def test_moments_are_compared_in_the_coarser_of_their_units(left, right, gap, wanted):
    """`right` is so many days after 2001-01-01, half an hour after noon where it has hours; `left` is noon of 2001-01-01."""
    ticks = []
    for (kind, granularity), day, minute in ((left, 0, 720), (right, gap, 750)):
        days = (np.datetime64("2001-01-01") + day).astype("datetime64[D]").astype(np.int64)
        seconds = {"second": 1, "minute": 60, "hour": 3600}.get(granularity)
        column = _column(kind, granularity)
        point = np.array([days]) if seconds is None else np.array([(days * 86400 + minute * 60) // seconds])
        ticks.append((column, from_granules(column, granules(column, point))))
    assert earlier(*ticks[0], *ticks[1]).tolist() == [wanted]
    assert earlier(*ticks[0], ticks[1][0], np.array([MISSING])).tolist() == [False]
