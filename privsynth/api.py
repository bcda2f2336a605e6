"""The public verbs: fit, release, audit, verify, quote, draft, write_tables. Thin: each calls the module that does it.

A schema is of one table, or of several whose rows belong to the same units (`DatabaseSchema`, a TOML file with [database]).

Must never decide anything about privacy: budgets, units and checks are the called modules' business.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from privsynth import auditing, choosing, frames, generators, provenance, records, releasing
from privsynth import several_tables as several
from privsynth.auditing import AuditPlan
from privsynth.black_box import audited_tables
from privsynth.black_box import checks as black_box
from privsynth.black_box.adapter import Adapter, Generate
from privsynth.certificate.keys import Signer, TrustStore
from privsynth.certificate.verify import Verified, verify_release
from privsynth.database import drafting as database_drafting
from privsynth.database import either, sources
from privsynth.database.document import DatabaseSchema
from privsynth.drafting import draft as draft_schema
from privsynth.errors import AuditError, InputError, LedgerError, SchemaError
from privsynth.exploring import Fitting, measured
from privsynth.findings import Claim, Findings
from privsynth.fitting import FitPlan
from privsynth.histories.history_model import HistoryModel
from privsynth.history_quoting import HistoryQuote, quote_history
from privsynth.measurement import Transcript
from privsynth.model import Model
from privsynth.policy import Policy
from privsynth.privacy.accounting import Exact
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.ledger import AbstractLedger
from privsynth.privacy.ledgers.sqlite import SqliteLedger
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.quoting import Quote
from privsynth.quoting import quote as quote_release
from privsynth.releasing import Release
from privsynth.releasing.resuming import fit_in
from privsynth.schema import Schema

LEDGER_VARIABLE = "PRIVSYNTH_LEDGER"


def fit(
    source: object,
    schema: Schema | DatabaseSchema | str | Path,
    *,
    epsilon: Exact,
    delta: Exact,
    generator: str = choosing.AUTO,
    settings: Mapping[str, object] | None = None,
    max_rows: int = 1,
    out_of_domain: records.OutOfDomain = "refuse",
    resume: str | Path | None = None,
    synthetic: provenance.Allow = "refuse",
) -> Model | HistoryModel:
    """Fit a generator to a private table, or to several, for exploring and for benchmarks; the model is uncertified.

    Privacy: (epsilon, delta)-DP for adding or removing one unit: a row, or with `schema.unit` a person, of whom at most
        `max_rows` rows are used, chosen at random; of several tables, a unit with all its rows in all of them. No ledger is
        charged, which is why nothing made with it can be signed.
    Args: `source` is a CSV or Parquet file, or a pandas, polars or Arrow table; several tables are a folder, an SQLite or
        DuckDB file, or {name: table}, and have their bounds in the schema. `generator` is a generator's name, or "auto":
        one is chosen by the number of columns (`choosing.choose`), and `Model.generator` says which.
        `resume` is a folder in which the fit keeps its place: killed and called again with the same arguments, it goes on from
        there, and what was spent stays spent; when it is done, the same model is read from there at no further cost.
        `synthetic` is "allow" for who wants to study what training on a model's own output does: a source that says of itself
        that it is synthetic (`provenance.of`) is refused otherwise, and what the model draws says of which generation it is.
    Returns: a model whose `error` and `pair_errors` say, from public numbers, how far its tables are off; of several tables, a
        `HistoryModel`.
    Raises: PolicyError for a generator or setting that does not exist;
        RecordsError, SchemaError or MechanismError before anything is spent.
    """
    described = _schema(schema)
    generation = provenance.generation_of(source, synthetic, "what a model is fitted to")
    if isinstance(described, DatabaseSchema):
        if generation > 1:
            raise InputError(
                "a model of synthetic tables is fitted to one table at a time; give one with its own schema"
            )
        several.require_own_bounds(max_rows, resume)
        asked = several.Asked(epsilon=epsilon, delta=delta, generator=generator, settings=dict(settings or {}))
        return several.fit(source, described, asked, out_of_domain=out_of_domain)
    fitting = Fitting(epsilon=epsilon, delta=delta, generator=generator, max_rows=max_rows, settings=settings)
    plan = fitting.plan(described)
    table = records.read(source, described, out_of_domain=out_of_domain)
    if resume is None:
        completed, transcript = measured(table, plan)
    else:
        completed, transcript = _resumed(table, described, plan, fitting.resolved(described), Path(resume))
    return fitting.model(plan, completed, transcript, kind=frames.kind_of(source), generation=generation)


def _resumed(
    table: Private[records.Records], schema: Schema, plan: FitPlan, name: str, place: Path
) -> tuple[Schema, Transcript]:
    """What is learned of a table, in a folder that keeps the place."""
    budget = plan.budget
    told = (
        schema.digest(),
        name,
        generators.settings_of(plan.generator),
        str(budget.epsilon),
        str(budget.delta),
        plan.unit,
    )
    agreed = hashlib.sha256(repr(told).encode()).hexdigest()
    return fit_in(place, table, plan, SystemNoise(), terms=agreed)


def release(
    source: object,
    *,
    schema: Schema | DatabaseSchema | str | Path,
    policy: Policy | str | Path,
    key: Signer | str | Path,
    out: str | Path,
    ledger: AbstractLedger | str | Path | None = None,
    generator: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> Release:
    """Turn a private table, or several, into a signed release, or refuse with reasons; see `releasing.release`.

    Args: `ledger` is an open ledger or a path; by default the one that PRIVSYNTH_LEDGER names, or the user's own; a path
            that is not there becomes a new ledger, when everything else was found right.
    """
    signer = key if isinstance(key, Signer) else Signer.load(Path(key))
    agreed_schema = _schema(schema)
    agreed_policy = policy if isinstance(policy, Policy) else Policy.load(policy)
    return releasing.release(
        source,
        schema=agreed_schema,
        policy=agreed_policy,
        signer=signer,
        out=out,
        ledger=ledger if isinstance(ledger, AbstractLedger) else lambda: open_ledger(ledger),
        generator=generator,
        settings=settings,
    )


def open_ledger(path: str | Path | None = None) -> SqliteLedger:
    """Open the durable ledger at a path, at PRIVSYNTH_LEDGER, or in the user's state folder; made when it is not there."""
    return SqliteLedger(ledger_path(path))


