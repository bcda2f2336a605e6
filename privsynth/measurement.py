"""What crosses the wall: events (what was spent) and the noisy answers that were bought with them.

Must never hold an exact answer: everything in this file is public from the moment it exists.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique
from privsynth.errors import FitError

Mechanism: TypeAlias = Literal[
    "rounded-gaussian", "exponential", "stability-threshold", "sampled-gaussian", "discrete-gaussian"
]
"""What noise was drawn; "discrete-gaussian" is what releases of privsynth 0.1 say."""

_MOST_VARIANCE: Final = Fraction(1 << 100)
_MOST_DIGITS: Final = 4000
"""Of what is read from a file: larger noise than any that is drawn, and longer numbers than any that is written."""

Groups: TypeAlias = Mapping[str, tuple[int, ...]]
"""Attribute -> the group (0, 1, ...; none is left out) of each of its levels."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One use of a mechanism: enough to account for it, nothing about its outcome.

    Units: `rho` is zCDP; `delta` is the additional failure probability (0 but for stability thresholds);
        `sensitivity_squared` is the squared L2 sensitivity for "rounded-gaussian" and "stability-threshold", and the
        squared range sensitivity of the score for "exponential"; `sigma_squared` is the Gaussian's variance before it is
        rounded; `epsilon` the exponential mechanism's parameter. "sampled-gaussian" stands for all gradient steps together:
        their sampling rate, their number, and sigma over the sensitivity; it has no rho, and is accounted for as a whole.
    Source: Bun, Steinke 2016 for the Gaussian's rho = sensitivity^2 / (2 sigma^2), which is also mu-GDP with mu^2 = 2 rho
        (Dong, Roth, Su 2022); Cesar, Rogers 2021 (bounded range) for the exponential mechanism's rho = epsilon^2 / 8.
    """

    stage: str
    mechanism: Mechanism
    rho: Fraction
    sensitivity_squared: int
    delta: Fraction = Fraction(0)
    sigma_squared: Fraction | None = None
    epsilon: Fraction | None = None
    sampling_rate: Fraction | None = None
    steps: int | None = None
    noise_multiplier: Fraction | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; exact numbers are strings "p/q"."""
        out: dict[str, Any] = {
            "stage": self.stage,
            "mechanism": self.mechanism,
            "rho": str(self.rho),
            "delta": str(self.delta),
            "sensitivitySquared": self.sensitivity_squared,
        }
        if self.sigma_squared is not None:
            out["sigmaSquared"] = str(self.sigma_squared)
        if self.epsilon is not None:
            out["epsilon"] = str(self.epsilon)
        if self.steps is not None:
            out["samplingRate"] = str(self.sampling_rate)
            out["steps"] = self.steps
            out["noiseMultiplier"] = str(self.noise_multiplier)
        return out

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Event:
        """Read what `to_json` wrote. Raises: FitError for costs below zero, and for noise that no mechanism draws."""
        found = cls(
            stage=value["stage"],
            mechanism=value["mechanism"],
            rho=_exact(value["rho"]),
            delta=_exact(value["delta"]),
            sensitivity_squared=int(value["sensitivitySquared"]),
            sigma_squared=_exact(value["sigmaSquared"]) if "sigmaSquared" in value else None,
            epsilon=_exact(value["epsilon"]) if "epsilon" in value else None,
            sampling_rate=_exact(value["samplingRate"]) if "steps" in value else None,
            steps=int(value["steps"]) if "steps" in value else None,
            noise_multiplier=_exact(value["noiseMultiplier"]) if "steps" in value else None,
        )
        if found.rho < 0 or found.delta < 0:
            raise FitError("measurements: an event's rho and delta are not below zero")
        if found.sigma_squared is not None and not 1 / _MOST_VARIANCE <= found.sigma_squared <= _MOST_VARIANCE:
            raise FitError("measurements: an event's sigma^2 is above zero, and no larger than what can be drawn")
        return found


