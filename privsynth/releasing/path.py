"""The path, one step a line: read, encode, measure, fit, sample, decode, audit, certify.

Must never spend before everything public has been checked, never sign what did not pass, and never publish in pieces.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar, final

import numpy as np

from privsynth import generators, progress
from privsynth.certificate.folder import CERTIFICATE
from privsynth.certificate.keys import Signer
from privsynth.certificate.verify import require_files
from privsynth.database import writing
from privsynth.database.document import DatabaseSchema
from privsynth.errors import (
    AuditError,
    AuditFailed,
    OutOfMemory,
    OutputError,
    PolicyRefusal,
    PrivsynthError,
    RefusedError,
)
from privsynth.findings import Claim, Figure, Findings
from privsynth.policy import Policy
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.ledger import AbstractLedger, LedgerHead, Reservation
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.releasing.agreeing import AbstractTerms
from privsynth.releasing.database_terms import database_terms
from privsynth.releasing.files import Content, reasons, signed_predicate, write_candidate, write_refusal
from privsynth.releasing.measuring import measured
from privsynth.releasing.one_table import OneTable
from privsynth.releasing.several_tables import SeveralTables
from privsynth.releasing.statement import ReleaseFacts, rehearse
from privsynth.releasing.subject import AbstractSubject, Data, Drawn, Fitted, Kept, Said
from privsynth.releasing.terms import terms
from privsynth.releasing.workspace import HALF_COPY, Seeds, Workspace
from privsynth.schema import Schema

_T = TypeVar("_T")

OpenLedger: TypeAlias = Callable[[], AbstractLedger]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published release: its folder and what its certificate says."""

    folder: Path
    predicate: Mapping[str, Any]


def release(
    source: object,
    *,
    schema: Schema | DatabaseSchema,
    policy: Policy,
    signer: Signer,
    out: str | Path,
    ledger: AbstractLedger | OpenLedger,
    generator: str | None = None,
    settings: Mapping[str, object] | None = None,
    noise: AbstractNoiseSource | None = None,
) -> Release:
    """Turn a private table, or several of the same units, into a signed release, or refuse with reasons.

    Args: `ledger` is open, or opens one: it is called, and what it opened closed, when all but the budget was found right.
    Privacy: spends the policy's release budget from the population's account, in full, from the moment noise may be drawn;
        run again with the same `out` after a crash, it goes on from the measurements at no further cost.
    Raises: InputError before anything is spent; RefusedError when the policy or ledger refuses; AuditFailed when the
        attacks succeed or cannot tell: the budget is forfeited, and `<out>.refused/` holds the reasons and no data.
    """
    source_of_noise = noise or SystemNoise()
    workspace = Workspace(Path(out))
    workspace.require_free()
    if isinstance(schema, DatabaseSchema):
        agreed = database_terms(schema, policy, generator=generator, settings=settings)
        several = SeveralTables(agreed, writing.kind_of(source))
        return carry_out(several, source, signer, workspace, ledger, source_of_noise)
    one = OneTable(terms(schema, policy, generator=generator, settings=settings))
    return carry_out(one, source, signer, workspace, ledger, source_of_noise)


def require_lasting(ledger: AbstractLedger, noise: AbstractNoiseSource) -> None:
    """Refuse a ledger that is gone with the process, and noise that somebody could draw again."""
    if not ledger.durable:
        raise PolicyRefusal("a release rests on a ledger that outlives the process; open one with SqliteLedger(path)")
    if type(noise) is not SystemNoise:
        raise PolicyRefusal(f'noise from the source "{noise.name}" can be replayed; such a release is never signed')


@contextmanager
def _held(opens: AbstractLedger | OpenLedger, noise: AbstractNoiseSource) -> Iterator[AbstractLedger]:
    """An open ledger as it is, or one that is opened for the block."""
    ledger = opens if isinstance(opens, AbstractLedger) else opens()
    try:
        require_lasting(ledger, noise)
        yield ledger
    finally:
        if ledger is not opens:
            ledger.close()


