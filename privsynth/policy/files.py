"""From policy files to terms: found by name or path, read strictly, laid over one another so that nothing loosens.

Must never fill in a term that no file states, and never let a later file win over a stricter earlier one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias, final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from privsynth import toml_file
from privsynth.errors import PolicyError
from privsynth.policy.orders import Change, Order, words
from privsynth.policy.terms import AbstractSection, Terms, contradictions, fields
from privsynth.toml_file import KeyPath, TomlFile, TomlValue

MAX_FILES = 16

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SHIPPED = resources.files("privsynth") / "shipped" / "policies"
_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "date_type": "a date such as 2027-12-31, without quotes",
    "tuple_type": "a list [...]",
    "list_type": "a list [...]",
    "mapping_type": "a table",
    "dict_type": "a table",
    "model_type": "a table",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One term's value and the file that gave it."""

    value: object
    file: TomlFile


Values: TypeAlias = Mapping[KeyPath, Value]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A policy file and the folder that its relative paths start from; None where there is none, so that it names names."""

    file: TomlFile
    folder: Path | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The terms, and the files that they come from, bases first."""

    terms: Terms
    files: tuple[TomlFile, ...]


@final
class _Extension(BaseModel, frozen=True, strict=True, extra="ignore"):
    """The keys of [policy] that say how files combine."""

    extends: list[str] = []
    overlay: bool = False


@final
@dataclass(frozen=True, slots=True)
class _Key:
    adapter: TypeAdapter[Any]
    order: Order


@cache
def _keys() -> Mapping[KeyPath, _Key]:
    """Every key of a policy file with its type and its order; each key must declare one."""
    found = {}
    for path, field in fields():
        (order,) = (extra for extra in field.metadata if isinstance(extra, Order))
        annotated: Any = Annotated[field.annotation, *field.metadata]
        found[path] = _Key(TypeAdapter(annotated, config={"strict": True, "arbitrary_types_allowed": True}), order)
    return MappingProxyType(found)


@cache
def _sections() -> frozenset[str]:
    return frozenset(path[0] for path in _keys() if len(path) > 1)


def shipped() -> tuple[str, ...]:
    """Names of the policies that come with privsynth."""
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".toml"))
    )


def find(source: str | Path, folder: Path | None) -> Source:
    """Read a policy by path or by the name of a shipped one; `folder` is what a relative path starts from.

    Raises: PolicyError when there is no such file or name.
    """
    if isinstance(source, str) and _NAME.fullmatch(source):
        if source not in shipped():
            raise PolicyError(
                f'there is no shipped policy "{source}"; there are {", ".join(shipped())}, or give a path'
            )
        content = (_SHIPPED / f"{source}.toml").read_bytes()
        return Source(file=toml_file.parse(content, name=f"{source}.toml"), folder=None)
    if folder is None:
        raise PolicyError(
            f'"{source}" is a path, and this policy text lies in no folder; name a shipped policy instead'
        )
    path = folder / source
    return Source(file=toml_file.read(path), folder=path.parent)


def load(sources: Sequence[Source]) -> Loaded:
    """Lay files over one another, each after the files that it extends, and check the whole.

    Raises: PolicyError for an unknown key, a value out of range, a term that is missing, loosened, or contradicts another.
    """
    ordered: list[TomlFile] = []
    for source in sources:
        _collect(source, ordered, trail=())
    return lay(ordered)


def lay(files: Sequence[TomlFile]) -> Loaded:
    """Lay files over one another in this order, and check the whole; what they extend must stand before them."""
    values: Values = {}
    for file in files:
        values = _overlaid(values, _fragment(file))
    terms = _whole(values, files)
    for key, complaint in contradictions(terms):
        raise PolicyError(f"{_place(values[key].file, key)}: {complaint}")
    return Loaded(terms=terms, files=tuple(files))


def digest(files: Sequence[TomlFile]) -> str:
    """One file: the SHA-256 of its exact bytes. Several: the SHA-256 of their digests in order, one a line."""
    if len(files) == 1:
        return files[0].digest
    return hashlib.sha256("".join(f"{file.digest}\n" for file in files).encode()).hexdigest()


def compare(key: KeyPath, base: object, own: object) -> Change:
    """How one term moves from `base` to `own`."""
    return _keys()[key].order.compare(base, own)


def flat(terms: Terms) -> Mapping[KeyPath, object]:
    """Every term by its key; None for those of a population that is not declared."""
    out: dict[KeyPath, object] = {}
    for path in _keys():
        section: object = getattr(terms, path[0])
        names = type(section).model_fields if isinstance(section, AbstractSection) else {}
        attribute = next((name for name, field in names.items() if path[-1] in (name, field.alias)), None)
        out[path] = getattr(section, attribute) if attribute is not None else (section if len(path) == 1 else None)
    return MappingProxyType(out)


def _collect(source: Source, ordered: list[TomlFile], trail: tuple[str, ...]) -> None:
    """Append what a file extends, then the file itself; a file that is there already is not taken twice."""
    file = source.file
    if file.digest in trail:
        raise PolicyError(
            f"{file.where('policy', 'extends')}: policy.extends leads back to this file; remove one of them"
        )
    for index, name in enumerate(_extension(file).extends):
        try:
            base = find(name, source.folder)
        except PolicyError as problem:
            raise PolicyError(f"{file.where('policy', 'extends', str(index))}: policy.extends: {problem}") from None
        _collect(base, ordered, (*trail, file.digest))
    if all(file.digest != other.digest for other in ordered):
        ordered.append(file)
    if len(ordered) > MAX_FILES:
        raise PolicyError(f"{file.name}: more than {MAX_FILES} files extend one another; use fewer")


