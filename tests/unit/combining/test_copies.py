"""Copies: frames of the model's kind, regressions with intervals, infinite ones where nothing is known, and what is refused."""

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import privsynth as ps
from privsynth.combining.copying import Source, make
from privsynth.combining.design import Design
from privsynth.combining.regressing import regression
from privsynth.errors import FitError, InputError
from privsynth.measurement import Event, Trained
from privsynth.records import read_public

SCHEMA = ps.Schema.loads(
    """
[table]
name = "people"
[columns.x]
kind = "integer"
lower = 0
upper = 9
bins = {method = "uniform", count = 10}
[columns.z]
kind = "category"
values = ["never", "a", "b"]
[columns.pay]
kind = "integer"
lower = 0
upper = 19
bins = {method = "uniform", count = 4}
[columns.back]
kind = "category"
values = ["no", "yes"]
missing = ["?"]
"""
)
RNG = np.random.default_rng


def people(rows=4000, seed=1):
    rng = RNG(seed)
    x, z = rng.integers(0, 10, rows), rng.integers(0, 2, rows)
    back = rng.random(rows) < 1 / (1 + np.exp(-(0.3 * x - 1.5 * z - 1)))
    answer = np.where(rng.random(rows) < 0.05, "?", np.where(back, "yes", "no"))
    pay = np.clip(x + rng.integers(0, 10, rows), 0, 19)
    return pd.DataFrame({"x": x, "z": np.array(["a", "b"])[z], "pay": pay, "back": answer})


@pytest.fixture(scope="module")
def model():
    return ps.fit(people(), SCHEMA, epsilon=8, delta="1e-6", generator="latent_class")


@pytest.fixture(scope="module")
def copies(model):
    return model.copies(6, rng=RNG(0))


@pytest.fixture(scope="module")
def found(copies):
    return copies.regress("back", ["x", "z"], references={"z": "a"})


def test_copies_are_tables_like_those_of_sample(model, copies):
    assert len(copies) == 6
    assert all(isinstance(frame, pd.DataFrame) for frame in copies.frames)
    assert len(copies.frames[0]) == round(model.distribution.total)
    assert not copies.frames[0].equals(copies.frames[1])
    for frame in copies.frames:
        read_public(frame, SCHEMA)
    assert repr(copies) == "Copies(6 of people)"


def test_the_same_seed_gives_the_same_copies(model):
    one, other = (model.copies(2, rng=RNG(5), n=300) for _ in range(2))
    assert all(a.equals(b) for a, b in zip(one.frames, other.frames, strict=True))
    assert len(one.frames[0]) == 300


def test_a_regression_finds_what_is_there(found):
    assert 0.2 < found["x"].estimate < 0.4
    assert found["x"].lower < 0.3 < found["x"].upper
    assert -2.2 < found["z: b"].estimate < -0.8
    assert found["x"].standard_error > 0
    assert found["x"].degrees >= 5
    assert any("left out" in note for note in found.notes), "5 % have no answer"
    assert found.lines()[0].startswith("logistic regression of back (yes); 90% intervals for the population")


def test_a_label_that_hardly_anybody_has_is_left_out_and_says_so(found):
    never = found["z: never"]
    assert (never.lower, never.upper) == (-math.inf, math.inf)
    assert "too rare" in never.warning
    assert math.isnan(never.estimate)


def test_a_regression_is_written_as_plain_values(found):
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [one["term"] for one in document["coefficients"]] == ["intercept", "x", "z: never", "z: b"]
    assert document["coefficients"][2]["estimate"] is None
    with pytest.raises(InputError, match='no term "y"'):
        found["y"]


def test_a_reference_that_nobody_has_is_refused_with_another(copies):
    with pytest.raises(FitError, match=r'references=\{"z": "[ab]"\}'):
        copies.regress("back", ["x", "z"])


def test_a_linear_regression_in_its_own_units(copies):
    found = copies.regress("pay", ["x"])
    assert found.design.kind == "linear"
    assert found["x"].lower < 1 < found["x"].upper
    assert "bins of the target" in found["x"].warning, "four bins for twenty values"
    wide = copies.regress("x", ["pay"])["pay"]
    assert "its bins are so wide" in wide.warning


def test_higher_levels_are_wider(copies, found):
    wide = copies.regress("back", ["x", "z"], references={"z": "a"}, level=0.99)
    assert wide["x"].upper > found["x"].upper
    with pytest.raises(InputError, match="level"):
        copies.regress("back", ["x"], level=90)


def test_few_copies_are_warned_of(model):
    found = model.copies(2, rng=RNG(0), n=500).regress("back", ["x"])
    assert "only 2 copies" in found["x"].warning


def test_any_analysis_can_be_combined(copies):
    def share(frame):
        yes = (frame["back"] == "yes").mean()
        return yes, yes * (1 - yes) / len(frame)

    found = copies.combine(share)
    real = (people()["back"] == "yes").mean()
    assert found.lower < real < found.upper
    assert found.copies == 6


def test_nothing_is_taken_off_for_drawing_rows_that_were_dealt(copies):
    """Estimates of one variance, analyses that say half of it: the rule for rows drawn one by one would halve the variance."""
    shown = iter(np.arange(6.0))
    found = copies.combine(lambda _: (next(shown), 2.0))
    assert found.standard_error == pytest.approx(np.sqrt(7 / 6 * 3.5))
    assert found.degrees == 5