def carry_out(
    subject: AbstractSubject[Data, Kept, Fitted, Drawn],
    source: object,
    signer: Signer,
    workspace: Workspace,
    opens: AbstractLedger | OpenLedger,
    noise: AbstractNoiseSource,
) -> Release:
    """The whole path, from terms that were agreed on; nothing is read before the certificate was rehearsed."""
    if isinstance(opens, AbstractLedger):
        require_lasting(opens, noise)
    rehearse(subject.agreed, noise.name)
    workspace.require_free()
    data = _step("read", lambda: subject.read(source))
    with _held(opens, noise) as ledger, workspace.locked():
        seeds, reservation = reserve(subject, data, workspace, ledger, noise)
        if reservation.state == "committed":
            return _published(workspace)
        if not (workspace.candidate / CERTIFICATE).exists():
            with forfeiting(ledger, reservation):
                outcome = _attempt(subject, data, seeds, workspace, ledger, reservation, noise)
            if isinstance(outcome, Refusal):
                _refuse(outcome, subject.agreed.title, workspace, ledger, reservation)
            _step("certify", lambda: write_candidate(*outcome, workspace, signer))
        require_files(workspace.candidate)
        signed = (workspace.candidate / CERTIFICATE).read_bytes()
        ledger.commit(reservation, certificate_digest=hashlib.sha256(signed).hexdigest())
        return _published(workspace)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an attempt may not be released: public sentences, and the published rows of the audit."""

    why: list[str]
    rows: list[dict[str, Figure]]


def _attempt(
    subject: AbstractSubject[Data, Kept, Fitted, Drawn],
    data: Private[Data],
    seeds: Seeds,
    workspace: Workspace,
    ledger: AbstractLedger,
    reservation: Reservation,
    noise: AbstractNoiseSource,
) -> tuple[ReleaseFacts, Findings, Content] | Refusal:
    """Measure (or go on from what was measured), fit, sample, check and attack: what may be certified, or why nothing may."""
    fitted_on, held_out = subject.split(data, seeds)
    kept = _step("measure", lambda: measured(subject, fitted_on, seeds, workspace, ledger, reservation, noise))
    model = _step("fit", lambda: subject.model(kept))
    drawn = _step("sample", lambda: subject.draw(model, _generator(seeds.sample)))
    checks, said = subject.check(kept, drawn), subject.said(model, drawn)
    claim = _claim(subject.agreed, said)
    try:
        findings = _audited(subject, (model, drawn), claim, fitted_on, held_out, seeds, workspace, noise)
    except AuditError as failure:
        return Refusal(why=[str(failure)], rows=[])
    workspace.write("findings.json", json.dumps(findings.internal()).encode())
    why = [f"{check.rule}: {check.detail}" for check in checks if check.result == "fail"] + reasons(findings)
    if why or findings.verdict != "PASS":
        return Refusal(why=why, rows=findings.public())
    facts = _facts(subject.agreed, said, reservation, ledger, checks, noise.name)
    content = Content(
        files=functools.partial(subject.files, model, drawn), dictionary=functools.partial(subject.dictionary, model)
    )
    return facts, findings, content


def _refuse(
    refusal: Refusal, what: str, workspace: Workspace, ledger: AbstractLedger, reservation: Reservation
) -> NoReturn:
    """Put the forfeit on record first, so that nothing can undo it; then write the reasons, without data."""
    ledger.forfeit(reservation, reason="the attempt did not pass")
    workspace.clear_candidate()
    write_refusal(workspace.refused, refusal.why, refusal.rows, what)
    raise AuditFailed(
        f"refused; the budget of this attempt is spent. {' '.join(refusal.why[:3])} The reasons are in {workspace.refused}/"
    )


@contextmanager
def forfeiting(ledger: AbstractLedger, reservation: Reservation) -> Iterator[None]:
    """Record as forfeited what cannot come to a release any more; a full disk or memory can, by running the same command again.

    Raises: the failure, saying that the budget of this attempt is spent.
    """
    try:
        yield
    except (OutputError, OutOfMemory):
        raise
    except PrivsynthError as failure:
        known = ledger.find(reservation.release_id)
        if known is not None and known.state == "reserved":
            ledger.void(reservation)
            raise
        if known is None or known.state != "begun":
            raise
        ledger.forfeit(reservation, reason=f"stopped by {type(failure).__name__}")
        kind = AuditFailed if isinstance(failure, AuditError) else RefusedError
        raise kind(f"{failure} (The budget of this attempt is spent.)") from None


def _published(workspace: Workspace) -> Release:
    """Give the certified candidate its final name, once more checked file by file.

    Raises: SubjectMismatch when the candidate is not what was signed any more.
    """
    require_files(workspace.candidate)
    workspace.publish()
    return Release(folder=workspace.out, predicate=signed_predicate(workspace.out / CERTIFICATE))


def _step(name: str, work: Callable[[], _T]) -> _T:
    progress.report(name, 0, 1)
    done = work()
    progress.report(name, 1, 1)
    return done


def _generator(seed: bytes) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(seed, "big"))


def reserve(
    subject: AbstractSubject[Data, Kept, Fitted, Drawn],
    data: Private[Data],
    workspace: Workspace,
    ledger: AbstractLedger,
    noise: AbstractNoiseSource,
    prefix: str = "",
) -> tuple[Seeds, Reservation]:
    """Open the account, set the cost aside, and record keys and release id; or pick up an earlier attempt in this place.

    Args: `prefix` is what a new release id begins with, for the ledger to tell what it is of.
    Raises: BudgetExceeded or PolicyRefusal from the ledger; RefusedError when the earlier attempt cannot go on.
    """
    agreed = subject.agreed
    population = agreed.policy.require_population()
    earlier = workspace.state()
    if earlier is None:
        release_id, seeds = (
            prefix + noise.key()[:16].hex(),
            Seeds(bound=noise.key(), holdout=noise.key(), sample=noise.key()),
        )
    else:
        release_id, digest, seeds = earlier
        if digest != f"{agreed.digest} {subject.fingerprint(data, seeds.bound)}":
            raise RefusedError(
                f"{workspace.folder} belongs to a release of another table, or with another policy, schema, plan or "
                "generator; choose a new --out"
            )
    if population.id not in ledger.populations():
        progress.report(f'population "{population.id}" is new to this ledger: its lifetime budget begins here', 0, 1)
    unit, cap = agreed.account
    ledger.open_account(population.id, unit=unit, cap=cap)
    reservation = ledger.reserve(
        population.id,
        cost=agreed.cost,
        release_id=release_id,
        plan_digest=agreed.digest,
        attempts_allowed=agreed.policy.audit.attempts,
    )
    if reservation.state in {"forfeited", "voided"}:
        raise RefusedError(
            f"the release in {workspace.folder} was ended ({reservation.reason}). Where the policy allows another attempt, "
            "choose a new --out"
        )
    if earlier is None:
        workspace.start(release_id, f"{agreed.digest} {subject.fingerprint(data, seeds.bound)}", seeds)
    return seeds, reservation


def _claim(agreed: AbstractTerms, said: Said) -> Claim:
    """What the release promises, for the audit."""
    return Claim(
        epsilon=said.guarantee.epsilon,
        delta=float(said.guarantee.delta),
        rho=float(said.guarantee.rho),
        unit=agreed.unit.name,
        composition=said.guarantee.composition,
        training=said.guarantee.training,
    )


def _audited(
    subject: AbstractSubject[Data, Kept, Fitted, Drawn],
    made: tuple[Fitted, Drawn],
    claim: Claim,
    fitted_on: Private[Data],
    held_out: Private[Data],
    seeds: Seeds,
    workspace: Workspace,
    noise: AbstractNoiseSource,
) -> Findings:
    """Check the generator's conformance on public tables and attack the release with the held-out units as control.

    Where the policy leaves no units to spare (`control = "half-copy"`), a copy fitted on one half is attacked instead; nobody
    paid for it, so that what findings tell of tables is read off the release all the same.
    """
    rng = _generator(seeds.sample + b"audit")
    model, drawn = made
    conformance = subject.conformance(model, claim, noise, rng)
    if subject.agreed.policy.audit.control == "half-copy":
        fitted_on, held_out = subject.halves(fitted_on, seeds)
        kept = workspace.measurements(subject.from_files, HALF_COPY)
        if kept is None:
            kept = subject.measure_copy(fitted_on, noise, seeds)
            workspace.save_measurements(*subject.to_files(kept), HALF_COPY)
        model = subject.model(kept)
        drawn = subject.draw(model, rng, like=drawn)
    return conformance.together_with(subject.attack(model, drawn, fitted_on, held_out, claim, noise, rng, made[1]))


def _begun(ledger: AbstractLedger, reservation: Reservation) -> tuple[LedgerHead, int]:
    """Where the ledger stood when this release was begun, and which attempt at its terms it is."""
    known = ledger.find(reservation.release_id)
    if known is None or known.begun is None:
        raise RefusedError("the ledger does not know that this release was begun; was the ledger exchanged meanwhile?")
    return known.begun, known.attempt


def _facts(
    agreed: AbstractTerms,
    said: Said,
    reservation: Reservation,
    ledger: AbstractLedger,
    checks: tuple[CheckResult, ...],
    noise: str,
) -> ReleaseFacts:
    head, attempt = _begun(ledger, reservation)
    return ReleaseFacts(
        release_id=reservation.release_id,
        policy=agreed.policy,
        described=said.described,
        about_rows=agreed.about_rows,
        guarantee=said.guarantee,
        noise=noise,
        transcript=said.transcript,
        generator=agreed.generator,
        settings=generators.settings_of(agreed.kind),
        reasons=agreed.reasons,
        cautions=(*agreed.cautions, *said.cautions),
        balance=ledger.balance(reservation.population),
        head=head,
        checks=checks,
        plan_name=agreed.plan.name,
        plan_digest=agreed.plan.digest,
        repaired=said.repaired,
        attempts_used=attempt,
        continues=agreed.continues,
        not_covered=agreed.not_covered,
    )
