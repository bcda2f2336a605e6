"""Row bounds: real rows count as the release counted them, and where they cannot, or must not, the figures say so."""

import json

import numpy as np
import pyarrow as pa
import pytest

import privsynth as ps
from privsynth import records
from privsynth.augmenting import running as augmenting
from privsynth.errors import SchemaError
from privsynth.evaluating import evaluate, row_bounds, tables
from privsynth.growth import running as growth
from privsynth.privacy.unit import PrivacyUnit
from privsynth.schema import Schema

TEXT = """
[table]
name = "stays"
unit = "who"
[columns.who]
kind = "identifier"
make = "P-########"
[columns.ill]
kind = "category"
values = ["no", "yes"]
[columns.dose]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 5 }
"""
SCHEMA = Schema.loads(TEXT)
WITH_TARGET = Schema.loads(TEXT + '[use]\ntarget = "ill"\n')
HOW = "of each who at most 1 row counts, drawn at random, as in the release"


def stays(people=500, often=100, seed=1):
    """Those who are ill stay ten times, the others once: of people a fifth is ill, of rows two thirds."""
    rng = np.random.default_rng(seed)
    rows = np.where(np.arange(people) < often, 10, 1)
    who = np.repeat(np.arange(people), rows)
    dose = np.clip(rng.normal(np.where(who < often, 60, 40), 18), 0, 99).astype(int)
    return pa.table({"who": who.astype(str), "ill": np.where(who < often, "yes", "no"), "dose": dose})


@pytest.fixture(scope="module")
def model():
    return ps.fit(stays(), SCHEMA, epsilon=10, delta="1e-6", generator="independent")


def once(model, rows=500):
    return model.sample(rows, rng=np.random.default_rng(0))


def test_real_rows_count_as_in_the_release_that_is_named_and_it_says_so(model, tmp_path):
    found = evaluate(
        once(model),
        real=stays(),
        holdout=stays(seed=2),
        schema=SCHEMA,
        release=model,
        out=tmp_path / "out",
        rng=np.random.default_rng(0),
    )
    assert found.real_rows == found.holdout_rows == 500
    assert found.measured.errors[1].errors.mean() < 0.06
    assert any(HOW in line for line in found.lines())
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["rowsCounted"] == HOW
    assert written["release"]["rowsOfAUnit"] == 1
    assert written["caution"] is None
    assert HOW[3:] in (tmp_path / "out" / "evaluation.html").read_text()


def test_without_the_release_all_rows_count_and_a_caution_says_what_to_name(model, tmp_path):
    found = evaluate(once(model), real=stays(), schema=SCHEMA, out=tmp_path / "out", rng=np.random.default_rng(0))
    assert found.real_rows == 1400
    assert found.measured.errors[1].errors.mean() > 0.2
    assert any("caution" in line and "--release" in line for line in found.lines())
    assert "--release" in found.to_json()["caution"]
    assert found.to_json()["rowsCounted"] is None
    assert "--release" in (tmp_path / "out" / "evaluation.html").read_text()


def read(model, real, schema=SCHEMA, seed=0):
    return tables.read(
        once(model),
        real=real,
        holdout=None,
        schema=schema,
        release=model,
        peers={},
        rng=np.random.default_rng(seed),
    )


def test_which_rows_are_drawn_is_the_seeds(model):
    doses = [read(model, stays(), seed=seed).real[0].ticks["dose"].tolist() for seed in (0, 0, 1)]
    assert doses[0] == doses[1] != doses[2]


def test_labels_that_were_not_bought_are_counted_in_the_rows_that_count():
    """One person alone has a label, ten times: no release buys it, and one row of it counts."""
    real = stays()
    ill = ["often" if place < 10 else one for place, one in enumerate(real["ill"].to_pylist())]
    real = real.set_column(1, "ill", pa.array(ill))
    schema = Schema.loads(TEXT.replace('values = ["no", "yes"]', "buy = true"))
    model = ps.fit(real, schema, epsilon=10, delta="1e-6", generator="independent")
    assert read(model, real, schema).merged["ill"] == {"often": (1, 1)}


def test_a_schema_without_the_releases_unit_is_refused(model):
    with pytest.raises(SchemaError, match='counts rows by "who"'):
        read(model, stays(), Schema.loads(TEXT.replace('unit = "who"\n', "")))


def test_a_table_of_one_row_a_unit_has_nothing_to_mind():
    table, alone = (records.read(stays(often=often), SCHEMA).open() for often in (100, 0))
    unit, of_rows = PrivacyUnit(name="person", column="who", max_rows=9), PrivacyUnit(name="row")
    assert row_bounds.not_named(alone) is row_bounds.joined(alone, None) is row_bounds.counted(of_rows) is None
    assert row_bounds.joined(table, PrivacyUnit(name="person", column="who", max_rows=10)) is None
    assert row_bounds.joined(table, of_rows) is None
    assert "at most 9 rows of each" in str(row_bounds.joined(table, unit))
    assert "not known" in str(row_bounds.joined(table, None))
    assert row_bounds.bounded(table, of_rows, key=bytes(32)) is table


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(augmenting, "LEARNERS", ("logistic_regression",))
    monkeypatch.setattr(augmenting, "SEEDS", 1)
    monkeypatch.setattr(growth, "LEARNER", "logistic_regression")


def test_rows_of_a_model_of_fewer_rows_are_joined_to_all_rows_with_a_caution(model, quick):
    found = ps.augment(stays(), model, schema=WITH_TARGET, folds=3, rng=np.random.default_rng(0))
    assert any("caution: the generator used at most 1 row of each" in line for line in found.lines())
    assert "at most 1 row" in found.to_json()["cautionOfRows"]
    assert found.table["origin"].to_pylist().count("real") == 1400
    bare = ps.augment(stays(), once(model), schema=WITH_TARGET, folds=3, rng=np.random.default_rng(0))
    assert "is not known" in bare.to_json()["cautionOfRows"]


@pytest.mark.parametrize("fitted", [True, False])
def test_learning_curves_say_what_rows_their_generators_used(model, quick, tmp_path, fitted):
    fitting = ps.Fitting(epsilon=5, delta="1e-6", generator="independent") if fitted else None
    found = ps.scale(
        stays(),
        schema=WITH_TARGET,
        fitting=fitting,
        synthetic=None if fitted else model,
        sizes=(100, 200, 300, 400),
        seeds=2,
        rng=np.random.default_rng(0),
    )
    assert ("of which it used at most 1 row, drawn at random" in found.spent) is fitted
    assert any("caution: the generator used at most 1 row of each" in line for line in found.lines())
    assert "at most 1 row" in found.to_json()["cautionOfRows"]
    found.save(tmp_path / "out")
    assert "Caution: the generator used at most 1 row" in (tmp_path / "out" / "growth.html").read_text()
