"""`fit(..., resume=folder)`: a fit that was cut off goes on in its folder, and one that is done is read from there."""

import numpy as np
import pandas as pd
import pytest

import privsynth as ps
from privsynth.errors import MechanismError, OutputError, RefusedError
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import SystemNoise
from privsynth.releasing.workspace import Workspace
from tests import clinic

BUYS = clinic.SCHEMA[: clinic.SCHEMA.index("[[rules]]")].replace(
    'lower = "0.00"\nupper = "5000.00"\nprecision', 'buy = "bounds"\nprecision'
)


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(clinic.rows(patients=300), columns=clinic.HEADER)


@pytest.fixture
def fit(frame, tmp_path):
    def run(source=None, **changes):
        arguments = {"epsilon": 2, "delta": 1e-6, "generator": "independent", "resume": tmp_path / "kept"}
        schema = ps.Schema.loads(changes.pop("schema", BUYS))
        return ps.fit(frame if source is None else source, schema, **(arguments | changes))

    return run


def stop(*_, **__):
    raise KeyboardInterrupt


def test_what_was_bought_before_it_was_cut_off_is_not_bought_again(fit, monkeypatch, tmp_path):
    monkeypatch.setattr(Curator, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        fit()
    monkeypatch.undo()
    assert (tmp_path / "kept" / "journal" / "answer-0.json").exists()
    monkeypatch.setattr("privsynth.privacy.purchase.bounds", lambda *_, **__: pytest.fail("it was bought again"))
    model = fit()
    assert model.transcript[0].to_json()["type"] == "purchase"
    assert not (tmp_path / "kept" / "journal").exists()


def test_a_fit_that_is_done_is_read_and_draws_nothing(fit, monkeypatch):
    first = fit()
    for name in ("gaussian", "key", "choices"):
        monkeypatch.setattr(SystemNoise, name, lambda *_: pytest.fail("something was drawn"))
    again = fit()
    assert again.guarantee == first.guarantee
    assert [entry.to_json() for entry in again.transcript] == [entry.to_json() for entry in first.transcript]
    assert again.sample(20, rng=np.random.default_rng(1)).equals(first.sample(20, rng=np.random.default_rng(1)))


def test_another_fit_is_refused_in_its_folder(fit, frame):
    fit()
    others = (
        {"epsilon": 3},
        {"delta": 1e-7},
        {"generator": "mst"},
        {"max_rows": 2},
        {"schema": clinic.SCHEMA},
        {"source": frame.head(200)},
    )
    for other in others:
        with pytest.raises(OutputError, match="another table, or with other arguments"):
            fit(**other)


def test_two_processes_do_not_fit_in_one_folder(fit, tmp_path):
    fit()
    with (
        Workspace(tmp_path / "kept", folder=tmp_path / "kept").locked(),
        pytest.raises(OutputError, match="another process"),
    ):
        fit()


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: path.symlink_to(path.parent)])
def test_only_a_real_folder_will_do(fit, tmp_path, make):
    make(tmp_path / "kept")
    with pytest.raises(OutputError, match="not a folder"):
        fit()


def test_where_nothing_was_started_nothing_stays(fit, tmp_path):
    with pytest.raises(MechanismError):
        fit(epsilon=-1)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("damage", ["measurements.json", "state.json"])
def test_damage_is_told(fit, tmp_path, damage):
    fit()
    (tmp_path / "kept" / damage).write_text('{"schema": ')
    with pytest.raises(OutputError, match="damaged"):
        fit()


def test_a_question_without_its_answer_ends_the_fit(fit, monkeypatch):
    monkeypatch.setattr("privsynth.privacy.mechanism.gaussian", stop)
    with pytest.raises(KeyboardInterrupt):
        fit()
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="start again in a new place"):
        fit()


def test_trained_weights_that_are_damaged_or_exchanged_are_told(tmp_path):
    from tests import killed_training

    killed_training.train(tmp_path)
    stored = tmp_path / "fit" / "measurements.safetensors"
    good = stored.read_bytes()
    for bad in (good[:-1], good[:-1] + bytes([good[-1] ^ 1]), b"", None):
        if bad is None:
            stored.unlink()
        else:
            stored.write_bytes(bad)
        with pytest.raises(OutputError, match="damaged"):
            killed_training.train(tmp_path)
    stored.write_bytes(good)
    killed_training.train(tmp_path)
