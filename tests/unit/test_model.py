"""Models: sampling, conditions, expected errors, saving; the same kind of frame comes back."""

import json
from fractions import Fraction

import numpy as np
import pytest

import privsynth as ps
from privsynth.errors import FitError, InputError, MechanismError, OutputError, SchemaError
from privsynth.measurement import Event, Measurement
from privsynth.privacy.accounting import rho_for
from privsynth.transcript_files import arrays_from_bytes, arrays_to_bytes, checksum
from tests import clinic


@pytest.fixture(scope="module")
def schema():
    return ps.Schema.loads(clinic.SCHEMA)


@pytest.fixture(scope="module")
def frame():
    import pandas as pd

    return pd.DataFrame(clinic.rows(patients=1500), columns=clinic.HEADER)


@pytest.fixture(scope="module")
def model(frame, schema):
    return ps.fit(frame, schema, generator="mst", epsilon=2.0, delta=1e-6)


def rng():
    return np.random.default_rng(3)


def test_the_kind_of_frame_that_was_given_comes_back(frame, schema):
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    small = frame.head(200)
    text = small.astype(str)
    for source, kind in (
        (small, pd.DataFrame),
        (pl.from_pandas(text), pl.DataFrame),
        (pa.Table.from_pandas(text), pa.Table),
    ):
        fitted = ps.fit(source, schema, generator="independent", epsilon=1, delta=1e-6)
        sample = fitted.sample(7, rng=rng())
        assert isinstance(sample, kind)
        assert len(sample) == 7


def test_conditions_hold_in_every_row_whatever_the_rules_repair(model):
    for given in (
        {"ward": "Maternity"},
        {"sex": "M"},
        {"age": (20, 29), "readmitted": "yes"},
        {"stay": 0},
        {"sex": [None, "F"]},
    ):
        sample = model.sample(300, rng=rng(), given=given)
        for name, wanted in given.items():
            values = sample[name]
            if isinstance(wanted, tuple):
                assert values.between(*wanted).all()
            elif isinstance(wanted, list):
                assert set(values.astype(str)) <= {"?", "F"}
            else:
                assert (values == wanted).all()
        assert (sample.loc[sample["ward"] == "Maternity", "sex"] == "F").all()


def test_conditions_that_no_record_can_meet_are_refused(model):
    with pytest.raises(SchemaError, match="ward"):
        model.sample(5, rng=rng(), given={"ward": "Nowhere"})
    with pytest.raises(FitError, match=r"ward.*sex"):
        model.sample(50, rng=rng(), given={"ward": "Maternity", "sex": "M"})


def test_labels_are_equally_frequent_where_a_column_is_rebalanced(model):
    counts = model.sample(301, rng=rng(), rebalance="readmitted")["readmitted"].value_counts()
    assert sorted(counts) in ([150, 151], [100, 100, 101])


def test_labels_have_the_shares_that_were_asked_for_also_under_conditions(model):
    sample = model.sample(
        200, rng=rng(), given={"age": (20, 59)}, rebalance={"ward": {"Maternity": 0.25, "A & E": 0.75}}
    )
    assert dict(sample["ward"].value_counts()) == {"Maternity": 50, "A & E": 150}
    assert sample["age"].between(20, 59).all()
    assert (sample.loc[sample["ward"] == "Maternity", "sex"] == "F").all()


def test_what_the_shares_leave_goes_to_the_other_labels_in_their_proportions(model):
    plain = model.sample(4000, rng=rng(), given={"sex": "F"})["ward"].value_counts(normalize=True)
    sample = model.sample(4000, rng=rng(), given={"sex": "F"}, rebalance={"ward": {"Maternity": 0.5}})
    shares = sample["ward"].value_counts(normalize=True)
    assert shares["Maternity"] == 0.5
    others = plain.drop("Maternity")
    for label, share in (others / others.sum() / 2).items():
        assert shares.get(label, 0) == pytest.approx(share, abs=0.02)
    none = model.sample(50, rng=rng(), rebalance={"ward": {"Maternity": 0}})["ward"]
    assert "Maternity" not in set(none) and none.nunique() > 1


