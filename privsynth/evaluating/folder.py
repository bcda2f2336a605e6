"""The folder of an evaluation: figures on real records, for those who may see the records.

Must never be a release's folder, nor lie in one, nor be open to others than its owner.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from privsynth.certificate.places import NOTICE, require_outside
from privsynth.errors import OutputError
from privsynth.evaluating.evaluation import Evaluation
from privsynth.evaluating.page import render
from privsynth.releasing.durably import write_durably

PAGE: Final = "evaluation.html"
FIGURES: Final = "evaluation.json"
_NOTICE = (
    "INTERNAL: computed on real records; never release.\n"
    "The figures in this folder are exact functions of real people's records, and no privacy budget was spent on them.\n"
    "Keep the folder where the real table is kept.\n"
)


def require_free(folder: Path, sources: Sequence[object]) -> None:
    """Raises: OutputError when the folder exists, or is a release's folder or lies in one."""
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} exists; choose a new folder, nothing is overwritten")
    require_outside(folder)
    place = folder.resolve()
    releases = {Path(one).resolve() for one in sources if isinstance(one, str | Path) and Path(one).is_dir()}
    for above in (place, *place.parents):
        if above in releases:
            raise OutputError(
                f"{folder} lies in the folder of a release, and an evaluation must never be released; choose a folder elsewhere"
            )
    if not place.parent.is_dir():
        raise OutputError(f"there is no folder {folder.parent}; make it first")


def write(folder: Path, found: Evaluation) -> None:
    """Write the figures, the page and a notice; see `write_files`."""
    figures = json.dumps(found.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_files(folder, {FIGURES: figures.encode(), PAGE: render(found).encode()})


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files and a notice into a new folder, mode 0700, files 0600.

    Privacy: the contents are functions of private records that nobody paid for; they must stay where the records are.
    Raises: OutputError when the folder exists, cannot be written or lies in a release's; nothing is left behind.
    """
    require_outside(folder)
    partial = folder.with_name(folder.name + ".partial")
    try:
        partial.mkdir(mode=0o700)
    except OSError as failure:
        raise OutputError(f"{partial} cannot be made ({failure.strerror}); choose another folder") from None
    try:
        for name, content in {NOTICE: _NOTICE.encode(), **files}.items():
            write_durably(partial / name, content).chmod(0o600)
        partial.chmod(0o700)
        partial.rename(folder)
    except OSError as failure:
        raise OutputError(f"{folder} cannot be written ({failure.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
