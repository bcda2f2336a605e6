"""The page on error bars: each question on it can be asked, of the hospital or, of several tables, of the tests' clinic."""

import re
from pathlib import Path

import pytest

from privsynth.answering.parsing import parse
from privsynth.database.document import DatabaseSchema
from privsynth.histories.asking import asked_of
from privsynth.schema import Schema
from tests.made_database import CLINIC_TOML

ROOT = Path(__file__).parents[3]
PAGE, OF_SEVERAL = (ROOT / "docs" / "error-bars.md").read_text().split("## Several tables")


def asked(page: str) -> list[tuple[str, str]]:
    """Questions in commands and in Python, each with the table that it is about."""
    found = [
        ((re.findall(r"--table (\w+)", line) or ["patients"])[0], question)
        for line in page.splitlines()
        if line.startswith("privsynth ")
        for question in re.findall(r'"([^"]*)"', line)
    ]
    calls = re.findall(r'model\.answer\("([^"]*)"(?:, table="(\w+)")?\)', page)
    return found + [(table or "patients", question) for question, table in calls]


QUESTIONS = [question for _, question in asked(PAGE)]


def test_there_are_questions_of_every_kind():
    assert {question.split()[0] for question in QUESTIONS} == {"count", "share", "mean", "correlation"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_on_the_page_can_be_asked(question):
    assert parse(question, Schema.load(ROOT / "examples" / "hospital_stays" / "schema.toml")).columns


def test_the_part_on_several_tables_asks_more_than_one_of_them():
    assert {table for table, _ in asked(OF_SEVERAL)} == {"patients", "stays"}


@pytest.mark.parametrize(("table", "question"), asked(OF_SEVERAL))
def test_a_question_about_one_of_several_tables_can_be_asked(table, question):
    assert parse(question, asked_of(DatabaseSchema.loads(CLINIC_TOML), table).columns).columns
