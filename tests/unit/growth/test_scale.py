"""Scale: curves from fits and from finished tables, on held-out real rows; the page; bad input."""

import json
import stat

import numpy as np
import pyarrow as pa
import pytest

import privsynth as ps
from privsynth import frames
from privsynth.errors import InputError, RecordsError
from privsynth.growth import running

SCHEMA = """
[table]
name = "ward"
[columns.ill]
kind = "category"
values = ["no", "yes"]
[columns.dose]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 5 }
[use]
target = "ill"
"""
SIZES = (30, 60, 120, 240)


def rows(count, seed):
    rng = np.random.default_rng(seed)
    ill = rng.random(count) < 0.4
    dose = np.clip(rng.normal(np.where(ill, 60, 40), 18), 0, 99).astype(int)
    return pa.table({"ill": np.where(ill, "yes", "no"), "dose": dose})


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("scale") / "schema.toml"
    path.write_text(SCHEMA)
    return path


@pytest.fixture(autouse=True)
def a_quick_learner(monkeypatch):
    monkeypatch.setattr(running, "LEARNER", "logistic_regression")


def test_all_curves_are_drawn_of_fits(schema, tmp_path):
    fitting = ps.Fitting(epsilon=5, delta="1e-6", generator="mst")
    found = ps.scale(rows(400, 1), schema=schema, fitting=fitting, sizes=SIZES, seeds=2, rng=np.random.default_rng(77))
    assert set(found.curves) == {"real", "generator", "synthetic", "mixture"}
    assert all(curve.sizes == SIZES for curve in found.curves.values())
    assert not found.seen
    assert "INTERNAL" in repr(found) and "0." not in repr(found)
    assert "uncertified" in " ".join(found.lines())
    found.save(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert json.loads((tmp_path / "out" / "growth.json").read_text())["curves"]["real"]["points"]
    page = (tmp_path / "out" / "growth.html").read_text()
    assert page.count("<svg") == 4
    assert "INTERNAL" in page and "<script" not in page


def test_of_what_is_finished_only_the_rows_drawn_are_varied(schema, tmp_path):
    frames.write_csv(rows(500, 2), tmp_path / "made.csv")
    found = ps.scale(
        rows(400, 1),
        schema=schema,
        synthetic=tmp_path / "made.csv",
        sizes=SIZES,
        seeds=3,
        rng=np.random.default_rng(77),
    )
    assert set(found.curves) == {"synthetic"}
    assert found.seen and "caution" in " ".join(found.lines())
    assert min(found.curves["synthetic"].means) > 0.6


def test_bad_input_is_refused_before_anything_is_fitted(schema, monkeypatch):
    monkeypatch.setattr(running, "_of_fits", None)
    fitting, real = ps.Fitting(epsilon=1, delta="1e-6"), rows(400, 1)
    same = real.set_column(0, "ill", pa.array(["no"] * 400))
    few = real.set_column(0, "ill", pa.array(["yes"] * 3 + ["no"] * 397))
    cases = [
        (InputError, "give how to fit", real, {}),
        (InputError, "seeds", real, {"fitting": fitting, "seeds": 1}),
        (InputError, "gain", real, {"fitting": fitting, "gain": 0}),
        (InputError, "sizes are", real, {"fitting": fitting, "sizes": [10, 20, 30]}),
        (RecordsError, "larger than", real, {"fitting": fitting, "sizes": [10, 20, 30, 4000]}),
        (RecordsError, "too few rows", real, {"fitting": fitting}),
        (RecordsError, "same in every row", same, {"fitting": fitting}),
        (RecordsError, "fewer than 11 of the rarer", few, {"fitting": fitting, "sizes": SIZES}),
        (RecordsError, "fewer than 11 of the rarer", few, {"synthetic": rows(300, 2), "sizes": SIZES}),
        (InputError, "min_cell", real, {"fitting": fitting, "min_cell": 0}),
    ]
    for error, match, table, options in cases:
        with pytest.raises(error, match=match):
            ps.scale(table, schema=schema, rng=np.random.default_rng(77), **options)
