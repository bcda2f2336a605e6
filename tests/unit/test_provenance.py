"""Provenance: a table that was drawn says so, however it is kept, and is refused where real records are asked for."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import privsynth as ps
from privsynth import frames, provenance
from privsynth.debiasing import Debias
from privsynth.errors import InputError, SyntheticSource
from privsynth.model import Model
from privsynth.provenance import UNCERTIFIED, Provenance
from tests import clinic

GOLDEN = Path(__file__).parents[1] / "golden" / "release-0.1.0"
SCHEMA = """
[table]
name = "ward"
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.age]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 5 }
"""
SPENT = {"epsilon": 5, "delta": "1e-6", "generator": "independent"}


def table(rows=300):
    rng = np.random.default_rng(1)
    return pa.table({"sex": rng.choice(["F", "M"], rows), "age": rng.integers(0, 100, rows)})


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("provenance") / "schema.toml"
    path.write_text(SCHEMA)
    return ps.Schema.load(path)


@pytest.fixture(scope="module")
def drawn(schema):
    return ps.fit(table(), schema, **SPENT).sample(50, rng=np.random.default_rng(1))


def test_real_tables_say_nothing(tmp_path):
    real = table()
    frames.write_csv(real, tmp_path / "real.csv")
    frames.write_parquet(real, tmp_path / "real.parquet")
    sources = [
        real,
        real.to_pandas(),
        pl.from_arrow(real),
        real.to_pydict(),
        {"ward": real},
        *tmp_path.iterdir(),
        tmp_path,
    ]
    assert [provenance.of(one) for one in sources] == [None] * len(sources)


def test_a_sample_says_what_it_is_in_every_form_that_can_carry_it(drawn, tmp_path):
    frames.write_parquet(drawn, tmp_path / "ours.parquet")
    frame = frames.to_kind(drawn, frames.PANDAS)
    frame.to_parquet(tmp_path / "theirs.parquet")
    by_pandas = pd.read_parquet(tmp_path / "ours.parquet")
    by_pandas.to_parquet(tmp_path / "again.parquet")
    pq.write_table(drawn, tmp_path / "arrow.parquet")
    again = pa.Table.from_pandas(frame)
    for source in (
        drawn,
        frame,
        frame.head(3),
        again,
        by_pandas,
        {"ward": frame},
        tmp_path,
        *sorted(tmp_path.iterdir()),
    ):
        found = provenance.of(source)
        assert found is not None
        assert (found.provenance.origin, found.provenance.table, found.provenance.synthetic) == (
            UNCERTIFIED,
            "ward",
            "all",
        )
        assert found.provenance.epsilon == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_file_of_a_release_is_known_by_its_certificate_also_under_another_name(tmp_path, name):
    release = tmp_path / "release"
    shutil.copytree(GOLDEN, release)
    claimed = provenance.of(release / name)
    assert claimed is not None and claimed.provenance.generator and claimed.provenance.epsilon
    renamed = release / f"stays{Path(name).suffix}"
    shutil.copy(release / name, renamed)
    found = provenance.of(renamed)
    assert found is not None and found.provenance == claimed.provenance
    assert found.where == f"the certificate beside {renamed.name}"
    (release / name).write_bytes((release / name).read_bytes()[:-1] if name == "data.csv" else b"PAR1 changed")
    if name == "data.csv":
        assert provenance.of(release / name) is not None
    assert provenance.of(release) is not None


def test_a_real_file_beside_a_certificate_is_not_taken_for_one_of_its_files(tmp_path):
    shutil.copy(GOLDEN / "certificate.json", tmp_path)
    frames.write_csv(table(), tmp_path / "stays.csv")
    assert provenance.of(tmp_path / "stays.csv") is None
    (tmp_path / "certificate.json").write_text("some other program's")
    shutil.copy(GOLDEN / "data.csv", tmp_path / "stays2.csv")
    assert provenance.of(tmp_path / "stays2.csv") is None


def test_every_table_in_a_releases_folder_counts_as_synthetic(tmp_path):
    release = tmp_path / "release"
    shutil.copytree(GOLDEN, release)
    said = (release / "data.csv").read_bytes()
    (release / "part").mkdir()
    (release / "data.csv.gz").write_bytes(gzip.compress(said))
    (release / "cut.csv").write_bytes(said[: said.rstrip().rindex(b"\n") + 1])
    (release / "part" / "cut.csv").write_bytes(said[: said.rstrip().rindex(b"\n") + 1])
    for name in ("data.csv.gz", "cut.csv", "part/cut.csv"):
        with pytest.raises(SyntheticSource, match="move it out of the release's folder"):
            provenance.require_real(release / name, "the table")
    frames.write_csv(table(), tmp_path / "real.csv")
    provenance.require_real(tmp_path / "real.csv", "the table")


def test_the_message_says_how_to_clear_a_mark_that_is_wrong(drawn, tmp_path):
    cast = table().cast(drawn.schema)
    with pytest.raises(SyntheticSource, match=r"table.replace_schema_metadata\(\)"):
        provenance.require_real(cast, "the table")
    provenance.require_real(cast.replace_schema_metadata(), "the table")
    frame = frames.to_kind(drawn, frames.PANDAS)
    with pytest.raises(SyntheticSource, match=r'frame.attrs.pop\("privsynth:provenance"\)'):
        provenance.require_real(frame, "the table")
    frame.attrs.pop("privsynth:provenance")
    provenance.require_real(frame, "the table")
    frames.write_parquet(cast, tmp_path / "cast.parquet")
    with pytest.raises(SyntheticSource, match="write it anew"):
        provenance.require_real(tmp_path / "cast.parquet", "the table")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"epsilon": "x", "generation": -1, "drawn": "given"}', '{"table": 7}', "[" * 100_000]
)
def test_a_damaged_mark_is_a_mark(text):
    damaged = table().replace_schema_metadata({frames.PROVENANCE: text.encode()})
    found = provenance.of(damaged)
    assert found is not None
    assert (found.provenance.generation, found.provenance.drawn) == (1, ())
    assert "synthetic" in found.provenance.words()


def test_marks_are_read_as_they_were_written():
    says = Provenance(synthetic="part", origin="ab" * 16, generator="mst", epsilon=1.5, table=None, generation=3)
    marked = provenance.mark(table(), says)
    found = provenance.of(marked)
    assert found is not None and found.provenance == says
    assert "part of its rows" in says.words() and "generation 3" in says.words()
    assert json.loads(marked.schema.metadata[frames.PROVENANCE])["origin"] == "ab" * 16
    assert marked.to_pydict() == table().to_pydict()


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ({}, ()),
        ({"given": {}}, ()),
        ({"given": {"sex": "F"}}, ("given",)),
        ({"rebalance": "sex"}, ("rebalanced",)),
        ({"debias": Debias(outcome="age", protected=("sex",))}, ("debiased",)),
        ({"given": {"age": (20, 79)}, "rebalance": "sex"}, ("given", "rebalanced")),
    ],
)
def test_a_mark_says_how_rows_were_drawn(schema, tmp_path, asked, drawn):
    model = ps.fit(table(), schema, **SPENT)
    rows = model.sample(40, rng=np.random.default_rng(1), **asked)
    frames.write_parquet(rows, tmp_path / "rows.parquet")
    for source in (rows, frames.to_kind(rows, frames.PANDAS), tmp_path / "rows.parquet"):
        found = provenance.of(source)
        assert found is not None and found.provenance.drawn == drawn
        assert all(word in found.provenance.words() for word in drawn)
        assert ("otherwise" in found.provenance.words()) == bool(drawn)
    shifted = model.shifted({"sex": {"F": 0.9}}).sample(40, rng=np.random.default_rng(1), **asked)
    assert provenance.of(shifted).provenance.drawn == ("shifted", *drawn)


def test_what_was_drawn_is_not_fitted_to_unless_collapse_is_studied(drawn, schema, tmp_path):
    with pytest.raises(SyntheticSource, match="uncertified model of"):
        ps.fit(drawn, schema, **SPENT)
    with pytest.raises(InputError, match='"refuse" or "allow"'):
        ps.fit(drawn, schema, synthetic="yes", **SPENT)
    second = ps.fit(drawn, schema, synthetic="allow", **SPENT)
    assert second.generation == 2
    copies = second.copies(2, rng=np.random.default_rng(2), n=50)
    assert {provenance.of(one).provenance.generation for one in copies.frames} == {2}
    second.save(tmp_path / "second")
    third = ps.fit(
        Model.load(tmp_path / "second").sample(50, rng=np.random.default_rng(2)), schema, synthetic="allow", **SPENT
    )
    assert third.provenance.generation == 3
    assert ps.fit(table(), schema, synthetic="allow", **SPENT).generation == 1


def test_no_release_and_no_audit_takes_it_for_real_and_nothing_is_spent(tmp_path):
    kept, schema, policy = clinic.write(tmp_path, table=clinic.rows(patients=30))
    ledger = clinic.fresh_ledger()
    ps_keys = tmp_path / "key.pem"
    from privsynth.certificate import keys

    keys.new(ps_keys, tmp_path / "trust.toml", "machine")
    real = pd.read_csv(kept)
    real.attrs["privsynth:provenance"] = json.dumps({"synthetic": "part", "table": "stays"})
    with pytest.raises(SyntheticSource, match="part of its rows"):
        ps.release(real, schema=schema, policy=policy, key=ps_keys, out=tmp_path / "out", ledger=ledger)
    assert not (tmp_path / "out").exists()
    assert not list(ledger.entries())
    with pytest.raises(SyntheticSource, match="training table must be real"):
        ps.audit(synthetic=real, training=real, holdout=kept, schema=schema, rng=np.random.default_rng(1))
    with pytest.raises(SyntheticSource, match="holdout must be real"):
        ps.audit(synthetic=real, training=kept, holdout=real, schema=schema, rng=np.random.default_rng(1))
