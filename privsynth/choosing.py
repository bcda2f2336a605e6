"""What `generator = "auto"` means, and what to expect of a generator that was named instead: by public rules, beforehand.

Must never see a record or a noisy answer: the choice is a function of the schema and of what the policy allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from privsynth import generators
from privsynth.errors import PolicyError

AUTO: Final = "auto"
"""The word that stands for a choice; it is no generator."""

MOST_ATTRIBUTES: Final = 512
"""Attributes up to which all pairs are counted; the evidence is in docs/decisions/0011."""

_BY_ERROR: Final = ("latent_class", "aim", "mst", "independent")
_BY_SIZE: Final = ("independent", "latent_class", "aim", "mst")


DEEP: Final = ("vae", "gan")
"""Generators that train under DP-SGD: asked for by name, never chosen."""

ONE_TABLE_ONLY: Final = (
    "{name} trains on single rows, and rows of a history do not count alike; take latent_class, aim, mst or independent for "
    "several tables"
)
"""What is said of a `DEEP` generator that is asked for several tables."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A generator's name, and public sentences: why it was chosen, or what to expect of it where it was asked for by name."""

    name: str
    reasons: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


def choose(attributes: int, *, allowed: Sequence[str] = generators.NAMES) -> Choice:
    """The generator for a table of so many attributes, among those allowed.

    How much can be told from the data at this budget is left to the generator: `latent_class` plans from noisy counts, merges
    rare levels, and measures no pairs where they would drown in noise. Budget, unit and purchases need no rule here: it
    can be accounted with purchases and without.
    Raises: PolicyError when no generator is allowed.
    """
    pairs = attributes * (attributes - 1) // 2
    if attributes <= 1:
        order, reason = _BY_SIZE, "independent: a single column has no pairs, and its counts get the whole budget"
    elif attributes > MOST_ATTRIBUTES:
        order = _BY_SIZE
        reason = (
            f"independent: {attributes} columns have {pairs:,} pairs, more than are measured by default, so only single "
            "columns are; drop columns, release them in parts, or name a generator"
        )
    else:
        order = _BY_ERROR
        reason = (
            f"latent_class: all {pairs:,} pairs of {attributes} columns are measured at once where the budget is large enough; "
            "rare levels are merged by noisy counts, and no pairs are measured where it is too small for them"
        )
    best = next((name for name in order if name in allowed), None)
    if best is None:
        raise PolicyError(f'"{AUTO}" may choose from nothing; allow one of {", ".join(_BY_ERROR)}')
    if best == order[0]:
        return Choice(name=best, reasons=(reason,))
    return Choice(name=best, reasons=(f"{best}: the best that is allowed; {order[0]} is not",))


def resolve(
    asked: str, attributes: int, *, settings: Mapping[str, object], allowed: Sequence[str] = generators.NAMES
) -> Choice:
    """The generator that is meant: the one asked for by name, or the one that "auto" chooses.

    Raises: PolicyError when settings come with "auto": they are a generator's own.
    """
    if asked != AUTO:
        return Choice(name=asked, cautions=cautions(asked, attributes))
    if settings:
        raise PolicyError(
            f'settings ({", ".join(sorted(settings))}) are a generator\'s own; name the generator instead of "{AUTO}"'
        )
    return choose(attributes, allowed=allowed)


def cautions(name: str, attributes: int) -> tuple[str, ...]:
    """What is known against a generator on a table of so many attributes, from measurements that docs/deep.md holds."""
    if name not in DEEP:
        return ()
    if attributes == 1:
        return (f"{name}: a single column holds nothing for a network to learn; independent is expected to do better",)
    if attributes > MOST_ATTRIBUTES:
        return ()
    return (
        f"{name}: tables of pairs of columns are expected to come out better from latent_class, which needs seconds where this "
        f"trains for minutes; {name} is for what only three columns or more show together",
    )
