"""What a release folder says in public: schema, noisy answers, generator and guarantee, read back from its own files.

Must never read other bytes than those whose digests the certificate names, and must never say who signed it: `verify` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, final

from privsynth.certificate import verify
from privsynth.certificate.predicate import GuaranteeClaim, Training
from privsynth.certificate.statement import Statement
from privsynth.database.document import DatabaseSchema
from privsynth.errors import CertificateError, FitError, InputError, MechanismError, SchemaError, SubjectMismatch
from privsynth.measurement import Trained, Transcript
from privsynth.privacy.accounting import CONVERSIONS, Composition
from privsynth.privacy.guarantee import Guarantee, decimal_up
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.schema import Schema
from privsynth.transcript_files import arrays_from_bytes, measurements_from_document, transcript_from_files

MEASUREMENTS: Final = "measurements.json"
WEIGHTS: Final = "measurements.safetensors"
SCHEMA: Final = "schema.json"

MOST_BYTES: Final = 1 << 30
"""Of one of these files; a thousand times what a release of a wide table holds."""


_NO_RELEASE: Final = (
    InputError,
    FitError,
    MechanismError,
    SchemaError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What reading files raises that nobody wrote as they are."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The public contents of a release of one table, from which its model is fitted again.

    `predicate` is what the certificate says, read but not trusted; `guarantee` has its rho.
    """

    predicate: Mapping[str, Any]
    schema: Schema
    transcript: Transcript
    guarantee: Guarantee
    generator: str
    settings: Mapping[str, object]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTables:
    """The same of several tables: the noisy answers and how many rows of a unit were used at most, by table."""

    predicate: Mapping[str, Any]
    schema: DatabaseSchema
    transcripts: Mapping[str, Transcript]
    used: Mapping[str, int]
    guarantee: Guarantee
    generator: str
    settings: Mapping[str, object]


def holds_several_tables(folder: str | Path) -> bool:
    """Whether a release is of several tables. Raises: as `read_release` does for what is no release."""
    return bool(_statement(folder).claims.schema_.tables)


def read_release(folder: str | Path) -> Published:
    """Read a release of one table.

    The files are checked against the certificate's digests, whoever signed it; whether to believe it is for `verify` to say.
    Raises: CertificateError where there is no certificate or a file is not the one it names; InputError for a release of
        several tables, and for files that do not make up a release.
    """
    place, statement = Path(folder), _statement(folder)
    claims = statement.claims
    if claims.schema_.tables:
        raise InputError(
            f'"{place}" is a release of several tables, and one of one table is read here; its model is read back with '
            "ps.HistoryModel.from_release"
        )
    contents = {name: _content(place, name, statement.subjects) for name in (SCHEMA, MEASUREMENTS)}
    weights = _content(place, WEIGHTS, statement.subjects) if WEIGHTS in statement.subjects else None
    try:
        schema = Schema.from_json(_object(contents[SCHEMA]))
        entries, _ = measurements_from_document(json.loads(contents[MEASUREMENTS]))
        arrays = {} if weights is None else arrays_from_bytes(weights)
        transcript = transcript_from_files(entries, arrays)
        guarantee = _guarantee(claims.guarantee, transcript)
        guarantee.require_covers(transcript)
    except _NO_RELEASE as error:
        raise _unreadable(place, error) from None
    return Published(
        predicate=statement.predicate,
        schema=schema,
        transcript=transcript,
        guarantee=guarantee,
        generator=claims.generator.name,
        settings=dict(claims.generator.settings),
    )


def read_release_of_tables(folder: str | Path) -> PublishedTables:
    """Read a release of several tables, as `read_release` reads one of one table, and with the same checks.

    Raises: as `read_release` does; InputError for a release of one table.
    """
    place, statement = Path(folder), _statement(folder)
    claims = statement.claims
    if not claims.schema_.tables:
        raise InputError(f'"{place}" is a release of one table; its model is read back with ps.Model.from_release')
    contents = {name: _content(place, name, statement.subjects) for name in (SCHEMA, MEASUREMENTS)}
    try:
        schema = DatabaseSchema.from_json(_object(contents[SCHEMA]))
        document = _object(contents[MEASUREMENTS])
        parts, used = _object_in(document, "transcripts"), _object_in(document, "used")
        transcripts = {name: transcript_from_files(part, {}) for name, part in parts.items()}
        every = tuple(entry for part in transcripts.values() for entry in part)
        guarantee = _guarantee(claims.guarantee, every)
        guarantee.require_covers(every)
        bounds = {name: _rows(used[name]) for name in parts}
    except _NO_RELEASE as error:
        raise _unreadable(place, error) from None
    return PublishedTables(
        predicate=statement.predicate,
        schema=schema,
        transcripts=transcripts,
        used=bounds,
        guarantee=guarantee,
        generator=claims.generator.name,
        settings=dict(claims.generator.settings),
    )


