"""Gradient steps through a release's terms, its quote, its certificate and report, and through a saved model."""

import json
from fractions import Fraction

import numpy as np
import pytest

import privsynth as ps
from privsynth import generators, quoting
from privsynth.certificate.predicate import require
from privsynth.errors import ClaimMismatch, InputError, MechanismError
from privsynth.model import Model
from privsynth.policy import Policy
from privsynth.privacy.accounting import Cost
from privsynth.releasing import statement
from privsynth.releasing.terms import terms
from privsynth.report import sections
from privsynth.report.claims import Claims
from privsynth.schema import Schema
from tests import clinic
from tests.tiny_training import TinyTraining

SCHEMA = Schema.loads(clinic.SCHEMA)
POLICY = Policy.loads(clinic.POLICY)
TINY = TinyTraining(steps=50, sampling_rate=Fraction(1, 20))


@pytest.fixture(autouse=True)
def trains(monkeypatch):
    """The generator that is called "independent" here takes gradient steps."""
    monkeypatch.setattr(generators, "get", lambda *_: TINY)


def said(monkeypatch, agreed):
    found = []
    monkeypatch.setattr(statement, "require", found.append)
    statement.rehearse(agreed, "system")
    return found[0]


def test_terms_pay_for_the_steps_and_the_ledger_is_charged_for_them():
    agreed = terms(SCHEMA, POLICY, generator="independent")
    budget = agreed.fit.budget
    assert budget.composition == "pld"
    assert budget.training is not None and (budget.training.steps, budget.training.sampling_rate) == (
        50,
        Fraction(1, 20),
    )
    assert agreed.cost == Cost.of(budget.rho, 0, budget.training)
    assert agreed.cost.nano_rdp > Cost.of(budget.rho).nano_rdp
    bought = Schema.loads(clinic.SCHEMA + '[columns.region]\nkind = "category"\nbuy = true\n')
    assert terms(bought, POLICY, generator="independent").fit.budget.composition == "rdp"


def test_a_schedule_that_the_budget_cannot_pay_for_is_refused_before_anything(monkeypatch):
    greedy = TinyTraining(steps=100_000, sampling_rate=Fraction(1))
    monkeypatch.setattr(generators, "get", lambda *_: greedy)
    with pytest.raises(MechanismError, match="ask for an epsilon of at least"):
        terms(SCHEMA, POLICY, generator="independent")


def test_the_certificate_says_what_the_steps_were(monkeypatch):
    predicate = said(monkeypatch, terms(SCHEMA, POLICY, generator="independent"))
    predicate["generator"]["settings"] = {}
    read = require(predicate)
    assert read.guarantee.training is not None
    assert (read.guarantee.training.steps, read.guarantee.training.sampling_rate) == (50, "0.05")
    assert read.guarantee.training.mechanism == "Poisson-subsampled Gaussian"
    nothing = {**predicate, "guarantee": {**predicate["guarantee"], "rho": "0"}}
    assert require(nothing).guarantee.rho == "0"
    del nothing["guarantee"]["training"]
    with pytest.raises(ClaimMismatch, match="above zero where nothing is learned by gradient steps"):
        require(nothing)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("noiseMultiplier", "0"), ("samplingRate", 0.05), ("more", 1)]
)
def test_a_training_that_is_not_as_it_must_be_is_not_certified(monkeypatch, name, value):
    predicate = said(monkeypatch, terms(SCHEMA, POLICY, generator="independent"))
    predicate["generator"]["settings"] = {}
    predicate["guarantee"]["training"][name] = value
    with pytest.raises(ClaimMismatch, match="guarantee"):
        require(predicate)


def test_the_report_tells_it_in_words(monkeypatch):
    predicate = said(monkeypatch, terms(SCHEMA, POLICY, generator="independent"))
    told = sections._training(Claims(predicate))
    assert "50 gradient steps (Poisson-subsampled Gaussian)" in told
    assert "takes part with probability 0.05" in told
    assert "cost is part of epsilon" in told


def test_a_quote_rehearses_a_few_steps_and_reckons_the_rest():
    found = quoting.quote(None, schema=SCHEMA, policy=POLICY, generator="independent")
    shares = {stage.stage: stage.share for stage in found.stages}
    assert shares == {"one-way": pytest.approx(0.2), "gradients": pytest.approx(0.8)}
    assert found.fit_seconds is not None and found.fit_seconds > 0
    text = "\n".join(found.lines())
    plan = "gradients: 80% of the budget, 50 gradient steps, in each of which every person takes part with probability 0.05"
    assert f"{plan}, with noise of " in text
    assert "what columns have in common is left to training" in text
    told = found.to_json()["stages"][1]
    assert (told["gradientSteps"], told["samplingRate"]) == (50, 0.05)
    assert told["noiseMultiplier"] == float(found.stages[1].training.noise_multiplier)


def test_a_fit_s_guarantee_is_saved_and_loaded_and_cannot_be_made_up(tmp_path):
    table, *_ = clinic.write(tmp_path, clinic.rows(patients=300))
    model = ps.fit(table, SCHEMA, epsilon=4, delta="1e-6", generator="independent")
    assert model.guarantee.composition == "pld"
    assert model.guarantee.epsilon <= 4
    assert model.guarantee.training is not None
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert loaded.guarantee == model.guarantee
    assert loaded.sample(10, rng=np.random.default_rng(0)).num_rows == 10
    file = tmp_path / "model" / "model.json"
    document = json.loads(file.read_text())
    for change in ({"composition": "gdp"}, {"composition": "none"}, {"training": {"steps": 1}}):
        file.write_text(json.dumps({**document, "guarantee": {**document["guarantee"], **change}}))
        with pytest.raises(InputError, match="not a readable model"):
            Model.load(tmp_path / "model")
