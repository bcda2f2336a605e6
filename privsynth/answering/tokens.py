"""Tokens of a question: words, names and texts in quotes, operators; each with its place, so that an error can point at it.

Must never evaluate anything: a question is taken apart, and nothing in it is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from privsynth.errors import InputError

Kind: TypeAlias = Literal["word", "name", "text", "operator", "mark", "end"]

MOST_CHARACTERS: Final = 10_000

_SPACE: Final = re.compile(r"\s+")
_PARTS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("operator", re.compile(r"==|!=|<=|>=|<|>|=")),
    ("mark", re.compile(r"[\[\](),]")),
    ("text", re.compile(r"'((?:[^']|'')*)'")),
    ("name", re.compile(r'"((?:[^"]|"")*)"')),
    ("name", re.compile(r"`((?:[^`]|``)*)`")),
    ("word", re.compile(r"""[^\s'"`\[\](),=<>!]+""")),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One piece of a question. `text` is without its quotes; `place` is where it begins."""

    kind: Kind
    text: str
    place: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, in small or capital letters."""
        return self.kind == "word" and self.text.lower() in words


def tokens(question: str) -> list[Token]:
    """Take a question apart; the last token is its end. Raises: InputError pointing at what is no part of a question."""
    if not isinstance(question, str) or len(question) > MOST_CHARACTERS:
        raise InputError(
            f'a question is a text such as "count where age >= 60", of at most {MOST_CHARACTERS:,} characters'
        )
    found, place = list[Token](), 0
    while place < len(question):
        space = _SPACE.match(question, place)
        if space:
            place = space.end()
            continue
        for kind, pattern in _PARTS:
            match = pattern.match(question, place)
            if match:
                quote = question[place] if kind in {"name", "text"} else ""
                text = match.group(1).replace(quote * 2, quote) if quote else match.group(0)
                found.append(Token(kind=kind, text=text, place=place))
                place = match.end()
                break
        else:
            opened = question[place] in "'\"`"
            raise pointing(question, place, "this quote is never closed" if opened else "this is no part of a question")
    return [*found, Token(kind="end", text="", place=len(question))]


def pointing(question: str, place: int, problem: str) -> InputError:
    """An error that shows where in the question the problem is."""
    start = max(0, place - 60)
    shown = question[start : place + 60].replace("\n", " ")
    return InputError(f"{problem}:\n  {shown}\n  {' ' * (place - start)}^")
