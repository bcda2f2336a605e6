"""Imagining tables: from a rules file to a frame or a file, without any table to learn from.

Must never read a table, and never overwrite one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from privsynth import frames
from privsynth.certificate.places import require_outside
from privsynth.errors import InputError, OutputError
from privsynth.generators.rules import Imagined, draw
from privsynth.making.document import RulesFile

MOST_ROWS = 100_000_000
KINDS = (frames.ARROW, frames.PANDAS, frames.POLARS)


def imagine(rules: RulesFile | str | Path, *, n: int, seed: int, kind: str = frames.ARROW) -> object:
    """Make a table of n rows from a rules file: distributions, code lists and dependencies, all declared.

    Privacy: nothing private is read, so there is nothing to protect and no budget; nothing is learned of anybody either.
        Rules that state a real table's exact figures leak them; take those from a release or a publication.
    Args: `rules` is a path, or `RulesFile.loads(text)`; the same rules and seed make the same rows. `kind` is "arrow",
        "pandas" or "polars".
    Raises: SchemaError naming part of the file, what was expected and what to do; FitError when no row obeys every rule.
    """
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    return frames.to_kind(imagined(rules, n=n, seed=seed).table, kind)


def imagined(rules: RulesFile | str | Path, *, n: int, seed: int) -> Imagined:
    """As `imagine`, with the rows each business rule had to mend."""
    require_rows(n)
    declared = rules if isinstance(rules, RulesFile) else RulesFile.load(rules)
    return draw(declared, n, rng=generator(seed))


def require_rows(n: int) -> None:
    """Raises: InputError where a number of rows is none."""
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_ROWS:
        raise InputError(f"rows: expected a whole number from 1 to {MOST_ROWS:,}, found {n!r}")


def generator(seed: int) -> np.random.Generator:
    """A generator of convenience randomness. Raises: InputError where the seed is none."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: expected a whole number, zero or more, found {seed!r}")
    return np.random.default_rng(seed)


def require_new(path: Path) -> None:
    """Raises: OutputError where a file cannot be made by this name."""
    if not path.name.lower().endswith((".csv", ".parquet")):
        raise OutputError(f"{path.name}: expected a name that ends in .csv or .parquet")
    if path.exists():
        raise OutputError(f"{path} exists; remove it, or choose another name")
    require_outside(path)


def write(table: pa.Table, path: str | Path) -> None:
    """Write a table as CSV or Parquet, by the name's ending, to a new file. Raises: OutputError."""
    target = Path(path)
    require_new(target)
    put = frames.write_csv if target.name.lower().endswith(".csv") else frames.write_parquet
    put(table, target)
