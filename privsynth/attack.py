"""The contract of an attack on a release; instances live in `attacks/`, one file each.

Must never let an attack know who is a member: it sees members and controls shuffled together, and is scored afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from privsynth.database.held import Database
from privsynth.errors import AuditError
from privsynth.histories import gathering
from privsynth.measurement import Transcript
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.statistics import Comparison

Flags: TypeAlias = npt.NDArray[np.bool_]
Tier: TypeAlias = Literal["release only", "release and auxiliary data", "algorithm", "transcript", "worst-case data"]
"""What the attacker has: the release; also facts about people; also the code; also the noisy answers; also all other rows."""

Floats: TypeAlias = npt.NDArray[np.float64]
Need: TypeAlias = Literal[
    "nothing more", "the noisy answers", "the generator", "histories", "noisy answers about histories"
]
"""What an attack needs beside the release and the targets: what it lacks it cannot be tried without."""
Refit: TypeAlias = Callable[[Records, np.random.Generator], Records]
"""Fits the generator of the release anew, to records that the attacker has, and releases as many as the release holds."""

_MOST_FAILED = 0.01
_CURVE_POINTS = 190
_LOW_RATES = (0.1, 0.01, 0.001)
_CRASHES = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyTables:
    """Noisy answers about histories, table by table, and how many rows of a unit each of them used at most."""

    transcripts: Mapping[str, Transcript]
    used: Mapping[str, int]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenHistories:
    """Whole histories as an attacker sees them: those released, and the targets', whose unit i is target i."""

    synthetic: Database
    targets: Database
    noisy: NoisyTables | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histories:
    """Whole histories under attack: unit i of `members` (of `controls`) is row i of the target's members (controls)."""

    synthetic: Database
    members: Private[Database]
    controls: Private[Database]
    noisy: NoisyTables | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What an attacker sees: the release, and records of people of whom some were in the training data.

    Shapes: `targets` holds members and controls, one row a person, in random order.
    Args: `transcript` holds the noisy answers that were published with the release; `refit` is its generator. Either is None
        where this release's attackers have no such thing. With `histories`, `synthetic` and `targets` are profiles of them.
    """

    schema: Schema
    synthetic: Records
    targets: Records
    transcript: Transcript | None = None
    refit: Refit | None = None
    histories: SeenHistories | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What an attack achieved, target by target.

    Args: `label` names what was attacked; `success` and `attempted` are (targets,); `baseline` is the rate at which a guess
        that ignores the release (or all but one column of it) succeeds; `score`, (targets,), is larger the surer the attack is
        that a target was in the training data, where the attack says so.
    """

    label: str
    success: Flags
    attempted: Flags
    baseline: float
    score: Floats | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """How often an attack succeeded on members and on controls, in `attempts` attempts each; `failed` counts both arms.

    Args: `curve` is the ROC curve of the attack's scores, as points (control rate, member rate) from (0, 0) to (1, 1), thinned
        to at most 193, with those kept that `caught_at` 10, 1 and 0.1 % of controls needs; empty where there are no scores.
    Privacy: private: computed on real people. Internal to an audit, never published.
    """

    label: str
    attempts: int
    members: int
    controls: int
    failed: int
    baseline: float
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def area(self) -> float | None:
        """Area under the curve: the chance that a member's score is above a control's; None without scores."""
        if not self.curve:
            return None
        across, up = np.array(self.curve).T
        return float(((up[1:] + up[:-1]) / 2 * np.diff(across)).sum())

    def caught_at(self, rate: float) -> float:
        """The largest share of members found at a threshold that at most this share of controls reaches; 0 without scores."""
        return max((up for across, up in self.curve if across <= rate), default=0.0)

    @property
    def comparison(self) -> Comparison:
        """The counts, for the tests of `statistics`."""
        return Comparison(
            members=self.members,
            member_attempts=self.attempts,
            controls=self.controls,
            control_attempts=self.attempts,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A release under attack, with equally many members of its training data and people who were not in it.

    Raises: AuditError when the release or an arm is empty, the arms differ in size, or histories are not those of the targets.
    """

    schema: Schema
    synthetic: Records
    members: Private[Records]
    controls: Private[Records]
    transcript: Transcript | None = None
    refit: Refit | None = None
    histories: Histories | None = None

    def __post_init__(self) -> None:
        members, controls = self.members.open().rows, self.controls.open().rows
        if not self.synthetic.rows or not members:
            raise AuditError("an attack needs a release and targets with at least one row each")
        if members != controls:
            raise AuditError("an attack needs as many controls as members; draw both with `one_row_a_unit`")
        whole = self.histories
        if whole is not None and (whole.members.open().units, whole.controls.open().units) != (members, controls):
            raise AuditError("every target needs a history of its own; give one unit a row")


def one_row_a_unit(records: Records, rng: np.random.Generator) -> Records:
    """One row of each privacy unit, in random order; each row of a unit has the same chance to be the one."""
    order = rng.permutation(records.rows)
    if records.units is not None:
        order = order[np.sort(np.unique(records.units[order], return_index=True)[1])]
    return records.take(order)


def together(first: Records, second: Records) -> Records:
    """The rows of two tables of one schema, one table after the other; whose they are is forgotten."""
    ticks = {name: np.concatenate([column, second.ticks[name]]) for name, column in first.ticks.items()}
    return Records(schema=first.schema, ticks=ticks, labels=first.labels)


class AbstractAttack(BaseModel, ABC):
    """One way to learn about people from a release; its fields are its settings, as an audit plan gives them.

    `name` is the file's name in `attacks/`; `threat` says in plain words what an attacker would gain; `needs` is what it
    cannot be tried without.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    threat: ClassVar[str]
    tier: ClassVar[Tier]
    needs: ClassVar[Need] = "nothing more"

    @property
    def largest_excess(self) -> float:
        """The most that the attack can succeed more often on members than on controls, unless targets' scores are equal."""
        return 1.0

    @abstractmethod
    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Attack every target once, and tell for which of them it worked; one outcome for each thing attacked."""

    @final
    def possible(self, target: Target) -> bool:
        """Whether the audit was given what the attack needs."""
        whole = target.histories
        given: dict[Need, bool] = {
            "nothing more": True,
            "the noisy answers": target.transcript is not None,
            "the generator": target.refit is not None,
            "histories": whole is not None,
            "noisy answers about histories": whole is not None and whole.noisy is not None,
        }
        return given[self.needs]

    @final
    def run(self, target: Target, *, rng: np.random.Generator) -> tuple[AttackResult, ...]:
        """Attack members and controls alike, and count.

        Raises: AuditError when the attack lacks what it needs, breaks off, or more than 1 % of its attempts could not be
            carried out.
        """
        if not self.possible(target):
            raise AuditError(f'attack "{self.name}" needs {self.needs}, which this audit was not given')
        members, controls = target.members.open(), target.controls.open()
        order = rng.permutation(2 * members.rows)
        view = View(
            schema=target.schema,
            synthetic=target.synthetic,
            targets=together(members, controls).take(order),
            transcript=target.transcript,
            refit=target.refit,
            histories=None if target.histories is None else _seen(target.histories, order),
        )
        try:
            outcomes = self.attack(view, rng=rng)
        except _CRASHES as crash:
            # The message of a crash may quote a value of a record; its kind cannot.
            raise AuditError(f'attack "{self.name}" broke off ({type(crash).__name__}); this is no finding') from None
        if not outcomes:
            raise AuditError(f'attack "{self.name}" attacked nothing; this is no finding')
        return tuple(_count(self.name, outcome, order < members.rows) for outcome in outcomes)


def _seen(whole: Histories, order: npt.NDArray[np.int64]) -> SeenHistories:
    """Members and controls in the order of the targets; whose they are is forgotten."""
    both = gathering.together(whole.members.open(), whole.controls.open())
    return SeenHistories(synthetic=whole.synthetic, targets=gathering.taken(both, order), noisy=whole.noisy)


def _count(name: str, outcome: Outcome, is_member: Flags) -> AttackResult:
    if outcome.success.shape != is_member.shape or outcome.attempted.shape != is_member.shape:
        raise AuditError(f'attack "{name}" did not answer for every target; this is no finding')
    failed = int((~outcome.attempted).sum())
    if failed > _MOST_FAILED * len(is_member):
        raise AuditError(f'attack "{outcome.label}" could not make more than 1 % of its attempts; this is no finding')
    if outcome.score is not None and (outcome.score.shape != is_member.shape or np.isnan(outcome.score).any()):
        raise AuditError(f'attack "{name}" did not score every target; this is no finding')
    success = outcome.success & outcome.attempted
    return AttackResult(
        label=outcome.label,
        attempts=len(is_member) // 2,
        members=int((success & is_member).sum()),
        controls=int((success & ~is_member).sum()),
        failed=failed,
        baseline=outcome.baseline,
        curve=() if outcome.score is None else _curve(outcome.score, is_member),
    )


def _curve(score: Floats, is_member: Flags) -> tuple[tuple[float, float], ...]:
    """The share of controls and of members at or above each score; equal scores are one point."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    rates = [np.append(0.0, np.cumsum(flag[order])[ends] / flag.sum()) for flag in (~is_member, is_member)]
    low = [np.searchsorted(rates[0], rate, side="right") - 1 for rate in _LOW_RATES]
    kept = np.unique([*np.linspace(0, len(ends), _CURVE_POINTS).round().astype(int), *low])
    return tuple((float(across), float(up)) for across, up in zip(rates[0][kept], rates[1][kept], strict=True))