def _exact(value: object) -> Fraction:
    """A number "p/q" as `to_json` writes it. Raises: FitError for anything else, which could also be endlessly large."""
    text = str(value)
    if isinstance(value, bool) or len(text) > _MOST_DIGITS or not set(text) <= set("-.0123456789/"):
        raise FitError('measurements: expected an exact number such as "3/8"')
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise FitError('measurements: expected an exact number such as "3/8"') from None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """The noisy table of one clique, over levels or, for the attributes in `groups`, over groups of levels.

    Shapes: `values` is int64 with one axis an attribute of `clique`, in that order, as long as it has levels or groups.
    Privacy: the output of a rounded Gaussian mechanism; public, as are the groups.
    """

    clique: Clique
    values: npt.NDArray[np.int64]
    event: Event
    groups: Groups = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.event.sigma_squared is None:
            raise FitError("a measurement needs an event with sigma_squared")
        if self.values.ndim != len(self.clique):
            raise FitError(f"a measurement of {len(self.clique)} attributes needs as many axes, not {self.values.ndim}")
        if len(set(self.clique)) < len(self.clique):
            raise FitError("a measurement's attributes differ from one another")
        for name, group_of in self.groups.items():
            if name not in self.clique or not is_grouping(group_of):
                raise FitError("a measurement's groups are numbered from 0 without gaps, for attributes of its clique")
            if self.values.shape[self.clique.index(name)] != max(group_of) + 1:
                raise FitError("a measurement over groups of levels has a cell for each group, and no other")

    @property
    def sigma(self) -> float:
        """Standard deviation of the Gaussian in each cell, before it is rounded."""
        assert self.event.sigma_squared is not None
        return math.sqrt(self.event.sigma_squared)

    @property
    def variance(self) -> float:
        """Variance of the noise in each cell: rounding adds 1/12 to it, or less where sigma is below 1."""
        return self.sigma**2 + 1 / 12

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the values flattened in C order."""
        out: dict[str, Any] = {
            "type": "measurement",
            "clique": list(self.clique),
            "shape": list(self.values.shape),
            "values": self.values.reshape(-1).tolist(),
            "event": self.event.to_json(),
        }
        if self.groups:
            out["groups"] = {name: list(group_of) for name, group_of in self.groups.items()}
        return out


def is_grouping(group_of: tuple[int, ...]) -> bool:
    """Whether groups are numbered by plain integers from 0 without gaps, with a level in each, and there is one."""
    return (
        isinstance(group_of, tuple)
        and bool(group_of)
        and all(type(group) is int for group in group_of)
        and set(group_of) == set(range(len(set(group_of))))
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorScores:
    """The noisy scores of all candidates of a `MarginalErrors` query.

    Shapes: `values` is (candidates,) int64, one a clique. Units: `values` and the event's sigma in 1/1024
        (`MarginalErrors.GRID`) of weighted records.
    Privacy: the output of a rounded Gaussian mechanism; public.
    """

    cliques: tuple[Clique, ...]
    values: npt.NDArray[np.int64]
    event: Event

    def __post_init__(self) -> None:
        if self.event.sigma_squared is None:
            raise FitError("error scores need an event with sigma_squared")
        if self.values.shape != (len(self.cliques),):
            raise FitError("error scores need one value for each of their cliques")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "type": "error-scores",
            "cliques": [list(clique) for clique in self.cliques],
            "values": self.values.tolist(),
            "event": self.event.to_json(),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which clique a private selection chose, and out of how many."""

    chosen: Clique
    candidates: int
    event: Event

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "type": "selection",
            "chosen": list(self.chosen),
            "candidates": self.candidates,
            "event": self.event.to_json(),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A fact about one column that was bought: its categories, its bounds or its bin edges; or one about a table.

    `found` is what the schema is completed with: labels (str) or edges and bounds (decimal strings). Of a table, named in
    `column`, "rows" is how many rows of a unit are used at most, followed by the noisy numbers of units by how many they have.
    """

    column: str
    fact: Literal["categories", "bounds", "edges", "rows"]
    found: tuple[str, ...]
    event: Event

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "type": "purchase",
            "column": self.column,
            "fact": self.fact,
            "found": list(self.found),
            "event": self.event.to_json(),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What gradient steps led to: a network's weights by name, all of it single precision.

    Privacy: post-processing of noisy sums of clipped gradients, which are not kept; public, as is the event.
    """

    weights: Mapping[str, npt.NDArray[np.float32]]
    event: Event

    def __post_init__(self) -> None:
        if self.event.steps is None:
            raise FitError("trained weights need an event with a number of steps")
        if any(each.dtype != np.float32 or not np.isfinite(each).all() for each in self.weights.values()):
            raise FitError("trained weights are finite and in single precision; train with a smaller learning rate")

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the weights' shapes and digests; the weights are stored beside it, as arrays."""
        return {"type": "trained", "weights": _named(self.weights), "event": self.event.to_json()}


def _named(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """What JSON says of arrays that are stored beside it: shapes, and SHA-256 of the bytes, little-endian in C order."""
    return {
        name: {
            "shape": list(each.shape),
            "sha256": hashlib.sha256(np.ascontiguousarray(each, each.dtype.newbyteorder("<")).tobytes()).hexdigest(),
        }
        for name, each in arrays.items()
    }


Entry: TypeAlias = Measurement | ErrorScores | Selection | Purchase | Trained
Transcript: TypeAlias = tuple[Entry, ...]
"""All that crossed the wall for one fit, in order. Models, reports and error bars are functions of it alone."""


def entry_from_json(value: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]] | None = None) -> Entry:
    """Read one entry that `to_json` wrote; FitError when its type is unknown, or `arrays` are not those that belong to it."""
    event, weights = Event.from_json(value["event"]), dict(arrays or {})
    if _named(weights) != (value["weights"] if value["type"] == "trained" else {}):
        raise FitError("measurements: the stored arrays are not those that the entry names")
    match value["type"]:
        case "measurement":
            values = np.asarray(value["values"], dtype=np.int64).reshape(value["shape"])
            groups = {name: tuple(group_of) for name, group_of in value.get("groups", {}).items()}
            return Measurement(clique=tuple(value["clique"]), values=values, event=event, groups=groups)
        case "error-scores":
            cliques = tuple(tuple(clique) for clique in value["cliques"])
            return ErrorScores(cliques=cliques, values=np.asarray(value["values"], dtype=np.int64), event=event)
        case "selection":
            return Selection(chosen=tuple(value["chosen"]), candidates=int(value["candidates"]), event=event)
        case "purchase":
            return Purchase(column=value["column"], fact=value["fact"], found=tuple(value["found"]), event=event)
        case "trained":
            return Trained(weights={name: weights[name] for name in value["weights"]}, event=event)
        case other:
            raise FitError(f'measurements: unknown entry type "{other}"; was this file written by a newer version?')


def measurements(transcript: Transcript) -> tuple[Measurement, ...]:
    """The noisy tables of a transcript, in order."""
    return tuple(entry for entry in transcript if isinstance(entry, Measurement))
