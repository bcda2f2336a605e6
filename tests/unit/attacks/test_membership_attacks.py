"""The attacks on membership: what they score, on tables small enough to compute by hand, and whom they find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import Floats, Refit, View, together
from privsynth.errors import AuditError
from privsynth.measurement import Transcript
from privsynth.records import Records
from privsynth.schema import Schema
from tests.attackers import bootstrap, noisy_answers

COLOURS = Schema.loads("""
[table]
name = "t"
[columns.colour]
kind = "category"
values = ["a", "b", "c", "d"]
[columns.shape]
kind = "category"
values = ["x", "y", "z"]
""")
CHAIN = Schema.from_domain(dict.fromkeys("abcde", 6))


def colours(*rows: tuple[int, int]) -> Records:
    values = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return Records(schema=COLOURS, ticks={"colour": values[:, 0].copy(), "shape": values[:, 1].copy()})


def scores(
    name: str,
    release: Records,
    targets: Records,
    transcript: Transcript | None = None,
    refit: Refit | None = None,
    **given: object,
) -> Floats:
    view = View(schema=release.schema, synthetic=release, targets=targets, transcript=transcript, refit=refit)
    (outcome,) = attacks.get(name, given).attack(view, rng=np.random.default_rng(0))
    assert outcome.score is not None
    return outcome.score


RELEASE = colours((0, 0), (0, 0), (1, 0), (3, 2))
TARGETS = colours((0, 0), (1, 1), (1, 1), (2, 1))


def test_density_ratio_compares_kernel_densities_and_leaves_the_target_itself_out() -> None:
    found = scores("density_ratio", RELEASE, TARGETS, bandwidth=0.5)
    kernel = [1.0, 3.0**-8, 5.0**-8]
    released = [2 + kernel[1] + kernel[2], kernel[1] + 3 * kernel[2]]
    others = [3 * kernel[2], kernel[0] + kernel[1] + kernel[2]]
    np.testing.assert_allclose(found[:2], np.log(released) - np.log(others))
    assert found[1] == found[2]


def test_plagiarism_index_is_the_released_share_of_the_nearest_records() -> None:
    found = scores("plagiarism_index", RELEASE, TARGETS, neighbours=2, bandwidth=0.5)
    near = 3.0**-4
    # The first target: itself twice in the release, then (1, 0) once; and one more at that distance.
    copied, others = (2 + near) / 4, near / 4
    assert found[0] == pytest.approx(copied / (copied + others))
    # The second, with three: another target like it; (1, 0) and (2, 1), one step away; and one more at that distance.
    found = scores("plagiarism_index", RELEASE, TARGETS, neighbours=3, bandwidth=0.5)
    copied, others = near / 4, (1 + 2 * near) / 4
    assert found[1] == found[2] == pytest.approx(copied / (copied + others))


def people(rows: int, seed: int) -> Records:
    """A chain: b follows a, c follows b, and so on."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 6, rows)]
    for _ in range(4):
        columns.append(np.where(rng.random(rows) < 0.6, columns[-1], rng.integers(0, 6, rows)))
    return Records(schema=CHAIN, ticks=dict(zip("abcde", columns, strict=True)))


def area(score: Floats, members: int) -> float:
    return float(
        (score[:members, None] > score[None, members:]).mean()
        + (score[:members, None] == score[None, members:]).mean() / 2
    )


def test_transcript_ratio_of_one_table_is_the_excess_over_the_other_targets() -> None:
    members, targets = people(100, 0), together(people(100, 0), people(100, 1))
    transcript = noisy_answers(members, order=1, names=["a"], sigma=3)
    (found,) = transcript
    a = targets.ticks["a"]
    share = np.bincount(a, minlength=6)[a] / 200
    rows = found.values.sum()
    variance = rows * (1 + rows / 200) * share * (1 - share) + 9 + 1 / 12
    expected = (found.values[a] - rows * (200 * share - 1) / 199 - 0.5) / variance
    np.testing.assert_allclose(scores("transcript_ratio", people(5, 2), targets, transcript), expected, rtol=1e-4)


def test_transcript_ratio_finds_who_was_measured_and_noise_hides_them() -> None:
    members, targets = people(300, 0), together(people(300, 0), people(300, 1))
    unrelated = people(50, 2)
    assert area(scores("transcript_ratio", unrelated, targets, noisy_answers(members, order=2)), 300) > 0.65
    noisy = noisy_answers(members, order=2, sigma=1000)
    assert abs(area(scores("transcript_ratio", unrelated, targets, noisy), 300) - 0.5) < 0.1


def test_transcript_ratio_uses_so_many_tables_and_needs_one() -> None:
    members, targets = people(300, 0), together(people(300, 0), people(300, 1))
    few = scores("transcript_ratio", members, targets, noisy_answers(members, order=2), tables=1)
    assert len(np.unique(few)) <= 36
    with pytest.raises(AuditError, match="hold no table"):
        scores("transcript_ratio", members, targets)


