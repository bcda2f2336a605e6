"""The typed view of the predicate: what is not there, or of another type, is an error that names the path."""

import pytest

from privsynth.errors import ClaimMismatch
from privsynth.report.claims import Claims

CLAIMS = Claims({"a": {"b": "1.5", "n": 3, "f": True, "none": None}, "rows": [{"x": 1}, {"x": 2}], "texts": ["u", "v"]})


def test_values_by_path():
    assert CLAIMS.text("a.b") == "1.5"
    assert CLAIMS.text("a.n") == "3"
    assert CLAIMS.number("a.b") == 1.5
    assert [row.number("x") for row in CLAIMS.rows("rows")] == [1, 2]
    assert CLAIMS.texts("texts") == ["u", "v"]
    assert list(CLAIMS.pairs("a")) == ["b", "n", "f", "none"]
    assert CLAIMS.has("a.b")
    assert not CLAIMS.has("a.none")
    assert not CLAIMS.has("a.absent")


@pytest.mark.parametrize(
    ("read", "path"),
    [
        ("text", "a.absent"),
        ("text", "a.b.c"),
        ("text", "a.f"),
        ("text", "a.none"),
        ("number", "a.f"),
        ("number", "rows"),
        ("rows", "a.b"),
        ("rows", "texts"),
        ("texts", "a.b"),
        ("pairs", "rows"),
    ],
)
def test_what_is_absent_or_of_another_type_is_named(read, path):
    with pytest.raises(ClaimMismatch, match=path):
        getattr(CLAIMS, read)(path)


def test_a_text_that_is_no_number_is_refused():
    with pytest.raises(ClaimMismatch, match="decimal string"):
        Claims({"epsilon": "much"}).number("epsilon")
