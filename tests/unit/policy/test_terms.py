from pathlib import Path

import numpy as np
import pytest

from privsynth.policy import Policy
from privsynth.policy.orders import Order
from privsynth.policy.terms import Published, fields, largest_delta


def test_every_key_says_how_it_may_be_moved():
    for path, field in fields():
        orders = [extra for extra in field.metadata if isinstance(extra, Order)]
        assert len(orders) == 1, path


def test_no_term_that_protects_has_a_default():
    optional = {path for path, field in fields() if not field.is_required()}
    assert optional == {
        ("deidentification", "mrn_pattern"), ("deidentification", "columns"), ("deidentification", "cleared"),
        ("attestations",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "delta"), [(None, 1e-6), (1, 1e-6), (100_000, 1e-6), (1_000_000, 1e-7), (10**11, 1e-12)]
)
def test_the_delta_rule(size, delta):
    assert float(largest_delta(size)) == pytest.approx(delta, rel=1e-12)


def test_the_cell_size_rule():
    published = Published(min_cell=11)
    assert [published.allows(count) for count in (0, 1, 10, 11, 12)] == [True, False, False, True, True]
    hidden = published.suppressed(np.array([3, 20, 30]), margins="published")
    assert hidden.tolist() == [True, True, False, False]
    assert published.suppressed(np.array([3, 20]), margins="not-published").tolist() == [True, False]


def test_every_key_stands_in_the_documentation():
    text = (Path(__file__).resolve().parents[3] / "docs" / "policies.md").read_text()
    assert [path for path, _ in fields() if f"`{'.'.join(path)}`" not in text] == []


def test_the_documented_example_is_a_policy():
    text = (Path(__file__).resolve().parents[3] / "docs" / "policies.md").read_text()
    example = Policy.loads(text.split("```toml\n")[1].split("```")[0])
    assert example.name == "ward-7"
    assert example.deidentification.profile == "hipaa-safe-harbor"
    assert float(example.budget.release_epsilon) == 1.5
