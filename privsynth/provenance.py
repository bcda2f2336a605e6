"""Provenance: what a table says of where it is from, so that none that was drawn is trained on as if it were real.

Must never load a table to learn it, and must never take the want of a mark for a proof that records are real.

Parquet files and Arrow tables carry a mark in their schema's metadata, pandas frames in `attrs`. A CSV file has no place for
one: the certificate in its folder, or in one of the two above, speaks for it. A folder that holds a release holds nothing else
(`verify` refuses it otherwise), so every table in it counts as synthetic, named or not: cut, compressed, renamed. A polars
frame, a dict of lists and a CSV file that was copied away say nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import pyarrow as pa

from privsynth import frames
from privsynth.certificate import envelope, folder
from privsynth.certificate.statement import Statement
from privsynth.errors import CertificateError, InputError, SyntheticSource

UNCERTIFIED: Final = "uncertified model"
RULES: Final = "rules"

Allow: TypeAlias = Literal["refuse", "allow"]

_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq", *frames.SQLITE_ENDINGS, *frames.DUCKDB_ENDINGS)
_PANDAS_KEYS = {frames.PANDAS_ATTRS: (), b"pandas": ("attributes",)}
"""Where pandas and Arrow keep a frame's attrs in a schema's metadata: a JSON object, and the way to them inside it."""
_LONGEST = 200
_MOST_WORDS = 10
_KEY = frames.PROVENANCE.decode()
_CLEAR_ARROW = f'drop "{_KEY}" and "PANDAS_ATTRS" from its metadata, with all else, by table.replace_schema_metadata()'
_CLEAR_PANDAS = f'drop the mark by frame.attrs.pop("{_KEY}")'
_CLEAR_PARQUET = f"read it as an Arrow table, {_CLEAR_ARROW}, and write it anew"
_CLEAR_FOLDER = "move it out of the release's folder, in which nothing real belongs"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where synthetic records are from.

    `synthetic` says whether all rows are, or a part of them beside real ones; `origin` is a release's id, "uncertified model"
    or "rules"; `epsilon` is None where no budget was spent or it is not known; `generation` is 1 for what was drawn from a
    model of real records, 2 for what was drawn from a model of those, and so on. `drawn` says what makes the rows other than
    those of the records the model stands for: "shifted", "given" (conditions), "rebalanced", "debiased", "further rules".
    """

    synthetic: Literal["all", "part"]
    origin: str
    generator: str
    epsilon: float | None
    table: str | None
    generation: int = 1
    drawn: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        changed: dict[str, object] = {"drawn": list(self.drawn)} if self.drawn else {}
        return {
            "synthetic": self.synthetic,
            "origin": self.origin,
            "generator": self.generator,
            "epsilon": self.epsilon,
            "table": self.table,
            "generation": self.generation,
            **changed,
        }

    @classmethod
    def from_json(cls, value: object) -> Provenance:
        """Read what `to_json` wrote; what is damaged is still a mark, of which nothing else is known."""
        found: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        epsilon, generation, drawn = found.get("epsilon"), found.get("generation"), found.get("drawn")
        known = isinstance(epsilon, int | float) and math.isfinite(epsilon)
        return cls(
            synthetic="part" if found.get("synthetic") == "part" else "all",
            origin=_text(found.get("origin")),
            generator=_text(found.get("generator")),
            epsilon=float(epsilon) if known and epsilon is not None else None,
            table=None if found.get("table") is None else _text(found["table"]),
            generation=generation if isinstance(generation, int) and 1 <= generation < 1_000_000 else 1,
            drawn=tuple(_text(word) for word in drawn[:_MOST_WORDS]) if isinstance(drawn, list) else (),
        )

    def words(self) -> str:
        """What it is, in words."""
        rows = "part of its rows are synthetic" if self.synthetic == "part" else "its rows are synthetic"
        spent = "" if self.epsilon is None else f", epsilon {self.epsilon:.4g}"
        times = "" if self.generation == 1 else f", generation {self.generation}"
        changed = "" if not self.drawn else f", drawn otherwise than the model says: {', '.join(self.drawn)}"
        origin = self.origin if self.origin in {UNCERTIFIED, RULES} else f"release {self.origin}"
        of = "" if self.table is None else f' of "{self.table}"'
        return f"{rows}: {origin}{of} ({self.generator}{spent}{times}{changed})"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A provenance, what said it, and what to do where it is wrong: a real table that was given a synthetic one's schema."""

    provenance: Provenance
    where: str
    clear: str


def mark(table: pa.Table, provenance: Provenance) -> pa.Table:
    """The same table with a mark in its schema's metadata, which Parquet files and Arrow tables keep."""
    kept = dict(table.schema.metadata or {}) | frames.carried(json.dumps(provenance.to_json()).encode())
    return table.replace_schema_metadata(kept)


def released(table: pa.Table, release_id: str) -> pa.Table:
    """The same table, which a model has marked, with the mark of a release."""
    found = _of_metadata(table.schema.metadata, "the table", _CLEAR_ARROW)
    return table if found is None else mark(table, replace(found.provenance, origin=release_id))


