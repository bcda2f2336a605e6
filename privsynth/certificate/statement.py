"""The statement that is signed: an in-toto Statement v1 that ties the predicate to every file of the release.

Must never be written in two ways: the same subjects and predicate give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, final

from privsynth.certificate import predicate as predicates
from privsynth.certificate import strict_json
from privsynth.certificate.folder import require_name
from privsynth.certificate.predicate import PREDICATE_TYPE, Predicate
from privsynth.errors import CertificateError, ClaimMismatch, SubjectMismatch

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
MAX_BYTES: Final = 4 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Subjects (file name -> SHA-256) and what is claimed about them; neither can hold what must not be signed.

    Raises: SubjectMismatch for a name or digest that cannot be; ClaimMismatch for a predicate that must not be signed.
    Source: in-toto attestation framework, Statement v1.
    """

    subjects: Mapping[str, str]
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise SubjectMismatch("a statement needs at least one file to speak of")
        for name, digest in self.subjects.items():
            require_name(name)
            if not _DIGEST.fullmatch(digest):
                raise SubjectMismatch(f'the digest of "{name}" must be 64 lowercase hexadecimal digits')
        predicates.require(self.predicate)

    @property
    def claims(self) -> Predicate:
        """The predicate, typed."""
        return predicates.require(self.predicate)

    def to_bytes(self) -> bytes:
        """The bytes to sign: one line of ASCII, members in in-toto's order, the predicate's sorted by name."""
        subjects = [{"name": name, "digest": {"sha256": self.subjects[name]}} for name in sorted(self.subjects)]
        head = {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE}
        claims = json.dumps(self.predicate, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f'{json.dumps(head, separators=(",", ":"))[:-1]},"predicate":{claims}}}'.encode("ascii")

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a statement; CertificateError, in its kinds, for anything but one of this very type."""
        value = strict_json.parse(content, what="the statement", max_bytes=MAX_BYTES)
        if not isinstance(value, dict) or value.get("_type") != STATEMENT_TYPE:
            raise CertificateError(f'the signed text is no in-toto statement; expected _type "{STATEMENT_TYPE}"')
        if value.get("predicateType") != PREDICATE_TYPE:
            raise ClaimMismatch(f'the statement is about something else; expected predicateType "{PREDICATE_TYPE}"')
        if set(value) != {"_type", "subject", "predicateType", "predicate"}:
            raise CertificateError("the statement has a member too many or too few")
        predicate = value["predicate"]
        if not isinstance(predicate, dict):
            raise ClaimMismatch("the statement's predicate must be an object")
        return cls(subjects=_subjects(value["subject"]), predicate=predicate)


def _subjects(value: strict_json.JsonValue) -> dict[str, str]:
    subjects: dict[str, str] = {}
    for subject in value if isinstance(value, list) else []:
        match subject:
            case {"name": str(name), "digest": {"sha256": str(digest), **other_digests}, **others}:
                if name in subjects or other_digests or others:
                    raise SubjectMismatch("the statement names a file twice, or says more of it than its SHA-256")
                subjects[name] = digest
            case _:
                raise SubjectMismatch("every subject of the statement must have a name and a SHA-256")
    return subjects
