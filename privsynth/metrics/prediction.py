"""Prediction: learners taught on synthetic rows and judged on real ones, beside the same learners taught on real rows.

Must never judge a learner on a row that it was taught on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.learning import direct_dp, learners
from privsynth.learning.task import Examples, Task
from privsynth.metrics.people import about, in_cells

Floats: TypeAlias = npt.NDArray[np.float64]

ROWS: Final = 20_000
"""Most rows that a learner is taught on, synthetic and real alike."""

TEST_ROWS: Final = 10_000
SEEDS: Final = 3
RESAMPLES: Final = 20
TEST_SHARE: Final = 0.25
"""Of the real rows, kept apart for judging where there is no holdout."""

_T_95: Final = 4.303
"""Of Student's t with SEEDS - 1 degrees of freedom."""
_Z_95 = 1.96


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds with its interval of 95 %: over what is left to chance in teaching, and over the rows judged by."""

    value: float
    lower: float
    upper: float

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {"value": round(self.value, 4), "interval95": [round(self.lower, 4), round(self.upper, 4)]}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One learner. `gap` is synthetic minus real, judged on the same rows; None where nothing could be learned."""

    learner: str
    real: Estimate
    synthetic: Estimate | None
    gap: Estimate | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What learners reach at a task.

    Units: `measure` is "AUC" (0.5 guessing, 1 perfect) or "R2" (0 the mean, 1 perfect). `direct` are models trained on the
        real rows under the epsilon of the release; `direct_not` says why there are none, `synthetic_not` why nothing could be
        learned from the synthetic table.
    """

    target: str
    outcome: tuple[str, ...]
    measure: str
    train_rows: int
    test_rows: int
    seen: bool
    learned: tuple[Learned, ...]
    synthetic_not: str | None
    direct: Mapping[str, Estimate]
    direct_rows: int
    direct_not: str | None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "target": self.target,
            "outcome": list(self.outcome),
            "measure": self.measure,
            "rowsTaughtOn": about(self.train_rows),
            "rowsJudgedOn": about(self.test_rows),
            "generatorMayHaveSeenTheRowsJudgedOn": self.seen,
            "learners": {
                one.learner: {
                    "trainedOnReal": one.real.to_json(),
                    "trainedOnSynthetic": None if one.synthetic is None else one.synthetic.to_json(),
                    "gap": None if one.gap is None else one.gap.to_json(),
                }
                for one in self.learned
            },
            "nothingLearnedFromSynthetic": self.synthetic_not,
            "directDP": {name: one.to_json() for name, one in self.direct.items()},
            "directDPRows": about(self.direct_rows),
            "noDirectDP": self.direct_not,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """The real examples to teach on and to judge by; `seen` says that the generator may have seen the latter.

    Units: `people` with the rarer answer (of three or more, the second most frequent; of a number, with any) in the part with
        fewer of them.
    """

    train: Examples
    test: Examples
    seen: bool
    people: int


def parts(
    task: Task,
    real: Examples,
    holdout: Examples | None,
    *,
    units: npt.NDArray[np.int64] | None = None,
    held_units: npt.NDArray[np.int64] | None = None,
    rng: np.random.Generator,
) -> Parts:
    """Split the real examples, or take the holdout to judge by.

    Args: `units` numbers the unit of each row of the real table, whose rows then stay together; `held_units` of the holdout.
    Raises: RecordsError when the real table or the holdout has one answer only.
    """
    task.require_learnable(real, "the real table")
    if holdout is not None:
        task.require_learnable(holdout, "the holdout")
        test = _some(holdout, TEST_ROWS, rng)
        people = min(people_with(task, real, units), people_with(task, test, held_units))
        return Parts(train=real, test=test, seen=False, people=people)
    owner = np.arange(len(real)) if units is None else units[real.rows]
    share = min(TEST_ROWS / len(real), TEST_SHARE)
    judged = (rng.random(int(owner.max()) + 1) < share)[owner]
    train, test = real.take(~judged), real.take(judged)
    return Parts(train=train, test=test, seen=True, people=min(people_with(task, one, units) for one in (train, test)))


def people_with(task: Task, examples: Examples, units: npt.NDArray[np.int64] | None) -> int:
    """People with the rarer answer; see `Parts`."""
    cells = np.zeros(len(examples), dtype=np.int64) if task.kind == "number" else examples.answers.astype(np.int64)
    counted = np.sort(in_cells(cells, None if units is None else units[examples.rows], max(1, len(task.classes))))
    return int(counted[-1] if task.kind == "number" else counted[-2])


def too_few(task: Task, people: int, min_cell: int) -> str | None:
    """Why nothing is judged, if so: a score by few people's rows is those rows' ranks."""
    if people >= min_cell:
        return None
    return (
        f'"{task.target}" differs in the rows of too few people to teach on some and judge by others: fewer than {min_cell} of '
        "the rarer answer; take more real records, give a holdout, or declare a wider outcome"
    )


def _some(examples: Examples, count: int, rng: np.random.Generator) -> Examples:
    if len(examples) <= count:
        return examples
    return examples.take(np.sort(rng.choice(len(examples), count, replace=False)))


@final
class Baseline:
    """What learners that were taught on real rows reach; taught once, for any number of synthetic tables."""

    def __init__(self, task: Task, split: Parts, *, rng: np.random.Generator) -> None:
        self.task, self.split = task, split
        self._seeds = [int(seed) for seed in rng.integers(1 << 31, size=SEEDS)]
        self._resamples = [rng.integers(len(split.test), size=len(split.test)) for _ in range(RESAMPLES)]
        self.real = {name: self._scores(name, split.train) for name in learners.LEARNERS}

    def _scores(self, learner: learners.LearnerName, taught: Examples) -> Floats:
        """Scores on all test rows, then on each resample. Shapes: (seeds, 1 + resamples)."""

        def predicted(seed: int) -> Floats:
            rng = np.random.default_rng(seed)
            rows = min(ROWS, len(self.split.train))
            some = taught.take(np.sort(rng.choice(len(taught), min(rows, len(taught)), replace=False)))
            if _one_answer(some):
                some = taught
            return learners.fit(self.task, some, learner, seed).predict(self.split.test.inputs)

        return self._judged(predicted)

    def _judged(self, predicted: Callable[[int], Floats]) -> Floats:
        return np.array([list(self._of_one(predicted(seed))) for seed in self._seeds])

    def _of_one(self, predicted: Floats) -> Iterator[float]:
        answers = self.split.test.answers
        yield learners.score(self.task, answers, predicted)
        for rows in self._resamples:
            again = answers[rows]
            yield float("nan") if np.all(again == again[0]) else learners.score(self.task, again, predicted[rows])

    def of_synthetic(self, synthetic: Examples) -> tuple[tuple[Learned, ...], str | None]:
        """The learners taught on synthetic rows, as many as on real ones; and why nothing could be learned, if so."""
        problem = None
        if len(synthetic) == 0 or _one_answer(synthetic):
            problem = (
                f'"{self.task.target}" is the same in every synthetic row, so that nothing can be learned from them'
            )
        found = []
        for name in learners.LEARNERS:
            if problem is not None:
                found.append(Learned(learner=name, real=_estimate(self.real[name]), synthetic=None, gap=None))
                continue
            reached = self._scores(name, synthetic)
            found.append(
                Learned(
                    learner=name,
                    real=_estimate(self.real[name]),
                    synthetic=_estimate(reached),
                    gap=_estimate(reached - self.real[name]),
                )
            )
        return tuple(found), problem

    def of_direct(self, data: Dataset, test: Dataset, *, epsilon: float) -> dict[str, Estimate]:
        """Models trained under epsilon on the real rows, all of them.

        Args: `data` and `test` are the rows of the split, encoded.
        """
        found: dict[str, Estimate] = {}
        for name in direct_dp.DIRECT:

            def predicted(seed: int, name: direct_dp.DirectName = name) -> Floats:
                answers = self.split.train.answers
                return direct_dp.fit(self.task, data, answers, name, epsilon=epsilon, seed=seed).predict(test)

            found[name] = _estimate(self._judged(predicted))
        return found


def _one_answer(examples: Examples) -> bool:
    return bool(np.all(examples.answers == examples.answers[0]))


def _estimate(scores: Floats) -> Estimate:
    """A mean over seeds; the interval adds the spread of seeds and the mean spread of resamples."""
    whole, again = scores[:, 0], scores[:, 1:]
    of_seeds = _T_95 * float(np.std(whole, ddof=1)) / np.sqrt(len(whole))
    of_rows = _Z_95 * float(np.nanstd(np.nanmean(again, axis=0), ddof=1))
    half = float(np.hypot(of_seeds, of_rows))
    middle = float(whole.mean())
    return Estimate(value=middle, lower=middle - half, upper=middle + half)


def measure_of(task: Task) -> str:
    """What a score of the task is called."""
    return "R2" if task.kind == "number" else "AUC"


def described(names: Sequence[str]) -> str:
    """Learners' names in words."""
    return ", ".join(name.replace("_", " ") for name in names)
