"""What every policy checks, whatever its profile: identifiers made anew, nothing undeclared, no real person's numbers.

Must never let a check that could not run count as passed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.detectors import CARD, DETECTORS, Detector, find, long_numbers, pattern_detector
from privsynth.errors import SchemaError
from privsynth.identifiers import capacity, regenerate, unrepeated
from privsynth.policy.check_result import CheckResult, absent, named, verdict
from privsynth.policy.terms import Deidentification, Unit
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    IdentifierColumn,
    ModelledColumn,
    OrderedColumn,
)

_GDPR = "GDPR Recital 26; WP29 Opinion 05/2014"
_OWN = "this policy"
_CITATIONS: Mapping[str, str] = {
    "payment-card": "PCI DSS 4.0.1, 3.5.1",
    "us-ssn": "45 CFR 164.514(b)(2)(i)(G)",
    "us-npi": "45 CFR 164.514(b)(2)(i)(K)",
    "iban": _GDPR,
    "vin": "45 CFR 164.514(b)(2)(i)(L)",
    "e-mail": "45 CFR 164.514(b)(2)(i)(F)",
    "phone": "45 CFR 164.514(b)(2)(i)(D), (E)",
    "ip-address": "45 CFR 164.514(b)(2)(i)(O)",
    "ipv6-address": "45 CFR 164.514(b)(2)(i)(O)",
    "url": "45 CFR 164.514(b)(2)(i)(N)",
    "mrn": "45 CFR 164.514(b)(2)(i)(H)",
}
_SAMPLE = 200
"""Identifiers of each column that are made, when a schema is checked, to see whether they could be somebody's."""


def detectors(terms: Deidentification) -> tuple[Detector, ...]:
    """The detectors that run: all of them always, and the policy's own form of medical record numbers."""
    if terms.mrn_pattern is None:
        return DETECTORS
    return (*DETECTORS, pattern_detector("mrn", "medical record numbers of the policy's form", terms.mrn_pattern))


def check_schema(schema: Schema, *, unit: Unit, terms: Deidentification, rows: int | None) -> tuple[CheckResult, ...]:
    """The rules that a schema alone can answer; `rows` is how many may be released at most, None where nobody said."""
    return (
        _unit(schema, unit),
        identifiers_not_modelled(schema),
        made_anew(schema.identifiers, unrepeated(schema), terms, rows),
        declared_text(schema, terms),
        _known(schema, terms),
        *clearances(terms),
    )


def check_release(schema: Schema, table: pa.Table, *, terms: Deidentification) -> tuple[CheckResult, ...]:
    """The rules on the values that are to be released: one a detector, and that nothing undeclared is there."""
    return (
        released_columns([column.name for column in schema.released], table),
        released_labels(schema, table),
        *check_values(table, terms),
    )


def check_values(table: pa.Table, terms: Deidentification) -> tuple[CheckResult, ...]:
    """One rule a detector, on all columns of a table."""
    found = {column: _found(table[column], terms) for column in table.column_names}
    return tuple(_detected(detector, found, terms) for detector in detectors(terms))


def released_columns(declared: Sequence[str], table: pa.Table) -> CheckResult:
    """The released columns are the declared ones, each once; a column that is there twice can be asked for by no name."""
    found = list(table.column_names)
    problems = [f'column "{name}" is declared and not in the released table' for name in declared if name not in found]
    problems += [f'column "{name}" is in the released table and not declared' for name in found if name not in declared]
    if len(set(found)) != len(found):
        problems.append("a column is in the released table twice")
    return verdict("released-columns", _OWN, problems, "the released columns are the declared ones")


def _unit(schema: Schema, unit: Unit) -> CheckResult:
    rule, citation = "unit-declared", "NIST SP 800-226"
    if schema.unit is not None:
        return verdict(
            rule, citation, [], f'all rows of one {unit.name} are protected together, by column "{schema.unit}"'
        )
    return CheckResult(
        rule=rule,
        citation=citation,
        result="attested",
        method="attested",
        detail=f"the schema names no unit column: whoever declared it says that every row is another {unit.name}",
    )


def identifiers_not_modelled(schema: Schema) -> CheckResult:
    """No column whose role is identifier is modelled."""
    problems = [
        f'column "{column.name}" has the role identifier and would be modelled; declare kind = "identifier" or leave it out'
        for column in schema.modelled
        if column.role == "identifier"
    ]
    return verdict("identifiers-not-modelled", _GDPR, problems, "no identifier is modelled; free text is left out")


