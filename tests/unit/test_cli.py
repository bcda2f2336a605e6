"""The command line: every verb from end to end, its exit codes, and that no failure shows a private value."""

import json
import re

import pytest

from privsynth.cli import run
from tests import clinic

PLANTED = "UNMISTAKABLE-4711"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    clinic.write(folder, table=clinic.rows(secret=PLANTED))
    assert run(["--quiet", "keys", "new", str(folder / "key.pem"), "--trust", str(folder / "trust.toml")]) == 0
    return folder


def words(place, verb, *more):
    shared = [str(place / "clinic.csv"), "--schema", str(place / "schema.toml"), "--policy", str(place / "policy.toml")]
    return [verb, *shared, "--ledger", str(place / "ledger" / "ledger.sqlite3"), *map(str, more)]


@pytest.fixture(scope="module")
def released(place):
    with pytest.MonkeyPatch.context() as patch:
        clinic.widen_limits(patch.setattr)
        assert run(["--quiet", *words(place, "release", "--key", place / "key.pem", "--out", place / "release")]) == 0
    return place / "release"


def test_version_and_help(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("privsynth ")
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in ("draft", "quote", "release", "audit", "verify", "ledger", "policy", "keys"):
        assert verb in shown
    assert "0 done" in shown


def test_release_then_verify_then_ledger(place, released, capsys):
    assert run(["verify", str(released), "--trust", str(place / "trust.toml")]) == 0
    assert "verified" in capsys.readouterr().out
    assert run(["--json", "verify", str(released), "--trust", str(place / "trust.toml")]) == 0
    assert json.loads(capsys.readouterr().out)["predicate"]["decision"] == "PASSED"
    ledger = ["--ledger", str(place / "ledger" / "ledger.sqlite3")]
    assert run(["ledger", "show", *ledger]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"clinic: epsilon [\d.]+ of 10 spent", shown)
    assert "A release promises the epsilon of its certificate." in shown
    assert run(["ledger", "verify", *ledger]) == 0
    assert "whole" in capsys.readouterr().out
    assert run(["--json", "ledger", "show", *ledger]) == 0
    assert json.loads(capsys.readouterr().out)["entries"][-1]["kind"] == "commit"


def test_a_changed_file_fails_verification(place, released, capsys, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(released, copy)
    (copy / "data.csv").write_text("changed")
    assert run(["verify", str(copy), "--trust", str(place / "trust.toml")]) == 5
    assert "data.csv" in capsys.readouterr().err


def test_quote_spends_nothing_and_says_the_split(place, capsys, tmp_path):
    arguments = words(place, "quote")
    arguments[arguments.index("--ledger") + 1] = str(tmp_path / "fresh" / "ledger.sqlite3")
    assert run(["--quiet", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "nothing was spent" in shown
    assert "100% of the budget" in shown
    assert run(["--json", "--quiet", *arguments]) == 0
    quoted = json.loads(capsys.readouterr().out)
    assert quoted["release"]["admitted"]
    assert quoted["lifetime"]["spentEpsilon"] == "0"


def test_draft_holds_names_and_no_values(place, capsys):
    assert run(["draft", str(place / "clinic.csv")]) == 0
    shown = capsys.readouterr().out
    assert "[columns.ward]" in shown
    for value in (PLANTED, "Maternity", "5000"):
        assert value not in shown


def test_policy_check_and_diff(place, capsys):
    assert run(["policy", "check", str(place / "policy.toml"), "--schema", str(place / "schema.toml")]) == 0
    assert "clinic" in capsys.readouterr().out
    assert run(["policy", "diff", "internal-research", "public-release"]) == 0
    assert "tightened" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["release"], 2),
        (["nonsense"], 2),
        (["verify", "nowhere", "--trust", "nowhere.toml"], 2),
        (["policy", "check", "nowhere.toml"], 2),
        (["draft", "nowhere.csv"], 2),
    ],
)
def test_bad_arguments_have_their_exit_code_and_a_message(arguments, code, capsys):
    assert run(arguments) == code
    assert capsys.readouterr().err.strip()


CELLS = {
    "age": [PLANTED, "987654321", "nan", "inf", "-1", "12.5"],
    "charge": [PLANTED, "987654321.99", "NaN", "1e999"],
    "ward": [PLANTED, "=cmd()", "\u202eevil"],
    "readmitted": [PLANTED, "maybe"],
    "sex": [PLANTED],
}


@pytest.mark.parametrize(("column", "cell"), [(column, cell) for column, cells in CELLS.items() for cell in cells])
def test_a_bad_cell_is_refused_by_column_and_never_shown(place, tmp_path, capsys, column, cell):
    table = clinic.rows(patients=40, secret=PLANTED)
    table[7][clinic.HEADER.index(column)] = cell
    policy = clinic.POLICY.replace("[audit]", '[records]\nout_of_domain = "refuse"\n[audit]')
    clinic.write(tmp_path, table=table, policy=policy)
    arguments = words(tmp_path, "release", "--key", place / "key.pem", "--out", tmp_path / "out")
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert f'"{column}"' in shown.err
    for private in (PLANTED, "987654321", "cmd()", "evil", "maybe"):
        assert private not in shown.out + shown.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinic.csv", "policy.toml", "schema.toml"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--out", "no/such/out"),
        ("--out", "clinic.csv"),
        ("--generator", "foo"),
        ("--key", "no.pem"),
        ("--schema", "no.toml"),
    ],
)
def test_a_refused_release_leaves_nothing_not_even_a_ledger(place, tmp_path, capsys, wrong):
    clinic.write(tmp_path, table=clinic.rows(patients=40, secret=PLANTED))
    before = sorted(tmp_path.iterdir())
    given = words(tmp_path, "release", "--key", place / "key.pem", "--out", tmp_path / "out")[2:]
    asked = dict(zip(given[::2], given[1::2], strict=True))
    option, value = wrong
    asked[option] = value if option == "--generator" else str(tmp_path / value)
    assert run(["release", str(tmp_path / "clinic.csv"), *(word for pair in asked.items() for word in pair)]) in {2, 3}
    assert "error" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_an_unexpected_failure_shows_its_place_and_not_its_text(monkeypatch, capsys, place):
    from privsynth import api

    monkeypatch.setattr(api, "draft", lambda _: (_ for _ in ()).throw(KeyError(PLANTED)))
    assert run(["draft", str(place / "clinic.csv")]) == 1
    shown = capsys.readouterr().err
    assert "KeyError" in shown
    assert PLANTED not in shown


