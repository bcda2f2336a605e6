"""What a policy checks of several tables: what it checks of one, table by table, and that all of them have the same unit.

Must never let a table, a key or a derived column go unchecked because another one was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.terms import Elapsed
from privsynth.policy import checks
from privsynth.policy.check_result import CheckResult, Result, absent, verdict
from privsynth.policy.deidentification import SafeHarbor
from privsynth.policy.terms import MAX_ROWS, Deidentification, Unit
from privsynth.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

_Harbor: TypeAlias = Callable[[Schema, Deidentification], SafeHarbor]

_OWN: Final = "this policy"
_SAFE_HARBOR: Final = "45 CFR 164.514(b)(2)"
_WORST: Final[tuple[Result, ...]] = ("fail", "attested", "pass", "not-applicable")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseChecks:
    """The rules of a policy over a database; `harbor` makes the Safe Harbor profile of a table, None without it.

    `units` is how many units are released at most, None where nobody said.
    """

    schema: DatabaseSchema
    unit: Unit
    terms: Deidentification
    harbor: _Harbor | None
    units: int | None

    def check_schema(self) -> tuple[CheckResult, ...]:
        """The rules that the schema alone can answer."""
        found = [("", self._unit())]
        for table in self.schema.tables:
            found += [(table.name, result) for result in self._of_table(table)]
        found.append(("", self._known()))
        found += [("", result) for result in checks.clearances(self.terms)]
        if self.harbor is None:
            found.append(("", absent("hipaa-safe-harbor", _SAFE_HARBOR, "the policy does not ask for this profile")))
        return _together(found)

    def check_release(self, tables: Mapping[str, pa.Table]) -> tuple[CheckResult, ...]:
        """The rules on the values that are to be released."""
        listed = [table for table in self.schema.tables if table.listed]
        names = [table.name for table in listed]
        problems = [f'table "{name}" is declared and not released' for name in names if name not in tables]
        problems += [f'table "{name}" is released and not declared' for name in tables if name not in names]
        found = [("", verdict("released-tables", _OWN, problems, "the released tables are the declared ones"))]
        for table in listed:
            if table.name in tables:
                found += [(table.name, result) for result in self._of_values(table, tables[table.name])]
        return _together(found)

    def _unit(self) -> CheckResult:
        root = self.schema.root
        held = f'the rows of "{root.name}"' if root.listed else f'the units "{root.name}" that its tables name'
        return verdict(
            "unit-declared",
            "NIST SP 800-226",
            [],
            f"all rows of one {self.unit.name} in all tables are protected together, by the keys that lead to {held}",
        )

    def _of_table(self, table: TableTerms) -> list[CheckResult]:
        terms, content = self._narrowed(table), table.content
        single = set(table.key) if len(table.key) == 1 else set()
        rows = self._most_rows(table)
        found = [checks.made_anew(table.identifiers, single, terms, rows)]
        if content is None:
            return found
        found = [checks.identifiers_not_modelled(content), *found, checks.declared_text(content, terms)]
        if self.harbor is not None:
            found += [*self.harbor(content, terms).check_schema(), self._derived(table)]
        return found

    def _of_values(self, table: TableTerms, values: pa.Table) -> list[CheckResult]:
        columns = checks.released_columns(table.released, values)
        if len(set(values.column_names)) < values.num_columns:
            return [columns]
        terms, found = self._narrowed(table), [columns]
        if table.content is not None:
            found.append(checks.released_labels(table.content, values))
        found += checks.check_values(values, terms)
        if table.content is not None and self.harbor is not None:
            found += self.harbor(table.content, terms).check_release(values)
        return found

    def _derived(self, table: TableTerms) -> CheckResult:
        """An age that is computed is not cut off at 90, and no rule on modelled columns sees it."""
        problems = [
            f'derived column "{one.name}" tells an exact age or time between dates; leave it out'
            for one in table.derived
            if isinstance(one, Elapsed)
        ]
        return verdict("hipaa-derived", _SAFE_HARBOR + "(i)(C)", problems, "no derived column tells an age")

    def _narrowed(self, table: TableTerms) -> Deidentification:
        """The terms on this table's columns, which a policy names "column" or "table.column"."""
        names = _columns_of(table)

        def own(entries: Mapping[str, object]) -> dict[str, object]:
            here = {name: said for name, said in entries.items() if name in names}
            prefix = f"{table.name}."
            exact = {
                name.removeprefix(prefix): said
                for name, said in entries.items()
                if name.startswith(prefix) and name.removeprefix(prefix) in names
            }
            return {**here, **exact}

        return self.terms.model_copy(update={"columns": own(self.terms.columns), "cleared": own(self.terms.cleared)})

    def _known(self) -> CheckResult:
        """A misspelt column in the policy would leave the real one unwatched."""
        names = {name for table in self.schema.tables for name in _columns_of(table)}
        names |= {f"{table.name}.{name}" for table in self.schema.tables for name in _columns_of(table)}
        problems = [
            f'deidentification.{key} names "{name}", which is no column of any table; correct it'
            for key, entries in (("columns", self.terms.columns), ("cleared", self.terms.cleared))
            for name in entries
            if name not in names
        ]
        return verdict("policy-columns-known", _OWN, problems, "every column that the policy names is in the schema")

    def _most_rows(self, table: TableTerms) -> int | None:
        """How many rows a table can have by public knowledge: every unit, with as many children as are told apart."""
        if self.units is None:
            return None
        rows = self.units
        for one in (table, *self.schema.ancestors(table.name)):
            rows *= 1 if one.bound is None else one.bound.largest
        return min(rows, MAX_ROWS)


def bounds_in_words(schema: DatabaseSchema) -> str:
    """How many rows of a unit are used of each table."""
    return ", ".join(
        f"{table.name} {'as many as are bought' if table.bound.rows == 'buy' else table.bound.rows}"
        for table in schema.tables
        if table.bound is not None
    )


def _columns_of(table: TableTerms) -> set[str]:
    content = () if table.content is None else tuple(column.name for column in table.content.columns)
    return {*table.released, *content, *(column.name for column in table.identifiers)}


def _together(found: Iterable[tuple[str, CheckResult]]) -> tuple[CheckResult, ...]:
    """One result a rule: the worst of the tables', with the words of those that have it."""
    rules: dict[str, list[tuple[str, CheckResult]]] = {}
    for table, result in found:
        rules.setdefault(result.rule, []).append((table, result))
    return tuple(_worst(results) for results in rules.values())


def _worst(results: Sequence[tuple[str, CheckResult]]) -> CheckResult:
    worst = min((result.result for _, result in results), key=_WORST.index)
    those = [(table, result) for table, result in results if result.result == worst]
    details = {result.detail for _, result in those}
    first = those[0][1]
    if len(details) == 1 and worst != "fail":
        return first
    said = "; ".join(f"{table}: {result.detail}" if table else result.detail for table, result in those)
    return CheckResult(rule=first.rule, citation=first.citation, result=worst, method=first.method, detail=said)
