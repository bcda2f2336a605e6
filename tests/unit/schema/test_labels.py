"""Labels that a spreadsheet would run, or a terminal obey, are refused; everything else that people write is not."""

import pytest

from privsynth.schema import labels


@pytest.mark.parametrize(
    "label",
    [
        "Female",
        "<30",
        ">200",
        "[0-10)",
        "Ünïcode",
        "a,b",
        'say "hi"',
        "<b>bold</b>",
        " Physician Referral",
        "0",
        "?",
        "日本",
    ],
)
def test_lawful_labels(label):
    assert labels.problem(label) is None


@pytest.mark.parametrize(
    "label", ["=1+1", "+1", "-1", "@x", "\t=x", " =x", "\uff1dx", "\uff0bx", "\uff0dx", "\uff20x", "-"]
)
def test_formulas_are_refused(label):
    assert labels.problem(label) is not None


@pytest.mark.parametrize("label", ["a\x00b", "a\tb", "a\rb", "a\nb", "a\x7fb", "a\x9bb", "\x1b[31m"])
def test_control_characters_are_refused(label):
    assert "control character" in labels.problem(label)


def test_empty_and_long_labels_are_refused():
    assert "missing" in labels.problem("")
    assert labels.problem("x" * labels.MAX_LABEL_LENGTH) is None
    assert "longer" in labels.problem("x" * (labels.MAX_LABEL_LENGTH + 1))


def test_first_problem_names_the_label():
    assert labels.first_problem(["a", "b"]) is None
    assert "'a' is declared twice" in labels.first_problem(["a", "b", "a"])
    assert "'=x'" in labels.first_problem(["a", "=x"])
