"""Augment: synthetic rows are joined and judged on real rows; it says when they hurt, and hides what is too small."""

import json
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import privsynth as ps
from privsynth import frames, provenance
from privsynth.augmenting import running
from privsynth.cli.app import app
from privsynth.errors import InputError, OutputError, RecordsError, SchemaError, SyntheticSource

SCHEMA = """
[table]
name = "ward"
[columns.ill]
kind = "category"
values = ["no", "yes", "odd"]
[columns.dose]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 5 }
[columns.origin]
kind = "category"
values = ["A", "B"]
[use]
target = "ill"
"""


def rows(count, seed, *, odd=0, turned=False):
    rng = np.random.default_rng(seed)
    ill = rng.random(count) < 0.15
    dose = np.clip(rng.normal(np.where(ill, 0 if turned else 65, 35), 18), 0, 99).astype(int)
    names = np.where(ill, "yes", "no").astype(object)
    names[:odd] = "odd"
    return pa.table({"ill": names.tolist(), "dose": dose, "origin": rng.choice(["A", "B"], count)})


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("augment") / "schema.toml"
    path.write_text(SCHEMA)
    return path


@pytest.fixture(autouse=True)
def one_learner(monkeypatch):
    monkeypatch.setattr(running, "LEARNERS", ("logistic_regression",))


def test_rows_of_the_wrong_kind_hurt_and_it_says_so(schema, tmp_path):
    wrong = rows(15000, 2, turned=True)
    found = ps.augment(rows(900, 1), wrong, schema=schema, per_class=1500, folds=3, rng=np.random.default_rng(77))
    assert found.verdict == "hurt"
    assert "hurt" in found.lines()[1]
    assert "held out" in found.to_json()["caveat"]


def test_joined_rows_say_where_they_are_from_and_balance_the_classes(schema, tmp_path):
    real = rows(240, 1)
    found = ps.augment(real, rows(3000, 2), schema=schema, fitted_on="others", folds=3, rng=np.random.default_rng(77))
    assert found.origin == "origin_"
    table = found.table.to_pandas()
    ours = table[table.origin_ == "real"]
    assert ours[["ill", "dose", "origin"]].to_numpy().tolist() == real.to_pandas().to_numpy().tolist()
    counts = table.ill.value_counts()
    assert counts["yes"] == counts["no"]
    assert set(table[table.origin_ == "synthetic"].ill) == {"yes"}
    assert found.fitted_on == "others"
    said = provenance.of(found.table)
    assert said is not None and (said.provenance.synthetic, said.provenance.drawn) == ("part", ("rebalanced",))
    found.save(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert provenance.of(tmp_path / "out" / "training.parquet") is not None
    assert pq.read_table(tmp_path / "out" / "training.parquet").num_rows == len(table)
    with pytest.raises(SyntheticSource, match="part of its rows"):
        ps.fit(tmp_path / "out" / "training.parquet", schema, epsilon=1, delta="1e-6")
    with pytest.raises(OutputError, match="exists"):
        found.save(tmp_path / "out")


def test_a_generator_is_fitted_in_the_folds_and_gives_as_many_rows_as_are_asked(schema):
    refit = ps.Fitting(epsilon=20, delta="1e-6", generator="independent")
    found = ps.augment(rows(200, 1), schema=schema, refit=refit, per_class=50, folds=3, rng=np.random.default_rng(77))
    assert found.fitted_on == "folds"
    assert found.table.num_rows == 200 + 50
    assert "uncertified" in " ".join(found.lines())


def test_classes_of_few_people_are_hidden_with_another(schema):
    found = ps.augment(rows(240, 1, odd=6), rows(3000, 2), schema=schema, folds=3, rng=np.random.default_rng(77))
    assert found.rare == "yes"
    hidden = [name for name, count in zip(found.classes, found.real_rows, strict=True) if count is None]
    assert "odd" in hidden and len(hidden) >= 2
    assert [count is None for count in found.added] == [count is None for count in found.real_rows]
    assert found.judged_rows is None
    assert found.short == ("odd",)
    assert repr(found) == "Augmentation(INTERNAL: computed on real records; never release. See .lines() and .table)"
    with pytest.raises(RecordsError, match="200 people or more"):
        ps.augment(rows(240, 1), rows(300, 2), schema=schema, folds=3, min_cell=200, rng=np.random.default_rng(77))


def test_bad_input_is_refused_before_anything_is_judged(schema, monkeypatch):
    monkeypatch.setattr(running, "judge", None)
    rng, real, made = np.random.default_rng(1), rows(240, 1), rows(300, 2)
    same = real.set_column(0, "ill", pa.array(["no"] * 240))
    cases = [
        (RecordsError, "same in every row", (same, made), {}),
        (RecordsError, "fewer people than there are folds", (real.slice(0, 2), made), {}),
        (RecordsError, "no class", (real.slice(0, 20), made), {}),
        (SchemaError, "is a number", (real, made), {"target": "dose"}),
        (InputError, "one of the two", (real,), {}),
        (InputError, "folds are", (real, made), {"folds": 1}),
        (InputError, "per_class", (real, made), {"per_class": 0}),
        (InputError, "fitted_on", (real, made), {"fitted_on": "folds"}),
    ]
    for error, match, tables, options in cases:
        with pytest.raises(error, match=match):
            ps.augment(*tables, schema=schema, rng=rng, **options)
    marked = provenance.mark(real, provenance.Provenance.from_json({}))
    with pytest.raises(SyntheticSource):
        ps.augment(marked, made, schema=schema, rng=rng)


def test_the_command_writes_an_internal_folder_and_none_into_a_release(schema, tmp_path):
    frames.write_csv(rows(240, 1), tmp_path / "real.csv")
    frames.write_csv(rows(3000, 2), tmp_path / "made.csv")
    asked = ["augment", str(tmp_path / "real.csv"), "--synthetic", str(tmp_path / "made.csv"), "--schema", str(schema)]
    asked += ["--folds", "3", "--report-only", "--out"]
    done = CliRunner().invoke(app, ["--json", "--quiet", *asked, str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["decidedBy"] == "average precision"
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["INTERNAL.txt", "augmentation.json"]
    (tmp_path / "certificate.json").write_text("{}")
    refused = CliRunner().invoke(app, ["--quiet", *asked, str(tmp_path / "inside")])
    assert refused.exit_code != 0
    assert isinstance(refused.exception, OutputError)


def test_the_real_table_itself_is_no_help(schema):
    real = rows(240, 1)
    with pytest.raises(InputError, match="real table itself"):
        ps.augment(real, real, schema=schema, folds=3, rng=np.random.default_rng(77))
