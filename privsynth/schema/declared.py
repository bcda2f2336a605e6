"""What files that people write of tables have in common: text in UTF-8, TOML without rounded numbers, a canonical digest.

Must never look into a table.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from privsynth import validation
from privsynth.errors import SchemaError

Declared = TypeVar("Declared", bound=BaseModel)


def text_of(file: Path, what: str) -> str:
    """The text of a file; `what` is what messages call it. Raises: SchemaError."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaError(f"{what} {file}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise SchemaError(f"{what} {file}: is not UTF-8 text; save it as UTF-8") from None


def parsed(text: str, source: str) -> dict[str, Any]:
    """TOML text as a document, its numbers exact; `source` is what messages call it. Raises: SchemaError."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{source}: expected TOML in which each key stands once: {error}") from None


def to_json(declared: BaseModel) -> dict[str, object]:
    """A JSON object that `from_json` reads; what is left at its default is left out."""
    return declared.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def from_json(kind: type[Declared], value: Mapping[str, object]) -> Declared:
    """Read what `to_json` wrote of this kind. Raises: SchemaError; nothing is checked but the shape."""
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise SchemaError(validation.describe(error, lambda location: ("schema in JSON", location))) from None


def digest(declared: BaseModel) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON."""
    text = json.dumps(to_json(declared), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
