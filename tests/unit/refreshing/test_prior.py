"""What is read of an earlier release: exact sums under a map, made-up domains, and damage that is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth.domain import Domain
from privsynth.errors import InputError
from privsynth.measurement import Event, Measurement, measurements
from privsynth.refreshing.aligning import Alignment, Carried, align
from privsynth.refreshing.deciding import COLUMNS, _column
from privsynth.refreshing.prior import Known, Prior, _aligned, _regrouped, prior_of
from privsynth.schema import Schema
from tests import made_refresh as made

BINARY = Schema.from_domain({"w": 2})


@pytest.fixture(scope="module")
def told():
    return made.published(made.people(3000, 1), 1)


def carried(merged):
    """All columns as they were, but d, whose levels go where `merged` says, under another name."""
    same = [
        Carried(name=name, was=name, level_of=tuple(range(size))) for name, size in made.SIZES.items() if name != "d"
    ]
    return Alignment(carried=(*same, Carried(name="dd", was="d", level_of=merged)), new={}, gone=())


def test_mapped_levels_hold_the_sums_of_the_old_cells(told):
    plain = prior_of(told, align(made.SCHEMA, made.SCHEMA), made.RELEASE)
    merged = prior_of(told, carried((0, 0, 1, 1, 2, 2, 2, 3)), made.RELEASE)
    before, after = plain.table(("d",)).values, merged.table(("dd",)).values
    assert np.allclose(after, [before[:2].sum(), before[2:4].sum(), before[4:7].sum(), before[7]])
    assert np.allclose(merged.table(("dd",)).noise, np.array([2, 2, 3, 1]) * plain.table(("d",)).variance)
    assert merged.table(("dd",)).worst == pytest.approx(3 * plain.table(("d",)).variance)
    for one in merged.known:
        assert one.values.sum() == pytest.approx(
            plain.table(tuple(n.replace("dd", "d") for n in one.clique)).values.sum()
        )
        shape = tuple(max(one.groups[n]) + 1 if n in one.groups else merged.sizes[n] for n in one.clique)
        assert one.values.shape == shape
    assert all(one.table.sum() == pytest.approx(plain.total) for one in merged.expected)


def test_groups_that_share_a_new_level_become_one():
    old, new = _regrouped(np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 2]))
    assert (old.tolist(), new) == ([0, 0, 1, 1], (0, 0, 1))


def test_a_made_up_domain_gets_tables_of_its_own_shape():
    before = made.prior(rows=1000)
    domain = Domain.from_mapping({"a": 3, "d": 3, "c": 5, "unknown": 4})
    found = before.on(domain)
    assert set(found.sizes) == {"a", "d", "c"}
    for one in found.known:
        for axis, name in enumerate(one.clique):
            of = one.groups.get(name)
            assert one.values.shape[axis] == (domain.size(name) if of is None else max(of) + 1)
            assert of is None or len(of) == domain.size(name)
    for one in found.expected:
        assert one.table.shape == one.error.shape == domain.shape(one.clique)
        assert one.table.sum() == pytest.approx(before.total)
    assert before.on(made.DOMAIN) is before


def test_a_made_up_level_that_the_earlier_release_has_not_can_move_like_any_other():
    was = prior_of(made.published({"w": np.arange(3000) % 2}, 1, schema=BINARY), align(BINARY, BINARY), made.RELEASE)
    domain = Domain.from_mapping({"w": 3})
    for codes, status in ((np.arange(3000) % 2, "kept"), (np.arange(3000) % 3, "moved")):
        event = Event(
            stage=COLUMNS, mechanism="rounded-gaussian", rho=Fraction(1), sensitivity_squared=1, sigma_squared=9
        )
        now = Measurement(clique=("w",), values=np.bincount(codes, minlength=3), event=event)
        with np.errstate(all="raise"):
            found = _column(domain, was.on(domain), now, 3000.0, 0.001)
        assert (found.status, np.isfinite([found.doubt, found.moved_by, *found.margin]).all()) == (status, True)


def test_nothing_that_was_read_can_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        made.prior(rows=1000, name="independent").known[0].values[0] = 1


def broken(told, change):
    entries = list(told.transcript)
    first = measurements(told.transcript)[0]
    entries[entries.index(first)] = change(first)
    return replace(told, transcript=tuple(entries))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, values=one.values[:-1]),
        lambda one: replace(one, values=one.values + (1 << 60)),
        lambda one: replace(one, clique=("nobody",)),
        lambda one: replace(one, event=replace(one.event, sigma_squared=one.event.sigma_squared * 10**40)),
    ],
    ids=["shape", "count", "column", "noise"],
)
def test_answers_that_no_release_holds_are_refused(told, change):
    with pytest.raises(InputError, match="not those of its generator"):
        prior_of(broken(told, change), align(made.SCHEMA, made.SCHEMA), made.RELEASE)


def test_a_release_of_a_generator_that_selects_is_refused_with_what_to_do(told):
    with pytest.raises(InputError, match="make a release of its own"):
        prior_of(replace(told, generator="aim"), align(made.SCHEMA, made.SCHEMA), made.RELEASE)


@pytest.mark.parametrize("size", [Fraction(10) ** 400, Fraction(1, 10**400)])
def test_noise_that_arithmetic_cannot_bear_is_refused_in_words(told, size):
    first = measurements(told.transcript)[0]
    damaged = replace(first, event=replace(first.event, sigma_squared=size), values=first.values * 0 + (1 << 62))
    with pytest.raises(InputError, match="not those of its generator"):
        prior_of(replace(told, transcript=(damaged, *told.transcript[1:])), align(made.SCHEMA, made.SCHEMA), "x")


def test_merged_labels_make_no_more_false_alarms():
    sizes, people, old_noise, new_noise, alpha = 109, 20_000, 40.0, 100.0, 0.05
    merged = tuple(min(level, 9) for level in range(sizes))
    alignment = Alignment(carried=(Carried(name="w", was="w", level_of=merged),), new={}, gone=())
    domain, rng, alarms = Domain.from_mapping({"w": 10}), np.random.default_rng(5), 0
    chances = np.array([0.1] * 9 + [0.001] * 100)
    event = made_event(new_noise)
    for _ in range(400):
        old = rng.multinomial(people, chances) + rng.normal(0, old_noise, sizes)
        new = np.bincount(merged, rng.multinomial(people, chances)) + rng.normal(0, new_noise, 10)
        table = Known(clique=("w",), values=old, variance=old_noise**2, groups={})
        before = Prior(
            release="x",
            total=float(people),
            sizes={"w": sizes},
            rows_a_unit=1,
            precision=(1 / old_noise**2, 0.0),
            known=(table,),
            expected=(),
        )
        now = Measurement(clique=("w",), values=np.rint(new).astype(np.int64), event=event)
        alarms += _column(domain, _aligned(before, alignment), now, float(people), alpha).status == "moved"
    assert alarms < 33  # 20 expected, standard deviation 4.4; one variance for all cells made it 40


def made_event(noise):
    return Event(
        stage=COLUMNS,
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(noise**2),
    )
