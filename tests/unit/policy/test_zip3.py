import csv

import pytest

from privsynth.policy import zip3

SMALL = [
    "036", "059", "102", "202", "203", "204", "205", "369", "556", "692", "753", "772", "821", "823", "878", "879", "884",
    "893",
]  # fmt: skip
"""At most 20,000 people in 2020."""
CENSUS_2000_ONLY = ["063", "790", "830", "831", "890"]
"""On the list that is copied everywhere, and grown since."""


def test_the_eighteen_small_prefixes_of_the_2020_census_are_not_allowed_and_are_the_only_ones():
    assert len(SMALL) == 18
    assert not any(map(zip3.is_allowed, SMALL))
    assert sorted(prefix for prefix in zip3.populations() if not zip3.is_allowed(prefix)) == SMALL


def test_prefixes_without_people_are_not_allowed():
    unknown = [f"{number:03d}" for number in range(1, 1000) if f"{number:03d}" not in zip3.populations()]
    assert len(unknown) == 999 - 894
    assert not any(map(zip3.is_allowed, unknown))


def test_the_allow_list_has_876_prefixes_and_the_replacement():
    assert sum(map(zip3.is_allowed, zip3.populations())) == 876
    assert zip3.is_allowed("000")
    assert all(map(zip3.is_allowed, CENSUS_2000_ONLY))


@pytest.mark.parametrize("value", ["", "1", "10", "1000", "10001", "0 0", "abc", "100-", "１００", " 100"])
def test_anything_but_three_digits_is_not_allowed(value):
    assert not zip3.is_allowed(value)


def test_the_newest_census_decides_and_exactly_20000_is_not_enough(monkeypatch):
    assert zip3.populations()["369"] == 17_596
    monkeypatch.setattr(zip3, "populations", lambda: {"111": 20_000, "112": 20_001})
    assert not zip3.is_allowed("111")
    assert zip3.is_allowed("112")


def test_the_table_is_what_it_says():
    table = zip3.resources.files("privsynth") / "shipped" / "zip3_population.tsv"
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    assert len(rows) == 894
    assert sum(int(row["pop2020_zcta"] or 0) for row in rows) == 334_726_586
    assert sum(int(row["pop2010_zcta"] or 0) for row in rows) == 308_739_931
