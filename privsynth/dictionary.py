"""The data dictionary of a release: Croissant 1.0 JSON-LD, made from the schema, the files' digests and the predicate.

Must never describe what a file holds beyond what the schema declares: it is a function of public contents alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.terms import Balanced
from privsynth.errors import SchemaError
from privsynth.histories import balancing, orders
from privsynth.report.claims import Claims
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    OrderedColumn,
)

Json: TypeAlias = dict[str, object]

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
NAMESPACE = "https://privsynth.dev/ns/dictionary/v0.1#"

_CONTEXT: Mapping[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "privsynth": NAMESPACE,
    "privsynth:domain": {"@type": "@json"},
    "privsynth:guarantee": {"@type": "@json"},
    "privsynth:rules": {"@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.0 prescribes, and this project's own prefix."""

_FORMATS: Mapping[str, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "html": "text/html",
    "sh": "application/x-sh",
    "sqlite": "application/vnd.sqlite3",
    "duckdb": "application/vnd.duckdb",
}

_WHOLE = "All tables in one database file, with keys and foreign keys declared: the rows of the CSV files."

_RECORDS = "records"

_DERIVED: Mapping[str, str] = {
    "sequence": "sc:Integer",
    "elapsed": "sc:Integer",
    "count": "sc:Integer",
    "running": "sc:Float",
    "total": "sc:Float",
}


def describe(schema: Schema, digests: Mapping[str, str], predicate: Mapping[str, object]) -> Json:
    """Describe a release as a Croissant dataset.

    Args: schema, complete; digests, file name -> SHA-256 in hexadecimal, "data.csv" among them; predicate, what the
        certificate states.
    Raises: SchemaError without a data file; ClaimMismatch when the predicate lacks what is described.
    """
    if "data.csv" not in digests:
        raise SchemaError('the dictionary describes the table in "data.csv", and no such file is listed')
    table = schema.table
    title = table.title or table.name
    head = _Head(name=table.name, title=title, description=table.description or title)
    record_set: Json = {"@type": "cr:RecordSet", "@id": _RECORDS, "name": _RECORDS}
    if schema.key:
        record_set["key"] = [{"@id": f"{_RECORDS}/{name}"} for name in schema.key]
    record_set["field"] = [_field(column, _RECORDS, "data.csv") for column in schema.released]
    return _dataset(head, digests, predicate, [record_set], [rule.text for rule in schema.rules])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What a dataset is called."""

    name: str
    title: str
    description: str


def _dataset(
    head: _Head, digests: Mapping[str, str], predicate: Mapping[str, object], record_sets: list[Json], rules: list[str]
) -> Json:
    claims = Claims(predicate)
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": head.name,
        "alternateName": head.title,
        "description": f"{head.description} Synthetic records under differential privacy: no row is a person.",
        "identifier": claims.text("releaseId"),
        "datePublished": claims.text("issuedAt"),
        "expires": claims.text("expiresAt"),
        "license": claims.text("recipients.contract"),
        "isLiveDataset": False,
        "distribution": [_file(name, digests[name]) for name in sorted(digests)],
        "recordSet": record_sets,
        "privsynth:guarantee": _guarantee(claims),
        "privsynth:rules": rules,
    }


def describe_database(schema: DatabaseSchema, digests: Mapping[str, str], predicate: Mapping[str, object]) -> Json:
    """Describe a release of several tables as a Croissant dataset: a record set a table, foreign keys as references.

    Args: digests, file name -> SHA-256 in hexadecimal, "data/TABLE.csv" of every listed table among them.
    Raises: as `describe`.
    """
    listed = [table for table in schema.tables if table.listed]
    absent = [table.name for table in listed if _csv_of(table) not in digests]
    if absent:
        raise SchemaError(f'the dictionary describes the table "{absent[0]}", and no such file is listed')
    head = _Head(name=schema.name, title=schema.name, description=schema.description or schema.name)
    return _dataset(head, digests, predicate, [_record_set(schema, table) for table in listed], _rules(schema))


def _rules(schema: DatabaseSchema) -> list[str]:
    """What holds across tables, then each table's own rules."""
    across = [one.text for table in schema.tables for one in orders.across(schema, table.name)]
    across += [balancing.text(rule) for rule in schema.rules if isinstance(rule, Balanced)]
    contents = [(table.name, table.content) for table in schema.tables if table.content is not None]
    return across + [f"{name}: {rule.text}" for name, content in contents for rule in content.rules]


