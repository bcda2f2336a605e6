"""What cannot be evaluated is said before anything is computed or written; a synthetic table may be as poor as it likes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest

import privsynth as ps
from privsynth.errors import InputError, OutputError, RecordsError, SchemaError, SyntheticSource
from privsynth.evaluating import evaluate, running
from privsynth.schema import Schema
from tests.unit.evaluating.test_evaluation import SCHEMA, frame

GOLDEN = Path(__file__).parents[2] / "golden" / "release-0.1.0"
EXAMPLES = Path(__file__).parents[3] / "examples"


def run(synthetic, real, **options):
    return evaluate(synthetic, real=real, **{"schema": SCHEMA, **options}, rng=np.random.default_rng(0))


@pytest.fixture
def nothing_is_computed(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("something was computed")

    monkeypatch.setattr(running, "measure", fail)
    monkeypatch.setattr(running.Learning, "of", fail)


@pytest.mark.usefixtures("nothing_is_computed")
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"schema": EXAMPLES / "clinic_tests" / "database.toml"}, InputError, r"\[database\]"),
        ({"schema": None}, InputError, "name the schema"),
        ({"target": "nobody"}, SchemaError, "nobody"),
        ({"outcome": ("maybe",)}, SchemaError, "maybe"),
        ({"peers": {"synthetic": frame(50, 3)}}, InputError, "another name"),
        ({"release": 7}, InputError, "folder of a release"),
    ],
)
def test_mistakes_are_explained_first(options, error, words):
    with pytest.raises(error, match=words):
        run(frame(50, 2), frame(60, 1), **options)


@pytest.mark.usefixtures("nothing_is_computed")
def test_a_schema_with_something_to_buy_needs_the_release():
    text = 'kind = "category"\nbuy = true'
    schema = Schema.loads(f'[table]\nname = "t"\n[columns.a]\n{text}\n[columns.b]\nkind = "boolean"\n')
    table = {"a": ["x", "y"] * 20, "b": ["true", "false"] * 20}
    with pytest.raises(SchemaError, match="leaves something to be bought"):
        run(table, table, schema=schema)


@pytest.mark.usefixtures("nothing_is_computed")
@pytest.mark.parametrize("where", ["real", "holdout"])
def test_a_target_with_one_class_in_real_rows_is_refused_before_anything(where):
    lone = frame(60, 1).assign(readmitted="no")
    tables = {"real": frame(60, 1), "holdout": frame(60, 2)} | {where: lone}
    with pytest.raises(RecordsError, match='"readmitted" is the same in every row'):
        run(frame(50, 3), tables["real"], holdout=tables["holdout"])


@pytest.mark.usefixtures("nothing_is_computed")
def test_an_evaluation_never_goes_into_a_release_nor_over_something(tmp_path):
    release = tmp_path / "release"
    shutil.copytree(GOLDEN, release)
    for out in (release, release / "evaluated", release / "deep" / "evaluated"):
        with pytest.raises(OutputError):
            run(release, frame(60, 1), out=out)
    with pytest.raises(OutputError, match="exists"):
        run(frame(50, 2), frame(60, 1), out=tmp_path)
    with pytest.raises(OutputError, match="make it first"):
        run(frame(50, 2), frame(60, 1), out=tmp_path / "nowhere" / "evaluated")
    assert {one.name for one in release.iterdir()} == {one.name for one in GOLDEN.iterdir()}


@pytest.mark.usefixtures("nothing_is_computed")
def test_a_real_table_that_is_synthetic_is_refused():
    with pytest.raises(SyntheticSource):
        run(frame(50, 2), GOLDEN / "data.csv")


def test_a_synthetic_table_with_one_class_is_reported():
    found = run(frame(120, 3).assign(readmitted="no"), frame(300, 1))
    predicted = found.measured.prediction
    assert predicted is not None
    assert "same in every synthetic row" in str(predicted.synthetic_not)
    assert predicted.seen
    assert all(one.synthetic is None for one in predicted.learned)
    assert any("same in every synthetic row" in line for line in found.lines())
    json.dumps(found.to_json(), allow_nan=False)


def test_the_folder_of_a_release_brings_its_schema_its_epsilon_and_its_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_learning", lambda *_: None)
    real = pandas.read_csv(GOLDEN / "data.csv", dtype=str, keep_default_na=False).assign(note="n")
    found = run(GOLDEN, real, schema=None, out=tmp_path / "evaluated")
    assert found.what == "release-0.1.0"
    assert found.known is not None
    assert found.known.epsilon > 0
    assert set(found.known.columns) == {"age", "sex", "ward", "stay", "charge", "readmitted"}
    assert found.measured.k_marginal.score == 1000
    assert found.measured.closest.copies == 1
    assert "no target is declared" in "\n".join(found.lines())


def test_labels_that_were_not_bought_are_merged():
    """With thousands of rows of two labels, and three of a third."""
    rng = np.random.default_rng(0)
    text = 'kind = "category"\nbuy = true\nother = "rest"'
    schema = Schema.loads(f'[table]\nname = "t"\n[columns.a]\n{text}\n[columns.b]\nkind = "boolean"\n')
    labels = [*rng.choice(["x", "y"], 4000).tolist(), "rare", "rare", "rare"]
    real = {"a": labels, "b": rng.choice(["true", "false"], 4003).tolist()}
    model = ps.fit(real, schema, epsilon="1", delta="1e-6", generator="independent")
    found = run(model.sample(4000, rng=rng), real, schema=schema, release=model)
    rare = {one.label: one for one in found.measured.rare.categories}
    assert rare["rare"].fate == "merged"
    assert rare["rare"].real is None
    assert found.measured.rare.counts["merged"] == 1
