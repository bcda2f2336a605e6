"""`privsynth audit`: attack a synthetic table, a generator of ours, or one of anybody's.

Must never write what the attacks found on real records anywhere but where --internal says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import typer

from privsynth.cli.console import Console

if TYPE_CHECKING:
    from privsynth.auditing import AuditPlan
    from privsynth.findings import Claim, Findings

_DELTA = "1e-9"
_MODES = {
    "synthetic": ({"training", "holdout"}, {"epsilon", "delta", "internal"}),
    "generator": ({"epsilon"}, {"delta", "max-rows"}),
    "function": ({"training"}, {"epsilon", "delta", "max-rows", "rows", "internal"}),
    "command": ({"training"}, {"epsilon", "delta", "max-rows", "rows", "internal", "time-limit"}),
}
"""Each form of the command with the options that it needs, and those that it may have, beside those of all forms."""


def audit(
    context: typer.Context,
    *,
    schema: Annotated[Path, typer.Option(help="The schema of the table or tables, a TOML file.")],
    synthetic: Annotated[
        Path | None, typer.Option(help="A synthetic table to attack; of several tables, their folder or database file.")
    ] = None,
    generator: Annotated[str | None, typer.Option(help="A generator of privsynth to check, or auto.")] = None,
    function: Annotated[
        str | None, typer.Option(help="Anybody's generator: path/to/file.py:name of generate(training, rows).")
    ] = None,
    command: Annotated[
        str | None, typer.Option(help='Anybody\'s generator: "prog --in {training} --rows {rows} --out {synthetic}".')
    ] = None,
    training: Annotated[
        Path | None, typer.Option(help="The real table that it was made from, or is to be made from.")
    ] = None,
    holdout: Annotated[
        Path | None, typer.Option(help="Real records of the same population that were not used (with --synthetic).")
    ] = None,
    epsilon: Annotated[str | None, typer.Option(help="The epsilon that is claimed, for one unit.")] = None,
    delta: Annotated[str | None, typer.Option(help="Its delta; by default 1e-9 with --generator, else 0.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Rows that one unit may have, for the claim.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows to ask for; by default as many as are fitted.")] = None,
    time_limit: Annotated[float | None, typer.Option(min=0, help="Seconds that one run of --command may take.")] = None,
    plan: Annotated[str, typer.Option(help="An audit plan file, or quick, standard or thorough.")] = "standard",
    out: Annotated[Path | None, typer.Option(help="A new folder for the public page and findings.")] = None,
    internal: Annotated[
        Path | None, typer.Option(help="A new folder for the figures on real people (mode 0700).")
    ] = None,
) -> None:
    """Attack a synthetic table or a generator; say PASS, FAIL or INCONCLUSIVE, and what leak would have been seen.

    Give one of --synthetic (with --training and --holdout), --generator (with --epsilon; no private table is read), --function
    and --command (with --training). With an epsilon, the claim is tested too.

    Exit code: 0 for PASS, 4 for anything else that was tried, 2 for a mistake in the options or the files.
    """
    console: Console = context.obj
    asked = _Asked(
        schema=schema,
        source={"synthetic": synthetic, "generator": generator, "function": function, "command": command},
        options={
            "training": training,
            "holdout": holdout,
            "epsilon": epsilon,
            "delta": delta,
            "max-rows": max_rows,
            "rows": rows,
            "time-limit": time_limit,
            "internal": internal,
        },
    )
    _carry_out(console, asked, plan, out, internal)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be audited, and how; `source` and `options` by the names of their options, None where not given.

    Raises: InputError unless there is one source, with the options that it needs and none that say nothing of it.
    """

    schema: Path
    source: Mapping[str, Path | str | None]
    options: Mapping[str, object]

    def __post_init__(self) -> None:
        from privsynth.errors import InputError

        sources = [name for name, value in self.source.items() if value is not None]
        if len(sources) != 1:
            found = " and ".join(f"--{name}" for name in sources) or "none of them"
            raise InputError(f"give one of {', '.join(f'--{name}' for name in _MODES)}; found {found}")
        needed, possible = _MODES[self.mode]
        given = {name for name, value in self.options.items() if value is not None}
        if absent := sorted(needed - given):
            raise InputError(f"--{self.mode} needs --{' and --'.join(absent)}; add what is missing")
        if extra := sorted(given - needed - possible):
            raise InputError(f"--{self.mode} has no use for --{' and --'.join(extra)}; leave it out")

    @property
    def mode(self) -> str:
        """Which source was given."""
        return next(name for name, value in self.source.items() if value is not None)

    @property
    def what(self) -> str:
        """What the pages call it: a name without its folder."""
        text = str(self.source[self.mode])
        name = text.split(maxsplit=1)[0] if self.mode == "command" and text.split() else text
        return Path(name).name

    def text(self, name: str, default: str) -> str:
        """An option that is a text."""
        value = self.options[name]
        return default if value is None else str(value)

    def number(self, name: str) -> int | None:
        """An option that is a whole number."""
        value = self.options[name]
        return value if isinstance(value, int) else None


