"""A schema file that may describe one table or several.

Must never guess: a file with [database] describes several tables, every other file one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from privsynth.database.document import DatabaseSchema
from privsynth.schema import Schema


def load(path: str | Path) -> Schema | DatabaseSchema:
    """Read a schema of one table, or of several where the file has [database]. Raises: SchemaError, as theirs do."""
    try:
        several = "database" in tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        several = False  # `Schema.load` says what is wrong with the file
    return DatabaseSchema.load(path) if several else Schema.load(path)
