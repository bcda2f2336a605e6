"""Questions about one of several tables: whom answers are of, what cannot be asked, and that intervals hold what is meant."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.database.held import Database
from privsynth.errors import InputError, SchemaError
from privsynth.histories import asking
from privsynth.histories.history_model import HistoryModel, fit_history
from privsynth.histories.layout import views
from privsynth.histories.spans import size_levels
from privsynth.measurement import measurements
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.private import Private
from privsynth.schema.levels import levels
from tests import made_database


@pytest.fixture(scope="module")
def database() -> Database:
    return made_database.clinic(2500, np.random.default_rng(0))


@pytest.fixture(scope="module")
def model(database: Database) -> HistoryModel:
    return fit_history(
        Private(database), epsilon="8", delta="1e-6", noise=UnsafeSeededNoise(1), settings={"components": 40},
        generator="latent_class",
    )  # fmt: skip


@pytest.fixture(scope="module")
def bank() -> HistoryModel:
    found = made_database.bank(400, np.random.default_rng(5))
    return fit_history(Private(found), epsilon="40", delta="1e-6", noise=UnsafeSeededNoise(6), generator="independent")


def test_the_units_own_table_is_asked_as_one_table_is(model: HistoryModel, database: Database) -> None:
    patients = database.tables["patients"].records
    assert patients is not None
    women = int((patients.ticks["sex"] == 0).sum())
    found = model.answer("count where sex == F")
    assert found.lower <= women <= found.upper
    assert found.upper - found.lower < 200
    assert found.unit == f"of about {found.records:,.0f} patients that were measured"
    assert found.notes == ()
    assert model.answer("share where sex == F").unit == "of the patients"
    assert model.error("patients", ("sex", "death")).l1 is not None


def test_numbers_of_child_rows_are_a_column_of_the_table_above(model: HistoryModel, database: Database) -> None:
    counts = np.minimum(np.bincount(database.tables["stays"].unit, minlength=database.units), 6)
    found = model.answer("mean count.stays", "patients")
    assert found.lower <= counts.mean() <= found.upper
    assert found.upper - found.lower < 0.5
    assert found.notes == ("more than 6 rows count as 6 in count.stays",)


def test_each_unit_counts_the_same_whatever_it_owns(model: HistoryModel, database: Database) -> None:
    stays = database.tables["stays"]
    assert stays.records is not None
    in_b = stays.records.ticks["ward"] == 1
    alike = np.average(in_b, weights=1 / np.bincount(stays.unit)[stays.unit])
    found = model.answer("share where ward == B", "stays")
    assert found.lower <= alike <= found.upper
    assert found.upper < in_b.mean(), "rows alike is another number: men have more stays, and are in B"
    assert "each of the patients with rows in stays counts the same here" in found.notes[0]
    assert "at most 6 rows of each of the patients were measured, drawn at random" in found.notes[0]
    assert found.unit == "of the rows in stays"


def test_columns_above_are_asked_together_with_a_tables_own(model: HistoryModel, database: Database) -> None:
    stays, patients = database.tables["stays"], database.tables["patients"]
    assert stays.records is not None
    assert patients.records is not None
    man, in_b = patients.records.ticks["sex"][stays.unit] == 1, stays.records.ticks["ward"] == 1
    truth = np.average(in_b[man], weights=1 / np.bincount(stays.unit)[stays.unit][man])
    found = model.answer("share where ward == B given patients.sex == M", "stays")
    assert found.lower <= truth <= found.upper
    assert found.unit == "of the rows in stays for which what is given holds"
    with pytest.raises(InputError, match=r'"patients\.sex" stands in table "patients": ask about it there'):
        model.answer("share where patients.sex == M", "stays")
    with pytest.raises(InputError, match="stands in table"):
        model.error("stays", ("patients.sex", "patients.death"))


def test_columns_that_are_badly_known_together_are_said_to_be() -> None:
    few = made_database.clinic(800, np.random.default_rng(5))
    badly = fit_history(
        Private(few), epsilon="2", delta="1e-6", noise=UnsafeSeededNoise(6), settings={"components": 20},
        generator="latent_class",
    )  # fmt: skip
    off = badly.error("stays", ("ward", "patients.sex")).l1
    assert off is not None
    assert off / 2 > 0.1
    share = badly.answer("share where ward == B given patients.sex == M", "stays")
    (said,) = [note for note in share.notes if "wrong" in note]
    assert said.startswith(f'the table of "ward" and "patients.sex" is expected to be {off / 2:.0%} wrong')


def test_columns_that_are_well_known_together_need_no_warning(model: HistoryModel) -> None:
    off = model.error("stays", ("ward", "patients.sex")).l1
    assert off is not None
    assert off / 2 < 0.1
    found = model.answer("share where ward == B given patients.sex == M", "stays")
    assert not any("wrong" in note for note in found.notes)


def test_correlations_are_of_the_units_own_table(bank: HistoryModel) -> None:
    with pytest.raises(InputError, match="their 90 % intervals held as seldom as seven times in ten"):
        bank.answer("correlation amount, accounts.opening", "transactions")


def test_rows_whose_units_count_alike_are_not_counted(model: HistoryModel) -> None:
    with pytest.raises(InputError, match=r'rows of "stays" are not counted.*"mean count\.stays" of table "patients"'):
        model.answer("count where ward == B", "stays")
    with pytest.raises(InputError, match=r'of table "stays".*\(each of the patients counting the same\)'):
        model.answer("count", "diagnoses")


@pytest.mark.parametrize(
    ("table", "name"),
    [("stays", "gap"), ("stays", "previous.ward"), ("stays", "patients.count.stays"), ("patients", "first.stays"),
     ("patients", "count.diagnoses"), ("diagnoses", "stays.ward")],
)  # fmt: skip
def test_what_rows_are_drawn_by_is_nothing_to_ask_for(model: HistoryModel, table: str, name: str) -> None:
    with pytest.raises(SchemaError, match=f'"{name}" is what rows are drawn by'):
        model.answer(f"share where {name} == 1", table)
    with pytest.raises(InputError, match=f'has no "{name}" to ask for'):
        model.error(table, (name,))


def test_what_is_not_there_is_said(model: HistoryModel) -> None:
    with pytest.raises(
        InputError, match='there is no table "visits"; ask about one of "patients", "stays", "diagnoses"'
    ):
        model.answer("count", "visits")
    with pytest.raises(SchemaError, match="there is no column") as caught:
        model.answer("mean nothing", "stays")
    assert "drawn by" not in str(caught.value)
    with pytest.raises(SchemaError, match="identifier"):
        model.answer("share where stay_id == 1", "stays")
    with pytest.raises(InputError, match="a clique is a tuple"):
        model.error("stays", "ward")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="named twice"):
        model.error("stays", ("ward", "ward"))


def test_a_count_column_has_the_levels_that_were_measured() -> None:
    for most in (1, 5, 16, 17, 40, 500):
        toml = made_database.CLINIC_TOML.replace("bound = {rows = 6}", f"bound = {{rows = 6, most = {most}}}")
        schema = made_database.DatabaseSchema.loads(toml)
        column = asking.asked_of(schema, "patients").columns.modelled_column("count.stays")
        assert levels(column).starts.tolist() == size_levels(most).starts.tolist()
        assert levels(column).upper == most


def test_columns_have_the_sizes_of_their_attributes(model: HistoryModel) -> None:
    for name, view in views(model.schema).items():
        columns = asking.asked_of(model.schema, name).columns
        assert columns.modelled
        for column in columns.modelled:
            assert levels(column).size == view.attribute(column.name).size


def test_rows_that_count_fully_are_counted(bank: HistoryModel) -> None:
    found = bank.answer("count where direction == in", "transactions")
    assert found.unit.endswith("rows in transactions that were measured")
    assert found.notes == (
        "each row counts the same; at most 16 rows of each of the customers were measured, the last ones: the "
        "answer is of these",
    )
    (table,) = [
        one for one in measurements(bank.transcripts["transactions"]) if one.clique == ("direction",)
    ][:1]  # fmt: skip
    assert found.lower < float(table.values[0]) < found.upper


def test_units_that_no_table_lists_are_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    events = made_database.events(300, np.random.default_rng(2))
    fitted = fit_history(
        Private(events), epsilon="40", delta="1e-6", noise=UnsafeSeededNoise(3), generator="independent"
    )
    found = fitted.answer("share where gender == f")
    assert found.notes == ("no table lists the patient: these are the ones who own a row in some table",)
    monkeypatch.setattr(asking, "views", lambda schema: {"tests": views(schema)["tests"]})
    with pytest.raises(InputError, match='of table "patient" nothing was measured; ask about one of "tests"'):
        asking.asked_of(events.schema, "patient")


def test_errors_are_told_in_units(model: HistoryModel) -> None:
    told = asking.errors_to_json(model.schema, model.distributions, model.transcripts)
    assert list(told) == ["patients", "stays", "diagnoses"]
    stays = told["stays"]
    assert isinstance(stays, dict)
    assert stays["records"] == round(model.distributions["stays"].total) < 2500
    known = model.error("stays", ("ward",))
    assert known.cell_count_90 is not None
    assert stays["columns"]["ward"]["cellRows90"] == pytest.approx(known.cell_count_90, abs=0.1)
    assert known.cell_count_90 < 100, "rows weigh 256 times as much before they are units"
