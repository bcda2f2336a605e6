"""Questions: "share where readmitted == '<30' given age >= 60", read against a schema.

Must never run anything that a question says, and must never accept what the schema does not admit.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from privsynth.answering.profiles import Region, whole
from privsynth.answering.tokens import Token, pointing, tokens
from privsynth.conditions import Allowed, read_conditions
from privsynth.errors import InputError, SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Granularity,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    TemporalColumn,
)

Kind: TypeAlias = Literal["count", "share", "mean", "correlation"]

_LENGTHS: Final[dict[Granularity, int]] = {"day": 10, "month": 7, "year": 4}
"""Of a date as it is asked for, 2001-01-31, 2001-01 or 2001: a day of a column of months would be taken for its month."""

GRAMMAR: Final = (
    "count [where CONDITIONS], share where CONDITIONS [given CONDITIONS], mean COLUMN [where CONDITIONS] or "
    "correlation COLUMN, COLUMN [where CONDITIONS]; conditions are joined by and: COLUMN == VALUE (also !=, <, <=, >, >=), "
    "COLUMN in [VALUE, ...], COLUMN is missing, COLUMN is not missing"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: `targets` are the columns of a mean or correlation, `where` and `given` what is left of each column.

    A column of both has its own region in either.
    """

    text: str
    kind: Kind
    targets: tuple[str, ...]
    where: dict[str, Region]
    given: dict[str, Region]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are asked about, each once."""
        return tuple(dict.fromkeys((*self.targets, *self.where, *self.given)))


def parse(question: str, schema: Schema) -> Question:
    """Read a question.

    Raises: InputError that points at what is not understood; SchemaError for a column or value that the schema does not have.
    """
    return _Reader(question, schema).question()


@final
class _Reader:
    """One question, from left to right."""

    def __init__(self, question: str, schema: Schema) -> None:
        self._text, self._schema = question, schema
        self._tokens, self._at = tokens(question), 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _wrong(self, token: Token, expected: str) -> InputError:
        found = "the question ends here" if token.kind == "end" else f"found {token.text!r}"
        return pointing(self._text, token.place, f"expected {expected}, {found}")

    def question(self) -> Question:
        head = self._take()
        if not head.is_word("count", "share", "mean", "correlation"):
            raise self._wrong(head, f"{GRAMMAR}; here")
        kind = head.text.lower()
        assert kind in {"count", "share", "mean", "correlation"}
        targets: tuple[str, ...] = ()
        if kind == "mean":
            targets = (self._number(),)
        elif kind == "correlation":
            first = self._number()
            comma = self._take()
            if comma.kind != "mark" or comma.text != ",":
                raise self._wrong(comma, "a comma between two columns")
            place = self._next
            targets = (first, self._number())
            if targets[0] == targets[1]:
                raise pointing(self._text, place.place, "a column's correlation with itself is 1; name another column")
        where = self._conditions("where")
        given = self._conditions("given") if kind == "share" else {}
        if kind == "share" and not where:
            raise self._wrong(self._next, "where: a share is of those records for which something holds; here")
        end = self._next
        if end.kind != "end":
            said = 'and, or the end ("or" is written as COLUMN in [...], or as two questions)'
            raise self._wrong(end, said if where or given else "where, or the end")
        return Question(text=self._text, kind=kind, targets=targets, where=where, given=given)  # type: ignore[arg-type]

    def _conditions(self, word: str) -> dict[str, Region]:
        if not self._next.is_word(word):
            return {}
        self._take()
        found: dict[str, Region] = {}
        while True:
            token, column = self._column()
            region = self._condition(column)
            name = column.name
            if name in found:
                region = found[name].met_by(region)
                listed = region.listed()
                if not region.missing and (
                    not region.present or region.lower > region.upper or (listed is not None and not listed.size)
                ):
                    raise pointing(self._text, token.place, f'the conditions on "{name}" leave nothing of it')
            found[name] = region
            if not self._next.is_word("and"):
                return found
            self._take()

    def _column(self) -> tuple[Token, ModelledColumn]:
        token = self._take()
        if token.kind not in {"word", "name"}:
            raise self._wrong(token, "the name of a column")
        names = [column.name for column in self._schema.modelled]
        if token.text in names:
            return token, self._schema.modelled_column(token.text)
        known = {column.name: column for column in self._schema.columns}
        if token.text in known:
            kind = known[token.text].kind
            why = (
                "is an identifier: its values are made anew"
                if kind == "identifier"
                else f"is of kind {kind}, which is never released"
            )
            raise SchemaError(f'column "{token.text}" {why}; nothing is known of it. Ask about another column')
        near = difflib.get_close_matches(token.text, names, n=1, cutoff=0.5)
        meant = f'did you mean "{near[0]}"?' if near else f"the columns are {', '.join(names)}"
        odd = (
            ""
            if token.kind == "name"
            else ' (a name with other signs than letters, digits, . - and _ stands in "quotes")'
        )
        raise SchemaError(str(pointing(self._text, token.place, f'there is no column "{token.text}"; {meant}{odd}')))

    def _number(self) -> str:
        token, column = self._column()
        if not isinstance(column, IntegerColumn | NumberColumn | BooleanColumn):
            raise pointing(
                self._text,
                token.place,
                f'"{column.name}" is of kind {column.kind}, which has no mean; name a column of numbers or of yes and no, '
                "or ask for a share",
            )
        return column.name

    def _condition(self, column: ModelledColumn) -> Region:
        token = self._take()
        if token.is_word("is"):
            negated = self._next.is_word("not")
            if negated:
                self._take()
            if not self._next.is_word("missing"):
                raise self._wrong(self._next, "missing")
            place = self._take().place
            if not column.nullable and not negated:
                raise pointing(self._text, place, f'"{column.name}" is never missing')
            every = whole(column, missing=True)
            return Region(lower=every.lower, upper=every.upper, present=negated, missing=not negated)
        if token.is_word("in"):
            return self._listed(column)
        if token.kind != "operator":
            raise self._wrong(token, "==, !=, <, <=, >, >=, in [...] or is [not] missing")
        return self._compared(column, "==" if token.text == "=" else token.text)

    def _listed(self, column: ModelledColumn) -> Region:
        opened = self._take()
        if opened.text not in {"[", "("} or opened.kind != "mark":
            raise self._wrong(opened, "a list in brackets")
        found: list[object] = []
        while True:
            found.append(self._value(column))
            mark = self._take()
            if mark.kind == "mark" and mark.text in {"]", ")"}:
                return _of(self._allowed(column, found, opened))
            if mark.kind != "mark" or mark.text != ",":
                raise self._wrong(mark, "a comma or the end of the list")

    def _compared(self, column: ModelledColumn, sign: str) -> Region:
        token = self._next
        value = self._value(column)
        if sign in {"==", "!="}:
            region = _of(self._allowed(column, [value], token))
            if sign == "==":
                return region
            every = whole(column, missing=False)
            return Region(lower=every.lower, upper=every.upper, without=region.only or frozenset())
        if isinstance(column, CategoryColumn | BooleanColumn):
            raise pointing(self._text, token.place, f'the labels of "{column.name}" have no order; use ==, != or in')
        pair = (value, None) if sign in {">", ">="} else (None, value)
        allowed = self._allowed(column, pair, token)
        every = whole(column, missing=False)
        beyond = self._beyond(column, value, sign)
        lower, upper = allowed.lower, allowed.upper
        if sign == ">" and not beyond:
            lower += 1
        if sign == "<" and not beyond:
            upper -= 1
        if lower > upper:
            raise pointing(self._text, token.place, f'no value of "{column.name}" is {sign} {value}')
        return Region(lower=max(lower, every.lower), upper=min(upper, every.upper))

    def _beyond(self, column: ModelledColumn, value: object, sign: str) -> bool:
        """Whether a bound lies outside the column's own, where it leaves everything and no single value out."""
        try:
            read_conditions(self._schema, {column.name: [value]})
        except SchemaError:
            return True
        return sign in {">=", "<="}

    def _value(self, column: ModelledColumn) -> object:
        token = self._take()
        if token.kind not in {"word", "name", "text"}:
            raise self._wrong(token, "a value (texts stand in 'single quotes')")
        if isinstance(column, TemporalColumn) and column.after is not None:
            try:
                return int(token.text)
            except ValueError:
                raise self._wrong(token, f"whole days after {column.after}") from None
        if isinstance(column, DateColumn) and len(token.text) > _LENGTHS[column.granularity]:
            raise pointing(
                self._text,
                token.place,
                f'"{column.name}" is cut to {column.granularity}s; write a whole {column.granularity}',
            )
        return token.text

    def _allowed(self, column: ModelledColumn, value: object, token: Token) -> Allowed:
        try:
            return read_conditions(self._schema, {column.name: value})[column.name]
        except SchemaError as error:
            raise SchemaError(str(pointing(self._text, token.place, str(error)))) from None


def _of(allowed: Allowed) -> Region:
    values = frozenset() if allowed.values is None else frozenset(allowed.values.tolist())
    return Region(lower=allowed.lower, upper=allowed.upper, only=values, missing=allowed.missing)