def test_a_mistyped_ledger_is_not_made_by_looking(tmp_path, capsys):
    for verb in (["ledger", "show"], ["ledger", "verify"]):
        assert run([*verb, "--ledger", str(tmp_path / "typo" / "ledger.sqlite3")]) == 3
        assert "no ledger at" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_expired_policy_does_not_check(place, tmp_path, capsys):
    (tmp_path / "old.toml").write_text(clinic.POLICY.replace("2036-12-31", "2020-01-01"))
    assert run(["policy", "check", str(tmp_path / "old.toml")]) == 3


def test_a_role_that_did_not_sign_fails_verification(place, released, capsys):
    trust = ["--trust", str(place / "trust.toml")]
    assert run(["verify", str(released), *trust, "--role", "machine"]) == 0
    assert run(["verify", str(released), *trust, "--role", "privacy-officer"]) == 5


@pytest.mark.parametrize(("verb", "says"), [("draft", "from the beginning"), ("release", "ledger show")])
def test_an_interrupted_command_says_what_became_of_it(monkeypatch, capsys, place, verb, says):
    from privsynth import api

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, verb, interrupted)
    more = ["--key", place / "key.pem", "--out", place / "never"]
    assert (
        run(["--quiet", *(words(place, verb, *more) if verb == "release" else [verb, str(place / "clinic.csv")])]) == 1
    )
    shown = capsys.readouterr().err
    assert says in shown


def test_a_bad_question_is_named_before_any_is_answered(released, capsys, monkeypatch):
    from privsynth.model import Model

    monkeypatch.setattr(Model, "answer", lambda *_: pytest.fail("answered"))
    assert run(["answer", str(released), "count", "mean nonsense"]) == 2
    assert "question 2 of 2: " in capsys.readouterr().err


def test_a_saved_model_that_is_asked_is_told_for_what_it_is(tmp_path, capsys):
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    assert run(["answer", str(tmp_path), "count"]) == 2
    assert "is a saved model" in capsys.readouterr().err
