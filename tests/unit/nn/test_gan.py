"""The GAN's networks: factors against automatic differentiation, rows by themselves, an exact start, public conditions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from privsynth.nn.discriminator import LARGEST, Discriminator, DiscriminatorLoss  # noqa: E402
from privsynth.nn.gan import Adversary, Conditions, GeneratorNet, Start  # noqa: E402
from privsynth.nn.record_input import RecordLayout  # noqa: E402
from privsynth.privacy.gradient import clipped_sums  # noqa: E402

CPU = torch.device("cpu")
SIZES = (3, 2, 5)
KEY = bytes(range(32))
RAW = 1e9  # a clip that no row reaches


def layout():
    return RecordLayout(SIZES)


def records(rows, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=rows) for size in SIZES], axis=1)


def discriminator(seed=0):
    made = Discriminator(layout(), 7, np.random.default_rng(seed), CPU)
    shake = torch.Generator().manual_seed(seed)
    made.move([torch.randn(shape, generator=shake) for shape in made.weights.shapes], 0.3)
    return made


def start(classes=4, rows=2000, seed=1):
    """Records of a mixture, with their classes."""
    rng = np.random.default_rng(seed)
    given = np.concatenate([rng.dirichlet(np.ones(size), classes).T for size in SIZES])
    of = rng.integers(classes, size=rows)
    first = np.concatenate([[0], np.cumsum(SIZES)])
    codes = [
        (given[first[i] : first[i + 1], of].cumsum(0) < rng.random(rows)).sum(0).clip(max=size - 1)
        for i, size in enumerate(SIZES)
    ]
    return Start(codes=np.stack(codes, axis=1).astype(np.int64), classes=of, given=given)


def net(begun, fresh=0.2):
    return GeneratorNet(layout(), begun, units=5, fresh=fresh, rng=np.random.default_rng(2), device=CPU)


def shares(begun):
    return [np.bincount(begun.codes[:, i], minlength=size).astype(float) for i, size in enumerate(SIZES)]


def plain_value(matrices, beginning, inputs):
    """The discriminator's formula in one line, for automatic differentiation to work on."""
    one, of = (
        (inputs @ m["first"].T) * (inputs @ m["second"].T) * (inputs @ m["third"].T) @ m["outer"][0]
        for m in (matrices, beginning)
    )
    return (one - of) / 7**0.5


def test_factors_are_the_gradients_of_each_record():
    made, codes = discriminator(), records(6)
    factors = DiscriminatorLoss(made, RAW).factors(codes, KEY)
    for row in range(6):
        matrices = {name: each.clone().requires_grad_() for name, each in made.weights.matrices.items()}
        inputs = factors[0][0][row : row + 1]
        value = plain_value(matrices, made._start.matrices, inputs)
        gradients = torch.autograd.grad(-value.sum(), list(matrices.values()))
        for (left, right), gradient in zip(factors[:-1], gradients, strict=True):
            np.testing.assert_allclose(torch.outer(right[row], left[row]), gradient, rtol=1e-5, atol=1e-5)


def test_the_loss_that_is_told_is_of_the_value():
    made, codes = discriminator(), records(9)
    clip = 0.1
    factors = DiscriminatorLoss(made, clip).factors(codes, KEY)
    value = made.value(factors[0][0])
    unit = factors[-1][1][:, 0] / torch.nn.functional.softplus(-value).clamp(max=LARGEST)
    np.testing.assert_allclose(unit, unit[0].expand(9), rtol=1e-4)
    squared = sum((inputs * inputs).sum(1) * (slopes * slopes).sum(1) for inputs, slopes in factors)
    assert float(squared.max()) <= clip**2


def test_rows_are_computed_by_themselves():
    loss, codes = DiscriminatorLoss(discriminator(), 1.0), records(8)
    other = codes.copy()
    other[1:] = records(7, seed=9)
    for (mine, slope), (its, other_slope) in zip(loss.factors(codes, KEY), loss.factors(other, KEY), strict=True):
        assert torch.equal(mine[0], its[0]) and torch.equal(slope[0], other_slope[0])
    for (mine, slope), (its, fewer) in zip(loss.factors(codes, KEY), loss.factors(codes[:3], KEY), strict=True):
        np.testing.assert_allclose(mine[:3], its, rtol=0, atol=1e-6)
        np.testing.assert_allclose(slope[:3], fewer, rtol=0, atol=1e-6)


def test_a_real_records_condition_is_one_of_its_columns_by_a_coin_of_the_key():
    made = discriminator()
    inputs = DiscriminatorLoss(made, 1.0).factors(records(600), KEY)[0][0].numpy()
    at = inputs[:, sum(SIZES) : sum(SIZES) + 3] > 0
    assert (at.sum(axis=1) == 1).all()
    assert (np.abs(at.mean(axis=0) - 1 / 3) < 0.1).all()
    again = DiscriminatorLoss(made, 1.0).factors(records(600, seed=5), KEY)[0][0].numpy()
    np.testing.assert_array_equal(again[:, sum(SIZES) : sum(SIZES) + 3] > 0, at)


def test_equal_rows_of_both_kinds_cancel():
    made, codes = discriminator(), records(50)
    sums = clipped_sums(DiscriminatorLoss(made, 0.3).factors(codes, KEY), 0.3)
    inputs = DiscriminatorLoss(made, 0.3).factors(codes, KEY)[0][0]
    for mine, its in zip(sums, made.mean_gradients(inputs, 0.3), strict=False):
        np.testing.assert_allclose(mine / 50, its, atol=1e-6)


