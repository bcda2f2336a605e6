"""Where what is written may lie: nothing in a release's folder, and nothing that may be given away among internal figures.

Must never make or change anything: it looks at the folders above a place, links followed, and refuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from privsynth.certificate.folder import CERTIFICATE
from privsynth.errors import OutputError

NOTICE: Final = "INTERNAL.txt"
"""The file by which a folder says that it holds figures on real people."""

INTERNAL_ENDING: Final = ".internal"
"""What the name of a release's workspace ends in; see `releasing.workspace`."""


def require_outside(path: Path) -> None:
    """Raises: OutputError when a place lies in a release's folder: what is put there is not what was signed any more."""
    for above in path.resolve().parents:
        if (above / CERTIFICATE).is_file():
            raise OutputError(
                f"{path} lies in the folder of a release, to which nothing may be added; choose a place elsewhere"
            )


def require_publishable(path: Path) -> None:
    """Raises: OutputError as `require_outside`, and for a place among internal files, which would be given away with it."""
    require_outside(path)
    for above in path.resolve().parents:
        if above.name.endswith(INTERNAL_ENDING) or (above / NOTICE).is_file():
            raise OutputError(
                f"{path} lies in a folder of internal figures on real people, and what may be given away must not lie there; "
                "choose a place elsewhere"
            )
