"""`privsynth evaluate`: what a synthetic table is good for, measured against the real one; internal.

Must never write its figures anywhere but into the folder that --out names, which its owner alone may enter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import MinCell, Outcome, Target
from privsynth.cli.trusting import Trust, among, signatures


def evaluate(
    context: typer.Context,
    synthetic: Annotated[Path, typer.Argument(help="The folder of a release, or a synthetic table: CSV or Parquet.")],
    *,
    real: Annotated[Path, typer.Option(help="The real table that it stands for.")],
    schema: Annotated[
        Path | None, typer.Option(help="The schema, a TOML file; a release's folder brings its own.")
    ] = None,
    holdout: Annotated[Path | None, typer.Option(help="Real records that the generator did not see.")] = None,
    target: Target = None,
    outcome: Outcome = None,
    release: Annotated[
        Path | None,
        typer.Option(help="The folder of the release that the table comes from, for its epsilon and noise."),
    ] = None,
    peer: Annotated[
        list[Path] | None, typer.Option(help="Another synthetic table, measured beside it; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder for the page and the figures (mode 0700).")] = None,
    min_cell: MinCell = 11,
    trust: Trust = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which rows and columns are drawn where not all are.")] = 0,
) -> None:
    """Measure what a synthetic table is good for: internal, never to be released.

    Impossible rows, errors of tables of one to three columns, NIST's k-marginal score, correlations, learners taught on
    synthetic rows and judged on real ones, whether it can be told from the real table, rare categories, groups, closest
    records.
    """
    import numpy as np

    from privsynth.errors import InputError
    from privsynth.evaluating import evaluate as run

    console: Console = context.obj
    peers = {one.stem if one.suffix else one.name: one for one in peer or []}
    if len(peers) != len(peer or []):
        raise InputError("two of the tables beside it have the same name; rename one of the files")
    said, signed = signatures(among([synthetic, release, *peers.values()]), trust)
    with console.progress():
        found = run(
            synthetic,
            real=real,
            holdout=holdout,
            schema=schema,
            out=out,
            target=target,
            outcome=tuple(outcome or ()),
            release=release,
            peers=peers,
            min_cell=min_cell,
            rng=np.random.default_rng(seed),
        )
    lines = [*found.lines(), *signed]
    console.result({**found.to_json(), **said}, lines if out is None else [*lines, f"written to {out}"])
