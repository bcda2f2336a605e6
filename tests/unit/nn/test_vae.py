"""The VAE's network: gradients of single records, rows that know nothing of each other, draws, what is stored."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from privsynth.domain import Domain, Impossible
from privsynth.errors import FitError
from privsynth.nn import vae
from privsynth.nn.drawn_distribution import DrawnDistribution
from privsynth.nn.heads import row_randomness
from privsynth.nn.layers import Tape, told_loss
from privsynth.nn.record_input import RecordLayout
from privsynth.nn.record_network import RecordNetwork, Shape, seen_columns
from privsynth.privacy.gradient import clipped_sums

DOMAIN = Domain(("a", "b", "c", "d"), (4, 2, 3, 5))
KEY = bytes(range(32))
ROWS = 12


def shape_of(latent: int = 2, parameters: int = 100_000) -> Shape:
    return Shape(hidden=3, latent=latent, components=2, parameters=parameters)


def codes_of(rows: int = ROWS, seed: int = 0, domain: Domain = DOMAIN) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, size, rows) for size in domain.sizes], axis=1)


def network_of(latent: int = 2, parameters: int = 100_000, domain: Domain = DOMAIN) -> RecordNetwork:
    """A network whose heads are not zero, so that every matrix has a gradient."""
    counts = [np.arange(1.0, size + 1) for size in domain.sizes]
    network = vae.new_network(domain, shape_of(latent, parameters), counts, codes_of(200, 5, domain))
    rng = np.random.default_rng(7)
    drawn = {name: each + rng.normal(0, 0.7, each.shape) for name, each in network.decoder.state().items()}
    network.decoder.load({name: each.astype(np.float32) for name, each in drawn.items()})
    return network


@pytest.mark.parametrize("latent", [0, 2])
def test_factors_are_the_gradients_of_each_record(latent: int) -> None:
    network = network_of(latent)
    loss = vae.RecordLoss(network, Fraction(10**6))
    factors = loss.factors(codes_of(), KEY)
    assert [(s.shape[1], x.shape[1]) for x, s in factors] == list(loss.shapes)
    for each in network.decoder.matrices.values():
        each.requires_grad_()
    tapes = Tape(network.decoder, watching=False), Tape(network.encoder, watching=False)
    losses = network.losses(*tapes, network.layout.ordered(codes_of(), network.device), row_randomness(KEY))
    for row in range(ROWS):
        wanted = torch.autograd.grad(losses[row], list(network.decoder.matrices.values()), retain_graph=True)
        for (inputs, slopes), exact in zip(factors[:-1], wanted, strict=True):
            assert torch.allclose(torch.outer(slopes[row], inputs[row]), exact, atol=1e-5, rtol=1e-5)


def test_the_encoder_learns_too_when_it_is_watched() -> None:
    network = network_of()
    found = []
    for seed in (0, 1):
        before = network.encoder.state()
        learning = vae.Learning(clip=Fraction(4), rate=0.1, pretraining_steps=2, own_draws=8)
        vae.pretrain(network, codes_of(50, seed), learning)
        found.append(np.abs(network.encoder.state()["encoder"] - before["encoder"]).max())
    assert min(found) > 0


def test_a_row_is_computed_without_the_others() -> None:
    loss = vae.RecordLoss(network_of(), Fraction(4))
    codes, others = codes_of(), codes_of(seed=1)
    others[3] = codes[3]
    same = zip(loss.factors(codes, KEY), loss.factors(others, KEY), strict=True)
    assert all(torch.equal(one[3], two[3]) for pair in same for one, two in zip(*pair, strict=True))
    fewer = zip(loss.factors(codes, KEY), loss.factors(codes[:5], KEY), strict=True)
    for pair in fewer:
        for one, two in zip(*pair, strict=True):
            assert torch.allclose(one[3], two[3], rtol=1e-6, atol=1e-6)


def test_rows_are_clipped_with_the_loss_that_they_tell() -> None:
    loss = vae.RecordLoss(network_of(), Fraction(1, 2))
    codes = codes_of()
    for row in codes:
        sums = clipped_sums(loss.factors(row[None], KEY), 0.5)
        assert float(sum((each**2).sum() for each in sums)) <= 0.25 * (1 + 1e-5)
    factors = loss.factors(codes, KEY)
    network = network_of()
    tapes = Tape(network.decoder, watching=False), Tape(network.encoder, watching=False)
    losses = network.losses(*tapes, network.layout.ordered(codes, network.device), row_randomness(KEY))
    exact = losses.clip(0, loss.largest).mean()
    told = told_loss(float(clipped_sums(factors, 0.5)[-1]), clip=0.5, largest=loss.largest, rows=ROWS)
    assert told == pytest.approx(float(exact), rel=1e-4)


def test_a_network_begins_with_the_noisy_shares() -> None:
    counts = [np.array([10.0, 30, 60, -5]), np.array([1.0, 1]), np.array([5.0, 0, 5]), np.full(5, 4.0)]
    network = vae.new_network(DOMAIN, shape_of(), counts, codes_of(50))
    drawn = DrawnDistribution(DOMAIN, network, 1000.0).project(("a",))
    assert drawn / 1000 == pytest.approx(np.array([10.5, 30.5, 60.5, 0.5]) / 102, abs=0.01)


def test_draws_repeat_with_their_seed_and_stored_weights_draw_the_same() -> None:
    network = network_of()
    arrays = vae.stored(network, 123.0)
    again, total = vae.network_of(DOMAIN, shape_of(), arrays)
    assert total == 123
    models = [DrawnDistribution(DOMAIN, each, total) for each in (network, again)]
    one, two = (model.draw(500, np.random.default_rng(3)) for model in models)
    assert all(np.array_equal(x, y) for x, y in zip(one.columns, two.columns, strict=True))
    other = models[0].draw(500, np.random.default_rng(4))
    assert any(not np.array_equal(x, y) for x, y in zip(one.columns, other.columns, strict=True))
    assert models[0].project(("a", "b")).sum() == pytest.approx(123)
    assert np.array_equal(models[0].project(("a", "b")), models[1].project(("b", "a")).T)


@pytest.mark.parametrize("name", ["start", "seen", "total", "features 1", "levels 0", "prior"])
def test_weights_of_another_network_are_refused(name: str) -> None:
    arrays = vae.stored(network_of(), 10.0)
    missing = {key: each for key, each in arrays.items() if key != name}
    longer = arrays | {name: np.zeros((9, 9), dtype=np.float32)}
    for wrong in (missing, longer):
        with pytest.raises(FitError, match="stored weights"):
            vae.network_of(DOMAIN, shape_of(), wrong)


def test_evidence_is_kept_and_the_rest_is_as_without_it() -> None:
    model = DrawnDistribution(DOMAIN, network_of(), 100.0)
    plain = np.stack(model.draw(60_000, np.random.default_rng(0)).columns, axis=1).astype(np.int64)
    kept = plain[np.isin(plain[:, 0], [1, 2]) & (plain[:, 1] == 1)]
    given = {"a": np.array([1, 2]), "b": np.array([1])}
    drawn = np.stack(model.draw(20_000, np.random.default_rng(1), given).columns, axis=1).astype(np.int64)
    assert set(drawn[:, 0]) <= {1, 2} and set(drawn[:, 1]) == {1}
    for one, two in ((0, 2), (2, 3), (0, 3)):
        tables = []
        for rows in (kept, drawn):
            cells = rows[:, one] * 10 + rows[:, two]
            tables.append(np.bincount(cells, minlength=60) / len(rows))
        assert np.abs(tables[0] - tables[1]).sum() < 0.06


def test_evidence_that_cannot_be_or_hardly_ever_is_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of()
    model = DrawnDistribution(DOMAIN, network, 100.0)
    for codes in ([], [4], [-1]):
        with pytest.raises(FitError, match="allows no level"):
            model.draw(5, np.random.default_rng(0), {"a": np.array(codes, dtype=np.int64)})
    with pytest.raises(FitError, match="cannot be negative"):
        model.draw(-1, np.random.default_rng(0))
    monkeypatch.setattr("privsynth.nn.drawn_distribution._MOST_PROPOSED", 10_000)
    network.start[network.layout.order.index(0)] = torch.tensor([0.0, 0, 0, -1000])
    with pytest.raises(FitError, match="too rare"):
        model.draw(5, np.random.default_rng(0), {"a": np.array([3])})
    assert model.draw(0, np.random.default_rng(0)).rows == 0


def test_impossible_cells_are_drawn_again() -> None:
    never = Impossible.of(("a", "b"), np.array([[True, False]] * 4))
    domain = Domain(DOMAIN.attributes, DOMAIN.sizes, (), (never,))
    drawn = DrawnDistribution(domain, network_of(domain=domain), 100.0).draw(1000, np.random.default_rng(0))
    assert drawn.marginal(("b",))[0] == 0


def test_no_memory_halves_the_blocks_and_is_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of()
    real, most = RecordNetwork.draw, 100

    def draw(self: RecordNetwork, rows: int, *rest: object) -> object:
        if rows > most:
            raise torch.OutOfMemoryError("too much")
        return real(self, rows, *rest)

    monkeypatch.setattr(RecordNetwork, "draw", draw)
    model = DrawnDistribution(DOMAIN, network, 100.0)
    assert model.draw(300, np.random.default_rng(0)).rows == 300
    most = 0
    with pytest.raises(FitError, match="no memory"):
        model.draw(300, np.random.default_rng(0))


def test_columns_see_the_ones_on_which_they_depend_where_not_all_fit() -> None:
    sizes = [10] * 30
    layout, shape = RecordLayout(sizes), Shape(hidden=4, latent=0, components=1, parameters=30_000)
    strength = np.zeros((30, 30))
    strength[29, 20] = strength[29, 3] = 1
    found = seen_columns(layout, shape, strength)
    weights = sum(3 * 4 * 10 * len(columns) for columns in found) + 300 * 5
    assert weights <= 30_000 and {3, 20} <= set(found[29]) and found[1] == (0,)
    domain = Domain(tuple(f"c{at}" for at in range(30)), tuple(sizes))
    network = network_of(parameters=5000, domain=domain)
    assert DrawnDistribution(domain, network, 9.0).draw(20, np.random.default_rng(0)).rows == 20
    assert len(vae.RecordLoss(network, Fraction(1)).factors(codes_of(3, domain=domain), KEY)) == 2 * 30 + 2


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("x"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_no_memory_for_gradients_is_a_memory_error_without_a_text(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(RecordNetwork, "losses", fails)
    with pytest.raises(MemoryError, match=r"^$"):
        vae.RecordLoss(network_of(), Fraction(1)).factors(codes_of(), KEY)
    error.args = ("something else",)
    if not isinstance(error, torch.OutOfMemoryError):
        with pytest.raises(RuntimeError, match="something else"):
            vae.RecordLoss(network_of(), Fraction(1)).factors(codes_of(), KEY)
