"""The page on error bars: every question on it can be asked of the example that it speaks of."""

import re
from pathlib import Path

import pytest

from privsynth.answering.parsing import parse
from privsynth.schema import Schema

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "error-bars.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("privsynth ")]
QUESTIONS = [question for line in COMMANDS for question in re.findall(r'"([^"]*)"', line)]
QUESTIONS += re.findall(r'model\.answer\("([^"]*)"\)', PAGE)


def test_there_are_questions_of_every_kind():
    assert {question.split()[0] for question in QUESTIONS} == {"count", "share", "mean", "correlation"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_on_the_page_can_be_asked(question):
    assert parse(question, Schema.load(ROOT / "examples" / "hospital_stays" / "schema.toml")).columns
