"""Transcripts and arrays as files: JSON for what a person reads, safetensors for arrays; nothing that could run when read.

Must never unpickle, and must never trust a file: types and shapes are checked, and damage is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.certificate.places import require_outside
from privsynth.errors import FitError, OutputError
from privsynth.measurement import Trained, Transcript, entry_from_json

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

DOCUMENT, ARRAYS = "model.json", "model.safetensors"
"""The two files of a saved model."""

_KINDS: Final = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int64))


def arrays_to_bytes(arrays: Arrays) -> bytes:
    """Named arrays as a safetensors file.

    Raises: FitError for another type than float64, float32 and int64.
    """
    from safetensors.numpy import save

    for name, array in arrays.items():
        if array.dtype not in _KINDS:
            raise FitError(f'array "{name}" is of type {array.dtype}; arrays are stored as float64, float32 or int64')
    # `save` writes an array's memory as it lies there: what is not in C order would come back as another array.
    return save({name: np.require(array, requirements="C") for name, array in arrays.items()})


def arrays_from_bytes(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read what `arrays_to_bytes` wrote. Raises: FitError for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise FitError("a file of arrays is damaged") from None
    if any(array.dtype not in _KINDS for array in arrays.values()):
        raise FitError("a file of arrays holds types that privsynth does not write")
    return arrays


def checksum(content: bytes) -> str:
    """What a JSON file says of the file of arrays that belongs to it: SHA-256."""
    return hashlib.sha256(content).hexdigest()


def write_model(folder: str | Path, document: Mapping[str, object], arrays: Arrays) -> None:
    """Write a model into a new folder: the document, with the checksum of the arrays, and the arrays.

    Raises: OutputError when the folder exists, cannot be written or lies in a release's.
    """
    target, content = Path(folder), arrays_to_bytes(arrays)
    require_outside(target)
    try:
        target.mkdir(parents=True)
        (target / ARRAYS).write_bytes(content)
        (target / DOCUMENT).write_text(json.dumps({**document, "arrays": checksum(content)}), encoding="utf-8")
    except FileExistsError:
        raise OutputError(f"{target} exists; choose a new folder, nothing is overwritten") from None
    except OSError as failure:
        raise OutputError(f"{target} cannot be written ({failure.strerror}); choose another folder") from None


def transcript_to_files(transcript: Transcript) -> tuple[list[dict[str, Any]], dict[str, npt.NDArray[np.float32]]]:
    """A transcript as a JSON list and the arrays that belong to it (trained weights): `NUMBER/NAME`, by the entry's number."""
    arrays = {
        f"{number}/{name}": array
        for number, entry in enumerate(transcript)
        if isinstance(entry, Trained)
        for name, array in entry.weights.items()
    }
    return [entry.to_json() for entry in transcript], arrays


def transcript_from_files(entries: Sequence[Mapping[str, Any]], arrays: Arrays) -> Transcript:
    """Read what `transcript_to_files` made.

    Raises: FitError, ValueError, KeyError or TypeError for what it did not make, arrays that are too many included.
    """
    of_entry: dict[int, dict[str, npt.NDArray[Any]]] = {number: {} for number in range(len(entries))}
    for stored, array in arrays.items():
        number, _, name = stored.partition("/")
        of_entry[int(number)][name] = array
    return tuple(entry_from_json(entry, of_entry[number]) for number, entry in enumerate(entries))


def measurements_to_document(entries: Sequence[Mapping[str, Any]], errors: Mapping[str, Any]) -> dict[str, Any]:
    """What a release's measurements.json holds: every noisy answer, and how far off they and the model are expected to be."""
    return {"entries": list(entries), "errors": dict(errors)}


def measurements_from_document(document: object) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """The entries and the expected errors of a measurements.json; up to 0.3 it was the list of entries alone.

    Raises: FitError for anything else.
    """
    if isinstance(document, list):
        return document, {}
    match document:
        case {"entries": list(entries), "errors": dict(errors)}:
            return entries, errors
        case _:
            raise FitError("measurements.json holds no list of noisy answers")