def test_an_intercept_is_no_surer_than_the_people_s_own_analysis():
    """Copies that agree, as noise leaves them where there is next to none."""
    model = ps.fit(people(2000), SCHEMA, epsilon=1000, delta="1e-6", generator="latent_class")
    copies = model.copies(2, rng=RNG(0))
    base = copies._base
    found = regression(Design.of(SCHEMA, "pay", ["x"]), base, [base, base], level=0.9)["intercept"]
    x, pay = (base.records.ticks[name].astype(float) for name in ("x", "pay"))
    exact = np.sqrt(np.linalg.inv(np.stack([np.ones_like(x), x]) @ np.stack([np.ones_like(x), x]).T)[0, 0])
    residual = pay - np.polyval(np.polyfit(x, pay, 1), x)
    own = exact * residual.std(ddof=2) * np.sqrt(base.records.rows / base.total)
    assert found.standard_error == pytest.approx(own, rel=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("generator", ["independent", "latent_class"])
def test_a_column_that_is_missing_everywhere_is_named(generator):
    schema = ps.Schema.loads(
        """
[table]
name = "people"
[columns.x]
kind = "integer"
lower = 0
upper = 9
missing = ["?"]
[columns.y]
kind = "integer"
lower = 0
upper = 9
"""
    )
    frame = pd.DataFrame({"x": ["?"] * 500, "y": RNG(0).integers(0, 10, 500).astype(str)})
    model = ps.fit(frame, schema, epsilon=5, delta="1e-6", generator=generator)
    with pytest.raises(FitError, match='"x" is missing in every made row'):
        model.copies(3, rng=RNG(0), n=300).regress("y", ["x"])


@pytest.mark.parametrize("generator", ["independent", "mst"])
def test_what_no_table_relates_has_an_infinite_interval(generator):
    model = ps.fit(people(1500), SCHEMA, epsilon=1, delta="1e-6", generator=generator)
    found = model.copies(3, rng=RNG(0), n=1500).regress("back", ["x", "pay"])
    unknown = [one for one in found.coefficients if "no table relates" in one.warning and math.isinf(one.upper)]
    assert unknown, "three pairs cannot all be in a tree"
    if generator == "independent":
        assert len(unknown) == 3
    assert all(one.warning for one in found.coefficients), "what one input would explain of another is not known"


def test_noise_beyond_all_measure_is_never_a_narrow_interval():
    model = ps.fit(people(600), SCHEMA, epsilon="0.05", delta="1e-6", generator="latent_class")
    found = model.copies(4, rng=RNG(0)).regress("back", ["x", "pay"])
    assert all(one.warning or one.upper - one.lower > 0.5 for one in found.coefficients)


def test_an_input_of_which_no_two_labels_stand_above_the_noise_is_refused():
    frame = people()
    frame["z"] = "a"
    model = ps.fit(frame, SCHEMA, epsilon=8, delta="1e-6", generator="latent_class")
    with pytest.raises(FitError, match='no two labels of "z" stand above the noise'):
        model.copies(2, rng=RNG(0), n=1000).regress("back", ["x", "z"], references={"z": "a"})


def test_an_outcome_that_is_always_there_is_refused(copies):
    frame = people()
    frame["back"] = "yes"
    model = ps.fit(frame, SCHEMA, epsilon=1000, delta="1e-6", generator="independent")
    with pytest.raises(FitError, match=r"is the same in every made row|too rare"):
        model.copies(2, rng=RNG(0), n=1000).regress("back", ["x"])


@pytest.mark.parametrize("m", [1, 0, 2.0, "3", True])
def test_a_number_of_copies_is_at_least_two(model, m):
    with pytest.raises(InputError, match="number of copies"):
        model.copies(m, rng=RNG(0))


def test_rows_and_randomness_are_checked(model):
    with pytest.raises(InputError, match="n is a whole number"):
        model.copies(2, rng=RNG(0), n=0)
    with pytest.raises(InputError, match="numpy Generator"):
        model.copies(2, rng=7)


def test_a_what_if_has_no_copies(model):
    with pytest.raises(InputError, match="what-if"):
        model.shifted({"z": {"a": 0.9}}).copies(2, rng=RNG(0))


def test_a_network_s_training_cannot_be_repeated(model):
    event = Event(
        stage="steps",
        mechanism="sampled-gaussian",
        rho=Fraction(0),
        sensitivity_squared=1,
        sampling_rate=Fraction(1, 2),
        steps=1,
        noise_multiplier=Fraction(1),
    )
    source = Source(
        schema=SCHEMA,
        generator=None,
        distribution=model.distribution,
        transcript=(*model.transcript, Trained(weights={}, event=event)),
        rows_per_person=1,
    )
    with pytest.raises(FitError, match="generator that measures tables"):
        make(source, None, 2, n=None, rng=RNG(0))


def test_several_rows_of_a_person_are_noted(copies):
    from privsynth.combining.copying import Copies

    several = Copies(
        source=dataclasses.replace(copies._source, rows_per_person=3),
        base=copies._base,
        made=copies._made,
        frames=copies.frames,
    )
    assert any("several rows" in note for note in several.regress("back", ["x"]).notes)
