"""docs/scarce-data.md says what is so: its commands run, on few rows and columns of the example table, with a small model."""

import csv
import gzip
import os
import re
import shlex
from itertools import islice
from pathlib import Path

import pytest

import privsynth as ps
from privsynth.cli import run

ROOT = Path(__file__).resolve().parents[2]
STAYS = ROOT / "examples" / "hospital_stays"
KEPT = ("encounter_id", "patient_nbr", "race", "gender", "time_in_hospital", "number_inpatient", "readmitted")
ROWS = 900
SIZES = [word for size in (80, 120, 180, 270) for word in ("--size", str(size))]
CHEAPER = {
    "augment": ["--folds", "3", "--generator", "independent"],
    "scale": ["--seeds", "2", "--generator", "independent", *SIZES],
}


def commands():
    """Every `privsynth ...` line of the console blocks, as words."""
    page = (ROOT / "docs" / "scarce-data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("privsynth ")]


@pytest.fixture
def place(tmp_path):
    """A folder with a part of the example under the page's names, and a small model in the place of a release."""
    parts = re.split(r"(?m)^(?=\[)", (STAYS / "schema.toml").read_text(encoding="utf-8"))
    heads = ("[table]", "[use]", *(f"[columns.{name}]" for name in KEPT))
    (tmp_path / "stays.toml").write_text("".join(part for part in parts if part.startswith(heads)), encoding="utf-8")
    with gzip.open(STAYS / "encounters.csv.gz", "rt", newline="") as source:
        rows = list(islice(csv.DictReader(source), ROWS))
    with (tmp_path / "stays.csv").open("w", newline="") as part:
        writer = csv.DictWriter(part, KEPT, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    spent = {"epsilon": 5, "delta": "1e-6", "generator": "independent"}
    ps.fit(tmp_path / "stays.csv", tmp_path / "stays.toml", **spent).save(tmp_path / "release")
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_its_commands_run(place, capsys):
    done = []
    for number, words in enumerate(commands()):
        out = words.index("--out") + 1
        words[out] = f"{number}-{words[out]}"
        code = run([*words[1:], *CHEAPER[words[1]]])
        said = capsys.readouterr()
        assert code == 0, (words, said.err)
        assert (place / words[out]).stat().st_mode & 0o777 == 0o700
        done.append(words[1])
    assert done == ["augment", "augment", "scale", "scale"]