@pytest.mark.parametrize(
    ("rebalance", "given", "said"),
    [
        ("age", None, "no labels to rebalance"),
        ("nowhere", None, "nowhere"),
        ("ward", {"ward": "Maternity"}, "rebalanced and conditioned"),
        ({"ward": {"Nowhere": 1}}, None, 'has no label "Nowhere"; its labels are'),
        ({"ward": {"Maternity": -1}}, None, "a number from 0 to 1"),
        ({"ward": {"Maternity": float("nan")}}, None, "a number from 0 to 1"),
        ({"ward": {"Maternity": 0.7, "A & E": 0.4}}, None, "add up to 1.1, which is more than 1; lower some"),
        ({"readmitted": {"yes": 0.5, "no": 0.2}}, None, "all that there is is named, and its shares add up to 0.7"),
        ({"ward": {}}, None, "expected shares of some of its labels"),
        ({}, None, "one column with its shares"),
        ({"ward": {"Maternity": 1}, "sex": {"F": 1}}, None, "one column with its shares"),
    ],
)
def test_what_cannot_be_rebalanced_is_refused(model, rebalance, given, said):
    with pytest.raises(SchemaError, match=said):
        model.sample(5, rng=rng(), given=given, rebalance=rebalance)


def test_a_sample_has_at_least_one_row(model):
    with pytest.raises(InputError, match="at least 1"):
        model.sample(0, rng=rng())


def test_expected_errors_come_from_the_noise(model):
    measured = model.error(("age",))
    assert 0 < measured.l1 < 1
    assert model.error(("age",)).count_interval_90 > 0
    pairs = [m.clique for m in model.transcript if len(m.to_json().get("clique", ())) == 2]
    assert model.error(pairs[0]).l1 > measured.l1 * 0.5
    unmeasured = next(
        (a, b)
        for a in model.schema.domain().attributes
        for b in model.schema.domain().attributes
        if a < b and (a, b) not in pairs and (b, a) not in pairs
    )
    assert model.error(unmeasured).l1 is None
    with pytest.raises(SchemaError):
        model.error(("nothing",))


