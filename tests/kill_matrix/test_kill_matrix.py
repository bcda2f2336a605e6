"""Every defect of the list is caught by the check that is named for it, and what is right passes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from privsynth import generators
from privsynth.findings import Findings
from tests.kill_matrix.defect import Defect, Target
from tests.kill_matrix.matrix import DEFECTS
from tests.kill_matrix.page import PAGE, renewed
from tests.kill_matrix.rights import OTHERS, SHIPPED, TRAINED

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 4)
SAMPLED = {
    "independent": "independent, row, hardly any budget",
    "mst": "mst, patient, budget",
    "aim": "aim, patient, replaced, budget",
    "latent_class": "latent_class, row, budget",
    "vae": "vae, row, budget",
    "gan": "gan, patient, budget",
}
"""One of each generator's combinations of unit and budget, for the normal run."""


def failing(found: Findings) -> set[str]:
    return {row.check for row in found.rows if row.verdict == "FAIL"}


def verdict(target: Target, seed: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        return target.audited(patch, seed).verdict


def seeds_for(full: bool) -> Sequence[int]:
    return SEEDS if full else SEEDS[:1]


def of_the_matrix(defect: Defect) -> ParameterSet:
    """Audits by the plan `standard` take six seconds each: they are for the full size alone."""
    quick = getattr(defect.target, "plan", "quick") == "quick"
    return pytest.param(defect, id=defect.name, marks=() if quick else pytest.mark.full_only)


@pytest.mark.parametrize("defect", [of_the_matrix(defect) for defect in DEFECTS])
def test_the_defect_is_caught_by_its_check(defect: Defect, full: bool) -> None:
    for seed in seeds_for(full):
        with pytest.MonkeyPatch.context() as patch:
            found = defect.target.audited(patch, seed)
        assert found.verdict == "FAIL"
        assert defect.caught_by in failing(found)


@pytest.mark.parametrize("target", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_right_passes(target: Target) -> None:
    assert verdict(target, 1) == "PASS"


@pytest.mark.parametrize("name", generators.NAMES)
def test_our_generators_pass_and_seldom_fail_by_chance(name: str, full: bool) -> None:
    """The plan lets a right generator fail once in 10,000 runs: at full size, two of 78 would in 3 of 100,000."""
    assert verdict(SHIPPED[SAMPLED[name]], 1) == "PASS"
    every = [target for called, target in SHIPPED.items() if called.startswith(f"{name}, ")]
    assert len(every) == (4 if name in TRAINED else 6)
    audits = (2 if name in TRAINED else 13) if full else 0  # an audit of what trains takes 20 seconds
    verdicts = [verdict(target, seed) for target in every for seed in range(audits)]
    assert verdicts.count("FAIL") <= 1


def test_names_are_unique_and_every_defect_says_where_it_is_from() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 30
    for defect in DEFECTS:
        assert re.fullmatch(r"\[[^\]]+\]\(https://[^)]+\)", defect.drawn_from), defect.name
        assert defect.what.endswith(".")
        assert "|" not in defect.name + defect.what


def test_the_library_does_not_know_the_list() -> None:
    for path in (ROOT / "privsynth").rglob("*"):
        if path.suffix in {".py", ".toml", ".html"}:
            text = path.read_text(encoding="utf-8").lower()
            assert "kill_matrix" not in text, path
            assert "kill matrix" not in text, path
            assert "monkeypatch" not in text, path
            assert not re.search(r"^\s*(from|import) tests\b", text, re.MULTILINE), path


def test_the_published_table_is_the_list() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == renewed(text), "renew it: python -m tests.kill_matrix.page"
