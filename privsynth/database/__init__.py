"""Several tables under one privacy unit: what is declared of them, reading and writing them."""

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows

__all__ = ["Database", "DatabaseSchema", "Rows", "TableTerms"]
