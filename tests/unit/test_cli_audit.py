"""`privsynth audit` in its three forms, from the command line: verdicts, folders, and mistakes that are found first."""

import json
import re
import stat
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from privsynth import api
from privsynth.cli import run
from privsynth.errors import AuditError
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.schema import Schema
from tests import clinic

PLANTED = "UNMISTAKABLE-4711"
AUDITS = Path(__file__).resolve().parents[2] / "audits"
COPY = "def generate(training, rows):\n    return training\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A table, its halves by patient, and a table of the same population that is made of neither."""
    folder = tmp_path_factory.mktemp("audit")
    clinic.write(folder, table=clinic.rows(patients=3000, secret=PLANTED))
    header, *lines = (folder / "clinic.csv").read_text().splitlines()
    patients = {line.split(",")[1]: None for line in lines}
    half = set(list(patients)[: len(patients) // 2])
    files = {"training": [], "holdout": []}
    for line in lines:
        files["training" if line.split(",")[1] in half else "holdout"].append(line)
    for name, kept in files.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *kept]) + "\n")
    clinic.write(folder / "other", table=clinic.rows(patients=1500, seed=2))
    (folder / "copy.py").write_text(COPY)
    (folder / "other.py").write_text(
        "import pandas\n\n\ndef generate(training, rows):\n"
        f"    return pandas.read_csv({str(folder / 'other' / 'clinic.csv')!r})[list(training.columns)]\n"
    )
    return folder


def attacked(place, synthetic, *more):
    tables = ["--training", str(place / "training.csv"), "--holdout", str(place / "holdout.csv")]
    return ["audit", "--synthetic", str(synthetic), *tables, *shared(place), *map(str, more)]


def shared(place):
    return ["--schema", str(place / "schema.toml"), "--plan", "quick"]


def test_a_copy_fails_and_its_pages_hold_what_they_may(place, tmp_path, capsys):
    out, internal = tmp_path / "page", tmp_path / "figures"
    words = attacked(place, place / "training.csv", "--out", out, "--internal", internal, "--epsilon", "1")
    assert run(["--quiet", *words]) == 4
    shown = capsys.readouterr()
    assert "FAIL" in shown.out
    assert "do not release this table" in shown.err
    public, private = (json.loads((folder / "findings.json").read_text()) for folder in (out, internal))
    assert public["verdict"] == private["verdict"] == "FAIL"
    assert public["claim"]["epsilon"] == 1
    assert not any("figures" in row for row in public["rows"])
    assert any(row["figures"].get("member successes", 0) > 100 for row in private["rows"])
    assert "member successes" not in (out / "findings.json").read_text()
    assert stat.S_IMODE(internal.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in internal.iterdir()} == {0o600}
    for path in [*out.iterdir(), *internal.iterdir()]:
        assert PLANTED not in path.read_text()
    assert PLANTED not in shown.out + shown.err


def test_a_table_of_nobody_that_was_in_passes(place, capsys):
    assert run(["--quiet", *attacked(place, place / "other" / "clinic.csv")]) == 0
    assert "PASS" in capsys.readouterr().out


