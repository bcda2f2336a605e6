"""`privsynth augment`: synthetic rows of rare classes beside real ones, and whether that helps; internal.

Must never write anywhere but into the folder that --out names, which its owner alone may enter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import MinCell, Outcome, SchemaFile, Target


def augment(
    context: typer.Context,
    real: Annotated[Path, typer.Argument(help="The real training table: CSV or Parquet.")],
    *,
    schema: SchemaFile,
    out: Annotated[Path, typer.Option(help="A new folder for the joined table and the report (mode 0700).")],
    synthetic: Annotated[
        Path | None, typer.Option(help="The folder of a release or of a saved model, or a synthetic table.")
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(help="Instead: fit a generator in each fold with this epsilon; exploration, uncertified."),
    ] = None,
    delta: Annotated[str, typer.Option(help="The delta of --refit.")] = "1e-6",
    generator: Annotated[str, typer.Option(help="The generator of --refit.")] = "auto",
    target: Target = None,
    outcome: Outcome = None,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, help="Synthetic rows for each class but the most frequent; default: to balance."),
    ] = None,
    others: Annotated[
        bool, typer.Option("--fitted-on-others", help="The generator was fitted to other rows than these.")
    ] = False,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    min_cell: MinCell = 11,
    report_only: Annotated[bool, typer.Option("--report-only", help="Do not write the joined table.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the folds and the rows that are drawn.")] = 0,
) -> None:
    """Join synthetic rows of under-represented classes to a real table; internal, never to be released.

    Says by cross-validation, on held-out real rows, whether they helped, made no difference that can be told, or hurt, beside
    class weights and random oversampling.
    """
    import numpy as np

    from privsynth.augmenting import augment as run
    from privsynth.evaluating import folder
    from privsynth.exploring import Fitting

    console: Console = context.obj
    folder.require_free(out, [] if synthetic is None else [synthetic])
    with console.progress():
        found = run(
            real,
            synthetic,
            schema=schema,
            target=target,
            outcome=tuple(outcome or ()),
            per_class=per_class,
            refit=None if refit is None else Fitting(epsilon=refit, delta=delta, generator=generator),
            fitted_on="others" if others else "unknown",
            folds=folds,
            min_cell=min_cell,
            rng=np.random.default_rng(seed),
        )
    found.save(out, report_only=report_only)
    console.result(found.to_json(), [*found.lines(), f"written to {out}"])