def existing_ledger(path: str | Path | None = None) -> SqliteLedger:
    """The same, for reading: LedgerError when there is none, because a mistyped path must not look like a fresh budget."""
    chosen = ledger_path(path)
    if not chosen.exists():
        raise LedgerError(f"there is no ledger at {chosen}; name it with --ledger or {LEDGER_VARIABLE}")
    return SqliteLedger(chosen)


def ledger_path(path: str | Path | None = None) -> Path:
    """Which ledger is meant: the path, what PRIVSYNTH_LEDGER names, or the one in the user's state folder."""
    return Path(path or os.environ.get(LEDGER_VARIABLE) or _default_ledger())


def _default_ledger() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "privsynth" / "ledger.sqlite3"


def audit(
    *,
    synthetic: object,
    training: object,
    holdout: object,
    schema: Schema | DatabaseSchema | str | Path,
    plan: AuditPlan | str | Path = "standard",
    rng: np.random.Generator,
    epsilon: Exact | None = None,
    delta: Exact = 0,
) -> Findings:
    """Attack a synthetic table or several, anybody's, as an adversary would: members are `training`, controls `holdout`.

    Privacy: reads real records and spends nothing; what it finds about them is internal. `Findings.public()` may leave.
    Args: `epsilon` and `delta` are what the table's maker claims, for the largest leak that the claim allows.
    Raises: AuditError when an attack could not be carried out, which is never a pass; RecordsError for unreadable tables.
    """
    chosen = _plan(plan)
    given = _schema(schema)
    for people, what in ((training, "the training table"), (holdout, "the holdout")):
        provenance.require_real(people, what)
    if isinstance(given, DatabaseSchema):
        claim = None if epsilon is None else audited_tables.claim(given, epsilon, delta)
        return several.audit(synthetic, training, holdout, schema=given, plan=chosen, rng=rng, claim=claim)
    described = _declared(given)
    released = records.read_public(synthetic, described, out_of_domain="clamp")
    members = records.read(training, described, out_of_domain="clamp")
    controls = records.read(holdout, described, out_of_domain="clamp")
    audited_tables.require_shared_values(released, members)
    return auditing.run(
        chosen,
        schema=described,
        synthetic=released,
        members=members,
        controls=controls,
        claim=None if epsilon is None else audited_tables.claim(described, epsilon, delta),
        rng=rng,
    )