def test_a_generator_of_ours_is_checked_without_any_table(place, tmp_path, capsys):
    words = ["audit", "--generator", "independent", "--epsilon", "1", *shared(place), "--max-rows", "2"]
    assert run(["--json", "--quiet", *words, "--out", str(tmp_path / "page")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "PASS"
    assert {row["family"] for row in found["rows"]} == {"conformance"}
    assert "ledger" in {row["check"] for row in found["rows"]}
    assert json.loads((tmp_path / "page" / "findings.json").read_text())["claim"]["delta"] == 1e-9


def test_a_function_that_copies_fails_on_people_and_on_made_up_tables(place, tmp_path, capsys):
    words = ["audit", "--function", f"{place / 'copy.py'}:generate", "--training", str(place / "clinic.csv")]
    words += [*shared(place), "--epsilon", "1", "--delta", "1e-6", "--max-rows", "3"]
    assert run(["--quiet", "--json", *words, "--out", str(tmp_path / "page")]) == 4
    shown = capsys.readouterr()
    found = {row["check"]: row["verdict"] for row in json.loads(shown.out)["rows"]}
    assert {name for name, verdict in found.items() if verdict == "FAIL"} >= {
        "black box: one-run canaries",
        "black box: values that nobody else has",
        "black box: repeats itself",
        "exact match, everyone",
    }
    assert PLANTED not in shown.out + shown.err


def test_a_function_that_never_looks_fails_nothing(place, monkeypatch, capsys):
    monkeypatch.setattr(api, "SystemNoise", lambda: UnsafeSeededNoise(1))  # the split, else another one every time
    words = ["audit", "--function", f"{place / 'other.py'}:generate", "--training", str(place / "clinic.csv")]
    run(["--quiet", "--json", *words, *shared(place)])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert "FAIL" not in {row["verdict"] for row in rows}
    assert {row["family"] for row in rows} == {"release"}


def test_a_command_is_audited_like_a_function(place, tmp_path, capsys):
    script = tmp_path / "copy.py"
    script.write_text("import shutil, sys\nassert sys.argv[3] == '123'\nshutil.copy(sys.argv[1], sys.argv[2])\n")
    words = ["--command", f"{sys.executable} {script} {{training}} {{synthetic}} {{rows}}"]
    words += ["--training", str(place / "clinic.csv"), "--rows", "123", "--time-limit", "60", *shared(place)]
    assert run(["--quiet", "audit", *words]) == 4
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "found none of them"),
        (["--generator", "mst", "--synthetic", "x.csv"], "found --synthetic and --generator"),
        (["--generator", "mst"], "--generator needs --epsilon"),
        (["--generator", "mst", "--epsilon", "1", "--training", "x.csv"], "no use for --training"),
        (["--generator", "mst", "--epsilon", "1", "--internal", "x"], "no use for --internal"),
        (["--generator", "nonsense", "--epsilon", "1"], 'no generator "nonsense"'),
        (["--generator", "mst", "--epsilon", "-1"], "epsilon must be above zero"),
        (["--generator", "mst", "--epsilon", "much"], "epsilon must be a positive number"),
        (["--synthetic", "x.csv"], "--synthetic needs --holdout and --training"),
        (["--synthetic", "x.csv", "--training", "x.csv", "--holdout", "x.csv", "--rows", "3"], "no use for --rows"),
        (
            ["--synthetic", "x.csv", "--training", "x.csv", "--holdout", "x.csv", "--internal", "."],
            "exists; choose a new folder for --internal",
        ),
        (["--function", "x.py:f"], "--function needs --training"),
        (["--function", "x.py:f", "--training", "x.csv", "--time-limit", "3"], "no use for --time-limit"),
        (["--function", "nowhere.py:f", "--training", "x.csv"], "no file nowhere.py"),
        (["--command", "prog", "--training", "x.csv"], "does not name {training}"),
        (["--function", "x.py:f", "--training", "x.csv", "--rows", "0"], "greater than or equal to 1"),
        (["--generator", "mst", "--epsilon", "1", "--max-rows", "0"], "greater than or equal to 1"),
        (["--generator", "mst", "--epsilon", "1", "--plan", "nonsense"], 'no audit plan "nonsense"'),
        (["--generator", "mst", "--epsilon", "1", "--out", "."], "exists; choose a new folder for --out"),
        (["--generator", "mst", "--epsilon", "1", "--out", "no/where"], "is not a folder"),
    ],
)
def test_mistakes_are_found_first_and_said(place, tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    plan = [] if "--plan" in words else ["--plan", "quick"]
    assert run(["audit", "--schema", str(place / "schema.toml"), *plan, *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_attack_in_a_plan_is_refused(place, tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(
        AUDITS.joinpath("quick.toml").read_text().replace('"singling_out"', '"telepathy"')
    )
    words = ["audit", "--generator", "mst", "--epsilon", "1", "--schema", str(place / "schema.toml")]
    assert run([*words, "--plan", str(tmp_path / "plan.toml")]) == 2
    assert "telepathy" in capsys.readouterr().err


CELLS = {"age": "987654321x", "ward": PLANTED, "sex": "", "readmitted": "maybe"}


@pytest.mark.parametrize("column", CELLS)
def test_a_synthetic_table_that_does_not_fit_is_refused_by_column(place, tmp_path, capsys, column):
    table = clinic.rows(patients=30)
    table[3][clinic.HEADER.index(column)] = CELLS[column]
    schema = (
        clinic.SCHEMA.replace('other = "A & E"\n', "").replace('missing = ["?"]\n', "").replace('"M"]', '"M", "?"]')
    )
    clinic.write(tmp_path, table=table, schema=schema)
    words = attacked(place, tmp_path / "clinic.csv", "--out", tmp_path / "page", "--internal", tmp_path / "figures")
    words[words.index("--schema") + 1] = str(tmp_path / "schema.toml")
    assert run(words) == 2
    shown = capsys.readouterr().err
    assert f'"{column}"' in shown
    assert "987654321" not in shown
    assert PLANTED not in shown
    assert not (tmp_path / "page").exists()
    assert not (tmp_path / "figures").exists()


def test_other_columns_and_other_values_are_refused(place, tmp_path, capsys):
    lines = (place / "other" / "clinic.csv").read_text().splitlines()
    (tmp_path / "fewer.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert run(attacked(place, tmp_path / "fewer.csv")) == 2
    assert 'lacks column "readmitted"' in capsys.readouterr().err
    schema = '[table]\nname = "t"\n[columns.x]\nkind = "integer"\nlower = 0\nupper = 9\n'
    (tmp_path / "schema.toml").write_text(schema)
    for name, values in {"training": range(5), "holdout": range(5), "synthetic": range(5, 10)}.items():
        (tmp_path / f"{name}.csv").write_text("x\n" + "".join(f"{value}\n" for value in values))
    assert run(attacked(tmp_path, tmp_path / "synthetic.csv", "--out", tmp_path / "page")) == 4
    assert "shares no value with the training table" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_schema_with_something_to_buy_is_refused(tmp_path, capsys):
    (tmp_path / "schema.toml").write_text('[table]\nname = "t"\n[columns.x]\nkind = "category"\nbuy = true\n')
    words = ["audit", "--generator", "mst", "--epsilon", "1", "--schema", str(tmp_path / "schema.toml")]
    assert run([*words, "--plan", "quick"]) == 4
    assert "nothing left to buy" in capsys.readouterr().err


def test_a_table_too_small_to_split_is_refused(place, tmp_path, capsys):
    clinic.write(tmp_path, table=clinic.rows(patients=1))
    words = ["audit", "--function", f"{place / 'copy.py'}:generate", "--training", str(tmp_path / "clinic.csv")]
    assert run([*words, *shared(place)]) == 4
    assert "too few people" in capsys.readouterr().err


def audited(place, *source):
    return ["audit", *source, "--training", str(place / "clinic.csv"), *shared(place)]


def test_a_holdout_that_shares_rows_with_the_training_table_is_refused(place, tmp_path, capsys):
    header, *known = (place / "training.csv").read_text().splitlines()
    others = (place / "holdout.csv").read_text().splitlines()[1:]
    (tmp_path / "holdout.csv").write_text("\n".join([header, *others, *known[:5]]) + "\n")
    words = attacked(
        place, place / "other" / "clinic.csv", "--out", tmp_path / "page", "--internal", tmp_path / "figures"
    )
    words[words.index("--holdout") + 1] = str(tmp_path / "holdout.csv")
    assert run(words) == 4
    shown = capsys.readouterr()
    assert "somebody is among the members and among the controls" in shown.err
    assert PLANTED not in shown.out + shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["holdout.csv"]


def test_too_few_people_are_inconclusive_and_it_is_said_how_many_it_takes(place, tmp_path, capsys):
    for name in ("training", "holdout"):
        lines = (place / f"{name}.csv").read_text().splitlines()
        (tmp_path / f"{name}.csv").write_text("\n".join(lines[:60]) + "\n")
    tables = ["--training", str(tmp_path / "training.csv"), "--holdout", str(tmp_path / "holdout.csv")]
    words = ["audit", "--synthetic", str(place / "other" / "clinic.csv"), *tables, *shared(place)]
    assert run(["--quiet", "--json", *words]) == 4
    shown = capsys.readouterr()
    rows = [row for row in json.loads(shown.out)["rows"] if not row["check"].startswith("control")]
    assert {row["verdict"] for row in rows} == {"INCONCLUSIVE"}
    assert all(re.search(r"[0-9,]+ people", row["meaning"]) for row in rows), [row["meaning"] for row in rows]
    assert "INCONCLUSIVE: do not release" in shown.err


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (f"raise ValueError({PLANTED!r} + str(training.iloc[0]))", "broke off (ValueError); its text is withheld"),
        ("return None", "expected"),
        (f"print(training.to_csv(), {PLANTED!r}); return 7", "expected"),
        ("return training.drop(columns=['age'])", 'lacks column "age"'),
        ("return training.head(0)", "row"),
        (f"return training.assign(charge={PLANTED!r})", '"charge"'),
    ],
)
def test_a_function_that_goes_wrong_ends_the_audit_and_tells_no_value(place, tmp_path, capsys, body, says):
    (tmp_path / "own.py").write_text(f"def generate(training, rows):\n    {body}\n")
    out = ["--out", str(tmp_path / "page"), "--internal", str(tmp_path / "figures")]
    assert run([*audited(place, "--function", f"{tmp_path / 'own.py'}:generate"), *out]) == 4
    shown = capsys.readouterr()
    assert says in shown.err
    assert PLANTED not in shown.out + shown.err
    assert {path.name for path in tmp_path.iterdir()} <= {"own.py", "__pycache__"}


def test_a_command_that_hangs_is_ended(place, tmp_path, capsys):
    command = f"{sys.executable} -c 'import time; time.sleep(600)' {{training}} {{synthetic}}"
    words = [*audited(place, "--command", command), "--time-limit", "0.5", "--out", str(tmp_path / "page")]
    assert run(words) == 4
    assert "took longer than 0.5 seconds" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_made_up_tables_are_other_ones_every_time():
    """Whatever the seed of the plan: else a generator could know them again."""
    seen = []

    def noted(training, rows):
        seen.append(training.to_csv())
        raise ValueError

    def tables(**more):
        seen.clear()
        with pytest.raises(AuditError):
            api.audit_function(
                noted,
                pandas.DataFrame({"x": [0, 1] * 50, "y": [1, 0] * 50}),
                schema=Schema.loads(
                    '[table]\nname = "t"\n'
                    '[columns.x]\nkind = "integer"\nlower = 0\nupper = 999\n'
                    '[columns.y]\nkind = "integer"\nlower = 0\nupper = 999\n'
                ),
                epsilon=1,
                plan="quick",
                rng=np.random.default_rng(1),
                **more,
            )
        return list(seen)

    assert tables() != tables()
    assert tables(made_up=np.random.default_rng(2)) == tables(made_up=np.random.default_rng(2)) != []
