"""Covering: whether an earlier release was made under promises at least as strict as those of a refresh that keeps its tables.

Must never let a table go on under smaller promises, or to more people, than it was measured for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, final

from privsynth.errors import PolicyRefusal
from privsynth.privacy.guarantee import Guarantee, decimal_up
from privsynth.releasing.terms import Terms

_NARROWER: Final = ("public", "partner", "internal")
"""Classes of recipients: further to the right are fewer people."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What covers the tables that are kept: the largest epsilon and delta of the releases that measured them.

    Units: decimal strings, as certificates have them.
    """

    release: str
    epsilon: str
    delta: str

    @property
    def words(self) -> str:
        """What a certificate, a report and a terminal say of it."""
        return (
            f"What is kept of release {self.release} is covered by the guarantee that it was measured under (epsilon "
            f"{self.epsilon} at delta {self.delta} at the most), not by this one; who is in both tables is covered by the "
            "sum of both, which stays within the population's lifetime budget."
        )


def covered(predicate: Mapping[str, Any], whole: Terms) -> Covered:
    """What the earlier release's certificate promises for all that may be kept of it.

    Raises: PolicyRefusal where that is more epsilon or delta than the policy allows a release, where the earlier release was
        for fewer people than the policy's, and where a chain of refreshes does not say what covers its first tables.
    """
    promise, refreshed = predicate["guarantee"], predicate.get("refresh")
    found = {"epsilon": [promise["epsilon"]], "delta": [promise["delta"]]}
    if refreshed is not None:
        kept = (refreshed.get("keptEpsilon"), refreshed.get("keptDelta"))
        if None in kept:
            raise PolicyRefusal(
                "the earlier release is itself a refresh, and does not say what covers the tables that it kept; make a "
                "release of its own with `privsynth release`"
            )
        found["epsilon"].append(kept[0])
        found["delta"].append(kept[1])
    epsilon, delta = (max(found[name], key=Decimal) for name in ("epsilon", "delta"))
    _require_within(Fraction(epsilon), Fraction(delta), whole)
    _require_as_many_people(str(predicate["recipients"]["class"]), whole.policy.recipients.klass)
    return Covered(release=str(predicate["releaseId"]), epsilon=epsilon, delta=delta)


def _require_within(epsilon: Fraction, delta: Fraction, whole: Terms) -> None:
    allowed = whole.policy.budget
    # Certificates round epsilon up to four decimal places: this one's would be the same for the same policy.
    own = Guarantee.for_budget(whole.budget, whole.unit, ())
    promised = Fraction(decimal_up(Fraction(own.epsilon), places=4))
    for name, before, now in (
        ("epsilon", epsilon, max(promised, allowed.release_epsilon)),
        ("delta", delta, max(Fraction(decimal_up(own.delta, places=15)), allowed.release_delta)),
    ):
        if before > now:
            raise PolicyRefusal(
                f"what would be kept of the earlier release was measured under {name} {float(before):g}, and the policy "
                f"allows a release {name} {float(now):g}: its noise is too small for the promise. Make a release of its own "
                f"with `privsynth release`, or refresh under a policy with release_{name} {float(before):g} or more"
            )


def _require_as_many_people(before: str, now: str) -> None:
    if before not in _NARROWER or _NARROWER.index(before) > _NARROWER.index(now):
        raise PolicyRefusal(
            f'the earlier release was for recipients of class "{before}", and the policy is for "{now}": tables that were not '
            "measured for as many people are not published again to them. Make a release of its own with `privsynth release`"
        )
