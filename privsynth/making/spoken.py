"""Spoken values: how the keys of a TOML file name a value, a range or a missing value of a column.

Must never guess: a text that is a label is that label, and what is none of these is refused.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.conditions import Allowed, read_conditions
from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn, TemporalColumn

_MORE, _LESS, _TO = " or more", " or less", " to "


def spoken(column: ModelledColumn, text: str) -> object:
    """What a text asks of a column, as conditions take it: "60 to 79", "60 or more", "59 or less", "missing", or a value."""
    if isinstance(column, LabelledColumn) and text in column.labels:
        return text
    if text == "missing":
        return None
    if text.endswith(_MORE):
        return (_end(column, text.removesuffix(_MORE)), None)
    if text.endswith(_LESS):
        return (None, _end(column, text.removesuffix(_LESS)))
    first, to, last = text.partition(_TO)
    return (_end(column, first), _end(column, last)) if to else _end(column, text)


def _end(column: ModelledColumn, text: str) -> object:
    """One value; days after another column are whole numbers."""
    counted = isinstance(column, TemporalColumn) and column.after is not None
    return int(text) if counted and text.strip().removeprefix("-").isdecimal() else text


def allowed(schema: Schema, name: str, text: str, where: str) -> Allowed:
    """What a text asks of a column. Raises: SchemaError, which begins with `where`."""
    try:
        return read_conditions(schema, {name: spoken(schema.modelled_column(name), text)})[name]
    except SchemaError as error:
        raise SchemaError(f"{where}: {error}") from None


def admitted(
    schema: Schema, name: str, texts: list[str], found: npt.NDArray[np.int64], where: str
) -> npt.NDArray[np.int64]:
    """Which of several texts each value meets, the first of them; -1 for none. Shapes: as `found`, granules of the column."""
    place = np.full(found.shape, -1, dtype=np.int64)
    for index, text in reversed(list(enumerate(texts))):
        place[allowed(schema, name, text, where).admits(found)] = index
    return place