def of(source: object) -> Found | None:
    """What is known of a source, of one table or several; None where nothing is said, which proves nothing.

    A certificate is read, and not verified: whoever made it says that its files are synthetic.
    Raises: nothing but what the operating system says of a file that cannot be read, as RecordsError when it is read.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source))
        return _of_folder(path) if path.is_dir() else _of_file(path)
    if isinstance(source, Mapping):
        tables = [one for one in source.values() if frames.is_table(one)]
        return next((found for one in tables if (found := of(one)) is not None), None)
    return _of_frame(source)


def require_real(source: object, what: str) -> None:
    """Refuse a source that says of itself that it is synthetic, in whole or in part.

    Args: `what` the source is to the caller, such as "the table to be released".
    Raises: SyntheticSource naming what was found and what to do.
    """
    found = of(source)
    if found is not None:
        raise SyntheticSource(
            f"{what} must be real records, and {found.where} says that {found.provenance.words()}. What is trained on a "
            "model's own output forgets more with every generation. Give the real records; to study what is lost, fit a "
            'model with ps.fit(..., synthetic="allow"), from which no release can be made. If every row is real, as after a '
            f"cast to a synthetic table's schema: {found.clear}"
        )


def generation_of(source: object, synthetic: str, what: str) -> int:
    """The generation of what a model of this source draws: 1 for real records, one more than the source's for synthetic ones.

    Args: `synthetic` is "refuse", or "allow" for who wants to study what training on synthetic records does.
    Raises: SyntheticSource as `require_real`, unless it is allowed; InputError for another word.
    """
    if synthetic == "refuse":
        require_real(source, what)
        return 1
    if synthetic != "allow":
        raise InputError(f'synthetic is "refuse" or "allow"; found {synthetic!r}')
    found = of(source)
    return 1 if found is None else found.provenance.generation + 1


def _of_frame(source: object) -> Found | None:
    if isinstance(source, pa.Table | pa.RecordBatch):
        return _of_metadata(source.schema.metadata, "the Arrow table's own metadata", _CLEAR_ARROW)
    if frames.kind_of(source) != frames.PANDAS:
        return None
    attributes = frames.attributes(source)
    return _of_attributes(attributes, "the frame's own attrs", _CLEAR_PANDAS)


def _of_attributes(attributes: object, where: str, clear: str) -> Found | None:
    if not isinstance(attributes, Mapping) or _KEY not in attributes:
        return None
    return Found(provenance=Provenance.from_json(_parsed(attributes[_KEY])), where=where, clear=clear)


def _of_metadata(metadata: Mapping[bytes, bytes] | None, where: str, clear: str) -> Found | None:
    if not metadata:
        return None
    if frames.PROVENANCE in metadata:
        return Found(provenance=Provenance.from_json(_parsed(metadata[frames.PROVENANCE])), where=where, clear=clear)
    for key, way in _PANDAS_KEYS.items():
        value = _parsed(metadata.get(key, b"null"))
        for step in way:
            value = value.get(step) if isinstance(value, Mapping) else None
        if (found := _of_attributes(value, where, clear)) is not None:
            return found
    return None


def _of_file(path: Path) -> Found | None:
    if not path.is_file():
        return None
    if path.name.lower().endswith((".parquet", ".pq")):
        found = _of_metadata(frames.parquet_metadata(path), f"{path.name} itself, in its metadata,", _CLEAR_PARQUET)
        if found is not None:
            return found
    digest: str | None = None
    for place in _places(path):
        statement = _certificate(place)
        if statement is None:
            continue
        if path.resolve().is_relative_to(place.resolve()) and _holds_a_release(place, statement):
            return _certified(statement, f"the certificate beside {path.name}")
        digest = digest or folder.digest(path.resolve())
        if digest in statement.subjects.values():
            return _certified(statement, f"the certificate beside {path.name}")
    return None


def _holds_a_release(place: Path, statement: Statement) -> bool:
    """Whether a file that the certificate names lies beside it; a certificate alone may have been put anywhere."""
    return any((place / name).is_file() for name in statement.subjects)


def _of_folder(path: Path) -> Found | None:
    statement = _certificate(path)
    if statement is not None:
        return _certified(statement, f"the certificate in {path.name or path}")
    files = sorted(one for one in path.iterdir() if one.name.lower().endswith(_ENDINGS))
    return next((found for one in files if (found := _of_file(one)) is not None), None)


def _places(path: Path) -> list[Path]:
    """The folders in which a file's certificate may lie: its own, those one and two above, also of what a link points to."""
    wanted = [place for one in (path.absolute(), path.resolve()) for place in list(one.parents)[:3]]
    return list(dict.fromkeys(wanted))


def _certificate(place: Path) -> Statement | None:
    """What a folder's certificate says; None where there is none of ours."""
    try:
        with (place / folder.CERTIFICATE).open("rb") as stream:
            content = stream.read(envelope.MAX_BYTES + 1)
        return Statement.from_bytes(envelope.read(content).payload)
    except (OSError, CertificateError):
        return None


def _certified(statement: Statement, where: str) -> Found:
    claims = statement.claims
    return Found(
        provenance=Provenance(
            synthetic="all",
            origin=claims.release_id,
            generator=claims.generator.name,
            epsilon=float(claims.guarantee.epsilon),
            table=None,
        ),
        where=where,
        clear=_CLEAR_FOLDER,
    )


def _parsed(value: object) -> object:
    """A JSON text as what it says; None for anything else."""
    if not isinstance(value, str | bytes):
        return value if isinstance(value, Mapping) else None
    try:
        parsed: object = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return parsed


def _text(value: object) -> str:
    """A short text without line breaks; "unknown" for anything else."""
    return "".join(sign for sign in value if sign.isprintable())[:_LONGEST] if isinstance(value, str) else "unknown"
