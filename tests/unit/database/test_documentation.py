"""docs/databases.md: every schema on the page loads, and every key there is stands in one of them."""

import re
from pathlib import Path

import pytest

from privsynth.database import DatabaseSchema
from privsynth.database.document import TableTerms
from privsynth.database.terms import (
    Balanced,
    Bound,
    Copied,
    Count,
    Elapsed,
    InOrder,
    ParentLink,
    Running,
    Sequence,
    Time,
    Total,
)
from privsynth.histories.layout import views

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "databases.md").read_text(encoding="utf-8")
BLOCKS = [block.partition("```")[0] for block in PAGE.split("```toml\n")[1:]]
TEXTS = [f"[database]{rest}" for rest in "\n".join(BLOCKS).split("[database]")[1:]]

MADE_BY_THE_READER = {"name", "content", "identifiers", "released", "listed", "dropped", "parent_name"}


@pytest.fixture(scope="module")
def schemas() -> dict[str, DatabaseSchema]:
    return {schema.name: schema for schema in map(DatabaseSchema.loads, TEXTS)}


def rows_of(head: str) -> list[str]:
    """The first cells of the table on the page that begins so."""
    return re.findall(r"^\| `(\w+)` \|", PAGE.partition(head)[2].partition("\n\n")[0], re.MULTILINE)


def test_the_schemas_of_the_page_are_schemas(schemas):
    assert list(schemas) == ["hospital", "bank", "ledger", "tests"]
    for schema in schemas.values():
        assert DatabaseSchema.from_json(schema.to_json()) == schema
        assert views(schema)


def test_the_hospital_is_what_the_page_says(schemas):
    hospital = schemas["hospital"]
    assert [table.name for table in hospital.tables] == ["patients", "stays", "diagnoses", "labs", "drugs", "checks"]
    assert hospital.table("patients").file == "core_patients"
    assert hospital.table("labs").parent.optional
    assert hospital.table("diagnoses").bound.rows == "buy"
    assert [column.name for column in hospital.table("stays").derived] == ["age", "length"]


def test_every_key_stands_in_an_example(schemas):
    tables = [table for schema in schemas.values() for table in schema.tables]
    used = {name for table in tables for name in table.model_fields_set if getattr(table, name) not in (None, ())}
    assert used >= set(TableTerms.model_fields) - MADE_BY_THE_READER
    parts = [part for table in tables for part in (table.parent, table.bound, table.time, *table.derived) if part]
    parts += [rule for schema in schemas.values() for rule in schema.rules]
    for kind in (ParentLink, Bound, Time, Sequence, Elapsed, Running, Total, Count, Copied, InOrder, Balanced):
        found = {name for part in parts if isinstance(part, kind) for name in part.model_fields_set}
        assert found == set(kind.model_fields), kind


def test_every_key_is_explained():
    assert rows_of("| key of `bound` |") == ["rows", "keep", "weights", "most"]
    assert set(rows_of("| key of `bound` |")) == set(Bound.model_fields)
    assert set(rows_of("| key of `time` |")) == set(Time.model_fields)
    assert rows_of("| kind | value |") == ["sequence", "elapsed", "running", "total", "count", "copied"]
