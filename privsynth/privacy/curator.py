"""The curator: trusted holder of data, budget and noise; the only door through which anything is learned.

Must never return an exact answer, and must never answer what the budget does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NoReturn, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import BudgetExceeded, MechanismError
from privsynth.measurement import Entry, ErrorScores, Event, Measurement, Selection, Trained, Transcript
from privsynth.privacy import gradient_step, mechanism
from privsynth.privacy.accounting import Composition
from privsynth.privacy.gradient import AbstractLoss, GradientSum
from privsynth.privacy.journal import (
    CLAIMS,
    AbstractJournal,
    Kept,
    MemoryJournal,
    State,
    question_of,
    require_state,
)
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import MAX_COUNT_SIGMA, MAX_SIGMA, AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit, require_bounded
from privsynth.private import Private

_CACHED_CELLS = 1 << 26

EpsilonAfter: TypeAlias = Callable[[Fraction, int], float]
"""Epsilon of a fit by what is left of its rho and how many of its gradient steps are claimed."""

_Counted: TypeAlias = tuple[Clique, tuple[tuple[str, tuple[int, ...]], ...]]
"""What an exact table counts: its clique, and the groups of those attributes that have any."""


@final
class Curator:
    """Answers three kinds of question about one private dataset, within one budget.

    Privacy: for neighbours that differ in one `unit`, everything it returns together is
        with composition "zcdp", budget-zCDP: each answer is rho-zCDP by its mechanism, the rhos are added before the data
        is touched, and adaptively chosen zCDP answers add up (Bun, Steinke 2016; as a filter, Whitehouse et al. 2023);
        with composition "gdp", mu-GDP with mu^2 = 2 * budget: each answer is Gaussian (`mechanism.gaussian`), the rhos are
        added the same way, and adaptively chosen Gaussian answers with adaptively chosen scales add up to one of that mu
        (Smith, Thakurta 2022: a filter with the parameters of non-adaptive composition). No other mechanism is used then;
        with composition "pld", as private as mu-GDP, mu^2 = 2 * budget, for Gaussian answers, together with
        `training.steps` Poisson-subsampled Gaussians for gradient sums: rate, noise and number are fixed beforehand, so that
        the pairs of distributions that dominate them compose, in any order and whatever weights a step is asked at (Zhu,
        Dong, Wang 2022, theorem 10);
        with composition "rdp", as private as budget-zCDP for answers together with those steps, by Renyi divergences.
    """

    def __init__(
        self,
        data: Private[Dataset],
        *,
        unit: PrivacyUnit,
        rho: Fraction,
        noise: AbstractNoiseSource,
        composition: Composition = "zcdp",
        training: SampledGaussian | None = None,
        journal: AbstractJournal | None = None,
        epsilon_after: EpsilonAfter | None = None,
    ) -> None:
        if type(rho) is not Fraction or rho < 0 or (rho == 0 and training is None):
            raise MechanismError("a curator needs a budget above zero, as an exact fraction")
        if composition not in ("gdp", "zcdp") if training is None else composition not in ("pld", "rdp"):
            raise MechanismError(
                f'answers add up as "gdp" or "zcdp", with gradient steps as "pld" or "rdp"; found "{composition}"'
            )
        self._data = data
        self._unit = unit
        self._budget = rho
        self._noise = noise
        self._composition: Composition = composition
        self._entries: list[Entry] = []
        self._spent = Fraction(0)
        self._exact: dict[_Counted, npt.NDArray[np.int64]] = {}
        self._distances: dict[int, int] = {}
        self._training = training
        self._journal = journal or MemoryJournal()
        self._steps = self._journal.claimed
        self._epsilon_after = epsilon_after
        self._ended: str | None = None
        require_bounded(data.open(), unit)
        if training is not None and data.open().weights is not None:
            raise MechanismError("rows with weights have no gradients; take a generator that does not train")
        if training is not None and (unit.column is None) != (data.open().units is None):
            raise MechanismError("the privacy unit and the table disagree on whether a column names each row's unit")

    @property
    def domain(self) -> Domain:
        """The public domain of the data."""
        return self._data.open().domain

    @property
    def training(self) -> SampledGaussian | None:
        """The gradient steps that this fit may take, if any: public."""
        return self._training

    @property
    def composition(self) -> Composition:
        """How the answers add up; but for "zcdp" and "rdp", nothing can be selected."""
        return self._composition

    @property
    def unit(self) -> PrivacyUnit:
        """Whose participation is protected: public."""
        return self._unit

    @property
    def budget(self) -> Fraction:
        """The whole budget of this fit: rho, or with composition "gdp" half the square of mu."""
        return self._budget

    @property
    def remaining(self) -> Fraction:
        """What is left of it."""
        return self._budget - self._spent

    @property
    def epsilon_so_far(self) -> float | None:
        """Epsilon of what was answered and of the steps that are claimed, for showing progress; None where nobody can say."""
        return None if self._epsilon_after is None else self._epsilon_after(self.remaining, self._journal.claimed)

    @property
    def transcript(self) -> Transcript:
        """Everything that was learned, in order: public."""
        return tuple(self._entries)

    def measure(
        self,
        cliques: Sequence[Clique],
        *,
        rho: Fraction,
        stage: str,
        groups: Mapping[str, tuple[int, ...]] | None = None,
        weights: Sequence[Fraction] | None = None,
    ) -> tuple[Measurement, ...]:
        """Release the tables of these cliques together.

        Args: `groups` gives attributes a group (0, 1, ...) for each of their levels; their tables are then counted over
            groups. `weights` is the share of rho that each clique gets, in exact fractions; by default all get the same.
        Privacy: spends rho for all of them together. Groups and weights are public: they come from a generator.
        Raises: BudgetExceeded, MechanismError or SchemaError before anything is spent and the data is touched.
        """
        if weights is not None and not weights:
            raise MechanismError("a measurement needs as many weights as cliques")
        query = Marginals(cliques=tuple(cliques), groups=groups or {}, weights=tuple(weights or ()))
        query.require_within(self.domain)
        self._require(rho, stage)
        sensitivity_squared, shares = query.table_sensitivity_squared(self._unit), query.shares(rho)
        most = MAX_COUNT_SIGMA * self._unit.max_rows
        mechanism.gaussian_variance(sensitivity_squared, min(shares), most=most)
        self._spent += rho
        asked = tuple((clique, tuple(query.groups_of(clique).items())) for clique in query.cliques)

        def drawn() -> list[Measurement]:
            noisy, events = mechanism.gaussian(
                self._tables(query),
                sensitivity_squared=sensitivity_squared,
                shares=shares,
                stage=stage,
                noise=self._noise,
                most=most,
            )
            return [
                Measurement(clique=clique, values=values, event=event, groups=query.groups_of(clique))
                for clique, values, event in zip(query.cliques, noisy, events, strict=True)
            ]

        found = self._journal.ask(question_of("measure", stage, shares, sensitivity_squared, asked), drawn)
        self._entries.extend(found)
        return tuple(entry for entry in found if isinstance(entry, Measurement))

    def measure_errors(self, query: MarginalErrors, *, rho: Fraction, stage: str) -> ErrorScores:
        """Release the scores of all candidates together, each with the same noise.

        Privacy: spends rho. Raises: as `measure`.
        """
        self._require_errors(query)
        self._require(rho, stage)
        sensitivity_squared = query.sensitivity_squared(self._unit)
        mechanism.gaussian_variance(sensitivity_squared, rho, most=MAX_SIGMA)
        self._spent += rho

        def drawn() -> list[ErrorScores]:
            (values,), (event,) = mechanism.gaussian(
                [self._scores(query)],
                sensitivity_squared=sensitivity_squared,
                shares=[rho],
                stage=stage,
                noise=self._noise,
                most=MAX_SIGMA,
            )
            return [ErrorScores(cliques=query.cliques, values=values, event=event)]

        (found,) = self._journal.ask(question_of("errors", stage, rho, query.cliques, query.weights), drawn)
        assert isinstance(found, ErrorScores)
        self._entries.append(found)
        return found

    def select(self, query: MarginalErrors, *, rho: Fraction, stage: str) -> int:
        """Choose the candidate whose reference table is most wrong.

        Privacy: spends rho. Returns: the index of the chosen candidate.
        Raises: as `measure`; MechanismError with composition "gdp".
        """
        if self._composition in ("gdp", "pld"):
            raise MechanismError("a selection is no Gaussian mechanism: this fit's answers must add up as such")
        self._require_errors(query)
        self._require(rho, stage)
        self._spent += rho

        indices: list[int] = []

        def drawn() -> list[Selection]:
            chosen, event = mechanism.exponential(
                self._scores(query),
                sensitivity=query.sensitivity(self._unit),
                rho=rho,
                stage=stage,
                noise=self._noise,
            )
            indices.append(chosen)
            return [Selection(chosen=query.cliques[chosen], candidates=len(query.cliques), event=event)]

        (found,) = self._journal.ask(question_of("select", stage, rho, query.cliques, query.weights), drawn)
        assert isinstance(found, Selection)
        self._entries.append(found)
        return indices[0] if indices else query.cliques.index(found.chosen)

    def gradient_sum(
        self, loss: AbstractLoss, *, clip: Fraction, rows: float | None = None
    ) -> list[npt.NDArray[np.float64]]:
        """Release the sum of clipped gradients over units sampled for this step: one of the plan's gradient steps.

        Args: `rows` is how many rows a step is expected to hold, from noisy answers: for speed alone.
        Shapes: a matrix for each of `loss.shapes`. Units: the gradient's; divide by a public number, never by a count of rows.
        Privacy: takes one step of `training`, also where it fails once the data was touched.
        Raises: MechanismError without a plan for training or for a clip out of range; BudgetExceeded when no step is left;
            MechanismError, with a fixed message, where the loss fails: then nothing more is answered.
        """
        query = GradientSum(loss, clip)
        plan = self._plan()
        sensitivity = query.sensitivity(self._unit)
        variance = mechanism.sampled_variance(sensitivity, plan)
        if self._steps >= plan.steps:
            raise BudgetExceeded(f"all {plan.steps} gradient steps of this fit have been taken; plan for more of them")
        if self._steps >= self._journal.claimed:
            self._journal.claim(min(plan.steps, self._steps + max(1, plan.steps // CLAIMS)))
        self._steps += 1
        self._ended = "a gradient step failed"
        exact = gradient_step.exact_sum(query, self._data.open(), plan, self._noise.key(), rows)
        self._ended = None
        return query.split(self._noise.gaussian(exact, variance) * np.float64(query.grid))

    def training_state(self) -> tuple[int, State | None]:
        """(gradient steps that are spent so far, the last state that was kept): where to go on, after a kill or afresh.

        Steps that were claimed and lost in a kill count as spent, so that the state may be of an earlier step than the number
        says; take the plan's steps less this number, and go on from the state.
        """
        kept = self._journal.kept
        return self._steps, None if kept is None else kept.state

    @property
    def claim_used(self) -> bool:
        """Whether all steps claimed so far have been taken: the moment at which a state that is kept loses none of them."""
        return self._steps == self._journal.claimed

    def keep(self, state: State) -> None:
        """Keep the training's state as it is after the last step, so that a fit that is killed goes on from here.

        Privacy: the state must be a function of what the curator returned and of public settings.
        Raises: FitError for a state that is not finite floating-point arrays by name.
        """
        self._plan()
        require_state(state)
        self._journal.keep(Kept(step=self._steps, state=dict(state)))

    def conclude(self, weights: Mapping[str, npt.NDArray[np.float32]], *, stage: str) -> Trained:
        """Record what the gradient steps led to: the network's weights, a function of noisy answers alone.

        Raises: MechanismError when nothing was trained.
        """
        plan = self._plan()
        if not self._steps:
            raise MechanismError("no gradient step was taken: there is nothing to conclude")
        event = Event(
            stage=stage,
            mechanism="sampled-gaussian",
            rho=Fraction(0),
            sensitivity_squared=1,
            sampling_rate=plan.sampling_rate,
            steps=self._steps,
            noise_multiplier=plan.noise_multiplier,
        )
        found = Trained(weights=weights, event=event)
        self._entries.append(found)
        self._ended = "its training was concluded"
        return found

    def _plan(self) -> SampledGaussian:
        if self._training is None:
            raise MechanismError("this fit's budget has no part for gradient steps")
        self._require_open()
        return self._training

    def _require_open(self) -> None:
        if self._ended is not None:
            raise MechanismError(f"this fit has ended: {self._ended}; nothing more is answered")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise MechanismError("a curator cannot be copied or pickled: its budget is spent once")

    def _require_errors(self, query: MarginalErrors) -> None:
        if type(query) is not MarginalErrors:
            raise MechanismError("errors are asked for with MarginalErrors and nothing else")
        query.require_within(self.domain)

    def _require(self, rho: Fraction, stage: str) -> None:
        self._require_open()
        if not isinstance(stage, str):
            raise MechanismError("a stage is named by a text")
        if type(rho) is not Fraction:  # a number of another kind would itself say whether it is within the budget
            raise MechanismError(f'stage "{stage}" must ask for its budget as an exact fraction')
        if rho <= 0:
            raise MechanismError(f'stage "{stage}" asks for a budget of {float(rho):.3g}; it must be above zero')
        if rho > self.remaining:
            raise BudgetExceeded(
                f'stage "{stage}" asks for rho = {float(rho):.6g}, but {float(self.remaining):.6g} is left of '
                f"{float(self._budget):.6g}; give the stages smaller shares or the release a larger budget"
            )

    def _scores(self, query: MarginalErrors) -> npt.NDArray[np.int64]:
        """What `query.answer` says, with the distances that the query before asked for too taken from there.

        Proof that nothing changes: a distance is a function of a clique's exact table, which is the same as long as the
        curator lives, and of the reference; a candidate's identity stands for its clique and its reference together. Whoever
        forged an identity would get the distance of another table to another public reference, with the same sensitivity.
        """
        missing = [index for index, known in enumerate(query.identities) if known not in self._distances]
        tables = self._tables(Marginals(cliques=tuple(query.cliques[index] for index in missing))) if missing else []
        found = {
            query.identities[index]: query.distance(index, table) for index, table in zip(missing, tables, strict=True)
        }
        known = self._distances | found
        self._distances = {identity: known[identity] for identity in query.identities}
        return query.scores(list(map(known.__getitem__, query.identities)))

    def _tables(self, query: Marginals) -> list[npt.NDArray[np.int64]]:
        wanted: list[_Counted] = [(clique, tuple(query.groups_of(clique).items())) for clique in query.cliques]
        missing = [counted for counted in dict.fromkeys(wanted) if counted not in self._exact]
        if missing:
            rest = Marginals(cliques=tuple(clique for clique, _ in missing), groups=query.groups)
            self._exact.update(zip(missing, rest.answer(self._data.open()), strict=True))
        out = [self._exact[counted] for counted in wanted]
        if sum(table.size for table in self._exact.values()) > _CACHED_CELLS:
            self._exact.clear()
        return out


def make_curator(
    dataset: Dataset,
    *,
    unit: PrivacyUnit,
    rho: Fraction,
    noise: AbstractNoiseSource,
    composition: Composition = "zcdp",
    training: SampledGaussian | None = None,
    journal: AbstractJournal | None = None,
) -> Curator:
    """A curator over a dataset that is already in hand: for tests, audits on public tables, and benchmarks."""
    return Curator(
        Private(dataset), unit=unit, rho=rho, noise=noise, composition=composition, training=training, journal=journal
    )
