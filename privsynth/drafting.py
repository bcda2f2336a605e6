"""Drafting: a schema to fill in for a table, with the names and kinds of its columns and nothing else.

Must never write a value, a bound, a category, a marker or a count of the table: each is left as a question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from privsynth import frames
from privsynth.errors import RecordsError
from privsynth.parsing import distinct_texts
from privsynth.schema import codelists, labels

_IDENTIFIER_NAME = re.compile(
    r"(^|_)(id|uuid|guid|nbr|number|no|mrn|ssn|key|email|e_mail|phone|fax|iban|name|first_name|last_name|surname|address)$"
)
_INTEGER, _NUMBER = r"^[+-]?\d+(\.0*)?$", r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DATE, _MOMENT = r"^\d{4}-\d{2}-\d{2}$", r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"
_LONG_TEXT = 64
_MARKERS = 3
_MANY = 100

_VALUE = re.compile(r"[-+]?[0-9][0-9.,:/ -]*|[^@]+@[^@]+[.][a-z]+")
_HEAD: Final = """\
# A draft: names and kinds of the columns, guessed; correct them where they are wrong. Nothing else was taken from the table.
# What is written below is public. So every line that a column still lacks is a question with three lawful answers:
#   1. declare it     from a data dictionary, a standard or common knowledge: never by looking it up in this table
#   2. code list      codes = "..." ({lists})
#   3. buy it         buy = ... : it is learned with noise, and spends privacy budget
# Also say, where it is so: missing = [""] (what stands for a missing value), role = "quasi" or "sensitive", description.
# This file is refused until every column is answered.

[table]
name = {name}
# unit = "..."      the column that names whose privacy is protected (patient, customer); without it every row stands alone
# key = ["..."]     the columns that together name a row
"""

_QUESTIONS: Final = {
    "category": """\
# categories: answer one of
#   values = ["...", "..."]      declare them
#   codes = "..."                take a code list
#   buy = true                   buy them: labels that only few have become "other" or missing
""",
    "integer": """\
# bounds: answer one of
#   lower = ...                  declare them
#   upper = ...
#   buy = "bounds"               buy them
# step = 1
# (Numbers that are codes: kind = "category", and values, a code list, or buy = true.)
""",
    "number": """\
# precision = "..."              the step between two values, such as "0.01"; it is always declared
# bounds: answer one of
#   lower = "..."                declare them
#   upper = "..."
#   buy = "bounds"               buy them
""",
    "date": """\
# bounds: declare them (dates have no code lists, and cannot be bought)
#   lower = YYYY-MM-DD
#   upper = YYYY-MM-DD
#   or, in days after another column: after = "...", lower = 0, upper = ...
# granularity = "day"            or "month", "year"
""",
    "datetime": """\
# bounds: declare them (times have no code lists, and cannot be bought)
#   lower = YYYY-MM-DDTHH:MM:SS
#   upper = YYYY-MM-DDTHH:MM:SS
#   or, in days after another column: after = "...", lower = 0, upper = ...
# granularity = "second"         or "minute", "hour", "day"
""",
    "boolean": """\
# true = ["..."]                 the texts that mean yes and no, if they are not true and false
# false = ["..."]
""",
    "identifier": """\
# It is never modelled. Say how new ones are made: answer one of
#   make = "P-########"          a pattern: # is a digit, ? a letter; with a prefix, so that nobody can hold it
#   range = "..."                a range that is never issued to anybody
#   faker = "..."                a provider of invented names
# (If it is no identifier: kind = "category", "integer" ..., with their own questions.)
""",
    "text": """\
# Free text is never released. Answer: drop = true, or another kind
""",
}


_USE: Final = """
# What the table is for, if it is for something: evaluate, debias and compare groups read it. All of it is optional and public.
# [use]
# target = "..."                 # the column that is to be predicted
# outcome = ["..."]              # its labels that count as the outcome
# protected = ["..."]            # columns of labels whose groups are to be treated alike
# legitimate = ["..."]           # columns that may explain a difference between those groups
"""


def draft(source: frames.Source) -> str:
    """Write a schema in TOML to be filled in: every column's name and guessed kind, and what is asked of its owner.

    Privacy: the kinds are guessed from the values, which tells no value; nothing else of the table is written. The names of
        the columns are: the first line of a file must be a header.
    Raises: RecordsError when the table cannot be read, or a column's name cannot be one in a schema.
    """
    names = frames.column_names(source)
    check_header(names)
    title = Path(source).name.partition(".")[0] if isinstance(source, str | Path) else "table"
    head = _HEAD.format(lists=", ".join(codelists.names()), name=json.dumps(title, ensure_ascii=False))
    return head + columns_asked(frames.read(source, names), "columns", buying=True) + _USE


def check_header(names: Sequence[str]) -> None:
    """Whether names can be those of columns and are no record. Raises: RecordsError."""
    if not names:
        raise RecordsError("the table has no columns; expected a first line with their names")
    for name in names:
        if names.count(name) > 1 or labels.problem(name) is not None:
            raise RecordsError(
                "the names of the columns cannot be used: one occurs twice, is empty, is very long or starts with one of "
                "= + - @; expected a first line with a name for each column"
            )
    if any(_VALUE.fullmatch(name) for name in names):
        raise RecordsError(
            "the first line looks like a record and not like names of columns (numbers or dates among them); "
            "add a line with the names, because what stands there would be published with the schema"
        )


def columns_asked(arrays: Mapping[str, pa.Array], place: str, *, buying: bool) -> str:
    """Every column's name and guessed kind under [`place`.NAME], and what is asked of it; without `buying`, not to buy it."""
    parts = []
    for name, array in arrays.items():
        kind = _guess(name, array)
        asked = (
            _QUESTIONS[kind] if buying else re.sub(r"^#   buy.*\n|, or buy = true", "", _QUESTIONS[kind], flags=re.M)
        )
        parts.append(f"\n[{place}.{toml_key(name)}]\nkind = {json.dumps(kind)}\n{asked}")
    return "".join(parts)


def toml_key(name: str) -> str:
    """A name as a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _guess(name: str, array: pa.Array) -> str:
    """The likeliest kind of a column: by its name for identifiers of many, by the form of its values otherwise."""
    texts, _ = distinct_texts(array, name)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace(" ", "_")
    if _IDENTIFIER_NAME.search(words) and (len(texts) > _MANY or 2 * len(texts) > len(array)):
        return "identifier"
    filled = texts.filter(pc.not_equal(texts, ""))
    if not len(filled):
        return "category"
    numbers = pc.match_substring_regex(filled, _NUMBER)
    if _most(numbers):
        whole = pc.match_substring_regex(filled.filter(numbers), _INTEGER)
        return "integer" if pc.all(whole).as_py() else "number"
    for kind, pattern in (("date", _DATE), ("datetime", _MOMENT)):
        if _most(pc.match_substring_regex(filled, pattern)):
            return kind
    lower = pc.utf8_lower(filled)
    if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false"]))).as_py():
        return "boolean"
    return "text" if pc.mean(pc.utf8_length(filled)).as_py() > _LONG_TEXT else "category"


def _most(matches: pa.Array) -> bool:
    """Whether all values have a form but for a few, which may be missing markers."""
    hits = int(pc.sum(matches).as_py())
    return hits > 0 and len(matches) - hits <= min(_MARKERS, hits)
