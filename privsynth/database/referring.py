"""Referring: keys of rows as text, and the row that a foreign key means.

Must never put a key or a count into a message, and never keep a key beyond reading but for the units'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import RecordsError
from privsynth.parsing import distinct_texts

_Ints = npt.NDArray[np.int64]

_EXACT = 2.0**53
"""Whole numbers below it are exact as floats."""

_BETWEEN, _ESCAPE = "|", "\\"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Keys:
    """The keys of a table's rows, or what its foreign keys say: each distinct one once, as text, and which one each row has.

    Blanks around a key, the ".0" of a whole number and how an accent is encoded (Unicode's NFC or NFD) are no part of it: files
    differ in them, and nobody may be two units.

    Shapes: `texts` has (distinct,) entries, in order of first appearance for keys of one column; `places` is (rows,) int64,
        -1 where a part of the key is empty.
    Privacy: private.
    """

    texts: pa.Array
    places: _Ints

    @classmethod
    def of(cls, arrays: Mapping[str, pa.Array], columns: Sequence[str], empty: Mapping[str, Sequence[str]]) -> Keys:
        """Keys of these columns, their parts joined; `empty` lists further texts of a column that mean an empty cell."""
        parts = [cls._single(arrays[name], name, empty.get(name, ())) for name in columns]
        return parts[0] if len(parts) == 1 else _joined(parts)

    @classmethod
    def _single(cls, array: pa.Array, name: str, empty: Sequence[str]) -> Keys:
        texts, places = distinct_texts(_whole(array, name), name)
        encoded = _plain(texts.cast(pa.large_string())).dictionary_encode()
        alike = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        none = pc.is_in(encoded.dictionary, value_set=_plain(pa.array(["", *empty], pa.large_string())))
        alike = np.where(none.to_numpy(zero_copy_only=False)[alike], -1, alike) if alike.size else alike
        return cls(texts=encoded.dictionary, places=np.append(alike, -1)[places])

    @property
    def has_empty(self) -> bool:
        """Whether a row has no key."""
        return bool((self.places < 0).any())

    @property
    def repeats(self) -> bool:
        """Whether two rows have the same key."""
        used = self.places[self.places >= 0]
        return bool(used.size) and int(np.bincount(used).max()) > 1

    def rows_of(self, foreign: Keys) -> _Ints:
        """The row whose key a foreign key is, -1 where the foreign key is empty or resolves to nothing."""
        row = np.full(len(self.texts) + 1, -1, dtype=np.int64)
        filled = np.flatnonzero(self.places >= 0)
        row[self.places[filled]] = filled
        found = pc.fill_null(pc.index_in(foreign.texts, value_set=self.texts), len(self.texts))
        of_text = np.append(row[found.to_numpy(zero_copy_only=False).astype(np.int64)], -1)
        resolved: _Ints = of_text[foreign.places]
        return resolved

    def names(self) -> tuple[bytes, ...]:
        """Each row's key as bytes, its parts joined. Raises: RecordsError where a row has none."""
        if self.has_empty:
            raise RecordsError("a row has no key; every row needs one")
        return tuple(self.texts.take(pa.array(self.places)).cast(pa.large_binary()).to_pylist())


def _whole(array: pa.Array, name: str) -> pa.Array:
    """Floats as text, whole numbers without exponent; a column of numbers with gaps is often read as floats.

    Raises: RecordsError for floats so large that two keys may have become one.
    """
    if pa.types.is_dictionary(array.type) and pa.types.is_floating(array.type.value_type):
        array = array.dictionary_decode()
    if not pa.types.is_floating(array.type):
        return array
    array = array.cast(pa.float64())
    filled = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    if pc.any(pc.greater_equal(pc.abs(filled), _EXACT)).as_py():
        raise RecordsError(
            f'column "{name}" is a key and holds floating-point numbers that are too large to be exact, so that two keys may '
            "have become one; store it as text or as whole numbers"
        )
    whole = pc.equal(filled, pc.floor(filled))
    numbers = pc.if_else(whole, filled, 0.0).cast(pa.int64())
    return pc.if_else(whole, numbers.cast(pa.string()), filled.cast(pa.string()))


def _plain(texts: pa.Array) -> pa.Array:
    composed = pc.utf8_normalize(pc.utf8_trim_whitespace(texts), form="NFC")
    return pc.replace_substring_regex(composed, r"^(-?\d+)\.0+$", r"\1")


def together(many: Sequence[Keys]) -> Keys:
    """Every key that occurs in any of these, once, in order of first appearance; empty ones are left out."""
    used = [keys.texts.take(pa.array(_first_seen(keys.places))) for keys in many]
    texts = pc.unique(pa.concat_arrays([part.cast(pa.large_string()) for part in used]))
    return Keys(texts=texts, places=np.arange(len(texts), dtype=np.int64))


def _first_seen(places: _Ints) -> _Ints:
    values, first = np.unique(places[places >= 0], return_index=True)
    seen: _Ints = values[np.argsort(first)]
    return seen


def _joined(parts: Sequence[Keys]) -> Keys:
    """Keys of several parts: escaped, so that no two of them are joined alike."""
    filled = np.logical_and.reduce([part.places >= 0 for part in parts])
    rows = np.flatnonzero(filled)
    code = np.zeros(len(rows), dtype=np.int64)
    for part in parts:
        _, code = np.unique(code * (len(part.texts) + 1) + part.places[rows], return_inverse=True)
    distinct, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    escaped = [_escaped(part.texts).take(pa.array(part.places[rows[first]])) for part in parts]
    texts = pc.binary_join_element_wise(*escaped, pa.scalar(_BETWEEN, pa.large_string()))
    places = np.full(len(filled), -1, dtype=np.int64)
    places[rows] = inverse
    assert len(distinct) == len(texts)
    return Keys(texts=texts, places=places)


def _escaped(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(pc.replace_substring(texts, _ESCAPE, _ESCAPE * 2), _BETWEEN, _ESCAPE + _BETWEEN)