def test_a_fresh_discriminator_has_no_opinion_and_moves_stay_bounded():
    fresh = Discriminator(layout(), 7, np.random.default_rng(0), CPU)
    factors = DiscriminatorLoss(fresh, 1.0).factors(records(5), KEY)
    assert not fresh.value(factors[0][0]).any()
    fresh.move([torch.full(shape, -1e3) for shape in fresh.weights.shapes], 10.0)
    moved, begun = fresh.weights.matrices, fresh._start.matrices
    for name in ("first", "second", "third"):
        np.testing.assert_allclose(moved[name].norm(dim=1), begun[name].norm(dim=1), rtol=1e-5)
    assert float(moved["outer"].abs().max()) <= 3


def test_a_parity_has_a_gradient_at_the_start():
    """Records that differ in nothing but the parity of three columns: no pair shows it."""
    three = RecordLayout((2, 2, 2))
    fresh = Discriminator(three, 32, np.random.default_rng(0), CPU)
    cube = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    even = cube[cube.sum(axis=1) % 2 == 0]
    zeros = torch.zeros(len(cube), dtype=torch.int64)

    def mean(codes):
        inputs = fresh.inputs(three.places(three.ordered(codes, CPU)), zeros[: len(codes)])
        return fresh.mean_gradients(inputs, RAW)

    apart = sum(float((a - b).square().sum()) for a, b in zip(mean(even), mean(cube), strict=True))
    assert apart**0.5 > 0.05


@pytest.mark.parametrize("fresh", [0.1, 1.0])
def test_an_untrained_generator_has_the_cheap_models_distribution(fresh):
    begun = start(rows=60_000)
    latents = Conditions(layout(), begun, shares(begun), CPU).all(np.random.default_rng(3))
    made = net(begun, fresh)
    drawn = made.layout.codes(made.draw(latents, torch.Generator().manual_seed(4)))
    for i in range(3):
        for j in range(i):
            tables = [
                np.bincount(codes[:, i] * SIZES[j] + codes[:, j], minlength=SIZES[i] * SIZES[j]) / 60_000
                for codes in (drawn, begun.codes)
            ]
            assert np.abs(tables[0] - tables[1]).sum() < 0.03


def test_the_condition_is_kept():
    begun = start()
    latents = Conditions(layout(), begun, shares(begun), CPU).batch(500, np.random.default_rng(0))
    made = net(begun)
    made.weights.matrices["heads"].normal_(generator=torch.Generator().manual_seed(0))
    drawn = made.draw(latents, torch.Generator().manual_seed(1))
    rows = torch.arange(500)
    assert torch.equal(drawn[rows, latents.conditions], latents.ordered[rows, latents.conditions])


def test_conditions_follow_the_noisy_tables_even_where_the_start_has_no_such_record():
    begun = start()
    wanted = [np.array([0.0, 0.0, 1.0]), np.array([0.25, 0.75]), np.array([1.0, 1.0, 1.0, 1.0, 4.0])]
    empty = Start(codes=np.where(begun.codes == 4, 0, begun.codes), classes=begun.classes, given=begun.given)
    batch = Conditions(layout(), empty, wanted, CPU).batch(30_000, np.random.default_rng(0))
    columns = np.array(layout().order)[batch.conditions.numpy()]
    codes = layout().codes(batch.ordered)
    for column, of in enumerate(wanted):
        found = np.bincount(codes[columns == column, column], minlength=len(of)) / (columns == column).sum()
        np.testing.assert_allclose(found, of / of.sum(), atol=0.02)


def test_a_generator_learns_what_a_discriminator_wants_and_seeds_repeat():
    begun = start()

    def trained():
        made, judge = net(begun), Discriminator(layout(), 7, np.random.default_rng(0), CPU)
        judge.move([torch.randn(s, generator=torch.Generator().manual_seed(1)) for s in judge.weights.shapes], 2.0)
        conditions = Conditions(layout(), begun, shares(begun), CPU)
        adversary = Adversary(made, judge, conditions, fade=0.9)
        latents = conditions.batch(2000, np.random.default_rng(7))

        def liked():
            places = made.layout.places(made.draw(latents, torch.Generator().manual_seed(3)))
            return float(judge.value(judge.inputs(places, latents.conditions)).mean())

        before = liked()
        for step in range(40):
            adversary.step(200, 5e-3, np.random.default_rng(step))
        return before, liked(), adversary.average.arrays()

    before, after, weights = trained()
    assert after > before
    again = trained()
    assert again[1] == after
    assert all((weights[name] == again[2][name]).all() for name in weights)


def test_one_column_of_one_level():
    single = RecordLayout((1,))
    begun = Start(codes=np.zeros((5, 1), np.int64), classes=np.zeros(5, np.int64), given=np.ones((1, 1)))
    made = GeneratorNet(single, begun, units=2, fresh=0.5, rng=np.random.default_rng(0), device=CPU)
    judge = Discriminator(single, 3, np.random.default_rng(0), CPU)
    adversary = Adversary(made, judge, Conditions(single, begun, [np.ones(1)], CPU), fade=0.9)
    adversary.step(10, 1e-3, np.random.default_rng(0))
    assert all(np.isfinite(each).all() for each in adversary.average.arrays().values())
    assert all(each.isfinite().all() for each in adversary.mean_gradients(10, 1.0, np.random.default_rng(0)))
