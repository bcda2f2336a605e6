"""Record linkage: does a file of people with typos and gaps lead to their records, and so to what was not known of them?

Must never count a link by itself as harm where secrets are declared: what is read off has to be right, and right more often
for people who were in the training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Flags, Floats, Outcome, Tier, View
from privsynth.linkage import Linkage, Links
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING, Records

Int64s: TypeAlias = npt.NDArray[np.int64]

_STEPS = 1000


@final
class RecordLinkage(AbstractAttack):
    """An intruder links people he knows something of to released records, and reads off what he did not know.

    His file has wrong values: each cell is, with probability `typos`, the next smaller or larger value, or any other label;
    with probability `gaps` it is empty. He weighs agreements as Fellegi and Sunter do and claims the surest links: all that he
    believes to `sure`, and at least a share `share` of all people. He is right where the linked record has the person's secret
    (for ordered columns within `tolerance` of all released ranks).
    There are two intruders: one knows all columns but the sensitive ones, the other the quasi-identifying ones alone; either
    knows at most `facts` columns, those in which released records differ most. Where no column is declared sensitive, the first
    has nothing to learn, and the second is right where a share `rest` of the other columns are. Without a leak the members are
    no larger a share of the claims, nor of the right ones, than the controls.
    Source: Fellegi, Sunter 1969; El Emam et al. 2020 (an identity is disclosed where something new is learnt).
    """

    name: ClassVar[str] = "record_linkage"
    threat: ClassVar[str] = (
        "that somebody who knows facts about a person, some of them wrong, finds the person's record"
    )
    tier: ClassVar[Tier] = "release and auxiliary data"

    typos: float = Field(default=0.05, ge=0, lt=1)
    gaps: float = Field(default=0.05, ge=0, lt=1)
    close: float = Field(default=0.02, ge=0, lt=0.5)
    share: float = Field(default=0.1, gt=0, le=0.5)
    facts: int = Field(default=25, ge=1)
    sure: float = Field(default=0.95, gt=0, lt=1)
    tolerance: float = Field(default=0.05, ge=0, lt=0.5)
    rest: float = Field(default=0.8, gt=0, le=1)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Link all targets as either intruder, and check what was read off."""
        names = tuple(view.targets.ticks)
        roles = {name: view.schema.column(name).role for name in names}
        secrets = tuple(name for name in names if roles[name] == "sensitive")
        quasi = tuple(name for name in names if roles[name] == "quasi")
        most = tuple(name for name in names if name not in secrets) or names
        file = self._intruders_file(view.targets, rng)
        links, claimed = self._linked(view.synthetic, file, most, "all but secrets", rng)
        outcomes = [self._outcome("record linkage: match", claimed, float(claimed.mean()), links.log_odds)]
        if most != names:
            outcomes += [self._read_off(view, name, "the rest", claimed, links) for name in secrets]
        if quasi and quasi not in (most, names):
            links, claimed = self._linked(view.synthetic, file, quasi, "quasi-identifiers", rng)
            outcomes += [self._read_off(view, name, "quasi-identifiers", claimed, links) for name in secrets]
            if not secrets:
                others = tuple(name for name in names if name not in quasi)
                outcomes.append(self._read_off_together(view, others, claimed, links))
        return tuple(outcomes)

    def _intruders_file(self, targets: Records, rng: np.random.Generator) -> Records:
        """What the intruders believe about the targets."""
        ticks = {}
        for name, truth in targets.ticks.items():
            wrong, empty = rng.random((2, targets.rows))
            mistaken = _mistaken(truth, nominal=is_nominal(targets, name), rng=rng)
            believed = np.where((wrong < self.typos) & (truth != MISSING), mistaken, truth)
            ticks[name] = np.where(empty < self.gaps, MISSING, believed)
        return targets.with_ticks(ticks)

    def _linked(
        self, released: Records, file: Records, names: Sequence[str], knowing: str, rng: np.random.Generator
    ) -> tuple[Links, Flags]:
        """The best links, and which of them are claimed."""
        stage = f"audit: record linkage by {knowing}"
        progress.report(stage, 0, 100)
        linkage = Linkage(released, file, self._most_telling(released, names), self.close)
        linkage.learn(rng=rng)
        links = linkage.best(rng=rng, told=lambda percent: progress.report(stage, percent, 100))
        surest = np.sort(links.log_odds)[-int(np.ceil(self.share * file.rows))]
        return links, links.log_odds >= min(surest, np.log(self.sure / (1 - self.sure)))

    def _most_telling(self, released: Records, names: Sequence[str]) -> list[str]:
        """The `facts` columns in which two released records differ most often."""

        def alike(name: str) -> float:
            counts = np.unique(released.ticks[name], return_counts=True)[1]
            return float(((counts / released.rows) ** 2).sum())

        return sorted(names, key=alike)[: self.facts]

    def _right(self, view: View, name: str, guess: Int64s) -> Flags:
        """Where a guess is as good as the truth."""
        truth = view.targets.ticks[name]
        if is_nominal(view.targets, name):
            return np.asarray(guess == truth)
        place, real = (rank_codes(ticks, view.synthetic.ticks[name], _STEPS) for ticks in (guess, truth))
        return np.asarray(np.abs(place - real) <= self.tolerance * _STEPS)

    def _commonest(self, view: View, name: str) -> Flags:
        """Where the commonest released value, or the middle one, is as good as the truth."""
        values, counts = np.unique(view.synthetic.ticks[name], return_counts=True)
        nominal = is_nominal(view.targets, name)
        place = counts.argmax() if nominal else np.searchsorted(counts.cumsum(), (counts.sum() + 1) // 2)
        return self._right(view, name, np.full(view.targets.rows, values[place]))

    def _read_off(self, view: View, name: str, knowing: str, claimed: Flags, links: Links) -> Outcome:
        success = claimed & self._right(view, name, view.synthetic.ticks[name][links.row])
        baseline = float((claimed & self._commonest(view, name)).mean())
        return self._outcome(f"record linkage: {name}, knowing {knowing}", success, baseline)

    def _read_off_together(self, view: View, names: Sequence[str], claimed: Flags, links: Links) -> Outcome:
        read = [self._right(view, name, view.synthetic.ticks[name][links.row]) for name in names]
        guessed = [self._commonest(view, name) for name in names]
        enough = self.rest * len(names)
        success = claimed & (np.sum(read, axis=0) >= enough)
        baseline = float((claimed & (np.sum(guessed, axis=0) >= enough)).mean())
        return self._outcome("record linkage: other columns", success, baseline)

    @staticmethod
    def _outcome(label: str, success: Flags, baseline: float, score: Floats | None = None) -> Outcome:
        attempted = np.ones(len(success), dtype=bool)
        return Outcome(label=label, success=success, attempted=attempted, baseline=baseline, score=score)


def _mistaken(truth: Int64s, *, nominal: bool, rng: np.random.Generator) -> Int64s:
    """Another value for each cell, of those that the column has: any other label, or the next smaller or larger value."""
    values, place = np.unique(truth, return_inverse=True)
    gaps = int(values[0] == MISSING)
    known = len(values) - gaps
    if known < 2:
        return truth
    step = rng.integers(1, known, len(truth)) if nominal else rng.choice([-1, 1], len(truth))
    place = place - gaps + step
    if nominal:
        return np.asarray(values[gaps + place % known])
    inside = np.where(place < 0, 1, np.where(place >= known, known - 2, place))
    return np.asarray(values[gaps + inside])


ATTACK = RecordLinkage
