"""Expected errors of tables over levels, where records follow tables over groups: near the true ones, not those of groups."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.latent import estimation, predicting
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.latent.observed import observe
from tests.mixtures import domain_of, joint, margin, measured, random_mixture

SIZES, TOTAL, MERGED = (40, 30, 6), 4_000, 10
GROUPS = {"a": tuple(level // MERGED for level in range(40)), "b": tuple(level // MERGED for level in range(30))}


def test_errors_are_those_of_levels_where_tables_are_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "_FINEST", 0)
    rng = np.random.default_rng(3)
    chance = joint(random_mixture(5, (4, 3, 6), 2)).repeat(MERGED, axis=0).repeat(MERGED, axis=1) / MERGED**2
    counts = rng.multinomial(TOTAL, chance.ravel()).reshape(SIZES).astype(np.float64)
    domain = domain_of(SIZES)
    seen = observe(domain, list(measured(domain, counts, 8.0, rng, GROUPS)))
    found = estimation.fit(seen, components=10)
    model = LatentClassDistribution(seen, found)
    for axes in found.fine.pairs():
        pair = tuple(domain.attributes[axis] for axis in axes)
        truth, answer = margin(counts, axes) / TOTAL, model.project(pair) / model.total
        expected = model.expected_l1(pair)
        assert expected is not None
        assert 1 / 1.5 < np.abs(truth - answer).sum() / expected < 1.5
    monkeypatch.setattr(predicting, "of_levels", lambda errors, *_: errors)
    of_groups = estimation.fit(seen, components=10).pair_error
    assert found.pair_error[0, 1] > 3 * of_groups[0, 1]
    np.testing.assert_allclose(np.diag(found.pair_error), np.diag(of_groups), rtol=0.3)
