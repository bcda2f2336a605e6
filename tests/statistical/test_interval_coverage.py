"""Coverage of answers' intervals over many fits of a small made-up table.

Errors of the test: over 24 other fits intervals held the truth in 87.5 % of 168 answers, with a standard deviation of 13
percentage points between fits (the questions of one fit err together). Sixteen fits then have one of 3.3 points: a mean
below 76 % or above 98.5 % comes once in two thousand changes of the seeds, and never otherwise, for they are fixed.
Intervals of half the width hold the truth in 58 %: they are found out but for once in some thousand.
"""

import numpy as np
import pytest

from privsynth.answering import Evidence, answer
from privsynth.answering.estimating import estimate
from privsynth.answering.evidence import STUDENT_90
from privsynth.answering.parsing import parse
from privsynth.dataset import Dataset
from privsynth.generators.latent_class import LatentClass
from privsynth.privacy.curator import make_curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.schema import Schema

SIZES = {"a": 3, "b": 4, "c": 2, "d": 5}
SCHEMA = Schema.from_domain(SIZES)
QUESTIONS = {
    "count where a == 1": lambda t: (t["a"] == 1).sum(),
    "share where d >= 2": lambda t: (t["d"] >= 2).mean(),
    "count where a == 0 and b >= 2": lambda t: ((t["a"] == 0) & (t["b"] >= 2)).sum(),
    "share where c == 1 given d <= 1": lambda t: t["c"][t["d"] <= 1].mean(),
    "mean d": lambda t: t["d"].mean(),
    "mean b where c == 1": lambda t: t["b"][t["c"] == 1].mean(),
    "correlation b, d": lambda t: np.corrcoef(t["b"], t["d"])[0, 1],
}
FITS, FULL = 16, 80
ROWS = 3000


def made_up(seed):
    """Records of two hidden kinds."""
    rng = np.random.default_rng(seed)
    kind = rng.random(ROWS) < 0.4
    return {
        name: np.clip(rng.binomial(size - 1, np.where(kind, 0.7, 0.25)), 0, size - 1) for name, size in SIZES.items()
    }


def evidence_of(table, seed):
    data = Dataset.from_columns(table, SCHEMA.domain())
    budget = Budget.of("1", "1e-9", buys=False, composition="gdp")
    curator = make_curator(
        data,
        unit=PrivacyUnit(name="row"),
        rho=budget.rho,
        noise=UnsafeSeededNoise(seed),
        composition="gdp",
    )
    generator = LatentClass(components=30)
    return Evidence(SCHEMA, generator, generator.fit(curator), curator.transcript)


@pytest.fixture(scope="module")
def found(full):
    """(question, truth, evidence) of every fit and question."""
    out = []
    for seed in range(FULL if full else FITS):
        table = made_up(seed)
        evidence = evidence_of(table, seed)
        out += [(question, float(of(table)), evidence) for question, of in QUESTIONS.items()]
    return out


def test_intervals_hold_the_truth_nine_times_in_ten(found):
    held = [said.lower <= truth <= said.upper for question, truth, known in found for said in [answer(question, known)]]
    assert 0.76 <= np.mean(held) <= 0.985


def test_intervals_of_half_the_width_would_be_found_out(found):
    narrow = []
    for question, truth, known in found:
        said = estimate(parse(question, SCHEMA), known)
        narrow.append(abs(truth - said.value) <= said.half / 2)
    assert np.mean(narrow) < 0.76
    assert STUDENT_90 > 1.645