def test_tables_over_groups_tell_the_error_of_what_they_hold_whole(model):
    """(age, sex) over groups of age: for sex, the noise of as many cells as there are groups; for age, nothing."""
    domain = model.schema.domain()
    groups = tuple(level // 10 for level in range(domain.size("age")))
    event = Event(
        stage="s", mechanism="rounded-gaussian", rho=Fraction(1), sensitivity_squared=1, sigma_squared=Fraction(100)
    )
    values = np.zeros((max(groups) + 1, domain.size("sex")), dtype=np.int64)
    found = Measurement(clique=("age", "sex"), values=values, event=event, groups={"age": groups})
    coarse = ps.Model(
        schema=model.schema,
        distribution=model.distribution,
        transcript=(found,),
        guarantee=model.guarantee,
        generator="mst",
        settings={},
    )
    assert coarse.error(("age",)).l1 is None
    assert coarse.error(("age", "sex")).l1 is None
    width = coarse.error(("sex",)).count_interval_90
    assert width == pytest.approx(1.6448536 * np.sqrt((100 + 1 / 12) * (max(groups) + 1)))


def test_how_answers_add_up_is_kept_with_the_model(frame, schema, tmp_path):
    fitted = ps.fit(frame.head(300), schema, generator="independent", epsilon=1, delta=1e-6)
    assert fitted.guarantee.composition == "gdp"
    assert 0.9999 < fitted.guarantee.epsilon <= 1
    assert fitted.guarantee.rho > rho_for(1, 1e-6)
    fitted.save(tmp_path / "model")
    assert ps.Model.load(tmp_path / "model").guarantee == fitted.guarantee


def test_saving_and_loading_gives_the_same_model(model, tmp_path):
    model.save(tmp_path / "model")
    again = ps.Model.load(tmp_path / "model")
    assert again.project(("ward", "sex")) == pytest.approx(model.project(("ward", "sex")))
    assert again.sample(50, rng=rng()).equals(model.sample(50, rng=rng()))
    assert again.guarantee == model.guarantee
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.json", "model.safetensors"}
    with pytest.raises(OutputError, match="exists"):
        model.save(tmp_path / "model")


def rewritten(folder, change):
    """Change the stored arrays, and say so in the document, as somebody would who knows how."""
    path, document = folder / "model.safetensors", folder / "model.json"
    before = path.read_bytes()
    after = arrays_to_bytes(change(arrays_from_bytes(before)))
    path.write_bytes(after)
    document.write_text(document.read_text().replace(checksum(before), checksum(after)))


def promised_less(folder):
    """Say of the model that half of what was spent was promised."""
    path = folder / "model.json"
    document = json.loads(path.read_text())
    document["guarantee"]["rho"] = str(Fraction(document["guarantee"]["rho"]) / 2)
    path.write_text(json.dumps(document))


def flip_last_bit(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def of_potentials(make):
    return lambda arrays: {**arrays, "model/potentials": make(arrays["model/potentials"])}


DAMAGES = {
    "missing": lambda folder: (folder / "model.safetensors").unlink(),
    "truncated document": lambda folder: (folder / "model.json").write_text((folder / "model.json").read_text()[:-40]),
    "truncated arrays": lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:-8]
    ),
    "nonsense": lambda folder: (folder / "model.safetensors").write_bytes(b"PK nonsense"),
    "empty": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "format": lambda folder: (folder / "model.json").write_text(
        (folder / "model.json").read_text().replace("privsynth-model/2", "other/9")
    ),
    "one bit": lambda folder: flip_last_bit(folder / "model.safetensors"),
    "other shape": lambda folder: rewritten(folder, of_potentials(lambda found: found[:-1])),
    "other type": lambda folder: rewritten(folder, of_potentials(lambda found: found.astype(np.float32))),
    "integers": lambda folder: rewritten(folder, of_potentials(lambda found: np.zeros(found.shape, dtype=np.int64))),
    "a promise of less than was spent": promised_less,
    "no array": lambda folder: rewritten(folder, lambda arrays: {}),
    "weights that no entry names": lambda folder: rewritten(
        folder, lambda arrays: {**arrays, "transcript/0/layer": np.zeros(2, dtype=np.float32)}
    ),
    "weights of no entry": lambda folder: rewritten(
        folder, lambda arrays: {**arrays, "transcript/999/layer": np.zeros(2, dtype=np.float32)}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused(model, tmp_path, damage):
    folder = tmp_path / "model"
    model.save(folder)
    ps.Model.load(folder)
    DAMAGES[damage](folder)
    with pytest.raises(InputError):
        ps.Model.load(folder)


def test_a_model_that_0_1_saved_says_what_to_do(model, tmp_path):
    folder = tmp_path / "model"
    model.save(folder)
    (folder / "model.safetensors").unlink()
    np.savez(folder / "model.npz", potentials=np.zeros(1))
    document = folder / "model.json"
    document.write_text(document.read_text().replace("privsynth-model/2", "privsynth-model/1"))
    with pytest.raises(InputError, match=r"saved by privsynth 0\.1.*fit again"):
        ps.Model.load(folder)


def test_a_model_says_what_it_is_and_shows_no_record(model):
    assert "epsilon=2" in repr(model)
    assert "uncertified" in repr(model)
    assert "SECRET" not in repr(model)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-6), (-1, 1e-6), (float("nan"), 1e-6), (1, 0), (1, 1), (None, 1e-6)]
)
def test_budgets_that_promise_nothing_are_refused(frame, schema, epsilon, delta):
    with pytest.raises(MechanismError):
        ps.fit(frame.head(50), schema, epsilon=epsilon, delta=delta)


def test_one_row_and_integer_codes_can_be_fitted():
    schema = ps.Schema.from_domain({"age": 85, "sex": 2})
    model = ps.fit({"age": [84], "sex": [1]}, schema, epsilon=1, delta=1e-6)
    sample = model.sample(20, rng=rng())
    assert sample.num_rows == 20
    assert max(sample["age"].to_pylist()) <= 84


def test_what_the_schema_leaves_open_is_bought_and_charged(frame):
    text = clinic.SCHEMA.replace(
        'values = ["A & E", "<b>Bold</b>", "Surgery, general", "Maternity"]\nother = "A & E"', "buy = true"
    )
    text = text[: text.index("[[rules]]")].replace(
        'lower = "0.00"\nupper = "5000.00"\nprecision', 'buy = "bounds"\nprecision'
    )
    schema = ps.Schema.loads(text)
    assert {column.name for column in schema.unresolved} == {"ward", "charge"}
    model = ps.fit(frame, schema, epsilon=4, delta=1e-6, generator="independent")
    assert set(model.schema.column("ward").values) == {"A & E", "<b>Bold</b>", "Surgery, general", "Maternity"}
    bought = [entry for entry in model.transcript if entry.to_json()["type"] == "purchase"]
    assert [entry.column for entry in bought] == ["ward", "charge"]
    assert sum(entry.event.rho for entry in model.transcript) <= model.guarantee.rho
    assert model.guarantee.epsilon <= 4
    assert model.sample(50, rng=rng())["charge"].max() <= 6000
