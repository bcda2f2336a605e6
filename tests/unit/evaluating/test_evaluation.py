"""An evaluation of a clinic's table: figures, the internal folder, and that peers are measured alike."""

import json
import re
import stat

import numpy as np
import pandas
import pytest

import privsynth as ps
from privsynth.errors import InputError
from privsynth.evaluating import evaluate
from privsynth.schema import Schema
from tests import clinic

PLANTED = "UNMISTAKABLE-4711"
USE = '\n[use]\ntarget = "readmitted"\nprotected = ["sex"]\n'
SCHEMA = Schema.loads(clinic.SCHEMA + USE)
HEADER = clinic.HEADER


def frame(patients, seed):
    return pandas.DataFrame(clinic.rows(patients=patients, seed=seed, secret=PLANTED), columns=HEADER).astype(str)


@pytest.fixture(scope="module")
def tables():
    real = frame(500, 1)
    model = ps.fit(real, SCHEMA, epsilon="2", delta="1e-6", generator="independent", max_rows=3)
    return {
        "real": real,
        "holdout": frame(400, 2),
        "model": model,
        "synthetic": model.sample(900, rng=np.random.default_rng(0)),
        "peer": frame(450, 3),
    }


@pytest.fixture(scope="module")
def made(tables, tmp_path_factory):
    """The evaluation, and its folder."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    found = evaluate(
        tables["synthetic"],
        real=tables["real"],
        holdout=tables["holdout"],
        schema=SCHEMA,
        out=folder,
        release=tables["model"],
        peers={"others": tables["peer"]},
        rng=np.random.default_rng(0),
    )
    return found, folder


def test_every_section_is_there_and_says_that_it_is_internal(made):
    found, folder = made
    written = json.loads((folder / "evaluation.json").read_text())
    assert written == json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["notice"].startswith("INTERNAL")
    assert found.lines()[0] == written["notice"]
    itself = written["synthetic"]
    assert set(itself) == {
        "rows", "impossibleRows", "errorsOfTables", "kMarginal", "correlations", "prediction", "distinguishability",
        "rareCategories", "closestRecords", "groups", "nothingLearned",
    }  # fmt: skip
    assert itself["impossibleRows"]["rows"] == 0
    assert len(itself["impossibleRows"]["rules"]) == 1
    assert [itself["errorsOfTables"][size]["tables"] for size in "123"] == [6, 15, 20]
    assert set(itself["prediction"]["directDP"]) == {"logistic_regression", "naive_bayes"}
    assert itself["prediction"]["generatorMayHaveSeenTheRowsJudgedOn"] is False
    assert [one["columns"] for one in itself["groups"]["sections"]] == [["sex"]]
    assert written["release"]["unit"] == "patient"
    assert written["release"]["epsilon"] == pytest.approx(2, abs=0.01)


def test_it_says_which_share_is_as_good_as_a_fresh_sample(made):
    found, folder = made
    page = next(folder.glob("*.html")).read_text()
    assert "about a third is as good as a fresh sample" in page
    assert "random orders of the rows alone" in page
    assert any("about a third" in line for line in found.lines())


def test_other_rows_of_the_population_are_better_than_independent_columns(made):
    found, _ = made
    ours, others = found.measured, found.peers["others"]
    assert others.k_marginal.score > ours.k_marginal.score
    assert others.apart.area < ours.apart.area
    assert others.errors[2].errors.mean() == pytest.approx(others.errors[2].floor.mean(), rel=0.25)
    assert others.correlations.gaps.mean() < ours.correlations.gaps.mean()


def test_the_folder_is_its_owners_alone_and_holds_a_notice(made):
    _, folder = made
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {one.name for one in folder.iterdir()} == {"INTERNAL.txt", "evaluation.json", "evaluation.html"}
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert "never release" in (folder / "INTERNAL.txt").read_text()


def test_the_page_runs_nothing_loads_nothing_and_escapes_labels(made):
    page = (made[1] / "evaluation.html").read_text()
    assert "INTERNAL – NEVER RELEASE" in page
    assert "<script" not in page
    assert re.search(r"(src|href)=\"(?!#)", page) is None
    assert "<b>Bold" not in page
    for words in ("Impossible rows", "k-marginal", "no evidence of privacy", "under the release’s epsilon", "others"):
        assert words in page


def test_no_value_that_is_not_modelled_is_written(made):
    for one in made[1].iterdir():
        assert PLANTED not in one.read_text()


def test_no_count_of_few_real_rows_is_shown(made):
    found, folder = made
    rare = json.loads((folder / "evaluation.json").read_text())["synthetic"]["rareCategories"]["categories"]
    assert all(one["real"] is None or one["real"] == 0 or one["real"] >= 11 for one in rare)
    assert all(rule.real is None or rule.real == 0 or rule.real >= 11 for rule in found.measured.broken.rules)


def test_it_shows_no_figure_without_saying_that_it_is_internal(made):
    assert repr(made[0]) == "Evaluation(INTERNAL: computed on real records; never release. See .lines())"


def test_rows_are_told_roughly_and_distances_coarsely(made):
    written = made[0].to_json()
    assert written["realRows"] % 10 == written["holdoutRows"] % 10 == 0
    assert written["synthetic"]["prediction"]["rowsJudgedOn"] % 10 == 0
    worst = written["synthetic"]["errorsOfTables"]["1"]["worst"]
    assert all(one["error"] == round(one["error"], 1) for one in worst)


def test_few_people_with_the_outcome_are_not_learned_from_and_it_says_so(tables):
    """By a cell-size rule that is larger than the usual one."""
    found = evaluate(tables["peer"], real=tables["real"], schema=SCHEMA, min_cell=400, rng=np.random.default_rng(0))
    assert found.measured.prediction is found.measured.groups is None
    assert any("fewer than 400 of the rarer answer" in line for line in found.lines())
    assert all(one.real is None or one.real >= 400 or one.real == 0 for one in found.measured.rare.categories)
    with pytest.raises(InputError, match="min_cell"):
        evaluate(tables["peer"], real=tables["real"], schema=SCHEMA, min_cell=0, rng=np.random.default_rng(0))


def test_a_peer_has_the_figures_that_it_has_alone(tables, made):
    """But for the groups, which are compared for the table itself."""
    alone = evaluate(
        tables["peer"], real=tables["real"], holdout=tables["holdout"], schema=SCHEMA, rng=np.random.default_rng(0)
    )
    ours, theirs = alone.measured.to_json(), made[0].peers["others"].to_json()
    assert alone.known is None
    assert "is not known" in str(ours["prediction"]["noDirectDP"])
    for name in set(ours) - {"groups", "prediction"}:
        assert ours[name] == theirs[name], name
    assert ours["prediction"]["learners"] == theirs["prediction"]["learners"]
