"""What a bound on rows costs besides noise, in public words: what a table's measurements cannot see.

Must never depend on records: the words are a function of the schema, and of a bound that was bought.
"""

from __future__ import annotations

from typing import Final

from privsynth.database.document import TableTerms
from privsynth.database.terms import MOST_ROWS

_MANY: Final = 40
"""A number of rows that is many, to tell what weights do."""

_SEVERAL: Final = {
    "random": "{used} are used, drawn at random",
    "first": "the first {used} are used: what changes late in a long history is not seen",
    "last": "the last {used} are used: how a long history began is not seen",
}
_ONE: Final = {
    "random": "one is used, drawn at random",
    "first": "the first one is used: what changes late in a history is not seen",
    "last": "the last one is used: how a history began is not seen",
}
_BOUGHT: Final = {"random": "drawn at random", "first": "the first ones", "last": "the last ones"}


def used_words(terms: TableTerms, unit: str, rows: int | None = None) -> str:
    """How many rows of a unit shape what is learned of a table, and which; `rows` is what a bought bound came to."""
    if terms.bound is None:
        return f"Each {unit} is one row, and counts once."
    named, keep = _noun(terms.name), terms.bound.keep
    if rows is None and terms.bound.rows == "buy":
        return (
            f"How many {named} of {_one(unit)} are used is bought first: enough for all {named} of 95 % of them, at most "
            f"{MOST_ROWS}, {_BOUGHT[keep]}."
        )
    used = rows or int(terms.bound.rows)
    if used == 1:
        return f"Of {_one(unit)} with several {named}, {_ONE[keep]}."
    return f"Of {_one(unit)} with more than {used} {named}, {_SEVERAL[keep].format(used=used)}."


def weight_words(terms: TableTerms, unit: str) -> str:
    """What a row counts in the table's measurements."""
    named = _noun(terms.name)
    if terms.bound is None or terms.bound.weights == "row":
        return f"Each of the {named} that are used counts as one."
    told = 0 if terms.bound.rows == "buy" else terms.bound.rows
    many = min(_MANY, max(3, told, terms.bound.largest))
    those = _one(unit)
    return (
        f"{those[0].upper()}{those[1:]} with {many} {named} counts as much as one with 2: averages over {named} lean to those "
        "with few."
    )


def most_words(terms: TableTerms, unit: str, root: str) -> str:
    """What happens to the numbers of rows of one parent; `root` is the table of the units."""
    if terms.bound is None:
        return ""
    most, above = terms.bound.largest, terms.parent_table
    whose = _one(unit) if above == root else f"one row in {above}"
    return f"More than {most} {_noun(terms.name)} of {whose} count as {most}."


def bias(terms: TableTerms, unit: str, root: str) -> str:
    """The bias that a table's bound brings, in one line.

    Args: `unit` is what the policy calls whom it protects, `root` the name of their table.
    """
    parts = (used_words(terms, unit), weight_words(terms, unit), most_words(terms, unit, root))
    return " ".join(part for part in parts if part)


def _one(unit: str) -> str:
    return f"{'an' if unit[:1].lower() in 'aeio' else 'a'} {unit}"


def _noun(name: str) -> str:
    """What rows of a table are called: its name, as words."""
    return name.replace("_", " ")
