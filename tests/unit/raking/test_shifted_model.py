"""A shifted model is a model: it draws, conditions, rebalances, tells its tables, and is saved as what it is."""

import json

import numpy as np
import pytest

import privsynth as ps
from privsynth import provenance
from privsynth.errors import FitError, InputError, RecordsError, SchemaError
from privsynth.model import FORMAT, SHIFTED_FORMAT
from tests import clinic

ONE_WAY = {"readmitted": {"yes": 0.6}, "age": {(60, 79): 0.5}}
PAIR = {("sex", "ward"): {("F", "Surgery, general"): 0.3, ("M", "Surgery, general"): 0.3}}


@pytest.fixture(scope="module")
def models():
    table = dict(zip(clinic.HEADER, map(list, zip(*clinic.rows(patients=800), strict=True)), strict=True))
    table = {name: [str(value) for value in values] for name, values in table.items()}
    schema = ps.Schema.loads(clinic.SCHEMA)
    names = ("independent", "mst", "latent_class")
    return {name: ps.fit(table, schema, generator=name, epsilon=3, delta=1e-6) for name in names}


def rng():
    return np.random.default_rng(3)


def shares(table):
    frame = table.to_pydict()
    age, sex, ward = np.array(frame["age"]), np.array(frame["sex"]), np.array(frame["ward"])
    surgery = ward == "Surgery, general"
    return {
        "yes": (np.array(frame["readmitted"]) == "yes").mean(),
        "old": ((age >= 60) & (age <= 79)).mean(),
        "F": (surgery & (sex == "F")).mean(),
        "M": (surgery & (sex == "M")).mean(),
    }


@pytest.mark.parametrize("name", ["independent", "mst", "latent_class"])
def test_rows_have_the_declared_shares(models, name):
    found = shares(models[name].shifted(ONE_WAY).sample(4000, rng=rng()))
    assert found["yes"] == pytest.approx(0.6, abs=0.02)
    assert found["old"] == pytest.approx(0.5, abs=0.02)
    found = shares(models[name].shifted(PAIR).sample(4000, rng=rng()))
    assert found["F"] == pytest.approx(0.3, abs=0.02)
    assert found["M"] == pytest.approx(0.3, abs=0.02)


def test_it_conditions_rebalances_and_projects(models):
    shifted = models["mst"].shifted(ONE_WAY)
    assert set(shifted.sample(50, rng=rng(), given={"sex": "F"}).to_pydict()["sex"]) == {"F"}
    even = shifted.sample(400, rng=rng(), rebalance="ward").to_pydict()["ward"]
    assert min(map(even.count, set(even))) >= 90
    table = shifted.project(("readmitted",))
    assert table[1] / table.sum() == pytest.approx(0.6)


def test_it_says_what_it_is_and_costs_nothing(models):
    model = models["mst"]
    shifted = model.shifted(ONE_WAY)
    assert "shifted" in repr(shifted)
    assert "shifted" not in repr(model)
    drawn = provenance.of(shifted.sample(5, rng=rng()))
    assert drawn.provenance.drawn == ("shifted",)
    assert shifted.guarantee == model.guarantee
    assert shifted.transcript is model.transcript
    assert not model.shifts
    for asked in (
        lambda: shifted.error(("age",)),
        shifted.pair_errors,
        lambda: shifted.answer("count where age >= 60"),
    ):
        with pytest.raises(InputError, match="not of a shifted model"):
            asked()
    with pytest.raises(InputError, match="make copies of the model that it was shifted from"):
        shifted.copies(3, rng=rng())
    assert model.error(("age",)).l1 is not None


@pytest.mark.parametrize("name", ["independent", "mst", "latent_class"])
@pytest.mark.parametrize("targets", [ONE_WAY, PAIR])
def test_it_is_saved_as_a_what_if(models, name, targets, tmp_path):
    shifted = models[name].shifted({"readmitted": {"yes": 0.5}}).shifted(targets)
    shifted.save(tmp_path / "model")
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert document["format"] == SHIFTED_FORMAT != FORMAT
    back = ps.Model.load(tmp_path / "model")
    assert len(back.shifts) == 2
    assert "shifted" in repr(back)
    for clique in (("age",), ("sex", "ward"), ("readmitted", "stay")):
        assert np.allclose(back.project(clique), shifted.project(clique))
    models[name].save(tmp_path / "plain")
    assert json.loads((tmp_path / "plain" / "model.json").read_text())["format"] == FORMAT
    assert not ps.Model.load(tmp_path / "plain").shifts


def test_a_what_if_whose_shifts_were_removed_is_not_read(models, tmp_path):
    models["mst"].shifted(ONE_WAY).save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    document = json.loads(file.read_text())
    del document["shifts"]
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match="not a readable model"):
        ps.Model.load(tmp_path / "model")


def test_a_what_if_is_no_table_that_can_be_released(models, tmp_path):
    with pytest.raises(RecordsError, match="cannot be read"):
        ps.fit(models["mst"].shifted(ONE_WAY), models["mst"].schema, epsilon=1, delta=1e-6)


def test_what_cannot_be_is_refused(models):
    with pytest.raises(SchemaError, match="add up to 1"):
        models["mst"].shifted({"readmitted": {"yes": 0.6, "no": 0.7}})
    with pytest.raises(FitError, match="cannot be met together"):
        models["mst"].shifted({"sex": {"F": 0.2}, ("sex", "ward"): {("F", "A & E"): 0.5}})


@pytest.mark.parametrize("finest", [10**6, 1])
def test_levels_that_the_model_merged_are_shifted_apart(finest, monkeypatch):
    """Rare levels share a group of the mixture; a share of one of them must not move the others of its group."""
    from privsynth.latent import estimation

    monkeypatch.setattr(estimation, "_FINEST", finest)
    draws = np.random.default_rng(2)
    code = np.minimum((draws.pareto(0.8, 3000)).astype(int), 39)
    table = {"code": code, "kind": code % 3, "flag": (code > 3) ^ (draws.random(3000) < 0.2)}
    schema = ps.Schema.from_domain({"code": 40, "kind": 3, "flag": 2})
    source = {name: values.astype(int).tolist() for name, values in table.items()}
    model = ps.fit(source, schema, epsilon=1, delta=1e-6, generator="latent_class")
    groups = model.distribution._group_of[0]
    merged = np.flatnonzero(np.bincount(groups)[groups] > 1)
    assert merged.size > 1
    one = int(merged[0])
    shifted = model.shifted({"code": {one: 0.3}, "flag": {1: 0.7}})
    before = model.project(("code", "kind", "flag"))
    factors = shifted.project(("code", "kind", "flag")) / np.where(before > 0, before, 1)
    assert shifted.project(("code",))[one] / model.distribution.total == pytest.approx(0.3)
    rest = np.delete(factors, one, axis=0)
    assert np.allclose(rest, rest[:1, :1, :], rtol=1e-6)
    assert np.allclose(factors[one], factors[one][:1, :], rtol=1e-6)
    drawn = shifted.distribution.draw(3000, np.random.default_rng(0))
    assert (drawn.columns[0] == one).mean() == pytest.approx(0.3, abs=0.01)
