"""`refresh`: the next release of a population from new data, in two charges: the drift test, then what moved.

Must never draw noise before what pays for it is durable in the ledger, nor charge for what did not move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, final

from privsynth import api, progress
from privsynth.certificate.folder import CERTIFICATE
from privsynth.certificate.keys import Signer, TrustStore
from privsynth.certificate.verify import verify_release
from privsynth.database import either
from privsynth.database.document import DatabaseSchema
from privsynth.errors import BudgetExceeded, InputError, OutputError, PolicyRefusal, RefusedError
from privsynth.measurement import Transcript
from privsynth.policy import Policy
from privsynth.privacy.accounting import Cost
from privsynth.privacy.ledger import AbstractLedger, Reservation
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.source import MAX_COUNT_SIGMA, AbstractNoiseSource
from privsynth.published import read_release
from privsynth.refreshing import changes as what_changed
from privsynth.refreshing import measuring
from privsynth.refreshing.aligning import Alignment, ColumnMap, align
from privsynth.refreshing.covering import Covered, covered, require_paid, require_same
from privsynth.refreshing.deciding import Decision
from privsynth.refreshing.prior import prior_of
from privsynth.refreshing.reading import bought, opened
from privsynth.refreshing.refreshed import Refreshed
from privsynth.refreshing.subject import RefreshedTable, RefreshTerms
from privsynth.releasing import Release
from privsynth.releasing.measuring import measured
from privsynth.releasing.path import carry_out, forfeiting, require_lasting, reserve
from privsynth.releasing.statement import rehearse
from privsynth.releasing.terms import Terms, terms
from privsynth.releasing.workspace import MEASUREMENTS, Seeds, Workspace
from privsynth.schema import Schema

WORDS: Final = (
    "Tables that did not move, as far as the drift test can tell, were measured of the earlier release's people and are taken "
    "for true of these: small changes may be missed.",
    "Epsilon is the most that this refresh could have spent; the ledger was charged for its drift test and for what "
    "moved (refresh.chargedRho), and for any other drift test against the same release (refresh.driftTests) by itself.",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """What came of a refresh: `release` is None where nothing moved that can be told, and `changes` says what did.

    Args: `spent` is the rho that the ledger was charged for it, in all runs with its `out`; `again` says that the drift test
        was charged in an earlier one, and not in this one.
    """

    release: Release | None
    changes: Mapping[str, Any]
    spent: str
    again: bool = False

    @property
    def folder(self) -> Path | None:
        """The folder of the release, if there is one."""
        return None if self.release is None else self.release.folder

    @property
    def predicate(self) -> Mapping[str, Any] | None:
        """What its certificate says."""
        return None if self.release is None else self.release.predicate


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """Everything public that a refresh rests on."""

    whole: Terms
    refreshed: Refreshed
    alignment: Alignment
    earlier: str
    covered: Covered
    bought: tuple[str, ...]

    @property
    def population(self) -> str:
        """Whose account pays."""
        return self.whole.policy.require_population().id

    @property
    def tests(self) -> str:
        """What the ledger's name of every drift test against the earlier release begins with."""
        return f"drift-{self.refreshed.prior.release}-"

    @property
    def drift_rho(self) -> Fraction:
        """What the drift test costs."""
        return self.whole.budget.rho * self.refreshed.drift_share