def _carry_out(console: Console, asked: _Asked, plan: str, out: Path | None, internal: Path | None) -> None:
    from privsynth.auditing import AuditPlan
    from privsynth.errors import AuditFailed, OutputError
    from privsynth.releasing import audit_files

    agreed = AuditPlan.load(plan)
    _require_new("--out", out)
    _require_new("--internal", internal)
    if out is not None and internal is not None and out.resolve() == internal.resolve():
        raise OutputError(
            "--out and --internal name the same folder; choose two: the one may be published, the other may not"
        )
    with console.progress():
        findings = _findings(asked, agreed)
    claim = _claim(asked)
    if internal is not None:
        audit_files.write_internal(internal, findings, plan=agreed, what=asked.what, claim=claim)
    if out is not None:
        audit_files.write_audit(out, findings, plan=agreed, what=asked.what, claim=claim)
    console.result(
        {"verdict": findings.verdict, "rows": findings.public(), "not tried": dict(findings.not_tried)},
        [*_lines(findings.public()), *(f"{'not tried':<12} {name}: {why}" for name, why in findings.not_tried.items())],
    )
    if findings.verdict != "PASS":
        advice = "do not release this table" if asked.mode == "synthetic" else "do not release what it makes"
        raise AuditFailed(f"the audit's verdict is {findings.verdict}: {advice}")


def _findings(asked: _Asked, plan: AuditPlan) -> Findings:
    from privsynth import api
    from privsynth.black_box.adapter import Adapter

    options, epsilon = asked.options, asked.options["epsilon"]
    claimed = None if epsilon is None else str(epsilon)
    max_rows = asked.number("max-rows")
    if asked.mode == "generator":
        return api.audit_generator(
            str(asked.source["generator"]),
            schema=asked.schema,
            epsilon=asked.text("epsilon", ""),
            delta=asked.text("delta", _DELTA),
            max_rows=1 if max_rows is None else max_rows,
            plan=plan,
            rng=plan.rng(),
        )
    if asked.mode == "synthetic":
        return api.audit(
            synthetic=asked.source["synthetic"],
            training=options["training"],
            holdout=options["holdout"],
            schema=asked.schema,
            plan=plan,
            rng=plan.rng(),
            epsilon=claimed,
            delta=asked.text("delta", "0"),
        )
    limit = options["time-limit"]
    return api.audit_function(
        Adapter.of_function(str(asked.source["function"]))
        if asked.mode == "function"
        else Adapter.of_command(str(asked.source["command"]), time_limit=limit if isinstance(limit, float) else None),
        options["training"],
        schema=asked.schema,
        epsilon=claimed,
        delta=asked.text("delta", "0"),
        max_rows=1 if max_rows is None else max_rows,
        rows=asked.number("rows"),
        plan=plan,
        rng=plan.rng(),
    )


def _claim(asked: _Asked) -> Claim | None:
    """What is claimed, for the pages."""
    from privsynth.black_box import audited_tables
    from privsynth.database import either

    if asked.options["epsilon"] is None:
        return None
    delta = asked.text("delta", _DELTA if asked.mode == "generator" else "0")
    return audited_tables.claim(either.load(asked.schema), asked.text("epsilon", ""), delta)


def _require_new(option: str, folder: Path | None) -> None:
    """Refuse a folder that exists, lies in a release's, or whose parent is not there, before anything is done."""
    from privsynth.certificate import places
    from privsynth.errors import OutputError

    if folder is None:
        return
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} exists; choose a new folder for {option}, nothing is overwritten")
    if not folder.resolve().parent.is_dir():
        raise OutputError(f"{folder.resolve().parent} is not a folder; create it or choose another {option}")
    (places.require_publishable if option == "--out" else places.require_outside)(folder)


def _lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    return [f"{row['verdict']:<12} {row['check']}: {row['meaning']}" for row in rows]
