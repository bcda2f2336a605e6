"""The notebooks of the examples run from top to bottom on a part of their tables, and open as notebooks."""

import contextlib
import io
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.py"))
ROWS = 4500


def test_there_is_one_for_each_example_with_a_target():
    assert [path.stem for path in NOTEBOOKS] == ["card_default", "hospital_readmission"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_a_notebook_that_tells_before_it_computes(path):
    jupytext = pytest.importorskip("jupytext")
    cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
    kinds = [cell.cell_type for cell in cells]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 8
    assert "code code" not in " ".join(kinds)
    assert jupytext.writes(jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent"), fmt="ipynb")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_computed_on_real_rows_is_called_internal(path):
    """Every cell that hands real rows to a comparison stands under a heading that says INTERNAL."""
    heading = ""
    for block in path.read_text(encoding="utf-8").split("# %%"):
        heading = next((line for line in reversed(block.splitlines()) if line.startswith("# ## ")), heading)
        if any(f"ps.{verb}(" in block for verb in ("evaluate", "compare_groups", "augment", "scale")):
            assert "*(INTERNAL)*" in heading
        if "model.answer(" in block or "model.error(" in block or "copies.regress(" in block:
            assert "*(public)*" in heading


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text(encoding="utf-8")
    assert text.count("\nROWS = None") == 1
    names: dict[str, object] = {"__name__": "notebook"}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text.replace("\nROWS = None", f"\nROWS = {ROWS}"), path.name, "exec"), names)  # noqa: S102 - our own
    assert len(names["synthetic"]) > 1000
    assert "90% interval" in said.getvalue()
    assert "internal" in names
