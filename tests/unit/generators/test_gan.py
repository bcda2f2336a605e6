"""The generator `gan` through a curator: what it spends, what it rebuilds, what it refuses; edges of tables and domains."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError, InputError, MechanismError, PolicyError, SchemaError
from privsynth.generators.gan import GAN
from privsynth.measurement import Trained
from privsynth.privacy.curator import make_curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit

torch = pytest.importorskip("torch")

from privsynth.nn.gan import Adversary  # noqa: E402

SHORT = GAN(steps=3, batch=64, free_steps=2, pool=400, classes=8, discriminator_units=6, generator_units=6)


def table(rows=600, sizes=(2, 3, 4), seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.integers(2, size=rows)
    names = [f"column {i}" for i in range(len(sizes))]
    codes = {
        n: np.minimum(rng.integers(s, size=rows), s - 1 - hidden * (s - 1)) for n, s in zip(names, sizes, strict=True)
    }
    return Dataset.from_columns(codes, Domain(tuple(names), tuple(sizes)))


def curator_of(data, generator=SHORT, noise=Fraction(1, 2), rho=Fraction(1), seed=0):
    steps = generator.schedule.training(noise) if generator.schedule else None
    return make_curator(
        data,
        unit=PrivacyUnit(name="row"),
        rho=rho,
        noise=UnsafeSeededNoise(seed),
        composition="pld",
        training=steps,
    )


def fitted(data, generator=SHORT, seed=0):
    curator = curator_of(data, generator, seed=seed)
    return generator.fit(curator), curator


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.columns, other.columns, strict=True))


def test_it_spends_its_budget_and_concludes_with_weights():
    model, curator = fitted(table())
    assert curator.remaining == 0
    (trained,) = [entry for entry in curator.transcript if isinstance(entry, Trained)]
    assert trained is curator.transcript[-1]
    assert trained.event.steps == SHORT.steps
    assert all(each.dtype == np.float32 for each in trained.weights.values())
    assert model.total >= 1


def test_estimates_repeat_and_restore_from_arrays():
    data = table()
    model, curator = fitted(data)
    again = SHORT.estimate(data.domain, curator.transcript)
    restored = SHORT.restore(data.domain, curator.transcript, model.arrays())
    drawn = model.draw(300, np.random.default_rng(0))
    assert same(drawn, again.draw(300, np.random.default_rng(0)))
    assert same(drawn, restored.draw(300, np.random.default_rng(0)))
    pair = data.domain.attributes[:2]
    np.testing.assert_array_equal(model.project(pair), restored.project(pair))


def test_arrays_of_another_model_are_refused():
    data = table()
    model, curator = fitted(data)
    good = model.arrays()
    broken = [
        {},
        good | {"more": good["total"]},
        good | {"codes": good["codes"] + 9},
        good | {"codes": good["codes"][:, :2]},
        good | {"classes": good["classes"] - 99},
        good | {"total": np.array([np.nan])},
        good | {"given": good["given"][1:]},
    ]
    for arrays in broken:
        with pytest.raises(FitError):
            SHORT.restore(data.domain, curator.transcript, arrays)
    with pytest.raises(FitError, match="setting"):
        GAN(generator_units=9).restore(data.domain, curator.transcript, good)


def test_conditions_of_generated_rows_never_read_the_data():
    """The same transcript with other records behind it: the batches that the generator trains on are the same."""
    from privsynth.nn import gan_training
    from privsynth.nn.record_input import RecordLayout

    data, other = table(), table(rows=900, seed=7)
    transcript = fitted(data)[1].transcript[:-1]
    batches = []
    for behind in (data, other):
        curator_of(behind)
        model, settings = SHORT._cheap(behind.domain, transcript), SHORT._settings(behind.domain)
        start = gan_training.start_for(model, settings)
        conditions = gan_training.conditions_of(model, start, RecordLayout(behind.domain.sizes), "cpu")
        batches.append(conditions.batch(50, np.random.default_rng(3)))
    for name in ("ordered", "classes", "conditions", "noise"):
        assert (getattr(batches[0], name) == getattr(batches[1], name)).all()


def test_conditional_draws_and_balanced_classes():
    data = table()
    model, _ = fitted(data)
    name = data.domain.attributes[0]
    for level in range(2):
        drawn = model.draw(50, np.random.default_rng(0), {name: np.array([level])})
        assert (drawn.column(name) == level).all()


@pytest.mark.parametrize(
    ("rows", "sizes"), [(50, (4,)), (50, (1, 1)), (10, (2, 3, 2)), (1, (2, 2)), (300, (2_200, 2, 1))]
)
def test_edges_of_tables_and_domains(rows, sizes):
    data = table(rows, sizes)
    model, curator = fitted(data)
    assert curator.remaining == 0
    drawn = model.draw(40, np.random.default_rng(0))
    assert drawn.rows == 40
    np.testing.assert_allclose(model.project(data.domain.attributes[:1]).sum(), model.total, rtol=1e-6)


def test_a_class_with_one_member():
    data = table(500, (2, 3))
    codes = [column.copy() for column in data.columns]
    codes[0][:] = 0
    codes[0][0] = 1
    model, _ = fitted(Dataset(tuple(codes), data.domain))
    assert (model.draw(20, np.random.default_rng(0), {"column 0": np.array([1])}).columns[0] == 1).all()


def test_a_domain_without_columns():
    model, _ = fitted(Dataset((), Domain((), ())))
    assert model.draw(3, np.random.default_rng(0)).domain.attributes == ()


def test_a_budget_without_steps_is_refused_before_anything_is_asked():
    unit = PrivacyUnit(name="row")
    curator = make_curator(table(), unit=unit, rho=Fraction(1), noise=UnsafeSeededNoise(0), composition="gdp")
    with pytest.raises(MechanismError, match="schedule"):
        SHORT.measure(curator)
    assert not curator.transcript


def test_a_domain_that_is_too_wide_is_refused_before_anything_is_asked():
    curator = curator_of(table(sizes=(2, 8190)))
    with pytest.raises(SchemaError, match="at most 8,192 levels"):
        SHORT.measure(curator)
    assert not curator.transcript


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("privsynth.nn.gan.Adversary.step", "batch = 16"),
        ("privsynth.nn.gan_start._classes", "batch = 16"),
        ("privsynth.nn.gan.GeneratorNet.logits", "batch = 16"),
    ],
)
def test_out_of_memory_says_what_would_fit(monkeypatch, where, fits):
    def none_left(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(where, none_left)
    with pytest.raises(FitError, match=fits):
        fitted(table())


def test_out_of_memory_for_the_pool_says_what_would_fit(monkeypatch):
    _, curator = fitted(table())

    def none_left(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("privsynth.nn.gan.GeneratorNet.logits", none_left)
    with pytest.raises(FitError, match="pool = 256"):
        SHORT.estimate(curator.domain, curator.transcript)


def test_a_training_goes_on_from_what_was_kept(monkeypatch):
    """Killed between two steps: the steps taken stay spent, and the weights are those that were kept."""
    data, step = table(), Adversary.step
    curator, calls = curator_of(data), []

    def killed(self, *arguments):
        calls.append(1)
        if len(calls) > 2 * SHORT.free_steps:
            raise KeyboardInterrupt
        step(self, *arguments)

    monkeypatch.setattr(Adversary, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        SHORT.measure(curator)
    spent, kept = curator.training_state()
    assert spent == 3
    assert kept is not None and any(name.startswith("generator:") for name in kept)
    assert any(np.abs(each).sum() > 0 for name, each in kept.items() if name.startswith("optimiser:mean/heads"))


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("privsynth.nn.device.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"privsynth\[deep\]"):
        GAN()


def test_the_module_loads_without_torch():
    code = "import sys; sys.modules['torch'] = None; import privsynth.generators.gan"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_share": Fraction(0)},
        {"first_share": Fraction(1)},
        {"sampling_rate": Fraction(0)},
        {"sampling_rate": Fraction(2)},
        {"clip": Fraction(0)},
        {"fresh": Fraction(0)},
        {"steps": 0},
        {"pool": 0},
        {"batch": 0},
        {"classes": 0},
        {"generator_rate": 0},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(PolicyError, match="gan:"):
        GAN(**wrong)


def test_the_schedule_is_the_settings():
    schedule = GAN(steps=7, sampling_rate=Fraction(1, 9), first_share=Fraction(1, 3)).schedule
    plan = SampledGaussian(sampling_rate=Fraction(1, 9), steps=7, noise_multiplier=Fraction(2))
    assert schedule.allows(plan)
    assert schedule.first_share == Fraction(1, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"discriminator_units": 9000},
        {"steps": 100_001},
        {"clip": 2000},
        {"clip": "1/5000"},
        {"pool": 2**21},
        {"batch": 2**21},
    ],
)
def test_settings_that_could_never_train_are_refused_beforehand(settings):
    with pytest.raises(PolicyError, match="gan: "):
        generators.get("gan", settings)
