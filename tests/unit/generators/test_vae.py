"""vae: what it spends and refuses, tables that are hard to be right about, a killed fit, and no torch."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("torch")

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError, InputError, MechanismError, PolicyError, PrivsynthError, SchemaError
from privsynth.generators.vae import VAE
from privsynth.measurement import Trained, measurements
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.journal import MemoryJournal
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit

BRIEF = VAE(steps=3, sampling_rate=Fraction(1, 4), pretraining_steps=2, own_draws=32, hidden=4, latent=2, components=2)


def box_of(data: Dataset, generator: VAE = BRIEF, journal: MemoryJournal | None = None, steps: int = 0) -> Curator:
    training = SampledGaussian(
        sampling_rate=generator.sampling_rate, steps=steps or generator.steps, noise_multiplier=Fraction(1)
    )
    return make_curator(
        data,
        unit=PrivacyUnit(name="row"),
        rho=Fraction(1, 2),
        noise=UnsafeSeededNoise(1),
        composition="pld",
        training=training,
        journal=journal,
    )


def table(rows: int, *sizes: int) -> Dataset:
    rng = np.random.default_rng(0)
    names = tuple(f"c{at}" for at in range(len(sizes)))
    domain = Domain(names, sizes)
    return Dataset.from_columns(
        {name: rng.integers(0, size, rows) for name, size in zip(names, sizes, strict=True)}, domain
    )


def test_it_spends_its_tables_and_steps_and_publishes_one_network() -> None:
    box = box_of(table(500, 3, 2, 4))
    model = BRIEF.fit(box)
    assert box.remaining == 0 and box.training_state()[0] == 3
    (trained,) = [entry for entry in box.transcript if isinstance(entry, Trained)]
    assert trained.event.stage == "gradients" and box.transcript[-1] is trained
    assert {len(one.clique) for one in measurements(box.transcript)} == {1, 2}
    assert model.draw(100, np.random.default_rng(0)).rows == 100
    again = BRIEF.restore(box.domain, box.transcript, model.arrays())
    assert np.array_equal(again.project(("c0", "c2")), model.project(("c0", "c2")))
    with pytest.raises(FitError, match="does not belong"):
        BRIEF.restore(box.domain, box.transcript, {"total": np.array([3.0])})
    with pytest.raises(FitError, match="one network's weights"):
        BRIEF.estimate(box.domain, box.transcript[:-1])


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(200, (3,)), (10, (2, 3)), (50, (1, 1)), (100, (1, 4)), (300, (2, 2500)), (0, (2, 2)), (1, (3, 2))],
)
def test_tables_that_are_hard_to_be_right_about(rows: int, sizes: tuple[int, ...]) -> None:
    model = BRIEF.fit(box_of(table(rows, *sizes)))
    drawn = model.draw(30, np.random.default_rng(0))
    assert drawn.rows == 30 and model.total >= 1
    assert model.project(("c0",)).sum() == pytest.approx(model.total)


def test_a_column_in_which_all_is_missing_stays_so() -> None:
    domain = Domain(("a", "b"), (4, 2))
    rng = np.random.default_rng(0)
    data = Dataset.from_columns({"a": np.full(2000, 3), "b": rng.integers(0, 2, 2000)}, domain)
    drawn = BRIEF.fit(box_of(data)).draw(1000, np.random.default_rng(0))
    assert drawn.marginal(("a",))[3] > 900


def test_a_table_without_columns_is_nothing_to_learn() -> None:
    box = box_of(Dataset((), Domain((), ())))
    model = BRIEF.fit(box)
    assert box.transcript == () and model.draw(0, np.random.default_rng(0)).rows == 0 and model.project(()).shape == ()


def test_a_budget_without_steps_is_refused_before_anything_is_spent() -> None:
    box = make_curator(
        table(50, 2, 2), unit=PrivacyUnit(name="row"), rho=Fraction(1), noise=UnsafeSeededNoise(1), composition="gdp"
    )
    with pytest.raises(MechanismError, match="no part for gradient steps"):
        BRIEF.measure(box)
    assert box.transcript == ()


@pytest.mark.parametrize("sizes", [(1,) * 512, (2, 9000)])
def test_domains_that_are_too_wide_are_refused_before_anything_is_spent(sizes: tuple[int, ...]) -> None:
    box = box_of(table(20, *sizes))
    with pytest.raises(SchemaError, match="at most 511 columns, of at most 8,192 levels"):
        BRIEF.measure(box)
    assert box.transcript == ()


def test_a_wide_table_is_learned_as_far_as_its_weights_go() -> None:
    generator = VAE(steps=2, parameters=10_000, pretraining_steps=2, own_draws=16, hidden=4, start_records=500)
    box = box_of(table(300, *(2, 3) * 40), generator)
    generator.measure(box)
    (trained,) = [entry for entry in box.transcript if isinstance(entry, Trained)]
    assert sum(each.size for name, each in trained.weights.items() if name.startswith("features")) < 36_000


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("privsynth.latent.distribution.LatentClassDistribution.draw", "start_records = 10000"),
        ("privsynth.nn.vae.joint_factors", "hidden = 2, or parameters = 100000"),
        ("privsynth.nn.record_network.RecordNetwork.draw", "own_draws = 8"),
    ],
)
def test_memory_that_runs_out_says_what_fits(monkeypatch: pytest.MonkeyPatch, where: str, fits: str) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(where, fails)
    with pytest.raises(FitError, match=f"no memory .*: free some .* in a new fit, take {fits}"):
        BRIEF.measure(box_of(table(100, 2, 3)))


def test_the_same_noise_gives_the_same_weights_and_a_journal_goes_on() -> None:
    data = table(400, 3, 2, 2)
    one, two = (BRIEF.fit(box_of(data)).draw(200, np.random.default_rng(0)) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(one.columns, two.columns, strict=True))


class _Killed(PrivsynthError):
    """A kill, for tests."""


def test_a_killed_fit_goes_on_from_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    data, journal = table(400, 3, 2, 2), MemoryJournal()
    asked, real = [0], Curator.gradient_sum

    def dies(self: Curator, *rest: object, **named: object) -> object:
        asked[0] += 1
        if asked[0] == 3:
            raise _Killed("killed")
        return real(self, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Curator, "gradient_sum", dies)
    with pytest.raises(_Killed):
        BRIEF.measure(box_of(data, journal=journal))
    assert journal.kept is not None and journal.kept.step == 2
    journal._next = 0  # what reading it from disk does
    box = box_of(data, journal=journal)
    assert BRIEF.fit(box).draw(10, np.random.default_rng(0)).rows == 10
    assert box.training_state()[0] == 3 and asked[0] == 4


def test_parity_of_three_columns_is_found_where_pairs_show_nothing() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (4000, 5))
    codes[:, 2] = codes[:, 0] ^ codes[:, 1]
    names = tuple("abcde")
    data = Dataset.from_columns({name: codes[:, at] for at, name in enumerate(names)}, Domain(names, (2,) * 5))
    generator = VAE(steps=60, sampling_rate=Fraction(1, 10), pretraining_steps=20, own_draws=512, hidden=16)
    drawn = generator.fit(box_of(data, generator)).draw(4000, np.random.default_rng(0))
    clique = ("a", "b", "c")
    assert np.abs(drawn.marginal(clique) - data.marginal(clique)).sum() / 4000 < 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_share": Fraction(0)},
        {"first_share": Fraction(1)},
        {"table_share": Fraction(1)},
        {"sampling_rate": Fraction(2)},
        {"steps": 0},
        {"clip": Fraction(0)},
        {"rate": Fraction(0)},
        {"hidden": 0},
        {"latent": -1},
        {"components": 0},
        {"parameters": 0},
        {"own_draws": 0},
        {"pretraining_steps": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Fraction | int]) -> None:
    with pytest.raises(PolicyError, match="vae: "):
        VAE(**wrong)  # type: ignore[arg-type]


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"privsynth\[deep\]"):
        VAE()


def test_the_file_is_imported_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import privsynth.generators.vae, privsynth.nn.device"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"latent": 64, "components": 64},
        {"steps": 100_001},
        {"clip": 2000},
        {"own_draws": 10**8},
        {"parameters": 10**9},
    ],
)
def test_settings_that_could_never_train_are_refused_beforehand(settings: dict[str, int]) -> None:
    with pytest.raises(PolicyError, match="vae: "):
        generators.get("vae", settings)
