"""What a bound on rows costs besides noise, in public words: what a table's measurements cannot see.

Must never depend on records: the words are a function of the schema, and of a bound that was bought.
"""

from __future__ import annotations

from typing import Final

from privsynth.database.document import TableTerms
from privsynth.database.terms import MOST_ROWS

_CHOSEN: Final = {
    "random": "chosen by a keyed random draw: long histories are known less well than short ones, in no direction",
    "first": "the first ones: what changes late in a long history is not seen",
    "last": "the last ones: how a long history began is not seen",
}


def used_words(terms: TableTerms, unit: str, rows: int | None = None) -> str:
    """How many rows of a unit shape what is learned of a table, and which; `rows` is what a bought bound came to."""
    if terms.bound is None:
        return f"{terms.name}: each {unit} is one row, and counts once"
    if rows is None and terms.bound.rows == "buy":
        most = f"how many rows of a {unit} are used is bought first, enough for all rows of 95 % of them, at most {MOST_ROWS}"
    else:
        known = rows or terms.bound.rows
        most = f"at most {known} {'row' if known == 1 else 'rows'} of a {unit} {'is' if known == 1 else 'are'} used"
    return f"{terms.name}: {most}, {_CHOSEN[terms.bound.keep]}"


def weight_words(terms: TableTerms, unit: str) -> str:
    """What a row counts in the table's measurements."""
    if terms.bound is None or terms.bound.weights == "row":
        return "each row that is used counts as one"
    return (
        f"all rows of a {unit} together count as one: what differs between those with few and with many rows leans to the "
        "former, as far as the model does not know them apart by their numbers of rows"
    )


def most_words(terms: TableTerms) -> str:
    """What happens to the numbers of rows of one parent."""
    if terms.bound is None:
        return ""
    most = terms.bound.largest
    return (
        f'more than {most} of them with one parent in "{terms.parent_table}" count as {most}: where there are more, the '
        "release has too few rows"
    )


def bias(terms: TableTerms, unit: str, rows: int | None = None) -> str:
    """The bias that a table's bound brings, in one line."""
    parts = (used_words(terms, unit, rows), weight_words(terms, unit), most_words(terms))
    return "; ".join(part for part in parts if part) + "."