def made_anew(
    columns: Sequence[IdentifierColumn], single: Collection[str], terms: Deidentification, rows: int | None
) -> CheckResult:
    """Make some identifiers of each column: a range that is unknown, or a form that somebody may hold, shows at once.

    Args: `single` names the columns that may not repeat in so many `rows`, None where nobody can say how many.
    """
    rule = "identifiers-never-issued"
    if not columns:
        return absent(rule, _GDPR, "the schema has no identifier column")
    problems = [
        f'column "{column.name}" may not repeat, and its range is too small for {rows} rows; lengthen its pattern'
        for column in columns
        if column.name in single and rows is not None and (capacity(column) or rows) < rows
    ]
    for column in columns:
        try:
            made = regenerate(column, _SAMPLE, rng=np.random.default_rng(0), unique=False)
        except SchemaError as problem:
            problems.append(str(problem))
            continue
        held = [detector.title for detector in find(pa.chunked_array([made]), detectors(terms))]
        problems += [
            f'column "{column.name}" would be made in the form of {title}; choose another form' for title in held
        ]
    passed = f"{named([column.name for column in columns])}: made anew, in forms that no detector takes for somebody's"
    return verdict(rule, _GDPR, problems, passed)


def declared_text(schema: Schema, terms: Deidentification) -> CheckResult:
    """Labels and markers are released as they are declared, so they are looked at before anything is spent."""
    problems = []
    for column in schema.modelled:
        texts = pa.chunked_array([pa.array([*_labels_of(column), *column.missing], pa.string())])
        if column.name not in terms.cleared:
            problems += [
                f'column "{column.name}" declares labels that read as {detector.title}; replace them, or say in '
                "deidentification.cleared what they are"
                for detector in find(texts, detectors(terms))
            ]
    return verdict(
        "declared-labels-clean", _GDPR, problems, "no declared label reads as a number or address of a person"
    )


def _labels_of(column: ModelledColumn) -> Sequence[str]:
    return column.labels if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn) else ()


def _known(schema: Schema, terms: Deidentification) -> CheckResult:
    """A misspelt column in the policy would leave the real one unwatched."""
    names = {column.name for column in schema.columns}
    problems = [
        f'deidentification.{key} names "{name}", which is no column of the schema; correct it'
        for key, entries in (("columns", terms.columns), ("cleared", terms.cleared))
        for name in entries
        if name not in names
    ]
    return verdict("policy-columns-known", _OWN, problems, "every column that the policy names is in the schema")


def clearances(terms: Deidentification) -> tuple[CheckResult, ...]:
    """The reasons that the policy gives, as attested and not as checked."""
    return tuple(_clearance(name, reason) for name, reason in terms.cleared.items())


def _clearance(name: str, reason: str) -> CheckResult:
    detail = f'column "{name}" is not what its name or labels suggest: {reason}'
    return CheckResult(rule="column-cleared", citation=_OWN, result="attested", method="attested", detail=detail)


def released_labels(schema: Schema, table: pa.Table) -> CheckResult:
    """Every released label is a declared (or bought) one, so that no text of a record can have come through."""
    problems = []
    for column in schema.modelled:
        labels = _labels_of(column)
        if not labels or column.name not in table.column_names or pa.types.is_boolean(table[column.name].type):
            continue
        allowed = pa.array([*labels, *column.missing], pa.string())
        values = pc.drop_null(pc.unique(table[column.name].cast(pa.string())))
        if not pc.all(pc.is_in(values, value_set=allowed), min_count=0).as_py():
            problems.append(f'column "{column.name}" holds a label that is not declared')
    return verdict("released-labels", _GDPR, problems, "every released label is a declared one")


def _found(column: pa.ChunkedArray, terms: Deidentification) -> tuple[str, ...] | None:
    """Names of the detectors that find something in a column; None for a type of column that they cannot read."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return tuple(detector.name for detector in find(column, detectors(terms)))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return tuple(detector.name for detector in find(pa.chunked_array([long_numbers(column)]), [CARD]))
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind):
        return ()
    return None


def _detected(detector: Detector, found: Mapping[str, tuple[str, ...] | None], terms: Deidentification) -> CheckResult:
    rule, citation = f"no-{detector.name}", _CITATIONS[detector.name]
    problems = list(_problems(detector, found, terms))
    cleared = [name for name, names in found.items() if names and detector.name in names and name in terms.cleared]
    if cleared and not problems:
        detail = f"{named(cleared)} reads as {detector.title}, and is cleared in the policy; nothing else does"
        return CheckResult(rule=rule, citation=citation, result="attested", method="attested", detail=detail)
    return verdict(rule, citation, problems, f"no released column holds {detector.title}")


def _problems(
    detector: Detector, found: Mapping[str, tuple[str, ...] | None], terms: Deidentification
) -> Iterator[str]:
    for name, names in found.items():
        if names is None:
            yield f'column "{name}" has a type that cannot be searched, so the check could not run'
        elif detector.name in names and name not in terms.cleared:
            yield f'column "{name}" holds {detector.title}'
