"""The path, one step a line: read, encode, measure, fit, sample, decode, audit, certify.

Must never spend before everything public has been checked, never sign what did not pass, and never publish in pieces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, final

import numpy as np

from privsynth import auditing, generators, progress, records
from privsynth.attack import Refit
from privsynth.certificate.keys import Signer
from privsynth.certificate.verify import require_files
from privsynth.domain import Clique
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
from privsynth.fitting import completed, fingerprint, measure, split
from privsynth.measurement import Transcript
from privsynth.model import Model, Sample
from privsynth.policy import Policy
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.accounting import Cap
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.ledger import AbstractLedger, LedgerHead, Reservation
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.records import Records
from privsynth.releasing.files import CERTIFICATE, Content, reasons, signed_predicate, write_candidate, write_refusal
from privsynth.releasing.measuring import measured
from privsynth.releasing.statement import ReleaseFacts, rehearse
from privsynth.releasing.terms import Terms, terms
from privsynth.releasing.workspace import HALF_COPY, Seeds, Workspace
from privsynth.schema import Schema

_T = TypeVar("_T")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published release: its folder and what its certificate says."""

    folder: Path
    predicate: Mapping[str, Any]


def release(
    source: object,
    *,
    schema: Schema,
    policy: Policy,
    signer: Signer,
    out: str | Path,
    ledger: AbstractLedger,
    generator: str | None = None,
    settings: Mapping[str, object] | None = None,
    noise: AbstractNoiseSource | None = None,
) -> Release:
    """Turn a private table into a signed release, or refuse with reasons.

    Privacy: spends the policy's release budget from the population's account, in full, from the moment noise may be drawn;
        run again with the same `out` after a crash, it goes on from the measurements at no further cost.
    Raises: InputError before anything is spent; RefusedError when the policy or ledger refuses; AuditFailed when the
        attacks succeed or cannot tell: the budget is forfeited, and `<out>.refused/` holds the reasons and no data.
    """
    if not ledger.durable:
        raise PolicyRefusal("a release rests on a ledger that outlives the process; open one with SqliteLedger(path)")
    source_of_noise = noise or SystemNoise()
    if type(source_of_noise) is not SystemNoise:
        raise PolicyRefusal(
            f'noise from the source "{source_of_noise.name}" can be replayed; such a release is never signed'
        )
    agreed = terms(schema, policy, generator=generator, settings=settings)
    rehearse(agreed, source_of_noise.name)
    workspace = Workspace(Path(out))
    workspace.require_free()
    table = _step("read", lambda: records.read(source, schema, out_of_domain=policy.records.out_of_domain))
    with workspace.locked():
        seeds, reservation = _reserve(agreed, table, workspace, ledger, source_of_noise)
        if reservation.state == "committed":
            return _published(workspace)
        if not (workspace.candidate / CERTIFICATE).exists():
            with _forfeiting(ledger, reservation):
                outcome = _attempt(agreed, table, seeds, workspace, ledger, reservation, source_of_noise)
            if isinstance(outcome, Refusal):
                _refuse(outcome, schema.table.name, workspace, ledger, reservation)
            content = Content(sample=outcome.sample, predicted=outcome.predicted)
            _step("certify", lambda: write_candidate(outcome.facts, outcome.findings, content, workspace, signer))
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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """An attempt that may be certified."""

    facts: ReleaseFacts
    findings: Findings
    sample: Sample
    predicted: Mapping[Clique, float]


def _attempt(
    agreed: Terms,
    table: Private[Records],
    seeds: Seeds,
    workspace: Workspace,
    ledger: AbstractLedger,
    reservation: Reservation,
    noise: AbstractNoiseSource,
) -> Pass | Refusal:
    """Measure (or go on from what was measured), fit, sample, check and attack."""
    unit, share = agreed.fit.unit, float(agreed.policy.audit.holdout)
    fitted_on, held_out = split(table, unit, share, bound_key=seeds.bound, holdout_key=seeds.holdout)
    bought, transcript = _step("measure", lambda: measured(fitted_on, agreed, workspace, ledger, reservation, noise))
    model = _step("fit", lambda: _model(agreed, bought, transcript))
    sample = _step("sample", lambda: model.draw(_rows(agreed, model), rng=_generator(seeds.sample)))
    checks = agreed.policy.check_schema(bought) + agreed.policy.check_release(bought, sample.table)
    try:
        findings = _audited(agreed, model, sample, fitted_on, held_out, seeds, workspace, noise)
    except AuditError as failure:
        return Refusal(why=[str(failure)], rows=[])
    workspace.write("findings.json", json.dumps(findings.internal()).encode())
    why = [f"{check.rule}: {check.detail}" for check in checks if check.result == "fail"] + reasons(findings)
    if why or findings.verdict != "PASS":
        return Refusal(why=why, rows=findings.public())
    facts = _facts(agreed, model, sample, reservation, ledger, checks, noise.name)
    return Pass(facts=facts, findings=findings, sample=sample, predicted=model.pair_errors())


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
def _forfeiting(ledger: AbstractLedger, reservation: Reservation) -> Iterator[None]:
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


