"""Covering: whether a refresh may go on from an earlier release: paid for, of the same people, and promised as much at most.

Must never let a table go on under smaller promises, or to more people, than it was measured for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, final

from privsynth.errors import PolicyRefusal, RefusedError
from privsynth.privacy.guarantee import Guarantee, decimal_up
from privsynth.privacy.ledger import AbstractLedger
from privsynth.published import Published
from privsynth.releasing.terms import Terms

_NARROWER: Final = ("public", "partner", "internal")
"""Classes of recipients: further to the right are fewer people."""

KEPT: Final = "kept from release "
"""What the stage of a kept answer begins with; the releases whose records it rests on follow."""

_MOST: Final = 20
"""So many releases may what is kept rest on: each is named in the certificate, beside every table."""

_AND: Final = " and "
_OWN: Final = "make a release of its own with `privsynth release`"


def kept_stage(releases: Collection[str]) -> str:
    """The stage of an answer that is kept of these releases."""
    return KEPT + _AND.join(releases)


def rests_on(stage: str, release: str) -> Sequence[str]:
    """The releases whose records an answer of a release rests on: those that it was kept from, or the one that measured it."""
    return stage.removeprefix(KEPT).split(_AND) if stage.startswith(KEPT) else [release]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a release that measured something promised. Units: decimal strings, as certificates have them."""

    release: str
    epsilon: str
    delta: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What covers the tables that are kept: the promise of every release whose records they rest on."""

    promises: tuple[Promise, ...]

    def by(self, releases: Collection[str]) -> Covered:
        """The same for tables that rest on these releases alone.

        Raises: PolicyRefusal where one of them promised nothing that is known.
        """
        if set(releases) - {one.release for one in self.promises}:
            raise PolicyRefusal(f"the earlier release does not say what covers all tables that it kept; {_OWN}")
        return Covered(promises=tuple(one for one in self.promises if one.release in releases))

    @property
    def claim(self) -> list[dict[str, str]]:
        """What a certificate lists."""
        return [asdict(one) for one in self.promises]

    @property
    def words(self) -> str:
        """What a certificate, a report and a terminal say of it."""
        if not self.promises:
            return "Nothing is kept of earlier releases."
        each = [f"release {one.release} (epsilon {one.epsilon} at delta {one.delta})" for one in self.promises]
        several = "" if len(each) == 1 else f" Who is in all of those is covered by their sum: {self._sum}."
        return (
            f"What is kept is covered by what it was measured under, not by this guarantee: {'; '.join(each)}.{several} Who is "
            "in this release's table too is covered by that and by this guarantee together. The population's cap bounds it all."
        )

    @property
    def _sum(self) -> str:
        epsilon, delta = (sum(Decimal(getattr(one, name)) for one in self.promises) for name in ("epsilon", "delta"))
        return f"epsilon {epsilon:f} at delta {delta:f}"


def covered(predicate: Mapping[str, Any], whole: Terms) -> Covered:
    """What certificates promise for all that may be kept of an earlier release: its own, and those that it kept tables of.

    Raises: PolicyRefusal where one is more epsilon or delta than the policy allows a release, where the earlier release was
        for fewer people than the policy's, where a chain of refreshes does not say what covers its first tables, and where it
        is too long.
    """
    promise, refreshed = predicate["guarantee"], predicate.get("refresh")
    found = [Promise(release=str(predicate["releaseId"]), epsilon=promise["epsilon"], delta=promise["delta"])]
    if refreshed is not None:
        if refreshed.get("keptFrom") is None:
            raise PolicyRefusal(
                f"the earlier release is itself a refresh, and does not say what covers the tables that it kept; {_OWN}"
            )
        found += [Promise(**one) for one in refreshed["keptFrom"]]
    if len(found) > _MOST:
        raise PolicyRefusal(
            f"the earlier release ends a chain of refreshes: what would be kept of it was measured in {len(found)} releases, "
            f"and a refresh may rest on {_MOST} at most, each of which its certificate names. Nothing was spent; {_OWN}"
        )
    for one in found:
        _require_within(Fraction(one.epsilon), Fraction(one.delta), whole)
    _require_as_many_people(str(predicate["recipients"]["class"]), whole.policy.recipients.klass)
    return Covered(promises=tuple(found))


def require_same(published: Published, whole: Terms) -> None:
    """Both releases are of one population, under one unit and one cap."""
    claimed, policy = published.predicate["budget"], whole.policy
    population = policy.require_population().id
    if claimed["population"] != population:
        raise PolicyRefusal(
            f'the earlier release is of the population "{claimed["population"]}", the policy of "{population}"; a refresh '
            "is of the same population, whose ledger account pays for both"
        )
    before, now = published.guarantee.unit, whole.unit
    if before != now:
        raise PolicyRefusal(
            f'the earlier release protects a {before.name} (column "{before.column}", at most {before.max_rows} rows), the '
            f'policy a {now.name} (column "{now.column}", at most {now.max_rows}); a refresh has the same unit'
        )


def require_paid(population: str, release: str, certificate: str, ledger: AbstractLedger) -> None:
    """Refuse, before anything is spent, an earlier release that this population's account did not pay for.

    Its answers are published again, so that they must be those that were paid for, and the ledger knows their certificate's
    digest: it is this that binds them, whoever signed it.
    Raises: RefusedError.
    """
    known = ledger.find(release)
    if known is None or (known.population, known.certificate_digest) != (population, certificate):
        raise RefusedError(
            f'the earlier release is not one that the account of population "{population}" in this ledger paid for; name the '
            "ledger that it was made with (--ledger), and its folder as it was published"
        )


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
