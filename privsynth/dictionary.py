"""The data dictionary of a release: Croissant 1.0 JSON-LD, made from the schema, the files' digests and the predicate.

Must never describe what a file holds beyond what the schema declares: it is a function of public contents alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from privsynth.errors import SchemaError
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
}

_RECORDS = "records"


def describe(schema: Schema, digests: Mapping[str, str], predicate: Mapping[str, object]) -> Json:
    """Describe a release as a Croissant dataset.

    Args: schema, complete; digests, file name -> SHA-256 in hexadecimal, "data.csv" among them; predicate, what the
        certificate states.
    Raises: SchemaError without a data file; ClaimMismatch when the predicate lacks what is described.
    """
    if "data.csv" not in digests:
        raise SchemaError('the dictionary describes the table in "data.csv", and no such file is listed')
    claims = Claims(predicate)
    table = schema.table
    title = table.title or table.name
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": table.name,
        "alternateName": title,
        "description": f"{table.description or title} Synthetic records under differential privacy: no row is a person.",
        "identifier": claims.text("releaseId"),
        "datePublished": claims.text("issuedAt"),
        "expires": claims.text("expiresAt"),
        "license": claims.text("recipients.contract"),
        "isLiveDataset": False,
        "distribution": [_file(name, digests[name]) for name in sorted(digests)],
        "recordSet": [_record_set(schema)],
        "privsynth:guarantee": _guarantee(claims),
        "privsynth:rules": [rule.text for rule in schema.rules],
    }


def _file(name: str, digest: str) -> Json:
    ending = name.rpartition(".")[2]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _FORMATS.get(ending, "application/octet-stream"),
        "sha256": digest,
    }


def _record_set(schema: Schema) -> Json:
    record_set: Json = {"@type": "cr:RecordSet", "@id": _RECORDS, "name": _RECORDS}
    if schema.key:
        record_set["key"] = [{"@id": f"{_RECORDS}/{name}"} for name in schema.key]
    record_set["field"] = [_field(column) for column in schema.released]
    return record_set


def _field(column: Column) -> Json:
    field: Json = {
        "@type": "cr:Field",
        "@id": f"{_RECORDS}/{column.name}",
        "name": column.name,
        "description": column.description or f"Column {column.name}, {column.kind}.",
        "dataType": _data_type(column),
        "source": {"fileObject": {"@id": "data.csv"}, "extract": {"column": column.name}},
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
