"""Replicates repeat the whole fit: as many records, noise of the same size, tables that differ by what noise makes of them."""

import numpy as np
import pytest

import privsynth as ps
from privsynth import generators
from privsynth.errors import FitError
from privsynth.measurement import Event, Measurement, Trained
from privsynth.replicates import replicates

SCHEMA = ps.Schema.from_domain({"a": 4, "b": 3, "c": 2})


@pytest.fixture(scope="module", params=["independent", "mst", "latent_class"])
def model(request):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 3000)
    frame = {"a": a, "b": np.minimum(a, 2), "c": rng.integers(0, 2, 3000)}
    frame = {name: [str(value) for value in values] for name, values in frame.items()}
    return ps.fit(frame, SCHEMA, epsilon=1, delta="1e-6", generator=request.param)


def test_refits_scatter_around_their_records_as_noise_does(model):
    generator = generators.get(model.generator, model.settings)
    found = list(replicates(generator, model.distribution, model.transcript, count=12, rng=np.random.default_rng(1)))
    gaps = []
    for one in found:
        assert one.total == pytest.approx(model.distribution.total)
        gaps.append(one.fitted.project(("a",)) - one.weight * one.records.marginal(("a",)))
    own = [entry for entry in model.transcript if isinstance(entry, Measurement) and entry.clique == ("a",)]
    sigma = min(entry.sigma for entry in own)
    assert 0 < np.std(gaps) < 4 * sigma


def test_trained_weights_cannot_be_repeated(model):
    from fractions import Fraction

    event = Event(
        stage="steps",
        mechanism="sampled-gaussian",
        rho=Fraction(0),
        sensitivity_squared=1,
        sampling_rate=Fraction(1, 2),
        steps=1,
        noise_multiplier=Fraction(1),
    )
    transcript = (*model.transcript, Trained(weights={}, event=event))
    generator = generators.get(model.generator, model.settings)
    with pytest.raises(FitError, match="cannot be told from its weights"):
        next(replicates(generator, model.distribution, transcript, count=1, rng=np.random.default_rng(1)))
