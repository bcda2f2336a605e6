"""Models of histories: drawn databases obey their rules and link, saved ones come back the same, what they cost is stated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from privsynth.database import reading
from privsynth.errors import InputError, MechanismError, OutputError
from privsynth.histories import across
from privsynth.histories.history_model import HistoryModel, HistorySample, fit_history
from privsynth.model import Model
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.private import Private
from tests import made_database


@pytest.fixture(scope="module")
def model() -> HistoryModel:
    database = made_database.clinic(600, np.random.default_rng(0))
    return fit_history(Private(database), epsilon="4", delta="1e-6", noise=UnsafeSeededNoise(1))


@pytest.fixture(scope="module")
def sample(model: HistoryModel) -> HistorySample:
    return model.draw(rng=np.random.default_rng(2))


@pytest.fixture(scope="module")
def saved(model: HistoryModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "clinic"
    model.save(folder)
    return folder


def test_a_fit_says_what_it_cost_and_for_whom(model: HistoryModel) -> None:
    assert model.generator == "latent_class"
    assert 0 < model.guarantee.epsilon <= 4
    assert model.guarantee.unit.name == "patients"
    model.guarantee.require_covers(model.transcript)
    assert "uncertified" in repr(model)
    assert model.used == {"patients": 1, "stays": 6, "diagnoses": 8}
    assert 500 < model.units < 700


def test_drawn_databases_break_no_rule(sample: HistorySample) -> None:
    assert not any(mask.any() for mask in across.broken(sample.database.schema, sample.database).values())
    assert min(sample.repaired.values()) >= 0


def test_keys_link_and_what_was_drawn_reads_as_a_database_of_its_schema(sample: HistorySample) -> None:
    patients, stays = sample.tables["patients"], sample.tables["stays"]
    assert set(stays["patient_id"].to_pylist()) <= set(patients["patient_id"].to_pylist())
    assert len(set(stays["stay_id"].to_pylist())) == stays.num_rows
    again = reading.read_public(dict(sample.tables), sample.database.schema)
    for name, rows in sample.database.tables.items():
        assert again.tables[name].count == rows.count
    assert "age" in stays.column_names


def test_the_number_of_units_can_be_asked_for(model: HistoryModel) -> None:
    drawn = model.draw(50, rng=np.random.default_rng(3))
    left_out = drawn.repaired["patients: rows left out"]
    assert drawn.database.units == drawn.tables["patients"].num_rows == 50 - left_out
    assert set(model.sample(3, rng=np.random.default_rng(3))) == {"patients", "stays", "diagnoses"}
    for wrong in (0, True, 2.5):
        with pytest.raises(InputError, match="n is a whole number"):
            model.draw(wrong, rng=np.random.default_rng(3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rng must be"):
        model.draw(5, rng=7)  # type: ignore[arg-type]


def test_a_saved_model_draws_the_same_database(model: HistoryModel, saved: Path) -> None:
    again = HistoryModel.load(saved)
    one, other = (each.draw(80, rng=np.random.default_rng(4)).tables for each in (model, again))
    assert {name: table.to_pydict() for name, table in one.items()} == {
        name: table.to_pydict() for name, table in other.items()
    }
    assert (again.guarantee, again.used, again.generator) == (model.guarantee, model.used, model.generator)
    assert [len(part) for part in again.transcripts.values()] == [len(part) for part in model.transcripts.values()]
    with pytest.raises(OutputError, match="exists"):
        model.save(saved)


@pytest.mark.parametrize("damage", ["format", "guarantee", "arrays", "used"])
def test_damaged_models_are_refused(saved: Path, damage: str, tmp_path: Path) -> None:
    document = json.loads((saved / "model.json").read_text())
    content = (saved / "model.safetensors").read_bytes()
    match damage:
        case "format":
            document["format"] = "another/1"
        case "guarantee":
            document["guarantee"]["rho"] = "1/1000000"
        case "arrays":
            content = content[:-8] + bytes(8)
        case _:
            del document["used"]["stays"]
    (tmp_path / "model.json").write_text(json.dumps(document))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError):
        HistoryModel.load(tmp_path)


def test_a_model_of_another_kind_says_what_reads_it(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of several tables; read it with ps\.HistoryModel\.load$"):
        Model.load(saved)
    (tmp_path / "model.json").write_text(json.dumps({"format": "privsynth-model/2"}))
    with pytest.raises(InputError, match=r"of one table; read it with ps\.Model\.load$"):
        HistoryModel.load(tmp_path)


def test_no_model_no_generator_that_trains(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        HistoryModel.load(tmp_path / "nothing")


@pytest.mark.parametrize("generator", ["independent", "mst"])
def test_every_generator_of_tables_will_do(generator: str) -> None:
    database = made_database.bank(150, np.random.default_rng(5))
    fitted = fit_history(
        Private(database), epsilon="200", delta="1e-6", noise=UnsafeSeededNoise(6), generator=generator
    )
    drawn = fitted.draw(60, rng=np.random.default_rng(7))
    exact = fitted.distributions["accounts"].draw_each(
        {"customers.region": np.zeros(9, dtype=np.int64)}, ["opened"], np.random.default_rng(8)
    )
    if generator == "independent":
        assert exact is not None
        assert exact["opened"].shape == (9,)
        assert exact["opened"].max() < 5
    else:
        assert exact is None
    assert not any(mask.any() for mask in across.broken(database.schema, drawn.database).values())
    with pytest.raises(MechanismError):
        fit_history(Private(database), epsilon="200", delta="1e-6", noise=UnsafeSeededNoise(6), generator="vae")
