import pytest

from privsynth.policy.ages import UNBOUNDED, age_problem, earliest_year, span


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("45", (45, 45)), ("80-89", (80, 89)), ("[80-90)", (80, 89)), ("[80, 90]", (80, 90)), ("80 to 89", (80, 89)),
        ("90+", (90, UNBOUNDED)), (">=90", (90, UNBOUNDED)), ("> 89", (90, UNBOUNDED)), ("over 89", (90, UNBOUNDED)),
        ("90 or older", (90, UNBOUNDED)), ("85 years and up", (85, UNBOUNDED)), ("≥ 90", (90, UNBOUNDED)),
        ("<5", (0, 5)), ("under 5", (0, 5)), ("up to 17", (17, UNBOUNDED)), ("0.5", (0, 0)),
        ("old", None), ("1930", None), ("1-2-3", None), ("", None),
    ],
)  # fmt: skip
def test_labels_are_read_as_spans_of_ages(label, expected):
    assert span(label) == expected


@pytest.mark.parametrize(
    "labels",
    [
        ["0-17", "18-64", "65+"], ["[80-90)", "[90-100)"], ["80-89", "90+", "Unknown", "", "?"], ["85", "89", ">89"],
        ["under 18", "18 or older"], [],
    ],
)  # fmt: skip
def test_one_class_for_all_ages_over_89_is_lawful(labels):
    assert age_problem(labels) is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["89", "90", "91"], "tells ages over 89 apart"), (["[90-95)", "[95-100)"], "tells ages over 89 apart"),
        (["85+", "95+"], "tells ages over 89 apart"), (["80-89", "95+"], "for some ages over 89 only"),
        (["> 90"], "for some ages over 89 only"), (["old", "young"], "cannot be read"), (["1930"], "cannot be read"),
    ],
)  # fmt: skip
def test_ages_over_89_apart_are_a_problem_and_no_label_is_quoted(labels, said):
    problem = age_problem(labels)
    assert said in problem
    assert not any(label in problem for label in ("95", "91", "1930", "old"))


def test_the_earliest_year_of_labels():
    assert earliest_year(["1950-1959", "1940 or earlier", "x"]) == 1940
    assert earliest_year(["12345", "99"]) is None
