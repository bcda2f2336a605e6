"""`privsynth evaluate` from the command line: figures, folder, and mistakes that are found first."""

import json
import re
import shlex
from pathlib import Path

import pytest

from privsynth.cli import run
from tests import clinic
from tests.unit.evaluating.test_evaluation import USE, frame


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, (patients, seed) in {"real": (150, 1), "synthetic": (120, 2), "other": (100, 3)}.items():
        frame(patients, seed).to_csv(folder / f"{name}.csv", index=False)
    (folder / "schema.toml").write_text(clinic.SCHEMA)
    (folder / "with_use.toml").write_text(clinic.SCHEMA + USE)
    return folder


def words(place, *more, schema="schema.toml"):
    tables = [str(place / "synthetic.csv"), "--real", str(place / "real.csv"), "--schema", str(place / schema)]
    return ["evaluate", *tables, *map(str, more)]


def test_it_writes_the_folder_and_prints_the_same_figures_each_time(place, tmp_path, capsys):
    peer = ["--peer", place / "other.csv"]
    assert run(["--quiet", "--json", *words(place, *peer, "--out", tmp_path / "out")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(shown["peers"]) == {"other"}
    assert shown["synthetic"]["prediction"] is None
    assert run(["--quiet", "--json", *words(place, *peer)]) == 0
    assert json.loads(capsys.readouterr().out) == shown


def test_a_target_is_named_or_declared(place, capsys):
    assert run(["--quiet", *words(place, "--target", "ward", "--outcome", "Maternity", "--min-cell", "1")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("INTERNAL")
    assert "gradient boosting    AUC" in printed


def test_the_commands_of_its_page_work(place, capsys, monkeypatch, tmp_path):
    """The one of a table is run; the one of a release has no option that the other form would not take."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    block = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert block is not None
    of_release, of_table = (shlex.split(line) for line in block[1].replace("\\\n", "").strip().splitlines())
    for words_of in (of_release, of_table):
        assert words_of[:2] == ["privsynth", "evaluate"]
    assert {one for one in of_release if one.startswith("--")} == {"--real", "--schema", "--holdout", "--out"}
    named = [str(place / one) if one.endswith((".csv", ".toml")) else one for one in of_table[1:]]
    assert run(["--quiet", *("yes" if one == "<30" else one for one in named)]) == 0
    assert (tmp_path / "evaluated" / "evaluation.html").is_file()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--target", "nobody"], "nobody"),
        (["--peer", "{place}/other.csv", "--peer", "{place}/other.csv"], "same name"),
        (["--holdout", "{place}/nowhere.csv"], "nowhere.csv"),
        (["--out", "{place}"], "exists"),
    ],
)
def test_mistakes_are_bad_input(place, capsys, more, problem):
    assert run(words(place, *(one.format(place=place) for one in more))) == 2
    assert problem in capsys.readouterr().err
