"""`privsynth answer`: a count, share, mean or correlation of a release, with its interval.

Must never read anything but the public files of the release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def answer(
    context: typer.Context,
    release: Annotated[Path, typer.Argument(help="The release folder.")],
    questions: Annotated[
        list[str],
        typer.Argument(
            help="""Such as "count where age >= 60 and readmitted == '<30'"; several may be asked at once."""
        ),
    ],
) -> None:
    """Say what a release knows of the real table: counts, shares, means and correlations, each with a 90 % interval."""
    from privsynth.model import Model

    console: Console = context.obj
    with console.progress():
        model = Model.from_release(release)
        found = [model.answer(question) for question in questions]
    console.result({"answers": [one.to_json() for one in found]}, [line for one in found for line in one.lines()])
