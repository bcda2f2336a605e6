"""Regressing: coefficients with intervals that hold the noise of a release, and warnings where they cannot be relied on.

Must never give a narrow interval where nothing was measured: it is infinite then, and says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.combining.design import RARE_ROWS, Design, Rows, Term, require_known, require_varied
from privsynth.combining.direct import DirectPair, direct_pair
from privsynth.combining.estimating import Corrected, Scale, corrected, plain, spare_values, wanted_pairs
from privsynth.combining.rules import interval
from privsynth.dataset import Dataset
from privsynth.errors import FitError, InputError
from privsynth.measurement import Transcript
from privsynth.records import Records

Floats = npt.NDArray[np.float64]

BEYOND_PAIRS: Final = 0.05
"""Standard deviation of what the inputs' joint chances are off by, relative to themselves and beyond tables of pairs: what was
seen on four tables (see docs/copies.md)."""
_RARE_NOISE: Final = 4.0
"""A label is too rare with fewer people, or fewer with or without the outcome than so many standard deviations of noise."""
_TWO: Final = 2
_FEW_COPIES: Final = 5
_BENT, _BENT_BY_CHANCE = 1.0, 3.5
"""Copies that are off on average by so many standard errors say that noise does more than add."""
_COARSE: Final = 0.02
"""Share of a number's variance that lies within its bins."""
_MERGED: Final = 0.1
"""The same, within the groups of levels that were measured together with the target."""
_MUCH: Final = 0.3
"""Share of coefficients whose noise is too large, from which on none is to be relied on."""
_WEAK: Final = 0.7
"""A standardised logistic coefficient with this standard error is mostly noise."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A made table with the noisy answers that it was made from, and how many people these speak of."""

    records: Records
    encoded: Dataset
    transcript: Transcript
    total: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One coefficient with its interval: infinite where there is none; `warning` is empty where it holds.

    Units: of a logistic regression log odds, per unit of a number's column.
    """

    term: str
    estimate: float
    standard_error: float
    degrees: float
    lower: float
    upper: float
    warning: str

    def line(self) -> str:
        """One line."""
        shown = f"{self.term}: {self.estimate:.4g} ({self.lower:.4g} to {self.upper:.4g})"
        return f"{shown}  WARNING: {self.warning}" if self.warning else shown

    def to_json(self) -> dict[str, object]:
        """Plain values; None for what is infinite or unknown."""
        values = {
            "estimate": self.estimate,
            "standard_error": self.standard_error,
            "degrees": self.degrees,
            "lower": self.lower,
            "upper": self.upper,
        }
        plain_values = {name: value if math.isfinite(value) else None for name, value in values.items()}
        return {"term": self.term, **plain_values, "warning": self.warning}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """Coefficients of a regression with intervals for the population, from several copies."""

    design: Design
    coefficients: tuple[Coefficient, ...]
    level: float
    copies: int
    notes: tuple[str, ...]

    def __getitem__(self, term: str) -> Coefficient:
        """A coefficient by the name of its term. Raises: InputError when there is none."""
        for one in self.coefficients:
            if one.term == term:
                return one
        raise InputError(f'there is no term "{term}"; there are {", ".join(one.term for one in self.coefficients)}')

    def lines(self) -> list[str]:
        """A heading, one line a coefficient, and the notes."""
        what = f"{self.design.kind} regression of {self.design.target}"
        if self.design.outcome:
            what += f" ({' or '.join(self.design.outcome)})"
        head = f"{what}; {self.level:.0%} intervals for the population, from {self.copies} copies"
        return [head, *(one.line() for one in self.coefficients), *self.notes]

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "kind": self.design.kind,
            "target": self.design.target,
            "outcome": list(self.design.outcome),
            "inputs": list(self.design.inputs),
            "references": dict(self.design.references),
            "level": self.level,
            "copies": self.copies,
            "coefficients": [one.to_json() for one in self.coefficients],
            "notes": list(self.notes),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Estimates:
    """Corrected coefficients of the model and of each copy, standardised.

    `sampling` is the covariance of an analysis of the people themselves.
    Shapes: (p,), (copies, p), (p,), (p, p).
    """

    model: Floats
    copies: Floats
    beyond: Floats
    sampling: Floats


def regression(asked: Design, base: Made, made: Sequence[Made], *, level: float) -> Regression:
    """Coefficients from the model, corrected by the noisy tables of pairs, with the spread of the same over all copies.

    With b the variance of the m copies' coefficients, the variance of one is (1 + 1/m) b, at least that of an analysis of the
    people themselves, and what is beyond pairs is added: (0.05 times `Corrected.beyond`) squared, as known. Degrees of freedom
    by Welch and Satterthwaite: m - 1, more where the known part is large.
    Raises: FitError where the made table itself has no coefficients.
    """
    pairs = {pair: _told(direct_pair(base.transcript, pair)) for pair in wanted_pairs(asked)}
    require_known(asked, base.records, base.total)
    design, rare = _without_rare(asked, base, pairs)
    rows = design.rows(base.records)
    require_varied(design, rows)
    scale = Scale.of(design, rows)
    spare = spare_values(design, scale)
    found = _estimated(design, scale, base, made, spare)
    warnings = _warnings(design, pairs, base, found, rows)
    if found is None:
        estimate, error, degrees = (np.full(len(design.terms), value) for value in (np.nan, np.inf, 1.0))
    else:
        estimate, error, degrees = _spread(found)
        unknown = [place for place, term in enumerate(design.terms) if _unmeasured(design, pairs, term)]
        error[unknown] = np.inf
        estimate, error = _in_units(scale, found, estimate, error)
    shown = interval(np.nan_to_num(estimate), error, degrees, level=level, copies=len(made))
    by_term = {
        term: Coefficient(
            term=term.name,
            estimate=float(estimate[place]),
            standard_error=float(error[place]),
            degrees=float(degrees[place]),
            lower=float(shown.lower[place]),
            upper=float(shown.upper[place]),
            warning="; ".join(warnings[place]),
        )
        for place, term in enumerate(design.terms)
    }
    coefficients = tuple(by_term.get(term) or _left_out(term) for term in asked.terms)
    share = 1 - float(rows.complete.mean())
    notes = (
        [f"{share:.0%} of rows are left out: a needed value is missing or its label is too rare"]
        if share >= 0.005
        else []
    )
    notes += [] if not rare else [f"too rare next to the noise: {', '.join(term.name for term in rare)}"]
    return Regression(design=design, coefficients=coefficients, level=level, copies=len(made), notes=tuple(notes))


def _told(direct: DirectPair | None) -> DirectPair | None:
    """None also where all levels of a column were measured as one: such a table relates nothing."""
    return None if direct is None or min(direct.values.shape) < _TWO else direct


def _left_out(term: Term) -> Coefficient:
    return Coefficient(
        term=term.name,
        estimate=math.nan,
        standard_error=math.inf,
        degrees=1.0,
        lower=-math.inf,
        upper=math.inf,
        warning="this label is too rare next to the noise; its rows are left out of the regression",
    )


def _without_rare(
    design: Design, base: Made, pairs: Mapping[tuple[str, str], DirectPair | None]
) -> tuple[Design, list[Term]]:
    """The design without labels that noise drowns. Raises: FitError when the reference is one of them, or all others are."""
    rows = design.rows(base.records)
    rare: list[Term] = []
    for name in design.references:
        places, direct = design.places(name), pairs[design.target, name]
        people = {int(place): rows.x[:, place] > 0 for place in places}
        reference = rows.complete & ~np.logical_or.reduce([np.zeros_like(rows.complete), *people.values()])
        gone = [place for place, has in people.items() if _drowned(design, base, rows, name, has, direct)]
        heard = [place for place in people if place not in gone]
        drowned = _drowned(design, base, rows, name, reference, direct)
        if len(heard) + (not drowned) < _TWO:
            raise FitError(f'no two labels of "{name}" stand above the noise; leave "{name}" out')
        if drowned:
            other = design.terms[max(heard, key=lambda place: int(people[place].sum()))].name.removeprefix(f"{name}: ")
            raise FitError(
                f'"{design.references[name]}", which the other labels of "{name}" are compared with, is too rare next to the '
                f'noise; name another, as in references={{"{name}": "{other}"}}, or leave "{name}" out'
            )
        rare += [design.terms[place] for place in gone]
    return (design.skipping(rare), rare) if rare else (design, rare)


def _drowned(
    design: Design, base: Made, rows: Rows, name: str, has: npt.NDArray[np.bool_], direct: DirectPair | None
) -> bool:
    """Whether a label has too few people, too few with or without the outcome next to the noise, or was measured only together
    with other labels. Shapes: `has` is (rows,), which made rows have the label."""
    if has.sum() * base.total / len(has) < RARE_ROWS or direct is None:
        return bool(has.sum() * base.total / len(has) < RARE_ROWS)
    levels = direct.grouped(1, np.arange(design.schema.domain().size(name)))
    group = levels[base.encoded.column(name)[has][0].astype(np.int64)]
    if int((levels == group).sum()) > 1:
        return True
    target, noise = base.encoded.column(design.target), math.sqrt(direct.variance)
    for answer in (0.0, 1.0) if design.kind == "logistic" else (None,):
        told = rows.complete if answer is None else rows.complete & (rows.y == answer)
        cells = np.unique(direct.grouped(0, target[told]))
        if float(direct.values[cells, group].sum()) < _RARE_NOISE * noise * math.sqrt(len(cells)):
            return True
    return False


def _estimated(
    design: Design, scale: Scale, base: Made, made: Sequence[Made], spare: Mapping[str, Floats]
) -> _Estimates | None:
    """None where noise leaves the model or a copy without coefficients. Raises: FitError where the made rows have none."""
    own = plain(design, scale.apply(design.rows(base.records)))
    if own is None:
        raise FitError(
            "the regression has no coefficients even in the made table: two inputs say the same, or the outcome can be told "
            "from them without error; leave one of them out"
        )
    all_found = [_corrected(design, scale, one, spare) for one in (base, *made)]
    known = [each for each in all_found if each is not None]
    if len(known) < len(all_found):
        return None
    return _Estimates(
        model=known[0].coefficients,
        copies=np.stack([each.coefficients for each in known[1:]]),
        beyond=known[0].beyond,
        sampling=own[1] * base.records.rows / base.total,
    )


def _corrected(design: Design, scale: Scale, one: Made, spare: Mapping[str, Floats]) -> Corrected | None:
    found = {pair: direct_pair(one.transcript, pair) for pair in wanted_pairs(design)}
    measured = {pair: direct for pair, direct in found.items() if direct is not None}
    return corrected(design, scale.apply(design.rows(one.records)), one.encoded, measured, one.total, spare)


def _spread(found: _Estimates) -> tuple[Floats, Floats, Floats]:
    m = len(found.copies)
    noise = np.maximum((1 + 1 / m) * found.copies.var(axis=0, ddof=1), np.diag(found.sampling))
    known = (BEYOND_PAIRS * found.beyond) ** 2
    return found.model, np.sqrt(noise + known), (m - 1) * ((noise + known) / noise) ** 2


def _in_units(scale: Scale, found: _Estimates, estimate: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Standardised coefficients and errors in the columns' units; the intercept's error from that of all together."""
    units = scale.undo(estimate)
    ratio = scale.y_width / scale.widths
    errors = error * ratio
    m = len(found.copies)
    spread = np.stack([scale.undo(each)[0] for each in found.copies])
    beyond = BEYOND_PAIRS * found.beyond * ratio
    known = beyond[0] ** 2 + float(np.sum((scale.centres[1:] * beyond[1:]) ** 2))
    if np.isfinite(errors).all():
        share = scale.undo(np.eye(len(estimate)))[0] - scale.undo(np.zeros((len(estimate),) * 2))[0]
        people = float(share @ found.sampling @ share)
        errors[0] = math.sqrt(max((1 + 1 / m) * float(spread.var(ddof=1)), people) + known)
    else:
        errors[0] = math.inf
    return units, errors


