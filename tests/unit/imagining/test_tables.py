"""ps.imagine and `privsynth imagine`: frames, files, the same bytes for the same seed, and never over a file."""

import json
from pathlib import Path

import pytest

import privsynth as ps
from privsynth.cli import run
from privsynth.errors import InputError, OutputError, SchemaError
from privsynth.imagining import write
from privsynth.making.document import RulesFile
from tests import clinic

EXAMPLE = Path(__file__).parents[3] / "examples" / "imagined_clinic" / "rules.toml"


def test_every_kind_of_frame():
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    for kind, expected in (("arrow", pa.Table), ("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        found = ps.imagine(EXAMPLE, n=20, seed=1, kind=kind)
        assert isinstance(found, expected)
        assert len(found) == 20
    assert ps.imagine(RulesFile.load(EXAMPLE), n=20, seed=1).equals(ps.imagine(str(EXAMPLE), n=20, seed=1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 0}, "rows: expected a whole number from 1"),
        ({"n": 2.5}, "rows: expected a whole number"),
        ({"n": True}, "rows: expected"),
        ({"n": 10**9}, "to 100,000,000"),
        ({"seed": -1}, "seed: expected a whole number, zero or more"),
        ({"seed": None}, "seed: expected"),
        ({"kind": "spark"}, "kind: expected one of arrow, pandas, polars"),
    ],
)
def test_bad_arguments(wrong, says):
    with pytest.raises(InputError, match=says):
        ps.imagine(EXAMPLE, **{"n": 5, "seed": 1, **wrong})


def test_the_example_holds_its_own_rules(tmp_path, capsys):
    files = [tmp_path / name for name in ("one.csv", "two.csv", "three.parquet")]
    for file in files:
        assert run(["--quiet", "imagine", str(EXAMPLE), "--rows", "500", "--seed", "7", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert "imagined from rules: 500 rows, of nobody" in said
    assert files[0].read_bytes() == files[1].read_bytes()
    schema = RulesFile.load(EXAMPLE).schema
    from privsynth import records, rules

    for file in files:
        found = records.read(file, schema).open()
        assert found.rows == 500
        assert not any(mask.any() for mask in rules.check(schema.rules, found).values())


def test_nothing_is_overwritten_and_endings_are_known(tmp_path, capsys):
    (tmp_path / "there.csv").write_text("mine")
    table = ps.imagine(EXAMPLE, n=3, seed=1)
    with pytest.raises(OutputError, match="exists; remove it"):
        write(table, tmp_path / "there.csv")
    assert run(["imagine", str(EXAMPLE), "--out", str(tmp_path / "there.csv")]) == 2
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert run(["imagine", str(EXAMPLE), "--out", str(tmp_path / "t.xlsx")]) == 2
    assert "ends in .csv or .parquet" in capsys.readouterr().err


def test_a_what_if_from_a_saved_model(tmp_path, capsys):
    table = {name: [str(row[place]) for row in clinic.rows(patients=400)] for place, name in enumerate(clinic.HEADER)}
    model = ps.fit(table, ps.Schema.loads(clinic.SCHEMA), generator="independent", epsilon=3, delta=1e-6)
    model.save(tmp_path / "model")
    (tmp_path / "s.toml").write_text("[shift.readmitted]\nyes = 0.5\n")
    out = tmp_path / "what-if.csv"
    words = [
        "--model",
        str(tmp_path / "model"),
        "--scenario",
        str(tmp_path / "s.toml"),
        "--rows",
        "400",
        "--out",
        str(out),
    ]
    assert run(["--json", "imagine", *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["imagined"] == "what-if"
    assert said["rows"] == 400
    assert {row["column"]: row for row in said["columns"]}["readmitted"]["after"] == pytest.approx(0.5)
    assert out.read_text().count(",yes\n") == pytest.approx(200, abs=15)


@pytest.mark.parametrize(
    "words", [[], ["--model", "m"], ["--scenario", "s"], ["r.toml", "--model", "m", "--scenario", "s"]]
)
def test_one_of_the_two_is_asked_for(words, tmp_path, capsys):
    assert run(["imagine", *words, "--out", str(tmp_path / "t.csv")]) == 2
    assert "give the one or the other" in capsys.readouterr().err


def test_a_rules_file_that_is_not_there(tmp_path):
    with pytest.raises(SchemaError, match="cannot be read"):
        ps.imagine(tmp_path / "none.toml", n=3, seed=1)