def _extension(file: TomlFile) -> _Extension:
    header = file.tree.get("policy")
    if not isinstance(header, dict):
        raise PolicyError(f"{file.name}: expected a table [policy] with name and version; add it")
    try:
        return _Extension.model_validate(header)
    except ValidationError as problem:
        raise _wrong(file, ("policy",), problem) from None


def _fragment(file: TomlFile) -> Values:
    """The terms that one file states, each checked by itself."""
    values: dict[KeyPath, Value] = {}
    for path, value in _stated(file):
        key = _keys().get(path)
        if key is None:
            raise PolicyError(f"{_place(file, path)}: unknown key; expected one of {', '.join(_siblings(path))}")
        try:
            values[path] = Value(value=key.adapter.validate_python(value), file=file)
        except ValidationError as problem:
            raise _wrong(file, path, problem) from None
    for key_path in (("policy", "name"), ("policy", "version")):
        if key_path not in values:
            raise PolicyError(f"{_place(file, key_path)}: missing; every policy file states its name and version")
    return values


def _stated(file: TomlFile) -> list[tuple[KeyPath, TomlValue]]:
    out: list[tuple[KeyPath, TomlValue]] = []
    for name, section in file.tree.items():
        if name not in _sections():
            out.append(((name,), section))
        elif isinstance(section, dict):
            out.extend(((name, key), value) for key, value in section.items())
        else:
            raise PolicyError(f"{_place(file, (name,))}: expected a table [{name}]; write it as one")
    steering = {("policy", key) for key in _Extension.model_fields}
    return [(path, value) for path, value in out if path not in steering]


def _siblings(path: KeyPath) -> list[str]:
    beside = [".".join(key) for key in _keys() if path[0] in _sections() and key[0] == path[0]]
    return beside or sorted({key[0] for key in _keys()})


def _overlaid(base: Values, own: Values) -> Values:
    """The base with a file laid over it. Raises: PolicyError where the file would loosen a term."""
    out = dict(base)
    for path, new in _renamed(base, own).items():
        old = base.get(path)
        if old is None:
            out[path] = new
            continue
        value = (
            {**old.value, **new.value}
            if isinstance(old.value, Mapping) and isinstance(new.value, Mapping)
            else new.value
        )
        order = _keys()[path].order
        if order.compare(old.value, value) is Change.LOOSENED:
            raise PolicyError(
                f"{_place(new.file, path)}: {words(new.value)} would loosen {words(old.value)} of {old.file.name}; "
                f"in a file that extends another it {order.rule}"
            )
        out[path] = Value(value=value, file=new.file)
    return out


def _renamed(base: Values, own: Values) -> Values:
    """What an overlay states, less its header: the policy keeps the base's name with the overlay's behind a plus sign."""
    name, base_name = own["policy", "name"], base.get(("policy", "name"))
    if base_name is None or not _extension(name.file).overlay:
        return own
    header = {path for path in own if path in (("policy", "name"), ("policy", "version"), ("policy", "description"))}
    both = Value(value=f"{base_name.value}+{name.value}", file=name.file)
    return {**{path: value for path, value in own.items() if path not in header}, ("policy", "name"): both}


def _whole(values: Values, files: Sequence[TomlFile]) -> Terms:
    """All terms together. Raises: PolicyError naming the first one that no file states."""
    last = files[-1]
    tree: dict[str, object] = {}
    for path, found in values.items():
        if len(path) == 1:
            tree[path[0]] = found.value
        else:
            section = tree.setdefault(path[0], {})
            assert isinstance(section, dict)
            section[path[1]] = found.value
    if all(_extension(file).overlay for file in files):
        raise PolicyError(
            f'{last.name}: this is an overlay and no policy by itself; name it after one: extends = ["partner-sharing", '
            f'"{last.name.removesuffix(".toml")}"]'
        )
    for name in _sections() - {"population"}:
        tree.setdefault(name, {})
    try:
        return Terms.model_validate(tree)
    except ValidationError as problem:
        missing = [_path(error) for error in problem.errors(include_url=False) if error["type"] == "missing"]
        if not missing:
            raise _wrong(last, (), problem) from None
        raise PolicyError(f"{_place(last, missing[0])}: missing; add it, or extend a policy that states it") from None


def _path(error: ErrorDetails) -> KeyPath:
    return tuple(str(part) for part in error["loc"])


def _place(file: TomlFile, path: KeyPath) -> str:
    return f"{file.where(*path)}: {'.'.join(path)}"


def _wrong(file: TomlFile, path: KeyPath, problem: ValidationError) -> PolicyError:
    """Word the first thing that is wrong with a value; policies are public, so what was found may be quoted."""
    error = problem.errors(include_url=False)[0]
    inner = tuple(part for part in _path(error) if part != "[key]")
    if error["type"] == "value_error":
        text = error["msg"].removeprefix("Value error, ")
    elif error["type"] == "extra_forbidden":
        text = "unknown key; correct its spelling or remove it"
    elif error["type"] == "missing":
        text = "missing; add it"
    else:
        expected = _EXPECTED.get(error["type"]) or error["msg"][0].lower() + error["msg"][1:]
        text = f"expected {expected.removeprefix('input should be ')}; found {str(error['input'])[:80]!r}"
    return PolicyError(f"{_place(file, path + inner)}: {text}")
