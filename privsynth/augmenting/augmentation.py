"""Augmentation: a joined training table, what was joined, and whether it helped.

Must never be shown without saying that it was computed on real records, nor with a count of a class that is too small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import pyarrow as pa

from privsynth import frames
from privsynth.augmenting.judging import ARMS
from privsynth.augmenting.measures import MEASURES, Difference
from privsynth.evaluating import folder
from privsynth.evaluating.evaluation import INTERNAL

FittedOn: TypeAlias = Literal["unknown", "others", "folds"]

REPORT, TABLE = "augmentation.json", "training.parquet"

CAVEATS: Final[Mapping[str, str]] = {
    "unknown": (
        "the generator may have been fitted to the very rows that were held out, which can make it look better than it is; "
        "ask for a refit, or take a generator of other rows"
    ),
    "others": "the generator was fitted to other rows than these, as you say",
    "folds": (
        "a generator was fitted anew to the training rows of each fold; that is exploration on your own records, uncertified, "
        "and in nobody's ledger"
    ),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Augmentation:
    """What came of it.

    `table` holds the real rows and the synthetic ones, with the column `origin` that says which they are. `differences` are to
    real rows alone, by way of training and measure; `by_learner` those of synthetic rows in the measure that decides;
    `against` how synthetic rows do against each plain remedy in it. `real_rows` and `added` are by class, None where hidden.
    `rows_caution` says it where the synthetic rows were made of fewer rows of each unit than the real table has.
    Privacy: the table holds real rows and everything else is computed on them; internal.
    """

    table: pa.Table
    kind: str
    origin: str
    target: str
    rare: str
    classes: tuple[str, ...]
    real_rows: tuple[int | None, ...]
    added: tuple[int | None, ...]
    short: tuple[str, ...]
    fitted_on: FittedOn
    splits: int
    judged_rows: int | None
    means: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, Difference]]
    by_learner: Mapping[str, Difference]
    against: Mapping[str, Difference]
    rows_caution: str | None = None

    def __repr__(self) -> str:
        return f"Augmentation({INTERNAL} See .lines() and .table)"

    @property
    def frame(self) -> Any:
        """The joined table as the kind of frame that the real one was; Arrow for a file."""
        return frames.to_kind(self.table, self.kind)

    @property
    def verdict(self) -> str:
        """What synthetic rows did to the average precision of the rare class."""
        return self.differences[ARMS[1]][MEASURES[0]].verdict

    def to_json(self) -> dict[str, object]:
        """A JSON object of the report; the table is not in it."""
        return {
            "notice": INTERNAL,
            "target": self.target,
            "rareClass": self.rare,
            "verdict": self.verdict,
            "decidedBy": MEASURES[0],
            "generatorFittedOn": self.fitted_on,
            "caveat": CAVEATS[self.fitted_on],
            "cautionOfRows": self.rows_caution,
            "splits": self.splits,
            "rowsJudged": self.judged_rows,
            "classes": [
                {"class": name, "realRows": real, "syntheticRows": added}
                for name, real, added in zip(self.classes, self.real_rows, self.added, strict=True)
            ],
            "classesWithTooFewSyntheticRows": list(self.short),
            "means": {arm: {name: round(one, 4) for name, one in found.items()} for arm, found in self.means.items()},
            "differencesToRealRowsAlone": {
                arm: {name: one.to_json() for name, one in found.items()} for arm, found in self.differences.items()
            },
            "byLearner": {name: one.to_json() for name, one in self.by_learner.items()},
            "syntheticRowsAgainst": {name: one.to_json() for name, one in self.against.items()},
        }

    def lines(self) -> list[str]:
        """The report in words, the verdict first."""
        decided = self.differences[ARMS[1]][MEASURES[0]]
        found = [
            INTERNAL,
            f'synthetic rows {self.verdict}: {MEASURES[0]} of "{self.rare}" {decided.words()}, on real rows held out',
            f"  caution: {CAVEATS[self.fitted_on]}",
        ]
        if self.rows_caution is not None:
            found.append(f"  caution: {self.rows_caution}")
        for name, real, added in zip(self.classes, self.real_rows, self.added, strict=True):
            found.append(f"  {name}: {_shown(real)} real rows, {_shown(added)} synthetic ones joined")
        if self.short:
            found.append(f"  the source has too few rows, or none, of: {', '.join(self.short)}")
        for arm in ARMS:
            means = ", ".join(f"{name} {self.means[arm][name]:.3f}" for name in MEASURES)
            found.append(f"  {arm:<20} {means}")
        for arm in ARMS[1:]:
            told = ", ".join(f"{name} {self.differences[arm][name].words()}" for name in MEASURES)
            found.append(f"  {arm}, to real rows alone: {told}")
        for name, one in self.against.items():
            found.append(f"  synthetic rows against {name}: {MEASURES[0]} {one.words()}, {_beside(one)}")
        for name, one in self.by_learner.items():
            found.append(f"  {name.replace('_', ' ')}: {MEASURES[0]} {one.words()}, {one.verdict}")
        found.append(
            "  recall and balanced accuracy rise whenever rare rows weigh more, with synthetic rows or without; compare with "
            "the plain remedies before trusting them"
        )
        return found

    def save(self, out: str | Path, *, report_only: bool = False) -> None:
        """Write the report and the joined table into a new folder, mode 0700; the table as Parquet, which keeps its mark.

        Raises: OutputError when the folder exists, lies in a release, or cannot be written.
        """
        place = Path(out)
        folder.require_free(place, [])
        report = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False).encode()
        table = {} if report_only else {TABLE: frames.parquet_bytes(self.table)}
        folder.write_files(place, {REPORT: report, **table})


def _shown(count: int | None) -> str:
    return "too few or hidden" if count is None else f"{count:,}"


def _beside(one: Difference) -> str:
    return {"helped": "better", "hurt": "worse"}.get(one.verdict, "no difference that can be told")
