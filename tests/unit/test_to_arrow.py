"""Released tables: columns in natural types, which read back as the same records."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from privsynth import frames
from privsynth.dataset import Dataset
from privsynth.encoding import decode
from privsynth.errors import RecordsError
from privsynth.records import Records, read, read_public, to_arrow
from privsynth.schema import Schema

HEAD = '[table]\nname = "t"\n'
KINDS = {
    "category": 'kind = "category"\nvalues = ["a", "b", "1"]\nother = "b"',
    "codes": 'kind = "category"\ncodes = "icd9-chapters"',
    "ordered": 'kind = "ordered"\nvalues = ["lo", "hi"]',
    "integer": 'kind = "integer"\nlower = 0\nupper = 100\nstep = 5',
    "number": 'kind = "number"\nlower = -1\nupper = 10\nprecision = "0.1"',
    "date": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31',
    "month": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31\ngranularity = "month"',
    "year": 'kind = "date"\nlower = 2001-01-01\nupper = 2009-12-31\ngranularity = "year"',
    "day first": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31\nformat = "%d/%m/%Y"',
    "datetime": 'kind = "datetime"\nlower = 2001-01-01T00:00:00\nupper = 2001-12-31T00:00:00\ngranularity = "minute"',
    "boolean": 'kind = "boolean"',
    "yes": 'kind = "boolean"\ntrue = ["Yes", "Y"]\nfalse = ["No"]',
}


# --- writing ---

OUT = Schema.loads(
    HEAD + "".join(f"[columns.{name.replace(' ', '_')}]\n{text}\nmissing = ['n/a']\n" for name, text in KINDS.items())
    + "[columns.id]\nkind='identifier'\nmake='##'\n[columns.gone]\nkind='text'\ndrop=true\n"
)  # fmt: skip


def drawn(rows: int) -> Records:
    rng = np.random.default_rng(3)
    domain = OUT.domain()
    codes = {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    return decode(Dataset.from_columns(codes, domain), OUT, rng=rng)


def test_released_types_are_natural():
    table = to_arrow(drawn(50), {"id": ["i"] * 50})
    types = {name: str(table.schema.field(name).type) for name in table.schema.names}
    assert types == {
        "category": "string",
        "codes": "string",
        "ordered": "string",
        "integer": "int64",
        "number": "double",
        "date": "date32[day]",
        "month": "string",
        "year": "int64",
        "day_first": "date32[day]",
        "datetime": "timestamp[s]",
        "boolean": "bool",
        "yes": "string",
        "id": "string",
    }
    assert table.column("integer").null_count > 0
    assert table.column("category").null_count == 0
    assert "n/a" in table.column("category").to_pylist()
    for value in table.column("number").to_pylist():
        assert value is None or value == float(str(Decimal(str(value)).quantize(Decimal("0.1"))))


@pytest.mark.parametrize("kind", [frames.ARROW, frames.PANDAS, frames.POLARS, "csv", "parquet"])
def test_what_is_written_is_read_again(kind, tmp_path):
    records = drawn(2000)
    table = to_arrow(records, {"id": ["i"] * 2000})
    source = tmp_path / f"t.{kind}"
    if kind == "csv":
        frames.write_csv(table, source)
    elif kind == "parquet":
        frames.write_parquet(table, source)
    else:
        source = frames.to_kind(table, kind)
    again = read_public(source, OUT)
    for name, values in records.ticks.items():
        assert (again.ticks[name] == values).all(), name


@pytest.mark.parametrize("identifiers", [{}, {"id": ["i"]}])
def test_identifiers_must_be_there(identifiers):
    with pytest.raises(RecordsError, match='identifier column "id"'):
        to_arrow(drawn(2), identifiers)


def test_the_hospital_table_is_read(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "hospital_stays"
    one = Schema.load(example / "schema.toml")
    domain = one.domain()
    rng = np.random.default_rng(0)
    codes = {name: rng.integers(0, size, 300) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    records = decode(Dataset.from_columns(codes, domain), one, rng=rng)
    frames.write_csv(
        to_arrow(records, {name: ["1"] * 300 for name in ("encounter_id", "patient_nbr")}), tmp_path / "t.csv"
    )
    again = read(tmp_path / "t.csv", one).open()
    assert all((again.ticks[name] == values).all() for name, values in records.ticks.items())
    assert set(again.units.tolist()) == {0}