def refresh(
    source: object,
    *,
    previous: str | Path,
    policy: Policy | str | Path,
    key: Signer | str | Path,
    out: str | Path,
    ledger: AbstractLedger | str | Path | None = None,
    schema: Schema | str | Path | None = None,
    map: ColumnMap | None = None,  # noqa: A002 - what it is to a caller
    trust: TrustStore | str | Path | None = None,
) -> Refresh:
    """Make the next release of a population: a charged drift test against the previous one, then what moved, measured anew.

    Privacy: the guarantee is the policy's release budget, for both parts together. The ledger is charged for the drift test
        (15 % of it), and, if anything moved, for what is measured anew: the part of the rest that measuring all would give it.
        What is not begun stays in the population's cap. Run again with the same `out` after a crash, it goes on at no further
        cost from what was measured.
    Args: `previous` is the folder of the earlier release, whose public files alone are read; `schema` the new one, by default
        the earlier release's; `map` says what became of columns, {"old": "new"}, and labels, {"new": {"old label": "label"}};
        with `trust`, the earlier release's signature is verified as well.
    Returns: the release and what changed; no release, and the drift test's charge alone, where nothing moved that can be told.
    Raises: InputError before anything is spent; RefusedError when policy or ledger refuse; AuditFailed as `release` does.
    """
    signer = key if isinstance(key, Signer) else Signer.load(Path(key))
    agreed = policy if isinstance(policy, Policy) else Policy.load(policy)
    if trust is not None:
        verify_release(Path(previous), trust if isinstance(trust, TrustStore) else TrustStore.load(Path(trust)))
    held = ledger if isinstance(ledger, AbstractLedger) else api.existing_ledger(ledger)
    try:
        plan = _plan(Path(previous), agreed, schema, map, held)
        return _carried_out(source, plan, signer, Path(out), held, SystemNoise())
    finally:
        if held is not ledger:
            held.close()


def _plan(
    previous: Path, policy: Policy, schema: Schema | str | Path | None, mapped: ColumnMap | None, ledger: AbstractLedger
) -> _Plan:
    """Read the earlier release, and agree on terms; nothing is fitted to answers that this ledger does not know.

    Raises: InputError or RefusedError; nothing is read of the new table, and nothing spent.
    """
    published = read_release(previous)
    described = published.schema if schema is None else _one_table(schema)
    if described.unresolved:
        raise PolicyRefusal(
            "a refresh buys nothing: leave the schema out: in the earlier release's, what was bought is filled in"
        )
    alignment = align(published.schema, described, mapped)
    whole = terms(described, policy, generator=published.generator, settings=published.settings)
    require_same(published, whole)
    covers = covered(published.predicate, whole)
    release, earlier = (
        str(published.predicate["releaseId"]),
        hashlib.sha256((previous / CERTIFICATE).read_bytes()).hexdigest(),
    )
    require_paid(policy.require_population().id, release, earlier, ledger)
    progress.report("fit the earlier release again", 0, 1)
    prior = prior_of(published, alignment, release)
    progress.report("fit the earlier release again", 1, 1)
    covers.by({one for known in prior.known for one in known.releases})
    refreshed = Refreshed(prior=prior, inner=whole.kind)
    paid = 2 * whole.budget.rho * (1 - refreshed.drift_share) / whole.unit.l2_squared
    refreshed = replace(refreshed, prior=replace(prior, paid=float(paid)))
    return _Plan(
        whole=whole,
        refreshed=refreshed,
        alignment=alignment,
        earlier=earlier,
        covered=covers,
        bought=bought(published, described, alignment),
    )


def _one_table(schema: Schema | str | Path) -> Schema:
    described = schema if isinstance(schema, Schema) else either.load(schema)
    if isinstance(described, DatabaseSchema):
        raise InputError(
            "refresh makes the next release of one table, and this schema has [database]; give that table's own schema, or "
            "make a release of its own of the tables with `privsynth release`"
        )
    return described


