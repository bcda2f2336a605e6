"""`privsynth answer`: a count, share, mean or correlation of a release, with its interval.

Must never read anything but the public files of the release.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.trusting import Trust, signatures
from privsynth.errors import InputError

if TYPE_CHECKING:
    from privsynth.answering import Answer
    from privsynth.schema import Schema


def answer(
    context: typer.Context,
    release: Annotated[Path, typer.Argument(help="The release folder.")],
    questions: Annotated[
        list[str],
        typer.Argument(
            help="""Such as "count where age >= 60 and readmitted == '<30'"; several may be asked at once."""
        ),
    ],
    table: Annotated[
        str | None,
        typer.Option(help="Of several tables, the one that is asked about; by default that of the units."),
    ] = None,
    trust: Trust = None,
) -> None:
    """Say what a release knows of the real table: counts, shares, means and correlations, each with a 90 % interval."""
    from privsynth.transcript_files import DOCUMENT

    console: Console = context.obj
    if (release / DOCUMENT).is_file():
        raise InputError(
            f'"{release}" is a saved model; expected the folder of a release. In Python, Model.load(folder).answer(question) '
            "answers from a model"
        )
    said, signed = signatures([release], trust)
    with console.progress():
        found = _answers(release, questions, table)
    lines = [line for one in found for line in one.lines()]
    console.result({"answers": [one.to_json() for one in found], **said}, [*lines, *signed])


def _answers(release: Path, questions: list[str], table: str | None) -> list[Answer]:
    from privsynth import published
    from privsynth.histories.history_model import HistoryModel
    from privsynth.model import Model

    if published.holds_several_tables(release):
        histories = HistoryModel.from_release(release)
        return [histories.answer(question, table) for question in questions]
    if table is not None:
        raise InputError(f'"{release}" is a release of one table; leave out --table')
    model = Model.from_release(release)
    _require_questions(questions, model.schema)
    return [model.answer(question) for question in questions]


def _require_questions(questions: list[str], schema: Schema) -> None:
    """Read every question before the first is answered, which takes refits. Raises: InputError naming the one that is wrong."""
    from privsynth.answering.parsing import parse

    for number, question in enumerate(questions, 1):
        try:
            parse(question, schema)
        except InputError as error:
            place = f"question {number} of {len(questions)}: " if len(questions) > 1 else ""
            raise InputError(f"{place}{error}") from None
