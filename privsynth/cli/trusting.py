"""Whether the signatures of the releases that a verb reads were verified, in one line and one field.

Must never leave unsaid that a release was read whose signature nobody checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from privsynth.errors import InputError

Trust: TypeAlias = Annotated[
    Path | None, typer.Option(help="The trust store, a TOML file: verify the release's signature before it is read.")
]

UNCHECKED = "the signature was not checked: anybody may have made this release; name the keys you trust with --trust"


def signatures(releases: Sequence[Path], trust: Path | None) -> tuple[dict[str, object], list[str]]:
    """Verify releases where a trust store is given; the field and the line that say whether it was done.

    Raises: CertificateError, in its kinds; InputError for a trust store where no release is read.
    """
    from privsynth import api

    if trust is None:
        return ({"signatureChecked": False}, [UNCHECKED]) if releases else ({}, [])
    if not releases:
        raise InputError("--trust verifies a release, and what is read here is none; leave it out")
    lines = []
    for folder in releases:
        signers = ", ".join(signer.role for signer in api.verify(folder, trust=trust).signers)
        lines.append(f"verified: {folder}, signed by {signers}")
    return {"signatureChecked": True}, lines


def among(paths: Sequence[Path | None]) -> list[Path]:
    """Those of the paths that are folders with a certificate, each once."""
    from privsynth.certificate.folder import CERTIFICATE

    return list(dict.fromkeys(path for path in paths if path is not None and (path / CERTIFICATE).is_file()))