def _carried_out(
    source: object, plan: _Plan, signer: Signer, out: Path, ledger: AbstractLedger, noise: AbstractNoiseSource
) -> Refresh:
    require_lasting(ledger, noise)
    workspace, watching = Workspace(out), Workspace(out, out.with_name(out.name + ".drift.internal"))
    names = list(plan.whole.schema.domain().attributes)
    rehearsed = what_changed.rehearsed(plan.refreshed.prior.release, plan.alignment, names, plan.covered)
    first = _terms(plan, plan.drift_rho, "drift test", rehearsed)
    rehearse(first, noise.name)
    workspace.require_free()
    watching.require_free()
    _require_drawable(plan, measuring.least_watched(plan.whole.schema.domain(), plan.refreshed.prior, plan.drift_rho))
    _require_not_stale(workspace, watching, ledger)
    again = _is_paid(watching, ledger)
    release_id, seeds, fingerprint, answers = _watched(source, plan, first, watching, ledger, noise)
    decision = plan.refreshed.decision(plan.whole.schema.domain(), answers)
    plan = replace(plan, covered=plan.covered.by(measuring.rests_on(plan.refreshed.prior, decision)))
    changes = what_changed.described(plan.refreshed, decision, plan.alignment, plan.whole.schema, plan.covered)
    if decision.nothing:
        return Refresh(release=None, changes=changes, spent=str(float(plan.drift_rho)), again=again)
    drift = f"{release_id} {_digest(watching)}"
    second = _second(plan, decision, answers, drift, changes, _tests(plan, release_id, ledger))
    goes_on_from = f"{second.agreed.digest} {fingerprint} {drift}"
    with workspace.locked():
        state = workspace.state()
        if state is None:
            workspace.start(noise.key()[:16].hex(), goes_on_from, seeds)
        elif state[1] != goes_on_from:
            raise RefusedError(
                f"{workspace.folder} goes on from another drift test than that of {watching.folder}; put the one back "
                "that it goes on from, or choose a new --out"
            )
    made = carry_out(second, source, signer, workspace, ledger, noise)
    return Refresh(release=made, changes=changes, spent=str(float(plan.drift_rho + second.terms.rho)), again=again)


def _is_paid(watching: Workspace, ledger: AbstractLedger) -> bool:
    """Whether an earlier run paid for the drift test of this place, and kept its answers."""
    state = watching.state()
    known = None if state is None else ledger.find(state[0])
    return known is not None and known.state == "committed"


def _watched(
    source: object,
    plan: _Plan,
    agreed: RefreshTerms,
    workspace: Workspace,
    ledger: AbstractLedger,
    noise: AbstractNoiseSource,
) -> tuple[str, Seeds, str, Transcript]:
    """The drift test, charged and durable: (its release id in the ledger, keys, the table's keyed digest, answers).

    Privacy: begun in the ledger before the first draw; its answers are kept, and never drawn again, whatever comes after.
    """
    part = _first(plan, agreed)
    data = part.read(source)
    with workspace.locked():
        _require_room(plan, workspace, ledger)
        seeds, reservation = reserve(part, data, workspace, ledger, noise, plan.tests)
        if reservation.state == "committed":
            _require_unchanged(workspace, reservation)
            kept = workspace.measurements(part.from_files)
            if kept is None:
                raise _lost(workspace)
        else:
            with forfeiting(ledger, reservation):
                fitted_on, _ = part.split(data, seeds)
                kept = measured(part, fitted_on, seeds, workspace, ledger, reservation, noise)
            ledger.commit(reservation, certificate_digest=_digest(workspace))
        return reservation.release_id, seeds, part.fingerprint(data, seeds.bound), kept[1]


def _digest(workspace: Workspace) -> str:
    """Of the kept answers of the drift test."""
    path = workspace.folder / MEASUREMENTS
    if not path.exists():
        raise _lost(workspace)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lost(workspace: Workspace) -> OutputError:
    return OutputError(
        f"{workspace.folder} lost the drift test's answers; its budget is spent: run again in a new --out"
    )


def _require_unchanged(workspace: Workspace, reservation: Reservation) -> None:
    """Refuse answers of the drift test that are not those whose digest the ledger holds."""
    if _digest(workspace) != reservation.certificate_digest:
        raise RefusedError(
            f"the drift test's answers in {workspace.folder} are not those that the ledger knows: somebody changed them. "
            "Restore the file, or run again in a new --out, where the test is charged anew"
        )


def _terms(plan: _Plan, rho: Fraction, part: str, says: Mapping[str, object]) -> RefreshTerms:
    """The terms of one part."""
    return RefreshTerms.of(
        plan.whole,
        earlier=plan.earlier,
        aligned=plan.alignment.text,
        rho=rho,
        part=part,
        says=says,
        words=WORDS,
        aside=plan.covered.words,
    )


def _tests(plan: _Plan, release_id: str, ledger: AbstractLedger) -> int:
    """How many drift tests against the earlier release were begun up to this one, which counts, under whatever policy, schema
    or map: each was charged, and each is a look at the data that could have been thrown away."""
    begun = [entry.release_id for entry in ledger.entries(plan.population) if entry.kind == "begin"]
    return sum(one.startswith(plan.tests) for one in begun[: begun.index(release_id) + 1])