def audit_generator(
    generator: str,
    *,
    schema: Schema | DatabaseSchema | str | Path,
    epsilon: Exact,
    delta: Exact = "1e-9",
    max_rows: int = 1,
    settings: Mapping[str, object] | None = None,
    plan: AuditPlan | str | Path = "standard",
    rng: np.random.Generator,
) -> Findings:
    """Check that one of our own generators keeps (epsilon, delta) on the domain of a schema: conformance, on made-up tables.

    Privacy: no private table is read, so everything found may be published.
    Args: `generator` is a generator's name, or "auto"; a unit has at most `max_rows` rows.
    Raises: PolicyError for a generator or setting that does not exist; MechanismError for numbers that promise nothing.
    """
    given, chosen, options = _schema(schema), _plan(plan), dict(settings or {})
    if isinstance(given, DatabaseSchema):
        several.require_own_bounds(max_rows)
        asked = several.Asked(epsilon=epsilon, delta=delta, generator=generator, settings=options)
        return several.audit_generator(asked, schema=given, plan=chosen, rng=rng)
    described = _declared(given)
    name = choosing.resolve(generator, len(described.modelled), settings=options).name
    kind = generators.get(name, options)
    unit = PrivacyUnit(name=described.unit or "row", column=described.unit, max_rows=max_rows)
    budget = Budget.of(epsilon, delta, buys=False, composition=kind.composition, schedule=kind.schedule)
    return auditing.conformance(
        chosen,
        kind,
        domain=described.domain(),
        unit=unit,
        rho=budget.rho,
        noise=SystemNoise(),
        rng=rng,
        claim=Claim(
            epsilon=float(budget.epsilon),
            delta=float(budget.delta),
            rho=float(budget.rho),
            unit=unit.name,
            composition=budget.composition,
            training=budget.training,
        ),
    )


def audit_function(
    generate: Adapter | Generate | str,
    training: object,
    *,
    schema: Schema | str | Path,
    epsilon: Exact | None = None,
    delta: Exact = 0,
    max_rows: int = 1,
    rows: int | None = None,
    plan: AuditPlan | str | Path = "standard",
    rng: np.random.Generator,
    made_up: np.random.Generator | None = None,
) -> Findings:
    """Audit somebody else's generator: split a table into members and controls, let it fit the members, attack its release.

    The split is by privacy unit, by a secret key. With an `epsilon`, the generator is first run on made-up tables of the schema
    and its claim tested, for units of at most `max_rows` rows (see `black_box.check`).
    Privacy: hands half of the private table to foreign code, and reads all of it; what is found about it is internal.
    Args: `generate` is a function, "file.py:name", or an `Adapter`; `rows` are asked of it, by default as many as it fits.
        `made_up` draws the made-up tables; by default they come from the operating system's entropy and are other ones every
        time, because a generator that had seen them before could know them again and behave.
    Raises: AuditError when the generator breaks off or gives what does not fit the schema; RecordsError for unreadable tables.
    """
    described, chosen = _declared(_one_table(schema)), _plan(plan)
    adapter = generate if isinstance(generate, Adapter) else Adapter.of_function(generate)
    claim = None if epsilon is None else audited_tables.claim(described, epsilon, delta)
    provenance.require_real(training, "the training table")
    table = records.read(training, described, out_of_domain="clamp")
    members, controls = audited_tables.halves(table, SystemNoise().key())
    fitted = members.open()
    asked = fitted.rows if rows is None else rows

    def refit(records_known: records.Records, _: np.random.Generator) -> records.Records:
        return adapter.release(records_known, asked)

    tested = None
    if claim is not None:
        unforeseen = made_up or np.random.default_rng(int.from_bytes(SystemNoise().key()))
        tested = black_box.check(
            chosen.black_box, adapter, schema=described, claim=claim, max_rows=max_rows, rng=unforeseen
        )
    released = adapter.release(fitted, asked)
    audited_tables.require_shared_values(released, members)
    attacked = auditing.run(
        chosen,
        schema=described,
        synthetic=released,
        members=members,
        controls=controls,
        claim=claim,
        rng=rng,
        refit=refit,
    )
    return attacked if tested is None else tested.together_with(attacked)