def _unmeasured(design: Design, pairs: Mapping[tuple[str, str], DirectPair | None], term: Term) -> bool:
    """Whether no table relates the target to a term's column; to any column, for the intercept."""
    names = [term.column] if term.column else list(design.inputs)
    return any(pairs[design.target, name] is None for name in names)


def _warnings(
    design: Design,
    pairs: Mapping[tuple[str, str], DirectPair | None],
    base: Made,
    found: _Estimates | None,
    rows: Rows,
) -> list[list[str]]:
    """What each term's interval cannot be relied on for."""
    warnings: list[list[str]] = [[] for _ in design.terms]
    blind = [name for name in design.inputs if pairs[design.target, name] is None]
    apart = [pair for pair, direct in pairs.items() if direct is None and pair[0] != design.target]
    coarse = _coarse(design, base, rows, design.target, rows.y)
    for place, term in enumerate(design.terms):
        if _unmeasured(design, pairs, term):
            named = f'"{term.column}"' if term.column else "every input"
            warnings[place].append(
                f'no table relates "{design.target}" to {named}: nothing is known of this association'
            )
        elif blind:
            warnings[place].append(
                f'what "{blind[0]}" would explain of it is not known: no table relates it to the target'
            )
        elif met := [pair for pair in apart if term.column in pair or not term.column]:
            warnings[place].append(f'no table relates "{met[0][0]}" to "{met[0][1]}"; how they overlap is assumed')
        if _coarse(design, base, rows, term.column, rows.x[:, place]):
            warnings[place].append("its bins are so wide that what is assumed inside them shows")
        direct = pairs.get((design.target, term.column))
        if direct is not None and _merged(design, base, rows, term, rows.x[:, place], direct):
            warnings[place].append("noise left only coarse groups of its values to be measured")
        if coarse:
            warnings[place].append("the bins of the target are so wide that what is assumed inside them shows")
    for each, more in zip(warnings, _of_noise(design, found), strict=True):
        each.extend(more)
    return warnings


