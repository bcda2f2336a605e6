"""The audit plan: attacks, sizes, thresholds and error rates, fixed in a file before anything is attacked.

Must never be changed by what an audit sees: its digest is taken over the exact bytes of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, final

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from privsynth import attacks, toml_file, validation
from privsynth.attack import AbstractAttack
from privsynth.errors import PolicyError
from privsynth.schema.binning import FROZEN
from privsynth.toml_file import TomlFile

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MOST_OF_LARGEST = 0.75
"""Share of the largest excess that an attack can show up to which a limit says something."""
_SHIPPED = resources.files("privsynth") / "shipped" / "audits"

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Limit = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@final
class AttackEntry(BaseModel):
    """One [[release.attacks]]: an attack by its file's name, its settings, and limits of its own where it has any.

    Passing is an excess below `tau` (`tau_max` for the most isolated people). With `times`, it is beyond so many times the
    controls' rate that members' is counted: a limit that is strict where controls hardly ever succeed, and possible to keep
    where they often do.
    """

    model_config = FROZEN
    name: str
    tau: Limit | None = None
    tau_max: Limit | None = None
    times: float = Field(default=1.0, ge=1, le=100, allow_inf_nan=False)
    settings: Mapping[str, str | int | float | bool] = {}


@final
class ReleaseTerms(BaseModel):
    """[release]: how a release is attacked, and what it takes to pass.

    `attempts` are the numbers of people tried in each group, one a look; each look has its share of the alphas. Where there are
    too few people the number is halved until there are enough, down to `attempts_min`, below which nothing can pass.
    """

    model_config = FROZEN
    attempts: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_listed), Field(min_length=1)]
    attempts_min: int = Field(ge=1)
    tau: Limit
    tau_max: Limit
    isolated_pool: int = Field(ge=1)
    isolated_share: Probability
    alpha_pass: Probability
    alpha_fail: Probability
    control_attempts: int = Field(ge=1)
    planted_share: Limit
    alpha_control: Probability
    attacks: Annotated[tuple[AttackEntry, ...], BeforeValidator(_listed), Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> ReleaseTerms:
        if list(self.attempts) != sorted(set(self.attempts)):
            raise ValueError("attempts: give each look more people than the one before")
        if self.attempts_min > self.attempts[0]:
            raise ValueError(f"attempts_min: at most {self.attempts[0]}, the size of the first look")
        return self


@final
class ConformanceTerms(BaseModel):
    """[conformance]: the generated public tables that a generator is run on, and how sure the checks are to be.

    `columns`, `levels` and `rows` are the small tables' on which neighbours are compared; `crowd` is the rows of the table on
    which canaries are told apart. `runs` fits are recorded at least. A stage's noise is examined on `residuals_min` noisy
    answers at least, its choices on `probes` more; `transcripts` answers about each of two neighbours are drawn to tell them
    apart. A correct generator fails with probability at most `alpha`, over all checks.
    """

    model_config = FROZEN
    columns: int = Field(ge=1, le=20)
    levels: int = Field(ge=2, le=100)
    rows: int = Field(ge=1)
    runs: int = Field(ge=2)
    alpha: Probability
    residuals_min: int = Field(ge=1)
    crowd: int = Field(default=4000, ge=64)
    probes: int = Field(default=10_000, ge=1000)
    transcripts: int = Field(default=5000, ge=1000)


@final
class BlackBoxTerms(BaseModel):
    """[black_box]: how a generator of somebody else's that claims an epsilon is run on made-up tables.

    A plan without it has these values. Each fit is one run of the generator: at most `lone_fits` + 1 + `canary_fits` of them,
    fewer where a failure is clear. `rows` is the size of a made-up table without what is planted in it; `released` rows are
    asked for. `levels`: at most so many levels of a column carry canaries, of which there are `levels` squared; `guessed` is
    the share of them that is guessed. A generator that keeps its claim fails with probability at most `alpha`.
    """

    model_config = FROZEN
    rows: int = Field(default=150, ge=10)
    released: int = Field(default=5000, ge=10)
    levels: int = Field(default=16, ge=2, le=64)
    canary_fits: int = Field(default=2, ge=1, le=100)
    lone_fits: int = Field(default=8, ge=2, le=100)
    guessed: Probability = 0.3
    alpha: Probability = 0.001


@final
class _PlanFile(BaseModel):
    model_config = FROZEN
    name: str = Field(min_length=1)
    description: str = ""
    seed: int = Field(ge=0)
    release: ReleaseTerms
    conformance: ConformanceTerms
    black_box: BlackBoxTerms = BlackBoxTerms()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """A plan as it was read: made by `load` or `loads`, which raise PolicyError; `digest` is the file's SHA-256."""

    name: str
    description: str
    seed: int
    release: ReleaseTerms
    conformance: ConformanceTerms
    black_box: BlackBoxTerms
    digest: str

    @classmethod
    def load(cls, source: str | Path) -> AuditPlan:
        """Read a plan by path, or by the name of one that comes with privsynth."""
        if isinstance(source, str) and _NAME.fullmatch(source):
            if source not in shipped():
                raise PolicyError(
                    f'there is no audit plan "{source}"; there are {", ".join(shipped())}, or give a path'
                )
            return cls._of(toml_file.parse((_SHIPPED / f"{source}.toml").read_bytes(), name=f"{source}.toml"))
        return cls._of(toml_file.read(Path(source)))

    @classmethod
    def loads(cls, text: str, *, source: str = "audit plan") -> AuditPlan:
        """Read a plan from TOML text; `source` is what messages call it."""
        return cls._of(toml_file.parse(text.encode(), name=source))

    @classmethod
    def _of(cls, file: TomlFile) -> AuditPlan:
        try:
            terms = _PlanFile.model_validate(dict(file.tree))
        except ValidationError as error:
            raise PolicyError(validation.describe(error, lambda location: (_place(file, location), location))) from None
        plan = cls(
            name=terms.name,
            description=terms.description,
            seed=terms.seed,
            release=terms.release,
            conformance=terms.conformance,
            black_box=terms.black_box,
            digest=file.digest,
        )
        plan._require_limits_that_can_be_exceeded()
        return plan

    def _require_limits_that_can_be_exceeded(self) -> None:
        for entry, attack in self.attacks():
            most = _MOST_OF_LARGEST * attack.largest_excess
            for key, limit in (
                ("tau", entry.tau or self.release.tau),
                ("tau_max", entry.tau_max or self.release.tau_max),
            ):
                if limit > most + 1e-9:
                    raise PolicyError(
                        f'audit plan "{self.name}": attack "{entry.name}" can show an excess of {attack.largest_excess:g} at '
                        f"most with its settings, so that {key} = {limit:g} would pass by itself: give it a {key} of {most:g} "
                        f"or less, or a larger share"
                    )

    def attacks(self) -> Sequence[tuple[AttackEntry, AbstractAttack]]:
        """The attacks of the plan, in its order, with their entries."""
        where = f'audit plan "{self.name}"'
        return [(entry, attacks.get(entry.name, entry.settings, where=where)) for entry in self.release.attacks]

    def rng(self) -> np.random.Generator:
        """The audit's convenience randomness, for an audit that anyone can repeat from the plan."""
        return np.random.default_rng(self.seed)


def _place(file: TomlFile, location: Sequence[int | str]) -> str:
    return file.where(*(str(part) for part in location))


def shipped() -> tuple[str, ...]:
    """Names of the plans that come with privsynth."""
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".toml"))
    )