def _first(plan: _Plan, agreed: RefreshTerms) -> RefreshedTable:
    """The drift test as a subject of the release path."""
    return RefreshedTable(
        terms=agreed,
        refreshed=replace(plan.refreshed, part="watch"),
        changes={},
        reads=opened(plan.whole.schema, plan.bought),
    )


def _require_room(plan: _Plan, workspace: Workspace, ledger: AbstractLedger) -> None:
    """Refuse a cap that could not bear it if everything moved, and a plan that has no attempt left at measuring what moved,
    unless the drift test has begun in this very ledger.

    Raises: BudgetExceeded or PolicyRefusal; RefusedError where this ledger does not know of the attempt that this place goes
        on from.
    """
    population, state, cost = plan.population, workspace.state(), plan.whole.cost
    if state is not None:
        known = ledger.find(state[0])
        if known is None or known.population != population:
            raise RefusedError(
                f"{workspace.folder} goes on from an attempt that this ledger does not know; name the ledger that it was "
                "begun with (--ledger), or choose a new --out"
            )
        if known.state != "reserved":
            return
        cost = Cost.of(plan.whole.budget.rho - plan.drift_rho)  # the rest is reserved, and counted with what is held
    attempts = plan.whole.policy.audit.attempts
    ledger.require_attempt(population, plan_digest=_moved(plan, Fraction(0), {}).digest, attempts_allowed=attempts)
    balance = ledger.balance(population)
    held = balance.spent + balance.reserved
    if not balance.cap.admits(held + cost):
        raise BudgetExceeded(
            f'population "{population}": a refresh may spend up to a release\'s budget, with which its lifetime epsilon would '
            f"be {balance.cap.epsilon_spent(held + cost):.4f}; the cap is {float(balance.cap.epsilon):.4f}. Nothing was spent; "
            "ask for a smaller release_epsilon"
        )


def _require_drawable(plan: _Plan, paid: Fraction) -> None:
    """Refuse a budget with which the noise of the table that is paid least would be too large to draw, before it is charged."""
    unit = plan.whole.unit
    if unit.l2_squared > 2 * paid * (MAX_COUNT_SIGMA * unit.max_rows) ** 2:
        raise PolicyRefusal(
            "the budget is too small: the noise would be larger than any count. Nothing was charged for this part of the "
            "refresh; ask for a larger release_epsilon"
        )


def _require_not_stale(workspace: Workspace, watching: Workspace, ledger: AbstractLedger) -> None:
    """Refuse, before the drift test is charged, a second part that was left by another attempt."""
    if workspace.state() is not None and not _is_paid(watching, ledger):
        raise OutputError(
            f"{workspace.folder} holds what another attempt left, whose drift test is not in {watching.folder}; choose a new "
            "--out, or keep that folder elsewhere"
        )


def _second(
    plan: _Plan, decision: Decision, answers: Transcript, drift: str, changes: Mapping[str, Any], tests: int
) -> RefreshedTable:
    """What measures anew what moved, under terms that name the drift test's answers."""
    domain = plan.whole.schema.domain()
    rho = plan.refreshed.renewing(domain, plan.whole.budget.rho, decision)
    _require_drawable(plan, measuring.shares(measuring.renewal(domain, plan.refreshed.prior, decision), rho).least)
    says = what_changed.claimed(
        plan.refreshed,
        decision,
        plan.alignment,
        plan.covered,
        drift_test=drift.split(maxsplit=1)[0],
        tests=tests,
        charged=plan.drift_rho + rho,
        bought=plan.bought,
    )
    return RefreshedTable(
        terms=_moved(plan, rho, says),
        refreshed=replace(plan.refreshed, part="renew", answers=answers),
        changes=changes,
        reads=opened(plan.whole.schema, plan.bought),
        drift=drift,
    )


def _moved(plan: _Plan, rho: Fraction, says: Mapping[str, object]) -> RefreshTerms:
    """The terms of the second part: one plan whatever moved, so that the policy's attempts count every audit that failed."""
    return _terms(plan, rho, "what moved", says)