def _of_noise(design: Design, found: _Estimates | None) -> list[list[str]]:
    """What each term's copies say of the noise."""
    warnings: list[list[str]] = [[] for _ in design.terms]
    if found is None:
        for each in warnings:
            each.append("the noise is so large next to the counts that a copy has no coefficients at all")
        return warnings
    m, sd = len(found.copies), found.copies.std(axis=0, ddof=1)
    bar = max(_BENT, _BENT_BY_CHANCE / math.sqrt(m))
    bent = np.abs(found.copies.mean(axis=0) - found.model) > bar * sd
    weak = (sd > _WEAK) & (design.kind == "logistic")
    for place in range(len(design.terms)):
        if (bent | weak)[1:].mean() > _MUCH:
            warnings[place].append("much of this regression is noise")
        if bent[place]:
            warnings[place].append("copies are off on one side: the noise is too large to be added and taken off")
        if weak[place]:
            warnings[place].append("mostly noise")
        if m < _FEW_COPIES:
            warnings[place].append(f"only {m} copies; make 10 or more")
    return warnings


def _coarse(design: Design, base: Made, rows: Rows, name: str, values: Floats) -> bool:
    """Whether much of a number's variance lies within bins, where made values are spread evenly."""
    if not name or name in design.references or (name == design.target and design.kind == "logistic"):
        return False
    return _share_within(values[rows.complete], base.encoded.column(name)[rows.complete].astype(np.int64)) > _COARSE


def _merged(design: Design, base: Made, rows: Rows, term: Term, values: Floats, direct: DirectPair) -> bool:
    """Whether much of a number's variance lies within groups of levels, where how it goes with the target is not measured."""
    if term.column in design.references:
        return False
    groups = direct.grouped(1, base.encoded.column(term.column)[rows.complete])
    return _share_within(values[rows.complete], groups) > _MERGED


def _share_within(values: Floats, codes: npt.NDArray[np.int64]) -> float:
    means = np.bincount(codes, weights=values) / np.maximum(1, np.bincount(codes))
    return float(((values - means[codes]) ** 2).mean() / values.var())
