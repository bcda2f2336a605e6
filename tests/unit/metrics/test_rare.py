"""The fate of rare categories, what the noise decided, and that no small count is shown or can be worked out."""

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.metrics.rare import NoisyColumn, rare_categories
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "t"
[columns.ward]
kind = "category"
values = ["A", "B", "C", "D", "E", "F"]
[columns.age]
kind = "integer"
lower = 0
upper = 9
""")
REAL, MADE = [5000, 4, 0, 30, 45, 20], [4900, 0, 7, 40, 0, 12]


def data(counts):
    wards = np.repeat(np.arange(6), counts)
    return Dataset.from_columns({"ward": wards, "age": np.zeros_like(wards)}, SCHEMA.domain())


def found(noisy=None, merged=None):
    told = {} if noisy is None else {"ward": NoisyColumn(counts=np.array(noisy, float), sigma=5.0, total=5099.0)}
    return rare_categories(SCHEMA, data(REAL), data(MADE), merged=merged or {}, noisy=told, min_cell=11)


def test_each_category_has_its_fate_and_common_ones_and_numbers_are_left_out():
    fates = {one.label: one.fate for one in found().categories}
    assert fates == {"B": "lost", "C": "invented", "D": "kept", "E": "lost", "F": "kept"}
    assert found().counts == {"lost": 2, "merged": 0, "invented": 1, "kept": 2}


def test_the_noise_says_what_it_decided():
    decided = {one.label: one.decided for one in found([5000, 9, 16, 29, 40, 3]).categories}
    assert decided["B"] == "the noise hid it"
    assert decided["E"] == "seen above the noise, and yet not drawn"
    assert decided["C"] == "the noise made it"
    assert decided["D"] == "seen above the noise"
    assert decided["F"].startswith("kept, though the noise alone")
    made_by_model = {one.label: one for one in found([5000, 9, -2, 29, 40, 3]).categories}["C"]
    assert made_by_model.decided.startswith("the model made it")
    assert {one.decided for one in found().categories} == {""}


def test_noisy_counts_are_scaled_to_the_rows_of_the_real_table():
    told = {"ward": NoisyColumn(counts=np.array([2500.0, 2, 0, 15, 22, 10]), sigma=5.0, total=5099 / 2)}
    got = rare_categories(SCHEMA, data(REAL), data(MADE), merged={}, noisy=told, min_cell=11)
    kept = {one.label: one for one in got.categories}["D"]
    assert kept.noisy == pytest.approx(30)
    assert kept.sigma == pytest.approx(10)


def test_a_small_count_is_hidden_with_one_more_of_its_column():
    shown = {one.label: one.real for one in found().categories}
    assert shown["B"] is None
    assert [label for label, count in shown.items() if count is None] == ["B", "F"]
    assert (shown["C"], shown["D"], shown["E"]) == (0, 30, 45)


def test_labels_that_were_not_bought_are_merged():
    got = found([5000, 9, 0, 29, 40, 20], merged={"ward": {"Z": (14, 14), "Y": (2, 2)}})
    merged = [one for one in got.categories if one.fate == "merged"]
    assert [(one.label, one.synthetic) for one in merged] == [("Z", 0), ("Y", 0)]
    assert merged[0].real is merged[1].real is None
    assert all("labels are bought" in one.decided for one in merged)


def test_a_category_of_few_people_is_hidden_however_many_rows_they_have():
    """All 45 rows of E are one person's."""
    real = data(REAL)
    units = np.where(real.column("ward") == 4, 0, np.arange(real.rows))
    got = rare_categories(SCHEMA, real, data(MADE), merged={}, noisy={}, min_cell=11, units=units)
    assert {one.label: one.real for one in got.categories}["E"] is None


def test_categories_that_are_counted_as_one_elsewhere_are_not_counted_alone():
    got = rare_categories(
        SCHEMA,
        data([5000, 0, 0, 30, 45, 20]),
        data(MADE),
        merged={},
        noisy={},
        min_cell=11,
        together={"ward": ("D", "E")},
    )
    shown = {one.label: one.real for one in got.categories}
    assert (shown["D"], shown["E"], shown["F"]) == (None, None, 20)