def _csv_of(table: TableTerms) -> str:
    return f"data/{table.name}.csv"


def _record_set(schema: DatabaseSchema, table: TableTerms) -> Json:
    """One table: its released columns in order, each declared, computed or pointing to another table."""
    record_set: Json = {"@type": "cr:RecordSet", "@id": table.name, "name": table.name}
    if table.key:
        record_set["key"] = [{"@id": f"{table.name}/{name}"} for name in table.key]
    declared: dict[str, Column] = {column.name: column for column in table.identifiers}
    declared |= {} if table.content is None else {column.name: column for column in table.content.released}
    derived, references = {one.name: one for one in table.derived}, _references(schema, table)
    fields = []
    for name in table.released:
        if name in declared:
            field = _field(declared[name], table.name, _csv_of(table))
        elif name in derived:
            field = _made(name, f"Column {name}, computed: {derived[name].kind}.", table)
            field["dataType"] = _DERIVED.get(derived[name].kind, "sc:Text")
        else:
            field = _made(name, f"Column {name}, a foreign key.", table)
        fields.append(field | ({"references": {"field": {"@id": references[name]}}} if name in references else {}))
    return {**record_set, "field": fields}


def _references(schema: DatabaseSchema, table: TableTerms) -> dict[str, str]:
    """The fields of listed tables that this table's foreign keys point to, by column."""
    if table.parent is None:
        return {}
    pairs = [(table.parent.unit, schema.root), (table.parent.columns, schema.table(table.parent_table))]
    return {
        own: f"{above.name}/{key}"
        for columns, above in pairs
        if above.listed
        for own, key in zip(columns, above.key, strict=False)
    }


def _made(name: str, description: str, table: TableTerms) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{name}",
        "name": name,
        "description": description,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": _csv_of(table)}, "extract": {"column": name}},
    }


def _file(name: str, digest: str) -> Json:
    ending = name.rpartition(".")[2]
    whole = {"description": _WHOLE} if ending in {"sqlite", "duckdb"} else {}
    return {
        **whole,
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _FORMATS.get(ending, "application/octet-stream"),
        "sha256": digest,
    }


def _field(column: Column, records: str, file: str) -> Json:
    field: Json = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": column.description or f"Column {column.name}, {column.kind}.",
        "dataType": _data_type(column),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
        "privsynth:role": column.role,
    }
    domain = _domain(column)
    if domain:
        field["privsynth:domain"] = domain
    return field


def _data_type(column: Column) -> str:
    match column:
        case IntegerColumn():
            return "sc:Integer"
        case NumberColumn():
            return "sc:Float"
        case DateColumn():
            return "sc:Date"
        case DatetimeColumn():
            return "sc:DateTime"
        case _:
            return "sc:Text"


def _domain(column: Column) -> Json:
    """What values the column may take, as the schema declares them."""
    domain: Json = {"kind": column.kind}
    match column:
        case CategoryColumn() | OrderedColumn() | BooleanColumn():
            domain["values"] = list(column.labels)
        case IntegerColumn() | NumberColumn():
            domain |= {"lower": str(column.lower), "upper": str(column.upper), "step": str(column.unit)}
        case DateColumn() | DatetimeColumn():
            domain |= {"lower": str(column.lower), "upper": str(column.upper), "granularity": column.granularity}
            if column.after is not None:
                domain["daysAfter"] = column.after
        case IdentifierColumn():
            domain["regenerated"] = True
        case _:
            return {}
    if column.missing:
        domain["missing"] = list(column.missing)
    return domain


def _guarantee(claims: Claims) -> Json:
    """The guarantee's numbers, as the certificate states them."""
    return {
        "definition": claims.text("guarantee.definition"),
        "relation": claims.text("guarantee.relation"),
        "unit": claims.pairs("guarantee.unit"),
        "epsilon": claims.text("guarantee.epsilon"),
        "delta": claims.text("guarantee.delta"),
        "rho": claims.text("guarantee.rho"),
        "generator": claims.text("generator.name"),
    }