def _schema(schema: Schema | DatabaseSchema | str | Path) -> Schema | DatabaseSchema:
    return either.load(schema) if isinstance(schema, str | Path) else schema


def _one_table(schema: Schema | str | Path) -> Schema:
    described = _schema(schema)
    if isinstance(described, DatabaseSchema):
        raise AuditError(
            "somebody else's generator of several tables cannot be run from here; let it release, and audit its tables with "
            "ps.audit(synthetic=..., training=..., holdout=...)"
        )
    return described


def _declared(schema: Schema) -> Schema:
    if schema.unresolved:
        raise AuditError("an audit needs a schema with nothing left to buy: declare every category and bound")
    return schema


def _plan(plan: AuditPlan | str | Path) -> AuditPlan:
    return plan if isinstance(plan, AuditPlan) else AuditPlan.load(plan)


def verify(folder: str | Path, *, trust: TrustStore | str | Path, roles: Sequence[str] = ()) -> Verified:
    """Verify a release folder offline: signature, keys, every file, dates; and that keys of these roles are among the signers.

    Raises: CertificateError, in its kinds.
    """
    store = trust if isinstance(trust, TrustStore) else TrustStore.load(Path(trust))
    return verify_release(Path(folder), store, roles=roles)


def quote(
    source: object | None,
    *,
    schema: Schema | DatabaseSchema | str | Path,
    policy: Policy | str | Path,
    ledger: AbstractLedger | None = None,
    generator: str | None = None,
) -> Quote | HistoryQuote:
    """Say what a release would cost and how good it would be, before anything is spent; see `quoting.quote`."""
    agreed_schema = _schema(schema)
    agreed_policy = policy if isinstance(policy, Policy) else Policy.load(policy)
    if isinstance(agreed_schema, DatabaseSchema):
        return quote_history(source, schema=agreed_schema, policy=agreed_policy, ledger=ledger, generator=generator)
    return quote_release(source, schema=agreed_schema, policy=agreed_policy, ledger=ledger, generator=generator)


def write_tables(
    tables: Mapping[str, object], target: str | Path, *, schema: DatabaseSchema | str | Path | None = None
) -> tuple[Path, ...]:
    """Write several tables, {name: frame}, such as a `HistoryModel` samples, to a new folder or database file.

    Args: `target` ends in .sqlite, .sqlite3 or .db (SQLite) or in .duckdb or .ddb; else it is a folder, with NAME.csv and
        NAME.parquet of each table. With a `schema`, a database file declares the tables' keys and foreign keys.
    Returns: the files. Raises: OutputError when the target is there already or cannot be written.
    """
    described = None if schema is None else _schema(schema)
    if isinstance(described, Schema):
        raise SchemaError("several tables are written with a schema that has [database]; name it, or leave it out")
    return several.write_tables(tables, target, described)


def draft(source: str | Path) -> str:
    """A schema to fill in, of one table or several: names and kinds, every private fact left as a question."""
    return database_drafting.draft(source) if sources.is_several(source) else draft_schema(source)
