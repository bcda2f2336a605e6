"""What is hard or wrong for generators that train, through the public interface: a plain answer, before anything is spent."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import privsynth as ps
from privsynth import records
from privsynth.errors import FitError, InputError, MechanismError
from privsynth.model import Model
from privsynth.schema import Schema
from tests.fitting_of import SHORT

pytest.importorskip("torch")

every_trained = pytest.mark.parametrize("name", SHORT)
SCHEMA = Schema.loads(
    '[table]\nname = "hard"\n'
    '[columns.kind]\nkind = "category"\nvalues = ["a", "b", "c"]\nmissing = ["?"]\n'
    '[columns.amount]\nkind = "integer"\nlower = 0\nupper = 99\nmissing = ["?"]\nbins = {method = "uniform", count = 5}\n'
)
ONE = Schema.loads('[table]\nname = "one"\n[columns.kind]\nkind = "category"\nvalues = ["a", "b", "c"]\n')


def table(rows: int, **columns: list[Any]) -> dict[str, list[Any]]:
    rng = np.random.default_rng(1)
    return {"kind": [*rng.choice(["a", "b"], rows)], "amount": [*map(int, rng.integers(0, 100, rows))], **columns}


def fitted(name: str, source: dict[str, list[Any]], schema: Schema = SCHEMA, **settings: object) -> Model:
    return ps.fit(source, schema, epsilon=4, delta="1e-6", generator=name, settings={**SHORT[name], **settings})


@every_trained
def test_ten_rows_are_enough(name: str) -> None:
    assert fitted(name, table(10)).sample(20, rng=np.random.default_rng(0)).num_rows == 20


@every_trained
def test_a_table_of_one_column(name: str) -> None:
    drawn = fitted(name, {"kind": ["a"] * 900 + ["b"] * 100}, ONE).sample(500, rng=np.random.default_rng(0))
    assert drawn.column_names == ["kind"]
    assert drawn.column("kind").to_pylist().count("a") > 250


@every_trained
def test_a_class_with_one_member_can_be_asked_for(name: str) -> None:
    model = fitted(name, table(500, kind=["c"] + ["a"] * 499))
    drawn = model.sample(30, rng=np.random.default_rng(0), given={"kind": "c"})
    assert set(drawn.column("kind").to_pylist()) == {"c"}


@every_trained
def test_a_column_in_which_all_is_missing(name: str) -> None:
    drawn = fitted(name, table(2000, amount=["?"] * 2000)).sample(500, rng=np.random.default_rng(0))
    assert drawn.column("amount").null_count + drawn.column("amount").to_pylist().count("?") > 250


@every_trained
def test_a_budget_too_small_for_a_step_is_refused_before_the_table_is_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "read", lambda *_, **__: pytest.fail("the table was read"))
    with pytest.raises(MechanismError, match=r"does not pay for .* ask for an epsilon of at least 0\.0\d+"):
        ps.fit(table(10), SCHEMA, epsilon="0.0001", delta="1e-6", generator=name)


@every_trained
def test_without_torch_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda asked, *rest: None if asked == "torch" else found(asked, *rest)
    )
    monkeypatch.setattr(records, "read", lambda *_, **__: pytest.fail("the table was read"))
    with pytest.raises(InputError, match=r'pip install "privsynth\[deep\]"'):
        ps.fit(table(10), SCHEMA, epsilon=4, delta="1e-6", generator=name)


@pytest.mark.parametrize(
    ("name", "where", "said"),
    [
        ("vae", "privsynth.nn.vae.RecordLoss.factors", "there is not enough memory for the gradients of"),
        (
            "gan",
            "privsynth.nn.discriminator.DiscriminatorLoss.factors",
            "there is not enough memory for the gradients of",
        ),
        ("gan", "privsynth.nn.gan.Adversary.step", "take batch = 16"),
    ],
)
def test_memory_that_runs_out_is_told_with_what_would_fit(
    name: str, where: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(where, none_left)
    with pytest.raises(FitError, match=said):
        fitted(name, table(300), sampling_rate=Fraction(1, 2))