def _statement(folder: str | Path) -> Statement:
    """The statement of a folder whose files are those that it names."""
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f'"{place}" is no folder; name the folder of a release, in which certificate.json is')
    return verify.files_of(place)


def _unreadable(place: Path, error: Exception) -> InputError:
    return InputError(
        f'"{place}" holds the files that its certificate names, but its schema, measurements and guarantee do not make up a '
        f"release of this version ({type(error).__name__}); get it again from its publisher, or read it with the version that "
        "made it"
    )


def _content(folder: Path, name: str, subjects: Mapping[str, str]) -> bytes:
    """A file's bytes, which are those that the certificate names."""
    if name not in subjects:
        raise InputError(f'the release has no "{name}"; it is needed to fit the model again')
    path = folder / name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f'"{name}" is larger than {MOST_BYTES:,} bytes; this is no release of a table')
        content = path.read_bytes()
    except OSError as failure:
        raise CertificateError(f'"{name}" cannot be read: {failure.strerror}') from None
    if hashlib.sha256(content).hexdigest() != subjects[name]:
        raise SubjectMismatch(f'"{name}" was changed after the release was signed; get it again from its publisher')
    return content


def _object(content: bytes) -> dict[str, object]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _object_in(document: Mapping[str, object], name: str) -> Mapping[str, Any]:
    value = document[name]
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _rows(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a number of rows, at least 1")
    return value


def _guarantee(claim: GuaranteeClaim, transcript: Transcript) -> Guarantee:
    """The guarantee that the certificate puts in words. Raises: ValueError for words that no version has used."""
    composition = _composition(claim.conversion)
    delta = Fraction(claim.delta)
    return Guarantee(
        rho=_rho(claim, transcript),
        delta=delta,
        purchase_delta=delta / 2 if claim.definition.startswith("approximate") else Fraction(0),
        unit=PrivacyUnit(
            name=claim.unit.name,
            column=claim.unit.column,
            max_rows=claim.unit.max_rows,
            relation=NeighboringRelation(claim.relation),
        ),
        composition=composition,
        training=None if claim.training is None else _training(claim.training, transcript),
    )


def _rho(claim: GuaranteeClaim, transcript: Transcript) -> Fraction:
    """What the answers add up to, where that is the certificate's rho before it was rounded up: epsilon is then its epsilon."""
    spent = sum((entry.event.rho for entry in transcript), Fraction(0))
    return spent if spent and decimal_up(spent) == claim.rho else Fraction(claim.rho)


def _composition(conversion: str) -> Composition:
    for composition, words in CONVERSIONS.items():
        if words == conversion:
            return composition
    raise ValueError("the conversion is none that this version knows")


def _training(claim: Training, transcript: Transcript) -> SampledGaussian:
    """The steps of the certificate, whose noise is a decimal rounded down, with the exact numbers of the events."""
    for entry in transcript:
        event = entry.event
        if isinstance(entry, Trained) and event.sampling_rate is not None and event.noise_multiplier is not None:
            if event.noise_multiplier < Fraction(claim.noise_multiplier) or event.sampling_rate > Fraction(
                claim.sampling_rate
            ):
                raise ValueError("the steps have less noise than the certificate says")
            return SampledGaussian(
                sampling_rate=event.sampling_rate, noise_multiplier=event.noise_multiplier, steps=claim.steps
            )
    return SampledGaussian(
        sampling_rate=Fraction(claim.sampling_rate),
        noise_multiplier=Fraction(claim.noise_multiplier),
        steps=claim.steps,
    )