@pytest.mark.parametrize("structure", ["tree", "pairs"])
def test_marginal_ratio_finds_whose_tables_the_release_keeps(structure: str) -> None:
    """The release is drawn from the members' pairs along the chain, and holds no member's record but by chance."""
    members, controls, rng = people(150, 0), people(150, 1), np.random.default_rng(5)
    first = rng.integers(0, 150, 3000)
    columns = {"a": members.ticks["a"][first]}
    for before, name in zip("abcd", "bcde", strict=True):
        likely = [members.ticks[name][members.ticks[before] == level] for level in range(6)]
        columns[name] = np.array([rng.choice(likely[level]) for level in columns[before]])
    release = Records(schema=CHAIN, ticks=columns)
    assert area(scores("marginal_ratio", release, together(members, controls), structure=structure), 150) > 0.6


def test_the_tree_is_the_chain() -> None:
    release, targets = people(2000, 0), people(20, 1)
    tree = scores("marginal_ratio", release, targets, structure="tree", bins=50)
    codes = {name: release.ticks[name] for name in "abcde"}
    broken = Records(schema=CHAIN, ticks=codes | {"e": np.random.default_rng(0).permutation(codes["e"])})
    assert not np.allclose(tree, scores("marginal_ratio", broken, targets, structure="tree", bins=50))
    # What is no table of the tree tells nothing: a shuffle that keeps every pair of the chain changes no score.
    kept = _with_the_same_chain(release)
    np.testing.assert_allclose(scores("marginal_ratio", kept, targets, structure="tree", bins=50), tree)
    assert not np.allclose(
        scores("marginal_ratio", kept, targets, bins=50), scores("marginal_ratio", release, targets, bins=50)
    )


def _with_the_same_chain(release: Records) -> Records:
    """Shuffle (d, e) among the records of one c: pairs along the chain stay, others do not."""
    rng, columns = np.random.default_rng(1), {name: release.ticks[name].copy() for name in "abcde"}
    for level in range(6):
        rows = np.flatnonzero(columns["c"] == level)
        moved = rng.permutation(rows)
        for name in "de":
            columns[name][rows] = release.ticks[name][moved]
    return Records(schema=CHAIN, ticks=columns)


def test_marginal_ratio_looks_at_the_measured_tables_where_they_are_known() -> None:
    release, targets = people(500, 0), people(60, 1)
    measured = noisy_answers(people(400, 2), order=1, names=["a", "c"])
    found = scores("marginal_ratio", release, targets, measured)
    cells = targets.ticks["a"] * 6 + targets.ticks["c"]
    assert all(len(set(found[cells == cell].tolist())) <= 1 for cell in range(36))
    twice = together(release, release)
    variance, spread = 4.0, 1 + 400 / 60
    one = noisy_answers(people(400, 2), order=1, names=["a"], sigma=0)
    a, seen = targets.ticks["a"], np.bincount(release.ticks["a"], minlength=6)
    share = np.bincount(a, minlength=6)[a] / 60
    excess = seen[a] * 400 / 500 - 400 * (60 * share - 1) / 59 - 0.5
    for drawn in (release, twice):
        expected = excess / (400 * (spread + 400 / drawn.rows) * share * (1 - share) + variance)
        np.testing.assert_allclose(scores("marginal_ratio", drawn, targets, one), expected, rtol=1e-4)
    more = noisy_answers(people(400, 2), order=2, names=["a", "c", "e"])
    assert len(np.unique(scores("marginal_ratio", release, targets, more))) > len(np.unique(found))


def test_shadow_queries_learn_what_a_generator_shows() -> None:
    members, targets = people(200, 0), together(people(200, 0), people(200, 1))
    release = members.take(np.random.default_rng(1).integers(0, 200, 600))
    assert area(scores("shadow_queries", release, targets, refit=bootstrap(600), bins=50), 200) > 0.7
    twice = scores("shadow_queries", together(release, release), targets, refit=bootstrap(600), bins=50)
    np.testing.assert_allclose(twice, scores("shadow_queries", release, targets, refit=bootstrap(600), bins=50))

    def deaf(records: Records, rng: np.random.Generator) -> Records:
        return people(600, int(rng.integers(1 << 30)))

    assert abs(area(scores("shadow_queries", people(600, 9), targets, refit=deaf), 200) - 0.5) < 0.1


def test_shadows_are_fitted_to_halves_that_are_not_the_members() -> None:
    targets, seen = people(101, 0), []

    def refit(records: Records, rng: np.random.Generator) -> Records:
        seen.append(records.ticks["a"])
        return bootstrap(100)(records, rng)

    scores("shadow_queries", people(100, 1), targets, refit=refit, shadows=5)
    assert [len(half) for half in seen] == [51] * 5
    assert len({half.tobytes() for half in seen}) == 5
    with pytest.raises(AuditError, match="need the generator"):
        scores("shadow_queries", people(100, 1), targets)


@pytest.mark.parametrize("name", ["density_ratio", "plagiarism_index", "marginal_ratio", "transcript_ratio"])
def test_scores_do_not_depend_on_the_order_of_the_targets(name: str) -> None:
    release, targets = people(300, 0), people(80, 1)
    order = np.random.default_rng(2).permutation(80)
    view = View(schema=CHAIN, synthetic=release, targets=targets, transcript=noisy_answers(release, order=2))
    attack = attacks.get(name, {"neighbours": 400} if name == "plagiarism_index" else {})
    (straight,) = attack.attack(view, rng=np.random.default_rng(0))
    (shuffled,) = attack.attack(replace(view, targets=targets.take(order)), rng=np.random.default_rng(0))
    np.testing.assert_allclose(straight.score[order], shuffled.score, rtol=1e-5, atol=1e-6)
