"""Parsing: one column of a source as ticks under its declaration, a distinct text at a time and all texts at once.

Must never put a cell, a row number or a count into a message: it names the column and the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import RecordsError
from privsynth.schema import codelists
from privsynth.schema.columns import (
    SECONDS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IntegerColumn,
    LabelledColumn,
    ModelledColumn,
    NumberColumn,
    NumericColumn,
    TemporalColumn,
)
from privsynth.schema.labels import FORMULA_SIGNS, MAX_LABEL_LENGTH
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING, from_granules, granules, text

OutOfDomain: TypeAlias = Literal["refuse", "clamp", "other"]
"""What happens to a value outside its column's domain.

`refuse`: RecordsError. `clamp`: numbers and dates go to the nearest bound, labels to the column's `other` label. `other`:
labels go to the `other` label, and what has none (numbers, dates, texts that are no number) becomes a missing value. Where
the column declares no such place, the table is refused after all.
"""

FINE, ABSENT, OUTSIDE, UNREADABLE, NOT_FINITE = range(5)
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,5})?$"
_NOT_NUMBER = r"^(?i)[+-]?(nan|inf|infinity)$"
_ISO = (
    r"^(?P<Y>\d{4})(?:-(?P<m>\d{2})(?:-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?)?)?)?$"
)
_UNLAWFUL_LABEL = (
    r"[\x00-\x1f\x7f-\x{9f}]|^\s*[" + re.escape(FORMULA_SIGNS) + r"]|^.{" + str(MAX_LABEL_LENGTH + 1) + ",}"
)
_FIELDS = {"Y": r"\d{4}", "m": r"\d{1,2}", "d": r"\d{1,2}", "H": r"\d{1,2}", "M": r"\d{1,2}", "S": r"\d{1,2}"}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parsed:
    """Ticks of distinct texts and what became of each: FINE, ABSENT, OUTSIDE, UNREADABLE or NOT_FINITE.

    Where OUTSIDE, the tick is the nearest one inside (of no meaning for labels). Shapes: both (texts,).
    """

    ticks: npt.NDArray[np.int64]
    states: npt.NDArray[np.int8]


def distinct_texts(array: pa.Array, name: str) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the distinct values as text, in order of first appearance, and each row's position among them (-1: null).

    Raises: RecordsError when the type is none that can be read as text, numbers, dates or truth values, or text is no UTF-8.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        used = array.indices.dictionary_encode()
        texts, of_entry = distinct_texts(array.dictionary.take(used.dictionary), name)
        return texts, np.append(of_entry, -1)[_places(used)]
    zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    readable = (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_null(kind)
    )
    if zoned:
        raise RecordsError(f'column "{name}" has a time zone; expected local times without zone, convert them first')
    if not readable:
        raise RecordsError(f'column "{name}" is of type {kind}; expected text, numbers, dates, times or truth values')
    if pa.types.is_null(kind):
        return pa.array([], pa.string()), np.full(len(array), -1, dtype=np.int64)
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    encoded = array.dictionary_encode()
    texts = encoded.dictionary.cast(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise RecordsError(f'column "{name}" holds what is no UTF-8 text; save the table as UTF-8') from None
    return texts, _places(encoded)


def _places(encoded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Each row's entry of the dictionary, -1 where there is none."""
    places: npt.NDArray[np.int64] = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def parse_column(
    column: ModelledColumn, array: pa.Array, out_of_domain: OutOfDomain
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Turn one column of a source into ticks; columns counted after another are not held to their offsets yet.

    Returns: ticks, and the labels that they stand for when the column's categories are still to be bought (else none).
    Raises: RecordsError naming the column and the rule that does not hold.
    """
    texts, positions = distinct_texts(array, column.name)
    found: tuple[str, ...] = ()
    if isinstance(column, CategoryColumn) and column.buy:
        parsed, found = _open_labels(column, texts)
    elif isinstance(column, NumericColumn):
        parsed = _numbers(column, texts)
    elif isinstance(column, TemporalColumn):
        parsed = _times(column, texts)
    else:
        parsed = _labels(column, texts)
    parsed = _marked(column, texts, parsed)
    ticks = _settled(column, parsed, out_of_domain)
    if (positions < 0).any() and not _takes_missing(column):
        raise RecordsError(_no_marker(column))
    return np.append(ticks, MISSING)[positions], found


def _takes_missing(column: ModelledColumn) -> bool:
    return column.nullable or (isinstance(column, CategoryColumn) and column.buy)


def _marked(column: ModelledColumn, texts: pa.Array, parsed: Parsed) -> Parsed:
    """Mark the texts that mean a missing value: the declared markers, and the empty cell."""
    markers = pa.array([*column.missing, ""], pa.string())
    absent = pc.is_in(texts, value_set=markers).to_numpy(zero_copy_only=False)
    states = np.where(absent, ABSENT, parsed.states).astype(np.int8)
    return Parsed(ticks=np.where(absent, MISSING, parsed.ticks), states=states)


def _numpy(array: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return values


def _numbers(column: NumericColumn, texts: pa.Array) -> Parsed:
    trimmed = pc.utf8_trim_whitespace(texts)
    readable = pc.match_substring_regex(trimmed, _NUMBER)
    not_finite = pc.match_substring_regex(trimmed, _NOT_NUMBER).to_numpy(zero_copy_only=False)
    digits = pc.if_else(readable, pc.utf8_ltrim(trimmed, "+"), "0")
    values = _numpy(pc.cast(digits, pa.float64()))
    numerator, denominator = column.unit.as_integer_ratio()
    lower, upper = granule_bounds(column)
    with np.errstate(over="ignore"):
        steps = values * denominator / numerator
    nearest = np.rint(np.clip(steps, lower - 1.0, upper + 1.0))
    outside = (nearest < lower) | (nearest > upper)
    if isinstance(column, IntegerColumn):
        outside |= steps != np.rint(steps)
    states = np.where(outside, OUTSIDE, FINE)
    states = np.where(readable.to_numpy(zero_copy_only=False), states, UNREADABLE)
    states = np.where(not_finite, NOT_FINITE, states)
    return Parsed(ticks=np.clip(nearest, lower, upper).astype(np.int64), states=states.astype(np.int8))


def _pattern(declared: str) -> str:
    """A declared format such as %d/%m/%Y as a regular expression."""
    parts = re.split(r"%([YmdHMS])", declared)
    pieces = [re.escape(part) if index % 2 == 0 else f"(?P<{part}>{_FIELDS[part]})" for index, part in enumerate(parts)]
    return f"^{''.join(pieces)}$"


def _fields(texts: pa.Array, pattern: str) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.bool_]]:
    """The numbers that a pattern finds, -1 where a part is absent, and which texts match."""
    found = pc.extract_regex(texts, pattern)
    matched = pc.is_valid(found).to_numpy(zero_copy_only=False)
    fields = {}
    for index in range(found.type.num_fields):
        digits = pc.fill_null(pc.struct_field(found, [index]), "")
        number = pc.cast(pc.if_else(pc.equal(digits, ""), "-1", digits), pa.int64())
        fields[found.type.field(index).name] = number.to_numpy(zero_copy_only=False)
    return fields, matched


def _times(column: TemporalColumn, texts: pa.Array) -> Parsed:
    trimmed = pc.utf8_trim_whitespace(texts)
    ticks, readable = _moments(column, trimmed, _ISO)
    if column.format is not None:
        declared, matched = _moments(column, trimmed, _pattern(column.format))
        ticks, readable = np.where(matched, declared, ticks), matched | readable
    states = np.where(readable, FINE, UNREADABLE)
    if column.after is None:
        lower, upper = granule_bounds(column)
        points = granules(column, ticks)
        inside = np.clip(points, lower, upper)
        states = np.where(readable & (inside != points), OUTSIDE, states)
        ticks = from_granules(column, inside)
    return Parsed(ticks=ticks, states=states.astype(np.int8))


def _moments(
    column: TemporalColumn, texts: pa.Array, pattern: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Ticks of the texts that match a pattern and name a moment of the calendar, cut to the column's granularity."""
    fields, readable = _fields(texts, pattern)
    nothing = np.full(len(texts), -1, dtype=np.int64)
    year, month, day = (fields.get(part, nothing) for part in "Ymd")
    if isinstance(column, DateColumn) and column.granularity != "day":
        day = np.where(day < 0, 1, day)
        month = np.where((month < 0) & (column.granularity == "year"), 1, month)
    hour, minute, second = (np.maximum(fields.get(part, nothing), 0) for part in "HMS")
    readable = readable & (month >= 1) & (month <= 12) & (year >= 1)
    months = np.where(readable, (year - 1970) * 12 + month - 1, 0)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - first
    readable &= (day >= 1) & (day <= length) & (hour <= 23) & (minute <= 59) & (second <= 59)
    days = np.where(readable, first + day - 1, 0)
    if isinstance(column, DateColumn):
        return from_granules(column, granules(column, days)), readable
    seconds = days * 86400 + np.where(readable, hour * 3600 + minute * 60 + second, 0)
    return seconds // SECONDS[column.granularity], readable


def _labels(column: LabelledColumn, texts: pa.Array) -> Parsed:
    if isinstance(column, CategoryColumn) and column.codes is not None:
        found = codelists.load(column.codes).find(texts.to_pylist())
    else:
        known = (*column.false, *column.true) if isinstance(column, BooleanColumn) else column.labels
        place = pc.fill_null(pc.index_in(texts, value_set=pa.array(known, pa.string())), -1)
        found = place.to_numpy(zero_copy_only=False).astype(np.int64)
        if isinstance(column, BooleanColumn):
            found = np.where(found < 0, -1, (found >= len(column.false)).astype(np.int64))
    return Parsed(ticks=found, states=np.where(found < 0, OUTSIDE, FINE).astype(np.int8))


def _open_labels(column: CategoryColumn, texts: pa.Array) -> tuple[Parsed, tuple[str, ...]]:
    """Labels still to be bought, numbered in alphabetical order so that the order of rows does not show."""
    lawful = pc.invert(pc.match_substring_regex(texts, _UNLAWFUL_LABEL))
    lawful = pc.and_(lawful, pc.invert(pc.is_in(texts, value_set=pa.array([*column.missing, ""], pa.string()))))
    names = sorted(texts.filter(lawful).to_pylist())
    place = pc.fill_null(pc.index_in(texts, value_set=pa.array(names, pa.string())), -1)
    found = place.to_numpy(zero_copy_only=False).astype(np.int64)
    return Parsed(ticks=found, states=np.where(found < 0, OUTSIDE, FINE).astype(np.int8)), tuple(names)


def _settled(column: ModelledColumn, parsed: Parsed, out_of_domain: OutOfDomain) -> npt.NDArray[np.int64]:
    """Send each text where the policy says, or refuse the table."""
    states, ticks = parsed.states, parsed.ticks
    if (states == ABSENT).any() and not _takes_missing(column):
        raise RecordsError(_no_marker(column))
    if (states == NOT_FINITE).any():
        raise RecordsError(
            f'column "{column.name}" holds NaN or infinity; expected finite numbers. Declare the text as a missing marker '
            "if it means a missing value, or correct the table"
        )
    for state, rule in ((UNREADABLE, _form(column)), (OUTSIDE, domain_rule(column))):
        wrong = states == state
        if wrong.any():
            ticks = np.where(wrong, _place(column, ticks, state, rule, out_of_domain), ticks)
    return ticks


def _place(
    column: ModelledColumn, ticks: npt.NDArray[np.int64], state: int, rule: str, out_of_domain: OutOfDomain
) -> npt.NDArray[np.int64] | int:
    """Where values outside the domain go, or RecordsError."""
    if out_of_domain != "refuse":
        if isinstance(column, CategoryColumn) and column.buy:
            return MISSING
        if isinstance(column, LabelledColumn):
            other = None if isinstance(column, BooleanColumn) else column.other
            if other is not None:
                return column.labels.index(other)
        elif out_of_domain == "clamp" and state == OUTSIDE:
            return ticks
        if out_of_domain == "other" and column.nullable:
            return MISSING
    remedy = f"Correct the table, or widen [columns.{column.name}] in the schema, or declare missing markers"
    if out_of_domain == "refuse":
        remedy += ', or let the policy say out_of_domain = "clamp" or "other"'
    else:
        remedy += f'; out_of_domain = "{out_of_domain}" has no place to send them'
    raise RecordsError(f'column "{column.name}" holds values outside its domain; expected {rule}. {remedy}')


def _no_marker(column: ModelledColumn) -> str:
    return (
        f'column "{column.name}" has empty cells, but no missing marker is declared; '
        f'declare missing = [""] in [columns.{column.name}], or fill the cells'
    )


def _form(column: ModelledColumn) -> str:
    """How values of a kind are written."""
    match column:
        case IntegerColumn():
            return "whole numbers"
        case NumberColumn():
            return "decimal numbers"
        case DateColumn() | DatetimeColumn():
            return f"{column.kind}s written as {column.format or 'ISO 8601'}"
        case _:
            return "one of the declared labels"


def domain_rule(column: ModelledColumn) -> str:
    """What a column's values must be, in words, from the schema alone."""
    if isinstance(column, LabelledColumn):
        return "lawful labels" if isinstance(column, CategoryColumn) and column.buy else "one of the declared labels"
    if isinstance(column, TemporalColumn):
        if column.after is not None:
            return f'{column.lower} to {column.upper} days after "{column.after}"'
        return f"{column.lower} to {column.upper}"
    lower, upper = (text(column, bound) for bound in granule_bounds(column))
    return f"{_form(column)} from {lower} to {upper} in steps of {column.unit}"
