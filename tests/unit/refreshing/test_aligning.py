"""What becomes of each column when a schema changes: carried over, summed exactly, told apart as new, or refused."""

import pytest

from privsynth.errors import SchemaError
from privsynth.refreshing.aligning import align
from privsynth.schema import Schema

BASE = """
[table]
name = "t"
[columns.ward]
kind = "category"
values = ["A", "B", "C"]
[columns.age]
kind = "integer"
lower = 0
upper = 99
atoms = [0]
bins = {method = "uniform", count = 8}
[columns.when]
kind = "date"
lower = 2020-01-01
upper = 2020-12-31
bins = {method = "uniform", count = 4}
[columns.sex]
kind = "boolean"
"""


def aligned(*changes, mapped=None):
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return align(Schema.loads(BASE), Schema.loads(text), mapped)


def level_of(found, name):
    return next(one.level_of for one in found.carried if one.name == name)


def test_an_equal_schema_carries_every_column_level_by_level():
    found = aligned()
    assert [one.name for one in found.carried] == ["ward", "age", "when", "sex"]
    assert all(one.level_of == tuple(range(len(one.level_of))) for one in found.carried)
    assert (found.new, found.gone) == ({}, ())


def test_a_column_that_is_gone_and_one_that_is_new_are_named():
    found = aligned(('[columns.sex]\nkind = "boolean"', '[columns.smokes]\nkind = "boolean"'))
    assert found.gone == ("sex",)
    assert list(found.new) == ["smokes"]
    assert not found.carries("smokes")
    assert found.carries("ward")


def test_a_renamed_column_is_carried_with_a_map():
    found = aligned(("[columns.sex]", "[columns.gender]"), mapped={"sex": "gender"})
    assert [(one.was, one.name) for one in found.carried][-1] == ("sex", "gender")
    assert found.gone == ()


def test_labels_in_another_order_are_followed():
    assert level_of(aligned(('"A", "B", "C"', '"C", "A", "B"')), "ward") == (1, 2, 0)


def test_labels_that_a_map_merges_are_summed():
    found = aligned(('"A", "B", "C"', '"A", "other"'), mapped={"ward": {"B": "other", "C": "other"}})
    assert level_of(found, "ward") == (0, 1, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"A", "B", "C"', '"A", "B"'), '"C" is gone'),
        (('"A", "B", "C"', '"A", "B", "C", "D"'), '"D" is new'),
        (('values = ["A", "B", "C"]', 'values = ["A", "B", "C"]\nmissing = ["?"]'), "may be missing"),
        (('kind = "category"\nvalues = ["A", "B", "C"]', 'kind = "integer"\nlower = 0\nupper = 2'), "kind, bounds"),
    ],
)
def test_labels_that_cannot_be_summed_make_a_column_new_and_say_why(change, words):
    assert words in aligned(change).new["ward"]


def test_bins_that_are_taken_together_are_summed_atoms_and_all():
    assert level_of(aligned(("count = 8", "count = 4")), "age") == (0, 0, 1, 1, 2, 2, 3, 3, 4)
    without = aligned(("count = 8", "count = 4"), ("atoms = [0]\n", ""))
    assert level_of(without, "age") == (0, 0, 1, 1, 2, 2, 3, 3, 0)
    assert level_of(aligned(('"uniform", count = 4}', '"uniform", count = 2}')), "when") == (0, 0, 1, 1)


@pytest.mark.parametrize(
    "change", [("count = 8", "count = 7"), ("upper = 99", "upper = 120"), ("atoms = [0]", "atoms = [0, 50]")]
)
def test_bins_that_the_old_ones_do_not_fit_make_a_column_new(change):
    assert "age" in aligned(change).new


def test_a_schema_with_nothing_in_common_is_refused_with_reasons():
    other = Schema.loads('[table]\nname = "t"\n[columns.ward]\nkind = "category"\nvalues = ["X", "Y"]\n')
    with pytest.raises(SchemaError, match=r'nothing of the earlier release.*"ward".*gone'):
        align(Schema.loads(BASE), other)


def test_a_schema_of_another_table_is_asked_about_first_and_five_columns_named():
    other = Schema.from_domain({f"x{place}": 2 for place in range(24)})
    with pytest.raises(SchemaError, match=r"^is this the schema of this table.*and 19 more") as caught:
        align(Schema.loads(BASE), other)
    assert str(caught.value).count("has no such column") == 5


def test_a_map_the_wrong_way_round_is_called_swapped():
    with pytest.raises(SchemaError, match='sex" is no modelled column of the new schema; the two look swapped'):
        aligned(("[columns.sex]", "[columns.gender]"), mapped={"gender": "sex"})


@pytest.mark.parametrize(
    ("mapped", "words"),
    [
        (
            {"nobody": "sex"},
            '^map: nobody = "sex" reads old = "new", and "nobody" is no modelled column of the earlier',
        ),
        ({"sex": "nobody"}, 'and "nobody" is no modelled column of the new schema$'),
        ({"sex": 3}, 'the entry "sex" is neither a name nor a table of labels; expected old_column = "new_column"'),
        ({"ward": {"A": 3}}, 'the entry "ward" is neither'),
        ({"ward": {"A": "Z"}}, '"Z" is no label of the column in the new schema'),
        ({"nobody": {"A": "B"}}, "no modelled column"),
        ({"ward": {"Z": "A"}}, '"Z" is no label of the column in the earlier release'),
        ({"age": {"1": "2"}}, "which has none"),
        ({"sex": "ward"}, "two earlier columns"),
    ],
)
def test_a_map_of_what_is_not_there_is_refused(mapped, words):
    with pytest.raises(SchemaError, match=words):
        aligned(mapped=mapped)
