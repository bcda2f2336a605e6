"""Learning: what learners reach on held-out real rows, by how many rows they or their generator were given.

Must never judge by a row that was trained on, and never be shown without saying that it was computed on real records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

from privsynth.evaluating import folder
from privsynth.evaluating.evaluation import INTERNAL
from privsynth.growth.curve import Curve

What: TypeAlias = Literal["generator", "synthetic", "mixture", "real"]

TITLES: Final[Mapping[What, str]] = {
    "real": "Real rows alone",
    "generator": "Real rows that the generator is fitted to",
    "synthetic": "Synthetic rows that are drawn",
    "mixture": "Real rows, with synthetic rows of a generator fitted to them",
}
ROWS: Final[Mapping[What, str]] = {
    "real": "real rows",
    "generator": "real rows for the generator",
    "synthetic": "synthetic rows",
    "mixture": "real rows beside synthetic ones",
}
FIGURES, PAGE = "growth.json", "growth.html"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Learning curves of one task.

    Units: `measure` is "AUC" or "R2". `seen` says that the generator may have been fitted to the rows that were judged by;
    `rows_caution` that generators used fewer rows of each unit than the real table has.
    Privacy: computed on real records; internal.
    """

    target: str
    measure: str
    learner: str
    seeds: int
    seen: bool
    spent: str
    curves: Mapping[What, Curve]
    rows_caution: str | None = None

    def __repr__(self) -> str:
        return f"Growth({INTERNAL} See .lines())"

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "notice": INTERNAL,
            "target": self.target,
            "measure": self.measure,
            "learner": self.learner,
            "seeds": self.seeds,
            "generatorMayHaveSeenTheRowsJudgedOn": self.seen,
            "cautionOfRows": self.rows_caution,
            "spent": self.spent,
            "curves": {name: curve.to_json() for name, curve in self.curves.items()},
        }

    def lines(self) -> list[str]:
        """The curves in words."""
        found = [INTERNAL, f'{self.measure} at predicting "{self.target}" on held-out real rows; {self.spent}']
        if self.seen:
            found.append("  caution: the generator may have been fitted to the very rows that are judged by")
        if self.rows_caution is not None:
            found.append(f"  caution: {self.rows_caution}")
        for name, curve in self.curves.items():
            points = ", ".join(f"{n:,}: {mean:.3f}" for n, mean in zip(curve.sizes, curve.means, strict=True))
            found += [f"  {TITLES[name]}: {points}", f"    {curve.words(ROWS[name])}"]
        return found

    def save(self, out: str | Path) -> None:
        """Write the figures and a page with the curves into a new folder, mode 0700.

        Raises: OutputError when the folder exists, lies in a release, or cannot be written.
        """
        from privsynth.growth.page import render

        place = Path(out)
        folder.require_free(place, [])
        figures = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        folder.write_files(place, {FIGURES: figures.encode(), PAGE: render(self).encode()})
