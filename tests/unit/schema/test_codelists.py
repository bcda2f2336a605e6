"""The shipped code lists are lawful, and raw ICD-9 codes find their chapter."""

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import codelists, labels


@pytest.mark.parametrize("name", codelists.names())
def test_every_list_is_lawful_and_knows_its_own_labels(name):
    found = codelists.load(name)
    assert labels.first_problem(found.labels) is None
    assert found.title
    assert found.source
    assert found.find(list(found.labels)).tolist() == list(range(len(found.labels)))


def test_three_lists_ship():
    assert codelists.names() == ("icd9-chapters", "iso-countries", "us-states")
    assert len(codelists.load("us-states").labels) == 56
    assert len(codelists.load("iso-countries").labels) == 249
    assert len(codelists.load("icd9-chapters").labels) == 19


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("250.83", "240-279"),
        ("001", "001-139"),
        ("8", "001-139"),
        ("139.8", "001-139"),
        ("140", "140-239"),
        ("428", "390-459"),
        ("999.9", "800-999"),
        ("V27", "V01-V91"),
        ("v27.1", "V01-V91"),
        ("E885.9", "E000-E999"),
    ],
)
def test_icd9_codes_find_their_chapter(code, start):
    found = codelists.load("icd9-chapters")
    assert found.labels[found.find([code])[0]].startswith(start + " ")


@pytest.mark.parametrize("code", ["", "?", "1000", "0", "V92", "X10", "25O", "250-", "-250", "9" * 30, "²"])
def test_what_is_no_code_is_not_found(code):
    assert codelists.load("icd9-chapters").find([code]).tolist() == [-1]


def test_icd9_ranges_cover_every_category_once():
    ranges = [one for one in codelists.load("icd9-chapters").ranges if one.prefix == ""]
    covered = [number for one in ranges for number in range(one.first, one.last + 1)]
    assert covered == list(range(1, 1000))


def test_lists_without_ranges_know_their_labels_only():
    assert codelists.load("us-states").find(["TX", "tx", "Texas", "TX1"]).tolist()[1:] == [-1, -1, -1]


def test_an_unknown_list():
    with pytest.raises(SchemaError, match="there are icd9-chapters"):
        codelists.load("../secrets")
