"""Strict reading of a TOML file: its exact bytes, its tree, and the line on which every key stands.

Must never accept what two readers could read differently: duplicate keys, other encodings, hostile depth or size.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, final

from privsynth.errors import InputError, PolicyError

TomlValue: TypeAlias = (
    "str | int | float | bool | datetime.date | datetime.time | list[TomlValue] | dict[str, TomlValue]"
)
KeyPath: TypeAlias = tuple[str, ...]
"""Names from the top of the file down; the n-th element of an array is called str(n), from zero."""

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_LINE = 4096

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n\"'\[{]+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TomlFile:
    """One file as it was read: `name` to quote, the exact `content`, its `tree`, and `lines` by key."""

    name: str
    content: bytes
    tree: Mapping[str, TomlValue]
    lines: Mapping[KeyPath, int]

    @property
    def digest(self) -> str:
        """SHA-256 of the exact bytes, in hexadecimal: what `sha256sum` prints."""
        return hashlib.sha256(self.content).hexdigest()

    def where(self, *path: str) -> str:
        """The place of a key in words, `name, line 7`: its own line or that of the nearest table around it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return f"{self.name}, line {line}"
        return self.name


def read(path: Path, *, error: type[InputError] = PolicyError) -> TomlFile:
    """Read a file from disk.

    Raises: `error` when it is missing, too large, not UTF-8, or not TOML; the message names file, line and remedy.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{path}: there is no such file; check the path") from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "that is no path"
        raise error(f"{path}: cannot be read ({reason}); expected a readable TOML file") from None
    return parse(content, name=path.name, error=error)


def parse(content: bytes, *, name: str, error: type[InputError] = PolicyError) -> TomlFile:
    """Parse exact bytes; `name` is what messages call the file.

    Raises: `error` for anything that is not plain, bounded TOML with every key given once.
    """
    text = _decode(content, name, error)
    lines = _Scanner(text, name, error).scan()
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{name}: this is not TOML: {problem}") from None
    return TomlFile(name=name, content=content, tree=MappingProxyType(tree), lines=MappingProxyType(lines))


def _decode(content: bytes, name: str, error: type[InputError]) -> str:
    if len(content) > MAX_BYTES:
        raise error(f"{name}: the file is larger than {MAX_BYTES} bytes; split it or remove what does not belong")
    if content.startswith(b"\xef\xbb\xbf"):
        raise error(f"{name}, line 1: the file starts with a byte-order mark; save it as UTF-8 without one")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise error(f"{name}, line {line}: not UTF-8 text; save the file as UTF-8") from None
    for number, line_text in enumerate(text.split("\n"), start=1):
        if len(line_text) > MAX_LINE:
            raise error(f"{name}, line {number}: longer than {MAX_LINE} characters; break the line")
    return text


class _Unreadable(Exception):
    """The scanner met text that is not TOML; the parser proper words the complaint."""


@final
class _Scanner:
    """Walks TOML text once and notes the line of every key; leaves all judgement of values to the TOML parser."""

    def __init__(self, text: str, name: str, error: type[InputError]) -> None:
        self._text = text
        self._name = name
        self._error = error
        self._at = 0
        self._breaks = [place for place, letter in enumerate(text) if letter == "\n"]
        self._lines: dict[KeyPath, int] = {}
        self._headers: set[KeyPath] = set()
        self._counts: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        try:
            table: KeyPath = ()
            self._skip(_BLANK)
            while self._at < len(self._text):
                table = self._header() if self._text[self._at] == "[" else self._pair(table, table)
                self._skip(_BLANK)
        except _Unreadable:
            pass  # the TOML parser sees the same text next, and words the complaint
        return self._lines

    def _line(self, place: int) -> int:
        return bisect_right(self._breaks, place - 1) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, token: str) -> None:
        if not self._text.startswith(token, self._at):
            raise _Unreadable
        self._at += len(token)

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            found = _PART.match(self._text, self._at)
            if found is None:
                raise _Unreadable
            parts.append(_unquoted(found.group()))
            self._at = found.end()
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return tuple(parts)
            self._at += 1

    def _inside(self, path: KeyPath) -> KeyPath:
        """The path with the current index put in after every array of tables that it passes through."""
        out: KeyPath = ()
        for part in path:
            out = (*out, part)
            if out in self._counts:
                out = (*out, str(self._counts[out] - 1))
        return out

    def _header(self) -> KeyPath:
        start = self._at
        repeated = self._text.startswith("[[", start)
        self._take("[[" if repeated else "[")
        *parents, last = self._key()
        self._take("]]" if repeated else "]")
        path = (*self._inside(tuple(parents)), last)
        self._bound(path)
        if repeated:
            index = self._counts.get(path, 0)
            self._counts[path] = index + 1
            self._lines.setdefault(path, self._line(start))
            path = (*path, str(index))
        if path in self._headers:
            raise self._twice(path, start)
        self._headers.add(path)
        self._lines[path] = self._line(start)
        return path

    def _pair(self, table: KeyPath, prefix: KeyPath) -> KeyPath:
        start = self._at
        parts = self._key()
        path = prefix + parts
        if path in self._lines and path not in self._headers:
            raise self._twice(path, start)
        for length in range(len(prefix) + 1, len(path)):
            self._lines.setdefault(path[:length], self._line(start))
        self._lines[path] = self._line(start)
        self._take("=")
        self._value(path)
        return table

    def _twice(self, path: KeyPath, start: int) -> InputError:
        first, again = self._lines[path], self._line(start)
        return self._error(f"{self._name}, line {again}: {'.'.join(path)} is given twice, first on line {first}")

    def _bound(self, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            raise self._error(f"{self._name}, line {self._line(self._at)}: nested deeper than {MAX_DEPTH} levels")

    def _value(self, path: KeyPath) -> None:
        self._bound(path)
        self._skip(_SPACE)
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            for index, _ in enumerate(self._items("[", "]")):
                self._lines[(*path, str(index))] = self._line(self._at)
                self._value((*path, str(index)))
        elif opening == "{":
            for _ in self._items("{", "}"):
                self._pair((), path)
        else:
            found = (_STRING if opening in ('"', "'") else _SCALAR).match(self._text, self._at)
            if found is None:
                raise _Unreadable
            self._at = found.end()

    def _items(self, opening: str, closing: str) -> Iterator[None]:
        """Stop once before every item of an array or inline table."""
        self._take(opening)
        self._skip(_BLANK)
        while not self._text.startswith(closing, self._at):
            yield
            self._skip(_BLANK)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_BLANK)
            elif not self._text.startswith(closing, self._at):
                raise _Unreadable
        self._at += len(closing)


def _unquoted(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        try:
            return str(tomllib.loads(f"key = {part}")["key"])
        except tomllib.TOMLDecodeError:
            raise _Unreadable from None
    return part
