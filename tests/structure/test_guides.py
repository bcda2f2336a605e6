"""The guides of docs/guides say what is so: their commands run, in order, on a part of the example table."""

import csv
import gzip
import io
import os
import re
import shlex
import shutil
from contextlib import redirect_stdout
from itertools import islice
from pathlib import Path

import pytest

from tests.clinic import pass_every_audit

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
CARDS = ROOT / "examples" / "credit_default"
ROWS = 2000
DROPPED = [f"{name}{month}" for name in ("PAY_", "BILL_AMT", "PAY_AMT") for month in range(1, 7)]
SLOW = ("audit",)
"""Verbs whose run takes minutes: they are tried with --help here, and in their own tests."""


def commands(path):
    """Every `$ ...` line of the console blocks, as words, with the file its output goes to."""
    blocks = re.findall(r"```console\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line.partition(" > ")[0]) for line in lines]


def blocks_of_python(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def run(words):
    from privsynth.cli import run as privsynth

    said = io.StringIO()
    with redirect_stdout(said):
        code = privsynth(words)
    return code, said.getvalue()


def cut(there):
    """The example's first rows, and seven of its columns: a fit of all of them takes its time."""
    parts = re.split(r"(?m)^(?=\[)", (CARDS / "schema.toml").read_text(encoding="utf-8"))
    dropped = tuple(f"[columns.{name}]" for name in DROPPED)
    kept = [part for part in parts if not part.startswith((*dropped, "[[rules]]"))]
    (there / "schema.toml").write_text("".join(kept), encoding="utf-8")
    with gzip.open(CARDS / "clients.csv.gz", "rt", newline="") as source:
        rows = list(islice(csv.DictReader(source), ROWS))
    names = [name for name in rows[0] if name not in DROPPED]
    with gzip.open(there / "clients.csv.gz", "wt", newline="") as part:
        writer = csv.DictWriter(part, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the example's files, its table cut, in which the data scientist's commands have been run."""
    folder = tmp_path_factory.mktemp("guides")
    there = folder / "examples" / "credit_default"
    there.mkdir(parents=True)
    shutil.copy(CARDS / "policy.toml", there / "policy.toml")
    cut(there)
    before = Path.cwd()
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        pass_every_audit(patch.setattr)  # the audit has its own tests, and would take a minute
        yield folder, [(words, *run(words[1:])) for words in commands(ROOT / "docs/guides/data-scientist.md")]
    os.chdir(before)


def test_there_is_one_for_each_user():
    assert [path.stem for path in GUIDES] == ["data-scientist", "privacy-officer", "researcher"]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_command_it_names_exists_with_its_options(path, capsys):
    from privsynth.cli import run as privsynth

    for words in commands(path):
        assert words[0] == "privsynth"
        verb = words[1 : 3 if words[1] in {"policy", "ledger", "keys"} else 2]
        capsys.readouterr()
        assert privsynth([*verb, "--help"]) == 0, words
        told = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in told, words


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_it_is_short_and_says_what_is_not_promised(path):
    text = path.read_text(encoding="utf-8")
    assert "## What is not promised" in text
    assert len(text.splitlines()) <= 90
    for named in re.findall(r"`((?:docs|examples)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


def test_the_data_scientists_commands_run_in_order(place):
    folder, done = place
    assert [(words[1], code) for words, code, _ in done] == [
        (verb, 0) for verb in ("draft", "policy", "keys", "quote", "release", "verify", "evaluate")
    ]
    assert (folder / "release" / "report.html").exists()
    assert (folder / "internal-evaluation").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", [path for path in GUIDES if path.stem != "data-scientist"], ids=lambda path: path.stem)
def test_the_others_commands_run_on_what_they_were_given(path, place):
    assert place
    for words in commands(path):
        if words[1] in SLOW:
            continue
        code, said = run(words[1:])
        assert code == 0, (words, said)
        if words[1] == "answer":
            assert "90% interval" in said


def test_the_researchers_python_runs(place, capsys):
    assert place
    for block in blocks_of_python(ROOT / "docs/guides/researcher.md"):
        names: dict[str, object] = {}
        exec(compile(block, "researcher.md", "exec"), names)  # noqa: S102 - it is our own page
        assert names["rows"].num_rows == 500
        assert set(names["rows"]["SEX"].to_pylist()) == {"2"}
    assert "regression of default.payment.next.month" in capsys.readouterr().out
