"""The public description of a table: columns, bins, missing values, keys, the privacy unit, business rules."""

from privsynth.schema.document import Schema, Table

__all__ = ["Schema", "Table"]