def _reserve(
    agreed: Terms,
    table: Private[Records],
    workspace: Workspace,
    ledger: AbstractLedger,
    noise: AbstractNoiseSource,
) -> tuple[Seeds, Reservation]:
    """Open the account, set the cost aside, and record keys and release id; or pick up an earlier attempt in this place.

    Raises: BudgetExceeded or PolicyRefusal from the ledger; RefusedError when the earlier attempt cannot go on.
    """
    population, budget = agreed.policy.require_population(), agreed.policy.budget
    unit = f"{agreed.fit.unit.name} ({agreed.fit.unit.relation.value})"
    earlier = workspace.state()
    if earlier is None:
        release_id, seeds = noise.key()[:16].hex(), Seeds(bound=noise.key(), holdout=noise.key(), sample=noise.key())
    else:
        release_id, digest, seeds = earlier
        if digest != f"{agreed.digest} {fingerprint(table, seeds.bound)}":
            raise RefusedError(
                f"{workspace.folder} belongs to a release of another table, or with another policy, schema, plan or "
                "generator; choose a new --out"
            )
    if population.id not in ledger.populations():
        progress.report(f'population "{population.id}" is new to this ledger: its lifetime budget begins here', 0, 1)
    ledger.open_account(population.id, unit=unit, cap=Cap.of(budget.lifetime_epsilon, budget.lifetime_delta))
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
        workspace.start(release_id, f"{agreed.digest} {fingerprint(table, seeds.bound)}", seeds)
    return seeds, reservation


def _model(agreed: Terms, schema: Schema, transcript: Transcript) -> Model:
    return Model(
        schema=schema,
        distribution=agreed.fit.generator.estimate(schema.domain(), transcript),
        transcript=transcript,
        guarantee=Guarantee.for_budget(agreed.fit.budget, agreed.fit.unit, transcript),
        generator=agreed.generator,
        settings=agreed.settings,
    )


def _rows(agreed: Terms, model: Model) -> int:
    """The declared number of rows, or the noisy estimate for the whole table, held-out units included."""
    declared = agreed.policy.records.rows
    if isinstance(declared, int):
        return declared
    return max(1, round(model.distribution.total / (1 - float(agreed.policy.audit.holdout))))


def _audited(
    agreed: Terms,
    model: Model,
    sample: Sample,
    fitted_on: Private[Records],
    held_out: Private[Records],
    seeds: Seeds,
    workspace: Workspace,
    noise: AbstractNoiseSource,
) -> Findings:
    """Check the generator's conformance on public tables and attack the release with the held-out units as control.

    Where the policy leaves no units to spare (`control = "half-copy"`), a copy fitted on one half is attacked instead.
    """
    rng = _generator(seeds.sample + b"audit")
    budget, unit = agreed.fit.budget, agreed.fit.unit
    rho = budget.for_answers.rho
    claim = Claim(
        epsilon=model.guarantee.epsilon,
        delta=float(model.guarantee.delta),
        rho=float(model.guarantee.rho),
        unit=unit.name,
        composition=model.guarantee.composition,
        training=model.guarantee.training,
    )
    domain = model.schema.domain()
    conformance = auditing.conformance(
        agreed.plan, agreed.fit.generator, domain=domain, unit=unit, rho=rho, noise=noise, rng=rng, claim=claim
    )
    attacked, drawn = model, sample
    if agreed.policy.audit.control == "half-copy":
        fitted_on, held_out = split(fitted_on, unit, 0.5, bound_key=seeds.bound, holdout_key=seeds.sample)
        kept = workspace.measurements(HALF_COPY)
        if kept is None:
            kept = measure(fitted_on, agreed.fit, noise)
            workspace.save_measurements(*kept, HALF_COPY)
        attacked = _model(agreed, *kept)
        drawn = attacked.draw(sample.records.rows, rng=rng)
    risk = auditing.run(
        agreed.plan,
        schema=attacked.schema,
        synthetic=drawn.records,
        members=completed(fitted_on, attacked.schema),
        controls=completed(held_out, attacked.schema),
        claim=claim,
        rng=rng,
        transcript=attacked.transcript,
        refit=_refit(agreed, drawn.records.rows, noise),
    )
    return conformance.together_with(risk)


def _refit(agreed: Terms, rows: int, noise: AbstractNoiseSource) -> Refit:
    """What an attacker who runs the same generator can do: fit it to some records, with the same budget, and release.

    What was bought is known by then, so that only the part of the budget for answers is there to be spent.
    Privacy: what is made of private records stays with the attack that asked for it.
    """
    plan = replace(agreed.fit, budget=agreed.fit.budget.for_answers)

    def refit(those: Records, rng: np.random.Generator) -> Records:
        schema, transcript = measure(Private(those), plan, noise)
        return _model(agreed, schema, transcript).draw(rows, rng=rng).records

    return refit


def _begun(ledger: AbstractLedger, reservation: Reservation) -> tuple[LedgerHead, int]:
    """Where the ledger stood when this release was begun, and which attempt at its terms it is."""
    known = ledger.find(reservation.release_id)
    if known is None or known.begun is None:
        raise RefusedError("the ledger does not know that this release was begun; was the ledger exchanged meanwhile?")
    return known.begun, known.attempt


def _facts(
    agreed: Terms,
    model: Model,
    sample: Sample,
    reservation: Reservation,
    ledger: AbstractLedger,
    checks: tuple[CheckResult, ...],
    noise: str,
) -> ReleaseFacts:
    head, attempt = _begun(ledger, reservation)
    return ReleaseFacts(
        release_id=reservation.release_id,
        policy=agreed.policy,
        schema=model.schema,
        guarantee=model.guarantee,
        noise=noise,
        transcript=model.transcript,
        generator=agreed.generator,
        settings=generators.settings_of(agreed.fit.generator),
        reasons=agreed.reasons,
        cautions=agreed.cautions,
        rows=sample.records.rows,
        balance=ledger.balance(reservation.population),
        head=head,
        checks=checks,
        plan_name=agreed.plan.name,
        plan_digest=agreed.plan.digest,
        repaired=sample.repaired,
        attempts_used=attempt,
    )
