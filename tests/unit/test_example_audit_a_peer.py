"""The example that audits a peer: its function keeps the adapter's contract, with a stand-in for the peer's library."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from privsynth import records
from privsynth.black_box.adapter import Adapter
from privsynth.errors import AuditError
from privsynth.schema import Schema

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "audit_a_peer"


class Describer:
    """Keeps the table's path and the seed, and what it was told of the columns."""

    seen: dict = {}  # noqa: RUF012 - shared with the test

    def describe_dataset_in_correlated_attribute_mode(self, path, k, epsilon, attribute_to_is_categorical, seed):
        self.description = {"rows": pd.read_csv(path).to_dict("list"), "seed": seed}
        Describer.seen = {"k": k, "epsilon": epsilon, "labels": set(attribute_to_is_categorical)}

    def save_dataset_description_to_file(self, path):
        Path(path).write_text(json.dumps(self.description))


class Generator:
    """Shuffles each column, and gives amounts as fractions, as the library does."""

    def generate_dataset_in_correlated_attribute_mode(self, rows, path, seed):
        description = json.loads(Path(path).read_text())
        assert description["seed"] == seed
        rng = np.random.default_rng(seed)
        self.synthetic_dataset = pd.DataFrame(
            {name: rng.choice(values, rows) for name, values in description["rows"].items()}
        )
        self.synthetic_dataset["LIMIT_BAL"] += 0.25


@pytest.fixture
def stand_in(monkeypatch):
    for name, members in (("DataDescriber", Describer), ("DataGenerator", Generator)):
        module = ModuleType(f"DataSynthesizer.{name}")
        setattr(module, name, members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "DataSynthesizer", ModuleType("DataSynthesizer"))


@pytest.fixture(scope="module")
def training():
    schema = Schema.load(EXAMPLE / "schema.toml")
    return records.read(ROOT / "examples" / "credit_default" / "clients.csv.gz", schema).open().take(slice(200))


def test_the_function_fits_and_releases(stand_in, training):
    released = Adapter.of_function(f"{EXAMPLE / 'generate.py'}:generate").release(training, 50)
    assert released.rows == 50
    assert set(released.ticks["AGE"]) <= set(training.ticks["AGE"])
    assert Describer.seen["k"] == 1
    assert Describer.seen["epsilon"] == 1
    assert Describer.seen["labels"] == {"SEX", "EDUCATION", "MARRIAGE", "default.payment.next.month"}


def test_without_the_library_it_says_what_is_missing(monkeypatch, training):
    monkeypatch.setitem(sys.modules, "DataSynthesizer", None)
    with pytest.raises(AuditError, match=r"DataSynthesizer.*which is not installed"):
        Adapter.of_function(f"{EXAMPLE / 'generate.py'}:generate").release(training, 50)


def test_its_readme_names_options_and_files_that_exist():
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for name in ("generate.py", "schema.toml"):
        assert name in readme
    assert "--command" in readme
    assert "--function" in readme
